//! A fault around a sensor under traffic does not end it; its status and metrics report the fault.
#![allow(clippy::disallowed_methods, reason = "a test waits for other processes")]
#![allow(dead_code, reason = "what the live tests share can do more than is needed here")]

#[path = "live/network.rs"]
mod network;
#[path = "live/place.rs"]
mod place;
#[path = "live/sensor.rs"]
mod sensor;
mod support;

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use network::Hub;
use place::{Place, Process, has_reason, metric, scrape};
use rustix::process::Signal;
use sensor::Sensor;
use serde_json::Value;
use support::rewrite::{self, Packet};
use support::{lines, plant, root};

/// A hub whose namespace has a loopback interface for metrics and brokers.
fn hub() -> Option<Hub> {
    let hub = Hub::new(&["send", "span"])?;
    hub.ip(&["link", "set", "lo", "up"]);
    Some(hub)
}

fn day() -> Vec<Packet> {
    rewrite::read(&root().join("pcaps/day.pcapng"))
}

/// Sends the traffic of the day in a loop while `meanwhile` runs.
fn under_traffic<T>(hub: &Hub, meanwhile: impl FnOnce() -> T) -> T {
    /// Stops the traffic even if a test fails.
    struct Until<'a>(&'a AtomicBool);
    impl Drop for Until<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let (done, day) = (AtomicBool::new(false), day());
    thread::scope(|scope| {
        let _until = Until(&done);
        scope.spawn(|| {
            let parts = day.chunks(500).cycle().take_while(|_| !done.load(Ordering::Relaxed));
            parts.for_each(|part| hub.send("send", part));
        });
        meanwhile()
    })
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

/// The sum of all loss counters of an interface, packets.
fn lost(status: &Value) -> u64 {
    ["kernel_drops", "interface_drops", "channel_drops"].iter().map(|name| number(&status["interfaces"][0][name])).sum()
}

/// Waits until status and metrics count each of the `arrived` frames as judged or lost.
fn everything_is_accounted_for(hub: &Hub, place: &Place, arrived: u64) -> Value {
    let status = place.eventually("accounted for", |_, report| {
        let names = ["dropped_by_kernel", "dropped_by_interface", "dropped_by_channel"];
        let named: u64 = names.iter().map(|name| number(&report["losses"][name])).sum();
        number(&report["traffic"]["packets"]) + lost(report) == arrived && named == lost(report)
    });
    let page = scrape(hub, PORT);
    let dropped = |place: &str| {
        metric(&page, &format!("lockkeeper_interface_drops_total{{interface=\"span\",where=\"{place}\"}}"))
    };
    let lost: f64 = ["kernel", "interface", "channel"].into_iter().filter_map(dropped).sum();
    assert_eq!(metric(&page, "lockkeeper_packets_total").map(|judged| judged + lost), Some(arrived as f64), "{page}");
    status
}

#[test]
fn a_sensor_stopped_for_five_seconds_counts_its_losses_and_continues() {
    let Some(hub) = hub() else { return };
    let place = Place::new(METRICS);
    place.configure(|configuration| configuration.replace("ring_mib = 128", "ring_mib = 32"));
    let sensor = place.sensor(&hub);
    let before = hub.frames_received_by("span");
    under_traffic(&hub, || {
        let before = lost(&place.eventually("listening", |_, report| number(&report["traffic"]["packets"]) > 100));
        sensor.signal(Signal::STOP);
        thread::sleep(Duration::from_secs(5));
        sensor.signal(Signal::CONT);
        let degraded = place.eventually("degraded", |code, report| {
            code == Some(1) && has_reason(report, "capture.loss") && lost(report) > before
        });
        let page = scrape(&hub, PORT);
        assert_eq!(metric(&page, "lockkeeper_degraded_reason{reason=\"capture.loss\"}"), Some(1.0), "{page}");
        let then = number(&degraded["traffic"]["packets"]);
        place.eventually("going on", |_, report| number(&report["traffic"]["packets"]) > then + 500);
    });
    everything_is_accounted_for(&hub, &place, hub.frames_received_by("span") - before);
    let (status, report) = sensor.stop();
    assert_eq!(status.code(), Some(0), "{report}");
}

