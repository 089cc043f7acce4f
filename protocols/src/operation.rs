//! The narrow waist: what a decoder learned, in words that no single protocol owns.
//!
//! Policy, alerts, topics, inventory and reports see only these types.

/// What an operation does to the controlled process, whatever the protocol that carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Class {
    /// Connect, set up, keep alive, close.
    Session,
    /// Find hosts, endpoints or servers.
    Discover,
    /// Read identity, firmware, names.
    Identify,
    /// Enumerate tags, blocks or nodes.
    Browse,
    /// Read process values, files or history.
    Read,
    /// Set up cyclic or event reporting.
    Subscribe,
    /// Unsolicited or pushed values and alarms.
    Report,
    /// Counters, buffers, test reads.
    Diagnostic,
    /// Erase counters or logs.
    DiagnosticClear,
    /// Change values or outputs.
    Write,
    /// Acknowledge, suppress or disable alarms.
    Alarm,
    /// Set the clock.
    Time,
    /// Start, stop, restart, reset, force, invoke.
    Control,
    /// Read logic out of the controller.
    ProgramUpload,
    /// Download, delete or activate logic, or change the address space.
    Program,
    /// Replace firmware.
    Firmware,
    /// Login, passwords, keys, certificates, roles.
    Security,
    /// Reserved for or defined by a vendor.
    Vendor,
    /// Encrypted: cannot be seen.
    Opaque,
    /// Undecodable or unassigned. Permitted only where it is named.
    Unknown,
}

impl Class {
    /// Every class, in the order of the design.
    pub const ALL: [Self; 20] = [
        Self::Session,
        Self::Discover,
        Self::Identify,
        Self::Browse,
        Self::Read,
        Self::Subscribe,
        Self::Report,
        Self::Diagnostic,
        Self::DiagnosticClear,
        Self::Write,
        Self::Alarm,
        Self::Time,
        Self::Control,
        Self::ProgramUpload,
        Self::Program,
        Self::Firmware,
        Self::Security,
        Self::Vendor,
        Self::Opaque,
        Self::Unknown,
    ];

    /// The name in policy, alerts and statistics, such as `program-upload`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Discover => "discover",
            Self::Identify => "identify",
            Self::Browse => "browse",
            Self::Read => "read",
            Self::Subscribe => "subscribe",
            Self::Report => "report",
            Self::Diagnostic => "diagnostic",
            Self::DiagnosticClear => "diagnostic-clear",
            Self::Write => "write",
            Self::Alarm => "alarm",
            Self::Time => "time",
            Self::Control => "control",
            Self::ProgramUpload => "program-upload",
            Self::Program => "program",
            Self::Firmware => "firmware",
            Self::Security => "security",
            Self::Vendor => "vendor",
            Self::Opaque => "opaque",
            Self::Unknown => "unknown",
        }
    }

    /// The class of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }
}

/// One requested operation on one target. A request that names five targets is five operations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Operation<'a> {
    /// What it does.
    pub class: Class,
    /// The standard's own name in snake_case, such as `write_single_register`.
    pub function: &'static str,
    /// The number on the wire, without an exception bit. A sub-function is part of the name and of the target.
    pub code: u32,
    /// What it acts on.
    pub target: Target,
    /// The values that travel with it: of a write those requested, of a read those answered.
    pub values: Values<'a>,
}

/// What an operation acts on. Addresses are 0-based, as on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Target {
    /// Nothing that has an address.
    #[default]
    None,
    /// A Modbus unit as a whole.
    Unit {
        /// Unit identifier (0..=255).
        unit: u8,
    },
    /// A range of a Modbus table.
    Table {
        /// Unit identifier (0..=255).
        unit: u8,
        /// Which of the four tables.
        table: Table,
        /// First register or bit, 0-based.
        address: u16,
        /// How many registers or bits; as requested, so possibly beyond the specification's limits.
        count: u16,
    },
    /// Records of a Modbus file (function codes 20 and 21).
    File {
        /// Unit identifier (0..=255).
        unit: u8,
        /// File number.
        file: u16,
        /// First record, 0-based.
        record: u16,
        /// How many registers.
        count: u16,
    },
    /// Something with a number below a Modbus unit: a diagnostic sub-function, a MEI type, a UMAS function.
    Sub {
        /// Unit identifier (0..=255).
        unit: u8,
        /// What the number is: `subfunction`, `mei`, `umas`.
        kind: &'static str,
        /// The number on the wire.
        number: u16,
    },
    /// A range of S7 memory.
    Memory {
        /// Which memory.
        area: Area,
        /// Number of the data block (areas DB and DI), otherwise 0.
        db: u16,
        /// First bit: eight times the byte address, plus the bit in that byte. Of timers and counters, their number.
        first: u32,
        /// How many bits; of timers and counters how many of them. As requested, so possibly more than there are.
        count: u32,
    },
    /// A block of an S7 program, or all blocks of a kind.
    Block {
        /// `OB`, `DB`, `SDB`, `FC`, `SFC`, `FB`, `SFB`, `CMod`, or what the standard calls it.
        kind: &'static str,
        /// Its number; none for all blocks of this kind.
        number: Option<u32>,
    },
    /// A connection to an S7 module, as the called TSAP names it.
    Connection {
        /// `PG`, `OP`, `BASIC` or `other`.
        kind: &'static str,
        /// Rack (0..=7).
        rack: u8,
        /// Slot (0..=31).
        slot: u8,
    },
    /// An object of an S7-1200 or S7-1500, by the ids of its path.
    Object {
        /// Object or access area, such as 0x8A0E_0001 for data block 1.
        object: u32,
        /// The ids below it; those beyond `depth` are 0.
        path: [u32; OBJECT_DEPTH],
        /// How many ids of the path are used; [`OBJECT_DEPTH`] if there are more.
        depth: u8,
    },
    /// Something that has a number and an index of its own, such as a system status list (`szl`).
    Item {
        /// What the number is.
        kind: &'static str,
        /// The number on the wire.
        number: u32,
        /// Its index, or 0.
        index: u32,
    },
}

