//! Recently reassembled datagrams.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};

use super::Key;
use super::datagram::{Fingerprint, Head, overlay};
use crate::frame::walk::Fragment;

/// Recently reassembled datagrams, so that duplicates of their fragments are recognised: SPAN ports may mirror a packet
/// twice, and PRP and HSR send it twice. An equal identification is not enough, because an attacker can send a harmless
/// datagram before one that is to be hidden. The random seed of the fingerprints does not influence the result.
#[derive(Debug, Default)]
pub(super) struct Finished {
    fingerprints: HashMap<Key, Vec<Fingerprint>>,
    fingerprint_ages: VecDeque<(i64, Key)>,
    seed: RandomState,
    /// Sum of all `fingerprints`.
    fingerprint_count: usize,
    /// The datagrams themselves, for later fragments that contradict them.
    bodies: HashMap<Key, Body>,
    body_ages: VecDeque<(i64, Key)>,
    /// Bytes in `bodies`.
    body_bytes: usize,
}

/// A reassembled datagram.
#[derive(Debug)]
struct Body {
    head: Head,
    payload: Vec<u8>,
    /// Packet time of its completion.
    finished: i64,
}

impl Finished {
    pub(super) fn fingerprint(&self, fragment: &Fragment<'_>) -> Fingerprint {
        self.seed.hash_one((fragment.offset, fragment.more, fragment.payload.bytes))
    }

    /// Keeps the fingerprints of a datagram.
    pub(super) fn remember(&mut self, key: Key, clock: i64, fingerprints: Vec<Fingerprint>) {
        self.fingerprint_count += fingerprints.len();
        match self.fingerprints.insert(key, fingerprints) {
            Some(older) => self.fingerprint_count -= older.len(),
            None => self.fingerprint_ages.push_back((clock, key)),
        }
        while self.fingerprint_count > MAX_PRINTS {
            self.drop_oldest_fingerprints();
        }
    }

    /// Keeps a datagram for later fragments.
    pub(super) fn keep_datagram(&mut self, key: Key, clock: i64, head: Head, payload: Vec<u8>) {
        self.body_bytes += payload.len();
        match self.bodies.insert(key, Body { head, payload, finished: clock }) {
            Some(older) => self.body_bytes -= older.payload.len(),
            None => self.body_ages.push_back((clock, key)),
        }
        while self.body_bytes > MAX_KEPT {
            self.drop_oldest_body();
        }
    }

    /// A kept datagram with `fragment` in place of the bytes at its offset, and its age in nanoseconds. `None` if there is no
    /// such datagram or the bytes are the same.
    pub(super) fn reading_with(&self, key: &Key, fragment: &Fragment<'_>, clock: i64) -> Option<(Vec<u8>, i64)> {
        let body = self.bodies.get(key)?;
        let (mut payload, mut out) = (body.payload.clone(), Vec::new());
        overlay(&mut payload, fragment.offset, fragment.more, fragment.payload.bytes);
        body.head.write_packet(&payload, &mut out)?;
        (payload != body.payload).then_some((out, clock.saturating_sub(body.finished)))
    }

    fn drop_oldest_body(&mut self) {
        let Some((clock, key)) = self.body_ages.pop_front() else { return };
        match self.bodies.get(&key) {
            // It was reassembled again since.
            Some(body) if body.finished != clock => self.body_ages.push_back((body.finished, key)),
            Some(_) => self.body_bytes -= self.bodies.remove(&key).map_or(0, |body| body.payload.len()),
            None => {}
        }
    }

    /// Drops datagrams and fingerprints that are too old at `clock`.
    pub(super) fn expire(&mut self, clock: i64) {
        while self.body_ages.front().is_some_and(|(time, _)| clock.saturating_sub(*time) > BODY_AGE) {
            self.drop_oldest_body();
        }
        while self.fingerprint_ages.front().is_some_and(|(time, _)| clock.saturating_sub(*time) > DUPLICATE_DELAY) {
            self.drop_oldest_fingerprints();
        }
    }

    /// Whether a recent datagram with this key had this fragment.
    pub(super) fn contains(&self, key: &Key, fingerprint: Fingerprint) -> bool {
        self.fingerprints.get(key).is_some_and(|fingerprints| fingerprints.contains(&fingerprint))
    }

    fn drop_oldest_fingerprints(&mut self) {
        if let Some(fingerprints) =
            self.fingerprint_ages.pop_front().and_then(|(_, key)| self.fingerprints.remove(&key))
        {
            self.fingerprint_count -= fingerprints.len();
        }
    }
}

/// How long after its completion duplicates of its fragments are expected, nanoseconds.
pub(super) const DUPLICATE_DELAY: i64 = 100_000_000;
/// Most fingerprints (128 KiB); beyond it, the oldest are dropped and their duplicates are not recognised.
const MAX_PRINTS: usize = 16_384;
/// How long a datagram is kept for later fragments, nanoseconds: as long as hosts wait for fragments (RFC 8200, 4.5).
const BODY_AGE: i64 = 60_000_000_000;
/// Most bytes of kept datagrams; beyond it, the oldest are dropped.
const MAX_KEPT: usize = 1 << 20;
