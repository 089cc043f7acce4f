//! Requests: each of their operations is told, and what their answers need is kept.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::Context;
use super::aliases::{ANY_SESSION, Aliases, Asker, Names};
use super::asked::{self, Asked, Kept, Login, Request, What, Whole};
use super::binary::{Dialect, Encoded, Reading, Unanimous};
use super::exchange::{Exchange, Said};
use super::service::{
    ActivateRequest, Identity, Item, Message, Opened, RequestHeader, Service, Survey, Token, items, message_of,
    operations,
};
use super::session;
use crate::dissector::{AnomalyKind, Outcome, RequestRef};
use crate::fault::Fault;
use crate::memory;
use crate::operation::{Namespaces, Operation, Target, Values};
use crate::pending::Waiting;
use crate::reader::Reader;

impl Exchange {
    pub(super) fn on_request(&mut self, said: &Said<'_>, context: &mut Context<'_>) {
        let Message { service, mut content, has_own_namespaces, .. } = said.message;
        if said.is_unusual || has_own_namespaces {
            return self.on_unusual(said, context);
        }
        let token = match RequestHeader::decode(&mut content, Unanimous) {
            Ok(header) => header.token,
            Err(fault) => {
                fault.report(said.is_cut, context);
                return self.on_unusual(said, context);
            }
        };
        match service {
            Service::CreateSession | Service::CloseSession | Service::ActivateSession => {
                let opened = Opened { message: said.message, token, content };
                if let Err(fault) = self.on_session(&opened, Unanimous, None, context) {
                    fault.report(said.is_cut, context);
                    return self.on_unusual(said, context);
                }
                if service == Service::ActivateSession {
                    return self.announce_login(said, context);
                }
            }
            _ => self.sessions.speaks(&token, context),
        }
        self.announce(said, &token, content, context);
    }

    /// What a request says about sessions. A fault is one of ActivateSession: who logs in cannot be read. Returns the user;
    /// `known`: the one that another reading of the same request told.
    #[cold]
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

    /// Tells the operations of a request, and remembers it until its answer.
    #[inline]
    fn announce(&mut self, said: &Said<'_>, token: &Token<'_>, content: Reader<'_>, context: &mut Context<'_>) {
        let (service, number) = (said.message.service, self.number());
        let code = said.message.code();
        let asker = if self.aliases.is_empty() { None } else { Some(self.asker(token, context)) };
        let survey = Survey::of_request(service, content).and_then(|survey| match asker {
            None => Some(survey),
            Some(asker) => self.aliases.widen(asker, survey),
        });
        let is_passed = survey.is_some_and(|survey| context.sink.pass(survey.class, survey.namespaces, survey.count));
        let mut telling = Telling { number, ..Telling::default() };
        if !is_passed {
            let mut teller = Teller { service, code, aliases: &self.aliases, asker, telling, context };
            teller.tell_all(said, content);
            telling = teller.telling;
        }
        let is_awaited = telling.is_awaited;
        // Nodes of the standard's own namespace may say who the server is.
        let counted = survey.filter(|survey| !is_awaited && !survey.namespaces.meet(Namespaces::only(0)));
        let (requested, channel, id) = (*context.stamp, said.channel, Some(said.id));
        if let Some(Survey { count, .. }) = counted {
            self.supersede(channel, said.id, context);
            let what = What::Service(Request { service, is_awaited, code, kept: Kept::Counted(count) });
            return self.pending.push(Asked { requested, number, channel, id, what }, context.sink);
        }
        let kept = self.keep(said, token, content, telling, context);
        let what = What::Service(Request { service, is_awaited, code, kept });
        self.wait(Asked { requested, number, channel, id, what }, context);
    }

    #[cold]
    fn asker(&self, token: &Token<'_>, context: &Context<'_>) -> Asker {
        Asker { session: token.key(), overdue: context.stamp.clock.saturating_sub(self.timeout) }
    }

    /// What the answer to a request will need of it.
    fn keep(
        &mut self,
        said: &Said<'_>,
        token: &Token<'_>,
        content: Reader<'_>,
        telling: Telling,
        context: &mut Context<'_>,
    ) -> Kept {
        let needs_session = match said.message.service {
            Service::Publish => return Kept::Content(Vec::new()),
            Service::RegisterNodes => true,
            Service::UnregisterNodes | Service::CloseSession => !self.aliases.is_empty(),
            _ => false,
        };
        if needs_session || telling.is_unusual || !telling.names.is_empty() {
            return self.keep_whole(said, token.key(), content, telling, context);
        }
        Kept::Content(copied(content.rest(), context))
    }

