//! Packets built from annotated hex, with lengths filled in, and a policy for them.

use std::path::{Path, PathBuf};
use std::process::Output;

use etherparse::{IpHeaders, PacketBuilder, PacketBuilderStep};
use serde_json::Value;
use tempfile::TempDir;

use super::rewrite::{Packet, checksum, pcap};
use super::{last_revisions, lines, lockkeeper};

/// Zones scada (10.0.1.0/24), plc (10.0.2.0/24) and office (10.0.9.0/24): reads from scada to plc are permitted.
pub(crate) const POLICY: &str = r#"
schema = "lockkeeper-policy/1"
policy = { id = "WIRE", version = "1" }
zone.scada.networks = ["10.0.1.0/24", "fd00:1::/64"]
zone.plc.networks = ["10.0.2.0/24", "fd00:2::/64"]
zone.office.networks = ["10.0.9.0/24"]
[conduit.C]
zones = ["scada", "plc"]
[[conduit.C.flow]]
id = "F-MB"
from = ["zone:scada"]
to = ["zone:plc"]
protocol = "modbus"
allow = [{ op = "read" }]
"#;

pub(crate) const SCADA: [u8; 4] = [10, 0, 1, 10];
pub(crate) const PLC: [u8; 4] = [10, 0, 2, 10];
pub(crate) const OFFICE: [u8; 4] = [10, 0, 9, 5];
pub(crate) const MILLISECOND: i64 = 1_000_000;

/// Bytes from hex digits; `;` begins a comment.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text
        .lines()
        .filter_map(|line| line.split(';').next())
        .flat_map(str::chars)
        .filter(|letter| !letter.is_whitespace())
        .map(|letter| letter.to_digit(16).expect("tests are written in hex digits"))
        .collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

pub(crate) fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// From the station 02:00:00:00:00:02 to 02:00:00:00:00:01.
pub(crate) fn ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    join(&[&hex("020000000001 020000000002"), &ether_type.to_be_bytes(), payload])
}

pub(crate) fn ipv4(source: [u8; 4], destination: [u8; 4], protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = 20 + payload.len() as u16;
    let mut header = join(&[
        &hex("45 00 ; version 4, 5 words, no service"),
        &length.to_be_bytes(),
        &hex("1234 0000 40 ; identification, no fragment, 64 hops left"),
        &[protocol, 0, 0],
        &source,
        &destination,
    ]);
    let sum = checksum(&header, 0);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    join(&[&header, payload])
}

pub(crate) fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let length = 8 + payload.len() as u16;
    let words = [source, destination, length, 0].map(u16::to_be_bytes);
    join(&[words.as_flattened(), payload])
}

/// The segments of a connection from `client` to Modbus on `server`: handshake, a read, and a write of 99 to register 5,
/// each answered. IPv4 packets with sound checksums.
pub(crate) fn modbus(client: [u8; 4], server: [u8; 4]) -> Vec<Vec<u8>> {
    let read = hex("0001 0000 0006 01 03 0000 0001 ; Read Holding Registers 0, one of them");
    let answer = hex("0001 0000 0005 01 03 02 0007 ; 7");
    let write = hex("0002 0000 0006 01 06 0005 0063 ; Write Single Register 5 = 99");
    let segments: [(bool, &str, u32, u32, &[u8]); 8] = [
        (true, "S", 99, 0, &[]),
        (false, "SA", 499, 100, &[]),
        (true, "A", 100, 500, &[]),
        (true, "A", 100, 500, &read),
        (false, "A", 500, 112, &answer),
        (true, "A", 112, 511, &write),
        (false, "A", 511, 124, &write),
        (true, "A", 124, 523, &[]),
    ];
    let packet = |(from_client, flags, sequence, acknowledgement, payload): (bool, &str, u32, u32, &[u8])| {
        let ends = if from_client { ((client, 40_000), (server, 502)) } else { ((server, 502), (client, 40_000)) };
        segment(ends, flags, [sequence, acknowledgement], payload)
    };
    segments.into_iter().map(packet).collect()
}

/// One segment; `flags` are of `S`, `A` and `R`.
pub(crate) fn segment(
    ((source, source_port), (destination, port)): (([u8; 4], u16), ([u8; 4], u16)),
    flags: &str,
    [sequence, acknowledgement]: [u32; 2],
    payload: &[u8],
) -> Vec<u8> {
    tcp(PacketBuilder::ipv4(source, destination, 64), [source_port, port], flags, [sequence, acknowledgement], payload)
}

