//! Irregular items of Read Var and Write Var: those that are not one range of memory with exactly its values, in
//! another syntax, or in violation of the specification.
//!
//! A fault in one item does not hide the items after it: they are read as servers read them, and a part that cannot be
//! read is one more operation without a target. The behaviour of servers that the specification does not define was
//! determined with snap7 1.4.2 (C++) and python-snap7 3.3.0 (Python):
//!
//! * neither inspects the specification byte, the length or the syntax of an item: each reads 12 bytes as S7ANY;
//! * Python writes all data of the first item to its first byte, however few elements it names, and whatever the number
//!   of items is, even 0; C++ writes only data that fit exactly;
//! * C++ reads as many items as are counted, and takes those that the parameters lack from the bytes after them.

use alloc::vec::Vec;

use super::data::{self, DataItem};
use super::entry::{AnswerSlot, Entry, Item, PendingRequest};
use super::item;
use super::variable::{FILL, item_outcome, next_item, report_truncated_data};
use crate::context::Context;
use crate::dissector::Outcome;
use crate::operation::{Target, Values};
use crate::reader::Reader;

/// Reports the items of a request from item `wire` on, at which `reader` stands; `data` holds the values of a write.
pub(super) fn announce(
    asked: &mut PendingRequest,
    wire: u8,
    reader: Reader<'_>,
    data: Option<Reader<'_>>,
    spare: &mut Vec<Vec<Item>>,
    context: &mut Context<'_>,
) {
    asked.is_irregular = true;
    let mut items = Items { asked, wire, reader, data, unread: None, spare, context };
    items.announce();
}

/// The items of a request that are being reported.
struct Items<'i, 'f, 's> {
    asked: &'i mut PendingRequest,
    /// Number of the next item in the frame.
    wire: u8,
    reader: Reader<'f>,
    /// The values of a write.
    data: Option<Reader<'f>>,
    /// The first part that cannot be read, or that writes more than it names: its name, its item, and its bytes.
    unread: Option<(&'static str, u8, &'f [u8])>,
    spare: &'i mut Vec<Vec<Item>>,
    context: &'i mut Context<'s>,
}

impl<'f> Items<'_, 'f, '_> {
    /// Reports the operations of all items, and a truncated request.
    fn announce(&mut self) {
        while self.wire < self.asked.claimed {
            if !self.announce_next(false) {
                self.context.malformed("truncated_request", self.reader.left() as u32);
                self.mark_unread("items", self.reader.rest());
                break;
            }
        }
        self.announce_extra();
        if let Some(data) = self.data.filter(|data| data.left() > FILL) {
            self.context.malformed("trailing_data", data.left() as u32);
            self.mark_unread("data", data.rest());
        }
        if self.asked.operation_count() == 0 {
            self.mark_unread("items", &[]);
        }
        if let Some((part, wire, bytes)) = self.unread {
            let values = if self.data.is_some() && !bytes.is_empty() { Values::Bytes(bytes) } else { Values::None };
            self.asked.announce_unread(part, wire, values, self.spare, self.context);
        }
    }

    /// Reports items beyond the counted ones: some servers do not count.
    fn announce_extra(&mut self) {
        if self.reader.left() == 0 || self.wire < self.asked.claimed {
            return;
        }
        self.context.malformed("trailing_bytes", self.reader.left() as u32);
        while self.reader.left() >= item::ITEM && self.wire < u8::MAX && self.announce_next(true) {}
        if self.reader.left() > 0 {
            self.mark_unread("items", self.reader.rest());
        }
    }

    fn mark_unread(&mut self, part: &'static str, bytes: &'f [u8]) {
        self.unread = self.unread.or(Some((part, self.wire, bytes)));
    }

    /// Reports the next item, in each reading. Returns whether it can be read. `is_extra`: it is beyond the counted
    /// ones.
    fn announce_next(&mut self, is_extra: bool) -> bool {
        let before = self.reader;
        let mut expected = Some(0);
        let reading = read_item(&mut self.reader, &mut |target, _| {
            expected = expected.zip(item::byte_count(&target)).map(|(before, bytes)| before + bytes);
        });
        if let ItemReading::Wrong(fault) = reading {
            self.context.malformed(fault, before.rest().first().copied().unwrap_or_default());
        }
        let other =
            if matches!(reading, ItemReading::Other) { item::also_s7any(before, self.data.is_some()) } else { None };
        let least = [expected, other.as_ref().and_then(item::byte_count)].into_iter().flatten().min();
        let values = if matches!(reading, ItemReading::None) {
            Values::None
        } else {
            self.read_values(expected, least, is_extra)
        };
        let Self { wire, ref mut asked, ref mut spare, ref mut context, .. } = *self;
        let mut announce = |target, bytes, is_ambiguous| {
            let slot = AnswerSlot { wire, bytes, is_ambiguous };
            asked.announce_item(Item { target, slot }, values, spare, context);
        };
        read_item(&mut { before }, &mut |target, bytes| announce(target, bytes, is_extra || other.is_some()));
        if let Some(target) = other {
            announce(target, None, true);
        }
        self.wire = wire.saturating_add(u8::from(!matches!(reading, ItemReading::None)));
        !matches!(reading, ItemReading::None)
    }

