//! The generator of `benches/` writes the traffic that its summary counts.

#[path = "../benches/generator/mod.rs"]
mod generator;
#[allow(dead_code, unreachable_pub, reason = "shared with the tests of the decoders; this file uses a part")]
#[path = "../protocols/src/testing.rs"]
mod testing;

use std::collections::BTreeMap;

use clap::ValueEnum;
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use generator::{Impairments, PolicyKind, PolicySize, Settings, Speech, Summary, Tally, generate, policy};
use lockkeeper::policy::Policy;
use lockkeeper::policy::model::Extent;
use lockkeeper_protocols::{Limits, REGISTRY, Session, Side, Stamp, Transport};
use testing::Log;

const SMALL: u64 = 5_000;

#[test]
fn the_same_settings_give_the_same_bytes_and_another_seed_gives_others() {
    let settings = Settings { packets: SMALL, flows: 20, ..Settings::default() };
    let (first, _) = capture(&settings);
    assert_eq!(first, capture(&settings).0);
    assert_ne!(first, capture(&Settings { seed: 2, ..settings }).0);
}

#[test]
fn every_packet_is_complete_with_valid_checksums() {
    let plain = Settings { packets: SMALL, flows: 20, ..Settings::default() };
    let variants = [
        plain.clone(),
        Settings { ipv6: true, vlan: Some(110), ..plain.clone() },
        Settings { udp: true, nanoseconds: true, pipeline: 4, ..plain.clone() },
        Settings { udp: true, ipv6: true, ..plain },
    ];
    for settings in variants {
        let (bytes, summary) = capture(&settings);
        let packets = records(&bytes);
        assert_eq!(packets.len() as u64, settings.packets, "{settings:?}");
        assert_eq!(summary.taped.packets, settings.packets);
        packets.iter().for_each(|packet| check(packet, &settings));
    }
}

#[test]
fn the_capture_contains_what_the_summary_counts() {
    let settings = Settings { packets: SMALL, flows: 20, exceptions: 50, violations: 10_000, ..Settings::default() };
    let (bytes, summary) = capture(&settings);
    let mut counted: [BTreeMap<String, u64>; 3] = Default::default();
    let mut forbidden = 0;
    for packet in records(&bytes) {
        let pdu = &packet[ETHERNET_IP_TCP..];
        if pdu.is_empty() {
            continue;
        }
        let (function, to_server) = (pdu[7] & 0x7F, packet[36..38] == 502_u16.to_be_bytes());
        *counted[usize::from(!to_server)].entry(function.to_string()).or_default() += 1;
        if pdu[7] & 0x80 != 0 {
            *counted[2].entry(format!("{function}:{}", pdu[8])).or_default() += 1;
        }
        forbidden += u64::from(to_server && pdu[8..10] >= 40_000_u16.to_be_bytes()[..]);
    }
    assert!(forbidden > 0 && counted[2].len() == 6, "{forbidden} {counted:?}");
    let groups = ["requests", "responses", "exceptions_fc_code"];
    assert_eq!(only(&summary).pdus, groups.into_iter().zip(counted).collect());
    assert_eq!(only(&summary).violations, forbidden);
}

#[test]
fn s7_flows_connect_then_read_four_times_as_often_as_they_write() {
    let settings = Settings {
        speech: Speech::S7comm,
        packets: SMALL,
        flows: 20,
        pipeline: 3,
        violations: 10_000,
        exceptions: 50,
        ..Settings::default()
    };
    let (bytes, summary) = capture(&settings);
    let mut counted = BTreeMap::<String, u64>::new();
    let (mut connections, mut forbidden) = (0, 0);
    for packet in records(&bytes) {
        check(packet, &settings);
        let tpkt = &packet[ETHERNET_IP_TCP..];
        if tpkt.is_empty() {
            continue;
        }
        assert_eq!(usize::from(u16::from_be_bytes([tpkt[2], tpkt[3]])), tpkt.len(), "one TPKT in a segment");
        if tpkt[5] != 0xF0 {
            connections += 1;
            continue;
        }
        let s7 = &tpkt[7..];
        let (header, parameters, data) = (if s7[1] == 1 { 10 } else { 12 }, s7[7], u16::from_be_bytes([s7[8], s7[9]]));
        assert_eq!(header + usize::from(parameters) + usize::from(data), s7.len());
        assert!(s7.len() <= 480, "longer than the PDU length that was agreed upon");
        *counted.entry(format!("{}:0x{:02x}", s7[1], s7[header])).or_default() += 1;
        forbidden += u64::from(s7[1] == 1 && s7[header] == 5 && s7[header + 8..header + 10] == 900_u16.to_be_bytes());
    }
    assert_eq!((connections, counted["1:0xf0"], counted["3:0xf0"]), (40, 20, 20));
    let (reads, writes) = (counted["1:0x04"], counted["1:0x05"]);
    assert!((3 * writes..5 * writes).contains(&reads), "{reads} reads, {writes} writes");
    assert_eq!(only(&summary).pdus, [("rosctr_func", counted)].into());
    assert_eq!(only(&summary).violations, forbidden);
    assert!(forbidden > 0, "none of the jobs breaks the policy");
}

