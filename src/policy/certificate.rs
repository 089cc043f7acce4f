//! X.509 certificates: DER in, the parts that policy and inventory use out. Reading one takes tens of microseconds: workers
//! copy the bytes, and the correlator reads each certificate once.

use sha1::{Digest, Sha1};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use x509_parser::public_key::PublicKey;

/// Longest prefix of a message that is read as a certificate, bytes. A chain begins with the own certificate.
pub const MAX_BYTES: usize = 16 * 1024;

/// The contents of a certificate. Nothing is verified: a passive sensor has no trust list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// SHA-1 of its DER, lower-case hexadecimal: the thumbprint that OPC UA uses. A name, not a proof.
    pub thumbprint: String,
    /// Its subject, as a distinguished name (`CN=PLC-PUMP, O=Lock East`).
    pub subject: String,
    /// Its issuer, as a distinguished name.
    pub issuer: String,
    /// The URIs among its alternative names; the first is the application URI (OPC 10000-6, 6.2.2).
    pub uris: Vec<String>,
    /// Its public key.
    pub key: Key,
    /// The signature algorithm: `sha256WithRSAEncryption`, or its object identifier.
    pub signature: String,
    /// The signature uses SHA-1 or an older hash.
    pub is_sha1: bool,
    /// Begin of its validity, seconds since 1970-01-01 UTC.
    pub not_before: i64,
    /// End of its validity, seconds since 1970-01-01 UTC.
    pub not_after: i64,
    /// Subject and issuer are the same.
    pub is_self_signed: bool,
}

/// A public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// `RSA`, `EC`, `DSA` or `other`.
    pub kind: &'static str,
    /// Its length, bits; 0 if it is not known.
    pub bits: u32,
}

impl Certificate {
    /// Reads the certificate at the start of some bytes; `None` if there is none, or if it is longer than [`MAX_BYTES`].
    pub fn read(der: &[u8]) -> Option<Self> {
        let der = der.get(..MAX_BYTES).unwrap_or(der);
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        let own = der.get(..der.len() - rest.len())?;
        let (signature, is_sha1) = signature(&certificate.signature_algorithm.algorithm.to_id_string());
        let validity = certificate.validity();
        Some(Self {
            thumbprint: Sha1::digest(own).iter().map(|byte| format!("{byte:02x}")).collect(),
            subject: short(&certificate.subject().to_string()),
            issuer: short(&certificate.issuer().to_string()),
            uris: uris(&certificate),
            key: key(&certificate),
            signature,
            is_sha1,
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
            is_self_signed: certificate.subject().as_raw() == certificate.issuer().as_raw(),
        })
    }

    /// Whether a URI is among its URIs.
    pub fn names(&self, uri: &str) -> bool {
        self.uris.iter().any(|own| own == uri)
    }
}

fn uris(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let uris = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(short(uri)),
        _ => None,
    });
    uris.take(MAX_URIS).collect()
}

fn key(certificate: &X509Certificate<'_>) -> Key {
    let (kind, bits) = match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(rsa)) => ("RSA", bits(rsa.modulus)),
        Ok(PublicKey::EC(point)) => ("EC", point.key_size()),
        Ok(PublicKey::DSA(number)) => ("DSA", bits(number)),
        _ => ("other", 0),
    };
    Key { kind, bits: u32::try_from(bits).unwrap_or(u32::MAX) }
}

/// The length in bits of a number, most significant byte first.
fn bits(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|&&byte| byte == 0).count();
    let used = number.get(zeros..).unwrap_or_default();
    let unused = used.first().map_or(0, |byte| byte.leading_zeros() as usize);
    used.len() * 8 - unused
}

/// The name of a signature algorithm (RFC 3279, RFC 4055, RFC 5758, RFC 8410), and whether it uses SHA-1 or an older hash.
fn signature(oid: &str) -> (String, bool) {
    let known = SIGNATURES.iter().find(|(known, ..)| *known == oid);
    known.map_or_else(|| (short(oid), false), |&(_, name, weak)| (name.to_owned(), weak))
}

const SIGNATURES: [(&str, &str, bool); 12] = [
    ("1.2.840.113549.1.1.4", "md5WithRSAEncryption", true),
    ("1.2.840.113549.1.1.5", "sha1WithRSAEncryption", true),
    ("1.2.840.113549.1.1.10", "rsassaPss", false),
    ("1.2.840.113549.1.1.11", "sha256WithRSAEncryption", false),
    ("1.2.840.113549.1.1.12", "sha384WithRSAEncryption", false),
    ("1.2.840.113549.1.1.13", "sha512WithRSAEncryption", false),
    ("1.2.840.10045.4.1", "ecdsa-with-SHA1", true),
    ("1.2.840.10045.4.3.2", "ecdsa-with-SHA256", false),
    ("1.2.840.10045.4.3.3", "ecdsa-with-SHA384", false),
    ("1.2.840.10045.4.3.4", "ecdsa-with-SHA512", false),
    ("1.3.101.112", "Ed25519", false),
    ("1.3.101.113", "Ed448", false),
];

/// The first characters of a text from the wire.
fn short(text: &str) -> String {
    text.chars().take(MAX_CHARACTERS).collect()
}

/// Most characters kept of a name.
const MAX_CHARACTERS: usize = 256;
/// Most URIs kept.
const MAX_URIS: usize = 8;

#[cfg(test)]
pub(crate) mod tests;
