//! A TCP connection: its two directions in order, the end that opened it, and whether it has ended.

use lockkeeper_protocols::Stamp;

use super::half_stream::{HalfStream, Start};
use super::out_of_order::OutOfOrder;
use super::pass::Pass;
use super::recent::RecentBytes;
use super::sequence::distance;
use super::{Arrival, Assembly, End, Progress, StreamHandler};
use crate::frame::Segment;

/// Reassembly of one connection. A segment in order costs a few comparisons, and its bytes go to the [`StreamHandler`] without
/// a copy. Everything else uses boxed state that exists only until order is restored.
#[derive(Debug, Default)]
pub struct TcpFlow {
    pub(super) halves: [HalfStream; 2],
    pub(super) out_of_order: Option<Box<OutOfOrder>>,
    pub(super) client: Option<End>,
    /// The end that sent the last reset.
    pub(super) reset_by: Option<End>,
    pub(super) closed: bool,
    /// When it was closed, milliseconds of packet time, modulo 2^32.
    pub(super) closed_at: u32,
}

impl TcpFlow {
    /// The end that opened the connection, if its handshake is in the capture.
    pub const fn client(&self) -> Option<End> {
        self.client
    }

    /// Whether it was joined midstream: no part of its handshake is in the capture.
    pub const fn is_midstream(&self) -> bool {
        self.client.is_none()
    }

    /// Whether both ends have acknowledged something.
    pub fn is_established(&self) -> bool {
        self.halves.iter().all(|half| half.answered)
    }

    /// Whether an end takes part in the connection: the capture has a SYN or payload of it, or the other end acknowledges
    /// something that it sent. A reset alone does not count.
    pub const fn takes_part(&self, end: End) -> bool {
        let half = &self.halves[end.index()];
        half.captured || half.answered
    }

    /// Whether it has ended. Late segments are still delivered.
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Number of payload bytes held.
    pub fn held_bytes(&self) -> usize {
        self.out_of_order.as_ref().map_or(0, |out_of_order| out_of_order.held_bytes())
    }

    /// The earliest packet time at which [`TcpFlow::expire`] has an effect.
    pub fn deadline(&self) -> Option<i64> {
        self.out_of_order.as_ref().and_then(|out_of_order| out_of_order.deadline())
    }

    /// Processes one segment that `from` sent, and passes everything that is in order now to `out`.
    pub fn process<R: StreamHandler>(
        &mut self,
        from: End,
        segment: &Segment<'_>,
        arrival: Arrival,
        stamp: &Stamp,
        assembly: Assembly<'_>,
        out: &mut R,
    ) -> Progress {
        if !arrival.is_doubtful && self.is_expected(from, segment) {
            return self.process_expected(from, segment, stamp, assembly.recent, out);
        }
        let mut pass = Pass::new(assembly, arrival.duplicate_window, *stamp, out);
        self.with_out_of_order(|flow, out_of_order| {
            flow.process_unexpected(out_of_order, from, segment, arrival.is_doubtful, &mut pass)
        })
    }

    /// Processes a segment that [is expected](TcpFlow::is_expected).
    #[inline(always)]
    pub fn process_expected<R: StreamHandler>(
        &mut self,
        from: End,
        segment: &Segment<'_>,
        stamp: &Stamp,
        recent: Option<&mut RecentBytes>,
        out: &mut R,
    ) -> Progress {
        let peer = &mut self.halves[from.other().index()];
        if segment.flags.ack && peer.is_known() {
            (peer.acknowledged, peer.answered) = (segment.acknowledgement, true);
        }
        if !segment.payload.is_empty() {
            out.on_bytes(from, segment.payload, stamp);
            self.halves[from.index()].record_delivery(segment.payload, stamp, recent);
        }
        self.progress()
    }

