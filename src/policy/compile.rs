//! What a policy declares, in the form in which it is judged: nothing here is looked up by name.

use lockkeeper_protocols::{Operation, Table, Target};

use super::membership::Membership;
use super::model::{Allow, Declared, FunctionRef, Kind, Limits, Location, Point, Registers};
use super::words::Classes;

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
    /// The entries of `allow`.
    pub(super) permits: Vec<Permit>,
    /// Classes that an entry permits whatever the function and the address.
    everywhere: Classes,
    /// What entries that name no function permit on which addresses, by table: the same as `permits`, laid out for the
    /// usual operation, which lies within one of these ranges.
    lanes: [Box<[Lane]>; TABLES],
}

/// Where entries of the same classes permit them in one space.
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
    pub(super) places: Option<Box<[Span]>>,
}

/// Ranges of one space, disjoint, sorted, and merged where they touch.
#[derive(Clone, Debug)]
pub(super) struct Span {
    table: usize,
    space: Space,
    ranges: Box<[(u32, u32)]>,
}

/// A unit of an asset as a number: asset, then unit, from the highest bits. What is not said is masked out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Space {
    key: u64,
    mask: u64,
}

/// Where an operation reaches, for [`covered`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    /// Index of the table.
    table: usize,
    /// Asset and unit, as in [`Space`].
    key: u64,
    /// First and last address; the last may lie beyond the address space, since that can be asked for.
    pub(super) first: u32,
    pub(super) last: u32,
}

/// Points of one asset that limit values, sorted by first address.
#[derive(Clone, Debug, Default)]
pub(super) struct LimitedPoints {
    points: Vec<LimitedPoint>,
    /// Whether one of them limits its step.
    pub(super) have_steps: bool,
}

/// One range of a point that limits values.
#[derive(Clone, Debug)]
pub(super) struct LimitedPoint {
    table: usize,
    space: Space,
    pub(super) first: u32,
    pub(super) last: u32,
    /// The highest last address of this point and those before it, so that a search can stop.
    highest: u32,
    pub(super) point: u16,
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
            flows: declared.flows.iter().map(|flow| FlowRules::new(&flow.allow, &declared.points)).collect(),
            limited: (0..declared.assets.len()).map(|asset| LimitedPoints::new(asset, &declared.points)).collect(),
        }
    }
}

impl FlowRules {
    fn new(allow: &[Allow], points: &[Point]) -> Self {
        let permits: Vec<Permit> = allow.iter().map(|entry| Permit::new(entry, points)).collect();
        let plain = || permits.iter().filter(|permit| permit.functions.is_empty());
        let everywhere = plain().filter(|permit| permit.places.is_none());
        let everywhere = everywhere.fold(Classes::NONE, |all, permit| all.with(permit.classes));
        let somewhere = plain().filter_map(|permit| Some((permit.classes, permit.places.as_deref()?)));
        Self { everywhere, lanes: lanes(somewhere), permits }
    }

    /// Whether an operation is permitted, looking only at entries that name no function and at one range at a time. What
    /// this does not permit may be permitted still.
    #[inline(never)]
    pub(super) fn permit_plainly(&self, asset: u16, operation: &Operation<'_>) -> bool {
        let class = operation.class;
        let Some(reach) = Reach::of(asset, &operation.target) else { return self.everywhere.contains(class) };
        for lane in self.lanes.get(reach.table).map(Box::as_ref).unwrap_or_default() {
            let within = lane.first <= reach.first && reach.last <= lane.last;
            if within && lane.classes.contains(class) && lane.space.holds(reach.key) {
                return lane.ranges.len() == 1 || encloses(&lane.ranges, &reach);
            }
        }
        self.everywhere.contains(class)
    }
}

