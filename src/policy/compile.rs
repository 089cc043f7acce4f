//! What a policy declares, in the form in which it is judged: nothing here is looked up by name.

mod declared_ports;
mod flow_index;
mod limited;
mod node_map;
mod places;

use std::collections::BTreeSet;

use lockkeeper_protocols::{Class, MethodTarget, Namespaces, Node, Operation, Target};

use super::membership::Membership;
use super::model::{
    Allow, Blocks, Declared, Flow, FunctionRef, Location, NodePattern, OpcUaSession, Password, Point, S7Object,
    S7Place, S7Session,
};
use super::words::Classes;

use declared_ports::DeclaredPorts;
pub(super) use flow_index::{FlowIndex, Party};
pub(super) use limited::{LimitedPoint, LimitedPoints, Unit};
use node_map::NodeMap;
pub(super) use places::{NO_ASSET, Reach, covered};
use places::{Space, Span, TABLES, encloses, merge};

/// The compiled policy.
#[derive(Clone, Debug, Default)]
pub(super) struct Compiled {
    pub(super) members: Membership,
    /// For each zone: whether it declares assets.
    pub(super) declares_assets: Vec<bool>,
    /// For each conduit: its flows.
    pub(super) flows_of: Vec<FlowIndex>,
    /// For each flow: what its operations may be.
    pub(super) flows: Vec<FlowRules>,
    /// For each asset: its points with limits.
    pub(super) limited: Vec<LimitedPoints>,
    /// Where decoded protocols are declared.
    pub(super) declared_ports: DeclaredPorts,
}

/// What the operations of a flow may be.
#[derive(Clone, Debug, Default)]
pub(super) struct FlowRules {
    /// The entries of `allow`.
    pub(super) permits: Vec<Permit>,
    /// What a session with an S7 controller must be like.
    pub(super) s7: S7Session,
    /// What a session with an OPC UA server must be like, where that is said.
    pub(super) opcua: Option<OpcUaSession>,
    /// Classes that an entry permits whatever the function and the address.
    everywhere: Classes,
    /// What entries that name no function permit on which addresses, by table: the same as `permits`, laid out for the
    /// usual operation, which lies within one of these ranges.
    lanes: [Box<[Lane]>; TABLES],
    /// The same for nodes, each with the asset that it is in if that is said.
    nodes: NodeMap<(Classes, Option<u16>)>,
    /// Namespaces that are permitted as a whole on every asset.
    whole: WholeNamespaces,
    /// Those of assets that entries name, on which there may be more of them.
    whole_of: Box<[(u16, WholeNamespaces)]>,
    /// Classes in which entries that name nodes also permit what acts on none, such as a subscription as such.
    nowhere: Classes,
}

/// Namespaces by class: one look, and no search whose length the processor would have to guess.
type WholeNamespaces = [Namespaces; Class::ALL.len()];

/// Where entries permit some classes in one space.
#[derive(Clone, Debug)]
struct Lane {
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
    /// Where; none for everywhere.
    pub(super) places: Option<Places>,
}

