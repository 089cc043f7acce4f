//! Requests: what they asked, as small as it can be kept until the answer.

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

/// Who asked, and what for: a function and what it acts on.
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
    /// Items that it claims to have: an answer claims as many.
    pub(super) claimed: u8,
    /// It is one of two readings of the same bytes.
    is_ambiguous: bool,
    /// Its operations are not one for each of its items: what the answer holds for them has to be looked up.
    pub(super) is_irregular: bool,
    /// How many operations came before the first whose outcome somebody waits for: nothing else is known of them. Each
    /// has an item of the frame for itself.
    pub(super) passed: u8,
    function: &'static Function,
    /// Those that follow.
    items: Items,
}

/// The items of a request that are kept: mostly one, or none.
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
    pub(super) place: Place,
}

/// Where an answer has what belongs to an item.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    /// Which item of the frame it belongs to; some name several targets.
    pub(super) wire: u8,
    /// Its bytes in the answer, where its item names several.
    pub(super) bytes: Option<u8>,
    /// Servers differ in whether they read it so.
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
            passed: 0,
            function,
            items: Items::None,
        }
    }

    /// As a request that `from` sends under this reference.
    pub(super) fn sent(self, from: Side, reference: u16, is_userdata: bool) -> Self {
        Self { from, reference, is_userdata, ..self }
    }

    /// As one of two readings of the same bytes, if it is that.
    pub(super) fn ambiguous(self, is_ambiguous: bool) -> Self {
        Self { is_ambiguous, ..self }
    }

    /// With another class than its function usually has.
    pub(super) fn with_class(self, class: Class) -> Self {
        Self { class, ..self }
    }

    /// What travels with it may be a password.
    pub(super) fn is_secret(&self) -> bool {
        self.class == Class::Security
    }

    /// The items that are kept, in order, each with the position of its operation.
    pub(super) fn items(&self) -> impl Iterator<Item = (u16, &Item)> {
        (u16::from(self.passed)..).zip(self.kept())
    }

    fn kept(&self) -> &[Item] {
        match &self.items {
            Items::None => &[],
            Items::One(only) => core::slice::from_ref(only),
            Items::Several(items) => items,
        }
    }

    /// Whether there is nothing to tell of its end but how many of its operations ended how.
    pub(super) fn is_passed(&self) -> bool {
        matches!(self.items, Items::None)
    }

    /// Whether its answer has so many items. python-snap7 3.3.0 executes and answers one where none is counted.
    pub(super) fn calls_for(&self, items: u8) -> bool {
        items == self.claimed || (self.claimed == 0 && items == 1)
    }

    /// How many operations it is so far.
    pub(super) fn count(&self) -> u16 {
        u16::from(self.passed).saturating_add(self.kept().len() as u16)
    }

    /// What an operation acts on, if that is kept.
    pub(super) fn target(&self, item: u16) -> Target<'static> {
        let place = item.checked_sub(self.passed.into());
        place.and_then(|place| self.kept().get(usize::from(place))).map_or(Target::None, |item| item.target)
    }

    /// Announces the request as one operation.
    pub(super) fn announce(&mut self, target: Target<'static>, values: Values<'_>, context: &mut Context<'_>) {
        let item = Item { target, place: Place::default() };
        context.sink.operation(self.at(0), &self.operation_on(&item, values), context.stamp);
        self.items = Items::One(item);
    }

    /// Announces one of several operations, that on `item`. Beyond [`ITEMS`], the rest is one more. `spare`: memory for
    /// several.
    pub(super) fn announce_item(
        &mut self,
        item: Item,
        values: Values<'_>,
        spare: &mut Vec<Vec<Item>>,
        context: &mut Context<'_>,
    ) {
        let count = self.count();
        let (item, values) = match count.cmp(&ITEMS) {
            Ordering::Less => (item, values),
            Ordering::Equal => {
                context.anomaly(AnomalyKind::Limit, "request_items", None);
                (Item { target: Target::Unread { part: "items" }, ..item }, Values::None)
            }
            Ordering::Greater => return,
        };
        context.sink.operation(self.at(count), &self.operation_on(&item, values), context.stamp);
        self.keep(item, spare);
    }

    /// Announces that there is more in the request than can be read: one more operation, whose target is not known.
    pub(super) fn announce_unread(
        &mut self,
        part: &'static str,
        wire: u8,
        values: Values<'_>,
        spare: &mut Vec<Vec<Item>>,
        context: &mut Context<'_>,
    ) {
        self.is_irregular = true;
        let place = Place { wire, ..Place::default() };
        self.announce_item(Item { target: Target::Unread { part }, place }, values, spare, context);
    }

    /// Announces the operation on a range of memory, the item `wire` of the frame, if each item before it was one operation.
    /// It is kept only if somebody waits for its outcome, or for that of one before it; what it acts on is asked for then.
    pub(super) fn announce_range(
        &mut self,
        wire: u8,
        operation: &Operation<'_>,
        target: impl Fn() -> Target<'static>,
        spare: &mut Vec<Vec<Item>>,
        context: &mut Context<'_>,
    ) {
        let is_awaited = context.sink.operation(self.at(wire.into()), operation, context.stamp);
        if !is_awaited && self.is_passed() {
            self.passed = wire + 1;
        } else {
            self.keep(Item { target: target(), place: Place { wire, ..Place::default() } }, spare);
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

    /// The request is over: its memory may serve another.
    pub(super) fn recycle(self, spare: &mut Vec<Vec<Item>>) {
        if let Items::Several(items) = self.items
            && spare.len() < SPARES
        {
            spare.push(items);
        }
    }

    /// Tells the outcome of one item, with what the answer holds for it.
    pub(super) fn conclude_item(
        &self,
        item: u16,
        values: Values<'_>,
        outcome: Outcome,
        requested: &Stamp,
        (stamp, sink): (&Stamp, &mut dyn Sink),
    ) {
        let place = item.checked_sub(self.passed.into()).and_then(|place| self.kept().get(usize::from(place)));
        let operation =
            place.map_or_else(|| self.operation(Target::None, values), |item| self.operation_on(item, values));
        sink.outcome(self.at(item), &operation, outcome, requested, stamp);
    }

    /// The operation on one of its items.
    pub(super) fn operation_on<'v>(&self, item: &Item, values: Values<'v>) -> Operation<'v> {
        let ambiguous = self.is_ambiguous || item.place.is_ambiguous;
        Operation { ambiguous, ..self.operation(item.target, values) }
    }

    fn at(&self, item: u16) -> RequestRef {
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
    /// Whether it is the job that `from` answers with this reference and, where the answer has one, this function.
    pub(super) fn is_answered_by(&self, reference: u16, code: Option<u8>, from: Side) -> bool {
        self.asked.reference == reference
            && code.is_none_or(|code| self.asked.code == u16::from(code))
            && !self.asked.is_userdata
            && self.asked.from != from
    }

    /// Whether an answer that claims so many items can be the one to it: of other functions than Read Var and Write Var none
    /// does.
    pub(super) fn has_as_many_items(&self, claimed: Option<u8>) -> bool {
        !matches!(self.asked.code, READ_VAR | WRITE_VAR) || claimed.is_some_and(|claimed| self.asked.calls_for(claimed))
    }

    /// Tells the outcome of one item; `operation` is the item's.
    pub(super) fn tell(&self, item: u16, operation: &Operation<'_>, outcome: Outcome, context: &mut Context<'_>) {
        context.sink.outcome(self.asked.at(item), operation, outcome, &self.requested, context.stamp);
    }

    /// Tells the outcome of one item, with what the answer holds for it.
    pub(super) fn conclude_item(&self, item: u16, values: Values<'_>, outcome: Outcome, context: &mut Context<'_>) {
        self.asked.conclude_item(item, values, outcome, &self.requested, (context.stamp, context.sink));
    }
}

impl Waiting for Entry {
    fn heap(&self) -> usize {
        if let Items::Several(items) = &self.asked.items { items.capacity() * size_of::<Item>() } else { 0 }
    }

    fn requested(&self) -> &Stamp {
        &self.requested
    }

    fn conclude(&self, outcome: Outcome, stamp: &Stamp, sink: &mut dyn Sink) {
        sink.ended(outcome, self.asked.passed.into());
        for (item, _) in self.asked.items() {
            self.asked.conclude_item(item, Values::None, outcome, &self.requested, (stamp, &mut *sink));
        }
    }

    fn is_replaced_by(&self, newer: &Self) -> bool {
        let named = |entry: &Self| (entry.asked.reference, entry.asked.is_userdata, entry.asked.from);
        named(self) == named(newer)
    }
}

const READ_VAR: u16 = function::READ_VAR as u16;
const WRITE_VAR: u16 = function::WRITE_VAR as u16;
/// Operations of one request that are told one by one; the rest is one more. The longest PDU that controllers negotiate (960 bytes) has room for fewer.
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
