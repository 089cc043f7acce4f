//! Verdicts into alerts: one order, each violation once, exact counts.
//!
//! ```text
//!  workers == Report ==> correlate (one order, volume rule) -> record (JSON) == Rendered ==> publish
//!                        table, key: what is one violation     message, mapping, attack, community_id
//!                        secured, hosts, calls: what only
//!                        several conversations show
//!  workers -> transaction (one JSON line per operation) == merge ==> a file
//! ```

mod alert;
mod attack;
mod calls;
pub mod community_id;
pub mod correlate;
pub mod highlights;
mod hosts;
mod id;
mod json;
mod key;
mod mapping;
mod message;
mod operation;
mod owned;
pub mod rules;
mod secured;
mod sensor;
mod table;
#[cfg(test)]
mod testing;
pub mod transaction;
pub mod unread;

use std::fmt;
use std::sync::Arc;

use lockkeeper_protocols::{Outcome, RequestRef, Side};

use crate::policy::certificate::Certificate;
use crate::policy::model::Channel;
use crate::policy::{Carrier, Denial, FlowVerdict, Host, Rule};

pub use crate::policy::rules::Severity;
pub use correlate::{Correlator, Counters, Settings, Tally};
pub use operation::{OperationView, ValuesView};
pub(crate) use owned::short_name;
pub use owned::{
    ALERT_BYTES, NAME_BYTES, OwnedNode, OwnedNodeId, OwnedOperation, OwnedTarget, OwnedValues, TRANSACTION_BYTES,
};
pub use rules::{InventoryRule, SensorRule};
pub use sensor::SensorAlert;
pub use transaction::{Captures, ConversationText, Transaction, merge_transactions, write_transaction};
pub use unread::{Unread, UnreadShare, window_of};

/// Where something stands in the one order of a run, whatever the number of workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SortKey {
    /// Packet clock when it became known, nanoseconds: never runs backwards.
    pub clock: i64,
    /// Running number of the packet that made it known (of a timeout: of the request).
    pub packet: u64,
    /// Counts what one packet made known.
    pub sub: u32,
}

/// What workers tell the correlator.
#[derive(Clone, Debug)]
pub enum Event {
    /// Something was not permitted, or is new.
    Finding(Box<Finding>),
    /// A fact that says something only beside what was seen before. The finding says where and when, not yet what.
    Fact(Box<Finding>, Fact),
    /// A denied operation was answered, or was not in time.
    Outcome {
        /// Which conversation: [`Finding::conversation`].
        conversation: u64,
        /// Which of its operations.
        at: RequestRef,
        /// How it ended.
        ending: Ending,
        /// Nothing more comes of it: after a timeout the answer is still waited for.
        is_last: bool,
    },
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// What the answer says, or that there is none.
    pub outcome: Outcome,
    /// The answer came after the time in which one is expected.
    pub late: bool,
}

impl From<Outcome> for Ending {
    /// In time.
    fn from(outcome: Outcome) -> Self {
        Self { outcome, late: false }
    }
}

/// What is known about a conversation, for the correlator.
#[derive(Clone, Debug)]
pub enum Fact {
    /// A secure channel is used for the first time.
    Channel(Channel),
    /// One end showed a certificate: DER.
    Certificate(Side, Box<[u8]>),
    /// One end told the URI of its application.
    Application(Side, Box<[u8]>),
    /// The client calls whoever is in reach: see [`FlowVerdict::is_to_all`].
    Call,
    /// The policy does not permit the conversation, in which only one side has spoken: perhaps in answer to a call.
    Unasked {
        /// Why it is not permitted.
        denial: Denial,
        /// Who has spoken.
        by: Side,
    },
    /// The other side speaks for the first time in a conversation that was [`Fact::Unasked`], and is still not permitted.
    Asked(Denial),
    /// The client was seen to send, by this address from this hardware on this VLAN.
    Sighting {
        /// It only says that the address is its own, as in ARP.
        claim: bool,
    },
}

/// One denial or discovery, with all that an alert says about it. Owns its data; nothing is formatted yet.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What it is about.
    pub what: What,
    /// Packet time, nanoseconds.
    pub time: i64,
    /// The packet that proves it.
    pub proving_packet: Evidence,
    /// The conversation: running number of its first packet.
    pub conversation: u64,
    /// Which request of the conversation, for operations.
    pub at: Option<RequestRef>,
    /// Who asks.
    pub client: Endpoint,
    /// Who answers.
    pub server: Endpoint,
    /// What carries it.
    pub carrier: Carrier,
    /// Zones and conduit.
    pub flow_verdict: Arc<FlowVerdict>,
    /// The protocol, such as `modbus`, if it was decoded; otherwise the alert names the port (`tcp/443`).
    pub protocol: Option<&'static str>,
    /// The operation, where it is about one.
    pub operation: Option<OwnedOperation>,
}

/// What a finding is about.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// The policy does not permit it.
    Denied(Denial),
    /// The policy does not permit it, and only its answer was seen, which says that it was carried out.
    RequestUnseen(Denial),
    /// A certificate that one end shows is not as the policy wants it.
    Certificate {
        /// What is wrong.
        denial: Denial,
        /// Whose it is.
        of: Side,
        /// The certificate.
        certificate: Arc<Certificate>,
    },
    /// A PDU breaks the specification: name of the anomaly, and the number at fault.
    Malformed {
        /// Such as `quantity_out_of_range`.
        name: &'static str,
        /// The number at fault.
        value: Option<u32>,
    },
    /// What a conversation says cannot be known for certain, or not all of it.
    Doubtful(Doubt),
    /// A host that is not declared in a zone that declares its assets (kind `violation`).
    UnknownAsset(Side),
    /// Who uses an address, or where, is not as the policy declares it (kind `violation`). It is about the client.
    Mismatch(Mismatch),
    /// First sight of a host in a zone that does not declare its assets, or without IP (kind `asset`, severity info).
    NewHost(Side),
    /// A device told who it is (kind `asset`, severity info).
    Identity {
        /// Whose.
        of: Side,
        /// The unit behind a gateway.
        unit: Option<u8>,
        /// Such as `vendor`.
        field: &'static str,
        /// What it said.
        value: String,
    },
}

