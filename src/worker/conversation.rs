//! One conversation: its stream, its protocol, the verdict on it.

mod adopt;
mod failure;
mod wrapping;

use std::sync::Arc;

use lockkeeper_protocols::identify::Roles;
use lockkeeper_protocols::{Decision, Identifier, Keys, Protocol, REGISTRY, Session, Side, Stamp, Transport};

use super::Desk;
use super::awaited::Awaited;
use super::guard::Guard;
use super::listener::Listener;
use crate::alert::{ConversationText, Endpoint, OwnedValues, What};
use crate::flow::{End, FlowKey, Progress, Receiver, StreamCounters, StreamSettings, TcpFlow, server_by_port};
use crate::frame::{Body, Frame, Segment};
use crate::policy::{Carrier, Host, LastValues, Link, Rule, Ruling, SessionState, Verdict};

/// Everything kept about one conversation. Here and in its parts, what every segment needs lies together and first: a few
/// cache lines of a row that has six.
#[repr(C)]
pub(super) struct Conversation {
    pub(super) tcp: TcpFlow,
    pub(super) talk: Talk,
}

/// What is said, and what is thought of it: all of a conversation but its TCP state.
#[repr(C)]
pub(super) struct Talk {
    content: Content,
    pub(super) facts: Facts,
}

/// What alerts and verdicts need to know about a conversation.
#[repr(C)]
pub(super) struct Facts {
    /// The timer that is set for it, packet clock in nanoseconds; [`NEVER`] for none.
    pub(super) armed: i64,
    pub(super) ruling: Option<Arc<Ruling>>,
    seldom: Option<Box<Seldom>>,
    pub(super) last_values: LastValues,
    pub(super) carrier: Carrier,
    /// Where the protocol is counted.
    pub(super) slot: u16,
    /// Which ends have sent something.
    seen: [bool; 2],
    pub(super) client: End,
    /// There may be uses of its channel that are to be judged.
    pub(super) use_waits: bool,
    pub(super) session: SessionState,
    /// The protocol that is spoken: its row in the registry, or [`NO_ROW`].
    row: u8,
    /// The rule by which the conversation as such was denied.
    denied: Option<Rule>,
    roles: Roles,
    midstream: bool,
    /// Both ends, by [`End`].
    pub(super) ends: [Endpoint; 2],
    /// When the verdict on the conversation is due even if its protocol is not known by then; [`NEVER`] for not at all.
    judge_by: i64,
    /// Its first packet: names the conversation, and stands for it where no other packet does.
    pub(super) first: First,
    /// Packet clock and packet of what was reported last.
    pub(super) latest: (i64, u64),
}

/// What most conversations have not, unless every transaction is written down: one word then.
#[derive(Default)]
pub(super) struct Seldom {
    /// What is known about how it is protected.
    pub(super) guard: Option<Guard>,
    /// Operations whose end somebody waits for.
    pub(super) open: Awaited,
    pub(super) text: Option<Box<ConversationText>>,
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

/// An operation whose end somebody waits for.
pub(super) struct Open {
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
    Silence,
    /// Not known yet.
    Opening(Box<Opening>),
    /// A protocol of the registry.
    Speaks(Session),
    /// Something else.
    Other,
}

/// What is known about what a conversation speaks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Spoken {
    /// Nothing was said yet.
    NotYet,
    /// A protocol of the registry, by name.
    Protocol(&'static str),
    /// Something was said, and it is none of the registry's.
    Unrecognised,
}

/// The first bytes of a conversation, until its protocol is known.
#[derive(Default)]
struct Opening {
    /// First bytes of each end, by [`End`].
    first: [Vec<u8>; 2],
    /// In what order they came: who, how many bytes, when.
    pieces: Vec<(End, usize, Stamp)>,
}

impl Conversation {
    /// Begins with its first frame.
    #[inline(never)]
    pub(super) fn new(key: &FlowKey, from: End, frame: &Frame<'_>, stamp: &Stamp) -> Self {
        let talk = Talk { facts: Facts::new(key, from, frame, stamp), content: Content::Silence };
        Self { tcp: TcpFlow::default(), talk }
    }

