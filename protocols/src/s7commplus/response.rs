//! Responses: the outcome of each operation of a request, and the values that were read.

use super::object::{Element, walk};
use super::pending_request::{Item, MAX_ITEMS, PendingRequest, object_target};
use super::value::{Scalar, Value};
use super::{Context, Owned, Stack, function, id, identity, vlq};
use crate::dissector::{Outcome, RequestRef};
use crate::fault::Fault;
use crate::operation::{Class, Target, Values};
use crate::reader::{DecodeError, Reader};

/// Reports the outcome of every operation of a request; returns that of the whole. `is_cut`: the end of the answer is
/// missing.
pub(super) fn report_outcomes(
    asked: &PendingRequest,
    code: u16,
    body: &[u8],
    is_cut: bool,
    owned: &mut Owned,
    context: &mut Context<'_>,
) -> Outcome {
    let mut reader = Reader::new(body);
    let mut answer = Answer { asked, done: [0; WORDS] };
    let outcome = match read_return_value(&mut reader, code) {
        Ok(outcome) => outcome,
        Err(error) => {
            Fault::from(error).report(is_cut, context);
            answer.conclude_rest(Outcome::Pending, context);
            return Outcome::Pending;
        }
    };
    let result = answer.conclude_items(outcome, &mut reader, owned, context);
    if let Err(fault) = result {
        fault.report(is_cut, context);
    }
    answer.conclude_rest(outcome, context);
    outcome
}

/// Reads the return value: its low 16 bits are an error code, and only negative codes are errors. The known positive
/// ones are remarks (17 session legitimated, 19 partly done, 22 session no longer legitimated).
fn read_return_value(reader: &mut Reader<'_>, code: u16) -> Result<Outcome, DecodeError> {
    let error = vlq::read_u64(reader, "return_value")? as u16;
    let (signed, name) = (error.cast_signed(), function::error_name(error.cast_signed()));
    Ok(if signed < 0 || function::is_error(code) {
        Outcome::Refused { code: error.into(), name }
    } else {
        Outcome::Accepted
    })
}

/// Reports the executed operation that an answer without a request proves, if it changes the controller.
pub(super) fn report_unseen(code: u16, body: &[u8], owned: &Owned, stack: &mut Stack, context: &mut Context<'_>) {
    let mut reader = Reader::new(body);
    if function::is_error(code) || read_return_value(&mut reader, code) != Ok(Outcome::Accepted) {
        return;
    }
    let function = function::of(code);
    let (class, target) = match code {
        // The start of TLS changes nothing.
        function::INIT_SSL => return,
        function::CREATE_OBJECT => {
            let created = reader.u8("object_count").ok().filter(|count| *count > 0);
            let id = created.and_then(|_| vlq::read_u32(&mut reader, "object").ok());
            (id.map(id::object_class), None)
        }
        function::DELETE_OBJECT => {
            let id = reader.array("object").ok().map(u32::from_be_bytes);
            (id.map(|id| owned.class_of(id).unwrap_or(id::object_class(id))), id.map(|id| object_target(id, [])))
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

/// The answer to a request, and the items that were reported.
struct Answer<'a> {
    asked: &'a PendingRequest,
    done: [u64; WORDS],
}

impl Answer<'_> {
    /// Reports the outcomes of single items; `outcome`: that of the whole.
    fn conclude_items(
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
                self.conclude_values(reader, context)?;
                self.conclude_errors(reader, context)
            }
            function::SET_MULTI_VARIABLES => self.conclude_errors(reader, context),
            function::GET_VARIABLE => self.conclude_value(reader, context),
            function::GET_VAR_SUB_STREAMED => {
                reader.bytes(1, "stream_head")?;
                self.conclude_value(reader, context)
            }
            function::CREATE_OBJECT => self.conclude_created(reader, owned, context),
            _ => Ok(()),
        }
    }

    /// Values after the numbers of their items, ended by 0.
    fn conclude_values(&mut self, reader: &mut Reader<'_>, context: &mut Context<'_>) -> Result<(), Fault> {
        loop {
            let number = vlq::read_u32(reader, "item_number")?;
            if number == 0 {
                return Ok(());
            }
            let value = Value::read(reader)?;
            identity::report_server(&value, context);
            self.report_item_outcome(number, value.scalar().values(), Outcome::Accepted, context)?;
        }
    }

    /// Error values after the numbers of their items, ended by 0.
    fn conclude_errors(&mut self, reader: &mut Reader<'_>, context: &mut Context<'_>) -> Result<(), Fault> {
        loop {
            let number = vlq::read_u32(reader, "item_number")?;
            if number == 0 {
                return Ok(());
            }
            let code = vlq::read_u64(reader, "item_error")? as u16;
            let name = function::error_name(code.cast_signed());
            self.report_item_outcome(number, Values::None, Outcome::Refused { code: code.into(), name }, context)?;
        }
    }

    /// A single value.
    fn conclude_value(&mut self, reader: &mut Reader<'_>, context: &mut Context<'_>) -> Result<(), Fault> {
        let value = Value::read(reader)?;
        identity::report_server(&value, context);
        let scalar: Scalar<'_> = value.scalar();
        self.report_item_outcome(1, scalar.values(), Outcome::Accepted, context)
    }

    /// The ids of new objects, which this flow may delete; of a session also the identity of the controller.
    fn conclude_created(
        &mut self,
        reader: &mut Reader<'_>,
        owned: &mut Owned,
        context: &mut Context<'_>,
    ) -> Result<(), Fault> {
        let class = self.asked.items.first().map_or(Class::Program, |item| item.class);
        for _ in 0..reader.u8("object_count")? {
            owned.add(vlq::read_u32(reader, "object")?, class);
        }
        walk(reader, |depth, element| {
            if let (1, Element::Attribute { id, value }) = (depth, element) {
                identity::report_session(id, &value, context);
            }
        })
    }

    /// Reports the outcome of the item with this number, from 1. An error if there is no such item or it was reported
    /// before.
    fn report_item_outcome(
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
        self.asked.report_item_outcome(index, values, outcome, context.stamp, context.sink);
        Ok(())
    }

    /// Marks an item as reported. Returns whether it was not before.
    fn mark_reported(&mut self, index: usize) -> bool {
        let Some(word) = self.done.get_mut(index / 64) else { return false };
        let bit = 1 << (index % 64);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    /// Reports the outcome of the whole for every other item.
    fn conclude_rest(&mut self, outcome: Outcome, context: &mut Context<'_>) {
        for index in 0..self.asked.items.len() {
            if self.mark_reported(index) {
                self.asked.report_item_outcome(index, Values::None, outcome, context.stamp, context.sink);
            }
        }
    }
}

/// Words of one bit for each item, and for the item that stands for the rest.
const WORDS: usize = MAX_ITEMS / 64 + 1;
