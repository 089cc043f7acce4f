//! One conversation: its stream, its protocol, the verdict on it.

mod adopt;
mod failure;
mod identify;
mod memory;
mod rare;
mod roles;
mod sight;
mod wrapping;

use std::mem;
use std::sync::Arc;

use lockkeeper_protocols::identify::Roles;
use lockkeeper_protocols::{Protocol, REGISTRY, Search, Session, Side, Stamp, Transport};

use self::identify::ProbeBuffer;
use super::checksums::Senders;
use super::flow_sink::FlowSink;
use super::{Settings, Shared, WorkerState};
use crate::capture::Origin;
use crate::flow::{
    Arrival, Assembly, DuplicateSettings, End, FlowKey, Progress, Reading, ReadingCause, RecentBytes, StreamCounters,
    StreamHandler, StreamSettings, TcpFlow,
};
use crate::frame::{Body, Checksum, Frame, Segment};
use crate::policy::{Carrier, FlowTuple, FlowVerdict, Host, LastValues, Rule, SessionState, Verdict};
use crate::record::{Doubt, Endpoint, Evidence, OwnedValues};
pub(super) use rare::RareState;
pub(super) use sight::Sight;

/// Everything kept about one conversation. Here and in its parts, what every segment needs lies together and first: a few
/// cache lines of a row that has six: a test holds it to them.
#[repr(C)]
pub(super) struct Conversation {
    pub(super) tcp: TcpFlow,
    pub(super) flow: FlowState,
}

/// What is said, and what is thought of it: all of a conversation but its TCP state.
#[repr(C)]
pub(super) struct FlowState {
    content: Content,
    pub(super) facts: FlowFacts,
}

/// What alerts and verdicts need to know about a conversation.
#[repr(C)]
pub(super) struct FlowFacts {
    /// The timer that is set for it, packet clock in nanoseconds; [`NEVER`] for none.
    pub(super) armed: i64,
    pub(super) flow_verdict: Option<Arc<FlowVerdict>>,
    rare: Option<Box<RareState>>,
    pub(super) last_values: LastValues,
    pub(super) carrier: Carrier,
    /// Where the protocol is counted.
    pub(super) slot: u16,
    /// Which ends have sent something.
    seen: [bool; 2],
    pub(super) client: End,
    /// There may be uses of its channel that are to be judged.
    pub(super) use_waits: bool,
    /// What is delivered is kept for a while, to compare it with what is sent again.
    pub(super) compares: bool,
    /// There are other readings of its stream, which go on.
    pub(super) reads_twice: bool,
    pub(super) session: SessionState,
    /// The protocol that is spoken: its row in the registry, or [`NO_ROW`].
    row: u8,
    /// The rule by which the conversation as such was denied.
    denied: Option<Rule>,
    roles: Roles,
    midstream: bool,
    /// Both ends, by [`End`].
    pub(super) ends: [Endpoint; 2],
    /// Packets of each end whose checksums were right, and that were not noted among its senders: at least so many.
    right: [u8; 2],
    /// When the verdict on the conversation is due even if its protocol is not known by then; [`NEVER`] for not at all.
    judge_by: i64,
    /// Its first packet: names the conversation, and stands for it where no other packet does.
    pub(super) first: First,
    /// Packet clock and packet of what was reported last.
    pub(super) latest: (i64, u64),
}

/// The first packet of a conversation: its [`Stamp`] without the clock.
#[derive(Clone, Copy)]
pub(super) struct First {
    time: i64,
    pub(super) packet: u64,
    origin: u64,
}

impl First {
    fn of(&Stamp { time, packet, origin, .. }: &Stamp) -> Self {
        Self { time, packet, origin }
    }

    /// What is noticed at a clock and proved by nothing but the beginning.
    fn at(self, clock: i64) -> Stamp {
        Stamp { time: self.time, clock, packet: self.packet, origin: self.origin }
    }
}

/// An operation whose outcome is pending.
pub(super) struct PendingOperation {
    pub(super) verdict: Verdict,
    /// Its denial was told: its end is, too.
    pub(super) told: bool,
    /// The time in which an answer is expected has passed.
    pub(super) overdue: bool,
    /// Its request is in the capture.
    pub(super) request_seen: bool,
    pub(super) values: OwnedValues,
}

/// What the bytes of a conversation are.
enum Content {
    /// Nothing, so far.
    Silent,
    /// Not known yet.
    Unidentified(Box<ProbeBuffer>),
    /// A protocol of the registry.
    Identified(Session),
    /// Something else, perhaps not for ever: where a protocol is expected, it is looked for.
    Other(Option<Box<Search>>),
}

