//! The node that a notification reports on: monitored items, by the handle that the client gave them.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;

use super::owned_node::OwnedNode;
use super::service::{BatchSummary, HandleBlock, Subject};
use crate::operation::NodeTarget;
use crate::reader::Reader;

/// The monitored items of one connection.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// By subscription and client handle.
    nodes: BTreeMap<ItemKey, Monitored>,
    /// The client handle, by subscription and monitored item id of the server.
    handles: BTreeMap<ItemKey, u32>,
    /// Heap memory of the node ids, bytes.
    name_bytes: usize,
    /// Results of lookups; dropped when an item changes.
    cache: Option<Box<LookupCache>>,
}

/// A cache of the latest lookups: most reports name the same items again, and a hit takes a fifth of the instructions of a
/// search in the tree. The handles of a client are nearly consecutive, so that those of a report share one cache line.
#[derive(Debug, Default)]
struct LookupCache([CachedBlock; CACHE_SLOTS]);

/// A block of handles of one subscription.
#[derive(Clone, Copy, Debug, Default)]
struct CachedBlock {
    subscription: u32,
    items: HandleBlock,
}

impl LookupCache {
    /// The block of handles around an item that are known to lie in its namespace. `find_namespace` finds the namespace of
    /// an item that is not cached.
    #[inline]
    fn find_block(&mut self, item: ItemKey, find_namespace: impl Fn() -> Option<u16>) -> Option<HandleBlock> {
        let (subscription, first) = (item.subscription(), item.block_start());
        let CachedBlock { subscription: known, items } = self.0.get_mut(item.cache_slot() % CACHE_SLOTS)?;
        let is_here = *known == subscription && items.first == first;
        if is_here && items.contains(item.0 as u32) {
            return Some(*items);
        }
        let bit = 1 << (item.0 % BLOCK_HANDLES);
        let only = HandleBlock { first, known: bit, namespace: find_namespace()? };
        if !is_here || items.known == 0 {
            (*known, *items) = (subscription, only);
        } else if items.namespace == only.namespace {
            items.known |= bit;
        }
        Some(only)
    }
}

/// A subscription, and a handle or monitored item id in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct ItemKey(u64);

impl ItemKey {
    #[inline]
    fn new(subscription: u32, number: u32) -> Self {
        Self(u64::from(subscription) << 32 | u64::from(number))
    }

    #[inline]
    fn subscription(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The first number of its block.
    #[inline]
    fn block_start(self) -> u32 {
        (self.0 / BLOCK_HANDLES * BLOCK_HANDLES) as u32
    }

    /// Selects a slot of the cache: differs between the blocks of a subscription, and between subscriptions.
    #[inline]
    fn cache_slot(self) -> usize {
        (self.0 / BLOCK_HANDLES) as usize ^ self.subscription() as usize
    }

    /// Another number in the same subscription.
    fn with_number(self, number: u32) -> Self {
        Self::new(self.subscription(), number)
    }
}

/// A monitored attribute.
#[derive(Debug)]
struct Monitored {
    node: OwnedNode,
    attribute: Option<u32>,
}

impl Monitored {
    fn target(&self) -> NodeTarget<'_> {
        NodeTarget { node: self.node.node(), attribute: self.attribute, range: &[] }
    }
}

impl Subscriptions {
    /// Adds a monitored item. Returns whether there was room.
    pub(super) fn insert_item(&mut self, subscription: u32, item: u32, handle: u32, subject: &Subject<'_>) -> bool {
        let Subject::Node(target) = subject else { return true };
        self.cache = None;
        if self.handles.len() >= MAX_ITEMS {
            return false;
        }
        if let Some(node) = OwnedNode::of(&target.node) {
            self.name_bytes += node.heap();
            let monitored = Monitored { node, attribute: target.attribute };
            if let Some(replaced) = self.nodes.insert(ItemKey::new(subscription, handle), monitored) {
                self.name_bytes -= replaced.node.heap();
            }
            self.handles.insert(ItemKey::new(subscription, item), handle);
        }
        true
    }

    /// Approximate memory that they take, bytes.
    pub(super) fn memory(&self) -> usize {
        let nodes = self.nodes.len() * size_of::<(ItemKey, Monitored)>();
        // Nodes of a B-tree are two thirds full on average.
        (nodes + self.handles.len() * size_of::<(ItemKey, u32)>()) * 3 / 2 + self.name_bytes
    }

    /// Changes the handle of an item.
    pub(super) fn change_handle(&mut self, subscription: u32, item: u32, handle: u32) {
        self.cache = None;
        if let Some(known) = self.handles.get_mut(&ItemKey::new(subscription, item))
            && *known != handle
            && let Some(monitored) = self.nodes.remove(&ItemKey::new(subscription, *known))
        {
            *known = handle;
            if let Some(replaced) = self.nodes.insert(ItemKey::new(subscription, handle), monitored) {
                self.name_bytes -= replaced.node.heap();
            }
        }
    }

