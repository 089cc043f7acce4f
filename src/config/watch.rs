//! The settings of `watch`, from the command line or from a configuration file.

mod needs;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::file::{self, File};
use super::{Destination, Destinations, Error, Names, bounded, kept, nanoseconds, percent, sinks, site_of};
use crate::capture::live::InterfaceCounters;
use crate::capture::{InterfaceSettings, Live};
use crate::cli::{self, Alarms, Limits, PolicyAndOutputs, Vantage};
use crate::keys::KeyLog;
use crate::pipeline;
use crate::policy::{Diagnostics, Policy};
use crate::publish::PublishError;
use crate::publish::sink::{SinkMonitor, SinkOptions, SinkSetup};
use crate::sensor;
use crate::sensor::health;
use crate::store::evidence;
use crate::store::recording;

/// The settings of a sensor.
#[derive(Debug)]
pub struct Watch {
    /// The interfaces.
    pub interfaces: Vec<InterfaceSettings>,
    /// The policy.
    pub policy: Option<PathBuf>,
    /// The destinations of its outputs.
    pub destinations: Destinations,
    evidence: cli::Evidence,
    recording: cli::Recording,
    sinks: Vec<SinkOptions>,
    limits: Limits,
    vantage: Vantage,
    workers: Option<u16>,
    site: Option<String>,
    sensor: String,
    alarms: sensor::Limits,
    status_file: Option<PathBuf>,
    /// The address of the endpoint for Prometheus.
    pub metrics: Option<SocketAddr>,
    confine: bool,
    metrics_interval: Option<u64>,
}

/// Reads the settings. The outer error holds the diagnostics of the configuration file, the inner one an invalid option.
pub fn watch(typed: &cli::Watch) -> Result<Result<Watch, Error>, Diagnostics> {
    let asked = match source(typed, Path::new(USUAL_CONFIGURATION)) {
        Ok(Source::File(path)) => Watch::from_file(file::read(path)?),
        Ok(Source::Options) => Watch::from_options(typed),
        Err(error) => Err(error),
    };
    Ok(asked.map(|asked| Watch { confine: asked.confine && !typed.no_confine, ..asked }))
}

/// The configuration that `watch` reads without any option.
pub const USUAL_CONFIGURATION: &str = "/etc/lockkeeper/lockkeeper.toml";

/// The source of the settings of a sensor.
#[derive(Debug, PartialEq, Eq)]
enum Source<'a> {
    File(&'a Path),
    Options,
}

fn source<'a>(typed: &'a cli::Watch, usual: &'a Path) -> Result<Source<'a>, Error> {
    if let Some(path) = &typed.config {
        return Ok(Source::File(path));
    }
    if !typed.interfaces.interfaces.is_empty() {
        return Ok(Source::Options);
    }
    if typed.options.0 {
        return Err(Error::NoInterface);
    }
    // A folder without search permission may contain the file: reading it then fails with the reason.
    if usual.try_exists().unwrap_or(true) { Ok(Source::File(usual)) } else { Err(Error::NothingToListenTo) }
}

impl Watch {
    fn from_options(typed: &cli::Watch) -> Result<Self, Error> {
        let PolicyAndOutputs { policy, alerts, transactions, stats, workers, site, sensor } = &typed.run;
        let sinks = &typed.sinks.0;
        Ok(Self {
            interfaces: typed.interfaces.interfaces.iter().map(|name| listened(name, &typed.interfaces)).collect(),
            policy: policy.clone(),
            destinations: Destinations::resolve([alerts, transactions, stats], sinks.is_empty())?,
            evidence: typed.evidence.clone(),
            recording: with_file_size(typed.recording.clone())?,
            sinks: sinks.clone(),
            limits: typed.limits.clone(),
            vantage: typed.vantage.clone(),
            workers: *workers,
            site: site.clone(),
            sensor: sensor.clone().unwrap_or_else(host_name),
            alarms: alarms(typed.alarms.loss_limit, typed.alarms.silent_after, typed.alarms.one_way_limit)?,
            status_file: typed.health.status_file.clone(),
            metrics: typed.health.metrics,
            confine: true,
            metrics_interval: None,
        })
    }

