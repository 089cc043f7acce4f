//! Whether a PDU has the structure that the specification gives its function: for identification, and for frame
//! boundaries, where the bytes may not be Modbus at all.

use super::{function, request, umas};
use crate::dissector::{Boundary, Side};

/// How well bytes fit one direction of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// The function is defined, and every length and limit agrees.
    Exact,
    /// The function has no defined structure: anything fits.
    Unusual,
    /// The function is defined, but not with this structure.
    Wrong,
}

impl Fit {
    const fn exact(holds: bool) -> Self {
        if holds { Self::Exact } else { Self::Wrong }
    }
}

/// How well a PDU fits one that `side` may send.
pub(super) fn fit(side: Side, code: u8, data: &[u8]) -> Fit {
    match side {
        Side::Client => fit_request(code, data),
        Side::Server => fit_response(code, data),
    }
}

/// How well a PDU proves the start of its frame. Function code 0 does not: small numbers of 32 bits look like such
/// headers.
pub(super) fn boundary(side: Side, code: u8, data: &[u8]) -> Boundary {
    match fit(side, code, data) {
        Fit::Exact => Boundary::Certain,
        _ if code == 0 => Boundary::Unlikely,
        _ => Boundary::Likely,
    }
}

/// Whether an incomplete PDU may still become an exact one.
pub(super) fn may_begin(side: Side, pdu: &[u8]) -> bool {
    let Some((code, data)) = pdu.split_first() else { return true };
    let number = |at: usize| u16_at(data, at);
    let is_within = |at: usize, limit: u16| number(at).is_none_or(|count| (1..=limit).contains(&count));
    let is_counted = |at: usize, expected: u32| data.get(at).is_none_or(|count| u32::from(*count) == expected);
    let of = |at: usize| number(at).map_or(0, u32::from);
    match (side, *code) {
        (Side::Client, function::WRITE_MULTIPLE_COILS) => {
            is_within(2, request::MAX_WRITE_BITS) && is_counted(4, of(2).div_ceil(8))
        }
        (Side::Client, function::WRITE_MULTIPLE_REGISTERS) => {
            is_within(2, request::MAX_WRITE_REGISTERS) && is_counted(4, of(2) * 2)
        }
        (Side::Client, function::READ_WRITE_MULTIPLE_REGISTERS) => {
            is_within(2, request::MAX_READ_REGISTERS) && is_counted(8, of(6) * 2)
        }
        _ => true,
    }
}

/// How well a PDU fits a request.
pub(super) fn fit_request(code: u8, data: &[u8]) -> Fit {
    if code & function::EXCEPTION != 0 {
        return Fit::Wrong;
    }
    if !function::has_known_shape(code) {
        return Fit::Unusual;
    }
    let number = |at: usize| u16_at(data, at);
    let within = |at: usize, limit: u16| number(at).is_some_and(|count| (1..=limit).contains(&count));
    Fit::exact(match code {
        function::READ_COILS | function::READ_DISCRETE_INPUTS => data.len() == 4 && within(2, request::MAX_READ_BITS),
        function::READ_HOLDING_REGISTERS | function::READ_INPUT_REGISTERS => {
            data.len() == 4 && within(2, request::MAX_READ_REGISTERS)
        }
        function::WRITE_SINGLE_COIL => data.len() == 4 && matches!(number(2), Some(0 | 0xFF00)),
        function::WRITE_SINGLE_REGISTER => data.len() == 4,
        function::DIAGNOSTICS => is_diagnostic(data),
        function::WRITE_MULTIPLE_COILS => {
            within(2, request::MAX_WRITE_BITS)
                && counts(data, 4)
                && data.get(4).map(|count| u16::from(*count)) == number(2).map(|count| count.div_ceil(8))
        }
        function::WRITE_MULTIPLE_REGISTERS => {
            within(2, request::MAX_WRITE_REGISTERS)
                && counts(data, 4)
                && data.get(4).map(|count| u16::from(*count)) == number(2).map(|count| count * 2)
        }
        function::READ_FILE_RECORD | function::WRITE_FILE_RECORD => counts(data, 0) && data.len() > 7,
        function::MASK_WRITE_REGISTER => data.len() == 6,
        function::READ_WRITE_MULTIPLE_REGISTERS => {
            within(2, request::MAX_READ_REGISTERS)
                && counts(data, 8)
                && data.get(8).map(|count| u32::from(*count)) == number(6).map(|count| u32::from(count) * 2)
        }
        function::READ_FIFO_QUEUE => data.len() == 2,
        function::ENCAPSULATED_INTERFACE => matches!(data, [14, 1..=4, _]),
        function::UMAS => data.get(1).is_some_and(|number| umas::is_known(*number)),
        _ => data.is_empty(),
    })
}

