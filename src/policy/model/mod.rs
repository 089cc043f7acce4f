//! What a policy declares, resolved: references are indices, texts are parsed. All sections of the language are kept
//! here; `compile.rs` makes the part that is judged fast.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use jiff::civil::Date;

mod flows;

pub use super::addresses::{AddressUnit, Addresses};
pub use super::dialect::{
    Action, Blocks, CertificateRules, Channel, Extent, Grade, Location, NodeIdPattern, NodePattern, OpcUaSession,
    Password, S7Object, S7Session, SessionOptions, suite_names,
};
pub use super::encoding::{DataType, Encoding, WordOrder};
pub use flows::{Allow, Conduit, DeclaredProtocol, Endpoint, Flow, FunctionRef, Limits, Point, Ports};

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
    /// Encrypted payload on a flow whose content is restricted: an alert of severity info where nothing is written.
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
    /// VLANs that the mirror port uses to carry what it mirrors, which say nothing about hosts.
    pub mirror_vlans: Vec<u16>,
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
    /// It forwards what others send: addresses behind its hardware are not its own.
    pub is_router: bool,
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
