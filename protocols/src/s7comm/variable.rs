//! Read Var and Write Var: several items a request, each with its own values and its own return code.

use alloc::vec::Vec;

use super::data::{self, DataItem};
use super::entry::{Asked, Entry, Item, Place};
use super::item;
use crate::context::Context;
use crate::dissector::{AnomalyKind, Outcome};
use crate::operation::{Target, Values};
use crate::reader::{DecodeError, Reader};

/// Decodes a request and announces its operations. `parameters`: behind the function.
#[inline(always)]
pub(super) fn announce(
    asked: &mut Asked,
    parameters: &[u8],
    written: Option<&[u8]>,
    spare: &mut Vec<Vec<Item>>,
    context: &mut Context<'_>,
) {
    let mut count = 0;
    if items(asked, &mut count, parameters, written, spare, context).is_err() {
        context.malformed("truncated_request", parameters.len() as u32);
    }
    if count == 0 {
        asked.announce(Target::None, Values::None, context);
    }
}

#[inline(always)]
fn items(
    asked: &mut Asked,
    count: &mut u16,
    parameters: &[u8],
    written: Option<&[u8]>,
    spare: &mut Vec<Vec<Item>>,
    context: &mut Context<'_>,
) -> Result<(), DecodeError> {
    let mut reader = Reader::new(parameters);
    let mut data = Reader::new(written.unwrap_or_default());
    let claimed = reader.u8("item_count")?;
    if claimed == 0 || claimed > MAX_ITEMS {
        context.malformed("item_count_out_of_range", claimed);
    }
    let mut operation = asked.operation(Target::None, Values::None);
    for wire in 0..claimed {
        if written.is_some() {
            operation.values = requested_values(&mut data, context);
        }
        let before = reader;
        if let Some(target) = item::memory(&mut reader) {
            operation.target = target;
            // Read again where it is kept: to hold it in registers meanwhile costs more where it is not.
            let again = || item::memory(&mut { before }).unwrap_or(Target::None);
            asked.announce_range(*count, wire, &operation, again, spare, context);
            *count += 1;
        } else {
            let rest;
            (*count, rest) = rare(asked, (*count, reader), wire, operation.values, spare, context);
            reader = rest?;
        }
    }
    context.expect_end(reader.rest());
    Ok(())
}

/// Announces what an item of another syntax than S7ANY names. Takes and returns the number of operations so far and the
/// items that follow by value, so that the loop above can hold both in registers.
#[cold]
#[inline(never)]
fn rare<'f>(
    asked: &mut Asked,
    (mut count, mut reader): (u16, Reader<'f>),
    wire: u8,
    values: Values<'_>,
    spare: &mut Vec<Vec<Item>>,
    context: &mut Context<'_>,
) -> (u16, Result<Reader<'f>, DecodeError>) {
    let read = item::read(&mut reader, &mut |target, bytes| {
        let operation = asked.operation(target, values);
        asked.announce_item(count, Item { target, place: Place { wire, bytes } }, &operation, spare, context);
        count += 1;
    });
    (count, read.map(|()| reader))
}

/// The values of the next item of a Write Var.
#[inline(always)]
fn requested_values<'a>(data: &mut Reader<'a>, context: &mut Context<'_>) -> Values<'a> {
    match DataItem::read(data) {
        Ok(item) if item.is_whole => item.values(),
        Ok(item) => {
            truncated_data(item.bytes.len(), context);
            item.values()
        }
        Err(_) => {
            truncated_data(0, context);
            Values::None
        }
    }
}

/// Tells what became of each item of a Read Var. `count`: the items that the answer claims.
#[inline(always)]
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
#[inline(never)]
fn conclude_kept(entry: &Entry, mut claimed: u8, mut reader: Reader<'_>, context: &mut Context<'_>) {
    if entry.asked.shares() {
        return conclude_shared(entry, claimed, reader, context);
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
#[inline(always)]
fn outcome(found: Option<DataItem<'_>>) -> Outcome {
    found.map_or(Outcome::Pending, |found| data::outcome(found.code))
}

/// The same where several targets share one item of the answer.
#[cold]
#[inline(never)]
fn conclude_shared(entry: &Entry, mut claimed: u8, mut reader: Reader<'_>, context: &mut Context<'_>) {
    let mut current: Option<(u8, DataItem<'_>)> = None;
    // Bytes of the current item that belong to the targets before this one.
    let mut used = 0;
    for (index, Item { place, .. }) in entry.asked.items() {
        if current.is_none_or(|(wire, _)| wire != place.wire) {
            current = next(&mut claimed, &mut reader, context).map(|found| (place.wire, found));
            used = 0;
        }
        let Some((_, found)) = current else {
            entry.conclude_item(index, Values::None, Outcome::Pending, context);
            continue;
        };
        let values = match place.bytes {
            Some(bytes) => {
                let start = used;
                used += usize::from(bytes);
                Values::Bytes(found.bytes.get(start..used).unwrap_or_default())
            }
            None => found.values(),
        };
        entry.conclude_item(index, values, data::outcome(found.code), context);
    }
    context.expect_end(reader.rest());
}

/// The next data item of an answer, if the answer has one.
#[inline(always)]
fn next<'a>(claimed: &mut u8, reader: &mut Reader<'a>, context: &mut Context<'_>) -> Option<DataItem<'a>> {
    *claimed = claimed.checked_sub(1)?;
    let found = DataItem::read(reader).ok();
    if found.is_none_or(|item| !item.is_whole) {
        truncated_data(reader.left(), context);
    }
    found
}

#[cold]
#[inline(never)]
fn truncated_data(there: usize, context: &mut Context<'_>) {
    context.malformed("truncated_data", there as u32);
}

/// Tells what became of each item of a Write Var: one return code for each.
#[inline(always)]
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
        let operation = entry.asked.operation(item.target, Values::None);
        entry.tell(index, &operation, ending(item.place.wire), context);
    }
    if usize::from(claimed) != data.len() {
        truncated_data(data.len(), context);
    }
}

/// An answer has as many items as its request.
#[inline(always)]
fn check_count(asked: &Asked, claimed: u8, context: &mut Context<'_>) {
    if u16::from(claimed) != asked.wires() {
        context.anomaly(AnomalyKind::Malformed, "answer_differs_from_request", Some(claimed.into()));
    }
}

/// Items in one request that a controller takes.
const MAX_ITEMS: u8 = 20;
