//! Unread traffic is reported: in the exit status, at the top of the summary, in the statistics, and as an alert.

mod support;

use support::frames::{MILLISECOND, PLC, POLICY, SCADA, Wire, ethernet, hex, join, modbus, segment};
use support::rewrite::Packet;
use support::{lockkeeper, root};

/// The connection of [`modbus`] without its write, which raises no violation.
fn reads() -> Vec<Vec<u8>> {
    let mut packets = modbus(SCADA, PLC);
    packets.truncate(5);
    packets.iter().map(|ip| ethernet(0x0800, ip)).collect()
}

/// Frames that carry the write over an unassigned EtherType.
fn strange(count: usize) -> Vec<Vec<u8>> {
    let packet = &modbus(SCADA, PLC)[5];
    vec![ethernet(0x1234, packet); count]
}

/// A connection with enough reads to make `unread` other frames less than one percent.
fn mostly_read(unread: usize) -> Vec<Vec<u8>> {
    let mut frames = reads();
    let ack = ethernet(0x0800, &modbus(SCADA, PLC)[2]);
    frames.extend(std::iter::repeat_n(ack, 100 * unread + 100));
    frames.extend(strange(unread));
    frames
}

#[test]
fn a_capture_that_was_read_is_clean() {
    let result = Wire::new(&reads()).replay(&[]);
    assert_eq!(result.status, Some(0), "{}", result.summary);
    assert_eq!(result.rules(), [""; 0]);
    assert!(
        !result.summary.contains("Incomplete") && !result.summary.contains("Packets not read"),
        "{}",
        result.summary
    );
}

#[test]
fn a_capture_of_which_nothing_was_read_is_not_clean() {
    let result = Wire::new(&strange(3)).replay(&[]);
    assert_eq!(result.status, Some(2));
    assert!(result.summary.trim_start().starts_with("Incomplete"), "{}", result.summary);
    assert!(result.summary.contains("none of the 3 packets could be read"), "{}", result.summary);
    assert!(result.summary.contains("none in what could be read"), "{}", result.summary);
    assert_eq!(
        (&result.stats["unread"]["ethernet/0x1234"], &result.stats["losses"]["unread_packets"]),
        (&3.into(), &3.into())
    );
    let alert = result.of("own.unread")[0];
    assert_eq!(
        (&alert["kind"], &alert["severity"], &alert["about"]),
        (&"sensor".into(), &"high".into(), &"wire.pcap".into())
    );
    assert_eq!((&alert["measured"]["packets"], &alert["measured"]["unread"]), (&3.into(), &3.into()));
    let message = alert["message"].as_str().expect("a text");
    assert!(message.starts_with("3 of 3 packets (100.0 %) could not be read"), "{message}");
    assert!(message.ends_with("3 of EtherType 0x1234."), "{message}");
}

#[test]
fn a_capture_without_packets_is_not_clean() {
    for result in [Wire::new(&[]).replay(&[]), Wire::new(&[]).count(&[])] {
        assert_eq!(result.status, Some(2));
        assert!(
            result.summary.trim_start().starts_with("Incomplete") && result.summary.contains("no packet"),
            "{}",
            result.summary
        );
    }
}

#[test]
fn too_much_unread_traffic_outranks_a_clean_verdict_and_violations() {
    let mut frames = reads();
    frames.extend(strange(10));
    let result = Wire::new(&frames).replay(&[]);
    assert_eq!((result.status, result.rules()), (Some(2), vec!["own.unread"]));
    assert!(result.summary.contains("10 of 15 packets (66.7 %) could not be read"), "{}", result.summary);
    frames.extend(modbus([10, 0, 9, 5], PLC).iter().map(|ip| ethernet(0x0800, ip)));
    let result = Wire::new(&frames).replay(&[]);
    assert_eq!(result.status, Some(2), "{}", result.summary);
    assert!(result.rules().contains(&"conduit.undeclared"));
}

