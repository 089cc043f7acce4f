//! What a rule is, and the macro that declares a table of rules.
//!
//! A rule is one row: its id, when it is raised, its severity, the requirements that it bears on, the ATT&CK techniques that
//! it resembles, and its sentence. Alerts, statistics and the catalogues in the documents are made from the rows.
//! A new rule is a row, the code that raises it, and a test; the catalogue's own test prints the table to paste.
//!
//! [`Rule`] holds the rules of the policy; `record::rules` those of the inventory and of the sensor itself.

mod table;

use std::fmt::Write as _;

use lockkeeper_protocols::Class;

use super::{Denial, FlowVerdict, Policy};

pub use table::Rule;

/// Everything that stands in the product about one rule.
#[derive(Debug)]
pub struct Row {
    /// The id in records, such as `operation.undeclared`.
    pub id: &'static str,
    /// When the rule is raised, for the catalogue: a clause that follows "raised when".
    pub raised: &'static str,
    /// The weight in each circumstance: the first that holds counts, the last one is [`Circumstance::Always`].
    pub severity: &'static [(Circumstance, Weight)],
    /// The requirements that a violation bears on.
    pub requirements: Requirements,
    /// The MITRE ATT&CK for ICS techniques in each circumstance: the first that holds counts. None if no circumstance
    /// holds.
    pub techniques: &'static [(Circumstance, &'static [&'static str])],
    /// The second half of the sentence of an alert: what is permitted instead. None if `record` makes it from the particulars
    /// of the finding.
    pub detail: Option<Explain>,
}

/// Makes a part of a sentence from a denial.
pub type Explain = fn(&Policy, &FlowVerdict, &Denial) -> String;

impl Row {
    /// The weight in the circumstances for which `holds` is true.
    pub fn weight(&self, holds: impl Fn(Circumstance) -> bool) -> Weight {
        first(self.severity, holds).unwrap_or(Weight::Fixed(Severity::Info))
    }

    /// The techniques in the circumstances for which `holds` is true.
    pub fn techniques(&self, holds: impl Fn(Circumstance) -> bool) -> &'static [&'static str] {
        first(self.techniques, holds).unwrap_or_default()
    }

    /// The severity as the catalogue words it: the usual one first.
    fn severity_text(&self) -> String {
        let mut text = String::new();
        for (circumstance, weight) in self.severity.iter().rev() {
            let written = match circumstance {
                Circumstance::Always => write!(text, "{}", weight.text()),
                other => write!(text, "; {} {}", weight.text(), other.text()),
            };
            debug_assert!(written.is_ok(), "a String takes whatever is written to it");
        }
        text
    }
}

/// The value of the first case whose circumstance holds.
fn first<T: Copy>(cases: &[(Circumstance, T)], holds: impl Fn(Circumstance) -> bool) -> Option<T> {
    cases.iter().find(|(circumstance, _)| holds(*circumstance)).map(|(_, value)| *value)
}

/// A Markdown table of rules, as the documents show it.
pub fn catalogue<'a>(rows: impl IntoIterator<Item = &'a Row>) -> String {
    let mut text = "| rule | severity | raised when |\n| --- | --- | --- |\n".to_owned();
    for row in rows {
        let written = writeln!(text, "| `{}` | {} | {} |", row.id, row.severity_text(), row.raised);
        debug_assert!(written.is_ok(), "a String takes whatever is written to it");
    }
    text
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// For the record.
    Info,
    /// No hurry.
    Low,
    /// To be examined this week.
    Medium,
    /// To be examined today.
    High,
    /// To be examined now.
    Critical,
}

impl Severity {
    /// The name in records and topics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The severity of an operation of this class on a conduit that does not permit it.
    pub const fn of(class: Class) -> Self {
        match class {
            Class::Session | Class::Subscribe | Class::Report => Self::Low,
            Class::Discover
            | Class::Identify
            | Class::Browse
            | Class::Read
            | Class::Diagnostic
            | Class::Vendor
            | Class::Opaque
            | Class::Unknown => Self::Medium,
            Class::DiagnosticClear
            | Class::Write
            | Class::Alarm
            | Class::Time
            | Class::ProgramUpload
            | Class::Security => Self::High,
            Class::Control | Class::Program | Class::Firmware => Self::Critical,
        }
    }
}

