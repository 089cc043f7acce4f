//! Aliases of nodes: the node ids that RegisterNodes returns (OPC 10000-4, 5.9.5). A server may return any node ids, which
//! then stand for the registered nodes in the session that registered them.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::cmp::Ordering;
use core::ops::Bound;

use super::owned_node::OwnedNode;
use super::service::{BatchSummary, Item, Method, Subject};
use crate::operation::{Class, MethodTarget, Namespaces, Node, NodeTarget};

/// The node behind an alias; `None` if its registration is not in the capture.
type Registered = Option<Arc<OwnedNode>>;

/// The aliases of one connection, boxed so that a connection without any costs one pointer.
#[derive(Debug, Default)]
pub(super) struct Aliases(Option<Box<Table>>);

/// The aliases of a connection that has any.
#[derive(Debug, Default)]
struct Table {
    known: BTreeMap<Key, Registered>,
    /// Approximate size of `known`, bytes.
    bytes: usize,
    /// Registrations without an answer so far.
    pending: Vec<Registration>,
    /// Sessions with unknown aliases.
    unknown: Vec<u64>,
    /// Namespaces of the aliases and of the nodes behind them; `None` if a set cannot hold one of them.
    namespaces: Option<(Namespaces, Namespaces)>,
}

/// A RegisterNodes request.
#[derive(Debug)]
struct Registration {
    /// Number of the request in its flow.
    request: u32,
    session: u64,
    /// Time of the request on the scale of [`Stamp::clock`](crate::Stamp).
    clock: i64,
}

/// An alias in a session.
#[derive(Debug, PartialEq, Eq)]
struct Key {
    session: u64,
    alias: OwnedNode,
}

/// The order of the table. A trait, so that a borrowed node can be looked up without a copy of it.
trait TableKey {
    /// The session and the alias, by which the table is sorted.
    fn session_and_alias(&self) -> (u64, Node<'_>);
}

impl TableKey for Key {
    fn session_and_alias(&self) -> (u64, Node<'_>) {
        (self.session, self.alias.node())
    }
}

impl TableKey for (u64, Node<'_>) {
    fn session_and_alias(&self) -> (u64, Node<'_>) {
        *self
    }
}

impl<'a> Borrow<dyn TableKey + 'a> for Key {
    fn borrow(&self) -> &(dyn TableKey + 'a) {
        self
    }
}

impl Ord for dyn TableKey + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.session_and_alias().cmp(&other.session_and_alias())
    }
}

impl PartialOrd for dyn TableKey + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for dyn TableKey + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.session_and_alias() == other.session_and_alias()
    }
}

impl Eq for dyn TableKey + '_ {}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.session_and_alias().cmp(&other.session_and_alias())
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The session and the time for which an alias is looked up.
#[derive(Clone, Copy, Debug)]
pub(super) struct AliasLookup {
    /// The session, by [`Token::key`](super::service::Token::key).
    pub(super) session: u64,
    /// Registrations sent before this are overdue, on the scale of [`Stamp::clock`](crate::Stamp).
    pub(super) overdue_before: i64,
}

impl Aliases {
    /// Whether no alias is known, unknown or pending.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Memory taken by the aliases, bytes.
    pub(super) fn memory(&self) -> usize {
        self.0.as_ref().map_or(0, |table| table.bytes)
    }

    /// Forgets the nodes behind all aliases, which are unknown from then on.
    pub(super) fn forget(&mut self) {
        if self.memory() > 0 {
            self.0 = None;
            self.mark_unknown(ANY_SESSION);
        }
    }

    /// Records a RegisterNodes request, whose answer will name the aliases.
    pub(super) fn begin_registration(&mut self, request: u32, session: u64, clock: i64) {
        let table = self.0.get_or_insert_default();
        if table.pending.len() >= MAX_PENDING {
            let oldest = table.pending.remove(0);
            table.mark_unknown(oldest.session);
        }
        table.pending.push(Registration { request, session, clock });
    }

    /// Removes a pending registration: its aliases were [inserted](Self::insert) or are [unknown](Self::mark_unknown).
    pub(super) fn complete_registration(&mut self, request: u32) {
        if let Some(table) = &mut self.0 {
            table.pending.retain(|registration| registration.request != request);
        }
        self.tidy();
    }