/// What is known about what a conversation speaks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Identification {
    /// Nothing was said yet.
    Pending,
    /// A protocol of the registry, by name.
    Protocol(&'static str),
    /// Something was said, and it is none of the registry's.
    Unrecognised,
}

impl Conversation {
    /// Begins with its first frame.
    #[inline(never)]
    pub(super) fn new(key: &FlowKey, from: End, frame: &Frame<'_>, stamp: &Stamp) -> Self {
        let mut facts = FlowFacts::new(key, from, frame, stamp);
        facts.meet(from, frame);
        let flow = FlowState { facts, content: Content::Silent };
        Self { tcp: TcpFlow::default(), flow }
    }

    /// One more frame of it, in either direction, by an end that was [met](FlowFacts::meet).
    pub(super) fn frame(
        &mut self,
        from: End,
        frame: &Frame<'_>,
        stamp: &Stamp,
        context: &mut FlowContext<'_>,
    ) -> Progress {
        let Self { tcp, flow } = self;
        let is_dropped = flow.facts.drops(from, frame.checksum, context);
        match &frame.body {
            Body::Tcp(_, segment) => {
                // SYN with FIN or RST opens nothing (RFC 9293, 3.10.7): it is no handshake.
                if segment.flags.syn && !segment.flags.fin && !segment.flags.rst && !is_dropped {
                    flow.facts.handshake(if segment.flags.ack { from.other() } else { from });
                    flow.judge(Identification::Pending, stamp, context.state);
                }
                let duplicate_window = context.copies.window(frame.redundancy);
                let arrival = Arrival { is_doubtful: is_dropped, duplicate_window };
                let taken = context.counters.taken_doubtful;
                let (assembly, state) = context.assembly(flow.facts.compares);
                let progress = tcp.process(from, segment, arrival, stamp, assembly, &mut StreamSink { flow, state });
                if context.counters.taken_doubtful > taken {
                    flow.facts.disprove(from.other(), &mut context.shared.senders);
                }
                return progress;
            }
            Body::Udp(..) if is_dropped => context.state.counters.losses.packets_not_taken += 1,
            Body::Udp(_, datagram) => flow.said(from, datagram.payload, stamp, context.state),
            Body::Ip(..) | Body::Link { .. } => {}
        }
        if flow.facts.flow_verdict.is_none() {
            flow.judge(Identification::Pending, stamp, context.state);
        }
        flow.facts.note_call(from, stamp, context.state);
        if let Some(reason) = frame.undecoded {
            context.state.undecoded(&mut flow.facts, reason, stamp);
        }
        Progress::Ok
    }

    /// Whether a frame that goes another way than this conversation's so far may be a part of it: its numbers are where the
    /// stream is, or its end has sent nothing yet that was captured.
    pub(super) fn fits(&self, from: End, frame: &Frame<'_>) -> bool {
        match &frame.body {
            Body::Tcp(_, segment) => self.tcp.fits(from, segment),
            Body::Udp(..) | Body::Ip(..) | Body::Link { .. } => !self.flow.facts.seen[from.index()],
        }
    }

    /// Whether a segment is the next of its stream, from an end that has sent something already.
    #[inline(always)]
    pub(super) fn expects(&self, from: End, segment: &Segment<'_>) -> bool {
        self.flow.facts.seen[from.index()] && self.tcp.is_expected(from, segment)
    }

    /// The next segment of a stream, with right checksums if they count: one that it [expects](Conversation::expects).
    #[inline(always)]
    pub(super) fn next(
        &mut self,
        from: End,
        segment: &Segment<'_>,
        stamp: &Stamp,
        recent: &mut RecentBytes,
        state: &mut WorkerState,
    ) -> Progress {
        let Self { tcp, flow } = self;
        let right = &mut flow.facts.right[from.index()];
        *right = right.saturating_add(1);
        let recent = if flow.facts.compares { Some(recent) } else { None };
        tcp.process_expected(from, segment, stamp, recent, &mut StreamSink { flow, state })
    }

    /// Whether it may need an earlier timer than it has. What waits for an answer was asked later than what a timer is
    /// set for, so that only disorder can make it need one.
    pub(super) fn may_need_timer(&self) -> bool {
        self.flow.facts.armed == NEVER || self.tcp.deadline().is_some()
    }

    /// Whether more was seen of it than a handshake that was not completed.
    pub(super) fn is_established(&self) -> bool {
        !matches!(self.flow.content, Content::Silent) || self.tcp.is_established()
    }

