//! Requests: announces each of their operations, and keeps what their answers need.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::Context;
use super::aliases::{ANY_SESSION, AliasLookup, Aliases, Resolved};
use super::binary::{Dialect, Encoded, Reading, Unanimous};
use super::exchange::{Exchange, ReceivedMessage};
use super::pending_request::{self, Login, PendingRequest, RequestKind, Retention, ServiceRequest, WholeRequest};
use super::service::{
    ActivateRequest, BatchSummary, Identity, Item, Message, RequestHead, RequestHeader, Service, Token, decode_type,
    visit_items, visit_operations,
};
use super::session;
use crate::dissector::{AnomalyKind, Outcome, RequestRef};
use crate::fault::Fault;
use crate::memory;
use crate::operation::{Namespaces, Operation, Target, Values};
use crate::pending::Waiting;
use crate::reader::Reader;
use crate::security::{Security, UserKind};

impl Exchange {
    /// Decodes a request, announces its operations and keeps it until its answer.
    pub(super) fn on_request(&mut self, received: &ReceivedMessage<'_>, context: &mut Context<'_>) {
        let Message { service, mut content, has_own_namespaces, .. } = received.message;
        if received.has_unusual_type || has_own_namespaces {
            return self.on_unusual(received, context);
        }
        let token = match RequestHeader::decode(&mut content, Unanimous) {
            Ok(header) => header.token,
            Err(fault) => {
                fault.report(received.is_truncated, context);
                return self.on_unusual(received, context);
            }
        };
        match service {
            Service::CreateSession | Service::CloseSession | Service::ActivateSession => {
                let head = RequestHead { message: received.message, token, content };
                if let Err(fault) = self.report_session(&head, Unanimous, None, context) {
                    fault.report(received.is_truncated, context);
                    return self.on_unusual(received, context);
                }
                if service == Service::ActivateSession {
                    return self.announce_login(received, context);
                }
            }
            _ => self.sessions.on_request(&token, context),
        }
        self.announce_request(received, &token, content, context);
    }

