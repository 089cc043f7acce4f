//! Read Var and Write Var: several items a request, each with its own values and its own return code.

use alloc::vec::Vec;

use super::data::{self, DataItem};
use super::entry::{Entry, Item, PendingRequest};
use super::{irregular, item, stride};
use crate::context::Context;
use crate::dissector::{AnomalyKind, Outcome};
use crate::operation::{Target, Values};
use crate::reader::Reader;

/// Decodes a request and announces its operations. `parameters`: behind the function.
pub(super) fn announce(
    asked: &mut PendingRequest,
    parameters: &[u8],
    written: Option<&[u8]>,
    spare: &mut Vec<Vec<Item>>,
    context: &mut Context<'_>,
) {
    let Some((&claimed, items)) = parameters.split_first() else {
        return unread(asked, context);
    };
    asked.claimed = claimed;
    if claimed == 0 || claimed > MAX_ITEMS {
        context.malformed("item_count_out_of_range", claimed);
    }
    let (mut reader, mut data) = (Reader::new(items), Reader::new(written.unwrap_or_default()));
    let mut operation = asked.operation(Target::None, Values::None);
    let (mut wire, mut counts_bytes) = (0, false);
    while wire < claimed {
        let (before, data_before) = (reader, data);
        let Some(target) = item::memory(&mut reader) else { break };
        if written.is_some() {
            match DataItem::read(&mut data) {
                Ok(found) if item::bytes(&target).is_some_and(|bytes| found.fills(bytes)) => {
                    operation.values = found.values();
                    counts_bytes |= found.counts_bytes();
                }
                _ => {
                    (reader, data) = (before, data_before);
                    break;
                }
            }
        }
        operation.target = target;
        // Read again where it is kept: to hold it in registers meanwhile costs more where it is not.
        let again = || item::memory(&mut { before }).unwrap_or(Target::None);
        asked.announce_range(wire, &operation, again, spare, context);
        wire += 1;
    }
    if wire < claimed || reader.left() > 0 || data.left() > FILL {
        irregular::announce(asked, wire, reader, written.map(|_| data), spare, context);
    } else if claimed == 0 {
        unread(asked, context);
    } else if counts_bytes && claimed > 1 {
        stride::announce(asked, items, written.unwrap_or_default(), spare, context);
    }
}

/// A request without items.
fn unread(asked: &mut PendingRequest, context: &mut Context<'_>) {
    context.malformed("truncated_request", 0u32);
    asked.announce(Target::Unread { part: "items" }, Values::None, context);
}

/// Tells what became of each item of a Read Var. `count`: the items that the answer claims.
pub(super) fn conclude_read(entry: &Entry, count: Option<&u8>, data: &[u8], context: &mut Context<'_>) {
    let mut reader = Reader::new(data);
    let mut claimed = count.copied().unwrap_or_default();
    check_count(&entry.asked, claimed, context);
    let mut accepted = 0;
    for _ in 0..entry.asked.passed {
        match next(&mut claimed, &mut reader, context) {
            Some(found) if found.is_accepted() => accepted += 1,
            found => context.sink.ended(outcome(found), 1),
        }
    }
    context.sink.ended(Outcome::Accepted, accepted);
    if entry.asked.is_passed() {
        context.expect_end(reader.rest());
    } else {
        conclude_kept(entry, claimed, reader, context);
    }
}

/// The same for the items that are kept.
fn conclude_kept(entry: &Entry, mut claimed: u8, mut reader: Reader<'_>, context: &mut Context<'_>) {
    if entry.asked.is_irregular {
        return irregular::conclude(entry, claimed, reader, context);
    }
    let mut operation = entry.asked.operation(Target::None, Values::None);
    for (index, item) in entry.asked.items() {
        let found = next(&mut claimed, &mut reader, context);
        operation.target = item.target;
        operation.values = found.map_or(Values::None, |found| found.values());
        entry.tell(index, &operation, outcome(found), context);
    }
    context.expect_end(reader.rest());
}

/// What the answer says of one item.
pub(super) fn outcome(found: Option<DataItem<'_>>) -> Outcome {
    found.map_or(Outcome::Pending, |found| data::outcome(found.code))
}

/// The next data item of an answer, if the answer has one.
pub(super) fn next<'a>(claimed: &mut u8, reader: &mut Reader<'a>, context: &mut Context<'_>) -> Option<DataItem<'a>> {
    *claimed = claimed.checked_sub(1)?;
    let found = DataItem::read(reader).ok();
    if found.is_none_or(|item| !item.is_whole) {
        truncated_data(reader.left(), context);
    }
    found
}

pub(super) fn truncated_data(there: usize, context: &mut Context<'_>) {
    context.malformed("truncated_data", there as u32);
}

/// Tells what became of each item of a Write Var: one return code for each.
pub(super) fn conclude_write(entry: &Entry, count: Option<&u8>, data: &[u8], context: &mut Context<'_>) {
    let claimed = count.copied().unwrap_or_default();
    check_count(&entry.asked, claimed, context);
    let ending = |wire: u8| {
        let code = data.get(usize::from(wire)).filter(|_| wire < claimed);
        code.map_or(Outcome::Pending, |code| data::outcome(*code))
    };
    for wire in 0..entry.asked.passed {
        context.sink.ended(ending(wire), 1);
    }
    for (index, item) in entry.asked.items() {
        let operation = entry.asked.operation_on(item, Values::None);
        entry.tell(index, &operation, ending(item.place.wire), context);
    }
    if usize::from(claimed) != data.len() {
        truncated_data(data.len(), context);
    }
}

/// An answer has as many items as its request.
fn check_count(asked: &PendingRequest, claimed: u8, context: &mut Context<'_>) {
    if !asked.calls_for(claimed) {
        context.anomaly(AnomalyKind::Malformed, "answer_differs_from_request", Some(claimed.into()));
    }
}

/// Items in one request that a controller takes.
const MAX_ITEMS: u8 = 20;
/// Bytes that may follow the last value: some clients fill it up, too.
pub(super) const FILL: usize = 1;
