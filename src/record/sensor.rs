//! Alerts of the sensor about itself (kind `sensor`), under the same volume rule as those about the network.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::alert::{Head, add_requirements};
use super::correlate::Settings;
use super::rules::SensorRule;
use super::{AlertId, Kind, Rendered, Severity, json};
use crate::policy::Policy;
use crate::policy::rules::Circumstance;

impl SensorRule {
    /// The severity of its alerts.
    pub fn severity(self) -> Severity {
        self.row().weight(|circumstance| circumstance == Circumstance::Always).severity(None)
    }

    /// Whether each occurrence is an alert of its own, instead of a repetition of the one before.
    const fn is_event(self) -> bool {
        matches!(self, Self::PolicyChanged | Self::PolicyRejected | Self::PolicyRestored)
    }
}

/// One occurrence of a condition of the sensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SensorAlert {
    /// The rule that it falls under.
    pub rule: SensorRule,
    /// The part of the sensor that it is about: an interface, a file.
    pub about: String,
    /// When it was noticed, nanoseconds since 1970.
    pub time: i64,
    /// The sentence for people.
    pub message: String,
    /// Measured values by name.
    pub measured: Vec<(&'static str, u64)>,
}

/// The open alerts about the sensor.
#[derive(Debug, Default)]
pub(super) struct SensorAlerts {
    open: BTreeMap<(SensorRule, String), OpenSensorAlert>,
    /// The earliest packet clock at which a further revision of one of them is due.
    due: Option<i64>,
}

#[derive(Debug)]
struct OpenSensorAlert {
    latest: SensorAlert,
    /// Packet clock of the latest occurrence.
    clock: i64,
    id: AlertId,
    first_seen: i64,
    count: u64,
    revision: u32,
    /// The count of the latest revision, and the packet clock of its publication.
    published: (u64, i64),
}

/// What writing an alert of the sensor needs.
pub(super) struct SensorAlertContext<'a> {
    pub(super) policy: &'a Policy,
    pub(super) settings: &'a Settings,
    pub(super) clock: i64,
}

impl SensorAlerts {
    /// Takes one occurrence. Returns whether it opens a new alert.
    pub(super) fn take(
        &mut self,
        alert: SensorAlert,
        context: &SensorAlertContext<'_>,
        out: &mut dyn FnMut(Rendered),
    ) -> bool {
        if alert.rule.is_event() {
            OpenSensorAlert::new(alert, context.clock).publish(context, out);
            return true;
        }
        let key = (alert.rule, alert.about.clone());
        self.open.retain(|_, open| context.clock.saturating_sub(open.clock) < context.settings.close_after);
        let is_new = !self.open.contains_key(&key);
        let open = self.open.entry(key).or_insert_with(|| OpenSensorAlert::new(alert.clone(), context.clock));
        if is_new {
            open.publish(context, out);
        } else {
            open.count += 1;
            (open.latest, open.clock) = (alert, context.clock);
            let due = open.due(context.settings);
            self.due = Some(self.due.map_or(due, |other| other.min(due)));
            self.advance(context, out);
        }
        is_new
    }

    /// Publishes a further revision of each alert that changed and was not published for an interval.
    pub(super) fn advance(&mut self, context: &SensorAlertContext<'_>, out: &mut dyn FnMut(Rendered)) {
        if self.due.is_some_and(|due| due <= context.clock) {
            self.publish_due(context, out);
        }
    }

    fn publish_due(&mut self, context: &SensorAlertContext<'_>, out: &mut dyn FnMut(Rendered)) {
        self.due = None;
        for open in self.open.values_mut().filter(|open| open.is_dirty()) {
            let due = open.due(context.settings);
            if due <= context.clock {
                open.publish(context, out);
            } else {
                self.due = Some(self.due.map_or(due, |other| other.min(due)));
            }
        }
    }

    /// Ends the run: publishes the last revision of every alert that changed since its latest one.
    pub(super) fn finish(&mut self, context: &SensorAlertContext<'_>, out: &mut dyn FnMut(Rendered)) {
        self.open.values_mut().filter(|open| open.is_dirty()).for_each(|open| open.publish(context, out));
    }
}

impl OpenSensorAlert {
    fn new(alert: SensorAlert, clock: i64) -> Self {
        let (id, first_seen) = (id(&alert), alert.time);
        Self { latest: alert, clock, id, first_seen, count: 1, revision: 0, published: (0, i64::MIN) }
    }

    fn is_dirty(&self) -> bool {
        self.count != self.published.0
    }

    /// When a further revision is due, packet clock.
    const fn due(&self, settings: &Settings) -> i64 {
        self.published.1.saturating_add(settings.interval)
    }

