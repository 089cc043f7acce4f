//! What a session with an OPC UA server must be like: its channel, its user, its client, its certificates.

use std::time::Duration;

use lockkeeper_protocols::{Mode, UserKind};

use crate::document::suggest::list;
use crate::policy::section::Section;
use crate::policy::values;

/// `opcua` of a flow: what a session must be like. Without a setting, any value is permitted.
#[derive(Clone, Debug, Default)]
pub struct OpcUaSession {
    /// The weakest mode.
    pub min_mode: Option<Mode>,
    /// Names of security policies, as they follow the `#` of their URIs; any that is not deprecated where none is named.
    pub policies: Vec<String>,
    /// Kinds of user identity; any where none is named.
    pub identity: Vec<UserKind>,
    /// Application URIs of clients; any where none is named.
    pub client_uris: Vec<String>,
    /// What certificates must be like.
    pub certificates: CertificateRules,
}

impl OpcUaSession {
    /// Reads `opcua` of a flow.
    pub(super) fn read(flow: &mut Section<'_>) -> Option<Self> {
        let what = format!("opcua of {}", flow.what);
        let mut section = flow.table("opcua", what)?;
        let kinds = UserKind::ALL.map(UserKind::name);
        let identity = section.texts("identity");
        let identity = identity
            .iter()
            .filter_map(|word| section.parse(word, |text| values::one_of(text, "a kind of identity", &kinds)))
            .filter_map(UserKind::from_name)
            .collect();
        let modes = Mode::ALL.map(Mode::name);
        let session = Self {
            min_mode: section.one_of("min_mode", "a message security mode", &modes).and_then(Mode::from_name),
            policies: read_suites(&mut section),
            identity,
            client_uris: section.texts("client_uris").iter().map(|word| word.text.to_owned()).collect(),
            certificates: CertificateRules::read(&mut section).unwrap_or_default(),
        };
        section.finish();
        Some(session)
    }

    /// In the summary of a policy: `, at least Sign, policies Basic256Sha256, identity username, clients urn:a, certificates
    /// RSA from 2048 bits, no SHA-1`.
    pub(super) fn text(&self) -> String {
        let named = |word: &str, names: String| if names.is_empty() { names } else { format!(", {word} {names}") };
        let least = self.min_mode.map(|mode| format!(", at least {}", mode.name())).unwrap_or_default();
        let policies = named("policies", list(self.policies.iter().map(String::as_str)));
        let identity = named("identity", list(self.identity.iter().map(|kind| kind.name())));
        let clients = named("clients", list(self.client_uris.iter().map(String::as_str)));
        let rules = &self.certificates;
        let bits = rules.min_rsa_bits.map(|bits| format!("RSA from {bits} bits"));
        let sha1 = rules.forbid_sha1.then(|| "no SHA-1".to_owned());
        let own = rules.forbid_self_signed.then(|| "not self-signed".to_owned());
        let warn = rules.warn_before_expiry.map(|warn| format!("warned {} days before the end", warn.as_secs() / DAY));
        let certificates: Vec<String> = [bits, sha1, own, warn].into_iter().flatten().collect();
        let certificates = named("certificates", certificates.join(", "));
        format!("{least}{policies}{identity}{clients}{certificates}")
    }
}

/// Reads `policies`. A name that is not known may be newer than this program.
fn read_suites(section: &mut Section<'_>) -> Vec<String> {
    let words = section.texts("policies");
    let known: Vec<&str> = suite_names().collect();
    for word in words.iter().filter(|word| !known.contains(&word.text)) {
        let message = format!("`{}` is no security policy of the standard", word.text);
        section.problems.warning(word.span.clone(), message, values::suggestion(word.text, &known));
    }
    words.iter().map(|word| word.text.to_owned()).collect()
}

/// Seconds.
const DAY: u64 = 86_400;

/// `cert` of `opcua`: what certificates must be like, beyond being valid at the time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateRules {
    /// Shortest RSA key, bits; [`CertificateRules::RSA_BITS`] where nothing is written.
    pub min_rsa_bits: Option<u16>,
    /// Certificates signed with SHA-1 are a finding.
    pub forbid_sha1: bool,
    /// Self-signed certificates are a finding.
    pub forbid_self_signed: bool,
    /// How long before a certificate ends that is a finding.
    pub warn_before_expiry: Option<Duration>,
}

