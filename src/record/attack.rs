//! The techniques of MITRE ATT&CK for ICS, version 19, that a finding has the shape of.
//!
//! An id says what the traffic looks like, not that it is malicious. Techniques that act on a host, that are wireless,
//! or that are consequences (all Impact techniques) cannot be observed on a mirror port and are never claimed.

use std::net::IpAddr;

use lockkeeper_protocols::Protocol;

use super::{Finding, FindingKind, mapping};

/// The techniques of a finding: those of the operation first, then those of the rule.
pub(super) fn techniques(finding: &Finding) -> Vec<&'static str> {
    let mut ids: Vec<&'static str> = Vec::new();
    let mut add = |more: &[&'static str]| {
        for id in more {
            if !ids.contains(id) {
                ids.push(id);
            }
        }
    };
    let holds = |circumstance| mapping::holds(circumstance, finding);
    match &finding.what {
        FindingKind::Denied(denial) | FindingKind::Certificate { denial, .. } => {
            add(of_operation(finding));
            add(denial.rule.row().techniques(holds));
            add(of_public_client(finding));
        }
        FindingKind::RequestUnseen(denial) => {
            add(of_operation(finding));
            add(denial.rule.row().techniques(holds));
        }
        other => add(mapping::row(other).techniques(holds)),
    }
    ids
}

/// T0883, Internet Accessible Device: the client has an address that is routed on the Internet.
fn of_public_client(finding: &Finding) -> &'static [&'static str] {
    if finding.client.host.ip.is_some_and(is_public) { &["T0883"] } else { &[] }
}

fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let reserved = a == 0 || a >= 224;
            !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_documentation() || shared || reserved)
        }
        // Global unicast is 2000::/3 (RFC 4291), of which 2001:db8::/32 is for documentation (RFC 3849).
        IpAddr::V6(ip) => {
            let [first, second, ..] = ip.segments();
            first >> 13 == 1 && (first, second) != (0x2001, 0x0DB8)
        }
    }
}

/// The techniques of the operation, as its protocol's row has them; of its class where the protocol is not decoded.
fn of_operation(finding: &Finding) -> &'static [&'static str] {
    let Some(owned) = &finding.operation else { return &[] };
    let row = finding.protocol.and_then(Protocol::named);
    owned.lend(|operation| row.map_or_else(|| operation.class.techniques(), |row| row.techniques_of(operation)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Rule;
    use crate::record::rules::InventoryRule;
    use crate::record::{OwnedOperation, OwnedTarget, testing};
    use lockkeeper_protocols::{Area, Class, MethodTarget, Node, REGISTRY, Target};

    /// The techniques that network traffic can show.
    const VISIBLE: [&str; 40] = [
        "T1692.001",
        "T1692.002",
        "T0836",
        "T0806",
        "T0835",
        "T0877",
        "T0858",
        "T0816",
        "T0843",
        "T0845",
        "T0889",
        "T0821",
        "T1693.001",
        "T1693.002",
        "T0800",
        "T0838",
        "T0878",
        "T0801",
        "T0861",
        "T0868",
        "T0888",
        "T0846",
        "T0802",
        "T0848",
        "T0830",
        "T0864",
        "T0883",
        "T0822",
        "T0886",
        "T0866",
        "T0819",
        "T0867",
        "T1694.001",
        "T1694.002",
        "T0892",
        "T0814",
        "T1691.001",
        "T1691.002",
        "T0869",
        "T0885",
    ];

    /// Operations of every class, with every code and sub-function of Modbus, and what S7 and OPC UA tell apart.
    fn every_operation() -> Vec<OwnedOperation> {
        let base = || testing::write_register(40, 900);
        let mut all = Vec::new();
        for class in Class::ALL {
            all.extend((0..=0xFF).map(|code| OwnedOperation { class, code, ..base() }));
            let subs = [(0x08, "subfunction"), (0x2B, "mei"), (0x5A, "umas")].into_iter();
            let subs = subs.flat_map(|(code, kind)| (0..=0xFF).map(move |number| (code, kind, number)));
            all.extend(subs.map(|(code, kind, number)| {
                let target = OwnedTarget::Plain(Target::Sub { unit: 1, kind, number });
                OwnedOperation { class, code, target, ..base() }
            }));
            for function in REGISTRY.iter().flat_map(|row| row.functions).map(|function| function.name) {
                all.extend(targets().map(|target| OwnedOperation { class, function, target, ..base() }));
            }
        }
        all
    }

    fn targets() -> impl Iterator<Item = OwnedTarget> {
        let plain = [
            Target::None,
            Target::Block { kind: "OB", number: Some(1) },
            Target::Memory { area: Area::Input, db: 0, first: 0, count: 1 },
            Target::Connection { kind: "PG", rack: 0, slot: 2 },
        ];
        let methods = [12_886, 2429, 1].map(|method| {
            let target = MethodTarget { object: Node::standard(2253), method: Node::standard(method) };
            OwnedTarget::of(&Target::Method(&target))
        });
        plain.map(OwnedTarget::Plain).into_iter().chain(methods)
    }

    #[test]
    fn nothing_revoked_and_nothing_that_traffic_cannot_show_is_ever_claimed() {
        let names = REGISTRY.iter().map(|row| Some(row.name)).chain([Some("other"), None]);
        for protocol in names {
            for operation in every_operation() {
                let finding = Finding { protocol, operation: Some(operation), ..testing::finding(0) };
                assert_visible(&techniques(&finding));
            }
        }
        let rows = Rule::ALL.into_iter().map(Rule::row).chain(InventoryRule::ALL.into_iter().map(InventoryRule::row));
        rows.flat_map(|row| row.techniques).for_each(|(_, ids)| assert_visible(ids));
    }

    fn assert_visible(ids: &[&str]) {
        assert!(ids.iter().all(|id| VISIBLE.contains(id)), "{ids:?}");
    }

    #[test]
    fn a_register_write_has_the_techniques_of_the_design() {
        assert_eq!(techniques(&testing::finding(0)), ["T1692.001", "T0836"]);
    }

    #[test]
    fn only_addresses_routed_on_the_internet_are_public() {
        for inside in ["10.20.9.9", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.1.1", "fe80::1", "fd00::1"] {
            assert!(!is_public(inside.parse().expect(inside)), "{inside}");
        }
        for outside in ["8.8.8.8", "2a00:1450::1"] {
            assert!(is_public(outside.parse().expect(outside)), "{outside}");
        }
    }
}
