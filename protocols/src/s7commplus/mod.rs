//! S7comm-plus (first byte 0x72), the communication of the S7-1200 and S7-1500, over the ISO transport.
//!
//! ```text
//!  iso::Stack --> pdu --> reassembly --> request ---> pending --> response --> Sink
//!  a TSDU         outer   a whole PDU    operations   waits for   outcomes,
//!       \         form               \                its answer  values
//!        tls                          notification: reports
//! ```
//!
//! * `function`: opcodes, codes, names; `id`: objects and attributes that determine the class of an operation;
//! * `vlq`, `value`, `object`: numbers, typed values and trees of objects, each bounded in depth;
//! * `subscription`: the variables of a subscription; `owned`: the sessions and subscriptions that the flow created;
//! * `identity`: identities of both ends;
//! * `tls`, `certificate`: the visible part of TLS, which a client starts with InitSSL.
//!
//! There is no public standard; the protocol is known from the field. So unknown parts are counted and named, but they are
//! no anomalies unless the bytes contradict themselves. Addresses stay ids: only the project of the controller has their
//! symbols. Values are reported as bytes, numbers in their full width, big-endian.
//!
//! Counting: every TSDU that begins with 0x72 counts under its version, one that continues a fragmented PDU also as a
//! continuation; opcodes and functions count once for each whole PDU. `DIFFERENCES.md` lists the cases in which other
//! counters differ.

mod certificate;
mod function;
mod id;
mod identity;
mod notification;
mod object;
mod owned;
mod pdu;
mod pending_request;
mod request;
mod response;
mod subscription;
mod tls;
mod value;
mod vlq;

#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};

use self::function::{NOTIFICATION, REQUEST, RESPONSE, RESPONSE_2};
use self::owned::Owned;
use self::pdu::{Head, Pdu};
use self::pending_request::{MAX_WAITING_ITEMS, PendingRequest, Spare};
use self::request::Request;
use self::tls::Records;
use crate::context::Context;
use crate::dissector::{
    AnomalyKind, Boundary, Dissector, FrameLen, Function, Limits, Outcome, PduGroup, Probe, Protocol, RequestRef, Side,
    Sink, Stamp, Transport,
};
use crate::iso::{self, Content, Form, IsoProbe, Stack};
use crate::operation::{Class, Operation, Target, Values};
use crate::pending::{Pending, Waiting};
use crate::reader::{DecodeError, Reader};
use crate::reassembly::{Added, Limit, Reassembly};
use crate::s7comm;

/// S7comm-plus over ISO transport over TCP.
pub static S7COMM_PLUS: Protocol = Protocol {
    name: "s7commplus",
    framing: "tpkt",
    display_name: "S7commplus",
    title: "S7comm-plus (S7-1200, S7-1500)",
    transports: &[Transport::Tcp],
    ports: iso::PORTS,
    max_frame: iso::MAX_FRAME,
    min_frame: iso::MIN_FRAME,
    probe,
    open: |_, limits| Box::new(S7CommPlus::new(limits)),
    pdu_groups: PDU_GROUPS,
    functions: &function::ALL,
    techniques: s7comm::techniques::of,
};

static PDU_GROUPS: &[PduGroup] = &[
    PduGroup { name: "version", key: |key| key.to_string() },
    PduGroup { name: "opcode", key: opcode_name },
    PduGroup { name: "func", key: |key| format!("{}:{:#06x}", opcode_name(key >> 16), key & 0xFFFF) },
    PduGroup { name: "fragment", key: |_| "continuation".to_string() },
];

fn opcode_name(opcode: u32) -> String {
    match opcode as u8 {
        REQUEST => "req".to_string(),
        RESPONSE => "resp".to_string(),
        RESPONSE_2 => "resp2".to_string(),
        NOTIFICATION => "notif".to_string(),
        other => format!("{other:#04x}"),
    }
}

