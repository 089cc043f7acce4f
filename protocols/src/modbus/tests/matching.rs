//! Which answer belongs to which request.

use super::frame;
use crate::modbus::TCP;
use crate::testing::{Log, at};
use crate::{Limits, Session, Side, Transport};
use std::vec::Vec;

const READ: [u8; 5] = [0x03, 0x00, 0x00, 0x00, 0x01];

fn answer(value: u8) -> [u8; 4] {
    [0x03, 0x02, 0x00, value]
}

/// A conversation of (milliseconds, side, transaction, unit, PDU).
fn decode_conversation(limits: &Limits, lines: &[(i64, Side, u16, u8, &[u8])]) -> Log {
    let mut log = Log::default();
    let mut session = Session::new(&TCP, Transport::Tcp, limits, false);
    for (time, from, transaction, unit, pdu) in lines {
        session.feed_stream(*from, &frame(*transaction, *unit, pdu), &at(*time), &mut log);
    }
    session.finish(&mut log);
    log
}

/// Request number, outcome and values, in the order in which they came.
fn outcomes(log: &Log) -> Vec<(u32, &str, &str)> {
    let ended = log.lines.iter().filter(|line| line.contains(" after "));
    ended
        .map(|line| {
            let mut words = line.split(' ').skip(1);
            let outcome = words.next().unwrap();
            let number = words.next().unwrap().split('.').next().unwrap().parse().unwrap();
            (number, outcome, line.split(" = ").nth(1).unwrap_or_default())
        })
        .collect()
}

#[test]
fn pipelined_requests_are_answered_in_any_order() {
    use Side::{Client, Server};
    let log = decode_conversation(
        &Limits::default(),
        &[
            (0, Client, 1, 1, &READ),
            (0, Client, 2, 1, &READ),
            (0, Client, 2, 9, &READ),
            (1, Server, 2, 9, &answer(3)),
            (2, Server, 2, 1, &answer(2)),
            (3, Server, 1, 1, &answer(1)),
        ],
    );
    assert_eq!(outcomes(&log), [(2, "accepted", "[3]"), (1, "accepted", "[2]"), (0, "accepted", "[1]")]);
    assert!(log.lines[3].contains("after 1000000"));
}

#[test]
fn a_constant_transaction_id_is_answered_in_order() {
    use Side::{Client, Server};
    let log = decode_conversation(
        &Limits::default(),
        &[
            (0, Client, 0, 1, &READ),
            (1, Client, 0, 1, &READ),
            (2, Server, 0, 1, &answer(1)),
            (3, Client, 0, 1, &READ),
            (4, Server, 0, 1, &answer(2)),
            (5, Server, 0, 1, &answer(3)),
        ],
    );
    assert_eq!(outcomes(&log), [(0, "accepted", "[1]"), (1, "accepted", "[2]"), (2, "accepted", "[3]")]);
}

#[test]
fn the_shape_of_an_answer_decides_between_requests_with_the_same_id() {
    use Side::{Client, Server};
    let two = [0x03, 0x00, 0x10, 0x00, 0x02];
    let log = decode_conversation(
        &Limits::default(),
        &[
            (0, Client, 0, 1, &READ),
            (0, Client, 0, 1, &two),
            (1, Server, 0, 1, &[0x03, 0x04, 0, 1, 0, 2]),
            (2, Server, 0, 1, &answer(7)),
        ],
    );
    assert_eq!(outcomes(&log), [(1, "accepted", "[1, 2]"), (0, "accepted", "[7]")]);
    assert!(log.lines_of("Malformed").is_empty());
}

#[test]
fn a_request_that_was_given_up_does_not_shift_the_answers_of_later_ones() {
    use Side::{Client, Server};
    let log = decode_conversation(
        &Limits::default(),
        &[
            (0, Client, 0, 1, &READ), // never answered
            (1000, Client, 0, 1, &READ),
            (1005, Server, 0, 1, &answer(2)),
            (2000, Client, 0, 1, &READ),
            (2005, Server, 0, 1, &answer(3)),
        ],
    );
    assert_eq!(outcomes(&log), [(1, "accepted", "[2]"), (2, "accepted", "[3]"), (0, "pending", "")]);
}

