//! S7comm, the communication of the S7-300, the S7-400 and compatible controllers.
//!
//! ```text
//!  iso::Stack --> header --> job ------> pending --> job ------> Sink
//!  one TSDU       one PDU    operations  waits for   values,
//!                                        an answer   outcomes
//!                        --> userdata ----------------------> units, szl
//! ```
//!
//! * `header`: the header, and how exactly bytes match it; `function`: codes, names, classes; `techniques`: ATT&CK
//!   techniques; `error`: names of errors;
//! * `job`: requests and their answers; `variable`, `item`, `data`: Read Var and Write Var, with `irregular` for items that
//!   are not one range of memory and its values, and `stride` for the values that one server finds elsewhere;
//!   `block`: blocks, uploads; `service`: PI services; `entry`: pending requests;
//! * `fast_path`: a shorter path for most frames; `unseen`: answers whose request is not in the capture;
//! * `userdata`: all other functions; `units`: its fragments; `szl`: status lists; `test`: modifying and forcing variables.
//!
//! There is no public standard. Fields are as observed, with Wireshark's names; `DIFFERENCES.md` lists every case in which
//! our counts differ from Wireshark's.
//!
//! A download is requested by the client, but then the controller sends the jobs that fetch its blocks, and the client
//! answers: those operations are the client's nevertheless, because the flow's roles do not change.

mod block;
mod data;
mod entry;
mod error;
mod fast_path;
mod function;
mod header;
mod irregular;
mod item;
mod job;
mod service;
mod stride;
mod szl;
pub(crate) mod techniques;
mod test;
mod units;
mod unseen;
mod userdata;
mod variable;

#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use self::block::Uploads;
use self::entry::{Entry, Item, PendingRequest};
use self::header::Pdu;
use self::units::Units;
use self::unseen::Answered;
use crate::context::Context;
use crate::dissector::{Boundary, Dissector, FrameLen, Limits, PduGroup, Protocol, Side, Sink, Stamp, Transport};
use crate::iso::{self, Content, Form, LaxKind, Stack};
use crate::pending::Pending;

/// S7comm in ISO transport over TCP.
pub static S7COMM: Protocol = Protocol {
    name: "s7comm",
    framing: "iso-on-tcp",
    display_name: "S7comm",
    title: "S7comm (S7-300, S7-400)",
    transports: &[Transport::Tcp],
    ports: iso::PORTS,
    max_frame: iso::MAX_FRAME,
    min_frame: iso::MIN_FRAME,
    probe: |_, bytes| header::probe(bytes),
    open: |_, limits| Box::new(S7comm::new(limits)),
    pdu_groups: &[
        PduGroup { name: "rosctr_func", key: |key| format!("{}:{:#04x}", key >> 8, key & 0xFF) },
        PduGroup { name: "userdata", key: userdata_key },
        PduGroup { name: "pi_services", key: service_name },
    ],
    functions: &function::ALL,
    techniques: techniques::of,
};

fn userdata_key(key: u32) -> String {
    let (kind, group, sub) = (key >> 16, key >> 8 & 0xFF, key & 0xFF);
    match key & userdata::NO_SUB {
        0 => format!("type{}:grp{group}:sub{sub}", kind << 2),
        _ => format!("?:grp{group}"),
    }
}

fn service_name(key: u32) -> String {
    let name = (key as usize).checked_sub(1).and_then(|position| service::NAMES.get(position));
    name.copied().unwrap_or("other").to_string()
}

const ROSCTR_FUNC: usize = 0;
const USERDATA_GROUP: usize = 1;
const PI_SERVICES: usize = 2;

/// The length of a frame that may carry S7comm-plus: invalid if it does, as the flow has changed its protocol.
fn plus_frame_len(from: Side, bytes: &[u8], length: usize) -> FrameLen {
    match bytes.get(..length) {
        Some(frame) if iso::is_foreign(frame, from, Content::S7comm) => FrameLen::Invalid("tsdu_of_s7comm_plus"),
        _ => FrameLen::Bytes(length),
    }
}

/// First byte of a PDU of S7comm-plus.
const PLUS: u8 = 0x72;

/// The decoder of one flow.
struct S7comm {
    stack: Stack,
    pending: Pending<Entry>,
    answered: Option<Answered>,
    /// Longest PDU, as negotiated, bytes; unlimited until then.
    pdu_length: usize,
    uploads: Uploads,
    units: Units,
    /// Lists for requests with several items.
    spare: Vec<Vec<Item>>,
}

impl S7comm {
    fn new(limits: &Limits) -> Self {
        Self {
            stack: Stack::new(limits),
            pending: Pending::new(limits),
            answered: None,
            pdu_length: usize::MAX,
            uploads: Uploads::default(),
            units: Units::new(limits.partial),
            spare: Vec::new(),
        }
    }

    /// Decodes any frame: it may hold a part of a PDU, or break the specification.
    fn decode_general(&mut self, frame: &[u8], context: &mut Context<'_>) {
        for tsdu in self.stack.add_frame(frame, context).into_iter().flatten() {
            self.on_tsdu(&tsdu.bytes, tsdu.form, context);
        }
    }

