//! The records in flight: a bounded list in their order, from which only a broker's answer removes one.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::backoff::Backoff;
use super::reason::Reason;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    /// Packet time of the alert, nanoseconds since 1970, if this is its first record.
    pub(super) latency_start: Option<i64>,
}

impl Record {
    /// Bytes of topic and payload.
    pub(super) fn size(&self) -> u64 {
        (self.topic.len() + self.payload.len()) as u64
    }
}

/// Records that the broker has neither acknowledged nor permanently refused, oldest first.
///
/// A record is sent again only on another connection, or after a temporary refusal: the specification allows no other
/// repetition while its acknowledgement is missing (MQTT-4.4.0-1).
#[derive(Debug)]
pub(super) struct Window {
    entries: VecDeque<Entry>,
    capacity: usize,
    /// Pauses before a record is sent again after a temporary refusal.
    backoff: Backoff,
    /// The latest packet identifier. Identifiers count up to [`LAST_ID`] before they are reused, so that a late or repeated
    /// acknowledgement does not match another record.
    last_id: u16,
    /// Transmissions so far.
    transmissions: u64,
    tally: Tally,
    refusal: Option<String>,
}

/// Records by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Acknowledged by the broker.
    pub(super) delivered: u64,
    /// Permanently refused, or impossible to send.
    pub(super) refused: u64,
    /// Refused temporarily, and sent again later. A record counts each time.
    pub(super) retried: u64,
    /// Not acknowledged in time, and sent again on another connection. A record counts each time.
    pub(super) overdue: u64,
    /// Bytes of the delivered and refused records.
    pub(super) settled_bytes: u64,
}

#[derive(Debug)]
struct Entry {
    record: Record,
    state: State,
    /// Temporary refusals so far.
    attempts: u32,
    /// It was the only record in flight when the broker ended a connection because of a packet.
    is_suspect: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// To be sent, at once or at a time.
    Waiting(Option<Instant>),
    /// Sent, and not acknowledged.
    Sent {
        /// Its packet identifier.
        id: u16,
        /// Number of its transmission.
        transmission: u64,
        /// The start of its acknowledgement timeout: when it was sent, or when a record before it was acknowledged. A broker
        /// acknowledges in the order in which it receives (MQTT-4.6.0-2).
        expected_since: Instant,
    },
}

/// How a connection answers to an offered record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// It is queued for the socket.
    Taken,
    /// The connection has no room now.
    Full,
    /// It can never be sent, for this reason.
    Impossible(String),
}

/// The effect of an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acknowledged {
    /// The record is delivered; [`Record::latency_start`] of it.
    Delivered(Option<i64>),
    /// The record is permanently refused.
    Refused,
    /// The record is refused temporarily, and is sent again later.
    Later,
    /// No record in flight has this packet identifier.
    Unexpected,
}

impl Window {
    pub(super) const fn new(capacity: usize, backoff: Backoff) -> Self {
        let entries = VecDeque::new();
        let tally = Tally { delivered: 0, refused: 0, retried: 0, overdue: 0, settled_bytes: 0 };
        Self { entries, capacity, backoff, last_id: 0, transmissions: 0, tally, refusal: None }
    }

