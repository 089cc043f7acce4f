//! Regular and hostile conversations. Bytes of PDUs are from captures of real
//! controllers (S7-1200 with firmware 2.2, S7-1500) unless a test states otherwise.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]

use std::format;
use std::vec::Vec;

use super::{S7COMM_PLUS, probe};
use crate::dissector::{Limits, Probe, Side, Transport};
use crate::session::Session;
use crate::testing::{Log, at};
use Side::{Client, Server};

mod clear;
mod cuts;
mod hostile;
mod tls;

/// Bytes from hexadecimal text with blanks.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let digit = |byte: u8| (byte as char).to_digit(16).unwrap() as u8;
    digits.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// A DT that carries a whole TSDU.
fn dt(tsdu: &[u8]) -> Vec<u8> {
    let length = (tsdu.len() as u16 + 7).to_be_bytes();
    [&[3, 0, length[0], length[1], 2, 0xF0, 0x80], tsdu].concat()
}

/// A payload as PDUs of at most `size` bytes of it each, every one in a DT.
fn pdus(version: u8, payload: &[u8], size: usize) -> Vec<Vec<u8>> {
    let chunks: Vec<&[u8]> = payload.chunks(size.max(1)).collect();
    let pdu = |(index, chunk): (usize, &&[u8])| {
        let digest: &[u8] = if version == 3 { &[32; 33] } else { &[] };
        let length = ((chunk.len() + digest.len()) as u16).to_be_bytes();
        let trailer: &[u8] = if index + 1 == chunks.len() { &[0x72, version, 0, 0] } else { &[] };
        dt(&[&[0x72, version, length[0], length[1]], digest, chunk, trailer].concat())
    };
    chunks.iter().enumerate().map(pdu).collect()
}

/// A payload in one PDU.
fn pdu(version: u8, payload: &[u8]) -> Vec<u8> {
    pdus(version, payload, usize::MAX).concat()
}

/// The head of a request of session 0x3C8.
fn request(function: u16, sequence: u16, body: &[u8]) -> Vec<u8> {
    let ([f, g], [s, t]) = (function.to_be_bytes(), sequence.to_be_bytes());
    [&[0x31, 0, 0, f, g, 0, 0, s, t, 0, 0, 3, 0xC8, 0x34], body].concat()
}

fn response(function: u16, sequence: u16, body: &[u8]) -> Vec<u8> {
    let ([f, g], [s, t]) = (function.to_be_bytes(), sequence.to_be_bytes());
    [&[0x32, 0, 0, f, g, 0, 0, s, t, 0x34], body].concat()
}

fn decode(segments: &[(Side, Vec<u8>)]) -> Log {
    let segments: Vec<(Side, &[u8])> = segments.iter().map(|(side, bytes)| (*side, bytes.as_slice())).collect();
    crate::testing::decode(&S7COMM_PLUS, &segments)
}

/// Read two variables: 50.3451 (symbol checksum 0) and 201.1081.0.
const READ: &str =
    "00000000 02 09  00 32 01 9a7b  00 8149 02 8839 00  000004e8 8969001200000000 896a001300 896b000400 00 00000000";
/// Write one: DB 5 (checksum of the symbol, 8A0E0005), actual value, symbol 113; value 1 is Bool true.
const WRITE: &str = "00000000 01 05 88dbd6a75e 88d0b88005 02 9376 71  01 0001 01  00 000004e8 8969001200000000 896a001300 896b000400 00 84eb3b 00000000";
/// Create a session: application HMI RT OMS+, computer YourHost.
const SESSION: &str = "0000011d 00 04 00 00000000 a1 000000d3 821f 00 00
    a38229 0015 0b 484d49205254204f4d532b  a3822a 0015 08 596f7572486f7374  a1 000000d3 817f 00 00 a2 a2 00000000";
/// The answer: objects 0x3C8 and 0x3E1, then the session with `1;6ES7 214-1HE30-0XB0 ;V2.2`.
const SESSION_ANSWER: &str = "00 02 8748 8761 a1 00000120 821f 00 00 a38169 0015 00
    a38232 0017 0000013a 823b 0004 8200 823f 0015 1b 313b36455337203231342d31484533302d30584230203b56322e32 00 a2 00000000";

#[test]
fn a_session_is_set_up_and_both_ends_are_identified() {
    let log = decode(&[
        (Client, pdu(1, &request(0x04CA, 1, &hex(SESSION)))),
        (Server, pdu(1, &response(0x04CA, 1, &hex(SESSION_ANSWER)))),
    ]);
    assert_eq!(
        log.lines,
        [
            "identity of Client 0: application = HMI RT OMS+",
            "identity of Client 0: name = YourHost",
            "0 asks 0.0 session create_object 1226 object=211 id_1=287",
            "identity of Server 0: product = 6ES7 214-1HE30-0XB0",
            "identity of Server 0: firmware = V2.2",
            "0 accepted 0.0 after 0: session create_object 1226 object=211 id_1=287",
        ]
    );
}

