//! A TCP connection over Ethernet, segment by segment, with forged fields on demand.

use crate::support::rewrite::{Packet, checksum};

pub(crate) const CLIENT: [u8; 4] = [10, 0, 1, 10];
pub(crate) const SERVER: [u8; 4] = [10, 0, 2, 10];
const CLIENT_PORT: u16 = 40_000;
pub(crate) const CLIENT_MAC: [u8; 6] = [2, 0, 10, 0, 1, 10];
pub(crate) const SERVER_MAC: [u8; 6] = [2, 0, 10, 0, 2, 10];
pub(crate) const MILLISECOND: i64 = 1_000_000;
pub(crate) const SECOND: i64 = 1_000_000_000;

pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const FIN: u8 = 0x01;
pub(crate) const ACK: u8 = 0x10;
pub(crate) const PSH_ACK: u8 = 0x18;
const URG: u8 = 0x20;

/// Tags around a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    Vlan(u16),
    /// Path and sequence number.
    Hsr(u8, u16),
    /// LAN and sequence number.
    Prp(u8, u16),
}

/// One segment as it is sent.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub from_client: bool,
    pub sequence: u32,
    pub acknowledgement: u32,
    pub flags: u8,
    pub bytes: Vec<u8>,
    pub ttl: u8,
    pub id: u16,
    /// Makes a checksum wrong.
    pub bad_tcp: bool,
    pub bad_ip: bool,
    pub urgent: u16,
    pub tag: Option<Tag>,
}

/// A connection with its packets.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub packets: Vec<Packet>,
    pub time: i64,
    pub port: u16,
    pub client_port: u16,
    /// Next sequence numbers of client and server.
    pub next: [u32; 2],
    /// Tags of the frames of each end.
    pub tags: [Option<Tag>; 2],
    /// Number of reads so far.
    pub polls: usize,
    id: u16,
}

impl Line {
    pub(crate) fn new(port: u16) -> Self {
        let time = 1_767_323_045 * SECOND;
        Self {
            packets: Vec::new(),
            time,
            port,
            client_port: CLIENT_PORT,
            next: [1_000, 5_000],
            tags: [None; 2],
            polls: 0,
            id: 100,
        }
    }

    /// Sends the handshake; `early` is data in the SYN.
    pub(crate) fn open(&mut self, early: &[u8]) {
        let syn = self.segment(true, early);
        self.send(&Segment { flags: SYN, acknowledgement: 0, ..syn });
        self.next[0] += 1;
        let syn_ack = self.segment(false, b"");
        self.send(&Segment { flags: SYN | ACK, ..syn_ack });
        self.next[1] += 1;
        self.acknowledge(true);
    }

    /// A correct segment with the next bytes of an end.
    pub(crate) fn segment(&mut self, from_client: bool, bytes: &[u8]) -> Segment {
        let (own, other) = if from_client { (0, 1) } else { (1, 0) };
        self.id = self.id.wrapping_add(1);
        Segment {
            from_client,
            sequence: self.next[own],
            acknowledgement: self.next[other],
            flags: if bytes.is_empty() { ACK } else { PSH_ACK },
            bytes: bytes.to_vec(),
            ttl: 64,
            id: self.id,
            bad_tcp: false,
            bad_ip: false,
            urgent: 0,
            tag: self.tags[own],
        }
    }

    /// An end sends bytes, which the other end receives.
    pub(crate) fn say(&mut self, from_client: bool, bytes: &[u8]) {
        let segment = self.segment(from_client, bytes);
        self.send(&segment);
        self.went_on(from_client, bytes.len());
    }

    /// Marks `bytes` bytes of an end as received.
    pub(crate) fn went_on(&mut self, from_client: bool, bytes: usize) {
        self.next[usize::from(!from_client)] += bytes as u32;
    }

    /// An end acknowledges all received bytes.
    pub(crate) fn acknowledge(&mut self, from_client: bool) {
        let segment = self.segment(from_client, b"");
        self.send(&segment);
    }

    /// Adds a packet a millisecond after the last one.
    pub(crate) fn send(&mut self, segment: &Segment) {
        let ip = ipv4(segment, &tcp(segment, [self.client_port, self.port]));
        self.frame(segment, 0x0800, &ip);
    }