    #[cold]
    fn keep_whole(
        &mut self,
        said: &Said<'_>,
        session: u64,
        content: Reader<'_>,
        telling: Telling,
        context: &mut Context<'_>,
    ) -> Kept {
        if said.message.service == Service::RegisterNodes {
            self.aliases.asks(telling.number, session, context.stamp.clock);
        }
        let (body, subscription) = (copied(said.body, context), asked::first_number(content.rest()));
        let (is_cut, names) = (said.is_cut, telling.names);
        Kept::Whole(Box::new(Whole { body, is_cut, session, subscription, names }))
    }

    /// A request that servers do not all read alike from its beginning on, or whose nodes have names of its own.
    #[cold]
    #[inline(never)]
    fn on_unusual(&mut self, said: &Said<'_>, context: &mut Context<'_>) {
        let service = said.message.service;
        let (mut first, mut user) = (None, None);
        for reading in Reading::OF_SERVERS {
            if let Ok(opened) = Opened::read(said.body, reading) {
                first = first.or(Some(opened));
                // Where nobody can be read to log in, nobody is told to.
                user = self.on_session(&opened, reading, user, context).unwrap_or(user);
            }
        }
        if service == Service::ActivateSession {
            return self.announce_login(said, context);
        }
        let (number, code) = (self.number(), said.message.code());
        let asker = first.filter(|_| !self.aliases.is_empty()).map(|opened| self.asker(&opened.token, context));
        let telling = Telling { number, is_unusual: true, ..Telling::default() };
        let mut teller = Teller { service, code, aliases: &self.aliases, asker, telling, context };
        let _ = operations(said.body, said.is_cut, |found| teller.tell(found.item, found.is_ambiguous));
        let telling = teller.telling;
        let is_awaited = telling.is_awaited;
        let (session, content) = match first {
            Some(Opened { token, content, .. }) => (token.key(), content),
            None => (ANY_SESSION, Reader::new(&[])),
        };
        let kept = self.keep_whole(said, session, content, telling, context);
        let what = What::Service(Request { service, is_awaited, code, kept });
        let (requested, channel, id) = (*context.stamp, said.channel, Some(said.id));
        self.wait(Asked { requested, number, channel, id, what }, context);
    }

    /// ActivateSession: of it only who logs in is kept.
    #[cold]
    fn announce_login(&mut self, said: &Said<'_>, context: &mut Context<'_>) {
        let number = self.number();
        let mut logins = Vec::new();
        let _ = operations(said.body, said.is_cut, |found| {
            let login = Login::of(found);
            let at = RequestRef { request: number, item: logins.len() as u32 };
            context.sink.operation(at, &login.operation(), context.stamp);
            logins.push(login);
        });
        let what = What::Login(logins.into());
        let (requested, channel, id) = (*context.stamp, said.channel, Some(said.id));
        self.wait(Asked { requested, number, channel, id, what }, context);
    }

    /// A request of which no more is known than its beginning, or nothing: what a server makes of it is not known.
    #[cold]
    pub(super) fn unread(&mut self, beginning: &[u8], part: &'static str, context: &mut Context<'_>) {
        let target = Target::Unread { part };
        let operation = match message_of(beginning).filter(|message| message.is_request()) {
            Some(message) => {
                let service = message.service;
                Operation { code: message.code(), ..asked::plain(asked::function(service), target, Values::None) }
            }
            None => asked::plain(asked::UNREAD_REQUEST, target, Values::None),
        };
        self.happened(&operation, Outcome::Pending, context);
    }

    /// Remembers a request until its answer.
    fn wait(&mut self, asked: Asked, context: &mut Context<'_>) {
        if let Some(id) = asked.id {
            self.supersede(asked.channel, id, context);
        }
        match asked.service() {
            // The server closes the connection instead of answering.
            Some(Service::CloseSecureChannel) => asked.conclude(Outcome::Accepted, context.stamp, context.sink),
            Some(Service::Publish) => self.publishes.push(asked, context.sink),
            _ if self.has_room(&asked) => self.pending.push(asked, context.sink),
            _ => self.wait_without_room(asked, context),
        }
    }

