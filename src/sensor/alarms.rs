//! Alerts about the sensor itself, from its counters: lost packets, traffic in one direction only, silence, and interfaces
//! that go away.

use crate::capture::live::{InterfaceReading, InterfaceState};
use crate::record::{SensorAlert, SensorRule};
use crate::worker::Followed;

/// Thresholds for alerts about the sensor itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Packets lost, in percent of those that arrived within ten seconds.
    pub loss: f64,
    /// How long an interface may be without a packet, nanoseconds; `None` is no limit.
    pub silence: Option<i64>,
    /// Conversations with packets from one end only, in percent of those with payload.
    pub one_way: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { loss: 0.1, silence: Some(60 * SECOND), one_way: 50.0 }
    }
}

/// Compares the counters of the interfaces with the thresholds. An alert is raised once for each occurrence.
pub(super) struct Alarms {
    limits: Limits,
    interfaces: Vec<Interface>,
}

/// The earlier state of one interface.
#[derive(Clone)]
struct Interface {
    state: InterfaceState,
    /// The start of the current window, and the counters then.
    window: (i64, InterfaceReading),
    packets: u64,
    /// When its latest packet arrived, or the sensor started.
    active_at: i64,
    is_silent: bool,
}

impl Alarms {
    /// Starts with this number of interfaces, all of which are listening.
    pub(super) fn new(limits: &Limits, interfaces: usize, now: i64) -> Self {
        let state = InterfaceState::Listening;
        let interface = Interface {
            state,
            window: (now, InterfaceReading::default()),
            packets: 0,
            active_at: now,
            is_silent: false,
        };
        Self { limits: *limits, interfaces: vec![interface; interfaces] }
    }

    /// Compares the interfaces with the thresholds.
    pub(super) fn check_interfaces(&mut self, now: i64, readings: &[(String, InterfaceReading)]) -> Vec<SensorAlert> {
        let mut found = Vec::new();
        let limits = self.limits;
        for (interface, (name, reading)) in self.interfaces.iter_mut().zip(readings) {
            let own =
                |(rule, message, measured)| SensorAlert { rule, about: name.clone(), time: now, message, measured };
            let seen = [
                interface.check_state(name, reading),
                interface.check_loss(now, name, reading, limits.loss),
                interface.check_silence(now, name, reading, limits.silence),
            ];
            found.extend(seen.into_iter().flatten().map(own));
        }
        found
    }

    /// Compares the share of conversations with packets from one end only with its threshold. All interfaces are taken
    /// together, because a tap may deliver each direction on an interface of its own.
    pub(super) fn check_one_way(
        &self,
        now: i64,
        readings: &[(String, InterfaceReading)],
        followed: Followed,
    ) -> Option<SensorAlert> {
        let Followed { spoken, one_way, .. } = followed;
        let share = percent(one_way, spoken);
        if spoken < MIN_CONVERSATIONS || share <= self.limits.one_way {
            return None;
        }
        let names: Vec<&str> = readings.iter().map(|(name, _)| name.as_str()).collect();
        let message = format!(
            "Only one end of {one_way} of {spoken} conversations is heard: the SPAN port mirrors one direction, or misses \
             a VLAN or a path."
        );
        let measured = vec![("conversations", spoken), ("one_way", one_way)];
        let rule = SensorRule::CaptureOneWay;
        Some(SensorAlert { rule, about: names.join(", "), time: now, message, measured })
    }
}

