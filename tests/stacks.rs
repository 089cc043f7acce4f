//! Evasion trials against servers of pymodbus, libmodbus, snap7 and asyncua behind a Linux TCP stack: every undeclared
//! operation that a server executes raises an alert of severity high or more; an honest twin of the trial raises none.
//!
//! `pcaps/record/stacks` installs the stacks from Debian and PyPI into `target/plant`. It needs root, access to the
//! registries the first time, and two minutes: `cargo test --test stacks -- --ignored --nocapture`. A stack that cannot be
//! installed is skipped with a note, or fails the test if `LOCKKEEPER_REQUIRE=1` is set.
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
use support::{is_loud, policy, raised, root};
use talk::Talk;
use trials::{SHORTLY, Trial, trials};

/// Permits class `observe`, and in each protocol one write.
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

/// The result of a trial.
struct Played {
    stack: &'static Stack,
    trial: String,
    is_honest: bool,
    /// Whether the server has changed a value or stopped.
    is_executed: bool,
    /// The sensor's alerts, by the captured directions.
    replays: [Replayed; 3],
}

/// The alerts of a recording.
struct Replayed {
    capture: PathBuf,
    /// The last revisions of all alerts that are not of kind `asset`.
    alerts: Vec<Value>,
}

/// A stack with its server, on a separate network.
struct Place<'a> {
    stack: &'static Stack,
    site: Site,
    server: Server,
    folder: &'a Path,
    client_port: u16,
}

impl Place<'_> {
    /// Runs a trial in a new conversation, and determines what the server executed and what the sensor reports.
    fn play(&mut self, trial: &Trial) -> Played {
        self.client_port += 1;
        let mut talk = Talk::begin(&self.site, self.stack, self.client_port, trial.is_early);
        let begun = talk.attacker.recorded();
        // Reverts late effects of the trial before, which would count for this one.
        self.put_back();
        (trial.send)(&mut talk);
        talk.attacker.answer(SHORTLY);
        let is_executed = self.put_back() || talk.attacker.answers.iter().any(|answer| reports_stop(answer));
        let sent = talk.attacker.end();
        let from_client = sent.iter().filter(|packet| packet.bytes[6..12] == CLIENT_MAC);
        let unanswered: Vec<Packet> = begun.iter().chain(from_client).cloned().collect();
        let replays = [
            self.replay("whole", &[&begun[..], &sent].concat()),
            self.replay("unanswered", &unanswered),
            self.replay("late", &sent),
        ];
        Played { stack: self.stack, trial: trial.name.clone(), is_honest: trial.is_honest, is_executed, replays }
    }

    /// Restores changed values; returns whether there were any.
    fn put_back(&mut self) -> bool {
        let is_changed = self.server.is_changed();
        if is_changed {
            self.server.put_back();
        }
        is_changed
    }

    /// The alerts of a replay of these packets; `captured` names the captured directions.
    fn replay(&self, captured: &str, packets: &[Packet]) -> Replayed {
        let capture = self.folder.join(format!("{}-{}-{captured}.pcap", self.stack.name, self.client_port));
        std::fs::write(&capture, pcap(packets)).expect("a written capture");
        let policy = self.folder.join("policy.toml");
        let alerts = raised(&capture, &policy, &[]);
        Replayed { capture, alerts }
    }
}

/// Whether a response of an S7comm server reports a stop; the Python server shows its state in no other way.
fn reports_stop(answer: &[u8]) -> bool {
    // Behind TPKT, DT, protocol and ROSCTR (acknowledgement with data): no error, PLC stop.
    answer.len() == 20 && answer[7..9] == [0x32, 3] && answer[17..] == [0, 0, 0x29]
}

/// Runs every trial against one stack.
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
fn operations_that_a_real_server_executes_are_seen_however_they_are_sent() {
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
    print_results(&stacks, &played);
    played.iter().for_each(Played::check);
    if stacks.len() == STACKS.len() {
        assert_every_trial_is_executed(&played);
    }
}

/// Asserts that each trial is executed by at least one server; otherwise it proves nothing.
fn assert_every_trial_is_executed(played: &[Played]) {
    for one in played.iter().filter(|one| !one.is_honest && !NEVER_EXECUTED.iter().any(|part| one.trial.contains(part)))
    {
        let same = |other: &&Played| (other.stack.protocol, &other.trial) == (one.stack.protocol, &one.trial);
        assert!(played.iter().filter(same).any(|same| same.is_executed), "no server executes it: {}", one.trial);
    }
}

/// Trials that no server executes: Linux keeps the first of two overlapping fragments and has no HSR, some kernels lack
/// VLANs, and these stacks refuse the rest.
const NEVER_EXECUTED: [&str; 7] = [
    "overlapping fragments, the decoy first",
    "an HSR tag",
    "another VLAN",
    "TPDU DT with credit 1",
    "ROSCTR 3",
    "transport size 9",
    "one of which is counted",
];

/// The stacks that can be installed on this machine.
fn installed(tools: &Path) -> Vec<&'static Stack> {
    let mut install = Command::new(root().join("pcaps/record/stacks"));
    install.arg(tools).args(STACKS.iter().map(|stack| stack.name)).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = install.output().expect("bash is there");
    let listed = String::from_utf8(output.stdout).expect("UTF-8");
    let (there, absent): (Vec<_>, Vec<_>) =
        STACKS.iter().partition(|stack| stack.is_installed(&listed.lines().collect::<Vec<_>>()));
    absent.iter().for_each(|stack| missing(STACK, stack.name));
    there
}

/// Prints the result of each trial by server: `X` executed and reported, `!` executed and not reported, `x` reported and
/// not executed, `.` neither.
fn print_results(stacks: &[&Stack], played: &[Played]) {
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
        match (self.is_executed, self.replays.iter().all(Replayed::is_loud)) {
            (true, true) => 'X',
            (true, false) => '!',
            (false, _) if self.replays[0].is_loud() => 'x',
            (false, _) => '.',
        }
    }

    fn check(&self) {
        for replayed in &self.replays {
            let place = format!("{}: {} ({})", self.stack.name, self.trial, replayed.capture.display());
            if self.is_honest {
                assert!(!self.is_executed, "{place}: a read has changed something");
                assert!(replayed.alerts.is_empty(), "{place}: {:#?}", replayed.alerts);
            } else if self.is_executed {
                assert!(replayed.is_loud(), "{place}: {:#?}", replayed.alerts);
            }
        }
    }
}

impl Replayed {
    /// Whether there is an alert of severity high or more about the conversation.
    fn is_loud(&self) -> bool {
        let is_about_it = |alert: &Value| alert["client"]["ip"] == "10.0.1.10" && alert["server"]["ip"] == "10.0.2.10";
        self.alerts.iter().any(|alert| is_loud(alert) && is_about_it(alert))
    }
}
