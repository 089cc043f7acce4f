//! Decrypts chunks: AES in CBC mode, by the security policies of OPC UA (OPC 10000-6, 6.7.2 and 6.7.5).

use aes::{Aes128, Aes256};
use cbc::Decryptor;
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit};

/// The key of one side of a channel for one token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// 16 bytes for AES-128, 32 for AES-256.
    pub(super) key: Vec<u8>,
    /// The initialization vector of every chunk.
    pub(super) vector: [u8; BLOCK],
    /// Length of the signature at the end of a chunk, bytes.
    pub(super) signature: usize,
}

impl Key {
    /// Appends the decrypted sequence header and body of a chunk to `clear`; returns `false` if this is not its key.
    ///
    /// A key log has no keys for signatures. A key fits if every padding byte equals the length of the padding and the sequence
    /// number is plausible; the probability that a wrong key passes is one in thousands.
    pub(super) fn open(&self, suite: Option<&str>, text: &[u8], clear: &mut Vec<u8>) -> bool {
        let start = clear.len();
        if !self.fits_suite(suite) || !text.len().is_multiple_of(BLOCK) {
            return false;
        }
        clear.extend_from_slice(text);
        let whole = clear.get_mut(start..).unwrap_or_default();
        let size = if self.decrypt(whole) { content_length(whole, self.signature) } else { None };
        clear.truncate(start + size.unwrap_or(0));
        size.is_some()
    }

    /// Whether the security policy of the channel uses keys of this length.
    fn fits_suite(&self, suite: Option<&str>) -> bool {
        match suite {
            None => true,
            Some("Aes128_Sha256_RsaOaep" | "Basic128Rsa15") => self.key.len() == 16,
            Some("Aes256_Sha256_RsaPss" | "Basic256Sha256" | "Basic256") => self.key.len() == 32,
            Some(_) => false,
        }
    }

    fn decrypt(&self, blocks: &mut [u8]) -> bool {
        match self.key.len() {
            16 => decrypt::<Decryptor<Aes128>>(&self.key, &self.vector, blocks),
            32 => decrypt::<Decryptor<Aes256>>(&self.key, &self.vector, blocks),
            _ => false,
        }
    }
}

fn decrypt<C: KeyIvInit + BlockModeDecrypt>(key: &[u8], vector: &[u8], blocks: &mut [u8]) -> bool {
    C::new_from_slices(key, vector).is_ok_and(|cipher| cipher.decrypt_padded::<NoPadding>(blocks).is_ok())
}

/// The length of sequence header and body of a decrypted chunk, bytes. Behind them are the padding, whose first byte is its
/// length without that byte, and the signature. Some stacks pad to the length of the key instead of that of a block.
fn content_length(whole: &[u8], signature: usize) -> Option<usize> {
    let unsigned = whole.get(..whole.len().checked_sub(signature)?)?;
    let (length, before) = unsigned.split_last()?;
    let size = before.len().checked_sub(usize::from(*length))?;
    let is_padding = before.get(size..)?.iter().all(|byte| byte == length);
    let sequence = u32::from_le_bytes(*whole.first_chunk()?);
    (is_padding && size >= SEQUENCE_HEADER && sequence < MAX_SEQUENCE).then_some(size)
}

/// Length of an AES block, bytes.
pub(super) const BLOCK: usize = 16;
/// Length of sequence number and request id, bytes.
const SEQUENCE_HEADER: usize = 8;
/// More chunks than a channel sends in years.
const MAX_SEQUENCE: u32 = 1 << 28;
