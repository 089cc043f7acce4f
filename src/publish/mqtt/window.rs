//! Which records are on their way: an ordered window that only a broker's acknowledgement moves.

use std::collections::VecDeque;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    /// Packet time of what it tells, nanoseconds, if it is the first to tell it.
    pub(super) news: Option<i64>,
}

impl Record {
    /// Bytes that it takes up.
    pub(super) fn size(&self) -> u64 {
        (self.topic.len() + self.payload.len()) as u64
    }
}

/// Records from the first unacknowledged one on. Records leave it only at its front, so at most `capacity` lie between
/// the oldest packet identifier in use and the newest: identifiers that count up to more than that never collide, even
/// if the broker acknowledges out of order.
#[derive(Debug)]
pub(super) struct Window {
    entries: VecDeque<Entry>,
    capacity: usize,
    delivered: u64,
    refused: u64,
    settled: Settled,
    refusal: Option<String>,
}

/// Records that need no place any more, whatever became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) records: u64,
    pub(super) bytes: u64,
}

#[derive(Debug)]
struct Entry {
    record: Record,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not with the client.
    Waiting,
    /// With the client, which has not given it a packet identifier.
    Handed,
    /// Sent under this packet identifier.
    Sent(u16),
    /// Acknowledged or refused.
    Done,
}

/// What became of a record that was offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// The client has it.
    Taken,
    /// The client takes no more now.
    Full,
    /// It can never be sent, for this reason.
    Impossible(String),
}

/// A record that the broker has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Acknowledged {
    /// [`Record::news`], if it was taken.
    pub(super) news: Option<i64>,
}

impl Window {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            capacity: capacity.max(1),
            delivered: 0,
            refused: 0,
            settled: Settled::default(),
            refusal: None,
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.entries.len() < self.capacity
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Records that the broker acknowledged.
    pub(super) const fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Records that it refused, or that can never be sent.
    pub(super) const fn refused(&self) -> u64 {
        self.refused
    }

    /// Records that are no longer waited for.
    pub(super) const fn settled(&self) -> Settled {
        self.settled
    }

    /// Why the latest record that was refused was.
    pub(super) fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    pub(super) fn push(&mut self, record: Record) {
        self.entries.push_back(Entry { record, state: State::Waiting });
    }

    /// Offers what waits, oldest first, within the first `span` places.
    pub(super) fn offer(&mut self, span: usize, mut client: impl FnMut(&Record) -> Offer) {
        for entry in self.entries.iter_mut().take(span.max(1)).filter(|entry| entry.state == State::Waiting) {
            match client(&entry.record) {
                Offer::Taken => entry.state = State::Handed,
                Offer::Full => break,
                Offer::Impossible(reason) => {
                    self.refusal = Some(reason);
                    self.refused += 1;
                    entry.state = State::Done;
                }
            }
        }
        self.slide();
    }

    /// The client sent the oldest record it had, under this packet identifier.
    pub(super) fn sent(&mut self, id: u16) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.state == State::Handed) {
            entry.state = State::Sent(id);
        }
    }

    /// The broker acknowledged a packet identifier, or refused what was sent under it. None if it was not ours.
    pub(super) fn acknowledged(&mut self, id: u16, refusal: Option<String>) -> Option<Acknowledged> {
        let entry = self.entries.iter_mut().find(|entry| entry.state == State::Sent(id))?;
        entry.state = State::Done;
        let news = entry.record.news.filter(|_| refusal.is_none());
        self.delivered += u64::from(refusal.is_none());
        self.refused += u64::from(refusal.is_some());
        self.refusal = refusal.or_else(|| self.refusal.take());
        self.slide();
        Some(Acknowledged { news })
    }

    /// The connection is gone: whatever was not acknowledged is to be sent again.
    pub(super) fn rewind(&mut self) {
        for entry in self.entries.iter_mut().filter(|entry| entry.state != State::Done) {
            entry.state = State::Waiting;
        }
    }

    fn slide(&mut self) {
        while let Some(done) = self.entries.pop_front_if(|entry| entry.state == State::Done) {
            self.settled.records += 1;
            self.settled.bytes += done.record.size();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(records: u8, capacity: usize) -> Window {
        let mut window = Window::new(capacity);
        (0..records).for_each(|number| {
            window.push(Record { topic: "t".to_owned(), payload: vec![number], news: Some(number.into()) })
        });
        window
    }

    fn offered(window: &mut Window, span: usize) -> Vec<u8> {
        let mut seen = Vec::new();
        window.offer(span, |record| {
            seen.extend_from_slice(&record.payload);
            Offer::Taken
        });
        seen
    }

    #[test]
    fn no_more_than_the_span_is_on_its_way_even_if_acknowledged_out_of_order() {
        let mut window = window(5, 5);
        assert_eq!(offered(&mut window, 3), [0, 1, 2]);
        (1..=3).for_each(|id| window.sent(id));
        assert!(window.acknowledged(2, None).is_some() && window.acknowledged(3, None).is_some());
        assert!(offered(&mut window, 3).is_empty(), "the first is still open");
        assert_eq!(window.acknowledged(1, None), Some(Acknowledged { news: Some(0) }));
        assert_eq!(offered(&mut window, 3), [3, 4]);
    }

    #[test]
    fn after_a_lost_connection_only_what_was_not_acknowledged_is_sent_again() {
        let mut window = window(4, 4);
        offered(&mut window, 4);
        (1..=3).for_each(|id| window.sent(id));
        window.acknowledged(2, None);
        window.rewind();
        assert_eq!(offered(&mut window, 4), [0, 2, 3]);
        assert_eq!(window.acknowledged(1, None), None, "identifiers of the old connection mean nothing");
        (1..=3).for_each(|id| window.sent(id));
        (1..=3).for_each(|id| assert!(window.acknowledged(id, None).is_some()));
        assert!(window.is_empty());
        assert_eq!(window.delivered(), 4);
        assert_eq!(window.settled(), Settled { records: 4, bytes: 8 });
    }

    #[test]
    fn what_is_refused_or_impossible_is_not_delivered_and_says_why() {
        let mut window = window(2, 4);
        window.offer(1, |_| Offer::Impossible("too large".to_owned()));
        assert_eq!(window.refusal(), Some("too large"));
        assert_eq!(offered(&mut window, 1), [1]);
        window.sent(1);
        let refused = window.acknowledged(1, Some("quota".to_owned()));
        assert_eq!(refused, Some(Acknowledged { news: None }), "no time until it was taken, since it was not");
        assert!(window.is_empty());
        assert_eq!((window.delivered(), window.refusal()), (0, Some("quota")));
        assert_eq!((window.refused(), window.settled().records), (2, 2), "they are not waited for any more");
    }
}
