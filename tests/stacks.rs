//! Against real stacks: what a server of pymodbus, libmodbus, snap7 or asyncua executes behind a Linux TCP stack, whatever was
//! done to hide it, has an alert of severity high or more; the same done honestly has none.
//!
//! `pcaps/record/stacks` installs the stacks (from Debian and PyPI, into `target/plant`, where they stay). That needs root, the
//! registries the first time, and two minutes: `cargo test --test stacks -- --ignored --nocapture`. A stack that cannot be
//! installed here is left out, with a note; with `LOCKKEEPER_REQUIRE=1` in the environment, the test fails instead.
#![allow(clippy::disallowed_methods, reason = "a test waits for other processes")]

#[path = "stacks/attacker.rs"]
mod attacker;
#[allow(dead_code, reason = "shared with the test of evasions; this one uses a part")]
#[path = "evasion/mod.rs"]
mod evasion;
#[path = "stacks/servers.rs"]
mod servers;
#[path = "stacks/site.rs"]
mod site;
mod support;
#[path = "stacks/talk.rs"]
mod talk;
#[path = "stacks/trials.rs"]
mod trials;
#[path = "stacks/twists.rs"]
mod twists;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use evasion::wire::CLIENT_MAC;
use serde_json::Value;
use servers::{STACKS, Server, Stack};
use site::Site;
use support::require::{NAMESPACES, STACK, missing};
use support::rewrite::{Packet, pcap};
use support::{is_loud, last_revisions, lines, policy, replay, root};
use talk::Talk;
use trials::{SHORTLY, Trial, trials};

/// Reading and observing is permitted, and in each protocol one write.
const FLOWS: [&str; 3] = [
    r#"
protocol = "modbus"
port = 502
allow = [{ op = "observe" }, { op = "write", modbus = { table = "holding_register", addr = "20" } }]"#,
    r#"
protocol = "s7comm"
port = 102
allow = [{ op = "observe" }, { op = "write", s7 = { area = "DB", db = 20, bytes = "24-27" } }]"#,
    r#"
protocol = "opcua"
port = 4840
opcua = { identity = ["anonymous"] }
allow = [{ op = "observe" }, { op = "security" }, { op = "write", opcua = { nodes = ["ns=2;s=Weir.Command"] } }]"#,
];

/// What came of a trial.
struct Played {
    stack: &'static Stack,
    trial: String,
    is_honest: bool,
    /// The server has changed something.
    is_executed: bool,
    /// What the sensor tells of it, by what it hears.
    told: [Told; 3],
}

/// What a sensor tells of a recording.
struct Told {
    capture: PathBuf,
    /// Alerts, in their last revisions, without those that greet a host.
    alerts: Vec<Value>,
}

/// A stack with its server, on a network of its own.
struct Place<'a> {
    stack: &'static Stack,
    site: Site,
    server: Server,
    folder: &'a Path,
    client_port: u16,
}

impl Place<'_> {
    /// Sends what has to be sent in a conversation of its own, and asks the server and the sensor about it.
    fn play(&mut self, trial: &Trial) -> Played {
        self.client_port += 1;
        let mut talk = Talk::begin(&self.site, self.stack, self.client_port, trial.is_early);
        let begun = talk.attacker.recorded();
        // What the trial before has changed, later than it was waited for, is not done by this one.
        self.put_back();
        (trial.send)(&mut talk);
        talk.attacker.answer(SHORTLY);
        let is_executed = self.put_back() || talk.attacker.answers.iter().any(|answer| says_stopped(answer));
        let sent = talk.attacker.end();
        let from_client = sent.iter().filter(|packet| packet.bytes[6..12] == CLIENT_MAC);
        let unanswered: Vec<Packet> = begun.iter().chain(from_client).cloned().collect();
        let told = [
            self.told("whole", &[&begun[..], &sent].concat()),
            self.told("unanswered", &unanswered),
            self.told("late", &sent),
        ];
        Played { stack: self.stack, trial: trial.name.clone(), is_honest: trial.is_honest, is_executed, told }
    }

    /// Puts back what was changed; says whether anything was.
    fn put_back(&mut self) -> bool {
        let is_changed = self.server.is_changed();
        if is_changed {
            self.server.put_back();
        }
        is_changed
    }

    /// What the sensor tells, if this is what it hears.
    fn told(&self, heard: &str, packets: &[Packet]) -> Told {
        let capture = self.folder.join(format!("{}-{}-{heard}.pcap", self.stack.name, self.client_port));
        std::fs::write(&capture, pcap(packets)).expect("a written capture");
        let policy = self.folder.join("policy.toml");
        let mut alerts = last_revisions(lines(&replay(&capture, &[&"--policy", &policy, &"--alerts", &"-"])));
        alerts.retain(|alert| alert["kind"] != "asset");
        Told { capture, alerts }
    }
}

/// Whether a server of S7comm says that it has stopped. The one in Python does not tell its state in any other way.
fn says_stopped(answer: &[u8]) -> bool {
    // Behind TPKT, DT, protocol and ROSCTR (acknowledgement with data): no error, PLC stop.
    answer.len() == 20 && answer[7..9] == [0x32, 3] && answer[17..] == [0, 0, 0x29]
}