/// A TCP segment in the headers before it; `flags` are of `S`, `A` and `R`.
pub(crate) fn tcp(
    before: PacketBuilderStep<IpHeaders>,
    [source, destination]: [u16; 2],
    flags: &str,
    [sequence, acknowledgement]: [u32; 2],
    payload: &[u8],
) -> Vec<u8> {
    let mut tcp = before.tcp(source, destination, sequence, 8192);
    if flags.contains('S') {
        tcp = tcp.syn();
    }
    if flags.contains('R') {
        tcp = tcp.rst();
    }
    if flags.contains('A') {
        tcp = tcp.ack(acknowledgement);
    }
    let mut bytes = Vec::new();
    tcp.write(&mut bytes, payload).expect("room in memory");
    bytes
}

/// Ethernet frames as a capture, ten milliseconds apart, with a policy beside it.
pub(crate) struct Wire {
    folder: TempDir,
    /// The capture.
    pub(crate) capture: PathBuf,
    policy: PathBuf,
}

/// The result of a replay.
pub(crate) struct ReplayResult {
    /// The last revision of each alert, in the order of the first.
    pub(crate) alerts: Vec<Value>,
    pub(crate) stats: Value,
    pub(crate) status: Option<i32>,
    /// The summary.
    pub(crate) summary: String,
}

impl Wire {
    pub(crate) fn new(frames: &[Vec<u8>]) -> Self {
        Self::judged_by(POLICY, frames)
    }

    pub(crate) fn judged_by(policy: &str, frames: &[Vec<u8>]) -> Self {
        let packets = (0..).zip(frames);
        let packets: Vec<Packet> = packets
            .map(|(number, bytes)| Packet { time: number * 10 * MILLISECOND, link: 1, bytes: bytes.clone() })
            .collect();
        Self::of(policy, &packets)
    }

    pub(crate) fn of(policy: &str, packets: &[Packet]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (capture, path) = (folder.path().join("wire.pcap"), folder.path().join("policy.toml"));
        std::fs::write(&capture, pcap(packets)).expect("a written capture");
        std::fs::write(&path, policy).expect("a written policy");
        Self { folder, capture, policy: path }
    }

    /// Replays under the policy.
    pub(crate) fn replay(&self, options: &[&str]) -> ReplayResult {
        let policy = self.policy.clone();
        self.run(Some(&policy), options)
    }

    /// Replays without a policy.
    pub(crate) fn count(&self, options: &[&str]) -> ReplayResult {
        self.run(None, options)
    }

    fn run(&self, policy: Option<&Path>, options: &[&str]) -> ReplayResult {
        let stats = self.folder.path().join("stats.json");
        let mut arguments: Vec<&dyn AsRef<std::ffi::OsStr>> =
            vec![&"replay", &self.capture, &"--alerts", &"-", &"--stats", &stats];
        if let Some(policy) = &policy {
            arguments.extend([&"--policy" as &dyn AsRef<std::ffi::OsStr>, policy]);
        }
        arguments.extend(options.iter().map(|option| option as &dyn AsRef<std::ffi::OsStr>));
        let Output { status, stdout, stderr } = lockkeeper(&arguments);
        let summary = String::from_utf8(stderr).expect("UTF-8");
        let text = std::fs::read_to_string(&stats).unwrap_or_default();
        assert!(!text.is_empty(), "no statistics: {summary}");
        let alerts = last_revisions(lines(&String::from_utf8(stdout).expect("UTF-8")));
        ReplayResult { alerts, stats: lines(&text).remove(0), status: status.code(), summary }
    }
}

impl ReplayResult {
    /// The alerts of a rule.
    pub(crate) fn of(&self, rule: &str) -> Vec<&Value> {
        self.alerts.iter().filter(|alert| alert["rule"] == rule).collect()
    }

    /// The rules of all alerts that are not of kind `asset`, each once.
    pub(crate) fn rules(&self) -> Vec<&str> {
        let mut rules: Vec<&str> = self
            .alerts
            .iter()
            .filter(|alert| alert["kind"] != "asset")
            .map(|alert| alert["rule"].as_str().expect("a rule"))
            .collect();
        rules.sort_unstable();
        rules.dedup();
        rules
    }
}
