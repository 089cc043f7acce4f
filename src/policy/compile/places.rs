//! Where an operation reaches, and whether ranges hold that: addresses as numbers, whatever the protocol.

use lockkeeper_protocols::{Area, Table, Target};

use super::super::model::{Registers, S7Memory, memory_of};

/// Ranges of one space, disjoint, sorted, and merged where they touch.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) table: usize,
    pub(super) space: Space,
    pub(super) ranges: Box<[(u32, u32)]>,
}

/// A unit or data block of an asset as a number: asset, then unit or block, from the highest bits. What is not said is
/// masked out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Space {
    key: u64,
    mask: u64,
}

/// Where an operation reaches, for [`covered`].
#[derive(Clone, Copy, Debug)]
pub(in crate::policy) struct Reach {
    /// Index of the table or memory area.
    pub(super) table: usize,
    /// Asset, and unit or data block, as in [`Space`].
    pub(super) key: u64,
    /// First and last address; the last may lie beyond the address space, since that can be asked for.
    pub(in crate::policy) first: u32,
    pub(in crate::policy) last: u32,
}

impl Space {
    pub(super) fn new(asset: Option<u16>, number: Option<u32>) -> Self {
        let part = |value: Option<u64>, ones: u64| value.map_or((0, 0), |value| (value, ones));
        let (asset, number) = (part(asset.map(u64::from), 0xFFFF), part(number.map(u64::from), 0xFFFF_FFFF));
        Self { key: asset.0 << ASSET_SHIFT | number.0, mask: asset.1 << ASSET_SHIFT | number.1 }
    }

    #[inline]
    pub(super) const fn holds(self, key: u64) -> bool {
        (self.key ^ key) & self.mask == 0
    }
}

/// Where the asset stands in the key of a [`Space`].
const ASSET_SHIFT: u32 = 32;

/// What has addresses: the tables of Modbus, the memory areas of S7, and those areas that have no name.
pub(super) const TABLES: usize = FIRST_AREA + Area::NAMED.len() + 1;
const FIRST_AREA: usize = Table::ALL.len();

const fn area_index(area: Area) -> usize {
    let index = match area {
        Area::Input => 0,
        Area::Output => 1,
        Area::Flag => 2,
        Area::DataBlock => 3,
        Area::InstanceData => 4,
        Area::Local => 5,
        Area::PreviousLocal => 6,
        Area::Periphery => 7,
        Area::Counter => 8,
        Area::Timer => 9,
        Area::Other(_) => 10,
    };
    FIRST_AREA + index
}

/// What tells memories of one area apart: the number of the data block, or the code of an area without a name.
const fn number_of(area: Area, db: u16) -> u32 {
    match area {
        Area::DataBlock | Area::InstanceData => db as u32,
        Area::Other(code) => code as u32,
        _ => 0,
    }
}

/// Stands for a host that is no declared asset; there are fewer assets than this.
pub(in crate::policy) const NO_ASSET: u16 = u16::MAX;

impl Reach {
    /// Where in the controller's tables or memory an operation reaches, if it reaches there. An object that stands for
    /// memory may be any part of it, so it is all of it.
    #[inline]
    pub(in crate::policy) fn of(asset: u16, target: &Target<'_>) -> Option<Self> {
        match *target {
            Target::Table { unit, table, address, count } => {
                let (first, count) = (u32::from(address), u32::from(count));
                Some(Self::new(asset, table as usize, unit.into(), (first, first + count.saturating_sub(1))))
            }
            Target::Memory { area, db, first, count } => {
                let last = first.saturating_add(count.saturating_sub(1));
                Some(Self::new(asset, area_index(area), number_of(area, db), (first, last)))
            }
            Target::Object { object, .. } => {
                let (area, db) = memory_of(object)?;
                Some(Self::new(asset, area_index(area), number_of(area, db), S7Memory::WHOLE))
            }
            _ => None,
        }
    }

    #[inline]
    fn new(asset: u16, table: usize, number: u32, (first, last): (u32, u32)) -> Self {
        Self { table, key: u64::from(asset) << ASSET_SHIFT | u64::from(number), first, last }
    }
}

impl Span {
    pub(super) fn registers(asset: Option<u16>, registers: &Registers) -> Self {
        let ranges = registers.ranges.iter().map(|&(first, last)| (u32::from(first), u32::from(last)));
        let space = Space::new(asset, registers.unit.map(u32::from));
        Self { table: registers.table as usize, space, ranges: merge(ranges.collect()) }
    }

    pub(super) fn memory(asset: Option<u16>, memory: &S7Memory) -> Self {
        let S7Memory { area, db, ref ranges } = *memory;
        let space = Space::new(asset, Some(number_of(area, db)));
        Self { table: area_index(area), space, ranges: merge(ranges.clone()) }
    }

    /// The last address of the range that holds an address, if one does.
    pub(super) fn end_of(&self, reach: &Reach, address: u32) -> Option<u32> {
        if self.table != reach.table || !self.space.holds(reach.key) {
            return None;
        }
        let after = self.ranges.partition_point(|&(first, _)| first <= address);
        let &(_, last) = self.ranges.get(after.checked_sub(1)?)?;
        (last >= address).then_some(last)
    }
}

/// Sorted, and joined where ranges overlap or touch.
pub(super) fn merge(mut ranges: Vec<(u32, u32)>) -> Box<[(u32, u32)]> {
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
pub(in crate::policy) fn covered(reach: &Reach, furthest: impl Fn(u32) -> Option<u32>) -> bool {
    let mut next = reach.first;
    while let Some(end) = furthest(next) {
        if end >= reach.last {
            return true;
        }
        next = end + 1;
    }
    false
}

/// Whether one of the ranges holds every address.
pub(super) fn encloses(ranges: &[(u32, u32)], reach: &Reach) -> bool {
    let before = ranges.partition_point(|&(_, last)| last < reach.last);
    ranges.get(before).is_some_and(|&(first, _)| first <= reach.first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn span(ranges: &[(u16, u16)]) -> Span {
        Span::registers(None, &Registers { unit: None, table: Table::Coil, ranges: ranges.to_vec() })
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
