//! Requests that wait for their answer: one table for every protocol that pairs them.

mod overdue;

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use self::overdue::Overdue;
use crate::dissector::{Anomaly, AnomalyKind, Limits, Outcome, Side, Sink, Stamp};

/// A request without an answer so far, as small as its protocol can keep it.
pub(crate) trait Waiting {
    /// When it was sent.
    fn requested(&self) -> &Stamp;

    /// Tells the outcome of every item of the request.
    fn conclude(&self, outcome: Outcome, stamp: &Stamp, sink: &mut dyn Sink);

    /// Bytes of memory beside its own that it takes.
    fn heap(&self) -> usize {
        0
    }

    /// Whether the server answers it at all. Otherwise it ends with the time in which an answer would have come.
    fn is_answered(&self) -> bool {
        true
    }

    /// Whether an answer to this one, which is overdue, cannot be told from one to a newer request.
    fn is_replaced_by(&self, _newer: &Self) -> bool {
        false
    }
}

/// The requests of one flow that wait, oldest first. Clients that ask one thing at a time, as nearly all do, cost no
/// memory beside the entry itself.
///
/// A request is *in flight* until its answer is overdue. From then on it waits behind those in flight: a late answer still
/// ends it, and without one [`LATEST`] times the wait, a newer request that replaces it, the want of room, or the end of the
/// connection.
#[derive(Debug)]
pub(crate) struct Pending<R> {
    /// The oldest in flight.
    oldest: Option<R>,
    /// All others: made when a second one waits, and dropped when none does.
    behind: Option<Box<Behind<R>>>,
    limit: u32,
    /// The connection is closed: no answer comes late.
    is_closed: bool,
    /// How long an answer is waited for, nanoseconds.
    timeout: i64,
}

/// See [`Pending::behind`].
#[derive(Debug)]
struct Behind<R> {
    in_flight: VecDeque<R>,
    overdue: VecDeque<R>,
    /// When it was looked last what is overdue, on the scale of [`Stamp::clock`].
    looked_at: i64,
}

impl<R> Default for Behind<R> {
    fn default() -> Self {
        Self { in_flight: VecDeque::new(), overdue: VecDeque::new(), looked_at: i64::MIN }
    }
}

impl<R: Waiting> Pending<R> {
    pub(crate) fn new(limits: &Limits) -> Self {
        let limit = u32::try_from(limits.pending.max(1)).unwrap_or(u32::MAX);
        Self { oldest: None, behind: None, limit, is_closed: false, timeout: limits.answer_timeout.max(0) }
    }

