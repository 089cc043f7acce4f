//! Denials as sentences that say what is permitted instead.

use lockkeeper_protocols::Class;

use super::classes::{self, Classes};
use super::model::{Allow, Endpoint, Flow, FunctionRef, Ports};
use super::services::{self, PortRange};
use super::{Denial, FlowVerdict, Limit, Policy, Reason};
use crate::document::suggest::list;

impl Policy {
    /// The second half of the sentence of an alert: what is permitted instead, such as
    /// `conduit C-REMOTE-LOCK permits only read`. Empty if the rule has none.
    pub fn detail(&self, flow_verdict: &FlowVerdict, denial: &Denial) -> String {
        if let Some(message) = self.condition_message(denial) {
            return message;
        }
        denial.rule.row().detail.map_or_else(String::new, |detail| detail(self, flow_verdict, denial))
    }

    pub(super) fn conduit_detail(&self, flow_verdict: &FlowVerdict, _denial: &Denial) -> String {
        let (from, to) = (self.zone_name(flow_verdict.client.zone), self.zone_name(flow_verdict.server.zone));
        format!("no conduit connects {from} and {to}")
    }

    pub(super) fn unplaced_detail(&self, flow_verdict: &FlowVerdict, _denial: &Denial) -> String {
        let text = if flow_verdict.client.zone.is_some() {
            "it goes to whoever is in reach, in any zone"
        } else {
            "neither host is in a zone, and their addresses hold on one link only: their hardware addresses or their VLAN \
             would place them"
        };
        text.to_owned()
    }

    pub(super) fn opaque_detail(&self, _flow_verdict: &FlowVerdict, denial: &Denial) -> String {
        let flow = denial.flow.map(|flow| self.flow_id(flow)).unwrap_or_default();
        format!("flow {flow} restricts its content, and encrypted content cannot be seen")
    }

    fn conduit_of(&self, flow_verdict: &FlowVerdict) -> String {
        match flow_verdict.conduit {
            Some(conduit) => format!("conduit {}", self.conduit_name(conduit)),
            None => format!("zone {}", self.zone_name(flow_verdict.client.zone.or(flow_verdict.server.zone))),
        }
    }

    pub(super) fn peer_detail(&self, flow_verdict: &FlowVerdict, denial: &Denial) -> String {
        match (flow_verdict.conduit, denial.flow) {
            (Some(conduit), Some(reverse)) => {
                let (flow, conduit) = (self.flow_id(reverse), self.conduit_name(conduit));
                format!("flow {flow} of conduit {conduit} is declared only in the other direction")
            }
            (Some(conduit), None) => {
                format!("conduit {} declares no flow from this client to this server", self.conduit_name(conduit))
            }
            (None, _) => {
                format!("no flow is declared between them inside zone {}", self.zone_name(flow_verdict.client.zone))
            }
        }
    }

    /// The declared flows that name both hosts.
    fn candidates<'a>(&'a self, flow_verdict: &'a FlowVerdict) -> impl Iterator<Item = &'a Flow> {
        let candidates = flow_verdict.candidates.as_deref().unwrap_or_default();
        candidates.iter().filter_map(|one| self.flow(one.flow))
    }

    pub(super) fn protocol_detail(&self, flow_verdict: &FlowVerdict, _denial: &Denial) -> String {
        let mut protocols: Vec<String> = Vec::new();
        for flow in self.candidates(flow_verdict) {
            let text = protocol_text(flow);
            if !protocols.contains(&text) {
                protocols.push(text);
            }
        }
        let protocols = list(protocols.iter().map(String::as_str));
        format!("{} permits only {protocols} between these hosts", self.conduit_of(flow_verdict))
    }

