//! Read and Write File Record (V1.1b3, 6.14 and 6.15): lists of records in one PDU.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::entry::Entry;
use super::function;
use super::pending_request::{FileList, FileRange, PendingRequest};
use crate::context::Context;
use crate::dissector::Outcome;
use crate::operation::Values;
use crate::reader::{DecodeError, Reader};

/// Decodes the sub-requests of either function.
pub(super) fn decode_request<'a>(
    code: u8,
    data: &'a [u8],
    context: &mut Context<'_>,
) -> Result<(PendingRequest, Values<'a>), DecodeError> {
    let byte_count = Reader::new(data).u8("byte_count")?;
    let listed = counted_bytes(data);
    if usize::from(byte_count) + 1 != data.len() || !BYTE_COUNTS.contains(&byte_count) {
        context.malformed("byte_count_mismatch", byte_count);
    }
    check_references(code, listed, context);
    Ok((file_list(code, data).unwrap_or(PendingRequest::Whole), Values::None))
}

/// The written records, as the answer repeats them.
pub(super) fn written_records(data: &[u8]) -> Option<PendingRequest> {
    file_list(function::WRITE_FILE_RECORD, data)
}

fn file_list(code: u8, data: &[u8]) -> Option<PendingRequest> {
    let ranges: Vec<_> = sub_requests(code, data).map(|(range, _)| range).collect();
    (!ranges.is_empty()).then(|| PendingRequest::Files(Box::new(FileList { ranges })))
}

/// The whole sub-requests, with the values that they write.
pub(super) fn sub_requests(code: u8, data: &[u8]) -> impl Iterator<Item = (FileRange, Values<'_>)> {
    let mut reader = Reader::new(counted_bytes(data));
    core::iter::from_fn(move || read_sub_request(code, &mut reader).ok().map(|(_, range, values)| (range, values)))
}

/// The bytes that the byte count covers, as far as they have arrived.
fn counted_bytes(data: &[u8]) -> &[u8] {
    match data {
        [byte_count, rest @ ..] => rest.get(..usize::from(*byte_count)).unwrap_or(rest),
        [] => &[],
    }
}

/// Reads one sub-request: reference type, file, record, length and, of a write, the records.
fn read_sub_request<'a>(code: u8, reader: &mut Reader<'a>) -> Result<(u8, FileRange, Values<'a>), DecodeError> {
    let kind = reader.u8("reference_type")?;
    let file = reader.u16_be("file_number")?;
    let record = reader.u16_be("record_number")?;
    let count = reader.u16_be("record_length")?;
    let values = match code {
        function::WRITE_FILE_RECORD => Values::Registers(reader.bytes(usize::from(count) * 2, "record_data")?),
        _ => Values::None,
    };
    Ok((kind, FileRange { file, record, count }, values))
}

/// Reports the first sub-request that breaks the specification.
fn check_references(code: u8, listed: &[u8], context: &mut Context<'_>) {
    let mut reader = Reader::new(listed);
    while reader.left() > 0 {
        match read_sub_request(code, &mut reader) {
            Ok((REFERENCE_TYPE, FileRange { file: 1.., record: ..=LAST_RECORD, .. }, _)) => {}
            Ok((REFERENCE_TYPE, FileRange { file: 1.., record, .. }, _)) => {
                return context.malformed("address_out_of_range", record);
            }
            Ok((REFERENCE_TYPE, ..)) => return context.malformed("file_number_invalid", 0u32),
            Ok((kind, ..)) => return context.malformed("reference_type_invalid", kind),
            Err(_) => return context.malformed("truncated_request", listed.len() as u32),
        }
    }
}

/// Reports the outcome of each record that was read: a length, the reference type, the registers.
pub(super) fn conclude_read(entry: &Entry, data: &[u8], context: &mut Context<'_>) {
    let mut reader = Reader::new(counted_bytes(data));
    for item in 0..entry.asked.item_count() {
        let values = read_sub_answer(&mut reader).unwrap_or_else(|_| {
            context.malformed("truncated_answer", data.len() as u32);
            Values::None
        });
        entry.report_item_outcome(item, values, Outcome::Accepted, context.stamp, context.sink);
    }
    context.expect_end(reader.rest());
}

fn read_sub_answer<'a>(reader: &mut Reader<'a>) -> Result<Values<'a>, DecodeError> {
    let length = usize::from(reader.u8("file_response_length")?);
    let registers = length.checked_sub(1).ok_or(DecodeError::Invalid("file_response_length"))?;
    reader.u8("reference_type")?;
    Ok(Values::Registers(reader.bytes(registers, "record_data")?))
}

/// Byte counts of a request (6.14).
const BYTE_COUNTS: core::ops::RangeInclusive<u8> = 7..=0xF5;
/// The only reference type (6.14).
const REFERENCE_TYPE: u8 = 6;
/// Last record of a file (6.14).
const LAST_RECORD: u16 = 9999;