    /// The same segment in two IP fragments, split `cut` bytes into its payload (with the header, a multiple of eight).
    pub(crate) fn fragments(&self, segment: &Segment, cut: usize) -> [Vec<u8>; 2] {
        let whole = tcp(segment, [self.client_port, self.port]);
        let at = 20 + cut;
        let part = |range: std::ops::Range<usize>, more: bool| {
            let flags = (range.start / 8) as u16 | if more { 0x2000 } else { 0 };
            header(segment, flags, &whole[range])
        };
        [part(0..at, true), part(at..whole.len(), false)]
    }

    /// Sends an IP packet that was made by hand.
    pub(crate) fn frame(&mut self, segment: &Segment, ether_type: u16, ip: &[u8]) {
        self.time += MILLISECOND;
        let (source, destination) =
            if segment.from_client { (CLIENT_MAC, SERVER_MAC) } else { (SERVER_MAC, CLIENT_MAC) };
        let mut bytes = [&destination[..], &source].concat();
        let type_bytes = ether_type.to_be_bytes();
        match segment.tag {
            None => bytes.extend([&type_bytes[..], ip].concat()),
            Some(Tag::Vlan(id)) => bytes.extend([&[0x81, 0], &id.to_be_bytes()[..], &type_bytes, ip].concat()),
            Some(Tag::Hsr(path, sequence)) => {
                let size = (u16::from(path) << 12 | (ip.len() as u16 + 6)).to_be_bytes();
                bytes.extend([&[0x89, 0x2F], &size[..], &sequence.to_be_bytes(), &type_bytes, ip].concat());
            }
            Some(Tag::Prp(lan, sequence)) => {
                let mut payload = ip.to_vec();
                payload.resize(payload.len().max(46), 0);
                let size = (u16::from(lan) << 12 | (payload.len() as u16 + 6)).to_be_bytes();
                payload.extend([&sequence.to_be_bytes()[..], &size, &[0x88, 0xFB]].concat());
                bytes.extend([&type_bytes[..], &payload].concat());
            }
        }
        self.packets.push(Packet { time: self.time, link: 1, bytes });
    }
}

/// IPv4 around a segment.
fn ipv4(segment: &Segment, payload: &[u8]) -> Vec<u8> {
    header(segment, 0x4000, payload)
}

fn header(segment: &Segment, flags: u16, payload: &[u8]) -> Vec<u8> {
    let (source, destination) = addresses(segment);
    let mut bytes = vec![0x45, 0];
    bytes.extend((20 + payload.len() as u16).to_be_bytes());
    bytes.extend(segment.id.to_be_bytes());
    bytes.extend(flags.to_be_bytes());
    bytes.extend([segment.ttl, 6, 0, 0]);
    bytes.extend([source, destination].concat());
    let sum = checksum(&bytes, 0) ^ u16::from(segment.bad_ip);
    bytes[10..12].copy_from_slice(&sum.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A TCP segment with its checksum; ports of client and server.
fn tcp(segment: &Segment, [client, server]: [u16; 2]) -> Vec<u8> {
    let (source, destination) = if segment.from_client { (client, server) } else { (server, client) };
    let mut bytes = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    bytes.extend(segment.sequence.to_be_bytes());
    bytes.extend(segment.acknowledgement.to_be_bytes());
    let urgent = if segment.urgent > 0 { URG } else { 0 };
    bytes.extend([0x50, segment.flags | urgent, 0x20, 0, 0, 0]);
    bytes.extend(segment.urgent.to_be_bytes());
    bytes.extend(&segment.bytes);
    let (from, to) = addresses(segment);
    let pseudo = [&from[..], &to, &[0, 6], &(bytes.len() as u16).to_be_bytes(), &bytes].concat();
    let sum = checksum(&pseudo, 0) ^ u16::from(segment.bad_tcp);
    bytes[16..18].copy_from_slice(&sum.to_be_bytes());
    bytes
}

fn addresses(segment: &Segment) -> ([u8; 4], [u8; 4]) {
    if segment.from_client { (CLIENT, SERVER) } else { (SERVER, CLIENT) }
}
