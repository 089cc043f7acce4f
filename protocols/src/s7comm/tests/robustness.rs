//! Wrong counts and lengths, losses and splits.

use super::*;
use crate::dissector::{Limits, Transport};
use crate::session::Session;
use crate::testing::at;

const STOP: &[u8] = b"\x29\0\0\0\0\0\x09P_PROGRAM";

fn asked(log: &Log) -> Vec<String> {
    reported(log, "asks")
}

#[test]
fn wrong_counts_cost_nothing_and_hide_nothing() {
    let unread = "read read_var 4 unread=items";
    let cases: [(&[u8], usize); 4] = [
        (&[4, 255], 0),                                     // no item at all
        (&[&[4, 255], db(1, 0, 1).as_slice()].concat(), 1), // one of 255
        (&[4, 1, 0x12, 255, 0x10, 2], 0),                   // an item longer than the frame
        (&[4, 1, 0x12, 4, 0xB0, 255, 1, 2], 0),             // 255 areas in two bytes
    ];
    for (parameters, readable) in cases {
        let log = decode_conversation(&[(Client, job(1, parameters, &[]))]);
        assert_eq!(asked(&log).len(), readable + 1, "{:?}", log.lines);
        assert_eq!(asked(&log)[readable], std::format!("0.{readable} {unread}"));
        assert!(log.lines.iter().any(|line| line.starts_with("Malformed truncated_request")));
    }
}

#[test]
fn operations_beyond_the_limit_of_controllers_are_one_more() {
    // One item of 50 areas, ten times.
    let areas = [&[0x12, 0xFC, 0xB0, 50], [1, 0, 1, 0, 0].repeat(50).as_slice()].concat();
    let log = decode_conversation(&[(Client, job(1, &[&[4, 10], areas.repeat(10).as_slice()].concat(), &[]))]);
    assert_eq!(asked(&log).len(), 257);
    assert_eq!(asked(&log)[256], "0.256 read read_var 4 unread=items");
    assert_eq!(log.lines_of("Limit"), ["Limit request_items from Client"]);
    assert_eq!(reported(&log, "pending").len(), 257);
}

#[test]
fn a_write_without_its_data_is_still_a_write() {
    let log = decode_conversation(&[(Client, job(1, &[&[5, 1], db(7, 0, 2).as_slice()].concat(), &[]))]);
    assert_eq!(asked(&log), ["0.0 write write_var 5 area=DB db=7 byte=0 bytes=2"]);
    assert_eq!(log.lines_of("Malformed"), ["Malformed truncated_data 0 from Client"]);
}

#[test]
fn wrong_lengths_in_the_header_are_malformed_and_the_rest_is_decoded() {
    let mut stop = job(1, STOP, &[]);
    stop[14] = 0xFF; // parameter length
    let log = decode_conversation(&[(Client, stop)]);
    assert_eq!(asked(&log), ["0.0 control plc_stop 41"]);
    assert_eq!(log.lines_of("Malformed"), ["Malformed pdu_length_mismatch 26 from Client"]);
}

#[test]
fn a_stop_in_two_segments_in_mid_stream_and_after_a_gap_is_seen() {
    let stop = job(1, STOP, &[]);
    let read = job(2, &[&[4, 1], db(1, 0, 1).as_slice()].concat(), &[]);
    for cut in 1..stop.len() {
        for midstream in [false, true] {
            let mut log = Log::default();
            let mut session = Session::new(&super::super::S7COMM, Transport::Tcp, &Limits::default(), midstream);
            if midstream {
                session.feed_stream(Client, &read[cut.min(20)..], &at(0), &mut log);
            } else {
                session.feed_stream(Client, &read[..cut.min(20)], &at(0), &mut log);
                session.feed_gap(Client, &mut log);
            }
            session.feed_stream(Client, &stop[..cut], &at(1), &mut log);
            session.feed_stream(Client, &stop[cut..], &at(2), &mut log);
            session.finish(&mut log);
            assert_eq!(asked(&log), ["0.0 control plc_stop 41"], "{cut} {midstream}");
        }
    }
}

