//! Clear PDUs are decoded whatever was sent before, and unread parts are reported.

use std::string::String;
use std::vec;
use std::vec::Vec;

use super::Side::{Client, Server};
use super::*;

/// Object 52, the CPU's execution unit, attribute 2167: Int 1.
const STOP: &str = "00000034 01 9077 0007 0001 000004e8 00 00 00000000";
const STOPS: &str = "control set_variable 1266 object=52 id_1=2167 = 0x0001";
/// PLC Stop of S7comm, P_PROGRAM.
const S7COMM_STOP: &str = "3201 0000 0007 0010 0000 29 0000000000 09 505f50524f4752414d";

fn asked(log: &Log) -> Vec<&str> {
    log.lines_of("0 asks").into_iter().map(|line| &line[7..]).collect()
}

fn stop(version: u8) -> Vec<u8> {
    pdu(version, &request(0x04F2, 9, &hex(STOP)))
}

#[test]
fn pdus_in_clear_behind_the_announcement_of_a_tls_record_are_read() {
    for version in 1..=3 {
        // Application data of 16 KiB, and none of it; then whole PDUs, and one in fragments.
        let record = dt(&hex("17 0303 4000"));
        let fragments = pdus(version, &request(0x04F2, 9, &hex(STOP)), 16).concat();
        let log = decode(&[(Client, [record, stop(version), fragments].concat())]);
        assert_eq!(asked(&log), ["0.0 opaque tls 2", &format!("1.0 {STOPS}"), &format!("2.0 {STOPS}")]);
        assert!(log.lines_of("Malformed").iter().all(|line| line.starts_with("Malformed clear_pdu_inside_tls_record")));
        assert!(log.lines_of("Malformed").len() >= 2);
    }
}

#[test]
fn bytes_of_a_record_that_only_begin_like_a_pdu_are_none() {
    // A record of 60 bytes in two TSDUs, the second of which begins with 72 01; its length is another, or its opcode.
    let begin = dt(&[hex("17 0303 003c"), vec![0x55; 20]].concat());
    for rest in ["7201 0020 31000004f2", "7201 0024 44000004f2", "7203 0024 31000004f2"] {
        let mut rest = hex(rest);
        rest.resize(40, 0x66);
        let log = decode(&[(Client, [begin.clone(), dt(&rest)].concat())]);
        assert_eq!(asked(&log), ["0.0 opaque tls 2"]);
        assert!(log.lines_of("Malformed").is_empty(), "{:?}", log.lines);
    }
}

#[test]
fn a_connection_changes_to_s7comm_and_back() {
    let read = pdu(1, &request(0x054C, 3, &hex(READ)));
    let s7comm = dt(&hex(S7COMM_STOP));
    let log = decode(&[
        (Client, read),
        (Client, s7comm.clone()),
        (Server, dt(&hex("3203 0000 0007 0001 0000 0000 29"))),
        (Client, stop(2)),
        (Client, dt(&hex("170303 4000"))),
        (Client, s7comm),
    ]);
    let reported = asked(&log);
    assert!(reported[0].starts_with("0.0 read get_multi_variables"), "{reported:?}");
    assert_eq!(
        reported[2..],
        ["1.0 control plc_stop 41", &format!("2.0 {STOPS}"), "3.0 opaque tls 2", "4.0 control plc_stop 41"]
    );
    assert_eq!(log.lines_of("0 speaks").len(), 3);
    assert_eq!(log.lines_of("0 accepted 1.0").len(), 1);
    assert_eq!((log.lost, log.lines_of("Malformed").len()), (0, 0), "{:?}", log.lines);
}

#[test]
fn a_connection_with_other_content_changes_to_the_protocol_that_it_carries() {
    let mms = dt(&[13, 12, 5, 6, 0x13, 1, 0, 0x16, 1, 2, 0x28, 0xCA, 0x22, 2, 1]);
    for (frame, operation) in [(stop(1), STOPS), (stop(3), STOPS), (dt(&hex(S7COMM_STOP)), "control plc_stop 41")] {
        let segments = [(Client, mms.as_slice()), (Client, &frame), (Client, &mms)];
        let log = crate::testing::decode(&crate::iso::OTHER, &segments);
        assert_eq!(asked(&log)[..2], ["0.0 unknown mms 3", &format!("1.0 {operation}")]);
        assert_eq!(log.lost, 0);
    }
}

