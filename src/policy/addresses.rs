//! Numbered addresses: the ranges that a policy names, and whether they hold what an operation reaches.
//!
//! Registers, bits of memory and timers are all numbers in a table of a unit or of a data block. A [dialect](super::dialect)
//! numbers its tables and finds the addresses of an operation; everything here is the same for all of them.

use super::encoding::{DataType, Encoding};

/// Ranges of addresses in one table, as a policy names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The table or memory area, numbered over all dialects.
    pub table: usize,
    /// The unit or data block; every one where none is named.
    pub number: Option<u32>,
    /// First and last address of each range, 0-based.
    pub ranges: Vec<(u32, u32)>,
    /// What an address counts.
    pub unit: AddressUnit,
}

impl Addresses {
    /// All addresses of a table.
    pub const WHOLE: (u32, u32) = (0, u32::MAX);
}

/// What an address counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressUnit {
    /// Registers or bits of Modbus.
    Register,
    /// Bits of memory.
    Bit,
    /// Elements of 16 bits, such as timers and counters.
    Element,
}

impl AddressUnit {
    /// How many addresses a value takes in a range of `range` addresses: at least one.
    pub(super) fn addresses(self, encoding: Encoding, range: u32) -> u32 {
        let size = match self {
            Self::Register => encoding.data_type.registers().map(u32::from),
            Self::Element => Some(1),
            Self::Bit if encoding.data_type == DataType::Bool => Some(1),
            Self::Bit => encoding.data_type.size().map(|bytes| u32::from(bytes) * 8),
        };
        size.unwrap_or(range).max(1)
    }
}

/// How many addresses a range holds.
pub(super) fn length((first, last): (u32, u32)) -> u64 {
    u64::from(last.saturating_sub(first)) + 1
}

/// A range as the policy writes it: `7`, `0-39`.
pub(super) fn range_text((first, last): (u32, u32)) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

/// [`Addresses`] laid out for judging: the ranges are disjoint, sorted, and merged where they touch.
#[derive(Clone, Debug)]
pub(super) struct AddressSet {
    pub(super) table: usize,
    pub(super) space: Space,
    pub(super) ranges: Box<[(u32, u32)]>,
}

/// The units or data blocks that a range applies to, of one asset or of all, as a mask over [`Reach::key`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Space {
    key: u64,
    mask: u64,
}

/// The numbered addresses that an operation reaches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    /// The table or memory area, numbered over all dialects.
    pub(super) table: usize,
    /// The asset, from bit [`ASSET_SHIFT`] on; below it the unit or data block.
    pub(super) key: u64,
    /// First and last address. The last may lie beyond the address space, since an operation can ask for that.
    pub(super) first: u32,
    pub(super) last: u32,
}

/// Where the asset stands in [`Reach::key`].
const ASSET_SHIFT: u32 = 32;

/// Stands for a host that is no declared asset; there are fewer assets than this.
pub(super) const NO_ASSET: u16 = u16::MAX;

impl Space {
    /// `None` stands for every asset, or for every unit or data block.
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

impl Reach {
    /// Addresses from `first` to `last` of a table, in the unit or data block `number` of an asset or [`NO_ASSET`].
    #[inline]
    pub(super) fn new(asset: u16, table: usize, number: u32, (first, last): (u32, u32)) -> Self {
        Self { table, key: u64::from(asset) << ASSET_SHIFT | u64::from(number), first, last }
    }
}

impl AddressSet {
    /// `None` stands for every asset.
    pub(super) fn new(asset: Option<u16>, addresses: &Addresses) -> Self {
        let Addresses { table, number, ref ranges, .. } = *addresses;
        Self { table, space: Space::new(asset, number), ranges: merge(ranges.clone()) }
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

/// Sorts ranges, and joins those that overlap or touch.
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

/// Whether a union of ranges holds every address that an operation reaches. `furthest` returns the last address of the ranges
/// that hold an address, if any does.
pub(super) fn is_covered(reach: &Reach, furthest: impl Fn(u32) -> Option<u32>) -> bool {
    let mut next = reach.first;
    while let Some(end) = furthest(next) {
        if end >= reach.last {
            return true;
        }
        next = end + 1;
    }
    false
}

/// Whether one of the ranges, disjoint and sorted, holds every address that an operation reaches.
pub(super) fn encloses(ranges: &[(u32, u32)], reach: &Reach) -> bool {
    let before = ranges.partition_point(|&(_, last)| last < reach.last);
    ranges.get(before).is_some_and(|&(first, _)| first <= reach.first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(ranges: &[(u16, u16)]) -> AddressSet {
        let ranges = ranges.iter().map(|&(first, last)| (first.into(), last.into())).collect();
        AddressSet::new(None, &Addresses { table: 0, number: None, ranges, unit: AddressUnit::Register })
    }

    fn within(sets: &[AddressSet], reach: &Reach) -> bool {
        is_covered(reach, |address| sets.iter().filter_map(|set| set.end_of(reach, address)).max())
    }

    fn reach(first: u32, last: u32) -> Reach {
        Reach::new(NO_ASSET, 0, 1, (first, last))
    }

    #[test]
    fn ranges_that_touch_are_one() {
        assert_eq!(*merge(vec![(10, 19), (0, 9), (30, 40), (35, 36)]), [(0, 19), (30, 40)]);
        assert_eq!(*merge(vec![(65535, 65535), (0, 65534)]), [(0, 65535)]);
        assert_eq!(*merge(vec![(7, u32::MAX), (0, u32::MAX), (3, 5)]), [(0, u32::MAX)]);
    }

    #[test]
    fn a_range_beyond_the_address_space_is_never_covered() {
        assert!(within(&[set(&[(0, 65535)])], &reach(0, 65_535)));
        assert!(!within(&[set(&[(0, 65535)])], &reach(65_535, 65_536)));
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
            let sets: Vec<AddressSet> = ranges.iter().map(|one| set(one)).collect();
            let inside = |at: u32| ranges.iter().flatten().any(|&(a, b)| (u32::from(a)..=u32::from(b)).contains(&at));
            let naive = (first..=first + length).all(inside);
            prop_assert_eq!(within(&sets, &reach(first, first + length)), naive);
        }
    }
}
