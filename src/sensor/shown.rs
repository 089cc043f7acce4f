//! From what the keeper sees to the board of the sensor's health.

use jiff::Timestamp;

use super::Look;
use crate::capture::live::InterfaceReading;
use crate::fault::FaultReport;
use crate::pipeline::PipelineStatus;
use crate::record;
use crate::sensor::health::{Board, Interface, Phase, PolicyInForce, Reason, Recording, Rejection, Snapshot};
use crate::store::recording::Stock;

/// Writes down what it is shown.
#[derive(Debug)]
pub struct Shown {
    board: Board,
    /// The packet clock of the latest census.
    clock: Option<i64>,
}

impl Shown {
    /// Writes to this board.
    pub const fn new(board: Board) -> Self {
        Self { board, clock: None }
    }

    /// The sensor runs, and is like this.
    pub(super) fn look(&mut self, look: &Look<'_>) {
        let beats = look.status.is_some_and(|status| self.clock.replace(status.clock) != Some(status.clock));
        self.board.update(|snapshot| {
            snapshot.interfaces =
                look.interfaces.iter().map(|(name, reading)| interface(name, reading, look.now)).collect();
            snapshot.policy = policy(look);
            snapshot.traffic.pulses += u64::from(beats);
            if let Some(status) = look.status {
                count(status, snapshot);
            }
        });
        if self.board.phase() == Phase::Starting && look.status.is_some() {
            self.board.enter(Phase::Running);
        }
    }

    /// The sensor was asked to stop, and delivers what it has.
    pub(super) fn stopping(&self) {
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

fn policy(look: &Look<'_>) -> PolicyInForce {
    let policy = look.policy;
    let rejected = look.policy_rejected.and_then(|rejected| {
        let reason = rejected.reason.clone();
        time(rejected.time).map(|time| Rejection { time, reason })
    });
    PolicyInForce {
        id: policy.id.clone(),
        version: policy.version.clone(),
        sha256: policy.sha256.clone(),
        loaded: time(look.policy_since),
        rejected,
    }
}

fn time(nanoseconds: i64) -> Option<Timestamp> {
    Timestamp::from_nanosecond(nanoseconds.into()).ok()
}

fn count(status: &PipelineStatus, snapshot: &mut Snapshot) {
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
    let problem = |told: &FaultReport| Reason { what: told.what.to_owned(), message: told.message() };
    snapshot.problems = status.faults.iter().map(problem).collect();
    snapshot.recording = status.recorded.as_ref().map(|stock| {
        let Stock { files, bytes, oldest } = stock.clone();
        Recording { files, bytes, oldest }
    });
    snapshot.losses = counters.losses.named().map(|(name, count)| (name.to_owned(), count)).collect();
}
