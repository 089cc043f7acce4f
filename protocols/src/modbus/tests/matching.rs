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
fn talk(limits: &Limits, lines: &[(i64, Side, u16, u8, &[u8])]) -> Log {
    let mut log = Log::default();
    let mut session = Session::new(&TCP, Transport::Tcp, limits, false);
    for (time, from, transaction, unit, pdu) in lines {
        session.stream(*from, &frame(*transaction, *unit, pdu), &at(*time), &mut log);
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
    let log = talk(
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
    let log = talk(
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
    let log = talk(
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
    let log = talk(
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
    let log = talk(&limits, &[(0, Client, 1, 1, &READ), (5, Server, 1, 1, &answer(1))]);
    assert_eq!(outcomes(&log), [(0, "accepted", "[1]")]);
    let log = talk(&limits, &[(0, Client, 1, 1, &READ), (6, Server, 1, 1, &answer(1))]);
    let overdue = "overdue 0.0 read read_holding_registers 3 unit=1 table=holding_register address=0 count=1";
    assert_eq!(log.lines[1], std::format!("5000001 {overdue}"), "when it was, not when it was noticed");
    assert_eq!(outcomes(&log), [(0, "accepted", "[1]")]);
    assert!(log.lines[2].starts_with("6000000 accepted 0.0 after 6000000"));
}

#[test]
fn what_is_never_answered_ends_once_and_had_no_answer() {
    use Side::{Client, Server};
    let limits = Limits { answer_timeout: 5_000_000, ..Limits::default() };
    let write = [0x06, 0x00, 0x01, 0x00, 0x02];
    // At the end of the flow.
    let log = talk(&limits, &[(0, Client, 1, 1, &write), (9, Client, 2, 1, &READ)]);
    assert_eq!(outcomes(&log), [(0, "no_response", ""), (1, "pending", "")]);
    let ended = log.lines.iter().find(|line| line.contains("no_response")).unwrap();
    assert!(ended.starts_with("5000001 no_response 0.0 after 5000001"), "the wait ended when it was over: {ended}");
    // Where a newer request has its number, or reads the same again.
    let log = talk(&limits, &[(0, Client, 1, 1, &write), (9, Client, 1, 1, &write), (10, Server, 1, 1, &write)]);
    assert_eq!(outcomes(&log), [(0, "no_response", ""), (1, "accepted", "")]);
    let log = talk(&limits, &[(0, Client, 1, 1, &READ), (9, Client, 2, 1, &READ), (10, Server, 2, 1, &answer(1))]);
    assert_eq!(outcomes(&log), [(0, "no_response", ""), (1, "accepted", "[1]")]);
    // Where there is no room: those that are overdue go first, and nothing was lost with them.
    let limits = Limits { pending: 2, ..limits };
    let lines = [(0, Client, 1, 1, &write[..]), (9, Client, 2, 1, &write), (9, Client, 3, 1, &write)];
    let log = talk(&limits, &lines);
    assert_eq!(outcomes(&log), [(0, "no_response", ""), (1, "pending", ""), (2, "pending", "")]);
    assert!(log.lines_of("Limit").is_empty());
}

#[test]
fn an_answer_belongs_to_a_request_in_flight_before_one_that_is_overdue() {
    use Side::{Client, Server};
    let limits = Limits { answer_timeout: 5_000_000, ..Limits::default() };
    let two = [0x03, 0x00, 0x10, 0x00, 0x02];
    let log = talk(
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
    let log = talk(
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
    let log = talk(
        &Limits::default(),
        &[(0, Client, 1, 1, &READ), (1, Server, 1, 1, &answer(1)), (2, Server, 1, 1, &answer(1))],
    );
    assert_eq!(outcomes(&log).len(), 1);
    assert_eq!(log.lines_of("Unmatched").len(), 1);
}

#[test]
fn another_function_unit_or_transaction_is_not_the_answer() {
    use Side::{Client, Server};
    let log = talk(
        &Limits::default(),
        &[
            (0, Client, 1, 1, &READ),
            (1, Server, 1, 1, &[0x04, 0x02, 0, 1]),
            (1, Server, 1, 2, &answer(1)),
            (1, Server, 2, 1, &answer(1)),
        ],
    );
    assert_eq!(log.lines_of("Unmatched").len(), 3);
    assert_eq!(outcomes(&log), [(0, "pending", "")]);
}

#[test]
fn beyond_the_limit_the_oldest_request_is_given_up_and_counted() {
    use Side::Client;
    let limits = Limits { pending: 2, ..Limits::default() };
    let log = talk(&limits, &[(0, Client, 1, 1, &READ), (1, Client, 2, 1, &READ), (2, Client, 3, 1, &READ)]);
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
    let log = talk(&Limits::default(), &lines);
    assert_eq!(outcomes(&log).len(), 70_000);
    assert_eq!(log.lines.len(), 140_000);
}

#[test]
fn an_answer_that_echoes_something_else_is_malformed() {
    let log = super::exchange(&[0x06, 0x00, 0x01, 0x00, 0x05], &[0x06, 0x00, 0x02, 0x00, 0x05]);
    assert_eq!(log.lines_of("Malformed"), ["Malformed answer_differs_from_request from Server"]);
}
