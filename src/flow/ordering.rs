//! Delivers segments in causal order, and gives up bytes that do not arrive.
//!
//! A segment is delivered when it is next in its own direction and everything that it acknowledges of the other direction
//! was delivered before it. Until then it is held. The second condition restores the order of sending after any reordering
//! by the tap, also between directions; it applies only if the other direction is in the capture.
//!
//! Missing bytes are given up after [`StreamSettings::reorder_packets`] or [`StreamSettings::reorder_time`] if their receiver
//! acknowledged them (the capture lost them) or the connection is closed. Bytes that were not acknowledged may still be
//! retransmitted: they are given up only when too much is held, or after [`StreamSettings::one_way_timeout`] if no
//! acknowledgements are in the capture.
//!
//! Segments that their receiver should have dropped are *doubtful*: they are set aside, and fill a hole that is about to be
//! given up.
//!
//! A direction that is joined midstream waits for `reorder_time` or `reorder_packets` before it decides where it starts. A
//! flow of which only one direction was seen waits as long for the other one.

use lockkeeper_protocols::Stamp;

use super::half_stream::{Overlap, Start};
use super::held::Piece;
use super::out_of_order::{ENDS, Missing, OutOfOrder, Wait};
use super::pass::Pass;
use super::sequence::distance;
use super::stream::ReadingCause;
use super::tcp::TcpFlow;
use super::{End, RecentBytes, StreamHandler, StreamSettings};

impl TcpFlow {
    /// Handles every deadline up to `clock`, in order, each with its own time as the clock.
    pub(super) fn run_deadlines<R: StreamHandler>(
        &mut self,
        out_of_order: &mut OutOfOrder,
        clock: i64,
        pass: &mut Pass<'_, R>,
    ) {
        while let Some((of, wait)) = out_of_order.waits().min_by_key(|(_, wait)| wait.due)
            && wait.due <= clock
        {
            pass.stamp = Stamp { clock: wait.due, ..wait.since };
            self.give_up(out_of_order, of, pass);
            self.drive(out_of_order, pass);
        }
    }

    /// Delivers everything that is held, with gaps for missing bytes, and reports stray segments.
    pub(super) fn flush_all<R: StreamHandler>(
        &mut self,
        out_of_order: &mut OutOfOrder,
        clock: i64,
        pass: &mut Pass<'_, R>,
    ) {
        self.flush(out_of_order, clock, pass);
        out_of_order.drop_strays(pass);
        pass.counters.dropped += out_of_order.rivals.doubtful_count() as u64;
    }

    /// Delivers everything that is held, with gaps for missing bytes.
    pub(super) fn flush<R: StreamHandler>(
        &mut self,
        out_of_order: &mut OutOfOrder,
        clock: i64,
        pass: &mut Pass<'_, R>,
    ) {
        while let Some((of, wait)) = out_of_order.waits().min_by_key(|(_, wait)| wait.since.packet) {
            pass.stamp = Stamp { clock, ..wait.since };
            self.give_up(out_of_order, of, pass);
            self.drive(out_of_order, pass);
        }
    }

    /// Delivers what is in order, and gives up missing bytes after too many segments or when too much is held.
    pub(super) fn drive<R: StreamHandler>(&mut self, out_of_order: &mut OutOfOrder, pass: &mut Pass<'_, R>) {
        loop {
            self.deliver_held(out_of_order, pass);
            self.update_waits(out_of_order, pass);
            let overdue = |(_, wait): &(End, Wait)| out_of_order.is_overdue(wait, pass.settings.reorder_packets);
            let given_up = if let Some((of, _)) = out_of_order.waits().find(overdue) {
                of
            } else if out_of_order.exceeds_limits(pass.settings)
                && out_of_order.shed_rivals(pass.settings)
                && let Some((of, _)) = out_of_order.waits().min_by_key(|(_, wait)| wait.since.packet)
            {
                pass.counters.limit_reached += 1;
                let stamp = pass.stamp;
                pass.out.on_limit(of, &stamp);
                of
            } else {
                return;
            };
            self.give_up(out_of_order, given_up, pass);
        }
    }

