//! The rule of a finding, and the circumstances on which its severity and its techniques depend.

use lockkeeper_protocols::{Class, Side};

use super::rules::InventoryRule;
use super::{Finding, FindingKind, Kind, Mismatch, Severity};
use crate::policy::rules::{Circumstance, Row};
use crate::policy::{Carrier, Reason, Rule};

/// The row of a finding's rule.
pub(super) const fn row(what: &FindingKind) -> &'static Row {
    match what {
        FindingKind::Denied(denial) | FindingKind::Certificate { denial, .. } => denial.rule.row(),
        FindingKind::RequestUnseen(_) => Rule::OperationRequestUnseen.row(),
        FindingKind::Malformed { .. } => Rule::ProtoMalformed.row(),
        FindingKind::Doubtful(doubt) => doubt.rule().row(),
        FindingKind::UnknownAsset(_) => Rule::AssetUnknown.row(),
        FindingKind::Mismatch(mismatch) => mismatch.rule().row(),
        FindingKind::NewHost(_) => InventoryRule::NewHost.row(),
        FindingKind::Identity { .. } => InventoryRule::Identity.row(),
    }
}

/// The id of a finding's rule, as it stands in records.
pub(super) const fn rule_id(what: &FindingKind) -> &'static str {
    row(what).id
}

/// Violation or discovery. No finding is about the sensor itself.
pub(super) const fn kind(what: &FindingKind) -> Kind {
    match what {
        FindingKind::Denied(_)
        | FindingKind::RequestUnseen(_)
        | FindingKind::Certificate { .. }
        | FindingKind::Malformed { .. }
        | FindingKind::Doubtful(_)
        | FindingKind::UnknownAsset(_)
        | FindingKind::Mismatch(_) => Kind::Violation,
        FindingKind::NewHost(_) | FindingKind::Identity { .. } => Kind::Asset,
    }
}

/// The severity of a finding: the weight of its rule, raised by what the operation would do.
pub(super) fn severity(finding: &Finding) -> Severity {
    let class = finding.operation.as_ref().map(|operation| operation.class);
    row(&finding.what).weight(|circumstance| holds(circumstance, finding)).severity(class)
}

/// Whether a finding meets the condition of a severity or of techniques in the rule table.
pub(super) fn holds(circumstance: Circumstance, finding: &Finding) -> bool {
    let what = &finding.what;
    match circumstance {
        Circumstance::Always => true,
        Circumstance::Decoded => finding.protocol.is_some(),
        Circumstance::DecodedClient => {
            finding.protocol.is_some() && matches!(what, FindingKind::UnknownAsset(Side::Client))
        }
        Circumstance::ChangesValues => {
            finding.operation.as_ref().is_some_and(|operation| changes_values(operation.class))
        }
        Circumstance::RemoteAdministration => is_remote_administration(finding),
        Circumstance::CommonPort => finding.protocol.is_none() && is_common(finding),
        Circumstance::UnplacedHardware => has_no_ip(finding) && zones(finding).contains(&None),
        Circumstance::SharedLink => has_no_ip(finding) && zones(finding)[0] != zones(finding)[1],
        Circumstance::OpaqueForbidden => {
            // A denial under `opaque_payload = "violation"` names the class as its reason; a report does not.
            matches!(what, FindingKind::Denied(denial) if denial.reason != Reason::Plain)
        }
        Circumstance::NotRouted => {
            matches!(what, FindingKind::Mismatch(Mismatch::Hardware { own_hardware_seen: true, forwards: false, .. }))
        }
        Circumstance::PerhapsRouted => {
            matches!(what, FindingKind::Mismatch(Mismatch::Vlan { used_on_zone_vlan: true, .. }))
        }
    }
}

const fn has_no_ip(finding: &Finding) -> bool {
    matches!(finding.carrier, Carrier::Ethernet(_))
}

/// The zones of client and server.
fn zones(finding: &Finding) -> [Option<u16>; 2] {
    [finding.flow_verdict.client.zone, finding.flow_verdict.server.zone]
}

const fn changes_values(class: Class) -> bool {
    matches!(class, Class::Write | Class::Alarm | Class::Time | Class::Control | Class::Program | Class::Firmware)
}

