//! Findings for tests.

use std::sync::Arc;

use lockkeeper_protocols::{Class, RequestRef, Table, Target};

use super::{Endpoint, Evidence, Finding, FindingKind, OwnedOperation, OwnedTarget, OwnedValues, Settings};
use crate::policy::{Carrier, Denial, FlowVerdict, Host, Place, Policy, Reason, Rule};

/// 2026-01-02T03:04:05Z, where tests begin.
pub(super) const START: i64 = 1_767_323_045_000_000_000;
pub(super) const SECOND: i64 = 1_000_000_000;

pub(super) fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.id.push('P');
    policy.version.push('7');
    policy.sha256.push_str("00ff");
    policy
}

pub(super) fn settings() -> Settings {
    Settings {
        sensor: "lock-east-1".to_owned(),
        site: "lock-east".to_owned(),
        captures: vec!["day.pcap".to_owned()],
        ..Settings::default()
    }
}

pub(super) fn write_register(address: u16, value: u16) -> OwnedOperation {
    OwnedOperation {
        class: Class::Write,
        function: "write_single_register",
        code: 6,
        ambiguous: false,
        target: OwnedTarget::Plain(Target::Table { unit: 1, table: Table::HoldingRegister, address, count: 1 }),
        values: OwnedValues::Numbers(vec![value]),
    }
}

/// An undeclared write by 10.20.9.9 to 10.20.1.10, some nanoseconds after [`START`].
pub(super) fn finding(after: i64) -> Finding {
    let place = Place { zone: None, asset: None };
    let host = |ip: &str, mac, vlan| Host { ip: ip.parse().ok(), mac, vlan };
    Finding {
        what: FindingKind::Denied(Denial { rule: Rule::OperationUndeclared, flow: None, reason: Reason::Plain }),
        time: START + after,
        proving_packet: Evidence { capture: 0, packet: 1 },
        conversation: 1,
        at: Some(RequestRef { request: 0, item: 0 }),
        client: Endpoint { host: host("10.20.9.9", Some([0, 0x0C, 0x29, 0xAA, 0xBB, 0xCC]), None), port: 51_234 },
        server: Endpoint { host: host("10.20.1.10", None, Some(30)), port: 502 },
        carrier: Carrier::Tcp,
        flow_verdict: Arc::new(FlowVerdict::new(place, place, None)),
        protocol: Some("modbus"),
        operation: Some(write_register(40, 900)),
    }
}
