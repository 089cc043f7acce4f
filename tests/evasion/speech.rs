//! Messages of each protocol: the opening, a read that the policy permits, and a write that it does not.

use lockkeeper_protocols::Side;

use super::wire::Line;

#[path = "../../protocols/tests/opcua/wire.rs"]
#[allow(dead_code, unreachable_pub)]
pub(crate) mod opcua;

/// A conversation in one protocol.
pub(crate) struct Speech {
    pub name: &'static str,
    pub port: u16,
    /// The opening of both ends.
    pub beginning: Vec<(bool, Vec<u8>)>,
    /// Permitted reads and their responses.
    pub reads: Vec<(Vec<u8>, Vec<u8>)>,
    /// The request of a client that reads where another one writes.
    pub read_on: Vec<u8>,
    /// The write that must not pass unseen.
    pub write: Vec<u8>,
    /// A permitted request of the same length as the write.
    pub decoy: Vec<u8>,
    /// The response to the write.
    pub written: Vec<u8>,
}

impl Speech {
    pub(crate) fn all() -> [Self; 3] {
        [modbus(), s7comm(), opc_ua_alone()]
    }

    /// Opens a connection and reads twice.
    pub(crate) fn begin(&self, line: &mut Line) {
        line.open(b"");
        self.greet(line);
        self.poll(line);
        self.poll(line);
    }

    /// Sends the opening of both ends.
    pub(crate) fn greet(&self, line: &mut Line) {
        for (from_client, bytes) in &self.beginning {
            line.say(*from_client, bytes);
        }
    }

    /// Reads once more.
    pub(crate) fn poll(&self, line: &mut Line) {
        let (request, answer) = &self.reads[line.polls];
        line.say(true, request);
        line.say(false, answer);
        line.polls += 1;
    }
}

/// Modbus over TCP to unit 1.
pub(crate) fn modbus() -> Speech {
    // Transaction 1, protocol 0, 6 bytes: unit 1, Read Holding Registers (3), address 0, 4 registers.
    let read = vec![0, 1, 0, 0, 0, 6, 1, 3, 0, 0, 0, 4];
    Speech {
        name: "modbus",
        port: 502,
        beginning: vec![],
        reads: vec![(read.clone(), vec![0, 1, 0, 0, 0, 11, 1, 3, 8, 0, 1, 0, 2, 0, 3, 0, 4]); 4],
        read_on: read,
        // Transaction 7: Write Single Register (6), address 5, value 99.
        write: vec![0, 7, 0, 0, 0, 6, 1, 6, 0, 5, 0, 99],
        decoy: vec![0, 7, 0, 0, 0, 6, 1, 3, 0, 5, 0, 1],
        written: vec![0, 7, 0, 0, 0, 6, 1, 6, 0, 5, 0, 99],
    }
}

/// A PDU of S7comm in one TPKT and one COTP DT.
pub(crate) fn s7_pdu(kind: u8, reference: u16, error: &[u8], parameters: &[u8], data: &[u8]) -> Vec<u8> {
    let length = (17 + error.len() + parameters.len() + data.len()) as u16;
    let lengths = [(parameters.len() as u16).to_be_bytes(), (data.len() as u16).to_be_bytes()].concat();
    [
        // TPKT; DT with EOT; protocol, ROSCTR, reserved.
        &[3, 0],
        &length.to_be_bytes()[..],
        &[2, 0xF0, 0x80, 0x32, kind, 0, 0],
        &reference.to_be_bytes(),
        &lengths,
        error,
        parameters,
        data,
    ]
    .concat()
}

/// S7ANY: `bytes` bytes of a data block.
pub(crate) fn s7_item(db: u16, start: u16, bytes: u16) -> Vec<u8> {
    let [high, low] = (8 * start).to_be_bytes();
    [&[0x12, 0x0A, 0x10, 2], &bytes.to_be_bytes()[..], &db.to_be_bytes(), &[0x84, 0, high, low]].concat()
}

