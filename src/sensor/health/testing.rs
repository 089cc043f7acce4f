//! The health of a sensor without problems.

use super::snapshot::{AlertCount, Interface, PolicyInForce, Recording, Snapshot, Traffic};
use crate::metrics::Latency;
use crate::publish::SINKS;
use crate::publish::sink::SinkHealth;
use crate::sensor::confine::{Confinement, Level};

pub(super) fn snapshot() -> Snapshot {
    let started = "2026-11-24T10:00:00Z".parse().expect("a time");
    let mut snapshot = Snapshot::new("lock-1", "lock", started);
    snapshot.state = super::State::Ready;
    snapshot.time = "2026-11-24T11:00:00Z".parse().expect("a time");
    snapshot.uptime_seconds = 3600;
    snapshot.good_for_seconds = 10;
    snapshot.confinement = Confinement { level: Level::Full, notes: Vec::new() };
    snapshot.policy = PolicyInForce {
        id: "PLANT".to_owned(),
        version: "3".to_owned(),
        sha256: "0123456789abcdef".to_owned(),
        loaded: Some(started),
        rejected: None,
    };
    snapshot.interfaces = vec![Interface {
        name: "span\"0".to_owned(),
        state: "listening".to_owned(),
        packets: 1_000_000,
        bytes: 90_000_000,
        silent_seconds: Some(0),
        ..Interface::default()
    }];
    snapshot.traffic = Traffic {
        packets: 1_000_000,
        bytes: 90_000_000,
        flows: 200,
        flows_open: 40,
        one_way_share: 0.01,
        tunnels: 2,
        connections_unanswered: 3,
        connections_refused: 4,
        pulses: 3600,
    };
    let read = [("read".to_owned(), 400_000), ("write".to_owned(), 7)];
    snapshot.operations.insert("modbus".to_owned(), read.into_iter().collect());
    snapshot.not_judged.insert("no_zone".to_owned(), 12);
    let rule = "operation.undeclared".to_owned();
    snapshot.alerts = vec![AlertCount { rule, severity: "high".to_owned(), alerts: 3 }];
    snapshot.losses = crate::metrics::Losses::default().named().map(|(name, n)| (name.to_owned(), n)).collect();
    snapshot.losses.insert("stream_gaps".to_owned(), 2);
    snapshot.unread.insert("ethernet/0x88e5".to_owned(), 9);
    let health = SinkHealth { connected: true, connections: 1, delivered: 5, ..SinkHealth::default() };
    SINKS.iter().for_each(|sink| snapshot.sinks.insert(sink, health.clone()));
    let oldest = Some("recording-20261124T090000.000000000Z.pcapng".to_owned());
    snapshot.recording = Some(Recording { files: 2, bytes: 1_048_576, oldest });
    let mut latency = Latency::new();
    (1..=100).for_each(|number| latency.record(0, number * 50_000));
    snapshot.latency.insert("verdict".to_owned(), latency.summary());
    snapshot.memory_bytes = 20_000_000;
    snapshot
}
