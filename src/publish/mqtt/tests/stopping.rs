//! A sensor that is asked to stop ends within its timeout, even with a faulty broker.

use super::*;

/// The behaviour of a faulty broker.
#[derive(Clone, Copy, Debug)]
enum Rude {
    /// Its port is closed.
    Unreachable,
    /// Its host does not answer.
    Unresponsive,
    /// Accepts the connection and sends nothing.
    Silent,
    /// Accepts the connection and closes it.
    Closing,
    /// Refuses the client: MQTT 5, 0x87 not authorized.
    Refusing,
    /// Accepts the client and its status, and never acknowledges a record.
    NeverAcknowledging,
    /// Accepts the client and its status, and reads nothing more.
    Deaf,
    /// Each of the above in turns.
    InTurns,
}

const EACH: [Rude; 5] = [Rude::Silent, Rude::Closing, Rude::Refusing, Rude::NeverAcknowledging, Rude::Deaf];

/// Starts such a broker; returns its port. It lasts as long as the test program.
fn start(rude: Rude) -> u16 {
    match rude {
        Rude::Unreachable => return free_port(),
        Rude::Unresponsive => {
            return returning::unresponsive().map_or(free_port(), |(kept, address)| {
                std::mem::forget(kept);
                address.port()
            });
        }
        _ => {}
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for (turn, connection) in listener.incoming().enumerate() {
            let mut stream = connection.expect("a connection");
            let today = if let Rude::InTurns = rude { EACH[turn % EACH.len()] } else { rude };
            // Fails if the client is gone, which does not matter.
            let _ = treat(today, &mut stream);
            kept.push((!matches!(today, Rude::Closing)).then_some(stream));
        }
    });
    port
}

fn treat(rude: Rude, stream: &mut std::net::TcpStream) -> std::io::Result<()> {
    if let Rude::Silent | Rude::Closing = rude {
        return Ok(());
    }
    let _connect = fake::packet(stream)?;
    if let Rude::Refusing = rude {
        // CONNACK: no session, 0x87 not authorized, no properties.
        return stream.write_all(&[0x20, 3, 0, 0x87, 0]);
    }
    stream.write_all(&[0x20, 3, 0, 0, 0])?;
    // PUBLISH of the status: topic, packet identifier.
    let (_, status) = fake::packet(stream)?;
    let topic = usize::from(u16::from_be_bytes([status[0], status[1]]));
    stream.write_all(&[0x40, 2, status[2 + topic], status[3 + topic]])?;
    if let Rude::NeverAcknowledging = rude {
        let mut stream = stream.try_clone()?;
        std::thread::spawn(move || while fake::packet(&mut stream).is_ok() {});
    }
    Ok(())
}

/// Ends a sensor that has more records waiting than its window holds; returns how long that took and what it said.
fn ending(port: u16, records: u64, bytes: usize) -> (Duration, String) {
    let mut settings = settings(port, "");
    settings.give_up_after = Some(Duration::from_millis(800));
    settings.queue = 1000;
    let mut mqtt = Mqtt::start(settings).expect("started");
    let record = Rendered { json: vec![b'x'; bytes], ..alert(0) };
    (0..records).for_each(|_| mqtt.publish(&record).expect("never an error"));
    std::thread::sleep(Duration::from_millis(300));
    let begun = Instant::now();
    let (told, ended) = std_mpsc::sync_channel(1);
    std::thread::spawn(move || told.send(mqtt.finish().expect_err("nothing was taken").to_string()));
    let error = ended.recv_timeout(Duration::from_secs(5)).expect("it never ends");
    (begun.elapsed(), error)
}

#[test]
fn a_sensor_with_more_records_than_its_window_ends_in_time_with_any_faulty_broker() {
    let all = EACH.into_iter().chain([Rude::Unreachable, Rude::Unresponsive, Rude::InTurns]);
    let threads: Vec<_> =
        all.map(|rude| std::thread::spawn(move || (rude, ending(start(rude), 300, 20_000)))).collect();
    for thread in threads {
        let (rude, (took, error)) = thread.join().expect("it ends");
        assert!(took < Duration::from_millis(1500), "{rude:?}: {took:?}");
        assert!(error.contains("0 alert records delivered, 300 not: "), "{rude:?}: {error}");
    }
}

#[test]
fn a_slow_broker_does_not_delay_the_end() {
    let fake = Fake::start(|_| {
        std::thread::sleep(Duration::from_millis(100));
        Answer::Take
    });
    let (took, error) = ending(fake.port, 300, 100);
    assert!(took < Duration::from_millis(1500), "{took:?}");
    assert!(error.contains("not: the broker did not acknowledge all of them within 0.8 s of the stop"), "{error}");
    assert!(!error.contains(": 0 alert records delivered"), "{error}");
}

#[test]
fn a_pause_before_another_attempt_is_cut_short_when_the_sensor_is_asked_to_stop() {
    let (mut attempts, begun) = (0, Instant::now());
    let fake = Fake::start(move |_| {
        attempts += 1;
        if attempts == 1 { Answer::Refuse(0x97) } else { Answer::Take }
    });
    let mut settings = settings(fake.port, "");
    settings.first_pause = Duration::from_secs(20);
    let mut mqtt = Mqtt::start(settings).expect("started");
    publish(&mut mqtt, 0..1);
    endurance::eventually(&mqtt.shared, |health| health.retried == 1);
    assert_eq!(mqtt.finish().expect("delivered"), Delivered { records: 1 });
    assert!(begun.elapsed() < Duration::from_secs(5));
}