    /// The earliest packet clock at which [`Conversation::expire`] has something to do.
    pub(super) fn due(&self) -> Option<i64> {
        let flow = &self.flow;
        let session = if let Content::Identified(session) = &flow.content { session.deadline() } else { None };
        // Answers and identification may still come at their deadline; holes are given up at theirs.
        let judged = (flow.facts.judge_by != NEVER).then_some(flow.facts.judge_by);
        let after = [session, judged].into_iter().flatten().map(|deadline| deadline.saturating_add(1));
        after.chain(self.tcp.deadline()).min()
    }

    /// Does what is due at `clock`: gives up holes and answers, judges a conversation whose protocol stays unknown.
    pub(super) fn expire(&mut self, clock: i64, context: &mut FlowContext<'_>) {
        let Self { tcp, flow } = self;
        let (assembly, state) = context.assembly(flow.facts.compares);
        tcp.expire(clock, assembly, &mut StreamSink { flow, state });
        flow.expire(clock, context.state);
    }

    /// The end of it: what is held is let go, what is open is reported.
    pub(super) fn finish(&mut self, clock: i64, context: &mut FlowContext<'_>) {
        let Self { tcp, flow } = self;
        let (assembly, state) = context.assembly(flow.facts.compares);
        tcp.finish(clock, assembly, &mut StreamSink { flow, state });
        flow.finish(clock, context.state);
    }
}

/// What a conversation works with.
pub(super) struct FlowContext<'a> {
    pub(super) state: &'a mut WorkerState,
    pub(super) streams: &'a StreamSettings,
    pub(super) counters: &'a mut StreamCounters,
    pub(super) copies: DuplicateSettings,
    pub(super) shared: &'a mut Shared,
}

impl<'a> FlowContext<'a> {
    pub(super) fn new(
        state: &'a mut WorkerState,
        settings: &'a Settings,
        counters: &'a mut StreamCounters,
        shared: &'a mut Shared,
    ) -> Self {
        Self { state, streams: &settings.streams, counters, copies: settings.copies, shared }
    }

    /// What reassembly works with, and the state.
    fn assembly(&mut self, compares: bool) -> (Assembly<'_>, &mut WorkerState) {
        let recent = if compares { Some(&mut self.shared.recent) } else { None };
        (Assembly { settings: self.streams, counters: self.counters, recent }, self.state)
    }
}

impl FlowFacts {
    fn new(key: &FlowKey, from: End, frame: &Frame<'_>, stamp: &Stamp) -> Self {
        let (carrier, midstream) = match frame.body {
            Body::Tcp(_, segment) => (Carrier::Tcp, !segment.flags.syn || segment.flags.fin),
            Body::Udp(..) => (Carrier::Udp, false),
            Body::Ip(_, other) => (Carrier::Ip(other.protocol), false),
            Body::Link { ether_type, .. } => (Carrier::Ethernet(ether_type), false),
        };
        let end = |end| {
            let (ip, port) = (key.address(end), key.port(end));
            Endpoint { host: Host { ip: Some(ip), mac: None, vlan: None }, port }
        };
        Self {
            first: First::of(stamp),
            armed: NEVER,
            latest: (i64::MIN, 0),
            carrier,
            ends: [end(End::Low), end(End::High)],
            client: roles::guess_client(key, from, carrier, roles::is_to_all(frame)),
            roles: Roles::Guessed,
            midstream,
            use_waits: false,
            compares: true,
            reads_twice: false,
            right: [0; 2],
            seen: [false; 2],
            judge_by: if midstream { stamp.clock.saturating_add(JUDGE_AFTER) } else { NEVER },
            flow_verdict: None,
            denied: None,
            row: NO_ROW,
            slot: u16::MAX,
            last_values: LastValues::default(),
            session: SessionState::default(),
            rare: None,
        }
    }

    /// Whether the receiver of a packet with these checksums drops it.
    fn drops(&mut self, from: End, checksum: Checksum, context: &mut FlowContext<'_>) -> bool {
        let Some(sender) = self.ends[from.index()].host.ip else { return false };
        let right = &mut self.right[from.index()];
        let vouching = if checksum == Checksum::Wrong { mem::take(right) } else { 0 };
        context.shared.senders.drops(sender, checksum, vouching.into())
    }

    /// The packets of an end are taken although their checksums are wrong.
    fn disprove(&self, from: End, senders: &mut Senders) {
        if let Some(sender) = self.ends[from.index()].host.ip {
            senders.disprove(sender);
        }
    }

