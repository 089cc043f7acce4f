//! What a finding is called, how bad it is, and which requirements it contradicts.

use lockkeeper_protocols::Class;

use super::{Finding, Kind, Mismatch, Severity, What};
use crate::policy::{Carrier, Reason, Rule};

/// The rule of a finding, as it stands in records.
pub(super) const fn rule_id(what: &What) -> &'static str {
    match what {
        What::Denied(denial) | What::Certificate { denial, .. } => denial.rule.id(),
        What::RequestUnseen(_) => Rule::OperationRequestUnseen.id(),
        What::Malformed { .. } => Rule::ProtoMalformed.id(),
        What::Doubtful(doubt) => doubt.rule().id(),
        What::UnknownAsset(_) => Rule::AssetUnknown.id(),
        What::Mismatch(mismatch) => mismatch.rule().id(),
        What::NewHost(_) => "asset.new",
        What::Identity { .. } => "asset.identified",
    }
}

/// Violation, or news for the inventory.
pub(super) const fn kind(what: &What) -> Kind {
    match what {
        What::Denied(_)
        | What::RequestUnseen(_)
        | What::Certificate { .. }
        | What::Malformed { .. }
        | What::Doubtful(_)
        | What::UnknownAsset(_)
        | What::Mismatch(_) => Kind::Violation,
        What::NewHost(_) | What::Identity { .. } => Kind::Asset,
    }
}

/// How bad it is: the rule's own weight, raised by what the operation would do.
pub(super) fn severity(finding: &Finding) -> Severity {
    let class = finding.operation.as_ref().map(|operation| operation.class);
    let at_least = |floor: Severity| class.map_or(floor, |class| of_class(class).max(floor));
    match &finding.what {
        What::Denied(denial) | What::Certificate { denial, .. } => match denial.rule {
            Rule::ConduitUndeclared if has_unplaced_hardware(finding) => at_least(Severity::Medium),
            Rule::ConduitUndeclared | Rule::FlowUndeclaredPeer => at_least(Severity::High),
            Rule::FlowUndeclaredProtocol if shares_link(finding) => at_least(Severity::High),
            Rule::FlowUndeclaredProtocol => at_least(Severity::Medium),
            Rule::OperationUndeclared | Rule::OperationRequestUnseen => class.map_or(Severity::Medium, of_class),
            Rule::OperationUnplaced => at_least(Severity::Medium),
            Rule::AddressUndeclared => at_least(Severity::Medium).min(Severity::High),
            Rule::ValueOutOfLimits | Rule::S7ConnectionType => Severity::High,
            Rule::S7Password => at_least(Severity::High),
            Rule::OpcUaModeNone => at_least(Severity::Medium).min(Severity::High),
            Rule::OpcUaClient | Rule::OpcUaCleartextPassword | Rule::OpcUaDowngrade => Severity::High,
            Rule::OpcUaModeWeak
            | Rule::OpcUaPolicyDeprecated
            | Rule::OpcUaPolicyUndeclared
            | Rule::OpcUaIdentity
            | Rule::CertExpired
            | Rule::CertNotYetValid
            | Rule::CertWeakKey
            | Rule::CertSha1
            | Rule::CertSelfSigned
            | Rule::CertApplicationUri
            | Rule::AssetUnknown
            | Rule::AssetOtherHardware
            | Rule::AssetUndeclaredAddress
            | Rule::ZoneOtherVlan
            | Rule::StreamGivenUp
            | Rule::ProtoMalformed => Severity::Medium,
            Rule::StreamAmbiguous => Severity::High,
            Rule::OpcUaBetterOffered | Rule::CertExpiresSoon | Rule::AssetUndeclaredRouter => Severity::Low,
            Rule::FlowOpaque if denial.reason == Reason::Plain => Severity::Info,
            Rule::FlowOpaque => Severity::Medium,
        },
        // Somebody has taken care that the request is not seen, or half of the traffic is not.
        What::RequestUnseen(_) => at_least(Severity::High),
        What::Doubtful(doubt) => match doubt.rule() {
            Rule::StreamAmbiguous => Severity::High,
            _ => Severity::Medium,
        },
        What::Malformed { .. } | What::UnknownAsset(_) => Severity::Medium,
        What::Mismatch(mismatch) => mismatch.severity(),
        What::NewHost(_) | What::Identity { .. } => Severity::Info,
    }
}

impl Mismatch {
    /// The rule that is violated.
    pub(super) const fn rule(self) -> Rule {
        match self {
            Self::Hardware { .. } => Rule::AssetOtherHardware,
            Self::Address { .. } => Rule::AssetUndeclaredAddress,
            Self::Router => Rule::AssetUndeclaredRouter,
            Self::Vlan { .. } => Rule::ZoneOtherVlan,
        }
    }

    /// The less a router that nobody declared would explain it, the worse.
    const fn severity(self) -> Severity {
        match self {
            Self::Hardware { seen_itself: true, forwards: false, .. } => Severity::High,
            Self::Router | Self::Vlan { at_home: true, .. } => Severity::Low,
            Self::Hardware { .. } | Self::Address { .. } | Self::Vlan { .. } => Severity::Medium,
        }
    }
}

