//! Userdata: functions with a group and a sub-function of their own, asked, answered or sent unasked.

use super::S7comm;
use super::data::DataItem;
use super::entry::{Asked, Entry, Item, Place};
use super::header::Pdu;
use super::units::{Joined, Key};
use super::{USERDATA_GROUP, block, error, function, item, szl, test};
use crate::context::Context;
use crate::dissector::{AnomalyKind, Outcome, Side};
use crate::operation::{Class, Target, Values};
use crate::pending::Waiting;
use crate::reader::Reader;

/// The parameters of userdata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    /// [`INDICATION`], [`RESPONSE`], or else a request.
    kind: u8,
    /// Six bits.
    group: u8,
    sub: u8,
    sequence: u8,
    /// Data unit reference; 0 for none.
    unit: u8,
    /// Other fragments follow.
    more: bool,
    /// 0 for none.
    error: u16,
}

/// Three bytes, a length, a method, type and group, sub-function, sequence; answers go on with a data unit reference,
/// whether it is the last, an error.
fn head(parameters: &[u8]) -> Option<Head> {
    let &[_, _, _, _, method, type_group, sub, sequence, ref rest @ ..] = parameters else { return None };
    let (unit, more, error) = match (method, rest) {
        (ANSWER_METHOD, &[unit, last, high, low, ..]) => (unit, last != 0, u16::from_be_bytes([high, low])),
        _ => (0, false, 0),
    };
    Some(Head { kind: type_group >> 6, group: type_group & 0x3F, sub, sequence, unit, more, error })
}

impl Head {
    fn code(&self) -> u16 {
        u16::from_be_bytes([self.group, self.sub])
    }

    /// The key under which it is counted; a mode transition counts under its group alone.
    fn key(&self) -> u32 {
        let kind = if self.group == function::MODE_GROUP { NO_SUB } else { u32::from(self.kind) << 16 };
        let sub = if self.group == function::MODE_GROUP { 0 } else { self.sub };
        kind | u32::from(self.group) << 8 | u32::from(sub)
    }
}

impl S7comm {
    pub(super) fn on_userdata(&mut self, pdu: &Pdu<'_>, context: &mut Context<'_>) {
        let Some(head) = head(pdu.parameters) else {
            context.malformed("truncated_userdata", pdu.parameters.len() as u32);
            let mut asked = Asked::new(self.stack.number(), 0, &function::UNKNOWN_USERDATA);
            asked.announce(Target::None, Values::Bytes(pdu.parameters), context);
            return self.wait(asked, pdu.reference, true, context);
        };
        context.sink.pdu(USERDATA_GROUP, head.key());
        let data = DataItem::read(&mut Reader::new(pdu.data)).map_or(&[][..], |item| item.bytes);
        match head.kind {
            RESPONSE => self.on_userdata_response(head, pdu, data, context),
            INDICATION => self.on_indication(head, data, context),
            _ => self.on_userdata_request(head, pdu, data, context),
        }
    }

    fn on_userdata_request(&mut self, head: Head, pdu: &Pdu<'_>, data: &[u8], context: &mut Context<'_>) {
        let key = Key { from: context.from, code: head.code(), unit: head.unit };
        match self.units.add(key, head.sequence, data, head.more, Target::None) {
            Joined::Whole(whole, _) => self.request(head, pdu, &whole, context),
            Joined::Open => self.request(head, pdu, data, context),
            Joined::TooMuch => {
                context.anomaly(AnomalyKind::Limit, "userdata_fragments", None);
                self.request(head, pdu, data, context);
            }
        }
    }

    /// Announces what a request asks for; each fragment of one is a request.
    fn request(&mut self, head: Head, pdu: &Pdu<'_>, data: &[u8], context: &mut Context<'_>) {
        let function = match head.code() {
            READ_SZL if szl::is_diagnostic_buffer(data) => &function::DIAGNOSTIC_BUFFER,
            _ => function::userdata(head.group, head.sub),
        };
        let mut asked = Asked::new(self.stack.number(), head.code(), function);
        // A request without data asks for the next fragment of an answer.
        let continued = if data.is_empty() { self.units.target(head.code(), head.sequence) } else { None };
        let mut count = 0;
        let mut visit = |asked: &mut Asked, target, values: Values<'_>, context: &mut Context<'_>| {
            let operation = asked.operation(target, values);
            let item = Item { target, place: Place::default() };
            asked.announce_item(count, item, &operation, &mut self.spare, context);
            count += 1;
        };
        match (head.group, head.sub) {
            _ if continued.is_some() => {}
            (function::CYCLIC_GROUP, _) => {
                cyclic(data, |target| visit(&mut asked, target, Values::None, context));
            }
            (function::TEST_GROUP, test::FORCE_SELECTION..=test::FORCE) => {
                test::modified(data, |target, values| visit(&mut asked, target, values, context));
            }
            _ => {}
        }
        if count == 0 {
            let (target, values) = target(head, data);
            asked.announce(continued.unwrap_or(target), values, context);
        }
        self.wait(asked, pdu.reference, true, context);
    }

