//! What alerts and verdicts need to know about a conversation.

mod rare;
mod roles;

use std::sync::Arc;

use lockkeeper_protocols::identify::Roles;
use lockkeeper_protocols::{Protocol, REGISTRY, Side, Stamp, Transport};

use crate::flow::{End, FlowKey};
use crate::frame::{Body, Frame};
use crate::policy::{Carrier, FlowTuple, FlowVerdict, Host, LastValues, Rule, SessionState};
use crate::record::Endpoint;
pub(super) use rare::{ChannelSecurity, RareState};

/// What alerts and verdicts need to know about a conversation.
#[repr(C)]
pub(super) struct FlowFacts {
    /// The timer that is set for it, packet clock in nanoseconds; [`NEVER`] for none.
    pub(super) armed: i64,
    pub(super) flow_verdict: Option<Arc<FlowVerdict>>,
    pub(super) rare: Option<Box<RareState>>,
    pub(super) last_values: LastValues,
    pub(super) carrier: Carrier,
    /// Where the protocol is counted.
    pub(super) slot: u16,
    /// Which ends have sent something.
    pub(super) seen: [bool; 2],
    pub(super) client: End,
    /// There may be uses of its channel that are to be judged.
    pub(super) awaits_use: bool,
    /// What is delivered is kept for a while, to compare it with what is sent again.
    pub(super) compares: bool,
    /// There are other readings of its stream, which go on.
    pub(super) reads_twice: bool,
    pub(super) session: SessionState,
    /// The protocol that is spoken: its row in the registry, or [`NO_ROW`].
    pub(super) row: u8,
    /// The rule by which the conversation as such was denied.
    pub(super) denied: Option<Rule>,
    pub(super) roles: Roles,
    pub(super) midstream: bool,
    /// Both ends, by [`End`].
    pub(super) ends: [Endpoint; 2],
    /// Packets of each end whose checksums were right, and that were not noted among its senders: at least so many.
    pub(super) right: [u8; 2],
    /// When the verdict on the conversation is due even if its protocol is not known by then; [`NEVER`] for not at all.
    pub(super) judge_by: i64,
    /// Its first packet: names the conversation, and stands for it where no other packet does.
    pub(super) first: First,
    /// Packet clock and packet of what was reported last.
    pub(super) latest: (i64, u64),
}

/// The first packet of a conversation: its [`Stamp`] without the clock.
#[derive(Clone, Copy)]
pub(super) struct First {
    pub(super) time: i64,
    pub(super) packet: u64,
    origin: u64,
}

impl First {
    pub(super) fn of(&Stamp { time, packet, origin, .. }: &Stamp) -> Self {
        Self { time, packet, origin }
    }

    /// What is noticed at a clock and proved by nothing but the beginning.
    pub(super) fn at(self, clock: i64) -> Stamp {
        Stamp { time: self.time, clock, packet: self.packet, origin: self.origin }
    }
}

/// What is known about what a conversation speaks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Identification {
    /// Nothing was said yet.
    Pending,
    /// A protocol of the registry, by name.
    Protocol(&'static str),
    /// Something was said, and it is none of the registry's.
    Unrecognised,
}

impl FlowFacts {
    pub(super) fn new(key: &FlowKey, from: End, frame: &Frame<'_>, stamp: &Stamp) -> Self {
        let (carrier, midstream) = match frame.body {
            Body::Tcp(_, segment) => (Carrier::Tcp, !segment.flags.syn || segment.flags.fin),
            Body::Udp(..) => (Carrier::Udp, false),
            Body::Ip(_, other) => (Carrier::Ip(other.protocol), false),
            Body::Link { ether_type, .. } => (Carrier::Ethernet(ether_type), false),
        };
        let end = |end| {
            let (ip, port) = (key.address(end), key.port(end));
            Endpoint { host: Host { ip: Some(ip), mac: None, vlan: None }, port }
        };
        Self {
            first: First::of(stamp),
            armed: NEVER,
            latest: (i64::MIN, 0),
            carrier,
            ends: [end(End::Low), end(End::High)],
            client: roles::guess_client(key, from, carrier, roles::is_to_all(frame)),
            roles: Roles::Guessed,
            midstream,
            awaits_use: false,
            compares: true,
            reads_twice: false,
            right: [0; 2],
            seen: [false; 2],
            judge_by: if midstream { stamp.clock.saturating_add(JUDGE_AFTER) } else { NEVER },
            flow_verdict: None,
            denied: None,
            row: NO_ROW,
            slot: u16::MAX,
            last_values: LastValues::default(),
            session: SessionState::default(),
            rare: None,
        }
    }

