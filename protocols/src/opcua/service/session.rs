//! CreateSession and ActivateSession (OPC 10000-4, 5.7): applications and users.

use super::application::{ApplicationDescription, Endpoint};
use super::header::Token;
use super::item::{Item, Subject};
use super::table::Service;
use crate::fault::Fault;
use crate::opcua::binary::{Array, Bytes, Dialect, Encoded, ExtensionBody, ExtensionObject, read_double, skip_array};
use crate::operation::Node;
use crate::reader::Reader;
use crate::security::UserKind;

/// CreateSession request, behind its header.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CreateRequest<'a> {
    /// The client application.
    pub client: ApplicationDescription<'a>,
    /// URL of the endpoint that it uses.
    pub endpoint_url: Bytes<'a>,
    /// Human-readable name of the session.
    pub name: Bytes<'a>,
    /// Its certificate, DER.
    pub certificate: Bytes<'a>,
    /// Requested timeout of an idle session, milliseconds.
    pub timeout: f64,
}

impl<'a> Encoded<'a> for CreateRequest<'a> {
    const MIN_SIZE: usize = 57;

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let client = ApplicationDescription::decode(reader, dialect)?;
        Bytes::decode_as(reader, "server_uri", dialect)?;
        let endpoint_url = Bytes::decode_as(reader, "endpoint_url", dialect)?;
        let name = Bytes::decode_as(reader, "session_name", dialect)?;
        Bytes::decode_as(reader, "client_nonce", dialect)?;
        let certificate = Bytes::decode_as(reader, "client_certificate", dialect)?;
        let timeout = read_double(reader, "session_timeout")?;
        Ok(Self { client, endpoint_url, name, certificate, timeout })
    }
}

/// CreateSession response, behind its header.
#[derive(Clone, Copy, Debug)]
pub struct CreateResponse<'a> {
    /// The diagnostics node of the session.
    pub session: Node<'a>,
    /// The authentication token of the session.
    pub token: Token<'a>,
    /// Timeout of an idle session, milliseconds.
    pub timeout: f64,
    /// Certificate of the server, DER.
    pub certificate: Bytes<'a>,
    /// All endpoints of the server, the same as in its GetEndpoints response.
    pub endpoints: Array<'a, Endpoint<'a>>,
}

impl<'a> Encoded<'a> for CreateResponse<'a> {
    const MIN_SIZE: usize = 24;

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let session = Node::decode(reader, dialect)?;
        let token = Token::decode(reader, dialect)?;
        let timeout = read_double(reader, "revised_timeout")?;
        Bytes::decode_as(reader, "server_nonce", dialect)?;
        let certificate = Bytes::decode_as(reader, "server_certificate", dialect)?;
        Ok(Self { session, token, timeout, certificate, endpoints: Array::read(reader, "server_endpoints")? })
    }
}

/// ActivateSession request, behind its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActivateRequest<'a> {
    /// The user.
    pub identity: Identity<'a>,
}

/// A user, as named by a user identity token (7.40). Its proof is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity<'a> {
    /// Kind of the token.
    pub kind: UserKind,
    /// User name, or else empty.
    pub name: &'a [u8],
    /// Certificate, DER, or else empty.
    pub certificate: &'a [u8],
    /// A password or token is present and not encrypted by itself: at most the channel protects it.
    pub is_secret_clear: bool,
}

impl<'a> Encoded<'a> for ActivateRequest<'a> {
    const MIN_SIZE: usize = 27;

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        Bytes::decode_as(reader, "signature_algorithm", dialect)?;
        Bytes::decode_as(reader, "signature", dialect)?;
        skip_array::<SoftwareCertificate>(reader, "software_certificates", dialect)?;
        skip_array::<Bytes<'_>>(reader, "locale_ids", dialect)?;
        let token = ExtensionObject::decode(reader, dialect)?;
        Ok(Self { identity: read_identity(&token, dialect)? })
    }
}

/// SignedSoftwareCertificate: data and signature. Skipped.
struct SoftwareCertificate;

impl<'a> Encoded<'a> for SoftwareCertificate {
    const MIN_SIZE: usize = 8;

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        Bytes::decode_as(reader, "certificate_data", dialect)?;
        Bytes::decode_as(reader, "signature", dialect)?;
        Ok(Self)
    }
}

/// The user of a token. Without a token it is anonymous; a kind that the standard does not define counts as an issued
/// token.
fn read_identity<'a>(token: &ExtensionObject<'a>, dialect: impl Dialect) -> Result<Identity<'a>, Fault> {
    let mut found = Identity { kind: UserKind::Anonymous, name: &[], certificate: &[], is_secret_clear: false };
    let Some((kind, mut body)) = token.standard_body() else {
        if token.body != ExtensionBody::None {
            found.kind = UserKind::Token;
        }
        return Ok(found);
    };
    if matches!(kind, 0 | ANONYMOUS) {
        return Ok(found);
    }
    Bytes::decode_as(&mut body, "policy_id", dialect)?;
    match kind {
        USER_NAME => {
            found.kind = UserKind::UserName;
            found.name = Bytes::decode_as(&mut body, "user_name", dialect)?.or_empty();
            found.is_secret_clear = read_is_secret_clear(&mut body, dialect)?;
        }
        CERTIFICATE => {
            found.kind = UserKind::Certificate;
            found.certificate = Bytes::decode_as(&mut body, "certificate", dialect)?.or_empty();
        }
        _ => {
            found.kind = UserKind::Token;
            found.is_secret_clear = read_is_secret_clear(&mut body, dialect)?;
        }
    }
    Ok(found)
}

/// Reads a secret and its encryption algorithm; whether the secret is cleartext.
fn read_is_secret_clear(body: &mut Reader<'_>, dialect: impl Dialect) -> Result<bool, Fault> {
    let has_secret = !Bytes::decode_as(body, "secret", dialect)?.is_empty();
    Ok(has_secret && Bytes::decode_as(body, "encryption_algorithm", dialect)?.is_empty())
}

/// CreateSession: an item with the URL of the endpoint.
pub(super) fn visit_create_session<'a>(
    reader: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    let asked = CreateRequest::decode(reader, dialect)?;
    visit(&Item::new(Service::CreateSession.class(), Subject::Endpoint(asked.endpoint_url.or_empty())));
    Ok(())
}

/// ActivateSession: an item with the user.
pub(super) fn visit_activate_session<'a>(
    reader: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    let Identity { kind, name, .. } = ActivateRequest::decode(reader, dialect)?.identity;
    visit(&Item::new(Service::ActivateSession.class(), Subject::User { kind, name }));
    Ok(())
}

// Encodings of user identity tokens.
const ANONYMOUS: u32 = 321;
const USER_NAME: u32 = 324;
const CERTIFICATE: u32 = 327;
