//! A TCP client in user space that follows the sequence numbers of a real server and can send any segment.

use std::thread;
use std::time::{Duration, Instant};

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use pcap::{Active, Capture, Direction, Precision};

use crate::evasion::wire::{ACK, CLIENT, CLIENT_MAC, Line, RST, SERVER, SYN, Segment};
use crate::site::{CARD, OUTSIDE, Site};
use crate::support::rewrite::Packet;

/// A connection to a server, recorded at the router.
pub(crate) struct Attacker {
    card: Capture<Active>,
    tap: Capture<Active>,
    /// The state of both ends, and the packets to send.
    pub line: Line,
    /// Packets of the line that were sent or skipped.
    sent: usize,
    /// Time of the last of them on the line's clock, nanoseconds.
    before: i64,
    /// The longest pause between packets.
    patience: Duration,
    /// Received bytes that form no complete message yet.
    received: Vec<u8>,
    /// Every complete message of the server.
    pub answers: Vec<Vec<u8>>,
}

/// A segment of the server.
struct Answer {
    sequence: u32,
    flags: u8,
    bytes: Vec<u8>,
}

impl Attacker {
    /// A client before its handshake.
    pub(crate) fn new(site: &Site, port: u16, client_port: u16, patience: Duration) -> Self {
        let (card, tap) = (site.attacker.inside(|| open(CARD)), site.router.inside(|| open(OUTSIDE)));
        card.direction(Direction::In).expect("one direction");
        let mut line = Line::new(port);
        line.client_port = client_port;
        Self { card, tap, before: line.time, line, sent: 0, patience, received: Vec::new(), answers: Vec::new() }
    }

    /// The handshake, with data in the SYN.
    pub(crate) fn open(&mut self, early: &[u8]) {
        let syn = self.line.segment(true, early);
        self.line.send(&Segment { flags: SYN, acknowledgement: 0, ..syn });
        self.transmit();
        self.line.next[0] += 1;
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < PATIENCE, "no server listens on port {}", self.line.port);
            if let Some(answer) = self.next_answer().filter(|answer| answer.flags & (SYN | RST) == SYN) {
                self.line.next[1] = answer.sequence.wrapping_add(1);
                break;
            }
        }
        self.line.acknowledge(true);
        self.transmit();
    }

    /// Sends bytes and waits for a complete response.
    pub(crate) fn ask(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.line.say(true, bytes);
        self.transmit();
        self.answer(PATIENCE).expect("the server answers")
    }

    /// Applies an attack of the generator to the line.
    pub(crate) fn play(&mut self, send: impl FnOnce(&mut Line)) {
        send(&mut self.line);
        self.transmit();
    }

    /// The next complete message of the server; `None` after `patience`.
    pub(crate) fn answer(&mut self, patience: Duration) -> Option<Vec<u8>> {
        let begun = Instant::now();
        loop {
            if let Some(length) = length(self.line.port, &self.received).filter(|length| *length <= self.received.len())
            {
                let answer: Vec<u8> = self.received.drain(..length).collect();
                self.answers.push(answer.clone());
                return Some(answer);
            }
            if begun.elapsed() > patience {
                return None;
            }
            self.listen();
        }
    }

    /// Packets recorded since the last call.
    pub(crate) fn recorded(&mut self) -> Vec<Packet> {
        let mut packets = Vec::new();
        while let Ok(packet) = self.tap.next_packet() {
            // The recording has nanosecond timestamps.
            let time = packet.header.ts.tv_sec * 1_000_000_000 + packet.header.ts.tv_usec;
            packets.push(Packet { time, link: 1, bytes: packet.data.to_vec() });
        }
        let lost = self.tap.stats().expect("counted").dropped;
        assert_eq!(lost, 0, "packets were not recorded");
        packets
    }

    /// Ends the connection, so that the server accepts the next one; returns the recorded packets.
    pub(crate) fn end(mut self) -> Vec<Packet> {
        let packets = self.recorded();
        let end = self.line.segment(true, b"");
        self.line.send(&Segment { flags: RST | ACK, ..end });
        self.transmit();
        packets
    }

    /// Sends the new packets of the line with their pauses. Of the server's packets only those forged in its name are sent; they
    /// do not reach the server.
    fn transmit(&mut self) {
        for packet in &self.line.packets[self.sent..] {
            let pause = packet.time - self.before;
            thread::sleep(Duration::from_nanos(pause.unsigned_abs()).min(self.patience));
            self.before = packet.time;
            let is_own = packet.bytes[6..12] == CLIENT_MAC;
            // The TTL, behind Ethernet and eight bytes of IPv4.
            if is_own || packet.bytes[22] == 1 {
                self.card.sendpacket(packet.bytes.as_slice()).expect("sent");
            }
        }
        self.sent = self.line.packets.len();
        self.before = self.line.time;
    }

    /// Receives a segment of the server, if one is queued, and acknowledges it.
    fn listen(&mut self) {
        let Some(answer) = self.next_answer() else { return };
        if answer.bytes.is_empty() {
            return;
        }
        if answer.sequence == self.line.next[1] {
            self.line.went_on(false, answer.bytes.len());
            self.received.extend(answer.bytes);
        }
        self.line.acknowledge(true);
        self.transmit();
    }

    fn next_answer(&mut self) -> Option<Answer> {
        let ports = [self.line.port, self.line.client_port];
        match self.card.next_packet() {
            Ok(packet) => answer_of(packet.data, ports),
            Err(_) => {
                thread::sleep(Duration::from_millis(1));
                None
            }
        }
    }
}

/// A segment from the server's port to the client's.
fn answer_of(bytes: &[u8], ports: [u16; 2]) -> Option<Answer> {
    let packet = SlicedPacket::from_ethernet(bytes).ok()?;
    let (NetSlice::Ipv4(ip), TransportSlice::Tcp(tcp)) = (packet.net?, packet.transport?) else { return None };
    let ends = (ip.header().source(), ip.header().destination());
    if ends != (SERVER, CLIENT) || [tcp.source_port(), tcp.destination_port()] != ports {
        return None;
    }
    let flags = [(tcp.syn(), SYN), (tcp.rst(), RST)].iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).sum();
    Some(Answer { sequence: tcp.sequence_number(), flags, bytes: tcp.payload().to_vec() })
}

/// Length of the message that begins here, by the protocol of the port.
fn length(port: u16, bytes: &[u8]) -> Option<usize> {
    let number = |at: usize| Some(usize::from(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?)));
    match port {
        502 => Some(6 + number(4)?),
        102 => number(2),
        _ => Some(u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?) as usize),
    }
}

fn open(card: &str) -> Capture<Active> {
    let socket = Capture::from_device(card).expect("a device").precision(Precision::Nano);
    // Slots of the kernel's ring have the size of the snap length.
    let socket = socket.promisc(true).immediate_mode(true).snaplen(2048).buffer_size(4 << 20);
    socket.open().expect("an open device").setnonblock().expect("not blocking")
}

/// Longer than a response takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
