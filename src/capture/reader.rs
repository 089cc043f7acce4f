//! Reads one capture directly into the caller's block, and parses its records in place.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use lockkeeper_protocols::Stamp;

use super::input::Input;
use super::records::{ParseEnd, RecordPosition, Sink};
use super::{Block, Capture, Cut, Error, Origin, detect, pcap, pcapng};

/// Reads one capture from its start to its end.
pub(super) struct Reader {
    input: Input,
    parser: Parser,
    /// The stamp of the next packet, without its time.
    next: Stamp,
    /// The incomplete record at the end of the last block, with which the next block starts.
    carry: Vec<u8>,
    /// Least number of bytes that the incomplete record needs.
    needed: usize,
    /// A record that is not needed and too long to be stored.
    skip: Option<Skip>,
    /// Offset of the next record in the uncompressed capture.
    position: u64,
    ended: bool,
}

/// A record that is skipped without being stored.
struct Skip {
    /// Its length, bytes.
    size: u64,
    /// Bytes that were not read yet.
    left: u64,
}

impl Reader {
    /// Opens a path as the capture with this index. Adds the number of bytes read to `counter`.
    pub(super) fn open(path: &Path, index: u16, counter: &Arc<AtomicU64>) -> Result<Self, Error> {
        let input = Input::open(path, counter).map_err(|source| io_error(path, source))?;
        Self::new(input, index).map_err(|input| not_a_capture(path, describe(&input, path)))
    }

    /// Reads `input` as the capture with this index. Returns the input if it is no capture.
    pub(super) fn new(input: Input, capture: u16) -> Result<Self, Input> {
        let Some(parser) = Parser::of(input.head()) else {
            return Err(input);
        };
        let next = Stamp { time: 0, clock: i64::MIN, packet: 0, origin: Origin { capture, number: 1 }.word() };
        Ok(Self { input, parser, next, carry: Vec::new(), needed: 0, skip: None, position: 0, ended: false })
    }

    /// Its format, such as `pcapng (zstd)`.
    pub(super) fn format(&self) -> String {
        let name = self.parser.name();
        self.input.compression().map_or_else(|| name.to_owned(), |how| format!("{name} ({})", how.name()))
    }

    /// Fills `block` with the next packets, from `size` bytes of the capture or more, and updates `capture`. Returns `false`
    /// if none are left.
    pub(super) fn fill(&mut self, block: &mut Block, size: usize, capture: &mut Capture) -> bool {
        block.clear();
        while block.packets.is_empty() && !self.ended {
            if self.skip_record(block, size, capture) {
                let held = self.load(block, size);
                self.parse(block, held, capture);
            }
        }
        capture.packets = self.next.packet;
        capture.dropped_at_capture = self.parser.dropped();
        !block.packets.is_empty()
    }

    /// Skips a record, if there is one to skip. Returns `false` if the capture ends inside it.
    fn skip_record(&mut self, block: &mut Block, size: usize, capture: &mut Capture) -> bool {
        let Some(skip) = self.skip.take() else { return true };
        block.reserve(size);
        let mut left = skip.left;
        while left > 0 {
            let most = block.bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let read = self.input.read(block.bytes.get_mut(..most).unwrap_or_default());
            left -= read as u64;
            if read < most {
                self.end_input(skip.size - left, skip.size, capture);
                return false;
            }
        }
        self.position += skip.size;
        true
    }

    /// Reads `size` bytes into `block`, or more if the incomplete record needs them, behind the carried bytes. Returns the
    /// range of both, and whether more bytes may follow.
    ///
    /// The read bytes start on a memory page, as in the file: with another alignment, the kernel copies them three times as
    /// slowly.
    fn load(&mut self, block: &mut Block, size: usize) -> (Range<usize>, bool) {
        let carried = self.carry.len();
        let size = size.max(self.needed.saturating_sub(carried));
        block.reserve(carried + PAGE + size);
        let behind = block.bytes.get(carried..).unwrap_or_default();
        let middle = carried + behind.as_ptr().align_offset(PAGE) % PAGE;
        let (front, rest) = block.bytes.split_at_mut(middle);
        let start = middle - carried;
        front.get_mut(start..).unwrap_or_default().copy_from_slice(&self.carry);
        self.carry.clear();
        let read = self.input.read(rest.get_mut(..size).unwrap_or_default());
        (start..middle + read, read == size)
    }

