//! Requests, joined with their answers: by channel and by the number that both carry in their sequence headers.

use alloc::boxed::Box;
use alloc::string::{String, ToString};

use super::aliases::Aliases;
use super::assembly::Key;
use super::binary::{StatusCode, Unanimous};
use super::pending_request::{self, Opened, PendingRequest, What};
use super::results::{AnswerKey, RecentAnswers};
use super::service::{Direction, Message, Service, message_of};
use super::session::Sessions;
use super::subscription::Subscriptions;
use super::{Context, MESSAGE_TYPES, SERVICE_IDS, chunk};
use crate::dissector::{AnomalyKind, Limits, Outcome, RequestRef, Side, Sink, Stamp};
use crate::fault::Fault;
use crate::operation::{Kind, Operation, Target, Values};
use crate::pending::{Pending, Waiting};

/// What one connection waits for, and what it remembers for that.
#[derive(Debug)]
pub(super) struct Exchange {
    /// Number of the next request.
    next: u32,
    pub(super) sessions: Sessions,
    pub(super) pending: Pending<PendingRequest>,
    /// Requests to publish, which wait until there is something to report: they are never overdue.
    pub(super) publishes: Pending<PendingRequest>,
    pub(super) subscriptions: Subscriptions,
    pub(super) aliases: Aliases,
    /// Number of the latest request in its sequence header.
    pub(super) last_id: u32,
    /// Bytes are missing since the oldest pending request.
    pub(super) is_lossy: bool,
    /// Bytes that requests may keep.
    pub(super) limit: usize,
    /// How long an answer is waited for, nanoseconds.
    pub(super) timeout: i64,
    pub(super) recent_answers: RecentAnswers,
}

/// A whole message, and how it came.
#[derive(Clone, Copy)]
pub(super) struct ReceivedMessage<'m> {
    pub(super) channel: u32,
    /// Number of the request in the sequence header.
    pub(super) id: u32,
    /// From its type on.
    pub(super) body: &'m [u8],
    pub(super) message: Message<'m>,
    /// Only its beginning is there.
    pub(super) is_cut: bool,
    /// Servers do not all read its type alike.
    pub(super) is_unusual: bool,
}

impl ReceivedMessage<'_> {
    /// What identifies an answer with this time in its header.
    pub(super) fn answer_key(&self, time: i64) -> AnswerKey {
        AnswerKey { channel: self.channel, id: self.id, service: self.message.service, time }
    }
}

/// How a body came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// In one chunk, which is counted with it.
    InOneChunk,
    /// In chunks that were counted.
    Whole,
    /// The same, and only its beginning was kept.
    Cut,
}