#[test]
fn opcua_flows_open_a_session_then_send_segments_of_a_kibibyte() {
    let settings = Settings {
        speech: Speech::OpcUa,
        packets: SMALL,
        flows: 20,
        violations: 10_000,
        exceptions: 50,
        ..Settings::default()
    };
    let (bytes, summary) = capture(&settings);
    let mut streams = BTreeMap::<Vec<u8>, Vec<u8>>::new();
    for packet in records(&bytes) {
        check(packet, &settings);
        let payload = &packet[ETHERNET_IP_TCP..];
        assert!(payload.len() <= 1_024);
        streams.entry(packet[26..38].to_vec()).or_default().extend(payload);
    }
    let spoken = streams.values().map(Vec::len).sum::<usize>() as u64;
    assert!(spoken > 600 * SMALL, "{spoken} bytes in {SMALL} packets");
    let (mut kinds, mut services, mut chunked) = (BTreeMap::new(), BTreeMap::new(), 0);
    for mut rest in streams.values().map(Vec::as_slice) {
        let (mut sequence, mut continues) = (1, false);
        while let Some(header) = rest.first_chunk::<8>() {
            let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
            let (chunk, tail) = rest.split_at(length);
            assert!(length <= 8_192);
            let kind = std::str::from_utf8(&chunk[..3]).expect("letters");
            *kinds.entry(kind.to_owned()).or_default() += 1_u64;
            let body = match kind {
                "MSG" => 24,
                "OPN" => 79,
                _ => length,
            };
            if body < length {
                assert_eq!(chunk[body - 8..body - 4], u32::to_le_bytes(sequence), "{kind}");
                sequence += 1;
                if !continues {
                    let service = u16::from_le_bytes([chunk[body + 2], chunk[body + 3]]);
                    *services.entry(service.to_string()).or_default() += 1_u64;
                }
                continues = chunk[3] == b'C';
                chunked += u64::from(continues);
            }
            rest = tail;
        }
        assert!(rest.is_empty() && !continues, "the last message is whole");
    }
    assert!(chunked > 0, "every message is one chunk");
    let policies = [("None".to_owned(), 40)].into();
    let pdus = [("message_types", kinds), ("service_ids", services), ("security_policies", policies)];
    assert_eq!(only(&summary).pdus, pdus.into());
    assert!(only(&summary).violations > 0, "nothing breaks the policy");
}

#[test]
fn a_mixture_has_flows_of_every_protocol() {
    let settings = Settings { speech: Speech::Mix, packets: SMALL, flows: 31, ..Settings::default() };
    let (bytes, summary) = capture(&settings);
    let mut by_port = BTreeMap::<u16, u64>::new();
    for packet in records(&bytes) {
        check(packet, &settings);
        *by_port.entry(u16::from_be_bytes([packet[36], packet[37]])).or_default() += 1;
    }
    assert!([502, 102, 4840].iter().all(|port| by_port[port] > SMALL / 20), "{by_port:?}");
    let parts: Vec<_> = summary.sent.iter().map(|(part, _)| *part).collect();
    assert_eq!(parts, Speech::Mix.parts());
    assert!(summary.sent.iter().all(|(_, tally)| tally.pdus.values().any(|group| group.len() > 1)), "{summary:?}");
}

#[test]
fn losses_copies_and_fragments_are_counted() {
    let wrong = Impairments { loss: 20, reorder: 20, duplicates: 20, fragments: 0 };
    let settings = Settings { packets: SMALL, flows: 20, impairments: wrong, ..Settings::default() };
    let (bytes, Summary { taped, .. }) = capture(&settings);
    assert_eq!(records(&bytes).len() as u64, taped.packets);
    assert_eq!(taped.packets, SMALL - taped.lost + taped.doubled);
    assert!(taped.lost > 0 && taped.doubled > 0 && taped.reordered > 0, "{taped:?}");

    let cut = Impairments { fragments: 500, ..Impairments::default() };
    let (_, summary) = capture(&Settings { udp: true, impairments: cut, ..settings });
    assert!(summary.taped.fragments > SMALL / 4, "{:?}", summary.taped);
}

