//! Modbus (Modbus Application Protocol V1.1b3) over TCP and UDP, with an MBAP header or in RTU frames.
//!
//! ```text
//!  mbap, rtu --> request --> entry ----> pending --> response --> Sink
//!  where does    fields,     what its    waits for   values,
//!  a frame end?  limits      answer      its answer  outcome
//!                            needs
//! ```
//!
//! * `function`: codes, names, classes; `umas`: those of the engineering protocol inside function code 90; `techniques`:
//!   ATT&CK techniques;
//! * `framing`: the frames of Modbus/TCP; `fork`: the two readings of bytes after a wrong header; `length`: the length of a
//!   PDU by its function; `echo`: requests that a gateway repeats, in RTU frames;
//! * `file`: file records, lists inside a PDU; `identity`: identities of devices;
//! * `answered`: second answers; `unseen`: answers whose request is not in the capture;
//! * `shape`: whether a PDU has the structure of its function, for identification and for frame boundaries.
//!
//! Units are the addressees: a gateway serves many behind one address, and on TCP 0 and 255 mean the device itself. On a
//! serial line behind a gateway, 0 is a broadcast without an answer: it ends as any request without an answer does.
//!
//! Counting follows Wireshark: an exception counts under its function without the exception bit; the diagnostic
//! sub-function and the MEI type count in both directions where the PDU carries them (an exception does not). Two
//! differences are intended: an exception without its code still is a response, and a PDU in a segment that Wireshark
//! considers a retransmission is counted if its bytes are new. `DIFFERENCES.md` lists every known case.

mod answered;
mod echo;
mod entry;
mod file;
mod fork;
mod framing;
mod function;
mod head;
mod identity;
mod length;
mod mbap;
mod pending_request;
mod request;
mod response;
mod rtu;
mod shape;
mod techniques;
mod umas;
mod unseen;

#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};

use self::answered::Answered;
use self::entry::Entry;
use self::fork::Irregular;
use self::head::Head;
use crate::context::Context;
use crate::dissector::{
    AnomalyKind, Boundary, Dissector, FrameLen, Limits, Outcome, PduGroup, Protocol, Side, Sink, Stamp, Transport,
};
use crate::pending::Pending;

/// Modbus/TCP, and the same over UDP.
pub static TCP: Protocol = Protocol {
    name: "modbus",
    framing: "tcp",
    display_name: "Modbus",
    title: "Modbus/TCP",
    transports: &[Transport::Tcp, Transport::Udp],
    ports: &[502],
    max_frame: mbap::MAX_FRAME,
    min_frame: 6,
    probe: mbap::probe,
    open: |_, limits| Box::new(Modbus::<false>::new(limits)),
    pdu_groups: PDU_GROUPS,
    functions: &function::ALL,
    techniques: techniques::of,
};

/// Modbus RTU frames inside TCP or UDP. They have no port of their own: only a correct CRC identifies them.
pub static RTU: Protocol = Protocol {
    name: "modbus",
    framing: "rtu",
    display_name: "Modbus",
    title: "Modbus RTU over TCP or UDP",
    transports: &[Transport::Tcp, Transport::Udp],
    ports: &[],
    max_frame: rtu::MAX_FRAME,
    min_frame: rtu::MIN_FRAME,
    probe: rtu::probe,
    open: |_, limits| Box::new(Modbus::<true>::new(limits)),
    pdu_groups: PDU_GROUPS,
    functions: &function::ALL,
    techniques: techniques::of,
};

static PDU_GROUPS: &[PduGroup] = &[
    PduGroup { name: "requests", key: decimal },
    PduGroup { name: "responses", key: decimal },
    PduGroup { name: "exceptions_fc_code", key: |key| format!("{}:{}", key >> 8, key & 0xFF) },
    PduGroup { name: "diagnostic_subfunc", key: decimal },
    PduGroup { name: "mei", key: decimal },
];

fn decimal(key: u32) -> String {
    key.to_string()
}