#[test]
fn each_variable_of_a_read_is_an_operation_with_its_own_value_or_error() {
    // Item 2 has the value DInt 33, item 1 the error -12.
    let answer = hex("00  02 0008 21  00  01 c08895b080ef91fff4 00  00000000");
    let log =
        decode(&[(Client, pdu(2, &request(0x054C, 3, &hex(READ)))), (Server, pdu(2, &response(0x054C, 3, &answer)))]);
    assert_eq!(
        log.lines,
        [
            "0 asks 0.0 read get_multi_variables 1356 object=50 id_1=3451",
            "0 asks 0.1 read get_multi_variables 1356 object=201 id_1=1081 id_2=0",
            "0 accepted 0.1 after 0: read get_multi_variables 1356 object=201 id_1=1081 id_2=0 = 0x00000021",
            "0 refused(65524 object_not_found) 0.0 after 0: read get_multi_variables 1356 object=50 id_1=3451",
        ]
    );
}

#[test]
fn a_write_to_a_data_block_names_it_and_its_value_in_version_3() {
    let log = decode(&[
        (Client, pdu(3, &request(0x0542, 0x8333, &hex(WRITE)))),
        (Server, pdu(3, &response(0x0542, 0x8333, &hex("00 00 86f16e 00000000")))),
    ]);
    let asked = "write set_multi_variables 1346 object=2316173317 id_1=2550 id_2=113";
    assert_eq!(log.lines, [format!("0 asks 0.0 {asked} = 0x01"), format!("0 accepted 0.0 after 0: {asked}")]);
}

#[test]
fn stopping_the_controller_is_control_and_refusals_are_reported() {
    // Object 52, the CPU's execution unit, attribute 2167: Int 1. Made by the rules of a captured SetVariable.
    let body = hex("00000034 01 9077 0007 0001 000004e8 8969001200000000 896a001300 896b000400 00 00 00000000");
    let log = decode(&[
        (Client, pdu(2, &request(0x04F2, 7, &body))),
        (Server, pdu(2, &response(0x04F2, 7, &hex("d381b2c080a5dbff95 06 00000000")))),
    ]);
    let asked = "control set_variable 1266 object=52 id_1=2167";
    assert_eq!(log.lines[0], format!("0 asks 0.0 {asked} = 0x0001"));
    assert_eq!(log.lines[1], format!("0 refused(65429 error) 0.0 after 0: {asked}"));
}

#[test]
fn secrets_are_reported_as_security_without_their_values() {
    // Attribute 304 (response to the challenge): three bytes. Attribute 9000: a structure 1800 with a key.
    let by_id = hex("000003c8 01 8230 1002 03 010203 000004e8 00 00 00000000");
    let by_type = hex("000003c8 01 c628 0017 00000708 8e0d 0014 00 02 aabb 00 000004e8 00 00 00000000");
    let read = hex("000003c8 01 8e32 000004e8 00 00000000");
    let log = decode(&[
        (Client, pdu(2, &request(0x04F2, 1, &by_id))),
        (Client, pdu(2, &request(0x04F2, 2, &by_type))),
        (Client, pdu(2, &request(0x04FC, 3, &read))),
        (Server, pdu(2, &response(0x04FC, 3, &hex("00 0004 0b 00000000")))),
    ]);
    assert_eq!(log.lines_of("0 asks").len(), 3);
    for line in log.lines.iter().filter(|line| !line.starts_with("0 pending")) {
        assert!(line.contains(" security ") && !line.contains("0x"), "{line}");
    }
}

#[test]
fn deleting_own_objects_is_harmless_and_deleting_others_is_not() {
    let delete =
        |sequence, id: &str| pdu(2, &request(0x04D4, sequence, &hex(&format!("{id} 00 000004e8 00 00000000"))));
    let notification = pdu(2, &hex("33 1000006a 0400 0000 0000 03 01 00 00000000"));
    let log = decode(&[
        (Server, notification),
        (Client, delete(1, "1000006a")),
        (Client, delete(2, "000003c8")),
        (Client, delete(3, "8a320001")),
    ]);
    let classes: Vec<&str> = log.lines_of("0 asks").iter().map(|line| line.split(' ').nth(3).unwrap()).collect();
    assert_eq!(classes, ["report", "subscribe", "session", "program"]);
}

