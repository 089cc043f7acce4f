//! One worker: from packet to verdict. It owns its shards and everything in them, and shares nothing.
//!
//! A shard holds the conversations of some host pairs. Shards are dealt to workers; because every table is a shard's
//! own, its limits bite at the same packet whatever the number of workers.

mod channel_security;
mod checksums;
mod conversation;
mod flow_sink;
mod neighbours;
mod pending;
mod reading;
mod sightings;
mod state;
mod timers;
mod unread;

use std::hint::cold_path;
use std::sync::Arc;

use lockkeeper_protocols::{Limits, Stamp};

use crate::capture::{Block, Origin, Packet, Secrets};
use crate::flow::{
    BriefKey, DuplicateFilter, DuplicateSettings, End, Entry, FlowKey, FlowTable, Lifetime, Progress, RecentBytes,
    StreamCounters, StreamSettings, TableSettings, Used,
};
use crate::frame::{self, Body, Frame, PlainSegment};
use crate::keys::{KeyCounters, KeyLog, SECRETS_OF_OPC_UA};
use crate::metrics::{Counters, FailedConnections};
use crate::policy::Policy;
use crate::record::{Captures, Doubt, Evidence, Report};
pub use checksums::Checksums;
use checksums::Senders;
use conversation::{Conversation, FlowContext, NEVER, Sight};
use neighbours::Neighbours;
use sightings::Sightings;
use state::WorkerState;
use timers::{Timer, Timers};

/// How many shards the traffic is divided into. Fixed, so that results do not depend on the number of workers.
pub const SHARDS: usize = 64;

/// What a worker runs on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bounds and timeouts of the conversation table of one shard.
    pub table: TableSettings,
    /// Reordering and reassembly.
    pub streams: StreamSettings,
    /// Recognition of mirrored copies.
    pub copies: DuplicateSettings,
    /// What is made of checksums.
    pub checksums: Checksums,
    /// Bounds of the decoders.
    pub decoder: Limits,
    /// Whether every transaction is written down.
    pub transactions: bool,
    /// Bytes that the conversations of one shard may hold together: what is out of order or incomplete, requests without an
    /// answer, subscriptions.
    pub memory: usize,
    /// Hosts without IP that one shard lists, and pairs of them that it remembers: 50 bytes each.
    pub neighbours: usize,
    /// Keys for encrypted channels that are known from the start.
    pub keys: Arc<KeyLog>,
}

/// One packet of a block, dealt to a shard.
#[derive(Clone, Copy, Debug)]
pub struct Item {
    /// Index by which [`Block::packet`] knows it.
    pub packet: u32,
    /// Which shard (0..[`SHARDS`]) its host pair belongs to.
    pub shard: u8,
    /// What of the packet is to be judged.
    pub subject: Subject,
}

/// What of a packet is to be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// What it carries in the end.
    Content,
    /// The same, put together of fragments that contradict each other.
    Ambiguous,
    /// What it is wrapped in: the wrapping with so many others around it.
    Wrapping(u8),
    /// That it is a fragment which no datagram can be made of.
    Fragment,
}

/// Conversations that are followed at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// All of them.
    pub flows: u64,
    /// TCP conversations in which something was said.
    pub spoken: u64,
    /// Those of them of which only one end was heard.
    pub one_way: u64,
}

/// One worker.
pub struct Worker {
    state: WorkerState,
    shards: Vec<Shard>,
    timers: Timers,
    streams: StreamCounters,
    settings: Settings,
    /// Before this packet clock, no conversation of any shard has been silent for too long. The least there is while that is
    /// not known.
    quiet_until: i64,
    /// Where each shard lies in `shards`: shard `s` lives on worker `s % workers`, and a division takes longer than a look.
    places: [u8; SHARDS],
    /// Counts what all workers see alike.
    is_first: bool,
}

