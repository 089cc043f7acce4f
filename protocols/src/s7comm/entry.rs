//! Requests: what they asked, as small as it can be kept until the answer.

use alloc::vec::Vec;

use crate::context::Context;
use crate::dissector::{Function, Outcome, RequestRef, Side, Sink, Stamp};
use crate::operation::{Class, Operation, Target, Values};
use crate::pending::Waiting;

/// A request without an answer so far.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) requested: Stamp,
    pub(super) from: Side,
    pub(super) is_userdata: bool,
    pub(super) reference: u16,
    pub(super) asked: Asked,
}

/// What was asked: a function and what it acts on.
#[derive(Debug)]
pub(super) struct Asked {
    /// Number of the request in its flow.
    pub(super) request: u32,
    /// Function of a job; group and sub-function of userdata.
    pub(super) code: u16,
    class: Class,
    function: &'static str,
    first: Item,
    /// Every item, if there are several.
    many: Vec<Item>,
}

/// One of several items of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    target: Target,
    /// Which item of the frame it belongs to; some name several targets.
    pub(super) wire: u8,
    /// Its bytes in the answer, where its item names several.
    pub(super) bytes: Option<u8>,
}

impl Asked {
    pub(super) fn new(request: u32, code: u16, function: &Function) -> Self {
        let Function { name, class, .. } = *function;
        Self { request, code, class, function: name, first: Item::new(Target::None, 0, None), many: Vec::new() }
    }

    /// With another class than its function usually has.
    pub(super) fn with_class(self, class: Class) -> Self {
        Self { class, ..self }
    }

    /// What travels with it may be a password.
    pub(super) fn is_secret(&self) -> bool {
        self.class == Class::Security
    }

    /// How many operations the request consists of.
    pub(super) fn items(&self) -> u16 {
        self.many.len().max(1) as u16
    }

    /// The items, in order: one for each operation.
    pub(super) fn list(&self) -> &[Item] {
        if self.many.is_empty() { core::slice::from_ref(&self.first) } else { &self.many }
    }

    /// What an item acts on.
    pub(super) fn target(&self, item: u16) -> Target {
        self.many.get(usize::from(item)).map_or(self.first.target, |item| item.target)
    }

    /// Announces the request as one operation.
    #[inline]
    pub(super) fn announce(&mut self, target: Target, values: Values<'_>, context: &mut Context<'_>) {
        self.first.target = target;
        context.sink.operation(self.at(0), &self.operation(0, values), context.stamp);
    }

    /// Announces one of several operations. `count` were announced before; `spare`: memory for several.
    #[inline]
    pub(super) fn announce_item(
        &mut self,
        count: u16,
        item: Item,
        values: Values<'_>,
        spare: &mut Vec<Vec<Item>>,
        context: &mut Context<'_>,
    ) {
        match count {
            0 => self.first = item,
            1 => {
                self.many = spare.pop().unwrap_or_default();
                self.many.clear();
                self.many.push(self.first);
            }
            _ => {}
        }
        if count > 0 {
            self.many.push(item);
        }
        context.sink.operation(self.at(count), &self.operation(count, values), context.stamp);
    }

    /// The request is over: its memory may serve another.
    #[inline]
    pub(super) fn recycle(self, spare: &mut Vec<Vec<Item>>) {
        if self.many.capacity() > 0 && spare.len() < SPARES {
            spare.push(self.many);
        }
    }

    /// Tells the outcome of one item, with what the answer holds for it.
    #[inline]
    pub(super) fn conclude_item(
        &self,
        item: u16,
        values: Values<'_>,
        outcome: Outcome,
        requested: Stamp,
        (stamp, sink): (Stamp, &mut dyn Sink),
    ) {
        sink.outcome(self.at(item), &self.operation(item, values), outcome, requested, stamp);
    }

    fn at(&self, item: u16) -> RequestRef {
        RequestRef { request: self.request, item }
    }

    fn operation<'v>(&self, item: u16, values: Values<'v>) -> Operation<'v> {
        let Self { class, function, code, .. } = *self;
        Operation { class, function, code: code.into(), target: self.target(item), values }
    }
}

impl Item {
    pub(super) fn new(target: Target, wire: u8, bytes: Option<u8>) -> Self {
        Self { target, wire, bytes }
    }
}

impl Entry {
    /// Tells the outcome of one item, with what the answer holds for it.
    #[inline]
    pub(super) fn conclude_item(&self, item: u16, values: Values<'_>, outcome: Outcome, context: &mut Context<'_>) {
        self.asked.conclude_item(item, values, outcome, self.requested, (context.stamp, context.sink));
    }
}

impl Waiting for Entry {
    #[inline]
    fn requested(&self) -> Stamp {
        self.requested
    }

    fn conclude(&self, outcome: Outcome, stamp: Stamp, sink: &mut dyn Sink) {
        for item in 0..self.asked.items() {
            self.asked.conclude_item(item, Values::None, outcome, self.requested, (stamp, sink));
        }
    }
}

/// Lists of items that are kept for the next request with several.
const SPARES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_request_stays_small() {
        assert!(size_of::<Entry>() <= 136, "{}", size_of::<Entry>());
    }
}
