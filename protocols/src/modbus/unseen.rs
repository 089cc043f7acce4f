//! Accepted answers to requests that are not in the capture: the changes that they prove.

use super::head::Head;
use super::pending_request::{PendingRequest, Range};
use super::{file, function, request};
use crate::context::Context;
use crate::dissector::RequestRef;
use crate::operation::{Target, Values};

/// Reports what an accepted answer without a request reveals, if that changes the device. Returns whether it does.
///
/// The answer to a write of single values repeats the request, that to a write of several values names their place, and
/// others only confirm. Answers of UMAS do not name their function: nothing follows from them.
pub(super) fn report(number: u32, head: Head, data: &[u8], context: &mut Context<'_>) -> bool {
    let (asked, values) = carried_out(head.code, data);
    let mut changes = false;
    let mut report_item = |item: u16, values| {
        let mut operation = asked.operation(head.unit, head.code, item, values);
        if asked == PendingRequest::Whole {
            operation.target = Target::Unread { part: "request" };
        }
        changes |= operation.class.changes();
        if operation.class.changes() {
            let at = RequestRef { request: number, item: item.into() };
            context.sink.request_unseen(at, &operation, context.stamp);
        }
    };
    match &asked {
        PendingRequest::Files(list) => {
            let items = 0..list.ranges.len() as u16;
            items.zip(file::sub_requests(head.code, data)).for_each(|(item, (_, values))| report_item(item, values));
        }
        _ => report_item(0, values),
    }
    changes
}

/// The content of the request that an answer reveals.
fn carried_out(code: u8, data: &[u8]) -> (PendingRequest, Values<'_>) {
    let range = |address, count| PendingRequest::Range(Range { address: u16::from_be_bytes(address), count });
    match (code, data) {
        (function::WRITE_SINGLE_COIL, &[a0, a1, ref value @ ..]) if value.len() >= 2 => {
            (range([a0, a1], 1), request::coil(value))
        }
        (function::WRITE_SINGLE_REGISTER, &[a0, a1, _, _, ..]) => {
            (range([a0, a1], 1), Values::Registers(data.get(2..4).unwrap_or_default()))
        }
        (function::WRITE_MULTIPLE_COILS | function::WRITE_MULTIPLE_REGISTERS, &[a0, a1, c0, c1, ..]) => {
            (range([a0, a1], u16::from_be_bytes([c0, c1])), Values::None)
        }
        (function::MASK_WRITE_REGISTER, &[a0, a1, n0, n1, o0, o1, ..]) => {
            let [and, or] = [[n0, n1], [o0, o1]].map(u16::from_be_bytes);
            (range([a0, a1], 1), Values::Masks { and, or })
        }
        (function::WRITE_FILE_RECORD, _) => {
            (file::written_records(data).unwrap_or(PendingRequest::Whole), Values::None)
        }
        (function::DIAGNOSTICS, &[high, low, ref rest @ ..]) => {
            (PendingRequest::Sub(u16::from_be_bytes([high, low])), Values::Registers(rest))
        }
        (function::ENCAPSULATED_INTERFACE, &[mei, ref rest @ ..]) => {
            (PendingRequest::Sub(mei.into()), Values::Bytes(rest))
        }
        _ => (PendingRequest::Whole, Values::None),
    }
}
