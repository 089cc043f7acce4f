//! OPC UA over TCP in the binary encoding (OPC 10000-6).
//!
//! ```text
//!  chunk --> message --> assembly --> exchange --> service --> Sink
//!  where     channel,    messages     which        what is     operations,
//!  it ends   clear or    in chunks    answer to    asked and   outcomes
//!            sealed                   which        answered
//! ```
//!
//! * `chunk`: framing; `connection`: Hello, Acknowledge, Error, ReverseHello; `probe`: the opening of a flow;
//! * `opening`: OPN, which opens a secure channel; `security_policy`: what its policy says about the messages that follow;
//!   `channel`: what is known of each; `proof`: whether a message is clear, where its channel does not tell;
//! * `message`, `assembly`: from chunks to whole bodies, whatever is missing or encrypted;
//! * `exchange`, `request`, `asked`, `answer`, `results`: requests, joined with their answers; `session`: who is behind them;
//!   `aliases`: the node ids that stand for registered nodes; `subscription`: which node a notification speaks of;
//!   `inventory`: what a server says that it is;
//! * [`binary`]: the encoding; [`service`]: what a body asks or answers.
//!
//! A message that is encrypted is an operation of class `opaque`, unless [`Keys`] open it.

mod aliases;
mod answer;
mod assembly;
pub mod binary;
mod channel;
mod chunk;
mod connection;
mod exchange;
mod greeting;
mod inventory;
mod message;
mod opening;
mod owned_node;
mod pending_request;
mod probe;
mod proof;
mod request;
mod results;
mod secure;
mod security_policy;
pub mod service;
mod session;
mod subscription;
mod techniques;

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use self::assembly::Assemblies;
use self::channel::Channels;
use self::chunk::{Chunk, Kind, Part, Whole};
use self::exchange::{Came, Exchange};
use crate::context::Context;
use crate::dissector::{
    AnomalyKind, Boundary, Dissector, FrameLen, Limits, PduGroup, Probe, Protocol, Side, Sink, Stamp, Transport,
};
use crate::keys::Keys;

/// OPC UA over TCP.
pub static OPCUA: Protocol = Protocol {
    name: "opcua",
    framing: "tcp",
    display_name: "OPC UA",
    title: "OPC UA",
    transports: &[Transport::Tcp],
    ports: &[4840],
    max_frame: chunk::MAX_CHUNK,
    min_frame: chunk::HEADER,
    probe: |_, bytes| probe::probe(bytes),
    open: |_, limits| Box::new(OpcUa::new(limits)),
    pdu_groups: &[
        PduGroup { name: "message_types", key: |key| Kind::name_of(key).to_string() },
        PduGroup { name: "service_ids", key: exchange::service_id },
        PduGroup { name: "security_policies", key: security_policy::name_of },
    ],
    functions: service::FUNCTIONS,
    techniques: techniques::of,
};

const MESSAGE_TYPES: usize = 0;
const SERVICE_IDS: usize = 1;
const SECURITY_POLICIES: usize = 2;

/// The decoder of one flow.
struct OpcUa {
    channels: Channels,
    /// Longest chunk that each side may send, bytes, as agreed on.
    longest: [u32; 2],
    /// Whether something that a side sent is missing since its latest chunk.
    holed: [bool; 2],
    /// Whether the next chunk of a side may belong to a message whose beginning is missing.
    torn: [bool; 2],
    /// Bytes that a side still sends of a chunk whose beginning was decoded, and which is too long to be kept.
    skipped: [u32; 2],
    assemblies: Assemblies,
    exchange: Exchange,
    keys: Option<Arc<dyn Keys>>,
    /// Memory for what they open.
    unsealed: Vec<u8>,
}

impl OpcUa {
    fn new(limits: &Limits) -> Self {
        Self {
            channels: Channels::default(),
            assemblies: Assemblies::new(limits),
            exchange: Exchange::new(limits),
            longest: [u32::MAX; 2],
            holed: [false; 2],
            torn: [false; 2],
            skipped: [0; 2],
            keys: None,
            unsealed: Vec::new(),
        }
    }

