//! The session between a stream and a decoder: partial input, gaps, starts midstream, lost bytes.

use lockkeeper_protocols::{Limits, Protocol, Session, Side, Transport, modbus, opcua, s7commplus};
use proptest::collection::vec;
use proptest::prelude::*;

#[allow(dead_code, unreachable_pub, reason = "shared with the unit tests; this file uses a part")]
#[path = "../src/testing.rs"]
mod testing;
use testing::{Log, Memory, at};

#[test]
fn partial_frames_of_many_flows_share_one_buffer() {
    let long = frame(7, &[&[16, 0, 0, 0, 100, 200], [0; 200].as_slice()].concat());
    let mut memory = Memory::default();
    for _ in 0..5 {
        let open = || Session::new(&modbus::TCP, Transport::Tcp, &Limits::default(), false);
        let (mut session, mut other) = (open(), open());
        let (mut log, mut whole) = (Log::default(), Log::default());
        log.memory = memory;
        long.chunks(90).for_each(|piece| session.feed_stream(Side::Client, piece, &at(0), &mut log));
        other.feed_stream(Side::Client, &long, &at(0), &mut whole);
        assert_eq!((session.buffered(), requests(&log), whole.memory.made), (0, 1, 0));
        assert_eq!(log, whole);
        memory = log.memory;
    }
    assert_eq!((memory.made, memory.buffers.len()), (1, 1));
    assert!(memory.buffers.iter().all(|memory| memory.capacity() >= long.len()));
}

#[test]
fn a_large_shared_buffer_is_not_lent_for_few_bytes() {
    let mut log = Log::default();
    log.memory.buffers.push(Vec::with_capacity(100_000));
    let mut session = Session::new(&opcua::OPCUA, Transport::Tcp, &Limits::default(), false);
    let claims = [b"HELF", &4_000_u32.to_le_bytes()[..], &[0; 8]].concat();
    session.feed_stream(Side::Client, &claims, &at(0), &mut log);
    assert_eq!((session.buffered(), log.memory.buffers.len()), (claims.len(), 1), "it has memory of its own");
}

#[test]
fn an_incomplete_frame_is_kept_as_long_as_the_connection_lives() {
    let long = frame(7, &[&[16, 0, 0, 0, 100, 200], [0; 200].as_slice()].concat());
    let mut log = Log::default();
    let mut session = Session::new(&modbus::TCP, Transport::Tcp, &Limits::default(), false);
    session.feed_stream(Side::Client, &long[..100], &at(0), &mut log);
    assert_eq!((session.buffered(), session.deadline()), (100, None), "no time is set for it");
    session.expire(i64::MAX, &mut log);
    let day = 86_400_000;
    session.feed_stream(Side::Client, &long[100..], &at(day), &mut log);
    assert_eq!((requests(&log), log.lost, session.buffered()), (1, 0, 0));
    assert!(log.lines[0].starts_with("86400000000000 asks 0.0"));
}

#[test]
fn incomplete_frames_are_dropped_for_lack_of_memory_and_the_flow_continues() {
    let long = frame(7, &[&[16, 0, 0, 0, 100, 200], [0; 200].as_slice()].concat());
    let mut log = Log::default();
    let mut session = Session::new(&modbus::TCP, Transport::Tcp, &Limits::default(), false);
    session.feed_stream(Side::Client, &read(1), &at(0), &mut log);
    session.feed_stream(Side::Server, &frame(1, &[3, 2, 0, 1])[..9], &at(1), &mut log);
    session.feed_stream(Side::Client, &long[..100], &at(2), &mut log);
    assert_eq!(session.buffered(), 109);
    session.give_up(&at(3), &mut log);
    assert_eq!((session.buffered(), log.lost), (0, 109));
    let limits = ["Limit given_up_for_memory from Client", "Limit given_up_for_memory from Server"];
    assert_eq!(log.lines_of("Limit"), limits);
    session.give_up(&at(3), &mut log);
    assert_eq!(log.lines_of("Limit").len(), 2, "there is nothing to give up");
    // Decoding continues at the next frame boundary, and pending requests stay pending.
    session.feed_stream(Side::Client, &[&long[100..], &read(2)].concat(), &at(4), &mut log);
    session.feed_stream(Side::Server, &[&[0, 1], frame(1, &[3, 2, 0, 1]).as_slice()].concat(), &at(5), &mut log);
    assert_eq!((requests(&log), log.lost), (2, 109 + long.len() - 100 + 2));
    assert!(log.lines.iter().any(|line| line.contains("accepted 0.0")), "{:?}", log.lines);
}

