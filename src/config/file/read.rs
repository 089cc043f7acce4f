//! Reads the tables of a configuration, each key by name and type, and reports every mistake with its place.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::super::LONGEST_TIMEOUT;
use super::{Alarms, Evidence, File, Health, Interface, Limits, Metrics, Output, Recording, Sensor};
use crate::cli::{self, Checksums};
use crate::document::section::{Complaint, Section};
use crate::document::suggest;
use crate::publish::SINKS;
use crate::publish::sink::{Setting, SettingKind, SettingValue, Sink, SinkOptions};

impl File {
    /// Reads the whole file. A value that is missing or invalid has its default, and an error is reported.
    pub(super) fn read(root: &mut Section<'_>) -> Self {
        Self {
            sensor: read_table(root, "sensor", Sensor::read).unwrap_or_default(),
            interface: interfaces(root),
            output: read_table(root, "output", Output::read).unwrap_or_default(),
            evidence: read_table(root, "evidence", Evidence::read),
            recording: read_table(root, "recording", Recording::read),
            sinks: SINKS.iter().filter_map(|sink| read_sink(sink, root)).collect(),
            limits: read_table(root, "limits", Limits::read).unwrap_or_default(),
            alarms: read_table(root, "alarms", Alarms::read).unwrap_or_default(),
            health: read_table(root, "health", Health::read).unwrap_or_default(),
            metrics: read_table(root, "metrics", Metrics::read),
        }
    }
}

