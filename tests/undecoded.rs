//! Packets with unreadable headers behind the IP header are traffic between their two hosts.

mod support;

use support::frames::{OFFICE, PLC, POLICY, ReplayResult, SCADA, Wire, ethernet, hex, ipv4, join, modbus, udp};

/// Unreadable payloads of IPv4 with their IP protocol.
fn unreadable() -> Vec<(&'static str, u8, Vec<u8>)> {
    let tcp =
        |offset: &str| hex(&format!("0001 0002 00000001 00000001 {offset} 2000 0000 0000 ; ports, numbers, offset"));
    let lengthy = |length: u16| {
        let mut datagram = udp(1, 2, &[0; 12]);
        datagram[4..6].copy_from_slice(&length.to_be_bytes());
        datagram
    };
    vec![
        ("TCP header of 2 words", 6, tcp("20 10")),
        ("TCP header of 4 words", 6, tcp("40 10")),
        ("TCP header longer than the packet", 6, tcp("F0 10")),
        ("TCP header that ends early", 6, hex("0001 0002 00000001")),
        ("UDP shorter than its header", 17, lengthy(7)),
        ("UDP longer than the packet", 17, lengthy(400)),
        ("UDP that ends early", 17, hex("0001 0002")),
        ("authentication header of no length", 51, hex("06 00 0000 00000001 00000001")),
    ]
}

fn sent(from: [u8; 4], to: [u8; 4], protocol: u8, payload: &[u8]) -> ReplayResult {
    let frame = ethernet(0x0800, &ipv4(from, to, protocol, payload));
    let wire = Wire::new(&vec![frame; 3]);
    let result = wire.replay(&["--workers", "1"]);
    assert_eq!(wire.replay(&["--workers", "3"]).alerts, result.alerts);
    result
}

#[test]
fn unreadable_packets_between_zones_without_conduit_are_a_violation() {
    for (name, protocol, payload) in unreadable() {
        let result = sent(OFFICE, PLC, protocol, &payload);
        let found = result.of("conduit.undeclared");
        assert_eq!((found.len(), &found[0]["protocol"]), (1, &format!("ip/{protocol}").into()), "{name}");
        assert_eq!(found[0]["severity"], "high", "{name}");
        assert_eq!(result.stats["losses"]["malformed_headers"], 3, "{name}");
    }
}

#[test]
fn unreadable_packets_on_a_conduit_are_malformed_or_an_undeclared_protocol() {
    for (name, protocol, payload) in unreadable() {
        let result = sent(SCADA, PLC, protocol, &payload);
        // With unreadable ports, a flow may declare the packet.
        let expected = if protocol == 51 { "flow.undeclared-protocol" } else { "proto.malformed" };
        assert_eq!(result.of(expected).len(), 1, "{name}");
        assert_eq!(result.of(expected)[0]["severity"], "medium", "{name}");
        assert_eq!(result.rules().len(), 2, "{name}: {:?}", result.rules());
    }
}

#[test]
fn unreadable_packets_within_a_zone_are_malformed() {
    for (name, protocol, payload) in unreadable() {
        let result = sent(PLC, [10, 0, 2, 11], protocol, &payload);
        let found = result.of("proto.malformed");
        assert_eq!(
            (found.len(), &found[0]["count"], &found[0]["severity"]),
            (1, &3.into(), &"medium".into()),
            "{name}"
        );
        let message = found[0]["message"].as_str().expect("a text");
        assert_eq!(message, format!("IP protocol {protocol} from 10.0.2.10 to 10.0.2.11: unreadable headers."));
    }
}

#[test]
fn unreadable_packets_between_hosts_of_no_zone_are_counted() {
    for (name, protocol, payload) in unreadable() {
        let result = sent([192, 0, 2, 1], [192, 0, 2, 2], protocol, &payload);
        assert_eq!(result.rules(), ["own.unread"], "{name}");
    }
}

#[test]
fn a_contradictory_ip_header_still_has_its_two_hosts() {
    let sound = ipv4(OFFICE, PLC, 6, &hex("0001 0002 00000001 00000001 50 10 2000 0000 0000"));
    let change = |at: usize, value: u8| {
        let mut packet = sound.clone();
        packet[at] = value;
        packet
    };
    for (name, packet) in [
        ("header of 4 words", change(0, 0x44)),
        ("header longer than the packet", change(0, 0x4F)),
        ("shorter than its header", change(3, 10)),
        ("longer than the frame", change(2, 9)),
    ] {
        let result = Wire::new(&[ethernet(0x0800, &packet)]).replay(&[]);
        assert_eq!(result.of("conduit.undeclared").len(), 1, "{name}");
    }
}

/// An IPv6 packet from fd00:9::5, of no zone, to the controller fd00:2::a.
fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u16).to_be_bytes();
    let addresses = hex("fd000009000000000000000000000005 fd00000200000000000000000000000a");
    ethernet(0x86DD, &join(&[&hex("60000000"), &length, &[next, 64], &addresses, payload]))
}

