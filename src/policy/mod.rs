//! Zones, conduits and points: what is declared, and the verdict on what is seen.

use std::net::IpAddr;

use lockkeeper_protocols::{Operation, Side};

/// One end of a conversation, as the wire shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Host {
    /// Address; none for traffic without IP.
    pub ip: Option<IpAddr>,
    /// Hardware address as seen at the tap; behind a router it is the router's.
    pub mac: Option<[u8; 6]>,
    /// VLAN id.
    pub vlan: Option<u16>,
}

/// What the verdict on a flow depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Link {
    /// Who asks.
    pub client: Host,
    /// Who answers.
    pub server: Host,
    /// What carries it.
    pub transport: Carrier,
    /// Port of the server; 0 where there is none.
    pub server_port: u16,
}

/// What carries a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// Another IP protocol, by number (1 ICMP, 47 GRE, ...).
    Ip(u8),
    /// No IP, by EtherType.
    Ethernet(u16),
}

/// Where a host belongs: indices that [`Policy`] turns into names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The zone; none is the zone `unknown`.
    pub zone: Option<u16>,
    /// The declared asset, if it is one.
    pub asset: Option<u16>,
}

/// Everything about a flow that its verdicts need: made once a flow, kept beside it.
#[derive(Clone, Debug)]
pub struct Ruling {
    /// Where the client belongs.
    pub client: Place,
    /// Where the server belongs.
    pub server: Place,
    /// The conduit that is crossed, if one is declared between the two zones.
    pub conduit: Option<u16>,
}

/// The ids of the policy's own rules, as they stand in alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Traffic between zones that no conduit connects.
    ConduitUndeclared,
    /// A conduit exists, but none of its flows names these two hosts in this direction.
    FlowUndeclaredPeer,
    /// The hosts are named, but not with this protocol or port.
    FlowUndeclaredProtocol,
    /// The flow is declared, but does not permit this class or function.
    OperationUndeclared,
    /// The class is permitted, but not on this address.
    AddressUndeclared,
    /// The address is permitted, but not with this value.
    ValueOutOfLimits,
    /// A host that is not declared in a zone which declares its assets.
    AssetUnknown,
    /// A PDU that breaks its protocol's specification.
    ProtoMalformed,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 8] = [
        Self::ConduitUndeclared,
        Self::FlowUndeclaredPeer,
        Self::FlowUndeclaredProtocol,
        Self::OperationUndeclared,
        Self::AddressUndeclared,
        Self::ValueOutOfLimits,
        Self::AssetUnknown,
        Self::ProtoMalformed,
    ];

    /// The id in alerts, such as `operation.undeclared`.
    pub const fn id(self) -> &'static str {
        match self {
            Self::ConduitUndeclared => "conduit.undeclared",
            Self::FlowUndeclaredPeer => "flow.undeclared-peer",
            Self::FlowUndeclaredProtocol => "flow.undeclared-protocol",
            Self::OperationUndeclared => "operation.undeclared",
            Self::AddressUndeclared => "address.undeclared",
            Self::ValueOutOfLimits => "value.out-of-limits",
            Self::AssetUnknown => "asset.unknown",
            Self::ProtoMalformed => "proto.malformed",
        }
    }
}

/// The verdict on a flow or an operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// A declared flow permits it.
    Permit {
        /// Which flow (index), if one is what permits it.
        flow: Option<u16>,
    },
    /// Not judged (inside one zone, or neither end in any zone), only recorded.
    Observe,
    /// Not permitted.
    Deny(Denial),
}

/// Why something is not permitted. Small and `Copy`: the sentence is made by [`Policy::message`] when somebody asks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Denial {
    /// The rule that is violated.
    pub rule: Rule,
    /// The flow that came closest to permitting it.
    pub flow: Option<u16>,
    /// What exactly was outside.
    pub reason: Reason,
}

/// The particulars of a denial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reason {
    /// The rule says it all.
    Plain,
    /// A value is beyond a limit of a point.
    Value {
        /// The point (index), or none for limits written in the flow itself.
        point: Option<u16>,
        /// The value, as the point's type reads it.
        value: f64,
        /// Which limit.
        limit: Limit,
    },
}

/// The limits of a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// Below `min`.
    Min(f64),
    /// Above `max`.
    Max(f64),
    /// Not one of `values`.
    List,
    /// Further from the value before it than `max_step`; that value.
    Step {
        /// The largest step allowed.
        max: f64,
        /// The value before.
        from: f64,
    },
}

/// The last values seen of points that limit their step, for one pair of hosts.
#[derive(Clone, Debug, Default)]
pub struct LastValues(pub Vec<(u16, f64)>);

/// A policy, resolved and compiled: it cannot refer to something that does not exist.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// `[policy] id`.
    pub id: String,
    /// `[policy] version`.
    pub version: String,
    /// SHA-256 of the file, lower-case hexadecimal.
    pub sha256: String,
}

impl Policy {
    /// Takes the verdicts that depend on the flow alone. Called once a flow (and again when its roles change).
    pub fn ruling(&self, _link: &Link) -> Ruling {
        Ruling { client: Place { zone: None, asset: None }, server: Place { zone: None, asset: None }, conduit: None }
    }

    /// The verdict on a flow as such. `protocol` is the name that the dissector gave it, none when it is not decoded:
    /// then the server's port and the carrier decide (`tcp/443`, well-known names).
    pub fn judge_flow(&self, _ruling: &Ruling, _protocol: Option<&str>) -> Verdict {
        Verdict::Observe
    }

    /// The verdict on one operation of a flow whose protocol is known. Does not allocate.
    pub fn judge(&self, _ruling: &Ruling, _operation: &Operation<'_>, _last: &mut LastValues) -> Verdict {
        Verdict::Observe
    }

    /// What a read answered, for points that limit their step.
    pub fn learn_values(&self, _ruling: &Ruling, _operation: &Operation<'_>, _last: &mut LastValues) {}

    /// Whether a host is unknown in a zone that declares its assets (`true`: rule `asset.unknown`).
    pub fn is_unknown_asset(&self, _place: Place) -> bool {
        false
    }

    /// The name of a zone in the file, such as `Z-LOCK`; `unknown` for none.
    pub fn zone_name(&self, _zone: Option<u16>) -> &str {
        "unknown"
    }

    /// The name of an asset, such as `PLC-BRIDGE`.
    pub fn asset_name(&self, _asset: u16) -> &str {
        ""
    }

    /// The name of a conduit, such as `C-SCADA-LOCK`.
    pub fn conduit_name(&self, _conduit: u16) -> &str {
        ""
    }

    /// The id of a flow, such as `F-101`.
    pub fn flow_id(&self, _flow: u16) -> &str {
        ""
    }

    /// The second half of an alert's message: what is permitted instead, such as
    /// `conduit C-REMOTE-LOCK permits only read`. `protocol` is the display name of what was seen.
    pub fn message(&self, _ruling: &Ruling, _denial: &Denial, _protocol: &str) -> String {
        String::new()
    }

    /// Which side of a link makes it `asset.unknown`.
    pub fn unknown_sides(&self, ruling: &Ruling) -> impl Iterator<Item = Side> + use<> {
        let unknown = [
            (Side::Client, self.is_unknown_asset(ruling.client)),
            (Side::Server, self.is_unknown_asset(ruling.server)),
        ];
        unknown.into_iter().filter_map(|(side, is)| is.then_some(side))
    }
}
