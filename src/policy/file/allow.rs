//! The entries of `allow`, which say what a flow permits.

use lockkeeper_protocols::Class;

use super::super::classes::{self, Classes};
use super::super::dialect::{Action, DIALECTS, Location};
use super::super::model::{Allow, DeclaredProtocol, Endpoint, FunctionRef};
use super::super::section::{Complaint, Section, Span, Word};
use super::super::{services, values};
use super::conduits::ConduitScope;
use super::pointless::permits_everything;
use super::{Walk, span_of};
use crate::document::suggest::list;

impl<'t> Walk<'t> {
    /// Reads `allow`. Also returns the span of an entry that permits every operation.
    pub(super) fn allow(
        &self,
        section: &mut Section<'t>,
        (protocol, is_needed): (&DeclaredProtocol, bool),
        to: &[Endpoint],
        scope: &ConduitScope<'_>,
    ) -> (Vec<Allow>, Option<Span>) {
        if is_needed {
            section.missing("allow", "what it permits: allow = [{ op = \"read\" }]");
        }
        let what = format!("allow of {}", section.what);
        let span = section.span_of("allow");
        let before = self.problems.errors();
        let entries = section.tables("allow", what);
        if is_needed && section.has("allow") && entries.is_empty() && self.problems.errors() == before {
            let message = format!("{} allows nothing", section.what);
            self.problems.error(span, message, "write allow = [{ op = \"read\" }], or remove the flow");
        }
        let wide = entries.iter().position(|entry| permits_everything(entry));
        let any = wide.and_then(|at| entries.get(at)).map(|entry| entry.span_of("op"));
        let allow: Vec<Allow> = entries.into_iter().map(|entry| self.allow_entry(entry, protocol, to, scope)).collect();
        if let (Some(wide), Some(span)) = (wide, &any) {
            self.pointless_entries(&section.what, &allow, wide, span);
        }
        (allow, any)
    }

    fn allow_entry(
        &self,
        mut entry: Section<'t>,
        protocol: &DeclaredProtocol,
        to: &[Endpoint],
        scope: &ConduitScope<'_>,
    ) -> Allow {
        let classes = self.classes(&mut entry);
        let functions = self.functions(&mut entry, protocol, classes);
        if !entry.has("functions") {
            entry.missing("op", "what it permits: op = \"read\"");
        }
        let points = entry.texts("points");
        let points = points.iter().filter_map(|word| self.usable_point(word, protocol, to, scope)).collect();
        let places = self.inline_places(&mut entry, protocol);
        let allow = Allow {
            classes: if classes.is_empty() && entry.has("functions") { Classes::all() } else { classes },
            functions,
            points,
            places,
            rate: entry.parsed("rate", values::rate),
            actions: self.actions(&mut entry, protocol, classes),
        };
        self.empty_list(&entry);
        entry.finish();
        allow
    }

    /// Reports an empty list, which would read as "no points" and act as "every address".
    fn empty_list(&self, entry: &Section<'t>) {
        for key in ["op", "points", "functions", "blocks", "actions"] {
            if entry.is_empty_list(key) {
                let message = format!("`{key}` of {} is an empty list", entry.what);
                self.problems.error(
                    entry.span_of(key),
                    message,
                    format!("remove `{key}` to permit all of them, or name one"),
                );
            }
        }
    }

    /// Reads the places that an entry names itself, in each dialect.
    fn inline_places(&self, entry: &mut Section<'t>, protocol: &DeclaredProtocol) -> Vec<Location> {
        let mut places = Vec::new();
        for dialect in DIALECTS {
            places.extend(dialect.entry_places(entry));
            if !protocol.is_of(*dialect) {
                dialect.entry_keys().iter().for_each(|key| self.foreign_key(entry, key, protocol));
            }
        }
        places
    }

    /// Reports a restriction for operations of another protocol: it would restrict nothing.
    fn foreign_key(&self, entry: &Section<'t>, key: &str, protocol: &DeclaredProtocol) {
        if entry.has(key) {
            let message = format!("`{key}` does not apply to protocol {}", protocol.name());
            self.problems.error(entry.span_of(key), message, format!("remove `{key}`, or correct the protocol"));
        }
    }

