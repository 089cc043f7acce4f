//! The ISO transport of one flow: takes frames, returns whole TSDUs, and reports connections.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use core::cmp::Ordering;

use super::connection::{self, PendingRequest};
use super::content::Content;
use super::cotp::{self, Connect, DT, END, Tpdu};
use super::shape::{self, Resemblance};
use super::tpkt::{HEADER, VERSION};
use crate::context::Context;
use crate::dissector::{AnomalyKind, Limits, Outcome, Side, Sink, Stamp};
use crate::pending::{Pending, Waiting};
use crate::reassembly::{Added, Limit, Reassembly};

/// The transport of one flow. It assigns the numbers of all requests of the flow, as a connection request is one of them.
#[derive(Debug)]
pub(crate) struct Stack {
    reassemblies: [Reassembly; 2],
    /// The second reading, of a receiver that uses the stated lengths of headers: only while an incomplete TSDU has a TPDU
    /// whose header does not have the length of class 0.
    stated: [Option<Box<Reassembly>>; 2],
    connections: Pending<PendingRequest>,
    /// Longest incomplete TSDU, bytes.
    limit: usize,
    /// Longest TPDU, as negotiated, bytes without the TPKT header.
    tpdu_size: usize,
    /// Longest frame that can hold a whole TSDU; 0 while a TSDU of either side is incomplete or bytes are missing. It sums up
    /// three conditions, so that the common frame needs one comparison.
    max_whole: usize,
    /// Number of the next request.
    next: u32,
    /// Contents that were reported, one bit each.
    reported: u8,
}

/// A unit of data that one side passed to its transport.
#[derive(Debug)]
pub(crate) struct Tsdu<'f> {
    /// Borrowed from the frame unless it came in several TPDUs.
    pub(crate) bytes: Cow<'f, [u8]>,
    /// How it was received.
    pub(crate) form: Form,
}

/// How a TSDU was received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Form {
    /// Bytes are missing before it: it may be only the end of a TSDU.
    pub(crate) is_torn: bool,
    /// It is too long: its end is missing.
    pub(crate) is_cut: bool,
    /// It came in several TPDUs, each of which was searched for a whole PDU.
    pub(crate) is_joined: bool,
    /// It is one of two readings of the same bytes.
    pub(crate) is_ambiguous: bool,
}

/// The TSDUs that a frame completes: at most one, unless receivers differ in how they read it.
pub(crate) type Tsdus<'f> = [Option<Tsdu<'f>>; 3];

const NOTHING: Tsdus<'static> = [None, None, None];

