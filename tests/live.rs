//! A sensor on a network raises the same alerts as a replay of the same traffic, and sends no frame.
#![allow(clippy::disallowed_methods, reason = "a test waits for other processes")]

#[path = "live/network.rs"]
mod network;
#[path = "live/sensor.rs"]
mod sensor;
mod support;

use std::path::Path;

use network::{Hub, far};
use rustix::process::Signal;
use sensor::{Sensor, wait_for};
use serde_json::Value;
use support::rewrite::{self, Packet};
use support::{alerts, essence, lines, plant, root};

fn packets(capture: &str) -> Vec<Packet> {
    rewrite::read(&root().join("pcaps").join(capture))
}

/// Runs a sensor on a port during `send`; returns its alerts and those of a replay of the same traffic.
fn live_and_replayed(hub: &Hub, folder: &Path, arguments: &[&str], send: impl FnOnce()) -> (String, String) {
    let (alert_file, recorded) = (folder.join("alerts.jsonl"), folder.join("recorded.pcap"));
    let mut all: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&"--policy", &"rules/plant.toml", &"--alerts", &alert_file];
    all.extend(arguments.iter().map(|argument| argument as &dyn AsRef<std::ffi::OsStr>));
    let sensor = Sensor::start(hub, &all);
    hub.record("record", &recorded, send);
    let (status, log) = sensor.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    (std::fs::read_to_string(&alert_file).expect("alerts"), alerts(&recorded))
}

#[test]
fn a_sensor_raises_the_same_alerts_as_a_replay_of_the_same_traffic() {
    let Some(hub) = Hub::new(&["send", "span", "record"]) else { return };
    for capture in ["day.pcapng", "s7-attack.pcap", "opcua-attack.pcap", "vlan.pcap", "ip-fragments.pcap"] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let packets = packets(capture);
        let (live, replayed) = live_and_replayed(&hub, folder.path(), &["-i", "span"], || hub.send("send", &packets));
        assert!(!replayed.is_empty(), "{capture}: nothing was recorded");
        assert_eq!(essence(&live), essence(&replayed), "{capture}");
    }
}

#[test]
fn a_tap_with_one_interface_for_each_direction_gives_whole_conversations() {
    let Some(hub) = Hub::new(&[]) else { return };
    hub.cable("east");
    hub.cable("west");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (alert_file, recorded) = (folder.path().join("alerts.jsonl"), folder.path().join("recorded"));
    std::fs::create_dir(&recorded).expect("a folder");
    let packets = packets("s7-attack.pcap");
    // By hardware addresses: the destination precedes the source.
    let eastward = |packet: &Packet| usize::from(packet.bytes[..6] < packet.bytes[6..12]);
    let sensor = Sensor::start(&hub, &[&"-i", &"east", &"-i", &"west", &"-p", &"rules/plant.toml", &"-a", &alert_file]);
    hub.record("east", &recorded.join("east.pcap"), || {
        hub.record("west", &recorded.join("west.pcap"), || {
            hub.send_by(&[&far("east"), &far("west")], &packets, eastward);
        });
    });
    let (status, log) = sensor.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    let live = std::fs::read_to_string(&alert_file).expect("alerts");
    assert_eq!(essence(&live), essence(&alerts(&recorded)));
    assert!(live.contains("\"capture\":\"east\"") && live.contains("\"capture\":\"west\""), "{live}");
    assert!(!log.contains("one way flows") && !log.contains("dropped"), "{log}");
}

#[test]
fn a_sensor_reports_traffic_that_it_cannot_read() {
    let Some(hub) = Hub::new(&["send", "span"]) else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let alert_file = folder.path().join("alerts.jsonl");
    // MACsec, encrypted: flags, length, packet number, data.
    let frame =
        support::frames::ethernet(0x88E5, &support::frames::hex("0C 00 00000001 DEADBEEFDEADBEEFDEADBEEFDEADBEEF"));
    let packets: Vec<Packet> =
        (0..200).map(|number| Packet { time: number * 1_000_000, link: 1, bytes: frame.clone() }).collect();
    let sensor = Sensor::start(&hub, &[&"-i", &"span", &"-p", &"rules/plant.toml", &"-a", &alert_file]);
    hub.send("send", &packets);
    let (status, log) = sensor.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("Incomplete") && log.contains("MACsec (EtherType 0x88e5)"), "{log}");
    let alerts = lines(&std::fs::read_to_string(&alert_file).expect("alerts"));
    let unread = alerts.iter().find(|alert| alert["rule"] == "own.unread").expect("it is reported");
    assert_eq!(unread["about"], "span");
}

