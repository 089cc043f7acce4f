//! The operations of a conversation whose end somebody waits for.

use std::collections::VecDeque;

use hashbrown::HashMap;
use lockkeeper_protocols::RequestRef;

use super::conversation::Open;

/// Operations by their number. There may be a hundred thousand; nearly always they end in the order in which they began,
/// so that they lie one behind the other, and those that end in between leave an empty place.
#[derive(Default)]
pub(super) struct Awaited {
    /// Sorted by number, since that is how requests and their parts are numbered.
    queue: VecDeque<(RequestRef, Option<Open>)>,
    /// Empty places among them.
    gone: usize,
    /// What came after one with a higher number: reports, which stand behind the request that fetched them.
    others: HashMap<RequestRef, Open>,
}

impl Awaited {
    /// An operation that was not waited for before.
    #[inline]
    pub(super) fn insert(&mut self, at: RequestRef, open: Open) {
        match self.queue.back() {
            Some((last, _)) if *last >= at => _ = self.others.insert(at, open),
            _ => self.queue.push_back((at, Some(open))),
        }
    }

    /// It has ended, or is given up.
    #[inline]
    pub(super) fn remove(&mut self, at: RequestRef) -> Option<Open> {
        match self.queue.front() {
            Some((first, _)) if *first == at => {
                let open = self.queue.pop_front().and_then(|(_, open)| open);
                self.tidy();
                open
            }
            _ => self.take(at),
        }
    }

    /// One that has not ended.
    pub(super) fn get_mut(&mut self, at: RequestRef) -> Option<&mut Open> {
        let place = self.queue.partition_point(|(other, _)| *other < at);
        match self.queue.get_mut(place).filter(|(other, _)| *other == at) {
            Some((_, Some(open))) => Some(open),
            _ => self.others.get_mut(&at),
        }
    }

    #[inline(never)]
    fn take(&mut self, at: RequestRef) -> Option<Open> {
        let place = self.queue.partition_point(|(other, _)| *other < at);
        let found = self.queue.get_mut(place).filter(|(other, _)| *other == at);
        let Some(open) = found.and_then(|(_, open)| open.take()) else { return self.others.remove(&at) };
        self.gone += 1;
        self.tidy();
        Some(open)
    }

    /// No empty places are left at the front, and no more of them than there are others.
    #[inline]
    fn tidy(&mut self) {
        while self.gone > 0 && self.queue.front().is_some_and(|(_, open)| open.is_none()) {
            self.queue.pop_front();
            self.gone -= 1;
        }
        if self.gone > self.queue.len() / 2 {
            self.queue.retain(|(_, open)| open.is_some());
            self.gone = 0;
        }
    }

    /// Bytes of memory that they take.
    #[inline]
    pub(super) fn memory(&self) -> usize {
        (self.queue.capacity() + self.others.capacity()) * size_of::<(RequestRef, Option<Open>)>()
    }

    /// All of them.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Open> {
        self.queue.iter_mut().filter_map(|(_, open)| open.as_mut()).chain(self.others.values_mut())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::collections::btree_map::Entry;

    use proptest::prelude::*;

    use super::*;
    use crate::alert::OwnedValues;
    use crate::policy::Verdict;

    fn open(flow: u16) -> Open {
        Open {
            verdict: Verdict::Permit { flow: Some(flow) },
            told: false,
            overdue: false,
            request_seen: true,
            values: OwnedValues::None,
        }
    }

    proptest! {
        #[test]
        fn it_behaves_like_a_map(steps in prop::collection::vec((any::<bool>(), 0_u32..6, 0_u32..4), 0..120)) {
            let (mut awaited, mut map) = (Awaited::default(), BTreeMap::new());
            for (number, (enters, request, item)) in (0..).zip(steps) {
                let at = RequestRef { request, item };
                if !enters {
                    prop_assert_eq!(awaited.remove(at).map(|open| open.verdict), map.remove(&at));
                } else if let Entry::Vacant(place) = map.entry(at) {
                    place.insert(open(number).verdict);
                    awaited.insert(at, open(number));
                }
                let mut kept: Vec<String> = awaited.values_mut().map(|open| format!("{:?}", open.verdict)).collect();
                kept.sort_unstable();
                let mut expected: Vec<String> = map.values().map(|verdict| format!("{verdict:?}")).collect();
                expected.sort_unstable();
                prop_assert_eq!(kept, expected);
                let empty = awaited.queue.iter().filter(|(_, open)| open.is_none()).count();
                prop_assert!(empty == awaited.gone && 2 * empty <= awaited.queue.len().max(1), "{} empty places", empty);
            }
        }
    }

    #[test]
    fn what_ends_backwards_leaves_no_more_empty_places_than_there_are_others() {
        let mut awaited = Awaited::default();
        let at = |request| RequestRef { request, item: 0 };
        (0..1000).for_each(|request| awaited.insert(at(request), open(0)));
        for request in (0..1000).rev() {
            assert!(awaited.remove(at(request)).is_some() && awaited.remove(at(request)).is_none());
            assert!(awaited.queue.len() <= 2 * request as usize);
        }
        assert!(awaited.queue.is_empty() && awaited.others.is_empty());
    }
}