#[test]
fn extension_headers_hide_nothing() {
    let endless = hex("3C 00 0000 00000000 ; destination options, then the same").repeat(18);
    let cases = [
        ("too many", 60, "ip/60", ipv6(60, &endless)),
        ("longer than the packet", 60, "ip/60", ipv6(60, &hex("06 05 0000 00000000"))),
        (
            "then nothing",
            0,
            "ip/43",
            ipv6(0, &hex("2B 00 0000 00000000 06 00 ; hop by hop, then half of a routing header")),
        ),
        (
            "then TCP of 2 words",
            60,
            "ip/6",
            ipv6(60, &hex("06 00 0000 00000000 0001 0002 00000001 00000001 20 10 2000 0000 0000")),
        ),
    ];
    for (name, _, protocol, frame) in cases {
        let result = Wire::new(&[frame]).replay(&[]);
        let found = result.of("conduit.undeclared");
        assert_eq!((found.len(), &found[0]["protocol"]), (1, &protocol.into()), "{name}");
    }
}

#[test]
fn too_many_encapsulations_are_traffic_between_the_innermost_decoded_hosts() {
    let deep =
        |from, to| (0..9).fold(modbus([192, 168, 7, 1], [192, 168, 7, 2])[5].clone(), |ip, _| ipv4(from, to, 4, &ip));
    let result = Wire::new(&[ethernet(0x0800, &deep(OFFICE, PLC))]).replay(&[]);
    assert!(!result.of("conduit.undeclared").is_empty());
    assert_eq!(result.stats["losses"]["too_many_wrappings"], 1);
    let result = Wire::new(&[ethernet(0x0800, &deep(PLC, [10, 0, 2, 11]))]).replay(&[]);
    assert_eq!(
        result.of("proto.malformed")[0]["message"],
        "IP protocol 4 from 10.0.2.10 to 10.0.2.11: too many headers."
    );
}

#[test]
fn a_packet_that_a_snap_length_cut_breaks_no_rule() {
    let packet = ethernet(0x0800, &modbus(SCADA, PLC)[1]);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("cut.pcap");
    // One record of 44 bytes, in the middle of the TCP header, of a packet of 54.
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let header = words(&[0xA1B2_C3D4, 0x0004_0002, 0, 0, 44, 1]);
    let record = words(&[1, 0, 44, packet.len() as u32]);
    std::fs::write(&path, join(&[&header, &record, &packet[..44]])).expect("a written capture");
    let policy = folder.path().join("policy.toml");
    std::fs::write(&policy, POLICY).expect("a written policy");
    let text = support::lockkeeper(&[&"replay", &path, &"--policy", &policy, &"--alerts", &"-", &"-q"]);
    let alerts = String::from_utf8_lossy(&text.stdout);
    assert!(!alerts.contains("\"kind\":\"violation\"") && alerts.contains("own.unread"), "{alerts}");
}

#[test]
fn too_many_tags_from_a_host_of_a_zone_are_reported() {
    let policy = POLICY.replace("zone.plc.networks", "zone.plc.macs = [\"02:00:00:00:00:02\"]\nzone.plc.networks");
    let ip = &modbus(SCADA, PLC)[5];
    let frame = join(&[&hex("020000000001 020000000002"), &hex("8100 0007").repeat(9), &hex("0800"), ip]);
    let result = Wire::judged_by(&policy, &[frame.clone(), frame.clone()]).replay(&[]);
    let found = result.of("proto.malformed");
    assert_eq!((found.len(), &found[0]["count"]), (1, &2.into()), "{}", result.summary);
    assert!(
        found[0]["message"].as_str().is_some_and(|text| text.ends_with("too many headers.")),
        "{}",
        found[0]["message"]
    );
    assert_eq!(Wire::new(&[frame]).replay(&[]).rules(), ["own.unread"], "of no host");
}

#[test]
fn a_fragment_that_cannot_be_reassembled_is_traffic_between_its_hosts() {
    // A part that is not the last one, and no multiple of 8 bytes; one that lies beyond the largest datagram.
    let part = |from, to, flags_and_offset: u16, payload: &[u8]| {
        let mut packet = ipv4(from, to, 17, payload);
        packet[6..8].copy_from_slice(&flags_and_offset.to_be_bytes());
        ethernet(0x0800, &packet)
    };
    for (flags_and_offset, payload) in [(0x2000, vec![0; 13]), (0x1FFF, vec![0; 64])] {
        let sent = |from, to| Wire::new(&[part(from, to, flags_and_offset, &payload)]).replay(&[]);
        let between = sent(OFFICE, PLC);
        assert_eq!(between.of("conduit.undeclared")[0]["protocol"], "ip/17");
        assert_eq!(between.stats["losses"]["fragments_unusable"], 1);
        let within = sent(PLC, [10, 0, 2, 11]);
        let message = within.of("proto.malformed")[0]["message"].as_str().expect("a text").to_owned();
        assert!(message.ends_with("unusable fragment."), "{message}");
    }
}
