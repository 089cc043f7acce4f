//! Alerts to files and to remote receivers.
//!
//! A [`Publisher`] takes one revision of an alert after the other, and reports at the end how many were delivered. No
//! publisher judges, drops or reorders alerts by itself.
//!
//! To add a sink: write its module with a [`Sink`] and a publisher, and add the row to [`SINKS`]. The command line, the
//! configuration, the confinement, the status, the health page and the metrics are built from that table. Show its keys in
//! `deploy/lockkeeper.toml`, where a test looks for all of them.

mod jsonl;
mod lines;
mod mqtt;
mod nonblocking;
pub mod sink;
mod topic;

use std::sync::Arc;

use crate::fault::FaultReport;
use crate::record::Rendered;

pub use jsonl::Jsonl;
pub use lines::Lines;
use sink::{Sink, SinkMonitor};

/// Every sink, one row each.
pub const SINKS: &[&Sink] = &[mqtt::SINK];

/// A place that alerts are sent to.
pub trait Publisher: Send {
    /// Accepts one revision of an alert. May wait until there is room. After an error, it accepts no further one.
    fn publish(&mut self, alert: &Rendered) -> Result<(), PublishError>;

    /// Makes accepted alerts visible to readers, without waiting for a remote receiver.
    fn flush(&mut self) -> Result<(), PublishError> {
        Ok(())
    }

    /// Waits until every accepted alert is delivered, or is certain not to be.
    fn finish(&mut self) -> Result<Delivered, PublishError>;

    /// The current failure, while it is being retried, if no monitor reports it.
    fn fault(&self) -> Option<FaultReport> {
        None
    }

    /// Records that were given up, because they could be neither delivered nor kept.
    fn lost(&self) -> u64 {
        0
    }

    /// The view of a remote receiver for the health report; `None` for a file.
    fn monitor(&self) -> Option<Arc<dyn SinkMonitor>> {
        None
    }
}

/// What was delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Revisions of alerts.
    pub records: u64,
}

/// Why alerts cannot be published, or were not.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// A file or pipe cannot be written.
    #[error("{to}: {source}")]
    Write {
        /// The path as given.
        to: String,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The address of a receiver is malformed.
    #[error("{url}: {problem}")]
    Url {
        /// The address as given, without a possible password.
        url: String,
        /// What is wrong, and what to write instead.
        problem: String,
    },
    /// The password file cannot be read.
    #[error("password file {path}: {source}")]
    PasswordFile {
        /// The path as given.
        path: String,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The receiver could not be reached at the start.
    #[error("{receiver} {address}: {reason}")]
    Unreachable {
        /// The kind of receiver: [`Sink::title`].
        receiver: &'static str,
        /// Host and port.
        address: String,
        /// Why it could not be reached.
        reason: String,
    },
    /// Some alerts were not delivered.
    #[error("{receiver} {address}: {delivered} alert records delivered, {undelivered} not: {reason}")]
    Undelivered {
        /// The kind of receiver: [`Sink::title`].
        receiver: &'static str,
        /// Host and port.
        address: String,
        /// Records that the receiver acknowledged.
        delivered: u64,
        /// Records that it did not acknowledge, or refused.
        undelivered: u64,
        /// Why.
        reason: String,
    },
}

#[cfg(test)]
mod testing {
    use crate::record::{AlertId, Kind, Rendered, Severity};

    /// An alert whose JSON object holds only a number.
    pub(super) fn alert(number: u64) -> Rendered {
        let json = format!("{{\"n\":{number}}}").into_bytes();
        let (rule, severity) = ("operation.undeclared", Severity::High);
        Rendered {
            kind: Kind::Violation,
            rule,
            severity,
            id: AlertId([0; 16]),
            latency_start: None,
            json,
            evidence_request: None,
        }
    }
}
