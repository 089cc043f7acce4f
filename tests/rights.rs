//! A running sensor has no rights beyond capturing packets and reporting.
#![allow(clippy::disallowed_methods, reason = "a test waits for other processes")]
#![allow(clippy::print_stdout, reason = "a test tells another process what came of it")]
#![allow(dead_code, reason = "the network of the live tests can do more than is needed here")]

#[path = "live/network.rs"]
mod network;
#[path = "live/place.rs"]
mod place;
#[path = "live/sensor.rs"]
mod sensor;
mod support;
#[path = "rights/tries.rs"]
mod tries;

use std::collections::BTreeMap;
use std::path::Path;

use network::{Hub, far};
use place::{Place, Process, scrape};
use rustix::process::Signal;
use sensor::{Sensor, wait_for};
use serde_json::Value;
use support::require::{LANDLOCK, missing};
use support::{plant, rewrite, root};
use tries::is_refused_by_landlock;

fn packets() -> Vec<rewrite::Packet> {
    rewrite::read(&root().join("pcaps/undeclared-write.pcap"))
}

/// The fields of `/proc/PID/status` for each thread of a process.
fn threads(process: u32) -> Vec<BTreeMap<String, String>> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).expect("it runs");
    let status = tasks.map(|task| std::fs::read_to_string(task.expect("a thread").path().join("status")));
    let fields = |text: String| {
        let pairs = text.lines().filter_map(|line| line.split_once(':'));
        pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
    };
    status.map(|text| fields(text.expect("readable"))).collect()
}

/// Asserts that every thread has dropped its capabilities and is confined.
fn assert_without_rights(process: u32) {
    let threads = threads(process);
    assert!(threads.len() >= 4, "a reader, a keeper, the health, the broker: {threads:#?}");
    for thread in threads {
        let name = &thread["Name"];
        for set in ["CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd"] {
            assert_eq!(u64::from_str_radix(&thread[set], 16), Ok(0), "{set} of {name}");
        }
        assert_eq!((thread["NoNewPrivs"].as_str(), thread["Seccomp"].as_str()), ("1", "2"), "{name}");
    }
}

#[test]
fn a_sensor_that_uses_every_feature_sends_no_frame_on_a_monitored_interface() {
    let Some(hub) = Hub::new(&["send", "span"]) else { return };
    hub.ip(&["link", "set", "lo", "up"]);
    let mut place = Place::new(
        "[mqtt]\nurl = \"mqtt://localhost\"\n[metrics]\nlisten = \"127.0.0.1:9470\"\n\
         [evidence]\nfolder = \"evidence\"\n[recording]\nfolder = \"recording\"\n",
    );
    let policy = place.owns_its_policy();
    let before = hub.frames_sent_by("span");
    let recorded = place.file("sent.pcap");
    hub.record(&far("span"), &recorded, || whole_life(&hub, &place, &policy));
    assert_eq!(hub.frames_sent_by("span"), before, "not one frame");
    assert!(rewrite::read(&recorded).is_empty(), "a frame arrived at the other end of the cable");
    assert!(hub.frames_received_by("span") > 0, "the counter of frames does not count");
}

/// Start, traffic, every output, a reload, an interface that is removed and returns, and the end.
fn whole_life(hub: &Hub, place: &Place, policy: &Path) {
    let sensor = place.sensor(hub);
    let alert_file = place.file("alerts.jsonl");
    let Some(broker) = Process::start(hub, "mosquitto", &["-p", "1883"]) else { return };
    hub.send("send", &packets());
    wait_for(&alert_file, "the write", |alert| alert["rule"] == "operation.undeclared");
    let delivered = |log: &Value| log["mqtt"]["delivered"].as_u64() > Some(0) && log["mqtt"]["connected"] == true;
    let ready = place.eventually("ready, and its alerts delivered", |code, log| code == Some(0) && delivered(log));
    let notes = ready["confinement"]["notes"].to_string();
    let level = if notes.contains("Landlock") { "partial" } else { "full" };
    assert_eq!(ready["confinement"]["level"], level, "what this kernel can, and all of it: {ready:#}");
    assert_without_rights(sensor.id());
    assert!(ready["memory_bytes"].as_u64() > Some(0), "{ready:#}");
    assert!(scrape(hub, 9470).contains(&format!("lockkeeper_confinement{{level=\"{level}\"}} 1.0")));

    let text = std::fs::read_to_string(policy).expect("a policy");
    // Editors replace a file by renaming another one.
    std::fs::write(policy.with_extension("new"), format!("{text}\n[zoen.x]\n")).expect("written");
    std::fs::rename(policy.with_extension("new"), policy).expect("replaced");
    wait_for(&alert_file, "the rejection", |alert| alert["rule"] == "policy.rejected");
    std::fs::write(policy, text.replace("{ op = \"write\"", "{ op = \"time\"")).expect("written");
    sensor.signal(Signal::HUP);
    wait_for(&alert_file, "the change", |alert| alert["rule"] == "policy.changed");

    hub.ip(&["link", "set", "span", "down"]);
    let gone = wait_for(&alert_file, "the interface", |alert| alert["rule"] == "own.interface-gone");
    assert!(gone["message"].as_str().is_some_and(|message| message.contains("switched off")), "{gone}");
    hub.ip(&["link", "set", "span", "up"]);
    wait_for(&alert_file, "the interface", |alert| alert["rule"] == "own.interface-back");
    let heard = |log: &Value| log["interfaces"][0]["packets"].as_u64().unwrap_or(0);
    let so_far = heard(&place.status().1);
    hub.send("send", &packets());
    place.eventually("hearing again", |code, log| code == Some(0) && heard(log) > so_far);
    assert_without_rights(sensor.id());
    let (status, log) = sensor.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!place.file("status.json").exists(), "it took its status away");
    for folder in ["evidence", "recording"] {
        let kept = std::fs::read_dir(place.file(folder)).expect("it was made").count();
        assert!(kept > 0, "nothing is in {folder}: {log}");
    }
    drop(broker);
}

