//! The policy under which a generated capture is in order.

use super::modbus::{ADDRESSES, UNIT};
use super::s7::{BLOCK_SIZE, BLOCKS};
use super::{CLIENTS, NETWORK4, NETWORK6, SERVERS, Settings, Speech};

/// A policy that permits everything that is generated, except what [`Settings::violations`] asks for.
pub(crate) fn policy(settings: &Settings) -> String {
    let network = |(ipv4, ipv6): (std::net::Ipv4Addr, std::net::Ipv6Addr)| match settings.ipv6 {
        true => format!("{ipv6}/{NETWORK6}"),
        false => format!("{ipv4}/{NETWORK4}"),
    };
    let (clients, servers) = (network(CLIENTS), network(SERVERS));
    let flow = match settings.speech {
        Speech::ModbusTcp => modbus(),
        Speech::S7comm => s7(),
    };
    format!(
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

[[conduit.C-BENCH.flow]]
id       = "F-1"
from     = ["zone:Z-CLIENTS"]
to       = ["zone:Z-SERVERS"]
{flow}"#
    )
}

/// What the Modbus flow permits.
fn modbus() -> String {
    let last = ADDRESSES - 1;
    format!(
        r#"protocol = "modbus"
port     = 502
allow    = [
  {{ op = "read",  modbus = {{ unit = {UNIT}, table = "coil", addr = "0-{last}" }} }},
  {{ op = "read",  modbus = {{ unit = {UNIT}, table = "input_register", addr = "0-{last}" }} }},
  {{ op = "read",  modbus = {{ unit = {UNIT}, table = "holding_register", addr = "0-{last}" }} }},
  {{ op = "write", modbus = {{ unit = {UNIT}, table = "coil", addr = "0-{last}" }} }},
  {{ op = "write", modbus = {{ unit = {UNIT}, table = "holding_register", addr = "0-{last}" }} }},
]
"#
    )
}

/// What the S7 flow permits: some data blocks, over a connection of an operator panel.
fn s7() -> String {
    let last = BLOCK_SIZE - 1;
    let entry = |op: &str, block| {
        format!("  {{ op = \"{op}\", s7 = {{ area = \"DB\", db = {block}, bytes = \"0-{last}\" }} }},\n")
    };
    let entries: String = (1..=BLOCKS).flat_map(|block| [entry("read", block), entry("write", block)]).collect();
    format!(
        r#"protocol = "s7comm"
port     = 102
s7       = {{ connection = "OP", rack = 0, slot = 2, password = "forbidden" }}
allow    = [
{entries}]
"#
    )
}
