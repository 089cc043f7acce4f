//! The state of a connection with segments out of order.

use lockkeeper_protocols::Stamp;

use super::held::{Piece, Queue};
use super::pass::Pass;
use super::rivals::Rivals;
use super::sequence::distance;
use super::stream::ReadingCause;
use super::{End, StreamHandler, StreamSettings};

/// The state of a connection with segments out of order. Each array has an entry for each direction.
#[derive(Debug, Default)]
pub(super) struct OutOfOrder {
    /// Segments that cannot be delivered yet.
    pub(super) held: [Queue; 2],
    /// The current wait for missing bytes.
    pub(super) waits: [Option<Wait>; 2],
    /// At most one segment far outside the window.
    pub(super) strays: [Queue; 2],
    /// Consecutive segments far outside the window.
    pub(super) strayed: [u8; 2],
    pub(super) rivals: Rivals,
    pub(super) reuse: Option<Reuse>,
    /// Segments processed while this state exists.
    pub(super) seen: u32,
}

/// A wait of one direction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    /// When it began.
    pub(super) since: Stamp,
    /// When it is given up, nanoseconds of packet time; `i64::MAX` for never.
    pub(super) due: i64,
    pub(super) missing: Missing,
    /// [`OutOfOrder::seen`] when it began.
    pub(super) seen: u32,
}

/// A SYN that contradicts an open connection. The receiver of a forged SYN ignores it (RFC 5961, 4.2), so it counts only when
/// the other end or a later segment confirms it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reuse {
    pub(super) client: End,
    pub(super) client_next: u32,
    pub(super) server_next: Option<u32>,
}

impl Reuse {
    /// Whether a segment of `from` at `sequence` is the first one of the new connection.
    pub(super) fn begins_with(&self, from: End, sequence: u32) -> bool {
        if from == self.client { sequence == self.client_next } else { Some(sequence) == self.server_next }
    }
}

/// What a direction waits for. When it changes, a new wait begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// Any segment: only the other direction was seen.
    Sign,
    /// Bytes before the first ones that were seen.
    Earlier,
    /// The byte with this sequence number, which may still be retransmitted.
    Sent(u32),
    /// The byte with this sequence number, which its receiver acknowledged or which can no longer arrive.
    Received(u32),
}

impl OutOfOrder {
    /// Whether it has any state, so that the connection is not in order.
    pub(super) fn is_busy(&self) -> bool {
        let quiet = self.held.iter().chain(&self.strays).all(Queue::is_empty);
        !quiet || self.reuse.is_some() || !self.rivals.is_empty() || self.waits.iter().any(Option::is_some)
    }

    /// Number of payload bytes held.
    pub(super) fn held_bytes(&self) -> usize {
        self.held.iter().map(Queue::bytes).sum::<usize>() + self.rivals.bytes()
    }

    /// The earliest packet time at which a wait ends.
    pub(super) fn deadline(&self) -> Option<i64> {
        self.waits.iter().flatten().map(|wait| wait.due).min().filter(|due| *due != i64::MAX)
    }

    /// The current waits, by direction.
    pub(super) fn waits(&self) -> impl Iterator<Item = (End, Wait)> + '_ {
        ENDS.into_iter().filter_map(|of| Some((of, self.waits[of.index()]?)))
    }

    /// Whether a wait has lasted for `packets` segments. Bytes that may be retransmitted are exempt.
    pub(super) fn is_overdue(&self, wait: &Wait, packets: u32) -> bool {
        !matches!(wait.missing, Missing::Sent(_)) && self.seen.wrapping_sub(wait.seen) >= packets
    }

    /// The first held piece of a direction.
    pub(super) fn head(&self, of: End) -> Option<Piece<'_>> {
        self.held[of.index()].head()
    }

    /// Whether more is held than the settings allow.
    pub(super) fn exceeds_limits(&self, settings: &StreamSettings) -> bool {
        let segments: usize = self.held.iter().map(Queue::len).sum();
        segments > settings.held_segments || self.held_bytes() > settings.held_bytes
    }

    /// Drops rivals and doubtful segments, which matter less than held segments, until the limits hold; returns whether they
    /// are still exceeded.
    pub(super) fn shed_rivals(&mut self, settings: &StreamSettings) -> bool {
        while self.exceeds_limits(settings) && self.rivals.drop_oldest() {}
        self.exceeds_limits(settings)
    }

    /// Whether `ack` acknowledges the stray segment of a direction.
    pub(super) fn is_stray_acknowledged(&self, of: End, ack: u32) -> bool {
        let is_within = |stray: Piece<'_>| distance(ack, stray.sequence) > 0 && distance(ack, stray.end()) <= 0;
        self.strays[of.index()].head().is_some_and(is_within)
    }

    /// Drops the stray segment of a direction and reports it.
    pub(super) fn drop_stray<R: StreamHandler>(&mut self, of: End, pass: &mut Pass<'_, R>) {
        self.strays[of.index()].pop_head_with(|stray| pass.report_outside(of, &stray, ReadingCause::Stray));
        self.strays[of.index()] = Queue::default();
    }

    /// Drops the stray segments of both directions, at the end of the flow.
    pub(super) fn drop_strays<R: StreamHandler>(&mut self, pass: &mut Pass<'_, R>) {
        ENDS.into_iter().for_each(|of| self.drop_stray(of, pass));
    }

    /// Drops the stray segment of a direction because another one lay within the window.
    pub(super) fn on_return_to_window<R: StreamHandler>(&mut self, of: End, pass: &mut Pass<'_, R>) {
        if self.strayed[of.index()] > 0 {
            self.strayed[of.index()] = 0;
            self.drop_stray(of, pass);
        }
    }
}

/// Both ends, in the order of [`End::index`].
pub(super) const ENDS: [End; 2] = [End::Low, End::High];
