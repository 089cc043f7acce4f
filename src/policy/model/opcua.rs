//! What a policy says about OPC UA: nodes, security policies, and the settings of a session.

use std::time::Duration;

use lockkeeper_protocols::{Mode, Node, NodeId, UserKind};

/// Nodes that a policy names: one, those whose text begins alike, or all of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePattern {
    /// As the policy writes it: `ns=3;s=Pump.*`.
    pub text: String,
    /// Index into the server's table of namespaces.
    pub namespace: u16,
    /// Which nodes of the namespace.
    pub id: NodeIdPattern,
}

/// Which nodes of a namespace are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeIdPattern {
    /// All of them.
    Any,
    /// The one of that number.
    Numeric(u32),
    /// The one of that name.
    Text(Box<[u8]>),
    /// Those whose name begins so.
    Prefix(Box<[u8]>),
    /// The one of that GUID, in the order in which it is written.
    Guid([u8; 16]),
    /// The one of these bytes.
    Opaque(Box<[u8]>),
}

impl NodePattern {
    /// Whether a node is among these.
    #[inline]
    pub fn holds(&self, node: &Node<'_>) -> bool {
        self.namespace == node.namespace
            && match (&self.id, node.id) {
                (NodeIdPattern::Any, _) => true,
                (NodeIdPattern::Numeric(own), NodeId::Numeric(number)) => *own == number,
                (NodeIdPattern::Text(own), NodeId::Text(text)) => **own == *text,
                (NodeIdPattern::Prefix(own), NodeId::Text(text)) => text.starts_with(own),
                (NodeIdPattern::Guid(own), NodeId::Guid(bytes)) => *own == bytes,
                (NodeIdPattern::Opaque(own), NodeId::Opaque(bytes)) => **own == *bytes,
                _ => false,
            }
    }

    /// The namespace of which it names every node.
    pub const fn whole_namespace(&self) -> Option<u16> {
        if matches!(self.id, NodeIdPattern::Any) { Some(self.namespace) } else { None }
    }

    /// Whether it names one node only.
    pub const fn is_single(&self) -> bool {
        !matches!(self.id, NodeIdPattern::Any | NodeIdPattern::Prefix(_))
    }
}

/// `opcua` of an entry of `allow`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpcUaPlaces {
    /// Only these nodes; of a call, the object or the method.
    pub nodes: Vec<NodePattern>,
    /// Only these methods.
    pub methods: Vec<NodePattern>,
}

/// `opcua` of a flow: what a session must be like. What is not written may be anything.
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

/// `cert` of `opcua`: what certificates must be like, beyond being valid at the time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateRules {
    /// Shortest RSA key, bits; [`CertificateRules::RSA_BITS`] where nothing is written.
    pub min_rsa_bits: Option<u16>,
    /// Certificates signed with SHA-1 are a finding.
    pub forbid_sha1: bool,
    /// Certificates that nobody else signed are a finding.
    pub forbid_self_signed: bool,
    /// How long before a certificate ends that is a finding.
    pub warn_before_expiry: Option<Duration>,
}

impl CertificateRules {
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
        assert!(!channel(Mode::SignAndEncrypt, "urn:own").is_weaker_than(&best), "nobody can tell");
        assert!(!best.is_weaker_than(&channel(Mode::Sign, "Basic256")));
    }

    #[test]
    fn a_pattern_holds_what_it_names() {
        let pattern = |namespace, id| NodePattern { text: String::new(), namespace, id };
        let node = |namespace, id| Node { namespace, id };
        let prefix = pattern(3, NodeIdPattern::Prefix(b"Pump.".as_slice().into()));
        assert!(prefix.holds(&node(3, NodeId::Text(b"Pump.Start"))) && !prefix.is_single());
        for other in [node(2, NodeId::Text(b"Pump.Start")), node(3, NodeId::Text(b"Pump")), node(3, NodeId::Numeric(1))]
        {
            assert!(!prefix.holds(&other), "{other}");
        }
        let number = pattern(0, NodeIdPattern::Numeric(2258));
        assert!(number.holds(&Node::standard(2258)) && !number.holds(&Node::standard(2259)) && number.is_single());
        assert!(pattern(4, NodeIdPattern::Any).holds(&node(4, NodeId::Opaque(b"\0"))));
    }
}