#[test]
fn a_sensor_sends_no_frame_from_start_to_end() {
    let Some(hub) = Hub::new(&["send", "span"]) else { return };
    let before = hub.frames_sent_by("span");
    let sensor = Sensor::start(&hub, &[&"-i", &"span", &"-p", &"rules/plant.toml"]);
    hub.send("send", &packets("undeclared-write.pcap"));
    let (status, log) = sensor.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("operation.undeclared"), "it saw nothing: {log}");
    assert_eq!(hub.frames_sent_by("span"), before);
    assert!(hub.frames_sent_by("send")[0] > 0, "the counter of frames does not count");
}

#[test]
fn an_unusable_interface_is_one_error_with_a_remedy() {
    let Some(hub) = Hub::new(&["span"]) else { return };
    hub.ip(&["link", "set", "span", "down"]);
    let cases: [(&[&str], &[&str]); 3] = [
        (&["-i", "span"], &["span: ", "ip link set dev span up"]),
        (&["-i", "spam"], &["spam: ", "`lockkeeper interfaces` lists"]),
        (&["-i", "hub", "--filter", "tcp prot 502"], &["hub: the filter `tcp prot 502`", "pcap-filter(7)"]),
    ];
    for (arguments, expected) in cases {
        let mut command = hub.command(Path::new(env!("CARGO_BIN_EXE_lockkeeper")));
        let output = command.arg("watch").args(arguments).env("NO_COLOR", "1").output().expect("the program starts");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
        assert!(expected.iter().all(|text| errors.contains(text)), "{errors}");
    }
}

#[test]
fn a_configuration_file_alone_runs_a_sensor() {
    let Some(hub) = Hub::new(&["send", "span"]) else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let policy = plant();
    let text = format!(
        "[sensor]\nname = \"lock-1\"\nsite = \"lock\"\npolicy = {policy:?}\nworkers = 2\n\
         [[interface]]\nname = \"span\"\nfilter = \"tcp\"\nring_mib = 8\n\
         [output]\nalerts = \"alerts.jsonl\"\nstats = \"stats.json\"\n[limits]\nmax_flows = 1000\n"
    );
    let config = folder.path().join("lockkeeper.toml");
    std::fs::write(&config, text).expect("written");
    let sensor = Sensor::start(&hub, &[&"--config", &config]);
    hub.send("send", &packets("undeclared-write.pcap"));
    let (status, log) = sensor.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    let alert_file = lines(&std::fs::read_to_string(folder.path().join("alerts.jsonl")).expect("alerts"));
    let named = |alert: &&Value| (alert["sensor"].as_str(), alert["site"].as_str()) == (Some("lock-1"), Some("lock"));
    assert!(!alert_file.is_empty() && alert_file.iter().all(|alert| named(&alert)), "{alert_file:#?}");
    let stats = std::fs::read_to_string(folder.path().join("stats.json")).expect("counts");
    assert_eq!(lines(&stats)[0]["captures"][0]["name"], "span");
}

#[test]
fn a_mistake_in_a_configuration_is_reported_with_its_place() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("lockkeeper.toml");
    std::fs::write(&config, "[[interface]]\nname = \"eth1\"\nsnap_lenght = 96\n").expect("written");
    let output = support::lockkeeper(&[&"watch", &"--config", &config]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("lockkeeper.toml:3:1") && errors.contains("snap_length"), "{errors}");
}

/// Starts a sensor on `span` that writes its alerts to a file.
fn watch_span(hub: &Hub, folder: &Path, policy: &Path, more: &[&str]) -> (Sensor, std::path::PathBuf) {
    let alert_file = folder.join("alerts.jsonl");
    let mut all: Vec<&dyn AsRef<std::ffi::OsStr>> =
        vec![&"-i", &"span", &"--policy", &policy, &"--alerts", &alert_file];
    all.extend(more.iter().map(|argument| argument as &dyn AsRef<std::ffi::OsStr>));
    (Sensor::start(hub, &all), alert_file)
}

fn rule<'a>(rule: &'a str) -> impl Fn(&Value) -> bool + 'a {
    move |alert| alert["rule"] == rule
}