    /// One more frame of it, in either direction.
    pub(super) fn frame(&mut self, from: End, frame: &Frame<'_>, stamp: &Stamp, bench: &mut Bench<'_>) -> Progress {
        let Self { tcp, talk } = self;
        talk.facts.meet(from, frame);
        match &frame.body {
            Body::Tcp(_, segment) => {
                // SYN with FIN or RST opens nothing (RFC 9293, 3.10.7): it is no handshake.
                if segment.flags.syn && !segment.flags.fin && !segment.flags.rst {
                    talk.facts.handshake(if segment.flags.ack { from.other() } else { from });
                    talk.judge(Spoken::NotYet, stamp, bench.desk);
                }
                let mut intake = Intake { talk, desk: bench.desk };
                return tcp.segment(from, segment, stamp, bench.streams, bench.counters, &mut intake);
            }
            Body::Udp(_, datagram) => talk.said(from, datagram.payload, stamp, bench.desk),
            Body::Ip(..) | Body::Link { .. } => {}
        }
        if talk.facts.ruling.is_none() {
            talk.judge(Spoken::NotYet, stamp, bench.desk);
        }
        if let Some(reason) = frame.undecoded {
            bench.desk.undecoded(&mut talk.facts, reason, stamp);
        }
        Progress::Ok
    }

    /// Whether a segment is the next of its stream, from an end that has sent something already.
    #[inline(always)]
    pub(super) fn expects(&self, from: End, segment: &Segment<'_>) -> bool {
        self.talk.facts.seen[from.index()] && self.tcp.is_expected(from, segment)
    }

    /// The next segment of a stream: one that it [expects](Conversation::expects).
    #[inline(always)]
    pub(super) fn next(
        &mut self,
        from: End,
        segment: &Segment<'_>,
        stamp: &Stamp,
        settings: &StreamSettings,
        desk: &mut Desk,
    ) -> Progress {
        let Self { tcp, talk } = self;
        tcp.expected(from, segment, stamp, settings, &mut Intake { talk, desk })
    }

    /// Whether it may need an earlier timer than it has. What waits for an answer was asked later than what a timer is
    /// set for, so that only disorder can make it need one.
    pub(super) fn may_need_timer(&self) -> bool {
        self.talk.facts.armed == NEVER || self.tcp.deadline().is_some()
    }

    /// Whether more was seen of it than a handshake that was not completed.
    pub(super) fn is_established(&self) -> bool {
        !matches!(self.talk.content, Content::Silence) || self.tcp.established()
    }

    /// The earliest packet clock at which [`Conversation::expire`] has something to do.
    pub(super) fn due(&self) -> Option<i64> {
        let talk = &self.talk;
        let session = if let Content::Speaks(session) = &talk.content { session.deadline() } else { None };
        // Answers and identification may still come at their deadline; holes are given up at theirs.
        let judged = (talk.facts.judge_by != NEVER).then_some(talk.facts.judge_by);
        let after = [session, judged].into_iter().flatten().map(|deadline| deadline.saturating_add(1));
        after.chain(self.tcp.deadline()).min()
    }

    /// Does what is due at `clock`: gives up holes and answers, judges a conversation whose protocol stays unknown.
    pub(super) fn expire(&mut self, clock: i64, bench: &mut Bench<'_>) {
        let Self { tcp, talk } = self;
        tcp.expire(clock, bench.streams, bench.counters, &mut Intake { talk, desk: bench.desk });
        talk.expire(clock, bench.desk);
    }

    /// The end of it: what is held is let go, what is open is reported.
    pub(super) fn finish(&mut self, clock: i64, bench: &mut Bench<'_>) {
        let Self { tcp, talk } = self;
        tcp.finish(clock, bench.streams, bench.counters, &mut Intake { talk, desk: bench.desk });
        talk.finish(clock, bench.desk);
    }
}

/// What a conversation works with.
pub(super) struct Bench<'a> {
    pub(super) desk: &'a mut Desk,
    pub(super) streams: &'a StreamSettings,
    pub(super) counters: &'a mut StreamCounters,
}

