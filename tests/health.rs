//! A running sensor reports its health to `lockkeeper status`, Prometheus, its broker and systemd.
#![allow(clippy::disallowed_methods, reason = "a test waits for other processes")]
#![allow(dead_code, reason = "the network of the live tests can do more than is needed here")]

#[path = "live/network.rs"]
mod network;
#[path = "live/place.rs"]
mod place;
#[path = "live/sensor.rs"]
mod sensor;
mod support;

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use network::Hub;
use place::{PATIENCE, Place, Process, has_reason, scrape};
use rustix::process::Signal;
use serde_json::Value;
use support::{require, rewrite, root};

#[test]
fn a_sensor_is_ready_while_it_captures_stale_after_a_kill_and_gone_after_a_stop() {
    let Some(hub) = Hub::new(&["send", "span"]) else { return };
    hub.ip(&["link", "set", "lo", "up"]);
    let place = Place::new("[metrics]\nlisten = \"127.0.0.1:9470\"\n");
    let sensor = place.sensor(&hub);
    hub.send("send", &rewrite::read(&root().join("pcaps/undeclared-write.pcap")));
    let ready = place.eventually("ready", |code, report| code == Some(0) && report["alerts"][0]["alerts"].is_u64());
    assert_eq!((&ready["sensor"], &ready["state"]), (&"lock-1".into(), &"ready".into()));
    assert_eq!(ready["interfaces"][0]["name"], "span");
    assert!(ready["traffic"]["packets"].as_u64() > Some(0), "{ready:#}");
    assert!(ready["latency"]["alert"]["count"].as_u64() > Some(0), "{ready:#}");

    let page = scrape(&hub, 9470);
    assert!(page.contains("lockkeeper_state{state=\"ready\"} 1.0"), "{page}");
    assert!(page.contains("lockkeeper_alerts_total{rule=\"operation.undeclared\",severity=\"high\"} "), "{page}");
    let body = page.split("\r\n\r\n").nth(1).expect("a body");
    for sample in body.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = sample.rsplit_once(' ').expect("name and value");
        assert!(name.starts_with("lockkeeper_") && value.parse::<f64>().is_ok(), "{sample}");
    }

    sensor.signal(Signal::KILL);
    let stale = place.eventually("stale", |code, _| code == Some(2));
    assert_eq!(stale["stale"], true);
    drop(sensor);

    let sensor = place.sensor(&hub);
    place.eventually("ready again", |code, _| code == Some(0));
    let (status, report) = sensor.stop();
    assert_eq!(status.code(), Some(0), "{report}");
    assert!(!place.file("status.json").exists());
    assert_eq!(place.status().0, Some(2));
}

#[test]
fn a_sensor_is_degraded_while_its_interface_is_down() {
    let Some(hub) = Hub::new(&["send", "span"]) else { return };
    let place = Place::new("");
    let _sensor = place.sensor(&hub);
    place.eventually("ready", |code, _| code == Some(0));
    hub.ip(&["link", "set", "span", "down"]);
    place.eventually("degraded", |code, report| code == Some(1) && has_reason(report, "interface.down"));
    hub.ip(&["link", "set", "span", "up"]);
    place.eventually("ready again", |code, _| code == Some(0));
}

#[test]
fn a_sensor_without_its_broker_is_degraded_and_a_killed_one_leaves_a_last_will() {
    let Some(hub) = Hub::new(&["send", "span"]) else { return };
    let Some(()) = require::mosquitto() else { return };
    hub.ip(&["link", "set", "lo", "up"]);
    let place = Place::new("[mqtt]\nurl = \"mqtt://127.0.0.1:1883\"\n[metrics]\nmqtt_interval = 1\n");
    let sensor = place.sensor(&hub);
    hub.send("send", &rewrite::read(&root().join("pcaps/undeclared-write.pcap")));
    let waiting = |report: &Value| report["mqtt"]["backlog"].as_u64() > Some(0);
    place.eventually("degraded", |code, report| {
        code == Some(1) && has_reason(report, "mqtt.disconnected") && waiting(report)
    });

    let broker = Process::start(&hub, "mosquitto", &["-p", "1883"]).expect("it is installed");
    let ready = place.eventually("ready", |code, report| code == Some(0) && !waiting(report));
    assert!(ready["mqtt"]["delivered"].as_u64() > Some(0), "{ready:#}");

    let retained = last_message(&hub, "lockkeeper/lock/lock-1/status", &["-C", "1"]);
    assert_eq!((&retained["status"], &retained["state"]), (&"online".into(), &"ready".into()), "retained");
    let counted = last_message(&hub, "lockkeeper/lock/lock-1/metrics", &["-C", "1"]);
    assert_eq!(counted["schema"], "lockkeeper/health/1");

    sensor.signal(Signal::KILL);
    drop(sensor);
    // The broker may take a while to detect the lost connection.
    let will = (0..100).map(|_| last_message(&hub, "lockkeeper/lock/lock-1/status", &["-C", "1"]));
    assert!(will.into_iter().any(|will| will["status"] == "offline"));
    drop(broker);
}

/// The last message that a short subscription to a topic receives.
fn last_message(hub: &Hub, topic: &str, options: &[&str]) -> Value {
    let arguments = [&["-h", "127.0.0.1", "-t", topic, "-W", "20"], options].concat();
    let process = Process::start(hub, "mosquitto_sub", &arguments).expect("it comes with mosquitto");
    let mut process = process;
    let mut text = String::new();
    process.0.stdout.take().expect("piped").read_to_string(&mut text).expect("a message");
    serde_json::from_str(text.trim()).expect("a message in time")
}

#[test]
fn the_sensor_notifies_systemd_of_ready_watchdog_and_stopping() {
    let Some(hub) = Hub::new(&["span"]) else { return };
    let place = Place::new("");
    let socket = place.file("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&socket).expect("a socket");
    manager.set_read_timeout(Some(PATIENCE)).expect("set");
    let mut command: Command = hub.command(Path::new(env!("CARGO_BIN_EXE_lockkeeper")));
    command.args(["watch", "--quiet", "--config"]).arg(place.file("lockkeeper.toml"));
    // `ip netns exec` executes the sensor in its own process, so that the process number stays the same.
    command.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "4000000").env_remove("WATCHDOG_PID");
    let sensor = Process(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started"));
    let heard = |expected: &str| {
        let mut buffer = [0; 4096];
        loop {
            let length = manager.recv(&mut buffer).expect(expected);
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.lines().any(|line| line.starts_with(expected)) {
                return text;
            }
        }
    };
    heard("READY=1");
    heard("STATUS=ready");
    heard("WATCHDOG=1");
    let pid = rustix::process::Pid::from_raw(sensor.0.id().cast_signed()).expect("a process");
    rustix::process::kill_process(pid, Signal::TERM).expect("signalled");
    heard("STOPPING=1");
}
