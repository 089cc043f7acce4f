//! Against real stacks: what a server of pymodbus, libmodbus, snap7 or asyncua executes behind a Linux TCP stack, whatever was
//! done to hide it, has an alert of severity high or more; the same done honestly has none.
//!
//! `pcaps/record/stacks` installs the stacks (from Debian and PyPI, into `target/plant`, where they stay). That needs root, the
//! registries the first time, and two minutes: `cargo test --test stacks -- --ignored --nocapture`. A stack that cannot be had
//! here is left out and told; with `LOCKKEEPER_STACKS=whole` in the environment, leaving out is failing.
#![allow(clippy::disallowed_methods, reason = "a test waits for other processes")]

#[path = "stacks/attacker.rs"]
mod attacker;
#[path = "stacks/servers.rs"]
mod servers;
#[path = "stacks/site.rs"]
mod site;
mod support;
#[path = "stacks/talk.rs"]
mod talk;

/// The generator of evasions.
#[allow(dead_code, reason = "shared with the test of evasions; this one uses a part")]
mod evasion {
    pub(crate) mod attacks;
    pub(crate) mod speech;
    pub(crate) mod wire;
}

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use evasion::attacks::{ATTACKS, LIES, Requests};
use evasion::wire::Line;
use serde_json::Value;
use servers::{STACKS, Server, Stack};
use site::Site;
use support::rewrite::{Packet, pcap};
use support::{lines, replay, root};
use talk::Talk;

/// Reading and observing is permitted, and in each protocol one write.
const POLICY: &str = r#"
schema = "lockkeeper-policy/1"
zone.scada.networks = ["10.0.1.0/24"]
zone.plc.networks = ["10.0.2.0/24"]
[conduit.C]
zones = ["scada", "plc"]
[[conduit.C.flow]]
from = ["zone:scada"]
to = ["zone:plc"]
protocol = "modbus"
port = 502
allow = [{ op = "observe" }, { op = "write", modbus = { table = "holding_register", addr = "20" } }]
[[conduit.C.flow]]
from = ["zone:scada"]
to = ["zone:plc"]
protocol = "s7comm"
port = 102
allow = [{ op = "observe" }, { op = "write", s7 = { area = "DB", db = 20, bytes = "24-27" } }]
[[conduit.C.flow]]
from = ["zone:scada"]
to = ["zone:plc"]
protocol = "opcua"
port = 4840
opcua = { identity = ["anonymous"] }
allow = [{ op = "observe" }, { op = "security" }, { op = "write", opcua = { nodes = ["ns=2;s=Weir.Command"] } }]
"#;

/// One way to say something, to one server.
struct Played {
    attack: String,
    /// The server has changed something.
    is_executed: bool,
    /// Alerts, in their last revisions, without those that greet a host.
    alerts: Vec<Value>,
}

type Sent<'a> = Box<dyn Fn(&mut Line, &Requests<'_>) + 'a>;

/// What the generator knows, and every way to make a decoy.
fn attacks<'a>() -> Vec<(String, bool, Sent<'a>)> {
    let known = ATTACKS.iter().map(|attack| (attack.name.to_owned(), attack.has_twin, Box::new(attack.send) as Sent<'a>));
    let lies = LIES.map(|lie| {
        let send: Sent<'a> = Box::new(move |line, requests| {
            let decoy = line.segment(true, requests.decoy);
            line.send(&requests.lie(decoy, lie));
            let (first, second) = requests.real.split_at(requests.real.len() / 2);
            line.say(true, first);
            line.say(true, second);
        });
        (format!("a decoy ({lie:?}), then the real one in two pieces"), true, send)
    });
    known.chain(lies).collect()
}

/// A stack with its server, on a network of its own.
struct Place<'a> {
    stack: &'a Stack,
    site: Site,
    server: Server,
    folder: &'a Path,
    client_port: u16,
}