/// Where an entry permits what it names.
#[derive(Clone, Debug)]
pub(super) struct Places {
    spans: Box<[Span]>,
    /// Objects, each with the asset that it is in if that is said.
    objects: Box<[(Option<u16>, S7Object)]>,
    blocks: Box<[Blocks]>,
    /// Nodes, each with the asset that it is in if that is said; of calls also the methods.
    nodes: NodeMap<Option<u16>>,
    methods: Box<[NodePattern]>,
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
        let mut permits: Vec<Permit> = flow.allow.iter().map(|entry| Permit::new(entry, points)).collect();
        if flow.protocol.name() == "opcua" {
            permits.iter_mut().for_each(Permit::report_what_is_subscribed);
        }
        let s7 = flow.s7.unwrap_or_default();
        let slow = if flow.s7.is_some() { Classes::only(Class::Session).with(s7.guarded()) } else { Classes::NONE };
        let plain = || flow.allow.iter().zip(&permits).filter(|(_, permit)| permit.functions.is_empty());
        let everywhere = plain().filter(|(_, permit)| permit.places.is_none());
        let everywhere = everywhere.fold(Classes::NONE, |all, (_, permit)| all.with(permit.classes)).without(slow);
        let somewhere = || {
            plain().filter_map(|(entry, permit)| Some((entry, permit.classes.without(slow), permit.places.as_ref()?)))
        };
        let naming = somewhere().filter(|(.., places)| !places.nodes.is_empty());
        let nowhere =
            naming.fold(Classes::NONE, |all, (_, classes, _)| all.with(classes)).and(Places::CLASSES_OF_NO_NODE);
        let nodes = somewhere().filter(|(.., places)| places.methods.is_empty());
        let nodes = nodes.flat_map(|(entry, classes, _)| {
            named_nodes(entry, points).map(move |(pattern, asset)| (pattern.clone(), (classes, asset)))
        });
        let nodes: Vec<_> = nodes.collect();
        let namespaces = nodes.iter().filter_map(|(pattern, (classes, asset))| {
            Some((*classes, *asset, Namespaces::only(pattern.whole_namespace()?)))
        });
        let (whole, whole_of) = whole_namespaces(everywhere, &namespaces.collect::<Vec<_>>());
        let lanes = lanes(somewhere().map(|(_, classes, places)| (classes, &*places.spans)));
        let nodes = nodes.into_iter().collect();
        let opcua = flow.opcua.clone();
        Self { everywhere, lanes, nodes, whole, whole_of, nowhere, s7, opcua, permits }
    }

    /// Whether an operation is permitted, looking only at entries that name no function and at one range at a time. What
    /// this does not permit may be permitted still.
    pub(super) fn permit_plainly(&self, asset: u16, operation: &Operation<'_>) -> bool {
        let class = operation.class;
        let Some(reach) = Reach::of(asset, &operation.target) else {
            return self.everywhere.contains(class) || self.permit_without_address(asset, operation);
        };
        for lane in self.lanes.get(reach.table).map(Box::as_ref).unwrap_or_default() {
            let within = lane.first <= reach.first && reach.last <= lane.last;
            if lane.space.holds(reach.key) && within && lane.classes.contains(class) {
                return lane.ranges.len() == 1 || encloses(&lane.ranges, &reach);
            }
        }
        self.everywhere.contains(class)
    }

    fn permit_without_address(&self, asset: u16, operation: &Operation<'_>) -> bool {
        match operation.target {
            Target::Node(target) => {
                let permits = |(classes, of): &(Classes, Option<u16>)| {
                    classes.contains(operation.class) && of.is_none_or(|of| of == asset)
                };
                self.nodes.about(target.node).any(permits)
            }
            Target::None | Target::Item { .. } => self.nowhere.contains(operation.class),
            _ => false,
        }
    }

    /// Whether operations of a class are permitted on every node of these namespaces.
    #[inline]
    pub(super) fn permit_all(&self, asset: u16, class: Class, namespaces: Namespaces) -> bool {
        let of_asset = self.whole_of.iter().find(|(of, _)| *of == asset);
        let whole = of_asset.map_or(&self.whole, |(_, whole)| whole);
        whole.get(class as usize).is_some_and(|whole| whole.hold(namespaces))
    }
}

/// The nodes of an entry, each with the asset that it is in if that is said.
fn named_nodes<'a>(entry: &'a Allow, points: &'a [Point]) -> impl Iterator<Item = (&'a NodePattern, Option<u16>)> {
    let named = entry.points.iter().filter_map(|&at| points.get(usize::from(at)));
    let of_points = named.filter_map(|point| match &point.place {
        Location::OpcUa(patterns) => Some((patterns, Some(point.asset))),
        Location::Modbus(_) | Location::S7(_) => None,
    });
    let all = of_points.chain([(&entry.opcua.nodes, None)]);
    all.flat_map(|(patterns, asset)| patterns.iter().map(move |pattern| (pattern, asset)))
}

/// The namespaces that entries permit as a whole, by class: on every asset, and on each of those that an entry names.
fn whole_namespaces(
    everywhere: Classes,
    entries: &[(Classes, Option<u16>, Namespaces)],
) -> (WholeNamespaces, Box<[(u16, WholeNamespaces)]>) {
    let on = |asset| {
        Class::ALL.map(|class| {
            let own =
                entries.iter().filter(|(classes, of, _)| classes.contains(class) && (of.is_none() || *of == asset));
            let all = if everywhere.contains(class) { Namespaces::ALL } else { Namespaces::NONE };
            own.fold(all, |all, (.., one)| all.with(*one))
        })
    };
    let named: BTreeSet<u16> = entries.iter().filter_map(|(_, asset, _)| *asset).collect();
    (on(None), named.into_iter().map(|asset| (asset, on(Some(asset)))).collect())
}

/// The ranges of entries by table, joined where classes and space are the same, and then where space and ranges are.
fn lanes<'a>(entries: impl Iterator<Item = (Classes, &'a [Span])>) -> [Box<[Lane]>; TABLES] {
    let mut tables: [Vec<Lane>; TABLES] = Default::default();
    for (classes, span) in entries.flat_map(|(classes, spans)| spans.iter().map(move |span| (classes, span))) {
        let (Some(lanes), Some(new)) = (tables.get_mut(span.table), Lane::new(classes, span)) else { continue };
        match lanes.iter_mut().find(|lane| (lane.classes, lane.space) == (new.classes, new.space)) {
            Some(lane) => lane.join(&new),
            None => lanes.push(new),
        }
    }
    tables.map(|lanes| {
        let mut joined: Vec<Lane> = Vec::new();
        for lane in lanes {
            match joined.iter_mut().find(|other| (other.space, &other.ranges) == (lane.space, &lane.ranges)) {
                Some(other) => other.classes = other.classes.with(lane.classes),
                None => joined.push(lane),
            }
        }
        joined.into_boxed_slice()
    })
}

