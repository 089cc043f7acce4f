//! Points, conduits, flows, and what each flow allows.

use std::time::Duration;

use ipnet::IpNet;
use lockkeeper_protocols::Table;

use super::super::Carrier;
use super::super::values::Rate;
use super::super::words::{Classes, Door};
use super::{Notes, SecurityLevel};

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
    /// Bytes of a Siemens S7 memory area. Kept, judged later.
    S7(S7Bytes),
    /// OPC UA nodes. Kept, judged later.
    OpcUa(Vec<String>),
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

/// Bytes of a Siemens S7 memory area.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S7Bytes {
    /// `DB`, `M`, `I`, `Q`, `C`, `T`.
    pub area: &'static str,
    /// Number of the data block, in area `DB`.
    pub db: Option<u16>,
    /// First and last byte; all where none are named.
    pub bytes: Option<(u16, u16)>,
}

/// How registers are read as a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kind {
    /// What the bits mean.
    pub number: Number,
    /// In which order the bytes of a value of several registers travel.
    pub order: Order,
}

/// What the bits of a value mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the language")]
pub enum Number {
    Bool,
    #[default]
    U16,
    I16,
    U32,
    I32,
    F32,
    U64,
    I64,
    F64,
}

impl Number {
    /// How many registers a value takes.
    pub const fn registers(self) -> u16 {
        match self {
            Self::Bool | Self::U16 | Self::I16 => 1,
            Self::U32 | Self::I32 | Self::F32 => 2,
            Self::U64 | Self::I64 | Self::F64 => 4,
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
    /// A poll that stops for longer is a finding. Kept, judged later.
    pub expect_every: Option<Duration>,
    /// When it may be used (index). Kept, judged later.
    pub schedule: Option<u16>,
    /// Open only with a grant. Kept, judged later.
    pub requires_grant: bool,
    /// Longest session. Kept, judged later.
    pub max_session: Option<Duration>,
    /// Settings of S7comm. Kept, judged later.
    pub s7: Option<S7Session>,
    /// Settings of OPC UA. Kept, judged later.
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
    /// Only these bytes. Kept, judged later.
    pub s7: Option<S7Bytes>,
    /// Only these nodes. Kept, judged later.
    pub nodes: Vec<String>,
    /// At most so often. Kept, judged later.
    pub rate: Option<Rate>,
    /// Only these blocks of a controller's program. Kept, judged later.
    pub blocks: Vec<String>,
    /// Only these control actions. Kept, judged later.
    pub actions: Vec<String>,
}

/// How `functions` names a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FunctionRef {
    /// By the standard's name.
    Name(String),
    /// By its number on the wire, with all its sub-functions.
    Code(u32),
}

/// Settings of S7comm. Kept, judged later.
#[derive(Clone, Debug)]
pub struct S7Session {
    /// `PG`, `OP` or `BASIC`.
    pub connection: Option<&'static str>,
    /// Rack of the CPU.
    pub rack: Option<u8>,
    /// Slot of the CPU.
    pub slot: Option<u8>,
    /// `required`, `forbidden` or `optional`.
    pub password: Option<&'static str>,
}

/// Settings of OPC UA. Kept, judged later.
#[derive(Clone, Debug)]
pub struct OpcUaSession {
    /// `None`, `Sign` or `SignAndEncrypt`.
    pub min_mode: Option<&'static str>,
    /// Security policies.
    pub policies: Vec<String>,
    /// Kinds of user identity.
    pub identity: Vec<&'static str>,
    /// Application URIs of clients.
    pub client_uris: Vec<String>,
    /// Shortest RSA key, bits.
    pub min_rsa_bits: Option<u16>,
    /// Certificates signed with SHA-1 are a finding.
    pub forbid_sha1: bool,
    /// How long before a certificate ends that is a finding.
    pub warn_before_expiry: Option<Duration>,
}
