//! System status lists: identities and states of a controller. A list has an id, an index, the length of its records,
//! their number, then the records.

use alloc::format;
use alloc::string::String;

use crate::context::Context;
use crate::dissector::Identity;
use crate::operation::Target;
use crate::reader::{DecodeError, Reader};

/// The list that a request names.
pub(super) fn requested_list(data: &[u8]) -> Target<'static> {
    match data.first_chunk() {
        Some(&[high, low, index_high, index_low]) => {
            let number = u32::from_be_bytes([0, 0, high, low]);
            Target::Item { kind: "szl", number, index: u32::from_be_bytes([0, 0, index_high, index_low]) }
        }
        None => Target::None,
    }
}

/// Whether a list is the diagnostic buffer.
pub(super) fn is_diagnostic_buffer(data: &[u8]) -> bool {
    data.get(1) == Some(&0xA0)
}

/// Reports the identities in a whole list. Records that the list lacks are ignored.
pub(super) fn report_identities(data: &[u8], context: &mut Context<'_>) {
    let _ = report_records(data, context);
}

fn report_records(data: &[u8], context: &mut Context<'_>) -> Result<(), DecodeError> {
    let mut reader = Reader::new(data);
    let id = reader.u16_be("szl_id")?;
    reader.u16_be("szl_index")?;
    let length = usize::from(reader.u16_be("record_length")?);
    let count = reader.u16_be("record_count")?;
    if length == 0 {
        return Ok(());
    }
    let records = reader.rest().chunks_exact(length).take(count.into());
    match (id & PARTIAL_LIST, id >> 8) {
        (MODULE, _) => records.for_each(|record| report_module(record, context)),
        (COMPONENT, _) => records.for_each(|record| report_component(record, context)),
        (COMMUNICATION, 1 | 2) => records.for_each(|record| report_protection(record, context)),
        (MODES, 4) => records.for_each(|record| report_mode(record, context)),
        _ => {}
    }
    Ok(())
}

/// Module identification: index, order number of 20 characters, type, version. Some servers leave out the version.
fn report_module(record: &[u8], context: &mut Context<'_>) {
    let Some(([_, index], rest)) = record.split_first_chunk() else { return };
    let Some((number, rest)) = rest.split_first_chunk::<20>() else { return };
    match index {
        0x01 => report_identity("product", number, context),
        0x06 => report_identity("hardware", number, context),
        0x07 => report_identity("firmware", version(rest).as_bytes(), context),
        0x81 => report_identity("boot_loader", version(rest).as_bytes(), context),
        _ => {}
    }
}

/// The version after the type: a letter and three numbers, such as `V3.2.7`.
fn version(rest: &[u8]) -> String {
    match rest {
        [_, _, letter @ b'!'..=b'~', major, minor, patch] => format!("{}{major}.{minor}.{patch}", char::from(*letter)),
        _ => String::new(),
    }
}

/// Component identification: index, 32 characters.
fn report_component(record: &[u8], context: &mut Context<'_>) {
    let [_, index, text @ ..] = record else { return };
    let field = match index {
        0x01 => "name",
        0x02 => "module_name",
        0x03 => "plant",
        0x05 => "serial",
        0x07 => "model",
        0x08 => "memory_card_serial",
        0x0B => "location",
        0x09 if text.starts_with(&SIEMENS) => return report_identity("vendor", b"Siemens", context),
        _ => return,
    };
    report_identity(field, text, context);
}

/// Protection: index, level of the key switch, assigned level, valid level, position of the mode switch.
fn report_protection(record: &[u8], context: &mut Context<'_>) {
    let [0, PROTECTION, _, _, _, _, 0, level @ 0..=9, 0, switch, ..] = record else { return };
    report_identity("protection_level", &[b'0' + level], context);
    let position: &[u8] = match switch {
        1 => b"RUN",
        2 => b"RUN_P",
        3 => b"STOP",
        4 => b"MRES",
        _ => return,
    };
    report_identity("mode_switch", position, context);
}

/// Current mode transition: event, a byte, then the requested mode in the lower half of the next.
fn report_mode(record: &[u8], context: &mut Context<'_>) {
    let [_, _, _, mode, ..] = record else { return };
    let state: &[u8] = match mode & 0x0F {
        1..=4 => b"STOP",
        5..=7 => b"STARTUP",
        8 | 9 => b"RUN",
        0x0A => b"HOLD",
        0x0B | 0x0C => b"COUPLING",
        0x0D => b"DEFECTIVE",
        0x0E => b"SELF_TEST",
        0x0F => b"NO_POWER",
        _ => return,
    };
    report_identity("run_state", state, context);
}

/// The operating state that a mode transition reports.
pub(super) fn run_state(mode: u8) -> Option<&'static [u8]> {
    match mode {
        0 => Some(b"STOP"),
        1 | 3 | 6 => Some(b"STARTUP"),
        2 | 9 => Some(b"RUN"),
        4 => Some(b"HOLD"),
        0x0B | 0x0C => Some(b"COUPLING"),
        _ => None,
    }
}

/// Reports a text without its padding of zeros or blanks; an empty text is ignored.
pub(super) fn report_identity(field: &'static str, text: &[u8], context: &mut Context<'_>) {
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    let value = text.get(..end).unwrap_or_default().trim_ascii();
    if !value.is_empty() {
        let of = context.from;
        context.sink.identity(&Identity { of, unit: None, field, value }, context.stamp);
    }
}

/// The lower half of a list's id is the partial list; the upper half selects an extract of it.
const PARTIAL_LIST: u16 = 0x00FF;
const MODULE: u16 = 0x11;
const COMPONENT: u16 = 0x1C;
const MODES: u16 = 0x24;
const COMMUNICATION: u16 = 0x32;
/// Index of the protection status in the lists of communication.
const PROTECTION: u8 = 4;
/// Manufacturer of Siemens, as in I&M data.
const SIEMENS: [u8; 2] = [0, 0x2A];