impl Stack {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            reassemblies: Default::default(),
            stated: [None, None],
            connections: Pending::new(limits),
            limit: limits.partial,
            tpdu_size: usize::MAX,
            max_whole: usize::MAX,
            next: 0,
            reported: 0,
        }
    }

    /// Assigns a number to a request of the flow.
    #[inline]
    pub(crate) fn assign_number(&mut self) -> u32 {
        let number = self.next;
        self.next = number.wrapping_add(1);
        number
    }

    /// The number that [`Self::assign_number`] assigns next.
    pub(crate) fn next_request(&mut self) -> &mut u32 {
        &mut self.next
    }

    /// The TSDU of a frame that holds a whole one, the common case; none if [`Self::add_frame`] must handle the frame.
    #[inline]
    pub(crate) fn whole_tsdu<'f>(&self, frame: &'f [u8]) -> Option<&'f [u8]> {
        match frame {
            [VERSION, 0, _, _, 2, DT, END, tsdu @ ..] if !tsdu.is_empty() && frame.len() <= self.max_whole => {
                Some(tsdu)
            }
            _ => None,
        }
    }

    /// Adds a whole frame; returns the TSDUs that it completes, but no empty ones.
    pub(crate) fn add_frame<'f>(&mut self, frame: &'f [u8], context: &mut Context<'_>) -> Tsdus<'f> {
        if let Some(bytes) = self.whole_tsdu(frame) {
            return [Some(Tsdu { bytes: Cow::Borrowed(bytes), form: Form::default() }), None, None];
        }
        let tsdus = self.add_tpdu(frame, context);
        self.update_max_whole();
        tsdus
    }

    fn update_max_whole(&mut self) {
        let is_idle = self.reassemblies.iter().all(Reassembly::is_idle) && self.stated.iter().all(Option::is_none);
        self.max_whole = if is_idle { self.tpdu_size.saturating_add(HEADER) } else { 0 };
    }

    fn add_tpdu<'f>(&mut self, frame: &'f [u8], context: &mut Context<'_>) -> Tsdus<'f> {
        match *frame {
            [VERSION, 0, ..] | [] | [_] => {}
            [VERSION, reserved, ..] => context.malformed("tpkt_reserved", reserved),
            [version, ..] => context.malformed("tpkt_version", version),
        }
        match cotp::parse(frame) {
            Ok(Tpdu::Data { end, data, fixed, fault }) => {
                if let Some(name) = fault {
                    context.anomaly(AnomalyKind::Malformed, name, None);
                }
                if frame.len() - HEADER > self.tpdu_size {
                    context.malformed("tpdu_longer_than_negotiated", frame.len() as u32);
                }
                return self.add_data(data, fixed, end, context);
            }
            Ok(Tpdu::Connect(connect)) => self.on_connect(&connect, context),
            Ok(Tpdu::Disconnect { code, name }) => {
                let outcome = Outcome::Refused { code: code.into(), name };
                self.answer_connection(outcome, context);
                self.restart(context);
            }
            Ok(Tpdu::Disconnected) => {}
            Ok(Tpdu::Unused(code)) => context.malformed("tpdu_unused_in_class_0", code),
            Err(name) => context.anomaly(AnomalyKind::Malformed, name, None),
        }
        NOTHING
    }

    /// Adds the user data of a DT: `stated` after a header of the stated length, `fixed` after a header of class 0.
    fn add_data<'f>(&mut self, stated: &'f [u8], fixed: &'f [u8], end: bool, context: &mut Context<'_>) -> Tsdus<'f> {
        let Some(reassembly) = self.reassemblies.get_mut(context.from.index()) else { return NOTHING };
        let embedded = if reassembly.may_begin() { None } else { embedded_pdu(fixed, context) };
        let is_split = self.stated.get(context.from.index()).is_some_and(Option::is_some);
        if stated.len() != fixed.len() || is_split {
            let [one, other] = self.add_data_in_two_readings(stated, fixed, end, context);
            return [one, other, embedded];
        }
        [add(reassembly, fixed, end, self.limit, context), None, embedded]
    }

    /// Adds the user data of a DT where receivers differ in their start. A reading is dropped if the other one resembles a
    /// PDU more.
    fn add_data_in_two_readings<'f>(
        &mut self,
        stated: &'f [u8],
        fixed: &'f [u8],
        end: bool,
        context: &mut Context<'_>,
    ) -> [Option<Tsdu<'f>>; 2] {
        let side = context.from.index();
        let (Some(reassembly), Some(slot)) = (self.reassemblies.get_mut(side), self.stated.get_mut(side)) else {
            return [None, None];
        };
        let other = slot.get_or_insert_with(|| Box::new(reassembly.clone()));
        let readings = [add(other, stated, end, self.limit, context), add(reassembly, fixed, end, self.limit, context)];
        if reassembly.is_idle() && other.is_idle() {
            *slot = None;
        }
        let resemblance = |tsdu: &Option<Tsdu<'_>>| tsdu.as_ref().map(|tsdu| shape::resemblance(&tsdu.bytes));
        let [one, two] = readings.each_ref().map(resemblance);
        let [stated, fixed] = readings;
        match one.cmp(&two) {
            Ordering::Less => [fixed, None],
            Ordering::Equal if one > Some(Resemblance::None) => [stated, fixed].map(|tsdu| {
                let form = |form| Form { is_ambiguous: true, ..form };
                tsdu.map(|tsdu| Tsdu { form: form(tsdu.form), ..tsdu })
            }),
            Ordering::Equal | Ordering::Greater => [stated, None],
        }
    }

    /// Drops the incomplete TSDU of the side, as the connection restarts or ends.
    fn restart(&mut self, context: &mut Context<'_>) {
        self.drop_second_reading(context.from);
        let lost = self.reassemblies.get_mut(context.from.index()).map_or(0, Reassembly::restart);
        if lost > 0 {
            context.sink.lost(lost);
        }
    }

    /// Drops the second reading of a side.
    fn drop_second_reading(&mut self, from: Side) {
        if let Some(slot) = self.stated.get_mut(from.index()) {
            *slot = None;
        }
    }

    fn on_connect(&mut self, connect: &Connect<'_>, context: &mut Context<'_>) {
        connection::report_faults(connect, context);
        self.restart(context);
        if connect.confirms {
            self.tpdu_size = connect.tpdu_size.map_or(usize::MAX, |size| size as usize);
            if !self.answer_connection(Outcome::Accepted, context) {
                context.anomaly(AnomalyKind::Unmatched, "answer_without_request", None);
            }
        } else {
            let asked = connection::announce(self.assign_number(), connect, context);
            self.connections.push(asked, context.sink);
        }
    }

    /// Ends the oldest pending connection request. Returns whether there was one.
    fn answer_connection(&mut self, outcome: Outcome, context: &mut Context<'_>) -> bool {
        let Some((asked, _)) = self.connections.take(|_| true, |_| true) else { return false };
        asked.report_outcomes(outcome, context.stamp, context.sink);
        true
    }

    /// Marks a content as reported. Returns whether it was not before.
    pub(super) fn mark_reported(&mut self, content: Content) -> bool {
        let bit = 1 << content as u8;
        let is_new = self.reported & bit == 0;
        self.reported |= bit;
        is_new
    }

    /// Bytes of `from` are missing: see [`Dissector::interrupt`](crate::Dissector::interrupt).
    pub(crate) fn interrupt(&mut self, from: Side, sink: &mut dyn Sink) {
        let lost = self.reassemblies.get_mut(from.index()).map_or(0, Reassembly::interrupt);
        self.drop_second_reading(from);
        self.update_max_whole();
        if lost > 0 {
            sink.lost(lost);
        }
    }

    /// Bytes kept of incomplete TSDUs.
    pub(crate) fn buffered(&self) -> usize {
        self.reassemblies.iter().map(Reassembly::len).sum()
    }

    /// Drops the incomplete TSDU of a side. Returns whether there was one.
    pub(crate) fn give_up(&mut self, from: Side, sink: &mut dyn Sink) -> bool {
        let is_kept = self.reassemblies.get(from.index()).is_some_and(|reassembly| reassembly.len() > 0)
            || self.stated.get(from.index()).is_some_and(Option::is_some);
        if is_kept {
            self.interrupt(from, sink);
        }
        is_kept
    }

    /// Memory of pending connection requests and second readings, bytes.
    pub(crate) fn remembered(&self) -> usize {
        self.connections.memory() + self.stated.iter().flatten().map(|reassembly| reassembly.len()).sum::<usize>()
    }

    /// Drops pending connection requests.
    pub(crate) fn forget(&mut self, stamp: &Stamp, sink: &mut dyn Sink) {
        self.connections.forget(stamp, sink);
    }

    /// Reports connection requests that are overdue.
    pub(crate) fn expire(&mut self, clock: i64, sink: &mut dyn Sink) {
        self.connections.expire(clock, sink);
    }

    /// When [`Self::expire`] next has something to report.
    #[inline]
    pub(crate) fn deadline(&self) -> Option<i64> {
        self.connections.deadline()
    }

    /// The connection is closed.
    pub(crate) fn close(&mut self, clock: i64, sink: &mut dyn Sink) {
        self.connections.close(clock, sink);
    }

    /// The flow ends: incomplete TSDUs are lost, pending connection requests end.
    pub(crate) fn finish(&mut self, sink: &mut dyn Sink) {
        for side in [Side::Client, Side::Server] {
            self.interrupt(side, sink);
        }
        self.connections.finish(sink);
    }
}