    fn from_file(file: File) -> Result<Self, Error> {
        let (output, usual) = (&file.output, Alarms::default());
        let places = [&output.alerts, &output.transactions, &output.stats];
        // A folder made by the service manager implies that the status is expected there.
        let usual_file = || Path::new(health::STATUS_FILE).parent()?.is_dir().then(|| health::STATUS_FILE.into());
        Ok(Self {
            interfaces: file.interface.into_iter().map(described).collect(),
            policy: file.sensor.policy,
            destinations: Destinations::resolve(places, file.sinks.is_empty())?,
            evidence: evidence(file.evidence),
            recording: with_file_size(recording(file.recording))?,
            sinks: file.sinks,
            limits: limits(&file.limits),
            vantage: Vantage {
                mirror_sessions: file.sensor.mirror_sessions,
                unread_limit: file.alarms.unread_limit.unwrap_or(Vantage::default().unread_limit),
            },
            workers: file.sensor.workers,
            site: file.sensor.site,
            sensor: file.sensor.name.unwrap_or_else(host_name),
            alarms: alarms(
                file.alarms.loss_limit.unwrap_or(usual.loss_limit),
                file.alarms.silent_after.unwrap_or(usual.silent_after),
                file.alarms.one_way_limit.unwrap_or(usual.one_way_limit),
            )?,
            status_file: file.health.status_file.or_else(usual_file),
            metrics_interval: file.metrics.as_ref().and_then(|metrics| metrics.mqtt_interval),
            confine: file.sensor.confine.unwrap_or(true),
            metrics: file.metrics.map(|metrics| metrics.listen.unwrap_or(health::METRICS_ADDRESS)),
        })
    }

    /// The settings of the pipeline.
    pub fn pipeline(&self, policy: &Policy) -> Result<pipeline::Settings, Error> {
        let names = Names {
            site: self.site.clone().unwrap_or_else(|| site_of(policy)),
            sensor: self.sensor.clone(),
            captures: self.interfaces.iter().map(|interface| interface.name.clone()).collect(),
        };
        let transactions = self.destinations.transactions.is_some();
        bounded(&self.limits, &self.vantage, self.workers, names, (transactions, KeyLog::default()))
    }

    /// The settings of the sensor other than those of its pipeline.
    pub fn sensor(&self) -> sensor::Settings {
        sensor::Settings { policy: self.policy.clone(), limits: self.alarms }
    }

    /// The settings of evidence.
    pub fn evidence(&self, settings: &pipeline::Settings) -> Option<evidence::Settings> {
        kept(&self.evidence, &settings.alerts, true)
    }

    /// The settings of the recording of these interfaces.
    pub fn recording(&self, live: &Live) -> Option<recording::Settings> {
        let described = |(settings, counters): (&InterfaceSettings, &Arc<InterfaceCounters>)| recording::Interface {
            name: settings.name.clone(),
            snap_length: settings.snap_length,
            counters: Arc::clone(counters),
        };
        Some(recording::Settings {
            folder: self.recording.folder.clone()?,
            bytes: u64::from(self.recording.mebibytes) << 20,
            file_bytes: u64::from(self.recording.file_mebibytes.unwrap_or(1)) << 20,
            interfaces: self.interfaces.iter().zip(live.counters()).map(described).collect(),
        })
    }

    /// The folders in which the running sensor creates files, other than that of the status file.
    pub fn folders_written(&self) -> Vec<PathBuf> {
        let Destinations { alerts, transactions, stats } = &self.destinations;
        let files = [alerts, transactions, stats].into_iter().flatten().filter_map(Destination::folder);
        let folders = [&self.evidence.folder, &self.recording.folder].into_iter().flatten().cloned();
        folders.chain(files).collect()
    }

    /// The sinks, validated but not open. They publish under the names in alerts.
    pub fn sinks(&self, settings: &pipeline::Settings) -> Result<Vec<Box<dyn SinkSetup>>, PublishError> {
        sinks(&self.sinks, &settings.alerts)
    }

    /// The settings of health reports, which also go through these sinks.
    pub fn health(&self, sinks: Vec<Arc<dyn SinkMonitor>>) -> health::Settings {
        let usual = health::Settings::default();
        let silence = self.alarms.silence.and_then(|silence| u64::try_from(silence).ok()).map(Duration::from_nanos);
        health::Settings {
            status_file: self.status_file.clone(),
            sinks,
            metrics_interval: self.metrics_interval.map_or(usual.metrics_interval, Duration::from_secs),
            limits: health::Limits { loss: self.alarms.loss / 100.0, silence, unread: self.vantage.unread_limit },
            ..usual
        }
    }
}

fn alarms(loss: f64, silent_after: f64, one_way: f64) -> Result<sensor::Limits, Error> {
    Ok(sensor::Limits {
        loss: percent("loss-limit", loss)?,
        silence: if silent_after == 0.0 { None } else { Some(nanoseconds("silent-after", silent_after)?) },
        one_way: percent("one-way-limit", one_way)?,
    })
}

fn evidence(file: Option<file::Evidence>) -> cli::Evidence {
    let usual = cli::Evidence::default();
    let Some(file) = file else { return usual };
    cli::Evidence {
        folder: Some(file.folder),
        packets: file.packets.unwrap_or(usual.packets),
        files: file.files.unwrap_or(usual.files),
        mebibytes: file.size_mib.unwrap_or(usual.mebibytes),
    }
}

