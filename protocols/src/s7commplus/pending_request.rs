//! Pending requests and their items.

use alloc::vec::Vec;

use crate::dissector::{Function, Outcome, RequestRef, Sink, Stamp};
use crate::operation::{Class, OBJECT_DEPTH, Operation, Target, Values};
use crate::pending::Waiting;

/// One operation of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) class: Class,
    pub(super) target: Target<'static>,
}

impl Item {
    /// The operation on this item. Secrets are never reported.
    pub(super) fn operation<'v>(&self, function: Function, values: Values<'v>) -> Operation<'v> {
        let Function { name, code, .. } = function;
        let values = if self.class == Class::Security { Values::None } else { values };
        Operation { class: self.class, function: name, code, ambiguous: false, target: self.target, values }
    }
}

/// An object, with as many of the ids below it as fit.
pub(super) fn object_target(object: u32, ids: impl IntoIterator<Item = u32>) -> Target<'static> {
    let (mut path, mut depth) = ([0; OBJECT_DEPTH], 0);
    for (slot, id) in path.iter_mut().zip(ids) {
        *slot = id;
        depth += 1;
    }
    Target::Object { object, path, depth }
}

/// A request without an answer so far.
#[derive(Debug)]
pub(super) struct PendingRequest {
    pub(super) requested: Stamp,
    /// Number of the request in its flow.
    pub(super) request: u32,
    /// Sequence number, which an answer repeats.
    pub(super) sequence: u16,
    pub(super) function: Function,
    /// The client expects no answer.
    pub(super) is_unconfirmed: bool,
    pub(super) items: Vec<Item>,
}

impl PendingRequest {
    /// Reports the outcome of one item, with its values in the answer.
    pub(super) fn report_item_outcome(
        &self,
        index: usize,
        values: Values<'_>,
        outcome: Outcome,
        stamp: &Stamp,
        sink: &mut dyn Sink,
    ) {
        let Some(item) = self.items.get(index) else { return };
        let at = RequestRef { request: self.request, item: index as u32 };
        sink.outcome(at, &item.operation(self.function, values), outcome, &self.requested, stamp);
    }
}

impl Waiting for PendingRequest {
    fn heap(&self) -> usize {
        self.items.capacity() * size_of::<Item>()
    }

    fn requested(&self) -> &Stamp {
        &self.requested
    }

    /// A missing answer to an unconfirmed request is no outcome.
    fn report_outcomes(&self, outcome: Outcome, stamp: &Stamp, sink: &mut dyn Sink) {
        let outcome = if self.is_unconfirmed && outcome == Outcome::NoResponse { Outcome::Pending } else { outcome };
        for index in 0..self.items.len() {
            self.report_item_outcome(index, Values::None, outcome, stamp, sink);
        }
    }

    fn is_answered(&self) -> bool {
        !self.is_unconfirmed
    }

    fn is_replaced_by(&self, newer: &Self) -> bool {
        self.sequence == newer.sequence
    }
}

/// Lists of items for reuse, so that a request needs no allocation.
#[derive(Debug, Default)]
pub(super) struct Spare {
    lists: Vec<Vec<Item>>,
}

impl Spare {
    /// Takes an empty list.
    pub(super) fn take_list(&mut self) -> Vec<Item> {
        self.lists.pop().unwrap_or_default()
    }

    /// Returns a list. It is dropped if there are enough or if it is large.
    pub(super) fn give_back(&mut self, mut list: Vec<Item>) {
        if self.lists.len() < SPARE_LISTS && list.capacity() <= SPARE_ITEMS {
            list.clear();
            self.lists.push(list);
        }
    }
}

/// Operations of one request that are reported one by one; one more stands for the rest.
pub(super) const MAX_ITEMS: usize = 1024;
/// Pending operations of a flow in requests of more than a few. Together with small requests, a flow keeps 320 KB at
/// most.
pub(super) const MAX_WAITING_ITEMS: usize = 4096;
const SPARE_LISTS: usize = 4;
const SPARE_ITEMS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_stays_small() {
        assert!(size_of::<Item>() <= 40, "{}", size_of::<Item>());
        assert!(size_of::<PendingRequest>() <= 96, "{}", size_of::<PendingRequest>());
    }

    #[test]
    fn a_path_keeps_its_first_ids() {
        assert_eq!(object_target(1, 1..=9), Target::Object { object: 1, path: [1, 2, 3, 4], depth: 4 });
    }
}
