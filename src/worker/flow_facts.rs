//! What alerts and verdicts depend on in a conversation: its ends, its roles, its protocol, the verdict on it.

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

/// What alerts and verdicts depend on in a conversation. What every segment needs comes first: see [`Conversation`].
///
/// [`Conversation`]: super::conversation::Conversation
#[repr(C)]
pub(super) struct FlowFacts {
    /// The deadline of the timer in force, packet clock in nanoseconds; [`NEVER`] for none.
    pub(super) armed: i64,
    pub(super) flow_verdict: Option<Arc<FlowVerdict>>,
    pub(super) rare: Option<Box<RareState>>,
    pub(super) last_values: LastValues,
    pub(super) carrier: Carrier,
    /// Index of the protocol in the counters.
    pub(super) slot: u16,
    /// Which ends have sent a frame, by [`End`].
    pub(super) seen: [bool; 2],
    pub(super) client: End,
    /// Whether the first use of its channel has yet to be judged.
    pub(super) awaits_use: bool,
    /// Whether delivered bytes are kept for a while, to compare retransmissions with them.
    pub(super) keeps_delivered: bool,
    /// Whether alternative readings of its stream are open.
    pub(super) has_readings: bool,
    pub(super) session: SessionState,
    /// Row of its protocol in the registry, or [`NO_ROW`].
    pub(super) row: u8,
    /// The rule by which the conversation as such is denied.
    pub(super) denied: Option<Rule>,
    pub(super) roles: Roles,
    pub(super) midstream: bool,
    /// Both ends, by [`End`].
    pub(super) ends: [Endpoint; 2],
    /// Right checksums of each end that the table of senders has not counted, saturating.
    pub(super) uncounted_right: [u8; 2],
    /// Packet clock at which the conversation is judged even if its protocol is unknown; [`NEVER`] for no deadline.
    pub(super) judge_by: i64,
    /// Its first packet: the name of the conversation, and its evidence where no other packet proves a finding.
    pub(super) first: First,
    /// Packet clock and packet number of the last report.
    pub(super) last_report: (i64, u64),
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

    /// The stamp of a finding at `clock` that only the first packet proves.
    pub(super) fn at(self, clock: i64) -> Stamp {
        Stamp { time: self.time, clock, packet: self.packet, origin: self.origin }
    }
}

/// What is known of the protocol of a conversation.
#[derive(Clone, Copy, Debug)]
pub(super) enum Identification {
    /// No payload yet, or too little.
    Pending,
    /// A protocol of the registry, by name.
    Protocol(&'static str),
    /// Payload that is no protocol of the registry.
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
            last_report: (i64::MIN, 0),
            carrier,
            ends: [end(End::Low), end(End::High)],
            client: roles::guess_client(key, from, carrier, roles::is_to_all(frame)),
            roles: Roles::Guessed,
            midstream,
            awaits_use: false,
            keeps_delivered: true,
            has_readings: false,
            uncounted_right: [0; 2],
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

    /// Takes the roles from a handshake that `client` opened. A SYN that the tap delivers after payload changes nothing: the
    /// protocol has shown the roles, and a server may be the end that connects.
    pub(super) fn note_handshake(&mut self, client: End) {
        if self.is_guess() {
            self.client = client;
            self.roles = Roles::Certain;
        }
    }

    /// The side of an end.
    pub(super) fn side(&self, end: End) -> Side {
        if end == self.client { Side::Client } else { Side::Server }
    }

    /// The client, or the server.
    pub(super) fn endpoint(&self, side: Side) -> &Endpoint {
        let end = if side == Side::Client { self.client } else { self.client.other() };
        &self.ends[end.index()]
    }

    /// What the verdict on the conversation depends on.
    pub(super) fn tuple(&self) -> FlowTuple {
        let (client, server) = (self.endpoint(Side::Client), self.endpoint(Side::Server));
        FlowTuple { client: client.host, server: server.host, transport: self.carrier, server_port: server.port }
    }

    /// Its protocol, once identified.
    pub(super) fn protocol(&self) -> Option<&'static Protocol> {
        REGISTRY.get(usize::from(self.row)).copied()
    }

    /// The name of its protocol, such as `modbus`, once identified.
    pub(super) fn protocol_name(&self) -> Option<&'static str> {
        self.protocol().map(|protocol| protocol.name)
    }

    pub(super) fn transport(&self) -> Transport {
        if self.carrier == Carrier::Udp { Transport::Udp } else { Transport::Tcp }
    }

    /// Whether the roles depend on ports and the first packet alone.
    pub(super) fn is_guess(&self) -> bool {
        self.roles == Roles::Guessed && self.row == NO_ROW
    }

    /// Takes roles back that depend on the port of a decoded protocol, because the payload is of none.
    pub(super) fn forget_decoded_port(&mut self) {
        let (client, server) = (self.endpoint(Side::Client).port, self.endpoint(Side::Server).port);
        if self.roles == Roles::Guessed && roles::is_service_of_client(self.carrier, client, server) {
            self.client = self.client.other();
        }
    }

    /// Its rarely used state, where it has some.
    pub(super) fn rare(&self) -> Option<&RareState> {
        self.rare.as_deref()
    }

    /// Its rarely used state, mutable.
    pub(super) fn rare_mut(&mut self) -> Option<&mut RareState> {
        self.rare.as_deref_mut()
    }

    /// Frees the rarely used state if it is empty.
    pub(super) fn drop_empty_rare_state(&mut self) {
        self.rare.take_if(|rare| rare.is_empty());
    }

    /// Its rarely used state, made on first use.
    pub(super) fn make_rare(&mut self) -> &mut RareState {
        self.rare.get_or_insert_default()
    }

    /// Its security, made on first use.
    pub(super) fn make_security(&mut self) -> &mut ChannelSecurity {
        self.make_rare().security.get_or_insert_default()
    }

    /// Drops the text of its transactions, because its ends, its protocol or the policy have changed.
    pub(super) fn forget_text(&mut self) {
        if let Some(rare) = &mut self.rare {
            rare.text = None;
        }
    }
}

/// Longest identification before the conversation is judged by its port, nanoseconds of packet time.
pub(super) const JUDGE_AFTER: i64 = 1_000_000_000;

/// A deadline that never comes.
pub(super) const NEVER: i64 = i64::MAX;

/// No row of the registry.
pub(super) const NO_ROW: u8 = u8::MAX;
