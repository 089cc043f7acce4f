//! Requests: announces each of their operations, and keeps what their answers need.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::Context;
use super::aliases::{ANY_SESSION, Aliases, Lookup, Resolved};
use super::binary::{Dialect, Encoded, Reading, Unanimous};
use super::exchange::{Exchange, ReceivedMessage};
use super::pending_request::{self, Kept, Login, PendingRequest, Request, What, Whole};
use super::service::{
    ActivateRequest, BatchSummary, Identity, Item, Message, Opened, RequestHeader, Service, Token, items, message_of,
    operations,
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
    pub(super) fn on_request(&mut self, received: &ReceivedMessage<'_>, context: &mut Context<'_>) {
        let Message { service, mut content, has_own_namespaces, .. } = received.message;
        if received.is_unusual || has_own_namespaces {
            return self.on_unusual(received, context);
        }
        let token = match RequestHeader::decode(&mut content, Unanimous) {
            Ok(header) => header.token,
            Err(fault) => {
                fault.report(received.is_cut, context);
                return self.on_unusual(received, context);
            }
        };
        match service {
            Service::CreateSession | Service::CloseSession | Service::ActivateSession => {
                let opened = Opened { message: received.message, token, content };
                if let Err(fault) = self.on_session(&opened, Unanimous, None, context) {
                    fault.report(received.is_cut, context);
                    return self.on_unusual(received, context);
                }
                if service == Service::ActivateSession {
                    return self.announce_login(received, context);
                }
            }
            _ => self.sessions.speaks(&token, context),
        }
        self.announce(received, &token, content, context);
    }

    /// Reports what a request says about sessions, and returns the user of ActivateSession; a fault means that the user cannot
    /// be read. `known`: the user in another reading of the same request, already reported.
    fn on_session<'m>(
        &mut self,
        opened: &Opened<'m>,
        dialect: impl Dialect,
        known: Option<Identity<'m>>,
        context: &mut Context<'_>,
    ) -> Result<Option<Identity<'m>>, Fault> {
        let Opened { message, token, mut content } = *opened;
        self.sessions.speaks(&token, context);
        match message.service {
            Service::CreateSession => _ = session::creates(content, context),
            Service::CloseSession => self.sessions.closes(&token),
            Service::ActivateSession => {
                let identity = ActivateRequest::decode(&mut content, dialect)?.identity;
                if known != Some(identity) {
                    self.sessions.activates(&token, &identity, context);
                }
                return Ok(Some(identity));
            }
            _ => {}
        }
        Ok(known)
    }

    /// Announces the operations of a request, and keeps it until its answer.
    #[inline]
    fn announce(
        &mut self,
        received: &ReceivedMessage<'_>,
        token: &Token<'_>,
        content: Reader<'_>,
        context: &mut Context<'_>,
    ) {
        let (service, number) = (received.message.service, self.number());
        let code = received.message.code();
        let lookup = if self.aliases.is_empty() { None } else { Some(self.lookup(token, context)) };
        let summary = BatchSummary::of_request(service, content).and_then(|summary| match lookup {
            None => Some(summary),
            Some(lookup) => self.aliases.resolve_summary(lookup, summary),
        });
        let is_passed =
            summary.is_some_and(|summary| context.sink.pass(summary.class, summary.namespaces, summary.count));
        let mut announced = Announced { number, ..Announced::default() };
        if !is_passed {
            let mut announcer = Announcer { service, code, aliases: &self.aliases, lookup, announced, context };
            announcer.announce_all(received, content);
            announced = announcer.announced;
        }
        let is_awaited = announced.is_awaited;
        // Nodes of the standard's own namespace may say who the server is.
        let counted = summary.filter(|summary| !is_awaited && !summary.namespaces.meet(Namespaces::only(0)));
        let (requested, channel, id) = (*context.stamp, received.channel, Some(received.id));
        if let Some(BatchSummary { count, .. }) = counted {
            self.supersede(channel, received.id, context);
            let what = What::Service(Request { service, is_awaited, code, kept: Kept::Counted(count) });
            return self.pending.push(PendingRequest { requested, number, channel, id, what }, context.sink);
        }
        let kept = self.keep(received, token, content, announced, context);
        let what = What::Service(Request { service, is_awaited, code, kept });
        self.wait(PendingRequest { requested, number, channel, id, what }, context);
    }

    fn lookup(&self, token: &Token<'_>, context: &Context<'_>) -> Lookup {
        Lookup { session: token.key(), overdue_before: context.stamp.clock.saturating_sub(self.timeout) }
    }

    /// What the answer to a request will need of it.
    fn keep(
        &mut self,
        received: &ReceivedMessage<'_>,
        token: &Token<'_>,
        content: Reader<'_>,
        announced: Announced,
        context: &mut Context<'_>,
    ) -> Kept {
        let needs_session = match received.message.service {
            Service::Publish => return Kept::Content(Vec::new()),
            Service::RegisterNodes => true,
            Service::UnregisterNodes | Service::CloseSession => !self.aliases.is_empty(),
            _ => false,
        };
        if needs_session || announced.is_unusual || !announced.resolved.is_empty() {
            return self.keep_whole(received, token.key(), content, announced, context);
        }
        Kept::Content(copied(content.rest(), context))
    }

    fn keep_whole(
        &mut self,
        received: &ReceivedMessage<'_>,
        session: u64,
        content: Reader<'_>,
        announced: Announced,
        context: &mut Context<'_>,
    ) -> Kept {
        if received.message.service == Service::RegisterNodes {
            self.aliases.expect(announced.number, session, context.stamp.clock);
        }
        let (body, subscription) = (copied(received.body, context), pending_request::first_number(content.rest()));
        let (is_cut, resolved) = (received.is_cut, announced.resolved);
        Kept::Whole(Box::new(Whole { body, is_cut, session, subscription, resolved }))
    }

    /// A request whose type or header servers do not all read alike, or that has a table of namespaces of its own.
    fn on_unusual(&mut self, received: &ReceivedMessage<'_>, context: &mut Context<'_>) {
        let service = received.message.service;
        let (mut first, mut user) = (None, None);
        for reading in Reading::OF_SERVERS {
            if let Ok(opened) = Opened::read(received.body, reading) {
                first = first.or(Some(opened));
                user = self.on_session(&opened, reading, user, context).unwrap_or(user);
            }
        }
        if service == Service::ActivateSession {
            return self.announce_login(received, context);
        }
        let (number, code) = (self.number(), received.message.code());
        let lookup = first.filter(|_| !self.aliases.is_empty()).map(|opened| self.lookup(&opened.token, context));
        let announced = Announced { number, is_unusual: true, ..Announced::default() };
        let mut announcer = Announcer { service, code, aliases: &self.aliases, lookup, announced, context };
        let _ = operations(received.body, received.is_cut, |found| announcer.announce(found.item, found.is_ambiguous));
        let announced = announcer.announced;
        let is_awaited = announced.is_awaited;
        let (session, content) = match first {
            Some(Opened { token, content, .. }) => (token.key(), content),
            None => (ANY_SESSION, Reader::new(&[])),
        };
        let kept = self.keep_whole(received, session, content, announced, context);
        let what = What::Service(Request { service, is_awaited, code, kept });
        let (requested, channel, id) = (*context.stamp, received.channel, Some(received.id));
        self.wait(PendingRequest { requested, number, channel, id, what }, context);
    }

    /// Announces ActivateSession, of which nothing but the user is kept.
    fn announce_login(&mut self, received: &ReceivedMessage<'_>, context: &mut Context<'_>) {
        let number = self.number();
        let mut logins = Vec::new();
        let _ = operations(received.body, received.is_cut, |found| {
            let login = Login::of(found);
            let at = RequestRef { request: number, item: logins.len() as u32 };
            context.sink.operation(at, &login.operation(), context.stamp);
            logins.push(login);
        });
        if logins.iter().any(|login| login.user.is_none()) {
            let fact = Security::User { kind: UserKind::Unread, name: None, clear_secret: false };
            context.sink.security(&fact, context.stamp);
        }
        let what = What::Login(logins.into());
        let (requested, channel, id) = (*context.stamp, received.channel, Some(received.id));
        self.wait(PendingRequest { requested, number, channel, id, what }, context);
    }

    /// Announces a request of which no more than the beginning can be read, or nothing at all, as one unread operation.
    pub(super) fn unread(&mut self, beginning: &[u8], part: &'static str, context: &mut Context<'_>) {
        let target = Target::Unread { part };
        let operation = match message_of(beginning).filter(|message| message.is_request()) {
            Some(message) => {
                let service = message.service;
                Operation {
                    code: message.code(),
                    ..pending_request::plain(pending_request::function(service), target, Values::None)
                }
            }
            None => pending_request::plain(pending_request::UNREAD_REQUEST, target, Values::None),
        };
        self.happened(&operation, Outcome::Pending, context);
    }

    /// Keeps a request until its answer.
    fn wait(&mut self, asked: PendingRequest, context: &mut Context<'_>) {
        if let Some(id) = asked.id {
            self.supersede(asked.channel, id, context);
        }
        if asked.heap() > SMALL {
            context.sink.takes_memory();
        }
        match asked.service() {
            // The server closes the connection instead of answering.
            Some(Service::CloseSecureChannel) => asked.conclude(Outcome::Accepted, context.stamp, context.sink),
            Some(Service::Publish) => self.publishes.push(asked, context.sink),
            _ if self.has_room(&asked) => self.pending.push(asked, context.sink),
            _ => self.wait_without_room(asked, context),
        }
    }

    /// Ends the wait for an earlier request with the same number: its answer cannot be told from that of the new one.
    #[inline]
    fn supersede(&mut self, channel: u32, id: u32, context: &mut Context<'_>) {
        let is_next = id.wrapping_sub(self.last_id).cast_signed() > 0;
        self.last_id = id;
        if !is_next || self.is_lossy {
            self.supersede_same(channel, id, context);
        }
    }

    fn supersede_same(&mut self, channel: u32, id: u32, context: &mut Context<'_>) {
        // What is missing has nothing to do with requests that come when none waits.
        self.is_lossy &= self.pending.iter().next().is_some();
        let is_same = |earlier: &PendingRequest| (earlier.channel, earlier.id) == (channel, Some(id));
        while let Some((earlier, _)) = self.pending.take(is_same, |_| true) {
            earlier.conclude(Outcome::NoResponse, context.stamp, context.sink);
        }
    }

    /// Whether a request may wait for its answer. Small ones always may: there are never many.
    #[inline]
    fn has_room(&self, asked: &PendingRequest) -> bool {
        let waiting = || self.pending.all().map(Waiting::heap).sum::<usize>();
        asked.heap() <= SMALL || waiting() + asked.heap() <= self.limit
    }

    /// Concludes the operations of a request that cannot be kept. That it was seen is remembered, so that its answer is not
    /// taken for that of an unseen request.
    fn wait_without_room(&mut self, asked: PendingRequest, context: &mut Context<'_>) {
        context.anomaly(AnomalyKind::Limit, "pending_bytes", None);
        asked.conclude(Outcome::Pending, context.stamp, context.sink);
        let PendingRequest { requested, number, channel, id, what: What::Service(request) } = asked else { return };
        if request.service == Service::RegisterNodes {
            self.aliases.mark_unknown(request.session().unwrap_or(ANY_SESSION));
        }
        let Request { service, is_awaited, code, .. } = request;
        let what = What::Service(Request { service, is_awaited, code, kept: Kept::Concluded });
        self.pending.push(PendingRequest { requested, number, channel, id, what }, context.sink);
    }
}

