//! Userdata: functions with a group and a sub-function of their own, in requests, answers and unsolicited indications.

use super::S7comm;
use super::data::{DataItem, expect_end};
use super::entry::{AnswerSlot, Entry, Item, PendingRequest};
use super::header::Pdu;
use super::units::{Joined, Key};
use super::unseen::Answered;
use super::{USERDATA_GROUP, block, error, function, item, szl, test};
use crate::context::Context;
use crate::dissector::{AnomalyKind, Outcome, Side};
use crate::operation::{Class, Target, Values};
use crate::pending::Waiting;
use crate::reader::{DecodeError, Reader};

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

/// Reads the parameters: three bytes, a length, a method, type and group, sub-function, sequence; in answers also a
/// data unit reference, whether it is the last unit, and an error.
fn read_head(parameters: &[u8]) -> Option<Head> {
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

    /// The request that python-snap7 3.3.0 reads in it, if that is another one: it uses four bits of the group, and
    /// ignores the type.
    fn as_request(self) -> Option<Self> {
        let read = Self { kind: REQUEST, group: self.group & 0x0F, ..self };
        let is_other = match self.group == read.group {
            true => self.kind == RESPONSE,
            false => !function::is_userdata(self.group, self.sub),
        };
        let executes = matches!(read.group, function::TEST_GROUP..=function::SECURITY_GROUP | function::TIME_GROUP);
        (is_other && executes && function::is_userdata(read.group, read.sub)).then_some(read)
    }

    /// The key under which it is counted; a mode transition counts under its group alone.
    fn count_key(&self) -> u32 {
        let kind = if self.group == function::MODE_GROUP { NO_SUB } else { u32::from(self.kind) << 16 };
        let sub = if self.group == function::MODE_GROUP { 0 } else { self.sub };
        kind | u32::from(self.group) << 8 | u32::from(sub)
    }
}

impl S7comm {
    pub(super) fn on_userdata(&mut self, pdu: &Pdu<'_>, context: &mut Context<'_>) {
        let Some(head) = read_head(pdu.parameters) else {
            context.malformed("truncated_userdata", pdu.parameters.len() as u32);
            let mut asked = PendingRequest::new(self.stack.assign_number(), 0, &function::UNKNOWN_USERDATA);
            asked.announce(Target::Unread { part: "parameters" }, Values::Bytes(pdu.parameters), context);
            return self.add_pending(asked, pdu.reference, true, context);
        };
        context.sink.pdu(USERDATA_GROUP, head.count_key());
        let mut reader = Reader::new(pdu.data);
        let item = DataItem::read(&mut reader).ok();
        let data = item.map_or(&[][..], |item| item.bytes);
        if item.is_some_and(|item| !item.is_whole) || expect_end(reader).is_err() {
            context.malformed("userdata_length", pdu.data.len() as u32);
        }
        let is_answer = match head.kind {
            RESPONSE => self.on_userdata_response(head, pdu, data, context),
            INDICATION => self.on_indication(head, pdu, data, context),
            _ => self.on_userdata_request(head, pdu, data, context),
        };
        if context.from == Side::Client
            && !is_answer
            && let Some(head) = head.as_request()
        {
            context.malformed("userdata_type", pdu.parameters.get(5).copied().unwrap_or_default());
            self.announce_request(head, &Pdu { is_ambiguous: true, ..*pdu }, data, context);
        }
    }

    fn on_userdata_request(&mut self, head: Head, pdu: &Pdu<'_>, data: &[u8], context: &mut Context<'_>) -> bool {
        let key = Key { from: context.from, code: head.code(), unit: head.unit };
        match self.units.add(key, head.sequence, data, head.more, Target::None) {
            Joined::Whole(whole, _) => self.announce_request(head, pdu, &whole, context),
            Joined::Open => self.announce_request(head, pdu, data, context),
            Joined::TooMuch => {
                context.anomaly(AnomalyKind::Limit, "userdata_fragments", None);
                self.announce_request(head, pdu, data, context);
            }
        }
        false
    }

