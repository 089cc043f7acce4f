//! Frames on a link, built one by one with their hardware addresses and VLANs.

use std::ffi::OsStr;
use std::net::IpAddr;
use std::path::PathBuf;

use etherparse::{IpHeaders, IpNumber, PacketBuilder, PacketBuilderStep};
use serde_json::Value;
use tempfile::TempDir;

use super::frames::tcp;
use super::rewrite::{Packet, pcap};
use super::{last_revisions, lines, lockkeeper};

/// One end of a frame: hardware address, IP address, VLAN.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Station {
    pub mac: [u8; 6],
    pub ip: IpAddr,
    pub vlan: Option<u16>,
}

impl Station {
    /// A host without a VLAN, whose hardware address ends in this number.
    pub(crate) fn new(number: u8, ip: &str) -> Self {
        Self { mac: [2, 0, 0, 0, 0, number], ip: ip.parse().expect("an address"), vlan: None }
    }

    /// The same address on other hardware.
    pub(crate) fn through(self, number: u8) -> Self {
        Self { mac: [2, 0, 0, 0, 0, number], ..self }
    }

    /// The same host on a VLAN.
    pub(crate) fn on(self, vlan: u16) -> Self {
        Self { vlan: Some(vlan), ..self }
    }
}

/// The broadcast hardware address.
pub(crate) const ALL: [u8; 6] = [0xFF; 6];

/// Frames in order, a millisecond apart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wire {
    packets: Vec<Packet>,
    time: i64,
}

/// The result of a replay: the last revision of each alert that is not of kind `asset`, transactions, and statistics.
#[derive(Debug)]
pub(crate) struct ReplayResult {
    pub alerts: Vec<Value>,
    pub transactions: Vec<Value>,
    pub stats: Value,
    pub summary: String,
}

impl Wire {
    /// Advances the time, nanoseconds.
    pub(crate) fn wait(&mut self, nanoseconds: i64) {
        self.time += nanoseconds;
    }

    /// Adds a frame unchanged.
    pub(crate) fn raw(&mut self, bytes: Vec<u8>) {
        self.time += 1_000_000;
        self.packets.push(Packet { time: self.time, link: 1, bytes });
    }

    /// A frame without IP.
    pub(crate) fn ethernet(&mut self, from: [u8; 6], to: [u8; 6], ether_type: u16, payload: &[u8]) {
        let mut bytes = [&to[..], &from, &ether_type.to_be_bytes(), payload].concat();
        bytes.resize(bytes.len().max(60), 0);
        self.raw(bytes);
    }

    /// Repeats the latest frame with other hardware addresses, as a router forwards it.
    pub(crate) fn forwarded(&mut self, from: [u8; 6], to: [u8; 6]) {
        let mut bytes = self.last().to_vec();
        bytes[..12].copy_from_slice(&[to, from].concat());
        self.time -= 900_000;
        self.raw(bytes);
    }

    /// A UDP datagram.
    pub(crate) fn udp(&mut self, from: (Station, u16), to: (Station, u16), payload: &[u8]) {
        let mut bytes = Vec::new();
        network(from.0, to.0).udp(from.1, to.1).write(&mut bytes, payload).expect("room in memory");
        self.raw(tagged(&bytes, from.0.vlan));
    }

    /// A TCP segment; `flags` are of `S` and `A`.
    pub(crate) fn tcp(&mut self, from: (Station, u16), to: (Station, u16), flags: &str, at: [u32; 2], payload: &[u8]) {
        let bytes = tcp(network(from.0, to.0), [from.1, to.1], flags, at, payload);
        self.raw(tagged(&bytes, from.0.vlan));
    }

    /// A Modbus connection that reads one register and, with `writes`, writes one.
    pub(crate) fn modbus(&mut self, client: Station, server: Station, port: u16, writes: bool) {
        let (client, server) = ((client, port), (server, 502));
        self.tcp(client, server, "S", [99, 0], &[]);
        self.tcp(server, client, "SA", [499, 100], &[]);
        self.tcp(client, server, "A", [100, 500], &READ);
        self.tcp(server, client, "A", [500, 112], &READ_ANSWER);
        if writes {
            self.tcp(client, server, "A", [112, 511], &WRITE);
            self.tcp(server, client, "A", [511, 124], &WRITE);
        }
    }

    /// ARP: `from` claims its address for its hardware.
    pub(crate) fn arp(&mut self, from: Station, to: Station) {
        let (IpAddr::V4(sender), IpAddr::V4(target)) = (from.ip, to.ip) else { unreachable!("ARP is for IPv4") };
        let fixed = [0, 1, 8, 0, 6, 4, 0, 2];
        let message = [&fixed[..], &from.mac, &sender.octets(), &to.mac, &target.octets()].concat();
        self.ethernet(from.mac, to.mac, 0x0806, &message);
    }

    /// The latest frame.
    pub(crate) fn last(&self) -> &[u8] {
        &self.packets.last().expect("a frame").bytes
    }

    /// An IP packet of any protocol.
    pub(crate) fn ip(&mut self, from: Station, to: Station, protocol: u8, payload: &[u8]) {
        let mut bytes = Vec::new();
        network(from, to).write(&mut bytes, IpNumber(protocol), payload).expect("room in memory");
        self.raw(tagged(&bytes, from.vlan));
    }