    /// Reports what a request reveals about its session, and returns the user of ActivateSession; fails if the user is
    /// unreadable. `known`: the user in another reading of the same request, which is already reported.
    fn report_session<'m>(
        &mut self,
        head: &RequestHead<'m>,
        dialect: impl Dialect,
        known: Option<Identity<'m>>,
        context: &mut Context<'_>,
    ) -> Result<Option<Identity<'m>>, Fault> {
        let RequestHead { message, token, mut content } = *head;
        self.sessions.on_request(&token, context);
        match message.service {
            Service::CreateSession => _ = session::report_create_request(content, context),
            Service::CloseSession => self.sessions.close(&token),
            Service::ActivateSession => {
                let identity = ActivateRequest::decode(&mut content, dialect)?.identity;
                if known != Some(identity) {
                    self.sessions.activate(&token, &identity, context);
                }
                return Ok(Some(identity));
            }
            _ => {}
        }
        Ok(known)
    }

    /// Announces the operations of a request and keeps it until its answer.
    #[inline]
    fn announce_request(
        &mut self,
        received: &ReceivedMessage<'_>,
        token: &Token<'_>,
        content: Reader<'_>,
        context: &mut Context<'_>,
    ) {
        let (service, number) = (received.message.service, self.allocate_number());
        let code = received.message.code();
        let lookup = if self.aliases.is_empty() { None } else { Some(self.alias_lookup(token, context)) };
        let summary = BatchSummary::of_request(service, content).and_then(|summary| match lookup {
            None => Some(summary),
            Some(lookup) => self.aliases.resolve_summary(lookup, summary),
        });
        let is_passed =
            summary.is_some_and(|summary| context.sink.pass(summary.class, summary.namespaces, summary.count));
        let mut announced = Announcement { number, ..Announcement::default() };
        if !is_passed {
            let mut announcer = Announcer { service, code, aliases: &self.aliases, lookup, announced, context };
            announcer.announce_all(received, content);
            announced = announcer.announced;
        }
        let is_awaited = announced.is_awaited;
        // Values of nodes in the standard's own namespace may identify the server.
        let counted = summary.filter(|summary| !is_awaited && !summary.namespaces.meet(Namespaces::only(0)));
        if let Some(BatchSummary { count, .. }) = counted {
            self.supersede(received.channel, received.id, context);
            let kind =
                RequestKind::Service(ServiceRequest { service, is_awaited, code, retained: Retention::Count(count) });
            return self.pending.push(received.to_pending(number, kind, context.stamp), context.sink);
        }
        let retained = self.retain(received, token, content, announced, context);
        let kind = RequestKind::Service(ServiceRequest { service, is_awaited, code, retained });
        self.await_answer(received.to_pending(number, kind, context.stamp), context);
    }

    /// The lookup of aliases for a request with this session token.
    fn alias_lookup(&self, token: &Token<'_>, context: &Context<'_>) -> AliasLookup {
        AliasLookup { session: token.key(), overdue_before: context.stamp.clock.saturating_sub(self.timeout) }
    }

    /// Keeps what the answer to a request will need.
    fn retain(
        &mut self,
        received: &ReceivedMessage<'_>,
        token: &Token<'_>,
        content: Reader<'_>,
        announced: Announcement,
        context: &mut Context<'_>,
    ) -> Retention {
        let needs_session = match received.message.service {
            Service::Publish => return Retention::Content(Vec::new()),
            Service::RegisterNodes => true,
            Service::UnregisterNodes | Service::CloseSession => !self.aliases.is_empty(),
            _ => false,
        };
        if needs_session || announced.has_unusual_type || !announced.resolved.is_empty() {
            return self.retain_whole(received, token.key(), content, announced, context);
        }
        Retention::Content(copy_bytes(content.rest(), context))
    }

    /// Keeps a whole request, with its session and the nodes behind its aliases.
    fn retain_whole(
        &mut self,
        received: &ReceivedMessage<'_>,
        session: u64,
        content: Reader<'_>,
        announced: Announcement,
        context: &mut Context<'_>,
    ) -> Retention {
        if received.message.service == Service::RegisterNodes {
            self.aliases.begin_registration(announced.number, session, context.stamp.clock);
        }
        let (body, subscription) =
            (copy_bytes(received.body, context), pending_request::leading_number(content.rest()));
        let (is_truncated, resolved) = (received.is_truncated, announced.resolved);
        Retention::Whole(Box::new(WholeRequest { body, is_truncated, session, subscription, resolved }))
    }

    /// Decodes a request whose type or header servers read in different ways, or that has its own namespace table.
    fn on_unusual(&mut self, received: &ReceivedMessage<'_>, context: &mut Context<'_>) {
        let service = received.message.service;
        let (mut first, mut user) = (None, None);
        for reading in Reading::OF_SERVERS {
            if let Ok(head) = RequestHead::read(received.body, reading) {
                first = first.or(Some(head));
                user = self.report_session(&head, reading, user, context).unwrap_or(user);
            }
        }
        if service == Service::ActivateSession {
            return self.announce_login(received, context);
        }
        let (number, code) = (self.allocate_number(), received.message.code());
        let lookup = first.filter(|_| !self.aliases.is_empty()).map(|head| self.alias_lookup(&head.token, context));
        let announced = Announcement { number, has_unusual_type: true, ..Announcement::default() };
        let mut announcer = Announcer { service, code, aliases: &self.aliases, lookup, announced, context };
        let _ = visit_operations(received.body, received.is_truncated, |found| {
            announcer.announce_item(found.item, found.is_ambiguous)
        });
        let announced = announcer.announced;
        let is_awaited = announced.is_awaited;
        let (session, content) = match first {
            Some(RequestHead { token, content, .. }) => (token.key(), content),
            None => (ANY_SESSION, Reader::new(&[])),
        };
        let retained = self.retain_whole(received, session, content, announced, context);
        let kind = RequestKind::Service(ServiceRequest { service, is_awaited, code, retained });
        self.await_answer(received.to_pending(number, kind, context.stamp), context);
    }

    /// Announces ActivateSession, of which only the user is kept.
    fn announce_login(&mut self, received: &ReceivedMessage<'_>, context: &mut Context<'_>) {
        let number = self.allocate_number();
        let mut logins = Vec::new();
        let _ = visit_operations(received.body, received.is_truncated, |found| {
            let login = Login::of(found);
            let at = RequestRef { request: number, item: logins.len() as u32 };
            context.sink.operation(at, &login.operation(), context.stamp);
            logins.push(login);
        });
        if logins.iter().any(|login| login.user.is_none()) {
            let fact = Security::User { kind: UserKind::Unread, name: None, clear_secret: false };
            context.sink.security(&fact, context.stamp);
        }
        let kind = RequestKind::Login(logins.into());
        self.await_answer(received.to_pending(number, kind, context.stamp), context);
    }

    /// Announces a request of which at most the beginning is readable, as one unread operation.
    pub(super) fn announce_unread(&mut self, beginning: &[u8], part: &'static str, context: &mut Context<'_>) {
        let target = Target::Unread { part };
        let operation = match decode_type(beginning).filter(|message| message.is_request()) {
            Some(message) => {
                let service = message.service;
                Operation {
                    code: message.code(),
                    ..pending_request::function_operation(
                        pending_request::service_function(service),
                        target,
                        Values::None,
                    )
                }
            }
            None => pending_request::function_operation(pending_request::UNREAD_REQUEST, target, Values::None),
        };
        self.report_concluded(&operation, Outcome::Pending, context);
    }

    /// Adds a request to the pending ones, or concludes it if it cannot be kept.
    fn await_answer(&mut self, pending: PendingRequest, context: &mut Context<'_>) {
        if let Some(id) = pending.id {
            self.supersede(pending.channel, id, context);
        }
        if pending.heap() > ALWAYS_RETAINED {
            context.sink.takes_memory();
        }
        match pending.service() {
            // The server closes the connection without an answer.
            Some(Service::CloseSecureChannel) => {
                pending.report_outcomes(Outcome::Accepted, context.stamp, context.sink)
            }
            Some(Service::Publish) => self.publishes.push(pending, context.sink),
            _ if self.has_room(&pending) => self.pending.push(pending, context.sink),
            _ => self.conclude_without_room(pending, context),
        }
    }

    /// Concludes an earlier request with the same channel and id, because their answers cannot be distinguished.
    #[inline]
    fn supersede(&mut self, channel: u32, id: u32, context: &mut Context<'_>) {
        let is_next = id.wrapping_sub(self.last_id).cast_signed() > 0;
        self.last_id = id;
        if !is_next || self.is_lossy {
            self.conclude_superseded(channel, id, context);
        }
    }

    /// Concludes every pending request with this channel and id.
    fn conclude_superseded(&mut self, channel: u32, id: u32, context: &mut Context<'_>) {
        // Bytes lost before do not matter once no request is pending.
        self.is_lossy &= self.pending.iter().next().is_some();
        let is_same = |earlier: &PendingRequest| (earlier.channel, earlier.id) == (channel, Some(id));
        while let Some((earlier, _)) = self.pending.take(is_same, |_| true) {
            earlier.report_outcomes(Outcome::NoResponse, context.stamp, context.sink);
        }
    }

    /// Whether a request may be kept. Small ones always may: their number is limited.
    #[inline]
    fn has_room(&self, pending: &PendingRequest) -> bool {
        let waiting = || self.pending.all().map(Waiting::heap).sum::<usize>();
        pending.heap() <= ALWAYS_RETAINED || waiting() + pending.heap() <= self.limit
    }

    /// Concludes the operations of a request that cannot be kept, and remembers that it was captured, so that its answer is
    /// not taken for that of an unseen request.
    fn conclude_without_room(&mut self, pending: PendingRequest, context: &mut Context<'_>) {
        context.anomaly(AnomalyKind::Limit, "pending_bytes", None);
        pending.report_outcomes(Outcome::Pending, context.stamp, context.sink);
        let PendingRequest { requested, number, channel, id, kind: RequestKind::Service(request) } = pending else {
            return;
        };
        if request.service == Service::RegisterNodes {
            self.aliases.mark_unknown(request.session().unwrap_or(ANY_SESSION));
        }
        let kind = RequestKind::Service(ServiceRequest { retained: Retention::Nothing, ..request });
        self.pending.push(PendingRequest { requested, number, channel, id, kind }, context.sink);
    }
}

