//! Whether a wrong checksum means that its packet was dropped by its receiver.
//!
//! It does, unless the capture was made where checksums are computed later (offload to a network card), or addresses were
//! changed afterwards. That is a property of the sender: all or most of its checksums are wrong then, and its traffic is real.
//! Where a sender is not believed, every packet of it counts, and reassembly notices which of them contradict each other.

use std::collections::BTreeMap;
use std::net::IpAddr;

use hashbrown::HashMap;

use crate::frame::Checksum;

/// What is made of checksums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksums {
    /// Those of a sender count unless all or most of them are wrong.
    #[default]
    Auto,
    /// Packets with wrong ones are dropped.
    Verify,
    /// They mean nothing.
    Ignore,
}

/// The senders of one shard.
#[derive(Debug)]
pub(super) struct Senders {
    mode: Checksums,
    known: HashMap<IpAddr, Sender>,
}

/// How often the checksums of a sender were right and wrong, as far as that was counted.
#[derive(Clone, Copy, Debug, Default)]
struct Sender {
    right: u32,
    wrong: u32,
    /// A receiver acknowledged what it should have dropped.
    is_disproved: bool,
}

impl Sender {
    /// Whether its wrong checksums are those of packets that are dropped.
    const fn is_believed(&self) -> bool {
        !self.is_disproved && self.wrong <= self.right / BELIEVED
    }
}

impl Senders {
    pub(super) fn new(mode: Checksums) -> Self {
        Self { mode, known: HashMap::new() }
    }

    /// Whether checksums mean anything.
    pub(super) fn verifies(&self) -> bool {
        self.mode != Checksums::Ignore
    }

    /// Takes note of the checksums of a packet; says whether its receiver drops it. `vouching`: packets of its sender in the
    /// same conversation whose checksums were right, and that are noted only now.
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
        self.mode == Checksums::Verify || known.is_believed()
    }

    /// A receiver acknowledged what the checksums of this sender said that it would drop.
    pub(super) fn disprove(&mut self, sender: IpAddr) {
        if let Some(known) = self.known.get_mut(&sender) {
            known.is_disproved = true;
        }
    }

    /// Adds the senders whose wrong checksums are taken for an effect of the capture, with how many there were.
    pub(super) fn add_not_believed(&self, found: &mut BTreeMap<IpAddr, u64>) {
        let doubted = self.known.iter().filter(|(_, sender)| sender.wrong > 0 && !sender.is_believed());
        if self.mode == Checksums::Auto {
            doubted.for_each(|(address, sender)| *found.entry(*address).or_default() += u64::from(sender.wrong));
        }
    }
}

/// Right checksums that have to stand beside each wrong one of a sender that is believed.
const BELIEVED: u32 = 2;
/// Senders of one shard that are reported apart: as many as a table of 1024 places takes, at 33 bytes a place. A packet of
/// another counts whatever its checksum says.
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
    fn a_sender_whose_checksums_are_all_or_mostly_wrong_is_not_believed() {
        assert_eq!(dropped(Checksums::Auto, &[Wrong; 4]), [false; 4]);
        let mixed = [Wrong, Wrong, Right, Wrong, Right, Wrong, Wrong];
        assert_eq!(dropped(Checksums::Auto, &mixed), [false; 7]);
        let mut senders = Senders::new(Checksums::Auto);
        assert!(senders.note_checksum(IpAddr::from([10, 0, 0, 1]), Wrong, 1000), "its conversation vouches for it");
    }

    #[test]
    fn who_was_acknowledged_is_not_believed_any_more() {
        let mut senders = Senders::new(Checksums::Auto);
        let sender = IpAddr::from([10, 0, 0, 1]);
        (0..100).for_each(|_| assert!(!senders.note_checksum(sender, Right, 0)));
        assert!(senders.note_checksum(sender, Wrong, 0));
        senders.disprove(sender);
        assert!(!senders.note_checksum(sender, Wrong, 0));
        let mut found = BTreeMap::new();
        senders.add_not_believed(&mut found);
        assert_eq!(found, BTreeMap::from([(sender, 2)]));
    }

    #[test]
    fn the_other_modes_ask_nobody() {
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
