//! Who is behind the operations: applications, their certificates, users, and the sessions that they have.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::pending_request::short_name;
use super::security_policy;
use super::service::{ApplicationDescription, CreateRequest, CreateResponse, Endpoint, Identity, Token};
use super::{Context, binary::Encoded};
use crate::dissector::{AnomalyKind, Identity as Learned, Side};
use crate::fault::Fault;
use crate::reader::Reader;
use crate::security::{Mode, Security, UserKind};

/// The sessions of one connection whose users are known.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    known: Vec<Session>,
    /// The session whose user was told last.
    current: u64,
}

#[derive(Debug)]
struct Session {
    /// Stands for the token: whoever had the token itself could take the session.
    key: u64,
    kind: UserKind,
    name: Box<[u8]>,
}

impl Sessions {
    /// A request belongs to a session. Where several share the connection, its user is told if it is another than before.
    #[inline]
    pub(super) fn speaks(&mut self, token: &Token<'_>, context: &mut Context<'_>) {
        if self.known.len() > 1 {
            self.switch(token.key(), context);
        }
    }

    fn switch(&mut self, key: u64, context: &mut Context<'_>) {
        if key == self.current {
            return;
        }
        if let Some(session) = self.known.iter().find(|session| session.key == key) {
            let name = (!session.name.is_empty()).then_some(&*session.name);
            let fact = Security::User { kind: session.kind, name, clear_secret: false };
            context.sink.security(&fact, context.stamp);
            self.current = key;
        }
    }

    /// A user activates a session.
    pub(super) fn activates(&mut self, token: &Token<'_>, identity: &Identity<'_>, context: &mut Context<'_>) {
        let name = (!identity.name.is_empty()).then_some(identity.name);
        let fact = Security::User { kind: identity.kind, name, clear_secret: identity.is_secret_clear };
        context.sink.security(&fact, context.stamp);
        let session = Session { key: token.key(), kind: identity.kind, name: short_name(identity.name) };
        self.enter(session, context);
    }

    /// Remembers a session. A session may be activated again, on another channel or as another user.
    fn enter(&mut self, session: Session, context: &mut Context<'_>) {
        self.current = session.key;
        self.known.retain(|known| known.key != session.key);
        if self.known.len() >= MAX_SESSIONS {
            self.known.remove(0);
            context.anomaly(AnomalyKind::Limit, "sessions", None);
        }
        self.known.push(session);
    }

    /// A session is closed.
    pub(super) fn closes(&mut self, token: &Token<'_>) {
        let key = token.key();
        self.known.retain(|known| known.key != key);
    }
}

/// CreateSession: who the client is.
pub(super) fn creates(content: Reader<'_>, context: &mut Context<'_>) -> Result<(), Fault> {
    let mut content = content;
    let asked = CreateRequest::read(&mut content)?;
    application(Side::Client, &asked.client, context);
    certificate(Side::Client, asked.certificate.or_empty(), context);
    Ok(())
}

/// The answer to it: who the server is, and what it offers.
pub(super) fn created(content: Reader<'_>, context: &mut Context<'_>) -> Result<(), Fault> {
    let mut content = content;
    let answer = CreateResponse::read(&mut content)?;
    certificate(Side::Server, answer.certificate.or_empty(), context);
    offered(answer.endpoints, context)
}

/// The endpoints that a server offers to the client, and who it is.
pub(super) fn offered<'a>(
    endpoints: impl Iterator<Item = Result<Endpoint<'a>, Fault>>,
    context: &mut Context<'_>,
) -> Result<(), Fault> {
    let mut is_first = true;
    for endpoint in endpoints {
        let endpoint = endpoint?;
        if core::mem::take(&mut is_first) {
            application(Side::Server, &endpoint.server, context);
        }
        if let Some(mode) = Mode::from_number(endpoint.mode) {
            let policy = security_policy::name(endpoint.policy.or_empty());
            context.sink.security(&Security::Offered { mode, policy }, context.stamp);
        }
    }
    Ok(())
}

/// The servers that a server knows of: the first one is itself, unless it is there to be asked for others.
pub(super) fn found<'a>(
    servers: impl Iterator<Item = Result<ApplicationDescription<'a>, Fault>>,
    context: &mut Context<'_>,
) -> Result<(), Fault> {
    for server in servers {
        let url = server?.discovery_url.or_empty();
        if !url.is_empty() {
            context.sink.identity(&Learned { of: Side::Server, unit: None, field: "url", value: url }, context.stamp);
        }
    }
    Ok(())
}

fn application(of: Side, described: &ApplicationDescription<'_>, context: &mut Context<'_>) {
    let uri = described.uri.or_empty();
    if !uri.is_empty() {
        context.sink.security(&Security::Application { of, uri }, context.stamp);
    }
    for (field, value) in [("application", described.name.text.or_empty()), ("product", described.product.or_empty())] {
        if !value.is_empty() {
            context.sink.identity(&Learned { of, unit: None, field, value }, context.stamp);
        }
    }
}

fn certificate(of: Side, der: &[u8], context: &mut Context<'_>) {
    if !der.is_empty() {
        context.sink.security(&Security::Certificate { of, der }, context.stamp);
    }
}

/// Sessions of one connection whose users are remembered.
const MAX_SESSIONS: usize = 32;
