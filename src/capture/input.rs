//! The bytes of one capture: a file or standard input, decompressed if its content is compressed.

use std::fs::File;
use std::io::{self, BufReader, Cursor, ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

/// The path of standard input.
pub(super) const STANDARD_INPUT: &str = "-";

/// Compression of a capture file, detected by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    /// RFC 1952, any number of members.
    Gzip,
    /// RFC 8878, any number of frames.
    Zstd,
}

impl Compression {
    /// Detects the compression of a file that starts with `head`.
    fn of(head: &[u8]) -> Option<Self> {
        match head {
            // RFC 1952 section 2.3.1: ID1, ID2 and CM = 8, the only method.
            [0x1f, 0x8b, 0x08, ..] => Some(Self::Gzip),
            // RFC 8878 sections 3.1.1 and 3.1.2: a frame, or a skippable frame before the first.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Display name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// The uncompressed bytes of one capture, from its start.
pub(super) struct Input {
    reader: Box<dyn Read + Send>,
    compression: Option<Compression>,
    /// The first bytes, uncompressed, to detect the format before reading.
    head: Vec<u8>,
    /// Bytes of `head` that were read.
    head_used: usize,
    /// The error that ended reading, if any.
    failure: Option<String>,
    ended: bool,
}

impl Input {
    /// Opens `path` (`-` for standard input) and reads its head. Adds the number of bytes read to `counter`.
    pub(super) fn open(path: &Path, counter: &Arc<AtomicU64>) -> io::Result<Self> {
        if path.as_os_str() == STANDARD_INPUT {
            Self::new(io::stdin(), counter)
        } else {
            Self::new(File::open(path)?, counter)
        }
    }

    /// Like [`Self::open`], for any reader.
    pub(super) fn new(raw: impl Read + Send + 'static, counter: &Arc<AtomicU64>) -> io::Result<Self> {
        let mut raw = CountingReader { inner: raw, counter: Arc::clone(counter) };
        let mut head = vec![0; HEAD];
        let (used, failure) = read_full(&mut raw, &mut head);
        if let Some(failure) = failure {
            return Err(failure);
        }
        head.truncate(used);
        let compression = Compression::of(&head);
        let reader = decompress(compression, Cursor::new(std::mem::take(&mut head)).chain(raw))?;
        let mut input = Self { reader, compression, head, head_used: 0, failure: None, ended: false };
        input.read_head();
        Ok(input)
    }

    /// Fills `head`.
    fn read_head(&mut self) {
        let mut head = vec![0; HEAD];
        let used = self.read(&mut head);
        head.truncate(used);
        self.head = head;
    }

    /// Its first bytes, up to 4 KiB.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    /// Its compression, if any.
    pub(super) fn compression(&self) -> Option<Compression> {
        self.compression
    }

    /// Fills `buffer` and returns the number of bytes read, which is less than its length only at the end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> usize {
        let held = self.head.get(self.head_used..).unwrap_or_default();
        let copied = held.len().min(buffer.len());
        let (front, rest) = buffer.split_at_mut(copied);
        front.copy_from_slice(held.split_at(copied).0);
        self.head_used += copied;
        if self.ended || rest.is_empty() {
            return copied;
        }
        let wanted = rest.len();
        let (used, failure) = read_full(&mut self.reader, rest);
        self.ended = used < wanted;
        self.failure = failure.map(|error| self.explain(&error));
        copied + used
    }

    /// Why reading ended early; `None` at the regular end.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Describes a read error.
    fn explain(&self, error: &io::Error) -> String {
        match self.compression {
            Some(compression) if error.kind() == ErrorKind::UnexpectedEof => {
                format!("the {} stream is cut off", compression.name())
            }
            Some(compression) => format!("the {} stream is damaged: {error}", compression.name()),
            None => format!("reading failed: {error}"),
        }
    }
}

/// Wraps a reader of compressed bytes in a decoder.
fn decompress(compression: Option<Compression>, raw: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    let buffered = |raw| BufReader::with_capacity(COMPRESSED_BUFFER, raw);
    Ok(match compression {
        None => Box::new(raw),
        Some(Compression::Gzip) => Box::new(MultiGzDecoder::new(buffered(raw))),
        Some(Compression::Zstd) => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(buffered(raw))?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
    })
}

/// Reads until `buffer` is full, the input ends or reading fails; returns the number of bytes read before that.
fn read_full(reader: &mut impl Read, buffer: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut used = 0;
    while let Some(rest) = buffer.get_mut(used..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(count) => used += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return (used, Some(error)),
        }
    }
    (used, None)
}

/// Counts the bytes read from disk.
struct CountingReader<R> {
    inner: R,
    counter: Arc<AtomicU64>,
}

impl<R: Read> Read for CountingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.counter.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Bytes of a file that are used to detect its format.
const HEAD: usize = 4096;

/// Buffer for compressed bytes of each open capture, bytes.
const COMPRESSED_BUFFER: usize = 64 * 1024;

/// Largest accepted zstd window, as a power of 2: 128 MiB, the most that the zstd program uses by default.
const ZSTD_WINDOW_LOG: u32 = 27;
