//! Tests across the modules of this stage: whole conversations through reassembly.

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
/// A repeat within this time is a duplicate made by the capture.
const DUPLICATE_WINDOW: i64 = 5 * MICROSECOND;

/// The client in every conversation here.
const A: End = End::High;
/// The server.
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
    /// The urgent pointer.
    urgent: u16,
    /// Its checksum is wrong.
    is_doubtful: bool,
}

/// One line for each segment, because failing properties print many.
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

/// Two ends of a correct TCP connection.
#[derive(Clone, Debug)]
struct Conversation {
    next: [u32; 2],
    sent: Vec<Sent>,
}

impl Conversation {
    /// Starts midstream, at these sequence numbers of A and B.
    fn midstream(a: u32, b: u32) -> Self {
        let mut next = [0; 2];
        (next[A.index()], next[B.index()]) = (a, b);
        Self { next, sent: Vec::new() }
    }

    /// Starts with a handshake that A opens.
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

    /// A sends a request, B an answer.
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

/// An event of a [`StreamHandler`].
#[derive(Clone, Debug, PartialEq, Eq)]
enum Event {
    Bytes(End, Vec<u8>),
    Gap(End, u32),
    /// Another reading, with its cause and its bytes.
    Reading(End, &'static str, Vec<u8>),
    Limit(End),
}

/// Records events, with consecutive bytes of one end joined, and checks that the clock never runs backwards.
#[derive(Clone, Debug, Default)]
struct Recorder {
    events: Vec<Event>,
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
        match self.events.last_mut() {
            Some(Event::Bytes(end, run)) if *end == from => run.extend_from_slice(bytes),
            _ => self.events.push(Event::Bytes(from, bytes.to_vec())),
        }
    }

    fn on_gap(&mut self, from: End, missing: u32, stamp: &Stamp) {
        self.note(stamp);
        self.events.push(Event::Gap(from, missing));
    }

    fn on_limit(&mut self, from: End, stamp: &Stamp) {
        self.note(stamp);
        self.events.push(Event::Limit(from));
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
        self.events.push(Event::Reading(from, cause, reading.other.to_vec()));
    }
}

/// A flow under test, with its own time.
#[derive(Debug)]
struct Fixture {
    flow: TcpFlow,
    settings: StreamSettings,
    counters: StreamCounters,
    recent: RecentBytes,
    recorder: Recorder,
    clock: i64,
    packet: u64,
}

impl Default for Fixture {
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

impl Fixture {
    /// Processes a segment, 10 microseconds after the last one.
    fn feed(&mut self, sent: &Sent) -> Progress {
        self.clock += 10 * MICROSECOND;
        self.feed_now(sent)
    }

    /// Processes a segment at the time of the last one.
    fn feed_now(&mut self, sent: &Sent) -> Progress {
        self.packet += 1;
        let stamp = Stamp { time: self.clock, clock: self.clock, packet: self.packet, origin: self.packet };
        let Self { flow, settings, counters, recent, recorder, .. } = self;
        let assembly = Assembly { settings, counters, recent: Some(recent) };
        let arrival = Arrival { is_doubtful: sent.is_doubtful, duplicate_window: DUPLICATE_WINDOW };
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

    /// The events since the last call.
    fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.recorder.events)
    }
}

/// The events of a whole flow.
fn events_of(sent: &[Sent]) -> Vec<Event> {
    let mut fixture = Fixture::default();
    for one in sent {
        assert_ne!(fixture.feed(one), Progress::Restart);
    }
    fixture.finish();
    fixture.take_events()
}

fn bytes(from: End, bytes: &[u8]) -> Event {
    Event::Bytes(from, bytes.to_vec())
}
