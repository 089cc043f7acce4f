//! What a pipeline is told while it runs, and what it answers. Orders are carried out between two blocks, by every worker
//! between the same two: no packet is judged by half of a new policy, and nothing on the packet path takes a lock.

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

/// What a running pipeline can be told.
#[derive(Debug)]
pub enum ControlCommand {
    /// Judge by this policy from the next block on.
    Policy(Arc<Policy>),
    /// Tell this about the sensor.
    SensorAlert(SensorAlert),
    /// Count what there is: see [`PipelineStatus`].
    Status {
        /// Look at every conversation, too: [`PipelineStatus::followed`].
        conversations: bool,
    },
}

/// What a running pipeline has counted so far.
#[derive(Debug)]
pub struct PipelineStatus {
    /// The packet clock when it was taken, which goes on when nothing arrives.
    pub clock: i64,
    /// What was counted on the way in and by the workers.
    pub counters: Counters,
    /// Conversations that are followed now.
    pub open_flows: u64,
    /// The same in more detail, where somebody asked for it.
    pub followed: Option<Followed>,
    /// What the correlator did.
    pub alerts: record::Counters,
    /// Alerts by rule.
    pub by_rule: BTreeMap<&'static str, u64>,
    /// What keeps outputs from their work now.
    pub faults: Vec<FaultReport>,
    /// What is recorded on the disk, where packets are recorded.
    pub recorded: Option<RecordingStatus>,
}

/// The end that gives orders.
#[derive(Debug)]
pub struct ControlHandle {
    /// Where orders go. Full: the pipeline is behind, and the order can be given again later.
    pub commands: Sender<ControlCommand>,
    /// Where the answers to [`ControlCommand::Status`] come from.
    pub status: Receiver<PipelineStatus>,
}

/// The end that the pipeline takes them from.
#[derive(Debug)]
pub struct ControlPort {
    commands: Receiver<ControlCommand>,
    status: Sender<PipelineStatus>,
}

/// Both ends.
pub fn control_channel() -> (ControlHandle, ControlPort) {
    let ((commands, taken), (answers, status)) = (bounded(COMMANDS), bounded(1));
    (ControlHandle { commands, status }, ControlPort { commands: taken, status: answers })
}

/// What is to be done before one block.
pub(super) struct Commands {
    policy: Option<Arc<Policy>>,
    own: Vec<SensorAlert>,
    /// Somebody wants to know: what was counted on the way in.
    status: Option<Counters>,
    /// And what conversations there are.
    conversations: bool,
    /// The packet clock before the block.
    clock: i64,
}

/// What one worker counted.
pub(super) struct Count {
    counters: Box<Counters>,
    open_flows: u64,
    followed: Followed,
}

impl ControlPort {
    /// What is to be done before the next block, if there is something.
    pub(super) fn take(&self, source: &dyn Source, dealer: &mut Dealer, clock: i64) -> Option<Arc<Commands>> {
        if self.commands.is_empty() {
            return None;
        }
        let mut taken = Commands { policy: None, own: Vec::new(), status: None, conversations: false, clock };
        for command in self.commands.try_iter() {
            match command {
                ControlCommand::Policy(policy) => {
                    taken.policy = Some(policy);
                    dealer.judge_again();
                }
                ControlCommand::SensorAlert(own) => taken.own.push(own),
                ControlCommand::Status { conversations } => {
                    taken.conversations |= conversations;
                    let mut counters = Counters::default();
                    dealer.count_so_far(&mut counters);
                    counters.add_drops(&source.drops());
                    taken.status = Some(counters);
                }
            }
        }
        Some(Arc::new(taken))
    }

    /// Hands over what was counted. Whoever did not take the answer before does not miss this one either.
    pub(super) fn answer(&self, status: Option<PipelineStatus>) {
        if let Some(status) = status {
            let _ = self.status.try_send(status);
        }
    }
}

impl Commands {
    /// What a worker does before the block.
    pub(super) fn before(&self, worker: &mut Worker) {
        if let Some(policy) = &self.policy {
            worker.adopt(policy, self.clock);
        }
    }

    /// What it does after it.
    pub(super) fn after(&self, worker: &mut Worker) -> Option<Count> {
        self.status.as_ref()?;
        let followed = if self.conversations { worker.follows() } else { Followed::default() };
        Some(Count { counters: Box::new(worker.counters()), open_flows: worker.open_flows(), followed })
    }

    /// What the correlator does before the block.
    pub(super) fn prepare(&self, correlator: &mut Correlator) {
        if let Some(policy) = &self.policy {
            correlator.adopt(Arc::clone(policy));
        }
    }

    /// What it does after it.
    pub(super) fn settle(&self, correlator: &mut Correlator, out: &mut dyn FnMut(record::Rendered)) {
        for own in &self.own {
            correlator.own(own.clone(), out);
        }
    }

    /// What all of them counted.
    pub(super) fn status(
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

/// Orders that wait for the next block, at most.
const COMMANDS: usize = 64;