#[test]
fn a_changed_policy_is_loaded_and_an_invalid_one_is_rejected() {
    let Some(hub) = Hub::new(&["send", "span"]) else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("plant.toml");
    let text = std::fs::read_to_string(plant()).expect("a policy");
    std::fs::write(&path, &text).expect("written");
    let before = hub.frames_sent_by("span");
    let (sensor, alert_file) = watch_span(&hub, folder.path(), &path, &[]);
    let polling = packets("normal-polling.pcap");
    hub.send("send", &polling[..100]);

    std::fs::write(&path, format!("{text}\n[zoen.x]\n")).expect("written");
    let rejected = wait_for(&alert_file, "the rejection", rule("policy.rejected"));
    assert_eq!((&rejected["kind"], &rejected["severity"]), (&"sensor".into(), &"high".into()));
    assert!(rejected["message"].as_str().is_some_and(|message| message.contains("zoen")), "{rejected}");

    std::fs::write(&path, text.replace("{ op = \"write\"", "{ op = \"time\"")).expect("written");
    sensor.signal(Signal::HUP);
    let changed = wait_for(&alert_file, "the change", rule("policy.changed"));
    assert_ne!(changed["policy"]["sha256"], rejected["policy"]["sha256"]);
    hub.send("send", &polling[100..]);
    let denied = wait_for(&alert_file, "the write", rule("operation.undeclared"));
    assert_eq!(denied["policy"]["sha256"], changed["policy"]["sha256"]);

    let (status, log) = sensor.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    let lost = |name: &str| log.contains(name);
    assert!(!lost("midstream") && !lost("gaps") && !lost("dropped"), "{log}");
    assert_eq!(hub.frames_sent_by("span"), before, "not one frame");
}

#[test]
fn a_missing_or_irregular_policy_file_is_reported_and_blocks_nothing() {
    let Some(hub) = Hub::new(&["send", "span"]) else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("plant.toml");
    std::fs::copy(plant(), &path).expect("copied");
    let (sensor, alert_file) = watch_span(&hub, folder.path(), &path, &[]);

    // This pipe has no writer.
    std::fs::remove_file(&path).expect("removed");
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).expect("made");
    let says = |text: &'static str| {
        move |alert: &Value| alert["message"].as_str().is_some_and(|message| message.contains(text))
    };
    let rejected = wait_for(&alert_file, "the rejection", says("it is a pipe, and no file"));
    assert_eq!((&rejected["rule"], &rejected["severity"]), (&"policy.rejected".into(), &"high".into()));
    hub.send("send", &packets("undeclared-write.pcap"));
    let denied = wait_for(&alert_file, "the write", rule("operation.undeclared"));
    assert_eq!(denied["policy"]["sha256"], rejected["policy"]["sha256"], "the policy in force stays");

    std::fs::remove_file(&path).expect("removed");
    wait_for(&alert_file, "the rejection", says("No such file or directory"));
    std::fs::copy(plant(), &path).expect("copied");
    let restored = wait_for(&alert_file, "the return", rule("policy.restored"));
    assert_eq!((&restored["kind"], &restored["severity"]), (&"sensor".into(), &"info".into()));
    assert_eq!(restored["policy"]["sha256"], rejected["policy"]["sha256"]);

    // The sensor also ends while the policy is a pipe.
    std::fs::remove_file(&path).expect("removed");
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).expect("made");
    sensor.signal(Signal::HUP);
    let (status, log) = sensor.stop();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[test]
fn an_unconfined_sensor_reopens_an_interface_that_was_removed() {
    let remove = |hub: &Hub| drop(hub.ip(&["link", "del", "span"]));
    assert_reported_and_captured_again(remove, |hub| hub.plug("span"), &["--no-confine"]);
}

#[test]
fn an_interface_switched_off_and_on_is_reported_and_captured_again() {
    let switch = |hub: &Hub, to| drop(hub.ip(&["link", "set", "span", to]));
    for more in [&[] as &[&str], &["--no-confine"]] {
        assert_reported_and_captured_again(|hub| switch(hub, "down"), |hub| switch(hub, "up"), more);
    }
}