/// The operations of a request that were announced.
#[derive(Default)]
struct Announced {
    /// Number of the request.
    number: u32,
    /// Number of operations so far.
    count: u32,
    /// The sink waits for the outcome of one of them.
    is_awaited: bool,
    /// Servers do not all read it alike.
    is_unusual: bool,
    /// The nodes behind aliases, by the number of the operation.
    resolved: Vec<(u32, Resolved)>,
}

/// Announces the operations of a request.
struct Announcer<'t, 's> {
    service: Service,
    code: u32,
    aliases: &'t Aliases,
    /// For which session aliases are looked up; none if there are no aliases.
    lookup: Option<Lookup>,
    announced: Announced,
    context: &'t mut Context<'s>,
}

impl Announcer<'_, '_> {
    /// Announces the operations that every server reads, then, behind a fault, those that each family of servers reads.
    fn announce_all(&mut self, received: &ReceivedMessage<'_>, content: Reader<'_>) {
        if let Err(fault) = items(self.service, content, Unanimous, |item| self.announce(item, false)) {
            self.announce_rest(received, fault);
        }
    }

    fn announce_rest(&mut self, received: &ReceivedMessage<'_>, fault: Fault) {
        fault.report(received.is_cut, self.context);
        self.announced.is_unusual = true;
        let (announced, mut place) = (self.announced.count, 0);
        let _ = operations(received.body, received.is_cut, |found| {
            if place >= announced {
                self.announce(found.item, found.is_ambiguous);
            }
            place += 1;
        });
    }