    /// Decodes what nearly everything is: a message in one chunk, all of it there, clear or signed, on a channel of which
    /// nothing is missing. The same as [`OpcUa::chunk`], with one look at its headers (a third of the instructions). Says
    /// how long it is; it is none of these if that is not said, and nothing was done with it.
    #[inline]
    fn usual(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Option<usize> {
        let whole = Whole::read(bytes)?;
        let (holed, torn, longest) = match context.from {
            Side::Client => (self.holed[0], self.torn[0], self.longest[0]),
            Side::Server => (self.holed[1], self.torn[1], self.longest[1]),
        };
        if holed || torn || !self.assemblies.is_empty() || whole.size > longest as usize {
            return None;
        }
        let (channel, signature) = self.channels.readable(whole.channel, whole.token)?;
        let body = whole.text.get(..whole.text.len().checked_sub(signature)?)?;
        if channel.follows(context.from, whole.sequence) == Some(false) {
            context.malformed("sequence_number", whole.sequence);
        }
        self.exchange.receive(whole.channel, whole.request, body, Came::InOneChunk, context);
        Some(whole.size)
    }

    /// Decodes the chunk that `bytes` begin with, and says how long it is, if all of it is there.
    fn chunk(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Option<usize> {
        let FrameLen::Bytes(length) = self.frame_len(context.from, bytes) else { return None };
        if length > chunk::MAX_CHUNK {
            return self.oversized(bytes, length, context);
        }
        let frame = bytes.get(..length)?;
        self.frame(context.from, frame, context.stamp, context.sink);
        Some(length)
    }

    /// A chunk that is longer than is kept: its beginning is decoded once there is as much of it as of the longest that is.
    fn oversized(&mut self, bytes: &[u8], length: usize, context: &mut Context<'_>) -> Option<usize> {
        let beginning = bytes.get(..chunk::MAX_CHUNK)?;
        let chunk = Chunk::split(beginning)?;
        context.sink.pdu(MESSAGE_TYPES, chunk.kind as u32);
        context.anomaly(AnomalyKind::Limit, "chunk_size", u32::try_from(length).ok());
        self.on_beginning(&chunk, length, context);
        if let Some(skipped) = self.skipped.get_mut(context.from.index()) {
            *skipped = u32::try_from(length - beginning.len()).unwrap_or(u32::MAX);
        }
        let rest = bytes.get(beginning.len()..).unwrap_or_default();
        Some(beginning.len() + self.skip(rest, context))
    }

    /// Passes over what is left of such a chunk.
    fn skip(&mut self, bytes: &[u8], context: &mut Context<'_>) -> usize {
        let Some(skipped) = self.skipped.get_mut(context.from.index()) else { return 0 };
        let count = bytes.len().min(*skipped as usize);
        *skipped -= count as u32;
        context.sink.lost(count);
        count
    }

    /// Everything but messages: rare.
    fn on_other(&mut self, chunk: &Chunk<'_>, context: &mut Context<'_>) {
        if chunk.part != Part::Last {
            context.anomaly(AnomalyKind::Malformed, "message_part", None);
        }
        let result = match chunk.kind {
            Kind::Hello => self.on_hello(chunk, context),
            Kind::Acknowledge => self.on_acknowledge(chunk, context),
            Kind::Error => self.on_error(chunk, context),
            Kind::ReverseHello => self.on_reverse_hello(chunk, context),
            Kind::Open => self.on_open(chunk, context),
            Kind::Message | Kind::Close => Ok(()),
        };
        if let Err(fault) = result {
            fault.report(false, context);
        }
    }
}

impl Dissector for OpcUa {
    #[inline]
    fn frame_len(&self, _: Side, bytes: &[u8]) -> FrameLen {
        match chunk::frame_len(bytes) {
            FrameLen::Invalid(name) => {
                chunk::oversized(bytes, |channel, token| self.channels.has(channel, token), name)
            }
            known => known,
        }
    }

    /// The header is all that it depends on.
    fn is_length_final(&self) -> bool {
        true
    }

    fn may_start(&self, _: Side, bytes: &[u8]) -> bool {
        chunk::may_start(bytes)
    }

    /// A chunk on a channel and with a token that are in use is no chance: 96 bits say so. Nor is a message that begins a
    /// connection or a channel, whose every length agrees: answers would come before it if it had to wait for the next.
    /// Others need one beside them.
    fn boundary(&self, _: Side, frame: &[u8]) -> Boundary {
        let Some(chunk) = Chunk::split(frame) else { return Boundary::Likely };
        let is_certain = match chunk.kind {
            Kind::Message => chunk.rest.split_first_chunk().is_some_and(|(&[a, b, c, d, e, f, g, h], _)| {
                self.channels.has(u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
            }),
            Kind::Close => false,
            _ => matches!(probe::probe(frame), Probe::Yes { .. } | Probe::Wait { .. }),
        };
        if is_certain { Boundary::Certain } else { Boundary::Likely }
    }

    fn frame(&mut self, from: Side, frame: &[u8], stamp: &Stamp, sink: &mut dyn Sink) {
        let context = &mut Context { from, stamp, sink };
        let Some(chunk) = Chunk::split(frame) else { return };
        context.sink.pdu(MESSAGE_TYPES, chunk.kind as u32);
        if self.longest.get(from.index()).is_some_and(|longest| frame.len() > *longest as usize) {
            context.malformed("chunk_longer_than_agreed", frame.len() as u32);
        }
        match chunk.kind {
            Kind::Message | Kind::Close => self.on_message(&chunk, context),
            _ => self.on_other(&chunk, context),
        }
    }

    fn frames(&mut self, from: Side, bytes: &[u8], stamp: &Stamp, sink: &mut dyn Sink) -> usize {
        let context = &mut Context { from, stamp, sink };
        let mut used = if self.skipped == [0; 2] { 0 } else { self.skip(bytes, context) };
        while let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty()) {
            let Some(size) = self.usual(rest, context).or_else(|| self.chunk(rest, context)) else { break };
            used += size;
        }
        used
    }

    fn interrupted(&mut self, from: Side, _: &mut dyn Sink) {
        if let (Some(holed), Some(skipped)) = (self.holed.get_mut(from.index()), self.skipped.get_mut(from.index())) {
            (*holed, *skipped) = (true, 0);
        }
        self.exchange.is_lossy = true;
    }

    fn buffered(&self) -> usize {
        self.assemblies.len()
    }

    fn give_up(&mut self, from: Side, stamp: &Stamp, sink: &mut dyn Sink) -> bool {
        let context = &mut Context { from, stamp, sink };
        let mut is_kept = false;
        while let Some(oldest) = self.assemblies.take_oldest(from) {
            self.lose(oldest, context);
            is_kept = true;
        }
        // The rest of them comes without a beginning.
        if is_kept && let Some(torn) = self.torn.get_mut(from.index()) {
            *torn = true;
        }
        is_kept
    }

    fn remembered(&self) -> usize {
        self.exchange.memory()
    }

    fn forget(&mut self, stamp: &Stamp, sink: &mut dyn Sink) {
        self.exchange.forget(stamp, sink);
    }

    fn next_request(&mut self) -> &mut u32 {
        self.exchange.next_request()
    }

    fn unlock(&mut self, keys: &Arc<dyn Keys>) {
        self.keys = Some(Arc::clone(keys));
    }

    fn expire(&mut self, clock: i64, sink: &mut dyn Sink) {
        self.exchange.expire(clock, sink);
    }

    #[inline]
    fn deadline(&self) -> Option<i64> {
        self.exchange.deadline()
    }

    fn close(&mut self, clock: i64, sink: &mut dyn Sink) {
        self.exchange.close(clock, sink);
    }

    fn finish(&mut self, sink: &mut dyn Sink) {
        sink.lost(self.assemblies.clear());
        self.exchange.finish(sink);
    }
}
