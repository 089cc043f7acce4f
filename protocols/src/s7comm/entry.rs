//! Pending requests, with the content that their answers need.

use alloc::vec::Vec;
use core::cmp::Ordering;

use super::function;
use crate::context::Context;
use crate::dissector::{AnomalyKind, Function, Outcome, RequestRef, Side, Sink, Stamp};
use crate::operation::{Class, Operation, Target, Values};
use crate::pending::Waiting;

/// A request without an answer so far.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) requested: Stamp,
    pub(super) asked: PendingRequest,
}

/// The content of a request: its sender, its function, its items.
#[derive(Debug)]
pub(super) struct PendingRequest {
    pub(super) from: Side,
    pub(super) is_userdata: bool,
    pub(super) reference: u16,
    /// Number of the request in its flow.
    pub(super) request: u32,
    /// Function of a job; group and sub-function of userdata.
    pub(super) code: u16,
    class: Class,
    /// Number of items in its header. An answer has as many.
    pub(super) claimed: u8,
    /// It is one of two readings of the same bytes.
    is_ambiguous: bool,
    /// Its operations do not correspond one to one to its items: the answer is matched through [`AnswerSlot`].
    pub(super) is_irregular: bool,
    /// Number of leading operations whose outcomes are not tracked. Nothing else is kept of them; each has an item of
    /// the frame to itself.
    pub(super) untracked: u8,
    function: &'static Function,
    /// The operations after those.
    items: Items,
}

/// The kept items of a request: in most cases one, or none.
#[derive(Debug)]
enum Items {
    None,
    One(Item),
    Several(Vec<Item>),
}

/// One item of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) target: Target<'static>,
    pub(super) slot: AnswerSlot,
}

/// The part of an answer that belongs to an item.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AnswerSlot {
    /// Position of its item in the frame; one item may name several targets.
    pub(super) wire: u8,
    /// Its number of bytes in the answer, if its item names several targets.
    pub(super) bytes: Option<u8>,
    /// Servers differ in whether they read it this way.
    pub(super) is_ambiguous: bool,
}

impl PendingRequest {
    pub(super) fn new(request: u32, code: u16, function: &'static Function) -> Self {
        Self {
            from: Side::Client,
            is_userdata: false,
            reference: 0,
            request,
            code,
            class: function.class,
            claimed: 0,
            is_ambiguous: false,
            is_irregular: false,
            untracked: 0,
            function,
            items: Items::None,
        }
    }

    /// Sets the sender and the reference.
    pub(super) fn with_sender(self, from: Side, reference: u16, is_userdata: bool) -> Self {
        Self { from, reference, is_userdata, ..self }
    }

    /// Sets whether it is one of two readings of the same bytes.
    pub(super) fn with_ambiguity(self, is_ambiguous: bool) -> Self {
        Self { is_ambiguous, ..self }
    }

    /// Replaces the class of its function.
    pub(super) fn with_class(self, class: Class) -> Self {
        Self { class, ..self }
    }

    /// Whether its values may contain a password.
    pub(super) fn is_secret(&self) -> bool {
        self.class == Class::Security
    }

    /// The kept items in order, each with the position of its operation.
    pub(super) fn items(&self) -> impl Iterator<Item = (u16, &Item)> {
        (u16::from(self.untracked)..).zip(self.kept_items())
    }

    fn kept_items(&self) -> &[Item] {
        match &self.items {
            Items::None => &[],
            Items::One(only) => core::slice::from_ref(only),
            Items::Several(items) => items,
        }
    }

    /// Whether no outcome is tracked: then outcomes only need to be counted.
    pub(super) fn is_untracked(&self) -> bool {
        matches!(self.items, Items::None)
    }

    /// Whether its answer may have this number of items. python-snap7 3.3.0 executes and answers one item where the
    /// request counts none.
    pub(super) fn expects_items(&self, items: u8) -> bool {
        items == self.claimed || (self.claimed == 0 && items == 1)
    }

    /// Number of operations so far.
    pub(super) fn operation_count(&self) -> u16 {
        u16::from(self.untracked).saturating_add(self.kept_items().len() as u16)
    }

