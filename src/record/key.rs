//! What makes two findings the same alert.

use std::fmt;
use std::net::IpAddr;

use lockkeeper_protocols::{Protocol, Side};

use super::{Endpoint, Finding, Mismatch, OwnedTarget, What};
use crate::policy::{Carrier, Host, Place, Rule};

/// Two findings with equal keys are one alert. The client's port is not part of it: a client that reconnects goes on
/// doing the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// A violation between two hosts.
    Violation(Box<Violation>),
    /// An unknown host, whoever it speaks to.
    UnknownAsset(Party),
    /// A host that is not who, or where, it should be, whoever it speaks to.
    Mismatch { rule: Rule, asset: Option<u16>, ip: Option<IpAddr>, mac: Option<[u8; 6]>, vlan: Option<u16> },
    /// A host that was never seen before.
    NewHost(Party),
    /// A fact about a device.
    Identity {
        /// Whose.
        host: Party,
        /// The unit behind a gateway.
        unit: Option<u8>,
        /// Which fact.
        field: &'static str,
        /// What it is.
        value: String,
    },
}

/// The volume rule of the design: rule, endpoints, conduit, function, target.
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
    /// Thumbprint of the certificate that it is about.
    certificate: Option<String>,
}

/// A host as far as an alert tells hosts apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Party {
    zone: Option<u16>,
    address: Address,
}

/// A hardware address counts only where there is no IP: behind a router it is the router's.
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
            What::Denied(denial) => Self::violation(finding, denial.rule, denial.flow, None),
            What::RequestUnseen(denial) => Self::violation(finding, Rule::OperationRequestUnseen, denial.flow, None),
            What::Certificate { denial, certificate, .. } => {
                let mut key = Self::violation(finding, denial.rule, denial.flow, None);
                if let Self::Violation(violation) = &mut key {
                    violation.certificate = Some(certificate.thumbprint.clone());
                }
                key
            }
            What::Malformed { name, .. } => Self::violation(finding, Rule::ProtoMalformed, None, Some(name)),
            What::Doubtful(doubt) => Self::violation(finding, doubt.rule(), None, Some(doubt.name())),
            What::UnknownAsset(side) => Self::UnknownAsset(Party::of(finding, *side)),
            What::Mismatch(mismatch) => Self::mismatch(finding, *mismatch),
            What::NewHost(side) => Self::NewHost(Party::of(finding, *side)),
            What::Identity { of, unit, field, value } => {
                Self::Identity { host: Party::of(finding, *of), unit: *unit, field, value: value.clone() }
            }
        }
    }

    /// What is said about a host, as far as one such alert is told from another.
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

/// What is spoken: a decoded protocol, or what its headers say. Displays as in alerts: `modbus`, `tcp/443`,
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
