//! The unit file, the package and the container file agree with the program.

mod support;

use std::path::Path;
use std::process::Command;

use support::require::{SYSTEMD, missing};

/// The score of systemd-analyze, 0 (locked up) to 10 (exposed).
fn exposure(unit: &Path) -> Option<f64> {
    let output = Command::new("systemd-analyze").args(["security", "--offline=yes"]).arg(unit).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, score) = text.split_once("Overall exposure level for ")?;
    score.split_once(": ")?.1.split_whitespace().next()?.parse().ok()
}

#[test]
fn the_unit_leaves_little_exposed() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/lockkeeper.service");
    let text = std::fs::read_to_string(&unit).expect("the unit ships");
    assert!(text.lines().any(|line| line == "CapabilityBoundingSet=CAP_NET_RAW"), "one right and no other");
    let mut allowed = text.lines().filter_map(|line| line.strip_prefix("SystemCallFilter="));
    // Later lines override earlier ones, and the line before this one removes `capset`.
    let last: Vec<&str> = allowed.next_back().expect("calls are filtered").split(' ').collect();
    for call in ["capset", "seccomp", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"] {
        assert!(last.contains(&call), "the sensor confines itself with {call}");
    }
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return missing(SYSTEMD, "systemd-analyze cannot be started");
    }
    let score = exposure(&unit).expect("systemd-analyze prints a score");
    assert!(score <= 2.0, "{score}");
}

#[test]
fn the_service_the_package_and_the_container_create_the_folder_of_the_status_file() {
    let read = |name: &str| {
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)).expect("it ships")
    };
    let folder = Path::new(lockkeeper::sensor::health::STATUS_FILE).parent().and_then(Path::to_str).expect("a folder");
    let name = folder.strip_prefix("/run/").expect("a runtime directory");
    let has = |text: &str, expected: &str| text.lines().any(|line| line == expected);
    assert!(has(&read("lockkeeper.service"), &format!("RuntimeDirectory={name}")));
    assert!(has(&read("lockkeeper.tmpfiles"), &format!("d {folder} 0755 lockkeeper lockkeeper -")));
    let volumes = read("Containerfile");
    assert!(volumes.lines().any(|line| line.starts_with("VOLUME ") && line.contains(&format!("\"{folder}\""))));
}
