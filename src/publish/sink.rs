//! What a sink is. One [`Sink`] row describes each; [`SINKS`](super::SINKS) lists the rows.
//!
//! ```text
//!  command line, configuration --> SinkOptions --configure--> SinkSetup --connect (replay) or start (sensor)--> Publisher
//!                                                                |                                                  |
//!                                                              Access --> confinement            SinkMonitor --> health report
//! ```
//!
//! The options of the command line, the table of the configuration, the members of the status file, the reasons for which
//! a sensor is degraded and the metrics all follow from the row.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{PublishError, Publisher};
use crate::metrics::LatencySummary;

/// One kind of receiver that alerts can be sent to.
#[derive(Debug)]
pub struct Sink {
    /// Its word for programs: the table of the configuration, the member of the status file, the prefix of its metrics and
    /// of its reasons, such as `mqtt.disconnected`.
    pub name: &'static str,
    /// The receiver, for messages: `MQTT broker`.
    pub title: &'static str,
    /// The receiver in one word, for the descriptions of metrics: `broker`.
    pub receiver: &'static str,
    /// The stage of the latencies that ends with the receiver's acknowledgement.
    pub stage: &'static str,
    /// The heading of its options in `--help`.
    pub heading: &'static str,
    /// The receiver's address, a text. The sink is in use if it is given.
    pub address: Setting,
    /// A complete line of the configuration that gives the address.
    pub example: &'static str,
    /// Everything else that can be set.
    pub settings: &'static [Setting],
    /// Checks the options. No connection is made yet.
    pub configure: Configure,
}

/// Makes a sink from its options.
pub type Configure = fn(&SinkOptions, &Origin<'_>) -> Result<Box<dyn SinkSetup>, PublishError>;

impl PartialEq for Sink {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

/// Something that can be set for a sink: a key in its table of the configuration, and possibly an option.
#[derive(Debug)]
pub struct Setting {
    /// The key.
    pub key: &'static str,
    /// Which values it takes.
    pub kind: SettingKind,
    /// The option of the command line, if there is one.
    pub option: Option<CommandOption>,
}

/// The values of a setting.
#[derive(Debug)]
pub enum SettingKind {
    /// A text.
    Text,
    /// The path of a file; in the configuration, relative to its folder.
    File,
    /// A whole number.
    Number {
        /// The value if none is given, if that does not depend on anything else.
        default: Option<u64>,
        /// The values that the configuration may give.
        range: RangeInclusive<u32>,
    },
}

/// An option of the command line.
#[derive(Debug)]
pub struct CommandOption {
    /// The long name, without its dashes.
    pub long: &'static str,
    /// The short name.
    pub short: Option<char>,
    /// What stands for the value in `--help`.
    pub value_name: &'static str,
    /// The help text.
    pub help: &'static str,
    /// The numbers that it accepts, where not every number will do.
    pub range: Option<RangeInclusive<u32>>,
}

/// The settings of one sink as given, on the command line or in the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct SinkOptions {
    /// The sink.
    pub sink: &'static Sink,
    /// The receiver's address.
    pub address: String,
    values: Vec<(&'static str, SettingValue)>,
}

/// The value of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingValue {
    /// A text.
    Text(String),
    /// The path of a file.
    File(PathBuf),
    /// A whole number.
    Number(u64),
}

impl SinkOptions {
    /// A sink of which only the address is given.
    pub const fn new(sink: &'static Sink, address: String) -> Self {
        Self { sink, address, values: Vec::new() }
    }

    /// Adds the value of a setting.
    pub fn set(&mut self, setting: &Setting, value: SettingValue) {
        self.values.push((setting.key, value));
    }

    /// Makes the paths of files relative to a folder.
    pub fn place_in(&mut self, folder: &Path) {
        for (_, value) in &mut self.values {
            if let SettingValue::File(path) = value {
                *path = folder.join(&path);
            }
        }
    }

    /// The text that was given for a setting.
    pub fn text(&self, setting: &Setting) -> Option<&str> {
        self.value(setting)
            .and_then(|value| if let SettingValue::Text(text) = value { Some(text.as_str()) } else { None })
    }

    /// The file that was given for a setting.
    pub fn file(&self, setting: &Setting) -> Option<&Path> {
        self.value(setting)
            .and_then(|value| if let SettingValue::File(path) = value { Some(path.as_path()) } else { None })
    }

    /// The number that was given for a setting, or its default.
    pub fn number(&self, setting: &Setting) -> Option<u64> {
        match (self.value(setting), &setting.kind) {
            (Some(SettingValue::Number(number)), _) => Some(*number),
            (_, SettingKind::Number { default, .. }) => *default,
            _ => None,
        }
    }

    fn value(&self, setting: &Setting) -> Option<&SettingValue> {
        self.values.iter().find(|(key, _)| *key == setting.key).map(|(_, value)| value)
    }

    /// Checks the options.
    pub fn configure(&self, origin: &Origin<'_>) -> Result<Box<dyn SinkSetup>, PublishError> {
        (self.sink.configure)(self, origin)
    }
}

/// The names under which a sensor publishes.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// Name of the site.
    pub site: &'a str,
    /// Name of the sensor.
    pub sensor: &'a str,
}