#[test]
fn unread_packets_below_the_limit_leave_the_verdict_unchanged() {
    let mut frames = reads();
    frames.extend(strange(9));
    let result = Wire::new(&frames).replay(&[]);
    assert_eq!((result.status, result.rules()), (Some(0), vec![]), "{}", result.summary);
    assert!(
        result.summary.contains("Packets not read") && result.summary.contains("EtherType 0x1234"),
        "{}",
        result.summary
    );
    let wire = Wire::new(&mostly_read(20));
    assert_eq!(wire.replay(&[]).status, Some(0));
    assert_eq!(wire.replay(&["--unread-limit", "0.5"]).status, Some(2));
    assert_eq!(wire.replay(&["--unread-limit", "0.5"]).rules(), ["own.unread"]);
}

#[test]
fn a_limit_is_a_percentage() {
    let wire = Wire::new(&reads());
    let output = lockkeeper(&[&"replay", &wire.capture, &"--unread-limit", &"101"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--unread-limit 101: a number of percent"));
}

#[test]
fn every_kind_of_unread_packet_counts() {
    let ip = &modbus(SCADA, PLC)[5];
    let mut short_tcp = ip.clone();
    short_tcp[32] = 0x20; // 2 words of TCP header
    let tags = hex("8100 0007").repeat(9);
    let cases = [
        ("ethernet/0x88e5", ethernet(0x88E5, &hex("0C 00 00000001 DEADBEEF ; MACsec"))),
        ("ip/50", ethernet(0x0800, &support::frames::ipv4(SCADA, PLC, 50, &hex("00000001 00000001 DEADBEEF")))),
        ("ip/47", ethernet(0x0800, &support::frames::ipv4(SCADA, PLC, 47, &hex("0000 1234 DEADBEEF")))),
        ("malformed_headers", ethernet(0x0800, &short_tcp)),
        ("truncated_headers", ethernet(0x0800, &ip[..12])),
        ("too_many_wrappings", join(&[&hex("020000000001 020000000002"), &tags, &hex("0800"), ip])),
    ];
    for (name, frame) in cases {
        let result = Wire::new(&vec![frame; 3]).replay(&[]);
        assert_eq!(result.stats["unread"][name], 3, "{name}: {}", result.stats["unread"]);
        assert_eq!(result.status, Some(2), "{name}");
        assert_eq!(result.of("own.unread").len(), 1, "{name}");
    }
    let packets: Vec<Packet> = (0..3).map(|number| Packet { time: number, link: 147, bytes: ip.clone() }).collect();
    let result = Wire::of(POLICY, &packets).replay(&[]);
    assert_eq!((&result.stats["unread"]["link_type"], result.status), (&3.into(), Some(2)));
}

#[test]
fn industrial_protocols_without_ip_and_link_housekeeping_count_as_read() {
    let frames = [
        (0x8892, "8000 0000 ; PROFINET"),
        (0x88B8, "0001 0008 0000 0000 ; GOOSE"),
        (0x88CC, "0000 ; LLDP"),
        (0x0806, "0001 0800 0604 0001 020000000002 0A00010A 000000000000 0A00020A ; ARP"),
        (0x0003, "424203 ; spanning tree"),
    ]
    .map(|(ether_type, payload)| ethernet(ether_type, &hex(payload)));
    let result = Wire::new(&[&frames[..]; 10].concat()).replay(&[]);
    assert_eq!(result.of("own.unread").len(), 0);
    assert_eq!(result.stats["unread"], serde_json::json!({}));
}

#[test]
fn reports_of_unread_packets_do_not_depend_on_the_number_of_workers() {
    // A minute of traffic, a third of it unread: several windows and several blocks.
    let ack = ethernet(0x0800, &modbus(SCADA, PLC)[2]);
    let strange = strange(1).remove(0);
    let packets: Vec<Packet> = (0..6000)
        .map(|number| {
            let bytes = if number / 1000 % 3 == 1 && number % 2 == 0 { &strange } else { &ack };
            Packet { time: number * 10 * MILLISECOND, link: 1, bytes: bytes.clone() }
        })
        .collect();
    let wire = Wire::of(POLICY, &packets);
    let [one, two, seven] = ["1", "2", "7"].map(|workers| wire.replay(&["--workers", workers]));
    assert_eq!(one.of("own.unread")[0]["count"], 2, "two windows of six");
    assert!(one.alerts == two.alerts && one.alerts == seven.alerts);
    assert!(one.stats == two.stats && one.stats == seven.stats);
}

#[test]
fn without_a_policy_nothing_is_called_clean() {
    let result = Wire::new(&reads()).count(&[]);
    assert_eq!(result.status, Some(0));
    assert!(result.summary.contains("not judged: no policy"), "{}", result.summary);
    assert!(!result.summary.contains("Violations\n  none"), "{}", result.summary);
}

#[test]
fn failed_connections_are_counted_by_server() {
    let client = |port| ((SCADA, port), (PLC, 502));
    let server = |port| ((PLC, 502), (SCADA, port));
    let elsewhere = |port| ((SCADA, port), ([10, 0, 2, 99], 502));
    let mut packets = Vec::new();
    for port in [50_001, 50_002] {
        packets.push(segment(client(port), "S", [1, 0], &[]));
        packets.push(segment(server(port), "RA", [0, 2], &[]));
    }
    // Two unanswered attempts, the first with a repeated SYN.
    packets.extend([segment(elsewhere(50_003), "S", [1, 0], &[]), segment(elsewhere(50_003), "S", [1, 0], &[])]);
    packets.push(segment(elsewhere(50_004), "S", [1, 0], &[]));
    // Accepted by the server and reset at once by the client, as a scanner does.
    packets.push(segment(client(50_005), "S", [1, 0], &[]));
    packets.push(segment(server(50_005), "SA", [7, 2], &[]));
    packets.push(segment(client(50_005), "R", [2, 0], &[]));
    packets.extend(modbus(SCADA, PLC));
    let frames: Vec<_> = packets.iter().map(|ip| ethernet(0x0800, ip)).collect();
    let wire = Wire::new(&frames);
    let result = wire.replay(&["--workers", "1"]);
    let failed = &result.stats["failed_connections"];
    assert_eq!((&failed["unanswered"], &failed["refused"]), (&2.into(), &2.into()));
    let servers = failed["servers"].as_array().expect("servers");
    assert_eq!(servers[0], serde_json::json!({ "ip": "10.0.2.10", "port": 502, "unanswered": 0, "refused": 2 }));
    assert_eq!(servers[1], serde_json::json!({ "ip": "10.0.2.99", "port": 502, "unanswered": 2, "refused": 0 }));
    assert!(
        result.summary.contains("Failed connections") && result.summary.contains("10.0.2.99:502"),
        "{}",
        result.summary
    );
    assert_eq!(wire.replay(&["--workers", "7"]).stats, result.stats);
}

#[test]
fn one_direction_of_an_accepted_connection_is_not_a_failure() {
    let from_client: Vec<_> = [0, 2, 3, 5, 7].iter().map(|index| modbus(SCADA, PLC)[*index].clone()).collect();
    let frames: Vec<_> = from_client.iter().take(2).map(|ip| ethernet(0x0800, ip)).collect();
    let result = Wire::new(&frames).replay(&[]);
    assert_eq!(result.stats["failed_connections"]["unanswered"], 0, "it acknowledges what was not captured");
    let frames: Vec<_> = from_client.iter().map(|ip| ethernet(0x0800, ip)).collect();
    assert_eq!(Wire::new(&frames).replay(&[]).stats["failed_connections"]["unanswered"], 0);
}

#[test]
fn the_shipped_captures_are_read_completely() {
    for capture in support::shipped() {
        let output = lockkeeper(&[&"replay", &capture, &"--policy", &support::plant(), &"--alerts", &"/dev/null"]);
        let summary = String::from_utf8_lossy(&output.stderr);
        assert_ne!(output.status.code(), Some(2), "{}: {summary}", capture.display());
    }
    assert!(root().is_dir());
}

#[test]
fn a_missing_status_file_is_an_error_and_the_help_explains_how_to_write_one() {
    let output = lockkeeper(&[&"status", &"--file", &"/nonexistent/status.json"]);
    let summary = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(2));
    assert!(summary.starts_with("unknown: there is no status file at /nonexistent/status.json"), "{summary}");
    assert!(summary.contains("lockkeeper watch --status-file FILE"), "{summary}");
}