    pub(super) fn has_room(&self) -> bool {
        self.entries.len() < self.capacity.max(1)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Why the latest refused record was refused.
    pub(super) fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    pub(super) fn push(&mut self, record: Record) {
        self.entries.push_back(Entry { record, state: State::Waiting(None), attempts: 0, is_suspect: false });
    }

    /// Sends the waiting records that are due, oldest first, until `limit` records are in flight.
    pub(super) fn send(&mut self, limit: usize, now: Instant, mut connection: impl FnMut(&Record, u16) -> Offer) {
        let mut free = limit.max(1).saturating_sub(self.entries.iter().filter(|entry| entry.is_sent()).count());
        let mut index = 0;
        while free > 0
            && let Some(entry) = self.entries.get(index)
        {
            if !entry.is_due(now) {
                index += 1;
                continue;
            }
            let id = self.next_id();
            match connection(&entry.record, id) {
                Offer::Taken => {
                    self.mark_sent(index, id, now);
                    (index, free) = (index + 1, free - 1);
                }
                Offer::Full => break,
                Offer::Impossible(reason) => self.refuse(index, reason),
            }
        }
    }

    fn mark_sent(&mut self, index: usize, id: u16, now: Instant) {
        (self.last_id, self.transmissions) = (id, self.transmissions + 1);
        if let Some(entry) = self.entries.get_mut(index) {
            entry.state = State::Sent { id, transmission: self.transmissions, expected_since: now };
        }
    }

    /// A packet identifier that no record in flight has.
    fn next_id(&self) -> u16 {
        let following = |id: u16| if id >= LAST_ID { 1 } else { id + 1 };
        let mut id = following(self.last_id);
        while self.index_of(id).is_some() {
            id = following(id);
        }
        id
    }

    fn index_of(&self, id: u16) -> Option<usize> {
        self.entries.iter().position(|entry| matches!(entry.state, State::Sent { id: own, .. } if own == id))
    }

    /// Handles a PUBACK: the broker accepts the record with this packet identifier, or refuses it.
    pub(super) fn acknowledge(&mut self, id: u16, refusal: Option<Reason>, now: Instant) -> Acknowledged {
        let Some(index) = self.index_of(id) else { return Acknowledged::Unexpected };
        self.restart_later_timeouts(index, now);
        match refusal {
            None => {
                self.tally.delivered += 1;
                let latency_start = self.remove(index).and_then(|record| record.latency_start);
                Acknowledged::Delivered(latency_start)
            }
            Some(reason) if reason.is_transient() => {
                self.tally.retried += 1;
                if let Some(entry) = self.entries.get_mut(index) {
                    entry.attempts = entry.attempts.saturating_add(1);
                    entry.state = State::Waiting(now.checked_add(self.backoff.pause(entry.attempts)));
                }
                Acknowledged::Later
            }
            Some(reason) => {
                self.refuse(index, format!("refused: {reason}"));
                Acknowledged::Refused
            }
        }
    }

    /// Restarts the acknowledgement timeout of every record that was sent after this one.
    fn restart_later_timeouts(&mut self, index: usize, now: Instant) {
        let Some(State::Sent { transmission: answered, .. }) = self.entries.get(index).map(|entry| entry.state) else {
            return;
        };
        for entry in &mut self.entries {
            if let State::Sent { transmission, expected_since, .. } = &mut entry.state
                && *transmission > answered
            {
                *expected_since = now;
            }
        }
    }

    /// When the first missing acknowledgement is overdue.
    pub(super) fn overdue_at(&self, timeout: Duration) -> Option<Instant> {
        let expected = self.entries.iter().filter_map(|entry| match entry.state {
            State::Sent { expected_since, .. } => expected_since.checked_add(timeout),
            State::Waiting(_) => None,
        });
        expected.min()
    }

    /// Counts the records whose acknowledgement is overdue. `true`: there are some, and the connection has to end before
    /// they may be sent again.
    pub(super) fn count_overdue(&mut self, timeout: Duration, now: Instant) -> bool {
        let is_overdue = |entry: &&Entry| matches!(entry.state, State::Sent { expected_since, .. } if now.saturating_duration_since(expected_since) >= timeout);
        let overdue = self.entries.iter().filter(is_overdue).count();
        self.tally.overdue += overdue as u64;
        overdue > 0
    }

    /// When the next temporarily refused record is due.
    pub(super) fn retry_at(&self, now: Instant) -> Option<Instant> {
        let later = self.entries.iter().filter_map(|entry| match entry.state {
            State::Waiting(Some(then)) if then > now => Some(then),
            _ => None,
        });
        later.min()
    }

    /// Makes every temporarily refused record due at once, because the run ends.
    pub(super) fn skip_pauses(&mut self) {
        for entry in self.entries.iter_mut().filter(|entry| !entry.is_sent()) {
            (entry.state, entry.attempts) = (State::Waiting(None), 0);
        }
    }

    /// Makes every record in flight due again, because the connection is lost.
    pub(super) fn rewind(&mut self) {
        for entry in self.entries.iter_mut().filter(|entry| entry.is_sent()) {
            entry.state = State::Waiting(None);
        }
    }

    /// Handles a connection that the broker ended because of a packet. The packet is known only if a single record was in
    /// flight; a record to which that happens twice is refused.
    pub(super) fn blame(&mut self, reason: Reason) {
        let mut sent = self.entries.iter_mut().enumerate().filter(|(_, entry)| entry.is_sent());
        let (Some((index, entry)), None) = (sent.next(), sent.next()) else { return };
        if std::mem::replace(&mut entry.is_suspect, true) {
            self.refuse(index, format!("the broker ends the connection when it is sent: {reason}"));
        }
    }

    fn refuse(&mut self, index: usize, reason: String) {
        self.tally.refused += 1;
        self.refusal = Some(reason);
        self.remove(index);
    }

    fn remove(&mut self, index: usize) -> Option<Record> {
        let record = self.entries.remove(index)?.record;
        self.tally.settled_bytes += record.size();
        Some(record)
    }
}

impl Entry {
    const fn is_sent(&self) -> bool {
        matches!(self.state, State::Sent { .. })
    }