impl CertificateRules {
    fn read(opcua: &mut Section<'_>) -> Option<Self> {
        let mut section = opcua.table("cert", "cert of opcua")?;
        let rules = Self {
            min_rsa_bits: section.integer_in("min_rsa_bits", 1024..=16_384),
            forbid_sha1: section.flag("forbid_sha1").unwrap_or(false),
            forbid_self_signed: section.flag("forbid_self_signed").unwrap_or(false),
            warn_before_expiry: section.parsed("warn_before_expiry", values::duration),
        };
        section.finish();
        Some(rules)
    }

    /// What every security policy that is not deprecated asks for at least (OPC 10000-7).
    pub const RSA_BITS: u16 = 2048;
}

/// How good a security policy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grade {
    /// None at all.
    None,
    /// Deprecated: SHA-1, or RSA with PKCS #1 v1.5 padding.
    Deprecated,
    /// In use.
    Current,
}

/// Security policies by name (OPC 10000-7, and the profiles of opcfoundation.org).
const SUITES: [(&str, Grade); 24] = [
    ("None", Grade::None),
    ("Basic128Rsa15", Grade::Deprecated),
    ("Basic256", Grade::Deprecated),
    ("Basic256Sha256", Grade::Current),
    ("Aes128_Sha256_RsaOaep", Grade::Current),
    ("Aes256_Sha256_RsaPss", Grade::Current),
    ("ECC_nistP256", Grade::Current),
    ("ECC_nistP384", Grade::Current),
    ("ECC_brainpoolP256r1", Grade::Current),
    ("ECC_brainpoolP384r1", Grade::Current),
    ("ECC_curve25519", Grade::Current),
    ("ECC_curve448", Grade::Current),
    ("ECC_nistP256_AesGcm", Grade::Current),
    ("ECC_nistP384_AesGcm", Grade::Current),
    ("ECC_brainpoolP256r1_AesGcm", Grade::Current),
    ("ECC_brainpoolP384r1_AesGcm", Grade::Current),
    ("ECC_curve25519_AesGcm", Grade::Current),
    ("ECC_curve448_AesGcm", Grade::Current),
    ("ECC_nistP256_ChaChaPoly", Grade::Current),
    ("ECC_nistP384_ChaChaPoly", Grade::Current),
    ("ECC_curve25519_ChaChaPoly", Grade::Current),
    ("ECC_curve448_ChaChaPoly", Grade::Current),
    ("RSA_DH_AesGcm", Grade::Current),
    ("RSA_DH_ChaChaPoly", Grade::Current),
];

/// The names of the security policies.
pub fn suite_names() -> impl Iterator<Item = &'static str> {
    SUITES.into_iter().map(|(name, _)| name)
}

/// How a secure channel is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Channel {
    /// Its mode.
    pub mode: Mode,
    /// Name of its security policy; `unknown` for one that is not the standard's.
    pub policy: &'static str,
    /// How good that is; none for one that is not the standard's.
    pub grade: Option<Grade>,
}

impl Channel {
    /// A channel of a mode, with the security policy of that name.
    pub fn new(mode: Mode, policy: &str) -> Self {
        let known = SUITES.into_iter().find(|(name, _)| *name == policy);
        Self { mode, policy: known.map_or("unknown", |(name, _)| name), grade: known.map(|(_, grade)| grade) }
    }

    /// Whether the other one is better protected: by its mode, or in the same mode by a policy of a better grade.
    pub fn is_weaker_than(&self, other: &Self) -> bool {
        let by_grade = || self.grade.zip(other.grade).is_some_and(|(own, other)| own < other);
        self.mode < other.mode || self.mode == other.mode && by_grade()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_weaker_by_its_mode_first_and_then_by_its_policy() {
        let channel = |mode, policy| Channel::new(mode, policy);
        let best = channel(Mode::SignAndEncrypt, "Aes256_Sha256_RsaPss");
        assert!(channel(Mode::None, "None").is_weaker_than(&best));
        assert!(channel(Mode::Sign, "Aes256_Sha256_RsaPss").is_weaker_than(&best));
        assert!(channel(Mode::SignAndEncrypt, "Basic256").is_weaker_than(&best));
        assert!(!channel(Mode::SignAndEncrypt, "Basic256Sha256").is_weaker_than(&best), "both in use");
        assert!(!channel(Mode::SignAndEncrypt, "urn:own").is_weaker_than(&best), "an unknown policy has no grade");
        assert!(!best.is_weaker_than(&channel(Mode::Sign, "Basic256")));
    }
}
