//! Requests: what they asked, as small as it can be kept until the answer.

use alloc::vec::Vec;

use crate::context::Context;
use crate::dissector::{AnomalyKind, Function, Outcome, RequestRef, Side, Sink, Stamp};
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
    /// Some of its items name several targets, which share what the answer holds.
    pub(super) shares: bool,
    function: &'static Function,
    items: Items,
}

/// The items of a request: most have one.
#[derive(Debug)]
enum Items {
    One(Item),
    Several(Vec<Item>),
}

/// One item of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) target: Target<'static>,
    pub(super) place: Place,
}

/// Where an answer has what belongs to an item.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    /// Which item of the frame it belongs to; some name several targets.
    pub(super) wire: u8,
    /// Its bytes in the answer, where its item names several.
    pub(super) bytes: Option<u8>,
}

impl Asked {
    pub(super) fn new(request: u32, code: u16, function: &'static Function) -> Self {
        let items = Items::One(Item { target: Target::None, place: Place::default() });
        Self { request, code, class: function.class, shares: false, function, items }
    }

    /// With another class than its function usually has.
    pub(super) fn with_class(self, class: Class) -> Self {
        Self { class, ..self }
    }

    /// What travels with it may be a password.
    pub(super) fn is_secret(&self) -> bool {
        self.class == Class::Security
    }

    /// The items, in order: one for each operation.
    #[inline(always)]
    pub(super) fn items(&self) -> &[Item] {
        match &self.items {
            Items::One(only) => core::slice::from_ref(only),
            Items::Several(items) => items,
        }
    }

    /// What an item acts on.
    #[inline(always)]
    pub(super) fn target(&self, item: u16) -> Target<'static> {
        self.items().get(usize::from(item)).map_or(Target::None, |item| item.target)
    }

    /// Announces the request as one operation.
    pub(super) fn announce(&mut self, target: Target<'static>, values: Values<'_>, context: &mut Context<'_>) {
        self.items = Items::One(Item { target, place: Place::default() });
        context.sink.operation(self.at(0), &self.operation(target, values), context.stamp);
    }

    /// Announces one of several operations, that on `item`. `count` were announced before; `spare`: memory for several.
    #[inline(always)]
    pub(super) fn announce_item(
        &mut self,
        count: u16,
        item: Item,
        operation: &Operation<'_>,
        spare: &mut Vec<Vec<Item>>,
        context: &mut Context<'_>,
    ) {
        if count >= ITEMS {
            if count == ITEMS {
                context.anomaly(AnomalyKind::Limit, "request_items", None);
            }
            return;
        }
        // Told first: what was just written in pieces is not waited for when it is copied as a whole.
        context.sink.operation(self.at(count), operation, context.stamp);
        match &mut self.items {
            Items::One(only) if count == 0 => *only = item,
            Items::Several(items) => items.push(item),
            Items::One(_) => self.add_second(item, spare),
        }
    }

    #[inline(never)]
    fn add_second(&mut self, second: Item, spare: &mut Vec<Vec<Item>>) {
        if let Items::One(first) = self.items {
            let mut items = spare.pop().unwrap_or_default();
            items.clear();
            items.extend([first, second]);
            self.items = Items::Several(items);
        }
    }

    /// The request is over: its memory may serve another.
    #[inline(always)]
    pub(super) fn recycle(self, spare: &mut Vec<Vec<Item>>) {
        if let Items::Several(items) = self.items
            && spare.len() < SPARES
        {
            spare.push(items);
        }
    }

    /// Tells the outcome of one item, with what the answer holds for it.
    #[inline(always)]
    pub(super) fn conclude_item(
        &self,
        item: u16,
        values: Values<'_>,
        outcome: Outcome,
        requested: &Stamp,
        (stamp, sink): (&Stamp, &mut dyn Sink),
    ) {
        sink.outcome(self.at(item), &self.operation(self.target(item), values), outcome, requested, stamp);
    }

    fn at(&self, item: u16) -> RequestRef {
        RequestRef { request: self.request, item }
    }

    #[inline(always)]
    pub(super) fn operation<'v>(&self, target: Target<'static>, values: Values<'v>) -> Operation<'v> {
        Operation { class: self.class, function: self.function.name, code: self.code.into(), target, values }
    }
}

impl Entry {
    /// Whether it is the job that `from` answers with this reference and, where the answer has one, this function.
    #[inline(always)]
    pub(super) fn is_answered_by(&self, reference: u16, code: Option<u8>, from: Side) -> bool {
        self.reference == reference
            && code.is_none_or(|code| self.asked.code == u16::from(code))
            && !self.is_userdata
            && self.from != from
    }

    /// Tells the outcome of one item; `operation` is the item's.
    #[inline(always)]
    pub(super) fn tell(&self, item: u16, operation: &Operation<'_>, outcome: Outcome, context: &mut Context<'_>) {
        context.sink.outcome(self.asked.at(item), operation, outcome, &self.requested, context.stamp);
    }

    /// Tells the outcome of one item, with what the answer holds for it.
    pub(super) fn conclude_item(&self, item: u16, values: Values<'_>, outcome: Outcome, context: &mut Context<'_>) {
        self.asked.conclude_item(item, values, outcome, &self.requested, (context.stamp, context.sink));
    }
}

impl Waiting for Entry {
    #[inline(always)]
    fn requested(&self) -> &Stamp {
        &self.requested
    }

    fn conclude(&self, outcome: Outcome, stamp: &Stamp, sink: &mut dyn Sink) {
        for item in 0..self.asked.items().len() as u16 {
            self.asked.conclude_item(item, Values::None, outcome, &self.requested, (stamp, sink));
        }
    }
}

/// Operations that one request may be. The longest PDU that controllers negotiate (960 bytes) has room for fewer.
const ITEMS: u16 = 256;
/// Lists of items that are kept for the next request with several.
const SPARES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_request_stays_small() {
        assert!(size_of::<Entry>() <= 96, "{}", size_of::<Entry>());
    }
}
