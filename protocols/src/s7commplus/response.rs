//! Responses: how each operation of a request ended, and what was read.

use super::object::{Element, walk};
use super::pending_request::{Item, MAX_ITEMS, PendingRequest, object};
use super::value::{Scalar, Value};
use super::{Context, Owned, Stack, function, id, identity, vlq};
use crate::dissector::{Outcome, RequestRef};
use crate::fault::Fault;
use crate::operation::{Class, Target, Values};
use crate::reader::{DecodeError, Reader};

/// Tells how every operation of a request ended; returns how the whole did. `is_cut`: the end of the answer is not there.
pub(super) fn conclude(
    asked: &PendingRequest,
    code: u16,
    body: &[u8],
    is_cut: bool,
    owned: &mut Owned,
    context: &mut Context<'_>,
) -> Outcome {
    let mut reader = Reader::new(body);
    let mut answer = Answer { asked, done: [0; WORDS] };
    let outcome = match return_value(&mut reader, code) {
        Ok(outcome) => outcome,
        Err(error) => {
            Fault::from(error).report(is_cut, context);
            answer.rest(Outcome::Pending, context);
            return Outcome::Pending;
        }
    };
    let result = answer.items(outcome, &mut reader, owned, context);
    if let Err(fault) = result {
        fault.report(is_cut, context);
    }
    answer.rest(outcome, context);
    outcome
}

/// The return value: the low 16 bits are an error code, and only negative ones are errors. The positive ones that are
/// known are remarks (17 session legitimated, 19 partly done, 22 session no longer legitimated).
fn return_value(reader: &mut Reader<'_>, code: u16) -> Result<Outcome, DecodeError> {
    let error = vlq::unsigned64(reader, "return_value")? as u16;
    let (signed, name) = (error.cast_signed(), function::error_name(error.cast_signed()));
    Ok(if signed < 0 || function::is_error(code) {
        Outcome::Refused { code: error.into(), name }
    } else {
        Outcome::Accepted
    })
}

/// Tells what an answer shows to have been carried out, if its request is not in the capture and changed something.
pub(super) fn unseen(code: u16, body: &[u8], owned: &Owned, stack: &mut Stack, context: &mut Context<'_>) {
    let mut reader = Reader::new(body);
    if function::is_error(code) || return_value(&mut reader, code) != Ok(Outcome::Accepted) {
        return;
    }
    let function = function::of(code);
    let (class, target) = match code {
        // The start of TLS changes nothing.
        function::INIT_SSL => return,
        function::CREATE_OBJECT => {
            let created = reader.u8("object_count").ok().filter(|count| *count > 0);
            let id = created.and_then(|_| vlq::unsigned32(&mut reader, "object").ok());
            (id.map(id::kind), None)
        }
        function::DELETE_OBJECT => {
            let id = reader.array("object").ok().map(u32::from_be_bytes);
            (id.map(|id| owned.class(id).unwrap_or(id::kind(id))), id.map(|id| object(id, [])))
        }
        _ => (None, None),
    };
    let item =
        Item { class: class.unwrap_or(function.class), target: target.unwrap_or(Target::Unread { part: "target" }) };
    if item.class.changes() {
        let at = RequestRef { request: stack.assign_number(), item: 0 };
        context.sink.request_unseen(at, &item.operation(function, Values::None), context.stamp);
    }
}

/// The answer to a request, and which of its items were told.
struct Answer<'a> {
    asked: &'a PendingRequest,
    done: [u64; WORDS],
}

impl Answer<'_> {
    /// Tells what the answer says about single items; `outcome` is that of the whole.
    fn items(
        &mut self,
        outcome: Outcome,
        reader: &mut Reader<'_>,
        owned: &mut Owned,
        context: &mut Context<'_>,
    ) -> Result<(), Fault> {
        if outcome != Outcome::Accepted {
            return Ok(());
        }
        match self.asked.function.code as u16 {
            function::GET_MULTI_VARIABLES => {
                self.values(reader, context)?;
                self.errors(reader, context)
            }
            function::SET_MULTI_VARIABLES => self.errors(reader, context),
            function::GET_VARIABLE => self.value(reader, context),
            function::GET_VAR_SUB_STREAMED => {
                reader.bytes(1, "stream_head")?;
                self.value(reader, context)
            }
            function::CREATE_OBJECT => self.created(reader, owned, context),
            _ => Ok(()),
        }
    }

    /// Values behind the numbers of their items, ended by 0.
    fn values(&mut self, reader: &mut Reader<'_>, context: &mut Context<'_>) -> Result<(), Fault> {
        loop {
            let number = vlq::unsigned32(reader, "item_number")?;
            if number == 0 {
                return Ok(());
            }
            let value = Value::read(reader)?;
            identity::of_server(&value, context);
            self.tell(number, value.scalar().values(), Outcome::Accepted, context)?;
        }
    }

    /// Error values behind the numbers of their items, ended by 0.
    fn errors(&mut self, reader: &mut Reader<'_>, context: &mut Context<'_>) -> Result<(), Fault> {
        loop {
            let number = vlq::unsigned32(reader, "item_number")?;
            if number == 0 {
                return Ok(());
            }
            let code = vlq::unsigned64(reader, "item_error")? as u16;
            let name = function::error_name(code.cast_signed());
            self.tell(number, Values::None, Outcome::Refused { code: code.into(), name }, context)?;
        }
    }

    /// The only value.
    fn value(&mut self, reader: &mut Reader<'_>, context: &mut Context<'_>) -> Result<(), Fault> {
        let value = Value::read(reader)?;
        identity::of_server(&value, context);
        let scalar: Scalar<'_> = value.scalar();
        self.tell(1, scalar.values(), Outcome::Accepted, context)
    }

    /// The ids of new objects, which this conversation may delete; of a session also what the controller is.
    fn created(&mut self, reader: &mut Reader<'_>, owned: &mut Owned, context: &mut Context<'_>) -> Result<(), Fault> {
        let class = self.asked.items.first().map_or(Class::Program, |item| item.class);
        for _ in 0..reader.u8("object_count")? {
            owned.learn(vlq::unsigned32(reader, "object")?, class);
        }
        walk(reader, |depth, element| {
            if let (1, Element::Attribute { id, value }) = (depth, element) {
                identity::of_session(id, &value, context);
            }
        })
    }

    /// Tells the outcome of the item with this number, from 1, unless it was told.
    fn tell(
        &mut self,
        number: u32,
        values: Values<'_>,
        outcome: Outcome,
        context: &mut Context<'_>,
    ) -> Result<(), Fault> {
        let index = (number as usize).wrapping_sub(1);
        if index >= self.asked.items.len() || !self.mark_reported(index) {
            return Err(Fault::invalid("item_number"));
        }
        self.asked.conclude_item(index, values, outcome, context.stamp, context.sink);
        Ok(())
    }

    /// Whether an item was not told yet; from now on it was.
    fn mark_reported(&mut self, index: usize) -> bool {
        let Some(word) = self.done.get_mut(index / 64) else { return false };
        let bit = 1 << (index % 64);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    /// Gives every item that was not told the outcome of the whole.
    fn rest(&mut self, outcome: Outcome, context: &mut Context<'_>) {
        for index in 0..self.asked.items.len() {
            if self.mark_reported(index) {
                self.asked.conclude_item(index, Values::None, outcome, context.stamp, context.sink);
            }
        }
    }
}

/// A bit for each item, and for the one that stands for the rest.
const WORDS: usize = MAX_ITEMS / 64 + 1;