const VERSIONS: usize = 0;
const OPCODES: usize = 1;
const FUNCTIONS: usize = 2;
const CONTINUATIONS: usize = 3;

fn probe(_: Transport, bytes: &[u8]) -> Probe {
    match iso::probe_opening(bytes) {
        IsoProbe::No => Probe::No,
        IsoProbe::More | IsoProbe::Connected { .. } => Probe::More,
        IsoProbe::Carries { content: Content::S7commPlus, sender, head, is_odd } => {
            let sender = sender.or(iso::plus_sender(head.bytes()));
            if head.fits_plus() && !is_odd { Probe::Yes { sender } } else { Probe::Maybe { sender } }
        }
        IsoProbe::Carries { .. } => Probe::No,
    }
}

/// The decoder of one flow.
struct S7CommPlus {
    stack: Stack,
    reassemblies: [Reassembly; 2],
    records: [Records; 2],
    /// TLS was negotiated.
    is_encrypted: bool,
    pending: Pending<PendingRequest>,
    /// Sequence and function of the latest matched answer.
    answered: Option<(u16, u16)>,
    spare: Spare,
    owned: Owned,
    /// Longest reassembled PDU, bytes.
    limit: usize,
}

impl S7CommPlus {
    fn new(limits: &Limits) -> Self {
        Self {
            stack: Stack::new(limits),
            reassemblies: Default::default(),
            records: Default::default(),
            is_encrypted: false,
            pending: Pending::new(limits),
            answered: None,
            spare: Spare::default(),
            owned: Owned::default(),
            limit: limits.partial,
        }
    }

    /// Handles one TSDU.
    fn on_tsdu(&mut self, bytes: &[u8], form: Form, context: &mut Context<'_>) {
        let content = Content::of(bytes);
        let is_inside = self.records.get(context.from.index()).is_some_and(Records::is_inside);
        if is_inside && self.is_clear(bytes, context.from) {
            context.malformed("clear_pdu_inside_tls_record", pdu::version(bytes));
            return self.on_pdu(bytes, context);
        }
        if is_inside || content == Content::Tls || (self.is_encrypted && content == Content::Other) {
            return self.on_tls(bytes, content, context);
        }
        match content {
            Content::S7commPlus => self.on_pdu(bytes, context),
            Content::Other if form.is_torn => context.sink.lost(bytes.len()),
            _ => {
                iso::report_foreign(bytes, &mut self.stack, context);
                // Embedded PDUs are not searched again. A whole PDU was reported already.
                if !form.is_ambiguous && !form.is_joined {
                    self.report_embedded_pdus(bytes.get(1..).unwrap_or_default(), context);
                }
            }
        }
    }

    /// Whether a TSDU that a TLS record would continue is a clear PDU, or the next fragment of one, by its lengths and
    /// by its opcode or its trailer. Fewer than one in 2^40 encrypted TSDUs match. A record that is only announced must
    /// not hide bytes that a controller reads.
    fn is_clear(&self, bytes: &[u8], from: Side) -> bool {
        let is_open = || self.reassemblies.get(from.index()).is_some_and(Reassembly::is_open);
        iso::is_whole_plus(bytes) || pdu::is_fragment(bytes, is_open())
    }

    /// Handles TLS records: reported once, as content of class `opaque`.
    fn on_tls(&mut self, bytes: &[u8], content: Content, context: &mut Context<'_>) {
        if content == Content::Tls {
            iso::report_foreign(bytes, &mut self.stack, context);
        }
        if let Some(records) = self.records.get_mut(context.from.index()) {
            records.feed(bytes, content == Content::Tls, context);
        }
    }