/// Whether one of two hosts that speak without IP is in no zone: its hardware address is not declared, and there is no
/// other by which it could be placed.
fn has_unplaced_hardware(finding: &Finding) -> bool {
    let zones = [finding.flow_verdict.client.zone, finding.flow_verdict.server.zone];
    matches!(finding.carrier, Carrier::Ethernet(_)) && zones.contains(&None)
}

/// Whether two hosts of different zones speak without IP: there is nothing between them that could keep them apart.
fn shares_link(finding: &Finding) -> bool {
    matches!(finding.carrier, Carrier::Ethernet(_))
        && finding.flow_verdict.client.zone != finding.flow_verdict.server.zone
}

/// How bad an operation is on a conduit that does not permit its class.
const fn of_class(class: Class) -> Severity {
    match class {
        Class::Session | Class::Subscribe | Class::Report => Severity::Low,
        Class::Discover
        | Class::Identify
        | Class::Browse
        | Class::Read
        | Class::Diagnostic
        | Class::Vendor
        | Class::Opaque
        | Class::Unknown => Severity::Medium,
        Class::DiagnosticClear | Class::Write | Class::Alarm | Class::Time | Class::ProgramUpload | Class::Security => {
            Severity::High
        }
        Class::Control | Class::Program | Class::Firmware => Severity::Critical,
    }
}

/// What a finding is evidence about. `SR` are requirements of IEC 62443-3-3, `ZCR` of IEC 62443-3-2; `21(2)` are points
/// of Article 21(2) of Directive (EU) 2022/2555, `CIR` points of the annex of Implementing Regulation (EU) 2024/2690;
/// ISO/IEC 27001:2022 controls are those of its Annex A.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Requirements {
    /// IEC 62443.
    pub(super) iec62443: &'static [&'static str],
    /// NIS2.
    pub(super) nis2: &'static [&'static str],
    /// ISO/IEC 27001.
    pub(super) iso27001: &'static [&'static str],
}

/// The requirements of a finding.
pub(super) const fn requirements(what: &What) -> Requirements {
    match what {
        What::Denied(denial) | What::Certificate { denial, .. } => of_rule(denial.rule),
        What::RequestUnseen(_) => of_rule(Rule::OperationRequestUnseen),
        What::Malformed { .. } => of_rule(Rule::ProtoMalformed),
        What::Doubtful(doubt) => of_rule(doubt.rule()),
        What::UnknownAsset(_) => of_rule(Rule::AssetUnknown),
        What::Mismatch(mismatch) => of_rule(mismatch.rule()),
        What::NewHost(_) | What::Identity { .. } => {
            Requirements { iec62443: &["SR 7.8"], nis2: &["21(2)(i)", "CIR 12.4.1"], iso27001: &["5.9"] }
        }
    }
}

