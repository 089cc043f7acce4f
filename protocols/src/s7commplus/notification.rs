//! Notifications: the values of subscriptions, one operation each.

use super::pending_request::{Item, MAX_ITEMS, object_target};
use super::value::Value;
use super::{Context, Owned, function, vlq};
use crate::dissector::{Outcome, RequestRef};
use crate::fault::Fault;
use crate::operation::{Class, Values};
use crate::reader::Reader;

/// Reports a notification: one operation for each item, with the reference that the subscription assigned to it, or one
/// for the subscription if there are no items. Unknown forms stay unread, which is no anomaly.
pub(super) fn report(number: u32, version: u8, body: &[u8], owned: &mut Owned, context: &mut Context<'_>) {
    let mut reader = Reader::new(body);
    let Ok(subscription) = reader.array("subscription").map(u32::from_be_bytes) else {
        return Fault::invalid("subscription").report(false, context);
    };
    owned.add(subscription, Class::Subscribe);
    let mut report = Report { number, subscription, reported: 0, context };
    let known = skip_head(version, subscription, &mut reader);
    while known && let Some(entry) = read_entry(&mut reader) {
        if usize::from(report.reported) >= MAX_ITEMS {
            return Fault::Limit("notification_items").report(false, report.context);
        }
        match entry {
            Entry::Value(reference, value) => {
                report.report_item(Some(reference), value.scalar().values(), Outcome::Accepted);
            }
            Entry::Refused(reference, code) => {
                let outcome = Outcome::Refused { code: code.into(), name: "addressing_error" };
                report.report_item(Some(reference), Values::None, outcome);
            }
        }
    }
    if report.reported == 0 {
        report.report_item(None, Values::None, Outcome::Accepted);
    }
}

/// A notification that is being reported.
struct Report<'c, 's> {
    /// Number of the report in its flow.
    number: u32,
    subscription: u32,
    /// Items reported so far.
    reported: u16,
    context: &'c mut Context<'s>,
}

impl Report<'_, '_> {
    fn report_item(&mut self, reference: Option<u32>, values: Values<'_>, outcome: Outcome) {
        let item = Item { class: Class::Report, target: object_target(self.subscription, reference) };
        let operation = item.operation(function::NOTIFIED, values);
        let at = RequestRef { request: self.number, item: self.reported.into() };
        let Context { stamp, ref mut sink, .. } = *self.context;
        sink.operation(at, &operation, stamp);
        sink.outcome(at, &operation, outcome, stamp, stamp);
        self.reported += 1;
    }
}

/// Skips the head up to the list of items. Returns whether its form is known. Controllers whose ids begin with 1 number
/// their notifications with one byte; those whose ids begin with 7 send a credit, a number of variable length, and a
/// change counter, with a time before it if it begins with 0.
fn skip_head(version: u8, subscription: u32, reader: &mut Reader<'_>) -> bool {
    let Ok(form) = reader.u16_be("notification_form") else { return false };
    if version == 1 || form != VALUES_FORM || reader.bytes(4, "notification_head").is_err() {
        return false;
    }
    if subscription < FIRST_LONG_ID {
        return reader.bytes(2, "notification_number").is_ok();
    }
    let numbered = reader.bytes(1, "credit").is_ok() && vlq::read_u32(reader, "notification_number").is_ok();
    let counter = if reader.rest().first() == Some(&0) { TIME_AND_COUNTER } else { 1 };
    numbered && reader.bytes(counter, "change_counter").is_ok()
}

/// One item of a notification.
enum Entry<'a> {
    Value(u32, Value<'a>),
    Refused(u32, u8),
}

/// The next item of a known form.
fn read_entry<'a>(reader: &mut Reader<'a>) -> Option<Entry<'a>> {
    let code = reader.u8("item").ok()?;
    match code {
        0x92 => {
            let reference = reader.array("reference").ok()?;
            Some(Entry::Value(u32::from_be_bytes(reference), Value::read(reader).ok()?))
        }
        0x9B => {
            let reference = vlq::read_u32(reader, "reference").ok()?;
            Some(Entry::Value(reference, Value::read(reader).ok()?))
        }
        0x03 | 0x13 => {
            let reference = reader.array("reference").ok()?;
            Some(Entry::Refused(u32::from_be_bytes(reference), code))
        }
        _ => None,
    }
}

/// The form with values.
const VALUES_FORM: u16 = 0x0400;
/// From this id on, notifications have the longer head.
const FIRST_LONG_ID: u32 = 0x7000_0000;
/// Microseconds since 1970 in eight bytes, then the change counter.
const TIME_AND_COUNTER: usize = 9;