    /// Reads `actions = ["stop"]`. They need the class `control` alone: beside others, it is unclear what they restrict.
    fn actions(&self, entry: &mut Section<'t>, protocol: &DeclaredProtocol, classes: Classes) -> Vec<&'static Action> {
        let words = entry.texts("actions");
        let actions = words.iter().filter_map(|word| entry.parse(word, action)).collect();
        if entry.has("actions") && !classes.is_empty() && classes != Classes::only(Class::Control) {
            let message = format!("`actions` of {} need op = \"control\", and no other", entry.what);
            let help = "make an entry of its own: { op = \"control\", actions = [...] }";
            self.problems.error(entry.span_of("actions"), message, help);
        }
        if !DIALECTS.iter().any(|dialect| !dialect.actions().is_empty() && protocol.is_of(*dialect)) {
            self.foreign_key(entry, "actions", protocol);
        }
        actions
    }

    fn classes(&self, entry: &mut Section<'t>) -> Classes {
        let mut classes = Classes::NONE;
        for word in entry.texts("op") {
            match Classes::from_word(word.text) {
                Some(more) => classes = classes.with(more),
                None => {
                    let help = values::suggestion(word.text, &classes::operation_words());
                    self.problems.error(span_of(&word), format!("unknown operation `{}`", word.text), help);
                }
            }
        }
        classes
    }

    fn functions(&self, entry: &mut Section<'t>, protocol: &DeclaredProtocol, classes: Classes) -> Vec<FunctionRef> {
        let tokens = entry.tokens("functions", "a function's name or number, or a list of them");
        tokens.iter().filter_map(|(text, span)| self.function(text, span, protocol, classes)).collect()
    }

    fn function(&self, text: &str, span: &Span, protocol: &DeclaredProtocol, classes: Classes) -> Option<FunctionRef> {
        if let Ok(code) = text.parse::<u32>() {
            return Some(FunctionRef::Code(code));
        }
        let protocols = match protocol {
            DeclaredProtocol::Named(name) => vec![*name],
            DeclaredProtocol::Any => services::protocol_names(),
            DeclaredProtocol::Carried(_) => Vec::new(),
        };
        let known = || protocols.iter().flat_map(|of| services::functions_of(of));
        match known().find(|function| function.name == text) {
            Some(function) if !classes.is_empty() && !classes.contains(function.class) => {
                // Not an error: the second half of FC 23 is a read, though the function is a write.
                let class = function.class.name();
                let message = format!("`{text}` is of class {class}, which `op` does not include");
                self.problems.warning(span.clone(), message, format!("add \"{class}\" to `op`, or remove `op`"));
                Some(FunctionRef::Name(text.to_owned()))
            }
            None if known().next().is_some() => {
                let help = function_help(text, &protocols);
                self.problems.error(span.clone(), format!("unknown function `{text}`"), help);
                None
            }
            _ => Some(FunctionRef::Name(text.to_owned())),
        }
    }

    /// Resolves a point, which must be of an asset in `to` and have a place of the flow's protocol.
    fn usable_point(
        &self,
        word: &Word<'_>,
        protocol: &DeclaredProtocol,
        to: &[Endpoint],
        scope: &ConduitScope<'_>,
    ) -> Option<u16> {
        let at = self.refer(word, "point", self.declared.points.iter().map(|point| point.name.as_str()))?;
        let point = self.declared.points.get(usize::from(at))?;
        let asset = self.declared.assets.get(usize::from(point.asset))?;
        let held = to.iter().any(|endpoint| match endpoint {
            Endpoint::Asset(asset) => *asset == point.asset,
            Endpoint::Zone(zone) => *zone == asset.zone,
            Endpoint::Network(network) => asset.ip.iter().any(|ip| network.contains(ip)),
            Endpoint::Any => scope.zones.is_empty() || scope.zones.contains(&asset.zone),
        });
        if !held && !to.is_empty() && !self.invalid_assets.contains(&point.asset) {
            let message =
                format!("point `{}` is of asset {}, which is not in `to`", word.text, self.asset_name(point.asset));
            let own = self.declared.points.iter().filter(|one| to.contains(&Endpoint::Asset(one.asset)));
            let help = match list(own.map(|one| one.name.as_str())) {
                none if none.is_empty() => "name a point of an asset in `to`".to_owned(),
                names => format!("points of the assets in `to` are: {names}"),
            };
            self.problems.error(span_of(word), message, help);
        }
        self.place_fits(&point.place, word.span.clone(), protocol);
        Some(at)
    }

    fn place_fits(&self, place: &Location, span: Span, protocol: &DeclaredProtocol) {
        if !protocol.is_of(place.dialect) {
            let message =
                format!("a place written as `{}` does not apply to protocol {}", place.dialect.key(), protocol.name());
            self.problems.error(span, message, "name a place of this protocol, or correct the protocol");
        }
    }
}

/// The action of a word.
fn action(text: &str) -> Result<&'static Action, Complaint> {
    let actions = || DIALECTS.iter().flat_map(|dialect| dialect.actions());
    let names: Vec<&str> = actions().map(|action| action.name).collect();
    values::one_of(text, "a control action", &names)?;
    actions().find(|action| action.name == text).ok_or_else(|| (text.to_owned(), String::new()))
}

/// The help for an unknown function: the nearest one, or all that the protocols list.
fn function_help(name: &str, protocols: &[&str]) -> String {
    let known: Vec<&str> =
        protocols.iter().flat_map(|of| services::functions_of(of).map(|function| function.name)).collect();
    values::suggestion(name, &known)
}
