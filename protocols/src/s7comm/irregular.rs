//! Items of Read Var and Write Var that are not one plain range of memory each, with exactly their values: other syntaxes,
//! and whatever breaks the specification.
//!
//! A fault in one item hides none behind it: what follows is read as servers read it, and what cannot be read is one more
//! operation without a target. What servers do that the specification does not say was tried with snap7 1.4.2 (C++) and
//! python-snap7 3.3.0 (Python):
//!
//! * neither looks at the specification byte, the length or the syntax of an item: each takes 12 bytes as S7ANY;
//! * Python writes all the data of the first item to its first byte, however few elements it names, and whatever the
//!   number of items says, 0 included; C++ writes only what fits exactly;
//! * C++ takes as many items as are counted, and finds those that the parameters lack in the bytes behind them.

use alloc::vec::Vec;

use super::data::{self, DataItem};
use super::entry::{Entry, Item, PendingRequest, Place};
use super::item;
use super::variable::{FILL, next, outcome, truncated_data};
use crate::context::Context;
use crate::dissector::Outcome;
use crate::operation::{Target, Values};
use crate::reader::Reader;

/// Announces the items of a request from item `wire` on, where `reader` stands, the values of a write in `data`.
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

/// The items of a request that are being announced.
struct Items<'i, 'f, 's> {
    asked: &'i mut PendingRequest,
    /// Number of the next item in the frame.
    wire: u8,
    reader: Reader<'f>,
    /// The values of a write.
    data: Option<Reader<'f>>,
    /// The first part that cannot be read, or writes more than it names: of which item, and its bytes.
    unread: Option<(&'static str, u8, &'f [u8])>,
    spare: &'i mut Vec<Vec<Item>>,
    context: &'i mut Context<'s>,
}

impl<'f> Items<'_, 'f, '_> {
    fn announce(&mut self) {
        while self.wire < self.asked.claimed {
            if !self.item(false) {
                self.context.malformed("truncated_request", self.reader.left() as u32);
                self.mark("items", self.reader.rest());
                break;
            }
        }
        self.beyond();
        if let Some(data) = self.data.filter(|data| data.left() > FILL) {
            self.context.malformed("trailing_data", data.left() as u32);
            self.mark("data", data.rest());
        }
        if self.asked.count() == 0 {
            self.mark("items", &[]);
        }
        if let Some((part, wire, bytes)) = self.unread {
            let values = if self.data.is_some() && !bytes.is_empty() { Values::Bytes(bytes) } else { Values::None };
            self.asked.announce_unread(part, wire, values, self.spare, self.context);
        }
    }

    /// Items behind those that are counted: some servers do not count.
    fn beyond(&mut self) {
        if self.reader.left() == 0 || self.wire < self.asked.claimed {
            return;
        }
        self.context.malformed("trailing_bytes", self.reader.left() as u32);
        while self.reader.left() >= item::ITEM && self.wire < u8::MAX && self.item(true) {}
        if self.reader.left() > 0 {
            self.mark("items", self.reader.rest());
        }
    }

    fn mark(&mut self, part: &'static str, bytes: &'f [u8]) {
        self.unread = self.unread.or(Some((part, self.wire, bytes)));
    }

    /// Announces the next item, in each reading; whether it can be read. `is_extra`: it is not counted.
    fn item(&mut self, is_extra: bool) -> bool {
        let before = self.reader;
        let mut expected = Some(0);
        let form = read(&mut self.reader, &mut |target, _| {
            expected = expected.zip(item::bytes(&target)).map(|(before, bytes)| before + bytes);
        });
        if let Form::Wrong(fault) = form {
            self.context.malformed(fault, before.rest().first().copied().unwrap_or_default());
        }
        let other = if matches!(form, Form::Other) { item::also_fixed(before, self.data.is_some()) } else { None };
        let least = [expected, other.as_ref().and_then(item::bytes)].into_iter().flatten().min();
        let values = if matches!(form, Form::None) { Values::None } else { self.values(expected, least, is_extra) };
        let Self { wire, ref mut asked, ref mut spare, ref mut context, .. } = *self;
        let mut tell = |target, bytes, is_ambiguous| {
            let place = Place { wire, bytes, is_ambiguous };
            asked.announce_item(Item { target, place }, values, spare, context);
        };
        read(&mut { before }, &mut |target, bytes| tell(target, bytes, is_extra || other.is_some()));
        if let Some(target) = other {
            tell(target, None, true);
        }
        self.wire = wire.saturating_add(u8::from(!matches!(form, Form::None)));
        !matches!(form, Form::None)
    }

