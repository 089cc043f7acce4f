//! OPC UA over TCP in the binary encoding (OPC 10000-6).
//!
//! ```text
//!  chunk --> message --> assembly --> exchange --> service --> Sink
//!  where     channel,    messages     which        what is     operations,
//!  it ends   security    of several   answer to    requested,  outcomes
//!                        chunks       which        answered
//! ```
//!
//! * `chunk`: framing; `connection`: the connection messages (Hello, Acknowledge, Error, ReverseHello), and
//!   `connection_setup`: their effect; `probe`: whether a flow begins with OPC UA;
//! * `open_message`: OPN, which opens a secure channel, and `channel_opening`: its effect; `security_policy`: how a policy
//!   shapes the messages that follow; `channel`: the state of each channel; `cleartext`: recognises cleartext on channels
//!   of unknown protection;
//! * `message`, `assembly`: from chunks to whole bodies, despite lost and encrypted chunks;
//! * `exchange`, `request`, `pending_request`, `answer`, `results`: pair requests with their answers; `session`:
//!   applications and users; `aliases`, `owned_node`: node ids that stand for registered nodes; `subscription`: the node
//!   that a notification reports on; `inventory`: the identity of a server;
//! * [`binary`]: the encoding; [`service`]: the contents of a body; `techniques`: ATT&CK techniques of operations.
//!
//! An encrypted message is one operation of class `opaque`, unless [`Keys`] decrypt it.

mod aliases;
mod answer;
mod assembly;
pub mod binary;
mod channel;
mod channel_opening;
mod chunk;
mod cleartext;
mod connection;
mod connection_setup;
mod exchange;
mod inventory;
mod message;
mod open_message;
mod owned_node;
mod pending_request;
mod probe;
mod request;
mod results;
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
use self::chunk::{Chunk, Kind, Part, SingleChunkMessage};
use self::exchange::{Arrival, Exchange};
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
        PduGroup { name: "message_types", key: |key| Kind::letters_of_key(key).to_string() },
        PduGroup { name: "service_ids", key: exchange::name_of_key },
        PduGroup { name: "security_policies", key: security_policy::name_of_key },
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
    /// Longest chunk that each side may send, bytes, as negotiated.
    max_chunk: [u32; 2],
    /// Whether bytes of a side were lost since its latest chunk.
    has_gap: [bool; 2],
    /// Whether the next chunk of a side may continue a message whose beginning was lost.
    expects_tail: [bool; 2],
    /// Bytes still to come of a side's oversized chunk whose beginning was decoded.
    to_skip: [u32; 2],
    assemblies: Assemblies,
    exchange: Exchange,
    keys: Option<Arc<dyn Keys>>,
    /// Buffer for decrypted chunks.
    decrypted: Vec<u8>,
}

impl OpcUa {
    fn new(limits: &Limits) -> Self {
        Self {
            channels: Channels::default(),
            assemblies: Assemblies::new(limits),
            exchange: Exchange::new(limits),
            max_chunk: [u32::MAX; 2],
            has_gap: [false; 2],
            expects_tail: [false; 2],
            to_skip: [0; 2],
            keys: None,
            decrypted: Vec::new(),
        }
    }