    pub(super) fn operation_detail(&self, flow_verdict: &FlowVerdict, denial: &Denial) -> String {
        let judged = || {
            let candidates = flow_verdict.candidates.as_deref().unwrap_or_default().iter().filter(|one| one.decides());
            let flows = candidates.filter_map(|one| self.flow(one.flow));
            flows.flat_map(|flow| flow.allow.iter().map(move |entry| (flow, entry)))
        };
        let whole = judged().filter(|(_, entry)| entry.functions.is_empty() && entry.actions.is_empty());
        let classes = whole.fold(Classes::NONE, |all, (_, entry)| all.with(entry.classes));
        let class = class_of(denial);
        if let Some(class) = class.filter(|&class| classes.contains(class)) {
            return format!("{} permits {} only on named addresses", self.conduit_of(flow_verdict), class.name());
        }
        let functions = |class: Option<Class>| {
            let named =
                judged().flat_map(move |(flow, entry)| entry.functions.iter().map(move |one| (flow, entry, one)));
            let named =
                named.filter(move |(flow, entry, one)| class.is_none_or(|class| may_be(flow, entry, one, class)));
            let actions = judged().flat_map(|(_, entry)| entry.actions.iter().map(|action| action.name.to_owned()));
            let actions = actions.filter(|_| class.is_none_or(|class| class == Class::Control));
            named.map(|(_, _, one)| function_text(one)).chain(actions).collect::<Vec<_>>()
        };
        let of_class = functions(class);
        if let (Some(class), false) = (class, of_class.is_empty()) {
            return format!(
                "{} permits {} only as {}",
                self.conduit_of(flow_verdict),
                class.name(),
                of_class.join(", ")
            );
        }
        let permitted = Some(classes_text(classes)).filter(|text| !text.is_empty());
        let permitted: Vec<String> = permitted.into_iter().chain(functions(None)).collect();
        format!("{} permits only {}", self.conduit_of(flow_verdict), permitted.join(", "))
    }

    pub(super) fn address_detail(&self, _flow_verdict: &FlowVerdict, denial: &Denial) -> String {
        let flow = denial.flow.and_then(|flow| self.flow(flow));
        let (Some(flow), Some(class)) = (flow, class_of(denial)) else {
            return "the address is not declared".to_owned();
        };
        let naming = flow.allow.iter().filter(|entry| entry.classes.contains(class));
        let places: Vec<String> = naming.flat_map(|entry| self.places_of(entry)).collect();
        let places = if places.is_empty() { "no address".to_owned() } else { list(places.iter().map(String::as_str)) };
        format!("flow {} permits {} only on {places}", flow.id, class.name())
    }

    /// The points and ranges of an entry, as the policy writes them.
    pub(super) fn places_of(&self, entry: &Allow) -> Vec<String> {
        let mut places: Vec<String> = entry.points.iter().map(|&point| self.point_name(point).to_owned()).collect();
        places.extend(entry.places.iter().map(|place| place.text.clone()));
        places
    }

    pub(super) fn value_detail(&self, _flow_verdict: &FlowVerdict, denial: &Denial) -> String {
        let (point, value, limit) = match denial.reason {
            Reason::Value { point, value, limit } => (point, value, limit),
            Reason::Unreadable { point } => {
                let point = self.point_name(point);
                return format!("the value that point {point} would get cannot be told, so its limits cannot hold");
            }
            Reason::Type { point } => {
                return format!("the value is not of the type of point {}", self.point_name(point));
            }
            _ => return "the value is beyond its limits".to_owned(),
        };
        let of = point.map(|point| format!(" of point {}", self.point_name(point))).unwrap_or_default();
        match limit {
            Limit::Min(min) => format!("{value} is below the minimum {min}{of}"),
            Limit::Max(max) => format!("{value} is above the maximum {max}{of}"),
            Limit::Step { max, from } => format!("{value} is more than the largest step {max} from {from}{of}"),
            Limit::List => self.list_message(point, value, &of),
        }
    }

    fn list_message(&self, point: Option<u16>, value: f64, of: &str) -> String {
        let point = point.and_then(|point| self.declared.points.get(usize::from(point)));
        let values: Vec<String> =
            point.into_iter().flat_map(|point| &point.limits.values).map(f64::to_string).collect();
        if values.is_empty() {
            return format!("{value} is no value that the limits{of} admit");
        }
        format!("{value} is not one of {}{of}", list(values.iter().map(String::as_str)))
    }

    /// The name of a point.
    pub fn point_name(&self, point: u16) -> &str {
        self.declared.points.get(usize::from(point)).map_or("", |point| &point.name)
    }

