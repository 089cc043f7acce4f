//! A running sensor in a namespace.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::network::Hub;

/// `lockkeeper watch`, running.
pub(crate) struct Sensor {
    child: Child,
    /// Its standard error after the line that reports readiness.
    errors: Option<JoinHandle<String>>,
}

impl Sensor {
    /// Starts it and waits until it captures.
    pub(crate) fn start(hub: &Hub, arguments: &[&dyn AsRef<std::ffi::OsStr>]) -> Self {
        let mut command = hub.command(Path::new(env!("CARGO_BIN_EXE_lockkeeper")));
        command.arg("watch").args(arguments.iter().map(AsRef::as_ref));
        command.env("NO_COLOR", "1").env_remove("LOCKKEEPER_SITE").env_remove("LOCKKEEPER_SENSOR");
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let mut errors = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut line = String::new();
        errors.read_line(&mut line).expect("its log");
        assert!(line.starts_with("Listening on "), "{line}{}", rest(errors));
        Self { child, errors: Some(std::thread::spawn(move || rest(errors))) }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.id().cast_signed()).expect("a process");
        kill_process(pid, signal).expect("signalled");
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGTERM; returns exit status and standard error.
    pub(crate) fn stop(self) -> (ExitStatus, String) {
        self.signal(Signal::TERM);
        self.ended()
    }

    /// Waits until it has ended; returns exit status and standard error.
    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().expect("an end");
        (status, self.errors.take().expect("stopped once").join().expect("its log"))
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        // Usually ended already; a failed test leaves it running.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn rest(mut errors: BufReader<ChildStderr>) -> String {
    let mut text = String::new();
    errors.read_to_string(&mut text).expect("UTF-8");
    text
}

/// Waits until a file has a line that satisfies a condition.
pub(crate) fn wait_for(path: &Path, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        // The last line may be incomplete.
        let mut alerts = text.lines().filter_map(|line| serde_json::from_str(line).ok());
        if let Some(alert) = alerts.find(&fits) {
            return alert;
        }
        assert!(begun.elapsed() < PATIENCE, "{what} does not come; there is\n{text}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Longer than any awaited event takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);
