//! Evidence: the packets around a violation, in files for Wireshark.
//!
//! ```text
//!  blocks, in order -> recent (the latest packets) -> collect (those of one conversation) -> store (files)
//!                              alerts, in order ----------^
//! ```
//! For the first revision of a violation, [`EvidenceCollector`] writes `RULE-ID.pcapng`: the proving packet, with id, rule and
//! message as its comment, and the packets of the same conversation around it. Nothing here is on the packet path: judged
//! blocks are copied whole, and are searched only for an alert.
//!
//! **The same files for any number of workers.** The extent of a file is defined in packets, bytes and packet time from its
//! proving packet, never in blocks, whose ends depend on the number of workers.
//!
//! **Two kinds of folder.** A replay keeps the first files until the folder is full. A sensor, which runs for years, keeps
//! the latest: its folder is [rolling](Settings::rolling).

mod collect;
mod recent;
mod store;

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;

use hashbrown::HashMap;

use crate::capture::Block;
use crate::fault::FaultReport;
use crate::record::{EvidenceRequest, Kind, Rendered};
use collect::Collection;
use recent::Recent;
use store::Store;

/// What to keep, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The folder of the files. It is created if it does not exist.
    pub folder: PathBuf,
    /// Packets of the conversation to keep before the proving one, and as many after it.
    pub packets: usize,
    /// Number of files, at most.
    pub files: usize,
    /// Bytes of all files together, at most.
    pub bytes: u64,
    /// Names of the captures, in the order of [`Origin::capture`](crate::capture::Origin::capture).
    pub captures: Vec<String>,
    /// The oldest files are deleted to make room for new ones, the files of earlier runs included, and a failed write is
    /// retried. Otherwise, no file is written once the folder is full, and a failed write is given up.
    pub rolling: bool,
}

/// The files written and removed, and the alerts without a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Files written.
    pub files: u64,
    /// Alerts without a file, because there were too many or they were too large.
    pub over_limit: u64,
    /// Files deleted to make room for newer ones.
    pub rotated: u64,
    /// Alerts without a file, because it could not be written.
    pub failed: u64,
    /// Alerts without a file, because their proving packet was no longer in memory.
    pub too_late: u64,
}

/// Evidence cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {source}")]
pub struct Error {
    /// `evidence` and the path of the file or folder.
    pub name: String,
    /// The error of the operating system.
    pub source: io::Error,
}

/// Collects the packets around each violation, and writes them to a file.
///
/// Its memory holds the latest 20 MiB of traffic, and the packets being collected: at most [`Settings::files`] times twice
/// [`Settings::packets`], usually almost none. For a rolling folder, at most 1024 files are collected at once, and no further
/// one is started while they hold 64 MiB or more.
#[derive(Debug)]
pub struct EvidenceCollector {
    packets: usize,
    captures: Vec<String>,
    recent: Recent,
    /// The incomplete collections, in the order of the alerts. Files are written in that order too, so that the ends of
    /// blocks do not decide which file has no room.
    open: VecDeque<Collection>,
    /// Number of the first open collection.
    first: u64,
    /// The numbers of the open collections, by the key of their packets.
    waiting_by_key: HashMap<u64, Vec<u64>>,
    store: Store,
    too_late: u64,
}

impl EvidenceCollector {
    /// Opens the folder; an error if it cannot be written to.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self {
            store: Store::open(&settings)?,
            packets: settings.packets,
            captures: settings.captures,
            recent: Recent::default(),
            open: VecDeque::new(),
            first: 0,
            waiting_by_key: HashMap::new(),
            too_late: 0,
        })
    }

    /// Takes the packets of a block. To be called for all blocks in their order, before the alerts of the block.
    pub fn take_block(&mut self, block: &Block) {
        // An empty block would make `newest` return the block before.
        if block.packets.is_empty() {
            return;
        }
        self.recent.push(block);
        if self.waiting_by_key.is_empty() {
            return;
        }
        for (packet, bytes, keys) in self.recent.newest() {
            for number in keys.iter().filter_map(|key| self.waiting_by_key.get(&key)).flatten() {
                let open = number.checked_sub(self.first).and_then(|index| self.open.get_mut(index as usize));
                if let Some(collection) = open {
                    collection.add_later(packet, bytes);
                }
            }
        }
    }

    /// Takes one revision of an alert.
    pub fn take_alert(&mut self, alert: &Rendered) {
        let Some(request) = alert.evidence_request.as_deref().filter(|_| alert.kind == Kind::Violation) else { return };
        let held = || self.open.iter().map(Collection::bytes).sum();
        if !self.store.reserve(held) {
            return;
        }
        match self.start_collection(request, alert) {
            Some(collection) => {
                self.waiting_by_key.entry(collection.key()).or_default().push(self.first + self.open.len() as u64);
                self.open.push_back(collection);
            }
            None => {
                self.too_late += 1;
                self.store.release();
            }
        }
    }

    /// Ends a block at the packet clock `clock`: writes the complete files.
    pub fn end_block(&mut self, clock: i64) {
        while let Some(next) = self.open.front()
            && next.is_complete(clock)
            && self.store.may_write(clock)
            && self.store.write(next.name(), &next.to_pcapng(&self.captures), clock)
        {
            self.close_first();
        }
    }

    /// Writes all open collections at the end of the run, and gives up those that cannot be written.
    pub fn finish(&mut self) {
        self.end_block(i64::MAX);
        while let Some(failed) = self.open.front() {
            self.store.give_up(failed.name());
            self.close_first();
        }
    }

    /// The counters so far.
    pub fn counters(&self) -> Counters {
        Counters { too_late: self.too_late, ..self.store.counters() }
    }

    /// The current failure, while it is being retried.
    pub fn fault(&self) -> Option<FaultReport> {
        self.store.fault()
    }

    /// Takes the first permanent failure since the last call.
    pub fn take_problem(&mut self) -> Option<Error> {
        self.store.take_problem()
    }

    /// A collection with the packets that are in memory. `None`: the proving packet is not.
    fn start_collection(&self, request: &EvidenceRequest, alert: &Rendered) -> Option<Collection> {
        let position = self.recent.find(request.proving_packet, request.known_at_packet)?;
        let comment = format!("Lockkeeper alert {}: {}: {}", alert.id, request.rule, request.message);
        let name = format!("{}-{}.pcapng", request.rule, alert.id);
        let mut collection = Collection::new(request, name, comment, self.packets);
        collection.add_earlier(self.recent.backwards(position));
        for (packet, bytes, keys) in self.recent.forwards(position) {
            if keys.contain(collection.key()) {
                collection.add_later(packet, bytes);
            }
        }
        Some(collection)
    }

    /// Removes the first open collection.
    fn close_first(&mut self) {
        let Some(collection) = self.open.pop_front() else { return };
        if let Some(waiting) = self.waiting_by_key.get_mut(&collection.key()) {
            waiting.retain(|number| *number != self.first);
            if waiting.is_empty() {
                self.waiting_by_key.remove(&collection.key());
            }
        }
        self.first += 1;
    }
}