    fn on_userdata_response(&mut self, head: Head, pdu: &Pdu<'_>, data: &[u8], context: &mut Context<'_>) {
        let asked_by = |entry: &Entry| {
            entry.is_userdata
                && entry.from != context.from
                && entry.reference == pdu.reference
                && entry.asked.code == head.code()
        };
        let mut target = Target::None;
        match self.pending.take(asked_by, |_| true) {
            Some((entry, _)) => {
                target = entry.asked.target(0);
                answer(&entry, head, data, context);
                entry.asked.recycle(&mut self.spare);
            }
            None => context.anomaly(AnomalyKind::Unmatched, "answer_without_request", Some(head.code().into())),
        }
        let key = Key { from: context.from, code: head.code(), unit: head.unit };
        match self.units.add(key, head.sequence, data, head.more, target) {
            Joined::Whole(whole, _) if head.code() == READ_SZL && head.error == 0 => szl::identify(&whole, context),
            Joined::TooMuch => context.anomaly(AnomalyKind::Limit, "userdata_fragments", None),
            _ => {}
        }
    }

    /// What is sent unasked: a report if a controller sends it, else judged as if it were asked for.
    fn on_indication(&mut self, head: Head, data: &[u8], context: &mut Context<'_>) {
        let function = function::userdata(head.group, head.sub);
        let mut asked = Asked::new(self.stack.number(), head.code(), function);
        let is_unknown = matches!(function.class, Class::Unknown | Class::Security);
        if context.from == Side::Server && !is_unknown && head.group != function::BLOCK_SEND_GROUP {
            asked = asked.with_class(Class::Report);
        }
        let (target, values) = target(head, data);
        asked.announce(target, values, context);
        let (stamp, ref mut sink) = (context.stamp, &mut *context.sink);
        asked.conclude_item(0, Values::None, Outcome::Accepted, stamp, (stamp, *sink));
        if let (function::MODE_GROUP, Some(state)) = (head.group, szl::run_state(head.sub)) {
            szl::tell("run_state", state, context);
        }
    }
}

/// Tells how a request ended.
fn answer(entry: &Entry, head: Head, data: &[u8], context: &mut Context<'_>) {
    if head.error != 0 {
        let outcome = Outcome::Refused { code: head.error.into(), name: error::name(head.error) };
        return entry.conclude(outcome, context.stamp, context.sink);
    }
    let values =
        if head.group == function::SECURITY_GROUP || data.is_empty() { Values::None } else { Values::Bytes(data) };
    for (index, _) in entry.asked.items() {
        let values = if index == 0 { values } else { Values::None };
        entry.conclude_item(index, values, Outcome::Accepted, context);
    }
}

/// What a request or an indication names, and what travels with it. Of a password nothing is kept.
fn target(head: Head, data: &[u8]) -> (Target<'static>, Values<'_>) {
    match (head.group, head.sub) {
        (function::MODE_GROUP, mode) => (Target::Item { kind: "mode", number: mode.into(), index: 0 }, Values::None),
        (function::BLOCK_GROUP, 2 | 3) => (block::block(data), Values::None),
        (function::CPU_GROUP, 1) => (szl::target(data), Values::None),
        (function::SECURITY_GROUP, _) => (Target::None, Values::None),
        (function::BLOCK_SEND_GROUP, _) => {
            let (mut reader, mut named) = (Reader::new(data), Target::None);
            let _ = item::read(&mut reader, &mut |target, _| named = target);
            (named, Values::Bytes(reader.rest()))
        }
        _ if data.is_empty() => (Target::None, Values::None),
        _ => (Target::None, Values::Bytes(data)),
    }
}

/// The memory that cyclic services name: a number of items, the time base and its factor, the items.
fn cyclic(data: &[u8], mut visit: impl FnMut(Target<'static>)) {
    let mut reader = Reader::new(data);
    let Ok([high, low, _, _]) = reader.array("cyclic_items") else { return };
    let claimed = u16::from_be_bytes([high, low]);
    for _ in 0..claimed {
        if reader.left() == 0 || item::read(&mut reader, &mut |target, _| visit(target)).is_err() {
            return;
        }
    }
}

/// Sent unasked.
const INDICATION: u8 = 0;
const RESPONSE: u8 = 2;
/// The method whose parameters have a data unit reference and an error.
const ANSWER_METHOD: u8 = 0x12;
/// Group and sub-function of Read SZL.
const READ_SZL: u16 = 0x0401;
/// Marks a key without type and sub-function.
pub(super) const NO_SUB: u32 = 1 << 24;