    /// Reports the operations of a request; each fragment of one is a request.
    fn announce_request(&mut self, head: Head, pdu: &Pdu<'_>, data: &[u8], context: &mut Context<'_>) {
        let function = match head.code() {
            READ_SZL if szl::is_diagnostic_buffer(data) => &function::DIAGNOSTIC_BUFFER,
            _ => function::userdata(head.group, head.sub),
        };
        let mut asked =
            PendingRequest::new(self.stack.assign_number(), head.code(), function).with_ambiguity(pdu.is_ambiguous);
        // A request without data asks for the next fragment of an answer.
        let continued = if data.is_empty() { self.units.first_target(head.code(), head.sequence) } else { None };
        let spare = &mut self.spare;
        let mut visit = |target, values: Values<'_>| {
            asked.announce_item(Item { target, slot: AnswerSlot::default() }, values, spare, context);
        };
        let unread = match (head.group, head.sub) {
            _ if continued.is_some() => None,
            (function::CYCLIC_GROUP, CYCLIC_TRANSFER | CHANGE_DRIVEN_TRANSFER) => {
                visit_cyclic(data, |target| visit(target, Values::None)).err()
            }
            (function::TEST_GROUP, test::FORCE_SELECTION..=test::FORCE) => test::visit_modified(data, visit).err(),
            _ => None,
        };
        if let Some(error) = unread {
            context.malformed(error.field(), data.len() as u32);
            let values = if asked.operation_count() == 0 { Values::Bytes(data) } else { Values::None };
            asked.announce_unread("items", 0, values, &mut self.spare, context);
        }
        if asked.operation_count() == 0 {
            let (target, values) = target_and_values(head, data);
            asked.announce(continued.unwrap_or(target), values, context);
        }
        self.add_pending(asked, pdu.reference, true, context);
    }

    /// Handles a response. Returns whether it answers a request.
    fn on_userdata_response(&mut self, head: Head, pdu: &Pdu<'_>, data: &[u8], context: &mut Context<'_>) -> bool {
        let mut target = Target::None;
        let answered = Answered { from: context.from, reference: pdu.reference, code: head.code() };
        let request = self.find_userdata_request(answered, context);
        let is_answer = request.is_some();
        match request {
            Some(entry) => {
                self.answered = Some(answered);
                target = entry.asked.target(0);
                report_outcomes(&entry, head, data, context);
                entry.asked.recycle(&mut self.spare);
            }
            None => {
                let is_first = self.report_stray_answer(answered, context);
                if is_first && head.error == 0 && context.from == Side::Server {
                    self.report_unseen_userdata(function::userdata(head.group, head.sub), head.code(), context);
                }
            }
        }
        let key = Key { from: context.from, code: head.code(), unit: head.unit };
        match self.units.add(key, head.sequence, data, head.more, target) {
            Joined::Whole(whole, _) if head.code() == READ_SZL && head.error == 0 => {
                szl::report_identities(&whole, context)
            }
            Joined::TooMuch => context.anomaly(AnomalyKind::Limit, "userdata_fragments", None),
            _ => {}
        }
        is_answer
    }

    /// The request that an answer belongs to. An answer with another reference belongs to the only request in flight,
    /// if that is the latest one and the answer fits.
    fn find_userdata_request(&mut self, answer: Answered, context: &mut Context<'_>) -> Option<Entry> {
        let fits = |entry: &Entry| {
            entry.asked.is_userdata && entry.asked.from != answer.from && entry.asked.code == answer.code
        };
        let is_named = |entry: &Entry| entry.asked.reference == answer.reference && fits(entry);
        if let Some((entry, _)) = self.pending.take(is_named, |_| true) {
            return Some(entry);
        }
        let only = self.pending.only().filter(|entry| fits(entry))?;
        let is_last = only.asked.request == self.stack.next_request().wrapping_sub(1);
        if !is_last || self.answered == Some(answer) {
            return None;
        }
        context.anomaly(AnomalyKind::Unmatched, "answer_with_other_reference", Some(answer.reference.into()));
        self.pending.remove(0)
    }

    /// Handles an indication: a report if a controller sends it, otherwise judged like a request.
    fn on_indication(&mut self, head: Head, pdu: &Pdu<'_>, data: &[u8], context: &mut Context<'_>) -> bool {
        let function = function::userdata(head.group, head.sub);
        let mut asked =
            PendingRequest::new(self.stack.assign_number(), head.code(), function).with_ambiguity(pdu.is_ambiguous);
        let is_unknown = matches!(function.class, Class::Unknown | Class::Security);
        if context.from == Side::Server && !is_unknown && head.group != function::BLOCK_SEND_GROUP {
            asked = asked.with_class(Class::Report);
        }
        let (target, values) = target_and_values(head, data);
        asked.announce(target, values, context);
        let (stamp, ref mut sink) = (context.stamp, &mut *context.sink);
        asked.report_item_outcome(0, Values::None, Outcome::Accepted, stamp, (stamp, *sink));
        if let (function::MODE_GROUP, Some(state)) = (head.group, szl::run_state(head.sub)) {
            szl::report_identity("run_state", state, context);
        }
        false
    }
}

/// Reports the outcome of a request.
fn report_outcomes(entry: &Entry, head: Head, data: &[u8], context: &mut Context<'_>) {
    if head.error != 0 {
        let outcome = Outcome::Refused { code: head.error.into(), name: error::name(head.error) };
        return entry.report_outcomes(outcome, context.stamp, context.sink);
    }
    let values =
        if head.group == function::SECURITY_GROUP || data.is_empty() { Values::None } else { Values::Bytes(data) };
    for (index, _) in entry.asked.items() {
        let values = if index == 0 { values } else { Values::None };
        entry.report_item_outcome(index, values, Outcome::Accepted, context);
    }
}

/// Target and values of a request or an indication. Passwords are omitted.
fn target_and_values(head: Head, data: &[u8]) -> (Target<'static>, Values<'_>) {
    match (head.group, head.sub) {
        (function::MODE_GROUP, mode) => (Target::Item { kind: "mode", number: mode.into(), index: 0 }, Values::None),
        (function::BLOCK_GROUP, 2 | 3) => (block::parse_block(data), Values::None),
        (function::CPU_GROUP, 1) => (szl::requested_list(data), Values::None),
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

/// Visits the memory in a request for cyclic services: a number of items, the time base and its factor, the items.
fn visit_cyclic(data: &[u8], mut visit: impl FnMut(Target<'static>)) -> Result<(), DecodeError> {
    let mut reader = Reader::new(data);
    let [high, low, _, _] = reader.array("cyclic_items")?;
    for _ in 0..u16::from_be_bytes([high, low]) {
        item::read(&mut reader, &mut |target, _| visit(target))?;
    }
    expect_end(reader)
}

/// An unsolicited message.
const INDICATION: u8 = 0;
const REQUEST: u8 = 1;
const RESPONSE: u8 = 2;
/// Sub-functions of the cyclic group that name memory.
const CYCLIC_TRANSFER: u8 = 1;
const CHANGE_DRIVEN_TRANSFER: u8 = 5;
/// The method whose parameters have a data unit reference and an error.
const ANSWER_METHOD: u8 = 0x12;
/// Group and sub-function of Read SZL.
const READ_SZL: u16 = 0x0401;
/// Marks a key without type and sub-function.
pub(super) const NO_SUB: u32 = 1 << 24;
