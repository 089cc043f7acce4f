//! Requests: the fields of every function, held against the limits of the specification (V1.1b3, chapter 6).
//!
//! A field that breaks a limit is reported and decoding continues; a request that ends too early still is an operation,
//! on its unit as a whole.

use alloc::boxed::Box;

use super::head::Head;
use super::pending_request::{PendingRequest, READ_ITEM, Range, read_of};
use super::{file, function};
use crate::context::Context;
use crate::dissector::{RequestRef, Sink, Stamp};
use crate::operation::Values;
use crate::reader::{DecodeError, Reader};

type Decoded<'a> = Result<(PendingRequest, Values<'a>), DecodeError>;

/// Decodes a request and reports its operations.
#[inline]
pub(super) fn announce(
    number: u32,
    head: Head,
    data: &[u8],
    is_ambiguous: bool,
    context: &mut Context<'_>,
) -> PendingRequest {
    let (asked, values) = decode(head.code, data, context);
    let asked = if is_ambiguous { PendingRequest::Ambiguous(Box::new(asked)) } else { asked };
    let mut is_tracked = false;
    let mut report_item = |item: u16, values| {
        let operation = asked.operation(head.unit, head.code, item, values);
        let at = RequestRef { request: number, item: item.into() };
        is_tracked |= context.sink.operation(at, &operation, context.stamp);
    };
    match asked.unwrapped() {
        PendingRequest::ReadWrite { .. } => {
            report_item(0, values);
            report_item(READ_ITEM, Values::None);
        }
        PendingRequest::Files(list) => {
            let items = 0..list.ranges.len() as u16;
            items.zip(file::sub_requests(head.code, data)).for_each(|(item, (_, values))| report_item(item, values));
        }
        _ => report_item(0, values),
    }
    if let Some(item) = asked.excess() {
        report_item(item, Values::None);
    }
    asked.after_announcement(is_tracked)
}

/// The range of a read (FC 1 to 4) that meets the specification: a short path for most requests.
#[inline]
pub(super) fn sound_read(code: u8, data: &[u8]) -> Option<Range> {
    let limit = match code {
        function::READ_COILS | function::READ_DISCRETE_INPUTS => MAX_READ_BITS,
        function::READ_HOLDING_REGISTERS | function::READ_INPUT_REGISTERS => MAX_READ_REGISTERS,
        _ => return None,
    };
    let &[a0, a1, c0, c1] = data else { return None };
    let (address, count) = (u16::from_be_bytes([a0, a1]), u16::from_be_bytes([c0, c1]));
    let within = (1..=limit).contains(&count) && u32::from(address) + u32::from(count) <= ADDRESSES;
    within.then_some(Range { address, count })
}

/// [`announce`] for a sound read.
#[inline]
pub(super) fn announce_read(
    number: u32,
    head: Head,
    range: Range,
    stamp: &Stamp,
    sink: &mut dyn Sink,
) -> PendingRequest {
    let operation = read_of(head.unit, head.code, range);
    let is_tracked = sink.operation(RequestRef { request: number, item: 0 }, &operation, stamp);
    PendingRequest::Range(range).after_announcement(is_tracked)
}

#[inline]
fn decode<'a>(code: u8, data: &'a [u8], context: &mut Context<'_>) -> (PendingRequest, Values<'a>) {
    let decoded = match code {
        function::READ_COILS | function::READ_DISCRETE_INPUTS => read(data, MAX_READ_BITS, context),
        function::READ_HOLDING_REGISTERS | function::READ_INPUT_REGISTERS => read(data, MAX_READ_REGISTERS, context),
        function::WRITE_SINGLE_COIL => write_coil(data, context),
        function::WRITE_SINGLE_REGISTER => write_register(data, context),
        function::WRITE_MULTIPLE_COILS => write_coils(data, context),
        function::WRITE_MULTIPLE_REGISTERS => write_registers(data, context),
        function::READ_EXCEPTION_STATUS
        | function::GET_COMM_EVENT_COUNTER
        | function::GET_COMM_EVENT_LOG
        | function::REPORT_SERVER_ID => Ok(without_fields(data, context)),
        _ => decode_rare(code, data, context),
    };
    decoded.unwrap_or_else(|_| {
        context.malformed("truncated_request", data.len() as u32);
        (PendingRequest::Whole, Values::None)
    })
}

fn decode_rare<'a>(code: u8, data: &'a [u8], context: &mut Context<'_>) -> Decoded<'a> {
    match code {
        function::DIAGNOSTICS => diagnostics(data, context),
        function::READ_FILE_RECORD | function::WRITE_FILE_RECORD => file::decode_request(code, data, context),
        function::MASK_WRITE_REGISTER => mask_write(data, context),
        function::READ_WRITE_MULTIPLE_REGISTERS => read_write(data, context),
        function::READ_FIFO_QUEUE => read_fifo(data, context),
        function::ENCAPSULATED_INTERFACE => encapsulated(data, context),
        function::UMAS => umas(data),
        0 | function::EXCEPTION.. => {
            context.malformed("function_code_invalid", code);
            Ok((PendingRequest::Whole, Values::Bytes(data)))
        }
        _ => Ok((PendingRequest::Whole, Values::Bytes(data))),
    }
}

