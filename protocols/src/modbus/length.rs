//! How long a PDU is by its function alone, whatever a header says: RTU frames have no other length, and many servers of
//! Modbus/TCP go by it.

use super::function;
use crate::dissector::Side;

/// What the bytes from the unit on say about the length of unit and PDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// So many bytes, unit included.
    Known(usize),
    /// A byte that tells has not arrived.
    More,
    /// The function does not determine it.
    Open,
}

/// The length of what a side sends, from its unit on.
pub(super) fn of(from: Side, bytes: &[u8]) -> Length {
    match from {
        Side::Client => of_request(bytes),
        Side::Server => of_response(bytes),
    }
}

/// Whether unit and PDU are as long as the function says, if it says so.
#[inline]
pub(super) fn agrees(from: Side, bytes: &[u8]) -> bool {
    match of(from, bytes) {
        Length::Known(length) => length == bytes.len(),
        Length::More => false,
        Length::Open => true,
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
        _ => Length::Open,
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
        _ => Length::Open,
    }
}

/// The byte at `at` counts those behind it.
fn counted(bytes: &[u8], at: usize) -> Length {
    bytes.get(at).map_or(Length::More, |count| Length::Known(at + 1 + usize::from(*count)))
}

/// Sub-functions of the standard have two bytes of data (6.8), but for the one that returns whatever it is given.
fn diagnostic(bytes: &[u8]) -> Length {
    match bytes {
        [_, _, 0, 1..=4 | 0x0A..=0x15, ..] => Length::Known(6),
        [_, _, _, _, ..] => Length::Open,
        _ => Length::More,
    }
}

/// Only Read Device Identification has a length of its own.
fn encapsulated(bytes: &[u8], identification: Length) -> Length {
    match bytes.get(2) {
        None => Length::More,
        Some(&mei) if u16::from(mei) == function::MEI_DEVICE_IDENTIFICATION => identification,
        Some(_) => Length::Open,
    }
}

/// The answer to Read Device Identification: its objects, one after the other.
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

/// Bytes from the unit on that tell whether the function determines the length: unit, function and sub-function.
pub(super) const TELLING: usize = 4;
/// Unit and the longest PDU (253 bytes).
const LONGEST: usize = 254;