/// Registered ports of remote administration (IANA): SSH, Telnet, SMB, RDP, VNC.
fn is_remote_administration(finding: &Finding) -> bool {
    finding.carrier == Carrier::Tcp && matches!(finding.server.port, 22 | 23 | 139 | 445 | 3389 | 5900..=5903)
}

/// The ports that T0885, Commonly Used Port, names as examples: web, DNS, and those of controllers.
fn is_common(finding: &Finding) -> bool {
    matches!(finding.carrier, Carrier::Tcp | Carrier::Udp)
        && matches!(finding.server.port, 53 | 80 | 443 | 8080 | 102 | 502 | 4840 | 20_000 | 44_818)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Denial, FlowVerdict, Place};
    use crate::record::{OwnedOperation, testing};

    fn severity_of(rule: Rule, class: Option<Class>) -> Severity {
        let what = FindingKind::Denied(Denial { rule, flow: None, reason: Reason::Plain });
        let operation = class.map(|class| OwnedOperation { class, ..testing::write_register(40, 900) });
        severity(&Finding { what, operation, ..testing::finding(0) })
    }

    #[test]
    fn an_undeclared_operation_is_as_bad_as_what_it_would_do() {
        assert_eq!(severity_of(Rule::OperationUndeclared, Some(Class::Read)), Severity::Medium);
        assert_eq!(severity_of(Rule::OperationUndeclared, Some(Class::Write)), Severity::High);
        assert_eq!(severity_of(Rule::OperationUndeclared, Some(Class::Control)), Severity::Critical);
    }

    #[test]
    fn an_undeclared_conduit_is_never_less_than_high_and_critical_when_it_carries_control() {
        assert_eq!(severity_of(Rule::ConduitUndeclared, None), Severity::High);
        assert_eq!(severity_of(Rule::ConduitUndeclared, Some(Class::Read)), Severity::High);
        assert_eq!(severity_of(Rule::ConduitUndeclared, Some(Class::Firmware)), Severity::Critical);
    }

    #[test]
    fn zones_that_share_a_link_are_worse_than_an_undeclared_port() {
        let what =
            FindingKind::Denied(Denial { rule: Rule::FlowUndeclaredProtocol, flow: None, reason: Reason::Plain });
        let of = |carrier, from, to| {
            let zone = |zone| Place { zone: Some(zone), asset: None };
            let flow_verdict = std::sync::Arc::new(FlowVerdict::new(zone(from), zone(to), None));
            severity(&Finding { what: what.clone(), carrier, flow_verdict, operation: None, ..testing::finding(0) })
        };
        assert_eq!(of(Carrier::Ethernet(0x8892), 0, 1), Severity::High);
        assert_eq!(of(Carrier::Ethernet(0x8892), 0, 0), Severity::Medium);
        assert_eq!(of(Carrier::Tcp, 0, 1), Severity::Medium);
    }

    #[test]
    fn hardware_in_no_zone_weighs_less_than_an_unknown_address() {
        let what = FindingKind::Denied(Denial { rule: Rule::ConduitUndeclared, flow: None, reason: Reason::Plain });
        let of = |carrier, flow_verdict| {
            let (flow_verdict, what) = (std::sync::Arc::new(flow_verdict), what.clone());
            severity(&Finding { what, carrier, flow_verdict, operation: None, ..testing::finding(0) })
        };
        let zone = |zone| Place { zone, asset: None };
        let (one, both) =
            (FlowVerdict::new(zone(Some(0)), zone(None), None), FlowVerdict::new(zone(Some(0)), zone(Some(1)), None));
        assert_eq!(of(Carrier::Ethernet(0x8892), one.clone()), Severity::Medium);
        assert_eq!(of(Carrier::Ethernet(0x8892), both), Severity::High);
        assert_eq!(of(Carrier::Tcp, one), Severity::High);
    }

    #[test]
    fn an_undeclared_address_is_high_only_for_what_changes_something() {
        assert_eq!(severity_of(Rule::AddressUndeclared, Some(Class::Read)), Severity::Medium);
        assert_eq!(severity_of(Rule::AddressUndeclared, Some(Class::Write)), Severity::High);
    }
}