const fn of_rule(rule: Rule) -> Requirements {
    match rule {
        Rule::ConduitUndeclared => Requirements {
            iec62443: &["SR 5.1", "SR 5.2", "SR 5.2 RE 1", "ZCR 3.1", "ZCR 6.4"],
            nis2: &["21(2)(a)", "21(2)(i)", "CIR 6.7.2(c)", "CIR 6.8.1", "CIR 6.8.2(e)"],
            iso27001: &["5.36", "8.20", "8.22"],
        },
        Rule::FlowUndeclaredPeer => Requirements {
            iec62443: &["SR 1.2", "SR 5.2 RE 1"],
            nis2: &["CIR 6.7.2(b)", "CIR 6.7.2(c)"],
            iso27001: &["5.15", "8.22"],
        },
        Rule::FlowUndeclaredProtocol => Requirements {
            iec62443: &["SR 5.2 RE 1", "SR 7.7"],
            nis2: &["CIR 6.3", "CIR 6.7.2(f)"],
            iso27001: &["8.9", "8.21"],
        },
        Rule::OperationUndeclared | Rule::OperationRequestUnseen => Requirements {
            iec62443: &["SR 2.1", "SR 2.1 RE 1", "SR 7.7"],
            nis2: &["21(2)(i)", "CIR 6.7.2(c)"],
            iso27001: &["5.15", "8.3"],
        },
        Rule::OperationUnplaced => Requirements {
            iec62443: &["SR 2.1", "SR 5.2 RE 1", "SR 7.8"],
            nis2: &["21(2)(i)", "CIR 6.7.2(c)", "CIR 12.4.1"],
            iso27001: &["5.9", "5.15", "8.22"],
        },
        Rule::AddressUndeclared => Requirements {
            iec62443: &["SR 2.1", "SR 5.2 RE 1"],
            nis2: &["21(2)(i)", "CIR 6.7.2(c)"],
            iso27001: &["8.3"],
        },
        Rule::ValueOutOfLimits => {
            Requirements { iec62443: &["SR 3.5"], nis2: &["21(2)(b)", "21(2)(c)", "CIR 3.2.4"], iso27001: &["8.16"] }
        }
        Rule::S7ConnectionType => Requirements {
            iec62443: &["SR 1.2", "SR 2.1 RE 1"],
            nis2: &["21(2)(i)", "CIR 6.7.2(c)"],
            iso27001: &["5.15", "8.2"],
        },
        Rule::S7Password => Requirements {
            iec62443: &["SR 1.2", "SR 1.5", "SR 2.1 RE 1"],
            nis2: &["21(2)(i)", "CIR 11.6"],
            iso27001: &["5.17", "8.2", "8.5"],
        },
        Rule::FlowOpaque => {
            Requirements { iec62443: &["SR 4.1", "SR 6.2"], nis2: &["21(2)(b)", "CIR 3.2"], iso27001: &["8.16"] }
        }
        Rule::OpcUaModeNone | Rule::OpcUaModeWeak | Rule::OpcUaDowngrade => Requirements {
            iec62443: &["SR 1.2", "SR 3.1 RE 1", "SR 4.1"],
            nis2: &["21(2)(h)", "CIR 9.2"],
            iso27001: &["8.5", "8.24"],
        },
        Rule::OpcUaPolicyDeprecated | Rule::OpcUaPolicyUndeclared | Rule::OpcUaBetterOffered => {
            Requirements { iec62443: &["SR 1.9", "SR 4.3"], nis2: &["21(2)(h)", "CIR 9.2(b)"], iso27001: &["8.24"] }
        }
        Rule::OpcUaIdentity | Rule::OpcUaClient | Rule::OpcUaCleartextPassword => Requirements {
            iec62443: &["SR 1.1", "SR 1.2", "SR 2.1"],
            nis2: &["21(2)(i)", "21(2)(j)", "CIR 11.6"],
            iso27001: &["5.16", "5.17", "8.5"],
        },
        Rule::CertExpired
        | Rule::CertNotYetValid
        | Rule::CertExpiresSoon
        | Rule::CertWeakKey
        | Rule::CertSha1
        | Rule::CertSelfSigned
        | Rule::CertApplicationUri => Requirements {
            iec62443: &["SR 1.8", "SR 1.9", "SR 4.3"],
            nis2: &["21(2)(h)", "CIR 9.2(c)"],
            iso27001: &["5.17", "8.24"],
        },
        Rule::AssetUnknown => Requirements {
            iec62443: &["SR 2.3", "SR 5.2 RE 1", "SR 7.8", "ZCR 3.4"],
            nis2: &["21(2)(i)", "CIR 6.7.2(g)", "CIR 12.4.1"],
            iso27001: &["5.9", "8.1"],
        },
        Rule::StreamAmbiguous | Rule::StreamGivenUp => Requirements {
            iec62443: &["SR 3.1", "SR 3.5", "SR 6.2"],
            nis2: &["21(2)(b)", "CIR 3.2"],
            iso27001: &["8.16", "8.20"],
        },
        Rule::AssetOtherHardware => Requirements {
            iec62443: &["SR 1.2", "SR 3.1", "SR 7.8"],
            nis2: &["21(2)(b)", "21(2)(i)", "CIR 6.7.2(g)"],
            iso27001: &["5.9", "8.16", "8.20"],
        },
        Rule::AssetUndeclaredAddress => Requirements {
            iec62443: &["SR 5.2 RE 1", "SR 7.8", "ZCR 6.4"],
            nis2: &["21(2)(i)", "CIR 6.3", "CIR 12.4.1"],
            iso27001: &["5.9", "8.9"],
        },
        Rule::AssetUndeclaredRouter => Requirements {
            iec62443: &["SR 5.1", "SR 5.2", "SR 7.8", "ZCR 6.4"],
            nis2: &["21(2)(i)", "CIR 6.7.2(g)", "CIR 6.8.1", "CIR 12.4.1"],
            iso27001: &["5.9", "8.20", "8.22"],
        },
        Rule::ZoneOtherVlan => Requirements {
            iec62443: &["SR 5.1", "SR 5.2 RE 1", "ZCR 6.4"],
            nis2: &["CIR 6.7.2(c)", "CIR 6.8.1"],
            iso27001: &["8.20", "8.22"],
        },
        Rule::ProtoMalformed => {
            Requirements { iec62443: &["SR 3.5", "SR 3.7", "SR 7.1"], nis2: &["21(2)(b)"], iso27001: &["8.16"] }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Denial, FlowVerdict, Place};
    use crate::record::{OwnedOperation, testing};

    fn severity_of(rule: Rule, class: Option<Class>) -> Severity {
        let what = What::Denied(Denial { rule, flow: None, reason: Reason::Plain });
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
        let what = What::Denied(Denial { rule: Rule::FlowUndeclaredProtocol, flow: None, reason: Reason::Plain });
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
    fn hardware_that_nobody_placed_is_less_than_a_stranger_with_an_address() {
        let what = What::Denied(Denial { rule: Rule::ConduitUndeclared, flow: None, reason: Reason::Plain });
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

    #[test]
    fn every_rule_names_a_requirement_of_every_framework() {
        for rule in Rule::ALL {
            let named = of_rule(rule);
            assert!(!named.iec62443.is_empty() && !named.nis2.is_empty() && !named.iso27001.is_empty(), "{rule:?}");
        }
    }
}
