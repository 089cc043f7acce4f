//! The program run from outside, on real captures and on bad input.

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use support::{alerts, golden, lines, lockkeeper, plant, replay, require, rewrite, root, shipped};

/// `LOCKKEEPER_BLESS=1` replaces the expected alerts; review the difference before committing it.
#[test]
fn every_shipped_capture_gives_its_expected_alerts() {
    for capture in shipped() {
        golden::check(&capture, &alerts(&capture));
    }
}

#[test]
fn every_file_of_expected_alerts_is_short_enough_to_be_reviewed() {
    for capture in shipped() {
        let sizes = ["alerts.jsonl", "alerts.json"]
            .map(|ending| std::fs::metadata(capture.with_extension(ending)).map_or(0, |file| file.len() as usize));
        assert!(sizes.iter().all(|size| *size <= golden::LONGEST), "{}: {sizes:?}", capture.display());
    }
}

#[test]
fn a_change_of_one_counted_alert_is_shown_with_its_rule() {
    let before = alerts(&root().join("pcaps/day.pcapng"));
    let differences = |after: &str| {
        let [before, after] = [&before, after].map(|alerts| golden::summary(alerts).to_string());
        golden::different_counts(&before, &after)
    };
    assert!(differences(&before).is_empty());

    let line =
        before.lines().rfind(|line| line.contains("\"rule\":\"value.out-of-limits\"")).expect("a forbidden value");
    let changed = differences(&before.replace(line, &line.replace("\"message\":\"", "\"message\":\"X")));
    let paths: Vec<&str> = changed.iter().filter_map(|line| line.split(": ").next()).collect();
    assert_eq!(paths, ["/rules/value.out-of-limits/high/sha256", "/sha256"], "{changed:#?}");

    let missing = differences(&before.replace(&format!("{line}\n"), ""));
    assert!(missing.iter().any(|line| line.starts_with("/alerts: expected 408, found 407")), "{missing:#?}");
    let counted = |line: &&String| line.starts_with("/counts/value.out-of-limits/high/SCADA");
    assert_eq!(missing.iter().filter(counted).count(), 1, "{missing:#?}");
}

#[test]
fn counts_of_shipped_captures_equal_wiresharks() {
    let truth = std::fs::read_to_string(root().join("pcaps/wireshark.jsonl")).expect("the counts ship");
    for truth in lines(&truth) {
        let name = truth["path"].as_str().expect("a path");
        let stats = stats(&root().join("pcaps").join(name));
        assert_eq!(stats["packets"], truth["packets"], "{name}");
        let groups =
            COMPARED.iter().flat_map(|(protocol, _, groups)| groups.iter().map(move |group| (protocol, group)));
        for (protocol, group) in groups {
            let ours = counts(&stats["pdus"][protocol][group]);
            let theirs = counts(&truth[protocol][group]);
            if truth[protocol][group].is_null() {
                continue; // Wireshark cannot distinguish them
            }
            match KNOWN_BETTER.iter().find(|(capture, of, ..)| *capture == name && of == group) {
                Some((.., key, count, why)) => {
                    assert_eq!(ours.get(*key), Some(count), "{name} {group} {key}: {why}");
                    assert_ne!(theirs.get(*key), Some(count), "{name}: no longer a difference");
                }
                None => assert_eq!(ours, theirs, "{name} {protocol} {group}"),
            }
        }
    }
}

/// Differences from Wireshark: capture, group, key, the number that was sent (`pcaps/README.md`), and why.
const KNOWN_BETTER: [(&str, &str, &str, u64, &str); 3] = [
    ("pipelined.pcap", "requests", "3", 13, "one request begins at the very end of a segment, inside its header"),
    ("rtu-over-tcp.pcap", "requests", "4", 6, "two requests were sent in two segments each"),
    ("malformed.pcap", "requests", "3", 18, "Wireshark waits for the 4000 bytes that one bad header promises"),
];