    /// Parses the records of `block` in the range `held`; keeps an incomplete one for the next block.
    fn parse(&mut self, block: &mut Block, (held, is_full): (Range<usize>, bool), capture: &mut Capture) {
        let bytes = block.bytes.get(held.clone()).unwrap_or_default();
        let Block { packets, secrets, .. } = block;
        let mut sink = Sink { packets, secrets, position: RecordPosition { next: self.next, at: held.start } };
        let (used, stop) = self.parser.parse(bytes, &mut sink);
        self.next = sink.position.next;
        self.position += used as u64;
        let left = bytes.get(used..).unwrap_or_default();
        match stop {
            ParseEnd::NeedsBytes(needed) if is_full => {
                self.carry.extend_from_slice(left);
                self.needed = needed;
            }
            ParseEnd::NeedsBytes(needed) => self.end_input(left.len() as u64, needed as u64, capture),
            ParseEnd::Skip(size) => self.skip = Some(Skip { size, left: size - left.len() as u64 }),
            ParseEnd::Broken(reason) => self.record_cut(reason, capture),
        }
    }

    /// Handles the end of the input, with `left` bytes of a record that needs at least `needed`.
    fn end_input(&mut self, left: u64, needed: u64, capture: &mut Capture) {
        self.ended = true;
        let partial = (left > 0).then(|| format!("{left} bytes of a record of at least {needed}"));
        let reason = match (self.input.failure(), partial) {
            (None, None) => return,
            (None, Some(partial)) => format!("the capture ends inside a record: {partial} are there"),
            (Some(failure), None) => failure.to_owned(),
            (Some(failure), Some(partial)) => format!("{failure}, inside a record: {partial} are there"),
        };
        self.record_cut(reason, capture);
    }

    /// Ends the capture early, for `reason`.
    fn record_cut(&mut self, reason: String, capture: &mut Capture) {
        self.ended = true;
        capture.cut = Some(Cut { offset: self.position, reason });
    }
}

/// Describes an input that is no capture.
fn describe(input: &Input, path: &Path) -> String {
    let inside = detect::describe(input.head(), path);
    match (input.compression(), input.failure()) {
        (Some(_), Some(failure)) if input.head().is_empty() => failure.to_owned(),
        (Some(how), _) => format!("inside the {} stream, {inside}", how.name()),
        (None, Some(failure)) => failure.to_owned(),
        (None, None) => inside,
    }
}

pub(super) fn io_error(path: &Path, source: io::Error) -> Error {
    Error::Io { path: path.display().to_string(), source }
}

pub(super) fn not_a_capture(path: &Path, found: String) -> Error {
    Error::NotACapture { path: path.display().to_string(), found }
}

/// The parser of a capture, by its format.
enum Parser {
    Pcap(pcap::Parser),
    Pcapng(pcapng::Parser),
}

impl Parser {
    fn of(head: &[u8]) -> Option<Self> {
        let pcap = pcap::Parser::of(head).map(Self::Pcap);
        pcap.or_else(|| pcapng::Parser::of(head).map(Self::Pcapng))
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Pcap(parser) => parser.name(),
            Self::Pcapng(_) => "pcapng",
        }
    }

    fn dropped(&self) -> u64 {
        match self {
            Self::Pcap(_) => 0,
            Self::Pcapng(parser) => parser.dropped(),
        }
    }

    fn parse(&mut self, bytes: &[u8], sink: &mut Sink<'_>) -> (usize, ParseEnd) {
        match self {
            Self::Pcap(parser) => parser.parse(bytes, sink),
            Self::Pcapng(parser) => parser.parse(bytes, sink),
        }
    }
}

/// Size of a memory page, bytes.
const PAGE: usize = 4096;
