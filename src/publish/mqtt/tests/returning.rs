//! A broker that was away, or hung, and is back.

use super::endurance::eventually;
use super::*;

#[test]
fn a_backlog_begins_to_drain_within_seconds_of_the_return_of_a_long_absent_broker() {
    let port = free_port();
    let mut mqtt = Mqtt::start(Settings::new(&format!("mqtt://127.0.0.1:{port}"), "site", "sensor").expect("valid"))
        .expect("started");
    let shared = Arc::clone(&mqtt.shared);
    publish(&mut mqtt, 0..100);
    // Pauses of up to 0.25, 0.5, 1, 2 and 4 s; then the longest.
    std::thread::sleep(Duration::from_secs(2));
    let Some(_broker) = Mosquitto::start(port, "") else { return };
    let back = Instant::now();
    eventually(&shared, |health| health.delivered == 100);
    assert!(back.elapsed() < Duration::from_secs(6), "{:?}", back.elapsed());
    mqtt.finish().expect("delivered");
}

#[test]
fn no_pause_is_longer_than_some_seconds() {
    let settings = Settings::new("mqtt://localhost", "site", "sensor").expect("valid");
    assert!(settings.longest_pause <= Duration::from_secs(5) && settings.first_pause < Duration::from_secs(1));
    assert!(settings.connect_timeout <= Duration::from_secs(5));
}

#[test]
fn a_dead_connection_that_was_not_closed_is_detected_and_replaced() {
    for options in ["", "?version=3.1.1"] {
        let mut seen = 0;
        let fake = Fake::start(move |_| {
            seen += 1;
            if seen == 1 { Answer::Freeze } else { Answer::Take }
        });
        let mut settings = settings(fake.port, options);
        settings.keep_alive = Duration::from_millis(200);
        let mut mqtt = Mqtt::start(settings).expect("started");
        let shared = Arc::clone(&mqtt.shared);
        publish(&mut mqtt, 0..1);
        let lost = eventually(&shared, |health| health.connections == 1 && !health.connected);
        assert!(lost.reason.is_some_and(|why| why.starts_with("nothing was heard of the broker for 1 s")));
        assert_eq!(lost.overdue, 0);
        eventually(&shared, |health| health.connections == 2 && health.delivered == 1);
        mqtt.finish().expect("delivered");
    }
}

#[test]
fn an_idle_connection_is_kept_while_the_broker_answers_pings() {
    let fake = Fake::start(|_| Answer::Take);
    let mut settings = settings(fake.port, "");
    settings.keep_alive = Duration::from_millis(50);
    let mut mqtt = Mqtt::start(settings).expect("started");
    std::thread::sleep(Duration::from_millis(1300));
    publish(&mut mqtt, 0..1);
    let health = eventually(&mqtt.shared, |health| health.delivered == 1);
    assert_eq!(health.connections, 1);
    mqtt.finish().expect("delivered");
}

#[test]
fn a_broker_is_reached_at_a_second_address_if_the_first_swallows_packets() {
    let Some((_kept, swallows)) = unresponsive() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let answers = listener.local_addr().expect("bound");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let reached = runtime.block_on(connection::connect_to(&[swallows, answers], Duration::from_secs(2)));
    assert_eq!(reached.and_then(|stream| stream.peer_addr().map_err(|error| error.to_string())), Ok(answers));
    let reached = runtime.block_on(connection::connect_to(&[swallows], Duration::from_millis(200)));
    assert_eq!(reached.err(), Some(format!("no answer from {swallows} within 0.2 s")));
}

/// An address that neither accepts a further connection nor refuses it, as long as what comes with it is kept. `None` where
/// the system has no such thing and that is allowed.
pub(super) fn unresponsive() -> Option<(Vec<std::net::TcpStream>, std::net::SocketAddr)> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("bound");
    // The system puts as many connections as this into the backlog, and then does not answer.
    rustix::net::listen(&listener, 1).expect("a smaller backlog");
    std::mem::forget(listener);
    let connect = || std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok();
    let kept: Vec<_> = std::iter::from_fn(connect).take(64).collect();
    if kept.len() == 64 {
        missing(BACKLOG, "64 connections were accepted");
        return None;
    }
    Some((kept, address))
}
