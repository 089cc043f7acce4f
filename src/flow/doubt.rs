//! Rules for doubtful segments, which their receiver should have dropped, and for other readings of undelivered bytes.

use super::held::{Held, Piece};
use super::out_of_order::{ENDS, OutOfOrder};
use super::pass::Pass;
use super::rivals::{Rival, reaches_beyond};
use super::sequence::distance;
use super::tcp::TcpFlow;
use super::{End, StreamHandler};

impl TcpFlow {
    /// Records the urgent byte at `sequence`. Every segment up to it may announce it (RFC 9293, 3.8.5).
    pub(super) fn on_urgent<R: StreamHandler>(
        &mut self,
        out_of_order: &mut OutOfOrder,
        from: End,
        sequence: u32,
        pass: &mut Pass<'_, R>,
    ) {
        if pass.recent.is_some() && !out_of_order.rivals.awaits_urgent(from, sequence) {
            out_of_order.rivals.add(from, Rival::Urgent(sequence, pass.stamp));
            self.resolve_rivals(out_of_order, pass);
        }
    }

    /// Sets a doubtful segment aside if it may fill a hole later; counts it as dropped otherwise.
    pub(super) fn set_aside<R: StreamHandler>(
        &mut self,
        out_of_order: &mut OutOfOrder,
        from: End,
        piece: Piece<'_>,
        pass: &mut Pass<'_, R>,
    ) {
        let half = &self.halves[from.index()];
        let doubtful = &mut out_of_order.rivals.doubtful[from.index()];
        let is_useful = half.is_known()
            && piece.starting_at(half.next).is_some()
            && !self.is_stray(from, piece.sequence, pass.settings.window);
        if is_useful && doubtful.len() < MAX_DOUBTFUL {
            doubtful.push_back(Held::of(Piece { fin: false, ..piece }));
        } else {
            pass.counters.dropped += 1;
        }
    }

    /// Drops doubtful segments whose bytes were delivered, and reports other readings of delivered bytes.
    pub(super) fn resolve_rivals<R: StreamHandler>(&mut self, out_of_order: &mut OutOfOrder, pass: &mut Pass<'_, R>) {
        for of in ENDS {
            let (next, doubtful) = (self.halves[of.index()].next, &mut out_of_order.rivals.doubtful[of.index()]);
            let before = doubtful.len();
            doubtful.retain(|held| reaches_beyond(held, next));
            pass.counters.dropped += (before - doubtful.len()) as u64;
        }
        for _ in 0..out_of_order.rivals.awaited.len() {
            let Some((from, rival)) = out_of_order.rivals.awaited.pop_front() else { return };
            if distance(rival.end(), self.halves[from.index()].next) > 0 {
                out_of_order.rivals.awaited.push_back((from, rival));
                continue;
            }
            match rival {
                Rival::Repeat(held) => self.on_repeat(from, &held.piece(), pass),
                Rival::Urgent(sequence, stamp) => self.report_urgent(from, sequence, &stamp, pass),
            }
        }
    }

    /// Fills the hole of a direction with a doubtful segment, which its receiver seems to have accepted; returns whether there
    /// was one. Other doubtful segments for the same bytes are reported as other readings.
    pub(super) fn fill_with_doubtful<R: StreamHandler>(
        &mut self,
        out_of_order: &mut OutOfOrder,
        of: End,
        pass: &mut Pass<'_, R>,
    ) -> bool {
        let Some(taken) = out_of_order.rivals.take_doubtful(of, self.halves[of.index()].next) else { return false };
        pass.counters.taken_doubtful += 1;
        self.deliver(of, taken.piece(), pass);
        let doubtful = std::mem::take(&mut out_of_order.rivals.doubtful[of.index()]);
        for held in doubtful {
            let next = self.halves[of.index()].next;
            if distance(held.piece().sequence, next) < 0 {
                self.on_repeat(of, &held.piece(), pass);
            }
            if let Some(rest) = held.piece().starting_at(next) {
                out_of_order.rivals.doubtful[of.index()].push_back(Held::of(rest));
            }
        }
        true
    }
}

/// Most doubtful segments of one direction that are kept.
const MAX_DOUBTFUL: usize = 16;
