//! Grants and exceptions: their form and their references are checked; they are not judged yet.

use super::super::model::{Exception, Grant, Note, Notes};
use super::super::section::Section;
use super::{Walk, span_of};
use jiff::Timestamp;

impl<'t> Walk<'t> {
    pub(super) fn grants(&mut self, root: &mut Section<'t>) {
        for mut section in root.tables("grant", "a grant") {
            let id = self.record_id(&mut section, "grant");
            section.missing("flow", "the flow that it opens: flow = \"F-601\"");
            section.missing("start", "its begin: start = 2026-11-24T09:00:00+01:00");
            section.missing("end", "its end: end = 2026-11-24T12:00:00+01:00");
            let grant = Grant {
                id,
                flow: section.text("flow").and_then(|word| self.flow_ref(&word)).unwrap_or_default(),
                supplier: section.text("supplier").and_then(|word| self.supplier_ref(&word)),
                start: section.moment("start").unwrap_or(Timestamp::MIN),
                end: section.moment("end").unwrap_or(Timestamp::MAX),
                notes: section.notes(&["ticket", "approved_by", "reason"], &[], &[]),
            };
            if grant.start >= grant.end {
                let message = format!("{} ends before it begins", section.what);
                self.problems.error(section.span_of("end"), message, "a grant runs from `start` to a later `end`");
            }
            section.finish();
            self.declared.grants.push(grant);
        }
    }

    pub(super) fn exceptions(&mut self, root: &mut Section<'t>) {
        for mut section in root.tables("exception", "an exception") {
            let id = self.record_id(&mut section, "exception");
            section.missing("rule", "the rule that it excuses: rule = \"operation.undeclared\"");
            section.missing("expires_on", "its last day, since exceptions end: expires_on = 2027-09-30");
            let exception = self.exception(id, &mut section);
            section.finish();
            self.declared.exceptions.push(exception);
        }
    }

    fn exception(&self, id: String, section: &mut Section<'t>) -> Exception {
        let texts = ["title", "reason", "risk", "accepted_by", "ticket"];
        let mut exception = Exception {
            id,
            rule: section.text("rule").map(|word| word.text.to_owned()).unwrap_or_default(),
            conduit: None,
            flows: Vec::new(),
            asset: None,
            zone: None,
            expires_on: section.date("expires_on").unwrap_or(jiff::civil::Date::MAX),
            notes: section.notes(&texts, &["requirements", "compensating"], &["created_on", "review_on"]),
        };
        self.ends_after_it_begins(&exception, section);
        if let Some(mut scope) = section.table("scope", "scope of an exception") {
            exception.conduit = scope.text("conduit").and_then(|word| self.conduit_ref(&word));
            exception.flows = scope.texts("flows").iter().filter_map(|word| self.flow_ref(word)).collect();
            exception.asset = scope.text("asset").and_then(|word| self.asset_ref(&word));
            exception.zone = scope.text("zone").and_then(|word| self.zone_ref(&word));
            scope.finish();
        }
        exception
    }

    fn ends_after_it_begins(&self, exception: &Exception, section: &Section<'t>) {
        if date(&exception.notes, "created_on").is_some_and(|created| created > exception.expires_on) {
            let message = format!("{} ends before it was created", section.what);
            self.problems.error(section.span_of("expires_on"), message, "correct `expires_on` or `created_on`");
        }
    }

    fn record_id(&self, section: &mut Section<'t>, kind: &str) -> String {
        section.missing("id", &format!("an id: id = \"{}-2026-001\"", kind.get(..1).unwrap_or("G").to_uppercase()));
        let id = section.text("id");
        if let Some(word) = &id {
            section.what = format!("{kind} {}", word.text);
            let grants = self.declared.grants.iter().map(|grant| &grant.id);
            if grants.chain(self.declared.exceptions.iter().map(|one| &one.id)).any(|taken| taken == word.text) {
                let message = format!("id `{}` is used twice", word.text);
                self.problems.error(span_of(word), message, "give each grant and exception an id of its own");
            }
        }
        id.map(|word| word.text.to_owned()).unwrap_or_default()
    }
}

fn date(notes: &Notes, key: &str) -> Option<jiff::civil::Date> {
    match notes.get(key) {
        Some(Note::Date(date)) => Some(*date),
        _ => None,
    }
}
