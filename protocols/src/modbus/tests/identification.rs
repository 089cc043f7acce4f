//! Identification of Modbus and of the client.

use super::frame;
use crate::identify::Roles;
use crate::{Decision, Hints, Identifier, Probe, REGISTRY, Side, Transport};
use std::vec::Vec;

const READ: [u8; 5] = [0x03, 0x00, 0x00, 0x00, 0x01];
const VALUES: [u8; 4] = [0x03, 0x02, 0x00, 0x07];
const ECHO: [u8; 5] = [0x06, 0x00, 0x01, 0x00, 0x02];

fn identifier(server_port: u16) -> Identifier {
    Identifier {
        transport: Transport::Tcp,
        server_port,
        client_port: 49152,
        declared: Hints::default(),
        roles: Roles::Guessed,
        midstream: false,
    }
}

/// `tcp`, `rtu`, with `<->` when the roles are swapped; `another` protocol; `unknown`; `undecided`.
fn decide(identifier: Identifier, client: &[u8], server: &[u8]) -> &'static str {
    match identifier.decide(REGISTRY, [client, server], false) {
        Decision::Identified { protocol, swapped } => match (protocol.framing, swapped) {
            ("tcp", false) => "tcp",
            ("tcp", true) => "tcp <->",
            ("rtu", false) => "rtu",
            ("rtu", true) => "rtu <->",
            _ => "another",
        },
        Decision::Undecided => "undecided",
        Decision::Unknown => "unknown",
    }
}

fn rtu(pdu: &[u8]) -> Vec<u8> {
    let mut frame = std::vec![7];
    frame.extend(pdu);
    let crc = frame.iter().fold(0xFFFF_u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xA001 } else { crc >> 1 })
    });
    frame.extend(crc.to_le_bytes());
    frame
}

#[test]
fn on_its_port_one_side_is_enough() {
    assert_eq!(decide(identifier(502), &frame(1, 1, &READ), &[]), "tcp");
    assert_eq!(decide(identifier(502), &[], &frame(1, 1, &VALUES)), "tcp");
    assert_eq!(decide(identifier(502), &frame(1, 1, &READ)[..9], &[]), "undecided");
    assert_eq!(decide(identifier(502), b"\x00\x01junk", &frame(1, 1, &VALUES)), "tcp");
}

#[test]
fn on_its_port_a_scan_of_unusual_functions_is_identified_too() {
    for function in 0..=127 {
        assert_eq!(decide(identifier(502), &frame(0, 1, &[function, 0, 0, 0, 0]), &[]), "tcp", "{function}");
    }
    assert_eq!(decide(identifier(502), &[], &frame(1, 10, &[0x81, 6, 0])), "tcp");
}

#[test]
fn on_another_port_both_sides_or_three_frames_are_needed() {
    let (ask, answer) = (frame(1, 1, &READ), frame(1, 1, &VALUES));
    assert_eq!(decide(identifier(1502), &ask, &[]), "undecided");
    assert_eq!(decide(identifier(1502), &ask, &answer), "tcp");
    assert_eq!(decide(identifier(1502), &[ask.clone(), ask.clone()].concat(), &[]), "undecided");
    assert_eq!(decide(identifier(1502), &[ask.clone(), ask.clone(), ask.clone()].concat(), &[]), "tcp");
    assert_eq!(decide(identifier(1502), &ask, b"220 ftp ready\r\n"), "unknown");
    assert_eq!(decide(identifier(1502), &frame(1, 1, &[0x41, 0, 0]), &frame(1, 1, &[0x41, 0])), "undecided");
}

#[test]
fn guessed_roles_are_overruled_by_the_shape() {
    let (ask, answer) = (frame(1, 1, &READ), frame(1, 1, &VALUES));
    assert_eq!(decide(identifier(502), &answer, &ask), "tcp <->");
    assert_eq!(decide(identifier(1502), &answer, &frame(1, 1, &[0x03, 0x00])), "undecided");
    assert_eq!(decide(identifier(1502), &[answer.clone(), answer.clone(), answer.clone()].concat(), &[]), "tcp <->");
    assert_eq!(decide(identifier(502), &answer, &[]), "tcp", "one odd frame does not turn a registered port around");
    let turned = Identifier { client_port: 502, ..identifier(49152) };
    assert_eq!(decide(turned, &frame(1, 1, &ECHO), &[]), "tcp <->");
    assert_eq!(decide(identifier(1502), &answer, &ask), "tcp <->");
    let echo = frame(1, 1, &ECHO);
    assert_eq!(decide(identifier(1502), &echo, &echo), "tcp", "an echo does not show its sender");
}

