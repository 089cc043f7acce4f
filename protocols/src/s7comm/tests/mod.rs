//! Conversations as they are on the wire.
#![allow(clippy::indexing_slicing, reason = "a test may fail loudly")]

mod blocks;
mod framing;
mod identification;
mod irregular;
mod pairing;
mod robustness;
mod settling;
mod userdata;
mod variables;

use std::string::String;
use std::vec::Vec;

use crate::dissector::Limits;
use crate::dissector::Side::{self, Client, Server};
use crate::testing::{Log, decode};

/// A TSDU in one TPKT and one DT.
fn frame(tsdu: &[u8]) -> Vec<u8> {
    let length = (tsdu.len() as u16 + 7).to_be_bytes();
    [&[3, 0, length[0], length[1], 2, 0xF0, 0x80], tsdu].concat()
}

/// A PDU: header, error of an answer, parameters, data.
fn pdu(rosctr: u8, reference: u16, error: &[u8], parameters: &[u8], data: &[u8]) -> Vec<u8> {
    let [reference, p, d] = [reference, parameters.len() as u16, data.len() as u16].map(u16::to_be_bytes);
    let head = [0x32, rosctr, 0, 0, reference[0], reference[1], p[0], p[1], d[0], d[1]];
    frame(&[&head, error, parameters, data].concat())
}

fn job(reference: u16, parameters: &[u8], data: &[u8]) -> Vec<u8> {
    pdu(1, reference, &[], parameters, data)
}

fn ack_data(reference: u16, parameters: &[u8], data: &[u8]) -> Vec<u8> {
    pdu(3, reference, &[0, 0], parameters, data)
}

/// Userdata: `kind` 0x40 for a request, 0x80 for an answer, 0 for an indication; `rest`: sequence and what follows.
fn userdata(reference: u16, kind: u8, (group, sub): (u8, u8), rest: &[u8], data: &[u8]) -> Vec<u8> {
    let method = if rest.len() > 1 { 0x12 } else { 0x11 };
    let head = [0, 1, 0x12, rest.len() as u8 + 3, method, kind | group, sub];
    let length = (data.len() as u16).to_be_bytes();
    let item = [&[0xFF, 9, length[0], length[1]], data].concat();
    pdu(7, reference, &[], &[&head, rest].concat(), &item)
}

/// S7ANY: bytes of a data block.
fn db(number: u16, byte: u32, bytes: u16) -> Vec<u8> {
    let ([_, a, b, c], [n, m], [x, y]) = ((byte * 8).to_be_bytes(), number.to_be_bytes(), bytes.to_be_bytes());
    std::vec![0x12, 0x0A, 0x10, 2, x, y, n, m, 0x84, a, b, c]
}

fn decode_conversation(segments: &[(Side, Vec<u8>)]) -> Log {
    let segments: Vec<_> = segments.iter().map(|(side, bytes)| (*side, bytes.as_slice())).collect();
    decode(&super::S7COMM, &segments)
}

/// The lines of operations and outcomes, without times and numbers.
fn reported(log: &Log, word: &str) -> Vec<String> {
    let lines = log.lines.iter().filter(|line| line.contains(word));
    lines.map(|line| line.split_once(word).map_or(line.as_str(), |(_, rest)| rest).trim().into()).collect()
}

#[test]
fn setup_agrees_on_a_length_and_longer_pdus_are_malformed() {
    let setup = |length: u16| [&[0xF0, 0, 0, 1, 0, 1], length.to_be_bytes().as_slice()].concat();
    let write = job(2, &[&[5, 1], db(1, 0, 60).as_slice()].concat(), &[&[0, 4, 1, 0xE0], [7; 60].as_slice()].concat());
    let log = decode_conversation(&[
        (Client, job(1, &setup(480), &[])),
        (Server, ack_data(1, &setup(64), &[])),
        (Client, write),
    ]);
    assert_eq!(reported(&log, "asks")[0], "0.0 session setup_communication 240 = 0x000001000101e0");
    assert_eq!(log.lines_of("Malformed"), ["Malformed pdu_longer_than_negotiated 88 from Client"]);
    assert!(reported(&log, "asks")[1].starts_with("1.0 write write_var 5 area=DB db=1 byte=0 bytes=60"));
    assert_eq!(log.pdus[&(super::ROSCTR_FUNC, 0x1F0)], 1);
}