impl Lane {
    /// None where there are no ranges.
    fn new(classes: Classes, span: &Span) -> Option<Self> {
        let (&(first, _), &(_, last)) = span.ranges.first().zip(span.ranges.last())?;
        Some(Self { classes, space: span.space, first, last, ranges: span.ranges.clone() })
    }

    fn join(&mut self, other: &Self) {
        self.ranges = merge([&*self.ranges, &*other.ranges].concat());
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

impl S7Session {
    /// Classes that the session password decides about, and its own.
    fn guarded(&self) -> Classes {
        let password = Classes::only(Class::Security);
        match self.password {
            Some(Password::Required) => Classes::OF_LOGIC.with(password),
            _ => password,
        }
    }
}

impl Permit {
    fn new(entry: &Allow, points: &[Point]) -> Self {
        let actions = entry.actions.iter().flat_map(|action| action.functions);
        let actions = actions.map(|&function| FunctionRef::Name(function.to_owned()));
        Self {
            classes: entry.classes,
            functions: entry.functions.iter().cloned().chain(actions).collect(),
            places: Places::new(entry, points),
        }
    }

    /// What a client of OPC UA subscribes to is reported to it: one cannot be permitted without the other.
    fn report_what_is_subscribed(&mut self) {
        if self.classes.contains(Class::Subscribe) {
            self.classes = self.classes.with(Classes::only(Class::Report));
        }
    }

    /// Whether the entry is about operations of this class and function.
    pub(super) fn names(&self, operation: &Operation<'_>) -> bool {
        self.classes.contains(operation.class)
            && (self.functions.is_empty() || self.functions.iter().any(|function| function.is(operation)))
    }

    /// The last address of the entry's ranges that hold an address, if one does.
    pub(super) fn end_of(&self, reach: &Reach, address: u32) -> Option<u32> {
        self.places.as_ref()?.spans.iter().filter_map(|span| span.end_of(reach, address)).max()
    }
}

impl Places {
    /// None for everywhere. What restricts operations in terms of another protocol permits nothing of this one.
    fn new(entry: &Allow, points: &[Point]) -> Option<Self> {
        let named = entry.points.iter().filter_map(|&at| points.get(usize::from(at)));
        let named = named.map(|point| (Some(point.asset), point.place.clone()));
        let registers = entry.registers.iter().cloned().map(Location::Modbus);
        let inline = registers.chain(entry.s7.iter().cloned().map(Location::S7)).map(|place| (None, place));
        let (mut spans, mut objects) = (Vec::new(), Vec::new());
        for (asset, place) in named.chain(inline) {
            match place {
                Location::Modbus(registers) => spans.push(Span::registers(asset, &registers)),
                Location::S7(S7Place::Memory(memory)) => spans.push(Span::memory(asset, &memory)),
                Location::S7(S7Place::Object(object)) => objects.push((asset, object)),
                Location::OpcUa(_) => {}
            }
        }
        let nodes: NodeMap<_> = named_nodes(entry, points).map(|(pattern, asset)| (pattern.clone(), asset)).collect();
        let anywhere = spans.is_empty() && objects.is_empty() && nodes.is_empty() && entry.points.is_empty();
        let restricted = !(anywhere && entry.blocks.is_empty() && entry.opcua.methods.is_empty());
        let (blocks, methods) = (entry.blocks.clone().into(), entry.opcua.methods.clone().into());
        restricted.then(|| Self { spans: spans.into(), objects: objects.into(), nodes, blocks, methods })
    }

    /// Whether they name this block, object or node. Ranges are looked at with those of other entries.
    pub(super) fn name(&self, server: Option<u16>, operation: &Operation<'_>) -> bool {
        let own = |asset: &Option<u16>| asset.is_none() || *asset == server;
        let node = |node: Node<'_>| self.nodes.about(node).any(own);
        match operation.target {
            Target::Block { kind, number } => self.blocks.iter().any(|blocks| blocks.hold(kind, number)),
            Target::Object { object, ref path, depth } => {
                self.objects.iter().any(|(asset, one)| own(asset) && one.holds(object, path, depth))
            }
            Target::Node(target) => node(target.node),
            Target::Method(&MethodTarget { object, method }) => {
                let named = self.methods.is_empty() || self.methods.iter().any(|one| one.holds(&method));
                named && (self.nodes.is_empty() || node(object) || node(method))
            }
            // A subscription as such has no node; those that it is for are named when they are put into it.
            Target::None | Target::Item { .. } if !self.nodes.is_empty() => {
                Self::CLASSES_OF_NO_NODE.contains(operation.class)
            }
            _ => false,
        }
    }

    /// What nodes are named for also where it acts on none of them.
    const CLASSES_OF_NO_NODE: Classes = Classes::only(Class::Subscribe).with(Classes::only(Class::Report));
}

impl FunctionRef {
    fn is(&self, operation: &Operation<'_>) -> bool {
        match self {
            Self::Name(name) => name == operation.function,
            Self::Code(code) => *code == operation.code,
        }
    }
}
