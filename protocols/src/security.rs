//! Facts about the security of a conversation: channels, certificates, users. Never secrets, never verdicts.

use crate::dissector::Side;

/// One fact about the security of a conversation. Texts and certificates are borrowed from the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security<'a> {
    /// A secure channel was opened or renewed, and the server accepted it. Reported again when the mode becomes known.
    Channel {
        /// How its messages are protected; none while only an encrypted message states it.
        mode: Option<Mode>,
        /// Name of its security policy: of the standard's URIs the part after the `#` (`Basic256Sha256`), any other URI
        /// unchanged, `invalid` if it is not UTF-8.
        policy: &'a str,
    },
    /// The server offered an endpoint to the client.
    Offered {
        /// How its messages would be protected.
        mode: Mode,
        /// As in [`Security::Channel`].
        policy: &'a str,
    },
    /// One end sent its own certificate: X.509 in DER, with any bytes appended to it (a chain begins with the sender's
    /// certificate).
    Certificate {
        /// The end that it belongs to.
        of: Side,
        /// As sent: neither checked nor bounded.
        der: &'a [u8],
    },
    /// A user logs in. Reported at the request.
    User {
        /// How the user authenticates.
        kind: UserKind,
        /// Name of the user, where the kind has one.
        name: Option<&'a [u8]>,
        /// A secret (password or token) travels unencrypted. The secret itself is never reported.
        clear_secret: bool,
    },
    /// One end sent the URI of its application.
    Application {
        /// The end that it belongs to.
        of: Side,
        /// As sent, such as `urn:lock-east:scada-1`.
        uri: &'a [u8],
    },
}

/// How the messages of a channel are protected, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Mode {
    /// Not at all.
    None,
    /// Signed, but readable.
    Sign,
    /// Signed and encrypted.
    SignAndEncrypt,
}

impl Mode {
    /// Every mode, weakest first.
    pub const ALL: [Self; 3] = [Self::None, Self::Sign, Self::SignAndEncrypt];

    /// The standard's own word, also that of the policy.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Sign => "Sign",
            Self::SignAndEncrypt => "SignAndEncrypt",
        }
    }

    /// The mode of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }

    /// The mode of that number on the wire (OPC 10000-4, 7.20: 1 to 3).
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::None),
            2 => Some(Self::Sign),
            3 => Some(Self::SignAndEncrypt),
            _ => None,
        }
    }
}

/// How a user authenticates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum UserKind {
    /// Not at all.
    Anonymous,
    /// By a name and a password.
    UserName,
    /// By a certificate.
    Certificate,
    /// By a token of an external issuer.
    Token,
    /// In a way that cannot be decoded. Policies cannot name it, so that a policy which names kinds never permits it.
    Unread,
}

impl UserKind {
    /// Every kind that a policy may name.
    pub const ALL: [Self; 4] = [Self::Anonymous, Self::UserName, Self::Certificate, Self::Token];

    /// The word of the policy and of alerts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::UserName => "username",
            Self::Certificate => "certificate",
            Self::Token => "issued-token",
            Self::Unread => "unread",
        }
    }

    /// The kind of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_ordered_by_strength_and_found_by_name_and_number() {
        assert!(Mode::None < Mode::Sign && Mode::Sign < Mode::SignAndEncrypt);
        for (number, mode) in (1..).zip(Mode::ALL) {
            assert_eq!((Mode::from_name(mode.name()), Mode::from_number(number)), (Some(mode), Some(mode)));
        }
        assert_eq!((Mode::from_number(0), Mode::from_number(4)), (None, None));
        assert!(UserKind::ALL.into_iter().all(|kind| UserKind::from_name(kind.name()) == Some(kind)));
    }
}
