//! Everything that was captured, on disk, as long as there is room: the oldest goes.
//!
//! ```text
//!  blocks, in order -> Recorder == Chunk ==> Writer (a thread) -> recording-TIME.pcapng, of which the oldest are removed
//!                         ^                    |
//!                         +=== empty, news ==+
//! ```
//! **The packet path never waits for the disk.** Whoever collects the results copies packets into a chunk, already in the
//! form in which they lie in the file, and a thread of its own writes whole chunks. There is a bounded number of them: when the
//! disk is slower than the network for so long that none is left, or takes nothing at all, packets are not recorded and
//! counted ([`Counters::dropped`]).
//!
//! **A file can be read at any time.** It grows by whole blocks, a few times a second; what the disk took only half of is
//! cut off again. Each file stands alone: it describes every interface, and ends with what was lost at each.

mod writer;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::capture::live::InterfaceCounters;
use crate::capture::pcapng::write::{self, Interfaces, PACKET_OVERHEAD};
use crate::capture::{Block, LinkType, Packet};
use crate::fault::FaultReport;
use writer::{News, Writer};

/// What is recorded, and how much of it is kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the files go. It is made if it is not there.
    pub folder: PathBuf,
    /// Bytes of all files together, the one that is being written included.
    pub bytes: u64,
    /// Bytes of one file, at most: what goes when the oldest goes.
    pub file_bytes: u64,
    /// The interfaces, in the order of [`Origin::capture`](crate::capture::Origin::capture).
    pub interfaces: Vec<Interface>,
}

/// An interface that is recorded.
#[derive(Clone, Debug)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Bytes of each packet that are captured.
    pub snap_length: u32,
    /// What is counted of it.
    pub counters: Arc<InterfaceCounters>,
}

/// What became of the packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that were not recorded, because the disk was too slow, full or gone.
    pub dropped: u64,
}

/// What is on the disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    /// Files.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Name of the oldest: it says since when there are packets.
    pub oldest: Option<String>,
}

/// Nothing can be recorded, or not all was.
#[derive(Debug, thiserror::Error)]
#[error("recording {folder}: {source}")]
pub struct Error {
    /// The folder.
    pub folder: String,
    /// What the system said.
    pub source: io::Error,
}

/// Takes packets to the disk.
#[derive(Debug)]
pub struct Recorder {
    folder: String,
    /// What is being filled.
    chunk: Option<Chunk>,
    spare: Vec<Chunk>,
    made: usize,
    interfaces: Interfaces,
    empty: Receiver<Chunk>,
    news: Receiver<News>,
    latest: News,
    /// As long as packets may follow.
    thread: Option<Thread>,
    counters: Counters,
}

/// The thread that writes, and what it lives on.
#[derive(Debug)]
struct Thread {
    full: Sender<Chunk>,
    /// Hung up when nothing follows.
    running: Sender<()>,
    /// Ends with how many packets it could not write.
    handle: JoinHandle<u64>,
}

/// Packets in the form in which they lie in the file.
#[derive(Debug, Default)]
struct Chunk {
    bytes: Vec<u8>,
    /// Interfaces that are named here for the first time: they have to be described before.
    new: Vec<(u16, LinkType)>,
    /// Packets by interface.
    packets: Vec<u64>,
    /// Times of the first and the last packet.
    span: (i64, i64),
    /// The packet clock at the first.
    begun: i64,
}

/// A recording whose folder was looked at, and that has no thread yet.
pub struct Prepared {
    writer: Writer,
    chunks: Receiver<Chunk>,
    full: Sender<Chunk>,
    running: Sender<()>,
    recorder: Recorder,
}

impl Prepared {
    /// Starts to record, on a thread of its own.
    pub fn start(self) -> Result<Recorder, Error> {
        let Self { writer, chunks, full, running, mut recorder } = self;
        let thread = thread::Builder::new().name("record".to_owned()).spawn(move || writer.run(&chunks));
        let handle = thread.map_err(|source| Error { folder: recorder.folder.clone(), source })?;
        recorder.thread = Some(Thread { full, running, handle });
        Ok(recorder)
    }
}

impl Recorder {
    /// Makes ready to record. A folder that cannot be written to is an error at once; a disk that is full is waited for.
    pub fn prepare(settings: Settings) -> Result<Prepared, Error> {
        let folder = settings.folder.display().to_string();
        let failed = |source| Error { folder: folder.clone(), source };
        let ((full, chunks), (spare, empty)) = (bounded(CHUNKS), bounded(CHUNKS));
        let ((told, news), (running, ended)) = (bounded(NEWS), bounded(0));
        let writer = Writer::new(settings, spare, told, ended).map_err(failed)?;
        let recorder = Self {
            thread: None,
            folder,
            chunk: None,
            spare: Vec::new(),
            made: 0,
            interfaces: Interfaces::default(),
            empty,
            news,
            latest: News::default(),
            counters: Counters::default(),
        };
        Ok(Prepared { writer, chunks, full, running, recorder })
    }