    /// A message of ICMPv6 to a group.
    pub(crate) fn icmp6(&mut self, from: &str, to: &str, hardware: u8, message: &[u8]) {
        let (from, to) =
            (Station::new(hardware, from), Station { mac: [0x33, 0x33, 0, 0, 0, 1], ..Station::new(0, to) });
        let (mut bytes, header) = (Vec::new(), network(from, to));
        header.write(&mut bytes, IpNumber::IPV6_ICMP, message).expect("room in memory");
        self.raw(bytes);
    }

    /// Replays the frames.
    pub(crate) fn replay(&self, policy: &str) -> ReplayResult {
        self.replay_with(policy, &[])
    }

    /// Replays the frames with more options; asserts the same result for any number of workers.
    pub(crate) fn replay_with(&self, policy: &str, options: &[&str]) -> ReplayResult {
        let one = self.replay_by(policy, options, "1");
        for workers in ["2", "7"] {
            let other = self.replay_by(policy, options, workers);
            assert_eq!(one.alerts, other.alerts, "with {workers} workers");
            assert_eq!(one.transactions, other.transactions, "with {workers} workers");
        }
        one
    }

    fn replay_by(&self, policy: &str, options: &[&str], workers: &str) -> ReplayResult {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let place = |name: &str| folder.path().join(name);
        std::fs::write(place("wire.pcap"), pcap(&self.packets)).expect("a written file");
        std::fs::write(place("policy.toml"), policy).expect("a written file");
        let (capture, policy) = (place("wire.pcap"), place("policy.toml"));
        let outputs = [place("alerts"), place("transactions"), place("stats")];
        let mut arguments: Vec<&dyn AsRef<OsStr>> =
            vec![&"replay", &capture, &"--policy", &policy, &"--workers", &workers];
        for (option, output) in ["--alerts", "--transactions", "--stats"].iter().zip(&outputs) {
            arguments.extend([option as &dyn AsRef<OsStr>, output]);
        }
        arguments.extend(options.iter().map(|option| option as &dyn AsRef<OsStr>));
        let output = lockkeeper(&arguments);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() != Some(2), "{errors}");
        let read = |name| lines(&std::fs::read_to_string(place(name)).unwrap_or_default());
        let summary = String::from_utf8_lossy(&output.stdout).into_owned() + &errors;
        let mut alerts = last_revisions(read("alerts"));
        alerts.retain(|alert| alert["kind"] != "asset");
        ReplayResult { alerts, transactions: read("transactions"), stats: read("stats").remove(0), summary }
    }

    /// Writes a capture into a temporary folder.
    pub(crate) fn write(&self) -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("wire.pcap");
        std::fs::write(&path, pcap(&self.packets)).expect("a written file");
        (folder, path)
    }
}

impl ReplayResult {
    /// `rule severity count` of each alert, sorted.
    pub(crate) fn raised(&self) -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let line = |alert: &Value| format!("{} {} {}", text(&alert["rule"]), text(&alert["severity"]), alert["count"]);
        let mut raised: Vec<String> = self.alerts.iter().map(line).collect();
        raised.sort();
        raised
    }

    /// Occurrences of a rule.
    pub(crate) fn count(&self, rule: &str) -> u64 {
        self.alerts.iter().filter(|alert| alert["rule"] == rule).filter_map(|alert| alert["count"].as_u64()).sum()
    }

    /// Function, outcome and verdict of each transaction, in order.
    pub(crate) fn operations(&self) -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
        let of = |one: &Value| {
            [&one["operation"]["function"], &one["outcome"]["status"], &one["verdict"]].map(text).join(" ")
        };
        self.transactions.iter().map(of).collect()
    }

    /// The messages of a rule.
    pub(crate) fn messages(&self, rule: &str) -> Vec<String> {
        let of = self.alerts.iter().filter(|alert| alert["rule"] == rule);
        of.map(|alert| alert["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Verdicts of the operations of a class.
    pub(crate) fn verdicts(&self, class: &str) -> Vec<String> {
        let of = self.transactions.iter().filter(|one| one["operation"]["class"] == class);
        of.map(|one| one["verdict"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

fn network(from: Station, to: Station) -> PacketBuilderStep<IpHeaders> {
    let link = PacketBuilder::ethernet2(from.mac, to.mac);
    match (from.ip, to.ip) {
        (IpAddr::V4(from), IpAddr::V4(to)) => link.ipv4(from.octets(), to.octets(), 64),
        (IpAddr::V6(from), IpAddr::V6(to)) => link.ipv6(from.octets(), to.octets(), 64),
        _ => unreachable!("both hosts have addresses of one IP version"),
    }
}

/// Inserts a VLAN tag behind the hardware addresses of a frame.
fn tagged(frame: &[u8], vlan: Option<u16>) -> Vec<u8> {
    let Some(vlan) = vlan else { return frame.to_vec() };
    let (addresses, rest) = frame.split_at(12);
    [addresses, &[0x81, 0], &vlan.to_be_bytes(), rest].concat()
}

/// Transaction 1, protocol 0, 6 bytes: unit 1, Read Holding Registers (3), address 40, 1 register.
pub(crate) const READ: [u8; 12] = [0, 1, 0, 0, 0, 6, 1, 3, 0, 40, 0, 1];
/// 5 bytes: unit 1, Read Holding Registers, 2 bytes of data.
pub(crate) const READ_ANSWER: [u8; 11] = [0, 1, 0, 0, 0, 5, 1, 3, 2, 3, 132];
/// Transaction 2: unit 1, Write Single Register (6), address 5, 99; and its answer.
pub(crate) const WRITE: [u8; 12] = [0, 2, 0, 0, 0, 6, 1, 6, 0, 5, 0, 99];