#[test]
fn a_confined_process_can_do_only_what_it_needs() {
    let Some(hub) = Hub::new(&["span"]) else { return };
    hub.ip(&["link", "set", "lo", "up"]);
    let before = hub.frames_sent_by("span");
    let mut command = hub.command(&std::env::current_exe().expect("this test"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    command.args(["--ignored", "--exact", tries::NAME, "--nocapture"]).env(tries::FOLDER, folder.path());
    let output = command.output().expect("it starts");
    let log = String::from_utf8_lossy(&output.stdout).into_owned();
    let came_of = |line: &str| {
        let (name, number) = line.strip_prefix("tried ")?.split_once(": ")?;
        Some((name.to_owned(), number.to_owned()))
    };
    let tried: BTreeMap<String, String> = log.lines().filter_map(came_of).collect();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(tried.len(), tries::EXPECTED.len(), "it ended before it had tried all: {log}{errors}");
    let has_landlock = tried[tries::LANDLOCK] == "0";
    if !has_landlock {
        missing(LANDLOCK, "confine() reports a lower level");
    }
    let expected = tries::EXPECTED.iter();
    for (what, number) in expected.filter(|(what, number)| has_landlock || !is_refused_by_landlock(what, *number)) {
        assert_eq!(tried[*what], number.to_string(), "{what}");
    }
    let sent = hub.frames_sent_by("span").map(|after| after - before[0]);
    assert_eq!(sent, [1, 1], "the one that shows that the test can send, before it is confined");
}

#[test]
fn a_recreated_interface_ends_a_sensor_so_that_it_is_restarted() {
    let Some(hub) = Hub::new(&["send", "span", "other"]) else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let alert_file = folder.path().join("alerts.jsonl");
    let policy = plant();
    let start = || Sensor::start(&hub, &[&"-i", &"other", &"-i", &"span", &"-p", &policy, &"-a", &alert_file]);
    let sensor = start();
    hub.ip(&["link", "del", "span"]);
    wait_for(&alert_file, "the interface", |alert| alert["rule"] == "own.interface-gone");
    // The sensor still captures on the other interface.
    hub.send("send", &packets());
    wait_for(&alert_file, "the write", |alert| alert["rule"] == "operation.undeclared");
    hub.plug("span");
    let (status, log) = sensor.ended();
    assert_eq!(status.code(), Some(2), "{log}");
    assert!(log.contains("error: span was deleted and made again") && log.contains("--no-confine"), "{log}");
    let back = wait_for(&alert_file, "the interface", |alert| alert["rule"] == "own.interface-back");
    assert!(back["message"].as_str().is_some_and(|message| message.contains("to be started again")), "{back}");
    let (status, log) = start().stop();
    assert_eq!(status.code(), Some(0), "it is captured again: {log}");
}

#[test]
fn a_sensor_with_confinement_switched_off_keeps_its_rights_and_logs_it() {
    let Some(hub) = Hub::new(&["span"]) else { return };
    let place = Place::new("");
    let config = place.file("lockkeeper.toml");
    let sensor = Sensor::start(&hub, &[&"--config", &config, &"--no-confine"]);
    let log = place.eventually("a status", |_, log| log["confinement"].is_object());
    assert_eq!(log["confinement"]["level"], "off");
    assert!(threads(sensor.id()).iter().all(|thread| thread["Seccomp"] == "0" && thread["NoNewPrivs"] == "0"));
    drop(sensor);
    let text = std::fs::read_to_string(&config).expect("written before");
    std::fs::write(&config, text.replace("[sensor]", "[sensor]\nconfine = false")).expect("written");
    let sensor = Sensor::start(&hub, &[&"--config", &config]);
    assert!(threads(sensor.id()).iter().all(|thread| thread["Seccomp"] == "0"));
}
