//! What a flow allows: the entries of `allow`.

use super::super::model::{Allow, DeclaredProtocol, Endpoint, FunctionRef, Location, Registers, S7Place};
use super::super::section::{Section, Span, Word};
use super::super::values;
use super::super::words::{self, Classes};
use super::conduits::Here;
use super::pointless::permits_everything;
use super::points::{function_help, is_s7, place_word, speaks};
use super::{Walk, span_of};

impl<'t> Walk<'t> {
    /// The entries of `allow`, and where one of them permits every operation.
    pub(super) fn allow(
        &self,
        section: &mut Section<'t>,
        (protocol, is_needed): (&DeclaredProtocol, bool),
        to: &[Endpoint],
        here: &Here<'_>,
    ) -> (Vec<Allow>, Option<Span>) {
        if is_needed {
            section.missing("allow", "what may be done: allow = [{ op = \"read\" }]");
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
        let allow: Vec<Allow> = entries.into_iter().map(|entry| self.allow_entry(entry, protocol, to, here)).collect();
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
        here: &Here<'_>,
    ) -> Allow {
        let classes = self.classes(&mut entry);
        let functions = self.functions(&mut entry, protocol, classes);
        if !entry.has("functions") {
            entry.missing("op", "what may be done: op = \"read\"");
        }
        let points = entry.texts("points");
        let points = points.iter().filter_map(|word| self.usable_point(word, protocol, to, here)).collect();
        let allow = Allow {
            classes: if classes.is_empty() && entry.has("functions") { Classes::all() } else { classes },
            functions,
            points,
            registers: self.inline(&mut entry, protocol),
            s7: self.inline_s7(&mut entry, protocol),
            opcua: entry.opcua_places().unwrap_or_default(),
            rate: entry.parsed("rate", values::rate),
            blocks: entry.blocks(),
            actions: entry.actions(),
        };
        self.empty_list(&entry);
        self.actions_are_control(&entry, classes);
        self.foreign_places(&entry, protocol);
        entry.finish();
        allow
    }

    /// `points = []` would read as "no points" and act as "every address".
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

    /// What restricts another protocol's operations restricts nothing here.
    fn foreign_places(&self, entry: &Section<'t>, protocol: &DeclaredProtocol) {
        let DeclaredProtocol::Named(name) = protocol else { return };
        let s7 = is_s7(name);
        for (key, fits) in [("blocks", s7), ("actions", s7), ("opcua", *name == "opcua")] {
            if entry.has(key) && !fits {
                let message = format!("`{key}` does not apply to protocol {name}");
                self.problems.error(entry.span_of(key), message, format!("remove `{key}`, or correct the protocol"));
            }
        }
    }

    fn classes(&self, entry: &mut Section<'t>) -> Classes {
        let mut classes = Classes::NONE;
        for word in entry.texts("op") {
            match Classes::from_word(word.text) {
                Some(more) => classes = classes.with(more),
                None => {
                    let help = values::suggestion(word.text, &words::operation_words());
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
            DeclaredProtocol::Any => words::protocol_names(),
            DeclaredProtocol::Carried(_) => Vec::new(),
        };
        let known = || protocols.iter().flat_map(|of| words::functions_of(of));
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

    fn inline(&self, entry: &mut Section<'t>, protocol: &DeclaredProtocol) -> Option<Registers> {
        let registers = entry.registers()?;
        self.place_fits(&Location::Modbus(registers.clone()), entry.span_of("modbus"), protocol);
        Some(registers)
    }

    fn inline_s7(&self, entry: &mut Section<'t>, protocol: &DeclaredProtocol) -> Option<S7Place> {
        let place = entry.s7_place()?;
        self.place_fits(&Location::S7(place.clone()), entry.span_of("s7"), protocol);
        Some(place)
    }

    /// A point that this flow may name: of an asset in `to`, in the protocol's own terms.
    fn usable_point(
        &self,
        word: &Word<'_>,
        protocol: &DeclaredProtocol,
        to: &[Endpoint],
        here: &Here<'_>,
    ) -> Option<u16> {
        let at = self.refer(word, "point", self.declared.points.iter().map(|point| point.name.as_str()))?;
        let point = self.declared.points.get(usize::from(at))?;
        let asset = self.declared.assets.get(usize::from(point.asset))?;
        let held = to.iter().any(|endpoint| match endpoint {
            Endpoint::Asset(asset) => *asset == point.asset,
            Endpoint::Zone(zone) => *zone == asset.zone,
            Endpoint::Network(network) => asset.ip.iter().any(|ip| network.contains(ip)),
            Endpoint::Any => here.zones.is_empty() || here.zones.contains(&asset.zone),
        });
        if !held && !to.is_empty() && !self.unsound_assets.contains(&point.asset) {
            let message =
                format!("point `{}` is of asset {}, which is not in `to`", word.text, self.asset_name(point.asset));
            let own = self.declared.points.iter().filter(|one| to.contains(&Endpoint::Asset(one.asset)));
            let help = match words::list(own.map(|one| one.name.as_str())) {
                none if none.is_empty() => "name a point of an asset in `to`".to_owned(),
                names => format!("points of the assets in `to` are: {names}"),
            };
            self.problems.error(span_of(word), message, help);
        }
        self.place_fits(&point.place, word.span.clone(), protocol);
        Some(at)
    }

    fn place_fits(&self, place: &Location, span: Span, protocol: &DeclaredProtocol) {
        let fits = match protocol {
            DeclaredProtocol::Named(name) => speaks(place, name),
            DeclaredProtocol::Any => true,
            DeclaredProtocol::Carried(_) => false,
        };
        if !fits {
            let message =
                format!("a place written as `{}` does not apply to protocol {}", place_word(place), protocol.name());
            self.problems.error(span, message, "name a place of this protocol, or correct the protocol");
        }
    }
}
