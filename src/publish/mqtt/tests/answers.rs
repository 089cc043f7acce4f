//! The answers of a broker to a record, and their effects.

use super::endurance::eventually;
use super::*;

/// A sensor that publishes these alerts; returns its health once all of them are settled.
fn settled(fake: &Fake, numbers: std::ops::Range<u64>, change: impl FnOnce(&mut Settings)) -> (Mqtt, SinkHealth) {
    let mut settings = settings(fake.port, "");
    change(&mut settings);
    let mut mqtt = Mqtt::start(settings).expect("started");
    let number = numbers.end - numbers.start;
    publish(&mut mqtt, numbers);
    let health = eventually(&mqtt.shared, |health| health.delivered + health.refused == number);
    (mqtt, health)
}

#[test]
fn a_record_refused_for_good_is_counted_and_not_delivered() {
    // Not authorized, topic name invalid, packet too large (as mosquitto says it), payload format invalid.
    for (reason, words) in
        [(0x87, "not authorized"), (0x90, "topic name"), (0x95, "too large"), (0x99, "payload format")]
    {
        let fake =
            Fake::start(move |payload| if payload.contains('7') { Answer::Refuse(reason) } else { Answer::Take });
        let (mut mqtt, health) = settled(&fake, 0..10, |_| {});
        assert_eq!((health.refused, health.retried, health.connections), (1, 0, 1), "{health:?}");
        assert_eq!(mqtt.lost(), 1);
        let error = mqtt.finish().expect_err("one was refused").to_string();
        assert!(error.contains("9 alert records delivered, 1 not: refused: ") && error.contains(words), "{error}");
        assert_eq!(mqtt.lost(), 1);
    }
}

#[test]
fn a_temporarily_refused_record_is_sent_until_it_is_accepted() {
    // Unspecified error, implementation specific error, packet identifier in use, quota exceeded.
    for reason in [0x80, 0x83, 0x91, 0x97] {
        let mut refusals = 3;
        let fake = Fake::start(move |payload| {
            if payload.contains('7') && refusals > 0 {
                refusals -= 1;
                return Answer::Refuse(reason);
            }
            Answer::Take
        });
        let (mut mqtt, health) = settled(&fake, 0..10, |settings| settings.first_pause = Duration::from_millis(40));
        assert_eq!((health.refused, health.retried, health.connections), (0, 3, 1), "{health:?}");
        assert_eq!(health.stalled, None);
        assert_eq!(mqtt.finish().expect("delivered"), Delivered { records: 10 });
        assert_eq!(fake.taken(), payloads(0..10));
    }
}

#[test]
fn a_broker_whose_quota_is_exceeded_is_stalled_until_it_accepts_a_record() {
    let is_full = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let full = Arc::clone(&is_full);
    let mut asked = Vec::new();
    let fake = Fake::start(move |_| {
        asked.push(Instant::now());
        if full.load(std::sync::atomic::Ordering::SeqCst) { Answer::Refuse(0x97) } else { Answer::Take }
    });
    let mut mqtt = Mqtt::start(settings(fake.port, "")).expect("started");
    publish(&mut mqtt, 0..100);
    let shared = Arc::clone(&mqtt.shared);
    let stalled = eventually(&shared, |health| health.stalled.is_some());
    assert!(stalled.connected && stalled.stalled.is_some_and(|why| why.contains("quota exceeded (0x97)")));
    std::thread::sleep(Duration::from_millis(300));
    // 64 places, at once and after pauses of 0.05 to 0.1 s, 0.1 to 0.2 s, 0.2 to 0.4 s.
    let retried = shared.health().retried;
    assert!((64..=64 * 4).contains(&retried), "{retried}");
    is_full.store(false, std::sync::atomic::Ordering::SeqCst);
    let taken = eventually(&shared, |health| health.delivered == 100);
    assert_eq!((taken.stalled, taken.refused, taken.connections), (None, 0, 1));
    mqtt.finish().expect("delivered");
}

#[test]
fn a_record_whose_acknowledgement_does_not_come_is_sent_again_on_another_connection() {
    for options in ["", "?version=3.1.1"] {
        let mut seen = BTreeSet::new();
        let fake = Fake::start(move |payload| {
            let is_first = seen.insert(payload.to_owned());
            if payload.contains('7') && is_first { Answer::Nothing } else { Answer::Take }
        });
        let mut settings = settings(fake.port, options);
        settings.ack_timeout = Duration::from_millis(300);
        let mut mqtt = Mqtt::start(settings).expect("started");
        publish(&mut mqtt, 0..10);
        let shared = Arc::clone(&mqtt.shared);
        let stalled = eventually(&shared, |health| health.stalled.is_some());
        let expected = "the broker did not acknowledge a record within 0.3 s; it is sent again";
        assert_eq!(stalled.stalled.as_deref(), Some(expected));
        let health = eventually(&shared, |health| health.delivered == 10);
        assert_eq!((health.overdue, health.connections, health.stalled), (1, 2, None));
        assert_eq!(mqtt.finish().expect("delivered"), Delivered { records: 10 });
        assert_eq!(fake.taken(), payloads(0..10));
    }
}

#[test]
fn an_unexpected_acknowledgement_is_counted_and_does_not_end_the_connection() {
    for options in ["", "?version=3.1.1"] {
        let fake = Fake::start(|_| Answer::TakeAndMore);
        let mut mqtt = Mqtt::start(settings(fake.port, options)).expect("started");
        publish(&mut mqtt, 0..200);
        let shared = Arc::clone(&mqtt.shared);
        let health = eventually(&shared, |health| health.delivered == 200 && health.unexpected == 600);
        assert_eq!(health.connections, 1);
        mqtt.finish().expect("delivered");
        assert_eq!(fake.taken(), payloads(0..200));
    }
}

#[test]
fn a_record_for_which_the_broker_ends_connections_does_not_block_the_others() {
    // DISCONNECT: packet too large.
    let fake = Fake::start(|payload| if payload == "{\"n\":7}" { Answer::Disconnect(0x95) } else { Answer::Take });
    let (mut mqtt, health) = settled(&fake, 0..30, |settings| settings.first_pause = Duration::from_millis(10));
    assert_eq!((health.delivered, health.refused), (29, 1), "{health:?}");
    let error = mqtt.finish().expect_err("one was refused").to_string();
    assert!(
        error.ends_with("1 not: the broker ends the connection when it is sent: packet too large (0x95)"),
        "{error}"
    );
    assert!(!fake.taken().contains("{\"n\":7}"));
}

#[test]
fn mosquitto_refuses_oversized_records_and_accepts_the_rest_over_the_same_connection() {
    let Some(broker) = Mosquitto::start(free_port(), "message_size_limit 1000\n") else { return };
    let mut mqtt = Mqtt::connect(settings(broker.port, "")).expect("connected");
    publish(&mut mqtt, 0..5);
    mqtt.publish(&Rendered { json: vec![b'x'; 2_000], ..alert(0) }).expect("handed over");
    publish(&mut mqtt, 5..10);
    let error = mqtt.finish().expect_err("one is too large").to_string();
    assert!(error.ends_with("10 alert records delivered, 1 not: refused: packet too large (0x95)"), "{error}");
    assert_eq!(mqtt.shared.health().connections, 1);
}
