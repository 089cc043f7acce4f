//! Packets on disk, as evidence of each violation and as a full recording, and the behaviour on a full disk.
#![allow(clippy::disallowed_methods, reason = "a test waits for other processes")]
#![allow(dead_code, reason = "the network of the live tests can do more than is needed here")]

#[path = "live/network.rs"]
mod network;
#[path = "live/sensor.rs"]
mod sensor;
mod support;

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use network::Hub;
use sensor::Sensor;
use serde_json::Value;
use support::require::{MOUNT, missing};
use support::rewrite::{self, Packet};
use support::{alerts, essence, lines, plant, root, tshark};

fn packets(capture: &str) -> Vec<Packet> {
    rewrite::read(&root().join("pcaps").join(capture))
}

/// A folder with a configuration that writes recording, evidence and alerts below its folder `disk`.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(evidence: &str, recording: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let policy = plant();
        let text = format!(
            "[sensor]\npolicy = {policy:?}\nworkers = 2\n[[interface]]\nname = \"span\"\nsnap_length = 2000\n\
             [output]\nalerts = \"disk/alerts.jsonl\"\nstats = \"stats.json\"\n[health]\nstatus_file = \"status.json\"\n[alarms]\nsilent_after = 0\n\
             [evidence]\nfolder = \"disk/evidence\"\n{evidence}\n[recording]\nfolder = \"disk/packets\"\n{recording}\n"
        );
        std::fs::write(folder.path().join("lockkeeper.toml"), text).expect("written");
        std::fs::create_dir(folder.path().join("disk")).expect("made");
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn sensor(&self, hub: &Hub) -> Sensor {
        Sensor::start(hub, &[&"--config", &self.path("lockkeeper.toml")])
    }

    /// The files of a folder, sorted by name.
    fn files(&self, folder: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path(folder)).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        files.retain(|path| path.extension().is_some_and(|ending| ending == "pcapng"));
        files.sort();
        files
    }

    fn recorded(&self) -> Vec<Packet> {
        self.files("disk/packets").iter().flat_map(|file| rewrite::read(file)).collect()
    }

    fn alerts(&self) -> String {
        std::fs::read_to_string(self.path("disk/alerts.jsonl")).expect("alerts")
    }

    fn lost(&self, name: &str) -> u64 {
        let stats = std::fs::read_to_string(self.path("stats.json")).expect("counts");
        lines(&stats)[0]["losses"][name].as_u64().expect("a count")
    }

    /// Exit status and reasons of `lockkeeper status`.
    fn status(&self) -> (Option<i32>, Vec<String>) {
        let output = support::lockkeeper(&[&"status", &"--json", &"--file", &self.path("status.json")]);
        let log: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let reasons = log["reasons"].as_array().into_iter().flatten();
        (output.status.code(), reasons.filter_map(|reason| reason["what"].as_str().map(str::to_owned)).collect())
    }
}