impl Place<'_> {
    fn talk(&mut self) -> Talk {
        self.client_port += 1;
        Talk::begin(&self.site, self.stack, self.client_port, b"")
    }

    /// Sends what has to be sent in a conversation of its own, and asks the server and the sensor about it.
    fn play(&mut self, attack: &str, send: impl FnOnce(&mut Talk)) -> Played {
        let mut talk = self.talk();
        send(&mut talk);
        talk.attacker.answer(SHORTLY);
        let is_executed = self.server.is_changed();
        if is_executed {
            self.server.put_back();
        }
        let alerts = self.alerts(&talk.attacker.recorded());
        eprintln!("{} {} {is_executed} {} {attack}", self.stack.name, self.client_port, alerts.iter().any(is_loud));
        Played { attack: attack.to_owned(), is_executed, alerts }
    }

    fn alerts(&self, packets: &[Packet]) -> Vec<Value> {
        let file = |ending: &str| self.folder.join(format!("{}-{}.{ending}", self.stack.name, self.client_port));
        let (capture, policy) = (file("pcap"), file("toml"));
        std::fs::write(&capture, pcap(packets)).expect("a written capture");
        std::fs::write(&policy, POLICY).expect("a written policy");
        let mut last: Vec<Value> = Vec::new();
        for alert in lines(&replay(&capture, &[&"--policy", &policy, &"--alerts", &"-"])) {
            last.retain(|known| known["id"] != alert["id"]);
            last.push(alert);
        }
        last.retain(|alert| alert["kind"] != "asset");
        last
    }
}

/// Everything against one stack.
fn play_all(stack: &Stack, tools: &Path, folder: &Path) -> Vec<Played> {
    let site = Site::new(stack.name).expect("namespaces can be made");
    let server = Server::start(stack, &site.server, tools, &folder.join(format!("{}.log", stack.name)));
    let mut place = Place { stack, site, server, folder, client_port: 40_000 };
    let mut played = Vec::new();
    for (name, has_twin, send) in attacks() {
        played.push(place.play(&name, |talk| {
            let Talk { attacker, speech, .. } = talk;
            let requests = Requests { real: &speech.write, decoy: &speech.decoy, is_honest: false };
            attacker.play(|line| send(line, &requests));
        }));
        if has_twin {
            let twin = place.play(&name, |talk| {
                let Talk { attacker, speech, .. } = talk;
                let requests = Requests { real: &speech.read_on, decoy: &speech.read_on, is_honest: true };
                attacker.play(|line| send(line, &requests));
            });
            assert!(!twin.is_executed && twin.alerts.is_empty(), "{}: {name}: {:?}", stack.name, twin.alerts);
        }
    }
    played
}

#[test]
#[ignore = "installs the stacks of the plant, as root, and takes minutes: cargo test --test stacks -- --ignored"]
fn what_a_real_server_executes_is_seen_however_it_was_sent() {
    let tools = root().join("target/plant");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stacks");
    std::fs::create_dir_all(&folder).expect("a folder");
    let stacks: Vec<&Stack> = STACKS.iter().collect();
    let _ = Command::new("true").stdout(Stdio::null()).status();
    thread::scope(|scope| {
        let threads: Vec<_> = stacks
            .iter()
            .map(|stack| (stack, scope.spawn(|| play_all(stack, &tools, &folder))))
            .collect();
        for (stack, thread) in threads {
            match thread.join() {
                Ok(played) => {
                    for one in played {
                        let loud = one.alerts.iter().any(is_loud);
                        eprintln!("{:13} executed {:5} seen {:5} {}", stack.name, one.is_executed, loud, one.attack);
                    }
                }
                Err(_) => eprintln!("{} PANICKED", stack.name),
            }
        }
    });
}

fn is_loud(alert: &Value) -> bool {
    alert["severity"] == "high" || alert["severity"] == "critical"
}

/// Longer than a server needs for an answer, where it gives one.
const SHORTLY: Duration = Duration::from_millis(500);