    fn on_pdu(&mut self, bytes: &[u8], context: &mut Context<'_>) {
        let version = pdu::version(bytes);
        context.sink.pdu(VERSIONS, version.into());
        match pdu::parse(bytes) {
            Ok(Pdu::Data { payload, is_last, fault }) => {
                self.on_payload(payload, is_last, version, context);
                if let Some(name) = fault {
                    context.anomaly(AnomalyKind::Malformed, name, None);
                    self.report_embedded_pdus(bytes.get(pdu::HEADER..).unwrap_or_default(), context);
                }
            }
            Ok(Pdu::SystemEvent) => self.on_system_event(context),
            Ok(Pdu::KeepAlive) => {}
            Err(error) => {
                context.anomaly(AnomalyKind::Malformed, error.field(), None);
                self.report_unread("pdu", 0, context);
            }
        }
    }

    /// Reports whole PDUs inside of another PDU with a wrong end.
    fn report_embedded_pdus(&mut self, bytes: &[u8], context: &mut Context<'_>) {
        let mut rest = bytes;
        while let Some((tsdu, behind)) = iso::find_embedded_pdu(rest) {
            context.malformed("pdu_inside_pdu", tsdu.len() as u32);
            self.on_tsdu(tsdu, Form { is_ambiguous: true, ..Form::default() }, context);
            rest = behind;
        }
    }

    /// Reports a request of a client whose function cannot be read.
    fn report_unread(&mut self, part: &'static str, code: u8, context: &mut Context<'_>) {
        if context.from != Side::Client {
            return;
        }
        let Function { class, name, code } = function::unread(code.into());
        let target = Target::Unread { part };
        let operation = Operation { class, function: name, code, ambiguous: false, target, values: Values::None };
        let at = RequestRef { request: self.stack.assign_number(), item: 0 };
        let Context { stamp, ref mut sink, .. } = *context;
        sink.operation(at, &operation, stamp);
        sink.outcome(at, &operation, Outcome::Pending, stamp, stamp);
    }

    fn on_payload(&mut self, payload: &[u8], is_last: bool, version: u8, context: &mut Context<'_>) {
        let Some(reassembly) = self.reassemblies.get_mut(context.from.index()) else { return };
        if reassembly.is_open() {
            context.sink.pdu(CONTINUATIONS, 0);
        }
        if !is_last {
            context.sink.takes_memory();
        }
        if reassembly.is_torn() && !pdu::is_beginning(payload) {
            reassembly.skip(is_last);
            context.anomaly(AnomalyKind::Unmatched, "fragment_without_beginning", None);
            return;
        }
        match reassembly.add(payload, is_last, Limit::WholeFragment(self.limit)) {
            Added::Message { bytes, is_cut, .. } => {
                if is_cut {
                    context.anomaly(AnomalyKind::Limit, "pdu_too_long", None);
                }
                if let Err(error) = self.on_whole(&bytes, version, is_cut, context) {
                    context.anomaly(AnomalyKind::Malformed, error.field(), None);
                    self.report_unread("head", bytes.first().copied().unwrap_or_default(), context);
                }
            }
            Added::Kept | Added::Skipped(_) => {}
        }
    }

    /// Handles a PDU without its outer form.
    fn on_whole(
        &mut self,
        bytes: &[u8],
        version: u8,
        is_cut: bool,
        context: &mut Context<'_>,
    ) -> Result<(), DecodeError> {
        let mut reader = Reader::new(bytes);
        let opcode = reader.u8("opcode")?;
        context.sink.pdu(OPCODES, opcode.into());
        match opcode {
            REQUEST | RESPONSE | RESPONSE_2 => {
                let head = Head::read(opcode, &mut reader)?;
                context.sink.pdu(FUNCTIONS, u32::from(opcode) << 16 | u32::from(head.function));
                let sender = if opcode == REQUEST { Side::Client } else { Side::Server };
                if context.from != sender {
                    context.malformed("opcode_direction", opcode);
                }
                if opcode == REQUEST {
                    self.on_request(&head, reader.rest(), is_cut, context);
                } else {
                    self.on_response(&head, reader.rest(), is_cut, context);
                }
            }
            NOTIFICATION => {
                notification::report(self.stack.assign_number(), version, reader.rest(), &mut self.owned, context);
            }
            _ => {
                context.malformed("opcode", opcode);
                self.report_unread("opcode", opcode, context);
            }
        }
        Ok(())
    }

