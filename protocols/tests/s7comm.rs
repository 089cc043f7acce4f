//! A conversation over ISO transport gives the same operations in any fragments and segments.

use lockkeeper_protocols::{Limits, Protocol, Session, Side, Transport, iso, s7comm, s7commplus};
use proptest::collection::vec;
use proptest::prelude::*;

#[allow(dead_code, unreachable_pub, reason = "shared with the unit tests; this file uses a part")]
#[path = "../src/testing.rs"]
mod testing;
use testing::{Log, at};

/// A TSDU with its sender.
type Said = (Side, Vec<u8>);

fn pdu(rosctr: u8, reference: u16, parameters: &[u8], data: &[u8]) -> Vec<u8> {
    let error: &[u8] = if matches!(rosctr, 2 | 3) { &[0, 0] } else { &[] };
    let [reference, p, d] = [reference, parameters.len() as u16, data.len() as u16].map(u16::to_be_bytes);
    let head = [0x32, rosctr, 0, 0, reference[0], reference[1], p[0], p[1], d[0], d[1]];
    [&head, error, parameters, data].concat()
}

fn item(db: u8, byte: u8, bytes: u8) -> [u8; 12] {
    [0x12, 10, 0x10, 2, 0, bytes, 0, db, 0x84, 0, byte >> 5, byte << 3]
}

/// One request and its response.
fn exchange() -> impl Strategy<Value = Vec<Said>> {
    let reference = any::<u16>();
    prop_oneof![
        4 => (reference, vec((1u8..9, any::<u8>(), 1u8..20), 1..8)).prop_map(|(reference, items)| {
            let count = items.len() as u8;
            let specifications: Vec<u8> = items.iter().flat_map(|(db, byte, bytes)| item(*db, *byte, *bytes)).collect();
            let mut data = Vec::new();
            for (index, (_, _, bytes)) in items.iter().enumerate() {
                data.extend([0xFF, 4, 0, bytes * 8]);
                data.extend(core::iter::repeat_n(index as u8, usize::from(*bytes)));
                if bytes % 2 == 1 && index + 1 < items.len() {
                    data.push(0);
                }
            }
            let ask = pdu(1, reference, &[&[4, count], specifications.as_slice()].concat(), &[]);
            vec![(Side::Client, ask), (Side::Server, pdu(3, reference, &[4, count], &data))]
        }),
        2 => (reference, any::<u8>(), vec(any::<u8>(), 1..30)).prop_map(|(reference, byte, values)| {
            let parameters = [&[5, 1], item(1, byte, values.len() as u8).as_slice()].concat();
            let data = [&[0, 4, 0, values.len() as u8 * 8], values.as_slice()].concat();
            let ask = pdu(1, reference, &parameters, &data);
            vec![(Side::Client, ask), (Side::Server, pdu(3, reference, &[5, 1], &[0xFF]))]
        }),
        1 => reference.prop_map(|reference| {
            let ask = pdu(1, reference, b"\x29\0\0\0\0\0\x09P_PROGRAM", &[]);
            vec![(Side::Client, ask), (Side::Server, pdu(3, reference, &[0x29], &[]))]
        }),
        1 => reference.prop_map(|reference| {
            let name = b"\x1B\0\0\0\0\0\0\0\x09_0800001P";
            let block = pdu(3, reference, &[0x1B, 0], &[0, 2, 0, 0xFB, 0x70, 0x70]);
            vec![(Side::Server, pdu(1, reference, name, &[])), (Side::Client, block)]
        }),
        1 => (reference, vec(any::<u8>(), 0..40)).prop_map(|(reference, list)| {
            let ask = [0, 1, 0x12, 4, 0x11, 0x44, 1, 0];
            let answer = [0, 1, 0x12, 8, 0x12, 0x84, 1, 2, 0, 0, 0, 0];
            let data = [&[0xFF, 9, 0, list.len() as u8], list.as_slice()].concat();
            let request = pdu(7, reference, &ask, &[0xFF, 9, 0, 4, 0, 0x1C, 0, 0]);
            vec![(Side::Client, request), (Side::Server, pdu(7, reference, &answer, &data))]
        }),
        1 => vec(any::<u8>(), 0..30).prop_map(|tsdu| vec![(Side::Client, tsdu)]),
    ]
}

