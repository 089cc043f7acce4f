//! Answers: what was read, what was done, what was refused, held against what was asked.

use super::entry::Entry;
use super::head::Head;
use super::pending_request::{PendingRequest, READ_ITEM, Range};
use super::{file, function, identity, request, umas};
use crate::context::Context;
use crate::dissector::{AnomalyKind, Outcome};
use crate::operation::Values;
use crate::pending::Waiting;

/// Whether an answer has the shape that a request calls for: its length for a read, its echo for a write.
#[inline]
pub(super) fn fits(asked: &PendingRequest, code: u8, data: &[u8]) -> bool {
    match (asked.plainly(), data) {
        (
            PendingRequest::Range(Range { address, count }) | PendingRequest::Passed(Range { address, count }),
            [first, ..],
        ) => match code {
            function::READ_COILS | function::READ_DISCRETE_INPUTS => u16::from(*first) == count.div_ceil(8),
            function::READ_HOLDING_REGISTERS | function::READ_INPUT_REGISTERS => {
                u32::from(*first) == u32::from(*count) * 2
            }
            function::WRITE_SINGLE_COIL | function::WRITE_SINGLE_REGISTER | function::MASK_WRITE_REGISTER => {
                data.starts_with(&address.to_be_bytes())
            }
            function::WRITE_MULTIPLE_COILS | function::WRITE_MULTIPLE_REGISTERS => {
                data.starts_with(&address.to_be_bytes())
                    && data.get(2..).is_some_and(|rest| rest.starts_with(&count.to_be_bytes()))
            }
            _ => true,
        },
        (PendingRequest::ReadWrite { read, .. }, [first, ..]) => u32::from(*first) == u32::from(read.count) * 2,
        (PendingRequest::Sub(number), [first, second, ..]) => match code {
            function::DIAGNOSTICS => u16::from_be_bytes([*first, *second]) == *number,
            function::ENCAPSULATED_INTERFACE => u16::from(*first) == *number,
            _ => true,
        },
        (PendingRequest::Whole | PendingRequest::Files(_), _) => true,
        _ => false,
    }
}

/// Whether an answer is just what a request of one range calls for, whose outcome nobody waits for: then nothing in it
/// breaks the specification, and all there is to tell is that it came.
#[inline]
pub(super) fn completes(asked: &PendingRequest, code: u8, data: &[u8]) -> bool {
    let length = match (code, data) {
        (function::READ_COILS..=function::READ_INPUT_REGISTERS, [bytes, ..]) => 1 + usize::from(*bytes),
        (function::WRITE_SINGLE_COIL | function::WRITE_SINGLE_REGISTER, _)
        | (function::WRITE_MULTIPLE_COILS | function::WRITE_MULTIPLE_REGISTERS, _) => 4,
        _ => return false,
    };
    data.len() == length && matches!(asked, PendingRequest::Passed(_)) && fits(asked, code, data)
}

/// Tells the outcome of the request that an answer belongs to. `fit`: what [`fits`] said of the two.
pub(super) fn conclude(entry: &Entry, head: Head, data: &[u8], fit: bool, context: &mut Context<'_>) {
    if head.code & function::EXCEPTION != 0 {
        return refuse(entry, data, context);
    }
    if !fit {
        context.anomaly(AnomalyKind::Malformed, "answer_differs_from_request", None);
    }
    if let Some(item) = entry.asked.excess() {
        entry.conclude_item(item, Values::None, Outcome::Accepted, context.stamp, context.sink);
    }
    match entry.asked.plainly() {
        PendingRequest::ReadWrite { .. } => {
            let values = registers(data, context);
            entry.conclude_item(0, Values::None, Outcome::Accepted, context.stamp, context.sink);
            entry.conclude_item(READ_ITEM, values, Outcome::Accepted, context.stamp, context.sink);
        }
        PendingRequest::Files(_) if head.code == function::READ_FILE_RECORD => {
            file::conclude_read(entry, data, context)
        }
        PendingRequest::Files(_) => entry.conclude(Outcome::Accepted, context.stamp, context.sink),
        PendingRequest::Sub(number) if head.code == function::UMAS => {
            conclude_umas(entry, *number, head, data, context)
        }
        single => {
            let values = answered(single, head.code, data, context);
            entry.conclude_item(0, values, Outcome::Accepted, context.stamp, context.sink);
        }
    }
}

/// An exception response (chapter 7): the code follows the function.
fn refuse(entry: &Entry, data: &[u8], context: &mut Context<'_>) {
    let code = data.first().copied().unwrap_or_default();
    if data.len() != 1 {
        context.malformed("exception_length", data.len() as u32);
    }
    let outcome = Outcome::Refused { code: code.into(), name: function::exception_name(code) };
    entry.conclude(outcome, context.stamp, context.sink);
}