#[test]
fn a_device_that_dials_out_to_its_master_is_the_server() {
    let (ask, answer, refusal) = (frame(1, 1, &READ), frame(1, 1, &VALUES), frame(1, 10, &[0x81, 6, 0]));
    for port in [502, 1502] {
        let certain = Identifier { roles: Roles::Certain, ..identifier(port) };
        assert_eq!(decide(certain, &answer, &ask), "tcp <->");
        assert_eq!(decide(certain, &ask, &answer), "tcp");
        assert_eq!(decide(certain, &[], &ask), "undecided", "the end that should answer asks: who is the other?");
    }
    let dialled = Identifier { roles: Roles::Certain, client_port: 502, ..identifier(4446) };
    assert_eq!(decide(dialled, &refusal, &[]), "tcp <->", "the port agrees with the shape");
    assert_eq!(decide(dialled, &ask, &[]), "tcp");
}

#[test]
fn one_odd_frame_does_not_turn_a_flow_around() {
    let certain = Identifier { roles: Roles::Certain, ..identifier(502) };
    let looks_like_an_answer = frame(1, 1, &[0x0B, 0, 0, 0, 0]);
    assert_eq!(decide(certain, &looks_like_an_answer, &[]), "tcp");
    assert_eq!(decide(identifier(502), &looks_like_an_answer, &[]), "tcp");
}

#[test]
fn a_flow_joined_inside_a_frame_is_identified() {
    let midstream = |port| Identifier { midstream: true, ..identifier(port) };
    let (ask, answer) = (frame(1, 1, &READ), frame(1, 1, &VALUES));
    let torn = [&answer[5..], &answer].concat();
    assert_eq!(decide(midstream(502), &ask, &torn), "tcp");
    assert_eq!(decide(midstream(502), &[], &torn), "tcp");
    assert_eq!(decide(midstream(1502), &[ask.clone(), ask.clone(), ask].concat(), &torn), "tcp");
}

#[test]
fn rtu_needs_its_crc_on_both_sides_or_on_one_where_modbus_is_expected() {
    let (ask, answer) = (rtu(&READ), rtu(&VALUES));
    let declared = Identifier { declared: Hints::of_protocol("modbus"), ..identifier(4001) };
    for (identifier, alone) in [(identifier(502), "rtu"), (identifier(4001), "undecided"), (declared, "rtu")] {
        assert_eq!(decide(identifier, &ask, &[]), alone);
        assert_eq!(decide(identifier, &[], &answer), alone);
        assert_eq!(decide(identifier, &ask, &answer), "rtu");
    }
    assert_eq!(decide(identifier(4001), &answer, &ask), "rtu <->");
    let mut broken = answer;
    broken[4] ^= 1;
    assert_eq!(decide(identifier(4001), &ask, &broken.repeat(2)), "unknown");
    // Two of these look like one MBAP frame: transaction 0x0703, protocol 0, length 10.
    let ask = rtu(&[0x03, 0x00, 0x00, 0x00, 0x0A]);
    assert_eq!(decide(identifier(502), &ask.repeat(2), &[]), "rtu");
    assert_eq!(decide(identifier(1502), &ask.repeat(2), &[]), "undecided");
    assert_eq!(decide(identifier(1502), &ask.repeat(3), &[]), "rtu");
}

/// The usual poll of two registers: unit 1, Read Holding Registers, 2 from 0, CRC. In an MBAP header it would be a whole frame:
/// transaction 0x0103, protocol 0, length 2, unit 0xC4, Get Comm Event Counter.
const TWO_READINGS: [u8; 8] = [0x01, 0x03, 0x00, 0x00, 0x00, 0x02, 0xC4, 0x0B];

