//! What an operation acts on.

use super::{Node, attribute_name};
use crate::security::{Mode, UserKind};

/// The object of an operation. Addresses are 0-based, as on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Target<'a> {
    /// No addressable object.
    #[default]
    None,
    /// An object that this decoder cannot read, although a server may: no permit for named addresses covers it.
    Unread {
        /// The part of the request that cannot be read, in snake_case, such as `item`.
        part: &'static str,
    },
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
        /// Number of registers or bits, as requested: it may exceed the specification's limits.
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
        /// Number of registers.
        count: u16,
    },
    /// A numbered object of a Modbus unit: a diagnostic sub-function, a MEI type, a UMAS function.
    Sub {
        /// Unit identifier (0..=255).
        unit: u8,
        /// Kind of the number: `subfunction`, `mei`, `umas`.
        kind: &'static str,
        /// The number on the wire.
        number: u16,
    },
    /// A range of S7 memory.
    Memory {
        /// The memory area.
        area: Area,
        /// Number of the data block (areas DB and DI), otherwise 0.
        db: u16,
        /// First bit: eight times the byte address, plus the bit in that byte. For timers and counters, the first number.
        first: u32,
        /// Number of bits, or of timers or counters, as requested: it may exceed the memory.
        count: u32,
    },
    /// A block of an S7 program, or all blocks of a kind.
    Block {
        /// `OB`, `DB`, `SDB`, `FC`, `SFC`, `FB`, `SFB`, `CMod`, or the protocol's own name.
        kind: &'static str,
        /// Number of the block; none for all blocks of this kind.
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
        /// Number of ids in the path; [`OBJECT_DEPTH`] if there are more.
        depth: u8,
    },
    /// An object with a number and an index, such as a system status list (`szl`).
    Item {
        /// Kind of the number.
        kind: &'static str,
        /// The number on the wire.
        number: u32,
        /// Its index, or 0.
        index: u32,
    },
    /// A node of an address space, or one of its attributes.
    Node(&'a NodeTarget<'a>),
    /// A method, called on an object.
    Method(&'a MethodTarget<'a>),
    /// An endpoint of a server, by the URL in the request.
    Endpoint {
        /// As sent, such as `opc.tcp://10.20.10.13:4840`.
        url: &'a [u8],
    },
    /// A secure channel.
    Channel {
        /// How its messages are protected; none while only an encrypted message states it.
        mode: Option<Mode>,
        /// Name of its security policy: see [`Security::Channel`](crate::Security::Channel).
        policy: &'a str,
    },
    /// A user who logs in. Never with a secret.
    User {
        /// How the user authenticates.
        kind: UserKind,
        /// Name of the user, as sent; empty if there is none.
        name: &'a [u8],
    },
}

/// A node of an address space, or one of its attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NodeTarget<'a> {
    /// The node.
    pub node: Node<'a>,
    /// Number of the attribute (13 is the value); none for the node itself.
    pub attribute: Option<u32>,
    /// Index range of the attribute's elements, as sent: `2`, `0:3`. Empty for all elements.
    pub range: &'a [u8],
}

/// A method, called on an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MethodTarget<'a> {
    /// The object that it is called on.
    pub object: Node<'a>,
    /// The method, of that object or of its type.
    pub method: Node<'a>,
}

/// Number of ids that are kept of an object's path.
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
    /// Any other area, by its code: system information, system flags, analog inputs and outputs of the S7-200 family.
    Other(u8),
}

impl Area {
    /// The name in policies and alerts, which is that of engineering tools: `I`, `Q`, `M`, `DB`, ...; `other` for the rest.
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

    /// The areas with a name of their own.
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

    /// Whether its elements have numbers instead of byte addresses.
    pub const fn is_numbered(self) -> bool {
        matches!(self, Self::Counter | Self::Timer)
    }
}

impl<'a> Target<'a> {
    /// Visits names and values of the target's parts, in the order of output.
    pub fn fields(&self, mut visit: impl FnMut(&'static str, Field<'a>)) {
        match *self {
            Self::None => {}
            Self::Unread { part } => visit("unread", Field::Name(part)),
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
            Self::Node(target) => target.fields(&mut visit),
            Self::Method(target) => {
                visit("object", Field::Node(target.object));
                visit("method", Field::Node(target.method));
            }
            Self::Endpoint { url } => visit("endpoint", Field::Text(url)),
            Self::Channel { mode, policy } => {
                visit("mode", Field::Name(mode.map_or("unknown", Mode::name)));
                visit("policy", Field::Text(policy.as_bytes()));
            }
            Self::User { kind, name } => {
                visit("identity", Field::Name(kind.name()));
                if !name.is_empty() {
                    visit("user", Field::Text(name));
                }
            }
        }
    }
}

impl<'a> NodeTarget<'a> {
    fn fields(&self, visit: &mut impl FnMut(&'static str, Field<'a>)) {
        visit("node", Field::Node(self.node));
        if let Some(attribute) = self.attribute {
            let name = attribute_name(attribute);
            visit("attribute", name.map_or(Field::Number(attribute.into()), Field::Name));
        }
        if !self.range.is_empty() {
            visit("range", Field::Text(self.range));
        }
    }
}

/// Visits area and data block, then the range: in bytes if it consists of whole bytes, else in bits; of counters and timers
/// in elements.
fn memory_fields<'a>((area, db): (Area, u16), first: u32, count: u32, visit: &mut impl FnMut(&'static str, Field<'a>)) {
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
pub enum Field<'a> {
    /// A number.
    Number(u64),
    /// A word.
    Name(&'static str),
    /// A text as sent. Bytes that are not UTF-8 are replaced on output.
    Text(&'a [u8]),
    /// A node: written as displayed.
    Node(Node<'a>),
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

    /// The name in policies and alerts, such as `holding_register`.
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
