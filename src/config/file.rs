//! The configuration file of a sensor, `lockkeeper.toml`: its tables and keys, as written.

mod read;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::cli::Checksums;
use crate::document::{self, Diagnostics};
use crate::publish::sink::SinkOptions;

/// The file. All keys but `interface` and its `name` are optional.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) sensor: Sensor,
    /// The interfaces, at least one.
    pub(super) interface: Vec<Interface>,
    pub(super) output: Output,
    pub(super) evidence: Option<Evidence>,
    pub(super) recording: Option<Recording>,
    /// `[mqtt]` and its like.
    pub(super) sinks: Vec<SinkOptions>,
    pub(super) limits: Limits,
    pub(super) alarms: Alarms,
    pub(super) health: Health,
    pub(super) metrics: Option<Metrics>,
}

/// `[sensor]`: the sensor's identity and its policy.
#[derive(Debug, Default)]
pub(super) struct Sensor {
    pub(super) name: Option<String>,
    pub(super) site: Option<String>,
    pub(super) policy: Option<PathBuf>,
    pub(super) workers: Option<u16>,
    pub(super) confine: Option<bool>,
    pub(super) mirror_sessions: Vec<IpAddr>,
}

/// `[[interface]]`: an interface to capture from.
#[derive(Debug, Default)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) filter: Option<String>,
    pub(super) snap_length: Option<u32>,
    pub(super) ring_mib: Option<u32>,
    pub(super) block_timeout_ms: Option<u32>,
    pub(super) promiscuous: Option<bool>,
}

/// `[output]`: files for records.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub(super) alerts: Option<PathBuf>,
    pub(super) transactions: Option<PathBuf>,
    pub(super) stats: Option<PathBuf>,
}

/// `[evidence]`: packets kept around violations.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    pub(super) folder: PathBuf,
    pub(super) packets: Option<u16>,
    pub(super) files: Option<u32>,
    pub(super) size_mib: Option<u32>,
}

/// `[recording]`: all packets of the last time.
#[derive(Debug, Default)]
pub(super) struct Recording {
    pub(super) folder: PathBuf,
    pub(super) size_mib: Option<u32>,
    pub(super) file_mib: Option<u32>,
}

/// `[limits]`: bounds, as the options of the same names.
#[derive(Debug, Default)]
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

/// `[health]`: the status of the sensor.
#[derive(Debug, Default)]
pub(super) struct Health {
    pub(super) status_file: Option<PathBuf>,
}

/// `[metrics]`: counters for Prometheus and on the MQTT topic `metrics`.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    pub(super) listen: Option<SocketAddr>,
    pub(super) mqtt_interval: Option<u64>,
}

/// `[alarms]`: thresholds for alerts about the sensor itself, as the options of the same names.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    pub(super) loss_limit: Option<f64>,
    pub(super) silent_after: Option<f64>,
    pub(super) one_way_limit: Option<f64>,
    pub(super) unread_limit: Option<f64>,
}

/// Reads a configuration. Paths in it are relative to its folder.
pub(super) fn read(path: &Path) -> Result<File, Diagnostics> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
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
    file.sinks.iter_mut().for_each(|sink| sink.place_in(folder));
    for place in
        places.into_iter().chain([&mut file.health.status_file]).flatten().filter(|place| place.as_os_str() != "-")
    {
        *place = folder.join(&place);
    }
    Ok(file)
}

