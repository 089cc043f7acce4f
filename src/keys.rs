//! Keys of encrypted OPC UA channels, as one of their ends exported them. An analyst has such keys, a sensor never does.
//!
//! They come from a key log file, or from a block of decryption secrets in a pcapng file: `log` reads either, `cipher`
//! opens chunks with them. Every worker has a [`KeyRing`] of its own, so that a key is used from its place in the
//! captures on, whatever the number of workers.

mod cipher;
mod log;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
#[expect(clippy::disallowed_types, reason = "decoders want their keys to be Sync; a ring never leaves its worker")]
use std::sync::{PoisonError, RwLock};

use hashbrown::HashMap;
use lockkeeper_protocols::{Keys, Sealed, Side};

use cipher::Key;
pub use log::{KeyLog, WrongLine};

/// The decryption secrets of a pcapng file that are such keys: the letters UAKL.
pub const SECRETS_OF_OPC_UA: u32 = 0x5541_4B4C;

/// What a key is found by: the channel, its token, and who encrypts with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct KeyName {
    channel: u32,
    token: u32,
    is_client: bool,
}

/// The keys that one worker knows so far. It is the only one that reads and adds: the lock never waits.
#[derive(Debug, Default)]
#[expect(clippy::disallowed_types, reason = "decoders want their keys to be Sync; a ring never leaves its worker")]
pub struct KeyRing {
    keys: RwLock<KeyTable>,
    missing: AtomicU64,
    wrong: AtomicU64,
}

#[derive(Debug, Default)]
struct KeyTable {
    /// Controllers number their channels as they like, so that several may have the same name.
    by_name: HashMap<KeyName, Vec<Key>>,
    count: usize,
    not_kept: u64,
}

/// What became of encrypted chunks, once there were keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyCounters {
    /// No key is known for them.
    pub missing: u64,
    /// The key that is known does not fit.
    pub wrong: u64,
    /// Keys that were not kept, because there were too many.
    pub not_kept: u64,
}

/// A key log file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The path as given.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line of it is none of a key log.
    #[error("{path}:{wrong}")]
    Line {
        /// The path as given.
        path: String,
        /// Which line, and what is wrong with it.
        wrong: WrongLine,
    },
    /// It is too large to be a key log.
    #[error("{path}: {size} bytes are too many for a key log; {MAX_LOG} is the most")]
    TooLarge {
        /// The path as given.
        path: String,
        /// How large it is.
        size: u64,
    },
}

/// Reads a key log file.
pub fn load(path: &Path) -> Result<KeyLog, Error> {
    let name = || path.display().to_string();
    let io = |source| Error::Io { path: name(), source };
    let size = fs::metadata(path).map_err(io)?.len();
    if size > MAX_LOG {
        return Err(Error::TooLarge { path: name(), size });
    }
    let text = fs::read(path).map_err(io)?;
    KeyLog::parse(&text).map_err(|wrong| Error::Line { path: name(), wrong })
}

impl KeyRing {
    /// Adds the keys of a log.
    pub fn add(&self, log: &KeyLog) {
        let mut table = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        for (name, key) in &log.keys {
            table.add(*name, key);
        }
    }

    /// What was counted so far.
    pub fn counters(&self) -> KeyCounters {
        KeyCounters {
            missing: self.missing.load(Ordering::Relaxed),
            wrong: self.wrong.load(Ordering::Relaxed),
            not_kept: self.keys.read().unwrap_or_else(PoisonError::into_inner).not_kept,
        }
    }
}

impl KeyTable {
    fn add(&mut self, name: KeyName, key: &Key) {
        let same = self.by_name.entry(name).or_default();
        if same.contains(key) {
            return;
        }
        if self.count >= MAX_KEYS || same.len() >= MAX_SAME {
            self.not_kept += 1;
            return;
        }
        self.count += 1;
        same.push(key.clone());
    }
}

impl Keys for KeyRing {
    fn open(&self, sealed: &Sealed<'_>, clear: &mut Vec<u8>) -> bool {
        let table = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        if table.count == 0 {
            return false;
        }
        let is_client = sealed.from == Side::Client;
        let name = KeyName { channel: sealed.channel, token: sealed.token, is_client };
        let Some(keys) = table.by_name.get(&name) else {
            self.missing.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        let opens = keys.iter().any(|key| key.open(sealed.suite, sealed.text, clear));
        if !opens {
            self.wrong.fetch_add(1, Ordering::Relaxed);
        }
        opens
    }
}

/// Keys that are kept, of all channels together: some ten MiB.
const MAX_KEYS: usize = 65_536;
/// Keys of the same name that are kept, and tried one after the other.
const MAX_SAME: usize = 8;
/// Bytes of the largest key log that is read.
const MAX_LOG: u64 = 64 * 1024 * 1024;
