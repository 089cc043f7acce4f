//! The thread that supervises a running sensor.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use signal_hook::consts::SIGHUP;
use signal_hook::flag;

use super::alarms::Alarms;
use super::policy_file::{PolicyWatch, RejectionReason, Reload, is_rereadable};
use super::{HealthUpdater, Observation, Rejection, Settings};
use crate::capture::live::{InterfaceCounters, InterfaceReading, InterfaceState, Stop};
use crate::clock::now;
use crate::pipeline::{ControlCommand, ControlHandle, PipelineStatus};
use crate::policy::Policy;
use crate::record::{SensorAlert, SensorRule};

/// Watches the policy file, the interfaces and the pipeline of a sensor.
pub(super) struct Supervisor {
    control: ControlHandle,
    interfaces: Vec<(String, Arc<InterfaceCounters>)>,
    alarms: Alarms,
    policy: Arc<Policy>,
    policy_since: i64,
    policy_rejected: Option<Rejection>,
    file: Option<PolicyWatch>,
    /// SIGHUP asked for a reload of the policy.
    hangup: Arc<AtomicBool>,
    stop: Stop,
    /// An interface was replaced by one that only a restarted sensor can open.
    must_restart: bool,
    health: HealthUpdater,
    status: Option<PipelineStatus>,
    /// Commands that the pipeline had no room for yet.
    pending: Vec<ControlCommand>,
    rounds: u64,
    stop_is_shown: bool,
}

impl Supervisor {
    pub(super) fn new(
        control: ControlHandle,
        interfaces: Vec<(String, Arc<InterfaceCounters>)>,
        settings: &Settings,
        policy: Arc<Policy>,
        stop: Stop,
        health: HealthUpdater,
    ) -> io::Result<Self> {
        let hangup = Arc::new(AtomicBool::new(false));
        flag::register(SIGHUP, Arc::clone(&hangup))?;
        let begun = now();
        let file = settings.policy.as_deref().filter(|path| is_rereadable(path));
        let file = file.map(|path| PolicyWatch::start(path, &policy)).transpose()?;
        Ok(Self {
            control,
            alarms: Alarms::new(&settings.limits, interfaces.len(), begun),
            interfaces,
            policy,
            policy_since: begun,
            policy_rejected: None,
            file,
            hangup,
            stop,
            must_restart: false,
            health,
            status: None,
            pending: Vec::new(),
            rounds: 0,
            stop_is_shown: false,
        })
    }

    /// Runs until the channel is closed.
    pub(super) fn run(mut self, ended: &Receiver<()>) {
        while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(ROUND) {
            self.do_round();
        }
    }

    /// Handles signals and policy changes in every round, and everything else once a second.
    fn do_round(&mut self) {
        self.rounds += 1;
        self.status = self.control.status.try_recv().ok().or(self.status.take());
        let second = self.rounds.is_multiple_of(ROUNDS_PER_SECOND);
        self.check_policy();
        if second {
            self.check_interfaces();
            let conversations = self.rounds.is_multiple_of(ROUNDS_PER_SECOND * SECONDS_PER_FULL_STATUS);
            self.pending.push(ControlCommand::Status { conversations });
        }
        self.send_commands();
        if self.must_restart && self.pending.is_empty() {
            self.stop.stop();
        }
        if self.stop.is_stopped() && !std::mem::replace(&mut self.stop_is_shown, true) {
            self.health.show_stopping();
        }
    }

