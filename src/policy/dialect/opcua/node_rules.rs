//! Permits for nodes and methods, laid out for judging.

use std::collections::BTreeSet;

use lockkeeper_protocols::{Class, MethodTarget, Namespaces, Node, Operation, Target};

use super::super::{Extent, Located, Location};
use super::{NodeMap, NodePattern};
use crate::policy::classes::Classes;

/// What the entries of a flow that name no function permit on nodes: the same as their [`NamedNodes`], joined for the
/// usual operation, which one of them permits.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct NodeRules {
    /// The classes for each node, with the asset that it is in, if a point names it.
    nodes: NodeMap<(Classes, Option<u16>)>,
    /// Namespaces that are permitted as a whole on every asset.
    whole: WholeNamespaces,
    /// The same for assets that entries name, on which there may be more of them.
    whole_by_asset: Box<[(u16, WholeNamespaces)]>,
    /// Classes in which entries that name nodes also permit what acts on none, such as a subscription as such.
    nowhere: Classes,
}

/// Namespaces by class: a lookup whose cost does not depend on the policy.
type WholeNamespaces = [Namespaces; Class::ALL.len()];

/// An entry of `allow` that restricts places: its classes, and its places.
pub(in crate::policy) type RestrictedEntry<'a> = (Classes, Vec<Located<'a>>);

impl NodeRules {
    /// From the classes that are permitted everywhere, and the entries that restrict places.
    pub(in crate::policy) fn new(everywhere: Classes, entries: &[RestrictedEntry<'_>]) -> Self {
        let naming = entries.iter().filter(|(_, places)| named_nodes(places).next().is_some());
        let nowhere = naming.fold(Classes::NONE, |all, (classes, _)| all.with(*classes)).and(CLASSES_OF_NO_NODE);
        // An entry that names methods as well permits only calls, which are judged in full.
        let of_nodes = entries.iter().filter(|(_, places)| methods(places).next().is_none());
        let nodes: Vec<_> = of_nodes
            .flat_map(|(classes, places)| named_nodes(places).map(|(pattern, asset)| (pattern, (*classes, asset))))
            .collect();
        let namespaces = nodes.iter().filter_map(|(pattern, (classes, asset))| {
            Some((*classes, *asset, Namespaces::only(pattern.whole_namespace()?)))
        });
        let (whole, whole_by_asset) = whole_namespaces(everywhere, &namespaces.collect::<Vec<_>>());
        let nodes = nodes.into_iter().map(|(pattern, permit)| (pattern.clone(), permit)).collect();
        Self { nodes, whole, whole_by_asset, nowhere }
    }

    /// Whether an operation without numbered addresses is permitted. `false` does not imply that it is not permitted.
    pub(in crate::policy) fn permit(&self, asset: u16, operation: &Operation<'_>) -> bool {
        match operation.target {
            Target::Node(target) => {
                let permits = |(classes, of): &(Classes, Option<u16>)| {
                    classes.contains(operation.class) && of.is_none_or(|of| of == asset)
                };
                self.nodes.matching(target.node).any(permits)
            }
            Target::None | Target::Item { .. } => self.nowhere.contains(operation.class),
            _ => false,
        }
    }

    /// Whether operations of a class are permitted on every node of these namespaces.
    pub(in crate::policy) fn permit_all(&self, asset: u16, class: Class, namespaces: Namespaces) -> bool {
        let of_asset = self.whole_by_asset.iter().find(|(of, _)| *of == asset);
        let whole = of_asset.map_or(&self.whole, |(_, whole)| whole);
        whole.get(class as usize).is_some_and(|whole| whole.hold(namespaces))
    }
}

/// Nodes and methods that an entry of `allow` names.
#[derive(Clone, Debug)]
pub(in crate::policy) struct NamedNodes {
    /// Nodes, each with the asset that it is in, if a point names it; of calls also the methods.
    nodes: NodeMap<Option<u16>>,
    methods: Box<[NodePattern]>,
}

impl NamedNodes {
    pub(in crate::policy) fn new(places: &[Located<'_>]) -> Self {
        let nodes = named_nodes(places).map(|(pattern, asset)| (pattern.clone(), asset)).collect();
        Self { nodes, methods: methods(places).cloned().collect() }
    }

    /// Whether the target of an operation on a server is among them.
    pub(super) fn hold(&self, server: Option<u16>, operation: &Operation<'_>) -> bool {
        let is_named = |node: Node<'_>| self.nodes.matching(node).any(|asset| asset.is_none() || *asset == server);
        match operation.target {
            Target::Node(target) => is_named(target.node),
            Target::Method(&MethodTarget { object, method }) => {
                let by_method = self.methods.is_empty() || self.methods.iter().any(|one| one.holds(&method));
                by_method && (self.nodes.is_empty() || is_named(object) || is_named(method))
            }
            // A subscription as such has no node; those that it is for are named when they are put into it.
            Target::None | Target::Item { .. } if !self.nodes.is_empty() => {
                CLASSES_OF_NO_NODE.contains(operation.class)
            }
            _ => false,
        }
    }
}

/// Classes in which a permit for nodes also covers what acts on none.
const CLASSES_OF_NO_NODE: Classes = Classes::only(Class::Subscribe).with(Classes::only(Class::Report));

/// The nodes among places, each with the asset that it is in, if a point names it.
fn named_nodes<'a>(places: &'a [Located<'a>]) -> impl Iterator<Item = (&'a NodePattern, Option<u16>)> {
    places.iter().flat_map(|&(asset, place)| {
        let patterns = if let Extent::Nodes(patterns) = &place.extent { patterns.as_slice() } else { &[] };
        patterns.iter().map(move |pattern| (pattern, asset))
    })
}

fn methods<'a>(places: &'a [Located<'a>]) -> impl Iterator<Item = &'a NodePattern> {
    let methods =
        |place: &'a Location| if let Extent::Methods(patterns) = &place.extent { patterns.as_slice() } else { &[] };
    places.iter().flat_map(move |&(_, place)| methods(place))
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