#[test]
fn counts_of_the_corpus_equal_wiresharks_and_no_capture_ends_the_program() {
    let Some(corpus) = require::corpus() else { return };
    let truth = std::fs::read_to_string(corpus.join("truth.jsonl")).expect("ground truth");
    for truth in lines(&truth) {
        let name = truth["path"].as_str().expect("a path");
        let (stats, peak) = stats_and_memory(&corpus.join(name));
        assert!(peak < MEMORY_LIMIT, "{name}: {peak} KiB");
        assert_eq!(stats["packets"], truth["packets"], "{name}");
        let ours = &stats["pdus"]["modbus"];
        for (protocol, crosscheck, groups) in COMPARED {
            let ours = &stats["pdus"][protocol];
            if truth[protocol].is_null() {
                assert!(ours.is_null(), "{name}: {ours} where there is no {protocol}");
            }
            // Counts of OPC UA equal Wireshark's, also where the other counter disagrees with it.
            let is_agreed = truth["own_crosscheck"][crosscheck] == "same" || protocol == "opcua";
            if is_agreed && !READ_BETTER.iter().any(|(capture, of)| name.ends_with(capture) && *of == protocol) {
                for group in groups {
                    assert_eq!(counts(&ours[group]), counts(&truth[protocol][group]), "{name} {protocol} {group}");
                }
            }
        }
        // Where the two other counters disagree, `protocols/DIFFERENCES.md` explains the bytes.
        for (capture, group, key, count) in SETTLED {
            if name.ends_with(capture) {
                assert_eq!(counts(&ours[group]).get(key), Some(&count), "{name} {group} {key}");
            }
        }
    }
}

#[test]
fn s7comm_plus_counts_of_the_corpus_equal_another_counters() {
    let Some(corpus) = require::corpus() else { return };
    let truth = std::fs::read_to_string(corpus.join("truth.jsonl")).expect("ground truth");
    let compared = |truth: &&Value| {
        let name = truth["path"].as_str().unwrap_or_default();
        // One PDU of 17 bytes in an S7comm flow: see `protocols/DIFFERENCES.md`.
        !truth["s7commplus_own_count"].is_null() && !name.ends_with("arkime_synthetic.pcap")
    };
    for truth in lines(&truth).iter().filter(compared) {
        let name = truth["path"].as_str().expect("a path");
        let ours = &stats(&corpus.join(name))["pdus"]["s7commplus"];
        let mut theirs = counts(&truth["s7commplus_own_count"]);
        let pdus = theirs.remove("pdus").expect("a total");
        theirs.remove("frames");
        assert_eq!(counts(&ours["version"]).values().sum::<u64>(), pdus, "{name}");
        let groups = ours.as_object().into_iter().flatten();
        let flat = groups.flat_map(|(group, keys)| {
            let full = move |key: &str| if group == "fragment" { key.to_string() } else { format!("{group}:{key}") };
            counts(keys).into_iter().map(move |(key, count)| (full(&key), count))
        });
        assert_eq!(flat.collect::<BTreeMap<_, _>>(), theirs, "{name}");
    }
}

/// Captures of which Wireshark reads less: see `protocols/DIFFERENCES.md`.
const READ_BETTER: [(&str, &str); 1] = [("boofuzz_nova/pcap/opcua.pcap", "opcua")];

/// Counts decided by the bytes where counters disagree: capture, group, key, count.
const SETTLED: [(&str, &str, &str, u64); 4] = [
    ("modbusBig.pcap", "requests", "1", 1387),
    ("modbusBig.pcap", "responses", "1", 1388),
    ("arkime_synthetic.pcap", "responses", "1", 1),
    ("arkime_synthetic.pcap", "responses", "3", 4),
];

/// Compared groups of `pdus`: protocol, the member of the ground truth that marks agreement of two counters, groups.
const COMPARED: [(&str, &str, &[&str]); 3] = [
    ("modbus", "modbus", &MODBUS_GROUPS),
    ("s7comm", "s7", &["rosctr_func", "userdata", "pi_services"]),
    ("opcua", "opcua", &["message_types", "service_ids", "security_policies"]),
];

const MODBUS_GROUPS: [&str; 5] = ["requests", "responses", "exceptions_fc_code", "diagnostic_subfunc", "mei"];

/// Most resident memory that any capture of the corpus may need, KiB.
const MEMORY_LIMIT: u64 = 512 * 1024;

fn counts(group: &Value) -> BTreeMap<String, u64> {
    let members = group.as_object().into_iter().flatten();
    members.filter_map(|(key, count)| Some((key.clone(), count.as_u64()?))).filter(|(_, count)| *count > 0).collect()
}

fn stats(capture: &Path) -> Value {
    let text = replay(capture, &[&"--stats", &"-", &"--policy", &plant()]);
    serde_json::from_str(&text).expect("JSON")
}

