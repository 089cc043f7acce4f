//! Against a real mosquitto where one is installed, and against a broker of our own that misbehaves on demand.
#![expect(clippy::disallowed_methods, reason = "a test waits for real brokers in real time")]
#![expect(clippy::disallowed_types, reason = "the broker of the test is not on the packet path")]

mod answers;
mod endurance;
mod fake;
mod mosquitto;
mod returning;
mod stopping;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc as std_mpsc;
use std::time::{Duration, Instant};

use self::fake::{Answer, Fake};
use self::mosquitto::{Mosquitto, Subscriber};
use super::settings::Credentials;
use super::*;
use crate::publish::sink::SinkHealth;
use crate::publish::testing::alert;
use crate::require::{BACKLOG, MOSQUITTO, missing};

fn settings(port: u16, options: &str) -> Settings {
    let url = format!("mqtt://127.0.0.1:{port}{options}");
    let mut settings = Settings::new(&url, "lock-east", "lock-east-1").expect("valid");
    settings.first_pause = Duration::from_millis(100);
    settings
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}

fn publish(mqtt: &mut Mqtt, numbers: std::ops::Range<u64>) {
    numbers.for_each(|number| mqtt.publish(&alert(number)).expect("handed over"));
}

fn payloads(numbers: std::ops::Range<u64>) -> BTreeSet<String> {
    numbers.map(|number| format!("{{\"n\":{number}}}")).collect()
}

#[test]
fn a_subscriber_receives_every_alert_on_its_topic_with_either_version() {
    for options in ["", "?version=3.1.1"] {
        let Some(broker) = Mosquitto::start(free_port(), "") else { return };
        let mut mqtt = Mqtt::connect(settings(broker.port, options)).expect("connected");
        let mut subscriber = Subscriber::start(broker.port, &[]);
        let (topic, status) = subscriber.message();
        assert_eq!(topic, "lockkeeper/lock-east/lock-east-1/status");
        assert!(status.contains("\"status\":\"online\""), "{status}");

        publish(&mut mqtt, 0..500);
        assert_eq!(mqtt.finish().expect("delivered"), Delivered { records: 500 });
        for number in 0..500 {
            let expected =
                ("lockkeeper/lock-east/lock-east-1/violation/high".to_owned(), format!("{{\"n\":{number}}}"));
            assert_eq!(subscriber.message(), expected, "in order, once each");
        }
        assert!(subscriber.message().1.contains("\"status\":\"offline\""));
    }
}

#[test]
fn a_record_of_half_a_megabyte_passes() {
    for options in ["", "?version=3.1.1"] {
        let Some(broker) = Mosquitto::start(free_port(), "") else { return };
        let mut mqtt = Mqtt::connect(settings(broker.port, options)).expect("connected");
        let large = Rendered { json: vec![b'x'; 500_000], ..alert(0) };
        mqtt.publish(&large).expect("handed over");
        assert_eq!(mqtt.finish().expect("delivered"), Delivered { records: 1 });
    }
}

#[test]
fn a_broker_that_is_killed_and_forgets_everything_loses_nothing() {
    let port = free_port();
    let Some(broker) = Mosquitto::start(port, "") else { return };
    let mut settings = settings(port, "");
    settings.first_pause = Duration::from_secs(2);
    let mut mqtt = Mqtt::connect(settings).expect("connected");
    let mut subscriber = Subscriber::start(port, &[]);
    subscriber.message();
    publish(&mut mqtt, 0..100);
    let before: BTreeSet<String> = (0..100).map(|_| subscriber.message().1).collect();
    assert_eq!(before, payloads(0..100));

    drop((broker, subscriber));
    publish(&mut mqtt, 100..200);
    let _broker = Mosquitto::start(port, "").expect("started again");
    let mut subscriber = Subscriber::start(port, &[]);
    // Records whose acknowledgement was lost with the broker come twice: `message` ends the test if others never come.
    let mut missing = payloads(100..200);
    while !missing.is_empty() {
        missing.remove(&subscriber.message().1);
    }
    assert_eq!(mqtt.finish().expect("delivered"), Delivered { records: 200 });
}

#[test]
fn a_connection_lost_in_mid_burst_is_made_again_and_every_record_is_acknowledged() {
    for options in ["", "?version=3.1.1"] {
        // Drops the connection at every 30th message, unanswered ones included, and acknowledges the others.
        let mut seen = 0;
        let fake = Fake::start(move |_| {
            seen += 1;
            if seen % 30 == 0 { Answer::HangUp } else { Answer::Take }
        });
        let mut mqtt = Mqtt::connect(settings(fake.port, options)).expect("connected");
        publish(&mut mqtt, 0..200);
        assert_eq!(mqtt.finish().expect("delivered"), Delivered { records: 200 });
        assert_eq!(fake.taken(), payloads(0..200));
    }
}

