//! A segment that is not the expected one: what its flags mean for the connection, and what becomes of its payload.

use lockkeeper_protocols::Stamp;

use super::half_stream::Start;
use super::held::Piece;
use super::out_of_order::{OutOfOrder, Reuse};
use super::pass::Pass;
use super::sequence::distance;
use super::tcp::{TcpFlow, is_padding, milliseconds};
use super::{End, Progress, StreamHandler};
use crate::frame::Segment;

/// What a SYN, or the lack of one, means for a segment.
enum SynMeaning {
    /// It belongs to this connection.
    Ours,
    /// It says nothing new, or may announce a new connection that nobody has confirmed.
    Ignored,
    /// A new connection has begun.
    Restart,
}

impl TcpFlow {
    pub(super) fn sort_out<R: StreamHandler>(
        &mut self,
        out_of_order: &mut OutOfOrder,
        from: End,
        segment: &Segment<'_>,
        is_doubtful: bool,
        pass: &mut Pass<'_, R>,
    ) -> Progress {
        let stamp = pass.stamp;
        self.run_deadlines(out_of_order, stamp.clock, pass);
        pass.stamp = stamp;
        out_of_order.seen = out_of_order.seen.wrapping_add(1);
        if is_doubtful {
            self.on_payload_in_doubt(out_of_order, from, segment, pass);
        } else if segment.flags.rst {
            self.on_reset(from, segment.sequence, pass);
        } else {
            match self.meaning_of_syn(out_of_order, from, segment, pass) {
                // What a receiver does with data in a SYN is shown by what it acknowledges (RFC 9293, 3.4; RFC 7413).
                SynMeaning::Ours if segment.flags.syn => {
                    self.on_segment(out_of_order, from, &Segment { payload: &[], length: 0, ..*segment }, pass);
                    self.on_payload_in_doubt(out_of_order, from, segment, pass);
                }
                SynMeaning::Ours if self.is_payload_dropped(from, segment) => {
                    if segment.flags.ack {
                        self.on_segment(out_of_order, from, &Segment { payload: &[], length: 0, ..*segment }, pass);
                    }
                    self.on_payload_in_doubt(out_of_order, from, segment, pass);
                }
                SynMeaning::Ours => self.on_segment(out_of_order, from, segment, pass),
                SynMeaning::Ignored => {}
                SynMeaning::Restart => return Progress::Restart,
            }
        }
        self.drive(out_of_order, pass);
        self.progress()
    }

    fn on_segment<R: StreamHandler>(
        &mut self,
        out_of_order: &mut OutOfOrder,
        from: End,
        segment: &Segment<'_>,
        pass: &mut Pass<'_, R>,
    ) {
        let piece = piece_of(segment, &pass.stamp);
        if self.is_stray(from, piece.sequence, pass.settings.window) {
            return self.on_stray(out_of_order, from, piece, pass);
        }
        out_of_order.on_return_to_window(from, pass);
        if let Some(ack) = piece.ack {
            self.on_acknowledgement(out_of_order, from.other(), ack, pass);
        }
        if piece.length > 0 || piece.fin {
            self.accept(out_of_order, from, piece, pass);
        } else if piece.sequence == self.halves[from.index()].next.wrapping_sub(1) {
            pass.counters.keep_alives += u64::from(self.halves[from.index()].is_known());
        }
        // The byte may be in a segment that follows.
        if let Some(before) = segment.urgent.checked_sub(1) {
            self.on_urgent(out_of_order, from, piece.sequence.wrapping_add(before.into()), pass);
        }
    }

    /// Keeps the payload of a segment for the case that its receiver took it all the same.
    fn on_payload_in_doubt<R: StreamHandler>(
        &mut self,
        out_of_order: &mut OutOfOrder,
        from: End,
        segment: &Segment<'_>,
        pass: &mut Pass<'_, R>,
    ) {
        let piece = piece_of(segment, &pass.stamp);
        if piece.length > 0 {
            self.doubt(out_of_order, from, piece, pass);
        }
    }

    /// A reset far from where the stream is would be ignored by its receiver (RFC 5961, 3.2).
    fn on_reset<R: StreamHandler>(&mut self, from: End, sequence: u32, pass: &mut Pass<'_, R>) {
        if self.is_stray(from, sequence, pass.settings.window) {
            pass.counters.outside_window += 1;
        } else {
            self.reset_by = Some(from);
            self.close(pass.stamp.clock);
        }
    }

