//! A vector that grows by pages: nothing moves when it grows, and at most one page is not in use.

use std::ops::{Index, IndexMut};

/// Values by index. A [`Vec`] would hold up to twice what is in use, and copy it all whenever it grows.
#[derive(Debug)]
pub(super) struct Paged<T> {
    pages: Vec<Vec<T>>,
}

impl<T> Paged<T> {
    pub(super) const fn new() -> Self {
        Self { pages: Vec::new() }
    }

    /// Adds a value behind the others. Says its index.
    pub(super) fn push(&mut self, value: T) -> u32 {
        if self.pages.last().is_none_or(|page| page.len() == PAGE as usize) {
            self.pages.push(Vec::with_capacity(PAGE as usize));
        }
        let full = (self.pages.len() as u32 - 1) * PAGE;
        let Some(page) = self.pages.last_mut() else { return full };
        page.push(value);
        full + page.len() as u32 - 1
    }

    /// Every value, in order of its index.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.pages.iter_mut().flatten()
    }

    #[inline]
    pub(super) fn get(&self, index: u32) -> Option<&T> {
        self.pages.get((index / PAGE) as usize)?.get((index % PAGE) as usize)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.pages.get_mut((index / PAGE) as usize)?.get_mut((index % PAGE) as usize)
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
        assert_eq!(paged.get(3 * PAGE + 1), None);
    }
}