#[test]
fn jobs_in_flight_are_paired_by_reference_and_direction() {
    let read = |reference, number| job(reference, &[&[4, 1], db(number, 0, 1).as_slice()].concat(), &[]);
    let answer = |reference, value| ack_data(reference, &[4, 1], &[0xFF, 4, 0, 8, value]);
    let log = decode_conversation(&[
        (Client, [read(0x0100, 1), read(0x0200, 2), read(0x0300, 3)].concat()),
        (Server, [answer(0x0300, 33), answer(0x0100, 11)].concat()),
        (Client, answer(0x0200, 99)), // an answer from the wrong end answers nothing
        (Server, answer(0x0200, 22)),
    ]);
    let accepted = reported(&log, "accepted");
    assert_eq!(accepted.len(), 3);
    assert!(accepted[0].contains("2.0") && accepted[0].ends_with("db=3 byte=0 bytes=1 = 0x21"), "{accepted:?}");
    assert!(accepted[1].contains("0.0") && accepted[1].ends_with("db=1 byte=0 bytes=1 = 0x0b"), "{accepted:?}");
    assert!(accepted[2].contains("1.0") && accepted[2].ends_with("db=2 byte=0 bytes=1 = 0x16"), "{accepted:?}");
    assert_eq!(log.lines_of("Unmatched"), ["Unmatched answer_without_request 4 from Client"]);
}

#[test]
fn an_error_in_the_header_refuses_the_whole_job() {
    let read = job(7, &[&[4, 2], db(1, 0, 1).as_slice(), &db(1, 2, 1)].concat(), &[]);
    // ROSCTR 2: an answer without parameters; class 0x85, code 0.
    let log = decode_conversation(&[(Client, read), (Server, pdu(2, 7, &[0x85, 0], &[], &[]))]);
    assert_eq!(reported(&log, "refused").len(), 2);
    assert!(reported(&log, "refused")[1].starts_with("(34048 frame_wrong) 0.1"), "{:?}", log.lines);
}

#[test]
fn a_stop_is_named_and_its_service_counted() {
    // 0x29, five bytes, length 9, P_PROGRAM.
    let stop = job(0x6F, b"\x29\0\0\0\0\0\x09P_PROGRAM", &[]);
    let log = decode_conversation(&[(Client, stop), (Server, ack_data(0x6F, &[0x29], &[]))]);
    assert_eq!(reported(&log, "asks"), ["0.0 control plc_stop 41"]);
    assert_eq!(reported(&log, "accepted").len(), 1);
    assert_eq!((log.pdus[&(super::PI_SERVICES, 1)], super::service_name(1).as_str()), (1, "P_PROGRAM"));
}

#[test]
fn services_are_distinguished_by_name_and_arguments() {
    let service = |arguments: &[u8], name: &[u8]| {
        let head = [0x28, 0, 0, 0, 0, 0, 0, 0xFD, 0, arguments.len() as u8];
        job(1, &[&head, arguments, &[name.len() as u8], name].concat(), &[])
    };
    let log = decode_conversation(&[
        (Client, service(b"", b"P_PROGRAM")),
        (Client, service(b"C ", b"P_PROGRAM")),
        (Client, service(b"EP", b"_MODU")),
        (Client, service(b"\x02\x000800001P0A00042P", b"_INSE")),
        (Client, service(b"secret", b"_N_LOGIN_")),
        (Client, service(b"", b"_N_WHAT__")),
    ]);
    assert_eq!(
        reported(&log, "asks"),
        [
            "0.0 control plc_warm_start 40",
            "1.0 control plc_cold_start 40 = 0x4320",
            "2.0 program pi_modu 40 = 0x4550",
            "3.0 program pi_inse 40 block=OB number=1 = 0x3038303030303150",
            "3.1 program pi_inse 40 block=DB number=42 = 0x3041303030343250",
            "4.0 security pi_n_login 40",
            "5.0 program pi_unknown 40",
        ]
    );
}

#[test]
fn every_service_has_a_function_and_every_job_a_name() {
    assert_eq!(super::function::service(0).map(|function| function.name), Some("pi_p_program"));
    let last = super::service::NAMES.len() - 1;
    assert_eq!(super::function::service(last).map(|function| function.name), Some("pi_n_tsearc"));
    assert!(super::function::service(last + 1).is_none());
    assert_eq!(super::function::job(0x29).name, "plc_stop");
    assert_eq!(super::function::job(0x42).name, "unknown_job");
    assert_eq!(super::function::userdata(0x20, 3).name, "record_routing_data");
}