/// The counts, and the peak resident memory, KiB.
fn stats_and_memory(capture: &Path) -> (Value, u64) {
    let script = r#"ulimit -v 4194304; exec "$@""#;
    let mut child = std::process::Command::new("bash")
        .args(["-c", script, "bash", env!("CARGO_BIN_EXE_lockkeeper"), "replay", "--quiet", "--stats", "-"])
        .arg(capture)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("the program starts");
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().expect("a child").is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let now = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak = peak.max(now.unwrap_or(0));
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let output = child.wait_with_output().expect("a child");
    assert!(matches!(output.status.code(), Some(0 | 2)), "{}: {}", capture.display(), output.status);
    (serde_json::from_slice(&output.stdout).expect("JSON"), peak)
}

#[test]
fn a_gap_in_a_stream_loses_only_the_pdus_in_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let packets = rewrite::read(&root().join("pcaps/normal-polling.pcap"));
    let whole = requests(&root().join("pcaps/normal-polling.pcap"));
    // Without any one of the first hundred packets, at most one request and its response are missing, and the gap is counted.
    for missing in (10..100).step_by(7) {
        let mut rest = packets.clone();
        rest.remove(missing);
        let path = folder.path().join("gap.pcap");
        std::fs::write(&path, rewrite::pcap(&rest)).expect("a written capture");
        let left = requests(&path);
        assert!(whole - left <= 1, "packet {missing}: {left} of {whole} requests");
    }
}

#[test]
fn a_flow_joined_midstream_is_decoded_from_its_first_boundary_on() {
    let stats = stats(&root().join("pcaps/midstream.pcap"));
    assert_eq!(stats["losses"]["midstream_flows"], 1);
    assert!(stats["operations"]["modbus"]["read"].as_u64() > Some(0), "{stats}");
    assert_eq!(stats["losses"]["undecoded_bytes"], 0);
}

#[test]
fn a_stop_a_download_and_a_split_write_raise_alerts_midstream_behind_a_lost_segment() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = root().join("pcaps/s7-attack.pcap");
    let (packets, path) = (rewrite::read(&capture), folder.path().join("cut.pcap"));
    let whole = lines(&alerts(&capture));
    for function in ["plc_stop", "request_download", "write_var"] {
        let alert = whole.iter().find(|alert| alert["operation"]["function"] == function).expect("an attack");
        let at = alert["evidence"]["packet"].as_u64().expect("a packet") as usize - 1;
        let ways = |packet: &rewrite::Packet| packet.bytes.get(26..34).map(<[u8]>::to_vec);
        // The capture begins some packets before the attack, and the segment in front of the attack is lost.
        let speaks =
            |other: &usize| rewrite::payload(&packets[*other]) > 0 && ways(&packets[*other]) == ways(&packets[at]);
        let lost = (0..at).rev().find(speaks).expect("something was sent before");
        let before = &packets[lost.saturating_sub(6)..lost];
        for first in 1..rewrite::payload(&packets[at]) {
            let cut = rewrite::halves(&packets[at], first);
            assert_eq!(cut.len(), 2);
            let kept = [before, &packets[lost + 1..at], &cut, &packets[at + 1..]].concat();
            std::fs::write(&path, rewrite::pcap(&kept)).expect("a written capture");
            let found = lines(&alerts(&path));
            let same = |found: &&Value| ["rule", "operation"].iter().all(|part| found[part] == alert[part]);
            assert!(found.iter().any(|found| same(&found)), "{function} cut behind byte {first}: {found:#?}");
        }
    }
}

#[test]
fn access_to_logic_without_the_required_password_raises_an_alert() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let capture = root().join("pcaps/s7-violations.pcap");
    let transactions = lines(&replay(&capture, &[&"--policy", &plant(), &"--transactions", &"-"]));
    let is_password =
        |one: &&Value| one["operation"]["function"] == "plc_password" && one["client"]["asset"] == "EWS-1";
    let evidence = &transactions.iter().find(is_password).expect("a password")["evidence"];
    let gone = ["packet", "response_packet"].map(|part| evidence[part].as_u64().expect("a packet") as usize - 1);
    let packets = rewrite::read(&capture).into_iter().enumerate().filter(|(at, _)| !gone.contains(at));
    let path = folder.path().join("no-password.pcap");
    let packets: Vec<_> = packets.map(|(_, packet)| packet).collect();
    std::fs::write(&path, rewrite::pcap(&packets)).expect("a written capture");
    let found = lines(&alerts(&path));
    let waited = found.iter().filter(|alert| alert["rule"] == "s7.password" && alert["client"]["asset"] == "EWS-1");
    let functions: std::collections::BTreeSet<_> =
        waited.filter_map(|alert| alert["operation"]["function"].as_str()).collect();
    assert_eq!(functions, ["pi_dele", "plc_stop", "plc_warm_start"].into(), "{found:#?}");
}