fn recording(file: Option<file::Recording>) -> cli::Recording {
    let usual = cli::Recording::default();
    let Some(file) = file else { return usual };
    let mebibytes = file.size_mib.unwrap_or(usual.mebibytes);
    cli::Recording { folder: Some(file.folder), mebibytes, file_mebibytes: file.file_mib }
}

/// Sets the size of the files of a recording: at most half of the recording, which remains when the oldest file is removed.
fn with_file_size(recording: cli::Recording) -> Result<cli::Recording, Error> {
    let all = recording.mebibytes;
    let file = recording.file_mebibytes.unwrap_or((all / 4).clamp(1, USUAL_FILE_SIZE));
    if file > all / 2 {
        return Err(Error::FileSize { file, all });
    }
    Ok(cli::Recording { file_mebibytes: Some(file), ..recording })
}

/// The settings of an interface on the command line: all interfaces share the options.
fn listened(name: &str, typed: &cli::Interfaces) -> InterfaceSettings {
    InterfaceSettings {
        name: name.to_owned(),
        snap_length: typed.snap_length,
        ring: mebibytes(typed.ring),
        block_timeout: Duration::from_millis(typed.block_timeout.into()),
        promiscuous: !typed.no_promiscuous,
        filter: typed.filter.clone(),
    }
}

/// The settings of an interface of a configuration file.
fn described(interface: file::Interface) -> InterfaceSettings {
    let usual = InterfaceSettings::new(&interface.name);
    let timeout = interface.block_timeout_ms.map(|milliseconds| Duration::from_millis(milliseconds.into()));
    InterfaceSettings {
        snap_length: interface.snap_length.unwrap_or(usual.snap_length),
        ring: interface.ring_mib.map_or(usual.ring, mebibytes),
        block_timeout: timeout.unwrap_or(usual.block_timeout),
        promiscuous: interface.promiscuous.unwrap_or(usual.promiscuous),
        filter: interface.filter,
        name: usual.name,
    }
}

fn limits(file: &file::Limits) -> Limits {
    let usual = Limits::default();
    Limits {
        max_flows: file.max_flows.unwrap_or(usual.max_flows),
        max_pending: file.max_pending.unwrap_or(usual.max_pending),
        max_memory: file.max_memory.unwrap_or(usual.max_memory),
        max_held_bytes: file.max_held_bytes.unwrap_or(usual.max_held_bytes),
        max_fragmented: file.max_fragmented.unwrap_or(usual.max_fragmented),
        max_alerts: file.max_alerts.unwrap_or(usual.max_alerts),
        answer_timeout: file.answer_timeout.unwrap_or(usual.answer_timeout),
        alert_interval: file.alert_interval.unwrap_or(usual.alert_interval),
        handshake_timeout: file.handshake_timeout.unwrap_or(usual.handshake_timeout),
        idle_timeout: file.idle_timeout.unwrap_or(usual.idle_timeout),
        max_recent_bytes: file.max_recent_bytes.unwrap_or(usual.max_recent_bytes),
        checksums: file.checksums.unwrap_or(usual.checksums),
    }
}

/// Default size of the files of a recording, MiB: small enough for Wireshark.
const USUAL_FILE_SIZE: u32 = 64;

fn mebibytes(number: u32) -> u32 {
    number.saturating_mul(1024 * 1024)
}

/// The host name, which is the default name of the sensor.
fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "lockkeeper".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn typed(arguments: &[&str]) -> Box<cli::Watch> {
        let Command::Watch(typed) = Cli::parse_from([&["lockkeeper", "watch"], arguments].concat()).command else {
            unreachable!("the subcommand is watch")
        };
        typed
    }

    #[test]
    fn without_options_the_usual_configuration_is_taken_if_it_exists() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let usual = folder.path().join("lockkeeper.toml");
        assert!(matches!(source(&typed(&[]), &usual), Err(Error::NothingToListenTo)));
        fs::write(&usual, "").expect("written");
        for arguments in [&[][..], &["--quiet"], &["--no-confine"]] {
            assert_eq!(source(&typed(arguments), &usual).ok(), Some(Source::File(&usual)), "{arguments:?}");
        }
        let own = typed(&["--config", "own.toml"]);
        assert_eq!(source(&own, &usual).ok(), Some(Source::File(Path::new("own.toml"))));
    }

    #[test]
    fn an_option_beside_the_usual_configuration_is_not_ignored() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for option in [&["--policy", "plant.toml"][..], &["--ring", "128"], &["--max-flows", "9"]] {
            assert!(matches!(source(&typed(option), folder.path()), Err(Error::NoInterface)), "{option:?}");
            let with_interface = typed(&[&["-i", "eth1"], option].concat());
            assert_eq!(source(&with_interface, folder.path()).ok(), Some(Source::Options), "{option:?}");
        }
    }
}
