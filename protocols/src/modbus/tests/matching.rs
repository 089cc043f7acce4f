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
fn an_answer_in_time_counts_and_a_late_one_is_unmatched() {
    use Side::{Client, Server};
    let limits = Limits { answer_timeout: 5_000_000, ..Limits::default() };
    let log = talk(&limits, &[(0, Client, 1, 1, &READ), (5, Server, 1, 1, &answer(1))]);
    assert_eq!(outcomes(&log), [(0, "accepted", "[1]")]);
    let log = talk(&limits, &[(0, Client, 1, 1, &READ), (6, Server, 1, 1, &answer(1))]);
    assert_eq!(outcomes(&log), [(0, "no_response", "")]);
    assert_eq!(
        log.lines[1].split(' ').next(),
        Some("5000001"),
        "the wait ended when it was over, not when it was noticed"
    );
    assert_eq!(log.lines[2], "Unmatched answer_without_request 3 from Server");
    assert_eq!(log.pdus.get(&(1, 3)), Some(&1), "a late answer still is a PDU");
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
