//! Identities of clients and controllers.

use alloc::format;

use super::Context;
use super::id;
use super::value::Value;
use crate::dissector::{Identity, Side};
use crate::reader::Reader;

fn report(of: Side, field: &'static str, value: &[u8], context: &mut Context<'_>) {
    let value = value.trim_ascii();
    if !value.is_empty() {
        context.sink.identity(&Identity { of, unit: None, field, value }, context.stamp);
    }
}

/// Reports an attribute of a session that a client creates.
pub(super) fn report_client(attribute: u32, value: &Value<'_>, context: &mut Context<'_>) {
    let field = match attribute {
        id::SESSION_CLIENT_ID => "client_adapter",
        id::SESSION_USER => "user",
        id::SESSION_APPLICATION => "application",
        id::SESSION_HOST => "name",
        _ => return,
    };
    report(context.from, field, value.text().unwrap_or_default(), context);
}

/// Reports an attribute of a session that a controller created: `1;6ES7 214-1HE30-0XB0 ;V2.2` holds product and
/// firmware.
pub(super) fn report_session(attribute: u32, value: &Value<'_>, context: &mut Context<'_>) {
    if attribute != id::SESSION_VERSION {
        return;
    }
    value.members(|member, value| {
        if member == id::SESSION_VERSION_PRODUCT {
            let mut parts = value.text().unwrap_or_default().split(|byte| *byte == b';').skip(1);
            for field in ["product", "firmware"] {
                report(context.from, field, parts.next().unwrap_or_default(), context);
            }
        }
    });
}

/// Reports a value of a controller, if it holds identification and maintenance data 0 (IEC 61158-6-10), which its first
/// bytes show.
pub(super) fn report_server(value: &Value<'_>, context: &mut Context<'_>) {
    let Some(blob) = value.blob().filter(|blob| blob.starts_with(&IM0_HEAD)) else { return };
    let mut reader = Reader::new(blob);
    let (Ok(_), Ok(order), Ok(serial), Ok(_), Ok([letter, version @ ..])) = (
        reader.bytes(IM0_HEAD.len() + 2, "vendor"),
        reader.bytes(20, "order_id"),
        reader.bytes(16, "serial"),
        reader.bytes(2, "hardware"),
        reader.array::<4>("software"),
    ) else {
        return;
    };
    report(context.from, "product", order, context);
    report(context.from, "serial", serial, context);
    if letter.is_ascii_uppercase() {
        let [major, minor, fix] = version;
        let text = format!("{}{major}.{minor}.{fix}", char::from(letter));
        report(context.from, "firmware", text.as_bytes(), context);
    }
}

/// Block type 0x0020, 56 bytes, version 1.0.
const IM0_HEAD: [u8; 6] = [0x00, 0x20, 0x00, 0x38, 0x01, 0x00];