#[test]
fn notifications_report_each_item_by_its_reference() {
    // An S7-1200: item FFFFFFFF is Int 2071, item FFFFFFFE is an addressing error.
    let short = hex("33 1000006a 0400 0000 0000 01 01 92 ffffffff 0007 0817 13 fffffffe 00 00000000");
    // An S7-1500: credit C9, number 0x7421 as VLQ 8ec148, change counter 1; items 25 and 26 are Reals.
    let long =
        hex("33 70000e51 0400 0000 0000 c9 8ec148 01 92 00000019 000e 417e538e 92 0000001a 000e 41467956 00 00000000");
    let log = decode(&[(Server, pdu(2, &short)), (Server, pdu(3, &long))]);
    let asked: Vec<&str> = log.lines_of("0 asks").into_iter().map(|line| &line[7..]).collect();
    assert_eq!(
        asked,
        [
            "0.0 report notification 51 object=268435562 id_1=4294967295 = 0x0817",
            "0.1 report notification 51 object=268435562 id_1=4294967294",
            "1.0 report notification 51 object=1879051857 id_1=25 = 0x417e538e",
            "1.1 report notification 51 object=1879051857 id_1=26 = 0x41467956",
        ]
    );
    assert!(log.lines.iter().any(|line| line.starts_with("0 refused(19 addressing_error) 0.1")));
}

/// Two variables of the memory area (82): references FFFFFFFE and FFFFFFFF, actual value (3736), symbols 9 and 10.
const REFERENCES: &str = "2004 11 8880848000 00 02
    8880908002 8fffffff7e 00 52 84a3b4d40b 9d18 09  8880908002 8fffffff7f 00 52 8a8ee5ef36 9d18 0a";

#[test]
fn each_variable_that_is_subscribed_to_is_an_operation() {
    let create =
        format!("000003e1 0004 00 00000000 a1 7fffc001 8769 00 00 a38818 {REFERENCES} a38819 0004 8768 a2 00000000");
    // Reference 5 is given up, and the same two are new.
    let list = REFERENCES.replace("00 02\n", "01 02 05 ").replace("2004 11", "2004 12");
    let change = format!("1000006a 01 8818 {list} 000004e8 00 00 00000000");
    let changes = format!("1000006a 02 02 8819 8818 01 0004 64 02 {list} 00 000004e8 00 00000000");
    let log = decode(&[
        (Client, pdu(2, &request(0x04CA, 1, &hex(&create)))),
        (Client, pdu(2, &request(0x04F2, 2, &hex(&change)))),
        (Client, pdu(2, &request(0x0542, 3, &hex(&changes)))),
    ]);
    let asked: Vec<&str> = log.lines_of("0 asks").into_iter().map(|line| &line[7..]).collect();
    assert_eq!(
        asked,
        [
            "0.0 subscribe create_object 1226 object=2147467265 id_1=1001",
            "0.1 subscribe create_object 1226 object=82 id_1=3736 id_2=9",
            "0.2 subscribe create_object 1226 object=82 id_1=3736 id_2=10",
            "1.0 subscribe set_variable 1266 object=268435562 id_1=1048",
            "1.1 subscribe set_variable 1266 object=82 id_1=3736 id_2=9",
            "1.2 subscribe set_variable 1266 object=82 id_1=3736 id_2=10",
            "2.0 subscribe set_multi_variables 1346 object=268435562 id_1=1049 = 0x00000064",
            "2.1 subscribe set_multi_variables 1346 object=268435562 id_1=1048",
            "2.2 subscribe set_multi_variables 1346 object=82 id_1=3736 id_2=9",
            "2.3 subscribe set_multi_variables 1346 object=82 id_1=3736 id_2=10",
        ]
    );
    assert!(log.lines_of("Malformed").is_empty());
}

#[test]
fn system_events_and_keep_alives_are_counted_and_need_no_trailer() {
    let event = dt(&hex("72fe 0016 00000000 00000c95 00000000 00000000 4c4f474f5554"));
    let log = decode(&[(Server, event), (Client, dt(&hex("72ff 07 00")))]);
    assert_eq!(log.lines[0], "0 asks 0.0 report system_event 254");
    assert_eq!(log.lines.len(), 2);
    assert_eq!((log.pdus[&(0, 0xFE)], log.pdus[&(0, 0xFF)]), (1, 1));
}

#[test]
fn exploring_code_is_an_upload_and_exploring_names_is_not() {
    let explore = |sequence, body: &str| pdu(2, &request(0x04BB, sequence, &hex(body)));
    let log = decode(&[
        (Client, explore(1, "00000003 00 01 00 01 00 02 9315 8169 00000000")),
        (Client, explore(2, "8a320001 00 01 00 01 00 02 8169 9414 00000000")),
        (Client, explore(3, "8a320001 00 01 00 01 00 00 00000000")),
        // With a filter in front of the list.
        (Client, explore(4, "00000072 00 00 01 00 01 00 17 000004de 895f 0008 08 00 00 02 a444 a447 15 00000000")),
    ]);
    let classes: Vec<&str> = log.lines_of("0 asks").iter().map(|line| line.split(' ').nth(3).unwrap()).collect();
    assert_eq!(classes, ["browse", "program-upload", "program-upload", "browse"]);
    assert!(log.lines_of("Malformed").is_empty());
}