    /// Adds an alias. `node` is `None` if the registration is not in the capture. Returns whether there was room.
    pub(super) fn insert(&mut self, session: u64, alias: &Node<'_>, node: Option<&Node<'_>>) -> bool {
        if Some(alias) == node {
            self.remove(session, alias);
            return true;
        }
        let node = node.and_then(OwnedNode::of).map(Arc::new);
        let table = self.0.get_or_insert_default();
        table.remove(session, alias);
        let Some(alias) = OwnedNode::of(alias) else { return table.mark_unknown(session) };
        let size = size_of_entry(&alias, &node);
        if table.bytes + size > MAX_BYTES {
            return table.mark_unknown(session);
        }
        table.bytes += size;
        table.add_namespaces(alias.namespace(), node.as_deref());
        table.known.insert(Key { session, alias }, node);
        true
    }

    /// Records that a session has unknown aliases.
    pub(super) fn mark_unknown(&mut self, session: u64) {
        self.0.get_or_insert_default().mark_unknown(session);
    }

    /// Removes an alias: its node is no longer registered.
    pub(super) fn remove(&mut self, session: u64, alias: &Node<'_>) {
        if let Some(table) = &mut self.0 {
            table.remove(session, alias);
        }
        self.tidy();
    }

    /// Removes the aliases of a session that was closed.
    pub(super) fn close_session(&mut self, session: u64) {
        if let Some(table) = &mut self.0 {
            table.unknown.retain(|unknown| *unknown != session);
            table.pending.retain(|registration| registration.session != session);
            while let Some(alias) = table.first_of(session) {
                table.remove(session, &alias.node());
            }
        }
        self.tidy();
    }

    /// Frees the table when it is empty.
    fn tidy(&mut self) {
        self.0.take_if(|table| table.known.is_empty() && table.pending.is_empty() && table.unknown.is_empty());
    }

    /// The nodes behind the aliases that an operation uses, if it uses any.
    #[inline]
    pub(super) fn resolve(&self, lookup: AliasLookup, subject: &Subject<'_>) -> Option<Resolved> {
        self.0.as_deref().and_then(|table| table.resolve(lookup, subject))
    }

    /// The summary with the namespaces of every node that its aliases may stand for; `None` if each operation must be
    /// resolved.
    #[inline]
    pub(super) fn resolve_summary(&self, lookup: AliasLookup, summary: BatchSummary) -> Option<BatchSummary> {
        match self.0.as_deref() {
            None => Some(summary),
            Some(table) => table.resolve_summary(lookup, summary),
        }
    }
}

impl Table {
    /// Records that a session has an unknown alias. Returns `false`, as an insertion that failed.
    fn mark_unknown(&mut self, session: u64) -> bool {
        let session = if self.unknown.len() < MAX_UNKNOWN { session } else { ANY_SESSION };
        if !self.unknown.contains(&session) {
            self.unknown.push(session);
        }
        false
    }

    fn remove(&mut self, session: u64, alias: &Node<'_>) {
        let key: &dyn TableKey = &(session, *alias);
        if let Some((key, node)) = self.known.remove_entry(key) {
            self.bytes -= size_of_entry(&key.alias, &node);
        }
    }

    /// The first alias of a session.
    fn first_of(&self, session: u64) -> Option<OwnedNode> {
        let from: &dyn TableKey = &(session, Node::standard(0));
        let first = self.known.range::<dyn TableKey, _>((Bound::Included(from), Bound::Unbounded)).next();
        first.filter(|(key, _)| key.session == session).map(|(key, _)| key.alias.clone())
    }

    /// Extends the namespaces with those of a new alias. `node`: the node behind it, if known.
    fn add_namespaces(&mut self, alias: u16, node: Option<&OwnedNode>) {
        let before = if self.known.is_empty() { Some((Namespaces::NONE, Namespaces::NONE)) } else { self.namespaces };
        let node = node.map(OwnedNode::namespace).filter(|namespace| *namespace < Namespaces::END);
        self.namespaces = match (before, node) {
            (Some((aliases, nodes)), Some(node)) if alias < Namespaces::END => {
                Some((aliases.with(Namespaces::only(alias)), nodes.with(Namespaces::only(node))))
            }
            _ => None,
        };
    }

