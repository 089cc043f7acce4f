//! Read Var and Write Var: several items a request, each with its own values and its own return code.

use alloc::vec::Vec;

use super::data::{self, DataItem};
use super::entry::{Entry, Item, PendingRequest};
use super::{irregular, item, stride};
use crate::context::Context;
use crate::dissector::{AnomalyKind, Outcome};
use crate::operation::{Target, Values};
use crate::reader::Reader;

/// Decodes a request and reports its operations. `parameters`: those after the function.
pub(super) fn announce(
    asked: &mut PendingRequest,
    parameters: &[u8],
    written: Option<&[u8]>,
    spare: &mut Vec<Vec<Item>>,
    context: &mut Context<'_>,
) {
    let Some((&claimed, items)) = parameters.split_first() else {
        return announce_without_items(asked, context);
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
        let Some(target) = item::read_memory(&mut reader) else { break };
        if written.is_some() {
            match DataItem::read(&mut data) {
                Ok(found) if item::byte_count(&target).is_some_and(|bytes| found.is_exactly(bytes)) => {
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
        asked.announce_range(wire, &operation, target, spare, context);
        wire += 1;
    }
    if wire < claimed || reader.left() > 0 || data.left() > FILL {
        irregular::announce(asked, wire, reader, written.map(|_| data), spare, context);
    } else if claimed == 0 {
        announce_without_items(asked, context);
    } else if counts_bytes && claimed > 1 {
        stride::announce(asked, items, written.unwrap_or_default(), spare, context);
    }
}

/// Reports a request without items.
fn announce_without_items(asked: &mut PendingRequest, context: &mut Context<'_>) {
    context.malformed("truncated_request", 0u32);
    asked.announce(Target::Unread { part: "items" }, Values::None, context);
}

/// Reports the outcome of each item of a Read Var. `count`: the number of items in the answer's header.
pub(super) fn conclude_read(entry: &Entry, count: Option<&u8>, data: &[u8], context: &mut Context<'_>) {
    let mut reader = Reader::new(data);
    let mut claimed = count.copied().unwrap_or_default();
    check_count(&entry.asked, claimed, context);
    let mut accepted = 0;
    for _ in 0..entry.asked.untracked {
        match next_item(&mut claimed, &mut reader, context) {
            Some(found) if found.is_accepted() => accepted += 1,
            found => context.sink.ended(item_outcome(found), 1),
        }
    }
    context.sink.ended(Outcome::Accepted, accepted);
    if entry.asked.is_untracked() {
        context.expect_end(reader.rest());
    } else {
        conclude_kept(entry, claimed, reader, context);
    }
}

/// Reports the outcome of each kept item.
fn conclude_kept(entry: &Entry, mut claimed: u8, mut reader: Reader<'_>, context: &mut Context<'_>) {
    if entry.asked.is_irregular {
        return irregular::report_outcomes(entry, claimed, reader, context);
    }
    let mut operation = entry.asked.operation(Target::None, Values::None);
    for (index, item) in entry.asked.items() {
        let found = next_item(&mut claimed, &mut reader, context);
        operation.target = item.target;
        operation.values = found.map_or(Values::None, |found| found.values());
        entry.report_outcome(index, &operation, item_outcome(found), context);
    }
    context.expect_end(reader.rest());
}

/// The outcome of one item of an answer.
pub(super) fn item_outcome(found: Option<DataItem<'_>>) -> Outcome {
    found.map_or(Outcome::Pending, |found| data::outcome_of(found.code))
}

/// The next data item of an answer, if there is one.
pub(super) fn next_item<'a>(
    claimed: &mut u8,
    reader: &mut Reader<'a>,
    context: &mut Context<'_>,
) -> Option<DataItem<'a>> {
    *claimed = claimed.checked_sub(1)?;
    let found = DataItem::read(reader).ok();
    if found.is_none_or(|item| !item.is_whole) {
        report_truncated_data(reader.left(), context);
    }
    found
}

pub(super) fn report_truncated_data(available: usize, context: &mut Context<'_>) {
    context.malformed("truncated_data", available as u32);
}

/// Reports the outcome of each item of a Write Var: one return code for each.
pub(super) fn conclude_write(entry: &Entry, count: Option<&u8>, data: &[u8], context: &mut Context<'_>) {
    let claimed = count.copied().unwrap_or_default();
    check_count(&entry.asked, claimed, context);
    let ending = |wire: u8| {
        let code = data.get(usize::from(wire)).filter(|_| wire < claimed);
        code.map_or(Outcome::Pending, |code| data::outcome_of(*code))
    };
    for wire in 0..entry.asked.untracked {
        context.sink.ended(ending(wire), 1);
    }
    for (index, item) in entry.asked.items() {
        let operation = entry.asked.operation_on(item, Values::None);
        entry.report_outcome(index, &operation, ending(item.slot.wire), context);
    }
    if usize::from(claimed) != data.len() {
        report_truncated_data(data.len(), context);
    }
}

/// Reports an answer whose number of items differs from that of the request.
fn check_count(asked: &PendingRequest, claimed: u8, context: &mut Context<'_>) {
    if !asked.expects_items(claimed) {
        context.anomaly(AnomalyKind::Malformed, "answer_differs_from_request", Some(claimed.into()));
    }
}

/// Longest list of items that a controller accepts.
const MAX_ITEMS: u8 = 20;
/// Bytes that may follow the last value: some clients append a fill byte there as well.
pub(super) const FILL: usize = 1;