const REQUESTS: usize = 0;
const RESPONSES: usize = 1;
const EXCEPTIONS: usize = 2;
const DIAGNOSTIC_SUBFUNCTIONS: usize = 3;
const MEI_TYPES: usize = 4;

/// The decoder of one flow, in one of the two framings.
struct Modbus<const IS_RTU: bool> {
    pending: Pending<Entry>,
    /// Number of the next request.
    next: u32,
    /// The latest answered request, by which a second answer is recognised. Untracked reads are not recorded.
    last: Answered,
    /// State of irregular traffic; none in the common case.
    irregular: Option<Box<Irregular>>,
}

impl<const IS_RTU: bool> Modbus<IS_RTU> {
    fn new(limits: &Limits) -> Self {
        Self { pending: Pending::new(limits), next: 0, last: Answered::default(), irregular: None }
    }

    /// Handles a request; `body` begins with the unit. Returns `false`, without any effect, if its length does not
    /// agree with its function, or if its function is unusual.
    #[inline]
    fn on_request(&mut self, head: Head, body: &[u8], stamp: &Stamp, sink: &mut dyn Sink) -> bool {
        let data = body.get(2..).unwrap_or_default();
        let Some(range) = request::sound_read(head.code, data) else {
            return self.on_any_request(head, body, &mut Context { from: Side::Client, stamp, sink });
        };
        let Head { transaction, unit, code } = head;
        let request = self.assign_number();
        count_request(code, sink);
        let asked = request::announce_read(request, head, range, stamp, sink);
        self.pending.push(Entry { requested: *stamp, request, transaction, unit, code, asked }, sink);
        true
    }

    fn on_any_request(&mut self, head: Head, body: &[u8], context: &mut Context<'_>) -> bool {
        let is_sound = IS_RTU || function::has_known_shape(head.code) && length::agrees(Side::Client, body);
        if is_sound {
            let data = body.get(2..).unwrap_or_default();
            count_request(head.code, context.sink);
            count_sub(head.code, data, context.sink);
            self.announce_request(head, data, false, context);
        }
        is_sound
    }

    /// Reports a request and adds it to the pending ones.
    fn announce_request(&mut self, head: Head, data: &[u8], is_ambiguous: bool, context: &mut Context<'_>) {
        let Head { transaction, unit, code } = head;
        let request = self.assign_number();
        let asked = request::announce(request, head, data, is_ambiguous, context);
        let requested = *context.stamp;
        self.pending.push(Entry { requested, request, transaction, unit, code, asked }, context.sink);
    }

    /// Assigns a number to a request.
    fn assign_number(&mut self) -> u32 {
        let request = self.next;
        self.next = request.wrapping_add(1);
        request
    }

    /// Handles an answer; returns `false` as [`Self::on_request`] does.
    #[inline]
    fn on_response(&mut self, head: Head, body: &[u8], stamp: &Stamp, sink: &mut dyn Sink) -> bool {
        let data = body.get(2..).unwrap_or_default();
        if let Some(only) = self.pending.only()
            && only.is_asked_by(head.transaction, head.unit, head.code)
            && response::completes(&only.asked, head.code, data)
        {
            sink.ended(Outcome::Accepted, 1);
            sink.pdu(RESPONSES, head.code.into());
            if head.code > function::READ_INPUT_REGISTERS {
                self.last = Answered::new(head, only);
            }
            self.pending.forget_only();
            return true;
        }
        let is_usual = || function::has_known_shape(head.code & !function::EXCEPTION);
        let is_sound = IS_RTU || is_usual() && length::agrees(Side::Server, body);
        if is_sound {
            self.on_any_response(head, data, &mut Context { from: Side::Server, stamp, sink });
        }
        is_sound
    }

