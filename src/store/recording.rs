//! The recording: every captured packet on disk, of which the oldest are deleted to make room.
//!
//! ```text
//!  blocks, in order -> Recorder == Chunk ==> Writer (a thread) -> recording-TIME.pcapng, of which the oldest are deleted
//!                         ^                    |
//!                         +=== empty, update ==+
//! ```
//! **The packet path never waits for the disk.** The thread that collects results copies packets into a chunk, encoded as in
//! the file, and a thread of its own writes complete chunks. The number of chunks is bounded: if none is free, because the
//! disk is too slow or fails, packets are dropped and counted ([`Counters::dropped`]).
//!
//! **A file can be read at any time.** It grows by complete blocks, a few times a second; a partly written block is removed.
//! Each file is complete on its own: it describes every interface, and ends with the losses of each.

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
use writer::{Update, Writer};

/// What to record, and how much of it to keep.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder of the files. It is created if it does not exist.
    pub folder: PathBuf,
    /// Bytes of all files together, at most, including the one being written.
    pub bytes: u64,
    /// Bytes of one file, at most: the amount that is deleted at once.
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
    /// Its counters.
    pub counters: Arc<InterfaceCounters>,
}

/// Packets by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that were not recorded, because the disk was too slow or failed.
    pub dropped: u64,
}

/// The files on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordingStatus {
    /// Number of files.
    pub files: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Name of the oldest file, which contains its start time.
    pub oldest: Option<String>,
}

/// Packets cannot be recorded.
#[derive(Debug, thiserror::Error)]
#[error("recording {folder}: {source}")]
pub struct Error {
    /// The folder.
    pub folder: String,
    /// The error of the operating system.
    pub source: io::Error,
}

/// Passes packets to the thread that writes them.
#[derive(Debug)]
pub struct Recorder {
    folder: String,
    /// The chunk that is being filled.
    chunk: Option<Chunk>,
    spare: Vec<Chunk>,
    /// Number of chunks allocated.
    allocated: usize,
    interfaces: Interfaces,
    empty: Receiver<Chunk>,
    updates: Receiver<Update>,
    latest: Update,
    /// `None` once finished.
    thread: Option<Thread>,
    counters: Counters,
}

/// The writing thread.
#[derive(Debug)]
struct Thread {
    full: Sender<Chunk>,
    /// Dropped when no further chunk comes.
    running: Sender<()>,
    /// Returns the number of packets that it could not write.
    handle: JoinHandle<u64>,
}

/// Packets, encoded as in the file.
#[derive(Debug, Default)]
struct Chunk {
    bytes: Vec<u8>,
    /// Interfaces that appear for the first time, which have to be described before the packets.
    new_interfaces: Vec<(u16, LinkType)>,
    /// Packets by interface.
    packets: Vec<u64>,
    /// Times of the first and the last packet, nanoseconds since 1970.
    span: (i64, i64),
    /// The packet clock at the first packet.
    started_at: i64,
}

/// A recording whose folder is open, and whose thread has not started yet.
pub struct Prepared {
    writer: Writer,
    chunks: Receiver<Chunk>,
    full: Sender<Chunk>,
    running: Sender<()>,
    recorder: Recorder,
}

impl Prepared {
    /// Starts the writing thread.
    pub fn start(self) -> Result<Recorder, Error> {
        let Self { writer, chunks, full, running, mut recorder } = self;
        let thread = thread::Builder::new().name("record".to_owned()).spawn(move || writer.run(&chunks));
        let handle = thread.map_err(|source| Error { folder: recorder.folder.clone(), source })?;
        recorder.thread = Some(Thread { full, running, handle });
        Ok(recorder)
    }
}

impl Recorder {
    /// Opens the folder. An error if it cannot be written to; a full disk is retried instead.
    pub fn prepare(settings: Settings) -> Result<Prepared, Error> {
        let folder = settings.folder.display().to_string();
        let failed = |source| Error { folder: folder.clone(), source };
        let ((full, chunks), (spare, empty)) = (bounded(CHUNKS), bounded(CHUNKS));
        let ((sender, updates), (running, ended)) = (bounded(UPDATES), bounded(0));
        let writer = Writer::new(settings, spare, sender, ended).map_err(failed)?;
        let recorder = Self {
            thread: None,
            folder,
            chunk: None,
            spare: Vec::new(),
            allocated: 0,
            interfaces: Interfaces::default(),
            empty,
            updates,
            latest: Update::default(),
            counters: Counters::default(),
        };
        Ok(Prepared { writer, chunks, full, running, recorder })
    }

