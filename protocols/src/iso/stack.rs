//! The transport of one flow: frames in, whole TSDUs out, connections told on the way.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use core::cmp::Ordering;

use super::connection::{self, PendingRequest};
use super::content::Content;
use super::cotp::{self, Connect, DT, END, Tpdu};
use super::shape::{self, Look};
use super::tpkt::{HEADER, VERSION};
use crate::context::Context;
use crate::dissector::{AnomalyKind, Limits, Outcome, Side, Sink, Stamp};
use crate::pending::{Pending, Waiting};
use crate::reassembly::{Added, Limit, Reassembly};

/// The transport of one flow. It numbers the requests of the flow, because a connection is one.
#[derive(Debug)]
pub(crate) struct Stack {
    reassemblies: [Reassembly; 2],
    /// The same for a receiver that believes the lengths of headers, while a TPDU with another one than that of class 0 is
    /// part of a TSDU that is not complete.
    stated: [Option<Box<Reassembly>>; 2],
    connections: Pending<PendingRequest>,
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
    /// How it is to be read.
    pub(crate) form: Form,
}

/// What is known of a TSDU beside its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Form {
    /// Something is missing before it: perhaps this is only its end.
    pub(crate) torn: bool,
    /// It goes on, but it is longer than is kept.
    pub(crate) is_cut: bool,
    /// It came in several TPDUs, each of which was held against a whole PDU.
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

    /// The TSDU that a frame holds whole, the common case; none if [`Self::add_frame`] must look.
    #[inline]
    pub(crate) fn plain<'f>(&self, frame: &'f [u8]) -> Option<&'f [u8]> {
        match frame {
            [VERSION, 0, _, _, 2, DT, END, tsdu @ ..] if !tsdu.is_empty() && frame.len() <= self.plain => Some(tsdu),
            _ => None,
        }
    }

    /// Takes a whole frame; returns the TSDUs that it completes. An empty one says nothing and is not returned.
    pub(crate) fn add_frame<'f>(&mut self, frame: &'f [u8], context: &mut Context<'_>) -> Tsdus<'f> {
        if let Some(bytes) = self.plain(frame) {
            return [Some(Tsdu { bytes: Cow::Borrowed(bytes), form: Form::default() }), None, None];
        }
        let tsdus = self.tpdu(frame, context);
        self.set_plain();
        tsdus
    }

    fn set_plain(&mut self) {
        let is_idle = self.reassemblies.iter().all(Reassembly::is_idle) && self.stated.iter().all(Option::is_none);
        self.plain = if is_idle { self.tpdu_size.saturating_add(HEADER) } else { 0 };
    }

    fn tpdu<'f>(&mut self, frame: &'f [u8], context: &mut Context<'_>) -> Tsdus<'f> {
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
                return self.data(data, fixed, end, context);
            }
            Ok(Tpdu::Connect(connect)) => self.connect(&connect, context),
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

    /// Adds the user data of a DT: `stated` behind the header as long as it says, `fixed` behind that of class 0.
    fn data<'f>(&mut self, stated: &'f [u8], fixed: &'f [u8], end: bool, context: &mut Context<'_>) -> Tsdus<'f> {
        let Some(reassembly) = self.reassemblies.get_mut(context.from.index()) else { return NOTHING };
        let inner = if reassembly.may_begin() { None } else { inner(fixed, context) };
        let is_split = self.stated.get(context.from.index()).is_some_and(Option::is_some);
        if stated.len() != fixed.len() || is_split {
            let [one, other] = self.data_in_two_readings(stated, fixed, end, context);
            return [one, other, inner];
        }
        [add(reassembly, fixed, end, self.limit, context), None, inner]
    }

    /// The same where receivers differ in what they take for user data. A reading that looks like less than the other is none.
    fn data_in_two_readings<'f>(
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
        let look = |tsdu: &Option<Tsdu<'_>>| tsdu.as_ref().map(|tsdu| shape::look(&tsdu.bytes));
        let [one, two] = readings.each_ref().map(look);
        let [stated, fixed] = readings;
        match one.cmp(&two) {
            Ordering::Less => [fixed, None],
            Ordering::Equal if one > Some(Look::None) => [stated, fixed].map(|tsdu| {
                let form = |form| Form { is_ambiguous: true, ..form };
                tsdu.map(|tsdu| Tsdu { form: form(tsdu.form), ..tsdu })
            }),
            Ordering::Equal | Ordering::Greater => [stated, None],
        }
    }

    /// The connection begins anew, or ends: what a side has sent of a TSDU belongs to none.
    fn restart(&mut self, context: &mut Context<'_>) {
        self.read_once(context.from);
        let lost = self.reassemblies.get_mut(context.from.index()).map_or(0, Reassembly::restart);
        if lost > 0 {
            context.sink.lost(lost);
        }
    }

    /// What a side sends has one reading again.
    fn read_once(&mut self, from: Side) {
        if let Some(slot) = self.stated.get_mut(from.index()) {
            *slot = None;
        }
    }

    fn connect(&mut self, connect: &Connect<'_>, context: &mut Context<'_>) {
        connection::check(connect, context);
        self.restart(context);
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

    /// Something that `from` sent is missing: see [`Dissector::interrupt`](crate::Dissector::interrupt).
    pub(crate) fn interrupt(&mut self, from: Side, sink: &mut dyn Sink) {
        let lost = self.reassemblies.get_mut(from.index()).map_or(0, Reassembly::interrupt);
        self.read_once(from);
        self.set_plain();
        if lost > 0 {
            sink.lost(lost);
        }
    }

    /// Bytes that are kept of TSDUs which are not complete.
    pub(crate) fn buffered(&self) -> usize {
        self.reassemblies.iter().map(Reassembly::len).sum()
    }

    /// Gives up what is kept of the TSDU of a side. Says whether there was anything.
    pub(crate) fn give_up(&mut self, from: Side, sink: &mut dyn Sink) -> bool {
        let is_kept = self.reassemblies.get(from.index()).is_some_and(|reassembly| reassembly.len() > 0)
            || self.stated.get(from.index()).is_some_and(Option::is_some);
        if is_kept {
            self.interrupt(from, sink);
        }
        is_kept
    }

    /// Bytes of memory that requests for connections take, and second readings of what is kept.
    pub(crate) fn remembered(&self) -> usize {
        self.connections.memory() + self.stated.iter().flatten().map(|reassembly| reassembly.len()).sum::<usize>()
    }

    /// Forgets requests for connections.
    pub(crate) fn forget(&mut self, stamp: &Stamp, sink: &mut dyn Sink) {
        self.connections.forget(stamp, sink);
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

    /// The connection is closed.
    pub(crate) fn close(&mut self, clock: i64, sink: &mut dyn Sink) {
        self.connections.close(clock, sink);
    }

    /// The end of the flow: what is incomplete is lost, what waits stays open.
    pub(crate) fn finish(&mut self, sink: &mut dyn Sink) {
        for side in [Side::Client, Side::Server] {
            self.interrupt(side, sink);
        }
        self.connections.finish(sink);
    }
}

/// Adds a fragment to those of its side; returns the TSDU that it completes.
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
        Added::Message { bytes, is_torn: torn, is_cut, lost } => {
            if is_cut {
                context.anomaly(AnomalyKind::Limit, "tsdu_too_long", None);
                context.sink.lost(lost);
            }
            let is_joined = matches!(bytes, Cow::Owned(_));
            let form = Form { torn, is_cut, is_joined, is_ambiguous: false };
            (!bytes.is_empty()).then_some(Tsdu { bytes, form })
        }
        Added::Skipped(lost) => {
            context.sink.lost(lost);
            None
        }
        Added::Kept => None,
    }
}

/// A fragment that goes on with a TSDU, but is a whole PDU: snap7 1.4.2 gives up a TSDU whose rest does not come within
/// three seconds, and takes the next fragment for the beginning of another.
fn inner<'f>(fragment: &'f [u8], context: &mut Context<'_>) -> Option<Tsdu<'f>> {
    if !shape::is_whole(fragment) {
        return None;
    }
    context.malformed("pdu_inside_tsdu", fragment.len() as u32);
    let form = Form { is_ambiguous: true, ..Form::default() };
    Some(Tsdu { bytes: Cow::Borrowed(fragment), form })
}