    /// A SYN says who opened the connection. One that comes after what was said in it, because the tap reordered them,
    /// says nothing new: the roles were taken from the protocol's own shape, and servers may be the ones that dial.
    fn handshake(&mut self, client: End) {
        if self.is_guess() {
            self.client = client;
            self.roles = Roles::Certain;
        }
    }

    /// Which side an end is.
    pub(super) fn side(&self, end: End) -> Side {
        if end == self.client { Side::Client } else { Side::Server }
    }

    /// The end that asks, or the one that answers.
    pub(super) fn endpoint(&self, side: Side) -> &Endpoint {
        let end = if side == Side::Client { self.client } else { self.client.other() };
        &self.ends[end.index()]
    }

    pub(super) fn tuple(&self) -> FlowTuple {
        let (client, server) = (self.endpoint(Side::Client), self.endpoint(Side::Server));
        FlowTuple { client: client.host, server: server.host, transport: self.carrier, server_port: server.port }
    }

    /// What is spoken, once it is known.
    pub(super) fn protocol(&self) -> Option<&'static Protocol> {
        REGISTRY.get(usize::from(self.row)).copied()
    }

    /// The name of what is spoken, such as `modbus`, once it is known.
    pub(super) fn protocol_name(&self) -> Option<&'static str> {
        self.protocol().map(|protocol| protocol.name)
    }

    /// See [`FlowState::judge`].
    #[inline(never)]
    pub(super) fn judge(&mut self, identification: Identification, stamp: &Stamp, state: &mut WorkerState) {
        let facts = self;
        facts.judge_by = NEVER;
        facts.compares = false;
        if !state.judging {
            if facts.flow_verdict.is_none() {
                facts.flow_verdict = Some(state.flow_verdict(&facts.tuple(), facts.protocol_name()));
            }
            return;
        }
        let tuple = facts.tuple();
        if state.policy.is_housekeeping(&tuple) {
            return;
        }
        let first_time = facts.flow_verdict.is_none();
        facts.forget_text();
        let mut flow_verdict = state.flow_verdict(&tuple, facts.protocol_name());
        if flow_verdict.is_to_all(Side::Client) && !flow_verdict.is_to_all(Side::Server) && facts.is_guess() {
            facts.client = facts.client.other();
            flow_verdict = state.flow_verdict(&facts.tuple(), None);
        }
        let verdict = state.of_tunnel(state.verdict(&flow_verdict, identification), &facts.tuple());
        facts.compares = flow_verdict.is_judged();
        facts.flow_verdict = Some(flow_verdict);
        if first_time {
            state.greet(facts, stamp);
        }
        if let Verdict::Deny(denial) = verdict
            && facts.denied != Some(denial.rule)
            && !facts.is_doubtful(&denial)
        {
            facts.denied = Some(denial.rule);
            state.deny(facts, denial, stamp);
        }
    }

    fn transport(&self) -> Transport {
        if self.carrier == Carrier::Udp { Transport::Udp } else { Transport::Tcp }
    }
}

impl FlowState {
    /// Whether it is a stream in which something was said.
    pub(super) fn is_spoken(&self) -> bool {
        self.facts.carrier == Carrier::Tcp && !matches!(self.content, Content::Silent)
    }

    /// Whether only one of its ends was heard.
    pub(super) fn is_one_way(&self) -> bool {
        self.facts.seen != [true, true]
    }

    /// The verdict on the conversation as such: at its handshake, when its protocol is known, or when time is up.
    pub(super) fn judge(&mut self, identification: Identification, stamp: &Stamp, state: &mut WorkerState) {
        self.facts.judge(identification, stamp, state);
    }
}

/// Decoding: from the bytes of one end to what the protocol's decoder makes of them.
impl FlowState {
    /// Whether the next byte of an end begins a frame, as far as is known.
    pub(super) fn is_in_step(&self, from: End) -> bool {
        if let Content::Identified(session) = &self.content { session.is_in_step(self.facts.side(from)) } else { true }
    }

    /// One end said something: the next bytes of its stream, or one datagram.
    #[inline(always)]
    fn said(&mut self, from: End, bytes: &[u8], stamp: &Stamp, state: &mut WorkerState) {
        let Self { facts, content } = self;
        match content {
            Content::Identified(session) if facts.carrier != Carrier::Udp => {
                session.feed_stream(facts.side(from), bytes, stamp, &mut FlowSink { facts, state });
            }
            _ => self.said_otherwise(from, bytes, stamp, state),
        }
    }

