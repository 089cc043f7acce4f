//! Counts of alerts by rule and severity, and the latencies from a packet to its verdict and its alert.

use std::collections::BTreeMap;

use super::board::Board;
use super::snapshot::AlertCount;
use crate::clock;
use crate::metrics::Latency;
use crate::publish::{Delivered, PublishError, Publisher};
use crate::record::{Rendered, Severity};

/// The last of the publishers: an alert that reaches it has been accepted by all others.
#[derive(Debug)]
pub struct AlertTally {
    board: Board,
    alerts: BTreeMap<(&'static str, Severity), u64>,
    latency: Latency,
}

impl AlertTally {
    /// Updates this board.
    pub fn new(board: Board) -> Self {
        Self { board, alerts: BTreeMap::new(), latency: Latency::new() }
    }
}

/// Measures the stage `verdict`. To be called with the time of the oldest packet of each block once the block is judged;
/// updates the board once a second.
pub fn measure_verdicts(board: Board) -> impl FnMut(i64) + Send {
    let mut latency = Latency::new();
    let mut updated = i64::MIN;
    move |oldest| {
        let now = clock::now();
        latency.record(oldest, now);
        if now.saturating_sub(updated) >= SECOND {
            updated = now;
            let summary = latency.summary();
            board.update(|snapshot| {
                snapshot.latency.insert("verdict".to_owned(), summary);
            });
        }
    }
}

impl Publisher for AlertTally {
    fn publish(&mut self, alert: &Rendered) -> Result<(), PublishError> {
        if let Some(packet) = alert.latency_start {
            *self.alerts.entry((alert.rule, alert.severity)).or_default() += 1;
            self.latency.record(packet, clock::now());
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), PublishError> {
        let count = |((rule, severity), alerts): (&(&str, Severity), &u64)| AlertCount {
            rule: (*rule).to_owned(),
            severity: severity.name().to_owned(),
            alerts: *alerts,
        };
        let (alerts, latency) = (self.alerts.iter().map(count).collect(), self.latency.summary());
        self.board.update(|now| {
            now.alerts = alerts;
            now.latency.insert("alert".to_owned(), latency);
        });
        Ok(())
    }

    fn finish(&mut self) -> Result<Delivered, PublishError> {
        self.flush()?;
        Ok(Delivered { records: self.alerts.values().sum() })
    }
}

/// Nanoseconds.
const SECOND: i64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{AlertId, Kind};

    #[test]
    fn the_time_to_the_verdict_is_that_of_the_oldest_packet_of_each_block() {
        let board = Board::new("lock-1", "lock");
        measure_verdicts(board.clone())(clock::now() - 3_000_000);
        let verdict = board.read().latency["verdict"];
        assert_eq!(verdict.count, 1);
        assert!(verdict.max >= 2_900_000, "{verdict:?}");
    }

    #[test]
    fn each_alert_counts_once_however_often_it_is_updated() {
        let board = Board::new("lock-1", "lock");
        let mut tally = AlertTally::new(board.clone());
        let first = Rendered {
            kind: Kind::Violation,
            rule: "operation.undeclared",
            severity: Severity::High,
            id: AlertId([0; 16]),
            latency_start: Some(0),
            json: Vec::new(),
            evidence_request: None,
        };
        let update = Rendered { latency_start: None, ..first.clone() };
        for alert in [&first, &update, &first] {
            tally.publish(alert).expect("never an error");
        }
        tally.flush().expect("never an error");
        let now = board.read();
        let (rule, severity) = ("operation.undeclared".to_owned(), "high".to_owned());
        assert_eq!(now.alerts, [AlertCount { rule, severity, alerts: 2 }]);
        assert_eq!(now.latency["alert"].count, 2);
    }
}
