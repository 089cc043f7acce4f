//! Commands print results on standard output, everything else on standard error, and colours on a terminal only.

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use support::require::{UNCONFIGURED, missing};
use support::{lockkeeper, plant, root};

/// Runs the program with these environment variables; its output goes to pipes.
fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
    for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(variable);
    }
    command.args(arguments).envs(environment.iter().copied()).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn written(name: &str, policy: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(name);
    fs::write(&path, policy).expect("written");
    let path = path.to_str().expect("UTF-8").to_owned();
    (folder, path)
}

#[test]
fn protocols_are_aligned_in_columns() {
    let output = run(&["protocols"], &[]);
    assert!(output.stderr.is_empty());
    let listed = text(&output.stdout);
    let starts: Vec<Option<usize>> = listed.lines().map(|line| line.rfind("  ")).collect();
    assert!(starts.len() > 2 && starts.iter().all(|start| start.is_some() && *start == starts[0]), "{listed}");
    assert!(listed.lines().all(|line| line.trim_end() == line), "{listed}");
}

#[test]
fn a_check_prints_what_is_permitted_on_standard_output() {
    let output = lockkeeper(&[&"policy", &"check", &plant()]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("plant.toml: sound: ") && output.stderr.is_empty());
}

#[test]
fn a_check_prints_mistakes_and_warnings_on_standard_error() {
    let sound = fs::read_to_string(plant()).expect("a policy");
    let (_folder, path) = written("warned.toml", &format!("{sound}\n[zone.empty]\n"));
    let warned = run(&["policy", "check", &path], &[]);
    assert_eq!(warned.status.code(), Some(0));
    assert!(text(&warned.stdout).contains("warned.toml: sound: ") && !text(&warned.stdout).contains("warning"));
    assert!(text(&warned.stderr).contains("warning: nothing can be in zone `empty`"));
    let (_folder, path) = written("wrong.toml", &sound.replace("[zone.", "[zoen."));
    let wrong = run(&["policy", "check", &path], &[]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(wrong.stdout.is_empty() && text(&wrong.stderr).contains("wrong.toml: 1 error: this policy cannot be used"));
}

#[test]
fn piped_output_has_no_colours() {
    let (_folder, wrong) = written("wrong.toml", "schema = \"lockkeeper-policy/2\"\n");
    let capture = root().join("pcaps/undeclared-write.pcap").to_str().expect("UTF-8").to_owned();
    let policy = plant().to_str().expect("UTF-8").to_owned();
    for arguments in [
        &["--help"][..],
        &["watch", "--help"],
        &["watch", "--no-such-option"],
        &["watch", "--config", "/no/such/file"],
        &["protocols"],
        &["interfaces"],
        &["status", "--file", "/no/such/file"],
        &["policy", "check", &policy, &wrong],
        &["replay", &capture, "--policy", &policy],
        &["replay", &capture, "--policy", &wrong],
        &["replay", "/no/such/capture"],
    ] {
        let output = run(arguments, &[("LOCKKEEPER_LOG", "debug")]);
        for printed in [&output.stdout, &output.stderr] {
            assert!(!printed.contains(&0x1b), "{arguments:?}: {}", String::from_utf8_lossy(printed));
        }
    }
    // The same with forced colours shows that the search above finds colour codes.
    let forced = run(&["policy", "check", &wrong], &[("CLICOLOR_FORCE", "1")]);
    assert!(forced.stderr.contains(&0x1b), "{}", text(&forced.stderr));
    let refused = run(&["policy", "check", &wrong], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]);
    assert!(!refused.stderr.contains(&0x1b), "NO_COLOR is obeyed");
}

#[test]
fn watch_without_options_names_the_configuration() {
    let usual = lockkeeper::config::USUAL_CONFIGURATION;
    if Path::new(usual).exists() {
        return missing(UNCONFIGURED, &format!("{usual} exists"));
    }
    let output = run(&["watch"], &[]);
    assert_eq!(output.status.code(), Some(2));
    let errors = text(&output.stderr);
    for expected in ["--interface", "--config", "/etc/lockkeeper/lockkeeper.toml"] {
        assert!(errors.contains(expected), "{expected} is missing in {errors}");
    }
    let without_interface = run(&["watch", "--policy", "plant.toml"], &[]);
    assert_eq!(without_interface.status.code(), Some(2));
    assert!(text(&without_interface.stderr).contains("no interface to listen to: add --interface"));
}
