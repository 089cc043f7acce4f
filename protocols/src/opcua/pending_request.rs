//! Pending requests, stored as compactly as possible.
//!
//! Of a service request, the bytes behind its header are kept: the items are read from them again beside the results in the
//! answer. They are smaller than any decoded form, and are not kept at all if only the number of outcomes matters.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::aliases::Resolved;
use super::binary::Unanimous;
use super::security_policy::Suite;
use super::service::{Item, PossibleItem, Service, Subject, visit_items, visit_operations};
use crate::dissector::{Function, Outcome, RequestRef, Sink, Stamp};
use crate::operation::{Class, Operation, Target, Values};
use crate::pending::Waiting;
use crate::reader::Reader;
use crate::security::{Mode, UserKind};

/// The client opens a connection. It has no function code.
pub(super) const HELLO: Function = Function { name: "hello", code: 0, class: Class::Session };
/// A server that request the TCP connection asks for a Hello.
pub(super) const REVERSE_HELLO: Function = Function { name: "reverse_hello", code: 0, class: Class::Session };
/// The server ends an open connection.
pub(super) const ERROR: Function = Function { name: "error", code: 0, class: Class::Session };
/// A side aborts a message of several chunks.
pub(super) const ABORT: Function = Function { name: "abort", code: 0, class: Class::Session };
/// An encrypted message of a client.
pub(super) const ENCRYPTED_REQUEST: Function = Function { name: "encrypted_request", code: 0, class: Class::Opaque };
/// An encrypted message of a server.
pub(super) const ENCRYPTED_RESPONSE: Function = Function { name: "encrypted_response", code: 0, class: Class::Opaque };

/// A request whose service is unreadable.
pub(super) const UNREAD_REQUEST: Function = Function { name: "unread_request", code: 0, class: Class::Unknown };

/// Functions that are not services.
pub(super) const TRANSPORT: [Function; 7] =
    [HELLO, REVERSE_HELLO, ERROR, ABORT, ENCRYPTED_REQUEST, ENCRYPTED_RESPONSE, UNREAD_REQUEST];

/// A request that has no answer yet.
#[derive(Debug)]
pub(super) struct PendingRequest {
    pub(super) requested: Stamp,
    /// Number of the request in its flow.
    pub(super) number: u32,
    /// Channel id; 0 for none.
    pub(super) channel: u32,
    /// Request id in its sequence header, if readable: the answer has the same.
    pub(super) id: Option<u32>,
    pub(super) kind: RequestKind,
}

/// What a pending request asks for.
#[derive(Debug)]
pub(super) enum RequestKind {
    /// A connection, to the endpoint of this URL.
    Hello(Box<[u8]>),
    /// A secure channel, or a new token for one.
    Open(Box<ChannelRequest>),
    /// ActivateSession. No secrets are kept.
    Login(Box<[Login]>),
    /// Any other service.
    Service(ServiceRequest),
}

/// A request to open or renew a channel.
#[derive(Debug)]
pub(super) struct ChannelRequest {
    pub(super) suite: Suite,
    pub(super) mode: Option<Mode>,
    pub(super) is_renewal: bool,
    /// Its sequence number, if readable.
    pub(super) sequence: Option<u32>,
}

/// One operation of ActivateSession.
#[derive(Debug)]
pub(super) struct Login {
    /// Kind and name of the user; `None` if unreadable.
    pub(super) user: Option<(UserKind, Box<[u8]>)>,
    pub(super) is_ambiguous: bool,
}

/// A request of a service.
#[derive(Debug)]
pub(super) struct ServiceRequest {
    pub(super) service: Service,
    /// The sink awaits the outcome of at least one of its operations.
    pub(super) is_awaited: bool,
    /// The function code: the number of its encoding.
    pub(super) code: u32,
    pub(super) retained: Retention,
}

/// What is kept of a request until its answer arrives.
#[derive(Debug)]
pub(super) enum Retention {
    /// The number of its operations, whose outcomes are only counted.
    Count(u32),
    /// The bytes behind its header, which all servers read alike.
    Content(Vec<u8>),
    /// All of it, and the state that the announcement of its operations depended on.
    Whole(Box<WholeRequest>),
    /// Nothing: its operations are concluded, and its answer is only recognised.
    Nothing,
}

