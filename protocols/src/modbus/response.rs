//! Answers: values, outcomes and refusals, checked against the request.

use super::entry::Entry;
use super::head::Head;
use super::pending_request::{PendingRequest, READ_ITEM, Range};
use super::{file, function, identity, request, umas};
use crate::context::Context;
use crate::dissector::{AnomalyKind, Outcome};
use crate::operation::Values;
use crate::pending::Waiting;

/// Whether an answer has the structure that its request calls for: the length of a read, the echo of a write.
#[inline]
pub(super) fn fits(asked: &PendingRequest, code: u8, data: &[u8]) -> bool {
    match (asked.unwrapped(), data) {
        (
            PendingRequest::Range(Range { address, count }) | PendingRequest::Untracked(Range { address, count }),
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

/// Whether an answer is exact for an untracked request of one range: then it only needs to be counted.
#[inline]
pub(super) fn completes(asked: &PendingRequest, code: u8, data: &[u8]) -> bool {
    let length = match (code, data) {
        (function::READ_COILS..=function::READ_INPUT_REGISTERS, [bytes, ..]) => 1 + usize::from(*bytes),
        (function::WRITE_SINGLE_COIL | function::WRITE_SINGLE_REGISTER, _)
        | (function::WRITE_MULTIPLE_COILS | function::WRITE_MULTIPLE_REGISTERS, _) => 4,
        _ => return false,
    };
    data.len() == length && matches!(asked, PendingRequest::Untracked(_)) && fits(asked, code, data)
}

/// Reports the outcome of a request by its answer. `fit`: the result of [`fits`].
pub(super) fn report_outcomes(entry: &Entry, head: Head, data: &[u8], fit: bool, context: &mut Context<'_>) {
    if head.code & function::EXCEPTION != 0 {
        return refuse(entry, data, context);
    }
    if !fit {
        context.anomaly(AnomalyKind::Malformed, "answer_differs_from_request", None);
    }
    if let Some(item) = entry.asked.excess() {
        entry.report_item_outcome(item, Values::None, Outcome::Accepted, context.stamp, context.sink);
    }
    match entry.asked.unwrapped() {
        PendingRequest::ReadWrite { .. } => {
            let values = registers(data, context);
            entry.report_item_outcome(0, Values::None, Outcome::Accepted, context.stamp, context.sink);
            entry.report_item_outcome(READ_ITEM, values, Outcome::Accepted, context.stamp, context.sink);
        }
        PendingRequest::Files(_) if head.code == function::READ_FILE_RECORD => {
            file::conclude_read(entry, data, context)
        }
        PendingRequest::Files(_) => entry.report_outcomes(Outcome::Accepted, context.stamp, context.sink),
        PendingRequest::Sub(number) if head.code == function::UMAS => {
            conclude_umas(entry, *number, head, data, context)
        }
        single => {
            let values = answer_values(single, head.code, data, context);
            entry.report_item_outcome(0, values, Outcome::Accepted, context.stamp, context.sink);
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
    entry.report_outcomes(outcome, context.stamp, context.sink);
}

/// The values in the answer to a request of one operation.
fn answer_values<'a>(asked: &PendingRequest, code: u8, data: &'a [u8], context: &mut Context<'_>) -> Values<'a> {
    match (code, asked) {
        (
            function::READ_COILS | function::READ_DISCRETE_INPUTS,
            PendingRequest::Range(range) | PendingRequest::Untracked(range),
        ) => request::bits(counted_bytes(data, context), range.count),
        (function::READ_HOLDING_REGISTERS | function::READ_INPUT_REGISTERS, _) => registers(data, context),
        (
            function::WRITE_SINGLE_COIL
            | function::WRITE_SINGLE_REGISTER
            | function::WRITE_MULTIPLE_COILS
            | function::WRITE_MULTIPLE_REGISTERS,
            _,
        ) => check_fixed_length(data, 4, context),
        (function::MASK_WRITE_REGISTER, _) => check_fixed_length(data, 6, context),
        (function::READ_EXCEPTION_STATUS, _) => status(data, context),
        (function::READ_FIFO_QUEUE, _) => fifo(data, context),
        (function::DIAGNOSTICS, _) => Values::Registers(data.get(2..).unwrap_or_default()),
        (function::GET_COMM_EVENT_COUNTER, _) => {
            check_fixed_length(data, 4, context);
            Values::Registers(data)
        }
        (function::GET_COMM_EVENT_LOG | function::REPORT_SERVER_ID, _) => Values::Bytes(counted_bytes(data, context)),
        (function::ENCAPSULATED_INTERFACE, _) => Values::Bytes(data.get(1..).unwrap_or_default()),
        _ => Values::Bytes(data),
    }
}

/// The bytes after a leading byte count, as far as they have arrived.
fn counted_bytes<'a>(data: &'a [u8], context: &mut Context<'_>) -> &'a [u8] {
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
    let bytes = counted_bytes(data, context);
    if bytes.len() % 2 == 1 {
        context.malformed("byte_count_odd", bytes.len() as u32);
    }
    Values::Registers(bytes)
}

/// Checks an answer of fixed length that only repeats a part of the request.
fn check_fixed_length<'a>(data: &[u8], length: usize, context: &mut Context<'_>) -> Values<'a> {
    match data.get(length..) {
        Some(rest) => context.expect_end(rest),
        None => context.malformed("truncated_answer", data.len() as u32),
    }
    Values::None
}

/// FC 7 (6.7): eight status bits.
fn status<'a>(data: &'a [u8], context: &mut Context<'_>) -> Values<'a> {
    check_fixed_length(data, 1, context);
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
    entry.report_item_outcome(0, Values::Bytes(rest), outcome, context.stamp, context.sink);
    if number == umas::READ_ID && outcome == Outcome::Accepted {
        identity::report_umas(head.unit, rest, context);
    }
}

/// Registers in a FIFO queue (6.18).
const MAX_FIFO: u16 = 31;
