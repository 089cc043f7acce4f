//! The configuration of a sensor, `lockkeeper.toml`: what may stand in it, and what is wrong with one.

use std::fmt;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

use crate::cli::Checksums;
use crate::policy::{Diagnostics, Severity};

/// The whole file. Every key but `interface` and its `name` can be left out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) sensor: Sensor,
    /// What to listen to, at least one.
    pub(super) interface: Vec<Interface>,
    #[serde(default)]
    pub(super) output: Output,
    pub(super) evidence: Option<Evidence>,
    pub(super) recording: Option<Recording>,
    pub(super) mqtt: Option<Broker>,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) alarms: Alarms,
    #[serde(default)]
    pub(super) health: Health,
    pub(super) metrics: Option<Metrics>,
}

/// `[sensor]`: who listens, and what for.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Sensor {
    pub(super) name: Option<String>,
    pub(super) site: Option<String>,
    pub(super) policy: Option<PathBuf>,
    #[serde(deserialize_with = "within::<_, u16, 1, 64>")]
    pub(super) workers: Option<u16>,
    pub(super) confine: Option<bool>,
    pub(super) mirror_sessions: Vec<IpAddr>,
}

/// `[[interface]]`: one that is listened to.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) filter: Option<String>,
    #[serde(default, deserialize_with = "within::<_, u32, 64, 262_144>")]
    pub(super) snap_length: Option<u32>,
    #[serde(default, deserialize_with = "within::<_, u32, 1, 2047>")]
    pub(super) ring_mib: Option<u32>,
    #[serde(default, deserialize_with = "within::<_, u32, 1, 1000>")]
    pub(super) block_timeout_ms: Option<u32>,
    pub(super) promiscuous: Option<bool>,
}

/// `[output]`: files.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Output {
    pub(super) alerts: Option<PathBuf>,
    pub(super) transactions: Option<PathBuf>,
    pub(super) stats: Option<PathBuf>,
}

/// `[evidence]`: the packets around violations.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Evidence {
    pub(super) folder: PathBuf,
    #[serde(default, deserialize_with = "within::<_, u16, 0, 10_000>")]
    pub(super) packets: Option<u16>,
    #[serde(default, deserialize_with = "within::<_, u32, 1, 1_000_000>")]
    pub(super) files: Option<u32>,
    #[serde(default, deserialize_with = "within::<_, u32, 1, 4_294_967_295>")]
    pub(super) size_mib: Option<u32>,
}

/// `[recording]`: all packets.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recording {
    pub(super) folder: PathBuf,
    #[serde(default, deserialize_with = "within::<_, u32, 2, 4_294_967_295>")]
    pub(super) size_mib: Option<u32>,
    #[serde(default, deserialize_with = "within::<_, u32, 1, 2_147_483_647>")]
    pub(super) file_mib: Option<u32>,
}

/// `[mqtt]`: a broker.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Broker {
    pub(super) url: String,
    pub(super) password_file: Option<PathBuf>,
    #[serde(default, deserialize_with = "within::<_, usize, 1, 1_048_576>")]
    pub(super) queue: Option<usize>,
    #[serde(default, deserialize_with = "within::<_, u64, 1, 4096>")]
    pub(super) queue_mib: Option<u64>,
    #[serde(default, deserialize_with = "within::<_, u64, 1, 3600>")]
    pub(super) give_up_after: Option<u64>,
    #[serde(default, deserialize_with = "within::<_, u64, 1, 3600>")]
    pub(super) ack_timeout: Option<u64>,
}

/// `[limits]`: bounds, as the options of the same names.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) max_flows: Option<u32>,
    pub(super) max_pending: Option<usize>,
    pub(super) max_memory: Option<usize>,
    pub(super) max_held_bytes: Option<usize>,
    pub(super) max_fragmented: Option<usize>,
    pub(super) max_alerts: Option<usize>,
    pub(super) answer_timeout: Option<f64>,
    pub(super) alert_interval: Option<f64>,
    pub(super) handshake_timeout: Option<f64>,
    pub(super) idle_timeout: Option<f64>,
    pub(super) max_recent_bytes: Option<usize>,
    pub(super) checksums: Option<Checksums>,
}

/// `[health]`: what the sensor says of itself.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Health {
    pub(super) status_file: Option<PathBuf>,
}

/// `[metrics]`: what it counts, for Prometheus and on the MQTT topic `metrics`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Metrics {
    pub(super) listen: Option<SocketAddr>,
    #[serde(deserialize_with = "within::<_, u64, 1, 86_400>")]
    pub(super) mqtt_interval: Option<u64>,
}

/// `[alarms]`: what is wrong enough with the sensor itself, as the options of the same names.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Alarms {
    pub(super) loss_limit: Option<f64>,
    pub(super) silent_after: Option<f64>,
    pub(super) one_way_limit: Option<f64>,
    pub(super) unread_limit: Option<f64>,
}

/// Reads a configuration; paths in it count from its folder.
pub(super) fn read(path: &Path) -> Result<File, Diagnostics> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|error| {
        let help = "give the path of a configuration: `deploy/lockkeeper.toml` is one";
        Diagnostics::about_file(&name, format!("cannot be read: {error}"), Some(help.to_owned()))
    })?;
    let mut file = parse(&name, &text)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let output = &mut file.output;
    let places = [&mut file.sensor.policy, &mut output.alerts, &mut output.transactions, &mut output.stats];
    let folders =
        [file.evidence.as_mut().map(|kept| &mut kept.folder), file.recording.as_mut().map(|all| &mut all.folder)];
    folders.into_iter().flatten().for_each(|place| *place = folder.join(&place));
    let secret = file.mqtt.iter_mut().map(|mqtt| &mut mqtt.password_file);
    for place in places
        .into_iter()
        .chain(secret)
        .chain([&mut file.health.status_file])
        .flatten()
        .filter(|place| place.as_os_str() != "-")
    {
        *place = folder.join(&place);
    }
    Ok(file)
}

