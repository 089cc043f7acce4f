//! The compiled form of a policy: indices instead of names, and tables for the usual verdict.

mod declared_ports;
mod flow_index;
mod limited;

use lockkeeper_protocols::{Class, Namespaces, Operation};

use super::addresses::{AddressSet, Reach, Space, encloses, merge};
use super::classes::Classes;
use super::dialect::{self, Extent, Located, NamedPlaces, NodeRules, SessionOptions, TABLES};
use super::membership::Membership;
use super::model::{Allow, Declared, Flow, FunctionRef, Point};

use declared_ports::DeclaredPorts;
pub(super) use flow_index::{FlowIndex, Party};
pub(super) use limited::{LimitedPoint, LimitedPoints};

/// The compiled policy.
#[derive(Clone, Debug, Default)]
pub(super) struct Compiled {
    pub(super) members: Membership,
    /// For each zone: whether it declares assets.
    pub(super) declares_assets: Vec<bool>,
    /// For each conduit: its flows.
    pub(super) flows_of: Vec<FlowIndex>,
    /// For each flow: the operations that it permits.
    pub(super) flows: Vec<FlowRules>,
    /// For each asset: its points with limits.
    pub(super) limited: Vec<LimitedPoints>,
    /// The ports on which decoded protocols are declared.
    pub(super) declared_ports: DeclaredPorts,
}

/// The operations that a flow permits.
#[derive(Clone, Debug, Default)]
pub(super) struct FlowRules {
    /// The entries of `allow`.
    pub(super) permits: Vec<Permit>,
    /// The session options.
    pub(super) session: SessionOptions,
    /// Classes that an entry permits with any function and any address.
    everywhere: Classes,
    /// What entries that name no function permit on numbered addresses, by table: the same as `permits`, joined for the
    /// usual operation, which lies within one range.
    ranges: [Box<[RangeRule]>; TABLES],
    /// What the same entries permit on nodes.
    nodes: NodeRules,
}

/// Ranges of one space in which entries permit some classes.
#[derive(Clone, Debug)]
struct RangeRule {
    classes: Classes,
    space: Space,
    /// First and last address of all ranges.
    first: u32,
    last: u32,
    ranges: Box<[(u32, u32)]>,
}

/// One entry of `allow`.
#[derive(Clone, Debug)]
pub(super) struct Permit {
    classes: Classes,
    functions: Box<[FunctionRef]>,
    /// The places; none for everywhere.
    pub(super) places: Option<Places>,
}

/// The places of an entry.
#[derive(Clone, Debug)]
pub(super) struct Places {
    addresses: Box<[AddressSet]>,
    /// Places without numbered addresses. Those of another protocol hold no target of this one.
    named: NamedPlaces,
}

impl Compiled {
    pub(super) fn new(declared: &Declared) -> Self {
        let zones = 0..declared.zones.len();
        let conduits = 0..declared.conduits.len();
        let flows_of = |conduit: usize| {
            FlowIndex::new((0..).zip(&declared.flows).filter(|(_, flow)| usize::from(flow.conduit) == conduit))
        };
        let has_asset = |zone: usize| declared.assets.iter().any(|asset| usize::from(asset.zone) == zone);
        Self {
            members: Membership::new(&declared.zones, &declared.assets),
            declares_assets: zones.map(has_asset).collect(),
            flows_of: conduits.map(flows_of).collect(),
            flows: declared.flows.iter().map(|flow| FlowRules::new(flow, &declared.points)).collect(),
            limited: (0..declared.assets.len()).map(|asset| LimitedPoints::new(asset, &declared.points)).collect(),
            declared_ports: DeclaredPorts::new(&declared.flows),
        }
    }
}

impl FlowRules {
    fn new(flow: &Flow, points: &[Point]) -> Self {
        let dialect = dialect::of_protocol(flow.protocol.name());
        let permitted = |classes| dialect.map_or(classes, |dialect| dialect.permitted_classes(classes));
        let entries = || flow.allow.iter().map(|entry| (entry, located(entry, points)));
        let permits: Vec<Permit> =
            entries().map(|(entry, places)| Permit::new(entry, permitted(entry.classes), &places)).collect();
        // Operations that depend on the session are judged in full.
        let in_full = flow.session.classes();
        let plain = || entries().zip(&permits).filter(|(_, permit)| permit.functions.is_empty());
        let everywhere = plain().filter(|(_, permit)| permit.places.is_none());
        let everywhere = everywhere.fold(Classes::NONE, |all, (_, permit)| all.with(permit.classes)).without(in_full);
        let restricted = plain().filter(|(_, permit)| permit.places.is_some());
        let restricted: Vec<_> =
            restricted.map(|((_, places), permit)| (permit.classes.without(in_full), places)).collect();
        let sets = plain().filter_map(|(_, permit)| Some((permit.classes.without(in_full), permit.places.as_ref()?)));
        let sets = sets.flat_map(|(classes, places)| places.addresses.iter().map(move |set| (classes, set)));
        let (ranges, nodes) = (range_rules(sets), NodeRules::new(everywhere, &restricted));
        Self { session: flow.session.clone(), everywhere, ranges, nodes, permits }
    }