/// A whole request, and the state that the announcement of its operations depended on.
#[derive(Debug)]
pub(super) struct WholeRequest {
    /// Its bytes, from its type on.
    pub(super) body: Vec<u8>,
    /// Only its beginning was kept.
    pub(super) is_truncated: bool,
    /// Its session, by [`Token::key`](super::service::Token::key).
    pub(super) session: u64,
    /// The subscription that it names; meaningless for a service that names none.
    pub(super) subscription: u32,
    /// The nodes behind aliases, sorted by the number of the operation.
    pub(super) resolved: Vec<(u32, Resolved)>,
}

/// One announced operation of a kept request.
pub(super) struct ReplayedItem<'i, 'a> {
    /// Position of the operation in the request.
    pub(super) number: u32,
    /// The item, with aliases resolved.
    pub(super) item: &'i Item<'a>,
    /// The item as it stands in the request, and the place of its result.
    pub(super) found: &'i PossibleItem<'i, 'a>,
}

impl ServiceRequest {
    /// Visits its items in the order of their announcement.
    pub(super) fn visit_items(&self, mut visit: impl FnMut(&ReplayedItem<'_, '_>)) {
        let mut number = 0;
        // Faults were reported when the request was announced.
        let _ = match &self.retained {
            Retention::Count(_) | Retention::Nothing => Ok(()),
            Retention::Content(content) => visit_items(self.service, Reader::new(content), Unanimous, |item| {
                visit(&ReplayedItem { number, item, found: &PossibleItem::unanimous(item, number) });
                number += 1;
            }),
            Retention::Whole(whole) => visit_operations(&whole.body, whole.is_truncated, |found| {
                whole.resolve(number, found, &mut visit);
                number += 1;
            }),
        };
    }

    /// One of its items as an operation.
    #[inline]
    pub(super) fn operation<'v>(&self, replayed: &'v ReplayedItem<'_, '_>, values: Values<'v>) -> Operation<'v> {
        let ambiguous = replayed.found.is_ambiguous;
        Operation { ambiguous, ..item_operation(self.service, self.code, replayed.item, values) }
    }

    /// Its session, if that matters for its answer.
    pub(super) fn session(&self) -> Option<u64> {
        if let Retention::Whole(whole) = &self.retained { Some(whole.session) } else { None }
    }

    /// The subscription that it names; meaningless for a service that names none.
    pub(super) fn subscription(&self) -> u32 {
        match &self.retained {
            Retention::Content(content) => leading_number(content),
            Retention::Whole(whole) => whole.subscription,
            Retention::Count(_) | Retention::Nothing => 0,
        }
    }

    /// The bytes that are kept.
    pub(super) fn bytes(&self) -> &[u8] {
        match &self.retained {
            Retention::Content(bytes) => bytes,
            Retention::Whole(whole) => &whole.body,
            Retention::Count(_) | Retention::Nothing => &[],
        }
    }

    /// The memory of the bytes that are kept.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        match self.retained {
            Retention::Content(bytes) => bytes,
            Retention::Whole(whole) => whole.body,
            Retention::Count(_) | Retention::Nothing => Vec::new(),
        }
    }
}

impl WholeRequest {
    /// Visits an item with its aliases resolved.
    fn resolve(&self, number: u32, found: &PossibleItem<'_, '_>, visit: &mut impl FnMut(&ReplayedItem<'_, '_>)) {
        let place = self.resolved.binary_search_by_key(&number, |(number, _)| *number).ok();
        match place.and_then(|place| self.resolved.get(place)) {
            Some((_, resolved)) => visit(&ReplayedItem { number, item: &resolved.apply_to(found.item), found }),
            None => visit(&ReplayedItem { number, item: found.item, found }),
        }
    }
}

/// An item of a request as an operation. Items of class `security` carry passwords and keys, so that their values are
/// dropped.
#[inline]
pub(super) fn item_operation<'v>(service: Service, code: u32, item: &'v Item<'_>, values: Values<'v>) -> Operation<'v> {
    let values = if item.class == Class::Security { Values::None } else { values };
    Operation {
        class: item.class,
        function: service.name(),
        code,
        ambiguous: false,
        target: item.subject.target(),
        values,
    }
}

/// An operation of a function without items.
pub(super) fn function_operation<'v>(function: Function, target: Target<'v>, values: Values<'v>) -> Operation<'v> {
    Operation { class: function.class, function: function.name, code: function.code, ambiguous: false, target, values }
}