    #[cold]
    fn said_otherwise(&mut self, from: End, bytes: &[u8], stamp: &Stamp, state: &mut WorkerState) {
        let Self { facts, content } = self;
        match content {
            Content::Identified(session) => {
                session.feed_datagram(facts.side(from), bytes, stamp, &mut FlowSink { facts, state })
            }
            Content::Silent | Content::Unidentified(_) => self.identify(from, bytes, stamp, state),
            Content::Other(_) => self.said_something_else(from, bytes, stamp, state),
        }
    }

    fn gap(&mut self, from: End, state: &mut WorkerState) {
        if matches!(self.content, Content::Other(_)) {
            return self.miss_something_else(from, state);
        }
        let Self { facts, content } = self;
        match content {
            Content::Identified(session) => session.feed_gap(facts.side(from), &mut FlowSink { facts, state }),
            Content::Unidentified(buffer) => {
                facts.midstream = true;
                state.counters.losses.undecoded_bytes += buffer.forget(from);
            }
            Content::Silent => facts.midstream = true,
            Content::Other(_) => {}
        }
    }

    fn expire(&mut self, clock: i64, state: &mut WorkerState) {
        let due = self.facts.judge_by;
        if due < clock {
            let stamp = self.facts.first.at(due.saturating_add(1));
            self.judge(Identification::Pending, &stamp, state);
        }
        let Self { facts, content } = self;
        if let Content::Identified(session) = content {
            session.expire(clock, &mut FlowSink { facts, state });
        }
    }

    /// Its stream is closed: what was asked long ago is not answered any more.
    pub(super) fn close(&mut self, clock: i64, state: &mut WorkerState) {
        let Self { facts, content } = self;
        if let Content::Identified(session) = content {
            session.close(clock, &mut FlowSink { facts, state });
        }
    }

    fn finish(&mut self, clock: i64, state: &mut WorkerState) {
        let stamp = self.facts.first.at(clock);
        self.conclude_identification(&stamp, state);
        state.counters.count_ended_flow(self.facts.midstream, self.facts.seen != [true, true]);
        let Self { facts, content } = self;
        if let Content::Identified(session) = content {
            session.finish(&mut FlowSink { facts, state });
        }
    }
}

/// Takes what the TCP reassembly delivers.
struct StreamSink<'a> {
    flow: &'a mut FlowState,
    state: &'a mut WorkerState,
}

impl StreamHandler for StreamSink<'_> {
    #[inline(always)]
    fn on_bytes(&mut self, from: End, bytes: &[u8], stamp: &Stamp) {
        self.flow.said(from, bytes, stamp, self.state);
        if self.flow.facts.reads_twice {
            self.flow.read_on(from, bytes, stamp, self.state);
        }
    }

    fn on_gap(&mut self, from: End, _missing: u32, _stamp: &Stamp) {
        self.flow.gap(from, self.state);
        self.flow.read_no_further(from);
    }

    fn on_limit(&mut self, _from: End, stamp: &Stamp) {
        self.state.doubt(&mut self.flow.facts, Doubt::GivenUp, stamp);
    }

    fn on_reading(&mut self, from: End, reading: &Reading<'_>, stamp: &Stamp) {
        let doubt = match reading.cause {
            ReadingCause::Differs { origin } => Some(Doubt::DifferingRepeat(evidence_at(origin))),
            ReadingCause::AfterEnd => Some(Doubt::DataAfterEnd),
            ReadingCause::Unverified | ReadingCause::Stray | ReadingCause::Urgent => None,
        };
        if let Some(doubt) = doubt {
            self.state.doubt(&mut self.flow.facts, doubt, stamp);
        }
        self.flow.read_otherwise(from, reading, stamp, self.state);
    }
}

/// The packet of an origin.
fn evidence_at(origin: u64) -> Evidence {
    let Origin { capture, number } = Origin::of(&Stamp { origin, ..Stamp::default() });
    Evidence { capture, packet: number }
}

/// How long identification may take before the conversation is judged by its port, nanoseconds of packet time.
const JUDGE_AFTER: i64 = 1_000_000_000;

/// The packet clock never gets there.
pub(super) const NEVER: i64 = i64::MAX;

/// No row of the registry.
const NO_ROW: u8 = u8::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::FlowTable;

    #[test]
    fn a_conversation_in_its_table_takes_six_cache_lines_and_a_place_in_the_index() {
        let taken = FlowTable::<Conversation>::entry_size();
        assert!(taken <= 6 * 64 + 10, "{taken} bytes");
    }
}