    fn publish(&mut self, context: &SensorAlertContext<'_>, out: &mut dyn FnMut(Rendered)) {
        self.revision += 1;
        self.published = (self.count, context.clock);
        let mut json = Vec::with_capacity(RECORD_BYTES);
        self.write(context, &mut json);
        let (rule, severity) = (self.latest.rule.id(), self.latest.rule.severity());
        let latency_start = (self.revision == 1).then_some(self.latest.time);
        out(Rendered { kind: Kind::Sensor, rule, severity, id: self.id, latency_start, json, evidence_request: None });
    }

    /// Appends the record as one JSON object, with the members of every alert in their order.
    fn write(&self, context: &SensorAlertContext<'_>, out: &mut Vec<u8>) {
        let SensorAlert { rule, about, time, message, measured } = &self.latest;
        let head = Head {
            id: self.id,
            kind: Kind::Sensor,
            rule: rule.id(),
            severity: rule.severity(),
            time: self.first_seen,
            first_seen: self.first_seen,
            last_seen: *time,
            count: self.count,
            revision: self.revision,
        };
        json::write_object(out, |object| {
            head.write(object, context.settings, context.policy);
            for name in ["client", "server", "conduit", "flow", "protocol", "operation", "outcome"] {
                object.add_null(name);
            }
            object.add_string("about", about);
            object.add_object("measured", |object| {
                measured.iter().for_each(|(name, value)| object.add_number(name, *value));
            });
            object.add_string("message", message);
            object.add_words("attack", &[]);
            add_requirements(object, &rule.row().requirements);
            object.add_null("evidence");
        });
    }
}

/// The id of an alert, made of its subject and its first occurrence.
fn id(alert: &SensorAlert) -> AlertId {
    let mut text = String::new();
    let written = write!(text, "{}\n{}\n{}\n{}", alert.rule.id(), alert.about, alert.time, alert.message);
    debug_assert!(written.is_ok(), "a String takes whatever is written to it");
    AlertId::digest(&text)
}

/// Room for a common record.
const RECORD_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::testing;

    const SECOND: i64 = 1_000_000_000;

    fn alert(rule: SensorRule, time: i64) -> SensorAlert {
        let measured = vec![("kernel_drops", 7)];
        SensorAlert { rule, about: "eth1".to_owned(), time, message: "eth1 lost 7 packets.".to_owned(), measured }
    }

    /// Takes an occurrence at each of these seconds; returns count and revision of each record.
    fn published(rule: SensorRule, seconds: &[i64]) -> Vec<(u64, u64)> {
        let (policy, settings) = (testing::policy(), testing::settings());
        let mut alerts = SensorAlerts::default();
        let mut out = Vec::new();
        for second in seconds {
            let context = SensorAlertContext { policy: &policy, settings: &settings, clock: second * SECOND };
            alerts.take(alert(rule, second * SECOND), &context, &mut |rendered| out.push(rendered));
        }
        let context = SensorAlertContext { policy: &policy, settings: &settings, clock: i64::MAX };
        alerts.finish(&context, &mut |rendered| out.push(rendered));
        let json = out.iter().map(|rendered| serde_json::from_slice(&rendered.json).expect("JSON"));
        json.map(|json: serde_json::Value| {
            (json["count"].as_u64().unwrap_or(0), json["revision"].as_u64().unwrap_or(0))
        })
        .collect()
    }

    #[test]
    fn a_record_has_the_members_of_every_alert() {
        let (policy, settings) = (testing::policy(), testing::settings());
        let mut json = Vec::new();
        let context = SensorAlertContext { policy: &policy, settings: &settings, clock: 0 };
        OpenSensorAlert::new(alert(SensorRule::CaptureLoss, 0), 0).write(&context, &mut json);
        let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        assert_eq!((&json["kind"], &json["rule"]), (&"sensor".into(), &"own.capture-loss".into()));
        assert_eq!((&json["about"], &json["measured"]["kernel_drops"]), (&"eth1".into(), &7.into()));
        assert_eq!((&json["sensor"], &json["policy"]["id"]), (&"lock-east-1".into(), &"P".into()));
        assert!(json["client"].is_null() && json["outcome"].is_null() && json["evidence"].is_null());
    }

    #[test]
    fn the_same_condition_is_published_at_once_and_then_at_most_once_per_interval() {
        assert_eq!(published(SensorRule::CaptureLoss, &[0, 1, 2, 61, 62]), [(1, 1), (4, 2), (5, 3)]);
    }

    #[test]
    fn a_condition_that_returns_after_the_alert_has_closed_is_another_alert() {
        assert_eq!(published(SensorRule::CaptureSilent, &[0, 4000]), [(1, 1), (1, 1)]);
    }

    #[test]
    fn every_change_of_policy_is_an_alert_of_its_own() {
        assert_eq!(published(SensorRule::PolicyChanged, &[0, 1, 2]), [(1, 1); 3]);
    }
}
