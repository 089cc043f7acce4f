//! Pending requests of one flow: matching of answers, timeouts, bounds. All protocols use the same table.

mod overdue;

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use self::overdue::Overdue;
use crate::dissector::{Anomaly, AnomalyKind, Limits, Outcome, Side, Sink, Stamp};

/// A pending request of a protocol.
pub(crate) trait Waiting {
    /// Stamp of the request.
    fn requested(&self) -> &Stamp;

    /// Reports the outcome of every item of the request.
    fn report_outcomes(&self, outcome: Outcome, stamp: &Stamp, sink: &mut dyn Sink);

    /// Heap memory of the request, bytes.
    fn heap(&self) -> usize {
        0
    }

    /// Whether servers answer such requests. One that they do not answer ends when its answer would be overdue.
    fn is_answered(&self) -> bool {
        true
    }

    /// Whether an answer to this overdue request would be indistinguishable from an answer to the newer one.
    fn is_replaced_by(&self, _newer: &Self) -> bool {
        false
    }
}

/// The pending requests of one flow, oldest first. A client with one request at a time, the common case, costs no memory
/// beside the entry itself.
///
/// A request is *in flight* until its answer is overdue. After that a late answer still ends it; so does the first of these:
/// [`LATEST`] times the answer timeout, a newer request that replaces it, eviction, or the end of the connection.
#[derive(Debug)]
pub(crate) struct Pending<R> {
    /// The oldest in flight.
    oldest: Option<R>,
    /// All others: allocated with the second pending request, freed with the last but one.
    behind: Option<Box<Behind<R>>>,
    limit: u32,
    /// The connection is closed: no late answer can come.
    is_closed: bool,
    /// Time after which an answer is overdue, nanoseconds.
    timeout: i64,
}

/// See [`Pending::behind`].
#[derive(Debug)]
struct Behind<R> {
    in_flight: VecDeque<R>,
    overdue: VecDeque<R>,
    /// Time of the latest [`Pending::expire`], on the scale of [`Stamp::clock`].
    expired_at: i64,
}

impl<R> Default for Behind<R> {
    fn default() -> Self {
        Self { in_flight: VecDeque::new(), overdue: VecDeque::new(), expired_at: i64::MIN }
    }
}

impl<R: Waiting> Pending<R> {
    pub(crate) fn new(limits: &Limits) -> Self {
        let limit = u32::try_from(limits.pending.max(1)).unwrap_or(u32::MAX);
        Self { oldest: None, behind: None, limit, is_closed: false, timeout: limits.answer_timeout.max(0) }
    }

    /// Adds a request. At the limit it evicts the oldest overdue request, or else the oldest in flight, whose outcome stays
    /// [`Outcome::Pending`].
    pub(crate) fn push(&mut self, entry: R, sink: &mut dyn Sink) {
        if self.oldest.is_none() && self.behind.is_none() {
            self.oldest = Some(entry);
        } else {
            self.push_behind(entry, sink);
        }
    }

    fn push_behind(&mut self, entry: R, sink: &mut dyn Sink) {
        let stamp = *entry.requested();
        sink.takes_memory();
        let behind = self.behind.get_or_insert_default();
        while let Some(index) = behind.overdue.iter().position(|overdue| overdue.is_replaced_by(&entry))
            && let Some(replaced) = behind.overdue.remove(index)
        {
            conclude_unanswered(&replaced, self.timeout, stamp.clock, sink);
        }
        match self.oldest {
            None => self.oldest = Some(entry),
            Some(_) => behind.in_flight.push_back(entry),
        }
        if 1 + behind.in_flight.len() + behind.overdue.len() > self.limit as usize {
            match behind.overdue.pop_front() {
                Some(overdue) => conclude_unanswered(&overdue, self.timeout, stamp.clock, sink),
                None => self.evict_oldest(&stamp, sink),
            }
        }
        self.drop_empty_queues();
    }

    fn evict_oldest(&mut self, stamp: &Stamp, sink: &mut dyn Sink) {
        if let Some(oldest) = self.remove(0) {
            let kind = AnomalyKind::Limit;
            sink.anomaly(Anomaly { kind, name: "pending_requests", value: None, from: Side::Client }, stamp);
            // Kept bytes are decoded later than bytes that arrived after them.
            let stamp = if stamp.clock < oldest.requested().clock { oldest.requested() } else { stamp };
            oldest.report_outcomes(Outcome::Pending, stamp, sink);
        }
    }

    fn drop_empty_queues(&mut self) {
        if self.behind.as_ref().is_some_and(|behind| behind.in_flight.is_empty() && behind.overdue.is_empty()) {
            self.behind = None;
        }
    }

