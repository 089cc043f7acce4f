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
        if let Some(target) = item::memory(&mut reader) {
            operation.target = target;
            asked.announce_item(*count, Place { wire, bytes: None }, &operation, spare, context);
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
        asked.announce_item(count, Place { wire, bytes }, &operation, spare, context);
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
#[inline(always)]
pub(super) fn conclude_read(entry: &Entry, count: Option<&u8>, data: &[u8], context: &mut Context<'_>) {
    let mut reader = Reader::new(data);
    let mut shared = Shared::default();
    let mut claimed = count.copied().unwrap_or_default();
    check_count(entry, claimed, context);
    let mut operation = entry.asked.operation(Target::None, Values::None);
    for (index, item) in (0u16..).zip(entry.asked.items()) {
        operation.target = item.target;
        let outcome = match item.place.bytes {
            None => match next(&mut claimed, &mut reader, context) {
                Some(found) => {
                    operation.values = found.values();
                    data::outcome(found.code)
                }
                None => {
                    operation.values = Values::None;
                    Outcome::Pending
                }
            },
            Some(bytes) => {
                if !shared.is_of(item.place.wire) {
                    shared.begin(item.place.wire, next(&mut claimed, &mut reader, context));
                }
                shared.part(bytes, &mut operation.values)
            }
        };
        entry.tell(index, &operation, outcome, context);
    }
    context.expect_end(reader.rest());
}

/// A data item of an answer whose bytes belong to several targets.
#[derive(Default)]
struct Shared<'a> {
    /// Which item of the frame it is, and the item.
    item: Option<(u8, DataItem<'a>)>,
    /// Bytes that belong to the targets before the next one.
    used: usize,
}

impl<'a> Shared<'a> {
    fn is_of(&self, wire: u8) -> bool {
        self.item.is_some_and(|(known, _)| known == wire)
    }

    fn begin(&mut self, wire: u8, item: Option<DataItem<'a>>) {
        *self = Self { item: item.map(|item| (wire, item)), used: 0 };
    }

    /// The next target's bytes, and how it went.
    #[inline(never)]
    fn part(&mut self, bytes: u8, values: &mut Values<'a>) -> Outcome {
        let Some((_, item)) = self.item else {
            *values = Values::None;
            return Outcome::Pending;
        };
        let start = self.used;
        self.used += usize::from(bytes);
        *values = Values::Bytes(item.bytes.get(start..self.used).unwrap_or_default());
        data::outcome(item.code)
    }
}

/// The next data item of an answer, if the answer has one.
#[inline(always)]
fn next<'a>(claimed: &mut u8, reader: &mut Reader<'a>, context: &mut Context<'_>) -> Option<DataItem<'a>> {
    *claimed = claimed.checked_sub(1)?;
    let found = DataItem::read(reader).ok();
    if found.is_none_or(|item| !item.is_whole) {
        context.malformed("truncated_data", reader.left() as u32);
    }
    found
}

/// Tells what became of each item of a Write Var: one return code for each.
#[inline(always)]
pub(super) fn conclude_write(entry: &Entry, count: Option<&u8>, data: &[u8], context: &mut Context<'_>) {
    let claimed = count.copied().unwrap_or_default();
    check_count(entry, claimed, context);
    let mut operation = entry.asked.operation(Target::None, Values::None);
    for (index, item) in (0u16..).zip(entry.asked.items()) {
        let wire = item.place.wire;
        let code = data.get(usize::from(wire)).filter(|_| wire < claimed);
        let outcome = code.map_or(Outcome::Pending, |code| data::outcome(*code));
        operation.target = item.target;
        entry.tell(index, &operation, outcome, context);
    }
    if usize::from(claimed) != data.len() {
        context.malformed("truncated_data", data.len() as u32);
    }
}

/// An answer has as many items as its request.
#[inline(always)]
fn check_count(entry: &Entry, claimed: u8, context: &mut Context<'_>) {
    let asked = entry.asked.items().last().map_or(0, |item| u16::from(item.place.wire) + 1);
    if u16::from(claimed) != asked {
        context.anomaly(AnomalyKind::Malformed, "answer_differs_from_request", Some(claimed.into()));
    }
}

/// Items in one request that a controller takes.
const MAX_ITEMS: u8 = 20;
