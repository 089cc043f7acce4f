//! Keys of encrypted OPC UA channels, exported by one of their ends. An analyst may have them; a sensor never does.
//!
//! They come from a key log file or from a decryption secrets block of a pcapng file. `log` parses both, `cipher` decrypts
//! chunks. Every worker has its own [`KeyRing`], so that a key is used from its position in the captures on, whatever the
//! number of workers.

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

/// The secrets type of pcapng for OPC UA key logs: the letters UAKL.
pub const SECRETS_OF_OPC_UA: u32 = 0x5541_4B4C;

/// Identifies a key: the channel, its token, and the side that encrypts with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct KeyName {
    channel: u32,
    token: u32,
    is_client: bool,
}

/// The keys of one worker, which alone reads and adds them: the lock is never contended.
#[derive(Debug, Default)]
#[expect(clippy::disallowed_types, reason = "decoders want their keys to be Sync; a ring never leaves its worker")]
pub struct KeyRing {
    keys: RwLock<KeyTable>,
    missing: AtomicU64,
    wrong: AtomicU64,
}

#[derive(Debug, Default)]
struct KeyTable {
    /// Several keys may have the same name, because controllers choose the numbers of their channels.
    by_name: HashMap<KeyName, Vec<Key>>,
    count: usize,
    not_kept: u64,
}

/// Counters of chunks that were not decrypted although there were keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyCounters {
    /// Chunks without a key.
    pub missing: u64,
    /// Chunks that their key does not decrypt.
    pub wrong: u64,
    /// Keys dropped because there were too many.
    pub not_kept: u64,
}

/// Why a key log file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The path as given.
        path: String,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A line is invalid.
    #[error("{path}:{wrong}")]
    Line {
        /// The path as given.
        path: String,
        /// The line, and what is wrong with it.
        wrong: WrongLine,
    },
    /// It is too large.
    #[error("{path}: {size} bytes are too many for a key log; {MAX_LOG} is the most")]
    TooLarge {
        /// The path as given.
        path: String,
        /// Its size, bytes.
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

    /// The counters so far.
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

/// Most keys of all channels together: some ten MiB.
const MAX_KEYS: usize = 65_536;
/// Most keys of the same name, which are tried one after the other.
const MAX_SAME: usize = 8;
/// Size of the largest accepted key log, bytes.
const MAX_LOG: u64 = 64 * 1024 * 1024;