impl Facts {
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
            client: guess_client(key, from, carrier),
            roles: Roles::Guessed,
            midstream,
            use_waits: false,
            seen: [false; 2],
            judge_by: if midstream { stamp.clock.saturating_add(JUDGE_AFTER) } else { NEVER },
            ruling: None,
            denied: None,
            row: NO_ROW,
            slot: u16::MAX,
            last_values: LastValues::default(),
            session: SessionState::default(),
            seldom: None,
        }
    }

    /// Notes what the link layer says about an end that sends its first frame.
    fn meet(&mut self, from: End, frame: &Frame<'_>) {
        if !self.seen[from.index()] {
            self.seen[from.index()] = true;
            let host = &mut self.ends[from.index()].host;
            host.vlan = frame.vlan;
            host.mac = frame.mac.map(|macs| macs.source);
            let other = &mut self.ends[from.other().index()].host;
            other.vlan = other.vlan.or(frame.vlan);
            other.mac = other.mac.or(frame.mac.map(|macs| macs.destination));
        }
    }

    /// A SYN says who opened the connection. One that comes after what was said in it, because the tap reordered them,
    /// says nothing new: the roles were taken from the protocol's own shape, and servers may be the ones that dial.
    fn handshake(&mut self, client: End) {
        if self.roles == Roles::Guessed && self.row == NO_ROW {
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

    fn link(&self) -> Link {
        let (client, server) = (self.endpoint(Side::Client), self.endpoint(Side::Server));
        Link { client: client.host, server: server.host, transport: self.carrier, server_port: server.port }
    }

    /// The name of what is spoken, such as `modbus`, once it is known.
    pub(super) fn protocol_name(&self) -> Option<&'static str> {
        REGISTRY.get(usize::from(self.row)).map(|protocol| protocol.name)
    }

    /// What it has of what most have not.
    #[inline]
    pub(super) fn seldom(&self) -> Option<&Seldom> {
        self.seldom.as_deref()
    }

    /// The same, to be changed.
    #[inline]
    pub(super) fn seldom_mut(&mut self) -> Option<&mut Seldom> {
        self.seldom.as_deref_mut()
    }

    /// The same, made where there is none.
    pub(super) fn make_seldom(&mut self) -> &mut Seldom {
        self.seldom.get_or_insert_default()
    }

    pub(super) fn make_guard(&mut self) -> &mut Guard {
        self.make_seldom().guard.get_or_insert_default()
    }

    /// Its ends or what it speaks have changed.
    fn forget_text(&mut self) {
        if let Some(seldom) = &mut self.seldom {
            seldom.text = None;
        }
    }

    fn transport(&self) -> Transport {
        if self.carrier == Carrier::Udp { Transport::Udp } else { Transport::Tcp }
    }
}

impl Talk {
    /// Whether it is a stream in which something was said.
    pub(super) fn is_spoken(&self) -> bool {
        self.facts.carrier == Carrier::Tcp && !matches!(self.content, Content::Silence)
    }

    /// Whether only one of its ends was heard.
    pub(super) fn is_one_way(&self) -> bool {
        self.facts.seen != [true, true]
    }

    /// The verdict on the conversation as such: at its handshake, when its protocol is known, or when time is up.
    #[inline(never)]
    pub(super) fn judge(&mut self, spoken: Spoken, stamp: &Stamp, desk: &mut Desk) {
        let facts = &mut self.facts;
        facts.judge_by = NEVER;
        if !desk.judging {
            if facts.ruling.is_none() {
                facts.ruling = Some(desk.ruling(&facts.link(), facts.protocol_name()));
            }
            return;
        }
        let link = facts.link();
        if desk.policy.is_housekeeping(&link) {
            return;
        }
        let first_time = facts.ruling.is_none();
        facts.forget_text();
        let ruling = desk.ruling(&link, facts.protocol_name());
        let verdict = match spoken {
            Spoken::NotYet => desk.policy.judge_flow(&ruling, None),
            Spoken::Protocol(name) => desk.policy.judge_flow(&ruling, Some(name)),
            Spoken::Unrecognised => desk.policy.judge_unrecognised(&ruling),
        };
        let verdict = desk.of_tunnel(verdict, &link);
        facts.ruling = Some(ruling);
        if first_time {
            desk.greet(facts, stamp);
        }
        if let Verdict::Deny(denial) = verdict
            && facts.denied != Some(denial.rule)
            && !facts.is_doubtful(&denial)
        {
            facts.denied = Some(denial.rule);
            desk.find(facts, What::Denied(denial), None, None, stamp);
        }
    }
}

/// Decoding: from the bytes of one end to what the protocol's decoder makes of them.
impl Talk {
    /// One end said something: the next bytes of its stream, or one datagram.
    #[inline(always)]
    fn said(&mut self, from: End, bytes: &[u8], stamp: &Stamp, desk: &mut Desk) {
        let Self { facts, content } = self;
        match content {
            Content::Speaks(session) if facts.carrier != Carrier::Udp => {
                session.stream(facts.side(from), bytes, stamp, &mut Listener { facts, desk });
            }
            _ => self.said_otherwise(from, bytes, stamp, desk),
        }
    }