    fn is_due(&self, now: Instant) -> bool {
        matches!(self.state, State::Waiting(from) if from.is_none_or(|from| from <= now))
    }
}

/// The last packet identifier of a record; the one after it is reserved for announcements.
const LAST_ID: u16 = u16::MAX - 1;

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
    const QUOTA: Reason = Reason(0x97);
    const NOT_AUTHORIZED: Reason = Reason(0x87);
    const PATIENCE: Duration = Duration::from_secs(20);

    /// A moment, to which seconds can be added.
    #[expect(clippy::disallowed_methods, reason = "patience with a broker is measured in our own time")]
    fn begin() -> Instant {
        Instant::now()
    }

    fn window(records: u8, capacity: usize) -> Window {
        let mut window = Window::new(capacity, BACKOFF);
        (0..records).for_each(|number| {
            window.push(Record { topic: "t".to_owned(), payload: vec![number], latency_start: Some(number.into()) })
        });
        window
    }

    /// Sends what can be sent: the records, with their packet identifiers.
    fn sent(window: &mut Window, limit: usize, now: Instant) -> Vec<(u8, u16)> {
        let mut seen = Vec::new();
        window.send(limit, now, |record, id| {
            seen.extend(record.payload.first().map(|number| (*number, id)));
            Offer::Taken
        });
        seen
    }

    #[test]
    fn no_more_records_than_the_limit_are_in_flight_in_any_order_of_acknowledgements() {
        let (mut window, now) = (window(5, 5), begin());
        assert_eq!(sent(&mut window, 3, now), [(0, 1), (1, 2), (2, 3)]);
        assert_eq!(window.acknowledge(2, None, now), Acknowledged::Delivered(Some(1)));
        assert_eq!(sent(&mut window, 3, now), [(3, 4)]);
        assert_eq!(window.acknowledge(1, None, now), Acknowledged::Delivered(Some(0)));
        assert_eq!(window.acknowledge(1, None, now), Acknowledged::Unexpected, "acknowledged before");
        assert_eq!(sent(&mut window, 3, now), [(4, 5)]);
    }

    #[test]
    fn after_a_lost_connection_only_unacknowledged_records_are_sent_again() {
        let (mut window, now) = (window(4, 4), begin());
        sent(&mut window, 4, now);
        window.acknowledge(2, None, now);
        window.rewind();
        assert_eq!(window.acknowledge(1, None, now), Acknowledged::Unexpected, "of the old connection");
        assert_eq!(sent(&mut window, 4, now), [(0, 5), (2, 6), (3, 7)]);
        (5..=7).for_each(|id| assert!(matches!(window.acknowledge(id, None, now), Acknowledged::Delivered(_))));
        assert!(window.is_empty());
        assert_eq!((window.tally().delivered, window.tally().settled_bytes), (4, 8));
    }