    /// Whether a segment in another encapsulation may belong to this flow: its sequence and acknowledgement numbers are near
    /// those of the flow. The probability of a false match is one in thousands, or in millions if both ends were seen.
    pub fn fits(&self, from: End, segment: &Segment<'_>) -> bool {
        let (half, peer) = (&self.halves[from.index()], &self.halves[from.other().index()]);
        let by_sequence = half.position().map(|place| is_near(segment.sequence, place));
        let by_ack = peer.position().filter(|_| segment.flags.ack).map(|place| is_near(segment.acknowledgement, place));
        match (by_sequence, by_ack) {
            (Some(one), Some(other)) => one && other,
            (one, other) => one.or(other).unwrap_or(false),
        }
    }

    /// Gives up bytes that are overdue at `clock`. A late call, or the next segment instead, delivers the same.
    pub fn expire<R: StreamHandler>(&mut self, clock: i64, assembly: Assembly<'_>, out: &mut R) {
        if self.deadline().is_some_and(|due| due <= clock) {
            let mut pass = Pass::new(assembly, 0, Stamp { clock, ..Stamp::default() }, out);
            self.with_out_of_order(|flow, out_of_order| flow.run_deadlines(out_of_order, clock, &mut pass));
        }
    }

    /// Ends the flow: delivers everything that is held, with gaps for missing bytes.
    pub fn finish<R: StreamHandler>(&mut self, clock: i64, assembly: Assembly<'_>, out: &mut R) {
        let Some(mut out_of_order) = self.out_of_order.take() else { return };
        let mut pass = Pass::new(assembly, 0, Stamp { clock, ..Stamp::default() }, out);
        self.run_deadlines(&mut out_of_order, clock, &mut pass);
        self.flush_all(&mut out_of_order, clock, &mut pass);
    }

    /// Whether the fast path may handle a segment: it is next in sequence, acknowledges only delivered bytes, has no flags
    /// except ACK, and the connection is in order.
    #[inline(always)]
    pub fn is_expected(&self, from: End, segment: &Segment<'_>) -> bool {
        let (half, peer) = (&self.halves[from.index()], &self.halves[from.other().index()]);
        let flags = segment.flags;
        let received = peer.is_known() && (!flags.ack || distance(segment.acknowledgement, peer.next) <= 0)
            || peer.start == Start::Absent;
        received
            && self.out_of_order.is_none()
            && half.is_known()
            && half.captured
            && !self.closed
            && segment.sequence == half.next
            && segment.length as usize == segment.payload.len()
            && !(flags.syn || flags.fin || flags.rst)
            && segment.urgent == 0
            && (flags.ack || segment.payload.is_empty() || !peer.answered)
            && !is_padding(segment)
    }

    pub(super) fn progress(&self) -> Progress {
        if self.closed { Progress::Closed } else { Progress::Ok }
    }

    /// Runs `work` with the out-of-order state. Without one, creates it on the stack, and boxes it only if it is not empty
    /// afterwards.
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

    /// Closes the connection at `clock`, unless it is closed already.
    pub(super) fn close(&mut self, clock: i64) {
        if !self.closed {
            (self.closed, self.closed_at) = (true, milliseconds(clock));
        }
    }
}

/// Whether a payload looks like the padding of a short Ethernet frame (IEEE 802.3, 3.2.8) that was counted into the length of
/// its datagram.
pub(super) fn is_padding(segment: &Segment<'_>) -> bool {
    segment.payload == [0; PADDING]
}

/// Whether two sequence numbers of one direction may belong to one connection.
fn is_near(number: u32, place: u32) -> bool {
    distance(number, place).unsigned_abs() <= FITTING
}

/// Packet time in milliseconds, modulo 2^32.
pub(super) fn milliseconds(clock: i64) -> u32 {
    u32::try_from(clock.div_euclid(1_000_000).rem_euclid(1 << 32)).unwrap_or_default()
}

/// Largest distance of a segment in another encapsulation from the position of the flow, bytes: a window without scaling.
const FITTING: u32 = 0xffff;
/// Padding of a frame of 60 bytes after IPv4 and TCP without options, bytes.
const PADDING: usize = 6;
