//! What workers report to the correlator: findings, facts and outcomes. They own their data; nothing is formatted yet.

use std::sync::Arc;

use lockkeeper_protocols::{Outcome, RequestRef, Side};

use super::owned::OwnedOperation;
use crate::policy::certificate::Certificate;
use crate::policy::model::Channel;
use crate::policy::{Carrier, Denial, FlowVerdict, Host, Rule};

/// One message of a worker to the correlator.
#[derive(Clone, Debug)]
pub enum Event {
    /// Something is not permitted, or is new.
    Finding(Box<Finding>),
    /// A fact that becomes a finding only beside earlier facts. The finding says where and when, not yet what.
    Fact(Box<Finding>, Fact),
    /// The outcome of a denied operation, or that its answer is overdue.
    Outcome {
        /// The conversation: [`Finding::conversation`].
        conversation: u64,
        /// Which of its operations.
        at: RequestRef,
        /// How the operation ended.
        ending: Ending,
        /// No further outcome follows. `false` after a timeout, because the answer may still come.
        is_last: bool,
    },
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// What the answer says, or that there is none.
    pub outcome: Outcome,
    /// The answer came after the answer timeout.
    pub late: bool,
}

impl From<Outcome> for Ending {
    /// In time.
    fn from(outcome: Outcome) -> Self {
        Self { outcome, late: false }
    }
}

/// A fact about a conversation, which the correlator compares with those of other conversations.
#[derive(Clone, Debug)]
pub enum Fact {
    /// A secure channel is used for the first time.
    Channel(Channel),
    /// One end showed a certificate: DER.
    Certificate(Side, Box<[u8]>),
    /// One end gave the URI of its application.
    Application(Side, Box<[u8]>),
    /// The client calls every host in reach: see [`FlowVerdict::is_to_all`].
    Call,
    /// The policy does not permit the conversation, in which only one side has sent: perhaps in answer to a call.
    Unasked {
        /// Why it is not permitted.
        denial: Denial,
        /// The side that has sent.
        by: Side,
    },
    /// The other side sends for the first time in a conversation that was [`Fact::Unasked`], and is still not permitted.
    Asked(Denial),
    /// The client was seen to send, with this address from this hardware on this VLAN.
    Sighting {
        /// The packet only claims the address, as ARP does.
        claim: bool,
    },
}

/// One denial or discovery, with everything that an alert says about it.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What was found.
    pub what: FindingKind,
    /// Packet time, nanoseconds.
    pub time: i64,
    /// The packet that proves it.
    pub proving_packet: Evidence,
    /// The conversation: running number of its first packet.
    pub conversation: u64,
    /// The request in the conversation, for operations.
    pub at: Option<RequestRef>,
    /// The end that asks.
    pub client: Endpoint,
    /// The end that is asked.
    pub server: Endpoint,
    /// What carries the conversation.
    pub carrier: Carrier,
    /// Zones and conduit.
    pub flow_verdict: Arc<FlowVerdict>,
    /// The protocol, such as `modbus`, if it was decoded; otherwise the alert names the port (`tcp/443`).
    pub protocol: Option<&'static str>,
    /// The operation, if the finding is about one.
    pub operation: Option<OwnedOperation>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub enum FindingKind {
    /// The policy does not permit it.
    Denied(Denial),
    /// The policy does not permit it, and only the answer was seen, which says that it was carried out.
    RequestUnseen(Denial),
    /// A certificate that one end shows violates the policy.
    Certificate {
        /// The violation.
        denial: Denial,
        /// The end that shows it.
        of: Side,
        /// The certificate.
        certificate: Arc<Certificate>,
    },
    /// A PDU breaks the specification.
    Malformed {
        /// Name of the anomaly, such as `quantity_out_of_range`.
        name: &'static str,
        /// The number at fault.
        value: Option<u32>,
    },
    /// The content of a conversation is ambiguous, or not known in full.
    Doubtful(Doubt),
    /// A host that is not declared in a zone that declares its assets (kind `violation`).
    UnknownAsset(Side),
    /// Hardware, address or VLAN of the client differ from the policy (kind `violation`).
    Mismatch(Mismatch),
    /// First sight of a host in a zone that does not declare its assets, or without IP (kind `asset`, severity info).
    NewHost(Side),
    /// A device identified itself (kind `asset`, severity info).
    Identity {
        /// The end that is identified.
        of: Side,
        /// The unit behind a gateway.
        unit: Option<u8>,
        /// The field, such as `vendor`.
        field: &'static str,
        /// Its value.
        value: String,
    },
}

/// Why the content of a conversation is not known for certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Other bytes were sent for a place in a stream that had been filled by this packet.
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
    /// The anomaly's name in records, in snake_case.
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

    /// The packet with the other bytes.
    pub const fn other(self) -> Option<Evidence> {
        match self {
            Self::DifferingRepeat(other) => Some(other),
            _ => None,
        }
    }
}

/// How hardware, address or VLAN of a host differ from the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// The address of an asset comes from hardware that is not declared for it.
    Hardware {
        /// The asset.
        asset: u16,
        /// The asset's own hardware was seen on this link as well, so no router need bring its address here.
        own_hardware_seen: bool,
        /// The other hardware forwards for several zones, as a router does.
        forwards: bool,
    },
    /// The hardware of an asset uses an address that is not declared for it.
    Address {
        /// The asset.
        asset: u16,
    },
    /// Addresses of several zones come from hardware that no declared router has.
    Router,
    /// An address of a zone is on a VLAN that is not among the zone's.
    Vlan {
        /// The zone that declares the VLAN, if one does.
        of: Option<u16>,
        /// Other hardware uses the address on a VLAN of the zone.
        used_on_zone_vlan: bool,
    },
}

impl Mismatch {
    /// The rule that is violated.
    pub(super) const fn rule(self) -> Rule {
        match self {
            Self::Hardware { .. } => Rule::AssetOtherHardware,
            Self::Address { .. } => Rule::AssetUndeclaredAddress,
            Self::Router => Rule::AssetUndeclaredRouter,
            Self::Vlan { .. } => Rule::ZoneOtherVlan,
        }
    }
}

/// One end of a conversation, for alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Addresses.
    pub host: Host,
    /// Port; 0 where there is none.
    pub port: u16,
}

/// A packet that proves something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Index of the capture.
    pub capture: u16,
    /// Number of the packet in it, from 1.
    pub packet: u64,
}