#[test]
fn an_answer_counts_however_late_it_is() {
    use Side::{Client, Server};
    let limits = Limits { answer_timeout: 5_000_000, ..Limits::default() };
    let log = decode_conversation(&limits, &[(0, Client, 1, 1, &READ), (5, Server, 1, 1, &answer(1))]);
    assert_eq!(outcomes(&log), [(0, "accepted", "[1]")]);
    let log = decode_conversation(&limits, &[(0, Client, 1, 1, &READ), (6, Server, 1, 1, &answer(1))]);
    let overdue = "overdue 0.0 read read_holding_registers 3 unit=1 table=holding_register address=0 count=1";
    assert_eq!(log.lines[1], std::format!("5000001 {overdue}"), "when it was, not when it was noticed");
    assert_eq!(outcomes(&log), [(0, "accepted", "[1]")]);
    assert!(log.lines[2].starts_with("6000000 accepted 0.0 after 6000000"));
}

#[test]
fn a_request_without_an_answer_ends_once_as_no_response() {
    use Side::{Client, Server};
    let limits = Limits { answer_timeout: 5_000_000, ..Limits::default() };
    let write = [0x06, 0x00, 0x01, 0x00, 0x02];
    // At the end of the flow.
    let log = decode_conversation(&limits, &[(0, Client, 1, 1, &write), (9, Client, 2, 1, &READ)]);
    assert_eq!(outcomes(&log), [(0, "no_response", ""), (1, "pending", "")]);
    let ended = log.lines.iter().find(|line| line.contains("no_response")).unwrap();
    assert!(ended.starts_with("5000001 no_response 0.0 after 5000001"), "the wait ended when it was over: {ended}");
    // Where a newer request has its number, or reads the same again.
    let log = decode_conversation(
        &limits,
        &[(0, Client, 1, 1, &write), (9, Client, 1, 1, &write), (10, Server, 1, 1, &write)],
    );
    assert_eq!(outcomes(&log), [(0, "no_response", ""), (1, "accepted", "")]);
    let log = decode_conversation(
        &limits,
        &[(0, Client, 1, 1, &READ), (9, Client, 2, 1, &READ), (10, Server, 2, 1, &answer(1))],
    );
    assert_eq!(outcomes(&log), [(0, "no_response", ""), (1, "accepted", "[1]")]);
    // Where there is no room: those that are overdue go first, and nothing was lost with them.
    let limits = Limits { pending: 2, ..limits };
    let lines = [(0, Client, 1, 1, &write[..]), (9, Client, 2, 1, &write), (9, Client, 3, 1, &write)];
    let log = decode_conversation(&limits, &lines);
    assert_eq!(outcomes(&log), [(0, "no_response", ""), (1, "pending", ""), (2, "pending", "")]);
    assert!(log.lines_of("Limit").is_empty());
}

#[test]
fn an_answer_belongs_to_a_request_in_flight_before_one_that_is_overdue() {
    use Side::{Client, Server};
    let limits = Limits { answer_timeout: 5_000_000, ..Limits::default() };
    let two = [0x03, 0x00, 0x10, 0x00, 0x02];
    let log = decode_conversation(
        &limits,
        &[
            (0, Client, 0, 1, &READ),
            (9, Client, 0, 2, &two),
            (10, Client, 0, 1, &two),
            (11, Server, 0, 1, &[0x03, 0x04, 0, 1, 0, 2]),
        ],
    );
    // The number is constant, so that the third request replaces the first.
    assert_eq!(outcomes(&log), [(0, "no_response", ""), (2, "accepted", "[1, 2]"), (1, "pending", "")]);
    let log = decode_conversation(
        &limits,
        &[
            (0, Client, 7, 1, &READ),
            (9, Client, 8, 1, &two),
            (10, Server, 7, 1, &answer(1)),
            (11, Server, 8, 1, &[0x03, 0x04, 0, 1, 0, 2]),
        ],
    );
    assert_eq!(outcomes(&log), [(0, "accepted", "[1]"), (1, "accepted", "[1, 2]")]);
}

