//! A vector in pages: adding a row never moves others, and at most one page is partly unused.

use std::ops::{Index, IndexMut};

use super::slot::{ListLinks, Slot};

/// The flows of a table by index, each with its [`Slot`] and its [`ListLinks`]. A [`Vec`] would reserve up to twice the memory
/// and copy all rows when it grows.
///
/// A page is allocated whole, with vacant rows after those that were added, so that indexing within it cannot fail.
#[derive(Debug)]
pub(super) struct Paged<T> {
    /// The first page, the only one of most tables, without an indirection.
    first: Option<Box<Page<T>>>,
    others: Vec<Box<Page<T>>>,
    length: u32,
}

type Page<T> = [Row<T>; PAGE as usize];

/// A slot is stored beside its flow, because both are used together and then share a TLB entry. Rows are aligned to cache
/// lines so that they span as few as possible.
#[derive(Debug)]
#[repr(C, align(64))]
struct Row<T> {
    slot: Slot,
    value: Option<T>,
    link: ListLinks,
}

impl<T> Default for Row<T> {
    fn default() -> Self {
        Self { slot: Slot::default(), value: None, link: ListLinks::default() }
    }
}

impl<T> Paged<T> {
    /// Size of a row, bytes.
    pub(super) const ROW: usize = size_of::<Row<T>>();

    pub(super) const fn new() -> Self {
        Self { first: None, others: Vec::new(), length: 0 }
    }

    /// Appends a row without a flow and returns its index.
    pub(super) fn push(&mut self, slot: Slot) -> u32 {
        let index = self.length;
        if index.is_multiple_of(PAGE) {
            let page = Box::new(std::array::from_fn(|_| Row::default()));
            if self.first.is_none() {
                self.first = Some(page);
            } else {
                self.others.push(page);
            }
        }
        self[index] = slot;
        self.length += 1;
        index
    }

    /// Every flow, in order of index.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let pages = self.first.iter_mut().chain(&mut self.others);
        pages.flat_map(|page| page.iter_mut()).filter_map(|row| row.value.as_mut())
    }

    /// The slot with this index. It may be a vacant one of the last page.
    pub(super) fn get(&self, index: u32) -> Option<&Slot> {
        self.row(index).map(|row| &row.slot)
    }

    /// The slot with this index, and its flow.
    pub(super) fn get_mut(&mut self, index: u32) -> Option<(&mut Slot, &mut Option<T>)> {
        self.row_mut(index).map(|row| (&mut row.slot, &mut row.value))
    }

    /// The list links of a row.
    ///
    /// # Panics
    ///
    /// Panics if no row was added with this index.
    pub(super) fn link(&self, index: u32) -> ListLinks {
        self.row(index).expect(ADDED).link
    }

    /// The list links of a row, if there is one with this index.
    pub(super) fn link_mut(&mut self, index: u32) -> Option<&mut ListLinks> {
        self.row_mut(index).map(|row| &mut row.link)
    }

    /// The flow of a row, if it has one.
    pub(super) fn value(&self, index: u32) -> Option<&T> {
        self.row(index).and_then(|row| row.value.as_ref())
    }

    /// The flow of a row.
    ///
    /// # Panics
    ///
    /// Panics if no row was added with this index.
    pub(super) fn value_mut(&mut self, index: u32) -> &mut Option<T> {
        &mut self.row_mut(index).expect(ADDED).value
    }

    fn row(&self, index: u32) -> Option<&Row<T>> {
        let page = match (index / PAGE).checked_sub(1) {
            None => self.first.as_ref(),
            Some(other) => self.others.get(other as usize),
        };
        page.map(|page| &page[(index % PAGE) as usize])
    }

    #[inline(always)]
    fn row_mut(&mut self, index: u32) -> Option<&mut Row<T>> {
        let page = match (index / PAGE).checked_sub(1) {
            None => self.first.as_mut(),
            Some(other) => self.others.get_mut(other as usize),
        };
        page.map(|page| &mut page[(index % PAGE) as usize])
    }
}

impl<T> Index<u32> for Paged<T> {
    type Output = Slot;

    /// The slot of a row. Panics if no row was added with this index.
    fn index(&self, index: u32) -> &Slot {
        &self.row(index).expect(ADDED).slot
    }
}

impl<T> IndexMut<u32> for Paged<T> {
    fn index_mut(&mut self, index: u32) -> &mut Slot {
        &mut self.row_mut(index).expect(ADDED).slot
    }
}

/// The invariant behind every index.
const ADDED: &str = "the table keeps indices of rows that were added";
/// Rows of one page.
const PAGE: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_by_the_index_that_they_were_given() {
        let mut paged = Paged::new();
        assert!(paged.get(0).is_none());
        for number in 0..3 * PAGE + 1 {
            assert_eq!(paged.push(Slot { used: number.into(), ..Slot::default() }), number);
            *paged.get_mut(number).expect("it is there").1 = Some(number);
        }
        let (slot, value) = paged.get_mut(PAGE).expect("it is there");
        assert_eq!((slot.used, value.replace(7)), (i64::from(PAGE), Some(PAGE)));
        assert_eq!(paged.get_mut(PAGE).expect("it is there").1, &Some(7));
        assert_eq!(paged.get(3 * PAGE).map(|slot| slot.used), Some(i64::from(3 * PAGE)));
        assert_eq!(paged.get(3 * PAGE + 1).map(|slot| slot.used), Some(0), "vacant");
        assert!(paged.get(4 * PAGE).is_none() && paged.link_mut(4 * PAGE).is_none());
        assert_eq!(paged.values_mut().count(), 3 * PAGE as usize + 1);
    }
}
