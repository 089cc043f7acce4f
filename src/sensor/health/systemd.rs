//! What the service manager is told, where there is one. Elsewhere nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;

/// The service manager.
#[derive(Debug, Default)]
pub(super) struct Systemd {
    is_ready: bool,
    is_stopping: bool,
    status: String,
}

impl Systemd {
    /// How long the manager waits for a sign of life before it restarts the sensor, if it does.
    pub(super) fn watchdog() -> Option<Duration> {
        sd_notify::watchdog_enabled()
    }

    /// The sensor listens: what depends on it can start.
    pub(super) fn ready(&mut self) {
        if !std::mem::replace(&mut self.is_ready, true) {
            tell(&NotifyState::Ready);
        }
    }

    /// It was asked to stop.
    pub(super) fn stopping(&mut self) {
        if !std::mem::replace(&mut self.is_stopping, true) {
            tell(&NotifyState::Stopping);
        }
    }

    /// The line that `systemctl status` shows.
    pub(super) fn status(&mut self, line: &str) {
        if self.status != line {
            line.clone_into(&mut self.status);
            tell(&NotifyState::Status(line));
        }
    }

    /// It lives.
    pub(super) fn alive() {
        tell(&NotifyState::Watchdog);
    }
}

fn tell(state: &NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(std::slice::from_ref(state)) {
        tracing::debug!(%error, "The service manager was not told");
    }
}