impl PendingRequest {
    /// Visits its operations as they were announced, each with its position. Those that are only counted are not visited.
    fn visit_items(&self, mut visit: impl FnMut(u32, &Operation<'_>)) {
        match &self.kind {
            RequestKind::Hello(url) => visit(0, &function_operation(HELLO, Target::Endpoint { url }, Values::None)),
            RequestKind::Open(request) => visit(0, &request.operation()),
            RequestKind::Login(logins) => (0..).zip(logins).for_each(|(place, login)| visit(place, &login.operation())),
            RequestKind::Service(request) => {
                request.visit_items(|replayed| visit(replayed.number, &request.operation(replayed, Values::None)));
            }
        }
    }

    /// Reports the outcome of one of its operations.
    #[inline]
    pub(super) fn conclude_one(
        &self,
        item: u32,
        operation: &Operation<'_>,
        outcome: Outcome,
        (stamp, sink): (&Stamp, &mut dyn Sink),
    ) {
        sink.outcome(RequestRef { request: self.number, item }, operation, outcome, &self.requested, stamp);
    }

    /// The service that it asks for; `None` for a Hello.
    #[inline]
    pub(super) fn service(&self) -> Option<Service> {
        match &self.kind {
            RequestKind::Hello(_) => None,
            RequestKind::Open(_) => Some(Service::OpenSecureChannel),
            RequestKind::Login(_) => Some(Service::ActivateSession),
            RequestKind::Service(request) => Some(request.service),
        }
    }
}

impl ChannelRequest {
    /// The request as an operation.
    pub(super) fn operation(&self) -> Operation<'_> {
        let target = Target::Channel { mode: self.mode, policy: self.suite.name() };
        function_operation(service_function(Service::OpenSecureChannel), target, Values::None)
    }
}

impl Login {
    /// The login of one item of ActivateSession.
    pub(super) fn of(found: &PossibleItem<'_, '_>) -> Self {
        let user = match found.item.subject {
            Subject::User { kind, name } => Some((kind, short_name(name))),
            _ => None,
        };
        Self { user, is_ambiguous: found.is_ambiguous }
    }

    /// The login as an operation.
    pub(super) fn operation(&self) -> Operation<'_> {
        let target = match &self.user {
            Some((kind, name)) => Target::User { kind: *kind, name },
            None => Target::Unread { part: "item" },
        };
        let ambiguous = self.is_ambiguous;
        Operation { ambiguous, ..function_operation(service_function(Service::ActivateSession), target, Values::None) }
    }
}

/// A copy of a user name, cut to [`MAX_NAME`].
pub(super) fn short_name(name: &[u8]) -> Box<[u8]> {
    name.get(..MAX_NAME).unwrap_or(name).into()
}

/// The function of a service.
pub(super) fn service_function(service: Service) -> Function {
    Function { name: service.name(), code: service.code(), class: service.class() }
}

impl Waiting for PendingRequest {
    fn heap(&self) -> usize {
        if let RequestKind::Service(request) = &self.kind { request.bytes().len() } else { 0 }
    }

    #[inline]
    fn requested(&self) -> &Stamp {
        &self.requested
    }

    fn report_outcomes(&self, outcome: Outcome, stamp: &Stamp, sink: &mut dyn Sink) {
        match self.kind {
            RequestKind::Service(ServiceRequest { retained: Retention::Count(count), .. }) => {
                sink.ended(outcome, count)
            }
            _ => self.visit_items(|item, operation| self.conclude_one(item, operation, outcome, (stamp, &mut *sink))),
        }
    }

    fn is_replaced_by(&self, newer: &Self) -> bool {
        self.id.is_some() && (self.channel, self.id) == (newer.channel, newer.id)
    }
}

/// The number behind the header of a request: the subscription, for services that name one.
pub(super) fn leading_number(content: &[u8]) -> u32 {
    content.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// Longest user name that is kept, bytes.
const MAX_NAME: usize = 256;

/// An item of a service that names no target.
pub(super) fn service_item<'a>(service: Service) -> Item<'a> {
    Item { class: service.class(), subject: Subject::None, values: Values::None, handle: 0, deviation: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pending_request_takes_at_most_88_bytes() {
        assert!(size_of::<PendingRequest>() <= 88, "{}", size_of::<PendingRequest>());
    }
}