/// Asserts that the loss and the return of an interface are reported, and that capture resumes.
fn assert_reported_and_captured_again(lose: impl Fn(&Hub), bring_back: impl Fn(&Hub), more: &[&str]) {
    let Some(hub) = Hub::new(&["send", "span"]) else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (sensor, alert_file) = watch_span(&hub, folder.path(), &plant(), more);
    lose(&hub);
    let gone = wait_for(&alert_file, "the interface", rule("own.interface-gone"));
    assert_eq!(gone["about"], "span");
    bring_back(&hub);
    wait_for(&alert_file, "the interface", rule("own.interface-back"));
    hub.send("send", &packets("undeclared-write.pcap"));
    wait_for(&alert_file, "the write", rule("operation.undeclared"));
    let (status, log) = sensor.stop();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[test]
fn a_sensor_stopped_for_five_seconds_continues_with_the_packets_in_the_ring() {
    let Some(hub) = Hub::new(&["send", "span", "record"]) else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let recorded = folder.path().join("recorded.pcap");
    let (sensor, alert_file) = watch_span(&hub, folder.path(), &plant(), &[]);
    let day = packets("day.pcapng");
    hub.record("record", &recorded, || {
        hub.send("send", &day[..1000]);
        sensor.signal(Signal::STOP);
        hub.send("send", &day[1000..1200]);
        std::thread::sleep(std::time::Duration::from_secs(5));
        sensor.signal(Signal::CONT);
        hub.send("send", &day[1200..]);
    });
    let (status, log) = sensor.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.contains("dropped"), "{log}");
    assert_eq!(essence(&std::fs::read_to_string(&alert_file).expect("alerts")), essence(&alerts(&recorded)));
}

#[test]
fn packets_in_the_ring_at_a_stop_are_judged() {
    let Some(hub) = Hub::new(&["send", "span"]) else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let stats = folder.path().join("stats.json");
    let (sensor, _) = watch_span(&hub, folder.path(), &plant(), &["--stats", stats.to_str().expect("UTF-8")]);
    let before = hub.frames_received_by("span");
    sensor.signal(Signal::STOP);
    // Without pauses: enough packets to fill the ring, more than one read takes.
    let at_once = |packet: Packet| Packet { time: 0, ..packet };
    let day: Vec<Packet> = packets("day.pcapng").into_iter().map(at_once).collect();
    (0..10).for_each(|_| hub.send("send", &day));
    sensor.signal(Signal::CONT);
    let (status, log) = sensor.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    let stats = &lines(&std::fs::read_to_string(&stats).expect("counts"))[0];
    let names = ["dropped_by_kernel", "dropped_by_interface", "dropped_by_channel"];
    let lost: u64 = names.iter().map(|name| stats["losses"][name].as_u64().expect("a count")).sum();
    let judged = stats["packets"].as_u64().expect("a count");
    assert_eq!(judged + lost, hub.frames_received_by("span") - before, "{lost} were lost");
}

#[test]
fn packets_dropped_by_a_full_ring_are_counted_and_reported() {
    let Some(hub) = Hub::new(&["send", "span"]) else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let stats = folder.path().join("stats.json");
    let more = ["--ring", "1", "--stats", stats.to_str().expect("UTF-8")];
    let (sensor, alert_file) = watch_span(&hub, folder.path(), &plant(), &more);
    let arrived = || hub.frames_received_by("span");
    let before = arrived();
    sensor.signal(Signal::STOP);
    let day = packets("day.pcapng");
    hub.send("send", &day);
    sensor.signal(Signal::CONT);
    let loss = wait_for(&alert_file, "the loss", rule("own.capture-loss"));
    assert!(loss["measured"]["kernel_drops"].as_u64() > Some(0), "{loss}");
    let (status, log) = sensor.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    let stats = &lines(&std::fs::read_to_string(&stats).expect("counts"))[0];
    let number = |value: &Value| value.as_u64().expect("a number");
    let seen = number(&stats["packets"]) + number(&stats["losses"]["dropped_by_kernel"]);
    assert_eq!(seen, arrived() - before, "every frame that arrived was judged or counted: {stats}");
    assert_eq!(arrived() - before, day.len() as u64);
}

#[test]
fn a_span_port_that_is_silent_or_mirrors_one_direction_is_reported() {
    let Some(hub) = Hub::new(&["send", "span"]) else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (sensor, alert_file) = watch_span(&hub, folder.path(), &plant(), &["--silent-after", "1"]);
    wait_for(&alert_file, "the silence", rule("own.capture-silent"));
    let one_way: Vec<_> =
        packets("day.pcapng").into_iter().filter(|packet| packet.bytes[..6] < packet.bytes[6..12]).collect();
    hub.send("send", &one_way);
    let found = wait_for(&alert_file, "the one direction", rule("own.capture-one-way"));
    assert_eq!(found["about"], "span");
    let (status, log) = sensor.stop();
    assert_eq!(status.code(), Some(0), "{log}");
}
