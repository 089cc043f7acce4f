//! Opens chunks: AES in CBC mode, as the policies of OPC UA use it (OPC 10000-6, 6.7.2 and 6.7.5).

use aes::{Aes128, Aes256};
use cbc::Decryptor;
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit};

/// What one side of a channel encrypts with while one token is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// 16 or 32 bytes: AES-128 or AES-256.
    pub(super) key: Vec<u8>,
    /// Every chunk begins with it anew.
    pub(super) vector: [u8; BLOCK],
    /// Bytes of the signature at the end of a chunk.
    pub(super) signature: usize,
}

impl Key {
    /// Appends the sequence header and the body of a chunk to `clear`; false, if this is not its key.
    ///
    /// A key log has no keys for signatures. That a key fits shows in the padding, whose bytes all say how many there are,
    /// and in a sequence number that is not out of all reason: a wrong key passes one time in some thousands.
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

    /// Whether the policy of the channel encrypts with keys of this length.
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

/// How many bytes of a decrypted chunk are sequence header and body: behind them come the padding, whose first byte is
/// its length without that byte, and the signature. Some stacks pad to the length of the key, not of a block.
fn content_length(whole: &[u8], signature: usize) -> Option<usize> {
    let unsigned = whole.get(..whole.len().checked_sub(signature)?)?;
    let (length, before) = unsigned.split_last()?;
    let size = before.len().checked_sub(usize::from(*length))?;
    let is_padding = before.get(size..)?.iter().all(|byte| byte == length);
    let sequence = u32::from_le_bytes(*whole.first_chunk()?);
    (is_padding && size >= SEQUENCE_HEADER && sequence < MAX_SEQUENCE).then_some(size)
}

/// Bytes of a block of AES.
pub(super) const BLOCK: usize = 16;
/// Sequence number and request id.
const SEQUENCE_HEADER: usize = 8;
/// More chunks than a channel sends with one token after the other in years.
const MAX_SEQUENCE: u32 = 1 << 28;
