//! Gateways that pass the echo of a two-wire line on to the client.

use crate::modbus::RTU;
use crate::testing::{Log, at};
use crate::{Limits, Session, Side, Transport};
use std::string::{String, ToString};
use std::vec::Vec;

use Side::{Client, Server};

/// An RTU frame to or from unit 1.
fn rtu(pdu: &[u8]) -> Vec<u8> {
    let mut frame = [&[1], pdu].concat();
    let crc = frame.iter().fold(0xFFFF_u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xA001 } else { crc >> 1 })
    });
    frame.extend(crc.to_le_bytes());
    frame
}

/// Read Holding Registers, 2 from 0x0400 (whose high byte looks like a byte count), and an answer.
const READ: [u8; 5] = [0x03, 0x04, 0x00, 0x00, 0x02];
const VALUES: [u8; 6] = [0x03, 0x04, 0x00, 0x01, 0x00, 0x02];
/// Write Single Register 5 := 99: request, echo and answer are equal.
const WRITE: [u8; 5] = [0x06, 0x00, 0x05, 0x00, 0x63];

fn decode_conversation(size: usize, segments: &[(Side, Vec<u8>)]) -> Log {
    let mut log = Log::default();
    let mut session = Session::new(&RTU, Transport::Tcp, &Limits::default(), false);
    for (time, (from, bytes)) in (0..).zip(segments) {
        bytes.chunks(size).for_each(|piece| session.feed_stream(*from, piece, &at(time), &mut log));
    }
    session.finish(&mut log);
    log
}

/// The events, without times and targets.
fn events(log: &Log) -> Vec<String> {
    let short = |line: &String| match line.split(' ').collect::<Vec<_>>()[..] {
        [_, "asks", number, _, function, ..] => std::format!("asks {number} {function}"),
        [time, outcome, number, ..] if time.parse::<i64>().is_ok() => std::format!("{outcome} {number}"),
        [kind, name, ..] => std::format!("{kind} {name}"),
        _ => line.to_string(),
    };
    log.lines.iter().map(short).collect()
}

#[test]
fn an_echo_is_neither_an_answer_nor_an_operation() {
    let (read, values) = (rtu(&READ), rtu(&VALUES));
    let expected = ["asks 0.0 read_holding_registers", "Echo request_echo", "accepted 0.0"];
    for server in [std::vec![[read.clone(), values.clone()].concat()], std::vec![read.clone(), values]] {
        let said: Vec<_> =
            [(Client, read.clone())].into_iter().chain(server.into_iter().map(|bytes| (Server, bytes))).collect();
        for size in [1, 3, 100] {
            let log = decode_conversation(size, &said);
            assert_eq!(events(&log), expected);
            assert!(log.lines[2].ends_with("= [1, 2]"));
            assert_eq!((log.lost, log.pdus.get(&(1, 3))), (0, Some(&1)));
        }
    }
}

#[test]
fn a_write_whose_echo_and_answer_are_equal_has_one_outcome() {
    let (read, values, write) = (rtu(&READ), rtu(&VALUES), rtu(&WRITE));
    let poll = [(Client, read.clone()), (Server, [read, values].concat())];
    for answers in [std::vec![[write.clone(), write.clone()].concat()], std::vec![write.clone(), write.clone()]] {
        let answers = answers.into_iter().map(|bytes| (Server, bytes));
        let said: Vec<_> = poll.clone().into_iter().chain([(Client, write.clone())]).chain(answers).collect();
        let log = decode_conversation(100, &said);
        assert_eq!(events(&log)[3..], ["asks 1.0 write_single_register", "Echo request_echo", "accepted 1.0"]);
    }
    // Where the device refuses, the echo is no acceptance.
    let said: Vec<_> =
        poll.into_iter().chain([(Client, write.clone()), (Server, write), (Server, rtu(&[0x86, 2]))]).collect();
    assert_eq!(events(&decode_conversation(100, &said))[4..], ["Echo request_echo", "refused(2 illegal_data_address)"]);
}

#[test]
fn an_echo_that_looks_like_an_answer_is_recognised_from_the_second_on() {
    let write = rtu(&WRITE);
    let twice = [(Client, write.clone()), (Server, write.clone()), (Server, write)];
    let log = decode_conversation(100, &[twice.clone(), twice].concat());
    assert_eq!(
        events(&log),
        [
            "asks 0.0 write_single_register",
            "accepted 0.0",
            "Unmatched answer_without_request",
            "asks 1.0 write_single_register",
            "Echo request_echo",
            "accepted 1.0"
        ]
    );
}

#[test]
fn a_gateway_that_stops_echoing_requests_is_decoded_without_echoes() {
    let (read, values, write) = (rtu(&READ), rtu(&VALUES), rtu(&WRITE));
    let log = decode_conversation(
        100,
        &[
            (Client, read.clone()),
            (Server, [read.clone(), values.clone()].concat()),
            (Client, read),
            (Server, values),
            (Client, write.clone()),
            (Server, write),
        ],
    );
    assert_eq!(
        events(&log)[3..],
        ["asks 1.0 read_holding_registers", "accepted 1.0", "asks 2.0 write_single_register", "accepted 2.0"]
    );
}

#[test]
fn requests_of_every_length_have_echoes() {
    for (request, answer) in [
        (&[0x10, 0, 1, 0, 2, 4, 0, 1, 0, 2][..], &[0x10, 0, 1, 0, 2][..]),
        (&[0x0F, 0, 1, 0, 3, 1, 5], &[0x0F, 0, 1, 0, 3]),
        (&[0x07], &[0x07, 0x55]),
        (&[0x11], &[0x11, 2, 1, 0xFF]),
        (&[0x17, 0, 1, 0, 1, 0, 9, 0, 1, 2, 0, 7], &[0x17, 2, 0, 3]),
        (&[0x2B, 14, 1, 0], &[0x2B, 14, 1, 1, 0, 0, 1, 0, 1, b'A']),
    ] {
        for size in [1, 100] {
            let (request, answer) = (rtu(request), rtu(answer));
            let log = decode_conversation(size, &[(Client, request.clone()), (Server, request), (Server, answer)]);
            assert_eq!(log.lines_of("Echo request_echo").len(), 1, "{:?}", log.lines);
            assert!(log.lines.iter().any(|line| line.contains("accepted 0.0")), "{:?}", log.lines);
            assert_eq!((log.lost, log.lines_of("Desynchronised").len()), (0, 0));
        }
    }
}
