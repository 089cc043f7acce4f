//! Notifications to the service manager, if there is one.

use std::time::Duration;

use sd_notify::NotifyState;

/// The notifications sent so far.
#[derive(Debug, Default)]
pub(super) struct Systemd {
    is_ready: bool,
    is_stopping: bool,
    status: String,
}

impl Systemd {
    /// The time without a keep-alive after which the manager restarts the sensor, if it does.
    pub(super) fn watchdog() -> Option<Duration> {
        sd_notify::watchdog_enabled()
    }

    /// READY: the sensor listens, and units that depend on it can start.
    pub(super) fn set_ready(&mut self) {
        if !std::mem::replace(&mut self.is_ready, true) {
            notify(&NotifyState::Ready);
        }
    }

    /// STOPPING: the sensor was asked to stop.
    pub(super) fn set_stopping(&mut self) {
        if !std::mem::replace(&mut self.is_stopping, true) {
            notify(&NotifyState::Stopping);
        }
    }

    /// STATUS: the line that `systemctl status` shows.
    pub(super) fn set_status(&mut self, line: &str) {
        if self.status != line {
            line.clone_into(&mut self.status);
            notify(&NotifyState::Status(line));
        }
    }

    /// WATCHDOG: the sensor is not stuck.
    pub(super) fn keep_alive() {
        notify(&NotifyState::Watchdog);
    }
}

fn notify(state: &NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(std::slice::from_ref(state)) {
        tracing::debug!(%error, "The service manager cannot be notified");
    }
}