#[test]
fn the_policy_is_toml_and_names_the_networks_of_the_capture() {
    for (speech, ipv6) in [(Speech::ModbusTcp, false), (Speech::ModbusTcp, true), (Speech::S7comm, false)] {
        let text = limited(&Settings { speech, ipv6, ..Settings::default() });
        let table: toml::Table = text.parse().expect("the policy is TOML");
        let flow = &table["conduit"]["C-BENCH"]["flow"][0];
        assert_eq!(flow["protocol"].as_str(), Some(speech.protocol()));
        let networks = table["zone"]["Z-SERVERS"]["networks"].as_array().expect("a list");
        let network: ipnet::IpNet = networks[0].as_str().expect("text").parse().expect("a network");
        assert_eq!(network.addr().is_ipv6(), ipv6);
    }
}

#[test]
fn generated_traffic_is_decoded_by_its_row_of_the_registry() {
    for speech in Speech::value_variants().iter().filter(|speech| speech.parts() == [**speech]) {
        let settings = Settings { speech: *speech, packets: SMALL, flows: 1, exceptions: 50, ..Settings::default() };
        let (bytes, summary) = capture(&settings);
        let row = REGISTRY.iter().find(|row| (row.name, row.framing) == speech.row()).expect("a row");
        let mut session = Session::new(row, Transport::Tcp, &Limits::default(), false);
        let (mut log, mut server) = (Log::default().of(row), None);
        for packet in records(&bytes) {
            // The client sends the first packet.
            let port = &packet[34..36];
            let side = if *server.get_or_insert(&packet[36..38]) == port { Side::Server } else { Side::Client };
            session.feed_stream(side, &packet[ETHERNET_IP_TCP..], &Stamp::default(), &mut log);
        }
        let mut counted = BTreeMap::<_, BTreeMap<_, _>>::new();
        for ((group, key), count) in &log.pdus {
            let group = &row.pdu_groups[*group];
            counted.entry(group.name).or_default().insert((group.key)(*key), u64::from(*count));
        }
        assert_eq!(counted, only(&summary).pdus, "{speech:?}");
        log.assert_settled();
        assert_eq!((log.anomalies, log.unseen, log.lost), (0, 0, 0), "{speech:?}");
        let [_, refused, ..] = log.endings;
        assert!(refused > 0, "{speech:?}");
    }
}

#[test]
fn a_policy_declares_as_many_entries_as_requested() {
    use Speech::{ModbusRtu, ModbusTcp, S7comm};
    for (speech, ipv6, points) in [(S7comm, false, 0), (ModbusTcp, false, 700), (ModbusRtu, true, 30)] {
        let size = PolicySize { flows: 500, points, nodes: false };
        let settings = Settings { speech, ipv6, flows: 20, policy: size, ..Settings::default() };
        let policy = Policy::parse("bench.toml", &limited(&settings)).expect("a sound policy");
        assert_eq!(policy.declared().flows.len(), 501);
        assert_eq!(policy.declared().points.len(), points as usize);
        assert_eq!(policy.declared().assets.len(), if points > 0 { 20 } else { 0 });
    }
}

#[test]
fn a_policy_of_each_kind_loads_for_every_protocol() {
    for speech in Speech::value_variants() {
        for (kind, ipv6) in PolicyKind::ALL.into_iter().flat_map(|kind| [(kind, false), (kind, true)]) {
            let text = policy(&Settings { speech: *speech, ipv6, ..Settings::default() }, kind);
            assert_eq!(text.is_none(), kind == PolicyKind::None, "{kind:?}");
            let Some(text) = text else { continue };
            let parsed = Policy::parse("bench.toml", &text).expect("a sound policy");
            let flows = if kind == PolicyKind::Observed { 0 } else { speech.parts().len() };
            assert_eq!(parsed.declared().flows.len(), flows, "{speech:?} {}", kind.name());
        }
    }
}

#[test]
fn a_historian_reads_600_nodes_in_every_message_and_its_flows_end_within_the_packets() {
    let settings = Settings { speech: Speech::OpcUaHistorian, packets: SMALL, flows: 5, ..Settings::default() };
    let (bytes, summary) = capture(&settings);
    let packets = records(&bytes);
    assert!(packets.len() as u64 <= SMALL);
    let reads = packets.iter().map(|packet| &packet[ETHERNET_IP_TCP..]).filter(|payload| {
        // MSG with a ReadRequest (631) behind the chunk headers.
        payload.starts_with(b"MSG") && payload.get(24..28) == Some(&[0x01, 0x00, 0x77, 0x02])
    });
    let nodes: Vec<_> = reads.map(|payload| payload[74..78].to_vec()).collect();
    assert!(nodes.iter().all(|count| *count == 600_u32.to_le_bytes()), "{nodes:?}");
    assert_eq!(only(&summary).pdus["service_ids"]["631"], nodes.len() as u64);
    assert!(nodes.len() > 100, "{}", nodes.len());
}