#[test]
fn an_incomplete_frame_does_not_delay_the_timeout_of_a_request() {
    let second = 1_000_000_000;
    let mut log = Log::default();
    let mut session = Session::new(&modbus::TCP, Transport::Tcp, &Limits::default(), false);
    session.feed_stream(Side::Server, &read(1)[..5], &at(0), &mut log);
    assert_eq!(session.deadline(), None);
    session.feed_stream(Side::Client, &read(1), &at(1000), &mut log);
    assert_eq!(session.deadline(), Some(6 * second));
    session.expire(6 * second, &mut log);
    assert!(log.lines_of("6000000001 overdue").is_empty());
    session.expire(6 * second + 1, &mut log);
    assert_eq!(session.buffered(), 5);
    assert_eq!(log.lines_of("6000000001 overdue 0.0").len(), 1);
}

/// Bytes that `side` sends, or a gap in them.
#[derive(Clone, Debug)]
enum Piece {
    Bytes(Vec<u8>),
    Gap,
}

fn run(side: Side, midstream: bool, pieces: impl IntoIterator<Item = Piece>) -> Log {
    run_on(&modbus::TCP, side, midstream, pieces)
}

fn run_on(protocol: &'static Protocol, side: Side, midstream: bool, pieces: impl IntoIterator<Item = Piece>) -> Log {
    let mut log = Log::default();
    let mut session = Session::new(protocol, Transport::Tcp, &Limits::default(), midstream);
    for piece in pieces {
        match piece {
            Piece::Bytes(bytes) => session.feed_stream(side, &bytes, &at(0), &mut log),
            Piece::Gap => session.feed_gap(side, &mut log),
        }
    }
    session.finish(&mut log);
    assert_eq!(session.buffered(), 0);
    log
}

fn bytewise(pieces: &[Piece]) -> Vec<Piece> {
    let split = |piece: &Piece| match piece {
        Piece::Bytes(bytes) => bytes.iter().map(|byte| Piece::Bytes(vec![*byte])).collect(),
        Piece::Gap => vec![Piece::Gap],
    };
    pieces.iter().flat_map(split).collect()
}

fn frame(transaction: u16, pdu: &[u8]) -> Vec<u8> {
    let mut frame = transaction.to_be_bytes().to_vec();
    frame.extend([0, 0]);
    frame.extend((pdu.len() as u16 + 1).to_be_bytes());
    frame.push(1);
    frame.extend(pdu);
    frame
}

fn read(transaction: u16) -> Vec<u8> {
    frame(transaction, &[3, 0, (transaction >> 8) as u8, 0, 1])
}

/// Any request, most of them valid.
fn request() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => any::<u16>().prop_map(read),
        2 => (any::<u16>(), vec(any::<u8>(), 2..=60)).prop_map(|(transaction, mut values)| {
            values.truncate(values.len() / 2 * 2);
            let count = values.len() as u8;
            frame(transaction, &[&[16, 0, 0, 0, count / 2, count], values.as_slice()].concat())
        }),
        1 => (any::<u16>(), 65..=89_u8, vec(any::<u8>(), 0..=252)).prop_map(|(transaction, function, data)| {
            // Only the header gives the end of a function without a known length.
            frame(transaction, &[&[function], data.as_slice()].concat())
        }),
    ]
}

/// A read of one variable, or a fragment, in a DT that may end its TSDU.
fn s7comm_plus() -> impl Strategy<Value = Vec<u8>> {
    (1u8..=3, any::<bool>(), any::<bool>(), any::<u8>()).prop_map(|(version, is_last, end, sequence)| {
        let digest: &[u8] = if version == 3 { &[32; 33] } else { &[] };
        let head = [0x31, 0, 0, 0x05, 0x4C, 0, 0, 0, sequence, 0, 0, 3, 0xC0, 0x34];
        let payload = [digest, &head, &[0, 0, 0, 0, 1, 4, 0, 0x32, 1, 0x9A, 0x7B, 0, 0, 0, 0]].concat();
        let trailer: &[u8] = if is_last { &[0x72, version, 0, 0] } else { &[] };
        let tsdu = [&[0x72, version, 0, payload.len() as u8], payload.as_slice(), trailer].concat();
        let number = if end { 0x80 } else { 0 };
        [&[3, 0, 0, tsdu.len() as u8 + 7, 2, 0xF0, number], tsdu.as_slice()].concat()
    })
}

fn requests(log: &Log) -> usize {
    log.pdus.iter().filter(|((group, _), _)| *group == 0).map(|(_, count)| *count as usize).sum()
}

