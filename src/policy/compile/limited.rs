//! The points of an asset that limit the values written to them.

use lockkeeper_protocols::Node;

use super::super::addresses::{AddressUnit, Addresses, Reach, Space};
use super::super::dialect::{Extent, NodeMap, NodePattern};
use super::super::encoding::{DataType, Encoding};
use super::super::model::{Limits, Point};

/// The points of one asset that limit values, sorted by first address.
#[derive(Clone, Debug, Default)]
pub(in crate::policy) struct LimitedPoints {
    points: Vec<LimitedPoint>,
    nodes: NodeMap<LimitedNode>,
    /// Whether any of them limits its step.
    pub(in crate::policy) have_steps: bool,
    /// The first of them in the policy: reported for a write whose target cannot be read.
    pub(in crate::policy) first: Option<u16>,
}

/// One range of a point that limits values.
#[derive(Clone, Debug)]
pub(in crate::policy) struct LimitedPoint {
    table: usize,
    space: Space,
    pub(in crate::policy) first: u32,
    pub(in crate::policy) last: u32,
    /// The highest last address of this entry and all before it: bounds the search.
    highest: u32,
    /// The number of addresses of a value.
    pub(in crate::policy) size: u32,
    /// What an address counts.
    pub(in crate::policy) unit: AddressUnit,
    pub(in crate::policy) point: u16,
    pub(in crate::policy) encoding: Encoding,
    pub(in crate::policy) limits: Limits,
}

/// A point that limits values, for one of its nodes.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::policy) struct LimitedNode {
    pub(in crate::policy) point: u16,
    pub(in crate::policy) data_type: DataType,
    pub(in crate::policy) limits: Limits,
}

impl LimitedPoints {
    pub(super) fn new(asset: usize, points: &[Point]) -> Self {
        let own =
            || (0..).zip(points).filter(|(_, point)| usize::from(point.asset) == asset && !point.limits.is_empty());
        let nodes = own().flat_map(|(at, point)| nodes_of(at, point)).collect();
        let mut limited: Vec<LimitedPoint> = own().flat_map(|(at, point)| ranges_of(at, point)).collect();
        limited.sort_by_key(|point| (point.first, point.point));
        let mut highest = 0;
        for point in &mut limited {
            highest = point.last.max(highest);
            point.highest = highest;
        }
        let have_steps = own().any(|(_, point)| point.limits.max_step.is_some());
        let first = own().map(|(at, _)| at).next();
        Self { have_steps, first, points: limited, nodes }
    }

    pub(in crate::policy) fn is_empty(&self) -> bool {
        self.points.is_empty() && self.nodes.is_empty()
    }

    /// The points of a node: those that name it, then those whose pattern holds it.
    pub(in crate::policy) fn of_node(&self, node: Node<'_>) -> impl Iterator<Item = &LimitedNode> {
        self.nodes.matching(node)
    }

    /// The points that an operation reaches, last ones first.
    #[inline]
    pub(in crate::policy) fn within(&self, reach: Reach) -> impl Iterator<Item = &LimitedPoint> {
        let end = self.points.partition_point(|point| point.first <= reach.last);
        let candidates = self.points.iter().take(end).rev().take_while(move |point| point.highest >= reach.first);
        candidates.filter(move |point| {
            point.last >= reach.first && point.table == reach.table && point.space.holds(reach.key)
        })
    }
}

fn nodes_of(at: u16, point: &Point) -> impl Iterator<Item = (NodePattern, LimitedNode)> {
    let patterns = if let Extent::Nodes(patterns) = &point.place.extent { patterns.as_slice() } else { &[] };
    let limited = LimitedNode { point: at, data_type: point.encoding.data_type, limits: point.limits.clone() };
    patterns.iter().map(move |pattern| (pattern.clone(), limited.clone()))
}

/// One for each range, as written: a value does not extend from one range to the next.
fn ranges_of(at: u16, point: &Point) -> Vec<LimitedPoint> {
    let Extent::Addresses(Addresses { table, number, ranges, unit }) = &point.place.extent else { return Vec::new() };
    let limited = |&(first, last): &(u32, u32)| LimitedPoint {
        point: at,
        table: *table,
        space: Space::new(None, *number),
        first,
        last,
        highest: last,
        size: unit.addresses(point.encoding, last.saturating_sub(first).saturating_add(1)),
        unit: *unit,
        encoding: point.encoding,
        limits: point.limits.clone(),
    };
    ranges.iter().map(limited).collect()
}
