//! A map from patterns of nodes to values: finds the values for a node in constant time, except for unusual patterns.

use hashbrown::HashMap;
use lockkeeper_protocols::{Node, NodeId};

use super::{NodeIdPattern, NodePattern};

/// Values by the nodes that patterns name.
#[derive(Clone, Debug)]
pub(in crate::policy) struct NodeMap<T> {
    /// For nodes with a number, by [namespace and number](number_in).
    by_number: HashMap<u64, Vec<T>>,
    /// For nodes with a name, by namespace, then by name.
    by_name: HashMap<u16, HashMap<Box<[u8]>, Vec<T>>>,
    /// For all other patterns, which are few: whole namespaces, prefixes of names, and ids that are hardly ever used.
    others: Vec<(NodePattern, T)>,
}

impl<T> Default for NodeMap<T> {
    fn default() -> Self {
        Self { by_number: HashMap::new(), by_name: HashMap::new(), others: Vec::new() }
    }
}

impl<T: PartialEq> FromIterator<(NodePattern, T)> for NodeMap<T> {
    fn from_iter<I: IntoIterator<Item = (NodePattern, T)>>(entries: I) -> Self {
        let mut map = Self::default();
        for (pattern, value) in entries {
            let values = match pattern.id {
                NodeIdPattern::Numeric(number) => {
                    map.by_number.entry(number_in(pattern.namespace, number)).or_default()
                }
                NodeIdPattern::Text(name) => map.by_name.entry(pattern.namespace).or_default().entry(name).or_default(),
                _ => {
                    map.others.push((pattern, value));
                    continue;
                }
            };
            if !values.contains(&value) {
                values.push(value);
            }
        }
        map
    }
}

impl<T> NodeMap<T> {
    /// Whether it has no values.
    pub(in crate::policy) fn is_empty(&self) -> bool {
        self.by_number.is_empty() && self.by_name.is_empty() && self.others.is_empty()
    }

    /// The values of all patterns that hold a node.
    #[inline]
    pub(in crate::policy) fn matching(&self, node: Node<'_>) -> impl Iterator<Item = &T> {
        let single = match node.id {
            NodeId::Numeric(number) => self.by_number.get(&number_in(node.namespace, number)),
            NodeId::Text(name) => self.by_name.get(&node.namespace).and_then(|names| names.get(name)),
            NodeId::Guid(_) | NodeId::Opaque(_) => None,
        };
        let others = self.others.iter().filter(move |(pattern, _)| pattern.holds(&node));
        single.into_iter().flatten().chain(others.map(|(_, value)| value))
    }
}

/// Namespace and number as one key.
#[inline]
const fn number_in(namespace: u16, number: u32) -> u64 {
    (namespace as u64) << 32 | number as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern() -> impl Strategy<Value = NodePattern> {
        let name = || prop::sample::select(vec![&b""[..], b"a", b"ab", b"b"]).prop_map(Box::from);
        let id = prop_oneof![
            Just(NodeIdPattern::Any),
            (0_u32..3).prop_map(NodeIdPattern::Numeric),
            name().prop_map(NodeIdPattern::Text),
            name().prop_map(NodeIdPattern::Prefix),
            Just(NodeIdPattern::Guid([1; 16])),
            name().prop_map(NodeIdPattern::Opaque),
        ];
        (0_u16..2, id).prop_map(|(namespace, id)| NodePattern { text: String::new(), namespace, id })
    }

    proptest! {
        #[test]
        fn a_node_has_the_values_of_every_pattern_that_holds_it(
            patterns in prop::collection::vec(pattern(), 0..12), namespace in 0_u16..3,
        ) {
            let map: NodeMap<usize> = patterns.iter().cloned().zip(0..).collect();
            prop_assert_eq!(map.is_empty(), patterns.is_empty());
            let ids = [
                NodeId::Numeric(0), NodeId::Numeric(2), NodeId::Text(b""), NodeId::Text(b"ab"), NodeId::Text(b"abc"),
                NodeId::Guid([1; 16]), NodeId::Opaque(b"a"), NodeId::Opaque(b"x"),
            ];
            for id in ids {
                let node = Node { namespace, id };
                let mut found: Vec<usize> = map.matching(node).copied().collect();
                found.sort_unstable();
                let holding = patterns.iter().zip(0_usize..).filter(|(pattern, _)| pattern.holds(&node));
                prop_assert_eq!(found, holding.map(|(_, at)| at).collect::<Vec<_>>(), "{}", node);
            }
        }
    }

    #[test]
    fn a_value_that_is_given_twice_is_kept_once() {
        let one = || NodePattern { text: String::new(), namespace: 2, id: NodeIdPattern::Numeric(7) };
        let map: NodeMap<bool> = [(one(), true), (one(), true), (one(), false)].into_iter().collect();
        assert_eq!(map.matching(Node { namespace: 2, id: NodeId::Numeric(7) }).collect::<Vec<_>>(), [&true, &false]);
    }
}