/// What was announced of a request.
#[derive(Default)]
struct Announcement {
    /// Number of the request in its flow.
    number: u32,
    /// Number of operations so far.
    count: u32,
    /// The sink awaits the outcome of at least one of them.
    is_awaited: bool,
    /// Servers read the request in different ways.
    has_unusual_type: bool,
    /// The nodes behind aliases, by the position of the operation.
    resolved: Vec<(u32, Resolved)>,
}

/// Announces the operations of a request.
struct Announcer<'t, 's> {
    service: Service,
    code: u32,
    aliases: &'t Aliases,
    /// The session whose aliases are resolved; `None` if there are no aliases.
    lookup: Option<AliasLookup>,
    announced: Announcement,
    context: &'t mut Context<'s>,
}

impl Announcer<'_, '_> {
    /// Announces the operations that all servers read alike, then, behind a fault, those that each family of servers reads.
    fn announce_all(&mut self, received: &ReceivedMessage<'_>, content: Reader<'_>) {
        if let Err(fault) = visit_items(self.service, content, Unanimous, |item| self.announce_item(item, false)) {
            self.announce_rest(received, fault);
        }
    }

    /// Announces the operations behind a fault.
    fn announce_rest(&mut self, received: &ReceivedMessage<'_>, fault: Fault) {
        fault.report(received.is_truncated, self.context);
        self.announced.has_unusual_type = true;
        let (announced, mut place) = (self.announced.count, 0);
        let _ = visit_operations(received.body, received.is_truncated, |found| {
            if place >= announced {
                self.announce_item(found.item, found.is_ambiguous);
            }
            place += 1;
        });
    }

