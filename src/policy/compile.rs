//! What a policy declares, in the form in which it is judged: nothing here is looked up by name.

use lockkeeper_protocols::{Operation, Table};

use super::membership::Membership;
use super::model::{Allow, Declared, FunctionRef, Kind, Limits, Location, Point, Registers, Spoken};
use super::words::{self, Classes};

/// The compiled policy.
#[derive(Clone, Debug, Default)]
pub(super) struct Compiled {
    pub(super) members: Membership,
    /// For each zone: whether it declares assets.
    pub(super) declares_assets: Vec<bool>,
    /// For each conduit: the indices of its flows.
    pub(super) flows_of: Vec<Vec<u16>>,
    /// For each flow: what its operations may be.
    pub(super) flows: Vec<FlowRules>,
    /// For each asset: its points with limits.
    pub(super) limited: Vec<LimitedPoints>,
}

/// What the operations of a flow may be.
#[derive(Clone, Debug, Default)]
pub(super) struct FlowRules {
    /// Operations of this flow reach the policy: its protocol is decoded, or it is `any`.
    pub(super) has_operations: bool,
    /// The entries of `allow`.
    pub(super) permits: Vec<Permit>,
}

/// One entry of `allow`.
#[derive(Clone, Debug)]
pub(super) struct Permit {
    classes: Classes,
    functions: Box<[FunctionRef]>,
    /// Where; none for everywhere.
    pub(super) places: Option<Box<[Span]>>,
}

/// Ranges of one table, disjoint, sorted, and merged where they touch.
#[derive(Clone, Debug)]
pub(super) struct Span {
    asset: Option<u16>,
    unit: Option<u8>,
    table: Table,
    ranges: Box<[(u16, u16)]>,
}

/// Where an operation reaches, for [`covered`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    pub(super) asset: Option<u16>,
    pub(super) unit: u8,
    pub(super) table: Table,
    /// First and last address; the last may lie beyond the address space, since that can be asked for.
    pub(super) first: u32,
    pub(super) last: u32,
}

/// Points of one asset that limit values, sorted by first address.
#[derive(Clone, Debug, Default)]
pub(super) struct LimitedPoints {
    points: Vec<LimitedPoint>,
    /// For each point: the highest last address of it and those before it, so that a search can stop.
    highest: Vec<u16>,
}

/// One range of a point that limits values.
#[derive(Clone, Debug)]
pub(super) struct LimitedPoint {
    pub(super) point: u16,
    unit: Option<u8>,
    table: Table,
    pub(super) first: u16,
    pub(super) last: u16,
    pub(super) kind: Kind,
    pub(super) limits: Limits,
}

impl Compiled {
    pub(super) fn new(declared: &Declared) -> Self {
        let zones = 0..declared.zones.len();
        let conduits = 0..declared.conduits.len();
        let flows_of = |conduit: usize| {
            let flows = (0..).zip(&declared.flows).filter(|(_, flow)| usize::from(flow.conduit) == conduit);
            flows.map(|(at, _)| at).collect()
        };
        let has_asset = |zone: usize| declared.assets.iter().any(|asset| usize::from(asset.zone) == zone);
        Self {
            members: Membership::new(&declared.zones, &declared.assets),
            declares_assets: zones.map(has_asset).collect(),
            flows_of: conduits.map(flows_of).collect(),
            flows: declared
                .flows
                .iter()
                .map(|flow| FlowRules::new(&flow.protocol, &flow.allow, &declared.points))
                .collect(),
            limited: (0..declared.assets.len()).map(|asset| LimitedPoints::new(asset, &declared.points)).collect(),
        }
    }
}

impl FlowRules {
    fn new(protocol: &Spoken, allow: &[Allow], points: &[Point]) -> Self {
        let has_operations = match protocol {
            Spoken::Named(name) => words::is_decoded(name),
            Spoken::Any => true,
            Spoken::Carried(_) => false,
        };
        Self { has_operations, permits: allow.iter().map(|entry| Permit::new(entry, points)).collect() }
    }
}

impl Permit {
    fn new(entry: &Allow, points: &[Point]) -> Self {
        let named = entry.points.iter().filter_map(|&at| points.get(usize::from(at)));
        let of_points = named.filter_map(|point| match &point.place {
            Location::Modbus(registers) => Some(Span::new(Some(point.asset), registers)),
            Location::S7(_) | Location::OpcUa(_) => None,
        });
        let inline = entry.registers.iter().map(|registers| Span::new(None, registers));
        // What restricts other protocols permits nothing of this one.
        let elsewhere =
            entry.s7.is_some() || !(entry.nodes.is_empty() && entry.blocks.is_empty() && entry.actions.is_empty());
        let restricted = elsewhere || !entry.points.is_empty() || entry.registers.is_some();
        Self {
            classes: entry.classes,
            functions: entry.functions.clone().into_boxed_slice(),
            places: restricted.then(|| of_points.chain(inline).collect()),
        }
    }

    /// Whether the entry is about operations of this class and function.
    pub(super) fn names(&self, operation: &Operation<'_>) -> bool {
        self.classes.contains(operation.class)
            && (self.functions.is_empty() || self.functions.iter().any(|function| function.is(operation)))
    }

