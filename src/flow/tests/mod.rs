//! Tests that look across the modules of this stage: conversations, and what becomes of them on the way.

use lockkeeper_protocols::Stamp;

use super::*;
use crate::frame::{Segment, TcpFlags};

mod lifecycle;
mod loss;
mod out_of_order;
mod shuffle;
mod tables;

const MICROSECOND: i64 = 1_000;
const MILLISECOND: i64 = 1_000_000;
const SECOND: i64 = 1_000_000_000;
/// A repeat that comes sooner is a copy that the capture has made.
const COPIED_WITHIN: i64 = 5 * MICROSECOND;

/// The end that asks in every conversation here.
const A: End = End::High;
/// The end that answers.
const B: End = End::Low;

const NONE: TcpFlags = TcpFlags { syn: false, ack: false, fin: false, rst: false };
const ACK: TcpFlags = TcpFlags { ack: true, ..NONE };
const SYN: TcpFlags = TcpFlags { syn: true, ..NONE };
const SYN_ACK: TcpFlags = TcpFlags { syn: true, ack: true, ..NONE };
const FIN: TcpFlags = TcpFlags { fin: true, ack: true, ..NONE };
const RST: TcpFlags = TcpFlags { rst: true, ..NONE };

/// A segment with its bytes.
#[derive(Clone, PartialEq, Eq)]
struct Sent {
    from: End,
    sequence: u32,
    acknowledgement: u32,
    flags: TcpFlags,
    bytes: Vec<u8>,
    /// Bytes that a snap length cuts off.
    cut: usize,
    /// Where urgent data end, by the urgent pointer.
    urgent: u16,
    /// Its receiver drops it, as far as its checksum tells.
    is_doubtful: bool,
}

/// One line for each: failing properties print many.
impl std::fmt::Debug for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let TcpFlags { syn, ack, fin, rst } = self.flags;
        let names = [(syn, "SYN "), (ack, "ACK "), (fin, "FIN "), (rst, "RST ")];
        let flags: String = names.iter().filter(|(set, _)| *set).map(|(_, name)| *name).collect();
        let Self { from, sequence, acknowledgement, bytes, .. } = self;
        write!(f, "{from:?} {flags}{sequence}+{} ack {acknowledgement}", bytes.len())
    }
}

impl Sent {
    fn new(from: End, sequence: u32, acknowledgement: u32, flags: TcpFlags, bytes: &[u8]) -> Self {
        Self { from, sequence, acknowledgement, flags, bytes: bytes.to_vec(), cut: 0, urgent: 0, is_doubtful: false }
    }

    fn segment(&self) -> Segment<'_> {
        Segment {
            source_port: 0,
            destination_port: 0,
            sequence: self.sequence,
            acknowledgement: self.acknowledgement,
            flags: self.flags,
            urgent: self.urgent,
            payload: &self.bytes[..self.bytes.len() - self.cut],
            length: u32::try_from(self.bytes.len()).expect("short"),
        }
    }
}

/// Two ends that speak TCP correctly.
#[derive(Clone, Debug)]
struct Conversation {
    next: [u32; 2],
    sent: Vec<Sent>,
}

impl Conversation {
    /// Begins in the middle, with the next sequence numbers of A and B.
    fn midstream(a: u32, b: u32) -> Self {
        let mut next = [0; 2];
        (next[A.index()], next[B.index()]) = (a, b);
        Self { next, sent: Vec::new() }
    }

    /// Begins with a handshake that A opens.
    fn opened(a: u32, b: u32) -> Self {
        let mut conversation = Self::midstream(a, b);
        conversation.send(A, SYN, b"");
        conversation.send(B, SYN_ACK, b"");
        conversation.send(A, ACK, b"");
        conversation
    }

    fn send(&mut self, from: End, flags: TcpFlags, bytes: &[u8]) {
        let ack = if flags.ack { self.next[from.other().index()] } else { 0 };
        self.sent.push(Sent::new(from, self.next[from.index()], ack, flags, bytes));
        let length = u32::try_from(bytes.len()).expect("short") + u32::from(flags.syn) + u32::from(flags.fin);
        self.next[from.index()] = self.next[from.index()].wrapping_add(length);
    }

    /// A asks, B answers.
    fn round(&mut self, request: &[u8], response: &[u8]) {
        self.send(A, ACK, request);
        self.send(B, ACK, response);
    }

    fn close(&mut self) {
        self.send(A, FIN, b"");
        self.send(B, FIN, b"");
        self.send(A, ACK, b"");
    }
}