#[test]
fn an_interface_switched_off_and_on_under_traffic_is_reported_and_captured_again() {
    let Some(hub) = hub() else { return };
    let place = Place::new(METRICS);
    let sensor = place.sensor(&hub);
    let before = hub.frames_received_by("span");
    let listening = || metric(&scrape(&hub, PORT), "lockkeeper_interface_listening{interface=\"span\"}");
    under_traffic(&hub, || {
        place.eventually("ready", |code, report| code == Some(0) && number(&report["traffic"]["packets"]) > 100);
        assert_eq!(listening(), Some(1.0));
        hub.ip(&["link", "set", "span", "down"]);
        place.eventually("degraded", |code, report| code == Some(1) && has_reason(report, "interface.down"));
        assert_eq!(listening(), Some(0.0));
        hub.ip(&["link", "set", "span", "up"]);
        let back = place.eventually("ready again", |code, _| code == Some(0));
        assert_eq!(listening(), Some(1.0));
        let then = number(&back["traffic"]["packets"]);
        place.eventually("captured again", |_, report| number(&report["traffic"]["packets"]) > then + 500);
    });
    everything_is_accounted_for(&hub, &place, hub.frames_received_by("span") - before);
    let (status, report) = sensor.stop();
    assert_eq!(status.code(), Some(0), "{report}");
}

#[test]
fn a_policy_changed_under_traffic_loses_no_packet_and_no_flow() {
    let Some(hub) = hub() else { return };
    let place = Place::new(&format!("stats = \"stats.json\"\n{METRICS}"));
    let text = std::fs::read_to_string(plant()).expect("a policy");
    let policy = place.file("plant.toml");
    let write = |more: &str| std::fs::write(&policy, format!("{text}\n{more}\n")).expect("written");
    write("");
    place.configure(|configuration| configuration.replace(&format!("{:?}", plant()), "\"plant.toml\""));
    let sensor = place.sensor(&hub);
    let first = place.eventually("ready", |code, _| code == Some(0))["policy"]["sha256"].clone();
    let before = hub.frames_received_by("span");
    let done = AtomicBool::new(false);
    let reloads = thread::scope(|scope| {
        let reloads = scope.spawn(|| {
            let mut reloads = 0;
            while !done.load(Ordering::Relaxed) {
                reloads += 1;
                write(&format!("# {reloads}"));
                sensor.signal(Signal::HUP);
                thread::sleep(Duration::from_millis(200));
            }
            reloads
        });
        hub.send("send", &day());
        done.store(true, Ordering::Relaxed);
        reloads.join().expect("reloaded")
    });
    assert!(reloads > 5, "{reloads} reloads");
    let changed = place.eventually("changed", |code, report| code == Some(0) && report["policy"]["sha256"] != first);
    write("[zoen.x]");
    place.eventually("rejected", |code, report| code == Some(1) && has_reason(report, "policy.rejected"));
    assert_eq!(metric(&scrape(&hub, PORT), "lockkeeper_policy_rejected"), Some(1.0));
    std::fs::remove_file(&policy).expect("removed");
    place.eventually("gone", |_, report| report["reasons"].to_string().contains("it cannot be read"));
    write("# mended");
    let mended = place.eventually("mended", |code, report| code == Some(0) && report["policy"]["rejected"].is_null());
    assert_ne!(mended["policy"]["sha256"], changed["policy"]["sha256"]);
    assert_eq!(metric(&scrape(&hub, PORT), "lockkeeper_policy_rejected"), Some(0.0));
    let arrived = hub.frames_received_by("span") - before;
    assert_eq!(lost(&everything_is_accounted_for(&hub, &place, arrived)), 0);
    let (status, report) = sensor.stop();
    assert_eq!(status.code(), Some(0), "{report}");
    let replayed = support::replay(&root().join("pcaps/day.pcapng"), &[&"--alerts", &"/dev/null", &"--stats", &"-"]);
    let (live, replayed) =
        (&lines(&std::fs::read_to_string(place.file("stats.json")).expect("counts"))[0], &lines(&replayed)[0]);
    for counted in ["packets", "flows", "operations", "pdus"] {
        assert_eq!(live[counted], replayed[counted], "{counted}: nothing was joined in the middle");
    }
}