    /// Handles a whole TSDU.
    fn on_tsdu(&mut self, tsdu: &[u8], form: Form, context: &mut Context<'_>) {
        match header::split(tsdu) {
            Some(pdu) if pdu.is_exact => {
                let pdu = Pdu { is_ambiguous: form.is_ambiguous, ..pdu };
                self.on_pdu(&pdu, tsdu.len(), context);
            }
            pdu => self.on_odd_tsdu(tsdu, pdu, form, context),
        }
    }

    /// Handles a PDU of `length` bytes.
    fn on_pdu(&mut self, pdu: &Pdu<'_>, length: usize, context: &mut Context<'_>) {
        if length > self.pdu_length {
            context.malformed("pdu_longer_than_negotiated", length as u32);
        }
        match pdu.rosctr {
            header::JOB => self.on_job(pdu, context),
            header::USERDATA => self.on_userdata(pdu, context),
            _ => self.on_answer(pdu, context),
        }
    }

    /// Handles a TSDU whose header is not that of a PDU, or states wrong lengths. Servers may execute it nevertheless.
    fn on_odd_tsdu(&mut self, tsdu: &[u8], pdu: Option<Pdu<'_>>, form: Form, context: &mut Context<'_>) {
        let Form { is_torn, is_cut, is_joined, is_ambiguous } = form;
        match (pdu, header::split_laxly(tsdu).filter(|reading| !is_cut && self.is_plausible(reading, context))) {
            (_, Some((_, pdu))) => {
                header::report_faults(tsdu, pdu.rosctr, context);
                self.on_pdu(&Pdu { is_ambiguous, ..pdu }, tsdu.len(), context);
            }
            _ if is_torn => context.sink.lost(tsdu.len()),
            (Some(pdu), None) => {
                if !is_cut {
                    context.malformed("pdu_length_mismatch", tsdu.len() as u32);
                }
                self.on_pdu(&Pdu { is_ambiguous, ..pdu }, tsdu.len(), context);
                self.report_embedded_pdus(tsdu.get(header::HEADER..).unwrap_or_default(), context);
            }
            (None, None) => {
                iso::report_foreign(tsdu, &mut self.stack, context);
                // Embedded PDUs are not searched again. A whole PDU was reported already.
                if !is_ambiguous && !is_joined {
                    self.report_embedded_pdus(tsdu.get(1..).unwrap_or_default(), context);
                }
            }
        }
    }

    /// Whether a PDU that only its lengths and its function identify is plausible: an answer is if it answers a pending
    /// request.
    fn is_plausible(&self, (kind, pdu): &(LaxKind, Pdu<'_>), context: &Context<'_>) -> bool {
        let code = pdu.parameters.first().copied();
        *kind != LaxKind::Answer
            || self.pending.iter().any(|entry| entry.is_answered_by(pdu.reference, code, context.from))
    }

    /// Reports whole PDUs inside of another PDU with wrong lengths.
    fn report_embedded_pdus(&mut self, bytes: &[u8], context: &mut Context<'_>) {
        let mut rest = bytes;
        while let Some((tsdu, behind)) = iso::find_embedded_pdu(rest) {
            context.malformed("pdu_inside_pdu", tsdu.len() as u32);
            self.on_tsdu(tsdu, Form { is_ambiguous: true, ..Form::default() }, context);
            rest = behind;
        }
    }

    /// Adds a request to the pending ones.
    fn add_pending(&mut self, asked: PendingRequest, reference: u16, is_userdata: bool, context: &mut Context<'_>) {
        let asked = asked.with_sender(context.from, reference, is_userdata);
        self.pending.push(Entry { requested: *context.stamp, asked }, context.sink);
    }
}

impl Dissector for S7comm {
    #[inline]
    fn frame_len(&self, from: Side, bytes: &[u8]) -> FrameLen {
        match iso::frame_len(bytes) {
            FrameLen::Bytes(length) if bytes.get(iso::CONTENT) == Some(&PLUS) => plus_frame_len(from, bytes, length),
            length => length,
        }
    }

    fn may_start(&self, _: Side, bytes: &[u8]) -> bool {
        iso::may_start(bytes)
    }

    fn boundary(&self, _: Side, frame: &[u8]) -> Boundary {
        iso::boundary(frame, header::is_exact)
    }

    fn decode_frame(&mut self, from: Side, frame: &[u8], stamp: &Stamp, sink: &mut dyn Sink) {
        let mut context = Context { from, stamp, sink };
        if !self.decode_fast(frame, &mut context) {
            self.decode_general(frame, &mut context);
        }
    }

    fn interrupt(&mut self, from: Side, sink: &mut dyn Sink) {
        self.stack.interrupt(from, sink);
    }

    fn buffered(&self) -> usize {
        self.stack.buffered()
    }

    fn give_up(&mut self, from: Side, _: &Stamp, sink: &mut dyn Sink) -> bool {
        self.stack.give_up(from, sink)
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
        self.pending.finish(sink);
    }
}
