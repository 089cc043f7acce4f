//! Which node a notification speaks of: what the client asked to be monitored, by the number that it gave it.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;

use super::owned_node::OwnedNode;
use super::service::{BatchSummary, HandleBlock, Subject};
use crate::operation::NodeTarget;
use crate::reader::Reader;

/// The monitored items of one connection.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// By subscription and the client's number.
    nodes: BTreeMap<ItemKey, Monitored>,
    /// The client's number, by subscription and the server's number.
    handles: BTreeMap<ItemKey, u32>,
    /// Bytes of the names of nodes.
    name_bytes: usize,
    /// What was looked up lately, while nothing changes.
    cache: Option<Box<LookupCache>>,
}

/// Items that were looked up lately: most reports are about the same items again, and here each is found with a fifth of
/// the instructions that walking down the tree takes. The numbers of a client lie side by side, and so do those here: the
/// items of a report are in one cache line, as a rule.
#[derive(Debug, Default)]
struct LookupCache([CachedBlock; CACHE_SLOTS]);

/// Some of the items of one subscription.
#[derive(Clone, Copy, Debug, Default)]
struct CachedBlock {
    subscription: u32,
    items: HandleBlock,
}

impl LookupCache {
    /// An item, and those of its neighbours that are known to lie in the same namespace. `look` finds the namespace of one
    /// that was not looked up lately.
    #[inline]
    fn find_block(&mut self, item: ItemKey, look: impl Fn() -> Option<u16>) -> Option<HandleBlock> {
        let (subscription, first) = (item.subscription(), item.block_start());
        let CachedBlock { subscription: known, items } = self.0.get_mut(item.cache_slot() % CACHE_SLOTS)?;
        let is_here = *known == subscription && items.first == first;
        if is_here && items.contains(item.0 as u32) {
            return Some(*items);
        }
        let bit = 1 << (item.0 % BLOCK_HANDLES);
        let only = HandleBlock { first, known: bit, namespace: look()? };
        if !is_here || items.known == 0 {
            (*known, *items) = (subscription, only);
        } else if items.namespace == only.namespace {
            items.known |= bit;
        }
        Some(only)
    }
}

/// A subscription, and the number of an item of it.
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

    /// The first number of its neighbourhood.
    #[inline]
    fn block_start(self) -> u32 {
        (self.0 / BLOCK_HANDLES * BLOCK_HANDLES) as u32
    }

    /// A number that differs between neighbourhoods of one client: those of a subscription, and those of several.
    #[inline]
    fn cache_slot(self) -> usize {
        (self.0 / BLOCK_HANDLES) as usize ^ self.subscription() as usize
    }

    fn with_number(self, number: u32) -> Self {
        Self::new(self.subscription(), number)
    }
}

/// What is monitored.
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
    /// The server monitors an item from here on. Says whether there was room to remember it.
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

    /// Bytes of memory that they take, nearly.
    pub(super) fn memory(&self) -> usize {
        let nodes = self.nodes.len() * size_of::<(ItemKey, Monitored)>();
        // Nodes of the trees are two thirds full, as a rule.
        (nodes + self.handles.len() * size_of::<(ItemKey, u32)>()) * 3 / 2 + self.name_bytes
    }

    /// The client gave an item another number.
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

    /// The server no longer monitors an item.
    pub(super) fn remove_item(&mut self, subscription: u32, item: u32) {
        self.remove(ItemKey::new(subscription, item));
    }

    fn remove(&mut self, item: ItemKey) {
        self.cache = None;
        if let Some(handle) = self.handles.remove(&item)
            && let Some(monitored) = self.nodes.remove(&item.with_number(handle))
        {
            self.name_bytes -= monitored.node.heap();
        }
    }

    /// A subscription is deleted, with all its items.
    pub(super) fn remove_subscription(&mut self, subscription: u32) {
        let all = ItemKey::new(subscription, 0)..=ItemKey::new(subscription, u32::MAX);
        while let Some((&item, _)) = self.handles.range(all.clone()).next() {
            self.remove(item);
        }
    }

    /// The values that the answer to Publish reports, if all of their nodes are known.
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

    /// What a notification speaks of: the node, where it is known.
    #[inline]
    pub(super) fn subject_of(&self, subscription: u32, handle: u32) -> Subject<'_> {
        match self.nodes.get(&ItemKey::new(subscription, handle)) {
            Some(monitored) => Subject::Node(monitored.target()),
            None => Subject::Subscription(subscription),
        }
    }
}

/// Monitored items of one connection that are remembered: some 800 KB if all have names of medium length.
const MAX_ITEMS: usize = 4096;
/// Items whose numbers differ in their last digits only: as many as a word has bits.
const BLOCK_HANDLES: u64 = u64::BITS as u64;
/// Neighbourhoods that are found without a look into the tree: 192 bytes for a connection with subscriptions.
const CACHE_SLOTS: usize = 8;

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::operation::{Class, Namespaces, Node, NodeId};

    /// So far from another number that both are found in one place.
    const FAR: u32 = 5 + (BLOCK_HANDLES * CACHE_SLOTS as u64) as u32;

    /// What the survey says of a report of one value of each of these items of subscription 7.
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
    fn what_was_looked_up_is_forgotten_when_items_change() {
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
            assert_eq!(summarised(&mut subscriptions, &[5, FAR]), Some(both), "two items in one place");
            assert_eq!(summarised(&mut subscriptions, &[5, 7, 7, 5]), Some(both), "neighbours in two namespaces");
            assert_eq!(summarised(&mut subscriptions, &[5, 8]), None, "a neighbour that nobody knows");
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