    fn on_any_response(&mut self, head: Head, data: &[u8], context: &mut Context<'_>) {
        let refused = head.code & function::EXCEPTION != 0;
        let code = head.code & !function::EXCEPTION;
        context.sink.pdu(RESPONSES, code.into());
        if let (true, Some(reason)) = (refused, data.first()) {
            context.sink.pdu(EXCEPTIONS, u32::from(code) << 8 | u32::from(*reason));
        }
        count_sub(head.code, data, context.sink);
        let asked_by = |entry: &Entry| entry.is_asked_by(head.transaction, head.unit, code);
        let fits = |entry: &Entry| refused || response::fits(&entry.asked, code, data);
        let found = self.pending.find(asked_by, fits).or_else(|| self.find_otherwise(head, data, context));
        match found {
            Some((index, fit)) => self.report_outcomes(index, head, data, fit, context),
            None => self.on_stray_response(head, data, context),
        }
        report_identity(head, data, context);
    }

    /// Finds the request of an answer that matches no pending one: a held request, or else the only request in flight
    /// that it fits, as some servers and gateways answer with a transaction or a unit of their own.
    fn find_otherwise(&mut self, head: Head, data: &[u8], context: &mut Context<'_>) -> Option<(usize, bool)> {
        let Head { transaction, unit, code } = head;
        let asked = code & !function::EXCEPTION;
        let fits = |entry: &Entry| asked != code || response::fits(&entry.asked, code, data);
        if self.decode_held_on_answer(head, context) {
            return self.pending.find(|entry| entry.is_asked_by(transaction, unit, asked), fits);
        }
        // A second answer to one request does not answer another.
        if self.last.is_answered_by(head, data) {
            return None;
        }
        let index = self.pending.only_that(|entry| entry.code & !function::EXCEPTION == asked && fits(entry))?;
        let entry = self.pending.get(index)?;
        let (name, value) = match entry.transaction == transaction {
            true => ("answer_of_another_unit", u32::from(unit)),
            false => ("answer_with_another_transaction", transaction.into()),
        };
        context.anomaly(AnomalyKind::Unmatched, name, Some(value));
        Some((index, true))
    }

    /// Ends the pending request at `index` with this answer.
    fn report_outcomes(&mut self, index: usize, head: Head, data: &[u8], fit: bool, context: &mut Context<'_>) {
        let refused = head.code & function::EXCEPTION != 0;
        if let Some(entry) = self.pending.get(index) {
            response::report_outcomes(entry, head, data, fit, context);
            self.last = Answered::new(head, entry);
            if let Some(irregular) = &mut self.irregular {
                irregular.settle_by_answer(entry.request, refused);
            }
        }
        self.pending.remove(index);
    }

    /// Handles an answer without a request. If it proves a change, the change is reported, unless the latest answer
    /// proved the same.
    fn on_stray_response(&mut self, head: Head, data: &[u8], context: &mut Context<'_>) {
        let refused = head.code & function::EXCEPTION != 0;
        let code = u32::from(head.code & !function::EXCEPTION);
        let is_repeated = self.last.is_repeated_by(head, data);
        if IS_RTU && is_repeated && !refused {
            self.set_echoes(true);
        }
        context.anomaly(AnomalyKind::Unmatched, "answer_without_request", Some(code));
        if !refused && !is_repeated && unseen::report(self.next, head, data, context) {
            self.next = self.next.wrapping_add(1);
            self.last = Answered::without_request(head, data);
        }
    }
}

/// Counts a request.
fn count_request(code: u8, sink: &mut dyn Sink) {
    sink.pdu(REQUESTS, u32::from(code & !function::EXCEPTION));
}

/// Counts the sub-function or MEI type of a PDU.
#[inline]
fn count_sub(code: u8, data: &[u8], sink: &mut dyn Sink) {
    match (code, data) {
        (function::DIAGNOSTICS, [high, low, ..]) => {
            sink.pdu(DIAGNOSTIC_SUBFUNCTIONS, u16::from_be_bytes([*high, *low]).into());
        }
        (function::ENCAPSULATED_INTERFACE, [mei, ..]) => sink.pdu(MEI_TYPES, (*mei).into()),
        _ => {}
    }
}

