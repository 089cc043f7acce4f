//! The length of a PDU by its function alone: RTU frames have no other length, and many servers of Modbus/TCP use it.

use super::function;
use crate::dissector::Side;

/// The length of unit and PDU, as their first bytes determine it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// Length in bytes, unit included.
    Known(usize),
    /// The byte that determines it has not arrived.
    More,
    /// The function does not determine it.
    Undefined,
}

/// The length of a PDU that `from` sends; `bytes` begin with the unit.
pub(super) fn of(from: Side, bytes: &[u8]) -> Length {
    match from {
        Side::Client => of_request(bytes),
        Side::Server => of_response(bytes),
    }
}

/// Whether unit and PDU are as long as the function requires, if it does.
#[inline]
pub(super) fn agrees(from: Side, bytes: &[u8]) -> bool {
    match of(from, bytes) {
        Length::Known(length) => length == bytes.len(),
        Length::More => false,
        Length::Undefined => true,
    }
}

fn of_request(bytes: &[u8]) -> Length {
    let Some(code) = bytes.get(1) else { return Length::More };
    match *code {
        1..=6 => Length::Known(6),
        7 | 11 | 12 | 17 => Length::Known(2),
        function::DIAGNOSTICS => diagnostic(bytes),
        function::WRITE_MULTIPLE_COILS | function::WRITE_MULTIPLE_REGISTERS => counted(bytes, 6),
        function::READ_FILE_RECORD | function::WRITE_FILE_RECORD => counted(bytes, 2),
        function::MASK_WRITE_REGISTER => Length::Known(8),
        function::READ_WRITE_MULTIPLE_REGISTERS => counted(bytes, 10),
        function::READ_FIFO_QUEUE => Length::Known(4),
        function::ENCAPSULATED_INTERFACE => encapsulated(bytes, Length::Known(5)),
        _ => Length::Undefined,
    }
}

fn of_response(bytes: &[u8]) -> Length {
    let Some(code) = bytes.get(1) else { return Length::More };
    match *code {
        function::EXCEPTION.. => Length::Known(3),
        1..=4 | 12 | 17 | 20 | 21 | function::READ_WRITE_MULTIPLE_REGISTERS => counted(bytes, 2),
        5 | 6 | 11 | 15 | 16 => Length::Known(6),
        function::READ_EXCEPTION_STATUS => Length::Known(3),
        function::DIAGNOSTICS => diagnostic(bytes),
        function::MASK_WRITE_REGISTER => Length::Known(8),
        function::READ_FIFO_QUEUE => match bytes {
            [_, _, high, low, ..] => Length::Known(usize::from(u16::from_be_bytes([*high, *low])) + 4),
            _ => Length::More,
        },
        function::ENCAPSULATED_INTERFACE => encapsulated(bytes, objects(bytes)),
        _ => Length::Undefined,
    }
}

/// The length where the byte at `at` counts the bytes after it.
fn counted(bytes: &[u8], at: usize) -> Length {
    bytes.get(at).map_or(Length::More, |count| Length::Known(at + 1 + usize::from(*count)))
}

/// The length of Diagnostics: sub-functions of the standard have two bytes of data (6.8), except for the one that
/// returns any data.
fn diagnostic(bytes: &[u8]) -> Length {
    match bytes {
        [_, _, 0, 1..=4 | 0x0A..=0x15, ..] => Length::Known(6),
        [_, _, _, _, ..] => Length::Undefined,
        _ => Length::More,
    }
}

/// The length of an MEI request or answer: only that of Read Device Identification is defined.
fn encapsulated(bytes: &[u8], identification: Length) -> Length {
    match bytes.get(2) {
        None => Length::More,
        Some(&mei) if u16::from(mei) == function::MEI_DEVICE_IDENTIFICATION => identification,
        Some(_) => Length::Undefined,
    }
}

/// The length of the answer to Read Device Identification: its objects, one after the other.
fn objects(bytes: &[u8]) -> Length {
    let Some(count) = bytes.get(7) else { return Length::More };
    let mut end = 8;
    for _ in 0..*count {
        let Some(length) = bytes.get(end + 1) else { return Length::More };
        end += 2 + usize::from(*length);
        if end > LONGEST {
            break;
        }
    }
    Length::Known(end)
}

/// Number of bytes that show whether the function determines the length: unit, function and sub-function.
pub(super) const TELLING: usize = 4;
/// Unit and the longest PDU (253 bytes).
const LONGEST: usize = 254;