#[test]
fn the_policy_can_name_every_node_of_opc_ua() {
    for (speech, node) in [(Speech::OpcUa, "ns=2;i=1000"), (Speech::OpcUaPanel, "ns=2;s=Hall10.Drive00.Value0")] {
        let size = PolicySize { nodes: true, ..PolicySize::default() };
        let text = limited(&Settings { speech, policy: size, ..Settings::default() });
        let policy = Policy::parse("bench.toml", &text).expect("a sound policy");
        let Extent::Nodes(nodes) = &policy.declared().flows[0].allow[0].places[0].extent else {
            unreachable!("a policy of nodes")
        };
        assert_eq!((nodes.len(), nodes.last().map(|node| node.text.as_str())), (1000, Some(node)));
    }
}

#[test]
fn impossible_settings_are_refused() {
    let fragments = Impairments { fragments: 1, ..Impairments::default() };
    for settings in [
        Settings { flows: 0, ..Settings::default() },
        Settings { packets: 100, flows: 100, ..Settings::default() },
        Settings { impairments: fragments, ..Settings::default() },
        Settings { speech: Speech::S7comm, udp: true, ..Settings::default() },
        Settings { speech: Speech::Mix, udp: true, ..Settings::default() },
        Settings {
            speech: Speech::S7comm,
            policy: PolicySize { points: 1, ..PolicySize::default() },
            ..Settings::default()
        },
        Settings { policy: PolicySize { flows: 1_000_000, ..PolicySize::default() }, ..Settings::default() },
        Settings { flows: 100_000, policy: PolicySize { points: 1, ..PolicySize::default() }, ..Settings::default() },
    ] {
        assert!(generate(&settings, Vec::new()).is_err(), "{settings:?}");
    }
}

/// The policy that permits the generated traffic by its targets.
fn limited(settings: &Settings) -> String {
    policy(settings, PolicyKind::Limited).expect("a policy")
}

/// The tally of traffic with a single protocol.
fn only(summary: &Summary) -> &Tally {
    let [(_, tally)] = summary.sent.as_slice() else { unreachable!("a mixture") };
    tally
}

/// Ethernet without tag, IPv4 and TCP without options.
const ETHERNET_IP_TCP: usize = 14 + 20 + 20;

fn capture(settings: &Settings) -> (Vec<u8>, Summary) {
    let mut bytes = Vec::new();
    let summary = generate(settings, &mut bytes).expect("memory takes everything");
    assert_eq!(summary.taped.bytes, bytes.len() as u64);
    (bytes, summary)
}

/// The packets of a little-endian pcap file.
fn records(file: &[u8]) -> Vec<&[u8]> {
    let mut rest = &file[24..];
    let mut packets = Vec::new();
    while let Some((header, tail)) = rest.split_first_chunk::<16>() {
        let length = u32::from_le_bytes([header[8], header[9], header[10], header[11]]) as usize;
        let (packet, tail) = tail.split_at(length);
        packets.push(packet);
        rest = tail;
    }
    packets
}

fn check(packet: &[u8], settings: &Settings) {
    let sliced = SlicedPacket::from_ethernet(packet).expect("a whole packet");
    assert_eq!(sliced.vlan_ids().first().map(|id| id.value()), settings.vlan);
    let transport = sliced.transport.expect("a transport");
    let (got, right) = match (sliced.net.expect("an IP header"), &transport) {
        (NetSlice::Ipv4(ip), TransportSlice::Tcp(tcp)) => {
            let header = ip.header();
            assert_eq!(header.header_checksum(), header.to_header().calc_header_checksum());
            (tcp.checksum(), tcp.calc_checksum_ipv4(header.source(), header.destination()))
        }
        (NetSlice::Ipv6(ip), TransportSlice::Tcp(tcp)) => {
            (tcp.checksum(), tcp.calc_checksum_ipv6(ip.header().source(), ip.header().destination()))
        }
        (NetSlice::Ipv4(ip), TransportSlice::Udp(udp)) => {
            let header = ip.header();
            let whole = udp.to_header();
            (udp.checksum(), whole.calc_checksum_ipv4_raw(header.source(), header.destination(), udp.payload()))
        }
        (NetSlice::Ipv6(ip), TransportSlice::Udp(udp)) => {
            let whole = udp.to_header();
            (
                udp.checksum(),
                whole.calc_checksum_ipv6_raw(ip.header().source(), ip.header().destination(), udp.payload()),
            )
        }
        other => unreachable!("neither TCP nor UDP: {other:?}"),
    };
    assert_eq!(right.ok(), Some(got));
}