    #[cold]
    fn said_otherwise(&mut self, from: End, bytes: &[u8], stamp: &Stamp, desk: &mut Desk) {
        let Self { facts, content } = self;
        match content {
            Content::Speaks(session) => session.datagram(facts.side(from), bytes, stamp, &mut Listener { facts, desk }),
            Content::Silence | Content::Opening(_) => self.identify(from, bytes, stamp, desk),
            Content::Other => desk.counters.losses.other_protocol_bytes += bytes.len() as u64,
        }
    }

    fn gap(&mut self, from: End, desk: &mut Desk) {
        let Self { facts, content } = self;
        match content {
            Content::Speaks(session) => session.gap(facts.side(from), &mut Listener { facts, desk }),
            Content::Opening(opening) => {
                facts.midstream = true;
                desk.counters.losses.undecoded_bytes += opening.forget(from);
            }
            Content::Silence => facts.midstream = true,
            Content::Other => {}
        }
    }

    /// Looks at the first bytes of a conversation until they tell which protocol it is, or that it is none of ours.
    #[inline(never)]
    fn identify(&mut self, from: End, bytes: &[u8], stamp: &Stamp, desk: &mut Desk) {
        if bytes.is_empty() {
            return;
        }
        if matches!(self.content, Content::Silence) {
            self.content = Content::Opening(Box::default());
        }
        let Content::Opening(opening) = &mut self.content else { return };
        let facts = &mut self.facts;
        if facts.judge_by == NEVER {
            facts.judge_by = stamp.clock.saturating_add(JUDGE_AFTER);
        }
        opening.add(from, bytes, stamp);
        let exhausted = opening.is_full();
        self.decide(exhausted, stamp, desk);
    }

    /// Takes what is known of the first bytes for what it is. `exhausted`: more will not be looked at.
    fn decide(&mut self, exhausted: bool, stamp: &Stamp, desk: &mut Desk) {
        let Content::Opening(opening) = &self.content else { return };
        let facts = &mut self.facts;
        match facts.identifier().decide(REGISTRY, opening.sides(facts.client), exhausted) {
            Decision::Undecided => {}
            Decision::Unknown => self.is_another_protocol(stamp, desk),
            Decision::Speaks { protocol, swapped } => {
                if swapped {
                    facts.client = facts.client.other();
                }
                facts.row = row_of(protocol);
                // From now on answers are waited for, perhaps less long than the timer that is set.
                facts.armed = NEVER;
                facts.slot = desk.counters.slot(protocol);
                let mut session = Session::new(protocol, facts.transport(), &desk.decoder, facts.midstream);
                let keys: Arc<dyn Keys> = Arc::clone(&desk.ring) as _;
                session.unlock(&keys);
                let before = std::mem::replace(&mut self.content, Content::Speaks(session));
                self.judge(Spoken::Protocol(protocol.name), stamp, desk);
                if let Content::Opening(opening) = before {
                    self.replay(&opening, desk);
                }
            }
        }
    }

    /// Gives the decoder the bytes that were kept while the protocol was not known.
    fn replay(&mut self, opening: &Opening, desk: &mut Desk) {
        let mut used = [0; 2];
        for &(from, length, ref stamp) in &opening.pieces {
            let start = used[from.index()];
            used[from.index()] = start + length;
            let bytes = opening.first[from.index()].get(start..start + length).unwrap_or_default();
            self.said(from, bytes, stamp, desk);
        }
    }

    fn is_another_protocol(&mut self, stamp: &Stamp, desk: &mut Desk) {
        if let Content::Opening(opening) = std::mem::replace(&mut self.content, Content::Other) {
            desk.counters.losses.other_protocol_bytes += opening.len() as u64;
        }
        self.judge(Spoken::Unrecognised, stamp, desk);
    }

    fn expire(&mut self, clock: i64, desk: &mut Desk) {
        let due = self.facts.judge_by;
        if due < clock {
            let stamp = self.facts.first.at(due.saturating_add(1));
            self.judge(Spoken::NotYet, &stamp, desk);
        }
        let Self { facts, content } = self;
        if let Content::Speaks(session) = content {
            session.expire(clock, &mut Listener { facts, desk });
        }
    }

