//! What a protocol must implement, and what it may say.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::REGISTRY;
use crate::keys::Keys;
use crate::operation::{Class, Namespaces, Operation};
use crate::security::Security;
use crate::techniques::Techniques;

/// Which end of a conversation sent something. The client asks, the server answers.
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

/// When and where something was seen. Decoders carry it about and compare `clock`; they never make one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Time of the packet, nanoseconds since 1970-01-01 UTC.
    pub time: i64,
    /// Latest packet time seen so far in the whole capture, nanoseconds: never runs backwards. Timeouts use this.
    pub clock: i64,
    /// Running number of the packet over all captures read, from 0.
    pub packet: u64,
    /// Where the packet lies, in the caller's own terms: carried along, never looked at.
    pub origin: u64,
}

/// Where the next frame of a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameLen {
    /// The frame has this many bytes, header included: at least 1, and more than what is there if it is still arriving.
    Bytes(usize),
    /// Too little is there to tell; call again with more.
    Unknown,
    /// No frame of this protocol starts here.
    Invalid(&'static str),
}

/// How sure a protocol is that bytes at the start of a stream or datagram are its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Not ours.
    No,
    /// Could be; too few bytes to tell.
    More,
    /// The frame fits, but what it holds is unusual or breaks the specification: enough on a registered port only.
    Maybe {
        /// Who sent these bytes, if the shape alone decides it.
        sender: Option<Side>,
    },
    /// The frames fit, but what follows them may belong to another row: ours on a registered port if nothing follows.
    Wait {
        /// Who sent these bytes, if the shape alone decides it.
        sender: Option<Side>,
    },
    /// The structure fits. `sender` is set when the shape also tells which side sent it.
    Yes {
        /// Who sent these bytes, if the shape alone decides it.
        sender: Option<Side>,
    },
}

/// Bounds on what one flow may cost. Every one is counted when it is hit.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Unanswered requests that are remembered, per flow. Beyond it one is given up: the oldest whose answer is overdue, or
    /// else the oldest.
    pub pending: usize,
    /// After how long an answer is overdue, nanoseconds of packet time. It is still waited for.
    pub answer_timeout: i64,
    /// Bytes of a flow that are kept, per side, while a frame is incomplete or its start is being looked for.
    pub partial: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { pending: 256, answer_timeout: 5_000_000_000, partial: 64 * 1024 }
    }
}

/// Which request, and which of its operations (items), something belongs to. Requests are numbered per flow from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestRef {
    /// Number of the request in its flow.
    pub request: u32,
    /// Position of the operation in the request, from 0.
    pub item: u32,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server did it, as far as its answer says.
    Accepted,
    /// The server refused, with the protocol's own code and name for the reason.
    Refused {
        /// Code on the wire.
        code: u32,
        /// The standard's name in snake_case.
        name: &'static str,
    },
    /// No answer came within [`Limits::answer_timeout`], nor later.
    NoResponse,
    /// Not known yet.
    Pending,
}

/// Something learned about a device, for the inventory. Never a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity<'a> {
    /// Whose identity it is.
    pub of: Side,
    /// The unit behind a gateway, where the protocol has one.
    pub unit: Option<u8>,
    /// What was learned: `vendor`, `product`, `firmware`, `serial`, `name`, `url`, `model`, `application`, `run_state`,
    /// or the standard's own name in snake_case.
    pub field: &'static str,
    /// The text as sent; bytes that are not UTF-8 are replaced when it is written out.
    pub value: &'a [u8],
}

/// A deviation from the protocol's specification, or a limit of ours that was reached. Never fatal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// What sort.
    pub kind: AnomalyKind,
    /// What exactly, in snake_case, such as `quantity_out_of_range`.
    pub name: &'static str,
    /// The number that was at fault, where there is one.
    pub value: Option<u32>,
    /// Who sent it.
    pub from: Side,
}

