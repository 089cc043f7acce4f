//! The servers of the plant, each on its stack, with a probe that reads their values out of sight of the sensor.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::namespace::Namespace;
use crate::support::root;

/// A stack and the command of its server.
#[derive(Debug)]
pub(crate) struct Stack {
    pub name: &'static str,
    pub protocol: &'static str,
    pub port: u16,
    /// Server and interpreter, relative to the folder of the stacks.
    server: &'static [&'static str],
    /// The Python interpreter of the probe.
    python: &'static str,
    /// The server waits longer than this for the rest of a request, or as long as the test runs.
    pub patience: Duration,
}

/// `pcaps/record/stacks` installs them under these names.
pub(crate) const STACKS: &[Stack] = &[
    Stack {
        name: "pymodbus",
        protocol: "modbus",
        port: 502,
        server: &["venv/bin/python", "servers.py", "tcp", ADDRESS, "502", "1"],
        python: "venv/bin/python",
        patience: Duration::from_millis(6_000),
    },
    Stack {
        name: "libmodbus",
        protocol: "modbus",
        port: 502,
        server: &["pump", "serve", ADDRESS],
        python: "venv/bin/python",
        patience: Duration::from_millis(300),
    },
    Stack {
        name: "snap7",
        protocol: "s7comm",
        port: 102,
        server: &["snap7/bin/python", "s7_server.py", ADDRESS],
        python: "snap7/bin/python",
        patience: Duration::from_millis(2_000),
    },
    Stack {
        name: "python-snap7",
        protocol: "s7comm",
        port: 102,
        server: &["python-snap7/bin/python", "s7_server.py", ADDRESS],
        python: "python-snap7/bin/python",
        patience: Duration::from_millis(2_000),
    },
    Stack {
        name: "asyncua",
        protocol: "opcua",
        port: 4840,
        server: &["asyncua/bin/python", "opcua_server.py", ADDRESS, "CERTIFICATES", "NoSecurity"],
        python: "asyncua/bin/python",
        patience: Duration::from_millis(6_000),
    },
];

impl Stack {
    /// Whether the stacks of its server and its probe are installed.
    pub(crate) fn is_installed(&self, there: &[&str]) -> bool {
        there.contains(&self.name) && (self.protocol != "modbus" || there.contains(&"pymodbus"))
    }
}

const ADDRESS: &str = "10.0.2.10";

/// A running server, and its probe, which connects to it within the server's host.
pub(crate) struct Server {
    server: Child,
    probe: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    start: String,
}

impl Server {
    /// Starts both and waits until they respond; their log goes into a file.
    pub(crate) fn start(stack: &Stack, host: &Namespace, tools: &Path, log: &Path) -> Self {
        let log = std::fs::File::create(log).expect("a file");
        let certificates = tools.join("certificates");
        let mut command = command(host, &tools.join(stack.server[0]), &log);
        for argument in &stack.server[1..] {
            match *argument {
                "CERTIFICATES" => command.arg(&certificates),
                argument => command.arg(argument),
            };
        }
        command.current_dir(root().join("pcaps/record")).stdout(log.try_clone().expect("a file"));
        let mut server = command.spawn().expect("the server starts");
        wait_for(host, stack, &mut server);
        let mut command = self::command(host, &tools.join(stack.python), &log);
        command.arg(root().join("tests/stacks/probe.py")).args([stack.protocol, ADDRESS]);
        let mut probe = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the probe starts");
        let questions = probe.stdin.take().expect("a pipe");
        let answers = BufReader::new(probe.stdout.take().expect("a pipe"));
        let mut started = Self { server, probe, questions, answers, start: String::new() };
        assert_eq!(started.line(), "ready");
        started.start = started.ask("state");
        started
    }

    /// Whether a value has changed since the start or since the last restore.
    pub(crate) fn is_changed(&mut self) -> bool {
        self.ask("state") != self.start
    }

    /// Restores all values.
    pub(crate) fn put_back(&mut self) {
        assert_eq!(self.ask("reset"), self.start, "it is not as it was");
    }

    fn ask(&mut self, question: &str) -> String {
        writeln!(self.questions, "{question}").expect("the probe lives");
        self.line()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("UTF-8");
        assert!(line.ends_with('\n'), "the probe has ended");
        line.trim_end().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for child in [&mut self.probe, &mut self.server] {
            let _already_gone = child.kill();
            let _already_gone = child.wait();
        }
    }
}

/// A command on a host; ip(8) executes it in its own process, so that the process can be ended.
fn command(host: &Namespace, program: &Path, log: &std::fs::File) -> Command {
    let mut command = host.command(program);
    command.env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null()).stderr(log.try_clone().expect("a file"));
    command
}

/// Waits until the port accepts connections.
fn wait_for(host: &Namespace, stack: &Stack, server: &mut Child) {
    let begun = Instant::now();
    while host.inside(|| TcpStream::connect((ADDRESS, stack.port))).is_err() {
        assert!(matches!(server.try_wait(), Ok(None)), "{} ends", stack.name);
        assert!(begun.elapsed() < PATIENCE, "{} does not listen", stack.name);
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Longer than a server needs to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
