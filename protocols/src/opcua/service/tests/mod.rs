//! Bodies as asyncua 2.1 encodes them, annotated by hand, and as an attacker would send them. A body begins behind the
//! header of its request or response unless a test says otherwise.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]

use std::format;
use std::string::String;
use std::vec::Vec;

use super::*;
use crate::fault::Fault;
use crate::opcua::binary::{Encoded, Standard};
use crate::operation::{Typed, Value, Values};
use crate::reader::Reader;

mod attributes;
mod discovery;
mod headers;
mod hostile;
mod management;
mod readings;
mod sessions;
mod subscriptions;
mod summaries;
mod views;

/// Bytes from hexadecimal text with blanks. A `/` begins a comment to the end of the line.
fn hex(text: &str) -> Vec<u8> {
    let text = text.lines().filter_map(|line| line.split('/').next());
    let digits: Vec<u8> = text.flat_map(str::bytes).filter(|byte| !byte.is_ascii_whitespace()).collect();
    let digit = |byte: u8| (byte as char).to_digit(16).unwrap() as u8;
    digits.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A value as short text.
fn value(value: &Value<'_>) -> String {
    match value {
        Value::Text(bytes) => format!("{:?}", text(bytes)),
        Value::Node(node) => format!("{node}"),
        Value::List(list) => format!("{:?}", list.iter().map(|one| self::value(&one)).collect::<Vec<_>>()),
        Value::Signed(number) => format!("{number}"),
        Value::Unsigned(number) => format!("{number}"),
        Value::F64(number) => format!("{number:?}"),
        other => format!("{other:?}"),
    }
}

fn values(values: Values<'_>) -> String {
    let Values::Typed { kind, count, bytes } = values else { return String::new() };
    Typed { kind, count, bytes }.iter().map(|one| format!(" {}", value(&one))).collect()
}

fn subject(subject: &Subject<'_>) -> String {
    match subject {
        Subject::None => "-".into(),
        Subject::Unread(part) => format!("unread {part}"),
        Subject::Node(target) => {
            let attribute = target.attribute.map_or(String::new(), |number| format!(" {number}"));
            let range = if target.range.is_empty() { String::new() } else { format!("[{}]", text(target.range)) };
            format!("{}{attribute}{range}", target.node)
        }
        Subject::Method(method) => format!("{} . {}", method.object, method.method),
        Subject::Subscription(number) => format!("subscription {number}"),
        Subject::MonitoredItem { subscription, item } => format!("item {item} of {subscription}"),
        Subject::Endpoint(url) => text(url),
        Subject::User { kind, name } => format!("{} {}", kind.name(), text(name)),
    }
}

fn item(item: &Item<'_>) -> String {
    let handle = if item.handle == 0 { String::new() } else { format!(" #{}", item.handle) };
    format!("{} {}{handle}{}", item.class.name(), subject(&item.subject), values(item.values))
}

/// The items of a request, and the fault that ended it.
fn walked(service: Service, body: &[u8]) -> (Vec<String>, Result<(), Fault>) {
    let mut found = Vec::new();
    let result = visit_items(service, Reader::new(body), Standard, |one| found.push(item(one)));
    (found, result)
}

/// A whole request, from its type on.
fn request(service: Service, body: &[u8]) -> Vec<u8> {
    // no session, no time, handle 1, no diagnostics, no audit entry, no hint, no additional header
    let header = hex("0000 0000000000000000 01000000 00000000 ffffffff 00000000 000000");
    [hex("02 0000"), service.code().to_le_bytes().to_vec(), header, body.to_vec()].concat()
}

/// Every item that a server may execute, with the index of its result and `?` if it is ambiguous; and the first fault.
fn found(request: &[u8]) -> (Vec<String>, Result<(), Fault>) {
    let mut lines = Vec::new();
    let result = visit_operations(request, false, |found| {
        let doubt = if found.is_ambiguous { " ?" } else { "" };
        lines.push(format!("{} @{}{doubt}", item(found.item), found.result_index));
    });
    (lines, result)
}

/// The items of a sound request.
fn asked(service: Service, body: &str) -> Vec<String> {
    let (found, result) = walked(service, &hex(body));
    assert_eq!(result, Ok(()));
    found
}

/// The results in a sound response; the first, for a service without results for single items.
fn answered(service: Service, body: &str) -> Vec<String> {
    let body = hex(body);
    let answers = ItemResults::read(service, Reader::new(&body)).unwrap();
    let most = if answers.left() == 0 { 1 } else { usize::MAX };
    let result = |answer: ItemResult<'_>| {
        let number = if answer.number == 0 { String::new() } else { format!(" #{}", answer.number) };
        format!("{}{number}{}", answer.status.name(), values(answer.values))
    };
    answers.take(most).map(|answer| result(answer.unwrap())).collect()
}