    /// Delivers or holds a segment within the window.
    pub(super) fn accept<R: StreamHandler>(
        &mut self,
        out_of_order: &mut OutOfOrder,
        from: End,
        piece: Piece<'_>,
        pass: &mut Pass<'_, R>,
    ) {
        self.halves[from.index()].locate(piece.sequence);
        if !self.halves[from.index()].is_known() {
            return Self::hold(out_of_order, from, piece, pass);
        }
        self.reopen_after_fin(from, &piece, pass);
        let Some(fresh) = self.trim_delivered(from, piece, pass) else { return };
        if self.is_ready(from, &fresh, pass.settings) && !out_of_order.held[from.index()].overlaps(&fresh) {
            if out_of_order.reuse.is_some_and(|_| fresh.length > 0) {
                out_of_order.reuse = None;
            }
            self.deliver(from, fresh, pass);
        } else {
            Self::hold(out_of_order, from, fresh, pass);
        }
    }

    /// The part of a segment that was not delivered before. The rest is compared with the delivered bytes.
    fn trim_delivered<'p, R: StreamHandler>(
        &mut self,
        from: End,
        piece: Piece<'p>,
        pass: &mut Pass<'_, R>,
    ) -> Option<Piece<'p>> {
        let half = &mut self.halves[from.index()];
        pass.counters.late_bytes += u64::from(half.rewind(&piece));
        if distance(half.next, piece.sequence) <= 0 {
            return Some(piece);
        }
        if piece.length == 1 && !piece.fin && piece.data_end() == half.next && half.has_been_acknowledged() {
            pass.counters.keep_alives += 1;
            self.on_keep_alive(from, &piece, pass);
            return None;
        }
        self.on_repeat(from, &piece, pass);
        piece.starting_at(self.halves[from.index()].next)
    }

    /// Reports the byte of a keep-alive if it is neither 0 nor the delivered one. It is meaningless and usually 0 (RFC 9293,
    /// 3.8.4), but with a forged acknowledgement, its receiver may have accepted it.
    fn on_keep_alive<R: StreamHandler>(&self, from: End, piece: &Piece<'_>, pass: &mut Pass<'_, R>) {
        let half = &self.halves[from.index()];
        let differs = |recent: &RecentBytes| matches!(half.compare(piece, recent), Overlap::Differs(_));
        if piece.bytes != [0] && pass.recent.as_deref().is_some_and(differs) {
            self.report_overlap(from, piece, ReadingCause::Unverified, pass);
        }
    }

    /// Compares the repeated bytes of a segment with the delivered ones, and reports differences.
    pub(super) fn on_repeat<R: StreamHandler>(&mut self, from: End, piece: &Piece<'_>, pass: &mut Pass<'_, R>) {
        let half = &self.halves[from.index()];
        if piece.starting_at(half.next).is_none() {
            if half.has_delivered_within(pass.duplicate_window, piece.stamp.clock) {
                pass.counters.duplicates += 1;
            } else {
                pass.counters.retransmissions += 1;
            }
        }
        let Some(recent) = pass.recent.as_deref() else { return };
        match half.compare(piece, recent) {
            Overlap::Same => {}
            Overlap::Unverified => {
                pass.counters.unverified_overlaps += 1;
                self.report_overlap(from, piece, ReadingCause::Unverified, pass);
            }
            // One byte may be a keep-alive, whose content is meaningless (RFC 9293, 3.8.4).
            Overlap::Differs(_) if piece.length == 1 && !self.halves[from.other().index()].captured => {
                self.report_overlap(from, piece, ReadingCause::Unverified, pass);
            }
            Overlap::Differs(origin) => {
                pass.counters.conflicts += 1;
                self.report_overlap(from, piece, ReadingCause::Differs { origin }, pass);
            }
        }
    }

    /// Reopens the direction if bytes follow its FIN: no host sends any, so its receiver did not accept that FIN.
    fn reopen_after_fin<R: StreamHandler>(&mut self, from: End, piece: &Piece<'_>, pass: &mut Pass<'_, R>) {
        let half = &mut self.halves[from.index()];
        if half.finished && piece.length > 0 && distance(piece.data_end(), half.data_end()) > 0 {
            half.reopen();
            self.closed = false;
            pass.counters.conflicts += 1;
            pass.report_outside(from, piece, ReadingCause::AfterEnd);
        }
    }

    /// Holds a segment until it can be delivered, and counts it as held or as a retransmission. Keeps a copy whose bytes conflict
    /// with held ones, and reports a FIN that held bytes contradict.
    fn hold<R: StreamHandler>(out_of_order: &mut OutOfOrder, from: End, piece: Piece<'_>, pass: &mut Pass<'_, R>) {
        let inserted = out_of_order.held[from.index()].insert(piece);
        if inserted.conflict {
            out_of_order.rivals.add_repeat(from, piece);
        }
        if inserted.false_fin {
            pass.counters.conflicts += 1;
            pass.report_outside(from, &piece, ReadingCause::AfterEnd);
        }
        pass.counters.held += u64::from(inserted.kept);
        pass.counters.retransmissions += u64::from(!inserted.kept);
    }

    /// Whether a piece is next in its own direction and everything that it acknowledges was delivered.
    fn is_ready(&self, from: End, piece: &Piece<'_>, settings: &StreamSettings) -> bool {
        let (half, peer) = (&self.halves[from.index()], &self.halves[from.other().index()]);
        half.is_known()
            && distance(piece.sequence, half.next) <= 0
            && peer.has_delivered_up_to(piece.ack, settings.window)
    }

    /// Whether the first held piece of a direction is next in sequence.
    fn is_in_sequence(&self, out_of_order: &OutOfOrder, of: End) -> bool {
        let half = &self.halves[of.index()];
        out_of_order.head(of).is_some_and(|head| half.is_known() && distance(head.sequence, half.next) <= 0)
    }

    /// Delivers held pieces that are ready, in causal order.
    fn deliver_held<R: StreamHandler>(&mut self, out_of_order: &mut OutOfOrder, pass: &mut Pass<'_, R>) {
        while let Some(from) = self.next_sender(out_of_order, pass.settings) {
            out_of_order.held[from.index()].pop_head_with(|piece| self.deliver(from, piece, pass));
        }
        self.resolve_rivals(out_of_order, pass);
    }

    /// The direction whose held piece is delivered next: the one captured first, if both are ready. Two pieces that
    /// acknowledge each other contradict each other; then neither waits.
    fn next_sender(&self, out_of_order: &OutOfOrder, settings: &StreamSettings) -> Option<End> {
        let packet = |from: &End| out_of_order.head(*from).map(|head| head.stamp.packet);
        let is_ready = |from: &End| out_of_order.head(*from).is_some_and(|head| self.is_ready(*from, &head, settings));
        let crossed = || ENDS.iter().all(|&of| self.is_in_sequence(out_of_order, of));
        let ready = ENDS.into_iter().filter(is_ready).min_by_key(packet);
        ready.or_else(|| ENDS.into_iter().filter(|_| crossed()).min_by_key(packet))
    }

    /// Delivers a piece, without the bytes that were delivered before.
    pub(super) fn deliver<R: StreamHandler>(&mut self, from: End, piece: Piece<'_>, pass: &mut Pass<'_, R>) {
        let half = &mut self.halves[from.index()];
        let Some(piece) = piece.starting_at(half.next) else { return };
        let stamp = Stamp { clock: piece.stamp.clock.max(pass.stamp.clock), ..piece.stamp };
        if !piece.bytes.is_empty() {
            pass.out.on_bytes(from, piece.bytes, &stamp);
            half.record_delivery(piece.bytes, &stamp, pass.recent.as_deref_mut());
        }
        let cut = half.bytes_to(piece.data_end());
        if cut > 0 {
            pass.out.on_gap(from, cut, &stamp);
            pass.counters.cut_bytes += u64::from(cut);
            half.skip(cut);
            half.skipped = 0;
        }
        if self.reset_by == Some(from) && piece.length > 0 {
            // An end that sent a reset sends no more data, so the reset was forged.
            (self.closed, self.reset_by) = (false, None);
        }
        if piece.fin {
            half.finish();
            if self.halves.iter().all(|half| half.finished) {
                self.close(stamp.clock);
            }
        }
    }

    /// Number of bytes of a direction that its receiver acknowledged and that were not delivered.
    fn acknowledged_missing(&self, out_of_order: &OutOfOrder, of: End, settings: &StreamSettings) -> u32 {
        let half = &self.halves[of.index()];
        let head = out_of_order.head(of.other()).and_then(|head| head.ack);
        let by_head = head.filter(|_| half.is_known()).map_or(0, |ack| half.bytes_ahead(ack, settings.window));
        by_head.max(half.missing_bytes(settings.window))
    }

    /// Starts, continues or ends the wait of each direction.
    fn update_waits<R: StreamHandler>(&self, out_of_order: &mut OutOfOrder, pass: &Pass<'_, R>) {
        for of in ENDS {
            let before = out_of_order.waits[of.index()];
            out_of_order.waits[of.index()] = self.find_missing(out_of_order, of, pass.settings).map(|missing| {
                let begun = || Wait {
                    since: pass.stamp,
                    due: self.wait_deadline(of, missing, pass),
                    missing,
                    seen: out_of_order.seen,
                };
                before.filter(|wait| wait.missing == missing).unwrap_or_else(begun)
            });
        }
    }

    /// The bytes of a direction that block held pieces, or that were acknowledged and not delivered.
    fn find_missing(&self, out_of_order: &OutOfOrder, of: End, settings: &StreamSettings) -> Option<Missing> {
        let half = &self.halves[of.index()];
        let [holds, holds_up] = [of, of.other()].map(|end| !out_of_order.held[end.index()].is_empty());
        match half.start {
            Start::Absent => None,
            Start::Provisional => Some(Missing::Earlier),
            Start::Unknown => holds_up.then_some(Missing::Sign),
            Start::Known if !half.captured => holds_up.then_some(Missing::Sign),
            Start::Known if self.is_in_sequence(out_of_order, of) => None,
            Start::Known if self.acknowledged_missing(out_of_order, of, settings) > 0 => {
                Some(Missing::Received(half.next))
            }
            Start::Known if holds && self.closed => Some(Missing::Received(half.next)),
            Start::Known => holds.then_some(Missing::Sent(half.next)),
        }
    }

    /// When a new wait ends, nanoseconds of packet time.
    fn wait_deadline<R: StreamHandler>(&self, of: End, missing: Missing, pass: &Pass<'_, R>) -> i64 {
        let patience = match missing {
            Missing::Sent(_) if self.halves[of.other().index()].captured => return i64::MAX,
            Missing::Sent(_) => pass.settings.one_way_timeout,
            Missing::Sign | Missing::Earlier | Missing::Received(_) => pass.settings.reorder_time,
        };
        pass.stamp.clock.saturating_add(patience)
    }

    /// Ends the wait of a direction and gives up what it was for.
    fn give_up<R: StreamHandler>(&mut self, out_of_order: &mut OutOfOrder, of: End, pass: &mut Pass<'_, R>) {
        let Some(wait) = out_of_order.waits[of.index()].take() else { return };
        let half = &mut self.halves[of.index()];
        match wait.missing {
            Missing::Sign => half.mark_absent(),
            Missing::Earlier => half.start_at(half.next),
            Missing::Sent(_) | Missing::Received(_) => self.give_up_bytes(out_of_order, of, &wait.since, pass),
        }
    }

    /// Fills the hole with a doubtful segment, or skips to the acknowledged byte or the first held one, whichever comes first.
    fn give_up_bytes<R: StreamHandler>(
        &mut self,
        out_of_order: &mut OutOfOrder,
        of: End,
        since: &Stamp,
        pass: &mut Pass<'_, R>,
    ) {
        if self.fill_with_doubtful(out_of_order, of, pass) {
            return;
        }
        let head = out_of_order.head(of);
        let hole = head.map(|head| self.halves[of.index()].bytes_to(head.sequence));
        let wanted = Some(self.acknowledged_missing(out_of_order, of, pass.settings)).filter(|&wanted| wanted > 0);
        let Some(missing) = [hole, wanted].into_iter().flatten().min() else { return };
        let at = head.filter(|_| hole == Some(missing)).map_or(*since, |head| head.stamp);
        pass.gap(of, missing, &Stamp { clock: pass.stamp.clock.max(at.clock), ..at });
        self.halves[of.index()].skip(missing);
    }
}