    /// Whether an operation is permitted by the entries that name no function, by one range at a time. `false` does not imply
    /// that it is not permitted.
    pub(super) fn permit_plainly(&self, asset: u16, operation: &Operation<'_>) -> bool {
        let class = operation.class;
        let Some(reach) = dialect::reach(asset, &operation.target) else {
            return self.everywhere.contains(class) || self.nodes.permit(asset, operation);
        };
        for rule in self.ranges.get(reach.table).map(Box::as_ref).unwrap_or_default() {
            let within = rule.first <= reach.first && reach.last <= rule.last;
            if rule.space.holds(reach.key) && within && rule.classes.contains(class) {
                return rule.ranges.len() == 1 || encloses(&rule.ranges, &reach);
            }
        }
        self.everywhere.contains(class)
    }

    /// Whether operations of a class are permitted on every node of these namespaces.
    #[inline]
    pub(super) fn permit_all(&self, asset: u16, class: Class, namespaces: Namespaces) -> bool {
        self.nodes.permit_all(asset, class, namespaces)
    }
}

/// The places of an entry: its points, each with its asset, then those that it names itself.
fn located<'a>(entry: &'a Allow, points: &'a [Point]) -> Vec<Located<'a>> {
    let points = entry.points.iter().filter_map(|&at| points.get(usize::from(at)));
    let points = points.map(|point| (Some(point.asset), &point.place));
    points.chain(entry.places.iter().map(|place| (None, place))).collect()
}

/// The ranges of entries by table, joined where classes and space are equal, then where space and ranges are equal.
fn range_rules<'a>(entries: impl Iterator<Item = (Classes, &'a AddressSet)>) -> [Box<[RangeRule]>; TABLES] {
    let mut tables: [Vec<RangeRule>; TABLES] = Default::default();
    for (classes, set) in entries {
        let (Some(rules), Some(new)) = (tables.get_mut(set.table), RangeRule::new(classes, set)) else { continue };
        match rules.iter_mut().find(|rule| (rule.classes, rule.space) == (new.classes, new.space)) {
            Some(rule) => rule.join(&new),
            None => rules.push(new),
        }
    }
    tables.map(|rules| {
        let mut joined: Vec<RangeRule> = Vec::new();
        for rule in rules {
            match joined.iter_mut().find(|other| (other.space, &other.ranges) == (rule.space, &rule.ranges)) {
                Some(other) => other.classes = other.classes.with(rule.classes),
                None => joined.push(rule),
            }
        }
        joined.into_boxed_slice()
    })
}

impl RangeRule {
    /// `None` for a set without ranges.
    fn new(classes: Classes, set: &AddressSet) -> Option<Self> {
        let (&(first, _), &(_, last)) = set.ranges.first().zip(set.ranges.last())?;
        Some(Self { classes, space: set.space, first, last, ranges: set.ranges.clone() })
    }

    fn join(&mut self, other: &Self) {
        self.ranges = merge([&*self.ranges, &*other.ranges].concat());
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

impl Permit {
    fn new(entry: &Allow, classes: Classes, places: &[Located<'_>]) -> Self {
        let actions = entry.actions.iter().flat_map(|action| action.functions);
        let actions = actions.map(|&function| FunctionRef::Name(function.to_owned()));
        let is_restricted = !entry.points.is_empty() || !entry.places.is_empty();
        Self {
            classes,
            functions: entry.functions.iter().cloned().chain(actions).collect(),
            places: is_restricted.then(|| Places::new(places)),
        }
    }

    /// Whether the entry is about operations of this class and function.
    pub(super) fn names(&self, operation: &Operation<'_>) -> bool {
        self.classes.contains(operation.class)
            && (self.functions.is_empty() || self.functions.iter().any(|function| function.is(operation)))
    }

    /// The last address of the ranges that hold an address, if any does.
    pub(super) fn end_of(&self, reach: &Reach, address: u32) -> Option<u32> {
        self.places.as_ref()?.addresses.iter().filter_map(|set| set.end_of(reach, address)).max()
    }
}

impl Places {
    fn new(places: &[Located<'_>]) -> Self {
        let addresses = places.iter().filter_map(|(asset, place)| match &place.extent {
            Extent::Addresses(addresses) => Some(AddressSet::new(*asset, addresses)),
            _ => None,
        });
        Self { addresses: addresses.collect(), named: NamedPlaces::new(places) }
    }

    /// Whether they hold the target of an operation without a numbered address. Numbered addresses are judged together with
    /// those of other entries.
    pub(super) fn name(&self, server: Option<u16>, operation: &Operation<'_>) -> bool {
        dialect::is_named(&self.named, server, operation)
    }
}

impl FunctionRef {
    fn is(&self, operation: &Operation<'_>) -> bool {
        match self {
            Self::Name(name) => name == operation.function,
            Self::Code(code) => *code == operation.code,
        }
    }
}
