//! A flow changes its protocol if the bytes do not match the current protocol and match another one.

use lockkeeper_protocols::{Hints, Limits, Protocol, REGISTRY, Search, Session, Side, Stamp, Transport, modbus};
use proptest::collection::vec;
use proptest::prelude::*;

#[allow(dead_code, unreachable_pub, reason = "shared with the unit tests; this file uses a part")]
#[path = "../src/testing.rs"]
mod testing;
use Side::{Client, Server};
use testing::{Log, at};

/// Transaction 7 in an MBAP header, unit 1.
fn mbap(pdu: &[u8]) -> Vec<u8> {
    [&[0, 7, 0, 0, 0, pdu.len() as u8 + 1, 1], pdu].concat()
}

/// Unit 1 and a CRC.
fn rtu(pdu: &[u8]) -> Vec<u8> {
    let mut frame = [&[1], pdu].concat();
    let crc = frame.iter().fold(0xFFFF_u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xA001 } else { crc >> 1 })
    });
    frame.extend(crc.to_le_bytes());
    frame
}

/// Write Single Register 5 := 99; request and response are equal.
const WRITE: [u8; 5] = [6, 0, 5, 0, 99];
/// Read Holding Registers, 2 from 100, and its answer.
const READ: [u8; 5] = [3, 0, 100, 0, 2];
const VALUES: [u8; 6] = [3, 4, 0, 1, 0, 2];

fn log_of(protocol: &'static Protocol, said: &[(Side, Vec<u8>)]) -> Log {
    log_on(protocol, Transport::Tcp, 0, said)
}

fn log_on(protocol: &'static Protocol, transport: Transport, port: u16, said: &[(Side, Vec<u8>)]) -> Log {
    let mut log = Log::default();
    let mut session = Session::new(protocol, transport, &Limits::default(), false);
    session.expect(Hints::of_ports([port, 0]));
    for (moment, (from, bytes)) in (0..).zip(said) {
        match transport {
            Transport::Tcp => session.feed_stream(*from, bytes, &at(moment), &mut log),
            Transport::Udp => session.feed_datagram(*from, bytes, &at(moment), &mut log),
        }
    }
    session.finish(&mut log);
    assert_eq!(session.buffered(), 0);
    log
}

/// The events without their times.
fn events(log: &Log) -> Vec<String> {
    let words = |line: &String| match line.split_once(' ') {
        Some((time, rest)) if time.parse::<i64>().is_ok() => rest.split(" after").next().unwrap_or(rest).to_owned(),
        _ => line.clone(),
    };
    log.lines.iter().map(words).collect()
}

const ASKS_WRITE: &str = "write write_single_register 6 unit=1 table=holding_register address=5 count=1 = [99]";
const ASKS_READ: &str = "read read_holding_registers 3 unit=1 table=holding_register address=100 count=2";

#[test]
fn frames_with_a_right_crc_change_the_framing_and_frames_with_a_header_change_it_back() {
    let log = log_of(
        &modbus::TCP,
        &[
            (Client, mbap(&READ)),
            (Server, mbap(&VALUES)),
            (Client, rtu(&WRITE)),
            (Server, rtu(&WRITE)),
            (Client, mbap(&READ)),
            (Server, mbap(&VALUES)),
        ],
    );
    assert_eq!(
        events(&log),
        [
            format!("asks 0.0 {ASKS_READ}"),
            "accepted 0.0".into(),
            "speaks Modbus RTU over TCP or UDP".into(),
            format!("asks 1.0 {ASKS_WRITE}"),
            "accepted 1.0".into(),
            "speaks Modbus/TCP".into(),
            format!("asks 2.0 {ASKS_READ}"),
            "accepted 2.0".into(),
        ]
    );
    assert_eq!(log.lost, 0);
}

#[test]
fn pending_operations_end_before_the_change() {
    let log = log_of(&modbus::TCP, &[(Client, mbap(&READ)), (Client, rtu(&WRITE))]);
    assert_eq!(events(&log)[1..3], ["pending 0.0", "speaks Modbus RTU over TCP or UDP"]);
}

#[test]
fn a_desynchronised_side_needs_two_frames_of_the_other_framing() {
    let junk = b"\xFF\xFF\xFE\xFF".to_vec();
    let log = log_of(&modbus::TCP, &[(Client, [junk.clone(), rtu(&WRITE), rtu(&WRITE)].concat())]);
    assert_eq!(log.lines_of("0 asks").len(), 2, "{:?}", log.lines);
    assert_eq!(log.lost, 4);
    let log = log_of(&modbus::TCP, &[(Client, [junk.clone(), rtu(&WRITE), junk].concat())]);
    assert!(log.lines_of("0 speaks").is_empty(), "{:?}", log.lines);
    assert_eq!(log.lost, 16);
}

#[test]
fn the_end_of_the_stream_confirms_a_single_frame() {
    let log = log_of(&modbus::TCP, &[(Client, [b"\xFF\xFF\xFE\xFF", rtu(&WRITE).as_slice()].concat())]);
    assert_eq!((log.lines_of("0 asks").len(), log.lost), (1, 4), "{:?}", log.lines);
}

