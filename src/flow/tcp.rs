//! A TCP connection: its two directions in order, who opened it, and whether it has ended.

use lockkeeper_protocols::Stamp;

use super::half_stream::{HalfStream, Start};
use super::out_of_order::OutOfOrder;
use super::pass::Pass;
use super::recent::RecentBytes;
use super::sequence::distance;
use super::{Arrival, Assembly, End, Progress, StreamHandler};
use crate::frame::Segment;

/// Reassembly of one connection. While every segment is the expected one, that is a few comparisons and a digest, and
/// the bytes go to the [`StreamHandler`] as they lie in the packet. Anything else is sorted out in a store apart, which is
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

impl TcpFlow {
    /// The end that opened the connection, if its handshake is in the capture.
    pub const fn client(&self) -> Option<End> {
        self.client
    }

    /// No part of its handshake is in the capture.
    pub const fn is_midstream(&self) -> bool {
        self.client.is_none()
    }

    /// Its handshake was answered from both sides.
    pub fn is_established(&self) -> bool {
        self.halves.iter().all(|half| half.answered)
    }

    /// Whether an end has shown that it takes part: a SYN or payload of it is in the capture, or the other end
    /// acknowledges something that it sent. A reset alone does not.
    pub const fn takes_part(&self, end: End) -> bool {
        let half = &self.halves[end.index()];
        half.captured || half.answered
    }

    /// Its end was seen. What arrives late is still delivered.
    pub const fn is_closed(&self) -> bool {
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
            flow.sort_out(out_of_order, from, segment, arrival.is_doubtful, &mut pass)
        })
    }

    /// Takes in a segment that [is expected](TcpFlow::is_expected).
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

    /// Whether a segment in another encapsulation than this flow's may be a part of it all the same: its numbers are where this
    /// flow is. A chance of one in thousands for a segment of another flow, one in millions where both ends were seen.
    pub fn fits(&self, from: End, segment: &Segment<'_>) -> bool {
        let (half, peer) = (&self.halves[from.index()], &self.halves[from.other().index()]);
        let by_sequence = half.position().map(|place| is_near(segment.sequence, place));
        let by_ack = peer.position().filter(|_| segment.flags.ack).map(|place| is_near(segment.acknowledgement, place));
        match (by_sequence, by_ack) {
            (Some(one), Some(other)) => one && other,
            (one, other) => one.or(other).unwrap_or(false),
        }
    }

    /// Gives up what is overdue at `clock`. Calling it late, or only with the next segment, delivers the same.
    pub fn expire<R: StreamHandler>(&mut self, clock: i64, assembly: Assembly<'_>, out: &mut R) {
        if self.deadline().is_some_and(|due| due <= clock) {
            let mut pass = Pass::new(assembly, 0, Stamp { clock, ..Stamp::default() }, out);
            self.with_out_of_order(|flow, out_of_order| flow.run_deadlines(out_of_order, clock, &mut pass));
        }
    }

    /// The end of the flow or of the capture: delivers everything that is held, with gaps for what never came.
    pub fn finish<R: StreamHandler>(&mut self, clock: i64, assembly: Assembly<'_>, out: &mut R) {
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

    pub(super) fn close(&mut self, clock: i64) {
        if !self.closed {
            (self.closed, self.closed_at) = (true, milliseconds(clock));
        }
    }
}

/// Whether a payload looks like the padding of a frame that is too short (IEEE 802.3, 3.2.8), counted into the length of the
/// datagram in it.
#[inline(always)]
pub(super) fn is_padding(segment: &Segment<'_>) -> bool {
    segment.payload == [0; PADDING]
}

/// Whether two numbers of one direction may belong to one connection.
fn is_near(number: u32, place: u32) -> bool {
    distance(number, place).unsigned_abs() <= FITTING
}

/// Packet time in milliseconds, modulo 2^32.
pub(super) fn milliseconds(clock: i64) -> u32 {
    u32::try_from(clock.div_euclid(1_000_000).rem_euclid(1 << 32)).unwrap_or_default()
}

/// How far from where a flow is a segment in another encapsulation may lie, bytes: a window without scaling.
const FITTING: u32 = 0xffff;
/// What a frame of 60 bytes has room for behind IPv4 and TCP without options.
const PADDING: usize = 6;