/// Why what a conversation says cannot be known for certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Other bytes were sent for a place in a stream that was filled already, by this packet.
    DifferingRepeat(Evidence),
    /// Bytes were sent behind the end of a stream.
    DataAfterEnd,
    /// Fragments of a datagram overlap, and differ.
    OverlappingFragments,
    /// Too much was out of order, or incomplete: some of it was given up.
    GivenUp,
    /// A bound of the decoder was reached, by this name.
    Limit(&'static str),
}

impl Doubt {
    /// Its name in records, in snake_case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DifferingRepeat(_) => "differing_repeat",
            Self::DataAfterEnd => "data_after_end",
            Self::OverlappingFragments => "overlapping_fragments",
            Self::GivenUp => "too_much_out_of_order",
            Self::Limit(name) => name,
        }
    }

    /// The rule that it falls under.
    pub const fn rule(self) -> Rule {
        match self {
            Self::DifferingRepeat(_) | Self::DataAfterEnd | Self::OverlappingFragments => Rule::StreamAmbiguous,
            Self::GivenUp | Self::Limit(_) => Rule::StreamGivenUp,
        }
    }

    /// The packet that says something else.
    pub const fn other(self) -> Option<Evidence> {
        match self {
            Self::DifferingRepeat(other) => Some(other),
            _ => None,
        }
    }
}

/// How address, hardware and VLAN of a host differ from what the policy declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// The address of an asset comes from hardware that is not declared for it.
    Hardware {
        /// The asset.
        asset: u16,
        /// Its own hardware was seen as well, so that no router need bring its address here.
        seen_itself: bool,
        /// The other hardware looks like a router's.
        forwards: bool,
    },
    /// The hardware of an asset uses an address that is not declared for it.
    Address {
        /// The asset.
        asset: u16,
    },
    /// Addresses of several zones come from hardware that is not declared as a router's.
    Router,
    /// An address of a zone is on a VLAN that is not among the zone's.
    Vlan {
        /// The zone that declares the VLAN, if one does.
        of: Option<u16>,
        /// Other hardware uses the address on a VLAN of the zone.
        at_home: bool,
    },
}

/// One end of a conversation, for alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Addresses.
    pub host: Host,
    /// Port; 0 where there is none.
    pub port: u16,
}

/// Which packet proves something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Index of the capture.
    pub capture: u16,
    /// Number of the packet in it, from 1.
    pub packet: u64,
}

/// What one worker made of one block, sorted by [`SortKey`].
#[derive(Debug, Default)]
pub struct Report {
    /// For the correlator.
    pub events: Vec<(SortKey, Event)>,
    /// Finished transactions: one JSON line each, in [`Report::lines`].
    pub transactions: Vec<(SortKey, std::ops::Range<usize>)>,
    /// The text of the transactions.
    pub lines: Vec<u8>,
    /// Packets that were not read: the [window](window_of) that they fall into, why, and how many.
    pub unread: Vec<(i64, Unread, u64)>,
}

impl Report {
    /// Forgets everything but the allocations.
    pub fn clear(&mut self) {
        self.events.clear();
        self.transactions.clear();
        self.lines.clear();
        self.unread.clear();
    }

    /// A packet was not read, when the packet clock was `clock`.
    pub fn add_unread(&mut self, clock: i64, kind: Unread) {
        let window = window_of(clock);
        match self.unread.last_mut() {
            Some((last, of, count)) if (*last, *of) == (window, kind) => *count += 1,
            _ => self.unread.push((window, kind, 1)),
        }
    }
}

/// What sort of thing an alert tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The policy is violated.
    Violation,
    /// The inventory changed.
    Asset,
    /// The sensor tells about itself.
    Sensor,
}

impl Kind {
    /// The name in records and topics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Violation => "violation",
            Self::Asset => "asset",
            Self::Sensor => "sensor",
        }
    }
}

/// Identifies an alert: the same packet under the same policy gives the same one. Written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlertId(pub [u8; 16]);

impl fmt::Display for AlertId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for AlertId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// One revision of an alert, ready to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// What sort of thing it tells.
    pub kind: Kind,
    /// What was violated, or what it tells.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Which alert; a later revision supersedes an earlier one of the same id.
    pub id: AlertId,
    /// Packet time of what it tells, nanoseconds, if this is the first revision: from then on somebody waits for it.
    pub news: Option<i64>,
    /// One JSON object of schema `lockkeeper/alert/1`, without a line end.
    pub json: Vec<u8>,
    /// The request to keep the packets that prove a first revision, if the [settings](Settings::evidence_requests) ask for it.
    pub evidence_request: Option<Box<EvidenceRequest>>,
}

/// What a store of packets needs to know of an alert in order to keep the packets that prove it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceRequest {
    /// The rule.
    pub rule: &'static str,
    /// The sentence for people.
    pub message: String,
    /// The packet that proves the alert.
    pub proving_packet: Evidence,
    /// Running number of the packet at which the alert became known.
    pub known_at_packet: u64,
    /// The end that asks.
    pub client: Endpoint,
    /// The end that is asked.
    pub server: Endpoint,
    /// What carries the conversation.
    pub carrier: Carrier,
}