/// The ranges of entries by table, joined where classes and space are the same.
fn lanes<'a>(entries: impl Iterator<Item = (Classes, &'a [Span])>) -> [Box<[Lane]>; TABLES] {
    let mut tables: [Vec<Lane>; TABLES] = Default::default();
    for (classes, span) in entries.flat_map(|(classes, spans)| spans.iter().map(move |span| (classes, span))) {
        let (Some(lanes), Some(new)) = (tables.get_mut(span.table), Lane::new(classes, span)) else { continue };
        match lanes.iter_mut().find(|lane| (lane.classes, lane.space) == (new.classes, new.space)) {
            Some(lane) => lane.join(&new),
            None => lanes.push(new),
        }
    }
    tables.map(Vec::into_boxed_slice)
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

/// Whether one of the ranges holds every address.
#[inline(never)]
fn encloses(ranges: &[(u32, u32)], reach: &Reach) -> bool {
    let before = ranges.partition_point(|&(_, last)| last < reach.last);
    ranges.get(before).is_some_and(|&(first, _)| first <= reach.first)
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
    pub(super) fn end_of(&self, reach: &Reach, address: u32) -> Option<u32> {
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

impl Space {
    fn new(asset: Option<u16>, registers: &Registers) -> Self {
        let part = |value: Option<u64>, ones: u64, shift: u32| {
            (value.unwrap_or(0) << shift, if value.is_some() { ones << shift } else { 0 })
        };
        let parts =
            [part(asset.map(u64::from), 0xFFFF, ASSET_SHIFT), part(registers.unit.map(u64::from), 0xFFFF_FFFF, 0)];
        let (key, mask) = parts.into_iter().fold((0, 0), |all, one| (all.0 | one.0, all.1 | one.1));
        Self { key, mask }
    }

    #[inline]
    const fn holds(self, key: u64) -> bool {
        (self.key ^ key) & self.mask == 0
    }
}

/// Where the asset stands in the key of a [`Space`].
const ASSET_SHIFT: u32 = 32;

/// Tables that have addresses: those of Modbus.
const TABLES: usize = Table::ALL.len();

/// Stands for a host that is no declared asset; there are fewer assets than this.
pub(super) const NO_ASSET: u16 = u16::MAX;

impl Reach {
    /// Where in the controller's tables an operation reaches, if it reaches there.
    #[inline]
    pub(super) fn of(asset: u16, target: &Target) -> Option<Self> {
        let Target::Table { unit, table, address, count } = *target else { return None };
        let key = u64::from(asset) << ASSET_SHIFT | u64::from(unit);
        let first = u32::from(address);
        Some(Self { table: table as usize, key, first, last: first + u32::from(count.saturating_sub(1)) })
    }
}

impl Span {
    fn new(asset: Option<u16>, registers: &Registers) -> Self {
        let ranges = registers.ranges.iter().map(|&(first, last)| (u32::from(first), u32::from(last)));
        let (table, space) = (registers.table as usize, Space::new(asset, registers));
        Self { table, space, ranges: merge(ranges.collect()) }
    }

    /// The last address of the range that holds an address, if one does.
    fn end_of(&self, reach: &Reach, address: u32) -> Option<u32> {
        if self.table != reach.table || !self.space.holds(reach.key) {
            return None;
        }
        let after = self.ranges.partition_point(|&(first, _)| first <= address);
        let &(_, last) = self.ranges.get(after.checked_sub(1)?)?;
        (last >= address).then_some(last)
    }
}

/// Sorted, and joined where ranges overlap or touch.
fn merge(mut ranges: Vec<(u32, u32)>) -> Box<[(u32, u32)]> {
    ranges.sort_unstable();
    let mut merged: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged.into_boxed_slice()
}

/// Whether every address lies in a union of ranges; `furthest` gives the last address of the ranges that hold one.
pub(super) fn covered(reach: &Reach, furthest: impl Fn(u32) -> Option<u32>) -> bool {
    let mut next = reach.first;
    while let Some(end) = furthest(next) {
        if end >= reach.last {
            return true;
        }
        next = end + 1;
    }
    false
}

impl LimitedPoints {
    fn new(asset: usize, points: &[Point]) -> Self {
        let own = (0..).zip(points).filter(|(_, point)| usize::from(point.asset) == asset && !point.limits.is_empty());
        let mut limited: Vec<LimitedPoint> = own.flat_map(|(at, point)| ranges_of(at, point)).collect();
        limited.sort_by_key(|point| (point.first, point.point));
        let mut highest = 0;
        for point in &mut limited {
            highest = point.last.max(highest);
            point.highest = highest;
        }
        Self { have_steps: limited.iter().any(|point| point.limits.max_step.is_some()), points: limited }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// The points that an operation reaches, last ones first.
    #[inline]
    pub(super) fn within(&self, reach: Reach) -> impl Iterator<Item = &LimitedPoint> {
        let end = self.points.partition_point(|point| point.first <= reach.last);
        let candidates = self.points.iter().take(end).rev().take_while(move |point| point.highest >= reach.first);
        candidates.filter(move |point| {
            point.last >= reach.first && point.table == reach.table && point.space.holds(reach.key)
        })
    }
}

fn ranges_of(at: u16, point: &Point) -> Vec<LimitedPoint> {
    let Location::Modbus(registers) = &point.place else { return Vec::new() };
    let limited = |&(first, last): &(u16, u16)| LimitedPoint {
        point: at,
        table: registers.table as usize,
        space: Space::new(None, registers),
        first: first.into(),
        last: last.into(),
        highest: last.into(),
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
        let target = Target::Table { unit: 1, table: Table::Coil, address: 0, count: 1 };
        Reach { first, last, ..Reach::of(NO_ASSET, &target).expect("an address") }
    }

    #[test]
    fn ranges_that_touch_are_one() {
        assert_eq!(*merge(vec![(10, 19), (0, 9), (30, 40), (35, 36)]), [(0, 19), (30, 40)]);
        assert_eq!(*merge(vec![(65535, 65535), (0, 65534)]), [(0, 65535)]);
        assert_eq!(*merge(vec![(7, u32::MAX), (0, u32::MAX), (3, 5)]), [(0, u32::MAX)]);
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