impl Exchange {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            next: 0,
            sessions: Sessions::default(),
            pending: Pending::new(limits),
            publishes: Pending::new(limits),
            subscriptions: Subscriptions::default(),
            aliases: Aliases::default(),
            last_id: 0,
            is_lossy: false,
            limit: limits.partial.saturating_mul(SHARE),
            timeout: limits.answer_timeout.max(0),
            recent_answers: RecentAnswers::default(),
        }
    }

    /// Takes a number for the next request of the flow.
    #[inline]
    pub(super) fn number(&mut self) -> u32 {
        let number = self.next;
        self.next = number.wrapping_add(1);
        number
    }

    /// The number that [`Self::number`] takes next.
    pub(super) fn next_request(&mut self) -> &mut u32 {
        &mut self.next
    }

    /// Counts a message under the number of its encoding.
    pub(super) fn count(&self, message: &Message<'_>, context: &mut Context<'_>) {
        context.sink.pdu(SERVICE_IDS, key(message));
    }

    /// A body.
    pub(super) fn receive(&mut self, channel: u32, id: u32, body: &[u8], came: Came, context: &mut Context<'_>) {
        let is_cut = came == Came::Cut;
        let (message, is_unusual) = match Message::decode(body, Unanimous) {
            Ok(message) => (message, false),
            Err(fault) => match self.unusual(body, fault, came, context) {
                Some(message) => (message, true),
                None => return,
            },
        };
        match came {
            Came::InOneChunk => context.sink.pdus(CHUNK, (SERVICE_IDS, key(&message))),
            Came::Whole | Came::Cut => self.count(&message, context),
        }
        let received = ReceivedMessage { channel, id, body, message, is_cut, is_unusual };
        // Who asks, asks: the direction of a message of the standard does not depend on who was taken for the client.
        let direction = message.direction.unwrap_or(match context.from {
            Side::Client => Direction::Request,
            Side::Server => Direction::Response,
        });
        if direction.sender() != context.from {
            context.malformed("service_direction", message.service.code());
        }
        match direction {
            Direction::Request => self.on_request(&received, context),
            Direction::Response => self.on_response(&received, context),
        }
    }

    /// A message whose type is odd: in the first reading that has a type for it. A request that has none in any reading is
    /// announced as unread.
    fn unusual<'m>(
        &mut self,
        body: &'m [u8],
        fault: Fault,
        came: Came,
        context: &mut Context<'_>,
    ) -> Option<Message<'m>> {
        fault.report(came == Came::Cut, context);
        let message = message_of(body);
        if message.is_none() {
            if came == Came::InOneChunk {
                context.sink.pdu(CHUNK.0, CHUNK.1);
            }
            if context.from == Side::Client {
                self.unread(body, "type_id", context);
            }
        }
        message
    }

    /// Gives up on requests that are overdue.
    pub(super) fn expire(&mut self, clock: i64, sink: &mut dyn Sink) {
        self.pending.expire(clock, sink);
    }

    /// When the oldest request becomes overdue.
    #[inline]
    pub(super) fn deadline(&self) -> Option<i64> {
        self.pending.deadline()
    }

    /// Bytes of memory that is taken by what later messages refer to.
    pub(super) fn memory(&self) -> usize {
        let waiting = self.pending.memory() + self.publishes.memory();
        waiting + self.subscriptions.memory() + self.aliases.memory()
    }

    /// Forgets what later messages refer to. What an alias stands for is not known from then on.
    pub(super) fn forget(&mut self, stamp: &Stamp, sink: &mut dyn Sink) {
        self.pending.forget(stamp, sink);
        self.publishes.forget(stamp, sink);
        self.subscriptions = Subscriptions::default();
        self.aliases.forget();
    }

    /// The connection is closed.
    pub(super) fn close(&mut self, clock: i64, sink: &mut dyn Sink) {
        self.pending.close(clock, sink);
    }

    /// The end of the flow: what waits stays open.
    pub(super) fn finish(&mut self, sink: &mut dyn Sink) {
        self.pending.finish(sink);
        self.publishes.finish(sink);
    }
}

/// Connections, channels, and what cannot be read.
impl Exchange {
    /// A client opens the connection.
    pub(super) fn hello(&mut self, url: &[u8], context: &mut Context<'_>) {
        let operation = pending_request::plain(pending_request::HELLO, Target::Endpoint { url }, Values::None);
        let number = self.tell(&operation, context);
        let what = What::Hello(url.into());
        self.pending
            .push(PendingRequest { requested: *context.stamp, number, channel: 0, id: None, what }, context.sink);
    }

    /// The server accepts it.
    pub(super) fn acknowledged(&mut self, context: &mut Context<'_>) {
        match self.pending.take(|asked| matches!(asked.what, What::Hello(_)), |_| true) {
            Some((asked, _)) => asked.conclude(Outcome::Accepted, context.stamp, context.sink),
            None => context.anomaly(AnomalyKind::Unmatched, "answer_without_request", None),
        }
    }

    /// The server ends the connection. If it was asked one thing, that is refused.
    pub(super) fn failed(&mut self, status: StatusCode, context: &mut Context<'_>) {
        let mut waiting = self.pending.iter();
        let is_alone = waiting.next().is_some() && waiting.next().is_none();
        drop(waiting);
        let is_meant = |asked: &PendingRequest| is_alone || matches!(asked.what, What::Hello(_) | What::Open(_));
        if let Some((asked, _)) = self.pending.take(is_meant, |_| true) {
            return asked.conclude(refused(status), context.stamp, context.sink);
        }
        self.happened(
            &pending_request::plain(pending_request::ERROR, Target::None, Values::None),
            refused(status),
            context,
        );
    }

    /// The server asks to be greeted.
    pub(super) fn reverse_hello(&mut self, url: &[u8], context: &mut Context<'_>) {
        let operation = pending_request::plain(pending_request::REVERSE_HELLO, Target::Endpoint { url }, Values::None);
        self.happened(&operation, Outcome::Accepted, context);
    }