    #[test]
    fn refused_and_impossible_records_are_not_delivered_and_have_a_reason() {
        let (mut window, now) = (window(2, 4), begin());
        window.send(1, now, |record, _| match record.payload[0] {
            0 => Offer::Impossible("too large".to_owned()),
            _ => Offer::Taken,
        });
        assert_eq!(window.refusal(), Some("too large"));
        assert_eq!(window.acknowledge(1, Some(NOT_AUTHORIZED), now), Acknowledged::Refused);
        assert!(window.is_empty());
        assert_eq!(window.refusal(), Some("refused: not authorized (0x87)"));
        assert_eq!((window.tally().delivered, window.tally().refused), (0, 2), "they are not waited for any more");
    }

    #[test]
    fn a_temporarily_refused_record_is_sent_again_after_growing_pauses_that_delay_no_other() {
        let (mut window, begun) = (window(2, 2), begin());
        sent(&mut window, 2, begun);
        let mut now = begun;
        for (round, longest) in [(1, 1), (2, 2), (3, 4)] {
            let id = if round == 1 { 1 } else { round + 1 };
            assert_eq!(window.acknowledge(id, Some(QUOTA), now), Acknowledged::Later);
            assert!(sent(&mut window, 2, now).is_empty(), "it pauses");
            let then = window.retry_at(now).expect("it is tried again");
            assert!((longest * 500..=longest * 1000).contains(&(then - now).as_millis()), "{:?}", then - now);
            now = then;
            assert_eq!(sent(&mut window, 2, now), [(0, round + 2)]);
        }
        assert!(matches!(window.acknowledge(2, None, now), Acknowledged::Delivered(_)));
        assert!(matches!(window.acknowledge(5, None, now), Acknowledged::Delivered(_)));
        let expected = Tally { delivered: 2, retried: 3, settled_bytes: 4, ..Tally::default() };
        assert_eq!(*window.tally(), expected);
    }

    #[test]
    fn at_the_end_pauses_are_skipped() {
        let (mut window, now) = (window(1, 1), begin());
        sent(&mut window, 1, now);
        window.acknowledge(1, Some(QUOTA), now);
        window.skip_pauses();
        assert_eq!(sent(&mut window, 1, now), [(0, 2)]);
    }

    #[test]
    fn a_missing_acknowledgement_is_overdue_although_others_arrive() {
        let (mut window, begun) = (window(3, 3), begin());
        let at = |seconds| begun + Duration::from_secs(seconds);
        sent(&mut window, 3, begun);
        window.acknowledge(2, None, at(15));
        assert_eq!(window.overdue_at(PATIENCE), Some(at(20)), "the first was sent before");
        assert!(!window.count_overdue(PATIENCE, at(19)));
        assert!(window.count_overdue(PATIENCE, at(20)));
        assert_eq!(window.tally().overdue, 1, "the third is expected since the second came");
    }

    #[test]
    fn a_slow_broker_is_not_overdue_as_long_as_it_acknowledges_in_order() {
        let (mut window, begun) = (window(4, 4), begin());
        let at = |seconds| begun + Duration::from_secs(seconds);
        sent(&mut window, 4, begun);
        for (id, seconds) in [(1, 15), (2, 30), (3, 45)] {
            assert!(!window.count_overdue(PATIENCE, at(seconds)));
            window.acknowledge(id, None, at(seconds));
        }
        assert!(!window.count_overdue(PATIENCE, at(60)) && window.count_overdue(PATIENCE, at(65)));
    }

    #[test]
    fn a_record_that_ends_connections_is_refused_when_it_was_alone_twice() {
        let (mut window, now) = (window(3, 3), begin());
        let too_large = Reason(0x95);
        sent(&mut window, 3, now);
        window.blame(too_large);
        window.rewind();
        for _ in 0..2 {
            assert_eq!(window.tally().refused, 0);
            sent(&mut window, 1, now);
            window.blame(too_large);
            window.rewind();
        }
        assert_eq!((window.tally().refused, window.len()), (1, 2));
        assert_eq!(sent(&mut window, 3, now).first().map(|(record, _)| *record), Some(1));
    }

    #[test]
    fn packet_identifiers_wrap_around_and_skip_those_in_use() {
        let (mut window, now) = (window(3, 3), begin());
        sent(&mut window, 1, now);
        window.last_id = LAST_ID - 1;
        assert_eq!(sent(&mut window, 3, now), [(1, LAST_ID), (2, 2)], "the first record still has 1");
    }
}
