//! What a policy declares, resolved: references are indices, texts are parsed. All sections of the language are kept
//! here; `compile.rs` makes the part that is judged fast.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use jiff::civil::Date;
use lockkeeper_protocols::Table;

use super::values::Rate;
use super::words::{Classes, Door};

/// Everything that a policy declares, in the order of the file.
#[derive(Clone, Debug, Default)]
pub struct Declared {
    /// `[policy]`: title, owner, approval.
    pub header: Notes,
    /// `[catalog]`: the editions that findings are mapped to.
    pub catalog: Notes,
    /// `[default]`.
    pub defaults: Defaults,
    /// `[sensor.*]`.
    pub sensors: Vec<Sensor>,
    /// `[zone.*]`.
    pub zones: Vec<Zone>,
    /// `[asset.*]`.
    pub assets: Vec<Asset>,
    /// `[supplier.*]`.
    pub suppliers: Vec<Supplier>,
    /// `[schedule.*]`.
    pub schedules: Vec<Schedule>,
    /// `[point.*]`.
    pub points: Vec<Point>,
    /// `[conduit.*]`.
    pub conduits: Vec<Conduit>,
    /// `[[conduit.*.flow]]`, of all conduits.
    pub flows: Vec<Flow>,
    /// `[[grant]]`.
    pub grants: Vec<Grant>,
    /// `[[exception]]`.
    pub exceptions: Vec<Exception>,
}

/// What an auditor reads and the program only keeps: key and value, in the order in which the language lists them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Notes(pub Vec<(&'static str, Note)>);

/// The value of a note.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    /// A text.
    Text(String),
    /// A list of texts.
    List(Vec<String>),
    /// A date.
    Date(Date),
}

impl Notes {
    /// The note under a key.
    pub fn get(&self, key: &str) -> Option<&Note> {
        self.0.iter().find(|(name, _)| *name == key).map(|(_, note)| note)
    }

    /// The text under a key, if it is there and a text.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some(Note::Text(text)) => Some(text),
            _ => None,
        }
    }
}

/// What follows from something that is not declared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consequence {
    /// An alert of kind `violation`.
    #[default]
    Violation,
    /// An alert of a lower kind.
    Report,
    /// Only recorded.
    Observe,
}

/// `[default]`.
#[derive(Clone, Debug, Default)]
pub struct Defaults {
    /// Traffic between zones that no conduit connects.
    pub undeclared_conduit: Consequence,
    /// What the flows of a conduit do not permit.
    pub undeclared_operation: Consequence,
    /// A host that is not declared in a zone that declares its assets.
    pub unknown_asset: Consequence,
    /// Traffic inside a zone is judged too.
    pub intra_zone_declared: bool,
    /// Encrypted payload on a restricted conduit. Kept, judged later.
    pub opaque_payload: Option<Consequence>,
    /// Use of an exception that has ended. Kept, judged later.
    pub expired_exception: Option<Consequence>,
    /// Where schedules are read. Kept, judged later.
    pub time_zone: Option<String>,
}

/// `[sensor.*]`: what a sensor can see. Kept, judged later.
#[derive(Clone, Debug)]
pub struct Sensor {
    /// Its name.
    pub name: String,
    /// Where it is mounted.
    pub notes: Notes,
    /// Zones (indices) whose traffic it sees.
    pub sees_zones: Vec<u16>,
    /// Conduits (indices) whose traffic it sees.
    pub sees_conduits: Vec<u16>,
    /// Share of packets lost above which "nothing seen" is no evidence.
    pub max_capture_loss: Option<f64>,
    /// Largest error of its clock, milliseconds.
    pub max_clock_offset_ms: Option<u32>,
}

/// `[zone.*]` (IEC 62443-3-2 ZCR 6.4).
#[derive(Clone, Debug, Default)]
pub struct Zone {
    /// Its name.
    pub name: String,
    /// Its networks.
    pub networks: Vec<IpNet>,
    /// Its VLANs, 1..=4094.
    pub vlans: Vec<u16>,
    /// Hardware addresses of its hosts, for traffic without IP.
    pub macs: Vec<[u8; 6]>,
    /// Reached from an untrusted network.
    pub external: bool,
    /// Target security level.
    pub sl_t: Option<SecurityLevel>,
    /// What the auditor reads.
    pub notes: Notes,
}

/// A security level vector: IAC, UC, SI, DC, RDF, TRE, RA (IEC 62443-3-3 annex A), each 0..=4.
pub type SecurityLevel = [u8; 7];

/// `[asset.*]`.
#[derive(Clone, Debug, Default)]
pub struct Asset {
    /// Its name.
    pub name: String,
    /// Its zone (index).
    pub zone: u16,
    /// Its addresses.
    pub ip: Vec<IpAddr>,
    /// Its hardware addresses.
    pub mac: Vec<[u8; 6]>,
    /// Its supplier (index).
    pub supplier: Option<u16>,
    /// Silence longer than this is a finding. Kept, judged later.
    pub silent_after: Option<Duration>,
    /// Services it offers, `protocol/port`. Kept, judged later.
    pub services: Vec<String>,
    /// What the auditor reads.
    pub notes: Notes,
}

/// `[supplier.*]`.
#[derive(Clone, Debug)]
pub struct Supplier {
    /// The name that grants and assets use.
    pub name: String,
    /// Full name, contract, contact.
    pub notes: Notes,
}

/// `[schedule.*]`: when flows may be used. Kept, judged later.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Its name.
    pub name: String,
    /// Days on which it begins, Monday = 0.
    pub days: Vec<u8>,
    /// Begin, minutes since midnight.
    pub from: u16,
    /// End, minutes since midnight; before the begin when it runs past midnight.
    pub to: u16,
    /// Only with a ticket.
    pub needs_ticket: bool,
}

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
}

/// Where a flow may be spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ports {
    /// By carrier, and first and last port.
    Doors(Vec<(super::Carrier, u16, u16)>),
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

/// `[[grant]]`: one approved piece of work. Kept, judged later.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Its id.
    pub id: String,
    /// The flow (index) that it opens.
    pub flow: u16,
    /// Who works (index).
    pub supplier: Option<u16>,
    /// Begin.
    pub start: Timestamp,
    /// End.
    pub end: Timestamp,
    /// Ticket, reason, approval.
    pub notes: Notes,
}

/// `[[exception]]`: a known deviation with an end. Kept, judged later.
#[derive(Clone, Debug)]
pub struct Exception {
    /// Its id.
    pub id: String,
    /// The rule it excuses.
    pub rule: String,
    /// The conduit (index) it is about.
    pub conduit: Option<u16>,
    /// The flows (indices) it is about.
    pub flows: Vec<u16>,
    /// The asset (index) it is about.
    pub asset: Option<u16>,
    /// The zone (index) it is about.
    pub zone: Option<u16>,
    /// Its last day.
    pub expires_on: Date,
    /// Reason, compensating measures, acceptance, dates.
    pub notes: Notes,
}
