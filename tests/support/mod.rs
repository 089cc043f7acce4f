//! Helpers of the black-box tests: running the program, building and rewriting captures.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub(crate) mod conversation;
pub(crate) mod frames;
pub(crate) mod golden;
pub(crate) mod namespace;
pub(crate) mod require;
pub(crate) mod rewrite;
pub(crate) mod tape;
pub(crate) mod wire;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The shipped captures, sorted by name.
pub(crate) fn shipped() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(root().join("pcaps"))
        .expect("the captures ship with the source")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "pcap" || ending == "pcapng"))
        .collect();
    found.sort();
    assert!(found.len() > 20, "the captures are missing");
    found
}

/// The policy of the plant of the shipped captures.
pub(crate) fn plant() -> PathBuf {
    root().join("rules/plant.toml")
}

/// Runs the program.
pub(crate) fn lockkeeper(arguments: &[&dyn AsRef<std::ffi::OsStr>]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockkeeper"));
    command.args(arguments.iter().map(AsRef::as_ref)).env("NO_COLOR", "1").env_remove("LOCKKEEPER_SITE");
    command.output().expect("the program starts")
}

/// Standard output of a replay; panics with its errors on exit status 2.
pub(crate) fn replay(capture: &Path, more: &[&dyn AsRef<std::ffi::OsStr>]) -> String {
    let mut arguments: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&"replay", &capture, &"--quiet"];
    arguments.extend(more);
    let output = lockkeeper(&arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() != Some(2), "{}: {errors}", capture.display());
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The alerts of a capture under the plant's policy, one JSON line each.
pub(crate) fn alerts(capture: &Path) -> String {
    replay(capture, &[&"--policy", &plant(), &"--alerts", &"-"])
}

/// Parses JSON lines.
pub(crate) fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line")).collect()
}

/// The last revision of each alert of a replay that is not of kind `asset`. The replay writes no transactions, so that it
/// takes the fast path.
pub(crate) fn raised(capture: &Path, policy: &Path, options: &[&str]) -> Vec<Value> {
    let mut more: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&"--policy", &policy, &"--alerts", &"-"];
    more.extend(options.iter().map(|option| option as &dyn AsRef<std::ffi::OsStr>));
    let mut alerts = last_revisions(lines(&replay(capture, &more)));
    alerts.retain(|alert| alert["kind"] != "asset");
    alerts
}

/// The last revision of each alert, in the order of the first.
pub(crate) fn last_revisions(alerts: Vec<Value>) -> Vec<Value> {
    let mut last: Vec<Value> = Vec::new();
    for alert in alerts {
        match last.iter_mut().find(|known| known["id"] == alert["id"]) {
            Some(known) => *known = alert,
            None => last.push(alert),
        }
    }
    last
}

/// Whether an alert is of severity high or more.
pub(crate) fn is_loud(alert: &Value) -> bool {
    alert["severity"] == "high" || alert["severity"] == "critical"
}

/// A policy with zones `scada` (10.0.1.0/24) and `plc` (10.0.2.0/24), and flows from the first to the second.
pub(crate) fn policy(flows: &[&str]) -> String {
    let zones = "schema = \"lockkeeper-policy/1\"\npolicy = { id = \"TEST\", version = \"1\" }\n\
                 zone.scada.networks = [\"10.0.1.0/24\"]\nzone.plc.networks = [\"10.0.2.0/24\"]\n\
                 [conduit.C]\nzones = [\"scada\", \"plc\"]\n";
    let head = "[[conduit.C.flow]]\nfrom = [\"zone:scada\"]\nto = [\"zone:plc\"]\n";
    let flows = flows.iter().map(|flow| format!("{head}{flow}\n"));
    zones.to_owned() + &flows.collect::<String>()
}

/// Fields of each packet of a file, as tshark prints them; panics if tshark reports an error.
pub(crate) fn tshark(file: &Path, arguments: &[&str]) -> Vec<Vec<String>> {
    let mut command = Command::new("tshark");
    let output = command.arg("-r").arg(file).args(["-T", "fields"]).args(arguments).output();
    let output = output.expect("tshark is installed (.ci/setup tshark)");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let complaints: Vec<&str> = errors.lines().filter(|line| !line.starts_with("Running as user")).collect();
    assert!(output.status.success() && complaints.is_empty(), "{errors}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

/// The last revision of each alert without times and packet numbers, in order. An outcome that is pending at the end of a
/// recording is replaced by no response, because a sensor continues until the request times out.
pub(crate) fn essence(alerts: &str) -> Vec<Value> {
    let mut last: Vec<(Value, Value)> = Vec::new();
    for mut alert in lines(alerts) {
        let id = alert["id"].take();
        for member in ["time", "first_seen", "last_seen", "revision", "sensor"] {
            alert[member].take();
        }
        if alert["outcome"]["status"] == "pending" {
            alert["outcome"]["status"] = "no_response".into();
        }
        alert["evidence"]["capture"].take();
        alert["evidence"]["packet"].take();
        match last.iter_mut().find(|(known, _)| *known == id) {
            Some((_, known)) => *known = alert,
            None => last.push((id, alert)),
        }
    }
    last.into_iter().map(|(_, alert)| alert).collect()
}
