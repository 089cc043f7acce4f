//! A TCP connection: its two directions in order, who opened it, and whether it has ended.

use lockkeeper_protocols::Stamp;

use super::half_stream::{HalfStream, Start, distance};
use super::held::Piece;
use super::out_of_order::{OutOfOrder, Pass};
use super::recent::RecentBytes;
use super::{Arrival, Assembly, End, Progress, Receiver};
use crate::frame::Segment;

/// Reassembly of one connection. While every segment is the expected one, that is a few comparisons and a digest, and
/// the bytes go to the [`Receiver`] as they lie in the packet. Anything else is sorted out in a store apart, which is
/// made when it is needed and dropped when order is restored.
#[derive(Debug, Default)]
pub struct TcpFlow {
    pub(super) halves: [HalfStream; 2],
    pub(super) out_of_order: Option<Box<OutOfOrder>>,
    pub(super) client: Option<End>,
    /// The end that reset it last.
    pub(super) reset_by: Option<End>,
    pub(super) closed: bool,
    /// When, milliseconds of packet time, modulo 2^32.
    pub(super) closed_at: u32,
}

/// What a SYN, or the lack of one, means for a segment.
enum SynMeaning {
    /// It belongs to this connection.
    Ours,
    /// It says nothing new, or may announce a new connection that nobody has confirmed.
    Ignored,
    /// A new connection has begun.
    Restart,
}

/// A SYN that does not fit a connection which was not closed. The receiver of a forged one ignores it (RFC 5961, 4.2),
/// so it counts only when the other end, or what follows, confirms it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reuse {
    client: End,
    client_next: u32,
    server_next: Option<u32>,
}

impl Reuse {
    fn begins_with(&self, from: End, sequence: u32) -> bool {
        if from == self.client { sequence == self.client_next } else { Some(sequence) == self.server_next }
    }
}

impl TcpFlow {
    /// The end that opened the connection, if its handshake is in the capture.
    pub const fn client(&self) -> Option<End> {
        self.client
    }

    /// No part of its handshake is in the capture.
    pub const fn midstream(&self) -> bool {
        self.client.is_none()
    }

    /// Its handshake was answered from both sides.
    pub fn established(&self) -> bool {
        self.halves.iter().all(|half| half.answered)
    }

    /// Whether an end has shown that it takes part: a SYN or payload of it is in the capture, or the other end
    /// acknowledges something that it sent. A reset alone does not.
    pub const fn takes_part(&self, end: End) -> bool {
        let half = &self.halves[end.index()];
        half.captured || half.answered
    }

    /// Its end was seen. What arrives late is still delivered.
    pub const fn closed(&self) -> bool {
        self.closed
    }

    /// Payload bytes that are held back at the moment.
    pub fn held_bytes(&self) -> usize {
        self.out_of_order.as_ref().map_or(0, |out_of_order| out_of_order.held_bytes())
    }

    /// The earliest clock at which [`TcpFlow::expire`] has something to do.
    pub fn deadline(&self) -> Option<i64> {
        self.out_of_order.as_ref().and_then(|out_of_order| out_of_order.deadline())
    }

    /// Takes in one segment that `from` sent, and gives `out` whatever is in order now.
    pub fn segment<R: Receiver>(
        &mut self,
        from: End,
        segment: &Segment<'_>,
        arrival: Arrival,
        stamp: &Stamp,
        assembly: Assembly<'_>,
        out: &mut R,
    ) -> Progress {
        if !arrival.is_doubtful && self.is_expected(from, segment) {
            return self.expected(from, segment, stamp, assembly.recent, out);
        }
        let mut pass = Pass::new(assembly, arrival.copied_within, *stamp, out);
        self.with_out_of_order(|flow, out_of_order| {
            flow.sort_out(out_of_order, from, segment, arrival.is_doubtful, &mut pass)
        })
    }