    /// The index of the point with this name.
    pub(super) fn point_named(&self, name: &str) -> Option<u16> {
        let index = self.declared.points.iter().position(|point| point.name == name)?;
        u16::try_from(index).ok()
    }

    /// An endpoint as the policy writes it.
    pub(super) fn endpoint_text(&self, endpoint: &Endpoint) -> String {
        match endpoint {
            Endpoint::Asset(asset) => self.asset_name(*asset).to_owned(),
            Endpoint::Zone(zone) => format!("zone:{}", self.zone_name(Some(*zone))),
            Endpoint::Network(network) if network.prefix_len() == network.max_prefix_len() => {
                network.addr().to_string()
            }
            Endpoint::Network(network) => network.to_string(),
            Endpoint::Any => "any".to_owned(),
        }
    }

    /// What an entry of `allow` permits: `write bridge-command`.
    pub(super) fn allow_text(&self, entry: &Allow) -> String {
        let mut text = if entry.functions.is_empty() {
            classes_text(entry.classes)
        } else {
            let functions: Vec<String> = entry.functions.iter().map(function_text).collect();
            list(functions.iter().map(String::as_str))
        };
        if !entry.actions.is_empty() {
            text.push(' ');
            text.push_str(&list(entry.actions.iter().map(|action| action.name)));
        }
        let places = self.places_of(entry);
        if !places.is_empty() {
            text.push_str(" on ");
            text.push_str(&list(places.iter().map(String::as_str)));
        }
        if self.permits_limited_writes(entry) {
            text.push_str(" within limits");
        }
        text
    }

    /// Whether an entry permits writing to a point with declared value limits.
    fn permits_limited_writes(&self, entry: &Allow) -> bool {
        let limited =
            |&point: &u16| self.declared.points.get(usize::from(point)).is_some_and(|one| !one.limits.is_empty());
        entry.classes.contains(Class::Write) && entry.points.iter().any(limited)
    }
}

/// Whether a function that an entry names may be of a class: a known function has one class.
fn may_be(flow: &Flow, entry: &Allow, function: &FunctionRef, class: Class) -> bool {
    let known = || {
        services::functions_of(flow.protocol.name()).filter(|one| match function {
            FunctionRef::Name(name) => one.name == name,
            FunctionRef::Code(code) => one.code == *code,
        })
    };
    entry.classes.contains(class) && (known().next().is_none() || known().any(|one| one.class == class))
}

fn class_of(denial: &Denial) -> Option<Class> {
    match denial.reason {
        Reason::Class(class) => Some(class),
        _ => None,
    }
}

/// The name of the role that the classes are, or else their names.
fn classes_text(classes: Classes) -> String {
    let roles = classes::ROLES.into_iter();
    match roles.rev().find(|role| Classes::from_word(role) == Some(classes)) {
        Some(role) => role.to_owned(),
        None => list(classes.iter().map(Class::name)),
    }
}

fn function_text(function: &FunctionRef) -> String {
    match function {
        FunctionRef::Name(name) => name.clone(),
        FunctionRef::Code(code) => format!("function {code}"),
    }
}

/// `modbus on tcp/502`, `tcp/443`, `any`.
pub(super) fn protocol_text(flow: &Flow) -> String {
    let name = flow.protocol.name();
    let Ports::Ranges(ranges) = &flow.ports else { return name.to_owned() };
    let ranges: Vec<String> = ranges.iter().map(|&range| port_range_text(range)).collect();
    let ranges = list(ranges.iter().map(String::as_str));
    if ranges == name { ranges } else { format!("{name} on {ranges}") }
}

fn port_range_text((carrier, first, last): PortRange) -> String {
    let numbered = matches!(carrier, super::Carrier::Tcp | super::Carrier::Udp);
    let whole = if numbered && first <= 1 && last == u16::MAX { Some("any port") } else { None };
    let name = services::port_text((carrier, first));
    match (whole, first == last) {
        (Some(whole), _) => format!("{} {whole}", name.split('/').next().unwrap_or_default()),
        (None, true) => name,
        (None, false) => format!("{name}-{last}"),
    }
}
