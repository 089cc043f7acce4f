//! The policy under which a generated capture is in order.

use super::modbus::{ADDRESSES, UNIT};
use super::{CLIENTS, NETWORK4, NETWORK6, SERVERS, Settings};

/// A policy that permits everything that is generated, except what [`Settings::violations`] asks for.
pub(crate) fn policy(settings: &Settings) -> String {
    let network = |(ipv4, ipv6): (std::net::Ipv4Addr, std::net::Ipv6Addr)| match settings.ipv6 {
        true => format!("{ipv6}/{NETWORK6}"),
        false => format!("{ipv4}/{NETWORK4}"),
    };
    let (clients, servers) = (network(CLIENTS), network(SERVERS));
    let last = ADDRESSES - 1;
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
protocol = "modbus"
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