    /// Passes on a request to reload the policy, and handles the latest change of its file.
    fn check_policy(&mut self) {
        let Some(file) = &self.file else { return };
        if self.hangup.swap(false, Ordering::Relaxed) {
            file.request();
        }
        let Some(reload) = file.take_change() else { return };
        let (time, about) = (now(), file.name());
        let (rule, message, measured) = match reload {
            Reload::Changed(policy) => {
                (self.policy, self.policy_since, self.policy_rejected) = (policy, time, None);
                self.pending.push(ControlCommand::Policy(Arc::clone(&self.policy)));
                let message = format!("Policy {} is in force: {about} was read again.", self.policy_name());
                (SensorRule::PolicyChanged, message, Vec::new())
            }
            Reload::Restored => {
                self.policy_rejected = None;
                let message = format!("Policy {} stays in force: {about} says so again.", self.policy_name());
                (SensorRule::PolicyRestored, message, Vec::new())
            }
            Reload::Rejected(reason) => {
                self.policy_rejected = Some(Rejection { time, reason: status_text(&reason) });
                let (message, measured) = alert_text(reason);
                (SensorRule::PolicyRejected, message, measured)
            }
        };
        self.raise(SensorAlert { rule, about, time, message, measured });
    }

    /// Id and version of the policy in force.
    fn policy_name(&self) -> String {
        let Policy { id, version, .. } = &*self.policy;
        format!("{id} {}", if version.is_empty() { "(no version)" } else { version })
    }

    fn check_interfaces(&mut self) {
        let readings: Vec<(String, InterfaceReading)> =
            self.interfaces.iter().map(|(name, counters)| (name.clone(), counters.read())).collect();
        self.must_restart |= readings.iter().any(|(_, reading)| reading.state == InterfaceState::Replaced);
        let time = now();
        let mut alerts = self.alarms.check_interfaces(time, &readings);
        if let Some(status) = &mut self.status
            && let Some(followed) = status.followed.take()
        {
            alerts.extend(self.alarms.check_one_way(time, &readings, followed));
        }
        alerts.into_iter().for_each(|alert| self.raise(alert));
        let observation = Observation {
            now: time,
            interfaces: &readings,
            status: self.status.as_ref(),
            policy: &self.policy,
            policy_since: self.policy_since,
            policy_rejected: self.policy_rejected.as_ref(),
        };
        self.health.update(&observation);
    }

    /// Logs an alert about the sensor, and passes it to the pipeline.
    fn raise(&mut self, alert: SensorAlert) {
        tracing::warn!(rule = alert.rule.id(), "{}", alert.message);
        if self.pending.len() < MAX_PENDING {
            self.pending.push(ControlCommand::SensorAlert(alert));
        }
    }

    /// Sends the pending commands that the pipeline has room for, in their order. Keeps the others, except requests for a status.
    fn send_commands(&mut self) {
        let mut pending = std::mem::take(&mut self.pending).into_iter();
        for command in pending.by_ref() {
            if let Err(refused) = self.control.commands.try_send(command) {
                self.pending.push(refused.into_inner());
                break;
            }
        }
        // Drops unsent requests for a status: the next one follows within a second.
        self.pending.extend(pending.filter(|command| !matches!(command, ControlCommand::Status { .. })));
    }
}

/// Why a policy was rejected, for the status.
fn status_text(reason: &RejectionReason) -> String {
    match reason {
        RejectionReason::Mistakes { first, .. } => format!("{first}; `lockkeeper policy check` says all"),
        RejectionReason::Unreadable(reason) => format!("it cannot be read: {reason}"),
    }
}

/// Why a policy was rejected, as the message and the measured values of an alert.
fn alert_text(reason: RejectionReason) -> (String, Vec<(&'static str, u64)>) {
    match reason {
        RejectionReason::Mistakes { errors, first } => {
            let message = format!("The changed policy has {errors} mistakes, the one before stays in force: {first}");
            (message, vec![("mistakes", errors)])
        }
        RejectionReason::Unreadable(reason) => {
            (format!("The policy cannot be read, the one before stays in force: {reason}"), Vec::new())
        }
    }
}

/// The time between two rounds.
const ROUND: Duration = Duration::from_millis(200);
const ROUNDS_PER_SECOND: u64 = 5;

/// The time between two statuses that count every conversation.
const SECONDS_PER_FULL_STATUS: u64 = 10;

/// Commands that wait for the pipeline, at most. Further alerts are only logged.
const MAX_PENDING: usize = 256;