    /// Decodes a message in a single, complete, readable chunk on a channel without gaps, as nearly all are: the result is
    /// that of [`OpcUa::decode_chunk`] at a third of the instructions. Returns its length in bytes, or `None` if `bytes` do
    /// not begin with such a message; nothing has changed then.
    #[inline]
    fn decode_single_chunk(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Option<usize> {
        let whole = SingleChunkMessage::read(bytes)?;
        let (has_gap, expects_tail, max_chunk) = match context.from {
            Side::Client => (self.has_gap[0], self.expects_tail[0], self.max_chunk[0]),
            Side::Server => (self.has_gap[1], self.expects_tail[1], self.max_chunk[1]),
        };
        if has_gap || expects_tail || !self.assemblies.is_empty() || whole.size > max_chunk as usize {
            return None;
        }
        let (channel, signature) = self.channels.get_readable(whole.channel, whole.token)?;
        let body = whole.text.get(..whole.text.len().checked_sub(signature)?)?;
        if channel.advance_sequence(context.from, whole.sequence) == Some(false) {
            context.malformed("sequence_number", whole.sequence);
        }
        self.exchange.on_body(whole.channel, whole.request, body, Arrival::SingleChunk, context);
        Some(whole.size)
    }

    /// Decodes the chunk at the beginning of `bytes`. Returns its length in bytes, or `None` if it is incomplete or
    /// invalid.
    fn decode_chunk(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Option<usize> {
        let FrameLen::Bytes(length) = self.frame_len(context.from, bytes) else { return None };
        if length > chunk::MAX_CHUNK {
            return self.decode_oversized(bytes, length, context);
        }
        let frame = bytes.get(..length)?;
        self.decode_frame(context.from, frame, context.stamp, context.sink);
        Some(length)
    }

    /// Decodes the beginning of a chunk that is too long to keep, once [`chunk::MAX_CHUNK`] bytes of it are there. Returns
    /// the number of bytes consumed.
    fn decode_oversized(&mut self, bytes: &[u8], length: usize, context: &mut Context<'_>) -> Option<usize> {
        let beginning = bytes.get(..chunk::MAX_CHUNK)?;
        let chunk = Chunk::split(beginning)?;
        context.sink.pdu(MESSAGE_TYPES, chunk.kind as u32);
        context.anomaly(AnomalyKind::Limit, "chunk_size", u32::try_from(length).ok());
        self.on_oversized_start(&chunk, length, context);
        if let Some(to_skip) = self.to_skip.get_mut(context.from.index()) {
            *to_skip = u32::try_from(length - beginning.len()).unwrap_or(u32::MAX);
        }
        let rest = bytes.get(beginning.len()..).unwrap_or_default();
        Some(beginning.len() + self.skip_oversized(rest, context))
    }

    /// Skips bytes of an oversized chunk. Returns their number.
    fn skip_oversized(&mut self, bytes: &[u8], context: &mut Context<'_>) -> usize {
        let Some(to_skip) = self.to_skip.get_mut(context.from.index()) else { return 0 };
        let count = bytes.len().min(*to_skip as usize);
        *to_skip -= count as u32;
        context.sink.lost(count);
        count
    }

    /// Decodes a connection message or OPN.
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
                chunk::oversized_len(bytes, |channel, token| self.channels.has_token(channel, token), name)
            }
            known => known,
        }
    }

    /// The length depends on the header alone.
    fn is_length_final(&self) -> bool {
        true
    }

    fn may_start(&self, _: Side, bytes: &[u8]) -> bool {
        chunk::may_start(bytes)
    }

    /// A chunk with a known channel and token cannot match by accident: 96 bits agree. Nor can a message that begins a
    /// connection or a channel and whose every length agrees; waiting for the next frame would put the answers before it.
    /// Other frames need a second one beside them.
    fn boundary(&self, _: Side, frame: &[u8]) -> Boundary {
        let Some(chunk) = Chunk::split(frame) else { return Boundary::Likely };
        let is_certain = match chunk.kind {
            Kind::Message => chunk::split_numbers(chunk.rest)
                .is_some_and(|(channel, token, _)| self.channels.has_token(channel, token)),
            Kind::Close => false,
            _ => matches!(probe::probe(frame), Probe::Yes { .. } | Probe::Wait { .. }),
        };
        if is_certain { Boundary::Certain } else { Boundary::Likely }
    }

    fn decode_frame(&mut self, from: Side, frame: &[u8], stamp: &Stamp, sink: &mut dyn Sink) {
        let context = &mut Context { from, stamp, sink };
        let Some(chunk) = Chunk::split(frame) else { return };
        context.sink.pdu(MESSAGE_TYPES, chunk.kind as u32);
        if self.max_chunk.get(from.index()).is_some_and(|max_chunk| frame.len() > *max_chunk as usize) {
            context.malformed("chunk_longer_than_agreed", frame.len() as u32);
        }
        match chunk.kind {
            Kind::Message | Kind::Close => self.on_message(&chunk, context),
            _ => self.on_other(&chunk, context),
        }
    }

    fn decode_frames(&mut self, from: Side, bytes: &[u8], stamp: &Stamp, sink: &mut dyn Sink) -> usize {
        let context = &mut Context { from, stamp, sink };
        let mut used = if self.to_skip == [0; 2] { 0 } else { self.skip_oversized(bytes, context) };
        while let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty()) {
            let Some(size) = self.decode_single_chunk(rest, context).or_else(|| self.decode_chunk(rest, context))
            else {
                break;
            };
            used += size;
        }
        used
    }

    fn interrupt(&mut self, from: Side, _: &mut dyn Sink) {
        if let (Some(has_gap), Some(to_skip)) = (self.has_gap.get_mut(from.index()), self.to_skip.get_mut(from.index()))
        {
            (*has_gap, *to_skip) = (true, 0);
        }
        self.exchange.is_lossy = true;
    }

    fn buffered(&self) -> usize {
        self.assemblies.kept_bytes()
    }

    fn give_up(&mut self, from: Side, stamp: &Stamp, sink: &mut dyn Sink) -> bool {
        let context = &mut Context { from, stamp, sink };
        let mut is_kept = false;
        while let Some(oldest) = self.assemblies.remove_oldest(from) {
            self.abandon(oldest, context);
            is_kept = true;
        }
        // The chunks still to come of these messages have no beginning.
        if is_kept && let Some(expects_tail) = self.expects_tail.get_mut(from.index()) {
            *expects_tail = true;
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
