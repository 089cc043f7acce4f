//! Read Var and Write Var: several items a request, each with its own values and its own return code.

use alloc::vec::Vec;

use super::data::{self, DataItem};
use super::entry::{Asked, Entry, Item};
use super::item;
use crate::context::Context;
use crate::dissector::{AnomalyKind, Outcome};
use crate::operation::{Target, Values};
use crate::reader::{DecodeError, Reader};

/// Decodes a request and announces its operations. `parameters`: behind the function.
#[inline]
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

#[inline]
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
    for wire in 0..claimed {
        let values = match written {
            Some(_) => requested_values(&mut data, context),
            None => Values::None,
        };
        item::read(&mut reader, |target, bytes| {
            asked.announce_item(*count, Item::new(target, wire, bytes), values, spare, context);
            *count += 1;
        })?;
    }
    context.expect_end(reader.rest());
    Ok(())
}

/// The values of the next item of a Write Var.
#[inline]
fn requested_values<'a>(data: &mut Reader<'a>, context: &mut Context<'_>) -> Values<'a> {
    match DataItem::read(data) {
        Ok(item) if item.is_whole => item.values(),
        Ok(item) => {
            context.malformed("truncated_data", item.bytes.len() as u32);
            item.values()
        }
        Err(_) => {
            context.malformed("truncated_data", 0u32);
            Values::None
        }
    }
}

/// Tells what became of each item of a Read Var. `count`: the items that the answer claims.
#[inline]
pub(super) fn conclude_read(entry: &Entry, count: Option<&u8>, data: &[u8], context: &mut Context<'_>) {
    let mut reader = Reader::new(data);
    let mut current: Option<(u8, DataItem<'_>)> = None;
    let mut claimed = count.copied().unwrap_or_default();
    check_count(entry, claimed, context);
    // Bytes of the current item that belong to the targets before this one.
    let mut used = 0;
    for (index, item) in (0u16..).zip(entry.asked.items()) {
        if current.is_none_or(|(wire, _)| wire != item.wire) {
            current = next(&mut claimed, &mut reader, context).map(|found| (item.wire, found));
            used = 0;
        }
        let Some((_, found)) = current else {
            entry.conclude_item(index, Values::None, Outcome::Pending, context);
            continue;
        };
        let values = match item.bytes {
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
#[inline]
fn next<'a>(claimed: &mut u8, reader: &mut Reader<'a>, context: &mut Context<'_>) -> Option<DataItem<'a>> {
    *claimed = claimed.checked_sub(1)?;
    let found = DataItem::read(reader).ok();
    if found.is_none_or(|item| !item.is_whole) {
        context.malformed("truncated_data", reader.left() as u32);
    }
    found
}

/// Tells what became of each item of a Write Var: one return code for each.
#[inline]
pub(super) fn conclude_write(entry: &Entry, count: Option<&u8>, data: &[u8], context: &mut Context<'_>) {
    let claimed = count.copied().unwrap_or_default();
    check_count(entry, claimed, context);
    for (index, item) in (0u16..).zip(entry.asked.items()) {
        let code = data.get(usize::from(item.wire)).filter(|_| item.wire < claimed);
        let outcome = code.map_or(Outcome::Pending, |code| data::outcome(*code));
        entry.conclude_item(index, Values::None, outcome, context);
    }
    if usize::from(claimed) != data.len() {
        context.malformed("truncated_data", data.len() as u32);
    }
}

/// An answer has as many items as its request.
#[inline]
fn check_count(entry: &Entry, claimed: u8, context: &mut Context<'_>) {
    let asked = entry.asked.items().last().map_or(0, |item| u16::from(item.wire) + 1);
    if u16::from(claimed) != asked {
        context.anomaly(AnomalyKind::Malformed, "answer_differs_from_request", Some(claimed.into()));
    }
}

/// Items in one request that a controller takes.
const MAX_ITEMS: u8 = 20;
