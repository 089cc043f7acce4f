//! Copies what the supervisor observes to the board of the sensor's health.

use jiff::Timestamp;

use super::Observation;
use crate::capture::live::InterfaceReading;
use crate::fault::FaultReport;
use crate::pipeline::PipelineStatus;
use crate::record;
use crate::sensor::health::{Board, Interface, Phase, PolicyInForce, Reason, Recording, Rejection, Snapshot};
use crate::store::recording::RecordingStatus;

/// Updates the board of a sensor's health.
#[derive(Debug)]
pub struct HealthUpdater {
    board: Board,
    /// The packet clock of the latest status of the pipeline.
    clock: Option<i64>,
}

impl HealthUpdater {
    /// Updates this board.
    pub const fn new(board: Board) -> Self {
        Self { board, clock: None }
    }

    /// Updates the board from an observation of the running sensor.
    pub(super) fn update(&mut self, observation: &Observation<'_>) {
        let is_new = observation.status.is_some_and(|status| self.clock.replace(status.clock) != Some(status.clock));
        self.board.update(|snapshot| {
            snapshot.interfaces = observation
                .interfaces
                .iter()
                .map(|(name, reading)| interface(name, reading, observation.now))
                .collect();
            snapshot.policy = policy(observation);
            snapshot.traffic.pulses += u64::from(is_new);
            if let Some(status) = observation.status {
                copy_counters(status, snapshot);
            }
        });
        if self.board.phase() == Phase::Starting && observation.status.is_some() {
            self.board.enter(Phase::Running);
        }
    }

    /// Shows that the sensor was asked to stop.
    pub(super) fn show_stopping(&self) {
        self.board.enter(Phase::Stopping);
    }
}

fn interface(name: &str, reading: &InterfaceReading, now: i64) -> Interface {
    let silent = now.saturating_sub(reading.latest) / 1_000_000_000;
    Interface {
        name: name.to_owned(),
        state: reading.state.name().to_owned(),
        packets: reading.packets,
        bytes: reading.bytes,
        kernel_drops: reading.kernel_drops,
        interface_drops: reading.interface_drops,
        channel_drops: reading.channel_drops,
        cut: reading.cut,
        backlog: reading.waiting,
        silent_seconds: (reading.latest > 0).then(|| u64::try_from(silent).unwrap_or(0)),
    }
}

fn policy(observation: &Observation<'_>) -> PolicyInForce {
    let policy = observation.policy;
    let rejected = observation.policy_rejected.and_then(|rejected| {
        let reason = rejected.reason.clone();
        time(rejected.time).map(|time| Rejection { time, reason })
    });
    PolicyInForce {
        id: policy.id.clone(),
        version: policy.version.clone(),
        sha256: policy.sha256.clone(),
        loaded: time(observation.policy_since),
        rejected,
    }
}

fn time(nanoseconds: i64) -> Option<Timestamp> {
    Timestamp::from_nanosecond(nanoseconds.into()).ok()
}

fn copy_counters(status: &PipelineStatus, snapshot: &mut Snapshot) {
    let counters = &status.counters;
    let traffic = &mut snapshot.traffic;
    (traffic.packets, traffic.bytes, traffic.flows) = (counters.packets, counters.bytes, counters.flows);
    traffic.flows_open = status.open_flows;
    traffic.tunnels = counters.tunnels;
    let failed = counters.failed.total;
    (traffic.connections_unanswered, traffic.connections_refused) = (failed.unanswered, failed.refused);
    snapshot.unread = record::unread::by_known_name(&counters.unread);
    traffic.one_way_share = counters.losses.one_way_flows as f64 / counters.flows.max(1) as f64;
    let owned = |classes: std::collections::BTreeMap<&str, u64>| {
        classes.into_iter().map(|(class, count)| (class.to_owned(), count)).collect()
    };
    let operations = counters.operations().into_iter();
    snapshot.operations = operations.map(|(protocol, classes)| (protocol.to_owned(), owned(classes))).collect();
    snapshot.not_judged = counters.not_judged.named().into_iter().map(|(why, count)| (why.to_owned(), count)).collect();
    let problem = |fault: &FaultReport| Reason { what: fault.what.to_owned(), message: fault.message() };
    snapshot.problems = status.faults.iter().map(problem).collect();
    snapshot.recording = status.recorded.as_ref().map(|status| {
        let RecordingStatus { files, bytes, oldest } = status.clone();
        Recording { files, bytes, oldest }
    });
    snapshot.losses = counters.losses.named().map(|(name, count)| (name.to_owned(), count)).collect();
}
