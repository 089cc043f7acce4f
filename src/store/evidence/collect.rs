//! The packets of one conversation around the packet of one alert.

use super::recent::{KeyedPacket, WINDOW};
use crate::capture::Packet;
use crate::capture::pcapng::write::{self, Interfaces};
use crate::frame::ip_protocol::{TCP, UDP};
use crate::frame::{self, Body, IpHeader, Layers, Macs, Outer, OuterCarrier, Peek};
use crate::policy::Carrier;
use crate::record::{Endpoint, EvidenceRequest};

/// How long packets are collected after the proving one, nanoseconds of packet time: as long as an answer may take.
const COLLECTION_TIME: i64 = 5_000_000_000;

/// The packets that are being collected for one alert.
#[derive(Debug)]
pub(super) struct Collection {
    name: String,
    comment: String,
    conversation: Conversation,
    /// Packets of the conversation to collect before the proving one, and as many after it.
    wanted: usize,
    /// In the order of the capture.
    packets: Vec<OwnedPacket>,
    /// Index of the proving packet.
    proving: usize,
    /// Sequence number and packet clock of the proving packet.
    sequence: u64,
    clock: i64,
    /// Packets collected after it.
    after: usize,
    /// Further packets are too far away.
    over: bool,
}

/// A packet with a copy of its bytes.
#[derive(Clone, Debug)]
struct OwnedPacket {
    packet: Packet,
    bytes: Box<[u8]>,
}

/// The endpoints and the carrier of a conversation.
#[derive(Clone, Copy, Debug)]
struct Conversation {
    client: Endpoint,
    server: Endpoint,
    carrier: Carrier,
}

impl Collection {
    /// An empty collection. `name` is the name of its file, `comment` that of the proving packet.
    pub(super) fn new(request: &EvidenceRequest, name: String, comment: String, wanted: usize) -> Self {
        let EvidenceRequest { client, server, carrier, .. } = *request;
        let conversation = Conversation { client, server, carrier };
        let (packets, proving, after, over) = (Vec::new(), 0, 0, false);
        Self { name, comment, conversation, wanted, packets, proving, sequence: 0, clock: i64::MIN, after, over }
    }

    /// The name of its file.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The key that all its packets share: see [`super::recent::Keys`].
    pub(super) fn key(&self) -> u64 {
        self.conversation.key()
    }

    /// Adds the proving packet, which comes first, and those of the conversation before it, the latest first.
    pub(super) fn add_earlier<'a>(&mut self, packets: impl Iterator<Item = KeyedPacket<'a>>) {
        let (collected, key) = (&mut self.packets, self.conversation.key());
        for (packet, bytes, keys) in packets {
            if collected.is_empty() {
                (self.sequence, self.clock) = (packet.stamp.packet, packet.stamp.clock);
                collected.push(OwnedPacket::new(packet, bytes));
            } else if collected.len() > self.wanted {
                break;
            } else if keys.contain(key) && self.conversation.includes(packet, bytes) {
                collected.push(OwnedPacket::new(packet, bytes));
            }
        }
        collected.reverse();
        self.proving = collected.len().saturating_sub(1);
    }

    /// Adds a later packet, if it belongs to the conversation and is near enough.
    pub(super) fn add_later(&mut self, packet: &Packet, bytes: &[u8]) {
        let far = packet.stamp.packet > self.sequence + WINDOW.packets
            || packet.stamp.clock > self.clock.saturating_add(COLLECTION_TIME);
        self.over |= far || self.after >= self.wanted;
        if !self.over && self.conversation.includes(packet, bytes) {
            self.packets.push(OwnedPacket::new(packet, bytes));
            self.after += 1;
        }
    }

    /// Whether no further packet can be added, once every packet up to `clock` was offered.
    pub(super) fn is_complete(&self, clock: i64) -> bool {
        self.over || self.after >= self.wanted || clock > self.clock.saturating_add(COLLECTION_TIME)
    }

    /// Bytes of the collected packets.
    pub(super) fn bytes(&self) -> u64 {
        self.packets.iter().map(|owned| u64::from(owned.packet.captured)).sum()
    }

    /// The content of the file: one section, with an interface for each capture and link type of the packets.
    pub(super) fn to_pcapng(&self, captures: &[String]) -> Vec<u8> {
        let (mut out, mut interfaces) = (Vec::new(), Interfaces::default());
        write::section(&mut out);
        for (index, OwnedPacket { packet, bytes }) in self.packets.iter().enumerate() {
            let interface = interfaces.find_or_add(packet).unwrap_or_else(|new| {
                let name = captures.get(usize::from(packet.origin().capture)).map(String::as_str);
                write::interface(&mut out, packet.link, UNKNOWN_SNAP_LENGTH, name);
                new
            });
            let comment = (index == self.proving).then_some(self.comment.as_str());
            write::packet(&mut out, interface, packet, bytes, comment);
        }
        out
    }
}

