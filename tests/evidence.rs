//! The evidence files that a replay writes: the packets around alerts.

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::rewrite::{self, Packet};
use support::{alerts, lines, lockkeeper, plant, replay, root, shipped, tshark};

/// Replays with evidence: the printed alerts, and the files by name.
fn with_evidence(capture: &Path, more: &[&str]) -> (String, BTreeMap<String, Vec<u8>>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (path, plant) = (folder.path(), plant());
    let mut arguments: Vec<&dyn AsRef<std::ffi::OsStr>> = Vec::new();
    arguments.extend([&"--policy" as &dyn AsRef<std::ffi::OsStr>, &plant, &"--alerts", &"-", &"--evidence", &path]);
    arguments.extend(more.iter().map(|argument| argument as &dyn AsRef<std::ffi::OsStr>));
    let printed = replay(capture, &arguments);
    let entries = std::fs::read_dir(path).expect("the folder").map(|entry| entry.expect("an entry"));
    let files = entries.map(|entry| {
        let name = entry.file_name().into_string().expect("UTF-8");
        (name, std::fs::read(entry.path()).expect("a readable file"))
    });
    (printed, files.collect())
}

/// The first revision of each violation.
fn first_revisions(printed: &str) -> Vec<Value> {
    let first = |alert: &Value| alert["revision"] == 1 && alert["kind"] == "violation";
    lines(printed).into_iter().filter(first).collect()
}

fn name_of(alert: &Value) -> String {
    format!("{}-{}.pcapng", alert["rule"].as_str().expect("a rule"), alert["id"].as_str().expect("an id"))
}

#[test]
fn evidence_changes_no_result_and_is_the_same_for_any_number_of_workers() {
    for capture in shipped() {
        let one = with_evidence(&capture, &["--workers", "1"]);
        let name = capture.display();
        assert_eq!(one.0, alerts(&capture), "{name}");
        let expected: Vec<String> = first_revisions(&one.0).iter().map(name_of).collect();
        let found: Vec<&String> = one.1.keys().collect();
        assert_eq!(found.len(), expected.len(), "{name}");
        assert!(expected.iter().all(|name| one.1.contains_key(name)), "{name}: {found:?}");
        for workers in ["2", "7"] {
            assert!(with_evidence(&capture, &["--workers", workers]) == one, "{name} with {workers} workers");
        }
    }
}

#[test]
fn wireshark_shows_the_alert_as_a_comment_of_its_packet_within_the_conversation() {
    let capture = root().join("pcaps/day.pcapng");
    let (printed, files) = with_evidence(&capture, &["--evidence-packets", "5"]);
    let original = rewrite::read(&capture);
    let folder = tempfile::tempdir().expect("a temporary folder");
    // Each start of tshark takes a second.
    for alert in first_revisions(&printed).iter().step_by(9) {
        let path = folder.path().join("one.pcapng");
        std::fs::write(&path, &files[&name_of(alert)]).expect("written");
        let fields = ["frame.comment", "frame.time_epoch", "frame.interface_name", "tcp.stream", "frame.len"];
        let packets = tshark(&path, &fields.map(|field| ["-e", field]).concat());
        let own: Vec<usize> = (0..packets.len()).filter(|index| !packets[*index][0].is_empty()).collect();
        let [own] = own[..] else { unreachable!("one packet has a comment: {own:?}") };
        let comment = &packets[own][0];
        for part in ["id", "rule", "message"] {
            assert!(comment.contains(alert[part].as_str().expect("text")), "{comment}");
        }
        assert!(own <= 5 && packets.len() - own <= 6 && packets.len() > 1, "{} packets", packets.len());
        assert!(packets.iter().all(|fields| fields[2] == "day.pcapng" && fields[3] == packets[0][3]), "{packets:?}");
        let number = alert["evidence"]["packet"].as_u64().expect("a number") as usize;
        assert_eq!(packets[own][1].replace('.', ""), original[number - 1].time.to_string());
        assert_eq!(packets[own][4], original[number - 1].bytes.len().to_string());
    }
}