    /// Takes the packets of one block.
    pub fn take_block(&mut self, block: &Block) {
        for packet in block.as_captured() {
            self.add_packet(&packet, block.bytes_of(&packet));
        }
    }

    /// Ends a block at the packet clock `clock`: passes on a chunk that is old enough.
    pub fn end_block(&mut self, clock: i64) {
        if let Some(chunk) = self.chunk.take_if(|chunk| clock >= chunk.started_at.saturating_add(WRITE_INTERVAL)) {
            self.pass_on(chunk);
        }
        self.read_updates();
    }

    /// Waits until every packet is written or given up.
    pub fn finish(&mut self) -> Result<(), Error> {
        if let Some(chunk) = self.chunk.take() {
            self.pass_on(chunk);
        }
        let Some(Thread { full, running, handle }) = self.thread.take() else { return Ok(()) };
        drop((full, running));
        // The thread does not panic; after a panic, the number of lost packets would be unknown.
        self.counters.dropped += handle.join().unwrap_or_default();
        self.read_updates();
        match self.fault() {
            Some(fault) => Err(Error { folder: self.folder.clone(), source: io::Error::other(fault.why) }),
            None => Ok(()),
        }
    }

    /// The counters so far.
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// The files on disk at the latest update.
    pub const fn status(&self) -> &RecordingStatus {
        &self.latest.status
    }

    /// The current failure, while it is being retried.
    pub fn fault(&self) -> Option<FaultReport> {
        self.latest.fault.clone()
    }

    fn read_updates(&mut self) {
        self.latest = self.updates.try_iter().last().unwrap_or(std::mem::take(&mut self.latest));
    }

    fn add_packet(&mut self, packet: &Packet, bytes: &[u8]) {
        let size = bytes.len() + PACKET_OVERHEAD;
        if let Some(chunk) = self.chunk.take_if(|chunk| chunk.bytes.len() + size > CHUNK_BYTES) {
            self.pass_on(chunk);
        }
        if self.chunk.is_none() {
            self.chunk = self.next_chunk(packet);
        }
        let Some(chunk) = &mut self.chunk else {
            self.counters.dropped += 1;
            return;
        };
        let interface = self.interfaces.find_or_add(packet).unwrap_or_else(|new| {
            chunk.new_interfaces.push((packet.origin().capture, packet.link));
            new
        });
        write::packet(&mut chunk.bytes, interface, packet, bytes, None);
        chunk.count(interface as usize, packet.stamp.time);
    }

    /// A free chunk for packets from this one on, if there is one.
    fn next_chunk(&mut self, packet: &Packet) -> Option<Chunk> {
        self.spare.extend(self.empty.try_iter());
        // The chunk used last is most likely still in the CPU caches.
        let mut chunk = self.spare.pop().or_else(|| {
            let more = self.allocated < CHUNKS;
            self.allocated += usize::from(more);
            more.then(|| Chunk { bytes: Vec::with_capacity(CHUNK_BYTES), ..Chunk::default() })
        })?;
        chunk.start_at(packet);
        Some(chunk)
    }

    fn pass_on(&mut self, chunk: Chunk) {
        // The channel has room for all chunks; it is closed only if the thread has panicked.
        let refused = self.thread.as_ref().and_then(|thread| thread.full.try_send(chunk).err());
        self.counters.dropped += refused.map_or(0, |refused| refused.into_inner().packet_count());
    }
}

impl Chunk {
    /// Clears the chunk for packets from this one on.
    fn start_at(&mut self, packet: &Packet) {
        self.bytes.clear();
        self.new_interfaces.clear();
        self.packets.clear();
        (self.span, self.started_at) = ((packet.stamp.time, packet.stamp.time), packet.stamp.clock);
    }

    fn count(&mut self, interface: usize, time: i64) {
        if self.packets.len() <= interface {
            self.packets.resize(interface + 1, 0);
        }
        if let Some(count) = self.packets.get_mut(interface) {
            *count += 1;
        }
        self.span = (self.span.0.min(time), self.span.1.max(time));
    }

    fn packet_count(&self) -> u64 {
        self.packets.iter().sum()
    }
}

/// Number of chunks, at most: with [`CHUNK_BYTES`], 32 MiB between the network and the disk.
const CHUNKS: usize = 128;
const CHUNK_BYTES: usize = 256 * 1024;

/// Updates in the channel, at most. Further ones are dropped; a later one replaces them.
const UPDATES: usize = 64;

/// How long packets are collected in a chunk before it is written, nanoseconds of packet time.
const WRITE_INTERVAL: i64 = 200_000_000;

#[cfg(test)]
mod tests;