/// Reads the table `[key]`, if the file has it, and reports its unknown and its missing keys.
fn read_table<T>(root: &mut Section<'_>, key: &'static str, read: impl FnOnce(&mut Section<'_>) -> T) -> Option<T> {
    let mut section = root.table(key, format!("[{key}]"))?;
    let table = read(&mut section);
    section.finish();
    Some(table)
}

fn interfaces(root: &mut Section<'_>) -> Vec<Interface> {
    root.missing("interface", AN_INTERFACE);
    if root.is_empty_list("interface") {
        let message = "there is no interface to listen to";
        root.problems.error(root.span_of("interface"), message, format!("add {AN_INTERFACE}"));
    }
    root.tables("interface", "an interface").into_iter().map(Interface::read).collect()
}

const AN_INTERFACE: &str = "[[interface]] with name = \"eth1\"; `lockkeeper interfaces` lists those that exist";

impl Sensor {
    fn read(section: &mut Section<'_>) -> Self {
        Self {
            name: section.string("name"),
            site: section.string("site"),
            policy: section.path("policy"),
            workers: section.integer_in("workers", 1..=64),
            confine: section.flag("confine"),
            mirror_sessions: section.addresses("mirror_sessions"),
        }
    }
}

impl Interface {
    fn read(mut section: Section<'_>) -> Self {
        section.missing("name", "name = \"eth1\"; `lockkeeper interfaces` lists those that exist");
        let name = section.string("name");
        if let Some(name) = &name {
            section.what = format!("interface {name}");
        }
        let interface = Self {
            name: name.unwrap_or_default(),
            filter: section.string("filter"),
            snap_length: section.integer_in("snap_length", 64..=262_144),
            ring_mib: section.integer_in("ring_mib", 1..=2047),
            block_timeout_ms: section.integer_in("block_timeout_ms", 1..=1000),
            promiscuous: section.flag("promiscuous"),
        };
        section.finish();
        interface
    }
}

impl Output {
    fn read(section: &mut Section<'_>) -> Self {
        Self {
            alerts: section.path("alerts"),
            transactions: section.path("transactions"),
            stats: section.path("stats"),
        }
    }
}

impl Evidence {
    fn read(section: &mut Section<'_>) -> Self {
        section.missing("folder", "folder = \"/var/lib/lockkeeper/evidence\"");
        Self {
            folder: section.path("folder").unwrap_or_default(),
            packets: section.integer_in("packets", 0..=10_000),
            files: section.integer_in("files", 1..=1_000_000),
            size_mib: section.integer_in("size_mib", 1..=MOST_U32),
        }
    }
}

impl Recording {
    fn read(section: &mut Section<'_>) -> Self {
        section.missing("folder", "folder = \"/var/lib/lockkeeper/packets\"");
        let recording = Self {
            folder: section.path("folder").unwrap_or_default(),
            size_mib: section.integer_in("size_mib", 2..=MOST_U32),
            file_mib: section.integer_in("file_mib", 1..=MOST_U32 / 2),
        };
        let most = recording.size_mib.unwrap_or(cli::Recording::default().mebibytes) / 2;
        if let Some(file) = recording.file_mib.filter(|&file| file > most) {
            let message = format!("a file of {file} MiB is too large for this recording");
            section.problems.error(
                section.span_of("file_mib"),
                message,
                format!("write at most half of size_mib, {most}"),
            );
        }
        recording
    }
}

/// The table of one sink.
fn read_sink(sink: &'static Sink, root: &mut Section<'_>) -> Option<SinkOptions> {
    read_table(root, sink.name, |section| {
        section.missing(sink.address.key, sink.example);
        let mut options = SinkOptions::new(sink, section.string(sink.address.key).unwrap_or_default());
        for setting in sink.settings {
            read_setting(setting, section).into_iter().for_each(|value| options.set(setting, value));
        }
        options
    })
}

fn read_setting(setting: &Setting, section: &mut Section<'_>) -> Option<SettingValue> {
    match &setting.kind {
        SettingKind::Text => section.string(setting.key).map(SettingValue::Text),
        SettingKind::File => section.path(setting.key).map(SettingValue::File),
        SettingKind::Number { range, .. } => {
            let bounds = i64::from(*range.start())..=i64::from(*range.end());
            section.integer_in(setting.key, bounds).map(SettingValue::Number)
        }
    }
}

impl Limits {
    fn read(section: &mut Section<'_>) -> Self {
        Self {
            max_flows: section.integer_in("max_flows", 1..=MOST_U32),
            max_pending: section.integer_in("max_pending", ANY_SIZE),
            max_memory: section.integer_in("max_memory", ANY_SIZE),
            max_held_bytes: section.integer_in("max_held_bytes", ANY_SIZE),
            max_fragmented: section.integer_in("max_fragmented", ANY_SIZE),
            max_alerts: section.integer_in("max_alerts", ANY_SIZE),
            answer_timeout: section.seconds("answer_timeout"),
            alert_interval: section.seconds("alert_interval"),
            handshake_timeout: section.seconds("handshake_timeout"),
            idle_timeout: section.seconds("idle_timeout"),
            max_recent_bytes: section.integer_in("max_recent_bytes", ANY_SIZE),
            checksums: section.parsed("checksums", checksums),
        }
    }
}

impl Alarms {
    fn read(section: &mut Section<'_>) -> Self {
        Self {
            loss_limit: section.percent("loss_limit"),
            silent_after: section.within("silent_after", 0.0..=LONGEST_TIMEOUT, "seconds, or 0 for ever"),
            one_way_limit: section.percent("one_way_limit"),
            unread_limit: section.percent("unread_limit"),
        }
    }
}

impl Health {
    fn read(section: &mut Section<'_>) -> Self {
        Self { status_file: section.path("status_file") }
    }
}

impl Metrics {
    fn read(section: &mut Section<'_>) -> Self {
        Self {
            listen: section.parsed("listen", socket_address),
            mqtt_interval: section.integer_in("mqtt_interval", 1..=86_400),
        }
    }
}

impl Section<'_> {
    fn string(&mut self, key: &'static str) -> Option<String> {
        self.text(key).map(|word| word.text.to_owned())
    }

    fn path(&mut self, key: &'static str) -> Option<PathBuf> {
        self.text(key).map(|word| PathBuf::from(word.text))
    }

    fn addresses(&mut self, key: &'static str) -> Vec<IpAddr> {
        self.texts(key).iter().filter_map(|word| self.parse(word, address)).collect()
    }

    /// Reads a duration above zero.
    fn seconds(&mut self, key: &'static str) -> Option<f64> {
        self.within(key, f64::MIN_POSITIVE..=LONGEST_TIMEOUT, "seconds greater than 0")
    }

    fn percent(&mut self, key: &'static str) -> Option<f64> {
        self.within(key, 0.0..=100.0, "percent from 0 to 100")
    }

    fn within(&mut self, key: &'static str, bounds: RangeInclusive<f64>, what: &str) -> Option<f64> {
        let number = self.number(key)?;
        if bounds.contains(&number) {
            return Some(number);
        }
        let message = format!("`{key}` of {} cannot be {number}", self.what);
        self.problems.error(self.span_of(key), message, format!("write a number of {what}"));
        None
    }
}

fn address(text: &str) -> Result<IpAddr, Complaint> {
    let help = "write one address such as \"192.0.2.1\" or \"2001:db8::1\"";
    text.parse().map_err(|_| (format!("`{text}` is not an IP address"), help.to_owned()))
}

fn socket_address(text: &str) -> Result<SocketAddr, Complaint> {
    let help = "write an address and a port, such as \"127.0.0.1:9469\"";
    text.parse().map_err(|_| (format!("`{text}` is not an address with a port"), help.to_owned()))
}

fn checksums(text: &str) -> Result<Checksums, Complaint> {
    let names = Checksums::NAMED.map(|(name, _)| name);
    let name = suggest::one_of(text, "a way to treat checksums", &names)?;
    let found = Checksums::NAMED.into_iter().find(|(known, _)| *known == name);
    Ok(found.map_or_else(Checksums::default, |(_, checksums)| checksums))
}

const MOST_U32: i64 = u32::MAX as i64;

/// The valid range of a bound in bytes.
const ANY_SIZE: RangeInclusive<i64> = 1..=i64::MAX;