/// A sink whose options are sound and that is not open yet.
pub trait SinkSetup: fmt::Debug {
    /// What the sink opens while it runs.
    fn access(&self) -> Access;

    /// Opens the sink for a replay. Waits until the receiver answers; one that does not is an error.
    fn connect(self: Box<Self>) -> Result<Box<dyn Publisher>, PublishError>;

    /// Opens the sink for a sensor. Does not wait: the receiver is retried for as long as the sensor runs.
    fn start(self: Box<Self>) -> Result<Box<dyn Publisher>, PublishError>;
}

/// What a running sink opens, for the confinement of a sensor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// TCP ports that it connects to.
    pub connect: Vec<u16>,
    /// It resolves host names.
    pub resolves: bool,
    /// Files and folders that it reads.
    pub read: Vec<PathBuf>,
    /// Folders that it writes to.
    pub write: Vec<PathBuf>,
}

/// A running sink, as the health report sees it from another thread. No method waits. Outlives the publisher.
pub trait SinkMonitor: fmt::Debug + Send + Sync {
    /// The kind of sink.
    fn sink(&self) -> &'static Sink;

    /// Its current health. Each number is right by itself; together they may be a moment apart.
    fn health(&self) -> SinkHealth;

    /// The time from a packet to the acknowledgement of the first record about it.
    fn latency(&self) -> LatencySummary;

    /// Publishes the sensor's state, a JSON object, where the receiver has a place for it. Called on each change.
    fn announce(&self, state: &[u8]);

    /// Publishes the sensor's counters, a JSON object, where the receiver has a place for them.
    fn publish_metrics(&self, metrics: &[u8]);
}

/// The health of a sink at one moment. Counters count from the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkHealth {
    /// The receiver answers.
    pub connected: bool,
    /// Why it does not answer.
    pub reason: Option<String>,
    /// Why a receiver that answers takes no records: a missing acknowledgement, or a temporary refusal. Cleared by the next
    /// record that it takes.
    #[serde(default)]
    pub stalled: Option<String>,
    /// Connections made.
    pub connections: u64,
    /// Records that are not acknowledged yet.
    pub backlog: u64,
    /// Records that the receiver acknowledged.
    pub delivered: u64,
    /// Records that the receiver permanently refused, or that exceed its size limit.
    pub refused: u64,
    /// Records that were dropped because the queue was full.
    pub dropped: u64,
    /// Temporary refusals after which a record was sent again.
    #[serde(default)]
    pub retried: u64,
    /// Records that were sent again because no acknowledgement came in time, each time.
    #[serde(default)]
    pub overdue: u64,
    /// Acknowledgements that match no record in flight.
    #[serde(default)]
    pub unexpected: u64,
}

/// The monitors of those publishers that have one.
pub fn monitors(publishers: &[Box<dyn Publisher>]) -> Vec<Arc<dyn SinkMonitor>> {
    publishers.iter().filter_map(|publisher| publisher.monitor()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::publish::SINKS;

    #[test]
    fn names_keys_and_options_differ() {
        let mut options = BTreeSet::new();
        for sink in SINKS {
            let mut keys = BTreeSet::new();
            for setting in [&sink.address].into_iter().chain(sink.settings) {
                assert!(keys.insert(setting.key), "{}.{}", sink.name, setting.key);
                assert!(setting.option.as_ref().is_none_or(|option| options.insert(option.long)), "{}", setting.key);
            }
            assert!(sink.address.option.is_some() && sink.example.starts_with(&format!("{} = ", sink.address.key)));
        }
        let names: BTreeSet<&str> = SINKS.iter().map(|sink| sink.name).collect();
        assert_eq!(names.len(), SINKS.len());
    }

    #[test]
    fn a_setting_that_is_not_given_has_its_default_and_paths_start_at_the_folder_of_the_configuration() {
        let number = |key, default| Setting { key, kind: SettingKind::Number { default, range: 1..=9 }, option: None };
        let (given, usual, none) = (number("a", Some(1)), number("b", Some(2)), number("c", None));
        let file = Setting { key: "file", kind: SettingKind::File, option: None };
        let mut options = SinkOptions::new(SINKS[0], String::new());
        options.set(&given, SettingValue::Number(7));
        options.set(&file, SettingValue::File("secret".into()));
        options.place_in(Path::new("/etc/lockkeeper"));
        assert_eq!([&given, &usual, &none].map(|setting| options.number(setting)), [Some(7), Some(2), None]);
        assert_eq!(options.file(&file), Some(Path::new("/etc/lockkeeper/secret")));
    }
}
