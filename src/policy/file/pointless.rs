//! Warnings about permits that have no effect because an `any` beside them permits the same.

use super::super::classes::Classes;
use super::super::model::{Allow, DeclaredProtocol, Endpoint, Flow, Ports};
use super::super::section::{Section, Span};
use super::Walk;
use crate::document::suggest::list;

/// Whether an entry of `allow` is `{ op = "any" }`, perhaps with more operations in its list.
pub(super) fn permits_everything(entry: &Section<'_>) -> bool {
    entry.keys().all(|key| key.text == "op") && entry.holds("op", "any")
}

impl Walk<'_> {
    /// Warns of entries of a flow beside one that permits everything.
    pub(super) fn pointless_entries(&self, flow: &str, allow: &[Allow], wide: usize, span: &Span) {
        let others = (0..).zip(allow).filter(|(at, entry)| *at != wide && is_within_any(entry)).count();
        if others > 0 {
            let message = format!("`any` makes {} of {flow} pointless: it permits the same and more", entries(others));
            let help = "remove op = \"any\", or the narrower entries beside it";
            self.problems.advise(span.clone(), message, help);
        }
    }

    /// Warns of flows, from index `first` on, that another flow of their conduit covers. `wide`: the flows with an entry that
    /// permits everything, and its span.
    pub(super) fn pointless_flows(&self, first: usize, wide: &[(usize, Span)]) {
        let flows = || (first..).zip(self.declared.flows.iter().skip(first));
        for (at, span) in wide {
            let Some(any) = self.declared.flows.get(*at) else { continue };
            let covered = flows().filter(|(other, flow)| other != at && self.is_covered(flow, any));
            let covered = list(covered.map(|(_, flow)| flow.id.as_str()));
            if !covered.is_empty() {
                let message =
                    format!("`any` of flow {} makes {covered} pointless: it permits the same and more", any.id);
                let help = "name the operations that are meant, or remove what is pointless";
                self.problems.advise(span.clone(), message, help);
            }
        }
    }

    /// Whether a flow that permits every operation, at any time, covers all that another flow permits.
    fn is_covered(&self, flow: &Flow, any: &Flow) -> bool {
        let is_conditional =
            !any.session.is_empty() || any.schedule.is_some() || any.requires_grant || !any.conditions.is_empty();
        let covers = |wide: &[Endpoint], narrow: &[Endpoint]| {
            narrow.iter().all(|narrow| wide.iter().any(|wide| self.holds(wide, narrow)))
        };
        !is_conditional
            && (any.protocol == DeclaredProtocol::Any || any.protocol == flow.protocol)
            && hold(&any.ports, &flow.ports)
            && covers(&any.from, &flow.from)
            && covers(&any.to, &flow.to)
            && flow.allow.iter().all(is_within_any)
    }

    /// Whether an endpoint includes every host of another.
    fn holds(&self, wide: &Endpoint, narrow: &Endpoint) -> bool {
        let asset = |asset: u16| self.declared.assets.get(usize::from(asset));
        match (wide, narrow) {
            (Endpoint::Any, _) => true,
            (Endpoint::Zone(zone), Endpoint::Asset(of)) => asset(*of).is_some_and(|asset| asset.zone == *zone),
            (Endpoint::Network(wide), Endpoint::Network(narrow)) => wide.contains(narrow),
            (wide, narrow) => wide == narrow,
        }
    }
}

/// Whether `any`, which includes every class but `unknown`, permits all that an entry permits.
fn is_within_any(entry: &Allow) -> bool {
    Classes::from_word("any").is_some_and(|any| entry.classes.without(any).is_empty())
}

fn hold(wide: &Ports, narrow: &Ports) -> bool {
    match (wide, narrow) {
        (Ports::Any, _) => true,
        (Ports::Ranges(_), Ports::Any) => false,
        (Ports::Ranges(wide), Ports::Ranges(narrow)) => narrow.iter().all(|&(carrier, first, last)| {
            wide.iter().any(|&(of, from, to)| of == carrier && from <= first && last <= to)
        }),
    }
}

fn entries(number: usize) -> String {
    if number == 1 { "another entry of allow".to_owned() } else { format!("{number} other entries of allow") }
}