/// FC 1 to 4 (6.1 to 6.4): starting address, quantity.
#[inline]
fn read<'a>(data: &'a [u8], limit: u16, context: &mut Context<'_>) -> Decoded<'a> {
    let mut reader = Reader::new(data);
    let range = range(&mut reader, limit, context)?;
    context.expect_end(reader.rest());
    Ok((PendingRequest::Range(range), Values::None))
}

/// FC 5 (6.5): address, FF00 for on and 0000 for off.
fn write_coil<'a>(data: &'a [u8], context: &mut Context<'_>) -> Decoded<'a> {
    let mut reader = Reader::new(data);
    let address = reader.u16_be("address")?;
    let raw = reader.array::<2>("value")?;
    context.expect_end(reader.rest());
    if !matches!(raw, [0 | 0xFF, 0]) {
        context.malformed("coil_value_invalid", u16::from_be_bytes(raw));
    }
    Ok((PendingRequest::Range(Range { address, count: 1 }), coil(data.get(2..).unwrap_or_default())))
}

/// The value written to one coil, as sent.
pub(super) fn coil(value: &[u8]) -> Values<'_> {
    match value {
        [0xFF, 0, ..] => Values::Bits { bytes: &[1], count: 1 },
        [0, 0, ..] => Values::Bits { bytes: &[0], count: 1 },
        _ => Values::Bytes(value.get(..2).unwrap_or(value)),
    }
}

/// FC 6 (6.6): address, value.
fn write_register<'a>(data: &'a [u8], context: &mut Context<'_>) -> Decoded<'a> {
    let mut reader = Reader::new(data);
    let address = reader.u16_be("address")?;
    let value = reader.bytes(2, "value")?;
    context.expect_end(reader.rest());
    Ok((PendingRequest::Range(Range { address, count: 1 }), Values::Registers(value)))
}

/// FC 15 (6.11): starting address, quantity, byte count, bits.
fn write_coils<'a>(data: &'a [u8], context: &mut Context<'_>) -> Decoded<'a> {
    let mut reader = Reader::new(data);
    let range = range(&mut reader, MAX_WRITE_BITS, context)?;
    let byte_count = reader.u8("byte_count")?;
    let (bytes, expected) = (reader.rest(), range.count.div_ceil(8));
    check_byte_count(byte_count, expected, bytes, context);
    Ok((with_excess(PendingRequest::Range(range), byte_count, expected), bits(bytes, range.count)))
}

/// FC 16 (6.12): starting address, quantity, byte count, registers.
fn write_registers<'a>(data: &'a [u8], context: &mut Context<'_>) -> Decoded<'a> {
    let mut reader = Reader::new(data);
    let range = range(&mut reader, MAX_WRITE_REGISTERS, context)?;
    let (values, byte_count) = written_registers(&mut reader, range.count, context)?;
    Ok((with_excess(PendingRequest::Range(range), byte_count, registers_size(range.count)), values))
}

/// FC 7, 11, 12 and 17 (6.7, 6.9, 6.10, 6.13).
fn without_fields<'a>(data: &'a [u8], context: &mut Context<'_>) -> (PendingRequest, Values<'a>) {
    context.expect_end(data);
    (PendingRequest::Whole, Values::None)
}

/// FC 8 (6.8): sub-function, data.
fn diagnostics<'a>(data: &'a [u8], context: &mut Context<'_>) -> Decoded<'a> {
    let mut reader = Reader::new(data);
    let number = reader.u16_be("sub_function")?;
    let rest = reader.rest();
    match (number, rest) {
        (RESTART_COMMUNICATIONS, [0, 0] | [0xFF, 0]) => {}
        (RESTART_COMMUNICATIONS, &[high, low]) => {
            context.malformed("restart_option_invalid", u16::from_be_bytes([high, low]));
        }
        (_, []) => context.malformed("truncated_request", data.len() as u32),
        (_, odd) if odd.len() % 2 == 1 => context.malformed("diagnostic_data_odd", odd.len() as u32),
        _ => {}
    }
    Ok((PendingRequest::Sub(number), Values::Registers(rest)))
}

/// FC 22 (6.16): address, AND mask, OR mask.
fn mask_write<'a>(data: &'a [u8], context: &mut Context<'_>) -> Decoded<'a> {
    let mut reader = Reader::new(data);
    let address = reader.u16_be("address")?;
    let values = Values::Masks { and: reader.u16_be("and_mask")?, or: reader.u16_be("or_mask")? };
    context.expect_end(reader.rest());
    Ok((PendingRequest::Range(Range { address, count: 1 }), values))
}