    /// The values of the next item, which names `expected` bytes if that is known, and only `least` bytes in some
    /// reading.
    fn read_values(&mut self, expected: Option<usize>, least: Option<usize>, is_extra: bool) -> Values<'f> {
        let Some(data) = self.data.as_mut().filter(|data| data.left() > 0 || !is_extra) else { return Values::None };
        let start = data.rest();
        let Ok((found, reach)) = DataItem::read_for(data, expected) else {
            report_truncated_data(start.len(), self.context);
            self.data = Some(Reader::new(&[]));
            return Values::None;
        };
        if !found.is_whole {
            report_truncated_data(found.bytes.len(), self.context);
        } else if expected.is_some_and(|expected| found.bytes.len() != expected) {
            self.context.malformed("data_differs_from_item", found.bytes.len() as u32);
        }
        if least.is_some_and(|least| reach > least) {
            self.mark_unread("data", start.get(DataItem::HEAD..DataItem::HEAD + reach).unwrap_or_default());
        }
        found.values()
    }
}

/// How an item was read.
enum ItemReading {
    /// By its own form, as S7ANY or in an unknown syntax.
    Plain,
    /// By its own form, in another syntax that is known.
    Other,
    /// As S7ANY, although this part of it states otherwise.
    Wrong(&'static str),
    /// Not, or not to its end.
    None,
}

/// Reads the next item, by its form or else as servers do, and visits its targets, with their bytes in the answer if it
/// names several.
fn read_item(reader: &mut Reader<'_>, visit: &mut dyn FnMut(Target<'static>, Option<u8>)) -> ItemReading {
    let start = *reader;
    if let Some(target) = item::read_memory(reader) {
        visit(target, None);
        return ItemReading::Plain;
    }
    match item::read_known(reader, visit) {
        Some(Ok(())) => return ItemReading::Other,
        Some(Err(_)) => return ItemReading::None,
        None => {}
    }
    if let Some(target) = item::read_as_s7any(reader) {
        visit(target, None);
        return ItemReading::Wrong(fault_of(start.rest()));
    }
    if item::read(reader, visit).is_ok() {
        return ItemReading::Plain;
    }
    *reader = start;
    ItemReading::None
}

/// The wrong part of an item that is read as S7ANY nevertheless.
fn fault_of(item: &[u8]) -> &'static str {
    match item {
        [0x12, 10, ..] => "item_syntax",
        [0x12, ..] => "item_length",
        _ => "item_specification",
    }
}

/// Reports the outcome of each tracked operation of a Read Var; several operations may share one item of the answer. `reader`
/// begins at the first item after those of untracked operations.
pub(super) fn report_outcomes(entry: &Entry, mut claimed: u8, mut reader: Reader<'_>, context: &mut Context<'_>) {
    let mut answered = u16::from(entry.asked.untracked);
    let mut areas = Areas::default();
    for (index, item) in entry.asked.items() {
        while answered <= u16::from(item.slot.wire) {
            areas = Areas::new(next_item(&mut claimed, &mut reader, context), entry, item.slot.wire);
            answered += 1;
        }
        let (values, outcome) = areas.next(item.slot.bytes);
        entry.report_item_outcome(index, values, outcome, context);
    }
    context.expect_end(reader.rest());
}

/// An item of an answer, shared by the areas of one DBREAD item.
#[derive(Default)]
struct Areas<'a> {
    found: Option<DataItem<'a>>,
    /// Number of bytes of the areas so far.
    used: usize,
    /// The answer holds the bytes of every area, also of refused ones.
    has_all: bool,
}

impl<'a> Areas<'a> {
    fn new(found: Option<DataItem<'a>>, entry: &Entry, wire: u8) -> Self {
        let of_wire = entry.asked.items().filter(|(_, item)| item.slot.wire == wire);
        let bytes = of_wire.filter_map(|(_, item)| item.slot.bytes).map(|bytes| usize::from(bytes) + 1);
        let length = found.map_or(0, |found| found.bytes.len());
        Self { found, used: 0, has_all: bytes.sum::<usize>() == length }
    }

    /// Values and outcome of the next operation: an area has a return code, then its bytes.
    fn next(&mut self, bytes: Option<u8>) -> (Values<'a>, Outcome) {
        let (Some(found), Some(bytes)) = (self.found.filter(DataItem::is_accepted), bytes) else {
            return (self.found.map_or(Values::None, |found| found.values()), item_outcome(self.found));
        };
        let Some(&code) = found.bytes.get(self.used) else { return (Values::None, Outcome::Pending) };
        let (start, outcome) = (self.used + 1, data::outcome_of(code));
        let is_accepted = outcome == Outcome::Accepted;
        self.used = start + if is_accepted || self.has_all { usize::from(bytes) } else { 0 };
        let values = found.bytes.get(start..self.used).filter(|_| is_accepted);
        (values.map_or(Values::None, Values::Bytes), outcome)
    }
}
