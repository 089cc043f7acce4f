//! Fragmented userdata: joined by group, sub-function and data unit reference, under a limit.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::dissector::Side;
use crate::operation::Target;

/// Identifies the data unit of a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) from: Side,
    /// Group and sub-function.
    pub(super) code: u16,
    /// Data unit reference.
    pub(super) unit: u8,
}

/// Incomplete userdata of one flow.
#[derive(Debug)]
pub(super) struct Units {
    open: Vec<Unit>,
    /// Bytes that may be kept.
    limit: usize,
}

#[derive(Debug)]
struct Unit {
    key: Key,
    /// Sequence by which the next fragment is requested.
    sequence: u8,
    /// Target of the first request.
    target: Target<'static>,
    bytes: Vec<u8>,
}

/// What a fragment completed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Joined<'a> {
    /// The whole data, with the target of the first request.
    Whole(Cow<'a, [u8]>, Target<'static>),
    /// More fragments follow.
    Open,
    /// The limit was reached: the oldest data were dropped.
    TooMuch,
}

impl Units {
    pub(super) fn new(limit: usize) -> Self {
        Self { open: Vec::new(), limit }
    }

    /// The target of the first request of a sequence.
    pub(super) fn first_target(&self, code: u16, sequence: u8) -> Option<Target<'static>> {
        let asked = |unit: &&Unit| unit.key.code == code && unit.sequence == sequence;
        self.open.iter().rev().find(asked).map(|unit| unit.target)
    }

    /// Adds a fragment; `more`: others follow. `target`: that of this fragment's request.
    pub(super) fn add<'a>(
        &mut self,
        key: Key,
        sequence: u8,
        data: &'a [u8],
        more: bool,
        target: Target<'static>,
    ) -> Joined<'a> {
        let known = self.open.iter().position(|unit| unit.key == key);
        let Some(index) = known else {
            if !more {
                return Joined::Whole(Cow::Borrowed(data), target);
            }
            self.open.push(Unit { key, sequence, target, bytes: data.to_vec() });
            return if self.enforce_limit() { Joined::TooMuch } else { Joined::Open };
        };
        if let (true, Some(unit)) = (more, self.open.get_mut(index)) {
            unit.bytes.extend_from_slice(data);
            unit.sequence = sequence;
            return if self.enforce_limit() { Joined::TooMuch } else { Joined::Open };
        }
        let mut unit = self.open.remove(index);
        unit.bytes.extend_from_slice(data);
        Joined::Whole(Cow::Owned(unit.bytes), unit.target)
    }

    /// Drops the oldest data beyond the limits. Returns whether there were any.
    fn enforce_limit(&mut self) -> bool {
        let mut hit = false;
        while self.open.len() > UNITS || self.kept_bytes() > self.limit {
            self.open.remove(0);
            hit = true;
        }
        hit
    }

    fn kept_bytes(&self) -> usize {
        self.open.iter().map(|unit| unit.bytes.len()).sum()
    }
}

/// Incomplete data units of one flow.
const UNITS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key { from: Side::Server, code: 0x0401, unit: 7 };

    #[test]
    fn fragments_of_one_unit_are_joined_and_others_are_left_alone() {
        let mut units = Units::new(100);
        let other = Key { unit: 8, ..KEY };
        let target = Target::Item { kind: "szl", number: 0x1C, index: 0 };
        assert_eq!(units.add(KEY, 2, b"ab", true, target), Joined::Open);
        assert_eq!(units.add(other, 3, b"zz", true, Target::None), Joined::Open);
        assert_eq!(units.first_target(0x0401, 2), Some(target));
        assert_eq!(units.add(KEY, 2, b"c", false, Target::None), Joined::Whole(b"abc".to_vec().into(), target));
        assert_eq!(units.add(KEY, 2, b"c", false, Target::None), Joined::Whole(b"c".as_slice().into(), Target::None));
    }

    #[test]
    fn endless_fragments_and_endless_units_are_bounded() {
        let mut units = Units::new(100);
        let results: Vec<_> = (0..20).map(|_| units.add(KEY, 2, &[0; 30], true, Target::None)).collect();
        assert!(results.contains(&Joined::TooMuch) && units.kept_bytes() <= 100);
        for unit in 0..=255 {
            units.add(Key { unit, ..KEY }, 2, &[0], true, Target::None);
        }
        assert!(units.open.len() <= UNITS);
    }
}
