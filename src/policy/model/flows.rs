//! Points, conduits, flows, and what each flow allows.

use std::time::Duration;

use ipnet::IpNet;
use lockkeeper_protocols::Table;

use super::super::values::Rate;
use super::super::words::{Action, Classes, Door};
use super::super::{Carrier, Conditions};
use super::{Blocks, NodePattern, Notes, OpcUaPlaces, OpcUaSession, S7Place, S7Session, SecurityLevel};

/// `[point.*]`: a name and limits for a place in a controller.
#[derive(Clone, Debug)]
pub struct Point {
    /// Its name.
    pub name: String,
    /// The asset (index) that holds it.
    pub asset: u16,
    /// Where it is.
    pub place: Location,
    /// How its values are read.
    pub kind: Kind,
    /// What its values may be.
    pub limits: Limits,
}

/// Where a point is.
#[derive(Clone, Debug, PartialEq)]
pub enum Location {
    /// Registers or bits.
    Modbus(Registers),
    /// Memory or an object of a Siemens S7 controller.
    S7(S7Place),
    /// OPC UA nodes.
    OpcUa(Vec<NodePattern>),
}

/// Registers or bits of Modbus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registers {
    /// The unit; every unit where none is named.
    pub unit: Option<u8>,
    /// The table.
    pub table: Table,
    /// First and last address of each range, 0-based.
    pub ranges: Vec<(u16, u16)>,
}

/// How registers or bytes are read as a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kind {
    /// What the bits mean.
    pub number: Number,
    /// In which order the bytes of a value of several registers travel.
    pub order: Order,
}

/// What the bits of a value mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Number {
    /// A bit; in a register, whether it is not 0.
    Bool,
    /// Unsigned, 8 bits.
    U8,
    /// Signed, 8 bits.
    I8,
    /// Unsigned, 16 bits.
    #[default]
    U16,
    /// Signed, 16 bits.
    I16,
    /// Unsigned, 32 bits.
    U32,
    /// Signed, 32 bits.
    I32,
    /// IEEE 754, 32 bits.
    F32,
    /// Unsigned, 64 bits.
    U64,
    /// Signed, 64 bits.
    I64,
    /// IEEE 754, 64 bits.
    F64,
    /// S7 TIME: signed milliseconds, 32 bits.
    Time,
    /// S7 S5TIME: three decimal digits and a base, 16 bits; in milliseconds.
    S5Time,
    /// S7 DATE: days since 1990-01-01, 16 bits.
    Date,
    /// S7 TIME_OF_DAY: milliseconds since midnight, 32 bits.
    TimeOfDay,
    /// S7 counter: three decimal digits, 16 bits.
    Counter,
    /// S7 STRING: its length in characters; as long as its place.
    Text,
}

impl Number {
    /// How many bytes a value takes; none where its place says it.
    pub const fn size(self) -> Option<u16> {
        Some(match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::S5Time | Self::Date | Self::Counter => 2,
            Self::U32 | Self::I32 | Self::F32 | Self::Time | Self::TimeOfDay => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
            Self::Text => return None,
        })
    }

    /// How many registers a value takes; none for what no register holds.
    pub const fn registers(self) -> Option<u16> {
        match self {
            Self::Bool | Self::U16 | Self::I16 => Some(1),
            Self::U32 | Self::I32 | Self::F32 => Some(2),
            Self::U64 | Self::I64 | Self::F64 => Some(4),
            _ => None,
        }
    }
}

/// The order of the bytes of a value of several registers, shown for the 32-bit value 0xAABBCCDD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// AA BB CC DD: big-endian, also when nothing is said (`f32`, `f32be`).
    #[default]
    Big,
    /// DD CC BB AA: little-endian (`f32le`).
    Little,
    /// CC DD AA BB: low register first, each register big-endian (`f32be-swapped`).
    BigSwapped,
    /// BB AA DD CC: high register first, each register little-endian (`f32le-swapped`).
    LittleSwapped,
}

/// What the values of a point may be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// Smallest.
    pub min: Option<f64>,
    /// Largest.
    pub max: Option<f64>,
    /// All that are allowed; empty when any is.
    pub values: Vec<f64>,
    /// Largest difference from the value before.
    pub max_step: Option<f64>,
}

