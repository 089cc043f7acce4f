//! The same data gives the same alerts for any number of workers, any capture format, and any segmentation, repetition or
//! reordering by TCP.

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::Value;
use support::rewrite::{self, Dice, Packet};
use support::tape::{SECOND, Tape};
use support::{alerts, lines, plant, replay, shipped};

#[test]
fn alerts_and_transactions_are_the_same_for_any_number_of_workers() {
    let (_folder, unanswered_requests) = unanswered_requests();
    for capture in shipped().into_iter().chain([unanswered_requests]) {
        let run = |workers: &str| {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let transactions = folder.path().join("transactions.jsonl");
            let more: [&dyn AsRef<std::ffi::OsStr>; 8] =
                [&"--policy", &plant(), &"--alerts", &"-", &"--transactions", &transactions, &"--workers", &workers];
            (replay(&capture, &more), std::fs::read_to_string(&transactions).expect("transactions"))
        };
        let one = run("1");
        assert_eq!(one, run("2"), "{}", capture.display());
        assert_eq!(one, run("7"), "{}", capture.display());
    }
}

/// A capture of several blocks in which most requests get no response, so that their transactions are written long after
/// the requests.
fn unanswered_requests() -> (tempfile::TempDir, PathBuf) {
    let mut tape = Tape::default();
    tape.handshake(0);
    for number in 0..5000_u16 {
        let [high, low] = number.to_be_bytes();
        let (time, sequence) = (SECOND + i64::from(number) * SECOND / 200, 100 + u32::from(number) * 12);
        // Unit 1, Read Holding Registers (3), address 40, 1 register; every seventh is answered.
        tape.client(time, "A", sequence, 500, &[high, low, 0, 0, 0, 6, 1, 3, 0, 40, 0, 1]);
        if number % 7 == 0 {
            let answered = 500 + u32::from(number / 7) * 11;
            tape.server(time + 1000, "A", answered, sequence + 12, &[high, low, 0, 0, 0, 5, 1, 3, 2, 3, 132]);
        }
    }
    tape.write()
}

#[test]
fn the_format_of_a_capture_changes_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // One capture also holds decryption secrets, which only pcapng can store.
    for capture in shipped().into_iter().filter(|capture| !capture.ends_with("opcua-policies.pcapng")) {
        let packets = rewrite::read(&capture);
        let stem = capture.file_stem().and_then(|stem| stem.to_str()).expect("a name");
        let (pcap, pcapng) = (rewrite::pcap(&packets), rewrite::pcapng(&packets));
        let forms = [
            ("pcap", pcap.clone()),
            ("pcapng", pcapng.clone()),
            ("pcap.gz", rewrite::gzip(&pcap)),
            ("pcapng.zst", rewrite::zstd(&pcapng)),
        ];
        let results = forms.map(|(ending, bytes)| {
            let path = folder.path().join(format!("{stem}.{ending}"));
            std::fs::write(&path, bytes).expect("a written capture");
            everything(&path).replace(&format!("{stem}.{ending}"), stem)
        });
        let shipped = everything(&capture);
        let name = capture.file_name().and_then(|name| name.to_str()).expect("a name");
        for result in results {
            assert_eq!(result, shipped.replace(name, stem), "{stem}");
        }
    }
}

/// Alerts and transactions, concatenated.
fn everything(capture: &Path) -> String {
    let transactions = replay(capture, &[&"--policy", &plant(), &"--transactions", &"-"]);
    alerts(capture) + &transactions
}

#[test]
fn segments_of_a_single_byte_change_no_alert() {
    for capture in stream_captures() {
        let packets = rewrite::read(&capture);
        assert_same_verdicts(&capture, &packets, &rewrite::single_bytes(&packets));
    }
}