    /// A client asks for a channel. `id` is known where the body can be read.
    pub(super) fn asks_channel(&mut self, channel: u32, id: Option<u32>, opened: Opened, context: &mut Context<'_>) {
        let number = self.tell(&opened.operation(), context);
        let what = What::Open(Box::new(opened));
        self.pending.push(PendingRequest { requested: *context.stamp, number, channel, id, what }, context.sink);
    }

    /// The server answers, and what was asked for is returned if it was seen. `id` is known where the body can be read;
    /// otherwise the oldest request is meant, since a client waits for its channel.
    pub(super) fn grants_channel(
        &mut self,
        id: Option<u32>,
        outcome: Outcome,
        context: &mut Context<'_>,
    ) -> Option<Opened> {
        let is_asked_by =
            |asked: &PendingRequest| matches!(asked.what, What::Open(_)) && (id.is_none() || asked.id == id);
        let Some((asked, _)) = self.pending.take(is_asked_by, |_| true) else {
            context.anomaly(AnomalyKind::Unmatched, "answer_without_request", None);
            return None;
        };
        asked.conclude(outcome, context.stamp, context.sink);
        if let What::Open(opened) = asked.what { Some(*opened) } else { None }
    }

    /// The sender of a message in chunks gave it up. If it is an answer, the request failed.
    pub(super) fn aborted(&mut self, key: Key, status: StatusCode, context: &mut Context<'_>) {
        if key.from == Side::Server
            && let Some((asked, _)) =
                self.pending.take(|asked| asked.channel == key.channel && asked.id == key.request, |_| true)
        {
            return asked.conclude(refused(status), context.stamp, context.sink);
        }
        self.happened(
            &pending_request::plain(pending_request::ABORT, Target::None, Values::None),
            refused(status),
            context,
        );
    }

    /// An encrypted message of so many bytes, on the wire.
    pub(super) fn opaque(&mut self, size: usize, context: &mut Context<'_>) {
        let function = match context.from {
            Side::Client => pending_request::ENCRYPTED_REQUEST,
            Side::Server => pending_request::ENCRYPTED_RESPONSE,
        };
        let size = u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes();
        let values = Values::Typed { kind: Kind::U32, count: 1, bytes: &size };
        // What becomes of it nobody sees.
        self.happened(&pending_request::plain(function, Target::None, values), Outcome::Pending, context);
    }

    /// An encrypted CLO: what it does shows.
    pub(super) fn closed(&mut self, context: &mut Context<'_>) {
        let function = pending_request::function(Service::CloseSecureChannel);
        self.happened(&pending_request::plain(function, Target::None, Values::None), Outcome::Accepted, context);
    }

    /// Tells an operation, and its number.
    fn tell(&mut self, operation: &Operation<'_>, context: &mut Context<'_>) -> u32 {
        let number = self.number();
        context.sink.operation(RequestRef { request: number, item: 0 }, operation, context.stamp);
        number
    }

    /// Tells an operation that nobody answers.
    pub(super) fn happened(&mut self, operation: &Operation<'_>, outcome: Outcome, context: &mut Context<'_>) {
        let at = RequestRef { request: self.tell(operation, context), item: 0 };
        let Context { stamp, ref mut sink, .. } = *context;
        sink.outcome(at, operation, outcome, stamp, stamp);
    }
}

/// What a bad status means for an operation.
pub(super) fn refused(status: StatusCode) -> Outcome {
    Outcome::Refused { code: status.0, name: status.name() }
}

/// The key under which a message is counted: dense for the services of the standard.
fn key(message: &Message<'_>) -> u32 {
    let service = if message.is_sessionless { Service::SessionlessInvoke } else { message.service };
    match message.direction {
        Some(direction) => (service as u32) << 1 | u32::from(direction == Direction::Response),
        None => FOREIGN | message.number & !FOREIGN,
    }
}

/// The number of the encoding that a key counts.
pub(super) fn service_id(key: u32) -> String {
    let service = Service::at((key >> 1) as usize).filter(|_| key & FOREIGN == 0);
    let number = match service {
        Some(service) if key & 1 == 0 => service.code(),
        Some(service) => service.response_code(),
        None => key & !FOREIGN,
    };
    number.to_string()
}

/// What a chunk of a message is counted under.
const CHUNK: (usize, u32) = (MESSAGE_TYPES, chunk::Kind::Message as u32);
/// The bit of a key that says that the message is none of the standard's.
const FOREIGN: u32 = 1 << 31;
/// The bytes that waiting requests may keep, unless they are small, in terms of [`Limits::partial`]: 512 KiB as a rule.
const SHARE: usize = 8;