#[test]
fn a_change_on_one_side_applies_to_earlier_bytes_of_the_other() {
    let answers = [b"\xFF\xFF\xFE\xFF", rtu(&WRITE).as_slice()].concat();
    let log = log_of(&modbus::TCP, &[(Client, answers), (Server, rtu(&WRITE))]);
    assert_eq!(
        events(&log),
        [
            "Desynchronised protocol_identifier from Client".to_owned(),
            "speaks Modbus RTU over TCP or UDP".into(),
            format!("asks 0.0 {ASKS_WRITE}"),
            "accepted 0.0".into(),
        ]
    );
}

#[test]
fn a_flow_changes_only_to_protocols_of_the_same_name_or_port_or_expected_ones() {
    let hello = b"HELF\x20\0\0\0\0\0\0\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff".to_vec();
    let said = [(Client, mbap(&READ)), (Client, hello)];
    let elsewhere = log_on(&modbus::TCP, Transport::Tcp, 502, &said);
    assert_eq!((elsewhere.lines_of("1000000 speaks").len(), elsewhere.lost), (0, 32));
    let on_its_port = log_on(&modbus::TCP, Transport::Tcp, 4840, &said);
    assert_eq!(on_its_port.lines_of("1000000 speaks"), ["1000000 speaks OPC UA"]);
    assert_eq!(on_its_port.lost, 0);
}

#[test]
fn a_datagram_of_another_framing_changes_it_too() {
    let log = log_on(&modbus::TCP, Transport::Udp, 0, &[(Client, rtu(&WRITE)), (Server, rtu(&WRITE))]);
    assert_eq!(log.lines_of("0 asks").len(), 1);
    assert!(log.lines.iter().any(|line| line.contains("accepted 0.0")), "{:?}", log.lines);
    let broken = log_on(&modbus::TCP, Transport::Udp, 0, &[(Client, rtu(&WRITE)[1..].to_vec())]);
    assert_eq!((broken.lines_of("0 speaks").len(), broken.lost), (0, 7));
}

/// Frames of both framings, junk, and gaps.
fn pieces() -> impl Strategy<Value = Vec<(Side, Option<Vec<u8>>)>> {
    let pdu = || prop_oneof![Just(READ.to_vec()), Just(WRITE.to_vec()), Just(VALUES.to_vec()), vec(any::<u8>(), 1..20)];
    let piece = prop_oneof![
        4 => pdu().prop_map(|pdu| Some(mbap(&pdu))),
        4 => pdu().prop_map(|pdu| Some(rtu(&pdu))),
        1 => vec(any::<u8>(), 0..20).prop_map(Some),
        1 => vec(0u8..20, 0..20).prop_map(Some),
        1 => Just(None),
    ];
    vec((prop_oneof![Just(Client), Just(Server)], piece), 0..12)
}

fn replay(protocol: &'static Protocol, pieces: &[(Side, Option<Vec<u8>>)], size: usize) -> Log {
    let mut log = Log::default();
    let mut session = Session::new(protocol, Transport::Tcp, &Limits::default(), false);
    for (moment, (from, piece)) in (0..).zip(pieces) {
        match piece {
            Some(bytes) => bytes.chunks(size).for_each(|part| session.feed_stream(*from, part, &at(moment), &mut log)),
            None => session.feed_gap(*from, &mut log),
        }
    }
    session.finish(&mut log);
    log
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn segmentation_changes_nothing_where_the_framing_changes(pieces in pieces(), size in 1usize..12) {
        for protocol in REGISTRY.iter().filter(|row| row.name == "modbus") {
            prop_assert_eq!(replay(protocol, &pieces, 4096), replay(protocol, &pieces, size));
        }
    }
}

/// Feeds a search in pieces; returns the protocol that it found, and the number of bytes that it dropped before.
fn search(port: u16, pieces: &[(Side, &[u8])], size: usize) -> (Option<&'static str>, usize) {
    let rows = Hints::of_ports([port, 0]).in_any_framing();
    let mut search = Search::new(Transport::Tcp, rows).expect("something is expected there");
    let mut lost = 0;
    for (from, bytes) in pieces {
        for piece in bytes.chunks(size) {
            let (given_up, found) = search.feed(*from, piece, &Stamp::default());
            lost += given_up;
            if let Some(found) = found {
                return (Some(found.protocol.title), lost);
            }
        }
    }
    for from in [Client, Server] {
        let (given_up, found) = search.settle(from);
        lost += given_up;
        if let Some(found) = found {
            return (Some(found.protocol.title), lost);
        }
    }
    (None, lost)
}

#[test]
fn an_expected_protocol_is_found_however_late() {
    let late = [b"GET / HTTP/1.1\r\n\r\n".as_slice(), &mbap(&WRITE)].concat();
    assert_eq!(search(502, &[(Client, &late)], 100), (Some("Modbus/TCP"), 18));
    assert_eq!(search(502, &[(Client, &late)], 1), (Some("Modbus/TCP"), 18));
    assert_eq!(search(502, &[(Client, &late[..29])], 1), (None, 29));
    let late = [b"\xFF\xFE".as_slice(), &rtu(&WRITE)].concat();
    assert_eq!(search(502, &[(Client, &late)], 100), (Some("Modbus RTU over TCP or UDP"), 2));
    assert!(Search::new(Transport::Tcp, Hints::of_ports([80, 0])).is_none());
    assert!(Search::new(Transport::Udp, Hints::of_ports([102, 0])).is_none());
}
