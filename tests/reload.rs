//! A policy change during traffic loses no packet and no flow, and each alert names the policy of its verdict.
#![allow(clippy::disallowed_types, reason = "a test shares the collected alerts with the publisher")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use crossbeam_channel::Sender;
use lockkeeper::capture::{self, Block, Capture, Error, Packet, ReplaySettings, Source};
use lockkeeper::cli::{Cli, Command};
use lockkeeper::config;
use lockkeeper::pipeline::{self, ControlCommand, Outputs, Replayed, control_channel};
use lockkeeper::policy::Policy;
use lockkeeper::publish::{Delivered, PublishError, Publisher};
use lockkeeper::record::{Rendered, SensorAlert, SensorRule};
use serde_json::Value;
use support::{plant, root};

/// A source that delivers one packet a block and sends control commands before chosen packets.
struct Slow {
    packets: Vec<(Packet, Vec<u8>)>,
    captures: Vec<Capture>,
    next: usize,
    commands: Vec<(usize, ControlCommand)>,
    control: Sender<ControlCommand>,
}

impl Source for Slow {
    fn fill(&mut self, block: &mut Block) -> Result<bool, Error> {
        block.clear();
        // A command sent while the pipeline waits for a block is executed before the block.
        while self.commands.first().is_some_and(|(before, _)| *before == self.next) {
            self.control.send(self.commands.remove(0).1).expect("room");
        }
        let Some((packet, bytes)) = self.packets.get(self.next) else { return Ok(false) };
        block.bytes.clone_from(bytes);
        block.packets.push(Packet { offset: 0, ..*packet });
        self.next += 1;
        Ok(true)
    }

    fn captures(&self) -> &[Capture] {
        &self.captures
    }

    fn progress(&self) -> (u64, Option<u64>) {
        (0, None)
    }
}

/// Collects the published alerts.
struct Collector(Arc<Mutex<Vec<Value>>>);

impl Publisher for Collector {
    fn publish(&mut self, alert: &Rendered) -> Result<(), PublishError> {
        self.0.lock().expect("no panic").push(serde_json::from_slice(&alert.json).expect("JSON"));
        Ok(())
    }

    fn finish(&mut self) -> Result<Delivered, PublishError> {
        Ok(Delivered::default())
    }
}

/// Watches a capture with commands, each before a packet; returns the alerts and the final counts.
fn watch(
    capture: &str,
    policy: &Arc<Policy>,
    workers: usize,
    commands: Vec<(usize, ControlCommand)>,
) -> (Vec<Value>, Replayed) {
    let path = root().join("pcaps").join(capture);
    let mut source = capture::open(&[path], &ReplaySettings::default()).expect("a capture");
    let (mut block, mut packets) = (Block::default(), Vec::new());
    while source.fill(&mut block).expect("readable") {
        packets.extend(block.packets.iter().map(|packet| (*packet, block.bytes_of(packet).to_vec())));
    }
    let (control, port) = control_channel();
    let mut slow = Slow { packets, captures: source.captures().to_vec(), next: 0, commands, control: control.commands };
    let typed = <Cli as clap::Parser>::parse_from(["lockkeeper", "replay", "-"]);
    let Command::Replay(typed) = typed.command else { unreachable!("it is a replay") };
    let mut settings = config::pipeline(&typed, policy, vec![capture.to_owned()], false).expect("settings");
    settings.workers = workers;
    let alerts = Arc::default();
    let mut outputs = Outputs::default();
    outputs.publishers.push(Box::new(Collector(Arc::clone(&alerts))));
    let watched = pipeline::watch(&mut slow, policy, &settings, &mut outputs, &port);
    let alerts = alerts.lock().expect("no panic").clone();
    (alerts, watched)
}

fn load(path: &Path) -> Arc<Policy> {
    Arc::new(Policy::load(path).expect("a sound policy"))
}

/// The plant's policy with `to` in place of `from`.
fn changed(from: &str, to: &str) -> Arc<Policy> {
    let text = std::fs::read_to_string(plant()).expect("a policy");
    assert!(text.contains(from), "{from} is not in the policy");
    Arc::new(Policy::parse("plant.toml", &text.replace(from, to)).expect("a sound policy"))
}

/// The identity of a violation, independent of policy and time.
fn subject(alert: &Value) -> String {
    let hosts = ["client", "server"].map(|end| alert[end]["ip"].to_string());
    let operation = ["function", "target"].map(|part| alert["operation"][part].to_string());
    format!("{} {} {hosts:?} {operation:?}", alert["rule"], alert["conduit"])
}

