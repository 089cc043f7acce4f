//! The folder of a sensor with its configuration and outputs, its status, and other processes on its network.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::network::Hub;
use super::sensor::Sensor;
use super::support::require::{MOSQUITTO, missing};
use super::support::{self, plant};

/// A folder with a configuration and the outputs of the sensor.
pub(crate) struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    /// A sensor at the port `span`; `more` is the rest of its configuration, from within `[output]` on.
    pub(crate) fn new(more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let policy = plant();
        let text = format!(
            "[sensor]\nname = \"lock-1\"\nsite = \"lock\"\npolicy = {policy:?}\n\
             [[interface]]\nname = \"span\"\nring_mib = 128\n\
             [health]\nstatus_file = \"status.json\"\n[output]\nalerts = \"alerts.jsonl\"\n{more}"
        );
        std::fs::write(folder.path().join("lockkeeper.toml"), text).expect("written");
        Self { folder }
    }

    /// Uses a copy of the policy that a test can change.
    pub(crate) fn owns_its_policy(&mut self) -> PathBuf {
        let (config, own) = (self.file("lockkeeper.toml"), self.file("plant.toml"));
        std::fs::copy(plant(), &own).expect("copied");
        let text = std::fs::read_to_string(&config).expect("written before");
        let text = text.replace(&format!("policy = {:?}", plant()), "policy = \"plant.toml\"");
        std::fs::write(config, text).expect("written");
        own
    }

    /// The path of a file of the folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Replaces the configuration.
    pub(crate) fn configure(&self, change: impl FnOnce(&str) -> String) {
        let file = self.file("lockkeeper.toml");
        let text = std::fs::read_to_string(&file).expect("written before");
        std::fs::write(&file, change(&text)).expect("written");
    }

    /// Starts the sensor.
    pub(crate) fn sensor(&self, hub: &Hub) -> Sensor {
        Sensor::start(hub, &[&"--config", &self.file("lockkeeper.toml")])
    }

    /// Exit status and output of `lockkeeper status`.
    pub(crate) fn status(&self) -> (Option<i32>, Value) {
        let file = self.file("status.json");
        let output = support::lockkeeper(&[&"status", &"--json", &"--file", &file]);
        (output.status.code(), serde_json::from_slice(&output.stdout).expect("JSON"))
    }

    /// Waits until the status satisfies a condition.
    pub(crate) fn eventually(&self, what: &str, is_so: impl Fn(Option<i32>, &Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let (code, report) = self.status();
            if is_so(code, &report) {
                return report;
            }
            assert!(begun.elapsed() < PATIENCE, "not {what}: {code:?} {report:#}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Whether a status gives a reason.
pub(crate) fn has_reason(report: &Value, what: &str) -> bool {
    report["reasons"].as_array().is_some_and(|reasons| reasons.iter().any(|reason| reason["what"] == what))
}

/// A process of the test in the namespace of the hub.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    /// Starts it; `None` if it is not installed and the run allows that.
    pub(crate) fn start(hub: &Hub, program: &str, arguments: &[&str]) -> Option<Self> {
        let path =
            ["/usr/sbin", "/usr/bin"].iter().map(|folder| Path::new(folder).join(program)).find(|path| path.exists());
        let Some(path) = path else {
            missing(MOSQUITTO, &format!("{program} is not installed"));
            return None;
        };
        let mut command = hub.command(&path);
        let child = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("started");
        Some(Self(child))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _already_gone = self.0.kill();
        let _already_gone = self.0.wait();
    }
}

/// The page of the Prometheus endpoint.
pub(crate) fn scrape(hub: &Hub, port: u16) -> String {
    hub.inside(|| {
        let mut caller = TcpStream::connect(("127.0.0.1", port)).expect("the sensor listens");
        caller.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("asked");
        let mut page = String::new();
        caller.read_to_string(&mut page).expect("answered");
        page
    })
}

/// The value of a metric on a page, with its labels as they are written there.
pub(crate) fn metric(page: &str, name: &str) -> Option<f64> {
    let line = page.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

/// Longer than any awaited event takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);
