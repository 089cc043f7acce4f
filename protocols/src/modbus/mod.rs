//! Modbus (Modbus Application Protocol V1.1b3) over TCP and UDP, with an MBAP header or in RTU frames.
//!
//! ```text
//!  mbap, rtu --> request --> asked --> pending --> response --> Sink
//!  where does    fields,     as small  waits for   what was read,
//!  a frame end?  limits      as can be its answer  done, refused
//! ```
//!
//! * `function`: codes, names, classes; `umas`: those of the engineering protocol inside function code 90;
//! * `file`: file records, lists inside a PDU; `identity`: what devices say about themselves;
//! * `shape`: how exactly bytes look like Modbus, for identification and for finding a boundary.
//!
//! Units are the addressees: a gateway serves many behind one address, and on TCP 0 and 255 mean the device itself. On a
//! serial line behind a gateway 0 is a broadcast, which nobody answers: it ends as any request without an answer does.
//!
//! Counting follows Wireshark: an exception counts under its function without the exception bit; the diagnostic
//! sub-function and the MEI type count in both directions where the PDU carries them (an exception does not). Two
//! differences are meant: an exception without its code still is a response, and a PDU in a segment that Wireshark takes
//! for a retransmission is counted when its bytes are new. `DIFFERENCES.md` has every case that is known.

mod answered;
mod doubt;
mod echo;
mod entry;
mod file;
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
use self::doubt::Doubt;
use self::entry::Entry;
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
    /// The latest request that was answered, to know a second answer by. Reads that nobody follows are of no interest.
    last: Answered,
    /// Bytes that can be read in two ways; none in the common case.
    doubt: Option<Box<Doubt>>,
}

impl<const IS_RTU: bool> Modbus<IS_RTU> {
    fn new(limits: &Limits) -> Self {
        Self { pending: Pending::new(limits), next: 0, last: Answered::default(), doubt: None }
    }

    /// A request, from its unit on. `false`: it is not as long as its function says, or its function is unusual, and
    /// nothing was done with it.
    #[inline]
    fn on_request(&mut self, head: Head, body: &[u8], stamp: &Stamp, sink: &mut dyn Sink) -> bool {
        let data = body.get(2..).unwrap_or_default();
        let Some(range) = request::sound_read(head.code, data) else {
            return self.on_any_request(head, body, &mut Context { from: Side::Client, stamp, sink });
        };
        let Head { transaction, unit, code } = head;
        let request = self.number();
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
            self.request(head, data, false, context);
        }
        is_sound
    }

    /// Announces a request and remembers it until its answer.
    fn request(&mut self, head: Head, data: &[u8], is_ambiguous: bool, context: &mut Context<'_>) {
        let Head { transaction, unit, code } = head;
        let request = self.number();
        let asked = request::announce(request, head, data, is_ambiguous, context);
        let requested = *context.stamp;
        self.pending.push(Entry { requested, request, transaction, unit, code, asked }, context.sink);
    }

    /// Takes a number for a request.
    fn number(&mut self) -> u32 {
        let request = self.next;
        self.next = request.wrapping_add(1);
        request
    }

    /// An answer, from its unit on; `false` as for [`Self::on_request`].
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
            Some((index, fit)) => self.conclude(index, head, data, fit, context),
            None => self.on_stray_response(head, data, context),
        }
        identify(head, data, context);
    }

    /// Finds the request of an answer that names none which waits: one whose end was still waited for, or else the only one
    /// in flight that it fits, since some servers and gateways answer with a transaction or a unit of their own.
    fn find_otherwise(&mut self, head: Head, data: &[u8], context: &mut Context<'_>) -> Option<(usize, bool)> {
        let Head { transaction, unit, code } = head;
        let asked = code & !function::EXCEPTION;
        let fits = |entry: &Entry| asked != code || response::fits(&entry.asked, code, data);
        if self.answers_held(head, context) {
            return self.pending.find(|entry| entry.is_asked_by(transaction, unit, asked), fits);
        }
        // The second answer to a request is none to another one.
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

    fn conclude(&mut self, index: usize, head: Head, data: &[u8], fit: bool, context: &mut Context<'_>) {
        let refused = head.code & function::EXCEPTION != 0;
        if let Some(entry) = self.pending.get(index) {
            response::conclude(entry, head, data, fit, context);
            self.last = Answered::new(head, entry);
            if let Some(doubt) = &mut self.doubt {
                doubt.answered(entry.request, refused);
            }
        }
        self.pending.remove(index);
    }

    /// An answer to no request that is known. If it says that something was changed, that is news, unless it only says again
    /// what the latest answer said.
    fn on_stray_response(&mut self, head: Head, data: &[u8], context: &mut Context<'_>) {
        let refused = head.code & function::EXCEPTION != 0;
        let code = u32::from(head.code & !function::EXCEPTION);
        let is_repeated = self.last.is_repeated_by(head, data);
        if IS_RTU && is_repeated && !refused {
            self.set_echoes(true);
        }
        context.anomaly(AnomalyKind::Unmatched, "answer_without_request", Some(code));
        if !refused && !is_repeated && unseen::tell(self.next, head, data, context) {
            self.next = self.next.wrapping_add(1);
            self.last = Answered::by(head, data);
        }
    }
}

/// Counts a request.
fn count_request(code: u8, sink: &mut dyn Sink) {
    sink.pdu(REQUESTS, u32::from(code & !function::EXCEPTION));
}

/// Counts the sub-function or MEI type that a PDU carries.
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

/// An identity is worth telling even where its request was not seen.
#[inline]
fn identify(head: Head, data: &[u8], context: &mut Context<'_>) {
    match (head.code, data) {
        (function::REPORT_SERVER_ID, _) => identity::server_id(head.unit, data, context),
        (function::ENCAPSULATED_INTERFACE, [mei, rest @ ..])
            if u16::from(*mei) == function::MEI_DEVICE_IDENTIFICATION =>
        {
            identity::device_identification(head.unit, rest, context);
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
            return self.say(frame, false, &mut Context { from, stamp, sink });
        }
        let Some((head, _)) = rtu::split(frame) else { return };
        if from == Side::Server && self.is_echo(frame, &mut Context { from, stamp, sink: &mut *sink }) {
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
            return self.tcp_frames(from, bytes, stamp, sink);
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
        if IS_RTU { 0 } else { self.last_tcp_frames(bytes, &mut Context { from, stamp, sink }) }
    }

    fn is_in_doubt(&self, from: Side) -> bool {
        self.is_forked(from)
    }

    fn interrupt(&mut self, from: Side, _: &mut dyn Sink) {
        self.forget_doubt(from);
    }

    fn give_up(&mut self, from: Side, _: &Stamp, _: &mut dyn Sink) -> bool {
        self.forget_doubt(from);
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
