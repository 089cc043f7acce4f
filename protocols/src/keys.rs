//! Keys for encrypted flows: an analyst provides them for a replay, a sensor has none.

use alloc::vec::Vec;
use core::fmt::Debug;

use crate::dissector::Side;

/// Keys that one end of a conversation exported. The application implements this trait with its ciphers, as this crate has
/// none, and passes it to [`Session::unlock`](crate::Session::unlock).
pub trait Keys: Send + Sync + Debug {
    /// Decrypts one message or one chunk of one.
    ///
    /// Appends the clear text to `clear`, without padding and signature, and returns `true`; returns `false` if no key fits
    /// or if padding or signature are wrong. Called for every encrypted chunk. The decoder checks that the text makes sense.
    fn open(&self, sealed: &Sealed<'_>, clear: &mut Vec<u8>) -> bool;
}

/// Encrypted bytes, and what identifies their key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// The algorithms, by their name in the protocol, such as `Basic256Sha256`; none if their negotiation was not seen.
    pub suite: Option<&'static str>,
    /// Number of the secure channel (OPC UA: SecureChannelId).
    pub channel: u32,
    /// Number of the set of keys in use (OPC UA: TokenId).
    pub token: u32,
    /// The end that encrypted it.
    pub from: Side,
    /// The clear bytes before the encrypted part, covered by the signature: of an OPC UA chunk the message header and the
    /// security header, 16 bytes.
    pub header: &'a [u8],
    /// The encrypted part, to the end of the chunk: of OPC UA the sequence header, the body, padding and signature.
    pub text: &'a [u8],
}
