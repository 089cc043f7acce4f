//! Keys from outside, for what a flow encrypts: an analyst has them, a sensor never does.

use alloc::vec::Vec;
use core::fmt::Debug;

use crate::dissector::Side;

/// Keys that were exported by one of the ends of a conversation. The house implements it with its ciphers, because a
/// decoder has none, and hands it to [`Session::unlock`](crate::Session::unlock). A decoder without keys spends nothing
/// on them.
pub trait Keys: Send + Sync + Debug {
    /// Decrypts one message or one chunk of one.
    ///
    /// Appends the clear text to `clear`, without padding and signature, and returns true; returns false if there is no
    /// key for it, or if what comes out cannot be right. Called for every encrypted chunk. Whether the text makes sense
    /// is the decoder's business: it takes nothing for clear that does not prove to be.
    fn open(&self, sealed: &Sealed<'_>, clear: &mut Vec<u8>) -> bool;
}

/// Something encrypted, and by what its key is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// The algorithms, by the name that their protocol gives them, such as `Basic256Sha256`; none if the agreement on them
    /// was not seen.
    pub suite: Option<&'static str>,
    /// Number of the secure channel (OPC UA: SecureChannelId).
    pub channel: u32,
    /// Number of the set of keys that is in use (OPC UA: TokenId).
    pub token: u32,
    /// Who encrypted it.
    pub from: Side,
    /// What stands before the encrypted part, in clear and covered by the signature: of an OPC UA chunk the message header
    /// and the security header, 16 bytes.
    pub header: &'a [u8],
    /// The encrypted part, to the end of the chunk: of OPC UA the sequence header, the body, padding and signature.
    pub text: &'a [u8],
}