/// The values in the answer to a request of one operation.
fn answered<'a>(asked: &PendingRequest, code: u8, data: &'a [u8], context: &mut Context<'_>) -> Values<'a> {
    match (code, asked) {
        (
            function::READ_COILS | function::READ_DISCRETE_INPUTS,
            PendingRequest::Range(range) | PendingRequest::Passed(range),
        ) => request::bits(counted(data, context), range.count),
        (function::READ_HOLDING_REGISTERS | function::READ_INPUT_REGISTERS, _) => registers(data, context),
        (
            function::WRITE_SINGLE_COIL
            | function::WRITE_SINGLE_REGISTER
            | function::WRITE_MULTIPLE_COILS
            | function::WRITE_MULTIPLE_REGISTERS,
            _,
        ) => echo(data, 4, context),
        (function::MASK_WRITE_REGISTER, _) => echo(data, 6, context),
        (function::READ_EXCEPTION_STATUS, _) => status(data, context),
        (function::READ_FIFO_QUEUE, _) => fifo(data, context),
        (function::DIAGNOSTICS, _) => Values::Registers(data.get(2..).unwrap_or_default()),
        (function::GET_COMM_EVENT_COUNTER, _) => {
            echo(data, 4, context);
            Values::Registers(data)
        }
        (function::GET_COMM_EVENT_LOG | function::REPORT_SERVER_ID, _) => Values::Bytes(counted(data, context)),
        (function::ENCAPSULATED_INTERFACE, _) => Values::Bytes(data.get(1..).unwrap_or_default()),
        _ => Values::Bytes(data),
    }
}

/// The bytes that a leading byte count announces, as far as they are there.
fn counted<'a>(data: &'a [u8], context: &mut Context<'_>) -> &'a [u8] {
    let Some((byte_count, bytes)) = data.split_first() else {
        context.malformed("truncated_answer", 0u32);
        return &[];
    };
    if usize::from(*byte_count) != bytes.len() {
        context.malformed("byte_count_mismatch", *byte_count);
    }
    bytes.get(..usize::from(*byte_count)).unwrap_or(bytes)
}

fn registers<'a>(data: &'a [u8], context: &mut Context<'_>) -> Values<'a> {
    let bytes = counted(data, context);
    if bytes.len() % 2 == 1 {
        context.malformed("byte_count_odd", bytes.len() as u32);
    }
    Values::Registers(bytes)
}

/// An answer of fixed length that repeats (part of) the request: nothing in it is new.
fn echo<'a>(data: &[u8], length: usize, context: &mut Context<'_>) -> Values<'a> {
    match data.get(length..) {
        Some(rest) => context.expect_end(rest),
        None => context.malformed("truncated_answer", data.len() as u32),
    }
    Values::None
}

/// FC 7 (6.7): eight status bits.
fn status<'a>(data: &'a [u8], context: &mut Context<'_>) -> Values<'a> {
    echo(data, 1, context);
    request::bits(data.get(..1).unwrap_or_default(), 8)
}

/// FC 24 (6.18): byte count of two bytes, number of registers in the queue, the registers.
fn fifo<'a>(data: &'a [u8], context: &mut Context<'_>) -> Values<'a> {
    let &[high, low, count_high, count_low, ref bytes @ ..] = data else {
        context.malformed("truncated_answer", data.len() as u32);
        return Values::None;
    };
    let byte_count = u16::from_be_bytes([high, low]);
    let count = u16::from_be_bytes([count_high, count_low]);
    if count > MAX_FIFO {
        context.malformed("quantity_out_of_range", count);
    }
    if usize::from(byte_count) != bytes.len() + 2 || usize::from(count) * 2 != bytes.len() {
        context.malformed("byte_count_mismatch", byte_count);
    }
    Values::Registers(bytes)
}

/// FC 90: the reservation key, whether it worked, data.
fn conclude_umas(entry: &Entry, number: u16, head: Head, data: &[u8], context: &mut Context<'_>) {
    let (outcome, rest) = match data {
        [_, umas::OK, rest @ ..] => (Outcome::Accepted, rest),
        [_, umas::ERROR, rest @ ..] => (Outcome::Refused { code: umas::ERROR.into(), name: "umas_error" }, rest),
        _ => {
            context.malformed("umas_status_invalid", data.get(1).copied().unwrap_or_default());
            (Outcome::Accepted, data)
        }
    };
    entry.conclude_item(0, Values::Bytes(rest), outcome, context.stamp, context.sink);
    if number == umas::READ_ID && outcome == Outcome::Accepted {
        identity::umas(head.unit, rest, context);
    }
}

/// Registers in a FIFO queue (6.18).
const MAX_FIFO: u16 = 31;