/// How well a PDU fits a response.
pub(super) fn fit_response(code: u8, data: &[u8]) -> Fit {
    if code & function::EXCEPTION != 0 {
        return Fit::exact(function::has_known_shape(code & !function::EXCEPTION) && matches!(data, [1..=8 | 10 | 11]));
    }
    if !function::has_known_shape(code) {
        return Fit::Unusual;
    }
    let number = |at: usize| u16_at(data, at);
    let within = |at: usize, limit: u16| number(at).is_some_and(|count| (1..=limit).contains(&count));
    Fit::exact(match code {
        function::READ_COILS | function::READ_DISCRETE_INPUTS => counts(data, 0) && data.len() > 1,
        function::READ_HOLDING_REGISTERS | function::READ_INPUT_REGISTERS | function::READ_WRITE_MULTIPLE_REGISTERS => {
            counts(data, 0) && data.len() > 1 && data.len() % 2 == 1
        }
        function::WRITE_SINGLE_COIL => data.len() == 4 && matches!(number(2), Some(0 | 0xFF00)),
        function::WRITE_SINGLE_REGISTER | function::GET_COMM_EVENT_COUNTER => data.len() == 4,
        function::READ_EXCEPTION_STATUS => data.len() == 1,
        function::DIAGNOSTICS => is_diagnostic(data),
        function::GET_COMM_EVENT_LOG => counts(data, 0) && data.len() > 6,
        function::WRITE_MULTIPLE_COILS => data.len() == 4 && within(2, request::MAX_WRITE_BITS),
        function::WRITE_MULTIPLE_REGISTERS => data.len() == 4 && within(2, request::MAX_WRITE_REGISTERS),
        function::REPORT_SERVER_ID => counts(data, 0) && data.len() > 2,
        function::READ_FILE_RECORD | function::WRITE_FILE_RECORD => counts(data, 0) && data.len() > 2,
        function::MASK_WRITE_REGISTER => data.len() == 6,
        function::READ_FIFO_QUEUE => number(0).is_some_and(|count| usize::from(count) + 2 == data.len()),
        function::ENCAPSULATED_INTERFACE => matches!(data, [14, 1..=4, 1..=3 | 0x81..=0x83, _, _, _, ..]),
        function::UMAS => matches!(data, [_, umas::OK | umas::ERROR, ..]),
        _ => false,
    })
}

/// Whether the data are those of a defined sub-function.
fn is_diagnostic(data: &[u8]) -> bool {
    match data {
        [0, 0, rest @ ..] => rest.len() >= 2 && rest.len() % 2 == 0,
        [0, 1..=4 | 0x0A..=0x15, rest @ ..] => rest.len() == 2,
        _ => false,
    }
}

/// Whether the byte at `at` counts the bytes that follow it.
fn counts(data: &[u8], at: usize) -> bool {
    data.get(at).is_some_and(|count| usize::from(*count) + at + 1 == data.len())
}

fn u16_at(data: &[u8], at: usize) -> Option<u16> {
    let pair = data.get(at..)?.first_chunk::<2>()?;
    Some(u16::from_be_bytes(*pair))
}
