//! Alerts to files and brokers.
//!
//! A [`Publisher`] takes one revision after the other and says at the end what became of them. What none of them does:
//! judge, drop or reorder.

mod jsonl;
mod lines;
mod mqtt;
mod topic;
mod unhurried;

use crate::fault::FaultReport;
use crate::record::Rendered;

pub use jsonl::Jsonl;
pub use lines::Lines;
pub use mqtt::{Credentials, Mqtt, MqttLine, MqttReading, Settings as MqttSettings};

/// Takes alerts somewhere.
pub trait Publisher: Send {
    /// Hands over one revision of an alert. May wait until there is room; an error means that no further one will do.
    fn publish(&mut self, alert: &Rendered) -> Result<(), PublishError>;

    /// Lets readers see what was handed over so far, without waiting for anybody.
    fn flush(&mut self) -> Result<(), PublishError> {
        Ok(())
    }

    /// Waits until everything that was handed over has arrived, or it is certain that it will not.
    fn finish(&mut self) -> Result<Delivered, PublishError>;

    /// What keeps it from its work now, where it goes on trying and nobody else tells.
    fn fault(&self) -> Option<FaultReport> {
        None
    }

    /// Records that it went on without, because it could neither write nor keep them.
    fn left_out(&self) -> u64 {
        0
    }
}

/// What arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Revisions of alerts.
    pub records: u64,
}

/// Why alerts cannot be published, or were not.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// A file or pipe does not take what is written to it.
    #[error("{to}: {source}")]
    Write {
        /// The path as given.
        to: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The address of a broker is not one.
    #[error("{url}: {problem}")]
    Url {
        /// As typed, without what may be a password.
        url: String,
        /// What is wrong, and what to write instead.
        problem: String,
    },
    /// The file with the password cannot be read.
    #[error("password file {path}: {source}")]
    PasswordFile {
        /// The path as given.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// There was no connection from the start.
    #[error("MQTT broker {broker}: {reason}")]
    Unreachable {
        /// Host and port.
        broker: String,
        /// Why not.
        reason: String,
    },
    /// Some alerts did not arrive.
    #[error("MQTT broker {broker}: {delivered} alert records delivered, {undelivered} not: {reason}")]
    Undelivered {
        /// Host and port.
        broker: String,
        /// Records that the broker acknowledged.
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

    /// An alert that only has a number.
    pub(super) fn alert(number: u64) -> Rendered {
        let json = format!("{{\"n\":{number}}}").into_bytes();
        let (rule, severity) = ("operation.undeclared", Severity::High);
        Rendered {
            kind: Kind::Violation,
            rule,
            severity,
            id: AlertId([0; 16]),
            news: None,
            json,
            evidence_request: None,
        }
    }
}
