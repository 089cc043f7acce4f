//! The alternative readings of a stream that are still open, and fingerprints of their operations.

use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::fast::RandomState;
use lockkeeper_protocols::{Operation, Session, Values};

use crate::flow::End;

/// The alternative readings of one conversation.
#[derive(Default)]
pub(super) struct Readings {
    pub(super) open: Vec<OpenReading>,
    /// Readings begun since `since`.
    begun: u32,
    /// Packet clock, nanoseconds.
    since: i64,
}

/// A reading that has not converged with the delivered one.
pub(super) struct OpenReading {
    pub(super) from: End,
    pub(super) session: Session,
    /// Fingerprints of the operations of the delivered reading since the two diverged.
    pub(super) delivered: Vec<u64>,
    /// Bytes for which it may still continue.
    pub(super) left: usize,
}

impl Readings {
    /// Bytes of memory in use.
    pub(super) fn memory(&self) -> usize {
        let memory = |open: &OpenReading| open.session.memory() + open.delivered.capacity() * size_of::<u64>();
        self.open.capacity() * size_of::<OpenReading>() + self.open.iter().map(memory).sum::<usize>()
    }

    /// Counts one more reading, and returns whether the limit permits to judge it.
    pub(super) fn begin(&mut self, clock: i64) -> bool {
        if clock.saturating_sub(self.since) >= READINGS_PERIOD {
            (self.begun, self.since) = (0, clock);
        }
        self.begun = self.begun.saturating_add(1);
        self.begun <= MOST_READINGS
    }

    /// Whether no reading is open and none is counted.
    pub(super) fn are_empty(&self) -> bool {
        self.open.is_empty() && self.begun == 0
    }

    /// Ends every reading.
    pub(super) fn end_all(&mut self) {
        self.open = Vec::new();
    }

    /// Whether a reading is open, so that operations of the delivered one are [noted](Readings::note).
    pub(super) fn are_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Notes an operation of the delivered reading.
    pub(super) fn note(&mut self, fingerprints: &RandomState, operation: &Operation<'_>) {
        let print = fingerprint(fingerprints, operation);
        for reading in &mut self.open {
            if reading.delivered.len() < MOST_NOTED {
                reading.delivered.push(print);
            }
        }
    }
}

/// A fingerprint of an operation with everything that it requests.
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

/// Readings of one conversation in a [`READINGS_PERIOD`], at most: bounds the cost of contradicting repeats.
const MOST_READINGS: u32 = 1024;
/// One hour, nanoseconds of packet time: a connection may last for months.
const READINGS_PERIOD: i64 = 3_600_000_000_000;
/// Operations of one reading that are compared at a time, at most.
pub(super) const MOST_NOTED: usize = 512;
