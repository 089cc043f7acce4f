//! The thread that assesses the board about once a second, and reports the result.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval};

use super::board::{Board, Phase};
use super::judge::{Judge, Limits};
use super::snapshot::{Reason, Snapshot, State};
use super::systemd::Systemd;
use super::{file, http, now};
use crate::publish::sink::SinkMonitor;

/// Where to report, and how often.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the status file is written, if anywhere.
    pub status_file: Option<PathBuf>,
    /// The running sinks, whose health is part of the report, and which publish it.
    pub sinks: Vec<Arc<dyn SinkMonitor>>,
    /// How often the health is assessed.
    pub interval: Duration,
    /// How often the sinks publish the counters.
    pub metrics_interval: Duration,
    /// Thresholds for a degraded sensor.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            status_file: None,
            sinks: Vec::new(),
            interval: Duration::from_secs(1),
            metrics_interval: Duration::from_secs(10),
            limits: Limits::default(),
        }
    }
}

/// Why the reporter cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address for Prometheus cannot be used.
    #[error("metrics at {address}: {source}; give [metrics] another `listen`, or leave it out")]
    Listen {
        /// As configured.
        address: SocketAddr,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The thread cannot be started.
    #[error("cannot start to report the sensor's health: {0}")]
    Start(io::Error),
}

/// The files and sockets that are opened before the sensor is confined.
#[derive(Debug, Default)]
pub struct Handles {
    /// The socket of the metrics endpoint.
    listener: Option<TcpListener>,
    /// `/proc/self/status`.
    process: Option<File>,
}

impl Handles {
    /// Opens them; `listen` is the address of the metrics endpoint, if there is one.
    pub fn open(listen: Option<SocketAddr>) -> Result<Self, Error> {
        let listener = listen.map(|address| {
            let listener = TcpListener::bind(address).and_then(|listener| {
                listener.set_nonblocking(true)?;
                Ok(listener)
            });
            listener.map_err(|source| Error::Listen { address, source })
        });
        Ok(Self { listener: listener.transpose()?, process: File::open("/proc/self/status").ok() })
    }
}

/// The reporting thread.
#[derive(Debug)]
pub struct Reporter {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Reporter {
    /// Starts the thread. Must not be called on an async runtime.
    pub fn start(board: Board, settings: Settings, handles: Handles) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Start)?;
        let listener = handles.listener.map(|listener| adopt(&runtime, listener)).transpose().map_err(Error::Start)?;
        let (stop, stopped) = oneshot::channel();
        let mut rounds = Rounds::new(board.clone(), settings, handles.process);
        let thread = thread::Builder::new().name("health".to_owned()).spawn(move || {
            runtime.block_on(async move {
                if let Some(listener) = listener {
                    tokio::spawn(http::serve(listener, board, http::CLIENT_TIMEOUT));
                }
                rounds.run_until(stopped).await;
            });
        });
        Ok(Self { stop, thread: thread.map_err(Error::Start)? })
    }

    /// Reports a last time, removes the status file and ends the thread. To be called when everything is delivered.
    pub fn stop(self) {
        // Both fail only if the thread has ended already.
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}

fn adopt(runtime: &Runtime, listener: TcpListener) -> io::Result<tokio::net::TcpListener> {
    let _inside = runtime.enter();
    tokio::net::TcpListener::from_std(listener)
}

/// The state of the reporting loop.
struct Rounds {
    board: Board,
    settings: Settings,
    process: Option<File>,
    judge: Judge,
    systemd: Systemd,
    watched: bool,
    /// The latest announcement: state, reasons, policy.
    announced: Option<(State, Vec<String>, String)>,
    /// Rounds until the counters are published.
    metrics_in: u32,
    /// Why the status file cannot be written.
    file_problem: Option<String>,
}

impl Rounds {
    fn new(board: Board, mut settings: Settings, process: Option<File>) -> Self {
        let watchdog = Systemd::watchdog();
        // At least twice within the service manager's timeout.
        let shortest = watchdog.map_or(settings.interval, |patience| settings.interval.min(patience / 2));
        settings.interval = shortest.max(SHORTEST_INTERVAL);
        Self {
            judge: Judge::new(settings.limits),
            board,
            settings,
            process,
            systemd: Systemd::default(),
            watched: watchdog.is_some(),
            announced: None,
            metrics_in: 0,
            file_problem: None,
        }
    }