/// Adds a fragment; returns the TSDU that it completes.
fn add<'f>(
    reassembly: &mut Reassembly,
    data: &'f [u8],
    end: bool,
    limit: usize,
    context: &mut Context<'_>,
) -> Option<Tsdu<'f>> {
    if !end {
        context.sink.takes_memory();
    }
    match reassembly.add(data, end, Limit::Exact(limit)) {
        Added::Message { bytes, is_torn, is_cut, lost } => {
            if is_cut {
                context.anomaly(AnomalyKind::Limit, "tsdu_too_long", None);
                context.sink.lost(lost);
            }
            let is_joined = matches!(bytes, Cow::Owned(_));
            let form = Form { is_torn, is_cut, is_joined, is_ambiguous: false };
            (!bytes.is_empty()).then_some(Tsdu { bytes, form })
        }
        Added::Skipped(lost) => {
            context.sink.lost(lost);
            None
        }
        Added::Kept => None,
    }
}

/// The PDU in a fragment that continues a TSDU, but is a whole PDU itself: snap7 1.4.2 drops a TSDU whose rest does not come
/// within three seconds, and treats the next fragment as the start of another.
fn embedded_pdu<'f>(fragment: &'f [u8], context: &mut Context<'_>) -> Option<Tsdu<'f>> {
    if !shape::is_whole(fragment) {
        return None;
    }
    context.malformed("pdu_inside_tsdu", fragment.len() as u32);
    let form = Form { is_ambiguous: true, ..Form::default() };
    Some(Tsdu { bytes: Cow::Borrowed(fragment), form })
}
