//! Segments far outside the window, and when a stream resumes at them.

use super::half_stream::Start;
use super::held::Piece;
use super::out_of_order::OutOfOrder;
use super::pass::Pass;
use super::sequence::distance;
use super::tcp::TcpFlow;
use super::{End, StreamHandler};

impl TcpFlow {
    /// Whether a sequence number lies far outside the window.
    pub(super) fn is_stray(&self, from: End, sequence: u32, window: u32) -> bool {
        let half = &self.halves[from.index()];
        matches!(half.start, Start::Known | Start::Provisional) && distance(sequence, half.next).unsigned_abs() > window
    }

    /// Handles an acknowledgement of the direction `of`.
    pub(super) fn on_acknowledgement<R: StreamHandler>(
        &mut self,
        out_of_order: &mut OutOfOrder,
        of: End,
        ack: u32,
        pass: &mut Pass<'_, R>,
    ) {
        if out_of_order.is_stray_acknowledged(of, ack) {
            self.resume_at_stray(out_of_order, of, None, pass);
        }
        self.halves[of.index()].acknowledge(ack, pass.settings.window);
    }

    /// Handles a segment far outside the window. The stream resumes at it if the peer acknowledges it, if stray segments of
    /// both directions acknowledge each other, or if a second one follows it while the peer is not in the capture or nothing
    /// else has arrived for [`LONG_STRAYED`] segments.
    pub(super) fn on_stray<R: StreamHandler>(
        &mut self,
        out_of_order: &mut OutOfOrder,
        from: End,
        piece: Piece<'_>,
        pass: &mut Pass<'_, R>,
    ) {
        let peer = from.other();
        pass.counters.outside_window += 1;
        if let Some(ack) = piece.ack.filter(|ack| out_of_order.is_stray_acknowledged(peer, *ack)) {
            let acknowledges_piece = |stray: Piece<'_>| stray.ack.is_some_and(|other| near(other, piece.sequence));
            if out_of_order.strays[peer.index()].head().is_some_and(acknowledges_piece) {
                self.resume_at_stray(out_of_order, peer, None, pass);
                self.halves[peer.index()].acknowledge(ack, pass.settings.window);
                return self.resume_at(out_of_order, from, piece, pass);
            }
        }
        if piece.length == 0 {
            return;
        }
        let strayed = &mut out_of_order.strayed[from.index()];
        *strayed = strayed.saturating_add(1);
        let (is_long, is_alone) = (*strayed >= LONG_STRAYED, !self.halves[peer.index()].captured);
        let follows = |first: Piece<'_>| near(first.end(), piece.sequence) || near(piece.end(), first.sequence);
        if (is_long || is_alone) && out_of_order.strays[from.index()].head().is_some_and(follows) {
            return self.resume_at_stray(out_of_order, from, Some(piece), pass);
        }
        out_of_order.drop_stray(from, pass);
        out_of_order.strays[from.index()].insert(piece);
    }

    /// Resumes the stream at a stray segment.
    fn resume_at<R: StreamHandler>(
        &mut self,
        out_of_order: &mut OutOfOrder,
        from: End,
        piece: Piece<'_>,
        pass: &mut Pass<'_, R>,
    ) {
        out_of_order.drop_stray(from, pass);
        out_of_order.strays[from.index()].insert(piece);
        self.resume_at_stray(out_of_order, from, None, pass);
    }

    /// Resumes the stream at the stored stray segment of a direction and the `second` one, whichever comes first in sequence.
    fn resume_at_stray<R: StreamHandler>(
        &mut self,
        out_of_order: &mut OutOfOrder,
        from: End,
        second: Option<Piece<'_>>,
        pass: &mut Pass<'_, R>,
    ) {
        let stamp = pass.stamp;
        let mut stray = std::mem::take(&mut out_of_order.strays[from.index()]);
        out_of_order.strayed[from.index()] = 0;
        let Some(first) = stray.head().map(|first| first.sequence) else { return };
        self.flush(out_of_order, stamp.clock, pass);
        pass.stamp = stamp;
        let second_start = second.map_or(first, |second| second.sequence);
        let start = if distance(second_start, first) < 0 { second_start } else { first };
        let missing = u32::try_from(distance(start, self.halves[from.index()].next)).unwrap_or(0);
        pass.gap(from, missing, &stamp);
        pass.counters.resynchronised += 1;
        self.halves[from.index()].start_at(start);
        stray.pop_head_with(|first| self.accept(out_of_order, from, first, pass));
        if let Some(second) = second {
            self.accept(out_of_order, from, second, pass);
        }
    }
}

/// Whether `to` lies at `from` or at most [`NEARBY`] bytes after it.
fn near(from: u32, to: u32) -> bool {
    (0..=NEARBY).contains(&distance(to, from))
}

/// Most bytes between two segments outside the window that confirm each other.
const NEARBY: i32 = 0xffff;
/// Consecutive segments outside the window after which the stream resumes there.
const LONG_STRAYED: u8 = 16;