#[test]
fn a_gap_inside_a_fragmented_pdu_does_not_swallow_the_next() {
    let (head, tail) = ([3, 0, 0, 9, 2, 0xF0, 0, 0x32, 1], [3, 0, 0, 9, 2, 0xF0, 0x80, 0, 0]);
    let read = job(2, &[&[4, 1], db(1, 0, 1).as_slice()].concat(), &[]);
    let mut log = Log::default();
    let mut session = Session::new(&super::super::S7COMM, Transport::Tcp, &Limits::default(), false);
    session.feed_stream(Client, &head, &at(0), &mut log);
    session.feed_gap(Client, &mut log);
    session.feed_stream(Client, &[&tail, job(1, STOP, &[]).as_slice(), &read].concat(), &at(1), &mut log);
    session.finish(&mut log);
    assert_eq!(asked(&log)[0], "0.0 control plc_stop 41");
    assert_eq!(asked(&log).len(), 2);
    assert_eq!(log.lost, 4, "both halves of the torn PDU");
    assert!(log.lines_of("Malformed").is_empty(), "the gap explains it");
}

#[test]
fn other_contents_in_the_connection_are_named_once() {
    let log = decode_conversation(&[
        (Client, frame(b"\x16\x03\x01\0\0")),
        (Client, frame(b"\x16\x03\x01\0\0")),
        (Client, job(1, STOP, &[])),
    ]);
    assert_eq!(asked(&log), ["0.0 opaque tls 2", "1.0 control plc_stop 41"]);
}

#[test]
fn an_unknown_job_is_pending_until_its_answer() {
    let log = decode_conversation(&[
        (Client, job(1, &[0x42, 1, 2], &[])),
        (Server, ack_data(1, &[0x42], &[])),
        (Client, job(2, &[], &[])),
        (Client, pdu(7, 3, &[], &[0, 1], &[])),
    ]);
    let asked = asked(&log);
    assert_eq!(asked[0], "0.0 unknown unknown_job 66 = 0x0102");
    assert!(asked[1].starts_with("1.0 unknown unknown_job") && asked[2].starts_with("2.0 unknown unknown_userdata"));
    assert_eq!(reported(&log, "accepted").len(), 1);
}

#[test]
fn answers_that_never_come_are_given_up_in_time() {
    let mut log = Log::default();
    let limits = Limits { pending: 2, ..Limits::default() };
    let mut session = Session::new(&super::super::S7COMM, Transport::Tcp, &limits, false);
    for reference in 0..3 {
        session.feed_stream(Client, &job(reference, STOP, &[]), &at(0), &mut log);
    }
    assert_eq!(log.lines_of("Limit"), ["Limit pending_requests from Client"]);
    session.expire(6_000_000_000, &mut log);
    assert_eq!(reported(&log, "overdue").len(), 2);
    session.close(6_500_000_000, &mut log);
    assert_eq!(session.deadline(), None);
    assert_eq!(reported(&log, "no_response").len(), 2);
}

#[test]
fn half_a_pdu_that_is_given_up_is_lost_and_the_next_one_is_read() {
    let stop = job(1, STOP, &[])[7..].to_vec();
    // 7 bytes of TPKT and COTP, without the end of the TSDU; then its end.
    let head = [&[3, 0, 0, 7 + 12, 2, 0xF0, 0], &stop[..12]].concat();
    let tail = [&[3, 0, 0, 7 + stop.len() as u8 - 12, 2, 0xF0, 0x80], &stop[12..]].concat();
    let mut log = Log::default();
    let mut session = Session::new(&super::super::S7COMM, Transport::Tcp, &Limits::default(), false);
    session.feed_stream(Client, &head, &at(0), &mut log);
    assert_eq!(session.buffered(), 12);
    session.give_up(&at(1), &mut log);
    assert_eq!((session.buffered(), log.lost), (0, 12));
    assert_eq!(log.lines_of("Limit"), ["Limit given_up_for_memory from Client"]);
    session.feed_stream(Client, &[tail, job(2, STOP, &[])].concat(), &at(2), &mut log);
    assert_eq!(asked(&log), ["0.0 control plc_stop 41"]);
    // One request that waits takes no memory of its own, several do.
    session.forget(&at(3), &mut log);
    assert_eq!((session.memory(), reported(&log, "pending").len()), (0, 0));
    session.feed_stream(Client, &job(3, STOP, &[]), &at(4), &mut log);
    assert!(session.memory() > 0);
    session.forget(&at(5), &mut log);
    assert_eq!((session.memory(), reported(&log, "pending").len()), (0, 2));
}
