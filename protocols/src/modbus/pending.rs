//! Requests that wait for their answer.

use alloc::collections::VecDeque;

use super::asked::Asked;
use super::function::EXCEPTION;
use crate::dissector::{Anomaly, AnomalyKind, Limits, Outcome, RequestRef, Side, Sink, Stamp};
use crate::operation::Values;

/// A request without an answer so far.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) requested: Stamp,
    /// Number of the request in its flow.
    pub(super) request: u32,
    /// Transaction identifier; 0 where the framing has none (RTU).
    pub(super) transaction: u16,
    pub(super) unit: u8,
    /// Function code as sent; an exception bit, which no request may have, is kept.
    pub(super) code: u8,
    pub(super) asked: Asked,
}

impl Entry {
    /// Tells the outcome of every item of the request.
    pub(super) fn conclude(&self, outcome: Outcome, stamp: Stamp, sink: &mut dyn Sink) {
        for item in 0..self.asked.items() {
            self.conclude_item(item, Values::None, outcome, stamp, sink);
        }
    }

    /// Tells the outcome of one item of the request, with what the answer holds for it.
    pub(super) fn conclude_item(
        &self,
        item: u16,
        values: Values<'_>,
        outcome: Outcome,
        stamp: Stamp,
        sink: &mut dyn Sink,
    ) {
        let operation = self.asked.operation(self.unit, self.code, item, values);
        let at = RequestRef { request: self.request, item };
        sink.outcome(at, &operation, outcome, self.requested, stamp);
    }

    fn is_asked_by(&self, transaction: u16, unit: u8, code: u8) -> bool {
        self.transaction == transaction && self.unit == unit && self.code & !EXCEPTION == code
    }
}

/// The requests of one flow that wait, oldest first. Empty and without memory until the first request.
#[derive(Debug)]
pub(super) struct Pending {
    entries: VecDeque<Entry>,
    limit: usize,
    /// How long an answer is waited for, nanoseconds.
    timeout: i64,
}

impl Pending {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { entries: VecDeque::new(), limit: limits.pending.max(1), timeout: limits.answer_timeout.max(0) }
    }

    /// Remembers a request. When as many wait already as may, the oldest is given up: its fate stays unknown.
    #[inline]
    pub(super) fn push(&mut self, entry: Entry, sink: &mut dyn Sink) {
        if self.entries.len() >= self.limit {
            self.give_up_oldest(entry.requested, sink);
        }
        self.entries.push_back(entry);
    }

    #[cold]
    fn give_up_oldest(&mut self, stamp: Stamp, sink: &mut dyn Sink) {
        if let Some(oldest) = self.entries.pop_front() {
            let kind = AnomalyKind::Limit;
            let anomaly = Anomaly { kind, name: "pending_requests", value: None, from: Side::Client };
            sink.anomaly(anomaly, stamp);
            oldest.conclude(Outcome::Pending, stamp, sink);
        }
    }

    /// Finds the request that an answer belongs to: its place, and whether the answer has the shape that it calls for.
    ///
    /// Transaction, unit and function must agree. Several can: some clients always use the same transaction identifier,
    /// and RTU has none. Then those that `fits` come before others, and the oldest comes first (servers answer in
    /// order), unless the client waited [`GAVE_UP`] before it asked again: it no longer expects that answer, and
    /// counting on it would pair every later answer with the request before.
    #[inline]
    pub(super) fn find(
        &self,
        transaction: u16,
        unit: u8,
        code: u8,
        fits: impl Fn(&Asked) -> bool,
    ) -> Option<(usize, bool)> {
        // One request at a time, the common case, needs no choice.
        match self.entries.front() {
            Some(only) if self.entries.len() == 1 && only.is_asked_by(transaction, unit, code) => {
                Some((0, fits(&only.asked)))
            }
            _ => self.choose(transaction, unit, code, fits),
        }
    }

    #[inline(never)]
    fn choose(
        &self,
        transaction: u16,
        unit: u8,
        code: u8,
        fits: impl Fn(&Asked) -> bool,
    ) -> Option<(usize, bool)> {
        let mut best = None;
        for (index, entry) in self.entries.iter().enumerate() {
            if !entry.is_asked_by(transaction, unit, code) {
                continue;
            }
            let (clock, fit) = (entry.requested.clock, fits(&entry.asked));
            let better = match best {
                None => true,
                Some((_, _, best_fits)) if best_fits != fit => fit,
                Some((_, best_clock, _)) => clock.saturating_sub(best_clock) >= GAVE_UP,
            };
            if better {
                best = Some((index, clock, fit));
            }
        }
        best.map(|(index, _, fit)| (index, fit))
    }

    /// The request at a place that was found.
    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<&Entry> {
        self.entries.get(index)
    }

    /// No longer waits for the request at a place.
    #[inline]
    pub(super) fn remove(&mut self, index: usize) {
        if index == 0 {
            self.entries.pop_front();
        } else {
            self.entries.remove(index);
        }
    }

    /// When the oldest becomes overdue.
    #[inline]
    pub(super) fn deadline(&self) -> Option<i64> {
        self.entries.front().map(|oldest| self.overdue(oldest))
    }

    /// Gives up on those that are overdue, in the order in which they were sent.
    pub(super) fn expire(&mut self, clock: i64, sink: &mut dyn Sink) {
        while self.deadline().is_some_and(|deadline| deadline < clock) {
            let Some(oldest) = self.entries.pop_front() else { return };
            let time = oldest.requested.time.saturating_add(self.timeout);
            let clock = self.overdue(&oldest).saturating_add(1);
            oldest.conclude(Outcome::NoResponse, Stamp { time, clock, ..oldest.requested }, sink);
        }
    }

    /// Reports whatever still waits, and keeps nothing.
    pub(super) fn finish(&mut self, sink: &mut dyn Sink) {
        for entry in core::mem::take(&mut self.entries) {
            entry.conclude(Outcome::Pending, entry.requested, sink);
        }
    }

    fn overdue(&self, entry: &Entry) -> i64 {
        entry.requested.clock.saturating_add(self.timeout)
    }
}

/// A client that asks again with the same transaction identifier after this long has given up on the first answer,
/// nanoseconds. Clients that keep several requests in flight send them much closer together.
const GAVE_UP: i64 = 500_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_request_stays_small() {
        assert!(size_of::<Entry>() <= 56, "{}", size_of::<Entry>());
        assert!(size_of::<Pending>() <= 48, "{}", size_of::<Pending>());
    }
}
