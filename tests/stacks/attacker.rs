//! A TCP client in user space, which keeps to the sequence numbers of a real server and may send whatever it likes.

use std::thread;
use std::time::{Duration, Instant};

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use pcap::{Active, Capture, Direction, Precision};

use crate::evasion::wire::{ACK, CLIENT, CLIENT_MAC, Line, RST, SERVER, SYN, Segment};
use crate::site::{CARD, OUTSIDE, Site};
use crate::support::rewrite::Packet;

/// A connection to a server, and a recording of it at the router.
pub(crate) struct Attacker {
    card: Capture<Active>,
    tap: Capture<Active>,
    /// Where both ends are, and what the client sends next.
    pub line: Line,
    /// Packets of the line that have been sent, or will not be.
    sent: usize,
    /// When the last of them was sent, as the line counts time.
    before: i64,
    /// The longest pause that it makes.
    patience: Duration,
    /// What the server has said and nobody has asked for yet.
    heard: Vec<u8>,
    /// Every whole message of the server.
    pub answers: Vec<Vec<u8>>,
}

/// One segment of the server.
struct Answer {
    sequence: u32,
    flags: u8,
    bytes: Vec<u8>,
}

impl Attacker {
    /// A client that has not said anything.
    pub(crate) fn new(site: &Site, port: u16, client_port: u16, patience: Duration) -> Self {
        let (card, tap) = (site.attacker.inside(|| open(CARD)), site.router.inside(|| open(OUTSIDE)));
        card.direction(Direction::In).expect("one direction");
        let mut line = Line::new(port);
        line.client_port = client_port;
        Self { card, tap, before: line.time, line, sent: 0, patience, heard: Vec::new(), answers: Vec::new() }
    }

    /// The handshake, with data in the SYN.
    pub(crate) fn open(&mut self, early: &[u8]) {
        let syn = self.line.segment(true, early);
        self.line.send(&Segment { flags: SYN, acknowledgement: 0, ..syn });
        self.transmit();
        self.line.next[0] += 1;
        let begun = Instant::now();
        loop {
            assert!(begun.elapsed() < PATIENCE, "nobody listens on port {}", self.line.port);
            if let Some(answer) = self.next_answer().filter(|answer| answer.flags & (SYN | RST) == SYN) {
                self.line.next[1] = answer.sequence.wrapping_add(1);
                break;
            }
        }
        self.line.acknowledge(true);
        self.transmit();
    }

    /// Says something, and waits for the whole answer.
    pub(crate) fn ask(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.line.say(true, bytes);
        self.transmit();
        self.answer(PATIENCE).expect("the server answers")
    }

    /// Does what a generator of attacks does.
    pub(crate) fn play(&mut self, send: impl FnOnce(&mut Line)) {
        send(&mut self.line);
        self.transmit();
    }

    /// The next whole message of the server, unless it takes too long.
    pub(crate) fn answer(&mut self, patience: Duration) -> Option<Vec<u8>> {
        let begun = Instant::now();
        loop {
            if let Some(length) = length(self.line.port, &self.heard).filter(|length| *length <= self.heard.len()) {
                let answer: Vec<u8> = self.heard.drain(..length).collect();
                self.answers.push(answer.clone());
                return Some(answer);
            }
            if begun.elapsed() > patience {
                return None;
            }
            self.listen();
        }
    }

    /// What was recorded since the last time.
    pub(crate) fn recorded(&mut self) -> Vec<Packet> {
        let mut packets = Vec::new();
        while let Ok(packet) = self.tap.next_packet() {
            // With nanoseconds, as it was opened.
            let time = packet.header.ts.tv_sec * 1_000_000_000 + packet.header.ts.tv_usec;
            packets.push(Packet { time, link: 1, bytes: packet.data.to_vec() });
        }
        let lost = self.tap.stats().expect("counted").dropped;
        assert_eq!(lost, 0, "packets were not recorded");
        packets
    }

    /// Ends the connection, so that the server is free for the next one; what was recorded until then.
    pub(crate) fn end(mut self) -> Vec<Packet> {
        let packets = self.recorded();
        let end = self.line.segment(true, b"");
        self.line.send(&Segment { flags: RST | ACK, ..end });
        self.transmit();
        packets
    }

    /// Sends what the line has got since the last time, with its pauses. Of what the server would send only that which a
    /// forger sends in its name: it does not get there.
    fn transmit(&mut self) {
        for packet in &self.line.packets[self.sent..] {
            let pause = packet.time - self.before;
            thread::sleep(Duration::from_nanos(pause.unsigned_abs()).min(self.patience));
            self.before = packet.time;
            let is_own = packet.bytes[6..12] == CLIENT_MAC;
            // Behind Ethernet and eight bytes of IPv4: the hops that it may take.
            if is_own || packet.bytes[22] == 1 {
                self.card.sendpacket(packet.bytes.as_slice()).expect("sent");
            }
        }
        self.sent = self.line.packets.len();
        self.before = self.line.time;
    }

    /// Takes a segment of the server, if there is one, and acknowledges it.
    fn listen(&mut self) {
        let Some(answer) = self.next_answer() else { return };
        if answer.bytes.is_empty() {
            return;
        }
        if answer.sequence == self.line.next[1] {
            self.line.went_on(false, answer.bytes.len());
            self.heard.extend(answer.bytes);
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

/// How long the message is that begins here, by the protocol of the port.
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
    // The ring of the kernel has slots of the snap length.
    let socket = socket.promisc(true).immediate_mode(true).snaplen(2048).buffer_size(4 << 20);
    socket.open().expect("an open device").setnonblock().expect("not blocking")
}

/// Longer than an answer takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
