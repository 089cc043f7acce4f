//! The policies for a generated capture: one that permits it, and those of other kinds.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::modbus::{ADDRESSES, MAX_VALUE, UNIT};
use super::opcua::{BULK, HISTORIAN, Habits, NAMESPACE, PANEL, node_ids};
use super::s7::{BLOCK_SIZE, BLOCKS};
use super::{CLIENTS, NETWORK4, NETWORK6, SERVERS, Settings, Speech, address};

/// The size of a policy beyond what permits the capture, as in a large plant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PolicySize {
    /// Flows of other hosts, in the same conduit: at most [`MAX_DECLARED`].
    pub(crate) flows: u32,
    /// Registers with a name and limits, distributed over the servers: at most [`MAX_DECLARED`].
    pub(crate) points: u32,
    /// Whether OPC UA nodes are named individually instead of as a namespace.
    pub(crate) nodes: bool,
}

/// How a policy judges the generated traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PolicyKind {
    /// No policy.
    None,
    /// One zone without a conduit contains all hosts.
    Observed,
    /// A conduit permits classes of operations on any target.
    Permitted,
    /// A conduit permits addresses, data blocks or nodes, so that the target of each operation counts.
    Limited,
    /// A conduit permits the protocol, but none of the operations.
    Denied,
}

impl PolicyKind {
    /// All kinds, from the cheapest to judge to the most expensive.
    pub(crate) const ALL: [Self; 5] = [Self::None, Self::Observed, Self::Permitted, Self::Limited, Self::Denied];

    /// Its name in options, files and tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Observed => "observed",
            Self::Permitted => "permitted",
            Self::Limited => "limited",
            Self::Denied => "denied",
        }
    }
}

/// The policy of a kind for a capture; `None` for no policy. A limited one permits all generated traffic except
/// [`Settings::violations`]; a permitting one permits those too.
pub(crate) fn policy(settings: &Settings, kind: PolicyKind) -> Option<String> {
    match kind {
        PolicyKind::None => None,
        PolicyKind::Observed => Some(format!("{HEAD}{}", one_zone(settings))),
        PolicyKind::Permitted | PolicyKind::Limited | PolicyKind::Denied => {
            Some(format!("{HEAD}{}", conduit(settings, kind)))
        }
    }
}

/// One zone with every host.
fn one_zone(settings: &Settings) -> String {
    let everywhere = if settings.ipv6 { "::/0" } else { "0.0.0.0/0" };
    format!("[zone.Z-ALL]\nnetworks = [\"{everywhere}\"]\n")
}

/// Clients and servers in a zone each, and the conduit between them.
fn conduit(settings: &Settings, kind: PolicyKind) -> String {
    let network = |(ipv4, ipv6): (Ipv4Addr, Ipv6Addr)| match settings.ipv6 {
        true => format!("{ipv6}/{NETWORK6}"),
        false => format!("{ipv4}/{NETWORK4}"),
    };
    let (clients, servers) = (network(CLIENTS), network(SERVERS));
    let mut text = format!(
        r#"[zone.Z-CLIENTS]
networks = ["{clients}"]

[zone.Z-SERVERS]
networks = ["{servers}"]

[conduit.C-BENCH]
zones = ["Z-CLIENTS", "Z-SERVERS"]
"#
    );
    (0..settings.policy.flows).for_each(|index| text += &neighbour(settings, kind, index));
    for (number, part) in (1..).zip(settings.speech.parts()) {
        text += &flow(settings, *part, kind, &format!("F-{number}"), ["zone:Z-CLIENTS", "zone:Z-SERVERS"]);
    }
    if settings.policy.points > 0 {
        (0..settings.flows).for_each(|server| text += &asset(settings, server));
        (0..settings.policy.points).for_each(|index| text += &point(settings, index));
    }
    text
}

/// A flow between two silent hosts at the ends of the networks.
fn neighbour(settings: &Settings, kind: PolicyKind, index: u32) -> String {
    let host = |network| address(settings.ipv6, network, super::MAX_FLOWS - 1 - index).to_string();
    let parts = settings.speech.parts();
    let part = parts[index as usize % parts.len()];
    flow(settings, part, kind, &format!("N-{index}"), [&host(CLIENTS), &host(SERVERS)])
}

