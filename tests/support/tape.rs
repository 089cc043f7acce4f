//! A Modbus connection of the plant, segment by segment.

use std::path::PathBuf;

use etherparse::PacketBuilder;
use serde_json::Value;
use tempfile::TempDir;

use super::frames::tcp;
use super::rewrite::{Packet, pcap};
use super::{lines, lockkeeper};

const CLIENT: [u8; 4] = [10, 20, 20, 5];
const SERVER: [u8; 4] = [10, 20, 10, 12];
pub(crate) const SECOND: i64 = 1_000_000_000;

/// Segments between a client and a server, in order.
#[derive(Default)]
pub(crate) struct Tape(Vec<Packet>);

impl Tape {
    /// The client sends a segment; `flags` are of `S` and `A`.
    pub(crate) fn client(&mut self, time: i64, flags: &str, sequence: u32, acknowledgement: u32, payload: &[u8]) {
        self.send(time, (CLIENT, 40_000), (SERVER, 502), flags, [sequence, acknowledgement], payload);
    }

    /// The server sends a segment; `flags` are of `S` and `A`.
    pub(crate) fn server(&mut self, time: i64, flags: &str, sequence: u32, acknowledgement: u32, payload: &[u8]) {
        self.send(time, (SERVER, 502), (CLIENT, 40_000), flags, [sequence, acknowledgement], payload);
    }

    fn send(
        &mut self,
        time: i64,
        (source, source_port): ([u8; 4], u16),
        (destination, port): ([u8; 4], u16),
        flags: &str,
        [sequence, acknowledgement]: [u32; 2],
        payload: &[u8],
    ) {
        let ip = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(source, destination, 64);
        let bytes = tcp(ip, [source_port, port], flags, [sequence, acknowledgement], payload);
        self.0.push(Packet { time, link: 1, bytes });
    }

    /// A SYN from each of `count` hosts, a microsecond apart.
    pub(crate) fn flood(&mut self, time: i64, count: u16) {
        for number in 0..count {
            let [high, low] = number.to_be_bytes();
            let sender = ([172, 16, high, low], 1024 + number % 1000);
            self.send(time + i64::from(number) * 1000, sender, (SERVER, 502), "S", [7, 0], &[]);
        }
    }

    /// The three segments that open a connection.
    pub(crate) fn handshake(&mut self, time: i64) {
        self.client(time, "S", 99, 0, &[]);
        self.server(time + 1000, "SA", 499, 100, &[]);
        self.client(time + 2000, "A", 100, 500, &[]);
    }

    /// A request for one register, and its answer.
    pub(crate) fn read(&mut self, time: i64) {
        // Transaction 1, protocol 0, 6 bytes: unit 1, Read Holding Registers (3), address 40, 1 register.
        self.client(time, "A", 100, 500, &[0, 1, 0, 0, 0, 6, 1, 3, 0, 40, 0, 1]);
        // 5 bytes: unit 1, Read Holding Registers, 2 bytes of data.
        self.server(time + 1000, "A", 500, 112, &[0, 1, 0, 0, 0, 5, 1, 3, 2, 3, 132]);
    }

    /// Writes a capture into a temporary folder.
    pub(crate) fn write(&self) -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("flood.pcap");
        std::fs::write(&path, pcap(&self.0)).expect("a written file");
        (folder, path)
    }

    /// The statistics of a replay without a policy.
    pub(crate) fn stats(&self, options: &[&str]) -> Value {
        let (_folder, path) = self.write();
        let mut arguments: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&"replay", &path, &"-q", &"--stats", &"-"];
        arguments.extend(options.iter().map(|option| option as &dyn AsRef<std::ffi::OsStr>));
        let output = lockkeeper(&arguments);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        lines(&String::from_utf8(output.stdout).expect("UTF-8")).remove(0)
    }
}
