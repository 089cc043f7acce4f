//! Rows that lie in pages: nothing moves when there are more of them, and at most one page is not in use.

use std::ops::{Index, IndexMut};

use super::slot::{Link, Slot};

/// The flows of a table, by index: each with its [`Slot`], which the index finds, and its [`Link`]. A [`Vec`] would hold up
/// to twice what is in use, and copy it all whenever it grows.
///
/// A page is whole from the start, with vacant rows behind those that were added: within it, no index is out of bounds.
#[derive(Debug)]
pub(super) struct Paged<T> {
    pages: Vec<Box<Page<T>>>,
    length: u32,
}

/// The parts of its rows lie apart, each with others of its kind: what is looked at for every packet shares no cache line
/// with what is not.
#[derive(Debug)]
struct Page<T> {
    slots: [Slot; PAGE as usize],
    values: [Option<T>; PAGE as usize],
    links: [Link; PAGE as usize],
}

impl<T> Page<T> {
    fn new() -> Box<Self> {
        Box::new(Self {
            slots: std::array::from_fn(|_| Slot::default()),
            values: std::array::from_fn(|_| None),
            links: std::array::from_fn(|_| Link::default()),
        })
    }
}

impl<T> Paged<T> {
    /// Bytes that a row takes.
    pub(super) const ROW: usize = size_of::<Page<T>>() / PAGE as usize;

    pub(super) const fn new() -> Self {
        Self { pages: Vec::new(), length: 0 }
    }

    /// Adds a row behind the others, without a flow. Says its index.
    pub(super) fn push(&mut self, slot: Slot) -> u32 {
        let index = self.length;
        if index.is_multiple_of(PAGE) {
            self.pages.push(Page::new());
        }
        self[index] = slot;
        self.length += 1;
        index
    }

    /// Every flow, in order of its index.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.pages.iter_mut().flat_map(|page| page.values.iter_mut()).flatten()
    }

    /// The slot with this index. Vacant ones behind those that were added may be found, too.
    #[inline(always)]
    pub(super) fn get(&self, index: u32) -> Option<&Slot> {
        Some(&self.pages.get((index / PAGE) as usize)?.slots[(index % PAGE) as usize])
    }

    /// The slot with this index, and its flow.
    #[inline(always)]
    pub(super) fn get_mut(&mut self, index: u32) -> Option<(&mut Slot, &mut Option<T>)> {
        let Page { slots, values, .. } = self.pages.get_mut((index / PAGE) as usize)?.as_mut();
        let place = (index % PAGE) as usize;
        Some((&mut slots[place], &mut values[place]))
    }

    /// The link with this index.
    pub(super) fn link_mut(&mut self, index: u32) -> Option<&mut Link> {
        Some(&mut self.pages.get_mut((index / PAGE) as usize)?.links[(index % PAGE) as usize])
    }

    /// The link of a row that is there.
    pub(super) fn link(&self, index: u32) -> Link {
        self.pages[(index / PAGE) as usize].links[(index % PAGE) as usize]
    }

    /// The flow of a row that is there.
    pub(super) fn value_mut(&mut self, index: u32) -> &mut Option<T> {
        &mut self.pages[(index / PAGE) as usize].values[(index % PAGE) as usize]
    }
}

impl<T> Index<u32> for Paged<T> {
    type Output = Slot;

    #[inline]
    fn index(&self, index: u32) -> &Slot {
        &self.pages[(index / PAGE) as usize].slots[(index % PAGE) as usize]
    }
}

impl<T> IndexMut<u32> for Paged<T> {
    #[inline]
    fn index_mut(&mut self, index: u32) -> &mut Slot {
        &mut self.pages[(index / PAGE) as usize].slots[(index % PAGE) as usize]
    }
}

/// Rows of one page.
const PAGE: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_by_the_index_that_they_were_given() {
        let mut paged = Paged::new();
        for number in 0..3 * PAGE + 1 {
            assert_eq!(paged.push(Slot { used: number.into(), ..Slot::default() }), number);
            *paged.value_mut(number) = Some(number);
        }
        let (slot, value) = paged.get_mut(PAGE).expect("it is there");
        assert_eq!((slot.used, value.replace(7)), (i64::from(PAGE), Some(PAGE)));
        assert_eq!(paged.value_mut(PAGE), &Some(7));
        assert_eq!(paged.get(3 * PAGE).map(|slot| slot.used), Some(i64::from(3 * PAGE)));
        assert_eq!(paged.get(3 * PAGE + 1).map(|slot| slot.used), Some(0), "vacant");
        assert!(paged.get(4 * PAGE).is_none() && paged.link_mut(4 * PAGE).is_none());
        assert_eq!(paged.values_mut().count(), 3 * PAGE as usize + 1);
    }
}