/// How the severity of a rule follows from the class of the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// The same for every class.
    Fixed(Severity),
    /// By class, and this one without an operation.
    ByClass(Severity),
    /// By class, but never below this one.
    AtLeast(Severity),
    /// By class, but never below the first one nor above the second one.
    Between(Severity, Severity),
}

impl Weight {
    /// The severity of a finding about an operation of this class, or about none.
    pub fn severity(self, class: Option<Class>) -> Severity {
        let by_class = class.map(Severity::of);
        match self {
            Self::Fixed(severity) => severity,
            Self::ByClass(otherwise) => by_class.unwrap_or(otherwise),
            Self::AtLeast(least) => by_class.unwrap_or(least).max(least),
            Self::Between(least, most) => by_class.unwrap_or(least).clamp(least, most),
        }
    }

    fn text(self) -> String {
        match self {
            Self::Fixed(severity) => severity.name().to_owned(),
            Self::ByClass(otherwise) => format!("by class; {} for a conversation as a whole", otherwise.name()),
            Self::AtLeast(least) => format!("at least {}", least.name()),
            Self::Between(least, most) => format!("{} or {}, by class", least.name(), most.name()),
        }
    }
}

/// A circumstance of a finding on which its severity or its techniques depend. `record` decides which of them hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Circumstance {
    /// In any case.
    Always,
    /// The protocol of the conversation is decoded.
    Decoded,
    /// The finding is about the client of a conversation whose protocol is decoded.
    DecodedClient,
    /// The operation changes values of the process.
    ChangesValues,
    /// The server's port is one of remote administration.
    RemoteAdministration,
    /// The protocol is not decoded, and the server's port is one of those that ATT&CK T0885 names.
    CommonPort,
    /// The conversation has no IP, and one of its hosts is in no zone.
    UnplacedHardware,
    /// The conversation has no IP, and its hosts are in different zones.
    SharedLink,
    /// The policy forbids encrypted content: `opaque_payload = "violation"`.
    OpaqueForbidden,
    /// The asset's own hardware was seen too, and no router explains the other one.
    NotRouted,
    /// A router may explain the finding.
    PerhapsRouted,
}

impl Circumstance {
    /// The circumstance as the catalogue words it.
    const fn text(self) -> &'static str {
        match self {
            Self::Always => "",
            Self::Decoded => "with a decoded protocol",
            Self::DecodedClient => "for a client of a decoded protocol",
            Self::ChangesValues => "for what changes values",
            Self::RemoteAdministration => "on a port of remote administration",
            Self::CommonPort => "on a commonly used port",
            Self::UnplacedHardware => "without IP where a host is in no zone",
            Self::SharedLink => "without IP between zones",
            Self::OpaqueForbidden => "with `opaque_payload = \"violation\"`",
            Self::NotRouted => "if the asset itself was seen too and no router explains it",
            Self::PerhapsRouted => "if a router may explain it",
        }
    }
}

/// What a violation is evidence about. `SR` are requirements of IEC 62443-3-3, `ZCR` of IEC 62443-3-2; `21(2)` are points
/// of Article 21(2) of Directive (EU) 2022/2555, `CIR` points of the annex of Implementing Regulation (EU) 2024/2690;
/// ISO/IEC 27001:2022 controls are those of its Annex A.
#[derive(Debug, PartialEq, Eq)]
pub struct Requirements {
    /// IEC 62443.
    pub iec62443: &'static [&'static str],
    /// NIS2.
    pub nis2: &'static [&'static str],
    /// ISO/IEC 27001.
    pub iso27001: &'static [&'static str],
}

/// Declares an enum of rules from their rows.
macro_rules! rules {
    ($(#[$attribute:meta])* pub enum $Name:ident {
        $($variant:ident { id: $id:literal, raised: $raised:literal, $($rest:tt)* })*
    }) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $Name {
            $(#[doc = concat!("Raised when ", $raised, ".")] $variant,)*
        }

        impl $Name {
            /// Every rule, in the order of the catalogue.
            pub const ALL: [Self; [$($id),*].len()] = [$(Self::$variant),*];

            /// Everything that stands in the product about the rule.
            pub const fn row(self) -> &'static $crate::policy::rules::Row {
                match self {
                    $(Self::$variant => const { &$crate::policy::rules::Row { id: $id, raised: $raised, $($rest)* } },)*
                }
            }

            /// The id in records.
            pub const fn id(self) -> &'static str {
                self.row().id
            }
        }
    };
}
pub(crate) use rules;
