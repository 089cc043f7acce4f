//! Nodes under other names: what RegisterNodes gives out (OPC 10000-4, 5.9.5). A server may answer with any node ids, which
//! then stand for the nodes that were registered, in the session that registered them.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::borrow::Borrow;
use core::cmp::Ordering;
use core::ops::Bound;

use super::owned_node::OwnedNode;
use super::service::{Item, Method, Subject, Survey};
use crate::operation::{Class, MethodTarget, Namespaces, Node, NodeTarget};

/// What a name stands for; none if its registration was not seen.
type Meant = Option<Arc<OwnedNode>>;

/// The names that one connection has for nodes. Most have none: one word then.
#[derive(Debug, Default)]
pub(super) struct Aliases(Option<Box<Table>>);

#[derive(Debug, Default)]
struct Table {
    known: BTreeMap<Key, Meant>,
    /// Bytes that they take, roughly.
    bytes: usize,
    /// Registrations without an answer so far.
    asked: Vec<Registration>,
    /// Sessions that have names which are not known.
    lost: Vec<u64>,
    /// Where the names lie, and where the nodes that they stand for; none if one lies beyond what a set can hold.
    namespaces: Option<(Namespaces, Namespaces)>,
}

/// RegisterNodes.
#[derive(Debug)]
struct Registration {
    /// Number of the request.
    request: u32,
    session: u64,
    /// When it came, on the scale of [`Stamp::clock`](crate::Stamp).
    clock: i64,
}

/// A name, in a session.
#[derive(Debug, PartialEq, Eq)]
struct Key {
    session: u64,
    alias: OwnedNode,
}

/// What the table is sorted by: so that a name which is not kept can be looked up.
trait Named {
    fn name(&self) -> (u64, Node<'_>);
}

impl Named for Key {
    fn name(&self) -> (u64, Node<'_>) {
        (self.session, self.alias.node())
    }
}

impl Named for (u64, Node<'_>) {
    fn name(&self) -> (u64, Node<'_>) {
        *self
    }
}

impl<'a> Borrow<dyn Named + 'a> for Key {
    fn borrow(&self) -> &(dyn Named + 'a) {
        self
    }
}

impl Ord for dyn Named + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name().cmp(&other.name())
    }
}

impl PartialOrd for dyn Named + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for dyn Named + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for dyn Named + '_ {}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name().cmp(&other.name())
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Whose names are asked for, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    /// The session, by [`Token::key`](super::service::Token::key).
    pub(super) session: u64,
    /// Registrations that came before this, on the scale of [`Stamp::clock`](crate::Stamp), should have been answered.
    pub(super) overdue: i64,
}

impl Aliases {
    /// Whether there is nothing to look up.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Nodes are to be registered.
    pub(super) fn asks(&mut self, request: u32, session: u64, clock: i64) {
        let table = self.0.get_or_insert_default();
        if table.asked.len() >= MOST_ASKED {
            let oldest = table.asked.remove(0);
            table.lose(oldest.session);
        }
        table.asked.push(Registration { request, session, clock });
    }

    /// A registration was answered: what it gave is known or is [lost](Self::lose).
    pub(super) fn answered(&mut self, request: u32) {
        if let Some(table) = &mut self.0 {
            table.asked.retain(|registration| registration.request != request);
        }
        self.tidy();
    }

    /// From here on a name stands for a node; `meant` is none where that was not seen. Says whether there was room.
    pub(super) fn enter(&mut self, session: u64, alias: &Node<'_>, meant: Option<&Node<'_>>) -> bool {
        if Some(alias) == meant {
            self.leave(session, alias);
            return true;
        }
        let meant = meant.and_then(OwnedNode::of).map(Arc::new);
        let table = self.0.get_or_insert_default();
        table.leave(session, alias);
        let Some(alias) = OwnedNode::of(alias) else { return table.lose(session) };
        let size = ENTRY + alias.size() + meant.as_ref().map_or(0, |meant| meant.size());
        if table.bytes + size > MOST_BYTES {
            return table.lose(session);
        }
        table.bytes += size;
        table.widen_to(alias.namespace(), meant.as_deref());
        table.known.insert(Key { session, alias }, meant);
        true
    }

    /// A session has names that are not known.
    pub(super) fn lose(&mut self, session: u64) {
        self.0.get_or_insert_default().lose(session);
    }

    /// A name stands for nothing else any more.
    pub(super) fn leave(&mut self, session: u64, alias: &Node<'_>) {
        if let Some(table) = &mut self.0 {
            table.leave(session, alias);
        }
        self.tidy();
    }

    /// A session ends, and its names with it.
    pub(super) fn close(&mut self, session: u64) {
        if let Some(table) = &mut self.0 {
            table.lost.retain(|lost| *lost != session);
            table.asked.retain(|registration| registration.session != session);
            while let Some(alias) = table.first_of(session) {
                table.leave(session, &alias.node());
            }
        }
        self.tidy();
    }

    fn tidy(&mut self) {
        self.0.take_if(|table| table.known.is_empty() && table.asked.is_empty() && table.lost.is_empty());
    }

