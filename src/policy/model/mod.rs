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

/// Notes for auditors, which the program stores and does not interpret: keys and values in the order of the language.
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

/// The consequence of traffic that is not declared.
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
    /// Use of an exception that has ended. Not judged yet.
    pub expired_exception: Option<Consequence>,
    /// The time zone of schedules. Not judged yet.
    pub time_zone: Option<String>,
}

/// `[sensor.*]`: what a sensor can see. Not judged yet, except for [`Sensor::mirror_vlans`].
#[derive(Clone, Debug)]
pub struct Sensor {
    /// Its name.
    pub name: String,
    /// Where the sensor is connected.
    pub notes: Notes,
    /// Zones (indices) whose traffic it sees.
    pub sees_zones: Vec<u16>,
    /// Conduits (indices) whose traffic it sees.
    pub sees_conduits: Vec<u16>,
    /// VLANs that the mirror port adds to the packets it mirrors: they imply nothing about hosts.
    pub mirror_vlans: Vec<u16>,
    /// Share of lost packets above which the absence of traffic proves nothing.
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
    /// The zone is reached from an untrusted network.
    pub external: bool,
    /// Target security level.
    pub sl_t: Option<SecurityLevel>,
    /// Notes for auditors.
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
    /// It is a router: packets from its hardware have addresses of other hosts.
    pub is_router: bool,
    /// Its supplier (index).
    pub supplier: Option<u16>,
    /// Longest silence of the asset. Not judged yet.
    pub silent_after: Option<Duration>,
    /// Services it offers, `protocol/port`. Not judged yet.
    pub services: Vec<String>,
    /// Notes for auditors.
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

/// `[schedule.*]`: when flows may be used. Not judged yet.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Its name.
    pub name: String,
    /// Days on which it starts, Monday = 0.
    pub days: Vec<u8>,
    /// Start, minutes since midnight.
    pub from: u16,
    /// End, minutes since midnight; earlier than the start if it runs past midnight.
    pub to: u16,
    /// A ticket is required.
    pub needs_ticket: bool,
}

/// `[[grant]]`: one approved piece of work. Not judged yet.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Its id.
    pub id: String,
    /// The flow (index) that it opens.
    pub flow: u16,
    /// The supplier (index) whose people work.
    pub supplier: Option<u16>,
    /// Start.
    pub start: Timestamp,
    /// End.
    pub end: Timestamp,
    /// Ticket, reason, approval.
    pub notes: Notes,
}

/// `[[exception]]`: a known deviation with an end. Not judged yet.
#[derive(Clone, Debug)]
pub struct Exception {
    /// Its id.
    pub id: String,
    /// The id of the rule whose violations it excuses.
    pub rule: String,
    /// The conduit (index) in its scope.
    pub conduit: Option<u16>,
    /// The flows (indices) in its scope.
    pub flows: Vec<u16>,
    /// The asset (index) in its scope.
    pub asset: Option<u16>,
    /// The zone (index) in its scope.
    pub zone: Option<u16>,
    /// Its last day.
    pub expires_on: Date,
    /// Reason, compensating measures, acceptance, dates.
    pub notes: Notes,
}
