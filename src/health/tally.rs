//! Alerts by rule and severity, and how long they took.

use std::collections::BTreeMap;

use super::board::Board;
use super::snapshot::AlertCount;
use crate::alert::{Rendered, Severity};
use crate::clock;
use crate::metrics::Latency;
use crate::publish::{Delivered, PublishError, Publisher};

/// Stands last among the publishers: what comes to it has been handed to all others.
#[derive(Debug)]
pub struct AlertTally {
    board: Board,
    alerts: BTreeMap<(&'static str, Severity), u64>,
    latency: Latency,
}

impl AlertTally {
    /// Writes to this board.
    pub fn new(board: Board) -> Self {
        Self { board, alerts: BTreeMap::new(), latency: Latency::new() }
    }
}

impl Publisher for AlertTally {
    fn publish(&mut self, alert: &Rendered) -> Result<(), PublishError> {
        if let Some(packet) = alert.news {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::{AlertId, Kind};

    #[test]
    fn each_alert_counts_once_however_often_it_is_updated() {
        let board = Board::new("lock-1", "lock");
        let mut tally = AlertTally::new(board.clone());
        let first = Rendered {
            kind: Kind::Violation,
            rule: "operation.undeclared",
            severity: Severity::High,
            id: AlertId([0; 16]),
            news: Some(0),
            json: Vec::new(),
            about: None,
        };
        let update = Rendered { news: None, ..first.clone() };
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
