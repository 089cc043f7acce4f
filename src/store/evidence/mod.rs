//! The packets that prove an alert, kept where Wireshark opens them as they are.
//!
//! ```text
//!  blocks, in order -> recent (the last packets of everything) -> collect (those of one conversation) -> store (files)
//!                                  alerts, in order ------------------^
//! ```
//! When a violation is told for the first time, [`Keeper`] writes `RULE-ID.pcapng`: the packet that the alert names, with
//! id, rule and message as its comment, and the packets of the same conversation around it. Nothing here is on the
//! packet path: blocks are copied whole once they are judged, and are looked into only for an alert.
//!
//! **The same files for any number of workers.** What belongs to an alert is said in packets, bytes and packet time
//! counted from its own packet, never in blocks, whose ends depend on how the work is shared.
//!
//! **Two kinds of folder.** That of a replay is full when it is full: somebody is about to look at what is in it. That of a
//! sensor, which runs for years, [rolls](Settings::rolling).

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

/// What is kept, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where the files go. It is made if it is not there.
    pub folder: PathBuf,
    /// Packets of the conversation that are kept before the alert's own, and as many behind it.
    pub packets: usize,
    /// Files that are kept.
    pub files: usize,
    /// Bytes of all files together.
    pub bytes: u64,
    /// Names of the captures, in the order of [`Origin::capture`](crate::capture::Origin::capture).
    pub captures: Vec<String>,
    /// The oldest files make room for new ones, those of earlier runs count too, and what the disk refuses is tried again.
    /// Otherwise the folder is full when it is full, and what it refuses is given up.
    pub rolling: bool,
}

/// What was kept, and what was not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Files written.
    pub files: u64,
    /// Alerts without a file, because there were too many or they were too large.
    pub over_limit: u64,
    /// Files that were removed to make room for newer ones.
    pub rotated: u64,
    /// Alerts without a file, because it could not be written.
    pub failed: u64,
    /// Alerts without a file, because their packet was too long ago to be still in memory.
    pub too_late: u64,
}

/// Evidence cannot be kept.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {source}")]
pub struct Error {
    /// The file or folder, and what it is for.
    pub name: String,
    /// What the system said.
    pub source: io::Error,
}

/// Keeps the packets around every violation that is told for the first time.
///
/// In memory it holds the last 20 MiB of traffic, and what is being collected: at most [`Settings::files`] times twice
/// [`Settings::packets`] packets, commonly next to nothing. In a folder that rolls, at most 1024 files are being collected,
/// and none is begun while they hold more than 64 MiB.
#[derive(Debug)]
pub struct Keeper {
    packets: usize,
    captures: Vec<String>,
    recent: Recent,
    /// What is not complete, in the order of the alerts. Files are written in that order too, so that it does not depend
    /// on the ends of blocks which of them has no room any more.
    open: VecDeque<Collection>,
    /// Number of the first of them.
    first: u64,
    /// Which of them wait for packets with this key.
    waiting: HashMap<u64, Vec<u64>>,
    store: Store,
    too_late: u64,
}

impl Keeper {
    /// Starts with nothing seen. That the folder cannot be written to is an error at once.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self {
            store: Store::open(&settings)?,
            packets: settings.packets,
            captures: settings.captures,
            recent: Recent::default(),
            open: VecDeque::new(),
            first: 0,
            waiting: HashMap::new(),
            too_late: 0,
        })
    }

    /// Takes the packets of a block: of all blocks, in their order, each before the alerts that were found in it.
    pub fn block(&mut self, block: &Block) {
        // Without packets in it, the newest are those of the block before.
        if block.packets.is_empty() {
            return;
        }
        self.recent.take(block);
        if self.waiting.is_empty() {
            return;
        }
        for (packet, bytes, keys) in self.recent.newest() {
            for number in keys.iter().filter_map(|key| self.waiting.get(&key)).flatten() {
                let open = number.checked_sub(self.first).and_then(|index| self.open.get_mut(index as usize));
                if let Some(collection) = open {
                    collection.offer(packet, bytes);
                }
            }
        }
    }

    /// Takes one revision of an alert.
    pub fn alert(&mut self, alert: &Rendered) {
        let Some(request) = alert.evidence_request.as_deref().filter(|_| alert.kind == Kind::Violation) else { return };
        let held = || self.open.iter().map(Collection::bytes).sum();
        if !self.store.reserve(held) {
            return;
        }
        match self.collect(request, alert) {
            Some(collection) => {
                self.waiting.entry(collection.key()).or_default().push(self.first + self.open.len() as u64);
                self.open.push_back(collection);
            }
            None => {
                self.too_late += 1;
                self.store.release();
            }
        }
    }

    /// The end of a block, when it is `clock`: writes what is complete.
    pub fn end_of_block(&mut self, clock: i64) {
        while let Some(next) = self.open.front()
            && next.is_complete(clock)
            && self.store.may_try(clock)
            && self.store.put(next.name(), &next.file(&self.captures), clock)
        {
            self.close();
        }
    }

    /// Nothing follows: writes what there is.
    pub fn finish(&mut self) {
        self.end_of_block(i64::MAX);
        while let Some(refused) = self.open.front() {
            self.store.give_up(refused.name());
            self.close();
        }
    }

    /// What was kept so far.
    pub fn counters(&self) -> Counters {
        Counters { too_late: self.too_late, ..self.store.counters() }
    }

    /// What keeps files from being written now.
    pub fn fault(&self) -> Option<FaultReport> {
        self.store.fault()
    }

    /// The first thing that went wrong for good since this was asked last.
    pub fn problem(&mut self) -> Option<Error> {
        self.store.problem()
    }

    /// What is known by now of the packets around an alert. `None`: its own is gone.
    fn collect(&self, request: &EvidenceRequest, alert: &Rendered) -> Option<Collection> {
        let place = self.recent.find(request.proving_packet, request.known_at_packet)?;
        let comment = format!("Lockkeeper alert {}: {}: {}", alert.id, request.rule, request.message);
        let name = format!("{}-{}.pcapng", request.rule, alert.id);
        let mut collection = Collection::new(request, name, comment, self.packets);
        collection.before(self.recent.backwards(place));
        for (packet, bytes, keys) in self.recent.forwards(place) {
            if keys.contain(collection.key()) {
                collection.offer(packet, bytes);
            }
        }
        Some(collection)
    }

    /// Forgets the first of those that were open.
    fn close(&mut self) {
        let Some(collection) = self.open.pop_front() else { return };
        if let Some(waiting) = self.waiting.get_mut(&collection.key()) {
            waiting.retain(|number| *number != self.first);
            if waiting.is_empty() {
                self.waiting.remove(&collection.key());
            }
        }
        self.first += 1;
    }
}
