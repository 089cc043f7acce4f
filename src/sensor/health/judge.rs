//! The assessment of a snapshot: whether the sensor captures its traffic and its outputs work.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::board::Phase;
use super::snapshot::{Interface, Reason, Snapshot, State};
use crate::publish::sink::Sink;
use crate::record::unread::is_too_much;

/// Thresholds for a degraded sensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Share of the packets of the last minute that may be dropped, 0 to 1.
    pub loss: f64,
    /// How long an interface may be silent; `None` is no limit.
    pub silence: Option<Duration>,
    /// Percent of the packets of the last minute that may be unreadable.
    pub unread: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { loss: 0.001, silence: Some(Duration::from_secs(60)), unread: 1.0 }
    }
}

/// Assesses snapshots; remembers the counters of the last minute.
#[derive(Debug)]
pub(super) struct Judge {
    limits: Limits,
    /// The counters at each assessment of the last [`RECENT`] seconds.
    past: VecDeque<Moment>,
    /// The latest report of the pipeline: seconds since the start, and the number of reports.
    pulse: (u64, u64),
}

/// The counters that are compared with those of a minute before.
#[derive(Clone, Debug, Default)]
struct Moment {
    uptime: u64,
    arrived: u64,
    lost: u64,
    judged: u64,
    unread: u64,
    /// By sink.
    undelivered: BTreeMap<&'static str, u64>,
}

impl Judge {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, past: VecDeque::new(), pulse: (0, 0) }
    }

    /// Whether the pipeline has reported within the last [`STALLED`] seconds.
    pub(super) fn is_alive(&self, snapshot: &Snapshot) -> bool {
        snapshot.uptime_seconds.saturating_sub(self.pulse.0) < STALLED
    }

    /// The state, and the reasons if it is degraded.
    pub(super) fn judge(&mut self, phase: Phase, snapshot: &Snapshot) -> (State, Vec<Reason>) {
        if phase != Phase::Running || snapshot.traffic.pulses != self.pulse.1 {
            self.pulse = (snapshot.uptime_seconds, snapshot.traffic.pulses);
        }
        let now = Moment::of(snapshot);
        while self.past.front().is_some_and(|then| then.uptime + RECENT < now.uptime) {
            self.past.pop_front();
        }
        // At the first assessment, everything since the start counts as recent.
        let then = self.past.front().cloned().unwrap_or_default();
        let mut reasons = Vec::new();
        self.check_interfaces(snapshot, &mut reasons);
        self.check_capture(&now, &then, &mut reasons);
        check_sinks(snapshot, &now, &then, &mut reasons);
        self.past.push_back(now);
        if let Some(rejected) = &snapshot.policy.rejected {
            let message = format!("the policy that should be in force is not: {}", rejected.reason);
            reasons.push(reason("policy.rejected", message));
        }
        reasons.extend(snapshot.problems.iter().cloned());
        if !self.is_alive(snapshot) {
            let silent = snapshot.uptime_seconds.saturating_sub(self.pulse.0);
            reasons
                .push(reason("pipeline.stalled", format!("no packet was judged for {silent} s: restart the sensor")));
        }
        let state = match phase {
            Phase::Starting => State::Starting,
            Phase::Stopping => State::Stopping,
            Phase::Running if reasons.is_empty() => State::Ready,
            Phase::Running => State::Degraded,
        };
        (state, reasons)
    }

    fn check_interfaces(&self, snapshot: &Snapshot, reasons: &mut Vec<Reason>) {
        for Interface { name, state, silent_seconds, .. } in &snapshot.interfaces {
            let silent = silent_seconds.unwrap_or(snapshot.uptime_seconds);
            if state != LISTENING {
                let message = format!("{name} is {state}: `lockkeeper interfaces` says what can be done");
                reasons.push(reason("interface.down", message));
            } else if self.limits.silence.is_some_and(|limit| silent >= limit.as_secs()) {
                let message = format!("{name} has been silent for {silent} s: check the mirror port and its cable");
                reasons.push(reason("interface.silent", message));
            }
        }
    }

    fn check_capture(&self, now: &Moment, then: &Moment, reasons: &mut Vec<Reason>) {
        let lost = now.lost.saturating_sub(then.lost);
        let share = lost as f64 / now.arrived.saturating_sub(then.arrived).max(1) as f64;
        if lost > 0 && share > self.limits.loss {
            let message = format!("{lost} packets ({:.2} %) of the last minute were lost unseen", share * 100.0);
            reasons.push(reason("capture.loss", message));
        }
        let (unread, judged) = (now.unread.saturating_sub(then.unread), now.judged.saturating_sub(then.judged));
        if is_too_much(unread, judged, self.limits.unread) {
            let message = format!("{unread} of {judged} packets of the last minute could not be read: see own.unread");
            reasons.push(reason("capture.unread", message));
        }
    }
}

impl Moment {
    fn of(snapshot: &Snapshot) -> Self {
        let lost = snapshot.interfaces.iter().map(Interface::lost).sum();
        let read: u64 = snapshot.interfaces.iter().map(|interface| interface.packets).sum();
        let undelivered =
            snapshot.sinks.iter().map(|(sink, health)| (sink.name, health.dropped + health.refused)).collect();
        let unread = snapshot.unread.values().sum();
        let (uptime, judged) = (snapshot.uptime_seconds, snapshot.traffic.packets);
        Self { uptime, arrived: read + lost, lost, judged, unread, undelivered }
    }
}

