//! Modbus as devices accept it: every executed operation is judged and reported, whatever its header contains.

mod support;

use lockkeeper_protocols::Side::{Client, Server};
use support::conversation::Conversation;
use support::policy;

/// Permits reads on port 502 and on the declared port of a gateway.
const FLOW: &str = "protocol = \"modbus\"\nport = [502, 4001]\nallow = [{ op = \"read\" }]";

/// An MBAP frame to or from unit 1.
fn mbap(transaction: u16, pdu: &[u8]) -> Vec<u8> {
    [&transaction.to_be_bytes()[..], &[0, 0, 0, pdu.len() as u8 + 1, 1], pdu].concat()
}

/// An RTU frame to or from unit 1.
fn rtu(pdu: &[u8]) -> Vec<u8> {
    let mut frame = [&[1], pdu].concat();
    let crc = frame.iter().fold(0xFFFF_u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xA001 } else { crc >> 1 })
    });
    frame.extend(crc.to_le_bytes());
    frame
}

/// Read Holding Registers 0 to 1, and a response.
const READ: [u8; 5] = [3, 0, 0, 0, 2];
const VALUES: [u8; 6] = [3, 4, 0, 1, 0, 2];
/// Write Single Register 5 := 99; request and response are equal.
const WRITE: [u8; 5] = [6, 0, 5, 0, 99];

#[test]
fn a_write_in_another_framing_than_the_first_request_is_judged() {
    let (read, values) = (mbap(1, &READ), mbap(1, &VALUES));
    let write = rtu(&WRITE);
    let result = Conversation::new(502)
        .say(&[(Client, &read), (Server, &values), (Client, &write), (Server, &write), (Client, &read)])
        .replay(&policy(&[FLOW]));
    assert_eq!(
        result.operations(),
        [
            "read_holding_registers accepted permit",
            "write_single_register accepted operation.undeclared",
            "read_holding_registers pending permit"
        ]
    );
    assert_eq!((result.count("operation.undeclared"), result.count("proto.malformed")), (1, 0));
}

#[test]
fn modbus_behind_other_data_is_decoded_on_a_declared_port() {
    let junk = b"USER operator\r\n".repeat(300);
    let write = mbap(7, &WRITE);
    for (port, found) in [(502, true), (4001, true), (4002, false)] {
        let result = Conversation::new(port)
            .say(&[(Client, &junk[..1400]), (Client, &junk[1400..2800]), (Client, &junk[2800..4200])])
            .say(&[(Client, &write), (Server, &write)])
            .replay(&policy(&[FLOW]));
        let expected: &[&str] = if found { &["write_single_register accepted operation.undeclared"] } else { &[] };
        assert_eq!(result.operations(), expected, "{port}");
    }
}