    /// What the names stand for that an operation uses, if it uses any.
    #[inline]
    pub(super) fn names(&self, asker: Asker, subject: &Subject<'_>) -> Option<Names> {
        self.0.as_deref().and_then(|table| table.names(asker, subject))
    }

    /// What a survey says once names are taken for what they stand for: nothing if that cannot be said at once.
    #[inline]
    pub(super) fn widen(&self, asker: Asker, survey: Survey) -> Option<Survey> {
        match self.0.as_deref() {
            None => Some(survey),
            Some(table) => table.widen(asker, survey),
        }
    }
}

impl Table {
    /// Always `false`: there was no room, or no way, to know a name.
    fn lose(&mut self, session: u64) -> bool {
        let session = if self.lost.len() < MOST_LOST { session } else { ANY_SESSION };
        if !self.lost.contains(&session) {
            self.lost.push(session);
        }
        false
    }

    fn leave(&mut self, session: u64, alias: &Node<'_>) {
        let name: &dyn Named = &(session, *alias);
        if let Some((key, meant)) = self.known.remove_entry(name) {
            self.bytes -= size_of_entry(&key, &meant);
        }
    }

    /// The first name in a session.
    fn first_of(&self, session: u64) -> Option<OwnedNode> {
        let from: &dyn Named = &(session, Node::standard(0));
        let first = self.known.range::<dyn Named, _>((Bound::Included(from), Bound::Unbounded)).next();
        first.filter(|(key, _)| key.session == session).map(|(key, _)| key.alias.clone())
    }

    fn widen_to(&mut self, alias: u16, meant: Option<&OwnedNode>) {
        let before = if self.known.is_empty() { Some((Namespaces::NONE, Namespaces::NONE)) } else { self.namespaces };
        let meant = meant.map(OwnedNode::namespace).filter(|namespace| *namespace < Namespaces::END);
        self.namespaces = match (before, meant) {
            (Some((aliases, nodes)), Some(meant)) if alias < Namespaces::END => {
                Some((aliases.with(Namespaces::only(alias)), nodes.with(Namespaces::only(meant))))
            }
            _ => None,
        };
    }

    /// Whether a session may have names that are not known.
    fn is_blind(&self, asker: Asker) -> bool {
        let is_overdue = |asked: &Registration| asked.session == asker.session && asked.clock < asker.overdue;
        self.lost.iter().any(|lost| [asker.session, ANY_SESSION].contains(lost)) || self.asked.iter().any(is_overdue)
    }

    fn names(&self, asker: Asker, subject: &Subject<'_>) -> Option<Names> {
        let is_blind = self.is_blind(asker);
        let look = |node: &Node<'_>| {
            let of = |session| self.known.get(&(session, *node) as &dyn Named);
            // The nodes of the standard are what they are.
            let unknown = (is_blind && node.namespace != 0).then_some(None);
            of(asker.session).or_else(|| of(ANY_SESSION)).cloned().or(unknown)
        };
        let (object, method) = match subject {
            Subject::Node(target) => (look(&target.node), None),
            Subject::Method(target) => (look(&target.object), look(&target.method)),
            _ => (None, None),
        };
        (object.is_some() || method.is_some()).then_some(Names { object, method })
    }

    fn widen(&self, asker: Asker, survey: Survey) -> Option<Survey> {
        if self.is_blind(asker) {
            return None;
        }
        if self.known.is_empty() {
            return Some(survey);
        }
        let (aliases, nodes) = self.namespaces?;
        let uses_names = survey.namespaces.meet(aliases);
        let namespaces = if uses_names { survey.namespaces.with(nodes) } else { survey.namespaces };
        Some(Survey { namespaces, ..survey })
    }
}

/// What the names in one operation stand for.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// The node, or the object of a method; none if it is no other name.
    object: Option<Meant>,
    method: Option<Meant>,
}

impl Names {
    /// The same operation on the nodes that are meant.
    pub(super) fn apply<'s>(&'s self, item: &Item<'s>) -> Item<'s> {
        if matches!(self.object, Some(None)) || matches!(self.method, Some(None)) {
            return Item { subject: Subject::Unread("registered_node"), ..*item };
        }
        let node =
            |meant: &'s Option<Meant>, named: Node<'s>| meant.iter().flatten().next().map_or(named, |node| node.node());
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

fn size_of_entry(key: &Key, meant: &Meant) -> usize {
    ENTRY + key.alias.size() + meant.as_ref().map_or(0, |meant| meant.size())
}

/// Stands for every session, where the one that registered nodes was not seen.
pub(super) const ANY_SESSION: u64 = 0;
/// Bytes that the names of one connection may take: some 16,000 of them.
const MOST_BYTES: usize = 2 * 1024 * 1024;
/// Bytes of an entry beside its nodes, roughly.
const ENTRY: usize = 48;
/// Registrations that may wait for their answers.
const MOST_ASKED: usize = 64;
/// Sessions that are remembered for names which are not known. With more, every session is taken for one.
const MOST_LOST: usize = 32;