fn parse(name: &str, text: &str) -> Result<File, Diagnostics> {
    let (file, found) = document::read((name, text), "the configuration", |root, _| File::read(root));
    if found.has_errors() { Err(found) } else { Ok(file) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::SINKS;

    #[test]
    fn a_name_of_an_interface_is_enough() {
        let file = parse("l.toml", "[[interface]]\nname = \"eth1\"\n").expect("sound");
        assert_eq!(file.interface[0].name, "eth1");
        assert!(file.sinks.is_empty() && file.sensor.policy.is_none());
    }

    #[test]
    fn every_mistake_is_reported_with_its_place_and_what_to_write_instead() {
        let cases = [
            (
                "[[interface]]\nname = \"eth1\"\nsnaplen = 64\n",
                "3:1: error: unknown key `snaplen` in interface eth1 (help: did you mean `snap_length`?)",
            ),
            (
                "[[interface]]\nname = \"eth1\"\nring_mib = 0\n",
                "3:12: error: `ring_mib` of interface eth1 cannot be 0 (help: write a number from 1 to 2047)",
            ),
            (
                "[[interface]]\nname = 7\n",
                "2:8: error: `name` of an interface must be a text, not an integer (help: write name = \"...\")",
            ),
            ("[sensor]\nname = \"x\"\n", "1:1: error: the configuration has no `interface` (help: add [[interface]]"),
            ("interface = []\n", "1:1: error: there is no interface to listen to (help: add [[interface]]"),
            ("[interface]\nname = \"eth1\"\n", "1:2: error: `interface` of the configuration must be a list of tables"),
            ("[[interface]]\nname = \"eth1\n", "2:13: error: not TOML: "),
            (
                "[[intreface]]\nname = \"eth1\"\n",
                "1:3: error: unknown key `intreface` in the configuration (help: did you",
            ),
        ];
        for (text, expected) in cases {
            let found = parse("l.toml", text).expect_err(text).to_string();
            assert!(found.starts_with(&format!("l.toml:{expected}")), "{found}");
            assert_eq!(found.lines().count(), 1, "{found}");
        }
        let valued = [
            ("[mqtt]\nqueue = 5\n", "6:2: error: [mqtt] has no `url` (help: add url = \"mqtt://soc-broker\")"),
            ("[limits]\nmax_flows = 0\n", "7:13: error: `max_flows` of [limits] cannot be 0"),
            (
                "[limits]\nanswer_timeout = 0\n",
                "7:1: error: `answer_timeout` of [limits] cannot be 0 (help: write a number of",
            ),
            ("[limits]\nchecksums = \"of\"\n", "7:13: error: `of` is not a way to treat checksums"),
            ("[alarms]\nloss_limit = 101\n", "7:1: error: `loss_limit` of [alarms] cannot be 101"),
            ("[metrics]\nlisten = \"9469\"\n", "7:10: error: `9469` is not an address with a port"),
            (
                "[recording]\nfolder = \"p\"\nfile_mib = 600\n",
                "8:1: error: a file of 600 MiB is too large for this recording (help: write at most half of size_mib, 512)",
            ),
        ];
        for (text, expected) in valued {
            let text = format!(
                "# A sound part.\n[[interface]]\nname = \"eth1\"\n[sensor]\nmirror_sessions = [\"192.0.2.1\"]\n{text}"
            );
            let found = parse("l.toml", &text).expect_err(&text).to_string();
            assert!(found.starts_with(&format!("l.toml:{expected}")), "{found}");
            assert_eq!(found.lines().count(), 1, "{found}");
        }
    }

    #[test]
    fn all_mistakes_are_reported_at_once_and_shown() {
        let text = "[sensro]\nname = \"lock-1\"\n[[interface]]\nname = \"eth1\"\npromiscous = true\n[limits]\nmax_flows = \"many\"\n";
        let found = parse("lockkeeper.toml", text).expect_err("three mistakes");
        let expected = "\
error: unknown key `sensro` in the configuration
 --> lockkeeper.toml:1:2
  |
1 | [sensro]
  |  ^^^^^^
  |
  = help: did you mean `sensor`?

error: unknown key `promiscous` in interface eth1
 --> lockkeeper.toml:5:1
  |
5 | promiscous = true
  | ^^^^^^^^^^
  |
  = help: did you mean `promiscuous`?

error: `max_flows` of [limits] must be a whole number, not a string
 --> lockkeeper.toml:7:13
  |
7 | max_flows = \"many\"
  |             ^^^^^^
  |
  = help: write max_flows = 1

";
        assert_eq!(found.render(false), expected);
    }

    #[test]
    fn paths_count_from_the_folder_of_the_file() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("lockkeeper.toml");
        let text = "[sensor]\npolicy = \"plant.toml\"\n[[interface]]\nname = \"eth1\"\n[output]\nalerts = \"/a\"\nstats = \"-\"\n";
        std::fs::write(&path, text).expect("written");
        let file = read(&path).expect("sound");
        assert_eq!(file.sensor.policy, Some(folder.path().join("plant.toml")));
        assert_eq!((file.output.alerts, file.output.stats), (Some("/a".into()), Some("-".into())));
    }

    /// The keys of a table, as the error about an unknown key lists them.
    fn known_keys(text: &str) -> Vec<String> {
        let found = parse("l.toml", text).expect_err("no such key");
        let help = found.list.iter().find_map(|one| one.help.as_deref()?.strip_prefix("known keys are: "));
        help.expect("the error lists them").split(", ").map(str::to_owned).collect()
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
        let tables = ["sensor", "output", "evidence", "recording", "limits", "alarms", "health", "metrics"];
        let tables = tables.into_iter().chain(SINKS.iter().map(|sink| sink.name));
        let texts = tables.map(|table| format!("[{table}]\nzzz = 1\n")).chain(["[[interface]]\nzzz = 1\n".to_owned()]);
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