#[test]
fn loading_the_same_policy_again_only_reports_violations_again() {
    let policy = load(&plant());
    for workers in [1, 3] {
        let (plain, plainly) = watch("day.pcapng", &policy, workers, Vec::new());
        let again = [700, 1500, 2300].map(|packet| (packet, ControlCommand::Policy(load(&plant()))));
        let (alerts, watched) = watch("day.pcapng", &policy, workers, again.into());
        assert_eq!(watched.counters.packets, plainly.counters.packets);
        assert_eq!(watched.counters.flows, plainly.counters.flows);
        assert_eq!(watched.counters.operations(), plainly.counters.operations());
        assert_eq!(watched.counters.outcomes, plainly.counters.outcomes);
        assert_eq!(watched.counters.losses, plainly.counters.losses);
        let subjects = |alerts: &[Value]| alerts.iter().map(subject).collect::<BTreeSet<_>>();
        assert_eq!(subjects(&alerts), subjects(&plain), "{workers} workers");
    }
}

#[test]
fn operations_permitted_only_by_the_old_policy_are_reported_after_the_change() {
    let strict = changed("{ op = \"write\"", "{ op = \"time\"");
    let (before, _) = watch("normal-polling.pcap", &load(&plant()), 1, Vec::new());
    assert!(before.iter().all(|alert| alert["kind"] != "violation"), "{before:#?}");
    let (alerts, watched) =
        watch("normal-polling.pcap", &load(&plant()), 1, vec![(100, ControlCommand::Policy(Arc::clone(&strict)))]);
    let violations: Vec<_> = alerts.iter().filter(|alert| alert["kind"] == "violation").collect();
    assert!(!violations.is_empty(), "writes go on after packet 100");
    for alert in violations {
        assert_eq!(alert["policy"]["sha256"], *strict.sha256);
        assert!(alert["evidence"]["packet"].as_u64() > Some(100), "{alert}");
        let last = alerts.iter().rfind(|other| other["id"] == alert["id"]).expect("itself at least");
        assert_eq!(last["outcome"]["status"], "accepted", "{last}");
    }
    assert_eq!(watched.counters.losses.midstream_flows, 0, "conversations were not joined anew");
}

#[test]
fn an_alert_under_the_old_policy_still_gets_its_outcome() {
    let (plain, _) = watch("undeclared-write.pcap", &load(&plant()), 1, Vec::new());
    let first = plain.iter().find(|alert| alert["rule"] == "operation.undeclared").expect("a violation");
    let packet = first["evidence"]["packet"].as_u64().expect("a packet") as usize;
    // The policy changes between the request, which raises an alert, and its response.
    let free = ControlCommand::Policy(Arc::new(Policy::permissive()));
    let (alerts, _) = watch("undeclared-write.pcap", &load(&plant()), 1, vec![(packet, free)]);
    let last = alerts.iter().rfind(|alert| alert["id"] == first["id"]).expect("the same alert");
    assert_eq!(last["outcome"]["status"], "accepted", "{alerts:#?}");
    assert_eq!(last["policy"]["sha256"], first["policy"]["sha256"]);
    assert_eq!(alerts.iter().filter(|alert| alert["kind"] == "violation" && alert["revision"] == 1).count(), 1);
}

#[test]
fn a_conversation_that_no_flow_permits_any_more_is_reported_at_once() {
    let closed = changed("port     = 502", "port     = 503");
    let (alerts, watched) =
        watch("normal-polling.pcap", &load(&plant()), 2, vec![(100, ControlCommand::Policy(closed))]);
    let is_undeclared = |alert: &&Value| alert["rule"] == "flow.undeclared-protocol" && alert["operation"].is_null();
    let undeclared: Vec<_> = alerts.iter().filter(is_undeclared).collect();
    assert!(!undeclared.is_empty(), "{alerts:#?}");
    let counts: BTreeMap<_, _> =
        undeclared.iter().map(|alert| (alert["id"].to_string(), alert["count"].as_u64())).collect();
    let occurrences: u64 = counts.into_values().flatten().sum();
    assert!(occurrences <= watched.counters.flows, "each conversation is reported once: {undeclared:#?}");
    assert_eq!(watched.counters.losses.midstream_flows, 0);
}

#[test]
fn alerts_about_the_sensor_are_published_with_their_counts() {
    let own = |time| SensorAlert {
        rule: SensorRule::CaptureLoss,
        about: "eth1".to_owned(),
        time,
        message: "eth1 lost 3 packets.".to_owned(),
        measured: vec![("kernel_drops", 3)],
    };
    for workers in [1, 2] {
        let commands = vec![(10, ControlCommand::SensorAlert(own(1))), (20, ControlCommand::SensorAlert(own(2)))];
        let (alerts, _) = watch("normal-polling.pcap", &load(&plant()), workers, commands);
        let own: Vec<_> = alerts.iter().filter(|alert| alert["kind"] == "sensor").collect();
        assert_eq!(own.len(), 2, "at once, and at the end with its count");
        assert_eq!((&own[1]["rule"], &own[1]["count"]), (&"own.capture-loss".into(), &2.into()));
        assert_eq!(own[0]["id"], own[1]["id"]);
    }
}