/// Waits until `is_so` holds for what `look` returns, and returns it.
fn eventually<T: std::fmt::Debug>(what: &str, look: impl Fn() -> T, is_so: impl Fn(&T) -> bool) -> T {
    let begun = Instant::now();
    loop {
        let found = look();
        if is_so(&found) {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what} does not come: {found:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn content(packets: &[Packet]) -> Vec<(i64, &[u8])> {
    packets.iter().map(|packet| (packet.time, packet.bytes.as_slice())).collect()
}

#[test]
fn a_recording_is_complete_and_its_replay_raises_the_same_alerts() {
    let Some(hub) = Hub::new(&["send", "span"]) else { return };
    let place = Place::new("", "");
    let beside = place.path("beside.pcap");
    let sensor = place.sensor(&hub);
    let day = packets("day.pcapng");
    hub.record("span", &beside, || hub.send("send", &day));
    let expected = rewrite::read(&beside);
    // Flushed while the sensor runs, within a second after the last packet.
    eventually("the last packet", || place.recorded().len(), |count| *count == expected.len());
    let (status, log) = sensor.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    let recorded = place.recorded();
    assert!(content(&recorded) == content(&expected) && recorded.len() == day.len(), "{} packets", recorded.len());
    let [file] = &place.files("disk/packets")[..] else { unreachable!("one file is enough") };
    let fields = tshark(file, &["-e", "frame.time_epoch", "-e", "frame.interface_name", "-e", "frame.cap_len"]);
    let of_packet = |packet: &Packet| {
        let (seconds, rest) = (packet.time / 1_000_000_000, packet.time % 1_000_000_000);
        vec![format!("{seconds}.{rest:09}"), "span".to_owned(), packet.bytes.len().to_string()]
    };
    assert_eq!(fields, expected.iter().map(of_packet).collect::<Vec<_>>());
    assert_eq!(essence(&place.alerts()), essence(&alerts(&place.path("disk/packets"))));
    assert_eq!((place.lost("recording_dropped"), place.lost("evidence_not_kept")), (0, 0));
}

#[test]
fn evidence_is_written_on_a_quiet_network_and_the_oldest_file_is_removed_also_after_a_restart() {
    let Some(hub) = Hub::new(&["send", "span"]) else { return };
    let place = Place::new("packets = 4\nfiles = 2", "");
    let note = place.path("disk/evidence/notes.pcapng");
    std::fs::create_dir(place.path("disk/evidence")).and_then(|()| std::fs::write(&note, "mine")).expect("written");
    let ours = || place.files("disk/evidence").into_iter().filter(|file| *file != note).collect::<Vec<_>>();
    let sensor = place.sensor(&hub);
    let write = packets("undeclared-write.pcap");
    hub.send("send", &write);
    // No packet follows.
    let first = eventually("the evidence", ours, |files| !files.is_empty()).remove(0);
    let fields = tshark(&first, &["-Y", "frame.comment", "-e", "frame.comment", "-e", "frame.interface_name"]);
    let name = first.file_stem().and_then(|stem| stem.to_str()).expect("a name");
    let (rule, id) = name.rsplit_once('-').expect("rule and id");
    assert_eq!((fields.len(), fields[0][1].as_str()), (1, "span"));
    assert!(fields[0][0].contains(rule) && fields[0][0].contains(id), "{fields:?}");
    let (status, log) = sensor.stop();
    assert_eq!(status.code(), Some(0), "{log}");

    let sensor = place.sensor(&hub);
    hub.send("send", &packets("function-scan.pcap")[..200]);
    eventually("newer evidence", ours, |files| files.len() == 2 && !files.contains(&first));
    let (status, log) = sensor.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(ours().len(), 2);
    assert!(note.exists() && place.lost("evidence_rotated") > 0 && place.lost("evidence_not_kept") == 0, "{log}");
}

#[test]
fn a_recording_keeps_the_latest_packets_and_continues_in_a_new_file_after_a_restart() {
    let Some(hub) = Hub::new(&["send", "span"]) else { return };
    let place = Place::new("", "size_mib = 2\nfile_mib = 1");
    let size = || -> u64 {
        let files = place.files("disk/packets");
        files.iter().map(|file| file.metadata().map_or(0, |about| about.len())).sum()
    };
    // Frames without a decoder, each different.
    let frame = |number: u32| {
        let mut bytes = vec![0; 1400];
        bytes[..14].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xB5]);
        bytes[14..18].copy_from_slice(&number.to_be_bytes());
        Packet { time: 0, link: 1, bytes }
    };
    let number =
        |packet: &Packet| packet.bytes.get(14..18).map(|four| u32::from_be_bytes(four.try_into().expect("four")));
    let sensor = place.sensor(&hub);
    hub.send("send", &(0..4000).map(frame).collect::<Vec<_>>());
    let (status, log) = sensor.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    let kept: Vec<u32> = place.recorded().iter().filter_map(number).collect();
    let expected: Vec<u32> = (4000 - kept.len() as u32..4000).collect();
    assert!(kept == expected && kept.len() > 700 && size() <= 2 << 20, "{} packets, {} bytes", kept.len(), size());

    let before = place.files("disk/packets");
    let sensor = place.sensor(&hub);
    hub.send("send", &[frame(4000)]);
    let (status, log) = sensor.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    let after = place.files("disk/packets");
    assert!(after.len() == 2 && after[0] == before[1] && after[1] > before[1], "{before:?} {after:?}");
    assert_eq!(place.recorded().last().and_then(number), Some(4000));
}

/// A small tmpfs, mounted on a folder until dropped.
struct Disk(PathBuf);

impl Disk {
    /// `None` if nothing can be mounted and the run allows that.
    fn mount(folder: PathBuf) -> Option<Self> {
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "lockkeeper-test"]).arg(&folder).output();
        if mounted.as_ref().is_ok_and(|mounted| mounted.status.success()) {
            return Some(Self(folder));
        }
        missing(MOUNT, &format!("{mounted:?}"));
        None
    }

    /// Fills the disk.
    fn fill(&self) {
        std::fs::write(self.0.join("filler"), vec![0; 9 << 20]).expect_err("more than there is room for");
    }

    fn clear(&self) {
        std::fs::remove_file(self.0.join("filler")).expect("removed");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking(), "{:?} stays", self.0);
    }
}