    /// No more bytes will come: what was said so far has to be enough to tell what it is.
    fn conclude_opening(&mut self, stamp: &Stamp, desk: &mut Desk) {
        match &self.content {
            Content::Opening(opening) if opening.len() > 0 => self.decide(true, stamp, desk),
            Content::Silence | Content::Opening(_) => self.judge(Spoken::NotYet, stamp, desk),
            Content::Speaks(_) | Content::Other => {}
        }
    }

    fn finish(&mut self, clock: i64, desk: &mut Desk) {
        let stamp = self.facts.first.at(clock);
        self.conclude_opening(&stamp, desk);
        desk.counters.ended(self.facts.midstream, self.facts.seen != [true, true]);
        let Self { facts, content } = self;
        if let Content::Speaks(session) = content {
            session.finish(&mut Listener { facts, desk });
        }
    }
}

impl Facts {
    fn identifier(&self) -> Identifier {
        Identifier {
            transport: self.transport(),
            server_port: self.endpoint(Side::Server).port,
            client_port: self.endpoint(Side::Client).port,
            roles: self.roles,
            midstream: self.midstream,
        }
    }
}

impl Opening {
    fn add(&mut self, from: End, bytes: &[u8], stamp: &Stamp) {
        self.first[from.index()].extend_from_slice(bytes);
        self.pieces.push((from, bytes.len(), *stamp));
    }

    /// First bytes of the client and of the server.
    fn sides(&self, client: End) -> [&[u8]; 2] {
        [&self.first[client.index()], &self.first[client.other().index()]]
    }

    fn len(&self) -> usize {
        self.first.iter().map(Vec::len).sum()
    }

    fn is_full(&self) -> bool {
        self.len() >= OPENING_BYTES || self.pieces.len() >= OPENING_PIECES
    }

    /// Drops what an end has sent; returns how many bytes that was.
    fn forget(&mut self, from: End) -> u64 {
        self.pieces.retain(|(end, ..)| *end != from);
        std::mem::take(&mut self.first[from.index()]).len() as u64
    }
}

/// Takes what the TCP reassembly delivers.
struct Intake<'a> {
    talk: &'a mut Talk,
    desk: &'a mut Desk,
}

impl Receiver for Intake<'_> {
    #[inline(always)]
    fn bytes(&mut self, from: End, bytes: &[u8], stamp: &Stamp) {
        self.talk.said(from, bytes, stamp, self.desk);
    }

    fn gap(&mut self, from: End, _missing: u32, _stamp: &Stamp) {
        self.talk.gap(from, self.desk);
    }

    fn conflict(&mut self, _from: End, stamp: &Stamp) {
        let what = What::Malformed { name: "conflicting_overlap", value: None };
        self.desk.malformed(&mut self.talk.facts, what, stamp);
    }
}

fn row_of(protocol: &Protocol) -> u8 {
    let row = REGISTRY.iter().position(|row| std::ptr::eq(*row, protocol));
    row.and_then(|row| u8::try_from(row).ok()).unwrap_or(NO_ROW)
}

/// Before any handshake or payload: the server is the end with the registered or lower port; without ports, the other
/// end than the one that spoke first.
fn guess_client(key: &FlowKey, from: End, carrier: Carrier) -> End {
    let (low, high) = (key.port(End::Low), key.port(End::High));
    if !matches!(carrier, Carrier::Tcp | Carrier::Udp) || low == high {
        return from;
    }
    let registered = |port| REGISTRY.iter().any(|row| row.ports.contains(&port));
    if carrier == Carrier::Udp && !registered(low) && !registered(high) && low.min(high) >= FIRST_UNPRIVILEGED {
        return from;
    }
    server_by_port(low, high, registered).other()
}

/// Payload bytes that are kept while a protocol is being identified. Long enough for three frames of any protocol.
const OPENING_BYTES: usize = 4096;

/// Segments that are looked at before identification is given up.
const OPENING_PIECES: usize = 512;

/// How long identification may take before the conversation is judged by its port, nanoseconds of packet time.
const JUDGE_AFTER: i64 = 1_000_000_000;

/// The packet clock never gets there.
pub(super) const NEVER: i64 = i64::MAX;

/// No row of the registry.
const NO_ROW: u8 = u8::MAX;

/// Ports below this belong to services.
const FIRST_UNPRIVILEGED: u16 = 1024;