    /// Takes the packets of one block.
    pub fn block(&mut self, block: &Block) {
        for packet in block.as_captured() {
            self.packet(&packet, block.bytes_of(&packet));
        }
    }

    /// The end of a block, when it is `clock`: what has waited for long enough goes to the disk.
    pub fn end_of_block(&mut self, clock: i64) {
        if let Some(chunk) = self.chunk.take_if(|chunk| clock >= chunk.begun.saturating_add(WRITTEN_EVERY)) {
            self.hand_over(chunk);
        }
        self.listen();
    }

    /// Waits until everything is on the disk, or it is certain that it never will be.
    pub fn finish(&mut self) -> Result<(), Error> {
        if let Some(chunk) = self.chunk.take() {
            self.hand_over(chunk);
        }
        let Some(Thread { full, running, handle }) = self.thread.take() else { return Ok(()) };
        drop((full, running));
        // It does not panic; if it did, nobody knows what was written.
        self.counters.dropped += handle.join().unwrap_or_default();
        self.listen();
        match self.fault() {
            Some(told) => Err(Error { folder: self.folder.clone(), source: io::Error::other(told.why) }),
            None => Ok(()),
        }
    }

    /// What became of the packets so far.
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// What is on the disk, as far as it is known here.
    pub const fn stock(&self) -> &Stock {
        &self.latest.stock
    }

    /// What keeps packets from being recorded now.
    pub fn fault(&self) -> Option<FaultReport> {
        self.latest.fault.clone()
    }

    fn listen(&mut self) {
        self.latest = self.news.try_iter().last().unwrap_or(std::mem::take(&mut self.latest));
    }

    #[inline]
    fn packet(&mut self, packet: &Packet, bytes: &[u8]) {
        let size = bytes.len() + PACKET_OVERHEAD;
        if let Some(chunk) = self.chunk.take_if(|chunk| chunk.bytes.len() + size > CHUNK_BYTES) {
            self.hand_over(chunk);
        }
        if self.chunk.is_none() {
            self.chunk = self.next_chunk(packet);
        }
        let Some(chunk) = &mut self.chunk else {
            self.counters.dropped += 1;
            return;
        };
        let interface = self.interfaces.of(packet).unwrap_or_else(|new| {
            chunk.new.push((packet.origin().capture, packet.link));
            new
        });
        write::packet(&mut chunk.bytes, interface, packet, bytes, None);
        chunk.count(interface as usize, packet.stamp.time);
    }

    /// An empty chunk for packets from this one on, if there is one.
    #[cold]
    fn next_chunk(&mut self, packet: &Packet) -> Option<Chunk> {
        self.spare.extend(self.empty.try_iter());
        // The one that was used last is still in the caches.
        let mut chunk = self.spare.pop().or_else(|| {
            let more = self.made < CHUNKS;
            self.made += usize::from(more);
            more.then(|| Chunk { bytes: Vec::with_capacity(CHUNK_BYTES), ..Chunk::default() })
        })?;
        chunk.begin(packet);
        Some(chunk)
    }

    #[cold]
    fn hand_over(&mut self, chunk: Chunk) {
        // All chunks that there are have room; the thread only hangs up when it has panicked.
        let refused = self.thread.as_ref().and_then(|thread| thread.full.try_send(chunk).err());
        self.counters.dropped += refused.map_or(0, |refused| refused.into_inner().packets());
    }
}

impl Chunk {
    fn begin(&mut self, packet: &Packet) {
        self.bytes.clear();
        self.new.clear();
        self.packets.clear();
        (self.span, self.begun) = ((packet.stamp.time, packet.stamp.time), packet.stamp.clock);
    }

    #[inline]
    fn count(&mut self, interface: usize, time: i64) {
        if self.packets.len() <= interface {
            self.packets.resize(interface + 1, 0);
        }
        if let Some(count) = self.packets.get_mut(interface) {
            *count += 1;
        }
        self.span = (self.span.0.min(time), self.span.1.max(time));
    }

    /// Packets in it.
    fn packets(&self) -> u64 {
        self.packets.iter().sum()
    }
}

/// Chunks that there are, at most, and bytes of each: 32 MiB between the network and the disk.
const CHUNKS: usize = 128;
const CHUNK_BYTES: usize = 256 * 1024;

/// News that wait to be heard. Whoever does not hear some hears the next.
const NEWS: usize = 64;

/// How long a packet waits for others before it is written, nanoseconds of packet time.
const WRITTEN_EVERY: i64 = 200_000_000;

#[cfg(test)]
mod tests;
