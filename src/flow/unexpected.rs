//! Segments that the fast path does not handle: the meaning of their flags, and whether their payload is accepted.

use lockkeeper_protocols::Stamp;

use super::half_stream::Start;
use super::held::Piece;
use super::out_of_order::{OutOfOrder, Reuse};
use super::pass::Pass;
use super::sequence::distance;
use super::tcp::{TcpFlow, is_padding, milliseconds};
use super::{End, Progress, StreamHandler};
use crate::frame::Segment;

/// How a segment relates to the connection, by its SYN flag or the lack of it.
enum SynMeaning {
    /// It belongs to this connection.
    Ours,
    /// It is a repeated SYN, or that of a new connection which is not confirmed yet.
    Ignored,
    /// It belongs to a new connection.
    Restart,
}

impl TcpFlow {
    /// Processes a segment on the slow path.
    pub(super) fn process_unexpected<R: StreamHandler>(
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
            self.on_doubtful_payload(out_of_order, from, segment, pass);
        } else if segment.flags.rst {
            self.on_reset(from, segment.sequence, pass);
        } else {
            match self.meaning_of_syn(out_of_order, from, segment, pass) {
                SynMeaning::Ours => self.on_own_segment(out_of_order, from, segment, pass),
                SynMeaning::Ignored => {}
                SynMeaning::Restart => return Progress::Restart,
            }
        }
        self.drive(out_of_order, pass);
        self.progress()
    }

    /// Handles a segment of this connection, and sets its payload aside if its receiver may not accept it.
    fn on_own_segment<R: StreamHandler>(
        &mut self,
        out_of_order: &mut OutOfOrder,
        from: End,
        segment: &Segment<'_>,
        pass: &mut Pass<'_, R>,
    ) {
        let header = Segment { payload: &[], length: 0, ..*segment };
        if segment.flags.syn {
            // The acknowledgement shows whether the receiver accepted data in a SYN (RFC 9293, 3.4; RFC 7413).
            self.on_segment(out_of_order, from, &header, pass);
            self.on_doubtful_payload(out_of_order, from, segment, pass);
        } else if self.is_payload_dropped(from, segment) {
            if segment.flags.ack {
                self.on_segment(out_of_order, from, &header, pass);
            }
            self.on_doubtful_payload(out_of_order, from, segment, pass);
        } else {
            self.on_segment(out_of_order, from, segment, pass);
        }
    }

    /// Handles the header and the payload of a segment of this connection.
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
        // The urgent byte may be in a later segment.
        if let Some(before) = segment.urgent.checked_sub(1) {
            self.on_urgent(out_of_order, from, piece.sequence.wrapping_add(before.into()), pass);
        }
    }

    /// Sets the payload of a segment aside, in case its receiver accepted it although it should have dropped it.
    fn on_doubtful_payload<R: StreamHandler>(
        &mut self,
        out_of_order: &mut OutOfOrder,
        from: End,
        segment: &Segment<'_>,
        pass: &mut Pass<'_, R>,
    ) {
        let piece = piece_of(segment, &pass.stamp);
        if piece.length > 0 {
            self.set_aside(out_of_order, from, piece, pass);
        }
    }

    /// Closes the connection, unless the reset lies far outside the window: its receiver ignores it (RFC 5961, 3.2).
    fn on_reset<R: StreamHandler>(&mut self, from: End, sequence: u32, pass: &mut Pass<'_, R>) {
        if self.is_stray(from, sequence, pass.settings.window) {
            pass.counters.outside_window += 1;
        } else {
            self.reset_by = Some(from);
            self.close(pass.stamp.clock);
        }
    }

    /// Whether the receiver of a segment should drop its payload: data without ACK (RFC 9293, 3.10.7.4), or Ethernet padding
    /// that was counted into the length of the datagram.
    fn is_payload_dropped(&self, from: End, segment: &Segment<'_>) -> bool {
        let flags = segment.flags;
        let acknowledges_nothing = !flags.ack && !flags.syn && self.halves[from.other().index()].answered;
        acknowledges_nothing || self.halves[from.index()].is_known() && is_padding(segment)
    }

    /// Decides whether a segment belongs to this connection, and handles its SYN.
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

    /// Starts a direction at its SYN.
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

    /// Handles a SYN with the known sequence number: repeated, duplicated or reordered, or, after the end, a new connection of
    /// a device that always uses the same one.
    fn on_syn_again<R: StreamHandler>(&mut self, from: End, segment: &Segment<'_>, pass: &Pass<'_, R>) -> SynMeaning {
        let since = milliseconds(pass.stamp.clock).wrapping_sub(self.closed_at);
        if self.closed && i64::from(since) * 1_000_000 > pass.settings.reorder_time {
            return SynMeaning::Restart;
        }
        self.halves[from.index()].captured = true;
        self.note_client(from, segment);
        SynMeaning::Ignored
    }

    /// Handles a SYN that contradicts the open connection: a restart once it is confirmed.
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

    /// Records which end opened the connection, by its first SYN.
    fn note_client(&mut self, from: End, segment: &Segment<'_>) {
        self.client.get_or_insert(if segment.flags.ack { from.other() } else { from });
    }
}

/// Converts a segment into a piece of its stream.
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

/// Most bytes between a late SYN and the first bytes that were captured before it.
const EARLY: i32 = 0xffff;
