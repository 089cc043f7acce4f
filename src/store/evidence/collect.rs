//! The packets of one conversation around the packet of one alert.

use super::recent::{Seen, WINDOW};
use crate::capture::Packet;
use crate::capture::pcapng::write::{self, Interfaces};
use crate::frame::{self, Body, IpHeader, Layers, Macs, Outer, OuterCarrier, Peek};
use crate::policy::Carrier;
use crate::record::{Endpoint, EvidenceRequest};

/// How long the packets behind an alert's own are waited for, nanoseconds of packet time: as long as an answer is.
const PATIENCE: i64 = 5_000_000_000;

/// What is being collected for one alert.
#[derive(Debug)]
pub(super) struct Collection {
    name: String,
    comment: String,
    parties: Parties,
    /// How many packets before, and how many behind, are wanted.
    wanted: usize,
    /// In the order of the capture.
    kept: Vec<Kept>,
    /// Which of them is the alert's own.
    own: usize,
    /// Sequence and packet clock of the alert's own packet.
    sequence: u64,
    clock: i64,
    /// How many there are behind it.
    behind: usize,
    /// Whatever comes now is too far away.
    over: bool,
}

/// A packet with bytes of its own.
#[derive(Clone, Debug)]
struct Kept {
    packet: Packet,
    bytes: Box<[u8]>,
}

/// Who speaks in a conversation, and how.
#[derive(Clone, Copy, Debug)]
struct Parties {
    client: Endpoint,
    server: Endpoint,
    carrier: Carrier,
}

impl Collection {
    /// Begins with nothing.
    pub(super) fn new(request: &EvidenceRequest, name: String, comment: String, wanted: usize) -> Self {
        let EvidenceRequest { client, server, carrier, .. } = *request;
        let parties = Parties { client, server, carrier };
        let (kept, own, behind, over) = (Vec::new(), 0, 0, false);
        Self { name, comment, parties, wanted, kept, own, sequence: 0, clock: i64::MIN, behind, over }
    }

    /// The name of its file.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What all its packets share: see [`super::recent`].
    pub(super) fn key(&self) -> u64 {
        self.parties.key()
    }

    /// Takes the alert's own packet, which comes first, and those of the conversation before it, the latest first.
    pub(super) fn before<'a>(&mut self, packets: impl Iterator<Item = Seen<'a>>) {
        let (own, key) = (&mut self.kept, self.parties.key());
        for (packet, bytes, its) in packets {
            if own.is_empty() {
                (self.sequence, self.clock) = (packet.stamp.packet, packet.stamp.clock);
                own.push(Kept::new(packet, bytes));
            } else if own.len() > self.wanted {
                break;
            } else if its.contain(key) && self.parties.speak_in(packet, bytes) {
                own.push(Kept::new(packet, bytes));
            }
        }
        own.reverse();
        self.own = own.len().saturating_sub(1);
    }

    /// Takes a packet that came later, if it is of the conversation and near enough.
    pub(super) fn offer(&mut self, packet: &Packet, bytes: &[u8]) {
        let far = packet.stamp.packet > self.sequence + WINDOW.packets
            || packet.stamp.clock > self.clock.saturating_add(PATIENCE);
        self.over |= far || self.behind >= self.wanted;
        if !self.over && self.parties.speak_in(packet, bytes) {
            self.kept.push(Kept::new(packet, bytes));
            self.behind += 1;
        }
    }

    /// Whether nothing more is to come, now that everything up to `clock` was offered.
    pub(super) fn is_complete(&self, clock: i64) -> bool {
        self.over || self.behind >= self.wanted || clock > self.clock.saturating_add(PATIENCE)
    }

    /// Bytes of the packets that it holds.
    pub(super) fn bytes(&self) -> u64 {
        self.kept.iter().map(|kept| u64::from(kept.packet.captured)).sum()
    }

    /// The file: one section, with an interface for each capture and link that the packets come from.
    pub(super) fn file(&self, captures: &[String]) -> Vec<u8> {
        let (mut out, mut interfaces) = (Vec::new(), Interfaces::default());
        write::section(&mut out);
        for (index, Kept { packet, bytes }) in self.kept.iter().enumerate() {
            let interface = interfaces.of(packet).unwrap_or_else(|new| {
                let name = captures.get(usize::from(packet.origin().capture)).map(String::as_str);
                write::interface(&mut out, packet.link, NOT_KNOWN, name);
                new
            });
            let comment = (index == self.own).then_some(self.comment.as_str());
            write::packet(&mut out, interface, packet, bytes, comment);
        }
        out
    }
}

