//! The plant with its real stacks, live: a sensor at the mirror port of the switch raises the same alerts as a replay of a
//! recording at the same port.
//!
//! `pcaps/record/record` builds the plant from network namespaces, installs the stacks from Debian, PyPI and npm into
//! `target/plant`, and plays the scenes. It needs root, access to the registries the first time, and two minutes:
//! `cargo test --test plant -- --ignored --nocapture`. A scene whose stack cannot be installed is skipped with a note, or
//! fails the test if `LOCKKEEPER_REQUIRE=1` is set.
#![allow(clippy::disallowed_methods, reason = "a test waits for other processes")]

mod support;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use support::require::{NAMESPACES, STACK, missing};
use support::{alerts, essence, lines, plant, replay, root};

/// The scenes: each protocol in normal operation and under attack, each stack as a server and as a client.
const SCENES: [&str; 12] = [
    // pymodbus and libmodbus
    "normal-polling",
    "undeclared-write",
    "address-scan",
    // the C++ snap7, and the Python one
    "s7-polling",
    "s7-blocks",
    "s7-attack",
    // asyncua; a channel in each mode
    "opcua-none",
    "opcua-sign",
    "opcua-encrypt",
    "opcua-attack",
    // node-opcua, with itself and with asyncua
    "opcua-polling",
    "opcua-stacks",
];

#[test]
#[ignore = "installs the stacks of the plant, as root, and takes minutes: cargo test --test plant -- --ignored"]
fn a_sensor_beside_the_real_stacks_raises_the_same_alerts_as_a_replay() {
    if !rustix::process::geteuid().is_root() {
        return missing(NAMESPACES, "the user is not root");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    play(folder.path());
    let left_out = fs::read_to_string(folder.path().join("left-out")).unwrap_or_default();
    left_out.lines().for_each(|scene| missing(STACK, scene));
    let left_out: BTreeSet<&str> = left_out.lines().filter_map(|line| line.split(':').next()).collect();
    for scene in SCENES.into_iter().filter(|scene| !left_out.contains(scene)) {
        let of = |ending| folder.path().join(format!("{scene}.{ending}"));
        let live = fs::read_to_string(of("jsonl")).expect(scene);
        assert_eq!(essence(&live), essence(&alerts(&of("pcap"))), "{scene}");
        let counted = fs::read_to_string(of("stats.json")).expect(scene);
        let replayed = replay(&of("pcap"), &[&"--policy", &plant(), &"--alerts", &"/dev/null", &"--stats", &"-"]);
        let (counted, replayed) = (&lines(&counted)[0], &lines(&replayed)[0]);
        for count in ["operations", "pdus"] {
            assert_eq!(counted[count], replayed[count], "{scene}: {count}");
        }
        // The sensor starts before the recording and ends after it; a host may send neighbour requests in between.
        for count in ["packets", "flows"] {
            let (watched, recorded) = (counted[count].as_u64(), replayed[count].as_u64());
            let more = watched.zip(recorded).and_then(|(watched, recorded)| watched.checked_sub(recorded));
            assert!(more.is_some_and(|more| more <= HOUSEKEEPING), "{scene}: {count}: {watched:?}, {recorded:?}");
        }
        let shipped = root().join("pcaps").join(format!("{scene}.alerts.jsonl"));
        let shipped = fs::read_to_string(shipped).expect(scene);
        assert_eq!(rules(&live), rules(&shipped), "{scene}: the stacks behave as when they were recorded");
        eprintln!("{scene}: {} alerts", essence(&live).len());
    }
}

fn rules(alerts: &str) -> BTreeSet<String> {
    lines(alerts).iter().map(|alert| alert["rule"].to_string()).collect()
}

/// The recorder process, which cleans up on SIGTERM.
struct Recorder(Child);

impl Drop for Recorder {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let pid = Pid::from_raw(self.0.id().cast_signed()).expect("a process");
            let _already_gone = kill_process(pid, Signal::TERM);
            let _already_gone = self.0.wait();
        }
    }
}

/// Plays all scenes; writes recordings, alerts and the list of skipped scenes into the folder.
fn play(folder: &Path) {
    let tools = root().join("target/plant");
    fs::create_dir_all(&tools).expect("a folder");
    let log = folder.join("log");
    let errors = File::create(&log).expect("a file");
    let mut record = Command::new(root().join("pcaps/record/record"));
    record.arg("--sensor").arg(env!("CARGO_BIN_EXE_lockkeeper")).arg("--to").arg(folder).arg("--tools").arg(tools);
    record.args(SCENES).stdout(errors.try_clone().expect("a file")).stderr(errors).stdin(Stdio::null());
    record.env_remove("LOCKKEEPER_SITE").env_remove("LOCKKEEPER_SENSOR");
    let mut recorder = Recorder(record.spawn().expect("bash is there"));
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = recorder.0.try_wait().expect("a child") {
            break status;
        }
        assert!(begun.elapsed() < PATIENCE, "it does not end: {}", fs::read_to_string(&log).unwrap_or_default());
        std::thread::sleep(Duration::from_millis(100));
    };
    assert!(status.success(), "{}", fs::read_to_string(&log).unwrap_or_default());
}

/// Packets that hosts may send while only one of sensor and recording captures.
const HOUSEKEEPING: u64 = 8;

/// Longer than the plant takes on a busy machine with every stack to install.
const PATIENCE: Duration = Duration::from_secs(1800);