/// Ids of an object's path that are kept.
pub const OBJECT_DEPTH: usize = 4;

/// The memory areas of an S7 controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Area {
    /// Process image of the inputs.
    Input,
    /// Process image of the outputs.
    Output,
    /// Bit memory.
    Flag,
    /// Data blocks.
    DataBlock,
    /// Instance data blocks.
    InstanceData,
    /// Local data.
    Local,
    /// Local data of the caller.
    PreviousLocal,
    /// Direct access to the periphery.
    Periphery,
    /// Counters.
    Counter,
    /// Timers.
    Timer,
    /// System information, system flags, analog inputs and outputs of the S7-200 family, and whatever else has a number.
    Other(u8),
}

impl Area {
    /// The letters that engineers use, in policy and alerts: `I`, `Q`, `M`, `DB`, ...; `other` for the rest.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Input => "I",
            Self::Output => "Q",
            Self::Flag => "M",
            Self::DataBlock => "DB",
            Self::InstanceData => "DI",
            Self::Local => "L",
            Self::PreviousLocal => "V",
            Self::Periphery => "P",
            Self::Counter => "C",
            Self::Timer => "T",
            Self::Other(_) => "other",
        }
    }

    /// The areas that have a name of their own.
    pub const NAMED: [Self; 10] = [
        Self::Input,
        Self::Output,
        Self::Flag,
        Self::DataBlock,
        Self::InstanceData,
        Self::Local,
        Self::PreviousLocal,
        Self::Periphery,
        Self::Counter,
        Self::Timer,
    ];

    /// The area of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMED.into_iter().find(|area| area.name() == name)
    }

    /// Whether its elements are counted by number, not addressed by bytes.
    pub const fn is_numbered(self) -> bool {
        matches!(self, Self::Counter | Self::Timer)
    }
}

impl Target {
    /// Names and values of the target's parts, in the order in which they are written out.
    pub fn fields(&self, mut visit: impl FnMut(&'static str, Field)) {
        match *self {
            Self::None => {}
            Self::Unit { unit } => visit("unit", Field::Number(unit.into())),
            Self::Table { unit, table, address, count } => {
                visit("unit", Field::Number(unit.into()));
                visit("table", Field::Name(table.name()));
                visit("address", Field::Number(address.into()));
                visit("count", Field::Number(count.into()));
            }
            Self::File { unit, file, record, count } => {
                visit("unit", Field::Number(unit.into()));
                visit("file", Field::Number(file.into()));
                visit("record", Field::Number(record.into()));
                visit("count", Field::Number(count.into()));
            }
            Self::Sub { unit, kind, number } => {
                visit("unit", Field::Number(unit.into()));
                visit(kind, Field::Number(number.into()));
            }
            Self::Memory { area, db, first, count } => memory_fields((area, db), first, count, &mut visit),
            Self::Block { kind, number } => {
                visit("block", Field::Name(kind));
                if let Some(number) = number {
                    visit("number", Field::Number(number.into()));
                }
            }
            Self::Connection { kind, rack, slot } => {
                visit("connection", Field::Name(kind));
                visit("rack", Field::Number(rack.into()));
                visit("slot", Field::Number(slot.into()));
            }
            Self::Object { object, path, depth } => {
                visit("object", Field::Number(object.into()));
                let ids = PATH_NAMES.into_iter().zip(path).take(depth.into());
                ids.for_each(|(name, id)| visit(name, Field::Number(id.into())));
            }
            Self::Item { kind, number, index } => {
                visit(kind, Field::Number(number.into()));
                visit("index", Field::Number(index.into()));
            }
        }
    }
}

/// Area, data block, then bytes where the range consists of whole bytes, else bits; elements of counters and timers.
fn memory_fields((area, db): (Area, u16), first: u32, count: u32, visit: &mut impl FnMut(&'static str, Field)) {
    visit("area", Field::Name(area.name()));
    if let Area::Other(code) = area {
        visit("area_code", Field::Number(code.into()));
    }
    if matches!(area, Area::DataBlock | Area::InstanceData) {
        visit("db", Field::Number(db.into()));
    }
    if area.is_numbered() {
        visit("number", Field::Number(first.into()));
        visit("count", Field::Number(count.into()));
        return;
    }
    visit("byte", Field::Number((first / 8).into()));
    if first.is_multiple_of(8) && count.is_multiple_of(8) {
        visit("bytes", Field::Number((count / 8).into()));
    } else {
        visit("bit", Field::Number((first % 8).into()));
        visit("bits", Field::Number(count.into()));
    }
}

/// Names of the ids of an object's path, in order.
const PATH_NAMES: [&str; OBJECT_DEPTH] = ["id_1", "id_2", "id_3", "id_4"];

/// One part of a [`Target`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// A number.
    Number(u64),
    /// A word.
    Name(&'static str),
}

/// The four tables of the Modbus data model (Modbus Application Protocol V1.1b3, 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Table {
    /// Read-write bits.
    Coil,
    /// Read-only bits.
    DiscreteInput,
    /// Read-only registers.
    InputRegister,
    /// Read-write registers.
    HoldingRegister,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 4] = [Self::Coil, Self::DiscreteInput, Self::InputRegister, Self::HoldingRegister];

