//! What a policy says about Siemens S7 controllers: memory, objects, blocks, and the settings of a session.

use lockkeeper_protocols::{Area, OBJECT_DEPTH};

/// A place in an S7 controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum S7Place {
    /// A range of memory.
    Memory(S7Memory),
    /// An object of an S7-1200 or S7-1500, for symbolic access.
    Object(S7Object),
}

/// Ranges of an S7 memory area.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S7Memory {
    /// Which memory.
    pub area: Area,
    /// Number of the data block, in areas DB and DI; otherwise 0.
    pub db: u16,
    /// First and last bit of each range, counted from the first bit of byte 0; of timers and counters their numbers.
    /// The whole area where no range is named.
    pub ranges: Vec<(u32, u32)>,
}

impl S7Memory {
    /// All of an area or data block: also what is reached by name lies in it.
    pub const WHOLE: (u32, u32) = (0, u32::MAX);
}

/// An object of an S7-1200 or S7-1500 and all that lies below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S7Object {
    /// Its id, such as 0x8A0E_0001 for data block 1.
    pub object: u32,
    /// The first ids below it; empty for all. At most [`OBJECT_DEPTH`].
    pub path: Vec<u32>,
}

impl S7Object {
    /// Whether an access lies in it.
    pub fn holds(&self, object: u32, path: &[u32; OBJECT_DEPTH], depth: u8) -> bool {
        let used = path.get(..usize::from(depth)).unwrap_or(path);
        self.object == object && used.starts_with(&self.path)
    }
}

/// The memory that an object id stands for, with the number of the data block. Ids of data blocks carry the block's
/// number in their lower half; those of the areas are fixed in every controller.
pub const fn memory_of(object: u32) -> Option<(Area, u16)> {
    match (object >> 16, object as u16) {
        (0x8A0E, db) => Some((Area::DataBlock, db)),
        (0, 80) => Some((Area::Input, 0)),
        (0, 81) => Some((Area::Output, 0)),
        (0, 82) => Some((Area::Flag, 0)),
        (0, 83) => Some((Area::Counter, 0)),
        (0, 84) => Some((Area::Timer, 0)),
        _ => None,
    }
}

/// One entry of `blocks`: `OB1`, `DB10-20`, `FC*`, `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// The kind; every kind where none is named.
    pub kind: Option<&'static str>,
    /// First and last number; every number, and none, where none is named.
    pub numbers: Option<(u32, u32)>,
}

impl Blocks {
    /// The kinds of blocks.
    pub const KINDS: [&'static str; 8] = ["OB", "DB", "SDB", "FC", "SFC", "FB", "SFB", "CMod"];

    /// Whether a block, or all blocks of a kind, is among these.
    pub fn hold(&self, kind: &str, number: Option<u32>) -> bool {
        let numbers = |(first, last)| number.is_some_and(|number| (first..=last).contains(&number));
        self.kind.is_none_or(|own| own == kind) && self.numbers.is_none_or(numbers)
    }

    /// As the policy writes it.
    pub fn text(&self) -> String {
        let kind = self.kind.unwrap_or_default();
        match self.numbers {
            None => format!("{kind}*"),
            Some((first, last)) if first == last => format!("{kind}{first}"),
            Some((first, last)) => format!("{kind}{first}-{last}"),
        }
    }
}

/// `s7` of a flow: what a session must be like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct S7Session {
    /// `PG`, `OP`, `BASIC` or `other`.
    pub connection: Option<&'static str>,
    /// Rack of the CPU.
    pub rack: Option<u8>,
    /// Slot of the CPU.
    pub slot: Option<u8>,
    /// What holds for the session password.
    pub password: Option<Password>,
}

impl S7Session {
    /// Whether a connection to a module is as the flow wants it.
    pub fn admits(&self, kind: &str, rack: u8, slot: u8) -> bool {
        self.connection.is_none_or(|own| own == kind)
            && self.rack.is_none_or(|own| own == rack)
            && self.slot.is_none_or(|own| own == slot)
    }
}

/// What holds for the session password of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Password {
    /// It must be accepted before logic is read, changed, started or stopped.
    Required,
    /// It must not be used.
    Forbidden,
    /// It may be used.
    Optional,
}

impl Password {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Required, Self::Forbidden, Self::Optional];

    /// The word of the language.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Forbidden => "forbidden",
            Self::Optional => "optional",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_holds_its_kind_and_numbers() {
        let any = Blocks { kind: Some("FC"), numbers: None };
        assert!(
            any.hold("FC", Some(7)) && any.hold("FC", None) && !any.hold("FB", Some(7)) && !any.hold("SFC", Some(7))
        );
        let some = Blocks { kind: Some("DB"), numbers: Some((10, 20)) };
        assert!(some.hold("DB", Some(20)) && !some.hold("DB", Some(21)) && !some.hold("DB", None));
        assert_eq!([any.text(), some.text()], ["FC*", "DB10-20"]);
    }

    #[test]
    fn an_object_holds_what_lies_below_it() {
        let own = S7Object { object: 0x8A0E_0001, path: vec![2550, 9] };
        assert!(own.holds(0x8A0E_0001, &[2550, 9, 4, 0], 3));
        assert!(!own.holds(0x8A0E_0001, &[2550, 0, 0, 0], 1) && !own.holds(0x8A0E_0002, &[2550, 9, 0, 0], 2));
        assert_eq!(memory_of(0x8A0E_0014), Some((Area::DataBlock, 20)));
        assert_eq!(memory_of(0x1234_0050), None);
    }
}
