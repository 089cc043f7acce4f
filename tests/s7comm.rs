//! S7comm and S7comm-plus as controllers and servers accept them: every executed operation is judged and reported, whatever
//! its headers contain and however the connection began.

mod support;

use lockkeeper_protocols::Side::{self, Client, Server};
use serde_json::Value;
use support::conversation::Conversation;
use support::{is_loud, policy};

/// Permits writes to four bytes and the insertion of one block; of S7comm-plus only class `observe`.
const FLOWS: [&str; 2] = [
    r#"
protocol = "s7comm"
port = 102
allow = [
  { op = "read" },
  { op = "write", s7 = { area = "DB", db = 20, bytes = "0-3" } },
  { op = "program", blocks = ["DB1"] },
]"#,
    r#"
protocol = "s7commplus"
port = 102
allow = [{ op = "observe" }]"#,
];

/// The last revisions of the alerts that a conversation raises.
fn alerts(conversation: Conversation, segments: &[(Side, Vec<u8>)]) -> Vec<Value> {
    conversation.say(segments).alerts(&policy(&FLOWS))
}

fn alerts_of(segments: &[(Side, Vec<u8>)]) -> Vec<Value> {
    alerts(Conversation::new(102), segments)
}

/// The rules of alerts of severity high or more, each with the class of its operation.
fn loud(alerts: &[Value]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    alerts
        .iter()
        .filter(|alert| is_loud(alert))
        .map(|alert| (text(&alert["rule"]), text(&alert["operation"]["class"])))
        .collect()
}

fn has_rule(alerts: &[Value], rule: &str) -> bool {
    alerts.iter().any(|alert| alert["rule"] == rule)
}

/// A TSDU in one TPKT and one DT.
fn frame(tsdu: &[u8]) -> Vec<u8> {
    let [high, low] = (tsdu.len() as u16 + 7).to_be_bytes();
    [&[3, 0, high, low, 2, 0xF0, 0x80], tsdu].concat()
}

/// A PDU of S7comm: header, error of an acknowledgement, parameters, data.
fn pdu(rosctr: u8, error: &[u8], parameters: &[u8], data: &[u8]) -> Vec<u8> {
    let [p, d] = [parameters, data].map(|part| (part.len() as u16).to_be_bytes());
    frame(&[&[0x32, rosctr, 0, 0, 0, 7], p.as_slice(), &d, error, parameters, data].concat())
}

fn job(parameters: &[u8], data: &[u8]) -> Vec<u8> {
    pdu(1, &[], parameters, data)
}

fn ack(parameters: &[u8], data: &[u8]) -> Vec<u8> {
    pdu(3, &[0, 0], parameters, data)
}

/// S7ANY: bytes of DB 20.
fn item(byte: u8, bytes: u8) -> [u8; 12] {
    [0x12, 10, 0x10, 2, 0, bytes, 0, 20, 0x84, 0, byte >> 5, byte << 3]
}

/// Write Var of the four permitted bytes.
fn write() -> Vec<u8> {
    job(&[&[5, 1], item(0, 4).as_slice()].concat(), &[0, 4, 0, 32, 1, 2, 3, 4])
}

fn stop() -> Vec<u8> {
    job(b"\x29\0\0\0\0\0\x09P_PROGRAM", &[])
}

/// Connection, setup of communication, and a read with its response.
fn opening() -> Vec<(Side, Vec<u8>)> {
    let setup = [0xF0, 0, 0, 1, 0, 1, 1, 0xE0];
    vec![
        (Client, vec![3, 0, 0, 11, 6, 0xE0, 0, 0, 0, 1, 0]),
        (Server, vec![3, 0, 0, 11, 6, 0xD0, 0, 1, 0, 3, 0]),
        (Client, job(&setup, &[])),
        (Server, ack(&setup, &[])),
        (Client, job(&[&[4, 1], item(0, 4).as_slice()].concat(), &[])),
        (Server, ack(&[4, 1], &[0xFF, 4, 0, 32, 1, 2, 3, 4])),
    ]
}

/// The alerts of a conversation in which the client sends `frames` after [`opening`].
fn alerts_after_opening(frames: &[Vec<u8>]) -> Vec<Value> {
    let mut segments = opening();
    segments.extend(frames.iter().map(|frame| (Client, frame.clone())));
    alerts_of(&segments)
}

fn with(mut frame: Vec<u8>, at: usize, byte: u8) -> Vec<u8> {
    frame[at] = byte;
    frame
}

fn denied(class: &str) -> (String, String) {
    ("operation.undeclared".into(), class.into())
}

#[test]
fn permitted_operations_raise_nothing() {
    assert_eq!(alerts_after_opening(&[write()]), Vec::<Value>::new());
    let insert = job(b"\x28\0\0\0\0\0\0\xfd\0\x0a\x01\x000A00001P\x05_INSE", &[]);
    assert_eq!(alerts_after_opening(&[insert]), Vec::<Value>::new());
}

