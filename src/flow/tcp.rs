//! A TCP connection: its two directions in order, who opened it, and whether it has ended.

use lockkeeper_protocols::Stamp;

use super::held::Piece;
use super::order::{Disorder, Pass};
use super::way::{Start, Way, distance};
use super::{End, Progress, Receiver, StreamCounters, StreamSettings};
use crate::frame::Segment;

/// Reassembly of one connection. While every segment is the expected one, that is a few comparisons and a digest, and
/// the bytes go to the [`Receiver`] as they lie in the packet. Anything else is sorted out in a store apart, which is
/// made when it is needed and dropped when order is restored.
#[derive(Debug, Default)]
pub struct TcpFlow {
    pub(super) ways: [Way; 2],
    pub(super) disorder: Option<Box<Disorder>>,
    pub(super) client: Option<End>,
    pub(super) closed: bool,
    /// When, milliseconds of packet time, modulo 2^32.
    pub(super) closed_at: u32,
}

/// What a SYN, or the lack of one, means for a segment.
enum Opening {
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
        self.ways.iter().all(|way| way.answered)
    }

    /// Whether an end has shown that it takes part: a SYN or payload of it is in the capture, or the other end
    /// acknowledges something that it sent. A reset alone does not.
    pub const fn takes_part(&self, end: End) -> bool {
        let way = &self.ways[end.index()];
        way.captured || way.answered
    }

    /// Its end was seen. What arrives late is still delivered.
    pub const fn closed(&self) -> bool {
        self.closed
    }

    /// Payload bytes that are held back at the moment.
    pub fn held_bytes(&self) -> usize {
        self.disorder.as_ref().map_or(0, |disorder| disorder.held_bytes())
    }

    /// The earliest clock at which [`TcpFlow::expire`] has something to do.
    pub fn deadline(&self) -> Option<i64> {
        self.disorder.as_ref().and_then(|disorder| disorder.deadline())
    }

    /// Takes in one segment that `from` sent, and gives `out` whatever is in order now.
    pub fn segment<R: Receiver>(
        &mut self,
        from: End,
        segment: &Segment<'_>,
        stamp: &Stamp,
        settings: &StreamSettings,
        counters: &mut StreamCounters,
        out: &mut R,
    ) -> Progress {
        if self.is_expected(from, segment) {
            return self.expected(from, segment, stamp, settings, out);
        }
        let mut pass = Pass { settings, counters, out, stamp: *stamp };
        self.with_disorder(|flow, disorder| flow.sort_out(disorder, from, segment, &mut pass))
    }

    /// Takes in a segment that [is expected](TcpFlow::is_expected).
    #[inline(always)]
    pub fn expected<R: Receiver>(
        &mut self,
        from: End,
        segment: &Segment<'_>,
        stamp: &Stamp,
        settings: &StreamSettings,
        out: &mut R,
    ) -> Progress {
        let peer = &mut self.ways[from.other().index()];
        if segment.flags.ack && peer.known() {
            (peer.acknowledged, peer.answered) = (segment.acknowledgement, true);
        }
        if !segment.payload.is_empty() {
            out.bytes(from, segment.payload, stamp);
            self.ways[from.index()].delivered(segment.payload, settings.seed);
        }
        self.progress()
    }

    /// Gives up what is overdue at `clock`. Calling it late, or only with the next segment, delivers the same.
    pub fn expire<R: Receiver>(
        &mut self,
        clock: i64,
        settings: &StreamSettings,
        counters: &mut StreamCounters,
        out: &mut R,
    ) {
        if self.deadline().is_some_and(|due| due <= clock) {
            let mut pass = Pass { settings, counters, out, stamp: Stamp { clock, ..Stamp::default() } };
            self.with_disorder(|flow, disorder| flow.run_deadlines(disorder, clock, &mut pass));
        }
    }

    /// The end of the flow or of the capture: delivers everything that is held, with gaps for what never came.
    pub fn finish<R: Receiver>(
        &mut self,
        clock: i64,
        settings: &StreamSettings,
        counters: &mut StreamCounters,
        out: &mut R,
    ) {
        let Some(mut disorder) = self.disorder.take() else { return };
        let mut pass = Pass { settings, counters, out, stamp: Stamp { clock, ..Stamp::default() } };
        self.run_deadlines(&mut disorder, clock, &mut pass);
        self.flush(&mut disorder, clock, &mut pass);
    }

    /// The common case: the next bytes, or none, of a sender who has received no more than we have seen.
    #[inline(always)]
    pub fn is_expected(&self, from: End, segment: &Segment<'_>) -> bool {
        let (way, peer) = (&self.ways[from.index()], &self.ways[from.other().index()]);
        let flags = segment.flags;
        let received = peer.known() && (!flags.ack || distance(segment.acknowledgement, peer.next) <= 0)
            || peer.start == Start::Absent;
        received
            && self.disorder.is_none()
            && way.known()
            && way.captured
            && segment.sequence == way.next
            && segment.length as usize == segment.payload.len()
            && !(flags.syn || flags.fin || flags.rst)
    }

    pub(super) fn progress(&self) -> Progress {
        if self.closed { Progress::Closed } else { Progress::Ok }
    }

    /// Lends the disorder, made on the stack if there is none yet, and keeps it while it holds something.
    fn with_disorder<T>(&mut self, work: impl FnOnce(&mut Self, &mut Disorder) -> T) -> T {
        if let Some(mut disorder) = self.disorder.take() {
            let done = work(self, &mut disorder);
            self.disorder = disorder.is_busy().then_some(disorder);
            return done;
        }
        let mut disorder = Disorder::default();
        let done = work(self, &mut disorder);
        self.disorder = disorder.is_busy().then(|| Box::new(disorder));
        done
    }

    fn sort_out<R: Receiver>(
        &mut self,
        disorder: &mut Disorder,
        from: End,
        segment: &Segment<'_>,
        pass: &mut Pass<'_, R>,
    ) -> Progress {
        let stamp = pass.stamp;
        self.run_deadlines(disorder, stamp.clock, pass);
        pass.stamp = stamp;
        disorder.seen = disorder.seen.wrapping_add(1);
        if segment.flags.rst {
            self.on_reset(from, segment.sequence, pass);
        } else {
            match self.opening(disorder, from, segment, pass) {
                Opening::Ours => self.on_segment(disorder, from, segment, pass),
                Opening::Ignored => {}
                Opening::Restart => return Progress::Restart,
            }
        }
        self.run(disorder, pass);
        self.progress()
    }

    fn on_segment<R: Receiver>(
        &mut self,
        disorder: &mut Disorder,
        from: End,
        segment: &Segment<'_>,
        pass: &mut Pass<'_, R>,
    ) {
        let piece = Piece {
            sequence: segment.sequence.wrapping_add(u32::from(segment.flags.syn)),
            length: segment.length.max(u32::try_from(segment.payload.len()).unwrap_or(u32::MAX)),
            fin: segment.flags.fin,
            ack: segment.flags.ack.then_some(segment.acknowledgement),
            stamp: pass.stamp,
            bytes: segment.payload,
        };
        if self.is_stray(from, piece.sequence, pass.settings.window) {
            return self.on_stray(disorder, from, piece, pass);
        }
        disorder.forget_stray(from);
        if let Some(ack) = piece.ack {
            self.on_acknowledgement(disorder, from.other(), ack, pass);
        }
        if piece.length > 0 || piece.fin {
            self.place(disorder, from, piece, pass);
        } else if piece.sequence == self.ways[from.index()].next.wrapping_sub(1) {
            pass.counters.keep_alives += u64::from(self.ways[from.index()].known());
        }
    }

    fn is_stray(&self, from: End, sequence: u32, window: u32) -> bool {
        let way = &self.ways[from.index()];
        matches!(way.start, Start::Known | Start::Provisional) && distance(sequence, way.next).unsigned_abs() > window
    }

    /// A reset far from where the stream is would be ignored by its receiver (RFC 5961, 3.2).
    fn on_reset<R: Receiver>(&mut self, from: End, sequence: u32, pass: &mut Pass<'_, R>) {
        if self.is_stray(from, sequence, pass.settings.window) {
            pass.counters.outside_window += 1;
        } else {
            self.close(pass.stamp.clock);
        }
    }

    pub(super) fn close(&mut self, clock: i64) {
        if !self.closed {
            (self.closed, self.closed_at) = (true, milliseconds(clock));
        }
    }

    fn opening<R: Receiver>(
        &mut self,
        disorder: &mut Disorder,
        from: End,
        segment: &Segment<'_>,
        pass: &Pass<'_, R>,
    ) -> Opening {
        let way = self.ways[from.index()];
        if !segment.flags.syn {
            let reused = disorder.reuse.is_some_and(|reuse| reuse.begins_with(from, segment.sequence));
            return if reused && segment.sequence != way.next { Opening::Restart } else { Opening::Ours };
        }
        let start = segment.sequence.wrapping_add(1);
        match way.start {
            Start::Provisional if !(0..=EARLY).contains(&distance(way.next, start)) => Opening::Restart,
            Start::Unknown | Start::Absent | Start::Provisional => {
                self.on_syn(from, segment);
                Opening::Ours
            }
            Start::Known if way.origin == start => self.on_syn_again(from, segment, pass),
            Start::Known if self.closed => Opening::Restart,
            Start::Known => Self::on_other_syn(disorder, from, segment),
        }
    }

    fn on_syn(&mut self, from: End, segment: &Segment<'_>) {
        let way = &mut self.ways[from.index()];
        way.begin(segment.sequence.wrapping_add(1));
        way.captured = true;
        let peer = &mut self.ways[from.other().index()];
        if segment.flags.ack && !peer.known() {
            peer.begin(segment.acknowledgement);
        }
        self.note_client(from, segment);
    }

    /// Repeated, delivered twice, later than what follows it, or, after the end, a device that always starts alike.
    fn on_syn_again<R: Receiver>(&mut self, from: End, segment: &Segment<'_>, pass: &Pass<'_, R>) -> Opening {
        let since = milliseconds(pass.stamp.clock).wrapping_sub(self.closed_at);
        if self.closed && i64::from(since) * 1_000_000 > pass.settings.reorder_time {
            return Opening::Restart;
        }
        self.ways[from.index()].captured = true;
        self.note_client(from, segment);
        Opening::Ignored
    }

    fn on_other_syn(disorder: &mut Disorder, from: End, segment: &Segment<'_>) -> Opening {
        let start = segment.sequence.wrapping_add(1);
        let reuse = if segment.flags.ack {
            Reuse { client: from.other(), client_next: segment.acknowledgement, server_next: Some(start) }
        } else {
            Reuse { client: from, client_next: start, server_next: None }
        };
        let confirmed = disorder.reuse.is_some_and(|before| {
            before.client == reuse.client
                && before.client_next == reuse.client_next
                && before.server_next.is_some() != reuse.server_next.is_some()
        });
        disorder.reuse = Some(reuse);
        if confirmed { Opening::Restart } else { Opening::Ignored }
    }

    fn note_client(&mut self, from: End, segment: &Segment<'_>) {
        self.client.get_or_insert(if segment.flags.ack { from.other() } else { from });
    }
}

/// Packet time in milliseconds, modulo 2^32.
fn milliseconds(clock: i64) -> u32 {
    u32::try_from(clock.div_euclid(1_000_000).rem_euclid(1 << 32)).unwrap_or_default()
}

/// How far the first bytes that were seen may lie beyond a SYN that comes after them.
const EARLY: i32 = 0xffff;