/// Everything against one stack.
fn play_all(stack: &'static Stack, tools: &Path, folder: &Path) -> Vec<Played> {
    let site = Site::new(stack.name).expect("namespaces can be made");
    let server = Server::start(stack, &site.server, tools, &folder.join(format!("{}.log", stack.name)));
    let mut place = Place { stack, site, server, folder, client_port: 40_000 };
    let mut played = Vec::new();
    for trial in trials(stack) {
        let first = place.play(&trial);
        let then = trial.then.filter(|_| first.is_executed).map(|trial| place.play(&trial));
        played.extend([first].into_iter().chain(then));
    }
    played
}

#[test]
#[ignore = "installs the stacks of the plant, as root, and takes minutes: cargo test --test stacks -- --ignored"]
fn what_a_real_server_executes_is_seen_however_it_was_sent() {
    if !rustix::process::geteuid().is_root() {
        return missing(NAMESPACES, "the user is not root");
    }
    let (tools, folder) = (root().join("target/plant"), Path::new(env!("CARGO_TARGET_TMPDIR")).join("stacks"));
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("policy.toml"), policy(&FLOWS)).expect("a written policy");
    let stacks = installed(&tools);
    let played: Vec<Played> = thread::scope(|scope| {
        let threads: Vec<_> = stacks.iter().map(|stack| scope.spawn(|| play_all(stack, &tools, &folder))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a stack that was played")).collect()
    });
    tell(&stacks, &played);
    played.iter().for_each(Played::check);
    if stacks.len() == STACKS.len() {
        every_trial_gets_somewhere(&played);
    }
}

/// A test of what is executed is none if nothing is.
fn every_trial_gets_somewhere(played: &[Played]) {
    for one in played.iter().filter(|one| !one.is_honest && !NOWHERE.iter().any(|part| one.trial.contains(part))) {
        let same = |other: &&Played| (other.stack.protocol, &other.trial) == (one.stack.protocol, &one.trial);
        assert!(played.iter().filter(same).any(|same| same.is_executed), "nobody executes it: {}", one.trial);
    }
}

/// What no server here executes: Linux takes the first of two fragments and has no HSR, not every kernel knows VLANs, and
/// these stacks refuse the rest.
const NOWHERE: [&str; 7] = [
    "overlapping fragments, the decoy first",
    "an HSR tag",
    "another VLAN",
    "TPDU DT with credit 1",
    "ROSCTR 3",
    "transport size 9",
    "one of which is counted",
];

/// The stacks that can be installed here.
fn installed(tools: &Path) -> Vec<&'static Stack> {
    let mut install = Command::new(root().join("pcaps/record/stacks"));
    install.arg(tools).args(STACKS.iter().map(|stack| stack.name)).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = install.output().expect("bash is there");
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    let (there, absent): (Vec<_>, Vec<_>) =
        STACKS.iter().partition(|stack| stack.is_installed(&said.lines().collect::<Vec<_>>()));
    absent.iter().for_each(|stack| missing(STACK, stack.name));
    there
}

/// Prints what every server made of every trial: `X` it was executed and seen, `!` executed and not seen, `x` seen and not
/// executed, `.` neither.
fn tell(stacks: &[&Stack], played: &[Played]) {
    let mut names: Vec<&str> = Vec::new();
    for one in played {
        if !names.contains(&one.trial.as_str()) {
            names.push(&one.trial);
        }
    }
    let columns: Vec<&str> = stacks.iter().map(|stack| stack.name).collect();
    eprintln!("{}", columns.join(" "));
    for name in names {
        let mark = |stack: &&str| {
            let one = played.iter().find(|one| one.stack.name == *stack && one.trial == name);
            format!("{:^width$}", one.map_or(' ', Played::mark), width = stack.len())
        };
        eprintln!("{} {name}", columns.iter().map(mark).collect::<Vec<_>>().join(" "));
    }
}

impl Played {
    fn mark(&self) -> char {
        match (self.is_executed, self.told.iter().all(Told::is_loud)) {
            (true, true) => 'X',
            (true, false) => '!',
            (false, _) if self.told[0].is_loud() => 'x',
            (false, _) => '.',
        }
    }

    fn check(&self) {
        for told in &self.told {
            let place = format!("{}: {} ({})", self.stack.name, self.trial, told.capture.display());
            if self.is_honest {
                assert!(!self.is_executed, "{place}: a read has changed something");
                assert!(told.alerts.is_empty(), "{place}: {:#?}", told.alerts);
            } else if self.is_executed {
                assert!(told.is_loud(), "{place}: {:#?}", told.alerts);
            }
        }
    }
}

impl Told {
    /// Whether there is an alert of severity high or more about the conversation.
    fn is_loud(&self) -> bool {
        let is_about_it = |alert: &Value| alert["client"]["ip"] == "10.0.1.10" && alert["server"]["ip"] == "10.0.2.10";
        self.alerts.iter().any(|alert| is_loud(alert) && is_about_it(alert))
    }
}