#[test]
fn evidence_holds_every_packet_of_the_conversation() {
    let capture = root().join("pcaps/function-scan.pcap");
    let (printed, files) = with_evidence(&capture, &["--evidence-packets", "3"]);
    let original = rewrite::read(&capture);
    let alert = first_revisions(&printed).remove(2);
    let own = alert["evidence"]["packet"].as_u64().expect("a number") as usize - 1;
    let stream = stream_of(&original, own);
    let place = stream.iter().position(|index| *index == own).expect("it is of its own conversation");
    let expected: Vec<Packet> = stream[place.saturating_sub(3)..(place + 4).min(stream.len())]
        .iter()
        .map(|index| original[*index].clone())
        .collect();
    assert_eq!(content(&files[&name_of(&alert)]), expected.iter().map(pair).collect::<Vec<_>>());
}

#[test]
fn all_fragments_of_a_datagram_are_kept_as_they_were_captured() {
    let capture = root().join("pcaps/ip-fragments.pcap");
    let (printed, files) = with_evidence(&capture, &[]);
    let original: Vec<_> = rewrite::read(&capture).iter().map(pair).collect();
    for alert in first_revisions(&printed) {
        let found = content(&files[&name_of(&alert)]);
        assert!(found.iter().all(|packet| original.contains(packet)), "nothing was put together");
        assert!(found.iter().any(|(_, bytes)| is_fragment(bytes)), "the datagram came in fragments");
    }
}

#[test]
fn evidence_beyond_the_limits_is_counted() {
    let capture = root().join("pcaps/function-scan.pcap");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let stats = folder.path().join("stats.json");
    let lost = |more: &[&str]| {
        let mut arguments = vec!["--stats", stats.to_str().expect("UTF-8")];
        arguments.extend(more);
        let (printed, files) = with_evidence(&capture, &arguments);
        let stats = std::fs::read_to_string(&stats).expect("counts");
        let stats: Value = serde_json::from_str(&stats).expect("JSON");
        let lost = stats["losses"]["evidence_not_kept"].as_u64().expect("a count") as usize;
        assert_eq!(files.len() + lost, first_revisions(&printed).len());
        lost
    };
    assert_eq!(lost(&[]), 0);
    assert!(lost(&["--evidence-files", "2"]) > 0);
}

#[test]
fn an_unwritable_folder_is_an_error_before_the_replay() {
    let capture = root().join("pcaps/day.pcapng");
    let output = lockkeeper(&[&"replay", &capture, &"--evidence", &"/proc/evidence"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(error.contains("evidence /proc/evidence: "), "{error}");
}

fn pair(packet: &Packet) -> (i64, Vec<u8>) {
    (packet.time, packet.bytes.clone())
}

/// Times and bytes of the packets of a file.
fn content(file: &[u8]) -> Vec<(i64, Vec<u8>)> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path: PathBuf = folder.path().join("one.pcapng");
    std::fs::write(&path, file).expect("written");
    rewrite::read(&path).iter().map(pair).collect()
}

/// Numbers of the packets with the addresses and ports of packet `one`, in both directions, over plain Ethernet, IPv4, TCP.
fn stream_of(packets: &[Packet], one: usize) -> Vec<usize> {
    let ends = |packet: &Packet| {
        let at = |range: std::ops::Range<usize>| packet.bytes.get(range).unwrap_or_default().to_vec();
        let mut ends = [(at(26..30), at(34..36)), (at(30..34), at(36..38))];
        ends.sort();
        (at(12..15), ends)
    };
    (0..packets.len()).filter(|index| ends(&packets[*index]) == ends(&packets[one])).collect()
}

/// Whether an IPv4 packet has more fragments or a fragment offset.
fn is_fragment(bytes: &[u8]) -> bool {
    bytes[12..14] == [8, 0] && (bytes[20] & 0x3F != 0 || bytes[21] != 0)
}