    /// The name in policy and alerts, such as `holding_register`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Coil => "coil",
            Self::DiscreteInput => "discrete_input",
            Self::InputRegister => "input_register",
            Self::HoldingRegister => "holding_register",
        }
    }

    /// The table of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }
}

/// Values as they travel, borrowed from the frame: nothing is copied until somebody asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Values<'a> {
    /// None, or not of interest.
    #[default]
    None,
    /// Bits, first one in the lowest bit of the first byte (Modbus packing).
    Bits {
        /// At least `count` bits, rounded up to whole bytes.
        bytes: &'a [u8],
        /// How many of them count.
        count: u16,
    },
    /// 16-bit registers, big-endian; a last odd byte does not count.
    Registers(&'a [u8]),
    /// AND mask and OR mask of Mask Write Register (FC 22), in that order.
    Masks {
        /// Bits to keep.
        and: u16,
        /// Bits to set where the AND mask clears.
        or: u16,
    },
    /// Bytes without a known shape; written as hexadecimal text.
    Bytes(&'a [u8]),
}

impl Values<'_> {
    /// The values as numbers, in order: bits as 0 and 1, registers unsigned, masks as AND then OR. Bytes give nothing.
    pub fn numbers(&self) -> impl Iterator<Item = u16> + '_ {
        let count = match *self {
            Self::Bits { count, .. } => usize::from(count),
            Self::Registers(bytes) => bytes.len() / 2,
            Self::Masks { .. } => 2,
            Self::None | Self::Bytes(_) => 0,
        };
        (0..count).map_while(|index| self.number(index))
    }

    /// The value at a position: see [`Values::numbers`].
    pub fn number(&self, index: usize) -> Option<u16> {
        match *self {
            Self::None | Self::Bytes(_) => None,
            Self::Bits { bytes, count } if index < usize::from(count) => {
                bytes.get(index / 8).map(|byte| u16::from(byte >> (index % 8) & 1))
            }
            Self::Bits { .. } => None,
            Self::Registers(bytes) => {
                let pair = bytes.get(index * 2..index * 2 + 2)?;
                Some(u16::from_be_bytes([*pair.first()?, *pair.last()?]))
            }
            Self::Masks { and, or } => [and, or].get(index).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn every_class_and_table_is_found_by_its_own_name() {
        for class in Class::ALL {
            assert_eq!(Class::from_name(class.name()), Some(class));
        }
        for table in Table::ALL {
            assert_eq!(Table::from_name(table.name()), Some(table));
        }
    }

    #[test]
    fn bits_come_lowest_first_and_stop_at_their_count() {
        let bits = Values::Bits { bytes: &[0b0000_0101, 0b1], count: 9 };
        assert_eq!(bits.numbers().collect::<Vec<_>>(), [1, 0, 1, 0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn bits_that_the_frame_does_not_hold_are_not_invented() {
        let bits = Values::Bits { bytes: &[0xFF], count: 2000 };
        assert_eq!(bits.numbers().count(), 8);
    }

    #[test]
    fn registers_are_big_endian_and_an_odd_byte_does_not_count() {
        let registers = Values::Registers(&[0x03, 0x84, 0x00, 0x01, 0xFF]);
        assert_eq!(registers.numbers().collect::<Vec<_>>(), [900, 1]);
    }
}