    #[inline]
    fn announce(&mut self, item: &Item<'_>, is_ambiguous: bool) {
        let place = self.announced.count;
        self.announced.count = place.saturating_add(1);
        match self.lookup.and_then(|lookup| self.aliases.resolve(lookup, &item.subject)) {
            None => self.announce_one(place, item, is_ambiguous),
            Some(resolved) => {
                self.announce_one(place, &resolved.apply(item), is_ambiguous);
                self.announced.resolved.push((place, resolved));
            }
        }
    }

    #[inline]
    fn announce_one(&mut self, place: u32, item: &Item<'_>, is_ambiguous: bool) {
        let at = RequestRef { request: self.announced.number, item: place };
        let operation = pending_request::operation(self.service, self.code, item, item.values);
        let operation = Operation { ambiguous: is_ambiguous, ..operation };
        self.announced.is_awaited |= self.context.sink.operation(at, &operation, self.context.stamp);
        if let Some(name) = item.deviation {
            self.context.anomaly(AnomalyKind::Malformed, name, None);
        }
    }
}

/// A copy of bytes that are to be kept.
fn copied(bytes: &[u8], context: &mut Context<'_>) -> Vec<u8> {
    let mut kept = memory::lent(bytes.len(), bytes.len(), context.sink);
    memory::append(&mut kept, bytes);
    kept
}

/// Bytes of a request that waits whatever else waits.
const SMALL: usize = 1024;
