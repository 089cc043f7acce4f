//! A sensor continues without its broker.

use super::*;

fn started(port: u16, options: &str) -> Mqtt {
    Mqtt::start(settings(port, options)).expect("started")
}

/// Waits until the health meets a condition.
pub(super) fn eventually(shared: &Shared, condition: impl Fn(&SinkHealth) -> bool) -> SinkHealth {
    let begun = Instant::now();
    loop {
        let health = shared.health();
        if condition(&health) {
            return health;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{health:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_broker_that_goes_away_twice_loses_no_record_that_fits_the_queue_and_the_rest_is_counted() {
    for options in ["", "?version=3.1.1"] {
        let port = free_port();
        let mut settings = settings(port, options);
        settings.queue = 200;
        let (queue, window) = (settings.queue as u64, u64::from(settings.window));
        let mut mqtt = Mqtt::start(settings).expect("started");
        let shared = Arc::clone(&mqtt.shared);
        let mut given = 0;
        let mut received = BTreeSet::new();
        for _ in 0..2 {
            // Away: what is handed over waits, up to the queue and what is on its way.
            let begun = Instant::now();
            eventually(&shared, |health| !health.connected);
            publish(&mut mqtt, given..given + 1000);
            given += 1000;
            assert!(begun.elapsed() < Duration::from_secs(10), "a sensor does not wait");
            let away = shared.health();
            assert!((queue..=queue + window).contains(&away.backlog), "{away:?}");
            assert!(away.reason.is_some());

            // Back: everything that waited arrives.
            let Some(broker) = Mosquitto::start(port, "") else { return };
            let mut subscriber = Subscriber::start(port, &[]);
            let back = eventually(&shared, |health| health.connected && health.backlog == 0);
            assert_eq!((back.delivered + back.dropped, back.refused), (given, 0), "{back:?}");
            while (received.len() as u64) < back.delivered {
                let (topic, payload) = subscriber.message();
                if topic.ends_with("/violation/high") {
                    received.insert(payload);
                }
            }
            assert_eq!(received.len() as u64, back.delivered, "each at least once");
            drop((broker, subscriber));
        }
        eventually(&shared, |health| !health.connected);
        let _broker = Mosquitto::start(port, "").expect("started again");
        eventually(&shared, |health| health.connected);
        publish(&mut mqtt, given..given + 10);
        let dropped = shared.health().dropped;
        let error = mqtt.finish().expect_err("some were dropped").to_string();
        assert!(error.ends_with(&format!("{dropped} not: the queue was full, and {dropped} were dropped")), "{error}");
        assert!(shared.health().connections >= 3);
    }
}

#[test]
fn a_broker_that_is_restarted_under_load_gets_every_record_at_least_once() {
    let port = free_port();
    let Some(broker) = Mosquitto::start(port, "") else { return };
    let mut mqtt = started(port, "");
    let shared = Arc::clone(&mqtt.shared);
    eventually(&shared, |health| health.connected);
    let mut restarted = None;
    let mut old = Some(broker);
    for number in 0..600 {
        publish(&mut mqtt, number..number + 1);
        std::thread::sleep(Duration::from_millis(1));
        if number == 200 {
            drop(old.take());
        }
        if number == 400 {
            restarted = Mosquitto::start(port, "");
        }
    }
    assert!(restarted.is_some());
    assert_eq!(mqtt.finish().expect("delivered"), Delivered { records: 600 });
    let end = shared.health();
    assert_eq!((end.delivered, end.dropped, end.backlog), (600, 0, 0));
}

#[test]
fn a_sensor_that_is_asked_to_stop_waits_for_an_absent_broker_only_for_its_timeout() {
    let mut settings = settings(free_port(), "");
    settings.give_up_after = Some(Duration::from_millis(700));
    let mut mqtt = Mqtt::start(settings).expect("started");
    publish(&mut mqtt, 0..5);
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(mqtt.shared.health().backlog, 5, "nothing is given up while the sensor runs");
    let begun = Instant::now();
    let error = mqtt.finish().expect_err("no broker").to_string();
    assert!(error.contains("0 alert records delivered, 5 not: connection refused"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn queued_records_take_up_no_more_bytes_than_configured() {
    let mut settings = settings(free_port(), "");
    settings.queue_bytes = 10_000;
    settings.give_up_after = Some(Duration::from_millis(1));
    let mut mqtt = Mqtt::start(settings).expect("started");
    let large = Rendered { json: vec![b'x'; 3_000], ..alert(0) };
    (0..10).for_each(|_| mqtt.publish(&large).expect("never an error"));
    let health = mqtt.shared.health();
    assert_eq!((health.backlog, health.dropped), (3, 7));
}

#[test]
fn status_and_metrics_are_published_and_a_new_connection_begins_with_the_latest_status() {
    let port = free_port();
    let mut mqtt = started(port, "");
    let shared = Arc::clone(&mqtt.shared);
    shared.announce(b"{\"state\":\"starting\"}");
    let Some(_broker) = Mosquitto::start(port, "") else { return };
    eventually(&shared, |health| health.connected);
    let mut subscriber = Subscriber::start(port, &[]);
    let status = "lockkeeper/lock-east/lock-east-1/status".to_owned();
    assert_eq!(subscriber.message(), (status.clone(), "{\"state\":\"starting\"}".to_owned()), "retained");
    shared.announce(b"{\"state\":\"ready\"}");
    assert_eq!(subscriber.message(), (status.clone(), "{\"state\":\"ready\"}".to_owned()));
    shared.publish_metrics(b"{\"packets\":1}");
    let metrics = "lockkeeper/lock-east/lock-east-1/metrics".to_owned();
    assert_eq!(subscriber.message(), (metrics, "{\"packets\":1}".to_owned()));
    let mut late = Subscriber::start(port, &[]);
    assert_eq!(late.message(), (status, "{\"state\":\"ready\"}".to_owned()), "retained, and metrics are not");
    mqtt.finish().expect("nothing was given");
    assert!(subscriber.message().1.contains("\"status\":\"offline\""));
}

#[test]
fn the_time_to_the_acknowledgement_is_measured_for_first_records() {
    let fake = Fake::start(|_| Answer::Take);
    let mut mqtt = started(fake.port, "");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let latency_start = Some(now.as_nanos() as i64 - 5_000_000);
    mqtt.publish(&Rendered { latency_start, ..alert(0) }).expect("handed over");
    mqtt.publish(&alert(1)).expect("handed over");
    let shared = Arc::clone(&mqtt.shared);
    eventually(&shared, |_| shared.latency().count > 0);
    let latency = shared.latency();
    assert_eq!(latency.count, 1, "an update is no latency_start");
    assert!(latency.max >= 4_900_000, "{latency:?}");
    mqtt.finish().expect("delivered");
}

#[test]
fn a_broker_that_accepts_and_soon_closes_connections_is_retried_with_pauses() {
    let fake = Fake::start(|_| Answer::HangUp);
    let mut settings = settings(fake.port, "");
    settings.first_pause = Duration::from_millis(200);
    settings.give_up_after = Some(Duration::from_millis(1));
    let mut mqtt = Mqtt::start(settings).expect("started");
    publish(&mut mqtt, 0..1);
    std::thread::sleep(Duration::from_secs(3));
    // At once, then after 0.1 to 0.2 s, 0.2 to 0.4, 0.4 to 0.8, 0.8 to 1.6.
    let connections = mqtt.shared.health().connections;
    assert!((2..=6).contains(&connections), "{connections} connections");
    assert_eq!(mqtt.shared.health().backlog, 1, "the record is kept");
}