/// The sorts of [`Anomaly`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AnomalyKind {
    /// A field breaks the specification: judged as `proto.malformed`.
    Malformed,
    /// Framing was lost and found again: counted as a loss, judged as `proto.malformed` only when no gap explains it.
    Desynchronised,
    /// An answer without a request, or a second answer. Counted, not judged: a capture may have begun too late.
    Unmatched,
    /// A side repeats what the other one has said, such as a gateway that hears itself. Counted, not judged.
    Echo,
    /// A bound of [`Limits`] was reached: counted as a loss.
    Limit,
}

/// Who listens to a decoder. Called in the order of the traffic; borrows end with the call.
pub trait Sink {
    /// A request was seen (or, of class `report`, something the server sent unasked): the verdict is taken here. Says
    /// whether somebody waits for its outcome: if not, that need only be counted ([`Sink::ended`]), and what was asked need
    /// not be kept.
    fn operation(&mut self, at: RequestRef, operation: &Operation<'_>, stamp: &Stamp) -> bool;

    /// A request for so many operations of a class on nodes of these namespaces. `true`: they were counted, each of them is
    /// permitted whatever node it acts on there and whatever it moves, and nobody waits for their outcomes, so that
    /// [`Sink::operation`] need not be called for them.
    fn pass(&mut self, _class: Class, _namespaces: Namespaces, _count: u32) -> bool {
        false
    }

    /// An accepted answer to a request that is not in the capture, for what changes something: the operation was carried
    /// out. `operation` says what the answer tells of it; of what the answer does not tell, the target is
    /// [`Target::Unread`](crate::Target::Unread). Called instead of [`Sink::operation`] and [`Sink::outcome`].
    fn request_unseen(&mut self, at: RequestRef, operation: &Operation<'_>, stamp: &Stamp);

    /// No answer came within [`Limits::answer_timeout`], which ended at `stamp`. The answer is still waited for, and
    /// [`Sink::outcome`] follows: with what a late answer says, or with [`Outcome::NoResponse`] when none can come any more.
    fn overdue(&mut self, _at: RequestRef, _operation: &Operation<'_>, _stamp: &Stamp) {}

    /// The answer to an operation, or its absence ([`Outcome::NoResponse`], with the stamp at which the wait ended).
    /// `operation` repeats what was asked; its `values` are those of the *answer* (of a read what was read, of a write
    /// [`Values::None`](crate::Values::None)). Called once for each operation.
    fn outcome(
        &mut self,
        at: RequestRef,
        operation: &Operation<'_>,
        outcome: Outcome,
        requested: &Stamp,
        stamp: &Stamp,
    );

    /// So many operations whose outcome nobody waits for ended alike, whatever the codes of refusals. A decoder may call
    /// [`Sink::outcome`] for each of them instead, for which it says all of it once more (60 instructions).
    fn ended(&mut self, outcome: Outcome, count: u32);

    /// Something about a device.
    fn identity(&mut self, identity: &Identity<'_>, stamp: &Stamp);

    /// How the conversation is protected, and by whom. What an operation shows of it (a channel that is asked for, a user)
    /// is told beside the operation, before it.
    fn security(&mut self, fact: &Security<'_>, stamp: &Stamp);

    /// A deviation or a limit.
    fn anomaly(&mut self, anomaly: Anomaly, stamp: &Stamp);

    /// One more decoded PDU under `key` of the protocol's [`Protocol::pdu_groups`]`[group]`.
    fn pdu(&mut self, group: usize, key: u32);

    /// One more under keys of two groups: [`Sink::pdu`] of each.
    #[inline]
    fn pdus(&mut self, (group, key): (usize, u32), (other, its_key): (usize, u32)) {
        self.pdu(group, key);
        self.pdu(other, its_key);
    }

    /// Stream bytes that belong to no decoded frame.
    fn lost(&mut self, bytes: usize);

    /// The session takes more memory than before: [`Session::memory`](crate::Session::memory). That it takes less is not told.
    fn takes_memory(&mut self) {}

    /// From here on the flow speaks another protocol than before: its frames explain the bytes, and those of the protocol
    /// before do not. What was open has ended.
    fn protocol(&mut self, _protocol: &'static Protocol, _stamp: &Stamp) {}

    /// Keys from outside, for a protocol that begins in the middle of a flow.
    fn keys(&mut self) -> Option<Arc<dyn Keys>> {
        None
    }

    /// Memory for bytes that have to wait, empty: that of others who need it no more, if there is some of at most `most`
    /// bytes; rather of `wanted` bytes or more. Flows that need it for a moment each then share a few buffers, which stay in
    /// the caches of the processor.
    fn lend(&mut self, _wanted: usize, _most: usize) -> Vec<u8> {
        Vec::new()
    }

    /// Takes memory that is needed no more, whether it was lent or not.
    fn give_back(&mut self, _memory: Vec<u8>) {}
}

/// How well a frame proves its own beginning to one who has lost it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// So exact in its shape that it needs no second frame beside it.
    Certain,
    /// Only if another frame follows it, or the stream ends with it.
    Likely,
    /// Chance: such a frame is not spoken, but data often look like it.
    Unlikely,
}

/// One protocol on one flow: framing, decoding, matching. Never sees half a frame.
pub trait Dissector: Send {
    /// Where the frame that starts at `bytes[0]` ends. Must accept every frame that [`Dissector::frame`] can report on,
    /// including ones that break the specification inside a sound frame.
    fn frame_len(&self, from: Side, bytes: &[u8]) -> FrameLen;

    /// Whether the length of a frame stands once [`Dissector::frame_len`] has told it, whatever else comes of the frame:
    /// then nobody looks at its bytes before all of them are there.
    fn is_length_final(&self) -> bool {
        false
    }

    /// Whether a frame could start here at all: a cheap look, asked at every byte while framing is looked for. May rule out
    /// frames that [`Dissector::frame_len`] accepts at a price.
    fn may_start(&self, _from: Side, _bytes: &[u8]) -> bool {
        true
    }

    /// Whether the first bytes that were captured of a side are frames whose headers lie, which a server executes all the
    /// same, up to one that convinces or to the end, if they are the last; `None`: more bytes will tell. Elsewhere in what a
    /// lost side sends, far too much looks like them.
    fn begins_with_lies(&self, _from: Side, _bytes: &[u8], _is_last: bool) -> Option<bool> {
        Some(false)
    }

    /// How well a whole frame proves that it really starts where it seems to. Asked only while framing is looked for.
    fn boundary(&self, _from: Side, _frame: &[u8]) -> Boundary {
        Boundary::Likely
    }

    /// Decodes one whole frame and tells the sink what it means.
    fn frame(&mut self, from: Side, frame: &[u8], stamp: &Stamp, sink: &mut dyn Sink);

    /// Decodes the whole frames that `bytes` begins with, up to the first that is none or not whole: says how many bytes
    /// they are. Provided, so that every protocol has its own copy of this loop: one call for a segment.
    fn frames(&mut self, from: Side, bytes: &[u8], stamp: &Stamp, sink: &mut dyn Sink) -> usize {
        let mut rest = bytes;
        while !rest.is_empty()
            && let FrameLen::Bytes(length) = self.frame_len(from, rest)
            && let Some((frame, behind)) = rest.split_at_checked(length.max(1))
        {
            self.frame(from, frame, stamp, sink);
            rest = behind;
        }
        bytes.len() - rest.len()
    }

    /// Nothing follows `bytes`, which [`Dissector::frames`] has left: decodes what counts as whole then, and says how many
    /// bytes that is.
    fn last_frames(&mut self, _from: Side, _bytes: &[u8], _stamp: &Stamp, _sink: &mut dyn Sink) -> usize {
        0
    }

    /// Whether the bytes that [`Dissector::frames`] has left can be read in several ways, of which none is given up: then
    /// [`Dissector::frame_len`] does not judge them.
    fn is_in_doubt(&self, _from: Side) -> bool {
        false
    }

    /// Framing was found (again): something that `from` sent before the next frame is missing, or was no frame. Whatever
    /// spans frames starts afresh; its bytes so far are lost.
    fn interrupted(&mut self, _from: Side, _sink: &mut dyn Sink) {}

    /// Bytes that are kept for what spans frames and has not arrived completely.
    fn buffered(&self) -> usize {
        0
    }

    /// Gives up what is kept of a side for what spans frames, and tells that it is lost. Says whether there was anything.
    fn give_up(&mut self, _from: Side, _stamp: &Stamp, _sink: &mut dyn Sink) -> bool {
        false
    }

    /// Bytes of memory, nearly, that is taken by what later frames refer to: requests without an answer, subscriptions,
    /// names for nodes.
    fn remembered(&self) -> usize;

    /// Forgets what later frames refer to. Requests without an answer end as [`Outcome::Pending`].
    fn forget(&mut self, stamp: &Stamp, sink: &mut dyn Sink);

    /// Number of the next request. Requests are numbered for each flow: a flow that changes its protocol goes on with the
    /// number of the protocol before.
    fn next_request(&mut self) -> &mut u32;

    /// Keys from outside may open what this protocol encrypts. Most have no use for them.
    fn unlock(&mut self, _keys: &Arc<dyn Keys>) {}

    /// Tells which requests are overdue at `clock` (nanoseconds), in the order in which they were sent: [`Sink::overdue`].
    /// Their stamp is that of the request with `time` and `clock` moved to the end of the wait.
    fn expire(&mut self, clock: i64, sink: &mut dyn Sink);

    /// When the next unanswered request becomes overdue, nanoseconds on the scale of [`Stamp::clock`].
    fn deadline(&self) -> Option<i64>;

    /// The connection is closed at `clock`: no answer comes late any more. Reports what is overdue as
    /// [`Outcome::NoResponse`], now and from here on as soon as it is.
    fn close(&mut self, clock: i64, sink: &mut dyn Sink);

    /// The end of the flow or of the capture: reports every request that is still open, as [`Outcome::NoResponse`] if its
    /// answer is overdue and as [`Outcome::Pending`] otherwise.
    fn finish(&mut self, sink: &mut dyn Sink);
}

/// One row of the registry: a protocol in one framing.
#[derive(Debug)]
pub struct Protocol {
    /// The name in policy, alerts and statistics. Rows that differ only in framing share it.
    pub name: &'static str,
    /// The framing, for listings: `tcp`, `rtu`.
    pub framing: &'static str,
    /// The name in sentences, such as `Modbus`. Rows that differ only in framing share it.
    pub display_name: &'static str,
    /// What the row decodes, for listings, such as `Modbus RTU over TCP or UDP`.
    pub title: &'static str,
    /// What can carry it.
    pub transports: &'static [Transport],
    /// Its registered ports: a hint, never a proof.
    pub ports: &'static [u16],
    /// Longest frame, bytes.
    pub max_frame: usize,
    /// Shortest prefix from which `frame_len` can tell a length, bytes.
    pub min_frame: usize,
    /// Judges the first bytes that one end of a flow sent (or one datagram): structure only, no port.
    pub probe: fn(transport: Transport, bytes: &[u8]) -> Probe,
    /// Starts the decoder of one flow.
    pub open: fn(transport: Transport, limits: &Limits) -> Box<dyn Dissector>,
    /// The groups of its decoded PDUs in `--stats`, in order.
    pub pdu_groups: &'static [PduGroup],
    /// Every function it can name, for policy checks and listings.
    pub functions: &'static [Function],
    /// The techniques of an operation in ATT&CK for ICS; `None` if those of its class say all:
    /// [`Protocol::techniques_of`].
    pub techniques: fn(&Operation<'_>) -> Option<Techniques>,
}

impl Protocol {
    /// The first row of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        REGISTRY.iter().copied().find(|row| row.name == name)
    }

    /// Whether nothing but a checksum proves its frames: they have no header, and no port is theirs.
    pub(crate) const fn is_bare(&self) -> bool {
        self.ports.is_empty()
    }
}

/// A group of PDU counts in `--stats`, with the keys of the ground truth.
#[derive(Debug)]
pub struct PduGroup {
    /// Such as `requests`.
    pub name: &'static str,
    /// Writes a key as text, such as `3:2`.
    pub key: fn(u32) -> String,
}

/// One function that a protocol can name.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// The standard's name in snake_case.
    pub name: &'static str,
    /// The number on the wire.
    pub code: u32,
    /// What it does.
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
        assert!(Protocol::named("lamps").is_none());
    }
}
