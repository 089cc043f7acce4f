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

/// The row: everything that the other crates know about the protocol.
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

/// Structure only: the port is not asked for. The kind also tells which end sent the bytes.
fn probe(_: Transport, bytes: &[u8]) -> Probe {
    match bytes {
        [] | [MAGIC] => Probe::More,
        [MAGIC, REQUEST, ..] if bytes.len() >= FRAME => Probe::Yes { sender: Some(Side::Client) },
        [MAGIC, ANSWER, ..] if bytes.len() >= FRAME => Probe::Yes { sender: Some(Side::Server) },
        [MAGIC, REQUEST | ANSWER, ..] => Probe::More,
        _ => Probe::No,
    }
}

/// What is kept of a request until its answer.
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

    fn conclude(&self, outcome: Outcome, stamp: &Stamp, sink: &mut dyn Sink) {
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
    fn decode(&mut self, frame: &[u8], context: &mut Context<'_>) -> Result<(), DecodeError> {
        let mut reader = Reader::new(frame);
        let [_, kind, sequence, lamp] = reader.array("header")?;
        context.sink.pdu(0, u32::from(kind));
        match (kind, context.from) {
            (REQUEST, Side::Client) => self.request(sequence, lamp, reader.bytes(1, "value")?, context),
            (ANSWER, Side::Server) => self.answer(sequence, lamp, reader.u8("status")?, context),
            _ => context.malformed("kind_of_the_other_side", kind),
        }
        Ok(())
    }

    /// The verdict is taken here, so the operation is announced before its answer is seen.
    fn request(&mut self, sequence: u8, lamp: u8, value: &[u8], context: &mut Context<'_>) {
        let request = PendingRequest { at: self.number(), requested: *context.stamp, sequence, lamp };
        context.sink.operation(request.at, &request.operation(Values::Bytes(value)), context.stamp);
        self.pending.push(request, context.sink);
    }

    fn answer(&mut self, sequence: u8, lamp: u8, status: u8, context: &mut Context<'_>) {
        let outcome = match status {
            0 => Outcome::Accepted,
            code => Outcome::Refused { code: u32::from(code), name: "refused" },
        };
        if let Some((request, _)) =
            self.pending.take(|request| request.sequence == sequence, |request| request.lamp == lamp)
        {
            request.conclude(outcome, context.stamp, context.sink);
        } else if outcome == Outcome::Accepted {
            // Something was changed, although the request is not in the capture.
            let request = PendingRequest { at: self.number(), requested: *context.stamp, sequence, lamp };
            context.sink.request_unseen(request.at, &request.operation(Values::None), context.stamp);
        } else {
            context.anomaly(AnomalyKind::Unmatched, "answer_without_request", None);
        }
    }

    const fn number(&mut self) -> RequestRef {
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
        if let Err(error) = self.decode(frame, &mut context) {
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

fn log(pieces: &[(Side, &[u8])]) -> Log {
    let mut log = Log::default();
    let mut session = Session::new(&LAMPS, Transport::Tcp, &Limits::default(), false);
    for (side, bytes) in pieces {
        session.feed_stream(*side, bytes, &at(0), &mut log);
    }
    session.finish(&mut log);
    log
}

/// Whether each line that was heard begins as it should.
fn begin(heard: &Log, expected: &[&str]) -> bool {
    heard.lines.len() == expected.len() && heard.lines.iter().zip(expected).all(|(line, start)| line.starts_with(start))
}

#[test]
fn a_request_is_an_operation_and_its_answer_the_outcome() {
    let heard = log(&[(Side::Client, b"L\x01\x07\x02\x01"), (Side::Server, b"L\x02\x07\x02\x00")]);
    assert!(begin(&heard, &["0 asks 0.0 write switch_lamp", "0 accepted 0.0"]), "{:?}", heard.lines);
}

#[test]
fn a_frame_may_arrive_in_pieces() {
    let whole = log(&[(Side::Client, b"L\x01\x07\x02\x01")]);
    let pieces = log(&[(Side::Client, b"L\x01"), (Side::Client, b"\x07\x02"), (Side::Client, b"\x01")]);
    assert_eq!((pieces.lines, pieces.lost), (whole.lines, 0));
}

#[test]
fn an_accepted_answer_without_its_request_is_an_operation_all_the_same() {
    let heard = log(&[(Side::Server, b"L\x02\x07\x02\x00")]);
    assert!(begin(&heard, &["0 unseen 0.0 write switch_lamp"]), "{:?}", heard.lines);
}

#[test]
fn the_structure_alone_identifies_it() {
    assert_eq!(probe(Transport::Tcp, b"L\x01\x07\x02\x01"), Probe::Yes { sender: Some(Side::Client) });
    assert_eq!(probe(Transport::Tcp, b"L"), Probe::More);
    assert_eq!(probe(Transport::Tcp, b"GET /"), Probe::No);
}