#[test]
fn a_replay_gives_up_a_broker_whose_quota_stays_exceeded_and_reports_it() {
    let fake = Fake::start(|payload| if payload.contains('7') { Answer::Refuse(0x97) } else { Answer::Take });
    let mut settings = settings(fake.port, "");
    settings.give_up_after = Some(Duration::from_millis(500));
    let mut mqtt = Mqtt::connect(settings).expect("connected");
    publish(&mut mqtt, 0..10);
    let error = mqtt.finish().expect_err("one was refused").to_string();
    let expected = "9 alert records delivered, 1 not: refused for now: quota exceeded (0x97); it is tried again";
    assert!(error.ends_with(expected), "{error}");
}

#[test]
fn a_broker_that_stops_answering_is_given_up_and_the_rest_is_counted() {
    let mut left = 5;
    let fake = Fake::start(move |_| {
        left -= 1;
        if left >= 0 { Answer::Take } else { Answer::Nothing }
    });
    let mut settings = settings(fake.port, "");
    settings.give_up_after = Some(Duration::from_millis(500));
    settings.queue = 4;
    let mut mqtt = Mqtt::connect(settings).expect("connected");
    publish(&mut mqtt, 0..200);
    let error = mqtt.finish().expect_err("given up").to_string();
    let expected = "5 alert records delivered, 195 not: the broker acknowledged nothing for 0.5 s";
    assert!(error.ends_with(expected), "{error}");
}

#[test]
fn a_broker_that_is_gone_for_good_is_given_up_with_the_reason() {
    let fake = Fake::start(|_| Answer::Take);
    let mut settings = settings(fake.port, "");
    settings.give_up_after = Some(Duration::from_millis(500));
    let mut mqtt = Mqtt::connect(settings).expect("connected");
    drop(fake);
    publish(&mut mqtt, 0..3);
    let error = mqtt.finish().expect_err("given up").to_string();
    assert!(error.contains("0 alert records delivered, 3 not: connection refused"), "{error}");
}

#[test]
fn an_unreachable_broker_is_one_clear_error_within_seconds() {
    let port = free_port();
    let begun = Instant::now();
    let error = Mqtt::connect(settings(port, "")).err().expect("nobody listens").to_string();
    let expected = format!("MQTT broker 127.0.0.1:{port}: connection refused: no broker listens there");
    assert_eq!(error, expected);

    // Accepts connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").expect("bound");
    let mut settings = settings(silent.local_addr().expect("bound").port(), "");
    settings.connect_timeout = Duration::from_secs(1);
    let error = Mqtt::connect(settings).err().expect("nobody answers").to_string();
    assert!(error.contains("no answer"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_broker_that_requires_a_password_refuses_without_it_and_accepts_with_it() {
    let passwords = tempfile::NamedTempFile::new().expect("a temporary file");
    let made = Command::new("mosquitto_passwd").arg("-b").arg(passwords.path()).args(["guard", "lock"]).status();
    if !made.is_ok_and(|status| status.success()) {
        return missing(MOSQUITTO, "mosquitto_passwd is not installed");
    }
    let lines = format!("allow_anonymous false\npassword_file {}\n", passwords.path().display());
    let Some(broker) = Mosquitto::start(free_port(), &lines) else { return };
    for options in ["", "?version=3.1.1"] {
        let error = Mqtt::connect(settings(broker.port, options)).err().expect("no password given").to_string();
        assert!(error.contains("not authorised: check LOCKKEEPER_MQTT_USER"), "{error}");
        let variable = |name: &str| Some(if name.ends_with("_USER") { "guard".to_owned() } else { "lock".to_owned() });
        let mut settings = settings(broker.port, options);
        settings.credentials = Credentials::load(variable, None).expect("no file to read");
        let mut mqtt = Mqtt::connect(settings).expect("let in");
        publish(&mut mqtt, 0..3);
        assert_eq!(mqtt.finish().expect("delivered"), Delivered { records: 3 });
    }
}

#[test]
fn the_password_comes_from_a_file_if_one_is_given_and_shows_nowhere() {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    writeln!(file, "from-file").expect("written");
    let variable = |_: &str| Some("from-variable".to_owned());
    let loaded = Credentials::load(variable, Some(file.path())).expect("readable").expect("a user is set");
    assert_eq!(loaded.password, "from-file");
    assert!(!format!("{loaded:?}").contains("from-file"));
    assert_eq!(Credentials::load(|_| None, None).expect("nothing to read"), None);
    let missing = Credentials::load(variable, Some(Path::new("/nonexistent"))).expect_err("no such file");
    assert!(missing.to_string().starts_with("password file /nonexistent: "));
}