    /// Whether a session may have unknown aliases.
    fn has_unknown(&self, lookup: AliasLookup) -> bool {
        let is_overdue =
            |pending: &Registration| pending.session == lookup.session && pending.clock < lookup.overdue_before;
        let is_unknown = |session: &u64| [lookup.session, ANY_SESSION].contains(session);
        self.unknown.iter().any(is_unknown) || self.pending.iter().any(is_overdue)
    }

    fn resolve(&self, lookup: AliasLookup, subject: &Subject<'_>) -> Option<Resolved> {
        let has_unknown = self.has_unknown(lookup);
        let find = |node: &Node<'_>| {
            let of = |session| self.known.get(&(session, *node) as &dyn TableKey);
            // No server returns aliases in the standard's own namespace.
            let unknown = (has_unknown && node.namespace != 0).then_some(None);
            of(lookup.session).or_else(|| of(ANY_SESSION)).cloned().or(unknown)
        };
        let (object, method) = match subject {
            Subject::Node(target) => (find(&target.node), None),
            Subject::Method(target) => (find(&target.object), find(&target.method)),
            _ => (None, None),
        };
        (object.is_some() || method.is_some()).then_some(Resolved { object, method })
    }

    fn resolve_summary(&self, lookup: AliasLookup, summary: BatchSummary) -> Option<BatchSummary> {
        if self.has_unknown(lookup) {
            return None;
        }
        if self.known.is_empty() {
            return Some(summary);
        }
        let (aliases, nodes) = self.namespaces?;
        let uses_aliases = summary.namespaces.meet(aliases);
        let namespaces = if uses_aliases { summary.namespaces.with(nodes) } else { summary.namespaces };
        Some(BatchSummary { namespaces, ..summary })
    }
}

/// The nodes behind the aliases of one operation.
#[derive(Clone, Debug)]
pub(super) struct Resolved {
    /// The node, or the object of a method; `None` if it is not an alias.
    object: Option<Registered>,
    /// The method; `None` if it is not an alias.
    method: Option<Registered>,
}

impl Resolved {
    /// The item with its aliases replaced by the registered nodes; unread if one of them is unknown.
    pub(super) fn apply_to<'s>(&'s self, item: &Item<'s>) -> Item<'s> {
        if matches!(self.object, Some(None)) || matches!(self.method, Some(None)) {
            return Item { subject: Subject::Unread("registered_node"), ..*item };
        }
        let node = |registered: &'s Option<Registered>, alias: Node<'s>| {
            registered.iter().flatten().next().map_or(alias, |node| node.node())
        };
        match item.subject {
            Subject::Node(target) => {
                let subject = Subject::Node(NodeTarget { node: node(&self.object, target.node), ..target });
                Item { subject, ..*item }
            }
            Subject::Method(target) => {
                let (object, method) = (node(&self.object, target.object), node(&self.method, target.method));
                let class = Method::of(&method).map_or(Class::Control, |known| known.class);
                Item { class, subject: Subject::Method(MethodTarget { object, method }), ..*item }
            }
            _ => *item,
        }
    }
}

/// Approximate size of an entry, bytes.
fn size_of_entry(alias: &OwnedNode, node: &Registered) -> usize {
    ENTRY + alias.size() + node.as_ref().map_or(0, |node| node.size())
}

/// Stands for every session, if the one that registered the nodes is unknown.
pub(super) const ANY_SESSION: u64 = 0;
/// Limit on the memory of the aliases of one connection, bytes: some 16,000 aliases.
const MAX_BYTES: usize = 2 * 1024 * 1024;
/// Approximate size of an entry beside its nodes, bytes.
const ENTRY: usize = 48;
/// Limit on pending registrations.
const MAX_PENDING: usize = 64;
/// Limit on sessions with unknown aliases. Beyond it, [`ANY_SESSION`] stands for the rest.
const MAX_UNKNOWN: usize = 32;
