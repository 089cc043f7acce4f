//! The policy under which a generated capture is in order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::modbus::{ADDRESSES, MAX_VALUE, UNIT};
use super::opcua::{BULK, Habits, NAMESPACE, PANEL, node_ids};
use super::s7::{BLOCK_SIZE, BLOCKS};
use super::{CLIENTS, NETWORK4, NETWORK6, SERVERS, Settings, Speech, address};

/// How much a policy declares besides what it takes to permit the capture: what a large plant would have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PolicySize {
    /// Flows of other hosts, in the same conduit: at most [`MAX_DECLARED`].
    pub(crate) flows: u32,
    /// Registers of the servers with a name and limits, dealt to all of them: at most [`MAX_DECLARED`].
    pub(crate) points: u32,
    /// The nodes of OPC UA are named one by one, not as a namespace.
    pub(crate) nodes: bool,
}

/// A policy that permits everything that is generated, except what [`Settings::violations`] asks for.
pub(crate) fn policy(settings: &Settings) -> String {
    let network = |(ipv4, ipv6): (Ipv4Addr, Ipv6Addr)| match settings.ipv6 {
        true => format!("{ipv6}/{NETWORK6}"),
        false => format!("{ipv4}/{NETWORK4}"),
    };
    let (clients, servers) = (network(CLIENTS), network(SERVERS));
    let mut text = format!(
        r#"# Permits what benches/generator sends: made together with the capture.
schema = "lockkeeper-policy/1"

[policy]
id      = "BENCH"
title   = "Generated plant"
version = "1"

[zone.Z-CLIENTS]
networks = ["{clients}"]

[zone.Z-SERVERS]
networks = ["{servers}"]

[conduit.C-BENCH]
zones = ["Z-CLIENTS", "Z-SERVERS"]
"#
    );
    (0..settings.policy.flows).for_each(|index| text += &neighbour(settings, index));
    for (number, part) in (1..).zip(settings.speech.parts()) {
        text += &flow(settings, *part, &format!("F-{number}"), "zone:Z-CLIENTS", "zone:Z-SERVERS");
    }
    if settings.policy.points > 0 {
        (0..settings.flows).for_each(|server| text += &asset(settings, server));
        (0..settings.policy.points).for_each(|index| text += &point(settings, index));
    }
    text
}

/// A flow between two hosts that say nothing: those at the far ends of the networks.
fn neighbour(settings: &Settings, index: u32) -> String {
    let host = |network| address(settings.ipv6, network, super::MAX_FLOWS - 1 - index).to_string();
    let parts = settings.speech.parts();
    flow(settings, parts[index as usize % parts.len()], &format!("N-{index}"), &host(CLIENTS), &host(SERVERS))
}

fn flow(settings: &Settings, speech: Speech, id: &str, from: &str, to: &str) -> String {
    let (protocol, port) = (speech.protocol(), speech.application(settings).port());
    let permitted = match speech {
        Speech::ModbusTcp | Speech::ModbusRtu | Speech::Mix => modbus(),
        Speech::S7comm => s7(),
        Speech::OpcUa => opcua(&BULK, settings.policy.nodes),
        Speech::OpcUaPanel => opcua(&PANEL, settings.policy.nodes),
    };
    format!(
        r#"
[[conduit.C-BENCH.flow]]
id       = "{id}"
from     = ["{from}"]
to       = ["{to}"]
protocol = "{protocol}"
port     = {port}
{permitted}"#
    )
}

/// What a flow of Modbus permits.
fn modbus() -> String {
    let last = ADDRESSES - 1;
    let entries = PERMITTED.map(|(op, table)| {
        format!("  {{ op = \"{op}\", modbus = {{ unit = {UNIT}, table = \"{table}\", addr = \"0-{last}\" }} }},\n")
    });
    format!("allow    = [\n{}]\n", entries.concat())
}

/// What a flow of S7 permits: some data blocks, over a connection of an operator panel.
fn s7() -> String {
    let last = BLOCK_SIZE - 1;
    let entry = |op: &str, block| {
        format!("  {{ op = \"{op}\", s7 = {{ area = \"DB\", db = {block}, bytes = \"0-{last}\" }} }},\n")
    };
    let entries: String = (1..=BLOCKS).flat_map(|block| [entry("read", block), entry("write", block)]).collect();
    let connection = r#"s7       = { connection = "OP", rack = 0, slot = 2, password = "forbidden" }"#;
    format!("{connection}\nallow    = [\n{entries}]\n")
}

/// What a flow of OPC UA permits: the nodes of one namespace, and subscriptions to them.
fn opcua(habits: &Habits, one_by_one: bool) -> String {
    let nodes = match one_by_one {
        true => node_ids(habits).map(|id| format!("\"ns={NAMESPACE};{id}\"")).collect::<Vec<_>>().join(", "),
        false => format!("\"ns={NAMESPACE};*\""),
    };
    let entries =
        ["read", "write", "subscribe"].map(|op| format!("  {{ op = \"{op}\", opcua = {{ nodes = [{nodes}] }} }},\n"));
    format!("opcua    = {{ min_mode = \"None\" }}\nallow    = [\n{}]\n", entries.concat())
}

/// A zone that declares one host declares all of them.
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

/// What every flow of Modbus permits.
const PERMITTED: [(&str, &str); 5] = [
    ("read", "coil"),
    ("read", "input_register"),
    ("read", "holding_register"),
    ("write", "coil"),
    ("write", "holding_register"),
];

/// What a policy may declare of one kind, with room to spare.
pub(super) const MAX_DECLARED: u32 = 50_000;