    /// Takes in a segment that [is expected](TcpFlow::is_expected).
    #[inline(always)]
    pub fn expected<R: Receiver>(
        &mut self,
        from: End,
        segment: &Segment<'_>,
        stamp: &Stamp,
        recent: Option<&mut RecentBytes>,
        out: &mut R,
    ) -> Progress {
        let peer = &mut self.halves[from.other().index()];
        if segment.flags.ack && peer.known() {
            (peer.acknowledged, peer.answered) = (segment.acknowledgement, true);
        }
        if !segment.payload.is_empty() {
            out.bytes(from, segment.payload, stamp);
            self.halves[from.index()].delivered(segment.payload, stamp, recent);
        }
        self.progress()
    }

    /// Whether a segment in another encapsulation than this flow's may be a part of it all the same: its numbers are where this
    /// flow is. A chance of one in thousands for a segment of another flow, one in millions where both ends were seen.
    pub fn fits(&self, from: End, segment: &Segment<'_>) -> bool {
        let (half, peer) = (&self.halves[from.index()], &self.halves[from.other().index()]);
        let by_sequence = half.place().map(|place| is_near(segment.sequence, place));
        let by_ack = peer.place().filter(|_| segment.flags.ack).map(|place| is_near(segment.acknowledgement, place));
        match (by_sequence, by_ack) {
            (Some(one), Some(other)) => one && other,
            (one, other) => one.or(other).unwrap_or(false),
        }
    }

    /// Gives up what is overdue at `clock`. Calling it late, or only with the next segment, delivers the same.
    pub fn expire<R: Receiver>(&mut self, clock: i64, assembly: Assembly<'_>, out: &mut R) {
        if self.deadline().is_some_and(|due| due <= clock) {
            let mut pass = Pass::new(assembly, 0, Stamp { clock, ..Stamp::default() }, out);
            self.with_out_of_order(|flow, out_of_order| flow.run_deadlines(out_of_order, clock, &mut pass));
        }
    }

    /// The end of the flow or of the capture: delivers everything that is held, with gaps for what never came.
    pub fn finish<R: Receiver>(&mut self, clock: i64, assembly: Assembly<'_>, out: &mut R) {
        let Some(mut out_of_order) = self.out_of_order.take() else { return };
        let mut pass = Pass::new(assembly, 0, Stamp { clock, ..Stamp::default() }, out);
        self.run_deadlines(&mut out_of_order, clock, &mut pass);
        self.flush_all(&mut out_of_order, clock, &mut pass);
    }

    /// The common case: the next bytes, or none, of a sender who has received no more than we have seen.
    #[inline(always)]
    pub fn is_expected(&self, from: End, segment: &Segment<'_>) -> bool {
        let (half, peer) = (&self.halves[from.index()], &self.halves[from.other().index()]);
        let flags = segment.flags;
        let received = peer.known() && (!flags.ack || distance(segment.acknowledgement, peer.next) <= 0)
            || peer.start == Start::Absent;
        received
            && self.out_of_order.is_none()
            && half.known()
            && half.captured
            && !self.closed
            && segment.sequence == half.next
            && segment.length as usize == segment.payload.len()
            && !(flags.syn || flags.fin || flags.rst)
            && segment.urgent == 0
            && (flags.ack || segment.payload.is_empty() || !peer.answered)
            && !is_padding(segment)
    }

    /// Whether the receiver of a segment drops its payload, as far as can be told from the segment: data without an
    /// acknowledgement (RFC 9293, 3.10.7.4), and the padding of a short frame that was counted into its length.
    fn is_payload_dropped(&self, from: End, segment: &Segment<'_>) -> bool {
        let flags = segment.flags;
        let acknowledges_nothing = !flags.ack && !flags.syn && self.halves[from.other().index()].answered;
        acknowledges_nothing || self.halves[from.index()].known() && is_padding(segment)
    }

    pub(super) fn progress(&self) -> Progress {
        if self.closed { Progress::Closed } else { Progress::Ok }
    }