#[test]
fn a_second_answer_is_unmatched() {
    use Side::{Client, Server};
    let log = decode_conversation(
        &Limits::default(),
        &[(0, Client, 1, 1, &READ), (1, Server, 1, 1, &answer(1)), (2, Server, 1, 1, &answer(1))],
    );
    assert_eq!(outcomes(&log).len(), 1);
    assert_eq!(log.lines_of("Unmatched").len(), 1);
}

#[test]
fn with_one_request_in_flight_that_it_fits_an_answer_needs_neither_number_nor_unit() {
    use Side::{Client, Server};
    let write = [0x06, 0x00, 0x05, 0x00, 0x63];
    for (transaction, unit, name) in
        [(0, 1, "answer_with_another_transaction 0"), (7, 255, "answer_of_another_unit 255")]
    {
        let log = decode_conversation(
            &Limits::default(),
            &[
                (0, Client, 7, 1, &READ),
                (1, Server, transaction, unit, &answer(1)),
                (4, Client, 7, 1, &write),
                (5, Client, 7, 1, &READ),
                (6, Server, transaction, unit, &write),
            ],
        );
        assert_eq!(outcomes(&log), [(0, "accepted", "[1]"), (1, "accepted", ""), (2, "pending", "")]);
        assert_eq!(log.lines_of("Unmatched"), std::vec![std::format!("Unmatched {name} from Server"); 2]);
        assert!(log.lines_of("6000000 unseen").is_empty());
        let refusal = [(0, Client, 7, 1, &READ[..]), (1, Server, transaction, unit, &[0x83, 0x02])];
        assert_eq!(decode_conversation(&Limits::default(), &refusal).lines_of("1000000 refused(2").len(), 1);
    }
}

#[test]
fn another_function_or_shape_is_not_the_answer_and_of_two_that_fit_neither_is_meant() {
    use Side::{Client, Server};
    let log = decode_conversation(
        &Limits::default(),
        &[
            (0, Client, 1, 1, &READ),
            (1, Server, 2, 1, &[0x04, 0x02, 0, 1]),
            (1, Server, 2, 1, &[0x03, 0x04, 0, 1, 0, 2]),
            (2, Client, 3, 1, &READ),
            (3, Server, 2, 1, &answer(1)),
        ],
    );
    assert_eq!(log.lines_of("Unmatched answer_without_request").len(), 3);
    assert_eq!(outcomes(&log), [(0, "pending", ""), (1, "pending", "")]);
}

#[test]
fn a_second_answer_does_not_end_the_next_request() {
    use Side::{Client, Server};
    let write = [0x06, 0x00, 0x05, 0x00, 0x63];
    let log = decode_conversation(
        &Limits::default(),
        &[
            (0, Client, 1, 1, &write),
            (1, Server, 1, 1, &write),
            (2, Client, 2, 1, &write),
            (3, Server, 1, 1, &write),
            (4, Server, 2, 1, &write),
            (5, Server, 2, 1, &write),
        ],
    );
    assert_eq!(outcomes(&log), [(0, "accepted", ""), (1, "accepted", "")]);
    assert_eq!(log.lines_of("Unmatched answer_without_request 6").len(), 2);
    assert!(!log.lines.iter().any(|line| line.contains(" unseen ")), "{:?}", log.lines);
}

/// The changes that accepted answers without requests prove.
fn proofs(answers: &[(u16, &[u8])]) -> Vec<std::string::String> {
    let lines: Vec<_> = answers.iter().map(|&(transaction, pdu)| (0, Side::Server, transaction, 1, pdu)).collect();
    let log = decode_conversation(&Limits::default(), &lines);
    let unseen = log.lines.iter().filter_map(|line| line.strip_prefix("0 unseen "));
    unseen.map(std::borrow::ToOwned::to_owned).collect()
}