    /// The requests in flight, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &R> {
        self.oldest.iter().chain(self.behind.iter().flat_map(|behind| &behind.in_flight))
    }

    /// All requests: first those in flight, then those that are overdue, each oldest first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &R> {
        self.iter().chain(self.behind.iter().flat_map(|behind| &behind.overdue))
    }

    /// The request in flight, if there is exactly one.
    #[inline]
    pub(crate) fn only(&self) -> Option<&R> {
        match &self.behind {
            Some(behind) if !behind.in_flight.is_empty() => None,
            _ => self.oldest.as_ref(),
        }
    }

    /// Drops the only request in flight.
    pub(crate) fn forget_only(&mut self) {
        if self.behind.as_ref().is_none_or(|behind| behind.in_flight.is_empty()) {
            self.oldest = None;
        }
    }

    /// Finds the request that an answer belongs to (`is_asked_by`): its position, and whether the answer has the structure
    /// that the request calls for (`fits`).
    ///
    /// Several requests can qualify: some clients reuse one number, and some framings have none. Then those that `fits`
    /// come before others, and those in flight before those that are overdue. The oldest comes first, as servers answer in
    /// order, unless the client waited [`GAVE_UP`] before its next request: it no longer expects that answer, and matching
    /// it would pair every later answer with the request before.
    pub(crate) fn find(&self, is_asked_by: impl Fn(&R) -> bool, fits: impl Fn(&R) -> bool) -> Option<(usize, bool)> {
        // The common case: one request at a time.
        match &self.oldest {
            Some(only) if self.behind.is_none() && is_asked_by(only) => Some((0, fits(only))),
            _ => self.choose(is_asked_by, fits),
        }
    }

    /// [`Pending::find`] among several requests: prefers those in flight to overdue ones, and those that fit.
    fn choose(&self, is_asked_by: impl Fn(&R) -> bool, fits: impl Fn(&R) -> bool) -> Option<(usize, bool)> {
        let in_flight = best_match(self.iter(), &is_asked_by, &fits);
        if let Some((_, true)) = in_flight {
            return in_flight;
        }
        let late = self.behind.as_ref().and_then(|behind| best_match(behind.overdue.iter(), &is_asked_by, &fits));
        let late = late.map(|(index, fit)| (self.iter().count() + index, fit));
        late.filter(|(_, fit)| *fit).or(in_flight).or(late)
    }

    /// The position of the only request in flight that an answer `fits`, whatever number the answer has: some servers use
    /// numbers of their own.
    pub(crate) fn only_that(&self, fits: impl Fn(&R) -> bool) -> Option<usize> {
        let mut fitting = self.iter().enumerate().filter(|(_, entry)| fits(entry)).map(|(index, _)| index);
        fitting.next().filter(|_| fitting.next().is_none())
    }

    /// The request at a position that was [found](Self::find).
    pub(crate) fn get(&self, index: usize) -> Option<&R> {
        match index {
            0 if self.oldest.is_some() => self.oldest.as_ref(),
            _ => self.all().nth(index),
        }
    }

    /// Removes the request at a position.
    pub(crate) fn remove(&mut self, index: usize) -> Option<R> {
        match self.behind {
            None if index == 0 => self.oldest.take(),
            _ => self.remove_among(index),
        }
    }

    fn remove_among(&mut self, index: usize) -> Option<R> {
        let behind = self.behind.as_mut()?;
        let removed = match (index.checked_sub(usize::from(self.oldest.is_some())), index) {
            (None, _) => core::mem::replace(&mut self.oldest, behind.in_flight.pop_front()),
            (Some(place), _) if place < behind.in_flight.len() => behind.in_flight.remove(place),
            (Some(place), _) => behind.overdue.remove(place - behind.in_flight.len()),
        };
        self.drop_empty_queues();
        removed
    }

    /// Takes out the request that [`Self::find`] finds.
    #[inline]
    pub(crate) fn take(&mut self, is_asked_by: impl Fn(&R) -> bool, fits: impl Fn(&R) -> bool) -> Option<(R, bool)> {
        let (index, fit) = self.find(is_asked_by, fits)?;
        Some((self.remove(index)?, fit))
    }

    /// When [`Pending::expire`] next has something to do. Never later than the time at which a future request can become
    /// overdue.
    #[inline]
    pub(crate) fn deadline(&self) -> Option<i64> {
        let in_flight = self.oldest.as_ref().map(|oldest| due_at(oldest, self.timeout));
        match &self.behind {
            Some(behind) if !behind.overdue.is_empty() => {
                let next = behind.expired_at.saturating_add(self.timeout.max(1));
                let latest = behind.overdue.front().map(|overdue| due_at(overdue, self.late_limit()));
                [in_flight, latest, Some(next)].into_iter().flatten().min()
            }
            _ => in_flight,
        }
    }

    /// Time after which an overdue request ends without an answer, nanoseconds.
    fn late_limit(&self) -> i64 {
        self.timeout.saturating_mul(LATEST)
    }

    /// Reports the requests in flight that are overdue at `clock`, in the order in which they were sent, and ends those whose
    /// answer can no longer come.
    pub(crate) fn expire(&mut self, clock: i64, sink: &mut dyn Sink) {
        while let Some(at) = self.oldest.as_ref().map(|oldest| due_at(oldest, self.timeout)).filter(|due| *due < clock)
            && let Some(oldest) = self.remove(0)
        {
            let at = at.saturating_add(1);
            if oldest.is_answered() && !self.is_closed {
                conclude_unanswered(&oldest, self.timeout, at, &mut Overdue(&mut *sink));
                self.behind.get_or_insert_default().overdue.push_back(oldest);
            } else {
                conclude_unanswered(&oldest, self.timeout, at, sink);
            }
        }
        let latest = self.late_limit();
        while let Some(behind) = &mut self.behind
            && let Some(overdue) = behind.overdue.pop_front_if(|overdue| due_at(overdue, latest) < clock)
        {
            conclude_unanswered(&overdue, self.timeout, due_at(&overdue, latest).saturating_add(1), sink);
        }
        if let Some(behind) = &mut self.behind {
            behind.expired_at = clock;
        }
        self.drop_empty_queues();
    }

    /// Memory of all requests, bytes. A single request counts only its heap memory.
    pub(crate) fn memory(&self) -> usize {
        let heap: usize = self.all().map(Waiting::heap).sum();
        let room = |queue: &VecDeque<R>| queue.capacity() * size_of::<R>();
        heap + self.behind.as_ref().map_or(0, |behind| room(&behind.in_flight) + room(&behind.overdue))
    }

    /// Ends all requests as [`Outcome::Pending`], to free their memory.
    pub(crate) fn forget(&mut self, stamp: &Stamp, sink: &mut dyn Sink) {
        let others = self.behind.take().map(|behind| behind.in_flight.into_iter().chain(behind.overdue));
        for entry in self.oldest.take().into_iter().chain(others.into_iter().flatten()) {
            entry.report_outcomes(Outcome::Pending, stamp, sink);
        }
    }

    /// The connection is closed at `clock`: overdue requests end as [`Outcome::NoResponse`], now and from here on.
    pub(crate) fn close(&mut self, clock: i64, sink: &mut dyn Sink) {
        self.is_closed = true;
        let overdue = self.behind.as_mut().map(|behind| core::mem::take(&mut behind.overdue)).unwrap_or_default();
        overdue.iter().for_each(|entry| conclude_unanswered(entry, self.timeout, clock, sink));
        self.drop_empty_queues();
    }

    /// Ends all requests: those that are overdue as [`Outcome::NoResponse`], the others as [`Outcome::Pending`].
    pub(crate) fn finish(&mut self, sink: &mut dyn Sink) {
        let overdue = self.behind.as_mut().map(|behind| core::mem::take(&mut behind.overdue)).unwrap_or_default();
        for entry in &overdue {
            conclude_unanswered(entry, self.timeout, due_at(entry, self.timeout).saturating_add(1), sink);
        }
        while let Some(entry) = self.remove(0) {
            entry.report_outcomes(Outcome::Pending, entry.requested(), sink);
        }
    }
}