    fn on_request(&mut self, head: &Head, body: &[u8], is_cut: bool, context: &mut Context<'_>) {
        let (number, function) = (self.stack.assign_number(), function::of(head.function));
        let mut items = self.spare.take_list();
        let mut request =
            Request { number, function, items: &mut items, announced: 0, is_complete: false, context: &mut *context };
        request::announce(head, body, is_cut, &self.owned, &mut request);
        let asked = PendingRequest {
            requested: *context.stamp,
            request: number,
            sequence: head.sequence,
            function,
            is_unconfirmed: head.is_unconfirmed(),
            items,
        };
        if self.has_room(&asked, context) {
            self.pending.push(asked, context.sink);
        } else {
            asked.report_outcomes(Outcome::Pending, context.stamp, context.sink);
        }
    }

    /// Whether a request may be pending. Small ones always may: their number is bounded.
    fn has_room(&self, asked: &PendingRequest, context: &mut Context<'_>) -> bool {
        let count = asked.items.len();
        let waiting = || self.pending.all().map(|other| other.items.len()).sum::<usize>();
        let has_room = count <= FEW_ITEMS || waiting() + count <= MAX_WAITING_ITEMS;
        if !has_room {
            context.anomaly(AnomalyKind::Limit, "pending_items", None);
        }
        has_room
    }

    fn on_response(&mut self, head: &Head, body: &[u8], is_cut: bool, context: &mut Context<'_>) {
        let is_asked_by = |asked: &PendingRequest| {
            asked.sequence == head.sequence
                && (asked.function.code == u32::from(head.function) || function::is_error(head.function))
        };
        let answer = (head.sequence, head.function);
        let named = self.pending.take(is_asked_by, |_| true).map(|(asked, _)| asked);
        let Some(asked) = named.or_else(|| self.take_only_request(answer, context)) else {
            context.anomaly(AnomalyKind::Unmatched, "answer_without_request", Some(head.function.into()));
            // A second answer to the latest answered request proves nothing new.
            if self.answered.take_if(|last| *last == answer).is_none() && context.from == Side::Server {
                response::report_unseen(head.function, body, &self.owned, &mut self.stack, context);
            }
            return;
        };
        self.answered = Some(answer);
        let outcome = response::report_outcomes(&asked, head.function, body, is_cut, &mut self.owned, context);
        if head.function == function::INIT_SSL && outcome == Outcome::Accepted {
            self.is_encrypted = true;
        }
        self.spare.give_back(asked.items);
    }

    /// Takes the one request in flight, if it is the latest request and an answer fits it but for its sequence number.
    fn take_only_request(
        &mut self,
        answer @ (sequence, function): (u16, u16),
        context: &mut Context<'_>,
    ) -> Option<PendingRequest> {
        let only = self.pending.only()?;
        let is_last = only.request == self.stack.next_request().wrapping_sub(1);
        let fits = only.function.code == u32::from(function) && context.from == Side::Server;
        if !is_last || !fits || self.answered == Some(answer) {
            return None;
        }
        context.anomaly(AnomalyKind::Unmatched, "answer_with_other_sequence", Some(sequence.into()));
        self.pending.remove(0)
    }

    /// Drops the fragments of an incomplete PDU of a side.
    fn drop_fragments(&mut self, from: Side, sink: &mut dyn Sink) {
        let lost = self.reassemblies.get_mut(from.index()).map_or(0, Reassembly::interrupt);
        if lost > 0 {
            sink.lost(lost);
        }
    }