#[test]
fn a_full_disk_is_reported_and_writing_resumes_without_a_loss() {
    let Some(hub) = Hub::new(&["send", "span"]) else { return };
    let place = Place::new("packets = 2", "size_mib = 2\nfile_mib = 1");
    let Some(disk) = Disk::mount(place.path("disk")) else { return };
    let beside = place.path("beside.pcap");
    let sensor = place.sensor(&hub);
    let (write, scan) = (packets("undeclared-write.pcap"), packets("function-scan.pcap"));
    hub.record("span", &beside, || {
        hub.send("send", &write);
        // Before the disk is full, so that the next line is cut off by its end.
        eventually("an alert", || place.alerts(), |alerts| !alerts.is_empty());
        disk.fill();
        hub.send("send", &scan);
    });
    let all = ["output.failed", "evidence.failed", "recording.failed"];
    let is_all =
        |status: &(Option<i32>, Vec<String>)| all.iter().all(|what| status.1.iter().any(|reason| reason == what));
    let (code, _) = eventually("every reason", || place.status(), is_all);
    assert_eq!(code, Some(1));
    disk.clear();
    // No more packets are sent.
    eventually("all well", || place.status(), |(code, _)| *code == Some(0));
    let (status, log) = sensor.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    for what in ["alerts.jsonl", "evidence", "packets"] {
        let of_it = |line: &&str| line.contains(&format!("disk/{what}"));
        let (begun, over): (Vec<&str>, Vec<&str>) =
            log.lines().filter(of_it).partition(|line| line.contains("No space left"));
        assert!(begun.len() == 1 && over.len() == 1 && over[0].contains("can be written again"), "{what}: {log}");
    }
    let expected = rewrite::read(&beside);
    assert!(content(&place.recorded()) == content(&expected), "{} of {}", place.recorded().len(), expected.len());
    // Requests without a response timed out while the sensor waited; the replay ends with its last packet.
    let without_outcomes = |alerts: &str| {
        let mut alerts = essence(alerts);
        alerts.iter_mut().for_each(|alert| drop(alert["outcome"].take()));
        alerts
    };
    assert!(
        without_outcomes(&place.alerts()) == without_outcomes(&alerts(&beside)),
        "no line is torn, none is missing"
    );
    for name in ["recording_dropped", "evidence_not_kept", "output_not_written"] {
        assert_eq!(place.lost(name), 0, "{name}");
    }
}

#[test]
fn removed_folders_and_a_moved_alert_file_are_created_again() {
    let Some(hub) = Hub::new(&["send", "span"]) else { return };
    let place = Place::new("packets = 2", "");
    let sensor = place.sensor(&hub);
    let write = packets("undeclared-write.pcap");
    hub.send("send", &write);
    eventually("evidence", || place.files("disk/evidence"), |files| !files.is_empty());
    eventually("packets", || place.recorded().len(), |count| *count == write.len());
    for folder in ["disk/evidence", "disk/packets"] {
        std::fs::remove_dir_all(place.path(folder)).expect("removed");
    }
    std::fs::rename(place.path("disk/alerts.jsonl"), place.path("disk/alerts.jsonl.1")).expect("moved");
    hub.send("send", &packets("function-scan.pcap")[..100]);
    eventually("newer evidence", || place.files("disk/evidence"), |files| !files.is_empty());
    eventually("newer packets", || place.recorded().len(), |count| *count == 100);
    let (status, log) = sensor.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    let all = std::fs::read_to_string(place.path("disk/alerts.jsonl.1")).expect("moved") + &place.alerts();
    assert!(lines(&all).len() > 10 && !lines(&place.alerts()).is_empty(), "{all}");
    assert_eq!((place.lost("recording_dropped"), place.lost("output_not_written")), (0, 0));
}

/// Longer than any awaited event takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