#[test]
fn a_gap_loses_only_the_frames_in_it() {
    let (first, torn, after) = (read(1), read(2), read(3));
    let log = run(
        Side::Client,
        false,
        [
            Piece::Bytes([&first, &torn[..7]].concat()),
            Piece::Gap,
            Piece::Bytes([&torn[9..], &after, &read(4)].concat()),
        ],
    );
    assert_eq!(requests(&log), 3);
    assert_eq!(log.lost, 7 + 3, "the part before the gap and the part after it");
    assert!(log.lines_of("Desynchronised").is_empty(), "the gap explains it");
}

#[test]
fn a_stream_joined_inside_a_frame_is_decoded_from_the_first_boundary() {
    let torn = frame(1, &[16, 0, 0, 0, 4, 8, 0, 1, 0, 0, 0, 3, 0, 4]);
    let log = run(Side::Client, true, [Piece::Bytes([&torn[5..], &read(2), &read(3)].concat())]);
    assert_eq!(requests(&log), 2);
    assert_eq!(log.lost, torn.len() - 5);
}

#[test]
fn a_single_common_frame_is_accepted_without_a_second_one() {
    let log = run(Side::Client, true, [Piece::Bytes(read(1))]);
    assert_eq!((requests(&log), log.lost), (1, 0));
    assert!(log.lines[0].contains(" asks "));
}

#[test]
fn an_uncommon_frame_is_accepted_before_another_one_or_at_the_end_of_the_stream() {
    let scan = frame(0, &[0x28, 0, 0, 0, 0]);
    let log = run(Side::Client, true, [Piece::Bytes(scan.clone()), Piece::Bytes(scan.clone())]);
    assert_eq!((requests(&log), log.lost), (2, 0));
    let log = run(Side::Client, true, [Piece::Bytes(scan.clone())]);
    assert_eq!((requests(&log), log.lost), (1, 0));
    let log = run(Side::Client, true, [Piece::Bytes(scan.clone()), Piece::Gap, Piece::Bytes(scan)]);
    assert_eq!((requests(&log), log.lost), (2, 0));
}

#[test]
fn junk_between_frames_is_one_desynchronisation_and_is_counted() {
    let log = run(Side::Client, false, [Piece::Bytes([&read(1), b"junk".as_slice(), &read(2)].concat())]);
    assert_eq!(requests(&log), 2);
    assert_eq!(log.lost, 4);
    assert_eq!(log.lines_of("Desynchronised").len(), 1);
}

#[test]
fn zeros_and_small_counters_are_not_accepted_as_headers() {
    // Registers that read as 32-bit counters 6, 6, 6, ... look like headers: protocol 0, length 6, unit 0, function 0.
    let counters = [0, 0, 0, 6].repeat(20);
    let log = run(Side::Server, true, [Piece::Bytes([&counters, frame(9, &[3, 2, 0, 1]).as_slice()].concat())]);
    assert!(log.pdus.keys().all(|(group, key)| (*group, *key) == (1, 3)), "{:?}", log.pdus);
}

#[test]
fn an_rtu_stream_is_found_again_by_its_crc() {
    let request = [0x11, 0x03, 0x00, 0x6B, 0x00, 0x03, 0x76, 0x87];
    let mut log = Log::default();
    let mut session = Session::new(&modbus::RTU, Transport::Tcp, &Limits::default(), true);
    session.feed_stream(Side::Client, &[&request[3..], &request, &request].concat(), &at(0), &mut log);
    session.finish(&mut log);
    assert_eq!((requests(&log), log.lost), (2, 5));
}

#[test]
fn a_frame_with_too_large_a_length_is_not_awaited() {
    let mut log = Log::default();
    let mut session = Session::new(&modbus::TCP, Transport::Tcp, &Limits::default(), false);
    session.feed_stream(Side::Client, &[0, 1, 0, 0, 0x88, 4, 5, 0x41], &at(0), &mut log);
    assert_eq!(log.lines_of("Desynchronised"), ["Desynchronised length from Client"]);
    session.feed_stream(Side::Client, &read(1), &at(1), &mut log);
    assert_eq!((requests(&log), session.buffered(), log.lost), (1, 0, 8));
}

#[test]
fn requests_time_out_without_further_bytes() {
    let mut log = Log::default();
    let mut session = Session::new(&modbus::TCP, Transport::Tcp, &Limits::default(), false);
    session.feed_stream(Side::Client, &read(1), &at(0), &mut log);
    assert_eq!(session.deadline(), Some(5_000_000_000));
    session.expire(5_000_000_000, &mut log);
    assert_eq!(log.lines.len(), 1);
    session.expire(5_000_000_001, &mut log);
    assert!(log.lines[1].starts_with("5000000001 overdue 0.0"));
}

