//! A mosquitto on a loopback port, and one of its subscribers; both end with the test.

use super::*;

pub(super) struct Mosquitto {
    process: Child,
    pub(super) port: u16,
    _configuration: tempfile::NamedTempFile,
}

impl Mosquitto {
    /// Starts one that keeps nothing on disk, with further lines of configuration. `None` where mosquitto is not
    /// installed and that is allowed.
    pub(super) fn start(port: u16, lines: &str) -> Option<Self> {
        let anonymous = if lines.contains("allow_anonymous") { "" } else { "allow_anonymous true\n" };
        let mut configuration = tempfile::NamedTempFile::new().expect("a temporary file");
        // Started by root, it would change to a user who may not read the files of this test.
        write!(configuration, "listener {port} 127.0.0.1\npersistence false\nuser root\n{anonymous}{lines}")
            .expect("written");
        let started = Command::new("mosquitto")
            .arg("-c")
            .arg(configuration.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(process) = started else {
            missing(MOSQUITTO, "mosquitto cannot be started");
            return None;
        };
        let broker = Self { process, port, _configuration: configuration };
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < PATIENCE, "mosquitto does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(broker)
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _already_gone = self.process.kill();
        let _already_gone = self.process.wait();
    }
}

pub(super) struct Subscriber {
    process: Child,
    lines: std_mpsc::Receiver<String>,
}

impl Subscriber {
    /// Subscribes to everything.
    pub(super) fn start(port: u16, options: &[&str]) -> Self {
        let mut process = Command::new("mosquitto_sub")
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "1", "-t", "#", "-F", "%t %p"])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .expect("mosquitto_sub comes with mosquitto");
        let output = process.stdout.take().expect("piped");
        let (sender, lines) = std_mpsc::channel();
        std::thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { process, lines }
    }

    /// Topic and payload of the next message.
    pub(super) fn message(&mut self) -> (String, String) {
        let line = self.lines.recv_timeout(PATIENCE).expect("a message");
        let (topic, payload) = line.split_once(' ').expect("topic and payload");
        (topic.to_owned(), payload.to_owned())
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _already_gone = self.process.kill();
        let _already_gone = self.process.wait();
    }
}

const PATIENCE: Duration = Duration::from_secs(20);