fn check_sinks(snapshot: &Snapshot, now: &Moment, then: &Moment, reasons: &mut Vec<Reason>) {
    for (Sink { name, title, .. }, health) in snapshot.sinks.iter() {
        if !health.connected {
            let why = health.reason.as_deref().unwrap_or("no answer");
            reasons.push(reason(&format!("{name}.disconnected"), format!("the {title} cannot be reached: {why}")));
        } else if let Some(why) = &health.stalled {
            reasons.push(reason(&format!("{name}.stalled"), format!("the {title} takes no alert records: {why}")));
        }
        let [now, then] = [now, then].map(|moment| moment.undelivered.get(name).copied().unwrap_or(0));
        let undelivered = now.saturating_sub(then);
        if undelivered > 0 {
            let message =
                format!("{undelivered} alert records of the last minute were dropped or refused by the {title}");
            reasons.push(reason(&format!("{name}.undelivered"), message));
        }
    }
}

fn reason(what: &str, message: String) -> Reason {
    Reason { what: what.to_owned(), message }
}

/// The state of an interface that works.
const LISTENING: &str = "listening";
/// How long a loss makes the sensor degraded, seconds.
const RECENT: u64 = 60;
/// Seconds without a report after which the pipeline is stuck. It reports about once a second.
const STALLED: u64 = 10;

#[cfg(test)]
mod tests {
    use super::super::snapshot::Rejection;
    use super::super::testing::snapshot;
    use super::*;
    use crate::publish::SINKS;
    use crate::publish::sink::SinkHealth;

    /// Changes the health of the first sink.
    fn change_sink(now: &mut Snapshot, change: impl FnOnce(&mut SinkHealth)) {
        let mut health = now.sinks.get(SINKS[0]).cloned().expect("a sink");
        change(&mut health);
        now.sinks.insert(SINKS[0], health);
    }

    /// State and reasons after this change of a sensor without problems, which has run for an hour.
    fn wrong(change: impl FnOnce(&mut Snapshot)) -> (State, Vec<String>) {
        let mut judge = Judge::new(Limits { loss: 0.0, ..Limits::default() });
        let mut now = snapshot();
        assert_eq!(judge.judge(Phase::Running, &now), (State::Ready, vec![]));
        now.uptime_seconds += 1;
        now.traffic.pulses += 1;
        change(&mut now);
        let (state, reasons) = judge.judge(Phase::Running, &now);
        (state, reasons.into_iter().map(|reason| reason.what).collect())
    }

    #[test]
    fn each_problem_makes_the_sensor_degraded_with_its_reason() {
        type Change = fn(&mut Snapshot);
        let cases: [(&str, Change); 10] = [
            ("evidence.failed", |now| now.problems.push(reason("evidence.failed", "evidence: no space".to_owned()))),
            ("interface.down", |now| now.interfaces[0].state = "down".to_owned()),
            ("interface.silent", |now| now.interfaces[0].silent_seconds = Some(301)),
            ("interface.silent", |now| now.interfaces[0].silent_seconds = None),
            ("capture.loss", |now| now.interfaces[0].kernel_drops += 1),
            ("capture.unread", |now| {
                now.traffic.packets += 100;
                *now.unread.entry("ethernet/0x88e5".to_owned()).or_default() += 10;
            }),
            ("mqtt.disconnected", |now| change_sink(now, |mqtt| *mqtt = SinkHealth::default())),
            ("mqtt.stalled", |now| {
                change_sink(now, |mqtt| mqtt.stalled = Some("refused for now: quota exceeded".to_owned()));
            }),
            ("mqtt.undelivered", |now| change_sink(now, |mqtt| mqtt.dropped += 1)),
            ("policy.rejected", |now| {
                now.policy.rejected = Some(Rejection { time: now.time, reason: "plant.toml:3:1".to_owned() });
            }),
        ];
        for (expected, change) in cases {
            assert_eq!(wrong(change), (State::Degraded, vec![expected.to_owned()]), "{expected}");
        }
    }

    #[test]
    fn a_loss_no_longer_counts_after_a_minute() {
        let mut judge = Judge::new(Limits::default());
        let mut now = snapshot();
        judge.judge(Phase::Running, &now);
        now.interfaces[0].channel_drops += 5;
        let mut states = Vec::new();
        for _ in 0..70 {
            now.uptime_seconds += 1;
            now.traffic.pulses += 1;
            states.push(judge.judge(Phase::Running, &now).0);
        }
        let degraded = states.iter().filter(|state| **state == State::Degraded).count();
        assert_eq!(degraded, RECENT as usize);
        assert_eq!(states.last(), Some(&State::Ready));
    }

    #[test]
    fn a_loss_within_the_limit_does_not_make_the_sensor_degraded() {
        let mut judge = Judge::new(Limits { loss: 0.01, ..Limits::default() });
        let mut now = snapshot();
        judge.judge(Phase::Running, &now);
        now.interfaces[0].packets += 999;
        now.interfaces[0].kernel_drops += 1;
        assert_eq!(judge.judge(Phase::Running, &now).0, State::Ready);
        now.interfaces[0].kernel_drops += 100;
        assert_eq!(judge.judge(Phase::Running, &now).0, State::Degraded);
    }

    #[test]
    fn a_pipeline_without_reports_is_stuck_once_the_sensor_runs() {
        let mut judge = Judge::new(Limits::default());
        let mut now = snapshot();
        assert_eq!(judge.judge(Phase::Starting, &now), (State::Starting, vec![]));
        now.uptime_seconds += STALLED;
        assert_eq!(judge.judge(Phase::Starting, &now).0, State::Starting);
        assert!(judge.is_alive(&now));
        now.uptime_seconds += STALLED;
        let (state, reasons) = judge.judge(Phase::Running, &now);
        assert_eq!((state, reasons[0].what.as_str()), (State::Degraded, "pipeline.stalled"));
        assert!(!judge.is_alive(&now));
        now.traffic.pulses += 1;
        assert_eq!(judge.judge(Phase::Running, &now).0, State::Ready);
    }
}
