//! Reads a policy file into its declarations, in one walk that resolves references and reports all mistakes.
//!
//! The walk visits sections so that each refers only to sections before it, whatever their order in the file. A section with a
//! mistake is kept with its sound parts, so that a mistake causes no errors elsewhere.

mod allow;
mod conduits;
mod hosts;
mod pointless;
mod points;
mod protocol;
mod records;

use super::diagnose::Diagnostics;
use super::model::{Consequence, Declared, Defaults, Note, Notes, SecurityLevel};
use super::section::{Problems, Section, Span, Word};
use super::values;
use crate::document;
use ipnet::IpNet;

/// The value of `schema`.
const SCHEMA: &str = "lockkeeper-policy/1";

/// Every section.
const SECTIONS: [&str; 14] = [
    "schema",
    "policy",
    "catalog",
    "default",
    "zone",
    "supplier",
    "schedule",
    "asset",
    "point",
    "conduit",
    "flow",
    "sensor",
    "grant",
    "exception",
];

/// The sections whose tables have names to refer to.
const NAMED: [&str; 6] = ["zone", "supplier", "schedule", "asset", "point", "conduit"];

/// Longest file, bytes: far above any policy, and harmless to read.
pub(super) const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Most zones, assets, points, conduits or flows, so that an index fits in 16 bits.
const MAX_ITEMS: usize = 60_000;

/// Reads a policy. The declarations are valid only if the diagnostics have no errors.
pub(super) fn read(name: &str, text: &str) -> (Declared, Diagnostics) {
    document::read((name, text), "the policy", |root, problems| Walk::new(problems).document(root))
}

/// The state of the walk.
struct Walk<'t> {
    problems: &'t Problems,
    declared: Declared,
    /// Networks, VLANs and addresses so far, each with the zone or asset that declared it first.
    networks: Vec<(IpNet, u16)>,
    vlans: Vec<(u16, u16)>,
    zone_macs: Vec<([u8; 6], u16)>,
    addresses: Vec<(std::net::IpAddr, u16)>,
    asset_macs: Vec<([u8; 6], u16)>,
    /// Zones and assets with a mistake: their contents are not known, so that nothing is reported about them.
    invalid_zones: Vec<u16>,
    invalid_assets: Vec<u16>,
}

impl<'t> Walk<'t> {
    fn new(problems: &'t Problems) -> Self {
        Self {
            problems,
            declared: Declared::default(),
            networks: Vec::new(),
            vlans: Vec::new(),
            zone_macs: Vec::new(),
            addresses: Vec::new(),
            asset_macs: Vec::new(),
            invalid_zones: Vec::new(),
            invalid_assets: Vec::new(),
        }
    }

    fn document(mut self, root: &mut Section<'t>) -> Declared {
        self.misspelt_sections(root);
        self.schema(root);
        self.header(root);
        self.defaults(root);
        self.zones(root);
        self.suppliers(root);
        self.schedules(root);
        self.assets(root);
        self.points(root);
        self.conduits(root);
        self.flows_without_conduit(root);
        self.sensors(root);
        self.grants(root);
        self.exceptions(root);
        self.unused_zones(root);
        self.declared
    }

    /// Suppresses errors about names of a misspelt section, such as `[zoen.Z-LOCK]`.
    fn misspelt_sections(&self, root: &Section<'t>) {
        let meant = root.misspelt(&SECTIONS).into_iter();
        for meant in meant.filter_map(|meant| NAMED.into_iter().find(|named| *named == meant)) {
            self.problems.fail(meant, None);
            if meant == "conduit" {
                self.problems.fail("flow", None);
            }
        }
    }

    fn schema(&self, root: &mut Section<'t>) {
        root.missing("schema", &format!("schema = \"{SCHEMA}\" as the first line"));
        if let Some(word) = root.text("schema")
            && word.text != SCHEMA
        {
            let message = format!("`{}` is not a schema that this version reads", word.text);
            self.problems.error(word.span, message, format!("write schema = \"{SCHEMA}\""));
        }
    }

    fn header(&mut self, root: &mut Section<'t>) {
        if let Some(mut section) = root.table("policy", "[policy]") {
            let texts = ["id", "title", "version", "suc", "owner", "accountable", "approved_by"];
            let more = ["change_ref", "supersedes", "risk_assessment", "tolerable_risk"];
            let mut notes = section.notes(&texts, &["regulatory"], &["approved_on", "review_due"]);
            notes.0.extend(section.notes(&more, &[], &[]).0);
            notes.0.extend(section.chosen("status", "a status", &["draft", "approved", "superseded"]));
            section.finish();
            self.declared.header = notes;
        }
        if let Some(mut section) = root.table("catalog", "[catalog]") {
            self.declared.catalog =
                section.notes(&["iec62443_3_3", "nis2", "nis2_cir", "iso27001", "attack_ics"], &[], &[]);
            section.finish();
        }
    }