#[test]
fn pdus_of_another_protocol_in_several_tpdus_are_reported_with_their_class_each_time() {
    let tpdus = |tsdu: &str| {
        let tsdu = hex(tsdu);
        let mut pieces: Vec<_> = tsdu.chunks(5).map(dt).collect();
        let last = pieces.len() - 1;
        pieces[..last].iter_mut().for_each(|piece| piece[6] = 0);
        pieces.concat()
    };
    let log =
        decode(&[(Client, stop(1)), (Client, tpdus(S7COMM_STOP)), (Client, tpdus(S7COMM_STOP)), (Client, stop(1))]);
    assert_eq!(asked(&log)[1..3], ["1.0 control s7comm 0 unread=content", "2.0 control s7comm 0 unread=content"]);
    assert_eq!(asked(&log)[3], format!("3.0 {STOPS}"));
}

#[test]
fn a_job_that_only_lax_servers_accept_is_reported_with_its_class_on_any_row() {
    // ROSCTR 0; TPKT version 0; protocol 0: python-snap7 3.3.0 or snap7 1.4.2 execute them, whatever came before.
    for (at, byte) in [(8, 0), (0, 0), (7, 0)] {
        let mut odd = dt(&hex(S7COMM_STOP));
        odd[at] = byte;
        let log = decode(&[(Client, stop(1)), (Client, odd.clone()), (Client, odd)]);
        let reported = asked(&log);
        assert_eq!(reported.len(), 3, "{reported:?}");
        assert!(
            reported[1..].iter().all(|line| line.contains(" control ") && line.ends_with(" unread=content")),
            "{reported:?}"
        );
    }
}

#[test]
fn a_frame_of_another_protocol_from_the_wrong_end_changes_nothing() {
    let log = decode(&[(Server, dt(&hex(S7COMM_STOP))), (Client, stop(1))]);
    assert!(log.lines_of("0 speaks").is_empty(), "{:?}", log.lines);
    assert_eq!(asked(&log).last(), Some(&format!("1.0 {STOPS}").as_str()));
}

#[test]
fn values_that_the_addresses_do_not_name_are_one_more_operation() {
    let body = |values: &str| {
        hex(&format!("00000000 01 05 88dbd6a75e 88d0b88005 02 9376 71 {values} 000004e8 00 00 00000000"))
    };
    let one = "write set_multi_variables 1346 object=2316173317 id_1=2550 id_2=113";
    let unread = "0.1 write set_multi_variables 1346 unread=items";
    for (values, reported) in [
        ("01 0001 01 02 0001 01 00", format!("0.0 {one} = 0x01")), // a second value
        ("02 0001 01 00", format!("0.0 {one}")),                   // the value of another
        ("01 0055 01 00", format!("0.0 {one}")),                   // a type that does not exist
    ] {
        let log = decode(&[(Client, pdu(2, &request(0x0542, 1, &body(values))))]);
        assert_eq!(asked(&log), [reported.as_str(), unread], "{values}");
        assert_eq!(log.lines_of("Malformed").len(), 1);
    }
    let log = decode(&[(Client, pdu(2, &request(0x0542, 1, &body("01 0001 01 00"))))]);
    assert_eq!(log.lines.len(), 2, "{:?}", log.lines);
}

#[test]
fn requests_without_a_readable_function_are_operations_of_a_client() {
    let odd = [
        dt(&hex("7201 0005 35 00000000 72010000")), // no such opcode
        dt(&hex("7201 0004 31 0000 05 72010000")),  // half a head
        dt(&hex("7203 0003 ff 3100 72030000")),     // a digest longer than the PDU
    ];
    for frame in odd {
        let log = decode(&[(Client, frame.clone()), (Server, frame)]);
        assert_eq!(asked(&log).len(), 1, "{:?}", log.lines);
        assert!(asked(&log)[0].contains("unknown unknown_function") && asked(&log)[0].contains("unread="));
    }
}