    /// Handles a system event. Both ends send them; one of a client is part of its session.
    fn on_system_event(&mut self, context: &mut Context<'_>) {
        let class = if context.from == Side::Server { Class::Report } else { Class::Session };
        let function = function::SYSTEM_EVENT;
        let operation = Operation {
            class,
            function: function.name,
            code: function.code,
            ambiguous: false,
            target: Target::None,
            values: Values::None,
        };
        let at = RequestRef { request: self.stack.assign_number(), item: 0 };
        let Context { stamp, ref mut sink, .. } = *context;
        sink.operation(at, &operation, stamp);
        sink.outcome(at, &operation, Outcome::Accepted, stamp, stamp);
    }
}

impl Dissector for S7CommPlus {
    #[inline]
    fn frame_len(&self, from: Side, bytes: &[u8]) -> FrameLen {
        match iso::frame_len(bytes) {
            FrameLen::Bytes(length)
                if bytes.get(iso::CONTENT) == Some(&S7COMM)
                    && bytes.get(..length).is_some_and(|frame| iso::is_foreign(frame, from, Content::S7commPlus)) =>
            {
                FrameLen::Invalid("tsdu_of_s7comm")
            }
            length => length,
        }
    }

    fn may_start(&self, _: Side, bytes: &[u8]) -> bool {
        iso::may_start(bytes)
    }

    fn boundary(&self, _: Side, frame: &[u8]) -> Boundary {
        iso::boundary(frame, |tsdu| matches!(Content::of(tsdu), Content::S7commPlus | Content::Tls))
    }

    fn decode_frame(&mut self, from: Side, frame: &[u8], stamp: &Stamp, sink: &mut dyn Sink) {
        let mut context = Context { from, stamp, sink };
        for tsdu in self.stack.add_frame(frame, &mut context).into_iter().flatten() {
            self.on_tsdu(&tsdu.bytes, tsdu.form, &mut context);
        }
    }

    fn interrupt(&mut self, from: Side, sink: &mut dyn Sink) {
        self.stack.interrupt(from, sink);
        self.drop_fragments(from, sink);
        if let Some(records) = self.records.get_mut(from.index()) {
            records.interrupt();
        }
    }

    fn buffered(&self) -> usize {
        self.stack.buffered() + self.reassemblies.iter().map(Reassembly::len).sum::<usize>()
    }

    fn give_up(&mut self, from: Side, _: &Stamp, sink: &mut dyn Sink) -> bool {
        let is_kept = self.reassemblies.get(from.index()).is_some_and(|reassembly| reassembly.len() > 0);
        if is_kept {
            self.drop_fragments(from, sink);
        }
        self.stack.give_up(from, sink) || is_kept
    }

    fn remembered(&self) -> usize {
        self.stack.remembered() + self.pending.memory()
    }

    fn forget(&mut self, stamp: &Stamp, sink: &mut dyn Sink) {
        self.stack.forget(stamp, sink);
        self.pending.forget(stamp, sink);
    }

    fn next_request(&mut self) -> &mut u32 {
        self.stack.next_request()
    }

    fn expire(&mut self, clock: i64, sink: &mut dyn Sink) {
        self.stack.expire(clock, sink);
        self.pending.expire(clock, sink);
    }

    #[inline]
    fn deadline(&self) -> Option<i64> {
        [self.stack.deadline(), self.pending.deadline()].into_iter().flatten().min()
    }

    fn close(&mut self, clock: i64, sink: &mut dyn Sink) {
        self.stack.close(clock, sink);
        self.pending.close(clock, sink);
    }

    fn finish(&mut self, sink: &mut dyn Sink) {
        self.stack.finish(sink);
        for from in [Side::Client, Side::Server] {
            self.drop_fragments(from, sink);
        }
        self.pending.finish(sink);
    }
}

/// First byte of a PDU of S7comm.
const S7COMM: u8 = 0x32;
/// Items of a request that may always be pending.
const FEW_ITEMS: usize = 16;