fn requests(capture: &Path) -> u64 {
    counts(&stats(capture)["pdus"]["modbus"]["requests"]).values().sum()
}

#[test]
fn the_broadcast_address_of_a_zone_is_not_an_unknown_host() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut packets = rewrite::read(&root().join("pcaps/udp.pcap"));
    // PLC-BRIDGE becomes the broadcast address of its zone: the last byte of both IPv4 addresses, behind 14 bytes of Ethernet.
    for packet in &mut packets {
        for address in [26..30, 30..34] {
            if packet.bytes.get(address.clone()) == Some(&[10, 20, 10, 12]) {
                packet.bytes[address.end - 1] = 255;
            }
        }
    }
    let path = folder.path().join("broadcast.pcap");
    std::fs::write(&path, rewrite::pcap(&packets)).expect("a written capture");
    let found = lines(&alerts(&path));
    assert!(found.iter().any(|alert| alert["server"]["ip"] == "10.20.10.255"), "nothing was sent to everybody");
    assert!(found.iter().all(|alert| alert["rule"] != "asset.unknown"), "{found:#?}");
}

#[test]
fn exit_status_says_whether_violations_were_found() {
    let status = |capture: &str| {
        let capture = root().join("pcaps").join(capture);
        lockkeeper(&[&"replay", &capture, &"--policy", &plant(), &"--quiet"]).status.code()
    };
    assert_eq!(status("normal-polling.pcap"), Some(0));
    assert_eq!(status("undeclared-write.pcap"), Some(1));
}

#[test]
fn without_a_policy_traffic_is_counted_and_not_judged() {
    let capture = root().join("pcaps/undeclared-write.pcap");
    let output = lockkeeper(&[&"replay", &capture]);
    assert_eq!(output.status.code(), Some(0));
    let summary = String::from_utf8_lossy(&output.stderr);
    assert!(summary.contains("modbus") && summary.contains("write"), "{summary}");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("\"kind\":\"violation\""));
}

#[test]
fn no_password_and_no_colour_is_in_any_output() {
    let capture = root().join("pcaps/undeclared-write.pcap");
    let output = lockkeeper(&[&"replay", &capture, &"--policy", &plant(), &"--alerts", &"-"]);
    let text = [output.stdout, output.stderr].concat();
    assert!(!text.contains(&0x1B), "an escape sequence despite NO_COLOR");
}

#[test]
fn bad_input_gives_one_clear_error_and_status_2() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("a written file");
        path
    };
    let cases = [
        (folder.path().join("missing.pcap"), "No such file"),
        (write("empty.pcap", b""), "empty"),
        (write("photo.pcap", b"\xFF\xD8\xFF\xE0\0\x10JFIF\0\x01"), "JPEG"),
    ];
    for (path, what) in cases {
        let output = lockkeeper(&[&"replay", &path]);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
        assert!(errors.contains(what) && errors.contains(path.to_str().expect("UTF-8")), "{errors}");
    }
}

#[test]
fn a_truncated_capture_is_read_up_to_its_end_and_reported() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let whole = std::fs::read(root().join("pcaps/undeclared-write.pcap")).expect("a capture");
    let path = folder.path().join("undeclared-write.pcap");
    std::fs::write(&path, &whole[..whole.len() - 5]).expect("a written capture");
    let output = lockkeeper(&[&"replay", &path, &"--policy", &plant(), &"--alerts", &"-"]);
    assert_eq!(output.status.code(), Some(2));
    let summary = String::from_utf8_lossy(&output.stderr);
    assert!(
        summary.contains("cut off") && summary.contains("at byte") && summary.contains("captures cut"),
        "{summary}"
    );
    let found = lines(&String::from_utf8_lossy(&output.stdout));
    assert!(found.iter().any(|alert| alert["rule"] == "operation.undeclared"), "nothing was judged before the cut");
}

#[test]
fn an_unwritable_output_is_one_error_and_leaves_the_others_complete() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let stats = folder.path().join("stats.json");
    let capture = root().join("pcaps/undeclared-write.pcap");
    for output in ["--alerts", "--transactions"] {
        let full = lockkeeper(&[&"replay", &capture, &"--policy", &plant(), &output, &"/dev/full", &"--stats", &stats]);
        let summary = String::from_utf8_lossy(&full.stderr);
        assert_eq!(full.status.code(), Some(2), "{summary}");
        assert!(summary.contains("error: /dev/full: No space left"), "{summary}");
        assert!(summary.contains("Violations"), "{summary}");
        assert!(std::fs::read_to_string(&stats).expect("stats").contains("operation.undeclared"));
    }
}