/// The handshake of a reverse connection may be captured after its data, when the roles are already decided.
#[test]
fn a_handshake_captured_late_changes_no_roles() {
    let captures = stream_captures();
    let reversed = captures.iter().find(|path| path.file_stem().is_some_and(|stem| stem == "opcua-reverse"));
    let capture = reversed.expect("a shipped capture");
    let packets = rewrite::read(capture);
    for seed in 0..64 {
        let dice = &mut Dice(seed);
        let cut = rewrite::pieces(&packets, dice);
        let worse = rewrite::reordered(&rewrite::duplicated(&cut, dice), dice);
        assert_same_verdicts(capture, &packets, &worse);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn segments_cut_anywhere_change_no_alert(seed in any::<u64>(), which in any::<prop::sample::Index>()) {
        let captures = stream_captures();
        let capture = which.get(&captures);
        let packets = rewrite::read(capture);
        assert_same_verdicts(capture, &packets, &rewrite::pieces(&packets, &mut Dice(seed)));
    }

    #[test]
    fn repeated_segments_change_no_alert(seed in any::<u64>(), which in any::<prop::sample::Index>()) {
        let captures = stream_captures();
        let capture = which.get(&captures);
        let packets = rewrite::read(capture);
        assert_same_verdicts(capture, &packets, &rewrite::duplicated(&packets, &mut Dice(seed)));
    }

    #[test]
    fn reordered_segments_change_no_alert(seed in any::<u64>(), which in any::<prop::sample::Index>()) {
        let captures = stream_captures();
        let capture = which.get(&captures);
        let packets = rewrite::read(capture);
        assert_same_verdicts(capture, &packets, &rewrite::reordered(&packets, &mut Dice(seed)));
    }

    #[test]
    fn cut_repeated_and_reordered_segments_change_no_alert(seed in any::<u64>(), which in any::<prop::sample::Index>()) {
        let captures = stream_captures();
        let capture = which.get(&captures);
        let packets = rewrite::read(capture);
        let dice = &mut Dice(seed);
        let cut = if dice.roll(2) == 0 { rewrite::single_bytes(&packets) } else { rewrite::pieces(&packets, dice) };
        let worse = rewrite::reordered(&rewrite::duplicated(&cut, dice), dice);
        assert_same_verdicts(capture, &packets, &worse);
    }
}

/// Captures of TCP without lost packets. Across a gap, and between datagrams, only the order of the capture defines the
/// order of the data, so that reordering changes results.
fn stream_captures() -> Vec<PathBuf> {
    let mut captures = shipped();
    let others = ["lossy", "midstream", "udp", "ip-fragments", "s7-lossy", "s7-midstream"];
    captures.retain(|path| !others.iter().any(|name| path.file_stem().is_some_and(|stem| stem == *name)));
    captures
}

#[track_caller]
fn assert_same_verdicts(capture: &Path, before: &[Packet], after: &[Packet]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let verdicts = |packets: &[Packet]| {
        let path = folder.path().join("same-name.pcap");
        std::fs::write(&path, rewrite::pcap(packets)).expect("a written capture");
        verdicts(&alerts(&path))
    };
    let (before, after) = (verdicts(before), verdicts(after));
    let only = |these: &BTreeMap<String, usize>, those: &BTreeMap<String, usize>| -> Vec<String> {
        let differs = |(verdict, count): &(&String, &usize)| those.get(*verdict) != Some(*count);
        these.iter().filter(differs).map(|(verdict, count)| format!("{count} x {verdict}")).collect()
    };
    let (lost, new) = (only(&before, &after), only(&after, &before));
    assert!(lost.is_empty() && new.is_empty(), "{}:\nlost {lost:#?}\nnew {new:#?}", capture.display());
}

/// The last revision of each alert without times and packet numbers, and how often each occurs.
fn verdicts(alerts: &str) -> BTreeMap<String, usize> {
    let mut last: BTreeMap<String, Value> = BTreeMap::new();
    for alert in lines(alerts) {
        last.insert(alert["id"].to_string(), alert);
    }
    let mut counts = BTreeMap::new();
    for mut alert in last.into_values() {
        let members = alert.as_object_mut().expect("an object");
        for member in
            ["id", "time", "first_seen", "last_seen", "evidence", "revision", "policy", "requirements", "attack"]
        {
            members.remove(member);
        }
        *counts.entry(alert.to_string()).or_default() += 1;
    }
    counts
}