/// FC 23 (6.17): the range to read, then the range to write with its values.
fn read_write<'a>(data: &'a [u8], context: &mut Context<'_>) -> Decoded<'a> {
    let mut reader = Reader::new(data);
    let read = range(&mut reader, MAX_READ_REGISTERS, context)?;
    let write = range(&mut reader, MAX_READ_WRITE_REGISTERS, context)?;
    let (values, byte_count) = written_registers(&mut reader, write.count, context)?;
    Ok((with_excess(PendingRequest::ReadWrite { write, read }, byte_count, registers_size(write.count)), values))
}

/// FC 24 (6.18): address of the queue's count register.
fn read_fifo<'a>(data: &'a [u8], context: &mut Context<'_>) -> Decoded<'a> {
    let mut reader = Reader::new(data);
    let address = reader.u16_be("fifo_pointer_address")?;
    context.expect_end(reader.rest());
    Ok((PendingRequest::Range(Range { address, count: 1 }), Values::None))
}

/// FC 43 (6.19): MEI type; for type 14 (6.21) the read code and the first object.
fn encapsulated<'a>(data: &'a [u8], context: &mut Context<'_>) -> Decoded<'a> {
    let mut reader = Reader::new(data);
    let number = u16::from(reader.u8("mei_type")?);
    let rest = reader.rest();
    if number == function::MEI_DEVICE_IDENTIFICATION {
        match rest {
            [1..=4, _] => {}
            [code, _, ..] if !(1..=4).contains(code) => context.malformed("read_device_code_invalid", *code),
            [_, _, trailing @ ..] => context.expect_end(trailing),
            _ => context.malformed("truncated_request", data.len() as u32),
        }
    }
    Ok((PendingRequest::Sub(number), Values::Bytes(rest)))
}

/// FC 90: reservation key, UMAS function, data.
fn umas(data: &[u8]) -> Decoded<'_> {
    let mut reader = Reader::new(data);
    reader.u8("reservation_key")?;
    let number = u16::from(reader.u8("umas_function")?);
    Ok((PendingRequest::Sub(number), Values::Bytes(reader.rest())))
}

/// Starting address and quantity.
#[inline]
fn range(reader: &mut Reader<'_>, limit: u16, context: &mut Context<'_>) -> Result<Range, DecodeError> {
    let address = reader.u16_be("starting_address")?;
    let count = reader.u16_be("quantity")?;
    if count == 0 || count > limit {
        context.malformed("quantity_out_of_range", count);
    }
    let end = u32::from(address) + u32::from(count);
    if end > ADDRESSES {
        context.malformed("address_out_of_range", end);
    }
    Ok(Range { address, count })
}

/// The values and the byte count of a write of `count` registers.
fn written_registers<'a>(
    reader: &mut Reader<'a>,
    count: u16,
    context: &mut Context<'_>,
) -> Result<(Values<'a>, u8), DecodeError> {
    let byte_count = reader.u8("byte_count")?;
    let bytes = reader.rest();
    check_byte_count(byte_count, registers_size(count), bytes, context);
    Ok((Values::Registers(bytes.get(..usize::from(count) * 2).unwrap_or(bytes)), byte_count))
}

/// Bytes of `count` registers.
const fn registers_size(count: u16) -> u16 {
    count.saturating_mul(2)
}

/// Marks a write whose byte count exceeds the `expected` one.
fn with_excess(asked: PendingRequest, byte_count: u8, expected: u16) -> PendingRequest {
    if u16::from(byte_count) > expected { PendingRequest::Exceeding(Box::new(asked)) } else { asked }
}

fn check_byte_count(byte_count: u8, expected: u16, bytes: &[u8], context: &mut Context<'_>) {
    if u16::from(byte_count) != expected || usize::from(byte_count) != bytes.len() {
        context.malformed("byte_count_mismatch", byte_count);
    }
}

/// The first `count` bits, as far as they have arrived.
pub(super) fn bits(bytes: &[u8], count: u16) -> Values<'_> {
    let available = u16::try_from(bytes.len() * 8).unwrap_or(u16::MAX);
    Values::Bits { bytes, count: count.min(available) }
}

/// Registers or bits of one table (4.3).
const ADDRESSES: u32 = 0x1_0000;
/// Coils or inputs in one read (6.1, 6.2).
pub(super) const MAX_READ_BITS: u16 = 2000;
/// Registers in one read (6.3, 6.4, 6.17).
pub(super) const MAX_READ_REGISTERS: u16 = 125;
/// Coils in one write (6.11).
pub(super) const MAX_WRITE_BITS: u16 = 1968;
/// Registers in one write (6.12).
pub(super) const MAX_WRITE_REGISTERS: u16 = 123;
/// Registers written by Read/Write Multiple Registers (6.17).
const MAX_READ_WRITE_REGISTERS: u16 = 121;
/// Diagnostic sub-function that restarts the port; its data decide whether the event log is cleared (6.8).
const RESTART_COMMUNICATIONS: u16 = 1;