#[test]
fn a_pdu_hidden_behind_another_in_one_length_is_read() {
    for version in 1..=3 {
        let [read, write] =
            [request(0x054C, 4, &hex(READ)), request(0x0542, 5, &hex(WRITE))].map(|body| pdu(version, &body));
        let too_long = |read: &[u8], behind: &[u8]| dt(&[&read[7..], behind].concat());
        let mut cut = read.clone();
        cut.truncate(60);
        for hidden in [too_long(&read, &write[7..]), too_long(&read, &write), too_long(&cut, &write)] {
            let log = decode(&[(Client, hidden)]);
            let is_write =
                |line: &String| line.contains("asks") && line.contains("write set_multi_variables 1346 object=");
            assert!(log.lines.iter().any(is_write), "{version}: {:?}", log.lines);
            assert!(log.lines.iter().any(|line| line.starts_with("Malformed pdu_inside_pdu")), "{:?}", log.lines);
        }
        // A job of S7comm, too
        let stop = dt(b"\x32\x01\0\0\0\x07\0\x10\0\0\x29\0\0\0\0\0\x09P_PROGRAM");
        let log = decode(&[(Client, too_long(&read, &stop))]);
        assert!(
            log.lines.iter().any(|line| line.contains("asks") && line.contains("control s7comm")),
            "{:?}",
            log.lines
        );
    }
}

#[test]
fn with_one_request_in_flight_another_sequence_number_does_not_lose_its_outcome() {
    let write = |sequence| pdu(2, &request(0x0542, sequence, &hex(WRITE)));
    let written = |sequence| pdu(2, &response(0x0542, sequence, &[0, 0]));
    let log = decode(&[(Client, write(5)), (Server, written(9))]);
    assert_eq!(log.lines_of("Unmatched"), ["Unmatched answer_with_other_sequence 9 from Server"]);
    assert!(log.lines.iter().any(|line| line.contains("accepted")), "{:?}", log.lines);
    assert!(log.lines_of("0 unseen").is_empty(), "{:?}", log.lines);
    // With two in flight, the answer is ambiguous; with another function, it answers neither.
    for said in [
        std::vec![(Client, [write(5), write(6)].concat()), (Server, written(9))],
        std::vec![(Client, write(5)), (Server, pdu(2, &response(0x054C, 9, &[0, 0])))],
        std::vec![(Client, write(5)), (Client, written(9))],
    ] {
        let log = decode(&said);
        assert!(log.lines_of("Unmatched")[0].starts_with("Unmatched answer_without_request"), "{:?}", log.lines);
    }
}

#[test]
fn an_accepted_answer_without_a_request_proves_the_change() {
    let cases = [
        (0x04F2, "00 06 00000000", Some("write set_variable 1266 unread=target")),
        (0x0542, "00 00 00 00000000", Some("write set_multi_variables 1346 unread=target")),
        (0x056B, "00 00 00000000", Some("control invoke 1387 unread=target")),
        (0x04CA, "00 01 88d0b88005 00 00000000", Some("program create_object 1226 unread=target")),
        (0x04CA, "00 00 24 00000000", Some("program create_object 1226 unread=target")),
        (0x04D4, "00 8a320001 00 00000000", Some("program delete_object 1236 object=2318532609")),
        (0x04D4, "00 000003c0 00 00000000", None), // its own session
        (0x04CA, "11 02 8740 8707 a1 00000120 821f 00 00 a2", None), // a session
        (0x04CA, "00 01 818080806a 00 00000000", None), // a subscription
        (0x054C, "00 01 0001 01 00 00", None),     // read only
        (0x05B3, "00 00000000", None),
        (0x04F2, "d381b2c080a5dbff95 06 00000000", None), // refused
        (0x04B1, "13 00000000", None),
    ];
    for (function, body, expected) in cases {
        let answer = pdu(2, &response(function, 5, &hex(body)));
        let log = decode(&[(Server, answer.clone())]);
        let unseen: Vec<_> = log.lines_of("0 unseen").iter().map(|line| line[13..].trim()).collect();
        assert_eq!(unseen, expected.into_iter().collect::<Vec<_>>(), "{function:04x} {body}");
        assert_eq!(log.lines_of("Unmatched").len(), 1);
        // From a client it proves nothing.
        assert!(decode(&[(Client, answer)]).lines_of("0 unseen").is_empty());
    }
    let stopped = pdu(2, &response(0x04F2, 9, &hex("00 06 00000000")));
    let log = decode(&[(Client, stop(2)), (Server, [stopped.clone(), stopped].concat())]);
    assert!(log.lines_of("0 unseen").is_empty(), "a second answer is no news: {:?}", log.lines);
}
