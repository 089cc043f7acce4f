//! A conversation with a real server: opened, set up, and polled twice.

use crate::attacker::Attacker;
use crate::evasion::speech::{self, Speech, in_session, opcua};
use crate::servers::Stack;
use crate::site::Site;
use lockkeeper_protocols::Side;

/// The conversation so far, and the client's next messages.
pub(crate) struct Talk {
    pub attacker: Attacker,
    pub speech: Speech,
    /// Channel and session of OPC UA.
    pub session: Session,
}

/// A secure channel with the encoded authentication token of a session.
#[derive(Clone)]
pub(crate) struct Session {
    pub channel: opcua::Channel,
    pub token: Vec<u8>,
    request: u32,
}

impl Talk {
    /// Opens the connection; with `early`, sends data in the SYN, which the server ignores.
    pub(crate) fn begin(site: &Site, stack: &Stack, client_port: u16, is_early: bool) -> Self {
        let mut attacker = Attacker::new(site, stack.port, client_port, stack.patience);
        let early = if is_early { EARLY } else { b"" };
        attacker.open(early);
        let mut session = Session { channel: opcua::Channel::new(0), token: vec![0, 0], request: 1 };
        let speech = match stack.protocol {
            "modbus" => speech::modbus(),
            "s7comm" => speech::s7comm(),
            _ => {
                session.open(&mut attacker);
                speech::opc_ua(session.channel.clone(), &session.token)
            }
        };
        let mut talk = Self { attacker, speech, session };
        talk.greet();
        talk
    }

    /// Sets up the protocol and reads twice.
    fn greet(&mut self) {
        let greetings = self.speech.beginning.iter().filter(|(from_client, _)| *from_client).map(|(_, bytes)| bytes);
        for bytes in greetings.chain(self.speech.reads[..2].iter().map(|(read, _)| read)) {
            self.attacker.ask(bytes);
        }
        self.session.channel.next[Side::Client.index()] += 2;
    }
}

impl Session {
    /// Opens a channel, creates a session and activates it.
    fn open(&mut self, attacker: &mut Attacker) {
        attacker.ask(&opcua::hello("opc.tcp://10.0.2.10:4840"));
        let [(_, ask), _] = self.channel.open(opcua::NONE, 1);
        let granted = body(&attacker.ask(&ask), OPENED_HEAD);
        // The token: version of the protocol, then the channel, then the token itself.
        let number = |at: usize| u32::from_le_bytes(granted[at..at + 4].try_into().expect("four bytes"));
        (self.channel.id, self.channel.token) = (number(4), number(8));
        let created = body(&attacker.ask(&self.message(&create_session())), HEAD);
        let name = node_length(&created);
        self.token = created[name..name + node_length(&created[name..])].to_vec();
        attacker.ask(&self.message(&activate_session(&[1, 0, 0x41, 1], &ANONYMOUS)));
    }

    /// The next message of the client, with the token of the session.
    pub(crate) fn message(&mut self, request: &[u8]) -> Vec<u8> {
        self.piece(&in_session(request, &self.token))
    }

    /// The next message of the client.
    pub(crate) fn piece(&mut self, body: &[u8]) -> Vec<u8> {
        self.request += 1;
        self.channel.piece(Side::Client, b'F', self.request, body)
    }
}

/// A read of Modbus; to other servers, nothing.
const EARLY: &[u8] = &[0, 1, 0, 0, 0, 6, 1, 3, 0, 0, 0, 4];
/// Header of MSG: type, size, channel, token, sequence number, request id.
const HEAD: usize = 24;
/// Header of an OPN response: type, size, channel, security policy, no certificate, no thumbprint, sequence number, request id.
const OPENED_HEAD: usize = 12 + 4 + opcua::NONE.len() + 8 + 8;
/// Policy id of the server's anonymous identity token.
pub(crate) const ANONYMOUS: [u8; 13] = *b"\x09\0\0\0anonymous";

/// The body of a response with status Good, behind type (4), time (8), handle (4), status (4), no diagnostics (1), an empty
/// string table (4) and no additional header (3).
fn body(answer: &[u8], head: usize) -> Vec<u8> {
    let response = &answer[head..];
    assert_eq!(response[16..20], [0; 4], "refused: {answer:02x?}");
    response[28..].to_vec()
}

/// Length of an encoded NodeId, bytes.
fn node_length(bytes: &[u8]) -> usize {
    match bytes[0] {
        0 => 2,
        1 => 4,
        2 => 7,
        4 => 19,
        // String or ByteString, with a length.
        _ => 7 + u32::from_le_bytes(bytes[3..7].try_into().expect("four bytes")) as usize,
    }
}

fn create_session() -> Vec<u8> {
    let application = [opcua::string("urn:scada"), opcua::string("urn:scada:product")].concat();
    // Name, a LocalizedText with text only; then type client (1) without gateway, profile and discovery URLs.
    let application = [&application[..], &[2], &opcua::string("scada"), &[1, 0, 0, 0], &[0xFF; 12]].concat();
    let minutes = 600_000_f64.to_le_bytes();
    let content = [
        &application[..],
        &opcua::NULL,
        &opcua::string("opc.tcp://10.0.2.10:4840"),
        &opcua::string("session"),
        &32_u32.to_le_bytes(),
        &[7; 32],
        &opcua::NULL,
        &minutes,
        &[0; 4],
    ];
    opcua::request(461, 0, &content.concat())
}

/// ActivateSession with an identity token: its encoded type, and its content.
pub(crate) fn activate_session(kind: &[u8], token: &[u8]) -> Vec<u8> {
    // No signature, no certificates, no locales; the token in an ExtensionObject with a body of bytes (1); no signature.
    let content = [&[0xFF; 16][..], kind, &[1], &(token.len() as u32).to_le_bytes(), token, &[0xFF; 8]];
    opcua::request(467, 0, &content.concat())
}
