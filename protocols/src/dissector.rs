//! The interface of a protocol: what a decoder implements ([`Dissector`]), and the events that it reports ([`Sink`]).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::REGISTRY;
use crate::keys::Keys;
use crate::operation::{Class, Namespaces, Operation};
use crate::security::Security;
use crate::techniques::Techniques;

/// One end of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Side {
    /// The end that sends requests.
    Client,
    /// The end that answers them.
    Server,
}

impl Side {
    /// The other end.
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// 0 for the client, 1 for the server: an index into per-side state.
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// What carries a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A stream: frames may be split and joined anywhere.
    Tcp,
    /// Datagrams: a frame never crosses one.
    Udp,
}

/// When and where a packet was seen. Decoders pass it on and compare `clock`; they never create one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Time of the packet, nanoseconds since 1970-01-01 UTC.
    pub time: i64,
    /// Latest packet time of the whole capture so far, nanoseconds. It never runs backwards; timeouts use it.
    pub clock: i64,
    /// Running number of the packet over all captures read, from 0.
    pub packet: u64,
    /// Location of the packet in the caller's own terms: passed on unread.
    pub origin: u64,
}

/// Where the next frame of a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameLen {
    /// Length of the frame in bytes, header included, at least 1. It exceeds the input while the frame is still arriving.
    Bytes(usize),
    /// The input is too short: call again with more.
    Unknown,
    /// No frame of this protocol starts here.
    Invalid(&'static str),
}

/// Whether the first bytes of a stream or a datagram are frames of a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// They are not.
    No,
    /// More bytes are needed.
    More,
    /// The framing fits, but the content is unusual or breaks the specification: proof enough on a registered port only.
    Maybe {
        /// The end that sent these bytes, if their structure alone shows it.
        sender: Option<Side>,
    },
    /// The frames fit, but the frames that follow may belong to another row. If none follow, the flow is this row's on a
    /// registered port.
    Wait {
        /// The end that sent these bytes, if their structure alone shows it.
        sender: Option<Side>,
    },
    /// The structure fits exactly.
    Yes {
        /// The end that sent these bytes, if their structure alone shows it.
        sender: Option<Side>,
    },
}

/// Bounds on the memory and the waiting time of one flow. Reaching one is reported as [`AnomalyKind::Limit`].
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Pending requests of a flow. One more evicts the oldest overdue request, or else the oldest.
    pub pending: usize,
    /// Time after which an answer is overdue, nanoseconds of packet time. A late answer still ends its request.
    pub answer_timeout: i64,
    /// Bytes kept for each side while a frame is incomplete or its start is searched for.
    pub partial: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { pending: 256, answer_timeout: 5_000_000_000, partial: 64 * 1024 }
    }
}

/// Identifies an operation: a request of a flow and an item of that request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestRef {
    /// Number of the request in its flow, from 0.
    pub request: u32,
    /// Position of the operation in the request, from 0.
    pub item: u32,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server carried it out, according to its answer.
    Accepted,
    /// The server refused, with the protocol's own code and name for the reason.
    Refused {
        /// Code on the wire.
        code: u32,
        /// The standard's name in snake_case.
        name: &'static str,
    },
    /// No answer came, within [`Limits::answer_timeout`] or later.
    NoResponse,
    /// Unknown: the answer may still come, or was not captured.
    Pending,
}

/// A property of a device, for the inventory. Never a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity<'a> {
    /// The end that has the property.
    pub of: Side,
    /// The unit behind a gateway, where the protocol has one.
    pub unit: Option<u8>,
    /// Name of the property: `vendor`, `product`, `firmware`, `serial`, `name`, `url`, `model`, `application`,
    /// `run_state`, or the standard's own name in snake_case.
    pub field: &'static str,
    /// The text as sent. Bytes that are not UTF-8 are replaced on output.
    pub value: &'a [u8],
}

/// A deviation from the protocol's specification, or a limit of ours that was reached. Never fatal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// Decides how the anomaly is counted and judged.
    pub kind: AnomalyKind,
    /// The deviation or the limit in snake_case, such as `quantity_out_of_range`.
    pub name: &'static str,
    /// The offending number, where there is one.
    pub value: Option<u32>,
    /// The end that sent the bytes.
    pub from: Side,
}

