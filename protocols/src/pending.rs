//! Requests that wait for their answer: one table for every protocol that pairs them.

use alloc::collections::VecDeque;

use crate::dissector::{Anomaly, AnomalyKind, Limits, Outcome, Side, Sink, Stamp};

/// A request without an answer so far, as small as its protocol can keep it.
pub(crate) trait Waiting {
    /// When it was sent.
    fn requested(&self) -> Stamp;

    /// Tells the outcome of every item of the request.
    fn conclude(&self, outcome: Outcome, stamp: Stamp, sink: &mut dyn Sink);
}

/// The requests of one flow that wait, oldest first. Empty and without memory until the first request.
#[derive(Debug)]
pub(crate) struct Pending<R> {
    entries: VecDeque<R>,
    limit: usize,
    /// How long an answer is waited for, nanoseconds.
    timeout: i64,
}

impl<R: Waiting> Pending<R> {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { entries: VecDeque::new(), limit: limits.pending.max(1), timeout: limits.answer_timeout.max(0) }
    }

    /// Remembers a request. When as many wait already as may, the oldest is given up: its fate stays unknown.
    #[inline]
    pub(crate) fn push(&mut self, entry: R, sink: &mut dyn Sink) {
        if self.entries.len() >= self.limit
            && let Some(oldest) = self.entries.pop_front()
        {
            let kind = AnomalyKind::Limit;
            let anomaly = Anomaly { kind, name: "pending_requests", value: None, from: Side::Client };
            sink.anomaly(anomaly, entry.requested());
            oldest.conclude(Outcome::Pending, entry.requested(), sink);
        }
        self.entries.push_back(entry);
    }

    /// Takes the request that an answer belongs to (`is_asked_by`), and says whether the answer has the shape that it
    /// calls for (`fits`).
    ///
    /// Several can be meant: some clients use the same number again and again, and some framings have none. Then those
    /// that `fits` come before others, and the oldest comes first (servers answer in order), unless the client waited
    /// [`GAVE_UP`] before it asked again: it no longer expects that answer, and counting on it would pair every later
    /// answer with the request before.
    #[inline]
    pub(crate) fn take(&mut self, is_asked_by: impl Fn(&R) -> bool, fits: impl Fn(&R) -> bool) -> Option<(R, bool)> {
        // One request at a time, the common case, needs no choice.
        if let [only] = self.entries.as_slices().0
            && self.entries.len() == 1
            && is_asked_by(only)
        {
            let fit = fits(only);
            return self.entries.pop_front().map(|entry| (entry, fit));
        }
        let mut best = None;
        for (index, entry) in self.entries.iter().enumerate() {
            if !is_asked_by(entry) {
                continue;
            }
            let (clock, fit) = (entry.requested().clock, fits(entry));
            let better = match best {
                None => true,
                Some((_, _, best_fits)) if best_fits != fit => fit,
                Some((_, best_clock, _)) => clock.saturating_sub(best_clock) >= GAVE_UP,
            };
            if better {
                best = Some((index, clock, fit));
            }
        }
        let (index, _, fit) = best?;
        Some((self.entries.remove(index)?, fit))
    }

    /// The requests that wait, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &R> {
        self.entries.iter()
    }

    /// When the oldest becomes overdue.
    #[inline]
    pub(crate) fn deadline(&self) -> Option<i64> {
        self.entries.front().map(|oldest| overdue(oldest, self.timeout))
    }

    /// Gives up on those that are overdue, in the order in which they were sent.
    pub(crate) fn expire(&mut self, clock: i64, sink: &mut dyn Sink) {
        while self.deadline().is_some_and(|deadline| deadline < clock) {
            let Some(oldest) = self.entries.pop_front() else { return };
            give_up(&oldest, self.timeout, sink);
        }
    }

    /// Reports whatever still waits, and keeps nothing.
    pub(crate) fn finish(&mut self, sink: &mut dyn Sink) {
        for entry in core::mem::take(&mut self.entries) {
            entry.conclude(Outcome::Pending, entry.requested(), sink);
        }
    }
}

/// When a request becomes overdue, on the scale of [`Stamp::clock`].
fn overdue(entry: &impl Waiting, timeout: i64) -> i64 {
    entry.requested().clock.saturating_add(timeout)
}

/// Reports that no answer came, at the end of the wait.
fn give_up(entry: &impl Waiting, timeout: i64, sink: &mut dyn Sink) {
    let requested = entry.requested();
    let time = requested.time.saturating_add(timeout);
    let clock = overdue(entry, timeout).saturating_add(1);
    entry.conclude(Outcome::NoResponse, Stamp { time, clock, ..requested }, sink);
}

/// A client that asks again with the same number after this long has given up on the first answer, nanoseconds. Clients
/// that keep several requests in flight send them much closer together.
const GAVE_UP: i64 = 500_000_000;