/// A TSDU in DT TPDUs of at most `size` bytes each.
fn frames(tsdu: &[u8], size: usize) -> Vec<u8> {
    let mut stream = Vec::new();
    let mut pieces = tsdu.chunks(size).peekable();
    while let Some(piece) = pieces.next() {
        let length = (piece.len() as u16 + 7).to_be_bytes();
        let end = if pieces.peek().is_none() { 0x80 } else { 0 };
        stream.extend([3, 0, length[0], length[1], 2, 0xF0, end]);
        stream.extend(piece);
    }
    stream
}

/// The log of a conversation whose TSDUs are cut into TPDUs of `tpdu` bytes and segments of `segment` bytes.
fn log_of(said: &[Said], tpdu: usize, segment: usize) -> Log {
    let mut log = Log::default();
    let mut session = Session::new(&s7comm::S7COMM, Transport::Tcp, &Limits::default(), false);
    for (from, tsdu) in said {
        for bytes in frames(tsdu, tpdu).chunks(segment) {
            session.feed_stream(*from, bytes, &at(0), &mut log);
        }
    }
    session.finish(&mut log);
    log
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn any_segmentation_and_any_fragmentation_give_the_same_transactions(
        said in vec(exchange(), 1..6).prop_map(|exchanges| exchanges.concat()),
        tpdu in 1usize..30,
        segment in 1usize..40,
    ) {
        let whole = log_of(&said, usize::MAX, usize::MAX);
        prop_assert_eq!(&whole, &log_of(&said, tpdu, usize::MAX));
        prop_assert_eq!(&whole, &log_of(&said, usize::MAX, segment));
        prop_assert_eq!(&whole, &log_of(&said, 1, 1));
        prop_assert_eq!(whole.lost, 0);
    }

    #[test]
    fn pipelined_requests_give_the_same_outcomes_as_one_after_the_other(
        exchanges in vec(exchange(), 1..6),
    ) {
        let asked = |log: &Log| log.lines.iter().filter(|line| line.contains(" asks ")).count();
        let one_by_one = log_of(&exchanges.concat(), usize::MAX, usize::MAX);
        let of = |side: Side| exchanges.iter().flatten().filter(move |(from, _)| *from == side);
        let mut log = Log::default();
        let mut session = Session::new(&s7comm::S7COMM, Transport::Tcp, &Limits::default(), false);
        // All requests in one segment, then all responses.
        for asks in [true, false] {
            for side in [Side::Client, Side::Server] {
                let is_asked = |tsdu: &[u8]| matches!(tsdu, [0x32, 1, ..] | [0x32, 7, _, _, _, _, _, 8, ..]);
                let bytes: Vec<u8> = of(side)
                    .filter(|(_, tsdu)| is_asked(tsdu) == asks)
                    .flat_map(|(_, tsdu)| frames(tsdu, usize::MAX))
                    .collect();
                session.feed_stream(side, &bytes, &at(0), &mut log);
            }
        }
        session.finish(&mut log);
        prop_assert_eq!(asked(&log), asked(&one_by_one));
        prop_assert_eq!(log.pdus, one_by_one.pdus);
        prop_assert_eq!(log.lost, 0);
    }

    #[test]
    fn segmentation_changes_nothing_for_damaged_headers(
        said in vec(exchange(), 1..6).prop_map(|exchanges| exchanges.concat()),
        changes in vec((any::<prop::sample::Index>(), 0usize..20, any::<u8>()), 1..5),
        segment in 1usize..40,
        midstream in any::<bool>(),
    ) {
        let mut all: Vec<(Side, Vec<u8>)> =
            said.iter().map(|(from, tsdu)| (*from, frames(tsdu, usize::MAX))).filter(|(_, frame)| !frame.is_empty()).collect();
        for (which, place, byte) in changes {
            let count = all.len().max(1);
            if let Some(changed) = all.get_mut(which.index(count)).and_then(|(_, frame)| frame.get_mut(place)) {
                *changed = byte;
            }
        }
        prop_assert_eq!(replay(&s7comm::S7COMM, &all, usize::MAX, midstream), replay(&s7comm::S7COMM, &all, segment, midstream));
    }

    #[test]
    fn segmentation_changes_nothing_for_alternating_protocols(
        said in vec(content(), 1..12),
        segment in 1usize..40,
    ) {
        let all: Vec<_> = said.iter().map(|tsdu| (Side::Client, frames(tsdu, usize::MAX))).collect();
        let stops = said.iter().filter(|tsdu| **tsdu == stop() || **tsdu == plus_stop()).count();
        for row in [&s7comm::S7COMM, &s7commplus::S7COMM_PLUS, &iso::OTHER] {
            let whole = replay(row, &all, usize::MAX, false);
            prop_assert_eq!(&whole, &replay(row, &all, segment, false));
            let seen = whole.lines.iter().filter(|line| line.contains(" asks ") && line.contains(" control ")).count();
            prop_assert_eq!(seen, stops, "{:?}", whole.lines);
        }
    }

    #[test]
    fn encrypted_bytes_are_never_decoded_as_plaintext(
        records in vec(vec(any::<u8>(), 1..300), 1..8),
        tpdu in 20usize..300,
    ) {
        let record = |body: &Vec<u8>| {
            let [high, low] = (body.len() as u16).to_be_bytes();
            [&[0x17, 3, 3, high, low], body.as_slice()].concat()
        };
        let stream: Vec<u8> = records.iter().flat_map(record).collect();
        // Each piece is a separate TSDU; records continue from one to the next.
        let all: Vec<_> = stream.chunks(tpdu).map(|piece| (Side::Client, frames(piece, usize::MAX))).collect();
        let log = replay(&s7commplus::S7COMM_PLUS, &all, usize::MAX, false);
        prop_assert_eq!(log.lines.len(), 2, "opaque, once, and nothing else: {:?}", log.lines);
        prop_assert_eq!(log.lost, 0);
    }
}