impl Kept {
    fn new(packet: &Packet, bytes: &[u8]) -> Self {
        Self { packet: *packet, bytes: bytes.into() }
    }
}

impl Parties {
    fn key(&self) -> u64 {
        let (client, server) = (self.client.host, self.server.host);
        match (client.ip, server.ip, client.mac, server.mac) {
            (Some(client), Some(server), ..) => frame::pair_key(client, server),
            (_, _, Some(source), Some(destination)) => frame::mac_key(Macs { source, destination }),
            _ => 0,
        }
    }

    /// Whether a packet is of the conversation, or went through it.
    fn speak_in(&self, packet: &Packet, bytes: &[u8]) -> bool {
        self.say(packet, bytes) || self.wrap(packet, bytes)
    }

    /// Whether a packet is of the conversation. A fragment that does not show its ports is of every conversation of its
    /// pair of hosts.
    fn say(&self, packet: &Packet, bytes: &[u8]) -> bool {
        let Ok(frame) = frame::decode(packet.link, bytes, packet.original) else { return false };
        match (self.carrier, frame.body) {
            (Carrier::Tcp, Body::Tcp(pair, segment)) => {
                self.are(&pair, Some((segment.source_port, segment.destination_port)))
            }
            (Carrier::Udp, Body::Udp(pair, datagram)) => {
                self.are(&pair, Some((datagram.source_port, datagram.destination_port)))
            }
            (Carrier::Tcp, Body::Ip(pair, other)) => other.protocol == TCP && self.are(&pair, None),
            (Carrier::Udp, Body::Ip(pair, other)) => other.protocol == UDP && self.are(&pair, None),
            (Carrier::Ip(protocol), Body::Ip(pair, other)) => other.protocol == protocol && self.are(&pair, None),
            // The key, made of both addresses, says enough.
            (Carrier::Ethernet(wanted), Body::Link { ether_type, .. }) => ether_type == wanted,
            _ => false,
        }
    }

    /// Whether a packet went through this tunnel, if it is one.
    fn wrap(&self, packet: &Packet, bytes: &[u8]) -> bool {
        let (Carrier::Ip(_) | Carrier::Udp) = self.carrier else { return false };
        let mut layers = Layers::default();
        let Peek::Wrapped(_) = frame::peek(packet.link, bytes, packet.original, &mut layers) else { return false };
        let (Some(client), Some(server)) = (self.client.host.ip, self.server.host.ip) else { return false };
        let carrier = match self.carrier {
            Carrier::Ip(protocol) => OuterCarrier::Ip(protocol),
            _ => OuterCarrier::Udp(self.server.port),
        };
        let tunnel = Outer { ends: [client.min(server), client.max(server)], carrier };
        layers.iter().any(|(_, layer)| layer == tunnel)
    }

    /// In either direction.
    fn are(&self, pair: &IpHeader, ports: Option<(u16, u16)>) -> bool {
        let (source, destination) = (Some(pair.source), Some(pair.destination));
        let one_way = |from: &Endpoint, to: &Endpoint| {
            from.host.ip == source
                && to.host.ip == destination
                && ports.is_none_or(|ports| ports == (from.port, to.port))
        };
        one_way(&self.client, &self.server) || one_way(&self.server, &self.client)
    }
}

/// A snap length that is not known.
const NOT_KNOWN: u32 = 0;

/// IP protocol numbers.
const TCP: u8 = 6;
const UDP: u8 = 17;