#[test]
fn an_accepted_answer_proves_the_change_as_far_as_it_names_it() {
    for (answer, proof) in [
        (&[0x05, 0, 9, 0xFF, 0][..], "write write_single_coil 5 unit=1 table=coil address=9 count=1 = [1]"),
        (&[0x06, 0, 5, 0, 99], "write write_single_register 6 unit=1 table=holding_register address=5 count=1 = [99]"),
        (&[0x0F, 0, 9, 0, 10], "write write_multiple_coils 15 unit=1 table=coil address=9 count=10"),
        (&[0x10, 0, 9, 0, 3], "write write_multiple_registers 16 unit=1 table=holding_register address=9 count=3"),
        (
            &[0x16, 0, 4, 0, 0xF2, 0, 0x25],
            "write mask_write_register 22 unit=1 table=holding_register address=4 count=1 = [242, 37]",
        ),
        (&[0x17, 2, 0, 1], "write read_write_multiple_registers 23 unread=request"),
        (
            &[0x15, 9, 6, 0, 4, 0, 7, 0, 1, 0xAB, 0xCD],
            "write write_file_record 21 unit=1 file=4 record=7 count=1 = [43981]",
        ),
        (&[0x08, 0, 1, 0, 0], "control restart_communications_option 8 unit=1 subfunction=1 = [0]"),
        (&[0x08, 0, 10, 0, 0], "diagnostic-clear clear_counters_and_diagnostic_register 8 unit=1 subfunction=10 = [0]"),
        (&[0x2B, 13, 1, 2], "write canopen_general_reference 43 unit=1 mei=13 = 0x0102"),
        (&[0x7D, 0], "firmware firmware_replacement 125 unread=request"),
        (&[0x06, 0], "write write_single_register 6 unread=request"),
    ] {
        assert_eq!(proofs(&[(1, answer)]), [std::format!("0.0 {proof}")]);
    }
}

#[test]
fn answers_that_change_nothing_refuse_or_repeat_prove_nothing() {
    let nothing: [&[u8]; 7] = [
        &[0x03, 2, 0, 1],           // a read
        &[0x86, 2],                 // a refusal
        &[0x08, 0, 0, 1, 2],        // return query data
        &[0x2B, 14, 1, 1, 0, 0, 0], // device identification
        &[0x5A, 0, 0xFE, 1],        // UMAS does not say what was done
        &[0x11, 2, 1, 0xFF],        // server id
        &[0x41, 0],                 // a vendor's function
    ];
    for answer in nothing {
        assert!(proofs(&[(1, answer)]).is_empty(), "{answer:?}");
    }
    let write = [0x06, 0, 5, 0, 99];
    assert_eq!(proofs(&[(1, &write), (1, &write)]).len(), 1);
    assert_eq!(proofs(&[(1, &write), (2, &write), (3, &[0x06, 0, 6, 0, 99])]).len(), 3);
}

#[test]
fn beyond_the_limit_the_oldest_request_is_given_up_and_counted() {
    use Side::Client;
    let limits = Limits { pending: 2, ..Limits::default() };
    let log =
        decode_conversation(&limits, &[(0, Client, 1, 1, &READ), (1, Client, 2, 1, &READ), (2, Client, 3, 1, &READ)]);
    assert_eq!(outcomes(&log), [(0, "pending", ""), (1, "pending", ""), (2, "pending", "")]);
    assert_eq!(log.lines_of("Limit"), ["Limit pending_requests from Client"]);
}

#[test]
fn the_transaction_id_may_wrap() {
    use Side::{Client, Server};
    let mut lines: Vec<(i64, Side, u16, u8, &[u8])> = Vec::new();
    let value = answer(1);
    for number in 0..70_000_i64 {
        lines.push((number, Client, number as u16, 1, &READ));
        lines.push((number, Server, number as u16, 1, &value));
    }
    let log = decode_conversation(&Limits::default(), &lines);
    assert_eq!(outcomes(&log).len(), 70_000);
    assert_eq!(log.lines.len(), 140_000);
}

#[test]
fn an_answer_that_echoes_something_else_is_malformed() {
    let log = super::exchange(&[0x06, 0x00, 0x01, 0x00, 0x05], &[0x06, 0x00, 0x02, 0x00, 0x05]);
    assert_eq!(log.lines_of("Malformed"), ["Malformed answer_differs_from_request from Server"]);
}
