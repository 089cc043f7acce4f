//! Pairs requests with their answers, by channel and by the request id in their sequence headers.

use alloc::boxed::Box;
use alloc::string::{String, ToString};

use super::aliases::Aliases;
use super::assembly::MessageKey;
use super::binary::{StatusCode, Unanimous};
use super::pending_request::{self, ChannelRequest, PendingRequest, RequestKind};
use super::results::{AnswerKey, RecentAnswers};
use super::service::{Direction, Message, Service, decode_type};
use super::session::Sessions;
use super::subscription::Subscriptions;
use super::{Context, MESSAGE_TYPES, SERVICE_IDS, chunk};
use crate::dissector::{AnomalyKind, Limits, Outcome, RequestRef, Side, Sink, Stamp};
use crate::fault::Fault;
use crate::operation::{Kind, Operation, Target, Values};
use crate::pending::{Pending, Waiting};

/// State of one connection: pending requests, and what later messages refer to.
#[derive(Debug)]
pub(super) struct Exchange {
    /// Number of the next request.
    next_number: u32,
    pub(super) sessions: Sessions,
    pub(super) pending: Pending<PendingRequest>,
    /// Publish requests: the server answers when it has something to report, so that they are never overdue.
    pub(super) publishes: Pending<PendingRequest>,
    pub(super) subscriptions: Subscriptions,
    pub(super) aliases: Aliases,
    /// Request id of the latest request.
    pub(super) last_id: u32,
    /// Bytes were lost since the oldest pending request.
    pub(super) is_lossy: bool,
    /// Limit on the bytes kept of pending requests.
    pub(super) limit: usize,
    /// Wait after which an answer is overdue, nanoseconds.
    pub(super) timeout: i64,
    pub(super) recent_answers: RecentAnswers,
}

/// A whole message with its origin.
#[derive(Clone, Copy)]
pub(super) struct ReceivedMessage<'m> {
    pub(super) channel: u32,
    /// Request id in the sequence header.
    pub(super) id: u32,
    /// The bytes of the message, from its type on.
    pub(super) body: &'m [u8],
    pub(super) message: Message<'m>,
    /// Only its beginning was kept.
    pub(super) is_truncated: bool,
    /// Servers disagree on its type.
    pub(super) has_unusual_type: bool,
}

impl ReceivedMessage<'_> {
    /// The pending request that this message is. `number`: the number of the request in its flow.
    pub(super) fn to_pending(self, number: u32, kind: RequestKind, stamp: &Stamp) -> PendingRequest {
        PendingRequest { requested: *stamp, number, channel: self.channel, id: Some(self.id), kind }
    }

    /// Identifies this answer, with the time in its header.
    pub(super) fn answer_key(&self, time: i64) -> AnswerKey {
        AnswerKey { channel: self.channel, id: self.id, service: self.message.service, time }
    }
}

/// How a body arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// In a single chunk that is not counted yet.
    SingleChunk,
    /// Completely, in chunks that are counted.
    Complete,
    /// In chunks that are counted; only the beginning was kept.
    Truncated,
}

impl Exchange {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            next_number: 0,
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

    /// Returns the number of the next request of the flow, and increments it.
    #[inline]
    pub(super) fn allocate_number(&mut self) -> u32 {
        let number = self.next_number;
        self.next_number = number.wrapping_add(1);
        number
    }

    /// The number that [`Self::allocate_number`] returns next.
    pub(super) fn next_request(&mut self) -> &mut u32 {
        &mut self.next_number
    }

    /// Counts a message by the number of its encoding.
    pub(super) fn count_message(&self, message: &Message<'_>, context: &mut Context<'_>) {
        context.sink.pdu(SERVICE_IDS, message_key(message));
    }