/// One shard: the conversations of some host pairs.
#[repr(C, align(64))]
struct Shard {
    flows: FlowTable<Conversation>,
    shared: Shared,
    copies: DuplicateFilter,
    neighbours: Neighbours,
    sightings: Sightings,
}

/// What the conversations of a shard share.
struct Shared {
    recent: RecentBytes,
    senders: Senders,
    /// Connections that came to nothing.
    failed: FailedConnections,
    /// What the conversations take of memory, bytes, as far as it was noted.
    memory: usize,
}

impl Worker {
    /// Makes worker `index` of `workers`.
    pub fn new(index: usize, workers: usize, settings: Settings, policy: Arc<Policy>, captures: Arc<Captures>) -> Self {
        let shards = (index..SHARDS).step_by(workers).map(|_| Shard::new(&settings)).collect();
        let state = WorkerState::new(policy, captures, settings.decoder, settings.transactions);
        state.ring.add(&settings.keys);
        let (timers, streams) = (Timers::default(), StreamCounters::default());
        let places = std::array::from_fn(|shard| (shard / workers) as u8);
        let quiet_until = i64::MIN;
        Self { state, shards, timers, streams, settings, quiet_until, places, is_first: index == 0 }
    }

    /// Judges the packets of a block that belong to this worker, between [`Worker::open`] and what it returns: what it
    /// found. `clock`: the packet clock at the end of the block, for the timeouts of conversations that are silent. After
    /// the `last` block, what is still open is reported as open.
    pub fn block(&mut self, block: &Block, items: &[Item], clock: i64, last: bool) -> Report {
        let mut rest = items;
        for secrets in &block.secrets {
            let (earlier, later) = rest.split_at(rest.partition_point(|item| item.packet < secrets.before));
            self.items(block, earlier);
            self.unlock(secrets);
            rest = later;
        }
        self.items(block, rest);
        self.close(clock, last)
    }

    fn items(&mut self, block: &Block, items: &[Item]) {
        for item in items {
            self.item(block, *item);
        }
    }

    /// Begins a block: what is found in it goes into `report`. Then come its packets with [`Worker::block`], or one by one
    /// and [`Worker::close`].
    pub fn open(&mut self, report: Report) {
        self.state.open(report);
    }

    /// Ends a block: see [`Worker::block`].
    pub fn close(&mut self, clock: i64, last: bool) -> Report {
        self.tick(clock);
        if last {
            self.finish(clock);
        }
        self.state.close()
    }

    /// Takes the keys of a capture, for the packets that follow. Every worker needs them, and one counts.
    pub fn unlock(&mut self, secrets: &Secrets) {
        if secrets.kind != SECRETS_OF_OPC_UA {
            return;
        }
        match KeyLog::parse(&secrets.bytes) {
            Ok(log) => self.state.ring.add(&log),
            Err(_) => self.state.counters.losses.secrets_not_understood += u64::from(self.is_first),
        }
    }

    /// Judges one packet of a block, or something about it.
    #[inline]
    pub fn item(&mut self, block: &Block, item: Item) {
        let Some(packet) = block.packet(item.packet as usize) else { return };
        let bytes = block.bytes_of(packet);
        match item.subject {
            Subject::Content => self.packet(packet, bytes, item.shard),
            Subject::Ambiguous => self.ambiguous(packet, bytes, item.shard),
            Subject::Wrapping(depth) => self.wrapping(packet, bytes, depth),
            Subject::Fragment => self.fragment(packet, bytes, item.shard),
        }
    }

    /// A fragment that no datagram can be made of is traffic between its two hosts.
    #[cold]
    fn fragment(&mut self, packet: &Packet, bytes: &[u8], shard: u8) {
        if let Some(frame) = frame::fragment(packet.link, bytes, packet.original) {
            self.frame(&frame, packet, self.index_of(shard), false);
        }
    }