    /// Lends what is out of order, made on the stack if there is none yet, and keeps it while it holds something.
    fn with_out_of_order<T>(&mut self, work: impl FnOnce(&mut Self, &mut OutOfOrder) -> T) -> T {
        if let Some(mut out_of_order) = self.out_of_order.take() {
            let done = work(self, &mut out_of_order);
            self.out_of_order = out_of_order.is_busy().then_some(out_of_order);
            return done;
        }
        let mut out_of_order = OutOfOrder::default();
        let done = work(self, &mut out_of_order);
        self.out_of_order = out_of_order.is_busy().then(|| Box::new(out_of_order));
        done
    }

    fn sort_out<R: Receiver>(
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
        self.run(out_of_order, pass);
        self.progress()
    }

    fn on_segment<R: Receiver>(
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
        out_of_order.is_back(from, pass);
        if let Some(ack) = piece.ack {
            self.on_acknowledgement(out_of_order, from.other(), ack, pass);
        }
        if piece.length > 0 || piece.fin {
            self.place(out_of_order, from, piece, pass);
        } else if piece.sequence == self.halves[from.index()].next.wrapping_sub(1) {
            pass.counters.keep_alives += u64::from(self.halves[from.index()].known());
        }
        // The byte may be in a segment that follows.
        if let Some(before) = segment.urgent.checked_sub(1) {
            self.on_urgent(out_of_order, from, piece.sequence.wrapping_add(before.into()), pass);
        }
    }

    /// Keeps the payload of a segment for the case that its receiver took it all the same.
    fn on_payload_in_doubt<R: Receiver>(
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

    pub(super) fn is_stray(&self, from: End, sequence: u32, window: u32) -> bool {
        let half = &self.halves[from.index()];
        matches!(half.start, Start::Known | Start::Provisional) && distance(sequence, half.next).unsigned_abs() > window
    }

    /// A reset far from where the stream is would be ignored by its receiver (RFC 5961, 3.2).
    fn on_reset<R: Receiver>(&mut self, from: End, sequence: u32, pass: &mut Pass<'_, R>) {
        if self.is_stray(from, sequence, pass.settings.window) {
            pass.counters.outside_window += 1;
        } else {
            self.reset_by = Some(from);
            self.close(pass.stamp.clock);
        }
    }

    pub(super) fn close(&mut self, clock: i64) {
        if !self.closed {
            (self.closed, self.closed_at) = (true, milliseconds(clock));
        }
    }

    fn meaning_of_syn<R: Receiver>(
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
        half.begin(segment.sequence.wrapping_add(1));
        half.captured = true;
        let peer = &mut self.halves[from.other().index()];
        if segment.flags.ack && !peer.known() {
            peer.begin(segment.acknowledgement);
        }
        self.note_client(from, segment);
    }

    /// Repeated, delivered twice, later than what follows it, or, after the end, a device that always starts alike.
    fn on_syn_again<R: Receiver>(&mut self, from: End, segment: &Segment<'_>, pass: &Pass<'_, R>) -> SynMeaning {
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

impl<'a, R> Pass<'a, R> {
    fn new(assembly: Assembly<'a>, copied_within: i64, stamp: Stamp, out: &'a mut R) -> Self {
        let Assembly { settings, counters, recent } = assembly;
        Self { settings, counters, recent, copied_within, out, stamp }
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

/// Whether a payload looks like the padding of a frame that is too short (IEEE 802.3, 3.2.8), counted into the length of the
/// datagram in it.
#[inline(always)]
fn is_padding(segment: &Segment<'_>) -> bool {
    segment.payload == [0; PADDING]
}

/// Whether two numbers of one direction may belong to one connection.
fn is_near(number: u32, place: u32) -> bool {
    distance(number, place).unsigned_abs() <= FITTING
}

/// Packet time in milliseconds, modulo 2^32.
fn milliseconds(clock: i64) -> u32 {
    u32::try_from(clock.div_euclid(1_000_000).rem_euclid(1 << 32)).unwrap_or_default()
}

/// How far the first bytes that were seen may lie beyond a SYN that comes after them.
const EARLY: i32 = 0xffff;
/// How far from where a flow is a segment in another encapsulation may lie, bytes: a window without scaling.
const FITTING: u32 = 0xffff;
/// What a frame of 60 bytes has room for behind IPv4 and TCP without options.
const PADDING: usize = 6;
