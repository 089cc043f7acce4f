//! Identities of devices: Read Device Identification (V1.1b3, 6.21) and Report Server ID (6.13).
//!
//! An object never spans two answers, so each answer is reported as it comes; `more follows` needs no state.

use super::umas;
use crate::context::Context;
use crate::dissector::{Identity, Side};
use crate::reader::{DecodeError, Reader};

/// Reports the objects in an answer to Read Device Identification; `data` begins after the MEI type.
pub(super) fn report_device_identification(unit: u8, data: &[u8], context: &mut Context<'_>) {
    if report_objects(unit, data, context).is_err() {
        context.malformed("truncated_answer", data.len() as u32);
    }
}

fn report_objects(unit: u8, data: &[u8], context: &mut Context<'_>) -> Result<(), DecodeError> {
    let mut reader = Reader::new(data);
    reader.u8("read_device_id_code")?;
    let conformity = reader.u8("conformity_level")?;
    if !matches!(conformity, 1..=3 | 0x81..=0x83) {
        context.malformed("conformity_level_invalid", conformity);
    }
    reader.array::<2>("more_follows_and_next_object")?;
    for _ in 0..reader.u8("number_of_objects")? {
        let field = object_name(reader.u8("object_id")?);
        let length = usize::from(reader.u8("object_length")?);
        let value = reader.bytes(length, "object_value")?;
        report(unit, field, value, context);
    }
    context.expect_end(reader.rest());
    Ok(())
}

/// Reports the answer to Report Server ID: an id of unspecified length, the run indicator, more data. `data` begins
/// with the byte count.
pub(super) fn report_server_id(unit: u8, data: &[u8], context: &mut Context<'_>) {
    let content = data.get(1..).unwrap_or_default();
    let (id, running, more) = match content {
        // Mostly the id has one byte,
        [_, running @ (RUN_OFF | RUN_ON), more @ ..] => (content.get(..1).unwrap_or_default(), *running, more),
        // or all that comes before the last byte is the id.
        [id @ .., running @ (RUN_OFF | RUN_ON)] => (id, *running, [].as_slice()),
        _ => return report_text(unit, "server_id", content, context),
    };
    let state: &[u8] = if running == RUN_ON { b"on" } else { b"off" };
    report(unit, "run_state", state, context);
    report_text(unit, "server_id", if more.is_empty() { id } else { more }, context);
}

/// Reports the name in the answer to the UMAS function that reads the controller's identity.
pub(super) fn report_umas(unit: u8, data: &[u8], context: &mut Context<'_>) {
    if let Some(name) = umas::name_in_identity(data) {
        report(unit, "name", name, context);
    }
}

/// Reports a value if it is text. A number or an opaque id would only make an inventory change without reason.
fn report_text(unit: u8, field: &'static str, value: &[u8], context: &mut Context<'_>) {
    let value = value.trim_ascii();
    if !value.is_empty() && value.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        report(unit, field, value, context);
    }
}

fn report(unit: u8, field: &'static str, value: &[u8], context: &mut Context<'_>) {
    let identity = Identity { of: Side::Server, unit: Some(unit), field, value };
    context.sink.identity(&identity, context.stamp);
}

/// The name of a device identification object (6.21, table of object ids).
fn object_name(id: u8) -> &'static str {
    match id {
        0x00 => "vendor",
        0x01 => "product",
        0x02 => "firmware",
        0x03 => "url",
        0x04 => "name",
        0x05 => "model",
        0x06 => "application",
        _ => NAMES.get(usize::from(id)).and_then(|name| core::str::from_utf8(name).ok()).unwrap_or("object"),
    }
}

/// `object_07` to `object_ff`: reserved and device-specific objects.
static NAMES: [[u8; 9]; 256] = numbered();

#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler: a wrong index does not build")]
const fn numbered() -> [[u8; 9]; 256] {
    let digits = b"0123456789abcdef";
    let mut names = [*b"object_00"; 256];
    let mut id = 0;
    while id < names.len() {
        names[id][7] = digits[id / 16];
        names[id][8] = digits[id % 16];
        id += 1;
    }
    names
}

const RUN_OFF: u8 = 0x00;
const RUN_ON: u8 = 0xFF;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_of_the_devices_own_are_named_by_their_number() {
        assert_eq!(object_name(0x02), "firmware");
        assert_eq!(object_name(0x07), "object_07");
        assert_eq!(object_name(0xFF), "object_ff");
    }
}
