//! The health of a sensor at one moment.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::sinks::Sinks;
use crate::metrics::LatencySummary;
use crate::sensor::confine::Confinement;

/// The schema of [`Snapshot`] as JSON: in the status file and on the MQTT topic `metrics`.
pub const SCHEMA: &str = "lockkeeper/health/1";

/// The health of a sensor at one moment. Counters count from its start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`SCHEMA`].
    pub schema: String,
    /// Name of the sensor.
    pub sensor: String,
    /// Name of its site.
    pub site: String,
    /// Version of the program.
    pub version: String,
    /// Whether it works as it should.
    pub state: State,
    /// Why it is `degraded`.
    pub reasons: Vec<Reason>,
    /// When the snapshot was taken.
    pub time: Timestamp,
    /// When the sensor started.
    pub started: Timestamp,
    /// Seconds since then.
    pub uptime_seconds: u64,
    /// Seconds after [`Snapshot::time`] after which the sensor counts as gone.
    pub good_for_seconds: u64,
    /// The rights that it has dropped.
    #[serde(default)]
    pub confinement: Confinement,
    /// The policy in force.
    pub policy: PolicyInForce,
    /// The interfaces that it listens to.
    pub interfaces: Vec<Interface>,
    /// The traffic so far.
    pub traffic: Traffic,
    /// Operations by protocol and class.
    pub operations: BTreeMap<String, BTreeMap<String, u64>>,
    /// Operations without a verdict, by reason.
    #[serde(default)]
    pub not_judged: BTreeMap<String, u64>,
    /// Alerts by rule and severity.
    pub alerts: Vec<AlertCount>,
    /// Losses by name: traffic that was not seen, and state that was given up.
    pub losses: BTreeMap<String, u64>,
    /// Packets that were not decoded, or not completely, by reason. The names are fixed.
    #[serde(default)]
    pub unread: BTreeMap<String, u64>,
    /// The current failures of outputs.
    pub problems: Vec<Reason>,
    /// The recording, if there is one.
    pub recording: Option<Recording>,
    /// The sinks, each under its name.
    #[serde(flatten)]
    pub sinks: Sinks,
    /// Time from a packet to each stage.
    pub latency: BTreeMap<String, LatencySummary>,
    /// Resident memory of the process, bytes.
    pub memory_bytes: u64,
}

/// Whether a sensor works as it should.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It does not listen yet.
    #[default]
    Starting,
    /// It captures its traffic, and its outputs work.
    Ready,
    /// It runs, but something is wrong, which the reasons name.
    Degraded,
    /// It was asked to stop, and delivers the remaining alerts.
    Stopping,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Starting, Self::Ready, Self::Degraded, Self::Stopping];

    /// The name, as in the status file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::Stopping => "stopping",
        }
    }
}

/// Why a sensor is degraded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// A stable name for programs, such as `mqtt.disconnected`.
    pub what: String,
    /// A message for people, with a remedy where one is known.
    pub message: String,
}

/// The policy in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyInForce {
    /// Its id; empty without a policy.
    pub id: String,
    /// Its version.
    pub version: String,
    /// The hash of its text.
    pub sha256: String,
    /// When it came into force.
    pub loaded: Option<Timestamp>,
    /// The rejection of the latest change, if it was rejected.
    pub rejected: Option<Rejection>,
}

/// A changed policy that was rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// When it was rejected.
    pub time: Timestamp,
    /// Its mistake.
    pub reason: String,
}

/// An interface that the sensor listens to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// `listening`, or why not: `down`, `gone`.
    pub state: String,
    /// Packets captured.
    pub packets: u64,
    /// Bytes of them on the wire.
    pub bytes: u64,
    /// Packets that the kernel dropped because the ring was full.
    pub kernel_drops: u64,
    /// Packets that the interface dropped.
    pub interface_drops: u64,
    /// Packets that the sensor dropped because its pipeline was behind.
    pub channel_drops: u64,
    /// Packets that the snap length cut.
    pub cut: u64,
    /// Captured packets that wait for the pipeline.
    pub backlog: u64,
    /// Seconds since the latest packet; `None` before the first.
    pub silent_seconds: Option<u64>,
}

impl Interface {
    /// Packets that arrived and were dropped.
    pub const fn lost(&self) -> u64 {
        self.kernel_drops + self.interface_drops + self.channel_drops
    }
}

/// The traffic so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// Packets judged, duplicates included.
    pub packets: u64,
    /// Bytes of them on the wire.
    pub bytes: u64,
    /// Conversations begun.
    pub flows: u64,
    /// Conversations in the flow tables.
    pub flows_open: u64,
    /// Share of the conversations begun of which only one direction was seen.
    pub one_way_share: f64,
    /// Tunnels: pairs of hosts that send packets inside others.
    #[serde(default)]
    pub tunnels: u64,
    /// TCP connections whose SYN was not answered.
    #[serde(default)]
    pub connections_unanswered: u64,
    /// TCP connections that the server refused.
    #[serde(default)]
    pub connections_refused: u64,
    /// Reports of the pipeline so far; the pipeline is stuck while this does not grow.
    pub pulses: u64,
}

/// The recording on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// Number of files.
    pub files: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Name of the oldest file, which contains its start time.
    pub oldest: Option<String>,
}

/// Alerts of one rule and severity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertCount {
    /// The rule.
    pub rule: String,
    /// The severity.
    pub severity: String,
    /// Alerts, without their updates.
    pub alerts: u64,
}

impl Snapshot {
    /// A sensor that has just started.
    pub fn new(sensor: &str, site: &str, started: Timestamp) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            sensor: sensor.to_owned(),
            site: site.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            state: State::default(),
            reasons: Vec::new(),
            time: started,
            started,
            uptime_seconds: 0,
            good_for_seconds: 0,
            confinement: Confinement::default(),
            policy: PolicyInForce::default(),
            interfaces: Vec::new(),
            traffic: Traffic::default(),
            operations: BTreeMap::new(),
            not_judged: BTreeMap::new(),
            alerts: Vec::new(),
            losses: BTreeMap::new(),
            unread: BTreeMap::new(),
            problems: Vec::new(),
            recording: None,
            sinks: Sinks::default(),
            latency: BTreeMap::new(),
            memory_bytes: 0,
        }
    }

    /// The payload of the retained topic `status`: short, without anything that changes all the time.
    pub fn announcement(&self) -> serde_json::Value {
        serde_json::json!({
            "schema": "lockkeeper/status/1", "status": "online", "sensor": self.sensor, "site": self.site,
            "state": self.state, "reasons": self.reasons, "version": self.version, "started": self.started,
            "policy": self.policy,
        })
    }

    /// The state and its reasons, on one line.
    pub fn line(&self) -> String {
        let reasons: Vec<&str> = self.reasons.iter().map(|reason| reason.message.as_str()).collect();
        if reasons.is_empty() {
            self.state.name().to_owned()
        } else {
            format!("{}: {}", self.state.name(), reasons.join("; "))
        }
    }
}
