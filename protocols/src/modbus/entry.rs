//! A pending request.

use super::function::{self, EXCEPTION};
use super::pending_request::PendingRequest;
use crate::dissector::{Outcome, RequestRef, Sink, Stamp};
use crate::operation::Values;
use crate::pending::Waiting;

/// A request without an answer so far.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) requested: Stamp,
    /// Number of the request in its flow.
    pub(super) request: u32,
    /// Transaction identifier; 0 where the framing has none (RTU).
    pub(super) transaction: u16,
    pub(super) unit: u8,
    /// Function code as sent. An exception bit, which no request may have, is kept.
    pub(super) code: u8,
    pub(super) asked: PendingRequest,
}

impl Entry {
    /// Reports the outcome of one item of the request, with its values in the answer.
    pub(super) fn report_item_outcome(
        &self,
        item: u16,
        values: Values<'_>,
        outcome: Outcome,
        stamp: &Stamp,
        sink: &mut dyn Sink,
    ) {
        if let PendingRequest::Untracked(_) = self.asked {
            return sink.ended(outcome, 1);
        }
        let operation = self.asked.operation(self.unit, self.code, item, values);
        let at = RequestRef { request: self.request, item: item.into() };
        sink.outcome(at, &operation, outcome, &self.requested, stamp);
    }

    /// Whether transaction, unit and function agree with those of an answer.
    #[inline]
    pub(super) fn is_asked_by(&self, transaction: u16, unit: u8, code: u8) -> bool {
        self.transaction == transaction && self.unit == unit && self.code & !EXCEPTION == code
    }
}

impl Waiting for Entry {
    fn heap(&self) -> usize {
        self.asked.heap()
    }

    fn requested(&self) -> &Stamp {
        &self.requested
    }

    fn report_outcomes(&self, outcome: Outcome, stamp: &Stamp, sink: &mut dyn Sink) {
        for item in 0..self.asked.item_count() {
            self.report_item_outcome(item, Values::None, outcome, stamp, sink);
        }
    }

    /// By a request with the same transaction, or by one that reads the same again: the client no longer expects the
    /// first answer.
    fn is_replaced_by(&self, newer: &Self) -> bool {
        let is_asked_again = self.code <= function::READ_INPUT_REGISTERS && self.asked == newer.asked;
        (self.unit, self.code) == (newer.unit, newer.code) && (self.transaction == newer.transaction || is_asked_again)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pending::Pending;

    #[test]
    fn a_waiting_request_stays_small() {
        assert!(size_of::<Entry>() <= 56, "{}", size_of::<Entry>());
        assert!(size_of::<Pending<Entry>>() <= 80, "{}", size_of::<Pending<Entry>>());
    }
}
