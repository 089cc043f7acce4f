//! Security policies: how each shapes the messages that it protects (OPC 10000-7, 6.1).

use alloc::boxed::Box;
use alloc::string::{String, ToString};

/// A security policy of the standard, and the shape of its symmetric messages.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SecurityPolicy {
    /// The part of its URI behind [`BASE`].
    pub(super) name: &'static str,
    /// Length of the signature, or of the tag of an AEAD cipher, at the end of each chunk, bytes.
    pub(super) signature: u8,
    /// Block size of the cipher, bytes: encrypted parts are a multiple of it.
    pub(super) block: u8,
}

/// The security policy of a channel: one of the standard, or another URI whose message shape is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Suite {
    Known(&'static SecurityPolicy),
    Other(Box<str>),
}

impl Suite {
    /// The policy that a URI names; [`NONE`] for a null or empty one.
    pub(super) fn of(uri: &[u8]) -> Self {
        match uri.strip_prefix(BASE).and_then(find_standard) {
            Some(policy) => Self::Known(policy),
            None if uri.is_empty() => Self::Known(&NONE),
            None => Self::Other(policy_name(uri).into()),
        }
    }

    /// Its name: see [`policy_name`].
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Known(policy) => policy.name,
            Self::Other(uri) => uri,
        }
    }

    /// Whether it neither signs nor encrypts.
    pub(super) fn is_none(&self) -> bool {
        *self == Self::Known(&NONE)
    }

    /// The row of a policy of the standard.
    pub(super) const fn known(&self) -> Option<&'static SecurityPolicy> {
        match self {
            Self::Known(policy) => Some(policy),
            Self::Other(_) => None,
        }
    }

    /// The key under which it is counted.
    pub(super) fn count_key(&self) -> u32 {
        let place = ALL.iter().position(|policy| self.known() == Some(policy));
        place.unwrap_or(ALL.len()) as u32
    }
}

/// The name of a policy: the part behind the `#` of a URI of the standard, any other URI as a whole, `invalid` if it is not
/// UTF-8.
pub(super) fn policy_name(uri: &[u8]) -> &str {
    match uri.strip_prefix(BASE).and_then(find_standard) {
        Some(policy) => policy.name,
        None if uri.is_empty() => NONE.name,
        None => core::str::from_utf8(uri).unwrap_or("invalid"),
    }
}

/// The name counted under a [`Suite::count_key`].
pub(super) fn name_of_key(key: u32) -> String {
    ALL.get(key as usize).map_or("other", |policy| policy.name).to_string()
}

/// The prefix of every policy URI of the standard.
const BASE: &[u8] = b"http://opcfoundation.org/UA/SecurityPolicy#";

/// The policy of the standard with this name.
fn find_standard(name: &[u8]) -> Option<&'static SecurityPolicy> {
    ALL.iter().find(|policy| policy.name.as_bytes() == name)
}

const fn row(name: &'static str, signature: u8, block: u8) -> SecurityPolicy {
    SecurityPolicy { name, signature, block }
}

/// Every policy of the standard, deprecated ones included. AEAD ciphers have a tag of 16 bytes and no padding.
static ALL: [SecurityPolicy; 26] = [
    NONE,
    row("Basic128Rsa15", 20, 16),
    row("Basic256", 20, 16),
    row("Basic256Sha256", 32, 16),
    row("Aes128_Sha256_RsaOaep", 32, 16),
    row("Aes256_Sha256_RsaPss", 32, 16),
    row("ECC_nistP256", 32, 16),
    row("ECC_nistP384", 48, 16),
    row("ECC_brainpoolP256r1", 32, 16),
    row("ECC_brainpoolP384r1", 48, 16),
    row("ECC_curve25519", 16, 1),
    row("ECC_curve448", 16, 1),
    row("ECC_nistP256_AesGcm", 16, 1),
    row("ECC_nistP256_ChaChaPoly", 16, 1),
    row("ECC_nistP384_AesGcm", 16, 1),
    row("ECC_nistP384_ChaChaPoly", 16, 1),
    row("ECC_brainpoolP256r1_AesGcm", 16, 1),
    row("ECC_brainpoolP256r1_ChaChaPoly", 16, 1),
    row("ECC_brainpoolP384r1_AesGcm", 16, 1),
    row("ECC_brainpoolP384r1_ChaChaPoly", 16, 1),
    row("ECC_curve25519_AesGcm", 16, 1),
    row("ECC_curve25519_ChaChaPoly", 16, 1),
    row("ECC_curve448_AesGcm", 16, 1),
    row("ECC_curve448_ChaChaPoly", 16, 1),
    row("RSA_DH_AesGcm", 16, 1),
    row("RSA_DH_ChaChaPoly", 16, 1),
];

/// Neither signs nor encrypts.
const NONE: SecurityPolicy = row("None", 0, 1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_found_by_its_exact_uri_only() {
        assert!(Suite::of(b"http://opcfoundation.org/UA/SecurityPolicy#None").is_none());
        assert!(Suite::of(b"").is_none());
        let strong = Suite::of(b"http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256");
        assert_eq!((strong.name(), strong.known().map(|policy| policy.signature)), ("Basic256Sha256", Some(32)));
        for other in ["http://opcfoundation.org/UA/SecurityPolicy#basic256sha256", "Basic256Sha256"] {
            let suite = Suite::of(other.as_bytes());
            assert_eq!((suite.known(), suite.name()), (None, other));
            assert_eq!(name_of_key(suite.count_key()), "other");
        }
        assert_eq!(Suite::of(b"\xFF").name(), "invalid");
    }

    #[test]
    fn every_policy_is_counted_under_its_own_name() {
        for policy in &ALL {
            assert_eq!(name_of_key(Suite::Known(policy).count_key()), policy.name);
        }
    }
}
