//! The visible part of TLS.

use std::vec;
use std::vec::Vec;

use super::Side::{Client, Server};
use super::*;

/// A ClientHello for `plc-1`, and a ServerHello that chooses TLS 1.3, as records.
fn hellos() -> (Vec<u8>, Vec<u8>) {
    let name = hex("0000 000a 0008 00 0005 706c632d31");
    let body = [hex("0303"), vec![7; 32], hex("00 0002 1301 01 00"), hex("000e"), name].concat();
    let client = [hex("16 0301 00"), vec![body.len() as u8 + 4], hex("01 0000"), vec![body.len() as u8], body].concat();
    let body = [hex("0303"), vec![9; 32], hex("00 1301 00 0006 002b 0002 0304")].concat();
    let server = [hex("16 0303 00"), vec![body.len() as u8 + 4], hex("02 0000"), vec![body.len() as u8], body].concat();
    (client, server)
}

#[test]
fn tls_is_reported_once_as_opaque_with_the_identities_of_its_handshake() {
    let (client, server) = hellos();
    let data = [hex("17 0303 0040"), vec![0x72; 64]].concat();
    let (first, second) = data.split_at(20);
    let log = decode(&[
        (Client, pdu(1, &request(0x05B3, 1, &hex("00000000")))),
        (Server, pdu(1, &response(0x05B3, 1, &hex("00 00000000")))),
        (Client, [dt(&client[..3]), dt(&client[3..40]), dt(&client[40..])].concat()),
        (Server, [dt(&server), dt(first), dt(second), dt(&data)].concat()),
        (Client, dt(&data)),
    ]);
    let expected = [
        "0 asks 0.0 security init_ssl 1459",
        "0 accepted 0.0 after 0: security init_ssl 1459",
        "identity of Server 0: tls_server_name = plc-1",
    ];
    assert_eq!(log.lines[..2], expected[..2]);
    assert!(log.lines.iter().any(|line| line == expected[2]), "{:?}", log.lines);
    assert_eq!(log.lines_of("identity of Server 0: tls_version"), ["identity of Server 0: tls_version = 1.3"]);
    assert_eq!(log.lines.iter().filter(|line| line.contains("asks") && line.contains("opaque tls")).count(), 1);
    assert_eq!(log.lines_of("Malformed").len(), 0);
    assert_eq!(log.pdus[&(0, 1)], 2, "bytes of a record are not taken for PDUs");
}

#[test]
fn a_certificate_before_tls_1_3_is_named() {
    // Subject { CN = plc-1 } in a certificate with empty other fields, in a handshake message, in a record.
    let subject = hex("3010 310e 300c 0603 550403 0c05 706c632d31");
    let body = [hex("a003 020102 0201 05 3000 3000 3000"), subject].concat();
    let tbs = [vec![0x30, body.len() as u8], body].concat();
    let certificate = [vec![0x30, tbs.len() as u8], tbs].concat();
    let length = certificate.len() as u8;
    let message =
        [hex("0b 0000"), vec![length + 6], hex("0000"), vec![length + 3], hex("0000"), vec![length], certificate];
    let message = message.concat();
    let record = [hex("16 0303 00"), vec![message.len() as u8], message].concat();
    let log = decode(&[(Server, dt(&record))]);
    assert_eq!(log.lines_of("identity"), ["identity of Server 0: certificate = plc-1"]);
}

#[test]
fn a_loss_inside_a_record_is_no_fault_of_the_next() {
    let data = [hex("17 0303 0040"), vec![0x55; 64]].concat();
    let mut log = Log::default();
    let mut session = Session::new(&S7COMM_PLUS, Transport::Tcp, &Limits::default(), false);
    session.feed_stream(Client, &pdu(1, &request(0x05B3, 1, &[0; 4])), &at(0), &mut log);
    session.feed_stream(Server, &pdu(1, &response(0x05B3, 1, &[0; 5])), &at(0), &mut log);
    session.feed_stream(Server, &dt(&data[..30]), &at(0), &mut log);
    session.feed_gap(Server, &mut log);
    session.feed_stream(Server, &[dt(&data[50..]), dt(&data)].concat(), &at(0), &mut log);
    session.finish(&mut log);
    assert!(log.lines_of("Malformed").is_empty(), "{:?}", log.lines);
    assert_eq!(log.lost, data.len() - 50);
}

#[test]
fn bytes_other_than_records_after_the_start_of_tls_are_malformed_once() {
    let log = decode(&[
        (Client, pdu(1, &request(0x05B3, 1, &[0; 4]))),
        (Server, pdu(1, &response(0x05B3, 1, &[0; 5]))),
        (Client, [dt(&[0x99; 40]), dt(&[0x98; 40])].concat()),
    ]);
    assert_eq!(log.lines_of("Malformed"), ["Malformed tls_record from Client"]);
}