#[test]
fn a_policy_with_five_mistakes_gives_five_errors_with_their_places() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("five.toml");
    std::fs::write(&path, FIVE_MISTAKES).expect("a written policy");
    let checked = lockkeeper(&[&"policy", &"check", &path]);
    let replayed = lockkeeper(&[&"replay", &root().join("pcaps/undeclared-write.pcap"), &"--policy", &path]);
    for output in [checked, replayed] {
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert_eq!(errors.matches("error").count().min(5), 5, "{errors}");
        for place in ["five.toml:4:", "five.toml:6:", "five.toml:10:", "five.toml:13:", "five.toml:17:"] {
            assert!(errors.contains(place), "{place} is missing in {errors}");
        }
        assert!(output.stdout.is_empty(), "machine output although nothing was judged");
    }
}

const FIVE_MISTAKES: &str = r#"schema = "lockkeeper-policy/1"
[zone.control]
networks = ["10.20.20.0/24"]
netwroks = []
[zone.plc]
networks = ["10.20.10.0/240"]
[asset.PLC]
zone = "plc"
ip = ["10.20.10.12"]
mac = ["00:80:f4:10:20"]
[conduit.C]
zones = ["control", "plc"]
onwer = "nobody"
[[conduit.C.flow]]
id = "F-1"
from = ["zone:control"]
to = ["PCL"]
protocol = "modbus"
allow = [{ op = "read" }]
"#;

#[test]
fn every_shipped_policy_passes_the_check() {
    let mut checked = 0;
    for entry in std::fs::read_dir(root().join("rules")).expect("the rules ship") {
        let path = entry.expect("a readable folder").path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            let output = lockkeeper(&[&"policy", &"check", &path]);
            let errors = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{}: {errors}", path.display());
            checked += 1;
        }
    }
    assert!(checked >= 2, "the plant's policy and the full example");
}

#[test]
fn standard_input_and_folders_are_read_like_files() {
    let capture = root().join("pcaps/undeclared-write.pcap");
    let bytes = std::fs::File::open(&capture).expect("a capture");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_lockkeeper"))
        .args(["replay", "-", "--quiet", "--alerts", "-", "--policy"])
        .arg(plant())
        .stdin(bytes)
        .output()
        .expect("the program starts");
    let from_input =
        String::from_utf8_lossy(&output.stdout).replace("\"capture\":\"-\"", "\"capture\":\"undeclared-write.pcap\"");
    assert_eq!(from_input, alerts(&capture));

    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::copy(&capture, folder.path().join("undeclared-write.pcap")).expect("a copy");
    std::fs::write(folder.path().join("notes.txt"), "not a capture").expect("a written file");
    assert_eq!(alerts(folder.path()), alerts(&capture));
}

#[test]
fn files_of_a_folder_that_are_not_captures_are_skipped_by_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::copy(root().join("pcaps/undeclared-write.pcap"), folder.path().join("day.pcap")).expect("a copy");
    for number in 1..=5 {
        std::fs::write(folder.path().join(format!("notes-{number}.txt")), "not a capture").expect("a written file");
    }
    let log = String::from_utf8(lockkeeper(&[&"replay", &folder.path()]).stderr).expect("UTF-8");
    let left_out: Vec<&str> = log.lines().filter(|line| line.starts_with("left out: ")).collect();
    assert_eq!(left_out.len(), 4, "{log}");
    assert!(left_out[0].contains("notes-1.txt: not a capture file"), "{log}");
    assert!(left_out[3].contains("2 more files"), "{log}");
    let quiet = lockkeeper(&[&"replay", &folder.path(), &"--quiet"]);
    assert!(quiet.stderr.is_empty(), "{}", String::from_utf8_lossy(&quiet.stderr));
}

#[test]
fn every_subcommand_explains_itself_with_an_example() {
    for arguments in [&["replay"][..], &["watch"], &["interfaces"], &["policy", "check"], &["protocols"]] {
        let mut all: Vec<&dyn AsRef<std::ffi::OsStr>> = Vec::new();
        arguments.iter().for_each(|argument| all.push(argument));
        all.push(&"--help");
        let output = lockkeeper(&all);
        let help = String::from_utf8_lossy(&output.stdout);
        assert!(help.contains("Example"), "{help}");
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn the_protocols_are_listed() {
    let output = lockkeeper(&[&"protocols"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("Modbus/TCP"));
}