    /// Judges one packet of a block, dealt to a shard.
    pub fn packet(&mut self, packet: &Packet, bytes: &[u8], shard: u8) {
        match frame::plain_segment(packet.link, bytes, packet.original) {
            Some(plain) => self.plain(&plain, packet, bytes, shard),
            None => self.any(packet, bytes, self.index_of(shard), false),
        }
    }

    /// Judges one packet that was put together of fragments that contradict each other.
    #[inline(never)]
    fn ambiguous(&mut self, packet: &Packet, bytes: &[u8], shard: u8) {
        self.any(packet, bytes, self.index_of(shard), true);
    }

    /// Judges one packet that was seen to be a plain segment.
    #[inline(always)]
    pub fn plain(&mut self, plain: &PlainSegment<'_>, packet: &Packet, bytes: &[u8], shard: u8) {
        let index = self.index_of(shard);
        if !self.segment(plain, packet, bytes, index) {
            cold_path();
            self.any(packet, bytes, index, false);
        }
    }

    /// Where a shard of this worker lies.
    #[inline(always)]
    fn index_of(&self, shard: u8) -> usize {
        usize::from(self.places[usize::from(shard) % SHARDS])
    }

    fn finish(&mut self, clock: i64) {
        let Self { state, shards, streams: counters, settings, .. } = self;
        state.last_call(clock);
        for Shard { flows, shared, .. } in shards {
            let context = &mut FlowContext::new(state, settings, counters, shared);
            for mut gone in flows.drain(clock) {
                gone.value.end(clock, context);
            }
        }
    }

    /// What this worker has counted so far.
    pub fn counters(&self) -> Counters {
        let mut counters = self.state.counters.clone();
        for shard in &self.shards {
            counters.add_table(shard.flows.counters());
            counters.add_duplicates(shard.copies.counters());
            shard.shared.senders.not_believed(&mut counters.not_believed);
            counters.failed.add(&shard.shared.failed);
        }
        let keys = self.state.ring.counters();
        // Every worker has the same keys.
        let not_kept = if self.is_first { keys.not_kept } else { 0 };
        counters.add_keys(&KeyCounters { not_kept, ..keys });
        counters.add_streams(&self.streams);
        counters
    }

    /// What conversations it follows now. Looks at each of them.
    pub fn follows(&mut self) -> Followed {
        let mut followed = Followed::default();
        for conversation in self.shards.iter_mut().flat_map(|shard| shard.flows.values_mut()) {
            followed.flows += 1;
            followed.spoken += u64::from(conversation.flow.is_spoken());
            followed.one_way += u64::from(conversation.flow.is_spoken() && conversation.flow.is_one_way());
        }
        followed
    }

    /// How many conversations it follows now.
    pub fn open_flows(&self) -> u64 {
        self.shards.iter().map(|shard| shard.flows.len() as u64).sum()
    }

    /// A plain segment of a known conversation that is the next of its stream, which is what nearly all packets are.
    /// `false`: it is not one, and nothing was done.
    #[inline(always)]
    fn segment(&mut self, plain: &PlainSegment<'_>, packet: &Packet, bytes: &[u8], index: usize) -> bool {
        let Some(shard) = self.shards.get_mut(index) else { return false };
        let (key, from) = BriefKey::of(plain);
        let Some(Used { slot, value: conversation, is_due }) = shard.flows.find(key, packet.stamp.clock) else {
            return false;
        };
        let segment = plain.segment();
        if !conversation.expects(from, &segment) {
            return false;
        }
        if self.state.watches_hardware && !conversation.is_from(from, bytes) {
            return false;
        }
        if shard.shared.senders.verifies() && !plain.has_right_checksums() {
            return false;
        }
        let progress = conversation.next(from, &segment, &packet.stamp, &mut shard.shared.recent, &mut self.state);
        if is_due || conversation.may_need_timer() || progress == Progress::Closed {
            cold_path();
            if is_due {
                shard.flows.list_again(slot);
            }
            let entry = shard.flows.entry(slot);
            self.has_news(index, entry, progress, &packet.stamp);
        }
        if self.state.took_memory {
            cold_path();
            let Some(shard) = self.shards.get(index) else { return true };
            self.note_memory(index, shard.flows.entry(slot), &packet.stamp);
        }
        true
    }