    /// Removes a monitored item.
    pub(super) fn remove_item(&mut self, subscription: u32, item: u32) {
        self.remove(ItemKey::new(subscription, item));
    }

    /// Removes an item by its monitored item id.
    fn remove(&mut self, item: ItemKey) {
        self.cache = None;
        if let Some(handle) = self.handles.remove(&item)
            && let Some(monitored) = self.nodes.remove(&item.with_number(handle))
        {
            self.name_bytes -= monitored.node.heap();
        }
    }

    /// Removes a subscription with all its items.
    pub(super) fn remove_subscription(&mut self, subscription: u32) {
        let all = ItemKey::new(subscription, 0)..=ItemKey::new(subscription, u32::MAX);
        while let Some((&item, _)) = self.handles.range(all.clone()).next() {
            self.remove(item);
        }
    }

    /// Summarises the values in an answer to Publish; `None` if the node of one of them is unknown.
    pub(super) fn summarise_report(&mut self, content: Reader<'_>) -> Option<BatchSummary> {
        let Self { nodes, cache, .. } = self;
        if nodes.is_empty() {
            return None;
        }
        let cache = cache.get_or_insert_default();
        BatchSummary::of_report(content, |subscription, handle| {
            let item = ItemKey::new(subscription, handle);
            cache.find_block(item, || nodes.get(&item).map(|monitored| monitored.node.namespace()))
        })
    }

    /// The node that a notification reports on, or its subscription if the node is unknown.
    #[inline]
    pub(super) fn subject_of(&self, subscription: u32, handle: u32) -> Subject<'_> {
        match self.nodes.get(&ItemKey::new(subscription, handle)) {
            Some(monitored) => Subject::Node(monitored.target()),
            None => Subject::Subscription(subscription),
        }
    }
}

/// Limit on the monitored items of one connection: some 800 KB with names of medium length.
const MAX_ITEMS: usize = 4096;
/// Handles in a block: the bits of a word.
const BLOCK_HANDLES: u64 = u64::BITS as u64;
/// Blocks in the cache: 192 bytes for a connection with subscriptions.
const CACHE_SLOTS: usize = 8;

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::operation::{Class, Namespaces, Node, NodeId};

    /// A handle whose block takes the same slot of the cache as that of handle 5.
    const FAR: u32 = 5 + (BLOCK_HANDLES * CACHE_SLOTS as u64) as u32;

    /// The namespaces in the summary of a report with one value of each of these items of subscription 7.
    fn summarised(subscriptions: &mut Subscriptions, handles: &[u32]) -> Option<Namespaces> {
        let changes = handles.iter().fold((handles.len() as u32).to_le_bytes().to_vec(), |changes, handle| {
            [&changes[..], &handle.to_le_bytes(), &[0x01, 1, 1]].concat() // a Boolean
        });
        let head: [&[u8]; 4] = [&7_u32.to_le_bytes(), &[0xFF; 4], &[0; 13], &1_u32.to_le_bytes()];
        let data = [&[0x01, 0, 0x2B, 0x03, 0x01][..], &(changes.len() as u32).to_le_bytes(), &changes].concat();
        let body: Vec<u8> = [&head.concat()[..], &data].concat();
        subscriptions.summarise_report(Reader::new(&body)).map(|summary| {
            assert_eq!((summary.class, summary.count as usize), (Class::Report, handles.len()));
            summary.namespaces
        })
    }

    #[test]
    fn a_change_of_items_clears_the_lookup_cache() {
        let mut subscriptions = Subscriptions::default();
        let node = |namespace| Node { namespace, id: NodeId::Numeric(1) };
        let subject = |namespace| Subject::Node(NodeTarget { node: node(namespace), attribute: Some(13), range: &[] });
        let is_known = subscriptions.insert_item(7, 1, 5, &subject(2))
            && subscriptions.insert_item(7, 2, FAR, &subject(3))
            && subscriptions.insert_item(7, 3, 7, &subject(3));
        assert!(is_known);
        let both = Namespaces::only(2).with(Namespaces::only(3));
        for _ in 0..2 {
            assert_eq!(summarised(&mut subscriptions, &[5, 5]), Some(Namespaces::only(2)));
            assert_eq!(summarised(&mut subscriptions, &[5, FAR]), Some(both), "two blocks in one slot");
            assert_eq!(summarised(&mut subscriptions, &[5, 7, 7, 5]), Some(both), "one block in two namespaces");
            assert_eq!(summarised(&mut subscriptions, &[5, 8]), None, "an unknown handle in a known block");
        }
        subscriptions.insert_item(7, 1, 5, &subject(4));
        assert_eq!(summarised(&mut subscriptions, &[5]), Some(Namespaces::only(4)));
        subscriptions.change_handle(7, 1, 6);
        assert_eq!(
            (summarised(&mut subscriptions, &[5]), summarised(&mut subscriptions, &[6])),
            (None, Some(Namespaces::only(4)))
        );
        subscriptions.remove_item(7, 1);
        assert_eq!(summarised(&mut subscriptions, &[6]), None);
    }
}