    /// A number that is used again before its answer came: that of the earlier request will not come any more.
    #[inline]
    fn supersede(&mut self, channel: u32, id: u32, context: &mut Context<'_>) {
        let is_next = id.wrapping_sub(self.last_id).cast_signed() > 0;
        self.last_id = id;
        if !is_next || self.is_lossy {
            self.supersede_same(channel, id, context);
        }
    }

    #[cold]
    fn supersede_same(&mut self, channel: u32, id: u32, context: &mut Context<'_>) {
        // What is missing has nothing to do with requests that come when none waits.
        self.is_lossy &= self.pending.iter().next().is_some();
        let is_same = |earlier: &Asked| (earlier.channel, earlier.id) == (channel, Some(id));
        while let Some((earlier, _)) = self.pending.take(is_same, |_| true) {
            earlier.conclude(Outcome::NoResponse, context.stamp, context.sink);
        }
    }

    /// Whether a request may wait for its answer. Small ones always may: there are never many.
    #[inline]
    fn has_room(&self, asked: &Asked) -> bool {
        let size = |asked: &Asked| if let What::Service(request) = &asked.what { request.bytes().len() } else { 0 };
        let waiting = || self.pending.iter().map(size).sum::<usize>();
        size(asked) <= SMALL || waiting() + size(asked) <= self.limit
    }

    /// Its operations end here as far as is known. That it was seen is remembered, so that its answer proves nothing new.
    #[cold]
    fn wait_without_room(&mut self, asked: Asked, context: &mut Context<'_>) {
        context.anomaly(AnomalyKind::Limit, "pending_bytes", None);
        asked.conclude(Outcome::Pending, context.stamp, context.sink);
        let Asked { requested, number, channel, id, what: What::Service(request) } = asked else { return };
        if request.service == Service::RegisterNodes {
            self.aliases.lose(request.session().unwrap_or(ANY_SESSION));
        }
        let Request { service, is_awaited, code, .. } = request;
        let what = What::Service(Request { service, is_awaited, code, kept: Kept::Concluded });
        self.pending.push(Asked { requested, number, channel, id, what }, context.sink);
    }
}

/// What came of telling the operations of a request.
#[derive(Default)]
struct Telling {
    /// Number of the request.
    number: u32,
    /// How many operations it has.
    count: u32,
    /// Somebody waits for the outcome of one.
    is_awaited: bool,
    /// Servers do not all read it alike.
    is_unusual: bool,
    /// The nodes that operations act on under other names.
    names: Vec<(u32, Names)>,
}

/// Tells the operations of a request.
struct Teller<'t, 's> {
    service: Service,
    code: u32,
    aliases: &'t Aliases,
    /// Whose names for nodes count; none if there are no names.
    asker: Option<Asker>,
    telling: Telling,
    context: &'t mut Context<'s>,
}

impl Teller<'_, '_> {
    /// Tells what every server reads in a request, one by one. Where that ends early, what each of them reads from there on.
    fn tell_all(&mut self, said: &Said<'_>, content: Reader<'_>) {
        if let Err(fault) = items(self.service, content, Unanimous, |item| self.tell(item, false)) {
            self.tell_rest(said, fault);
        }
    }

    #[cold]
    #[inline(never)]
    fn tell_rest(&mut self, said: &Said<'_>, fault: Fault) {
        fault.report(said.is_cut, self.context);
        self.telling.is_unusual = true;
        let (told, mut place) = (self.telling.count, 0);
        let _ = operations(said.body, said.is_cut, |found| {
            if place >= told {
                self.tell(found.item, found.is_ambiguous);
            }
            place += 1;
        });
    }

    #[inline]
    fn tell(&mut self, item: &Item<'_>, is_ambiguous: bool) {
        let place = self.telling.count;
        self.telling.count = place.saturating_add(1);
        match self.asker.and_then(|asker| self.aliases.names(asker, &item.subject)) {
            None => self.tell_one(place, item, is_ambiguous),
            Some(names) => {
                self.tell_one(place, &names.apply(item), is_ambiguous);
                self.telling.names.push((place, names));
            }
        }
    }

    #[inline]
    fn tell_one(&mut self, place: u32, item: &Item<'_>, is_ambiguous: bool) {
        let at = RequestRef { request: self.telling.number, item: place };
        let operation = asked::operation(self.service, self.code, item, item.values);
        let operation = Operation { ambiguous: is_ambiguous, ..operation };
        self.telling.is_awaited |= self.context.sink.operation(at, &operation, self.context.stamp);
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
