//! The transport of one flow: frames in, whole TSDUs out, connections told on the way.

use alloc::borrow::Cow;

use super::assembly::{Assembled, Assembly};
use super::connection::{self, Asked};
use super::content::Content;
use super::cotp::{self, Connect, DT, END, Tpdu};
use super::tpkt::HEADER;
use crate::context::Context;
use crate::dissector::{AnomalyKind, Limits, Outcome, Side, Sink};
use crate::pending::{Pending, Waiting};

/// The transport of one flow. It numbers the requests of the flow, because a connection is one.
#[derive(Debug)]
pub(crate) struct Stack {
    assemblies: [Assembly; 2],
    connections: Pending<Asked>,
    /// Longest TSDU that is kept while it is incomplete, bytes.
    limit: usize,
    /// Longest TPDU that was agreed on, bytes without the TPKT header.
    tpdu_size: usize,
    /// Longest frame that can be a whole TSDU; 0 while either side has sent a part of one, or something is missing. It
    /// joins three conditions, so that the common frame is held against one number.
    plain: usize,
    /// Number of the next request.
    next: u32,
    /// Contents that were told, one bit each.
    told: u8,
}

/// What one side handed to its transport.
#[derive(Debug)]
pub(crate) struct Tsdu<'f> {
    /// Borrowed from the frame unless it came in several TPDUs.
    pub(crate) bytes: Cow<'f, [u8]>,
    /// Something is missing before it: perhaps this is only its end.
    pub(crate) torn: bool,
}

impl Stack {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            assemblies: Default::default(),
            connections: Pending::new(limits),
            limit: limits.partial,
            tpdu_size: usize::MAX,
            plain: usize::MAX,
            next: 0,
            told: 0,
        }
    }

    /// Takes a number for the next request of the flow.
    #[inline]
    pub(crate) fn number(&mut self) -> u32 {
        let number = self.next;
        self.next = number.wrapping_add(1);
        number
    }

    /// The number that [`Self::number`] takes next.
    pub(crate) fn next_request(&mut self) -> &mut u32 {
        &mut self.next
    }

    /// The TSDU that a frame holds whole, the common case; none if [`Self::frame`] must look.
    #[inline]
    pub(crate) fn plain<'f>(&self, frame: &'f [u8]) -> Option<&'f [u8]> {
        match frame {
            [_, 0, _, _, 2, DT, END, tsdu @ ..] if !tsdu.is_empty() && frame.len() <= self.plain => Some(tsdu),
            _ => None,
        }
    }

    /// Takes a whole frame; returns the TSDU that it completes. An empty one says nothing and is not returned.
    pub(crate) fn frame<'f>(&mut self, frame: &'f [u8], context: &mut Context<'_>) -> Option<Tsdu<'f>> {
        if let Some(bytes) = self.plain(frame) {
            return Some(Tsdu { bytes: Cow::Borrowed(bytes), torn: false });
        }
        let tsdu = self.tpdu(frame, context);
        self.set_plain();
        tsdu
    }

    fn set_plain(&mut self) {
        let is_idle = self.assemblies.iter().all(Assembly::is_idle);
        self.plain = if is_idle { self.tpdu_size.saturating_add(HEADER) } else { 0 };
    }

    fn tpdu<'f>(&mut self, frame: &'f [u8], context: &mut Context<'_>) -> Option<Tsdu<'f>> {
        if let Some(reserved @ 1..) = frame.get(1) {
            context.malformed("tpkt_reserved", *reserved);
        }
        match cotp::parse(frame) {
            Ok(Tpdu::Data { end, data, fault }) => {
                if let Some(name) = fault {
                    context.anomaly(AnomalyKind::Malformed, name, None);
                }
                if frame.len() - HEADER > self.tpdu_size {
                    context.malformed("tpdu_longer_than_negotiated", frame.len() as u32);
                }
                return self.data(data, end, context);
            }
            Ok(Tpdu::Connect(connect)) => self.connect(&connect, context),
            Ok(Tpdu::Disconnect { code, name }) => {
                let outcome = Outcome::Refused { code: code.into(), name };
                self.answer_connection(outcome, context);
            }
            Ok(Tpdu::Disconnected) => {}
            Ok(Tpdu::Unused(code)) => context.malformed("tpdu_unused_in_class_0", code),
            Err(name) => context.anomaly(AnomalyKind::Malformed, name, None),
        }
        None
    }

    fn data<'f>(&mut self, data: &'f [u8], end: bool, context: &mut Context<'_>) -> Option<Tsdu<'f>> {
        let assembly = self.assemblies.get_mut(context.from.index())?;
        match assembly.add(data, end, self.limit) {
            Assembled::Tsdu { bytes, torn } => (!bytes.is_empty()).then_some(Tsdu { bytes, torn }),
            Assembled::Open => None,
            Assembled::TooLong { lost, first } => {
                if first {
                    context.anomaly(AnomalyKind::Limit, "tsdu_too_long", None);
                }
                context.sink.lost(lost);
                None
            }
        }
    }

    fn connect(&mut self, connect: &Connect<'_>, context: &mut Context<'_>) {
        connection::check(connect, context);
        if connect.confirms {
            self.tpdu_size = connect.tpdu_size.map_or(usize::MAX, |size| size as usize);
            if !self.answer_connection(Outcome::Accepted, context) {
                context.anomaly(AnomalyKind::Unmatched, "answer_without_request", None);
            }
        } else {
            let asked = connection::announce(self.number(), connect, context);
            self.connections.push(asked, context.sink);
        }
    }

    /// Ends the oldest connection request that waits, if there is one.
    fn answer_connection(&mut self, outcome: Outcome, context: &mut Context<'_>) -> bool {
        let Some((asked, _)) = self.connections.take(|_| true, |_| true) else { return false };
        asked.conclude(outcome, context.stamp, context.sink);
        true
    }

    /// Whether a content was not told yet; from now on it was.
    pub(super) fn is_new(&mut self, content: Content) -> bool {
        let bit = 1 << content as u8;
        let is_new = self.told & bit == 0;
        self.told |= bit;
        is_new
    }

    /// Something that `from` sent is missing: see [`Dissector::interrupted`](crate::Dissector::interrupted).
    pub(crate) fn interrupted(&mut self, from: Side, sink: &mut dyn Sink) {
        let lost = self.assemblies.get_mut(from.index()).map_or(0, Assembly::interrupt);
        self.set_plain();
        if lost > 0 {
            sink.lost(lost);
        }
    }

    /// Gives up on connection requests that are overdue.
    pub(crate) fn expire(&mut self, clock: i64, sink: &mut dyn Sink) {
        self.connections.expire(clock, sink);
    }

    /// When the oldest connection request becomes overdue.
    #[inline]
    pub(crate) fn deadline(&self) -> Option<i64> {
        self.connections.deadline()
    }

    /// The end of the flow: what is incomplete is lost, what waits stays open.
    pub(crate) fn finish(&mut self, sink: &mut dyn Sink) {
        for side in [Side::Client, Side::Server] {
            self.interrupted(side, sink);
        }
        self.connections.finish(sink);
    }
}