/// The best of several requests, oldest first: see [`Pending::find`].
fn best_match<'r, R: Waiting + 'r>(
    entries: impl Iterator<Item = &'r R>,
    is_asked_by: &impl Fn(&R) -> bool,
    fits: &impl Fn(&R) -> bool,
) -> Option<(usize, bool)> {
    let mut best = None;
    for (index, entry) in entries.enumerate() {
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

/// When a request becomes overdue, on the scale of [`Stamp::clock`].
fn due_at(entry: &impl Waiting, timeout: i64) -> i64 {
    entry.requested().clock.saturating_add(timeout)
}

/// Reports that no answer came within `timeout`. `clock`: time of the report.
fn conclude_unanswered(entry: &impl Waiting, timeout: i64, clock: i64, sink: &mut dyn Sink) {
    let requested = entry.requested();
    let (time, clock) = (requested.time.saturating_add(timeout), clock.max(requested.clock));
    entry.report_outcomes(Outcome::NoResponse, &Stamp { time, clock, ..*requested }, sink);
}

/// A late answer is expected up to this many times the answer timeout: five minutes by default. Busy servers answer after
/// half a minute, and stalled streams continue after one or two minutes.
const LATEST: i64 = 60;

/// A client that reuses a number after this long no longer expects the first answer, nanoseconds. Clients with several
/// requests in flight send them much closer together.
const GAVE_UP: i64 = 500_000_000;
