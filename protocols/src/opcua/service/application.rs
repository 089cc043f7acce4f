//! Applications and their endpoints: the Discovery services (OPC 10000-4, 5.5).

use super::item::{Item, Subject};
use super::table::Service;
use crate::fault::Fault;
use crate::opcua::binary::{Array, Bytes, Dialect, Encoded, LocalizedText, skip_array, visit_each};
use crate::reader::Reader;

/// ApplicationDescription (7.2): the identity of a client or server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApplicationDescription<'a> {
    /// URI of the application, which its certificate contains, too.
    pub uri: Bytes<'a>,
    /// URI of the product.
    pub product: Bytes<'a>,
    /// Human-readable name.
    pub name: LocalizedText<'a>,
    /// 0 server, 1 client, 2 both, 3 discovery server.
    pub kind: u32,
    /// The first of its discovery URLs.
    pub discovery_url: Bytes<'a>,
}

impl<'a> Encoded<'a> for ApplicationDescription<'a> {
    const MIN_SIZE: usize = 25;

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let uri = Bytes::decode_as(reader, "application_uri", dialect)?;
        let product = Bytes::decode_as(reader, "product_uri", dialect)?;
        let name = LocalizedText::decode(reader, dialect)?;
        let kind = reader.u32_le("application_type")?;
        Bytes::decode_as(reader, "gateway_uri", dialect)?;
        Bytes::decode_as(reader, "discovery_profile", dialect)?;
        let discovery_url = read_first_text(reader, "discovery_urls", dialect)?;
        Ok(Self { uri, product, name, kind, discovery_url })
    }
}

/// EndpointDescription (7.14): an address of a server, and its security.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint<'a> {
    /// URL of the endpoint.
    pub url: Bytes<'a>,
    /// The server behind it.
    pub server: ApplicationDescription<'a>,
    /// Certificate of the server, DER.
    pub certificate: Bytes<'a>,
    /// Security mode: 1 None, 2 Sign, 3 SignAndEncrypt.
    pub mode: u32,
    /// URI of the security policy.
    pub policy: Bytes<'a>,
    /// Accepted user tokens: bit 0 anonymous, 1 user name, 2 certificate, 3 issued token.
    pub users: u8,
}

impl<'a> Encoded<'a> for Endpoint<'a> {
    const MIN_SIZE: usize = 50;

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let url = Bytes::decode_as(reader, "endpoint_url", dialect)?;
        let server = ApplicationDescription::decode(reader, dialect)?;
        let certificate = Bytes::decode_as(reader, "server_certificate", dialect)?;
        let mode = reader.u32_le("security_mode")?;
        let policy = Bytes::decode_as(reader, "security_policy", dialect)?;
        let mut users = 0;
        visit_each(reader, "user_tokens", dialect, |token: UserTokenPolicy| {
            users |= 1_u8.checked_shl(token.kind).unwrap_or(0)
        })?;
        Bytes::decode_as(reader, "transport_profile", dialect)?;
        reader.u8("security_level")?;
        Ok(Self { url, server, certificate, mode, policy, users })
    }
}

/// UserTokenPolicy: only the kind of user token is kept.
struct UserTokenPolicy {
    kind: u32,
}

impl<'a> Encoded<'a> for UserTokenPolicy {
    const MIN_SIZE: usize = 20;

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        Bytes::decode_as(reader, "policy_id", dialect)?;
        let kind = reader.u32_le("token_type")?;
        for field in ["issued_token_type", "issuer_endpoint", "security_policy"] {
            Bytes::decode_as(reader, field, dialect)?;
        }
        Ok(Self { kind })
    }
}

/// Reads an array of texts, and returns the first; null if there are none.
fn read_first_text<'a>(
    reader: &mut Reader<'a>,
    field: &'static str,
    dialect: impl Dialect,
) -> Result<Bytes<'a>, Fault> {
    let mut first = None;
    visit_each(reader, field, dialect, |text: Bytes<'a>| first = first.or(Some(text)))?;
    Ok(first.unwrap_or_default())
}

/// The endpoints in a GetEndpoints response; `content` begins behind its header.
pub fn read_endpoints(content: Reader<'_>) -> Result<Array<'_, Endpoint<'_>>, Fault> {
    Array::open(content, "endpoints")
}

/// The servers in a FindServers response; `content` begins behind its header.
pub fn read_servers(content: Reader<'_>) -> Result<Array<'_, ApplicationDescription<'_>>, Fault> {
    Array::open(content, "servers")
}

/// FindServers and GetEndpoints: an item with the URL that the client uses.
pub(super) fn visit_endpoint<'a>(
    service: Service,
    reader: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    let url = Bytes::decode_as(reader, "endpoint_url", dialect)?;
    visit(&Item::new(service.class(), Subject::Endpoint(url.or_empty())));
    Ok(())
}

/// RegisterServer and RegisterServer2: an item with the first discovery URL of the server.
pub(super) fn visit_register_server<'a>(
    service: Service,
    reader: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    Bytes::decode_as(reader, "server_uri", dialect)?;
    Bytes::decode_as(reader, "product_uri", dialect)?;
    skip_array::<LocalizedText<'_>>(reader, "server_names", dialect)?;
    reader.u32_le("server_type")?;
    Bytes::decode_as(reader, "gateway_uri", dialect)?;
    let url = read_first_text(reader, "discovery_urls", dialect)?;
    visit(&Item::new(service.class(), Subject::Endpoint(url.or_empty())));
    Ok(())
}
