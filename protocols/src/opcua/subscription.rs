//! Which node a notification speaks of: what the client asked to be monitored, by the number that it gave it.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;

use super::service::{Subject, Survey};
use crate::operation::{Node, NodeId, NodeTarget};
use crate::reader::Reader;

/// The monitored items of one connection.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// By subscription and the client's number.
    nodes: BTreeMap<Key, Monitored>,
    /// The client's number, by subscription and the server's number.
    handles: BTreeMap<Key, u32>,
}

/// A subscription, and the number of an item of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u64);

impl Key {
    #[inline]
    fn new(subscription: u32, number: u32) -> Self {
        Self(u64::from(subscription) << 32 | u64::from(number))
    }

    fn of_same_subscription(self, number: u32) -> Self {
        Self(self.0 >> 32 << 32 | u64::from(number))
    }
}

/// What is monitored.
#[derive(Debug)]
struct Monitored {
    namespace: u16,
    id: Id,
    attribute: Option<u32>,
}

/// The id of a node, kept.
#[derive(Debug)]
enum Id {
    Numeric(u32),
    Text(Box<[u8]>),
    Guid([u8; 16]),
    Opaque(Box<[u8]>),
}

impl Monitored {
    /// None for ids that nobody uses: they are too long to be kept.
    fn of(target: &NodeTarget<'_>) -> Option<Self> {
        let short = |bytes: &[u8]| (bytes.len() <= MAX_ID).then(|| bytes.into());
        let id = match target.node.id {
            NodeId::Numeric(number) => Id::Numeric(number),
            NodeId::Text(text) => Id::Text(short(text)?),
            NodeId::Guid(guid) => Id::Guid(guid),
            NodeId::Opaque(bytes) => Id::Opaque(short(bytes)?),
        };
        Some(Self { namespace: target.node.namespace, id, attribute: target.attribute })
    }

    fn target(&self) -> NodeTarget<'_> {
        let id = match &self.id {
            Id::Numeric(number) => NodeId::Numeric(*number),
            Id::Text(text) => NodeId::Text(text),
            Id::Guid(guid) => NodeId::Guid(*guid),
            Id::Opaque(bytes) => NodeId::Opaque(bytes),
        };
        NodeTarget { node: Node { namespace: self.namespace, id }, attribute: self.attribute, range: &[] }
    }
}

impl Subscriptions {
    /// The server monitors an item from here on. Says whether there was room to remember it.
    pub(super) fn enter(&mut self, subscription: u32, item: u32, handle: u32, subject: &Subject<'_>) -> bool {
        let Subject::Node(target) = subject else { return true };
        if self.handles.len() >= MAX_ITEMS {
            return false;
        }
        if let Some(monitored) = Monitored::of(target) {
            self.nodes.insert(Key::new(subscription, handle), monitored);
            self.handles.insert(Key::new(subscription, item), handle);
        }
        true
    }

    /// The client gave an item another number.
    pub(super) fn rename(&mut self, subscription: u32, item: u32, handle: u32) {
        if let Some(known) = self.handles.get_mut(&Key::new(subscription, item))
            && *known != handle
            && let Some(monitored) = self.nodes.remove(&Key::new(subscription, *known))
        {
            *known = handle;
            self.nodes.insert(Key::new(subscription, handle), monitored);
        }
    }

    /// The server no longer monitors an item.
    pub(super) fn leave(&mut self, subscription: u32, item: u32) {
        self.forget(Key::new(subscription, item));
    }

    fn forget(&mut self, item: Key) {
        if let Some(handle) = self.handles.remove(&item) {
            self.nodes.remove(&item.of_same_subscription(handle));
        }
    }

    /// A subscription is deleted, with all its items.
    pub(super) fn delete(&mut self, subscription: u32) {
        let all = Key::new(subscription, 0)..=Key::new(subscription, u32::MAX);
        while let Some((&item, _)) = self.handles.range(all.clone()).next() {
            self.forget(item);
        }
    }

    /// The values that the answer to Publish reports, if all of their nodes are known. Most items are reported in the order
    /// of their numbers, and the one that follows is found faster than any.
    pub(super) fn survey(&self, content: Reader<'_>) -> Option<Survey> {
        let mut following = self.nodes.range(Key(u64::MAX)..);
        Survey::of_report(content, |subscription, handle| {
            let wanted = Key::new(subscription, handle);
            let next = following.next().filter(|(item, _)| **item == wanted).or_else(|| {
                following = self.nodes.range(wanted..);
                following.next().filter(|(item, _)| **item == wanted)
            });
            next.map(|(_, monitored)| monitored.namespace)
        })
    }

    /// What a notification speaks of: the node, where it is known.
    #[inline]
    pub(super) fn subject(&self, subscription: u32, handle: u32) -> Subject<'_> {
        match self.nodes.get(&Key::new(subscription, handle)) {
            Some(monitored) => Subject::Node(monitored.target()),
            None => Subject::Subscription(subscription),
        }
    }
}

/// Monitored items of one connection that are remembered: some 800 KB if all have names of medium length.
const MAX_ITEMS: usize = 4096;
/// Longest id of a node that is kept, bytes.
const MAX_ID: usize = 512;