/// How an [`Anomaly`] is counted and judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AnomalyKind {
    /// A field breaks the specification: judged as `proto.malformed`.
    Malformed,
    /// Framing was lost: counted as a loss, judged as `proto.malformed` unless a gap explains it.
    Desynchronised,
    /// An answer without a request, or a second answer. Counted, not judged: the capture may have begun too late.
    Unmatched,
    /// One side repeats the bytes of the other, such as a gateway that receives its own frames. Counted, not judged.
    Echo,
    /// A bound of [`Limits`] was reached: counted as a loss.
    Limit,
}

/// Receives the events of a decoder: one method an event, in the order of the traffic. Borrows end with the call.
pub trait Sink {
    /// A request was seen (or, of class `report`, an unsolicited message of the server): the verdict is taken here. Returns
    /// whether the outcome is tracked. If not, the decoder may drop the operation and only count its outcome
    /// ([`Sink::ended`]).
    fn operation(&mut self, at: RequestRef, operation: &Operation<'_>, stamp: &Stamp) -> bool;

    /// A request for `count` operations of one class on nodes of these namespaces. Returns `true` if the sink has counted
    /// them, permits each one whatever its node and its values, and tracks none of their outcomes: then the decoder need
    /// not call [`Sink::operation`].
    fn pass(&mut self, _class: Class, _namespaces: Namespaces, _count: u32) -> bool {
        false
    }

    /// The server accepted a request that is not in the capture and that changes something: the operation was carried out.
    /// `operation` holds what the answer reveals; if that does not include the target, it is
    /// [`Target::Unread`](crate::Target::Unread). Called instead of [`Sink::operation`] and [`Sink::outcome`].
    fn request_unseen(&mut self, at: RequestRef, operation: &Operation<'_>, stamp: &Stamp);

    /// No answer came within [`Limits::answer_timeout`], which ended at `stamp`. [`Sink::outcome`] follows, with the late
    /// answer, or with [`Outcome::NoResponse`] once none can come.
    fn overdue(&mut self, _at: RequestRef, _operation: &Operation<'_>, _stamp: &Stamp) {}

    /// The answer to an operation, or its absence ([`Outcome::NoResponse`], with the stamp at which the wait ended).
    /// `operation` repeats the request, with the values of the *answer*: of a read the values read, of a write
    /// [`Values::None`](crate::Values::None). Called once for each operation.
    fn outcome(
        &mut self,
        at: RequestRef,
        operation: &Operation<'_>,
        outcome: Outcome,
        requested: &Stamp,
        stamp: &Stamp,
    );

    /// Counts `count` operations whose outcome is not tracked, and which ended with this outcome. Of refusals, `outcome` has the
    /// code of one; those of the others may differ. A decoder may call [`Sink::outcome`] for each of them instead.
    fn ended(&mut self, outcome: Outcome, count: u32);

    /// A property of a device was learned.
    fn identity(&mut self, identity: &Identity<'_>, stamp: &Stamp);

    /// A fact about the security of the conversation. What an operation reveals of it (a requested channel, a user) is
    /// reported before the operation.
    fn security(&mut self, fact: &Security<'_>, stamp: &Stamp);

    /// Traffic deviates from the specification, or a bound of the decoder was reached: see [`AnomalyKind`].
    fn anomaly(&mut self, anomaly: Anomaly, stamp: &Stamp);

    /// A PDU was decoded: counts it under `key` of the protocol's [`Protocol::pdu_groups`]`[group]`.
    fn pdu(&mut self, group: usize, key: u32);

    /// A PDU was decoded: counts it under two pairs of group and key.
    #[inline]
    fn pdus(&mut self, first: (usize, u32), second: (usize, u32)) {
        self.pdu(first.0, first.1);
        self.pdu(second.0, second.1);
    }

    /// Stream bytes were skipped that belong to no decoded frame.
    fn lost(&mut self, bytes: usize);

    /// [`Session::memory`](crate::Session::memory) has grown. That it shrinks is not reported.
    fn takes_memory(&mut self) {}

    /// The flow changes to another protocol: the frames of that one explain the bytes, those of the one before do not. All
    /// pending operations have ended.
    fn protocol(&mut self, _protocol: &'static Protocol, _stamp: &Stamp) {}

    /// The keys of the flow, for a protocol that begins in the middle of it.
    fn keys(&mut self) -> Option<Arc<dyn Keys>> {
        None
    }

    /// Lends an empty buffer of at most `most` bytes of capacity, preferably of `wanted` bytes or more. Flows that need a
    /// buffer for a moment share a few, which stay in the caches of the processor.
    fn lend(&mut self, _wanted: usize, _most: usize) -> Vec<u8> {
        Vec::new()
    }

    /// Accepts a buffer that is no longer needed, lent or not.
    fn give_back(&mut self, _memory: Vec<u8>) {}
}

/// How well a frame proves its own start while framing is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// Its structure alone is proof.
    Certain,
    /// It is proof if another frame follows, or if the stream ends with it.
    Likely,
    /// Not a proof: data often resemble such a frame, and peers do not send it.
    Unlikely,
}

/// The decoder of one protocol on one flow: framing, decoding, and matching of answers. It only decodes whole frames.
pub trait Dissector: Send {
    /// The length of the frame that starts at `bytes[0]`. Accepts every frame that [`Dissector::decode_frame`] can report
    /// on, including those whose content breaks the specification.
    fn frame_len(&self, from: Side, bytes: &[u8]) -> FrameLen;

    /// Whether a length from [`Dissector::frame_len`] is final, whatever the rest of the frame holds. Then the session does
    /// not inspect the frame again until all of it has arrived.
    fn is_length_final(&self) -> bool {
        false
    }

    /// Whether a frame may start here: a cheap check for every byte position while framing is lost. It may rule out frames
    /// that [`Dissector::frame_len`] accepts.
    fn may_start(&self, _from: Side, _bytes: &[u8]) -> bool {
        true
    }

    /// Whether the first captured bytes of a side are frames with wrong headers that a server executes
    /// nevertheless, up to a certain frame, or to the end of the stream if `is_last`; `None` if more bytes are needed.
    /// Called only at the start of a capture: later, in a lost stream, too much data resembles such frames.
    fn begins_with_wrong_headers(&self, _from: Side, _bytes: &[u8], _is_last: bool) -> Option<bool> {
        Some(false)
    }

    /// How well a whole frame proves that it starts where it seems to. Asked only while framing is lost.
    fn boundary(&self, _from: Side, _frame: &[u8]) -> Boundary {
        Boundary::Likely
    }

    /// Decodes one whole frame and reports its events to the sink.
    fn decode_frame(&mut self, from: Side, frame: &[u8], stamp: &Stamp, sink: &mut dyn Sink);

    /// Decodes the whole frames at the start of `bytes`, and returns their length in bytes.
    fn decode_frames(&mut self, from: Side, bytes: &[u8], stamp: &Stamp, sink: &mut dyn Sink) -> usize {
        let mut rest = bytes;
        while !rest.is_empty()
            && let FrameLen::Bytes(length) = self.frame_len(from, rest)
            && let Some((frame, behind)) = rest.split_at_checked(length.max(1))
        {
            self.decode_frame(from, frame, stamp, sink);
            rest = behind;
        }
        bytes.len() - rest.len()
    }

    /// Decodes the frames in `bytes`, left by [`Dissector::decode_frames`], that are whole only because the stream ends
    /// there, and returns their length in bytes.
    fn decode_last_frames(&mut self, _from: Side, _bytes: &[u8], _stamp: &Stamp, _sink: &mut dyn Sink) -> usize {
        0
    }

    /// Whether the bytes left by [`Dissector::decode_frames`] still have several possible readings: then they are kept, even
    /// where [`Dissector::frame_len`] calls them invalid.
    fn is_ambiguous(&self, _from: Side) -> bool {
        false
    }

    /// Bytes of `from` are missing before its next frame. A message that spans frames is dropped and reported as lost.
    fn interrupt(&mut self, _from: Side, _sink: &mut dyn Sink) {}

    /// Bytes kept of messages that span frames and are incomplete.
    fn buffered(&self) -> usize {
        0
    }

    /// Drops the incomplete messages of a side that span frames, and reports them as lost. Returns whether there were any.
    fn give_up(&mut self, _from: Side, _stamp: &Stamp, _sink: &mut dyn Sink) -> bool {
        false
    }

    /// Approximate memory, bytes, of the state that later frames refer to: pending requests, subscriptions, node aliases.
    fn remembered(&self) -> usize;

    /// Drops the state that later frames refer to. Pending requests end as [`Outcome::Pending`].
    fn forget(&mut self, stamp: &Stamp, sink: &mut dyn Sink);

    /// Number of the next request. A flow that changes its protocol continues the numbers of the protocol before.
    fn next_request(&mut self) -> &mut u32;

    /// Provides keys for a protocol that encrypts; others ignore them.
    fn unlock(&mut self, _keys: &Arc<dyn Keys>) {}

    /// Reports the requests that are overdue at `clock` (nanoseconds), in the order in which they were sent, with
    /// [`Sink::overdue`]: the stamp is that of the request, with `time` and `clock` moved to the end of the wait.
    fn expire(&mut self, clock: i64, sink: &mut dyn Sink);

    /// When [`Dissector::expire`] next has something to report, nanoseconds on the scale of [`Stamp::clock`].
    fn deadline(&self) -> Option<i64>;

    /// The connection is closed at `clock`: no late answer can come. Overdue requests end as [`Outcome::NoResponse`], now
    /// and from here on.
    fn close(&mut self, clock: i64, sink: &mut dyn Sink);

    /// The flow or the capture ends. Pending requests end as [`Outcome::NoResponse`] if their answer is overdue, as
    /// [`Outcome::Pending`] otherwise.
    fn finish(&mut self, sink: &mut dyn Sink);
}

/// One row of the registry: a protocol in one framing.
#[derive(Debug)]
pub struct Protocol {
    /// The name in policies, alerts and statistics. Rows that differ only in framing share it.
    pub name: &'static str,
    /// The framing, for listings: `tcp`, `rtu`.
    pub framing: &'static str,
    /// The name in sentences, such as `Modbus`. Rows that differ only in framing share it.
    pub display_name: &'static str,
    /// What the row decodes, for listings, such as `Modbus RTU over TCP or UDP`.
    pub title: &'static str,
    /// The transports that can carry it.
    pub transports: &'static [Transport],
    /// Its registered ports, on each of its transports: a hint, never a proof.
    pub ports: &'static [u16],
    /// Longest frame, bytes.
    pub max_frame: usize,
    /// Shortest prefix from which [`Dissector::frame_len`] can return a length, bytes.
    pub min_frame: usize,
    /// Judges the first bytes that one end of a flow sent (or one datagram) by structure alone.
    pub probe: fn(transport: Transport, bytes: &[u8]) -> Probe,
    /// Creates the decoder of one flow.
    pub open: fn(transport: Transport, limits: &Limits) -> Box<dyn Dissector>,
    /// The groups of its decoded PDUs in `--stats`, in order.
    pub pdu_groups: &'static [PduGroup],
    /// Every function that its operations can name.
    pub functions: &'static [Function],
    /// The techniques of an operation in ATT&CK for ICS; `None` if those of its class apply:
    /// [`Protocol::techniques_of`].
    pub techniques: fn(&Operation<'_>) -> Option<Techniques>,
}

impl Protocol {
    /// The first row of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        REGISTRY.iter().copied().find(|row| row.name == name)
    }

    /// Whether only a checksum proves its frames: they have neither a header nor a registered port.
    pub(crate) const fn is_bare(&self) -> bool {
        self.ports.is_empty()
    }
}

/// A group of PDU counts in `--stats`, with the keys that the reference counts use.
#[derive(Debug)]
pub struct PduGroup {
    /// Name of the group, such as `requests`.
    pub name: &'static str,
    /// Formats a key, such as `3:2`.
    pub key: fn(u32) -> String,
}

/// A function of a protocol.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// The standard's name in snake_case.
    pub name: &'static str,
    /// The number on the wire.
    pub code: u32,
    /// What it does to the controlled process.
    pub class: Class,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_one_name_differ_only_in_framing() {
        for row in REGISTRY {
            let is_alike = |named: &Protocol| {
                named.display_name == row.display_name && named.functions.as_ptr() == row.functions.as_ptr()
            };
            assert!(Protocol::named(row.name).is_some_and(is_alike), "{}", row.title);
        }
        assert!(Protocol::named("unregistered").is_none());
    }
}