    fn defaults(&mut self, root: &mut Section<'t>) {
        let Some(mut section) = root.table("default", "[default]") else { return };
        let judged = ["violation", "observe"];
        let later = ["violation", "report", "observe"];
        let mut consequence = |key, words: &[&str]| {
            section.parsed(key, |text| values::one_of(text, "a consequence", words).map(consequence_of))
        };
        let mut defaults = Defaults {
            undeclared_conduit: consequence("undeclared_conduit", &judged).unwrap_or_default(),
            undeclared_operation: consequence("undeclared_operation", &judged).unwrap_or_default(),
            unknown_asset: consequence("unknown_asset", &judged).unwrap_or_default(),
            opaque_payload: consequence("opaque_payload", &later),
            expired_exception: consequence("expired_exception", &later),
            ..Defaults::default()
        };
        let intra_zone = |text: &str| values::one_of(text, "a way to treat a zone", &["declared", "observe"]);
        let chosen = section.parsed("intra_zone", |text| intra_zone(text).map(str::to_owned));
        defaults.intra_zone_declared = chosen.as_deref() == Some("declared");
        defaults.time_zone = section.parsed("time_zone", values::time_zone);
        section.finish();
        self.declared.defaults = defaults;
    }

    /// Resolves a name to an index into `names`.
    fn refer<'n>(&self, word: &Word<'_>, what: &str, names: impl Iterator<Item = &'n str>) -> Option<u16> {
        let names: Vec<&str> = names.collect();
        if let Some(at) = names.iter().position(|&name| name == word.text) {
            return Some(index(at));
        }
        if !self.problems.has_failed(what, word.text) {
            let help = values::suggestion(word.text, &names);
            self.problems.unknown(word.span.clone(), format!("unknown {what} `{}`", word.text), help);
        }
        None
    }

    fn zone_ref(&self, word: &Word<'_>) -> Option<u16> {
        self.refer(word, "zone", self.declared.zones.iter().map(|zone| zone.name.as_str()))
    }

    fn asset_ref(&self, word: &Word<'_>) -> Option<u16> {
        self.refer(word, "asset", self.declared.assets.iter().map(|asset| asset.name.as_str()))
    }

    fn supplier_ref(&self, word: &Word<'_>) -> Option<u16> {
        self.refer(word, "supplier", self.declared.suppliers.iter().map(|supplier| supplier.name.as_str()))
    }

    fn flow_ref(&self, word: &Word<'_>) -> Option<u16> {
        self.refer(word, "flow", self.declared.flows.iter().map(|flow| flow.id.as_str()))
    }

    fn zone_name(&self, zone: u16) -> &str {
        self.declared.zones.get(usize::from(zone)).map_or("", |zone| &zone.name)
    }

    fn asset_name(&self, asset: u16) -> &str {
        self.declared.assets.get(usize::from(asset)).map_or("", |asset| &asset.name)
    }

    /// The named tables of a section, at most [`MAX_ITEMS`].
    fn named(&self, root: &mut Section<'t>, key: &'static str) -> Vec<(Word<'t>, Section<'t>)> {
        let mut named = root.named_tables(key);
        if let Some((word, _)) = named.get(MAX_ITEMS) {
            let message = format!("more than {MAX_ITEMS} tables `{key}`");
            self.problems.error(word.span.clone(), message, "split the policy");
            named.truncate(MAX_ITEMS);
        }
        named
    }
}

/// Enters a key as declared by `by`, unless it is declared already: then returns by what.
fn claim<K: PartialEq + Copy>(taken: &mut Vec<(K, u16)>, key: K, by: u16) -> Option<u16> {
    let first = taken.iter().find(|(one, _)| *one == key).map(|&(_, first)| first);
    if first.is_none() {
        taken.push((key, by));
    }
    first
}

fn index(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}

fn consequence_of(word: &str) -> Consequence {
    match word {
        "violation" => Consequence::Violation,
        "report" => Consequence::Report,
        _ => Consequence::Observe,
    }
}

fn owned(words: Vec<Word<'_>>) -> Vec<String> {
    words.into_iter().map(|word| word.text.to_owned()).collect()
}

impl Section<'_> {
    /// Reads notes for auditors: texts, lists of texts, dates.
    fn notes(&mut self, texts: &[&'static str], lists: &[&'static str], dates: &[&'static str]) -> Notes {
        let mut notes = Vec::new();
        for &key in texts {
            notes.extend(self.text(key).map(|word| (key, Note::Text(word.text.to_owned()))));
        }
        for &key in lists {
            let list = owned(self.texts(key));
            if !list.is_empty() {
                notes.push((key, Note::List(list)));
            }
        }
        for &key in dates {
            notes.extend(self.date(key).map(|date| (key, Note::Date(date))));
        }
        Notes(notes)
    }

    /// Reads a note that is one of some words.
    fn chosen(&mut self, key: &'static str, what: &str, words: &[&str]) -> Option<(&'static str, Note)> {
        let word = self.parsed(key, |text| values::one_of(text, what, words).map(str::to_owned))?;
        Some((key, Note::Text(word)))
    }

    /// Reads `sl_t`: levels by foundational requirement, 0 where none is written.
    fn security_level(&mut self) -> Option<SecurityLevel> {
        let what = format!("sl_t of {}", self.what);
        let mut section = self.table("sl_t", what)?;
        let keys = ["IAC", "UC", "SI", "DC", "RDF", "TRE", "RA"];
        let levels =
            keys.map(|key| section.integer(key, 0..=4).and_then(|level| u8::try_from(level).ok()).unwrap_or(0));
        section.finish();
        Some(levels)
    }
}

/// The words for the criticality of a zone or an asset.
const CRITICALITY: [&str; 4] = ["low", "medium", "high", "very high"];

fn span_of(word: &Word<'_>) -> Span {
    word.span.clone()
}