impl OwnedPacket {
    fn new(packet: &Packet, bytes: &[u8]) -> Self {
        Self { packet: *packet, bytes: bytes.into() }
    }
}

impl Conversation {
    /// See [`super::recent::Keys`]; 0 if the addresses are unknown.
    fn key(&self) -> u64 {
        let (client, server) = (self.client.host, self.server.host);
        match (client.ip, server.ip, client.mac, server.mac) {
            (Some(client), Some(server), ..) => frame::pair_key(client, server),
            (_, _, Some(source), Some(destination)) => frame::mac_key(Macs { source, destination }),
            _ => 0,
        }
    }

    /// Whether a packet belongs to the conversation, directly or inside it as a tunnel.
    fn includes(&self, packet: &Packet, bytes: &[u8]) -> bool {
        self.matches(packet, bytes) || self.wraps(packet, bytes)
    }

    /// Whether a packet belongs to the conversation. A fragment without ports belongs to every conversation of its pair of
    /// hosts.
    fn matches(&self, packet: &Packet, bytes: &[u8]) -> bool {
        let Ok(frame) = frame::decode(packet.link, bytes, packet.original) else { return false };
        match (self.carrier, frame.body) {
            (Carrier::Tcp, Body::Tcp(pair, segment)) => {
                self.is_between(&pair, Some((segment.source_port, segment.destination_port)))
            }
            (Carrier::Udp, Body::Udp(pair, datagram)) => {
                self.is_between(&pair, Some((datagram.source_port, datagram.destination_port)))
            }
            (Carrier::Tcp, Body::Ip(pair, other)) => other.protocol == TCP && self.is_between(&pair, None),
            (Carrier::Udp, Body::Ip(pair, other)) => other.protocol == UDP && self.is_between(&pair, None),
            (Carrier::Ip(protocol), Body::Ip(pair, other)) => {
                other.protocol == protocol && self.is_between(&pair, None)
            }
            // The key already compares both addresses.
            (Carrier::Ethernet(wanted), Body::Link { ether_type, .. }) => ether_type == wanted,
            _ => false,
        }
    }

    /// Whether the conversation is a tunnel that carries this packet.
    fn wraps(&self, packet: &Packet, bytes: &[u8]) -> bool {
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

    /// Whether these are the addresses and ports of the conversation, in either direction.
    fn is_between(&self, pair: &IpHeader, ports: Option<(u16, u16)>) -> bool {
        let (source, destination) = (Some(pair.source), Some(pair.destination));
        let one_way = |from: &Endpoint, to: &Endpoint| {
            from.host.ip == source
                && to.host.ip == destination
                && ports.is_none_or(|ports| ports == (from.port, to.port))
        };
        one_way(&self.client, &self.server) || one_way(&self.server, &self.client)
    }
}

/// The snap length of an interface block whose snap length is unknown.
const UNKNOWN_SNAP_LENGTH: u32 = 0;