/// What a receiver was told.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    Bytes(End, Vec<u8>),
    Gap(End, u32),
    /// Another reading with its cause: the bytes around a place, read otherwise.
    Otherwise(End, &'static str, Vec<u8>),
    GivenUp(End),
}

/// Writes down what it is told, bytes of one end joined, and checks that the clock never runs backwards.
#[derive(Clone, Debug, Default)]
struct Recorder {
    told: Vec<Told>,
    stamps: Vec<Stamp>,
    clock: i64,
}

impl Recorder {
    fn note(&mut self, stamp: &Stamp) {
        assert!(stamp.clock >= self.clock, "the clock of deliveries ran backwards");
        self.clock = stamp.clock;
        self.stamps.push(*stamp);
    }
}

impl StreamHandler for Recorder {
    fn on_bytes(&mut self, from: End, bytes: &[u8], stamp: &Stamp) {
        self.note(stamp);
        assert!(!bytes.is_empty());
        match self.told.last_mut() {
            Some(Told::Bytes(end, run)) if *end == from => run.extend_from_slice(bytes),
            _ => self.told.push(Told::Bytes(from, bytes.to_vec())),
        }
    }

    fn on_gap(&mut self, from: End, missing: u32, stamp: &Stamp) {
        self.note(stamp);
        self.told.push(Told::Gap(from, missing));
    }

    fn on_limit(&mut self, from: End, stamp: &Stamp) {
        self.note(stamp);
        self.told.push(Told::GivenUp(from));
    }

    fn on_reading(&mut self, from: End, reading: &Reading<'_>, stamp: &Stamp) {
        self.note(stamp);
        let cause = match reading.cause {
            ReadingCause::Differs { .. } => "differs",
            ReadingCause::Unverified => "unverified",
            ReadingCause::Stray => "stray",
            ReadingCause::AfterEnd => "after end",
            ReadingCause::Urgent => "urgent",
        };
        self.told.push(Told::Otherwise(from, cause, reading.other.to_vec()));
    }
}

/// A flow under test, with its own time.
#[derive(Debug)]
struct Bench {
    flow: TcpFlow,
    settings: StreamSettings,
    counters: StreamCounters,
    recent: RecentBytes,
    recorder: Recorder,
    clock: i64,
    packet: u64,
}

impl Default for Bench {
    fn default() -> Self {
        let settings = StreamSettings::default();
        Self {
            flow: TcpFlow::default(),
            recent: RecentBytes::new(settings.recent_bytes),
            settings,
            counters: StreamCounters::default(),
            recorder: Recorder::default(),
            clock: 0,
            packet: 0,
        }
    }
}

impl Bench {
    /// One segment, 10 microseconds after the last.
    fn feed(&mut self, sent: &Sent) -> Progress {
        self.clock += 10 * MICROSECOND;
        self.feed_now(sent)
    }

    /// One segment at the same moment as the last.
    fn feed_now(&mut self, sent: &Sent) -> Progress {
        self.packet += 1;
        let stamp = Stamp { time: self.clock, clock: self.clock, packet: self.packet, origin: self.packet };
        let Self { flow, settings, counters, recent, recorder, .. } = self;
        let assembly = Assembly { settings, counters, recent: Some(recent) };
        let arrival = Arrival { is_doubtful: sent.is_doubtful, duplicate_window: COPIED_WITHIN };
        flow.process(sent.from, &sent.segment(), arrival, &stamp, assembly, recorder)
    }

    fn feed_all<'s>(&mut self, all: impl IntoIterator<Item = &'s Sent>) -> Progress {
        all.into_iter().fold(Progress::Ok, |_, sent| self.feed(sent))
    }

    fn wait(&mut self, time: i64) {
        self.clock += time;
        let Self { flow, settings, counters, recent, recorder, .. } = self;
        flow.expire(self.clock, Assembly { settings, counters, recent: Some(recent) }, recorder);
    }

    fn finish(&mut self) {
        let Self { flow, settings, counters, recent, recorder, .. } = self;
        flow.finish(self.clock, Assembly { settings, counters, recent: Some(recent) }, recorder);
        assert_eq!((self.flow.held_bytes(), self.flow.deadline()), (0, None));
    }

    /// What the receiver was told since the last call.
    fn told(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.recorder.told)
    }
}

/// What the receiver is told of a whole flow.
fn told_of(sent: &[Sent]) -> Vec<Told> {
    let mut bench = Bench::default();
    for one in sent {
        assert_ne!(bench.feed(one), Progress::Restart);
    }
    bench.finish();
    bench.told()
}

fn bytes(from: End, bytes: &[u8]) -> Told {
    Told::Bytes(from, bytes.to_vec())
}