#[test]
fn a_stop_with_wrong_fields_that_servers_ignore_is_a_stop() {
    for (at, byte) in [(0, 0), (0, 255), (1, 7), (4, 5), (4, 0), (6, 0x85), (7, 0), (7, 0x33), (8, 0), (8, 2), (8, 8)] {
        let alerts = alerts_after_opening(&[with(stop(), at, byte)]);
        assert_eq!(loud(&alerts), [denied("control")], "{at} {byte}: {alerts:?}");
        assert!(has_rule(&alerts, "proto.malformed"), "{at} {byte}");
        // Also if every frame of the connection has the wrong field.
        let odd = opening().into_iter().map(|(from, bytes)| match (from, bytes[5]) {
            (Client, 0xF0) => (from, with(bytes, at, byte)),
            _ => (from, bytes),
        });
        let segments: Vec<_> = odd.chain([(Client, with(stop(), at, byte))]).collect();
        assert_eq!(loud(&alerts_of(&segments)), [denied("control")], "{at} {byte}");
    }
}

#[test]
fn writing_or_inserting_more_than_permitted_is_denied() {
    let two = |second: [u8; 12]| {
        let value = [0, 4, 0, 32, 1, 2, 3, 4];
        job(&[&[5, 2], item(0, 4).as_slice(), &second].concat(), &[value, value].concat())
    };
    let one = |item: [u8; 12], data: &[u8]| job(&[&[5, 1], item.as_slice()].concat(), data);
    let odd = [
        two(with(item(40, 4).to_vec(), 0, 0x99).try_into().expect("twelve bytes")),
        with(two(item(40, 4)), 18, 1), // an item count of one for two items
        one(item(0, 1), &[&[0, 4, 3, 0x20], [0xAA; 100].as_slice()].concat()), // 100 bytes for one
        one(item(0, 0), &[0, 4, 0, 32, 1, 2, 3, 4]), // 4 for none
        with(write(), 18, 2),          // an item count of two for one item
    ];
    for frame in odd {
        let alerts = alerts_after_opening(std::slice::from_ref(&frame));
        let classes: Vec<_> = loud(&alerts).into_iter().map(|(_, class)| class).collect();
        assert_eq!(classes, ["write"], "{frame:02x?} {alerts:?}");
        assert!(has_rule(&alerts, "proto.malformed"));
    }
    let insert = job(b"\x28\0\0\0\0\0\0\xfd\0\x12\x01\x000A00001P0A00042P\x05_INSE", &[]);
    assert!(loud(&alerts_after_opening(&[insert])).iter().any(|(_, class)| class == "program"));
}

#[test]
fn responses_alone_prove_executed_operations() {
    let setup = [0xF0, 0, 0, 1, 0, 1, 1, 0xE0];
    let answers = [ack(&[5, 1], &[0xFF]), ack(&[0x29], &[]), ack(&[0x28], &[]), ack(&[5, 1], &[5])];
    let segments: Vec<_> = [ack(&setup, &[])].into_iter().chain(answers).map(|bytes| (Server, bytes)).collect();
    let alerts = alerts(Conversation::one_sided(102, Server), &segments);
    let mut found = loud(&alerts);
    found.sort();
    let unseen = |class: &str| ("operation.request-unseen".to_owned(), class.to_owned());
    assert_eq!(found, [unseen("control"), unseen("program"), unseen("write")], "{alerts:?}");
}

/// A SetVariable of S7comm-plus that stops the controller: object 52, attribute 2167, UInt 1.
fn plus_stop() -> Vec<u8> {
    let body = [
        0x31, 0, 0, 0x04, 0xF2, 0, 0, 0, 9, 0, 0, 3, 0xC0, 0x34, // request, function, sequence, session, flags
        0, 0, 0, 0x34, 1, 0x90, 0x77, 0, 3, 0, 1, 0, 0, 0, 0,
    ];
    frame(&[&[0x72, 1, 0, body.len() as u8], body.as_slice(), &[0x72, 1, 0, 0]].concat())
}

#[test]
fn a_stop_is_seen_whatever_protocol_the_connection_began_with() {
    let mms = frame(&[13, 12, 5, 6, 0x13, 1, 0, 0x16, 1, 2, 0x28, 0xCA, 0x22, 2, 1]);
    let tls = frame(&[0x17, 3, 3, 0x40, 0]);
    let plus = opening().into_iter().take(2);
    let begins = |frames: &[&Vec<u8>]| {
        plus.clone().chain(frames.iter().map(|frame| (Client, (*frame).clone()))).collect::<Vec<_>>()
    };
    let is_stop = |(_, class): &(String, String)| class == "control";
    for segments in [
        begins(&[&plus_stop()]),
        begins(&[&plus_stop(), &stop()]),
        begins(&[&stop(), &plus_stop()]),
        begins(&[&mms, &stop()]),
        begins(&[&mms, &plus_stop()]),
        begins(&[&tls, &plus_stop()]),
        begins(&[&tls, &stop()]),
        begins(&[&plus_stop(), &tls, &plus_stop()]),
        begins(&[&plus_stop(), &tls, &stop()]),
    ] {
        let frames = segments.iter().skip(2).map(|(_, bytes)| bytes);
        let stops = frames.filter(|bytes| **bytes == stop() || **bytes == plus_stop()).count() as u64;
        let alerts = alerts_of(&segments);
        let denied = loud(&alerts).into_iter().filter(is_stop).count();
        assert!(denied > 0, "{segments:02x?} {alerts:?}");
        let count: u64 = alerts
            .iter()
            .filter(|alert| alert["operation"]["class"] == "control")
            .filter_map(|alert| alert["count"].as_u64())
            .sum();
        assert_eq!(count, stops, "{segments:02x?} {alerts:?}");
    }
}
