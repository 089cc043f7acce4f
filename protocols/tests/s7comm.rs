//! However a conversation over the ISO transport is cut, it is the same conversation.

use lockkeeper_protocols::{Limits, Session, Side, Transport, s7comm};
use proptest::collection::vec;
use proptest::prelude::*;

#[allow(dead_code, unreachable_pub, reason = "shared with the unit tests; this file uses a part")]
#[path = "../src/testing.rs"]
mod testing;
use testing::{Log, at};

/// A TSDU, and who sends it.
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

/// One request and its answer.
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

/// What is told of a conversation whose TSDUs are cut into TPDUs of `tpdu` bytes and segments of `segment` bytes.
fn hear(said: &[Said], tpdu: usize, segment: usize) -> Log {
    let mut log = Log::default();
    let mut session = Session::new(&s7comm::S7COMM, Transport::Tcp, &Limits::default(), false);
    for (from, tsdu) in said {
        for bytes in frames(tsdu, tpdu).chunks(segment) {
            session.stream(*from, bytes, &at(0), &mut log);
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
        let whole = hear(&said, usize::MAX, usize::MAX);
        prop_assert_eq!(&whole, &hear(&said, tpdu, usize::MAX));
        prop_assert_eq!(&whole, &hear(&said, usize::MAX, segment));
        prop_assert_eq!(&whole, &hear(&said, 1, 1));
        prop_assert_eq!(whole.lost, 0);
    }

    #[test]
    fn pipelined_requests_give_the_same_outcomes_as_one_after_the_other(
        exchanges in vec(exchange(), 1..6),
    ) {
        let asked = |log: &Log| log.lines.iter().filter(|line| line.contains(" asks ")).count();
        let one_by_one = hear(&exchanges.concat(), usize::MAX, usize::MAX);
        let of = |side: Side| exchanges.iter().flatten().filter(move |(from, _)| *from == side);
        let mut log = Log::default();
        let mut session = Session::new(&s7comm::S7COMM, Transport::Tcp, &Limits::default(), false);
        // First what asks, all in one segment, then what answers.
        for asks in [true, false] {
            for side in [Side::Client, Side::Server] {
                let is_asked = |tsdu: &[u8]| matches!(tsdu, [0x32, 1, ..] | [0x32, 7, _, _, _, _, _, 8, ..]);
                let bytes: Vec<u8> = of(side)
                    .filter(|(_, tsdu)| is_asked(tsdu) == asks)
                    .flat_map(|(_, tsdu)| frames(tsdu, usize::MAX))
                    .collect();
                session.stream(side, &bytes, &at(0), &mut log);
            }
        }
        session.finish(&mut log);
        prop_assert_eq!(asked(&log), asked(&one_by_one));
        prop_assert_eq!(log.pdus, one_by_one.pdus);
        prop_assert_eq!(log.lost, 0);
    }
}
