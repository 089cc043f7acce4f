//! What makes two findings the same alert.

use std::fmt;
use std::net::IpAddr;

use lockkeeper_protocols::{Protocol, Side};

use super::{Endpoint, Finding, FindingKind, Mismatch, OwnedTarget};
use crate::policy::{Carrier, Host, Place, Rule};

/// Two findings with equal keys are one alert. The client's port is not part of the key, so a client that reconnects opens no
/// new alert.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// A violation between two hosts.
    Violation(Box<Violation>),
    /// An unknown host, whatever its peers.
    UnknownAsset(Party),
    /// A host whose hardware, address or VLAN differs from the policy, whatever its peers.
    Mismatch { rule: Rule, asset: Option<u16>, ip: Option<IpAddr>, mac: Option<[u8; 6]>, vlan: Option<u16> },
    /// A new host.
    NewHost(Party),
    /// A fact about a device.
    Identity {
        /// The device.
        host: Party,
        /// The unit behind a gateway.
        unit: Option<u8>,
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
    },
}

/// What makes two violations the same: rule, endpoints, conduit, function, target.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Violation {
    rule: Rule,
    client: Party,
    server: Party,
    conduit: Option<u16>,
    flow: Option<u16>,
    protocol: ProtocolLabel,
    function: Option<(&'static str, u32)>,
    target: OwnedTarget,
    anomaly: Option<&'static str>,
    /// Thumbprint of the certificate that the violation is about.
    certificate: Option<String>,
}

/// A host as alerts tell hosts apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Party {
    zone: Option<u16>,
    address: Address,
}

/// A hardware address counts only without an IP address: behind a router it is the router's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Address {
    Ip(IpAddr),
    Mac([u8; 6]),
    Nothing,
}

impl Party {
    fn new(end: &Endpoint, place: Place) -> Self {
        let address = match (end.host.ip, end.host.mac) {
            (Some(ip), _) => Address::Ip(ip),
            (None, Some(mac)) => Address::Mac(mac),
            (None, None) => Address::Nothing,
        };
        Self { zone: place.zone, address }
    }

    pub(super) fn of(finding: &Finding, side: Side) -> Self {
        let (end, place) = end_of(finding, side);
        Self::new(end, place)
    }
}

impl Key {
    /// The alert that a finding belongs to.
    pub(super) fn of(finding: &Finding) -> Self {
        match &finding.what {
            FindingKind::Denied(denial) => Self::violation(finding, denial.rule, denial.flow, None),
            FindingKind::RequestUnseen(denial) => {
                Self::violation(finding, Rule::OperationRequestUnseen, denial.flow, None)
            }
            FindingKind::Certificate { denial, certificate, .. } => {
                let mut key = Self::violation(finding, denial.rule, denial.flow, None);
                if let Self::Violation(violation) = &mut key {
                    violation.certificate = Some(certificate.thumbprint.clone());
                }
                key
            }
            FindingKind::Malformed { name, .. } => Self::violation(finding, Rule::ProtoMalformed, None, Some(name)),
            FindingKind::Doubtful(doubt) => Self::violation(finding, doubt.rule(), None, Some(doubt.name())),
            FindingKind::UnknownAsset(side) => Self::UnknownAsset(Party::of(finding, *side)),
            FindingKind::Mismatch(mismatch) => Self::mismatch(finding, *mismatch),
            FindingKind::NewHost(side) => Self::NewHost(Party::of(finding, *side)),
            FindingKind::Identity { of, unit, field, value } => {
                Self::Identity { host: Party::of(finding, *of), unit: *unit, field, value: value.clone() }
            }
        }
    }

    /// The key of a mismatch: the parts that distinguish one such alert from another.
    fn mismatch(finding: &Finding, mismatch: Mismatch) -> Self {
        let Host { ip, mac, vlan } = finding.client.host;
        let (asset, ip, mac, vlan) = match mismatch {
            Mismatch::Hardware { asset, .. } => (Some(asset), None, mac, None),
            Mismatch::Address { asset } => (Some(asset), ip, None, None),
            Mismatch::Router => (None, None, mac, None),
            Mismatch::Vlan { .. } => (None, ip, None, vlan),
        };
        Self::Mismatch { rule: mismatch.rule(), asset, ip, mac, vlan }
    }

    fn violation(finding: &Finding, rule: Rule, flow: Option<u16>, anomaly: Option<&'static str>) -> Self {
        let operation = finding.operation.as_ref();
        Self::Violation(Box::new(Violation {
            rule,
            client: Party::of(finding, Side::Client),
            server: Party::of(finding, Side::Server),
            conduit: finding.flow_verdict.conduit,
            flow,
            protocol: ProtocolLabel::of(finding.protocol, finding.carrier, finding.server.port),
            function: operation.map(|operation| (operation.function, operation.code)),
            target: operation.map(|operation| operation.target.clone()).unwrap_or_default(),
            anomaly,
            certificate: None,
        }))
    }
}

/// The end of a finding's conversation on one side, and where it belongs.
pub(super) fn end_of(finding: &Finding, side: Side) -> (&Endpoint, Place) {
    match side {
        Side::Client => (&finding.client, finding.flow_verdict.client),
        Side::Server => (&finding.server, finding.flow_verdict.server),
    }
}

/// The protocol of a conversation: a decoded one, or what the headers name. Displays as in alerts: `modbus`, `tcp/443`,
/// `udp/123`, `ip/47`, `ethernet/0x8892`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ProtocolLabel {
    /// A protocol of the registry.
    Decoded(&'static str),
    /// Anything else, with the server's port.
    Headers(Carrier, u16),
}

impl ProtocolLabel {
    pub(super) fn of(protocol: Option<&'static str>, carrier: Carrier, server_port: u16) -> Self {
        protocol.map_or(Self::Headers(carrier, server_port), Self::Decoded)
    }

    /// For people: `Modbus`, `TCP port 443`.
    pub(super) fn title(self) -> String {
        match self {
            Self::Decoded(name) => Protocol::named(name).map_or(name, |row| row.display_name).to_owned(),
            Self::Headers(Carrier::Tcp, port) => format!("TCP port {port}"),
            Self::Headers(Carrier::Udp, port) => format!("UDP port {port}"),
            Self::Headers(Carrier::Ip(protocol), _) => format!("IP protocol {protocol}"),
            Self::Headers(Carrier::Ethernet(ether_type), _) => format!("EtherType 0x{ether_type:04x}"),
        }
    }
}

impl fmt::Display for ProtocolLabel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decoded(name) => formatter.write_str(name),
            Self::Headers(Carrier::Tcp, port) => write!(formatter, "tcp/{port}"),
            Self::Headers(Carrier::Udp, port) => write!(formatter, "udp/{port}"),
            Self::Headers(Carrier::Ip(protocol), _) => write!(formatter, "ip/{protocol}"),
            Self::Headers(Carrier::Ethernet(ether_type), _) => write!(formatter, "ethernet/0x{ether_type:04x}"),
        }
    }
}
