//! What is out of order in a flow.

use lockkeeper_protocols::Stamp;

use super::held::{Piece, Queue};
use super::pass::Pass;
use super::rivals::Rivals;
use super::sequence::distance;
use super::stream::ReadingCause;
use super::{End, StreamHandler, StreamSettings};

/// What is out of order in a flow.
#[derive(Debug, Default)]
pub(super) struct OutOfOrder {
    pub(super) held: [Queue; 2],
    /// For what each direction is missing.
    pub(super) waits: [Option<Wait>; 2],
    /// At most one segment of each direction that lies far outside the window.
    pub(super) strays: [Queue; 2],
    /// How many segments of each direction lay there, one after the other.
    pub(super) strayed: [u8; 2],
    pub(super) rivals: Rivals,
    pub(super) reuse: Option<Reuse>,
    /// Segments of the flow since it began.
    pub(super) seen: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    pub(super) since: Stamp,
    pub(super) due: i64,
    /// For what.
    pub(super) missing: Missing,
    /// [`OutOfOrder::seen`] then.
    pub(super) seen: u32,
}

/// A SYN that does not fit a connection which was not closed. The receiver of a forged one ignores it (RFC 5961, 4.2),
/// so it counts only when the other end, or what follows, confirms it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reuse {
    pub(super) client: End,
    pub(super) client_next: u32,
    pub(super) server_next: Option<u32>,
}

impl Reuse {
    pub(super) fn begins_with(&self, from: End, sequence: u32) -> bool {
        if from == self.client { sequence == self.client_next } else { Some(sequence) == self.server_next }
    }
}

/// What a direction may be missing. When it changes, the wait begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// Anything at all: only the other direction has been seen.
    Sign,
    /// What may come before its first bytes that were seen.
    Earlier,
    /// The byte with this sequence number, which its receiver may yet be sent again.
    Sent(u32),
    /// The byte with this sequence number, which its receiver has, or which can no longer come.
    Received(u32),
}

impl OutOfOrder {
    pub(super) fn is_busy(&self) -> bool {
        let quiet = self.held.iter().chain(&self.strays).all(Queue::is_empty);
        !quiet || self.reuse.is_some() || !self.rivals.is_empty() || self.waits.iter().any(Option::is_some)
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.held.iter().map(Queue::bytes).sum::<usize>() + self.rivals.bytes()
    }

    pub(super) fn deadline(&self) -> Option<i64> {
        self.waits.iter().flatten().map(|wait| wait.due).min().filter(|due| *due != i64::MAX)
    }

    pub(super) fn waits(&self) -> impl Iterator<Item = (End, Wait)> + '_ {
        ENDS.into_iter().filter_map(|of| Some((of, self.waits[of.index()]?)))
    }

    pub(super) fn is_overdue(&self, wait: &Wait, packets: u32) -> bool {
        !matches!(wait.missing, Missing::Sent(_)) && self.seen.wrapping_sub(wait.seen) >= packets
    }

    pub(super) fn head(&self, of: End) -> Option<Piece<'_>> {
        self.held[of.index()].head()
    }

    pub(super) fn exceeds_limits(&self, settings: &StreamSettings) -> bool {
        let segments: usize = self.held.iter().map(Queue::len).sum();
        segments > settings.held_segments || self.held_bytes() > settings.held_bytes
    }

    /// Forgets other readings and doubtful segments, which are of less use than what is held; says whether it is still more
    /// than there is room for.
    pub(super) fn shed_rivals(&mut self, settings: &StreamSettings) -> bool {
        while self.exceeds_limits(settings) && self.rivals.drop_oldest() {}
        self.exceeds_limits(settings)
    }

    /// Whether `ack` acknowledges the stray segment of a direction.
    pub(super) fn is_stray_acknowledged(&self, of: End, ack: u32) -> bool {
        let is_within = |stray: Piece<'_>| distance(ack, stray.sequence) > 0 && distance(ack, stray.end()) <= 0;
        self.strays[of.index()].head().is_some_and(is_within)
    }

    /// Gives up the stray segment of a direction: it was part of no stream that could be followed.
    pub(super) fn drop_stray<R: StreamHandler>(&mut self, of: End, pass: &mut Pass<'_, R>) {
        self.strays[of.index()].pop_head_with(|stray| pass.report_outside(of, &stray, ReadingCause::Stray));
        self.strays[of.index()] = Queue::default();
    }

    /// The same of both directions, at the end of the flow.
    pub(super) fn drop_strays<R: StreamHandler>(&mut self, pass: &mut Pass<'_, R>) {
        ENDS.into_iter().for_each(|of| self.drop_stray(of, pass));
    }

    /// A segment of a direction lay within the window.
    pub(super) fn on_return_to_window<R: StreamHandler>(&mut self, of: End, pass: &mut Pass<'_, R>) {
        if self.strayed[of.index()] > 0 {
            self.strayed[of.index()] = 0;
            self.drop_stray(of, pass);
        }
    }
}

pub(super) const ENDS: [End; 2] = [End::Low, End::High];
