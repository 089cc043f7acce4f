//! The thread that looks after a running sensor.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use signal_hook::consts::SIGHUP;
use signal_hook::flag;

use super::alarms::Alarms;
use super::policy_file::{PolicyWatch, Rejected, Reload, can_be_read_again};
use super::{Look, Rejection, Settings, Shown};
use crate::capture::live::{InterfaceCounters, InterfaceReading, InterfaceState, Stop};
use crate::clock::now;
use crate::pipeline::{ControlCommand, ControlHandle, PipelineStatus};
use crate::policy::Policy;
use crate::record::{SensorAlert, SensorRule};

/// Looks after a sensor.
pub(super) struct Keeper {
    control: ControlHandle,
    interfaces: Vec<(String, Arc<InterfaceCounters>)>,
    alarms: Alarms,
    policy: Arc<Policy>,
    policy_since: i64,
    policy_rejected: Option<Rejection>,
    file: Option<PolicyWatch>,
    /// Somebody asks to read the policy again.
    hangup: Arc<AtomicBool>,
    stop: Stop,
    /// An interface can only be heard by a sensor that is started again.
    must_end: bool,
    shown: Shown,
    status: Option<PipelineStatus>,
    /// Orders that the pipeline had no room for.
    waiting: Vec<ControlCommand>,
    rounds: u64,
    told_of_stop: bool,
}

impl Keeper {
    pub(super) fn new(
        control: ControlHandle,
        interfaces: Vec<(String, Arc<InterfaceCounters>)>,
        settings: &Settings,
        policy: Arc<Policy>,
        stop: Stop,
        shown: Shown,
    ) -> io::Result<Self> {
        let hangup = Arc::new(AtomicBool::new(false));
        flag::register(SIGHUP, Arc::clone(&hangup))?;
        let begun = now();
        let file = settings.policy.as_deref().filter(|path| can_be_read_again(path));
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
            must_end: false,
            shown,
            status: None,
            waiting: Vec::new(),
            rounds: 0,
            told_of_stop: false,
        })
    }

    /// Looks after the sensor until it has ended.
    pub(super) fn run(mut self, ended: &Receiver<()>) {
        while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(ROUND) {
            self.round();
        }
    }

    /// Signals are answered every round, the rest is looked at once a second.
    fn round(&mut self) {
        self.rounds += 1;
        self.status = self.control.status.try_recv().ok().or(self.status.take());
        let second = self.rounds.is_multiple_of(ROUNDS_PER_SECOND);
        self.look_at_policy();
        if second {
            self.look_at_interfaces();
            let conversations = self.rounds.is_multiple_of(ROUNDS_PER_SECOND * SECONDS_PER_DEEP_CENSUS);
            self.waiting.push(ControlCommand::Status { conversations });
        }
        self.give_orders();
        if self.must_end && self.waiting.is_empty() {
            self.stop.stop();
        }
        if self.stop.is_stopped() && !std::mem::replace(&mut self.told_of_stop, true) {
            self.shown.stopping();
        }
    }

    /// Passes on that somebody asks for the policy, and takes what has come of looking at its file.
    fn look_at_policy(&mut self) {
        let Some(file) = &self.file else { return };
        if self.hangup.swap(false, Ordering::Relaxed) {
            file.request();
        }
        let Some(reload) = file.news() else { return };
        let (time, about) = (now(), file.name());
        let (rule, message, measured) = match reload {
            Reload::Changed(policy) => {
                (self.policy, self.policy_since, self.policy_rejected) = (policy, time, None);
                self.waiting.push(ControlCommand::Policy(Arc::clone(&self.policy)));
                let message = format!("Policy {} is in force: {about} was read again.", self.policy_name());
                (SensorRule::PolicyChanged, message, Vec::new())
            }
            Reload::Restored => {
                self.policy_rejected = None;
                let message = format!("Policy {} stays in force: {about} says so again.", self.policy_name());
                (SensorRule::PolicyRestored, message, Vec::new())
            }
            Reload::Rejected(rejected) => {
                self.policy_rejected = Some(Rejection { time, reason: reason(&rejected) });
                let (message, measured) = told(rejected);
                (SensorRule::PolicyRejected, message, measured)
            }
        };
        self.tell(SensorAlert { rule, about, time, message, measured });
    }

    /// Id and version of the policy that is in force.
    fn policy_name(&self) -> String {
        let Policy { id, version, .. } = &*self.policy;
        format!("{id} {}", if version.is_empty() { "(no version)" } else { version })
    }

    fn look_at_interfaces(&mut self) {
        let readings: Vec<(String, InterfaceReading)> =
            self.interfaces.iter().map(|(name, counters)| (name.clone(), counters.read())).collect();
        self.must_end |= readings.iter().any(|(_, reading)| reading.state == InterfaceState::Replaced);
        let time = now();
        let mut troubles = self.alarms.look(time, &readings);
        if let Some(status) = &mut self.status
            && let Some(followed) = status.followed.take()
        {
            troubles.extend(self.alarms.follow(time, &readings, followed));
        }
        troubles.into_iter().for_each(|trouble| self.tell(trouble));
        let look = Look {
            now: time,
            interfaces: &readings,
            status: self.status.as_ref(),
            policy: &self.policy,
            policy_since: self.policy_since,
            policy_rejected: self.policy_rejected.as_ref(),
        };
        self.shown.look(&look);
    }

    /// Tells something about the sensor: to whoever reads its log, and as an alert.
    fn tell(&mut self, own: SensorAlert) {
        tracing::warn!(rule = own.rule.id(), "{}", own.message);
        if self.waiting.len() < ORDERS_KEPT {
            self.waiting.push(ControlCommand::SensorAlert(own));
        }
    }

    /// Hands over what the pipeline has room for.
    fn give_orders(&mut self) {
        let mut waiting = std::mem::take(&mut self.waiting).into_iter();
        for command in waiting.by_ref() {
            if let Err(refused) = self.control.commands.try_send(command) {
                self.waiting.push(refused.into_inner());
                break;
            }
        }
        // A census that is late is asked for again.
        self.waiting.extend(waiting.filter(|command| !matches!(command, ControlCommand::Status { .. })));
    }
}

/// Why a policy was not taken, for the status.
fn reason(rejected: &Rejected) -> String {
    match rejected {
        Rejected::Mistakes { first, .. } => format!("{first}; `lockkeeper policy check` says all"),
        Rejected::Unreadable(reason) => format!("it cannot be read: {reason}"),
    }
}

/// The same for the alert, with what was measured.
fn told(rejected: Rejected) -> (String, Vec<(&'static str, u64)>) {
    match rejected {
        Rejected::Mistakes { errors, first } => {
            let message = format!("The changed policy has {errors} mistakes, the one before stays in force: {first}");
            (message, vec![("mistakes", errors)])
        }
        Rejected::Unreadable(reason) => {
            (format!("The policy cannot be read, the one before stays in force: {reason}"), Vec::new())
        }
    }
}

/// How long one round takes.
const ROUND: Duration = Duration::from_millis(200);
const ROUNDS_PER_SECOND: u64 = 5;

/// How often every conversation is looked at.
const SECONDS_PER_DEEP_CENSUS: u64 = 10;

/// Orders that wait for a pipeline that is stuck, at most.
const ORDERS_KEPT: usize = 256;