    /// Decodes a whole body: a request or an answer.
    pub(super) fn on_body(&mut self, channel: u32, id: u32, body: &[u8], arrival: Arrival, context: &mut Context<'_>) {
        let is_truncated = arrival == Arrival::Truncated;
        let (message, has_unusual_type) = match Message::decode(body, Unanimous) {
            Ok(message) => (message, false),
            Err(fault) => match self.decode_unusual(body, fault, arrival, context) {
                Some(message) => (message, true),
                None => return,
            },
        };
        match arrival {
            Arrival::SingleChunk => context.sink.pdus(CHUNK, (SERVICE_IDS, message_key(&message))),
            Arrival::Complete | Arrival::Truncated => self.count_message(&message, context),
        }
        let received = ReceivedMessage { channel, id, body, message, is_truncated, has_unusual_type };
        // The type of a standard message decides its direction, whichever end was taken for the client.
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

    /// Reads a message whose type is not standard, in the first reading that finds one. Without any, a request is announced
    /// as unread.
    fn decode_unusual<'m>(
        &mut self,
        body: &'m [u8],
        fault: Fault,
        arrival: Arrival,
        context: &mut Context<'_>,
    ) -> Option<Message<'m>> {
        fault.report(arrival == Arrival::Truncated, context);
        let message = decode_type(body);
        if message.is_none() {
            if arrival == Arrival::SingleChunk {
                context.sink.pdu(CHUNK.0, CHUNK.1);
            }
            if context.from == Side::Client {
                self.announce_unread(body, "type_id", context);
            }
        }
        message
    }

    /// Reports the requests that are overdue at `clock`.
    pub(super) fn expire(&mut self, clock: i64, sink: &mut dyn Sink) {
        self.pending.expire(clock, sink);
    }

    /// When the oldest request becomes overdue, on the scale of [`Stamp::clock`].
    #[inline]
    pub(super) fn deadline(&self) -> Option<i64> {
        self.pending.deadline()
    }

    /// Approximate memory taken by what later messages refer to, bytes.
    pub(super) fn memory(&self) -> usize {
        let waiting = self.pending.memory() + self.publishes.memory();
        waiting + self.subscriptions.memory() + self.aliases.memory()
    }

    /// Drops what later messages refer to. From then on, the nodes behind aliases are unknown.
    pub(super) fn forget(&mut self, stamp: &Stamp, sink: &mut dyn Sink) {
        self.pending.forget(stamp, sink);
        self.publishes.forget(stamp, sink);
        self.subscriptions = Subscriptions::default();
        self.aliases.forget();
    }

    /// The connection closes at `clock`: no answer can come late.
    pub(super) fn close(&mut self, clock: i64, sink: &mut dyn Sink) {
        self.pending.close(clock, sink);
    }

    /// The flow ends: requests that are not overdue end as [`Outcome::Pending`].
    pub(super) fn finish(&mut self, sink: &mut dyn Sink) {
        self.pending.finish(sink);
        self.publishes.finish(sink);
    }
}

/// Connections, channels, and encrypted messages.
impl Exchange {
    /// HEL: a client opens the connection.
    pub(super) fn on_hello(&mut self, url: &[u8], context: &mut Context<'_>) {
        let operation =
            pending_request::function_operation(pending_request::HELLO, Target::Endpoint { url }, Values::None);
        let number = self.report_operation(&operation, context);
        let kind = RequestKind::Hello(url.into());
        self.pending
            .push(PendingRequest { requested: *context.stamp, number, channel: 0, id: None, kind }, context.sink);
    }

    /// ACK: the server accepts it.
    pub(super) fn on_acknowledge(&mut self, context: &mut Context<'_>) {
        match self.pending.take(|pending| matches!(pending.kind, RequestKind::Hello(_)), |_| true) {
            Some((pending, _)) => pending.report_outcomes(Outcome::Accepted, context.stamp, context.sink),
            None => context.anomaly(AnomalyKind::Unmatched, "answer_without_request", None),
        }
    }

    /// ERR: the server ends the connection. This refuses the pending request, if there is only one, or else a pending Hello
    /// or OPN.
    pub(super) fn on_error(&mut self, status: StatusCode, context: &mut Context<'_>) {
        let mut waiting = self.pending.iter();
        let is_alone = waiting.next().is_some() && waiting.next().is_none();
        drop(waiting);
        let is_meant =
            |pending: &PendingRequest| is_alone || matches!(pending.kind, RequestKind::Hello(_) | RequestKind::Open(_));
        if let Some((pending, _)) = self.pending.take(is_meant, |_| true) {
            return pending.report_outcomes(refusal(status), context.stamp, context.sink);
        }
        self.report_concluded(
            &pending_request::function_operation(pending_request::ERROR, Target::None, Values::None),
            refusal(status),
            context,
        );
    }

    /// RHE: the server asks for a Hello.
    pub(super) fn on_reverse_hello(&mut self, url: &[u8], context: &mut Context<'_>) {
        let operation =
            pending_request::function_operation(pending_request::REVERSE_HELLO, Target::Endpoint { url }, Values::None);
        self.report_concluded(&operation, Outcome::Accepted, context);
    }

    /// A client requests a channel. `id`: the request id, if the body is readable.
    pub(super) fn on_channel_request(
        &mut self,
        channel: u32,
        id: Option<u32>,
        request: ChannelRequest,
        context: &mut Context<'_>,
    ) {
        let number = self.report_operation(&request.operation(), context);
        let kind = RequestKind::Open(Box::new(request));
        self.pending.push(PendingRequest { requested: *context.stamp, number, channel, id, kind }, context.sink);
    }

