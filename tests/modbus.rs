//! Modbus as devices accept it: what they execute is seen, judged and told, whatever its header says.

mod support;

use etherparse::PacketBuilder;
use serde_json::Value;
use support::rewrite::{Packet, pcap};
use support::{lines, lockkeeper};

use Side::{Client, Server};

/// Who sends a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

/// Zones `scada` and `plc`; reading is permitted on port 502, and on the declared port of a gateway.
const POLICY: &str = r#"
schema = "lockkeeper-policy/1"
policy = { id = "TEST", version = "1" }
zone.scada.networks = ["10.0.1.0/24"]
zone.plc.networks = ["10.0.2.0/24"]
[conduit.C]
zones = ["scada", "plc"]
[[conduit.C.flow]]
id = "F-MB"
from = ["zone:scada"]
to = ["zone:plc"]
protocol = "modbus"
port = [502, 4001]
allow = [{ op = "read" }]
"#;

/// A conversation, segment by segment, 10 ms apart unless [`Talk::wait`] says otherwise.
struct Talk {
    port: u16,
    time: i64,
    next: [u32; 2],
    packets: Vec<Packet>,
}

impl Talk {
    /// A TCP connection to a port.
    fn new(port: u16) -> Self {
        let mut talk = Self { port, time: 1_700_000_000_000_000_000, next: [100, 500], packets: Vec::new() };
        talk.send(Client, "S", &[]);
        talk.send(Server, "SA", &[]);
        talk.send(Client, "A", &[]);
        talk
    }

    fn send(&mut self, from: Side, flags: &str, payload: &[u8]) {
        let (client, server) = (([10, 0, 1, 10], 40_000), ([10, 0, 2, 10], self.port));
        let [source, destination] = if from == Client { [client, server] } else { [server, client] };
        let (sequence, acknowledged) = (self.next[from as usize], self.next[1 - from as usize]);
        let ip = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(source.0, destination.0, 64);
        let mut tcp = ip.tcp(source.1, destination.1, sequence, 8192);
        if flags.contains('S') {
            tcp = tcp.syn();
        }
        if flags.contains('A') {
            tcp = tcp.ack(acknowledged);
        }
        let mut bytes = Vec::new();
        tcp.write(&mut bytes, payload).expect("room in memory");
        self.packets.push(Packet { time: self.time, link: 1, bytes });
        self.time += 10_000_000;
        self.next[from as usize] += payload.len() as u32 + u32::from(flags.contains('S'));
    }

    /// Segments of both sides, one after the other.
    fn say(mut self, segments: &[(Side, &[u8])]) -> Self {
        segments.iter().for_each(|(from, bytes)| self.send(*from, "A", bytes));
        self
    }

    /// What the sensor makes of it.
    fn heard(&self) -> Heard {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("in.pcap"), pcap(&self.packets)).expect("a written file");
        std::fs::write(path("policy.toml"), POLICY).expect("a written file");
        let [capture, policy, alerts, transactions] = ["in.pcap", "policy.toml", "alerts", "transactions"].map(path);
        let output = lockkeeper(&[
            &"replay",
            &capture,
            &"--policy",
            &policy,
            &"--alerts",
            &alerts,
            &"--transactions",
            &transactions,
            &"--quiet",
        ]);
        assert_ne!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
        let [alerts, transactions] =
            [alerts, transactions].map(|path| lines(&std::fs::read_to_string(path).expect("a written file")));
        Heard { alerts, transactions }
    }
}

/// What was told of a conversation.
#[derive(Debug)]
struct Heard {
    alerts: Vec<Value>,
    transactions: Vec<Value>,
}

impl Heard {
    /// Function, outcome and verdict of each transaction, in order.
    fn story(&self) -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
        let of = |one: &Value| {
            [&one["operation"]["function"], &one["outcome"]["status"], &one["verdict"]].map(text).join(" ")
        };
        self.transactions.iter().map(of).collect()
    }

    /// Occurrences of a rule, by the last revision of each alert.
    fn count(&self, rule: &str) -> u64 {
        let mut last = std::collections::BTreeMap::new();
        for alert in self.alerts.iter().filter(|alert| alert["rule"] == rule) {
            last.insert(alert["id"].as_str(), alert["count"].as_u64().unwrap_or_default());
        }
        last.values().sum()
    }
}

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

/// Read Holding Registers 0 to 1, and an answer.
const READ: [u8; 5] = [3, 0, 0, 0, 2];
const VALUES: [u8; 6] = [3, 4, 0, 1, 0, 2];
/// Write Single Register 5 := 99: request and answer are equal.
const WRITE: [u8; 5] = [6, 0, 5, 0, 99];

#[test]
fn a_write_in_another_framing_than_the_conversation_began_with_is_judged() {
    let (read, values) = (mbap(1, &READ), mbap(1, &VALUES));
    let write = rtu(&WRITE);
    let heard = Talk::new(502)
        .say(&[(Client, &read), (Server, &values), (Client, &write), (Server, &write), (Client, &read)])
        .heard();
    assert_eq!(
        heard.story(),
        [
            "read_holding_registers accepted permit",
            "write_single_register accepted operation.undeclared",
            "read_holding_registers pending permit"
        ]
    );
    assert_eq!((heard.count("operation.undeclared"), heard.count("proto.malformed")), (1, 0));
}

#[test]
fn a_conversation_that_was_none_of_ours_is_taken_up_where_modbus_is_expected() {
    let junk = b"USER operator\r\n".repeat(300);
    let write = mbap(7, &WRITE);
    for (port, found) in [(502, true), (4001, true), (4002, false)] {
        let heard = Talk::new(port)
            .say(&[(Client, &junk[..1400]), (Client, &junk[1400..2800]), (Client, &junk[2800..4200])])
            .say(&[(Client, &write), (Server, &write)])
            .heard();
        let expected: &[&str] = if found { &["write_single_register accepted operation.undeclared"] } else { &[] };
        assert_eq!(heard.story(), expected, "{port}");
    }
}