    async fn run_until(&mut self, mut stopped: oneshot::Receiver<()>) {
        let mut turns = interval(self.settings.interval);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = turns.tick() => self.do_round(),
                _ = &mut stopped => break,
            }
        }
        self.board.enter(Phase::Stopping);
        self.do_round();
        if let Some(path) = &self.settings.status_file {
            // A missing file needs no removal; other errors were reported when it could not be written.
            let _ = file::remove(path);
        }
    }

    fn do_round(&mut self) {
        let (sinks, process) = (&self.settings.sinks, self.process.as_ref());
        self.board.update(|snapshot| {
            sinks.iter().for_each(|sink| read_sink(sink.as_ref(), snapshot));
            snapshot.memory_bytes = process.map_or(0, resident_memory);
            snapshot.time = now();
            snapshot.uptime_seconds = seconds_between(snapshot.started, snapshot.time);
            snapshot.good_for_seconds = (self.settings.interval.as_secs() + 1) * MISSED_ROUNDS;
        });
        let phase = self.board.phase();
        let (state, mut reasons) = self.judge.judge(phase, &self.board.read());
        reasons.extend(self.file_problem.clone().map(|message| Reason { what: "status.file".to_owned(), message }));
        let state = if reasons.is_empty() || phase != Phase::Running { state } else { State::Degraded };
        self.board.update(|snapshot| (snapshot.state, snapshot.reasons) = (state, reasons));
        let snapshot = self.board.read();
        self.write_file(&snapshot);
        self.notify_systemd(phase, &snapshot);
        if !self.settings.sinks.is_empty() {
            self.publish(&snapshot);
        }
    }

    /// Publishes the state through every sink when it changes, and the counters when they are due.
    fn publish(&mut self, snapshot: &Snapshot) {
        let reasons = snapshot.reasons.iter().map(|reason| reason.what.clone()).collect();
        let current = Some((snapshot.state, reasons, snapshot.policy.sha256.clone()));
        if self.announced != current {
            self.announced = current;
            let state = snapshot.announcement().to_string();
            self.settings.sinks.iter().for_each(|sink| sink.announce(state.as_bytes()));
        }
        if self.metrics_in == 0 {
            self.metrics_in = rounds_in(self.settings.metrics_interval, self.settings.interval);
            let metrics = serde_json::to_vec(snapshot).unwrap_or_default();
            self.settings.sinks.iter().for_each(|sink| sink.publish_metrics(&metrics));
        }
        self.metrics_in -= 1;
    }

    fn write_file(&mut self, snapshot: &Snapshot) {
        let Some(path) = &self.settings.status_file else { return };
        let problem = file::write(path, snapshot)
            .err()
            .map(|error| format!("the status file {} cannot be written: {error}", path.display()));
        if let Some(problem) = problem.as_ref().filter(|_| self.file_problem.is_none()) {
            tracing::warn!("{problem}");
        }
        self.file_problem = problem;
    }

    fn notify_systemd(&mut self, phase: Phase, snapshot: &Snapshot) {
        match phase {
            Phase::Starting => {}
            Phase::Running => self.systemd.set_ready(),
            Phase::Stopping => self.systemd.set_stopping(),
        }
        self.systemd.set_status(&snapshot.line());
        // The service manager restarts a sensor that is stuck.
        if self.watched && self.judge.is_alive(snapshot) {
            Systemd::keep_alive();
        }
    }
}

fn read_sink(monitor: &dyn SinkMonitor, snapshot: &mut Snapshot) {
    let sink = monitor.sink();
    snapshot.latency.insert(sink.stage.to_owned(), monitor.latency());
    snapshot.sinks.insert(sink, monitor.health());
}

