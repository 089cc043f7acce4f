//! Applications, their certificates, users and sessions.

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
    /// The session whose user was reported last.
    current: u64,
}

/// A session and its user.
#[derive(Debug)]
struct Session {
    /// The [`Token::key`] of its token. The token itself would suffice to hijack the session, so that it is not kept.
    key: u64,
    kind: UserKind,
    name: Box<[u8]>,
}

impl Sessions {
    /// Records the session of a request. If several share the connection, its user is reported whenever it changes.
    #[inline]
    pub(super) fn on_request(&mut self, token: &Token<'_>, context: &mut Context<'_>) {
        if self.known.len() > 1 {
            self.report_user_change(token.key(), context);
        }
    }

    /// Reports the user of this session, unless it was reported last.
    fn report_user_change(&mut self, key: u64, context: &mut Context<'_>) {
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

    /// Records and reports that a user activates a session.
    pub(super) fn activate(&mut self, token: &Token<'_>, identity: &Identity<'_>, context: &mut Context<'_>) {
        let name = (!identity.name.is_empty()).then_some(identity.name);
        let fact = Security::User { kind: identity.kind, name, clear_secret: identity.is_secret_clear };
        context.sink.security(&fact, context.stamp);
        let session = Session { key: token.key(), kind: identity.kind, name: short_name(identity.name) };
        self.insert(session, context);
    }

    /// Adds a session, or replaces it: it may be activated again, on another channel or by another user.
    fn insert(&mut self, session: Session, context: &mut Context<'_>) {
        self.current = session.key;
        self.known.retain(|known| known.key != session.key);
        if self.known.len() >= MAX_SESSIONS {
            self.known.remove(0);
            context.anomaly(AnomalyKind::Limit, "sessions", None);
        }
        self.known.push(session);
    }

    /// Removes a closed session.
    pub(super) fn close(&mut self, token: &Token<'_>) {
        let key = token.key();
        self.known.retain(|known| known.key != key);
    }
}

/// Reports what a CreateSession request reveals about the client.
pub(super) fn report_create_request(content: Reader<'_>, context: &mut Context<'_>) -> Result<(), Fault> {
    let mut content = content;
    let asked = CreateRequest::read(&mut content)?;
    report_application(Side::Client, &asked.client, context);
    report_certificate(Side::Client, asked.certificate.or_empty(), context);
    Ok(())
}

/// Reports what a CreateSession response reveals about the server and its endpoints.
pub(super) fn report_create_response(content: Reader<'_>, context: &mut Context<'_>) -> Result<(), Fault> {
    let mut content = content;
    let answer = CreateResponse::read(&mut content)?;
    report_certificate(Side::Server, answer.certificate.or_empty(), context);
    report_endpoints(answer.endpoints, context)
}

/// Reports the endpoints that a server offers, and its application.
pub(super) fn report_endpoints<'a>(
    endpoints: impl Iterator<Item = Result<Endpoint<'a>, Fault>>,
    context: &mut Context<'_>,
) -> Result<(), Fault> {
    let mut is_first = true;
    for endpoint in endpoints {
        let endpoint = endpoint?;
        if core::mem::take(&mut is_first) {
            report_application(Side::Server, &endpoint.server, context);
        }
        if let Some(mode) = Mode::from_number(endpoint.mode) {
            let policy = security_policy::policy_name(endpoint.policy.or_empty());
            context.sink.security(&Security::Offered { mode, policy }, context.stamp);
        }
    }
    Ok(())
}

/// Reports the URLs of the servers that a server lists: first its own, unless it is a discovery server.
pub(super) fn report_servers<'a>(
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

/// Reports the application of one end.
fn report_application(of: Side, described: &ApplicationDescription<'_>, context: &mut Context<'_>) {
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

/// Reports the certificate of one end, unless it is empty.
fn report_certificate(of: Side, der: &[u8], context: &mut Context<'_>) {
    if !der.is_empty() {
        context.sink.security(&Security::Certificate { of, der }, context.stamp);
    }
}

/// Limit on the sessions of one connection that are kept.
const MAX_SESSIONS: usize = 32;