/// PLC Stop.
fn stop() -> Vec<u8> {
    pdu(1, 7, b"\x29\0\0\0\0\0\x09P_PROGRAM", &[])
}

/// A SetVariable of S7comm-plus that stops the controller: object 52, attribute 2167, UInt 1.
fn plus_stop() -> Vec<u8> {
    let body = [
        0x31, 0, 0, 0x04, 0xF2, 0, 0, 0, 9, 0, 0, 3, 0xC0, 0x34, // request, function, sequence, session, flags
        0, 0, 0, 0x34, 1, 0x90, 0x77, 0, 3, 0, 1, 0, 0, 0, 0,
    ];
    [&[0x72, 1, 0, body.len() as u8], body.as_slice(), &[0x72, 1, 0, 0]].concat()
}

/// The content of a TSDU: both protocols, the beginning of an MMS session or of a TLS record, any bytes.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let mms = vec![13, 12, 5, 6, 0x13, 1, 0, 0x16, 1, 2, 0x28, 0xCA, 0x22, 2, 1];
    prop_oneof![
        2 => Just(stop()),
        2 => Just(plus_stop()),
        1 => Just(mms),
        1 => Just(vec![0x17, 3, 3, 0x40, 0]),
        1 => vec(any::<u8>(), 1..30),
    ]
}

/// The log of frames cut into segments.
fn replay(row: &'static Protocol, said: &[(Side, Vec<u8>)], segment: usize, midstream: bool) -> Log {
    let mut log = Log::default();
    let mut session = Session::new(row, Transport::Tcp, &Limits::default(), midstream);
    for (from, frame) in said {
        for bytes in frame.chunks(segment) {
            session.feed_stream(*from, bytes, &at(0), &mut log);
        }
    }
    session.finish(&mut log);
    log
}