/// Reports the identity in an answer, also if its request was not seen.
#[inline]
fn report_identity(head: Head, data: &[u8], context: &mut Context<'_>) {
    match (head.code, data) {
        (function::REPORT_SERVER_ID, _) => identity::report_server_id(head.unit, data, context),
        (function::ENCAPSULATED_INTERFACE, [mei, rest @ ..])
            if u16::from(*mei) == function::MEI_DEVICE_IDENTIFICATION =>
        {
            identity::report_device_identification(head.unit, rest, context);
        }
        _ => {}
    }
}

impl<const IS_RTU: bool> Dissector for Modbus<IS_RTU> {
    #[inline]
    fn frame_len(&self, from: Side, bytes: &[u8]) -> FrameLen {
        if IS_RTU { self.rtu_frame_len(from, bytes) } else { mbap::frame_len(from, bytes) }
    }

    fn may_start(&self, _: Side, bytes: &[u8]) -> bool {
        if IS_RTU { rtu::may_start(bytes) } else { mbap::may_start(bytes) }
    }

    fn begins_with_wrong_headers(&self, from: Side, bytes: &[u8], is_last: bool) -> Option<bool> {
        if IS_RTU { Some(false) } else { mbap::begins_with_wrong_headers(from, bytes, is_last) }
    }

    fn boundary(&self, from: Side, frame: &[u8]) -> Boundary {
        let split = if IS_RTU { rtu::split(frame) } else { mbap::split(frame) };
        split.map_or(Boundary::Unlikely, |(head, data)| shape::boundary(from, head.code, data))
    }

    fn decode_frame(&mut self, from: Side, frame: &[u8], stamp: &Stamp, sink: &mut dyn Sink) {
        if !IS_RTU {
            return self.decode_whole(frame, false, &mut Context { from, stamp, sink });
        }
        let Some((head, _)) = rtu::split(frame) else { return };
        if from == Side::Server && self.accept_echo(frame, &mut Context { from, stamp, sink: &mut *sink }) {
            return;
        }
        let body = frame.get(..frame.len() - rtu::CRC).unwrap_or_default();
        match from {
            Side::Client => self.on_request(head, body, stamp, sink),
            Side::Server => self.on_response(head, body, stamp, sink),
        };
    }

    #[inline]
    fn decode_frames(&mut self, from: Side, bytes: &[u8], stamp: &Stamp, sink: &mut dyn Sink) -> usize {
        if !IS_RTU {
            return self.decode_tcp_frames(from, bytes, stamp, sink);
        }
        let mut rest = bytes;
        while !rest.is_empty()
            && let FrameLen::Bytes(length) = self.rtu_frame_len(from, rest)
            && let Some((frame, behind)) = rest.split_at_checked(length)
        {
            self.decode_frame(from, frame, stamp, sink);
            rest = behind;
        }
        bytes.len() - rest.len()
    }

    fn decode_last_frames(&mut self, from: Side, bytes: &[u8], stamp: &Stamp, sink: &mut dyn Sink) -> usize {
        if IS_RTU { 0 } else { self.decode_last_tcp_frames(bytes, &mut Context { from, stamp, sink }) }
    }

    fn is_ambiguous(&self, from: Side) -> bool {
        self.is_forked(from)
    }

    fn interrupt(&mut self, from: Side, _: &mut dyn Sink) {
        self.drop_readings(from);
    }

    fn give_up(&mut self, from: Side, _: &Stamp, _: &mut dyn Sink) -> bool {
        self.drop_readings(from);
        false
    }

    fn remembered(&self) -> usize {
        self.pending.memory()
    }

    fn forget(&mut self, stamp: &Stamp, sink: &mut dyn Sink) {
        self.pending.forget(stamp, sink);
    }

    fn next_request(&mut self) -> &mut u32 {
        &mut self.next
    }

    fn expire(&mut self, clock: i64, sink: &mut dyn Sink) {
        self.pending.expire(clock, sink);
    }

    #[inline]
    fn deadline(&self) -> Option<i64> {
        self.pending.deadline()
    }

    fn close(&mut self, clock: i64, sink: &mut dyn Sink) {
        self.pending.close(clock, sink);
    }

    fn finish(&mut self, sink: &mut dyn Sink) {
        self.pending.finish(sink);
    }
}