    /// Whether the receiver of a segment drops its payload, as far as can be told from the segment: data without an
    /// acknowledgement (RFC 9293, 3.10.7.4), and the padding of a short frame that was counted into its length.
    fn is_payload_dropped(&self, from: End, segment: &Segment<'_>) -> bool {
        let flags = segment.flags;
        let acknowledges_nothing = !flags.ack && !flags.syn && self.halves[from.other().index()].answered;
        acknowledges_nothing || self.halves[from.index()].is_known() && is_padding(segment)
    }

    fn meaning_of_syn<R: StreamHandler>(
        &mut self,
        out_of_order: &mut OutOfOrder,
        from: End,
        segment: &Segment<'_>,
        pass: &Pass<'_, R>,
    ) -> SynMeaning {
        let half = self.halves[from.index()];
        if !segment.flags.syn {
            let reused = out_of_order.reuse.is_some_and(|reuse| reuse.begins_with(from, segment.sequence));
            return if reused && segment.sequence != half.next { SynMeaning::Restart } else { SynMeaning::Ours };
        }
        let start = segment.sequence.wrapping_add(1);
        match half.start {
            Start::Provisional if !(0..=EARLY).contains(&distance(half.next, start)) => SynMeaning::Restart,
            Start::Unknown | Start::Absent | Start::Provisional => {
                self.on_syn(from, segment);
                SynMeaning::Ours
            }
            Start::Known if half.origin == start => self.on_syn_again(from, segment, pass),
            Start::Known if self.closed => SynMeaning::Restart,
            Start::Known => Self::on_other_syn(out_of_order, from, segment),
        }
    }

    fn on_syn(&mut self, from: End, segment: &Segment<'_>) {
        let half = &mut self.halves[from.index()];
        half.start_at(segment.sequence.wrapping_add(1));
        half.captured = true;
        let peer = &mut self.halves[from.other().index()];
        if segment.flags.ack && !peer.is_known() {
            peer.start_at(segment.acknowledgement);
        }
        self.note_client(from, segment);
    }

    /// Repeated, delivered twice, later than what follows it, or, after the end, a device that always starts alike.
    fn on_syn_again<R: StreamHandler>(&mut self, from: End, segment: &Segment<'_>, pass: &Pass<'_, R>) -> SynMeaning {
        let since = milliseconds(pass.stamp.clock).wrapping_sub(self.closed_at);
        if self.closed && i64::from(since) * 1_000_000 > pass.settings.reorder_time {
            return SynMeaning::Restart;
        }
        self.halves[from.index()].captured = true;
        self.note_client(from, segment);
        SynMeaning::Ignored
    }

    fn on_other_syn(out_of_order: &mut OutOfOrder, from: End, segment: &Segment<'_>) -> SynMeaning {
        let start = segment.sequence.wrapping_add(1);
        let reuse = if segment.flags.ack {
            Reuse { client: from.other(), client_next: segment.acknowledgement, server_next: Some(start) }
        } else {
            Reuse { client: from, client_next: start, server_next: None }
        };
        let confirmed = out_of_order.reuse.is_some_and(|before| {
            before.client == reuse.client
                && before.client_next == reuse.client_next
                && before.server_next.is_some() != reuse.server_next.is_some()
        });
        out_of_order.reuse = Some(reuse);
        if confirmed { SynMeaning::Restart } else { SynMeaning::Ignored }
    }

    fn note_client(&mut self, from: End, segment: &Segment<'_>) {
        self.client.get_or_insert(if segment.flags.ack { from.other() } else { from });
    }
}

/// A segment as a piece of its stream.
fn piece_of<'a>(segment: &Segment<'a>, stamp: &Stamp) -> Piece<'a> {
    Piece {
        sequence: segment.sequence.wrapping_add(u32::from(segment.flags.syn)),
        length: segment.length.max(u32::try_from(segment.payload.len()).unwrap_or(u32::MAX)),
        fin: segment.flags.fin,
        ack: segment.flags.ack.then_some(segment.acknowledgement),
        stamp: *stamp,
        bytes: segment.payload,
    }
}

/// How far the first bytes that were seen may lie beyond a SYN that comes after them.
const EARLY: i32 = 0xffff;