#[test]
fn a_correct_crc_outweighs_a_fitting_header_unless_the_other_side_has_only_the_header() {
    // Its answer: 4 bytes, CRC.
    let answer = [0x01, 0x03, 0x04, 0x00, 0x01, 0x00, 0x02, 0x2A, 0x32];
    // The answer to Get Comm Event Counter in an MBAP header: ready, 7 events.
    let counter = [0x01, 0x03, 0x00, 0x00, 0x00, 0x06, 0xC4, 0x0B, 0x00, 0x00, 0x00, 0x07];
    for port in [502, 1502] {
        assert_eq!(decide(identifier(port), &TWO_READINGS, &[]), "undecided");
        assert_eq!(decide(identifier(port), &TWO_READINGS, &answer), "rtu");
        assert_eq!(decide(identifier(port), &TWO_READINGS, &counter), "tcp");
        assert_eq!(decide(identifier(port), &TWO_READINGS.repeat(3), &answer), "rtu");
        // The next request is no MBAP frame: write 99 to register 5.
        let write = [0x01, 0x06, 0x00, 0x05, 0x00, 0x63, 0xD9, 0xE2];
        let alone = if port == 502 { "rtu" } else { "undecided" };
        assert_eq!(decide(identifier(port), &[TWO_READINGS, write].concat(), &[]), alone);
    }
    let decision = identifier(502).decide(REGISTRY, [&TWO_READINGS, &[]], true);
    assert!(matches!(decision, Decision::Identified { protocol, .. } if protocol.framing == "rtu"), "{decision:?}");
}

#[test]
fn a_datagram_that_ends_inside_a_frame_is_not_modbus() {
    let udp = Identifier { transport: Transport::Udp, ..identifier(502) };
    let ask = frame(1, 1, &READ);
    assert_eq!(decide(udp, &ask, &[]), "tcp");
    assert_eq!(decide(udp, &ask[..10], &ask[..10]), "unknown");
}

#[test]
fn other_protocols_are_not_taken_for_modbus_on_any_port() {
    let others: [&[u8]; 16] = [
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\x5c\x11", // TLS ClientHello
        b"\x16\x03\x03\x00\x5a\x02\x00\x00\x56\x03\x03\x5c\x11", // TLS ServerHello
        b"GET / HTTP/1.1\r\nHost: plc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"\x03\x00\x00\x16\x11\xe0\x00\x00\x00\x01\x00\xc0\x01\x0a\xc1\x02\x01\x00\xc2\x02\x01\x02", // TPKT, COTP
        b"\x03\x00\x00\x19\x02\xf0\x80\x32\x01\x00\x00\x00\x00\x00\x08\x00\x00\xf0\x00\x00\x01\x00\x01\x01\xe0", // S7
        b"\x05\x64\x05\xc9\x01\x00\x00\x04\xe9\x21",             // DNP3
        b"\x65\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00", // ENIP RegisterSession
        b"\x63\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", // ENIP ListIdentity
        b"\x81\x0a\x00\x0c\x01\x20\xff\xff\x00\xff\x10\x08",     // BACnet/IP
        b"\x68\x04\x07\x00\x00\x00",                             // IEC 104 STARTDT
        b"\x68\x0e\x00\x00\x00\x00\x64\x01\x06\x00\x01\x00\x00\x00\x00\x14", // IEC 104 interrogation
        b"HELF\x39\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00", // OPC UA
        b"\x10\x12\x00\x04MQTT\x04\x02\x00\x3c\x00\x06client",   // MQTT
        b"\x00\x00\x00\x54\xffSMB\x72\x00\x00\x00\x00\x18\x01\x28", // SMB over NetBIOS
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03plc\x00\x00\x01\x00\x01", // DNS
    ];
    for bytes in others {
        for row in REGISTRY.iter().filter(|row| row.name == "modbus") {
            for transport in [Transport::Tcp, Transport::Udp] {
                let verdict = (row.probe)(transport, bytes);
                assert!(!matches!(verdict, Probe::Yes { .. } | Probe::Maybe { .. }), "{bytes:x?} as {}", row.title);
            }
        }
        for port in [502, 102] {
            assert_ne!(decide(identifier(port), bytes, bytes), "tcp");
            assert_ne!(decide(identifier(port), bytes, bytes), "rtu");
        }
    }
}

#[test]
fn the_structure_shows_the_sender_where_it_can() {
    let sender = |pdu: &[u8]| match (super::super::TCP.probe)(Transport::Tcp, &frame(1, 1, pdu)) {
        Probe::Yes { sender } => sender,
        other => unreachable!("{other:?}"),
    };
    assert_eq!(sender(&READ), Some(Side::Client));
    assert_eq!(sender(&VALUES), Some(Side::Server));
    assert_eq!(sender(&[0x83, 2]), Some(Side::Server));
    assert_eq!(sender(&ECHO), None);
    assert_eq!(sender(&[16, 0, 0, 0, 1, 2, 0, 1]), Some(Side::Client));
    assert_eq!(sender(&[16, 0, 0, 0, 1]), Some(Side::Server));
    assert_eq!(sender(&[0x2B, 14, 1, 0]), Some(Side::Client));
}