impl Limits {
    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        self.min.is_none() && self.max.is_none() && self.values.is_empty() && self.max_step.is_none()
    }
}

/// `[conduit.*]` (IEC 62443-3-2 ZCR 6.4).
#[derive(Clone, Debug, Default)]
pub struct Conduit {
    /// Its name.
    pub name: String,
    /// The zones (indices) it connects, each with each.
    pub zones: Vec<u16>,
    /// Target security level.
    pub sl_t: Option<SecurityLevel>,
    /// What the auditor reads.
    pub notes: Notes,
}

/// One or many hosts, as `from` and `to` name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A declared asset (index).
    Asset(u16),
    /// Every host of a zone (index).
    Zone(u16),
    /// Every host of a network, also one that is no declared asset.
    Network(IpNet),
    /// Every host of the conduit's zones.
    Any,
}

/// `[[conduit.*.flow]]`.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Its id; `conduit/number` where none is given.
    pub id: String,
    /// Its conduit (index).
    pub conduit: u16,
    /// Who may ask.
    pub from: Vec<Endpoint>,
    /// Who may be asked.
    pub to: Vec<Endpoint>,
    /// What may be spoken.
    pub protocol: Spoken,
    /// Where it may be spoken.
    pub ports: Ports,
    /// What may be asked.
    pub allow: Vec<Allow>,
    /// When it permits at all.
    pub conditions: Conditions,
    /// A poll that stops for longer is a finding. Kept, judged later.
    pub expect_every: Option<Duration>,
    /// When it may be used (index). Kept, judged later.
    pub schedule: Option<u16>,
    /// Open only with a grant. Kept, judged later.
    pub requires_grant: bool,
    /// Longest session. Kept, judged later.
    pub max_session: Option<Duration>,
    /// What a session with an S7 controller must be like.
    pub s7: Option<S7Session>,
    /// What a session with an OPC UA server must be like.
    pub opcua: Option<OpcUaSession>,
    /// Oldest version of TLS. Kept, judged later.
    pub tls_min_version: Option<&'static str>,
}

/// What a flow may speak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// A protocol that is known by name.
    Named(&'static str),
    /// Whatever is carried there and is not decoded, as in `tcp/443`; the text of the policy.
    Carried(String),
    /// Anything, decoded or not.
    Any,
}

impl Spoken {
    /// As the policy writes it.
    pub fn name(&self) -> &str {
        match self {
            Self::Named(name) => name,
            Self::Carried(text) => text,
            Self::Any => "any",
        }
    }

    /// Whether it decides about the operations of a decoded protocol.
    pub fn is_spoken_as(&self, decoded: Option<&str>) -> bool {
        match self {
            Self::Named(name) => decoded == Some(*name),
            Self::Any => decoded.is_some(),
            Self::Carried(_) => false,
        }
    }
}

/// Where a flow may be spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ports {
    /// By carrier, and first and last port.
    Doors(Vec<(Carrier, u16, u16)>),
    /// On any port of any carrier.
    Any,
}

impl Ports {
    /// Whether this is one of them.
    pub fn admit(&self, (carrier, port): Door) -> bool {
        match self {
            Self::Any => true,
            Self::Doors(doors) => {
                doors.iter().any(|&(of, first, last)| of == carrier && (first..=last).contains(&port))
            }
        }
    }
}

/// One entry of `allow`.
#[derive(Clone, Debug, Default)]
pub struct Allow {
    /// The classes, from `op`.
    pub classes: Classes,
    /// Only these functions; all where none are named.
    pub functions: Vec<FunctionRef>,
    /// Only these points (indices).
    pub points: Vec<u16>,
    /// Only these registers.
    pub registers: Option<Registers>,
    /// Only this place in an S7 controller.
    pub s7: Option<S7Place>,
    /// Only these nodes and methods of an OPC UA server.
    pub opcua: OpcUaPlaces,
    /// At most so often. Kept, judged later.
    pub rate: Option<Rate>,
    /// Only these blocks of a controller's program.
    pub blocks: Vec<Blocks>,
    /// Only these control actions.
    pub actions: Vec<&'static Action>,
}

/// How `functions` names a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FunctionRef {
    /// By the standard's name.
    Name(String),
    /// By its number on the wire, with all its sub-functions.
    Code(u32),
}
