//! The shared snapshot that the parts of a sensor update and the reporter reads.

use std::sync::Arc;

use tokio::sync::watch;

use super::now;
use super::snapshot::Snapshot;

/// The current snapshot of a sensor. Cheap to clone. Updated about once a second, never from the packet path.
#[derive(Clone, Debug)]
pub struct Board(Arc<watch::Sender<Posted>>);

/// The phase of a sensor's life.
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

    /// Changes the snapshot. Only the reporter sets its state and reasons.
    pub fn update(&self, change: impl FnOnce(&mut Snapshot)) {
        self.0.send_modify(|posted| change(&mut posted.snapshot));
    }

    /// Enters a phase.
    pub fn enter(&self, phase: Phase) {
        self.0.send_modify(|posted| posted.phase = phase);
    }

    /// The current phase.
    pub fn phase(&self) -> Phase {
        self.0.borrow().phase
    }

    /// A copy of the current snapshot.
    pub fn read(&self) -> Snapshot {
        self.0.borrow().snapshot.clone()
    }
}