#[test]
fn a_broker_that_returns_gets_the_queued_alerts_and_the_rest_is_counted() {
    let Some(hub) = hub() else { return };
    let place = Place::new(&format!(
        "[mqtt]\nurl = \"mqtt://127.0.0.1:1883\"\nqueue = 30\n[limits]\nalert_interval = 0.5\n{METRICS}"
    ));
    let Some(broker) = Process::start(&hub, "mosquitto", &["-p", "1883"]) else { return };
    let sensor = place.sensor(&hub);
    let mqtt = |name: &str| metric(&scrape(&hub, PORT), &format!("lockkeeper_mqtt_{name}"));
    under_traffic(&hub, || {
        place.eventually("delivering", |_, report| number(&report["mqtt"]["delivered"]) > 0);
        drop(broker);
        let away = place.eventually("degraded", |code, report| {
            code == Some(1) && has_reason(report, "mqtt.disconnected") && has_reason(report, "mqtt.undelivered")
        });
        assert!(number(&away["mqtt"]["backlog"]) >= 30, "{away:#}");
        assert_eq!(mqtt("connected"), Some(0.0));
        assert!(mqtt("backlog") >= Some(30.0) && mqtt("dropped_total") > Some(0.0));
    });
    let _broker = Process::start(&hub, "mosquitto", &["-p", "1883"]).expect("started before");
    let written = || std::fs::read_to_string(place.file("alerts.jsonl")).expect("alerts").lines().count() as u64;
    let back = place.eventually("delivered", |_, report| {
        let [backlog, delivered, dropped] =
            ["backlog", "delivered", "dropped"].map(|name| number(&report["mqtt"][name]));
        report["mqtt"]["connected"] == true && backlog == 0 && delivered + dropped == written()
    });
    assert!(number(&back["mqtt"]["connections"]) > 1, "{back:#}");
    assert_eq!((mqtt("connected"), mqtt("backlog")), (Some(1.0), Some(0.0)));
    assert_eq!(lost(&back), 0, "a broker that is away is no reason to lose packets: {back:#}");
    let (status, report) = sensor.stop();
    assert_eq!(status.code(), Some(2), "the end reports what was dropped: {report}");
}

/// A sensor with more alerts than its window holds, and a broker that accepts the connection and sends nothing.
fn with_a_silent_broker(give_up_after: u64, meanwhile: impl FnOnce(&Hub, &Place, Sensor)) {
    let Some(hub) = hub() else { return };
    let place = Place::new(&format!(
        "stats = \"stats.json\"\n[mqtt]\nurl = \"mqtt://127.0.0.1:1883\"\ngive_up_after = {give_up_after}\n\
         [limits]\nalert_interval = 0.05\n{METRICS}"
    ));
    let _silent = hub.inside(|| TcpListener::bind("127.0.0.1:1883").expect("bound"));
    let sensor = place.sensor(&hub);
    under_traffic(&hub, || {
        place.eventually("more than its window", |_, report| number(&report["mqtt"]["backlog"]) > 200)
    });
    meanwhile(&hub, &place, sensor);
}

#[test]
fn a_sensor_whose_broker_never_answers_ends_in_time_and_counts_undelivered_alerts() {
    let terminate = |_: &Hub, sensor: &Sensor| sensor.signal(Signal::TERM);
    // A sensor cannot reopen a replaced interface: it ends, and a restarted one captures there.
    let replace = |hub: &Hub, _: &Sensor| {
        hub.ip(&["link", "del", "span"]);
        hub.plug("span");
    };
    for end in [&terminate as &dyn Fn(&Hub, &Sensor), &replace] {
        with_a_silent_broker(2, |hub, place, sensor| {
            end(hub, &sensor);
            let begun = Instant::now();
            let (status, report) = sensor.ended();
            assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
            assert_eq!(status.code(), Some(2), "{report}");
            let stats = std::fs::read_to_string(place.file("stats.json")).expect("counts");
            let lost = number(&lines(&stats)[0]["losses"]["output_not_written"]);
            assert!(
                lost > 200 && report.contains(&format!("0 alert records delivered, {lost} not: ")),
                "{lost}: {report}"
            );
            let written = std::fs::read_to_string(place.file("alerts.jsonl")).expect("alerts");
            assert_eq!(written.lines().count() as u64, lost, "the file has all of them");
        });
    }
}

#[test]
fn a_second_signal_ends_a_sensor_that_waits_for_its_broker() {
    with_a_silent_broker(60, |_, _, sensor| {
        sensor.signal(Signal::TERM);
        thread::sleep(Duration::from_millis(500));
        sensor.signal(Signal::TERM);
        let begun = Instant::now();
        assert_eq!(sensor.ended().0.code(), Some(2));
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    });
}

/// The port of the metrics; each hub has its own loopback interface.
const PORT: u16 = 9471;

const METRICS: &str = "[metrics]\nlisten = \"127.0.0.1:9471\"\n";
