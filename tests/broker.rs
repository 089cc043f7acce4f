//! Alerts reach a subscriber through a real MQTT broker. Needs mosquitto, which `deploy/test` installs.

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use support::{lines, lockkeeper, plant, require, root};

#[test]
fn a_subscriber_receives_exactly_the_alerts_that_were_printed() {
    let Some(broker) = Broker::start() else { return };
    let mut subscriber = broker.subscribe();
    let capture = root().join("pcaps/day.pcapng");
    let url = format!("mqtt://127.0.0.1:{}", broker.port);
    let output = lockkeeper(&[
        &"replay",
        &capture,
        &"--policy",
        &plant(),
        &"--alerts",
        &"-",
        &"--mqtt",
        &url,
        &"--site",
        &"bridge 1",
        &"--quiet",
    ]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let printed: BTreeSet<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    assert!(printed.len() > 50, "the day has more violations than that");

    let mut received = BTreeSet::new();
    while received.len() < printed.len() {
        let (topic, payload) = subscriber.next();
        if topic.ends_with("/status") {
            continue;
        }
        let alert = &lines(&payload)[0];
        let [kind, severity] = ["kind", "severity"].map(|member| alert[member].as_str().expect("a word"));
        assert_eq!(topic, format!("lockkeeper/bridge_1/replay/{kind}/{severity}"));
        assert!(printed.contains(&payload), "not printed: {payload}");
        received.insert(payload);
    }
    assert_eq!(received, printed);
}

#[test]
fn an_unreachable_broker_gives_exit_status_2_and_leaves_the_other_outputs_complete() {
    let port = free_port();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (alerts, stats) = (folder.path().join("alerts.jsonl"), folder.path().join("stats.json"));
    let capture = root().join("pcaps/undeclared-write.pcap");
    let url = format!("mqtt://127.0.0.1:{port}");
    let arguments: [&dyn AsRef<std::ffi::OsStr>; 10] =
        [&"replay", &capture, &"--policy", &plant(), &"--alerts", &alerts, &"--stats", &stats, &"--mqtt", &url];
    let output = lockkeeper(&arguments);
    let summary = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{summary}");
    assert_eq!(summary.matches("error: ").count(), 1, "{summary}");
    assert!(summary.contains(&format!("127.0.0.1:{port}")) && summary.contains("refused"), "{summary}");
    let expected = std::fs::read_to_string(capture.with_extension("alerts.jsonl")).expect("expected alerts");
    assert_eq!(std::fs::read_to_string(&alerts).expect("alerts"), expected);
    assert!(std::fs::read_to_string(&stats).expect("stats").contains("\"pdus\""));
}

#[test]
fn a_password_in_the_url_is_refused_and_not_repeated() {
    let capture = root().join("pcaps/undeclared-write.pcap");
    let output = lockkeeper(&[&"replay", &capture, &"--mqtt", &"mqtt://guard:s3cret@localhost"]);
    let summary = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{summary}");
    assert!(!summary.contains("s3cret"), "{summary}");
    assert!(summary.contains("LOCKKEEPER_MQTT_PASSWORD"), "{summary}");
}

struct Broker {
    process: Child,
    port: u16,
    _configuration: tempfile::TempDir,
}

impl Broker {
    /// Starts mosquitto on loopback; `None` if it is not installed and the run allows that.
    fn start() -> Option<Self> {
        require::mosquitto()?;
        let port = free_port();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("mosquitto.conf");
        // mosquitto started by root switches to a user without access to this folder.
        let text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nuser root\nmax_queued_messages 0\n"
        );
        std::fs::write(&file, text).expect("a written configuration");
        let quiet = |command: &mut Command| command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok();
        let process = ["mosquitto", "/usr/sbin/mosquitto"]
            .into_iter()
            .find_map(|program| quiet(Command::new(program).arg("-c").arg(&file)))
            .expect("mosquitto starts");
        let listens = || TcpStream::connect(("127.0.0.1", port)).is_ok();
        let started = (0..500).any(|_| {
            listens() || {
                sleep(Duration::from_millis(10));
                false
            }
        });
        assert!(started, "mosquitto does not listen");
        Some(Self { process, port, _configuration: folder })
    }

    /// Connects a subscriber to all topics.
    fn subscribe(&self) -> Subscriber {
        let port = self.port.to_string();
        let mut process = Command::new("mosquitto_sub")
            .args(["-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", "#", "-F", "%t %p", "-W", "60"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("mosquitto_sub comes with mosquitto");
        let output = BufReader::new(process.stdout.take().expect("a pipe"));
        let greet = || {
            Command::new("mosquitto_pub")
                .args(["-h", "127.0.0.1", "-p", &port, "-r", "-t", "hello", "-m", "1"])
                .status()
        };
        greet().expect("mosquitto_pub comes with mosquitto");
        let mut subscriber = Subscriber { process, output };
        assert_eq!(subscriber.next().0, "hello");
        subscriber
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _already_gone = self.process.kill();
        let _already_gone = self.process.wait();
    }
}

struct Subscriber {
    process: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Subscriber {
    /// Topic and payload of the next message; panics if none arrives within a minute.
    fn next(&mut self) -> (String, String) {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("UTF-8");
        let (topic, payload) = line.trim_end_matches('\n').split_once(' ').expect("a message within a minute");
        (topic.to_owned(), payload.to_owned())
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _already_gone = self.process.kill();
        let _already_gone = self.process.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}