    /// The server grants or refuses a channel. Returns the request, if it was captured. `id`: the request id, if the body
    /// is readable; otherwise the oldest channel request is meant, since clients wait for their channel.
    pub(super) fn on_channel_response(
        &mut self,
        id: Option<u32>,
        outcome: Outcome,
        context: &mut Context<'_>,
    ) -> Option<ChannelRequest> {
        let matches = |pending: &PendingRequest| {
            matches!(pending.kind, RequestKind::Open(_)) && (id.is_none() || pending.id == id)
        };
        let Some((pending, _)) = self.pending.take(matches, |_| true) else {
            context.anomaly(AnomalyKind::Unmatched, "answer_without_request", None);
            return None;
        };
        pending.report_outcomes(outcome, context.stamp, context.sink);
        if let RequestKind::Open(request) = pending.kind { Some(*request) } else { None }
    }

    /// A side aborted a message of several chunks. If it was an answer, its request is refused.
    pub(super) fn on_abort(&mut self, key: MessageKey, status: StatusCode, context: &mut Context<'_>) {
        if key.from == Side::Server
            && let Some((pending, _)) =
                self.pending.take(|pending| pending.channel == key.channel && pending.id == key.request, |_| true)
        {
            return pending.report_outcomes(refusal(status), context.stamp, context.sink);
        }
        self.report_concluded(
            &pending_request::function_operation(pending_request::ABORT, Target::None, Values::None),
            refusal(status),
            context,
        );
    }

    /// Reports an encrypted message of `size` bytes on the wire.
    pub(super) fn report_encrypted(&mut self, size: usize, context: &mut Context<'_>) {
        let function = match context.from {
            Side::Client => pending_request::ENCRYPTED_REQUEST,
            Side::Server => pending_request::ENCRYPTED_RESPONSE,
        };
        let size = u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes();
        let values = Values::Typed { kind: Kind::U32, count: 1, bytes: &size };
        // Its outcome is encrypted, too.
        self.report_concluded(
            &pending_request::function_operation(function, Target::None, values),
            Outcome::Pending,
            context,
        );
    }

    /// Reports an encrypted CLO, whose effect is known.
    pub(super) fn report_encrypted_close(&mut self, context: &mut Context<'_>) {
        let function = pending_request::service_function(Service::CloseSecureChannel);
        self.report_concluded(
            &pending_request::function_operation(function, Target::None, Values::None),
            Outcome::Accepted,
            context,
        );
    }

    /// Reports an operation as a request of its own, and returns the number of the request.
    fn report_operation(&mut self, operation: &Operation<'_>, context: &mut Context<'_>) -> u32 {
        let number = self.allocate_number();
        context.sink.operation(RequestRef { request: number, item: 0 }, operation, context.stamp);
        number
    }

    /// Reports an operation that has no answer, together with its outcome.
    pub(super) fn report_concluded(&mut self, operation: &Operation<'_>, outcome: Outcome, context: &mut Context<'_>) {
        let at = RequestRef { request: self.report_operation(operation, context), item: 0 };
        let Context { stamp, ref mut sink, .. } = *context;
        sink.outcome(at, operation, outcome, stamp, stamp);
    }
}

/// The outcome that a bad status stands for.
pub(super) fn refusal(status: StatusCode) -> Outcome {
    Outcome::Refused { code: status.0, name: status.name() }
}

/// The key under which a message is counted: dense for standard services.
fn message_key(message: &Message<'_>) -> u32 {
    let service = if message.is_sessionless { Service::SessionlessInvoke } else { message.service };
    match message.direction {
        Some(direction) => (service as u32) << 1 | u32::from(direction == Direction::Response),
        None => VENDOR_BIT | message.number & !VENDOR_BIT,
    }
}

/// The number of the encoding counted under a key.
pub(super) fn name_of_key(key: u32) -> String {
    let service = Service::from_index((key >> 1) as usize).filter(|_| key & VENDOR_BIT == 0);
    let number = match service {
        Some(service) if key & 1 == 0 => service.code(),
        Some(service) => service.response_code(),
        None => key & !VENDOR_BIT,
    };
    number.to_string()
}

/// The key under which a chunk of a message is counted.
const CHUNK: (usize, u32) = (MESSAGE_TYPES, chunk::Kind::Message as u32);
/// Marks the key of a message that the standard does not define.
const VENDOR_BIT: u32 = 1 << 31;
/// Limit on the bytes kept of pending requests, small ones excepted, in units of [`Limits::partial`]: 512 KiB by default.
const SHARE: usize = 8;