/// Resident memory of this process, bytes; 0 if the kernel does not report it. Each read of the file gives a new value.
fn resident_memory(process: &File) -> u64 {
    let mut page = [0; 4096];
    let length = process.read_at(&mut page, 0).unwrap_or(0);
    let status = String::from_utf8_lossy(page.get(..length).unwrap_or_default());
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

fn seconds_between(earlier: jiff::Timestamp, later: jiff::Timestamp) -> u64 {
    u64::try_from(later.as_second() - earlier.as_second()).unwrap_or(0)
}

/// The number of rounds in a time, at least one.
fn rounds_in(time: Duration, round: Duration) -> u32 {
    let rounds = time.as_millis() / round.as_millis().max(1);
    u32::try_from(rounds).unwrap_or(u32::MAX).max(1)
}

/// The shortest interval between rounds; a shorter one would cost noticeable CPU time.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);
/// Rounds that may be missed before the sensor counts as gone.
const MISSED_ROUNDS: u64 = 5;

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::super::testing::snapshot;
    use super::super::{Verdict, status};
    use super::*;

    fn quick() -> Settings {
        Settings { interval: SHORTEST_INTERVAL, ..Settings::default() }
    }

    fn handles() -> Handles {
        Handles::open(None).expect("nothing to bind")
    }

    /// The status file, once it meets a condition, or after five seconds.
    fn eventually(path: &std::path::Path, is_so: impl Fn(&Snapshot) -> bool) -> Snapshot {
        let looks = (0..500).map(|_| {
            thread::sleep(Duration::from_millis(10));
            file::read(path)
        });
        let found = looks.filter_map(Result::ok).find(is_so);
        found.unwrap_or_else(|| file::read(path).expect("a status file"))
    }

    #[test]
    fn a_sensor_is_ready_when_it_listens_and_gone_when_it_has_stopped() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("status.json");
        let board = Board::new("lock-1", "lock");
        let settings = Settings { status_file: Some(path.clone()), ..quick() };
        board.update(|now| (now.interfaces, now.traffic.pulses) = (snapshot().interfaces, 1));
        let reporter = Reporter::start(board.clone(), settings, handles()).expect("started");
        assert_eq!(eventually(&path, |now| now.state == State::Starting).state, State::Starting);
        board.enter(Phase::Running);
        let ready = eventually(&path, |now| now.state == State::Ready);
        assert!(ready.state == State::Ready && ready.memory_bytes > 0 && ready.sensor == "lock-1", "{ready:?}");
        assert_eq!(status(&path, false, &mut Vec::new()).expect("written"), Verdict::Ok);
        let full = Reason { what: "output.failed".to_owned(), message: "alerts.jsonl: no space".to_owned() };
        board.update(|now| now.problems.push(full.clone()));
        let degraded = eventually(&path, |now| now.state == State::Degraded);
        assert_eq!(degraded.reasons[0].what, "output.failed");
        assert_eq!(status(&path, false, &mut Vec::new()).expect("written"), Verdict::Degraded);
        reporter.stop();
        assert_eq!(status(&path, false, &mut Vec::new()).expect("written"), Verdict::Gone);
    }

    #[test]
    fn an_unwritable_status_file_is_reported_elsewhere_and_ends_nothing() {
        let board = Board::new("lock-1", "lock");
        board.update(|now| now.traffic.pulses = 1);
        board.enter(Phase::Running);
        let settings = Settings { status_file: Some("/nonexistent/status.json".into()), ..quick() };
        let reporter = Reporter::start(board.clone(), settings, handles()).expect("started");
        let told = (0..500).any(|_| {
            thread::sleep(Duration::from_millis(10));
            board.read().reasons.iter().any(|reason| reason.what == "status.file")
        });
        assert!(told, "{:?}", board.read());
        reporter.stop();
    }

    #[test]
    fn an_address_in_use_is_an_error_with_a_remedy() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let error = Handles::open(taken.local_addr().ok()).expect_err("taken").to_string();
        assert!(error.contains("[metrics]") && error.contains("in use"), "{error}");
    }

    #[test]
    fn prometheus_gets_its_page_while_the_sensor_runs() {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
        let handles = Handles::open(Some(free)).expect("free");
        let reporter = Reporter::start(Board::new("lock-1", "lock"), quick(), handles).expect("started");
        let mut caller = std::net::TcpStream::connect(free).expect("it listens");
        caller.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("asked");
        let mut page = String::new();
        caller.read_to_string(&mut page).expect("answered");
        assert!(page.contains("lockkeeper_state{state=\"starting\"} 1.0") && page.ends_with("# EOF\n"), "{page}");
        reporter.stop();
        assert!(std::net::TcpStream::connect(free).is_err());
    }
}
