//! Topic names that every broker and bridge accepts.

use crate::record::{Kind, Severity};

/// The topics of one sensor: `<prefix>/<site>/<sensor>/...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Topics {
    base: String,
}

impl Topics {
    /// Each level of the prefix, the site and the sensor becomes one level of the topic.
    pub(super) fn new(prefix: &[String], site: &str, sensor: &str) -> Self {
        let levels = prefix.iter().map(String::as_str).chain([site, sensor]).map(topic_level);
        Self { base: levels.collect::<Vec<_>>().join("/") }
    }

    /// The topic of an alert.
    pub(super) fn alert(&self, kind: Kind, severity: Severity) -> String {
        format!("{}/{}/{}", self.base, kind.name(), severity.name())
    }

    /// The retained topic with the sensor's state.
    pub(super) fn status(&self) -> String {
        format!("{}/status", self.base)
    }

    /// The topic with the sensor's counters.
    pub(super) fn metrics(&self) -> String {
        format!("{}/metrics", self.base)
    }
}

/// A name as one level of a topic: letters, digits, `_` and `-` are kept; any other character becomes `_`. Separators and
/// wildcards would change the topic, and bridges to other systems refuse dots and spaces.
pub(super) fn topic_level(text: &str) -> String {
    let passes = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    let level: String = text.chars().map(|letter| if passes(letter) { letter } else { '_' }).collect();
    if level.is_empty() { "_".to_owned() } else { level }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_have_prefix_site_and_sensor() {
        let topics = Topics::new(&["lockkeeper".to_owned()], "lock-east", "lock-east-1");
        let alert = topics.alert(Kind::Violation, Severity::High);
        assert_eq!(alert, "lockkeeper/lock-east/lock-east-1/violation/high");
        assert_eq!(topics.status(), "lockkeeper/lock-east/lock-east-1/status");
        assert_eq!(topics.metrics(), "lockkeeper/lock-east/lock-east-1/metrics");
    }

    #[test]
    fn a_name_is_always_exactly_one_level_without_wildcards() {
        let topics = Topics::new(&["a".to_owned()], "lock/east +#", "");
        assert_eq!(topics.status(), "a/lock_east___/_/status");
        assert_eq!(topic_level("schl\u{fc}ssel.1"), "schl_ssel_1");
    }
}
