//! A complete decoder of an imaginary protocol with one function, to copy from: `README.md` goes through it.
//!
//! ```text
//!  offset  0     1     2          3     4
//!          'L'   kind  sequence   lamp  value (of a request) or status (of an answer, 0 is success)
//! ```
//!
//! Kind 1 is a request to switch a lamp, kind 2 its answer. It is compiled for tests only and is not in the registry.

use alloc::boxed::Box;
use alloc::string::ToString;

use crate::context::Context;
use crate::dissector::{
    AnomalyKind, Dissector, FrameLen, Function, Limits, Outcome, PduGroup, Probe, Protocol, RequestRef, Side, Sink,
    Stamp, Transport,
};
use crate::fault::Fault;
use crate::operation::{Class, Operation, Target, Values};
use crate::pending::{Pending, Waiting};
use crate::reader::{DecodeError, Reader};
use crate::session::Session;
use crate::testing::{Log, at};

const MAGIC: u8 = b'L';
const REQUEST: u8 = 1;
const ANSWER: u8 = 2;
const FRAME: usize = 5;

static SWITCH: Function = Function { name: "switch_lamp", code: 1, class: Class::Write };

/// The row: everything that the other crates need of the protocol.
static LAMPS: Protocol = Protocol {
    name: "lamps",
    framing: "tcp",
    display_name: "Lamps",
    title: "Lamps",
    transports: &[Transport::Tcp],
    ports: &[9_001],
    max_frame: FRAME,
    min_frame: 2,
    probe,
    open: |_, limits| Box::new(Lamps { pending: Pending::new(limits), next: 0 }),
    pdu_groups: &[PduGroup { name: "pdus", key: |kind| kind.to_string() }],
    functions: &[SWITCH],
    techniques: |_| None,
};

/// Judges by structure alone, never by port. The kind also shows which end sent the bytes.
fn probe(_: Transport, bytes: &[u8]) -> Probe {
    match bytes {
        [] | [MAGIC] => Probe::More,
        [MAGIC, REQUEST, ..] if bytes.len() >= FRAME => Probe::Yes { sender: Some(Side::Client) },
        [MAGIC, ANSWER, ..] if bytes.len() >= FRAME => Probe::Yes { sender: Some(Side::Server) },
        [MAGIC, REQUEST | ANSWER, ..] => Probe::More,
        _ => Probe::No,
    }
}

/// The content of a request that its answer needs.
struct PendingRequest {
    at: RequestRef,
    requested: Stamp,
    sequence: u8,
    lamp: u8,
}

impl PendingRequest {
    fn operation<'a>(&self, values: Values<'a>) -> Operation<'a> {
        let target = Target::Item { kind: "lamp", number: u32::from(self.lamp), index: 0 };
        Operation { class: SWITCH.class, function: SWITCH.name, code: SWITCH.code, ambiguous: false, target, values }
    }
}

impl Waiting for PendingRequest {
    fn requested(&self) -> &Stamp {
        &self.requested
    }

    fn report_outcomes(&self, outcome: Outcome, stamp: &Stamp, sink: &mut dyn Sink) {
        sink.outcome(self.at, &self.operation(Values::None), outcome, &self.requested, stamp);
    }
}

/// The decoder of one flow.
struct Lamps {
    pending: Pending<PendingRequest>,
    /// Number of the next request.
    next: u32,
}

impl Lamps {
    fn decode_fields(&mut self, frame: &[u8], context: &mut Context<'_>) -> Result<(), DecodeError> {
        let mut reader = Reader::new(frame);
        let [_, kind, sequence, lamp] = reader.array("header")?;
        context.sink.pdu(0, u32::from(kind));
        match (kind, context.from) {
            (REQUEST, Side::Client) => self.on_request(sequence, lamp, reader.bytes(1, "value")?, context),
            (ANSWER, Side::Server) => self.on_answer(sequence, lamp, reader.u8("status")?, context),
            _ => context.malformed("kind_of_the_other_side", kind),
        }
        Ok(())
    }

