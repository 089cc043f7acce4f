//! Control of a running pipeline: commands, and the status in reply. Commands are carried out between two blocks, the same two
//! for every worker: no packet is judged by half of a new policy, and nothing on the packet path takes a lock.

use std::collections::BTreeMap;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::Outputs;
use super::deal::Dealer;
use crate::capture::Source;
use crate::fault::FaultReport;
use crate::metrics::Counters;
use crate::policy::Policy;
use crate::record::{self, Correlator, SensorAlert};
use crate::store::recording::RecordingStatus;
use crate::worker::{Followed, Worker};

/// A command to a running pipeline.
#[derive(Debug)]
pub enum ControlCommand {
    /// Judge by this policy from the next block on.
    Policy(Arc<Policy>),
    /// Publish this alert of the sensor.
    SensorAlert(SensorAlert),
    /// Reply with a [`PipelineStatus`].
    Status {
        /// Count the conversations in detail, too: [`PipelineStatus::followed`].
        conversations: bool,
    },
}

/// The status of a running pipeline.
#[derive(Debug)]
pub struct PipelineStatus {
    /// The packet clock of the status; a live source advances it when nothing arrives.
    pub clock: i64,
    /// Counters of the source, the dealer and the workers.
    pub counters: Counters,
    /// Conversations that are followed now.
    pub open_flows: u64,
    /// The same in detail, if requested.
    pub followed: Option<Followed>,
    /// The counters of the correlator.
    pub alerts: record::Counters,
    /// Alerts by rule.
    pub by_rule: BTreeMap<&'static str, u64>,
    /// Faults of outputs at this moment.
    pub faults: Vec<FaultReport>,
    /// What is recorded on the disk, where packets are recorded.
    pub recorded: Option<RecordingStatus>,
}

/// The end of the control channel that gives commands.
#[derive(Debug)]
pub struct ControlHandle {
    /// Takes commands. When it is full, the pipeline is behind; the command can be given again later.
    pub commands: Sender<ControlCommand>,
    /// Delivers the replies to [`ControlCommand::Status`].
    pub status: Receiver<PipelineStatus>,
}

/// The end of the control channel that the pipeline reads.
#[derive(Debug)]
pub struct ControlPort {
    commands: Receiver<ControlCommand>,
    status: Sender<PipelineStatus>,
}

/// Makes a control channel.
pub fn control_channel() -> (ControlHandle, ControlPort) {
    let ((commands, taken), (answers, status)) = (bounded(COMMANDS), bounded(1));
    (ControlHandle { commands, status }, ControlPort { commands: taken, status: answers })
}

/// The commands for one block.
pub(super) struct Commands {
    policy: Option<Arc<Policy>>,
    sensor_alerts: Vec<SensorAlert>,
    /// A status is requested: the counters of the source and the dealer.
    status: Option<Counters>,
    /// The status includes conversations in detail.
    conversations: bool,
    /// The packet clock before the block.
    clock: i64,
}

/// The counters of one worker.
pub(super) struct Count {
    counters: Box<Counters>,
    open_flows: u64,
    followed: Followed,
}

impl ControlPort {
    /// The commands for the next block, if there are any.
    pub(super) fn take_commands(&self, source: &dyn Source, dealer: &mut Dealer, clock: i64) -> Option<Arc<Commands>> {
        if self.commands.is_empty() {
            return None;
        }
        let mut taken = Commands { policy: None, sensor_alerts: Vec::new(), status: None, conversations: false, clock };
        for command in self.commands.try_iter() {
            match command {
                ControlCommand::Policy(policy) => {
                    taken.policy = Some(policy);
                    dealer.make_tunnels_due();
                }
                ControlCommand::SensorAlert(alert) => taken.sensor_alerts.push(alert),
                ControlCommand::Status { conversations } => {
                    taken.conversations |= conversations;
                    let mut counters = Counters::default();
                    dealer.add_counters(&mut counters);
                    counters.add_drops(&source.drops());
                    taken.status = Some(counters);
                }
            }
        }
        Some(Arc::new(taken))
    }

    /// Delivers a status, or drops it if the reply before it was not taken.
    pub(super) fn reply(&self, status: Option<PipelineStatus>) {
        if let Some(status) = status {
            let _ = self.status.try_send(status);
        }
    }
}

impl Commands {
    /// Prepares a worker for the block: adopts the policy.
    pub(super) fn prepare_worker(&self, worker: &mut Worker) {
        if let Some(policy) = &self.policy {
            worker.adopt(policy, self.clock);
        }
    }

    /// Counts a worker after the block, if a status is requested.
    pub(super) fn count_worker(&self, worker: &mut Worker) -> Option<Count> {
        self.status.as_ref()?;
        let followed = if self.conversations { worker.count_followed() } else { Followed::default() };
        Some(Count { counters: Box::new(worker.counters()), open_flows: worker.open_flows(), followed })
    }

    /// Prepares the correlator for the block: adopts the policy.
    pub(super) fn prepare_correlator(&self, correlator: &mut Correlator) {
        if let Some(policy) = &self.policy {
            correlator.adopt(Arc::clone(policy));
        }
    }

    /// Publishes the alerts of the sensor after the block.
    pub(super) fn publish_sensor_alerts(&self, correlator: &mut Correlator, out: &mut dyn FnMut(record::Rendered)) {
        for alert in &self.sensor_alerts {
            correlator.handle_sensor_alert(alert.clone(), out);
        }
    }

    /// Puts the status together, if it is requested.
    pub(super) fn pipeline_status(
        &self,
        counts: impl Iterator<Item = Count>,
        correlator: &Correlator,
        outputs: &Outputs,
    ) -> Option<PipelineStatus> {
        let mut counters = self.status.clone()?;
        let (mut open_flows, mut followed) = (0, Followed::default());
        for count in counts {
            counters.add(&count.counters);
            open_flows += count.open_flows;
            followed.flows += count.followed.flows;
            followed.spoken += count.followed.spoken;
            followed.one_way += count.followed.one_way;
        }
        counters.add_alerts(correlator.counters());
        outputs.count(&mut counters);
        let mut by_rule = BTreeMap::new();
        for (rule, _, tally) in correlator.tallies() {
            *by_rule.entry(rule).or_default() += tally.alerts;
        }
        let followed = self.conversations.then_some(followed);
        Some(PipelineStatus {
            clock: self.clock,
            counters,
            open_flows,
            followed,
            alerts: *correlator.counters(),
            by_rule,
            faults: outputs.faults(),
            recorded: outputs.recorded(),
        })
    }
}

/// Commands that are queued for the next block, at most.
const COMMANDS: usize = 64;
