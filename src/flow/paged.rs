//! A vector that grows by pages: nothing moves when it grows, and at most one page is not in use.

use std::ops::{Index, IndexMut};

/// Values by index. A [`Vec`] would hold up to twice what is in use, and copy it all whenever it grows.
///
/// A page is whole from the start, with vacant values behind those that were added: within it, no index is out of bounds.
#[derive(Debug)]
pub(super) struct Paged<T> {
    pages: Vec<Box<[T; PAGE as usize]>>,
    length: u32,
}

impl<T: Default> Paged<T> {
    pub(super) const fn new() -> Self {
        Self { pages: Vec::new(), length: 0 }
    }

    /// Adds a value behind the others. Says its index.
    pub(super) fn push(&mut self, value: T) -> u32 {
        let index = self.length;
        if index.is_multiple_of(PAGE) {
            self.pages.push(Box::new(std::array::from_fn(|_| T::default())));
        }
        self[index] = value;
        self.length += 1;
        index
    }

    /// Every value, in order of its index, and the vacant ones behind them.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.pages.iter_mut().flat_map(|page| page.iter_mut())
    }

    /// The value with this index. Vacant ones behind those that were added may be found, too.
    #[inline(always)]
    pub(super) fn get(&self, index: u32) -> Option<&T> {
        Some(&self.pages.get((index / PAGE) as usize)?[(index % PAGE) as usize])
    }

    #[inline(always)]
    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        Some(&mut self.pages.get_mut((index / PAGE) as usize)?[(index % PAGE) as usize])
    }
}

impl<T> Index<u32> for Paged<T> {
    type Output = T;

    #[inline]
    fn index(&self, index: u32) -> &T {
        &self.pages[(index / PAGE) as usize][(index % PAGE) as usize]
    }
}

impl<T> IndexMut<u32> for Paged<T> {
    #[inline]
    fn index_mut(&mut self, index: u32) -> &mut T {
        &mut self.pages[(index / PAGE) as usize][(index % PAGE) as usize]
    }
}

/// Values of one page.
const PAGE: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_the_index_that_they_were_given() {
        let mut paged = Paged::new();
        for number in 0..3 * PAGE + 1 {
            assert_eq!(paged.push(number), number);
        }
        *paged.get_mut(PAGE).expect("it is there") = 7;
        assert_eq!(paged.get(PAGE), Some(&7));
        assert_eq!(paged.get(3 * PAGE), Some(&(3 * PAGE)));
        assert_eq!(paged.get(3 * PAGE + 1), Some(&0), "vacant");
        assert_eq!(paged.get(4 * PAGE), None);
    }
}
