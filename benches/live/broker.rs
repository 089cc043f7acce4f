//! A broker on the loopback of the cable's namespace, and a subscriber that records when it receives each alert.

use std::error::Error;
use std::io::{self, Read};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::cable::Cable;

/// mosquitto with one subscriber; both end when it is dropped.
pub(crate) struct Broker {
    broker: Child,
    subscriber: Child,
    heard: Option<JoinHandle<io::Result<String>>>,
}

impl Broker {
    /// Its port, free because the namespace has no other process.
    pub(crate) const URL: &'static str = "mqtt://127.0.0.1:1883";

    /// Starts both, and waits until the subscriber receives a published message.
    pub(crate) fn start(cable: &Cable) -> Result<Self, Box<dyn Error>> {
        cable.loopback()?;
        let broker = spawn(&mut cable.command("mosquitto", &["-p", "1883"]))?;
        // The subscriber prints the time of reception in nanoseconds.
        let all = ["-h", "127.0.0.1", "-q", "1", "-t", "lockkeeper/#", "-F", "%U %p"];
        thread::sleep(Duration::from_millis(500));
        let mut subscriber = spawn(cable.command("mosquitto_sub", &all).stdout(Stdio::piped()))?;
        let mut printed = subscriber.stdout.take().ok_or("no standard output")?;
        let heard = thread::spawn(move || {
            let mut text = String::new();
            printed.read_to_string(&mut text).map(|_| text)
        });
        thread::sleep(Duration::from_millis(500));
        Ok(Self { broker, subscriber, heard: Some(heard) })
    }

    /// Milliseconds from the packet of each new alert to its reception by the subscriber, sorted.
    pub(crate) fn delays(mut self) -> Result<Vec<f64>, Box<dyn Error>> {
        thread::sleep(Duration::from_millis(500));
        end(&mut self.subscriber);
        let heard = self.heard.take().ok_or("asked twice")?.join().map_err(|_| "the reader ended badly")??;
        let mut delays: Vec<f64> = heard.lines().filter_map(delay).collect();
        delays.sort_by(f64::total_cmp);
        Ok(delays)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        end(&mut self.subscriber);
        end(&mut self.broker);
    }
}

fn spawn(command: &mut Command) -> Result<Child, Box<dyn Error>> {
    let child = command.stderr(Stdio::null()).spawn();
    child.map_err(|error| format!("{command:?}: {error} (mosquitto and mosquitto-clients are needed)").into())
}

/// Terminates a process if it is still running.
fn end(child: &mut Child) {
    if let (Ok(None), Some(pid)) = (child.try_wait(), Pid::from_raw(child.id().cast_signed())) {
        let _already_gone = kill_process(pid, Signal::TERM);
        let _already_gone = child.wait();
    }
}

/// Milliseconds from the packet of a new alert to its reception.
fn delay(line: &str) -> Option<f64> {
    let (heard, alert) = line.split_once(' ')?;
    let (seconds, nanoseconds) = heard.split_once('.')?;
    let heard = seconds.parse::<i128>().ok()? * 1_000_000_000 + nanoseconds.parse::<i128>().ok()?;
    let alert: Value = serde_json::from_str(alert).ok()?;
    if alert["revision"] != 1 || alert["kind"] != "violation" {
        return None;
    }
    let seen: jiff::Timestamp = alert["time"].as_str()?.parse().ok()?;
    Some((heard - seen.as_nanosecond()) as f64 / 1e6)
}