#[test]
fn a_late_response_counts_for_five_minutes_or_until_the_connection_is_closed() {
    let (second, limits) = (1_000_000_000, Limits::default());
    let mut log = Log::default();
    let mut session = Session::new(&modbus::TCP, Transport::Tcp, &limits, false);
    session.feed_stream(Side::Client, &read(1), &at(0), &mut log);
    // As the timer does, which advances to the next deadline.
    while let Some(deadline) = session.deadline() {
        assert!(log.lines_of("no_response").is_empty() && deadline <= 300 * second);
        session.expire(deadline + 1, &mut log);
    }
    assert!(log.lines.last().is_some_and(|line| line.starts_with("300000000001 no_response 0.0")), "{:?}", log.lines);
    // Later requests time out as usual, and a closed connection has no late responses.
    let mut log = Log::default();
    session.feed_stream(Side::Client, &read(2), &at(400_000), &mut log);
    session.expire(406 * second, &mut log);
    session.feed_stream(Side::Client, &read(3), &at(407_000), &mut log);
    assert!(session.deadline().is_some_and(|deadline| deadline <= 412 * second));
    session.close(408 * second, &mut log);
    assert_eq!(session.deadline(), Some(412 * second));
    session.expire(413 * second, &mut log);
    let ends: Vec<&str> = log.lines.iter().filter_map(|line| line.split(' ').nth(1)).collect();
    assert_eq!(ends, ["asks", "overdue", "asks", "no_response", "no_response"], "{:?}", log.lines);
    assert_eq!(session.deadline(), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn frames_in_a_row_are_all_decoded_and_nothing_is_lost(frames in vec(request(), 1..20)) {
        let log = run(Side::Client, false, [Piece::Bytes(frames.concat())]);
        prop_assert_eq!(requests(&log), frames.len());
        prop_assert_eq!(log.lost, 0);
    }

    #[test]
    fn segmentation_changes_nothing_even_with_gaps_and_in_mid_stream(
        pieces in vec(prop_oneof![
            6 => request().prop_map(Piece::Bytes),
            2 => (any::<u16>(), vec(any::<u8>(), 1..=60)).prop_map(|(number, pdu)| Piece::Bytes(frame(number, &pdu))),
            1 => vec(any::<u8>(), 0..40).prop_map(Piece::Bytes),
            1 => vec(0u8..4, 0..40).prop_map(Piece::Bytes),
            1 => Just(Piece::Gap),
        ], 0..12),
        side in prop_oneof![Just(Side::Client), Just(Side::Server)],
        midstream in any::<bool>(),
    ) {
        let whole = run(side, midstream, pieces.clone());
        let split = run(side, midstream, bytewise(&pieces));
        prop_assert_eq!(whole, split);
    }

    #[test]
    fn a_gap_inside_one_frame_loses_at_most_that_frame(
        before in vec(any::<u16>().prop_map(read), 0..4),
        after in vec(any::<u16>().prop_map(read), 1..4),
        cut in 1usize..11,
        resume in 1usize..12,
    ) {
        let torn = frame(7, &[3, 0x11, 0x22, 0, 9]);
        let resume = resume.max(cut);
        let log = run(Side::Client, false, [
            Piece::Bytes([before.concat(), torn[..cut].to_vec()].concat()),
            Piece::Gap,
            Piece::Bytes([torn[resume..].to_vec(), after.concat()].concat()),
        ]);
        prop_assert_eq!(requests(&log), before.len() + after.len());
        prop_assert_eq!(log.lost, cut + torn.len() - resume);
    }

    #[test]
    fn segmentation_changes_nothing_for_s7comm_plus_either(
        pieces in vec(prop_oneof![
            6 => s7comm_plus().prop_map(Piece::Bytes),
            1 => vec(any::<u8>(), 0..40).prop_map(Piece::Bytes),
            1 => Just(Piece::Gap),
        ], 0..12),
        side in prop_oneof![Just(Side::Client), Just(Side::Server)],
        midstream in any::<bool>(),
    ) {
        let whole = run_on(&s7commplus::S7COMM_PLUS, side, midstream, pieces.clone());
        let split = run_on(&s7commplus::S7COMM_PLUS, side, midstream, bytewise(&pieces));
        prop_assert_eq!(whole, split);
    }
}
