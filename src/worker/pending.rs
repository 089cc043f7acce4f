//! The operations of a conversation whose outcome is pending.

use std::collections::VecDeque;

use hashbrown::HashMap;
use lockkeeper_protocols::RequestRef;

use crate::policy::Verdict;
use crate::record::OwnedValues;

/// An operation whose outcome is pending.
pub(super) struct PendingOperation {
    pub(super) verdict: Verdict,
    /// Its denial was reported, so that its outcome will be, too.
    pub(super) reported: bool,
    /// The answer timeout has passed.
    pub(super) overdue: bool,
    /// Its request is in the capture.
    pub(super) request_seen: bool,
    /// The values of the request.
    pub(super) values: OwnedValues,
}

/// Pending operations by request number. There may be a hundred thousand, and nearly always they end in the order in which they
/// began: they lie in a queue, where an operation that ends out of turn leaves a vacant entry.
#[derive(Default)]
pub(super) struct PendingOperations {
    /// Sorted by request number.
    queue: VecDeque<(RequestRef, Option<PendingOperation>)>,
    /// Vacant entries of the queue.
    vacant: usize,
    /// Operations announced after one with a higher number: reports, which are numbered by the request that fetched them.
    out_of_order: HashMap<RequestRef, PendingOperation>,
}

impl PendingOperations {
    /// Adds an operation; its number must be new.
    pub(super) fn insert(&mut self, at: RequestRef, operation: PendingOperation) {
        match self.queue.back() {
            Some((last, _)) if *last >= at => _ = self.out_of_order.insert(at, operation),
            _ => self.queue.push_back((at, Some(operation))),
        }
    }

    /// Removes an operation that has ended or is given up.
    pub(super) fn remove(&mut self, at: RequestRef) -> Option<PendingOperation> {
        match self.queue.front() {
            Some((first, _)) if *first == at => {
                let operation = self.queue.pop_front().and_then(|(_, operation)| operation);
                self.drop_vacant();
                operation
            }
            _ => self.remove_within(at),
        }
    }

    /// A pending operation.
    pub(super) fn get_mut(&mut self, at: RequestRef) -> Option<&mut PendingOperation> {
        let place = self.queue.partition_point(|(other, _)| *other < at);
        match self.queue.get_mut(place).filter(|(other, _)| *other == at) {
            Some((_, Some(operation))) => Some(operation),
            _ => self.out_of_order.get_mut(&at),
        }
    }

    fn remove_within(&mut self, at: RequestRef) -> Option<PendingOperation> {
        let place = self.queue.partition_point(|(other, _)| *other < at);
        let found = self.queue.get_mut(place).filter(|(other, _)| *other == at);
        let Some(operation) = found.and_then(|(_, operation)| operation.take()) else {
            return self.out_of_order.remove(&at);
        };
        self.vacant += 1;
        self.drop_vacant();
        Some(operation)
    }

    /// No empty places are left at the front, and no more of them than there are out_of_order.
    fn drop_vacant(&mut self) {
        while self.vacant > 0 && self.queue.front().is_some_and(|(_, operation)| operation.is_none()) {
            self.queue.pop_front();
            self.vacant -= 1;
        }
        if self.vacant > self.queue.len() / 2 {
            self.queue.retain(|(_, operation)| operation.is_some());
            self.vacant = 0;
        }
    }

    /// Bytes of memory in use.
    pub(super) fn memory(&self) -> usize {
        (self.queue.capacity() + self.out_of_order.capacity()) * size_of::<(RequestRef, Option<PendingOperation>)>()
    }

    /// Every pending operation, in no particular order.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut PendingOperation> {
        self.queue.iter_mut().filter_map(|(_, operation)| operation.as_mut()).chain(self.out_of_order.values_mut())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::collections::btree_map::Entry;

    use proptest::prelude::*;

    use super::*;

    fn operation(flow: u16) -> PendingOperation {
        PendingOperation {
            verdict: Verdict::Permit { flow: Some(flow) },
            reported: false,
            overdue: false,
            request_seen: true,
            values: OwnedValues::None,
        }
    }

    proptest! {
        #[test]
        fn it_behaves_like_a_map(steps in prop::collection::vec((any::<bool>(), 0_u32..6, 0_u32..4), 0..120)) {
            let (mut pending, mut map) = (PendingOperations::default(), BTreeMap::new());
            for (number, (enters, request, item)) in (0..).zip(steps) {
                let at = RequestRef { request, item };
                if !enters {
                    prop_assert_eq!(pending.remove(at).map(|operation| operation.verdict), map.remove(&at));
                } else if let Entry::Vacant(place) = map.entry(at) {
                    place.insert(operation(number).verdict);
                    pending.insert(at, operation(number));
                }
                let mut kept: Vec<String> = pending.values_mut().map(|operation| format!("{:?}", operation.verdict)).collect();
                kept.sort_unstable();
                let mut expected: Vec<String> = map.values().map(|verdict| format!("{verdict:?}")).collect();
                expected.sort_unstable();
                prop_assert_eq!(kept, expected);
                let empty = pending.queue.iter().filter(|(_, operation)| operation.is_none()).count();
                prop_assert!(empty == pending.vacant && 2 * empty <= pending.queue.len().max(1), "{} empty places", empty);
            }
        }
    }

    #[test]
    fn operations_that_end_in_reverse_leave_no_more_vacant_entries_than_operations() {
        let mut pending = PendingOperations::default();
        let at = |request| RequestRef { request, item: 0 };
        (0..1000).for_each(|request| pending.insert(at(request), operation(0)));
        for request in (0..1000).rev() {
            assert!(pending.remove(at(request)).is_some() && pending.remove(at(request)).is_none());
            assert!(pending.queue.len() <= 2 * request as usize);
        }
        assert!(pending.queue.is_empty() && pending.out_of_order.is_empty());
    }
}