    /// The values of the next item, which names so many bytes, if that shows, and in some reading as few as `least`.
    fn values(&mut self, expected: Option<usize>, least: Option<usize>, is_extra: bool) -> Values<'f> {
        let Some(data) = self.data.as_mut().filter(|data| data.left() > 0 || !is_extra) else { return Values::None };
        let start = data.rest();
        let Ok((found, reach)) = DataItem::read_for(data, expected) else {
            truncated_data(start.len(), self.context);
            self.data = Some(Reader::new(&[]));
            return Values::None;
        };
        if !found.is_whole {
            truncated_data(found.bytes.len(), self.context);
        } else if expected.is_some_and(|expected| found.bytes.len() != expected) {
            self.context.malformed("data_differs_from_item", found.bytes.len() as u32);
        }
        if least.is_some_and(|least| reach > least) {
            self.mark("data", start.get(DataItem::HEAD..DataItem::HEAD + reach).unwrap_or_default());
        }
        found.values()
    }
}

/// How an item is read.
enum Form {
    /// By its own form, as S7ANY or a syntax that nobody knows.
    Plain,
    /// By its own form, in another syntax that is known.
    Other,
    /// As S7ANY, although this part of it says something else.
    Wrong(&'static str),
    /// Not, or not to its end.
    None,
}

/// Reads the next item, by its form or else as servers do, and visits what it names, with its bytes in the answer where it
/// names several.
fn read(reader: &mut Reader<'_>, visit: &mut dyn FnMut(Target<'static>, Option<u8>)) -> Form {
    let start = *reader;
    if let Some(target) = item::memory(reader) {
        visit(target, None);
        return Form::Plain;
    }
    match item::known(reader, visit) {
        Some(Ok(())) => return Form::Other,
        Some(Err(_)) => return Form::None,
        None => {}
    }
    if let Some(target) = item::fixed(reader) {
        visit(target, None);
        return Form::Wrong(fault(start.rest()));
    }
    if item::read(reader, visit).is_ok() {
        return Form::Plain;
    }
    *reader = start;
    Form::None
}

/// What is wrong with an item that is read as S7ANY all the same.
fn fault(item: &[u8]) -> &'static str {
    match item {
        [0x12, 10, ..] => "item_syntax",
        [0x12, ..] => "item_length",
        _ => "item_specification",
    }
}

/// Tells what became of each item that is kept of a Read Var, where several operations may share one item of the answer.
/// `reader` stands behind what the answer says of those that are not kept.
pub(super) fn conclude(entry: &Entry, mut claimed: u8, mut reader: Reader<'_>, context: &mut Context<'_>) {
    let mut answered = u16::from(entry.asked.passed);
    let mut areas = Areas::default();
    for (index, item) in entry.asked.items() {
        while answered <= u16::from(item.place.wire) {
            areas = Areas::new(next(&mut claimed, &mut reader, context), entry, item.place.wire);
            answered += 1;
        }
        let (values, outcome) = areas.next(item.place.bytes);
        entry.conclude_item(index, values, outcome, context);
    }
    context.expect_end(reader.rest());
}

/// An item of an answer, which the areas of one item of DBREAD share.
#[derive(Default)]
struct Areas<'a> {
    found: Option<DataItem<'a>>,
    /// Bytes that belong to the areas before the next.
    used: usize,
    /// The bytes of every area are there, also of one that was refused.
    has_all: bool,
}

impl<'a> Areas<'a> {
    fn new(found: Option<DataItem<'a>>, entry: &Entry, wire: u8) -> Self {
        let of_wire = entry.asked.items().filter(|(_, item)| item.place.wire == wire);
        let bytes = of_wire.filter_map(|(_, item)| item.place.bytes).map(|bytes| usize::from(bytes) + 1);
        let length = found.map_or(0, |found| found.bytes.len());
        Self { found, used: 0, has_all: bytes.sum::<usize>() == length }
    }

    /// What the answer holds for the next operation: of an area a return code, then its bytes.
    fn next(&mut self, bytes: Option<u8>) -> (Values<'a>, Outcome) {
        let (Some(found), Some(bytes)) = (self.found.filter(DataItem::is_accepted), bytes) else {
            return (self.found.map_or(Values::None, |found| found.values()), outcome(self.found));
        };
        let Some(&code) = found.bytes.get(self.used) else { return (Values::None, Outcome::Pending) };
        let (start, outcome) = (self.used + 1, data::outcome(code));
        let is_accepted = outcome == Outcome::Accepted;
        self.used = start + if is_accepted || self.has_all { usize::from(bytes) } else { 0 };
        let values = found.bytes.get(start..self.used).filter(|_| is_accepted);
        (values.map_or(Values::None, Values::Bytes), outcome)
    }
}