    /// A conversation may need a timer, or ages otherwise now.
    #[inline(never)]
    fn has_news(&mut self, index: usize, entry: Entry, progress: Progress, stamp: &Stamp) {
        let Some(shard) = self.shards.get_mut(index) else { return };
        let Some((_, conversation)) = shard.flows.get_mut(entry) else { return };
        if progress == Progress::Closed {
            conversation.flow.close(stamp.clock, &mut self.state);
        }
        if conversation.may_need_timer() {
            arm(&mut self.timers, conversation, index, entry);
        }
        if shard.grow_older(entry, progress) {
            self.quiet_until = i64::MIN;
        }
    }

    /// Any packet.
    #[inline(never)]
    fn any(&mut self, packet: &Packet, bytes: &[u8], index: usize, is_ambiguous: bool) {
        let clock = packet.stamp.clock;
        let frame = match frame::decode(packet.link, bytes, packet.original) {
            Ok(frame) => frame,
            Err(reason) => return self.state.unread(unread::of_refused(reason), clock),
        };
        if frame.cut > 0 || frame.undecoded.is_some() {
            self.state.not_all_read(&frame, clock);
        }
        let copies = self.shards.get_mut(index).map(|shard| &mut shard.copies);
        match copies.map(|copies| copies.detect(&frame, clock)) {
            Some(false) => self.frame(&frame, packet, index, is_ambiguous),
            // The same words from other hardware: a router, or somebody in between.
            Some(true) => self.sight(index, &frame, &packet.stamp),
            None => {}
        }
    }

    /// One frame that is no copy.
    fn frame(&mut self, frame: &Frame<'_>, packet: &Packet, index: usize, is_ambiguous: bool) {
        let stamp = &packet.stamp;
        match FlowKey::of(frame) {
            Some((key, from)) if !is_neighbour_discovery(frame) => {
                self.converse(index, (&key, from), frame, stamp, is_ambiguous)
            }
            _ => {
                self.sight(index, frame, stamp);
                self.neighbour(index, frame, stamp);
            }
        }
    }

    /// One frame of a conversation: found or begun, then heard.
    fn converse(
        &mut self,
        index: usize,
        (key, from): (&FlowKey, End),
        frame: &Frame<'_>,
        stamp: &Stamp,
        is_ambiguous: bool,
    ) {
        let Self { state, shards, streams: counters, settings, .. } = self;
        let Some(Shard { flows, shared, .. }) = shards.get_mut(index) else { return };
        let context = &mut FlowContext::new(state, settings, counters, shared);
        let lifetime = match frame.body {
            Body::Tcp(_, segment) if segment.flags.syn => Lifetime::Opening,
            Body::Tcp(..) => Lifetime::Stream,
            _ => Lifetime::Datagram,
        };
        let fits = |conversation: &Conversation| conversation.fits(from, frame);
        let make = || Conversation::new(key, from, frame, stamp);
        let found = flows.get_or_insert_with(key, stamp.clock, lifetime, fits, make);
        if let Some(mut gone) = found.gone {
            gone.value.end(stamp.clock, context);
        }
        if found.fresh {
            self.quiet_until = i64::MIN;
        }
        let (entry, conversation) = (found.entry, found.value);
        let mut sight = Sight::BEGIN;
        if !found.fresh {
            sight = conversation.flow.facts.meet(from, frame);
            conversation.flow.takes_note(sight, stamp, context.state);
        }
        let mut progress = conversation.frame(from, frame, stamp, context);
        if progress == Progress::Restart {
            // A new handshake on the same ports: what was is over.
            let mut over = std::mem::replace(conversation, Conversation::new(key, from, frame, stamp));
            over.end(stamp.clock, context);
            progress = conversation.frame(from, frame, stamp, context);
        }
        if is_ambiguous {
            context.state.doubt(&mut conversation.flow.facts, Doubt::OverlappingFragments, stamp);
        }
        let holds = conversation.holds_memory() || context.state.took_memory;
        self.has_news(index, entry, progress, stamp);
        if holds {
            self.note_memory(index, entry, stamp);
        }
        if sight.is_first || sight.has_moved {
            self.sight(index, frame, stamp);
        }
    }