    /// Announces one item, with its aliases resolved.
    #[inline]
    fn announce_item(&mut self, item: &Item<'_>, is_ambiguous: bool) {
        let place = self.announced.count;
        self.announced.count = place.saturating_add(1);
        match self.lookup.and_then(|lookup| self.aliases.resolve(lookup, &item.subject)) {
            None => self.announce_resolved(place, item, is_ambiguous),
            Some(resolved) => {
                self.announce_resolved(place, &resolved.apply_to(item), is_ambiguous);
                self.announced.resolved.push((place, resolved));
            }
        }
    }

    /// Announces one item as it is.
    #[inline]
    fn announce_resolved(&mut self, place: u32, item: &Item<'_>, is_ambiguous: bool) {
        let at = RequestRef { request: self.announced.number, item: place };
        let operation = pending_request::item_operation(self.service, self.code, item, item.values);
        let operation = Operation { ambiguous: is_ambiguous, ..operation };
        self.announced.is_awaited |= self.context.sink.operation(at, &operation, self.context.stamp);
        if let Some(name) = item.deviation {
            self.context.anomaly(AnomalyKind::Malformed, name, None);
        }
    }
}

/// Copies bytes that outlive their message into lent memory.
fn copy_bytes(bytes: &[u8], context: &mut Context<'_>) -> Vec<u8> {
    let mut kept = memory::lent(bytes.len(), bytes.len(), context.sink);
    kept.extend_from_slice(bytes);
    kept
}

/// Requests up to this size are always kept, bytes.
const ALWAYS_RETAINED: usize = 1024;
