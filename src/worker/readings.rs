//! The other readings of a stream that go on, and what tells their operations apart.

use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::fast::RandomState;
use lockkeeper_protocols::{Operation, Session, Values};

use crate::flow::End;

/// The other readings of one conversation.
#[derive(Default)]
pub(super) struct Readings {
    pub(super) open: Vec<OpenReading>,
    /// How many there were since the time `since`.
    begun: u32,
    /// Nanoseconds on the packet clock.
    since: i64,
}

/// A reading that has not met the delivered one again.
pub(super) struct OpenReading {
    pub(super) from: End,
    pub(super) session: Session,
    /// Fingerprints of the operations of the delivered reading since they parted.
    pub(super) delivered: Vec<u64>,
    /// Bytes that it may still go on for.
    pub(super) left: usize,
}

impl Readings {
    /// Bytes of memory that they take.
    pub(super) fn memory(&self) -> usize {
        let memory = |open: &OpenReading| open.session.memory() + open.delivered.capacity() * size_of::<u64>();
        self.open.capacity() * size_of::<OpenReading>() + self.open.iter().map(memory).sum::<usize>()
    }

    /// Counts one more; says whether it is within what may be judged.
    pub(super) fn begin(&mut self, clock: i64) -> bool {
        if clock.saturating_sub(self.since) >= READINGS_PERIOD {
            (self.begun, self.since) = (0, clock);
        }
        self.begun = self.begun.saturating_add(1);
        self.begun <= MOST_READINGS
    }

    /// Whether there is nothing to remember of them.
    pub(super) fn are_forgotten(&self) -> bool {
        self.open.is_empty() && self.begun == 0
    }

    /// None of them goes on.
    pub(super) fn give_up(&mut self) {
        self.open = Vec::new();
    }

    /// Whether the operations of the delivered reading are to be [noted](Readings::note).
    pub(super) fn are_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// The delivered reading has announced an operation.
    pub(super) fn note(&mut self, fingerprints: &RandomState, operation: &Operation<'_>) {
        let print = fingerprint(fingerprints, operation);
        for reading in &mut self.open {
            if reading.delivered.len() < MOST_NOTED {
                reading.delivered.push(print);
            }
        }
    }
}

/// Stands for an operation with everything that it asks for.
pub(super) fn fingerprint(fingerprints: &RandomState, operation: &Operation<'_>) -> u64 {
    let mut hasher = fingerprints.build_hasher();
    (operation.class, operation.function, operation.code, operation.target).hash(&mut hasher);
    match operation.values {
        Values::None => {}
        Values::Bits { bytes, count } => (1_u8, bytes, count).hash(&mut hasher),
        Values::Registers(bytes) => (2_u8, bytes).hash(&mut hasher),
        Values::Masks { and, or } => (3_u8, and, or).hash(&mut hasher),
        Values::Bytes(bytes) => (4_u8, bytes).hash(&mut hasher),
        Values::Typed { kind, count, bytes } => (5_u8, kind as u8, count, bytes).hash(&mut hasher),
    }
    hasher.finish()
}

/// All readings of one conversation that there may be in [`READINGS_PERIOD`]: bounds what repeats cost.
const MOST_READINGS: u32 = 1024;
/// An hour of packet time: a connection may last for months.
const READINGS_PERIOD: i64 = 3_600_000_000_000;
/// Operations of one reading that are reported apart at a time.
pub(super) const MOST_NOTED: usize = 512;