/// S7comm to rack 0, slot 2.
pub(crate) fn s7comm() -> Speech {
    let connect = |kind: u8, from: u8, to: u8| {
        vec![3, 0, 0, 22, 17, kind, 0, to, 0, from, 0, 0xC0, 1, 10, 0xC1, 2, 1, 0, 0xC2, 2, 1, 2]
    };
    let read = s7_pdu(1, 100, &[], &[&[4, 1][..], &s7_item(10, 0, 4)].concat(), &[]);
    let setup = [0xF0, 0, 0, 1, 0, 1, 1, 0xE0];
    Speech {
        name: "s7comm",
        port: 102,
        beginning: vec![
            (true, connect(0xE0, 1, 0)),
            (false, connect(0xD0, 3, 1)),
            (true, s7_pdu(1, 0, &[], &setup, &[])),
            (false, s7_pdu(3, 0, &[0, 0], &setup, &[])),
        ],
        reads: vec![(read.clone(), s7_pdu(3, 100, &[0, 0], &[4, 1], &[0xFF, 4, 0, 32, 1, 2, 3, 4])); 4],
        read_on: read,
        // Write Var of DB20, bytes 0 to 3; the decoy is a read of the same bytes with the same data behind it.
        write: s7_pdu(1, 7, &[], &[&[5, 1][..], &s7_item(20, 0, 4)].concat(), &[0, 4, 0, 32, 9, 9, 9, 9]),
        decoy: s7_pdu(
            1,
            7,
            &[],
            &[&[4, 2][..], &s7_item(10, 0, 4), &s7_item(10, 0, 4)].concat()[..14],
            &[0, 4, 0, 32, 9, 9, 9, 9],
        ),
        written: s7_pdu(3, 7, &[0, 0], &[5, 1], &[0xFF]),
    }
}

/// OPC UA with a server that requires no session.
fn opc_ua_alone() -> Speech {
    let mut channel = opcua::Channel::new(0);
    let opened = channel.open(opcua::NONE, 1).map(|(side, bytes)| (side == Side::Client, bytes));
    let greetings = [(true, opcua::hello("opc.tcp://plc:4840")), (false, opcua::acknowledge())];
    Speech { beginning: greetings.into_iter().chain(opened).collect(), ..opc_ua(channel, &[0, 1]) }
}

/// Messages in an open channel and session; `token` is the encoded authentication token.
pub(crate) fn opc_ua(mut channel: opcua::Channel, token: &[u8]) -> Speech {
    let ask = |channel: &mut opcua::Channel, request, body: &[u8]| {
        channel.piece(Side::Client, b'F', request, &in_session(body, token))
    };
    let poll = |channel: &mut opcua::Channel, request| {
        let read = ask(channel, request, &opcua::read(&["Weir.Level"]));
        (read, channel.piece(Side::Server, b'F', request, &opcua::values(&[7])))
    };
    let mut reads = vec![poll(&mut channel, 11), poll(&mut channel, 12)];
    // A client that does not write continues to read from here.
    let (read_on, _) = poll(&mut channel.clone(), 13);
    let items = [value_of(&opcua::node("Weir.Label"), &text(&"9".repeat(40)))];
    let write = ask(&mut channel.clone(), 13, &opcua::request(673, 1, &opcua::array(&items)));
    // A read whose name gives it the same length.
    let spare = write.len() - ask(&mut channel.clone(), 13, &opcua::read(&["Weir.Label"])).len();
    let longer = format!("Weir.Label{}", "x".repeat(spare));
    let decoy = ask(&mut channel, 13, &opcua::read(&[&longer]));
    assert_eq!(write.len(), decoy.len());
    let written = channel.piece(Side::Server, b'F', 13, &opcua::results(676, &[0]));
    reads.extend([poll(&mut channel, 14), poll(&mut channel, 15)]);
    Speech { name: "opcua", port: 4840, beginning: vec![], reads, read_on, write, decoy, written }
}

/// A request with the authentication token of a session in place of its two-byte null token.
pub(crate) fn in_session(request: &[u8], token: &[u8]) -> Vec<u8> {
    [&request[..4], token, &request[6..]].concat()
}

/// An item of a Write: the value of a node.
pub(crate) fn value_of(node: &[u8], variant: &[u8]) -> Vec<u8> {
    // The attribute Value (13) without an index range; of a DataValue only the value.
    [node, &13_u32.to_le_bytes(), &opcua::NULL, &[1], variant].concat()
}

/// A variant with a String (12).
pub(crate) fn text(text: &str) -> Vec<u8> {
    [&[12][..], &opcua::string(text)].concat()
}