    /// The target of an operation, if it is kept.
    pub(super) fn target(&self, item: u16) -> Target<'static> {
        let place = item.checked_sub(self.untracked.into());
        place.and_then(|place| self.kept_items().get(usize::from(place))).map_or(Target::None, |item| item.target)
    }

    /// Reports the request as one operation.
    pub(super) fn announce(&mut self, target: Target<'static>, values: Values<'_>, context: &mut Context<'_>) {
        let item = Item { target, slot: AnswerSlot::default() };
        context.sink.operation(self.item_ref(0), &self.operation_on(&item, values), context.stamp);
        self.items = Items::One(item);
    }

    /// Reports one of several operations. After [`ITEMS`] operations, one more stands for all others. `spare`: lists
    /// for requests with several items.
    pub(super) fn announce_item(
        &mut self,
        item: Item,
        values: Values<'_>,
        spare: &mut Vec<Vec<Item>>,
        context: &mut Context<'_>,
    ) {
        let count = self.operation_count();
        let (item, values) = match count.cmp(&ITEMS) {
            Ordering::Less => (item, values),
            Ordering::Equal => {
                context.anomaly(AnomalyKind::Limit, "request_items", None);
                (Item { target: Target::Unread { part: "items" }, ..item }, Values::None)
            }
            Ordering::Greater => return,
        };
        context.sink.operation(self.item_ref(count), &self.operation_on(&item, values), context.stamp);
        self.keep(item, spare);
    }

    /// Reports a part of the request that cannot be read as one more operation, whose target is unknown.
    pub(super) fn announce_unread(
        &mut self,
        part: &'static str,
        wire: u8,
        values: Values<'_>,
        spare: &mut Vec<Vec<Item>>,
        context: &mut Context<'_>,
    ) {
        self.is_irregular = true;
        let slot = AnswerSlot { wire, ..AnswerSlot::default() };
        self.announce_item(Item { target: Target::Unread { part }, slot }, values, spare, context);
    }

    /// Reports the operation on a range of memory: item `wire` of the frame, if each item before it was one operation.
    /// It is kept only if its outcome, or that of an operation before it, is tracked.
    pub(super) fn announce_range(
        &mut self,
        wire: u8,
        operation: &Operation<'_>,
        target: Target<'static>,
        spare: &mut Vec<Vec<Item>>,
        context: &mut Context<'_>,
    ) {
        let is_tracked = context.sink.operation(self.item_ref(wire.into()), operation, context.stamp);
        if !is_tracked && self.is_untracked() {
            self.untracked = wire + 1;
        } else {
            self.keep(Item { target, slot: AnswerSlot { wire, ..AnswerSlot::default() } }, spare);
        }
    }

    fn keep(&mut self, item: Item, spare: &mut Vec<Vec<Item>>) {
        match &mut self.items {
            Items::None => self.items = Items::One(item),
            Items::Several(items) => items.push(item),
            Items::One(first) => {
                let mut items = spare.pop().unwrap_or_default();
                items.clear();
                items.extend([*first, item]);
                self.items = Items::Several(items);
            }
        }
    }

    /// Returns the list of a finished request for use by another one.
    pub(super) fn recycle(self, spare: &mut Vec<Vec<Item>>) {
        if let Items::Several(items) = self.items
            && spare.len() < SPARES
        {
            spare.push(items);
        }
    }

    /// Reports the outcome of one item, with its values in the answer.
    pub(super) fn report_item_outcome(
        &self,
        item: u16,
        values: Values<'_>,
        outcome: Outcome,
        requested: &Stamp,
        (stamp, sink): (&Stamp, &mut dyn Sink),
    ) {
        let place = item.checked_sub(self.untracked.into()).and_then(|place| self.kept_items().get(usize::from(place)));
        let operation =
            place.map_or_else(|| self.operation(Target::None, values), |item| self.operation_on(item, values));
        sink.outcome(self.item_ref(item), &operation, outcome, requested, stamp);
    }

    /// The operation on an item.
    pub(super) fn operation_on<'v>(&self, item: &Item, values: Values<'v>) -> Operation<'v> {
        let ambiguous = self.is_ambiguous || item.slot.is_ambiguous;
        Operation { ambiguous, ..self.operation(item.target, values) }
    }

    fn item_ref(&self, item: u16) -> RequestRef {
        RequestRef { request: self.request, item: item.into() }
    }

    pub(super) fn operation<'v>(&self, target: Target<'static>, values: Values<'v>) -> Operation<'v> {
        Operation {
            class: self.class,
            function: self.function.name,
            code: self.code.into(),
            ambiguous: self.is_ambiguous,
            target,
            values,
        }
    }
}

impl Entry {
    /// Whether it is a job that `from` answers with this reference and, if the answer has one, this function.
    pub(super) fn is_answered_by(&self, reference: u16, code: Option<u8>, from: Side) -> bool {
        self.asked.reference == reference
            && code.is_none_or(|code| self.asked.code == u16::from(code))
            && !self.asked.is_userdata
            && self.asked.from != from
    }

    /// Whether an answer with `claimed` items may belong to it. Only answers to Read Var and Write Var have items.
    pub(super) fn has_as_many_items(&self, claimed: Option<u8>) -> bool {
        !matches!(self.asked.code, READ_VAR | WRITE_VAR)
            || claimed.is_some_and(|claimed| self.asked.expects_items(claimed))
    }

    /// Reports the outcome of one item, with its operation.
    pub(super) fn report_outcome(
        &self,
        item: u16,
        operation: &Operation<'_>,
        outcome: Outcome,
        context: &mut Context<'_>,
    ) {
        context.sink.outcome(self.asked.item_ref(item), operation, outcome, &self.requested, context.stamp);
    }

    /// Reports the outcome of one item, with its values in the answer.
    pub(super) fn report_item_outcome(
        &self,
        item: u16,
        values: Values<'_>,
        outcome: Outcome,
        context: &mut Context<'_>,
    ) {
        self.asked.report_item_outcome(item, values, outcome, &self.requested, (context.stamp, context.sink));
    }
}

impl Waiting for Entry {
    fn heap(&self) -> usize {
        if let Items::Several(items) = &self.asked.items { items.capacity() * size_of::<Item>() } else { 0 }
    }

    fn requested(&self) -> &Stamp {
        &self.requested
    }

    fn report_outcomes(&self, outcome: Outcome, stamp: &Stamp, sink: &mut dyn Sink) {
        sink.ended(outcome, self.asked.untracked.into());
        for (item, _) in self.asked.items() {
            self.asked.report_item_outcome(item, Values::None, outcome, &self.requested, (stamp, &mut *sink));
        }
    }

    fn is_replaced_by(&self, newer: &Self) -> bool {
        let named = |entry: &Self| (entry.asked.reference, entry.asked.is_userdata, entry.asked.from);
        named(self) == named(newer)
    }
}

const READ_VAR: u16 = function::READ_VAR as u16;
const WRITE_VAR: u16 = function::WRITE_VAR as u16;
/// Operations of one request that are reported one by one; one more stands for the rest. The longest PDU that
/// controllers negotiate (960 bytes) has room for fewer.
const ITEMS: u16 = 256;
/// Lists of items that are kept for later requests.
const SPARES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_request_stays_small() {
        assert!(size_of::<Entry>() <= 96, "{}", size_of::<Entry>());
    }
}