    /// The last address of the entry's ranges that hold an address, if one does.
    pub(super) fn end_of(&self, reach: &Reach, address: u16) -> Option<u16> {
        self.places.as_deref()?.iter().filter_map(|span| span.end_of(reach, address)).max()
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

impl Span {
    fn new(asset: Option<u16>, registers: &Registers) -> Self {
        Self { asset, unit: registers.unit, table: registers.table, ranges: merge(registers.ranges.clone()).into() }
    }

    /// The last address of the range that holds an address, if one does.
    fn end_of(&self, reach: &Reach, address: u16) -> Option<u16> {
        let about = self.table == reach.table
            && self.unit.is_none_or(|unit| unit == reach.unit)
            && (self.asset.is_none() || self.asset == reach.asset);
        if !about {
            return None;
        }
        let after = self.ranges.partition_point(|&(first, _)| first <= address);
        let &(_, last) = self.ranges.get(after.checked_sub(1)?)?;
        (last >= address).then_some(last)
    }
}

/// Sorted, and joined where ranges overlap or touch.
fn merge(mut ranges: Vec<(u16, u16)>) -> Vec<(u16, u16)> {
    ranges.sort_unstable();
    let mut merged: Vec<(u16, u16)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(before) if u32::from(first) <= u32::from(before.1) + 1 => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged
}

/// Whether every address lies in a union of ranges; `furthest` gives the last address of the ranges that hold one.
pub(super) fn covered(reach: &Reach, furthest: impl Fn(u16) -> Option<u16>) -> bool {
    let mut next = reach.first;
    while next <= reach.last {
        match u16::try_from(next).ok().and_then(&furthest) {
            Some(end) => next = u32::from(end) + 1,
            None => return false,
        }
    }
    true
}

impl LimitedPoints {
    fn new(asset: usize, points: &[Point]) -> Self {
        let own = (0..).zip(points).filter(|(_, point)| usize::from(point.asset) == asset && !point.limits.is_empty());
        let mut limited: Vec<LimitedPoint> = own.flat_map(|(at, point)| ranges_of(at, point)).collect();
        limited.sort_by_key(|point| (point.first, point.point));
        let highest = limited.iter().scan(0, |highest, point| {
            *highest = point.last.max(*highest);
            Some(*highest)
        });
        Self { highest: highest.collect(), points: limited }
    }

    /// The points that an operation reaches, last ones first.
    pub(super) fn within(&self, reach: Reach) -> impl Iterator<Item = &LimitedPoint> {
        let end = self.points.partition_point(|point| u32::from(point.first) <= reach.last);
        let candidates = self.points.iter().zip(&self.highest).take(end).rev();
        candidates.take_while(move |(_, highest)| u32::from(**highest) >= reach.first).map(|(point, _)| point).filter(
            move |point| {
                u32::from(point.last) >= reach.first
                    && point.table == reach.table
                    && point.unit.is_none_or(|unit| unit == reach.unit)
            },
        )
    }
}

fn ranges_of(at: u16, point: &Point) -> Vec<LimitedPoint> {
    let Location::Modbus(registers) = &point.place else { return Vec::new() };
    let limited = |&(first, last): &(u16, u16)| LimitedPoint {
        point: at,
        unit: registers.unit,
        table: registers.table,
        first,
        last,
        kind: point.kind,
        limits: point.limits.clone(),
    };
    registers.ranges.iter().map(limited).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn span(ranges: &[(u16, u16)]) -> Span {
        Span::new(None, &Registers { unit: None, table: Table::Coil, ranges: ranges.to_vec() })
    }

    fn within(spans: &[Span], reach: &Reach) -> bool {
        covered(reach, |address| spans.iter().filter_map(|span| span.end_of(reach, address)).max())
    }

    fn reach(first: u32, last: u32) -> Reach {
        Reach { asset: None, unit: 1, table: Table::Coil, first, last }
    }

    #[test]
    fn ranges_that_touch_are_one() {
        assert_eq!(merge(vec![(10, 19), (0, 9), (30, 40), (35, 36)]), [(0, 19), (30, 40)]);
        assert_eq!(merge(vec![(65535, 65535), (0, 65534)]), [(0, 65535)]);
    }

    #[test]
    fn a_range_beyond_the_address_space_is_never_covered() {
        assert!(within(&[span(&[(0, 65535)])], &reach(0, 65_535)));
        assert!(!within(&[span(&[(0, 65535)])], &reach(65_535, 65_536)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn a_union_of_ranges_covers_what_each_of_its_addresses_is_in(
            ranges in prop::collection::vec(prop::collection::vec((0u16..60, 0u16..12), 0..6), 0..4),
            first in 0u32..70, length in 0u32..20,
        ) {
            let ranges: Vec<Vec<(u16, u16)>> =
                ranges.into_iter().map(|one| one.into_iter().map(|(first, more)| (first, first + more)).collect()).collect();
            let spans: Vec<Span> = ranges.iter().map(|one| span(one)).collect();
            let inside = |at: u32| ranges.iter().flatten().any(|&(a, b)| (u32::from(a)..=u32::from(b)).contains(&at));
            let naive = (first..=first + length).all(inside);
            prop_assert_eq!(within(&spans, &reach(first, first + length)), naive);
        }
    }
}
