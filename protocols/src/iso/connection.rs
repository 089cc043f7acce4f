//! Connection requests and their answers, as operations.

use super::cotp::Connect;
use crate::context::Context;
use crate::dissector::{AnomalyKind, Function, Identity, Outcome, RequestRef, Side, Sink, Stamp};
use crate::operation::{Class, Operation, Target, Values};
use crate::pending::Waiting;

/// The function of a connection request (CR).
pub(crate) const CONNECT: Function = Function { name: "cotp_connect", code: 0xE0, class: Class::Session };

/// A pending connection request.
#[derive(Clone, Copy, Debug)]
pub(super) struct PendingRequest {
    requested: Stamp,
    request: u32,
    target: Target<'static>,
}

impl Waiting for PendingRequest {
    fn requested(&self) -> &Stamp {
        &self.requested
    }

    fn report_outcomes(&self, outcome: Outcome, stamp: &Stamp, sink: &mut dyn Sink) {
        let at = RequestRef { request: self.request, item: 0 };
        sink.outcome(at, &connect_operation(self.target, Values::None), outcome, &self.requested, stamp);
    }

    /// A flow has one connection at a time.
    fn is_replaced_by(&self, _: &Self) -> bool {
        true
    }
}

/// Reports a connection request as an operation whose value is the called TSAP, and text TSAPs as identities.
pub(super) fn announce(request: u32, connect: &Connect<'_>, context: &mut Context<'_>) -> PendingRequest {
    let target = tsap_target(connect.called);
    let at = RequestRef { request, item: 0 };
    context.sink.operation(at, &connect_operation(target, Values::Bytes(connect.called)), context.stamp);
    let (caller, callee) = (context.from, context.from.other());
    for (of, field, value) in [(caller, "calling_tsap", connect.calling), (callee, "called_tsap", connect.called)] {
        if is_text(value) {
            context.sink.identity(&Identity { of, unit: None, field, value }, context.stamp);
        }
    }
    PendingRequest { requested: *context.stamp, request, target }
}

/// Reports what class 0 does not allow in a CR or CC.
pub(super) fn report_faults(connect: &Connect<'_>, context: &mut Context<'_>) {
    if let Some(name) = connect.fault {
        context.anomaly(AnomalyKind::Malformed, name, None);
    }
    let sender = if connect.confirms { Side::Server } else { Side::Client };
    if context.from != sender {
        context.anomaly(AnomalyKind::Malformed, "cotp_connect_direction", None);
    }
}

fn connect_operation<'a>(target: Target<'static>, values: Values<'a>) -> Operation<'a> {
    let Function { name, code, class } = CONNECT;
    Operation { class, function: name, code, ambiguous: false, target, values }
}

/// The connection that a called TSAP of two bytes names to an S7 controller: its type, then rack and slot.
fn tsap_target(called: &[u8]) -> Target<'static> {
    let (kind, position) = match *called {
        [1, position] => ("PG", position),
        [2, position] => ("OP", position),
        [3, position] => ("BASIC", position),
        [_, position] => ("other", position),
        _ => ("other", 0),
    };
    Target::Connection { kind, rack: position >> 5, slot: position & 0x1F }
}

/// Whether a TSAP is a text such as `SIMATIC-ROOT-HMI`, not two bytes with a meaning of their own.
fn is_text(tsap: &[u8]) -> bool {
    tsap.len() > 2 && tsap.iter().all(|byte| matches!(byte, b' '..=b'~'))
}
