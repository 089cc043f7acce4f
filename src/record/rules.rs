//! The rules that are not the policy's: of the inventory, and of the sensor itself. One row each.

use crate::policy::rules::Circumstance::Always;
use crate::policy::rules::Severity::{High, Info, Medium};
use crate::policy::rules::Weight::Fixed;
use crate::policy::rules::{Requirements, rules};

rules! {
/// The rules of the inventory: discoveries, which no policy forbids.
pub enum InventoryRule {
    NewHost {
        id: "asset.new",
        raised: "kind `asset`, for the inventory: a host is seen for the first time",
        severity: &[(Always, Fixed(Info))],
        requirements: INVENTORY,
        techniques: &[],
        detail: None,
    }
    Identity {
        id: "asset.identified",
        raised: "kind `asset`, for the inventory: what a device says about itself",
        severity: &[(Always, Fixed(Info))],
        requirements: INVENTORY,
        techniques: &[],
        detail: None,
    }
}
}

// A sensor that is blind is worse than many a violation.
rules! {
/// The rules of the sensor's own alerts: what is wrong with it, or has happened to it.
pub enum SensorRule {
    CaptureLoss {
        id: "own.capture-loss",
        raised: "more packets were lost than `loss_limit`, and where they were lost",
        severity: &[(Always, Fixed(High))],
        requirements: MONITORING,
        techniques: &[],
        detail: None,
    }
    CaptureOneWay {
        id: "own.capture-one-way",
        raised: "only one direction of many conversations is captured",
        severity: &[(Always, Fixed(Medium))],
        requirements: MONITORING,
        techniques: &[],
        detail: None,
    }
    CaptureSilent {
        id: "own.capture-silent",
        raised: "an interface receives no packets any more",
        severity: &[(Always, Fixed(High))],
        requirements: MONITORING,
        techniques: &[],
        detail: None,
    }
    Unread {
        id: "own.unread",
        raised: "more packets could not be read than `unread_limit`, and which (unknown types, truncated headers, MACsec)",
        severity: &[(Always, Fixed(High))],
        requirements: MONITORING,
        techniques: &[],
        detail: None,
    }
    InterfaceGone {
        id: "own.interface-gone",
        raised: "an interface is gone or was switched off",
        severity: &[(Always, Fixed(High))],
        requirements: MONITORING,
        techniques: &[],
        detail: None,
    }
    InterfaceBack {
        id: "own.interface-back",
        raised: "an interface that was gone is back",
        severity: &[(Always, Fixed(Info))],
        requirements: MONITORING,
        techniques: &[],
        detail: None,
    }
    PolicyChanged {
        id: "policy.changed",
        raised: "another policy is in force",
        severity: &[(Always, Fixed(Info))],
        requirements: CHANGE,
        techniques: &[],
        detail: None,
    }
    PolicyRejected {
        id: "policy.rejected",
        raised: "a changed policy has errors, or its file is gone: the previous policy stays in force",
        severity: &[(Always, Fixed(High))],
        requirements: CHANGE,
        techniques: &[],
        detail: None,
    }
    PolicyRestored {
        id: "policy.restored",
        raised: "after a rejection, the file holds the policy in force again",
        severity: &[(Always, Fixed(Info))],
        requirements: CHANGE,
        techniques: &[],
        detail: None,
    }
}
}

const INVENTORY: Requirements =
    Requirements { iec62443: &["SR 7.8"], nis2: &["21(2)(i)", "CIR 12.4.1"], iso27001: &["5.9"] };

/// Continuous monitoring.
const MONITORING: Requirements =
    Requirements { iec62443: &["SR 6.2"], nis2: &["21(2)(b)"], iso27001: &["8.15", "8.16"] };

/// Changes of what the sensor monitors by.
const CHANGE: Requirements =
    Requirements { iec62443: &["SR 2.8", "SR 7.6"], nis2: &["21(2)(a)"], iso27001: &["8.9", "8.32"] };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Rule;
    use crate::policy::rules::{Row, catalogue};

    fn rows_of_traffic() -> impl Iterator<Item = &'static Row> {
        Rule::ALL.into_iter().map(Rule::row).chain(InventoryRule::ALL.into_iter().map(InventoryRule::row))
    }

    fn rows_of_the_sensor() -> impl Iterator<Item = &'static Row> {
        SensorRule::ALL.into_iter().map(SensorRule::row)
    }

    #[test]
    fn every_rule_has_an_id_of_its_own_a_severity_and_a_requirement_of_every_framework() {
        let mut ids = std::collections::BTreeSet::new();
        for row in rows_of_traffic().chain(rows_of_the_sensor()) {
            assert!(ids.insert(row.id), "{} stands twice", row.id);
            assert_eq!(row.severity.last().map(|(when, _)| *when), Some(Always), "{}", row.id);
            let Requirements { iec62443, nis2, iso27001 } = row.requirements;
            assert!(!iec62443.is_empty() && !nis2.is_empty() && !iso27001.is_empty(), "{}", row.id);
        }
    }

    #[test]
    fn the_catalogues_in_the_documents_are_made_from_the_rows() {
        let documents = [
            ("rules/README.md", include_str!("../../rules/README.md"), catalogue(rows_of_traffic())),
            ("deploy/README.md", include_str!("../../deploy/README.md"), catalogue(rows_of_the_sensor())),
        ];
        for (name, text, table) in documents {
            assert!(text.contains(&table), "{name} differs from the rules. Its table is to be:\n\n{table}");
        }
    }
}
