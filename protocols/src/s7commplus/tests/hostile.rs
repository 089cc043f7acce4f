//! Fragments, losses, wrong counts, and other hostile input.

use std::vec::Vec;

use super::Side::{Client, Server};
use super::*;

#[test]
fn fragments_without_a_trailer_are_one_pdu_in_every_version() {
    for version in 1..=3 {
        let payload = request(0x0542, 9, &hex(WRITE));
        let frames = pdus(version, &payload, 10);
        let log = decode(&[(Client, frames.concat())]);
        assert_eq!(log.lines_of("0 asks").len(), 1);
        assert_eq!(log.pdus[&(3, 0)] as usize, frames.len() - 1);
        assert_eq!(log.pdus[&(0, version.into())] as usize, frames.len());
    }
}

#[test]
fn fragments_without_end_are_decoded_at_the_limit_and_cost_no_more() {
    let mut log = Log::default();
    let limits = Limits { partial: 4096, ..Limits::default() };
    let mut session = Session::new(&S7COMM_PLUS, Transport::Tcp, &limits, false);
    let mut payload =
        request(0x04CA, 1, &hex("00000003 0004 00 00000000 a1 8a320001 9457 00 00 a39414 0014 00 83f8ffff7f"));
    payload.resize(60_000, 0xEE);
    for frame in pdus(2, &payload, 500) {
        session.feed_stream(Client, &frame, &at(0), &mut log);
    }
    session.feed_stream(Client, &pdu(2, &request(0x0542, 2, &hex(WRITE))), &at(0), &mut log);
    session.finish(&mut log);
    assert_eq!(log.lines_of("Limit"), ["Limit pdu_too_long from Client"]);
    let asked = log.lines_of("0 asks");
    assert!(asked[0].contains("program create_object 1226 object=2318532609"));
    assert!(asked.last().unwrap().contains(" write "));
    assert!(log.lines_of("Malformed").is_empty(), "a cut of ours is no anomaly");
}

#[test]
fn a_lost_segment_costs_its_pdu_and_the_next_is_seen() {
    let write = request(0x0542, 9, &hex(WRITE));
    let frames = pdus(3, &write, 20);
    let mut log = Log::default();
    let mut session = Session::new(&S7COMM_PLUS, Transport::Tcp, &Limits::default(), false);
    session.feed_stream(Client, &frames[0], &at(0), &mut log);
    session.feed_gap(Client, &mut log);
    session.feed_stream(Client, &frames[2..].concat(), &at(0), &mut log);
    session.feed_stream(Client, &pdu(3, &write), &at(0), &mut log);
    session.finish(&mut log);
    assert_eq!(log.lines_of("0 asks").len(), 1);
    assert_eq!(log.lines_of("Unmatched"), ["Unmatched fragment_without_beginning from Client"]);
    assert!(log.lines_of("Malformed").is_empty());
}

#[test]
fn a_stream_joined_inside_a_frame_is_decoded_from_the_next() {
    let write = pdu(2, &request(0x0542, 9, &hex(WRITE)));
    let mut log = Log::default();
    let mut session = Session::new(&S7COMM_PLUS, Transport::Tcp, &Limits::default(), true);
    session.feed_stream(Client, &[&write[9..], write.as_slice()].concat(), &at(0), &mut log);
    session.finish(&mut log);
    assert_eq!((log.lines_of("0 asks").len(), log.lost), (1, write.len() - 9));
}

#[test]
fn wrong_counts_cost_nothing_and_the_operation_is_still_reported() {
    for body in [
        "00000000 8fffffff7f 05 00 32 01 9a7b",
        "00000000 01 05 00 32 8fffffff7f 01 02",
        "000003c8 01 8fffffff7f 8232",
        "",
    ] {
        let log = decode(&[(Client, pdu(2, &request(0x0542, 1, &hex(body))))]);
        assert!(
            log.lines_of("0 asks").last().unwrap().ends_with("write set_multi_variables 1346 unread=items"),
            "{:?}",
            log.lines
        );
        assert_eq!(log.lines_of("Malformed").len(), 1);
    }
}

#[test]
fn a_request_with_too_many_variables_ends_with_one_operation_for_the_rest() {
    let body = [hex("00000000 a000 8000"), hex("00 32 01 9a7b").repeat(4096)].concat();
    let log = decode(&[(Client, pdu(2, &request(0x054C, 1, &body)))]);
    let asked = log.lines_of("0 asks");
    assert_eq!(asked.len(), 1025);
    assert!(asked[1024].ends_with("read get_multi_variables 1356 unread=items"));
    assert_eq!(log.lines_of("Limit"), ["Limit request_items from Client"]);
}

#[test]
fn many_variables_that_wait_are_bounded() {
    let body = [hex("00000000 8700 9400"), hex("00 32 01 9a7b").repeat(896)].concat();
    let requests: Vec<Vec<u8>> = (0..20).map(|sequence| pdu(2, &request(0x054C, sequence, &body))).collect();
    let log = decode(&[(Client, requests.concat())]);
    assert_eq!(log.lines_of("0 asks").len(), 20 * 896);
    assert_eq!(log.lines_of("Limit pending_items").len(), 20 - 4096 / 896);
    assert_eq!(log.lines_of("0 pending").len(), 20 * 896);
}

#[test]
fn an_answer_that_repeats_an_item_or_names_one_that_was_not_asked_is_malformed() {
    for answer in ["00 02 0001 01 02 0001 01 00 00", "00 03 0001 01 00 00", "00 00 87ffffff7f 00 00"] {
        let log = decode(&[
            (Client, pdu(2, &request(0x054C, 3, &hex(READ)))),
            (Server, pdu(2, &response(0x054C, 3, &hex(answer)))),
        ]);
        assert_eq!(log.lines_of("Malformed"), ["Malformed item_number from Server"]);
        assert_eq!(log.lines_of("0 accepted").len(), 2);
    }
}

#[test]
fn the_error_function_refuses_whatever_was_asked() {
    let log = decode(&[
        (Client, pdu(2, &request(0x054C, 3, &hex(READ)))),
        (Server, pdu(2, &response(0x04B1, 3, &hex("13 00000000")))),
        (Server, pdu(2, &response(0x054C, 3, &hex("00 00 00")))),
    ]);
    assert_eq!(log.lines_of("0 refused(19 error)").len(), 2);
    assert_eq!(log.lines_of("Unmatched"), ["Unmatched answer_without_request 1356 from Server"]);
}