/// The rule, the message and the measured values of an alert.
type Finding = Option<(SensorRule, String, Vec<(&'static str, u64)>)>;

impl Interface {
    fn check_state(&mut self, name: &str, reading: &InterfaceReading) -> Finding {
        let before = std::mem::replace(&mut self.state, reading.state);
        let message = match (before, reading.state) {
            (before, after) if before == after => return None,
            (_, InterfaceState::Listening) => {
                return Some((SensorRule::InterfaceBack, format!("{name} is back and listened to again."), Vec::new()));
            }
            (_, InterfaceState::Replaced) => {
                let message = format!(
                    "{name} is back as another interface, for which the right to listen is needed again: the sensor ends, \
                     to be started again."
                );
                return Some((SensorRule::InterfaceBack, message, Vec::new()));
            }
            (_, InterfaceState::Down) => {
                format!("{name} was switched off: nothing is heard on it until it is on again.")
            }
            (_, InterfaceState::Gone) => format!("{name} has gone away: it is waited for."),
        };
        Some((SensorRule::InterfaceGone, message, Vec::new()))
    }

    /// Compares the losses with the threshold at the end of each window.
    fn check_loss(&mut self, now: i64, name: &str, reading: &InterfaceReading, limit: f64) -> Finding {
        let (begun, before) = self.window;
        if now.saturating_sub(begun) < WINDOW {
            return None;
        }
        self.window = (now, *reading);
        let kernel = reading.kernel_drops.saturating_sub(before.kernel_drops);
        let interface = reading.interface_drops.saturating_sub(before.interface_drops);
        let channel = reading.channel_drops.saturating_sub(before.channel_drops);
        let lost = kernel + interface + channel;
        let arrived = reading.packets.saturating_sub(before.packets) + kernel + interface;
        let share = percent(lost, arrived);
        if lost == 0 || share <= limit {
            return None;
        }
        let seconds = now.saturating_sub(begun) / SECOND;
        let message = format!(
            "{name} lost {lost} of {arrived} packets in {seconds} s ({share:.2} %): what they carried was not judged."
        );
        let measured = vec![
            ("packets", arrived),
            ("kernel_drops", kernel),
            ("interface_drops", interface),
            ("channel_drops", channel),
        ];
        Some((SensorRule::CaptureLoss, message, measured))
    }

    fn check_silence(&mut self, now: i64, name: &str, reading: &InterfaceReading, limit: Option<i64>) -> Finding {
        if std::mem::replace(&mut self.packets, reading.packets) != reading.packets {
            (self.active_at, self.is_silent) = (now, false);
        }
        let silent = now.saturating_sub(self.active_at);
        if self.is_silent || limit.is_none_or(|limit| silent < limit) {
            return None;
        }
        self.is_silent = true;
        let seconds = silent / SECOND;
        let message = format!("{name} has heard nothing for {seconds} s: look at the SPAN port and its cable.");
        Some((SensorRule::CaptureSilent, message, vec![("seconds", seconds.unsigned_abs())]))
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}

/// The time over which the share of lost packets is computed, nanoseconds.
const WINDOW: i64 = 10 * SECOND;

/// The least number of conversations for which a share is meaningful.
const MIN_CONVERSATIONS: u64 = 4;

const SECOND: i64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(packets: u64) -> InterfaceReading {
        InterfaceReading { packets, ..InterfaceReading::default() }
    }

    /// The rules of the alerts raised at each of these seconds.
    fn raised(limits: Limits, steps: &[(i64, InterfaceReading)]) -> Vec<(i64, &'static str)> {
        let mut alarms = Alarms::new(&limits, 1, 0);
        let look = |(second, reading): &(i64, InterfaceReading)| {
            let found = alarms.check_interfaces(second * SECOND, &[("eth1".to_owned(), *reading)]);
            found.into_iter().map(|alert| (*second, alert.rule.id())).collect::<Vec<_>>()
        };
        steps.iter().flat_map(look).collect()
    }

    #[test]
    fn a_loss_above_the_threshold_raises_an_alert_wherever_packets_were_lost() {
        let limits = Limits { loss: 1.0, silence: None, ..Limits::default() };
        let lossy = |kernel_drops, interface_drops, channel_drops| {
            let after = InterfaceReading { kernel_drops, interface_drops, channel_drops, ..reading(1000) };
            raised(limits, &[(0, reading(0)), (5, after), (10, after), (20, after)])
        };
        assert_eq!(lossy(5, 0, 0), [], "half a percent");
        assert_eq!(lossy(20, 0, 0), [(10, "own.capture-loss")]);
        assert_eq!(lossy(0, 20, 0), [(10, "own.capture-loss")]);
        assert_eq!(lossy(0, 0, 20), [(10, "own.capture-loss")]);
    }

    #[test]
    fn any_loss_raises_an_alert_if_the_threshold_is_zero() {
        let limits = Limits { loss: 0.0, silence: None, ..Limits::default() };
        let after = InterfaceReading { kernel_drops: 1, ..reading(1_000_000) };
        assert_eq!(raised(limits, &[(10, after)]), [(10, "own.capture-loss")], "before the first check");
        assert_eq!(raised(limits, &[(0, reading(0)), (10, after)]), [(10, "own.capture-loss")]);
        assert_eq!(raised(limits, &[(0, reading(0)), (10, reading(10))]), []);
    }

    #[test]
    fn a_silent_interface_raises_one_alert_until_a_packet_arrives() {
        let limits = Limits { silence: Some(60 * SECOND), ..Limits::default() };
        let steps = [(0, 0), (59, 0), (60, 0), (90, 0), (91, 1), (150, 1), (151, 1), (200, 1)];
        let steps = steps.map(|(second, packets)| (second, reading(packets)));
        assert_eq!(raised(limits, &steps), [(60, "own.capture-silent"), (151, "own.capture-silent")]);
        assert_eq!(raised(Limits { silence: None, ..limits }, &steps), []);
    }

    #[test]
    fn an_interface_raises_an_alert_when_it_goes_and_when_it_comes_back() {
        let in_state = |state| InterfaceReading { state, ..reading(1) };
        let steps = [
            (1, in_state(InterfaceState::Listening)),
            (2, in_state(InterfaceState::Gone)),
            (3, in_state(InterfaceState::Gone)),
            (4, in_state(InterfaceState::Listening)),
            (5, in_state(InterfaceState::Down)),
            (6, in_state(InterfaceState::Replaced)),
        ];
        let [gone, back] = ["own.interface-gone", "own.interface-back"];
        let expected = [(2, gone), (4, back), (5, gone), (6, back)];
        assert_eq!(raised(Limits { silence: None, ..Limits::default() }, &steps), expected);
    }

    #[test]
    fn many_conversations_from_one_end_only_raise_an_alert() {
        let alarms = Alarms::new(&Limits::default(), 1, 0);
        let readings = [("eth1".to_owned(), reading(1)), ("eth2".to_owned(), reading(1))];
        let follow = |spoken, one_way| alarms.check_one_way(0, &readings, Followed { flows: 100, spoken, one_way });
        assert_eq!(follow(3, 3), None, "too few");
        assert_eq!(follow(10, 5), None);
        let own = follow(10, 6).expect("most are heard from one end");
        assert_eq!((own.rule, own.about.as_str()), (SensorRule::CaptureOneWay, "eth1, eth2"));
    }
}
