//! A sensor at one moment, in plain numbers and words.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::metrics::LatencySummary;
use crate::publish::MqttReading;
use crate::sensor::confine::Confinement;

/// The form of [`Snapshot`] as JSON: in the status file and on the MQTT topic `metrics`.
pub const SCHEMA: &str = "lockkeeper/health/1";

/// A sensor at one moment. Counters count from its start.
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
    /// In a word.
    pub state: State,
    /// Why it is not `ready`.
    pub reasons: Vec<Reason>,
    /// When this was true.
    pub time: Timestamp,
    /// When the sensor started.
    pub started: Timestamp,
    /// Seconds since then.
    pub uptime_seconds: u64,
    /// Seconds after [`Snapshot::time`] from which on silence means that the sensor does not run any more.
    pub good_for_seconds: u64,
    /// What it has given up.
    #[serde(default)]
    pub confinement: Confinement,
    /// What it judges by.
    pub policy: PolicyInForce,
    /// What it listens to.
    pub interfaces: Vec<Interface>,
    /// What came in.
    pub traffic: Traffic,
    /// Operations by protocol and class.
    pub operations: BTreeMap<String, BTreeMap<String, u64>>,
    /// Operations on which there is no verdict, by why.
    #[serde(default)]
    pub not_judged: BTreeMap<String, u64>,
    /// Alerts by rule and severity.
    pub alerts: Vec<AlertCount>,
    /// Everything that was not seen or was given up, by name.
    pub losses: BTreeMap<String, u64>,
    /// Packets that were not read, or not all of them, by why: always the same names.
    #[serde(default)]
    pub unread: BTreeMap<String, u64>,
    /// What keeps outputs from their work now.
    pub problems: Vec<Reason>,
    /// The packets on the disk, where they are recorded.
    pub recording: Option<Recording>,
    /// The broker, if there is one.
    pub mqtt: Option<MqttReading>,
    /// How long it took from the packet to each stage.
    pub latency: BTreeMap<String, LatencySummary>,
    /// Resident memory of the process.
    pub memory_bytes: u64,
}

/// How a sensor is, in a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It does not listen yet.
    #[default]
    Starting,
    /// It sees what it should see, and tells whom it should tell.
    Ready,
    /// It runs, and something that it needs is missing: the reasons say what.
    Degraded,
    /// It was asked to stop, and delivers what it has.
    Stopping,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Starting, Self::Ready, Self::Degraded, Self::Stopping];

    /// The word.
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
    /// A stable word for programs, such as `mqtt.disconnected`.
    pub what: String,
    /// A sentence for people, with what to do where that is known.
    pub message: String,
}

/// The policy that a sensor judges by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyInForce {
    /// Its id; empty without a policy.
    pub id: String,
    /// Its version.
    pub version: String,
    /// Which text it is, exactly.
    pub sha256: String,
    /// Since when it is in force.
    pub loaded: Option<Timestamp>,
    /// The latest one that was to replace it, if that was wrong.
    pub rejected: Option<Rejection>,
}

/// A policy that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// When.
    pub time: Timestamp,
    /// What is wrong with it.
    pub reason: String,
}

/// An interface that is listened to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// `listening`, or why not: `down`, `gone`.
    pub state: String,
    /// Packets that were read.
    pub packets: u64,
    /// Bytes of them on the wire.
    pub bytes: u64,
    /// Packets that the kernel dropped because the ring was full.
    pub kernel_drops: u64,
    /// Packets that the interface dropped.
    pub interface_drops: u64,
    /// Packets that were dropped because the pipeline was behind.
    pub channel_drops: u64,
    /// Packets that the snap length cut.
    pub cut: u64,
    /// Packets that were read and wait for the pipeline.
    pub backlog: u64,
    /// Seconds since the latest packet; none before the first.
    pub silent_seconds: Option<u64>,
}

impl Interface {
    /// Packets that arrived and were not looked at.
    pub const fn lost(&self) -> u64 {
        self.kernel_drops + self.interface_drops + self.channel_drops
    }
}

/// What came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// Packets that were judged, copies included.
    pub packets: u64,
    /// Bytes of them on the wire.
    pub bytes: u64,
    /// Conversations begun.
    pub flows: u64,
    /// Conversations that are followed now.
    pub flows_open: u64,
    /// Share of the conversations begun of which only one direction was seen.
    pub one_way_share: f64,
    /// Tunnels begun: pairs of hosts that send packets inside others.
    #[serde(default)]
    pub tunnels: u64,
    /// Connections that were asked for and not answered.
    #[serde(default)]
    pub connections_unanswered: u64,
    /// Connections that the server refused.
    #[serde(default)]
    pub connections_refused: u64,
    /// How often the pipeline has told its counters: it lives while this grows.
    pub pulses: u64,
}

/// The packets on the disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// Files.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Name of the oldest of them: it says since when there are packets.
    pub oldest: Option<String>,
}

/// Alerts of one rule and severity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertCount {
    /// The rule.
    pub rule: String,
    /// The severity.
    pub severity: String,
    /// Alerts, however often each of them was updated.
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
            mqtt: None,
            latency: BTreeMap::new(),
            memory_bytes: 0,
        }
    }

    /// What the topic `status` says, retained: short, and new only when something changes.
    pub fn announcement(&self) -> serde_json::Value {
        serde_json::json!({
            "schema": "lockkeeper/status/1", "status": "online", "sensor": self.sensor, "site": self.site,
            "state": self.state, "reasons": self.reasons, "version": self.version, "started": self.started,
            "policy": self.policy,
        })
    }

    /// The state and its reasons, on one line for people.
    pub fn line(&self) -> String {
        let reasons: Vec<&str> = self.reasons.iter().map(|reason| reason.message.as_str()).collect();
        if reasons.is_empty() {
            self.state.name().to_owned()
        } else {
            format!("{}: {}", self.state.name(), reasons.join("; "))
        }
    }
}