#[test]
fn a_request_that_needs_no_answer_is_not_reported_as_unanswered() {
    let mut log = Log::default();
    let mut session = Session::new(&S7COMM_PLUS, Transport::Tcp, &Limits::default(), false);
    let mut credit = request(0x04F2, 5, &hex("1000006a 01 881d 0007 0006 000004e8 00 00 00000000"));
    for flags in [0x34, 0x74] {
        credit[13] = flags;
        session.feed_stream(Client, &pdu(2, &credit), &at(0), &mut log);
    }
    session.expire(6_000_000_000, &mut log);
    assert!(log.lines[0].ends_with("subscribe set_variable 1266 object=268435562 id_1=1053 = 0x0006"));
    assert!(log.lines[2].contains(" overdue 0.0"), "{}", log.lines[2]);
    assert!(log.lines[3].contains(" pending 1.0 after 5000"), "{}", log.lines[3]);
}

#[test]
fn other_functions_have_their_classes_and_unknown_ones_fail_closed() {
    for (function, body, expected) in [
        (0x056B, "000003c8 00000901 00 00 00000000", "control invoke 1387 object=968 id_1=2305"),
        (0x0506, "00000003 950b 8a0e0001", "program add_link 1286 object=3 id_1=2699"),
        (0x051A, "00000003 950b 8a0e0001", "program remove_link 1306 object=3 id_1=2699"),
        (0x0524, "0000000b 950b 0000 00000000", "browse get_link 1316 object=11 id_1=2699"),
        (0x0556, "04 0012 00000003 00000000", "program begin_sequence 1366 object=3"),
        (0x0560, "0000 00000000", "program end_sequence 1376"),
        (
            0x0586,
            "00000031 20 04 01 9d29 000004e8 00 0001 00000000",
            "identify get_var_sub_streamed 1414 object=49 id_1=3753",
        ),
        (
            0x057C,
            "8a320001 20 04 01 9414 000004e8 00 0001 0014 00 01 ff",
            "program set_var_sub_streamed 1404 object=2318532609 id_1=2580",
        ),
        (0x0590, "00000000", "browse get_variables_address 1424"),
        (0x059A, "00000000", "session abort 1434"),
        (0x05B3, "00000000", "security init_ssl 1459"),
        (0x0533, "00000000", "unknown unknown_function 1331"),
    ] {
        let log = decode(&[(Client, pdu(2, &request(function, 1, &hex(body))))]);
        assert_eq!(log.lines[0], format!("0 asks 0.0 {expected}"));
        assert_eq!(log.lines.len(), 2, "{:?}", log.lines);
    }
}

#[test]
fn a_download_is_an_operation_for_each_object_and_one_more_for_an_unread_part() {
    let objects = "a1 8a320001 9457 20 00 a38169 0015 04 4d61696e a2  a1 8a0e0001 940e 00 00 a2";
    let whole = hex(&format!("00000003 0004 00 00000000 24 {objects} 00000000"));
    let torn = hex(&format!("00000003 0004 00 00000000 {objects} a1 8a0e0002"));
    let log = decode(&[(Client, pdu(3, &request(0x04CA, 1, &whole))), (Client, pdu(3, &request(0x04CA, 2, &torn)))]);
    let asked: Vec<&str> = log.lines_of("0 asks").into_iter().map(|line| &line[7..]).collect();
    assert_eq!(
        asked,
        [
            "0.0 program create_object 1226 object=2318532609 id_1=2647",
            "0.1 program create_object 1226 object=2316173313 id_1=2574",
            "1.0 program create_object 1226 object=2318532609 id_1=2647",
            "1.1 program create_object 1226 object=2316173313 id_1=2574",
            "1.2 program create_object 1226 unread=items",
        ]
    );
    assert_eq!(log.lines_of("Malformed"), ["Malformed object_class from Client"]);
}

#[test]
fn the_opening_of_a_flow_identifies_the_protocol_and_the_client() {
    let read = pdu(2, &request(0x054C, 3, &hex(READ)));
    assert_eq!(probe(Transport::Tcp, &read), Probe::Yes { sender: Some(Client) });
    let answer = pdu(1, &response(0x04CA, 1, &hex(SESSION_ANSWER)));
    assert_eq!(probe(Transport::Tcp, &answer), Probe::Yes { sender: Some(Server) });
    assert_eq!(probe(Transport::Tcp, &pdu(3, &request(0x054C, 3, &hex(READ)))), Probe::Yes { sender: None });
    assert_eq!(probe(Transport::Tcp, &dt(&hex("32 01 0000 0001 0008 0000 f0 00 0001 0001 03c0"))), Probe::No);
}