    /// Remembers a request. When as many wait already as may, one is given up: of those that are overdue the oldest, or else
    /// the oldest in flight, whose fate stays unknown.
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
            give_up(&replaced, self.timeout, stamp.clock, sink);
        }
        match self.oldest {
            None => self.oldest = Some(entry),
            Some(_) => behind.in_flight.push_back(entry),
        }
        if 1 + behind.in_flight.len() + behind.overdue.len() > self.limit as usize {
            match behind.overdue.pop_front() {
                Some(overdue) => give_up(&overdue, self.timeout, stamp.clock, sink),
                None => self.give_up_oldest(&stamp, sink),
            }
        }
        self.tidy();
    }

    fn give_up_oldest(&mut self, stamp: &Stamp, sink: &mut dyn Sink) {
        if let Some(oldest) = self.remove(0) {
            let kind = AnomalyKind::Limit;
            sink.anomaly(Anomaly { kind, name: "pending_requests", value: None, from: Side::Client }, stamp);
            // What was kept is read later than what came behind it.
            let stamp = if stamp.clock < oldest.requested().clock { oldest.requested() } else { stamp };
            oldest.conclude(Outcome::Pending, stamp, sink);
        }
    }

    fn tidy(&mut self) {
        if self.behind.as_ref().is_some_and(|behind| behind.in_flight.is_empty() && behind.overdue.is_empty()) {
            self.behind = None;
        }
    }

    /// Those in flight, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &R> {
        self.oldest.iter().chain(self.behind.iter().flat_map(|behind| &behind.in_flight))
    }

    /// All that wait: first those in flight, then those that are overdue, each oldest first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &R> {
        self.iter().chain(self.behind.iter().flat_map(|behind| &behind.overdue))
    }

    /// The one request in flight, if it is the only one: the common case.
    #[inline]
    pub(crate) fn only(&self) -> Option<&R> {
        match &self.behind {
            Some(behind) if !behind.in_flight.is_empty() => None,
            _ => self.oldest.as_ref(),
        }
    }

    /// No longer waits for the only request in flight.
    pub(crate) fn forget_only(&mut self) {
        if self.behind.as_ref().is_none_or(|behind| behind.in_flight.is_empty()) {
            self.oldest = None;
        }
    }

    /// Finds the request that an answer belongs to (`is_asked_by`): its place, and whether the answer has the shape that
    /// it calls for (`fits`).
    ///
    /// Several can be meant: some clients use the same number again and again, and some framings have none. Then those
    /// that `fits` come before others, and those in flight before those that are overdue. The oldest comes first (servers
    /// answer in order), unless the client waited [`GAVE_UP`] before it asked again: it no longer expects that answer, and
    /// counting on it would pair every later answer with the request before.
    pub(crate) fn find(&self, is_asked_by: impl Fn(&R) -> bool, fits: impl Fn(&R) -> bool) -> Option<(usize, bool)> {
        // One request at a time, the common case, needs no choice.
        match &self.oldest {
            Some(only) if self.behind.is_none() && is_asked_by(only) => Some((0, fits(only))),
            _ => self.choose(is_asked_by, fits),
        }
    }

    fn choose(&self, is_asked_by: impl Fn(&R) -> bool, fits: impl Fn(&R) -> bool) -> Option<(usize, bool)> {
        let in_flight = best(self.iter(), &is_asked_by, &fits);
        if let Some((_, true)) = in_flight {
            return in_flight;
        }
        let late = self.behind.as_ref().and_then(|behind| best(behind.overdue.iter(), &is_asked_by, &fits));
        let late = late.map(|(index, fit)| (self.iter().count() + index, fit));
        late.filter(|(_, fit)| *fit).or(in_flight).or(late)
    }

    /// The only request in flight that an answer `fits`, although it names another one: some servers answer with a number of
    /// their own.
    pub(crate) fn only_that(&self, fits: impl Fn(&R) -> bool) -> Option<usize> {
        let mut fitting = self.iter().enumerate().filter(|(_, entry)| fits(entry)).map(|(index, _)| index);
        fitting.next().filter(|_| fitting.next().is_none())
    }

    /// The request at a place that was [found](Self::find).
    pub(crate) fn get(&self, index: usize) -> Option<&R> {
        match index {
            0 if self.oldest.is_some() => self.oldest.as_ref(),
            _ => self.all().nth(index),
        }
    }

    /// No longer waits for the request at a place.
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
        self.tidy();
        removed
    }

    /// Takes out the request that [`Self::find`] finds.
    #[inline]
    pub(crate) fn take(&mut self, is_asked_by: impl Fn(&R) -> bool, fits: impl Fn(&R) -> bool) -> Option<(R, bool)> {
        let (index, fit) = self.find(is_asked_by, fits)?;
        Some((self.remove(index)?, fit))
    }

    /// When the oldest in flight becomes overdue, or the oldest that is overdue is given up. Never later than a request
    /// becomes overdue that has not been sent yet.
    #[inline]
    pub(crate) fn deadline(&self) -> Option<i64> {
        let in_flight = self.oldest.as_ref().map(|oldest| due(oldest, self.timeout));
        match &self.behind {
            Some(behind) if !behind.overdue.is_empty() => {
                let next = behind.looked_at.saturating_add(self.timeout.max(1));
                let latest = behind.overdue.front().map(|overdue| due(overdue, self.latest()));
                [in_flight, latest, Some(next)].into_iter().flatten().min()
            }
            _ => in_flight,
        }
    }

    /// After what time an answer no longer comes, nanoseconds.
    fn latest(&self) -> i64 {
        self.timeout.saturating_mul(LATEST)
    }

    /// Tells of those in flight that are overdue now, in the order in which they were sent, and gives up those that are long
    /// overdue.
    pub(crate) fn expire(&mut self, clock: i64, sink: &mut dyn Sink) {
        while let Some(at) = self.oldest.as_ref().map(|oldest| due(oldest, self.timeout)).filter(|due| *due < clock)
            && let Some(oldest) = self.remove(0)
        {
            let at = at.saturating_add(1);
            if oldest.is_answered() && !self.is_closed {
                give_up(&oldest, self.timeout, at, &mut Overdue(&mut *sink));
                self.behind.get_or_insert_default().overdue.push_back(oldest);
            } else {
                give_up(&oldest, self.timeout, at, sink);
            }
        }
        let latest = self.latest();
        while let Some(behind) = &mut self.behind
            && let Some(overdue) = behind.overdue.pop_front_if(|overdue| due(overdue, latest) < clock)
        {
            give_up(&overdue, self.timeout, due(&overdue, latest).saturating_add(1), sink);
        }
        if let Some(behind) = &mut self.behind {
            behind.looked_at = clock;
        }
        self.tidy();
    }

    /// Bytes of memory that all that wait take. One alone counts only what it keeps beside itself.
    pub(crate) fn memory(&self) -> usize {
        let heap: usize = self.all().map(Waiting::heap).sum();
        let room = |queue: &VecDeque<R>| queue.capacity() * size_of::<R>();
        heap + self.behind.as_ref().map_or(0, |behind| room(&behind.in_flight) + room(&behind.overdue))
    }

    /// No longer waits for any of them, whatever becomes of them.
    pub(crate) fn forget(&mut self, stamp: &Stamp, sink: &mut dyn Sink) {
        let others = self.behind.take().map(|behind| behind.in_flight.into_iter().chain(behind.overdue));
        for entry in self.oldest.take().into_iter().chain(others.into_iter().flatten()) {
            entry.conclude(Outcome::Pending, stamp, sink);
        }
    }

    /// The connection is closed at `clock`: those that are overdue are given up, and from here on those that become it.
    pub(crate) fn close(&mut self, clock: i64, sink: &mut dyn Sink) {
        self.is_closed = true;
        let overdue = self.behind.as_mut().map(|behind| core::mem::take(&mut behind.overdue)).unwrap_or_default();
        overdue.iter().for_each(|entry| give_up(entry, self.timeout, clock, sink));
        self.tidy();
    }

    /// Reports whatever still waits, and keeps nothing.
    pub(crate) fn finish(&mut self, sink: &mut dyn Sink) {
        let overdue = self.behind.as_mut().map(|behind| core::mem::take(&mut behind.overdue)).unwrap_or_default();
        for entry in &overdue {
            give_up(entry, self.timeout, due(entry, self.timeout).saturating_add(1), sink);
        }
        while let Some(entry) = self.remove(0) {
            entry.conclude(Outcome::Pending, entry.requested(), sink);
        }
    }
}

/// The best of several requests, oldest first: see [`Pending::find`].
fn best<'r, R: Waiting + 'r>(
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
fn due(entry: &impl Waiting, timeout: i64) -> i64 {
    entry.requested().clock.saturating_add(timeout)
}

/// Reports that no answer came within the wait. `clock`: when it is reported.
fn give_up(entry: &impl Waiting, timeout: i64, clock: i64, sink: &mut dyn Sink) {
    let requested = entry.requested();
    let (time, clock) = (requested.time.saturating_add(timeout), clock.max(requested.clock));
    entry.conclude(Outcome::NoResponse, &Stamp { time, clock, ..*requested }, sink);
}

/// How many times as long as the wait for an answer one may be late: five minutes as a rule. Servers that are busy answer
/// after half a minute, and streams that stall go on after one or two.
const LATEST: i64 = 60;

/// A client that asks again with the same number after this long has given up on the first answer, nanoseconds. Clients
/// that keep several requests in flight send them much closer together.
const GAVE_UP: i64 = 500_000_000;