    /// Does what has become due by `clock`, in the order in which it became due.
    fn tick(&mut self, clock: i64) {
        let Self { state, shards, timers, streams: counters, settings, .. } = self;
        while let Some(timer) = timers.take_due(clock) {
            let index = timer.shard as usize;
            let Some(Shard { flows, shared, .. }) = shards.get_mut(index) else { continue };
            let context = &mut FlowContext::new(state, settings, counters, shared);
            let Some((_, conversation)) = flows.get_mut(timer.flow) else { continue };
            if conversation.flow.facts.armed == timer.due {
                conversation.flow.facts.armed = NEVER;
                conversation.expire(clock, context);
                arm(timers, conversation, index, timer.flow);
            }
        }
        // Not asked of every shard at every block: each lies in memory that nobody has looked at for a while.
        if clock >= self.quiet_until {
            for Shard { flows, shared, .. } in shards.iter_mut() {
                let context = &mut FlowContext::new(state, settings, counters, shared);
                flows.reap(clock, REAPED_AT_ONCE, |mut gone| gone.value.end(clock, context));
            }
            self.quiet_until = shards.iter().map(|shard| shard.flows.quiet_until()).min().unwrap_or(i64::MAX);
        }
    }
}

/// IPv6 hosts of one link that look for each other.
fn is_neighbour_discovery(frame: &Frame<'_>) -> bool {
    matches!(frame.body, Body::Ip(_, other) if other.neighbour_discovery)
}

/// Sets the timer of a conversation if it needs an earlier one than it has.
#[inline(never)]
fn arm(timers: &mut Timers, conversation: &mut Conversation, shard: usize, flow: Entry) {
    if let Some(due) = conversation.due()
        && due < conversation.flow.facts.armed
    {
        conversation.flow.facts.armed = due;
        timers.set(Timer { due, shard: shard as u32, flow });
    }
}

/// Which packet a stamp speaks of.
pub(crate) fn evidence_of(stamp: &Stamp) -> Evidence {
    let Origin { capture, number } = Origin::of(stamp);
    Evidence { capture, packet: number }
}

impl Shard {
    fn new(settings: &Settings) -> Self {
        Self {
            flows: FlowTable::new(&settings.table),
            shared: Shared {
                recent: RecentBytes::new(settings.streams.recent_bytes),
                senders: Senders::new(settings.checksums),
                failed: FailedConnections::default(),
                memory: 0,
            },
            copies: DuplicateFilter::new(&settings.copies),
            neighbours: Neighbours::default(),
            sightings: Sightings::default(),
        }
    }

    /// Connections that are established may be silent for longer than those that are not, and those that have ended only
    /// for a moment. Says whether this one ages otherwise now.
    #[inline(never)]
    fn grow_older(&mut self, entry: Entry, progress: Progress) -> bool {
        let lifetime = if progress == Progress::Closed {
            Lifetime::Closed
        } else if self.flows.lifetime(entry) == Some(Lifetime::Opening)
            && self.flows.get_mut(entry).is_some_and(|(_, conversation)| conversation.is_established())
        {
            Lifetime::Stream
        } else {
            return false;
        };
        self.flows.set_lifetime(entry, lifetime);
        true
    }
}

/// Conversations of one shard that are forgotten at the end of one block, at most: bounds the pause.
const REAPED_AT_ONCE: usize = 1024;
