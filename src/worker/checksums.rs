//! Whether the receiver of a packet with a wrong checksum drops it.
//!
//! It does, unless the capture was made where the network card has yet to compute checksums (offload), or addresses were
//! changed afterwards. Both are properties of the sender: then all or most of its checksums are wrong, and its traffic is
//! real. Every packet of such a sender counts, and reassembly notices packets that contradict each other.

use std::collections::BTreeMap;
use std::net::IpAddr;

use hashbrown::HashMap;

use crate::frame::Checksum;

/// What a wrong checksum means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksums {
    /// The packet is dropped, unless all or most checksums of its sender are wrong.
    #[default]
    Auto,
    /// The packet is dropped.
    Verify,
    /// Nothing.
    Ignore,
}

/// The senders of one shard, by how often their checksums were right and wrong.
#[derive(Debug)]
pub(super) struct Senders {
    mode: Checksums,
    known: HashMap<IpAddr, Sender>,
}

/// The counted checksums of one sender.
#[derive(Clone, Copy, Debug, Default)]
struct Sender {
    right: u32,
    wrong: u32,
    /// A receiver acknowledged a packet that it should have dropped.
    is_disproved: bool,
}

impl Sender {
    /// Whether receivers drop its packets with wrong checksums.
    const fn drops_wrong_checksums(&self) -> bool {
        !self.is_disproved && self.wrong <= self.right / RIGHT_FOR_EACH_WRONG
    }
}

impl Senders {
    pub(super) fn new(mode: Checksums) -> Self {
        Self { mode, known: HashMap::new() }
    }

    /// Whether a wrong checksum can mean anything.
    pub(super) fn verifies(&self) -> bool {
        self.mode != Checksums::Ignore
    }

    /// Counts the checksums of a packet, and returns whether its receiver drops it. `vouching`: right checksums of the sender
    /// in the same conversation that were not counted before.
    pub(super) fn note_checksum(&mut self, sender: IpAddr, checksum: Checksum, vouching: u32) -> bool {
        if self.mode == Checksums::Ignore || checksum == Checksum::Unknown {
            return false;
        }
        let is_full = self.known.len() >= MOST_SENDERS && !self.known.contains_key(&sender);
        let mut stranger = Sender::default();
        let known = if is_full { &mut stranger } else { self.known.entry(sender).or_default() };
        known.right = known.right.saturating_add(vouching);
        if checksum == Checksum::Right {
            known.right = known.right.saturating_add(1);
            return false;
        }
        known.wrong = known.wrong.saturating_add(1);
        self.mode == Checksums::Verify || known.drops_wrong_checksums()
    }

    /// Notes that a receiver acknowledged a packet of this sender with a wrong checksum.
    pub(super) fn disprove(&mut self, sender: IpAddr) {
        if let Some(known) = self.known.get_mut(&sender) {
            known.is_disproved = true;
        }
    }

    /// Adds the senders whose wrong checksums are ignored, with the number of each.
    pub(super) fn add_ignored_checksums(&self, found: &mut BTreeMap<IpAddr, u64>) {
        let ignored = self.known.iter().filter(|(_, sender)| sender.wrong > 0 && !sender.drops_wrong_checksums());
        if self.mode == Checksums::Auto {
            ignored.for_each(|(address, sender)| *found.entry(*address).or_default() += u64::from(sender.wrong));
        }
    }
}

/// Right checksums for each wrong one, at least, of a sender whose packets with wrong checksums count as dropped.
const RIGHT_FOR_EACH_WRONG: u32 = 2;
/// Senders that one shard distinguishes: those that a table of 1024 buckets holds, at 33 bytes each. Packets of other senders
/// are never dropped for their checksum.
const MOST_SENDERS: usize = 896;

#[cfg(test)]
mod tests {
    use super::*;
    use Checksum::{Right, Unknown, Wrong};

    fn dropped(mode: Checksums, checksums: &[Checksum]) -> Vec<bool> {
        let mut senders = Senders::new(mode);
        checksums.iter().map(|checksum| senders.note_checksum(IpAddr::from([10, 0, 0, 1]), *checksum, 0)).collect()
    }

    #[test]
    fn a_wrong_checksum_among_right_ones_is_that_of_a_dropped_packet() {
        assert_eq!(dropped(Checksums::Auto, &[Right, Right, Wrong, Right]), [false, false, true, false]);
        assert_eq!(
            dropped(Checksums::Auto, &[Right, Unknown, Right, Unknown, Wrong]),
            [false, false, false, false, true]
        );
    }

    #[test]
    fn a_sender_whose_checksums_are_all_or_mostly_wrong_is_not_trusted() {
        assert_eq!(dropped(Checksums::Auto, &[Wrong; 4]), [false; 4]);
        let mixed = [Wrong, Wrong, Right, Wrong, Right, Wrong, Wrong];
        assert_eq!(dropped(Checksums::Auto, &mixed), [false; 7]);
        let mut senders = Senders::new(Checksums::Auto);
        assert!(senders.note_checksum(IpAddr::from([10, 0, 0, 1]), Wrong, 1000), "its conversation vouches for it");
    }

    #[test]
    fn a_sender_whose_packet_was_acknowledged_despite_its_checksum_is_no_longer_trusted() {
        let mut senders = Senders::new(Checksums::Auto);
        let sender = IpAddr::from([10, 0, 0, 1]);
        (0..100).for_each(|_| assert!(!senders.note_checksum(sender, Right, 0)));
        assert!(senders.note_checksum(sender, Wrong, 0));
        senders.disprove(sender);
        assert!(!senders.note_checksum(sender, Wrong, 0));
        let mut found = BTreeMap::new();
        senders.add_ignored_checksums(&mut found);
        assert_eq!(found, BTreeMap::from([(sender, 2)]));
    }

    #[test]
    fn the_other_modes_do_not_depend_on_the_sender() {
        assert_eq!(dropped(Checksums::Verify, &[Wrong, Right, Unknown]), [true, false, false]);
        assert_eq!(dropped(Checksums::Ignore, &[Right, Right, Right, Wrong]), [false; 4]);
    }

    #[test]
    fn the_table_is_bounded() {
        let mut senders = Senders::new(Checksums::Auto);
        for number in 0..2 * MOST_SENDERS as u32 {
            senders.note_checksum(IpAddr::from(number.to_be_bytes()), Right, 0);
        }
        assert_eq!(senders.known.len(), MOST_SENDERS);
    }
}
