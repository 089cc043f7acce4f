//! Requests that wait for their answer: one table for every protocol that pairs them.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use crate::dissector::{Anomaly, AnomalyKind, Limits, Outcome, Side, Sink, Stamp};

/// A request without an answer so far, as small as its protocol can keep it.
pub(crate) trait Waiting {
    /// When it was sent.
    fn requested(&self) -> &Stamp;

    /// Tells the outcome of every item of the request.
    fn conclude(&self, outcome: Outcome, stamp: &Stamp, sink: &mut dyn Sink);
}

/// The requests of one flow that wait, oldest first. Clients that ask one thing at a time, as nearly all do, cost no
/// memory beside the entry itself.
#[derive(Debug)]
pub(crate) struct Pending<R> {
    oldest: Option<R>,
    /// Those that came after it: made when a second one waits.
    #[expect(clippy::box_collection, reason = "most flows never have any: one word then")]
    others: Option<Box<VecDeque<R>>>,
    limit: u32,
    /// How long an answer is waited for, nanoseconds.
    timeout: i64,
}

impl<R: Waiting> Pending<R> {
    pub(crate) fn new(limits: &Limits) -> Self {
        let limit = u32::try_from(limits.pending.max(1)).unwrap_or(u32::MAX);
        Self { oldest: None, others: None, limit, timeout: limits.answer_timeout.max(0) }
    }

    /// Remembers a request. When as many wait already as may, the oldest is given up: its fate stays unknown.
    #[inline(always)]
    pub(crate) fn push(&mut self, entry: R, sink: &mut dyn Sink) {
        if self.oldest.is_none() {
            self.oldest = Some(entry);
        } else {
            self.push_behind(entry, sink);
        }
    }

    #[inline(never)]
    fn push_behind(&mut self, entry: R, sink: &mut dyn Sink) {
        let stamp = *entry.requested();
        self.others.get_or_insert_default().push_back(entry);
        if self.len() > self.limit as usize
            && let Some(oldest) = self.remove(0)
        {
            let kind = AnomalyKind::Limit;
            sink.anomaly(Anomaly { kind, name: "pending_requests", value: None, from: Side::Client }, &stamp);
            oldest.conclude(Outcome::Pending, &stamp, sink);
        }
    }

    fn len(&self) -> usize {
        usize::from(self.oldest.is_some()) + self.others.as_ref().map_or(0, |others| others.len())
    }

    /// Those that wait, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &R> {
        self.oldest.iter().chain(self.others.iter().flat_map(|others| others.iter()))
    }

    /// The one request that waits, if it is the only one: the common case.
    #[inline]
    pub(crate) fn only(&self) -> Option<&R> {
        if self.others.is_none() { self.oldest.as_ref() } else { None }
    }

    /// No longer waits for the only request.
    #[inline(always)]
    pub(crate) fn forget_only(&mut self) {
        if self.others.is_none() {
            self.oldest = None;
        }
    }

    /// Finds the request that an answer belongs to (`is_asked_by`): its place, and whether the answer has the shape that
    /// it calls for (`fits`).
    ///
    /// Several can be meant: some clients use the same number again and again, and some framings have none. Then those
    /// that `fits` come before others, and the oldest comes first (servers answer in order), unless the client waited
    /// [`GAVE_UP`] before it asked again: it no longer expects that answer, and counting on it would pair every later
    /// answer with the request before.
    #[inline(always)]
    pub(crate) fn find(&self, is_asked_by: impl Fn(&R) -> bool, fits: impl Fn(&R) -> bool) -> Option<(usize, bool)> {
        // One request at a time, the common case, needs no choice.
        match &self.oldest {
            Some(only) if self.others.is_none() && is_asked_by(only) => Some((0, fits(only))),
            _ => self.choose(is_asked_by, fits),
        }
    }

    #[inline(never)]
    fn choose(&self, is_asked_by: impl Fn(&R) -> bool, fits: impl Fn(&R) -> bool) -> Option<(usize, bool)> {
        let mut best = None;
        for (index, entry) in self.iter().enumerate() {
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
        best.map(|(index, _, fit)| (index, fit))
    }

    /// The request at a place that was [found](Self::find).
    #[inline(always)]
    pub(crate) fn get(&self, index: usize) -> Option<&R> {
        match index.checked_sub(1) {
            None => self.oldest.as_ref(),
            Some(behind) => self.others.as_ref()?.get(behind),
        }
    }

    /// No longer waits for the request at a place.
    #[inline(always)]
    pub(crate) fn remove(&mut self, index: usize) -> Option<R> {
        match self.others {
            None if index == 0 => self.oldest.take(),
            _ => self.remove_among(index),
        }
    }

    #[inline(never)]
    fn remove_among(&mut self, index: usize) -> Option<R> {
        let others = self.others.as_mut()?;
        let removed = match index.checked_sub(1) {
            None => core::mem::replace(&mut self.oldest, others.pop_front()),
            Some(behind) => others.remove(behind),
        };
        if others.is_empty() {
            self.others = None;
        }
        removed
    }

    /// Takes out the request that [`Self::find`] finds.
    #[inline]
    pub(crate) fn take(&mut self, is_asked_by: impl Fn(&R) -> bool, fits: impl Fn(&R) -> bool) -> Option<(R, bool)> {
        let (index, fit) = self.find(is_asked_by, fits)?;
        Some((self.remove(index)?, fit))
    }

    /// When the oldest becomes overdue.
    #[inline]
    pub(crate) fn deadline(&self) -> Option<i64> {
        self.oldest.as_ref().map(|oldest| overdue(oldest, self.timeout))
    }

    /// Gives up on those that are overdue, in the order in which they were sent.
    pub(crate) fn expire(&mut self, clock: i64, sink: &mut dyn Sink) {
        while self.deadline().is_some_and(|deadline| deadline < clock) {
            let Some(oldest) = self.remove(0) else { return };
            give_up(&oldest, self.timeout, sink);
        }
    }

    /// Reports whatever still waits, and keeps nothing.
    pub(crate) fn finish(&mut self, sink: &mut dyn Sink) {
        while let Some(entry) = self.remove(0) {
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
    entry.conclude(Outcome::NoResponse, &Stamp { time, clock, ..*requested }, sink);
}

/// A client that asks again with the same number after this long has given up on the first answer, nanoseconds. Clients
/// that keep several requests in flight send them much closer together.
const GAVE_UP: i64 = 500_000_000;