    /// A SYN says who opened the connection. One that comes after what was said in it, because the tap reordered them,
    /// says nothing new: the roles were taken from the protocol's own shape, and servers may be the ones that dial.
    pub(super) fn note_handshake(&mut self, client: End) {
        if self.is_guess() {
            self.client = client;
            self.roles = Roles::Certain;
        }
    }

    /// Which side an end is.
    pub(super) fn side(&self, end: End) -> Side {
        if end == self.client { Side::Client } else { Side::Server }
    }

    /// The end that asks, or the one that answers.
    pub(super) fn endpoint(&self, side: Side) -> &Endpoint {
        let end = if side == Side::Client { self.client } else { self.client.other() };
        &self.ends[end.index()]
    }

    pub(super) fn tuple(&self) -> FlowTuple {
        let (client, server) = (self.endpoint(Side::Client), self.endpoint(Side::Server));
        FlowTuple { client: client.host, server: server.host, transport: self.carrier, server_port: server.port }
    }

    /// What is spoken, once it is known.
    pub(super) fn protocol(&self) -> Option<&'static Protocol> {
        REGISTRY.get(usize::from(self.row)).copied()
    }

    /// The name of what is spoken, such as `modbus`, once it is known.
    pub(super) fn protocol_name(&self) -> Option<&'static str> {
        self.protocol().map(|protocol| protocol.name)
    }

    pub(super) fn transport(&self) -> Transport {
        if self.carrier == Carrier::Udp { Transport::Udp } else { Transport::Tcp }
    }

    /// Whether nothing but ports and the first packet say who asks.
    pub(super) fn is_guess(&self) -> bool {
        self.roles == Roles::Guessed && self.row == NO_ROW
    }

    /// What is said is of no decoded protocol: the port of one makes nobody a server any more.
    pub(super) fn forget_decoded_port(&mut self) {
        let (client, server) = (self.endpoint(Side::Client).port, self.endpoint(Side::Server).port);
        if self.roles == Roles::Guessed && roles::is_service_of_client(self.carrier, client, server) {
            self.client = self.client.other();
        }
    }

    /// What it has of what most have not.
    #[inline]
    pub(super) fn rare(&self) -> Option<&RareState> {
        self.rare.as_deref()
    }

    /// The same, to be changed.
    #[inline]
    pub(super) fn rare_mut(&mut self) -> Option<&mut RareState> {
        self.rare.as_deref_mut()
    }

    /// Gives its memory back where it has nothing of that any more.
    pub(super) fn drop_empty_rare_state(&mut self) {
        self.rare.take_if(|rare| rare.is_empty());
    }

    /// The same, made where there is none.
    pub(super) fn make_rare(&mut self) -> &mut RareState {
        self.rare.get_or_insert_default()
    }

    pub(super) fn make_security(&mut self) -> &mut ChannelSecurity {
        self.make_rare().security.get_or_insert_default()
    }

    /// Its ends or what it speaks have changed.
    pub(super) fn forget_text(&mut self) {
        if let Some(rare) = &mut self.rare {
            rare.text = None;
        }
    }
}

/// How long identification may take before the conversation is judged by its port, nanoseconds of packet time.
pub(super) const JUDGE_AFTER: i64 = 1_000_000_000;

/// The packet clock never gets there.
pub(super) const NEVER: i64 = i64::MAX;

/// No row of the registry.
pub(super) const NO_ROW: u8 = u8::MAX;