    /// Reports the operation at once, before its answer: the verdict is taken here.
    fn on_request(&mut self, sequence: u8, lamp: u8, value: &[u8], context: &mut Context<'_>) {
        let request = PendingRequest { at: self.assign_number(), requested: *context.stamp, sequence, lamp };
        context.sink.operation(request.at, &request.operation(Values::Bytes(value)), context.stamp);
        self.pending.push(request, context.sink);
    }

    fn on_answer(&mut self, sequence: u8, lamp: u8, status: u8, context: &mut Context<'_>) {
        let outcome = match status {
            0 => Outcome::Accepted,
            code => Outcome::Refused { code: u32::from(code), name: "refused" },
        };
        if let Some((request, _)) =
            self.pending.take(|request| request.sequence == sequence, |request| request.lamp == lamp)
        {
            request.report_outcomes(outcome, context.stamp, context.sink);
        } else if outcome == Outcome::Accepted {
            // The device was changed, although the request is not in the capture.
            let request = PendingRequest { at: self.assign_number(), requested: *context.stamp, sequence, lamp };
            context.sink.request_unseen(request.at, &request.operation(Values::None), context.stamp);
        } else {
            context.anomaly(AnomalyKind::Unmatched, "answer_without_request", None);
        }
    }

    const fn assign_number(&mut self) -> RequestRef {
        let at = RequestRef { request: self.next, item: 0 };
        self.next = self.next.wrapping_add(1);
        at
    }
}

impl Dissector for Lamps {
    fn frame_len(&self, _: Side, bytes: &[u8]) -> FrameLen {
        match bytes {
            [MAGIC, REQUEST | ANSWER, ..] => FrameLen::Bytes(FRAME),
            [] | [MAGIC] => FrameLen::Unknown,
            _ => FrameLen::Invalid("magic"),
        }
    }

    fn decode_frame(&mut self, from: Side, frame: &[u8], stamp: &Stamp, sink: &mut dyn Sink) {
        let mut context = Context { from, stamp, sink };
        if let Err(error) = self.decode_fields(frame, &mut context) {
            Fault::from(error).report(false, &mut context);
        }
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

fn decode(pieces: &[(Side, &[u8])]) -> Log {
    let mut log = Log::default();
    let mut session = Session::new(&LAMPS, Transport::Tcp, &Limits::default(), false);
    for (side, bytes) in pieces {
        session.feed_stream(*side, bytes, &at(0), &mut log);
    }
    session.finish(&mut log);
    log
}

/// Whether each line of a log begins as expected.
fn begins(log: &Log, expected: &[&str]) -> bool {
    log.lines.len() == expected.len() && log.lines.iter().zip(expected).all(|(line, start)| line.starts_with(start))
}

#[test]
fn a_request_is_an_operation_and_its_answer_the_outcome() {
    let decoded = decode(&[(Side::Client, b"L\x01\x07\x02\x01"), (Side::Server, b"L\x02\x07\x02\x00")]);
    assert!(begins(&decoded, &["0 asks 0.0 write switch_lamp", "0 accepted 0.0"]), "{:?}", decoded.lines);
}

#[test]
fn a_frame_may_arrive_in_pieces() {
    let whole = decode(&[(Side::Client, b"L\x01\x07\x02\x01")]);
    let pieces = decode(&[(Side::Client, b"L\x01"), (Side::Client, b"\x07\x02"), (Side::Client, b"\x01")]);
    assert_eq!((pieces.lines, pieces.lost), (whole.lines, 0));
}

#[test]
fn an_accepted_answer_without_its_request_is_an_operation_nevertheless() {
    let decoded = decode(&[(Side::Server, b"L\x02\x07\x02\x00")]);
    assert!(begins(&decoded, &["0 unseen 0.0 write switch_lamp"]), "{:?}", decoded.lines);
}

#[test]
fn the_structure_alone_identifies_it() {
    assert_eq!(probe(Transport::Tcp, b"L\x01\x07\x02\x01"), Probe::Yes { sender: Some(Side::Client) });
    assert_eq!(probe(Transport::Tcp, b"L"), Probe::More);
    assert_eq!(probe(Transport::Tcp, b"GET /"), Probe::No);
}