fn parse(name: &str, text: &str) -> Result<File, Diagnostics> {
    let mut found = Diagnostics::new(name, text);
    match toml::from_str::<File>(text) {
        Ok(file) if file.interface.is_empty() => {
            found.push(
                Severity::Error,
                0..0,
                "there is no interface to listen to".into(),
                Some(AN_INTERFACE.to_owned()),
            );
            Err(found)
        }
        Ok(file) => Ok(file),
        Err(error) => {
            let message = error.message().lines().next().unwrap_or_default().to_owned();
            let help = if message.contains("missing field `interface`") { AN_INTERFACE } else { SEE };
            found.push(Severity::Error, error.span().unwrap_or_default(), message, Some(help.to_owned()));
            Err(found)
        }
    }
}

/// A whole number within bounds.
fn within<'de, D, T, const LEAST: i64, const MOST: i64>(from: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i64, Error: fmt::Debug>,
{
    let number = i64::deserialize(from)?;
    let fitting = (LEAST..=MOST).contains(&number).then(|| T::try_from(number).ok()).flatten();
    let wrong = || serde::de::Error::custom(format!("{number} cannot be used: write a number from {LEAST} to {MOST}"));
    fitting.map(Some).ok_or_else(wrong)
}

const SEE: &str = "`deploy/lockkeeper.toml` explains every key";
const AN_INTERFACE: &str = "add [[interface]] with name = \"eth1\"; `lockkeeper interfaces` lists those that there are";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_an_interface_is_enough() {
        let file = parse("l.toml", "[[interface]]\nname = \"eth1\"\n").expect("sound");
        assert_eq!(file.interface[0].name, "eth1");
        assert!(file.mqtt.is_none() && file.sensor.policy.is_none());
    }

    #[test]
    fn every_mistake_is_told_with_its_place_and_what_is_possible() {
        let cases = [
            (
                "[[interface]]\nname = \"eth1\"\nsnaplen = 64\n",
                "l.toml:3:1",
                "unknown field `snaplen`, expected one of",
            ),
            ("[[interface]]\nname = \"eth1\"\nring_mib = 0\n", "l.toml:3:12", "write a number from 1 to 2047"),
            ("[[interface]]\nname = 7\n", "l.toml:2:8", "expected a string"),
            ("[sensor]\nname = \"x\"\n", "l.toml:1:1", "missing field `interface`"),
            ("interface = []\n", "l.toml:1:1", "no interface to listen to"),
            ("[[interface]]\nname = \"eth1\n", "l.toml:2:13", "invalid basic string"),
        ];
        for (text, place, message) in cases {
            let found = parse("l.toml", text).expect_err(text).to_string();
            assert!(found.starts_with(place) && found.contains(message) && found.contains("help: "), "{found}");
        }
    }

    #[test]
    fn paths_count_from_the_folder_of_the_file() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("lockkeeper.toml");
        let text = "[sensor]\npolicy = \"plant.toml\"\n[[interface]]\nname = \"eth1\"\n[output]\nalerts = \"/a\"\nstats = \"-\"\n";
        fs::write(&path, text).expect("written");
        let file = read(&path).expect("sound");
        assert_eq!(file.sensor.policy, Some(folder.path().join("plant.toml")));
        assert_eq!((file.output.alerts, file.output.stats), (Some("/a".into()), Some("-".into())));
    }

    /// The keys that a table may have, as the parser itself tells them about one that it may not.
    fn known_keys(text: &str) -> Vec<String> {
        let error = toml::from_str::<File>(text).expect_err("no such key").to_string();
        let (_, expected) = error.split_once("expected ").expect("the parser tells what it expects");
        expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    #[test]
    fn the_example_that_ships_has_every_key_and_is_sound_with_all_of_them() {
        let example = include_str!("../../deploy/lockkeeper.toml");
        parse("lockkeeper.toml", example).expect("sound as it ships");
        let is_setting = |line: &str| line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
        let shown = |line: &'static str| {
            line.strip_prefix("# ").filter(|rest| is_setting(rest) || rest.starts_with('[')).unwrap_or(line)
        };
        let complete: Vec<&str> = example.lines().map(shown).collect();
        parse("lockkeeper.toml", &complete.join("\n")).expect("sound with every key");
        let tables = ["sensor", "output", "evidence", "recording", "mqtt", "limits", "alarms", "health", "metrics"]
            .map(|table| format!("[{table}]\nzzz = 1\n"));
        let texts = tables.into_iter().chain(["[[interface]]\nzzz = 1\n".to_owned()]);
        for text in texts {
            let keys = known_keys(&text);
            assert!(!keys.is_empty(), "{text}: {keys:?}");
            for key in keys {
                assert!(complete.iter().any(|line| line.starts_with(&format!("{key} = "))), "{key} of {text}");
            }
        }
        for table in known_keys("zzz = 1\n") {
            let heads = [format!("[{table}]"), format!("[[{table}]]")];
            assert!(complete.iter().any(|line| heads.iter().any(|head| line == head)), "[{table}]");
        }
    }
}