fn flow(settings: &Settings, speech: Speech, kind: PolicyKind, id: &str, [from, to]: [&str; 2]) -> String {
    let (protocol, port) = (speech.protocol(), speech.application(settings).port());
    let session = match speech {
        Speech::ModbusTcp | Speech::ModbusRtu | Speech::Mix => "",
        Speech::S7comm => S7_SESSION,
        Speech::OpcUa | Speech::OpcUaHistorian | Speech::OpcUaPanel => OPCUA_SESSION,
    };
    let permitted = match kind {
        PolicyKind::Limited => limited(settings, speech),
        PolicyKind::Denied => entries(["browse"]),
        _ => entries(["read", "write", "subscribe"]),
    };
    format!(
        r#"
[[conduit.C-BENCH.flow]]
id       = "{id}"
from     = ["{from}"]
to       = ["{to}"]
protocol = "{protocol}"
port     = {port}
{session}allow    = [
{permitted}]
"#
    )
}

/// Permits classes of operations on any target.
fn entries<const N: usize>(classes: [&str; N]) -> String {
    classes.map(|op| format!("  {{ op = \"{op}\" }},\n")).concat()
}

/// Permits operations by target.
fn limited(settings: &Settings, speech: Speech) -> String {
    match speech {
        Speech::ModbusTcp | Speech::ModbusRtu | Speech::Mix => modbus(),
        Speech::S7comm => s7(),
        Speech::OpcUa => opcua(&BULK, settings.policy.nodes),
        Speech::OpcUaHistorian => opcua(&HISTORIAN, settings.policy.nodes),
        Speech::OpcUaPanel => opcua(&PANEL, settings.policy.nodes),
    }
}

/// The addresses of Modbus.
fn modbus() -> String {
    let last = ADDRESSES - 1;
    let entries = PERMITTED.map(|(op, table)| {
        format!("  {{ op = \"{op}\", modbus = {{ unit = {UNIT}, table = \"{table}\", addr = \"0-{last}\" }} }},\n")
    });
    entries.concat()
}

/// The data blocks of S7.
fn s7() -> String {
    let last = BLOCK_SIZE - 1;
    let entry = |op: &str, block| {
        format!("  {{ op = \"{op}\", s7 = {{ area = \"DB\", db = {block}, bytes = \"0-{last}\" }} }},\n")
    };
    (1..=BLOCKS).flat_map(|block| [entry("read", block), entry("write", block)]).collect()
}

/// The nodes of one namespace, and subscriptions to them.
fn opcua(habits: &Habits, one_by_one: bool) -> String {
    let nodes = match one_by_one {
        true => node_ids(habits).map(|id| format!("\"ns={NAMESPACE};{id}\"")).collect::<Vec<_>>().join(", "),
        false => format!("\"ns={NAMESPACE};*\""),
    };
    ["read", "write", "subscribe"]
        .map(|op| format!("  {{ op = \"{op}\", opcua = {{ nodes = [{nodes}] }} }},\n"))
        .concat()
}

/// All hosts of a zone as assets, because a zone that declares assets must declare every host.
fn asset(settings: &Settings, server: u32) -> String {
    let ip: IpAddr = address(settings.ipv6, SERVERS, server);
    format!("\n[asset.PLC-{server}]\nzone = \"Z-SERVERS\"\nip   = \"{ip}\"\n")
}

/// A register that is polled and set, with limits that every generated value keeps.
fn point(settings: &Settings, index: u32) -> String {
    let (server, address) = (index % settings.flows, index / settings.flows % u32::from(ADDRESSES));
    format!(
        r#"
[point.P-{index}]
asset  = "PLC-{server}"
modbus = {{ unit = {UNIT}, table = "holding_register", addr = "{address}" }}
min    = 0
max    = {MAX_VALUE}
"#
    )
}

/// The beginning of every policy.
const HEAD: &str = r#"# Judges what benches/generator sends: made together with the capture.
schema = "lockkeeper-policy/1"

[policy]
id      = "BENCH"
title   = "Generated plant"
version = "1"

"#;
/// The connection of an operator panel.
const S7_SESSION: &str = r#"s7       = { connection = "OP", rack = 0, slot = 2, password = "forbidden" }
"#;
/// Channels in the clear are in order.
const OPCUA_SESSION: &str = "opcua    = { min_mode = \"None\" }\n";

/// What every flow of Modbus permits where targets count.
const PERMITTED: [(&str, &str); 5] = [
    ("read", "coil"),
    ("read", "input_register"),
    ("read", "holding_register"),
    ("write", "coil"),
    ("write", "holding_register"),
];

/// What a policy may declare of one kind, with room to spare.
pub(super) const MAX_DECLARED: u32 = 50_000;
