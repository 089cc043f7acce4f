//! Where the parts of a sensor write what they know, and whoever reports reads it.

use std::sync::Arc;

use tokio::sync::watch;

use super::now;
use super::snapshot::Snapshot;

/// What is known of a sensor now. Cheap to clone. It is written about once a second and never from the packet path.
#[derive(Clone, Debug)]
pub struct Board(Arc<watch::Sender<Posted>>);

/// How far a sensor is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Not listening yet.
    #[default]
    Starting,
    /// Listening.
    Running,
    /// Asked to stop.
    Stopping,
}

#[derive(Debug)]
struct Posted {
    phase: Phase,
    snapshot: Snapshot,
}

impl Board {
    /// The board of a sensor that starts now.
    pub fn new(sensor: &str, site: &str) -> Self {
        let snapshot = Snapshot::new(sensor, site, now());
        Self(Arc::new(watch::Sender::new(Posted { phase: Phase::default(), snapshot })))
    }

    /// Writes something down. State and reasons are not for the parts to say: they are judged from the rest.
    pub fn update(&self, change: impl FnOnce(&mut Snapshot)) {
        self.0.send_modify(|posted| change(&mut posted.snapshot));
    }

    /// Enters a phase.
    pub fn enter(&self, phase: Phase) {
        self.0.send_modify(|posted| posted.phase = phase);
    }

    /// How far the sensor is.
    pub fn phase(&self) -> Phase {
        self.0.borrow().phase
    }

    /// All that is known now.
    pub fn read(&self) -> Snapshot {
        self.0.borrow().snapshot.clone()
    }
}
