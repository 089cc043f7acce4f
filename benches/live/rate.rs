//! The highest rate without a loss. At every rate, each sent packet is judged or counted as lost; without a loss, every
//! generated PDU is decoded.

use std::error::Error;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Arguments;
use crate::cable::Cable;
use crate::capture::prepare;
use crate::files::Files;
use crate::generator::Settings;
use crate::process::installed;
use crate::sender::{Frames, Sender};
use crate::sensor::{Sensor, tcpdump};

/// The result of one rate.
struct Step {
    /// Achieved rate, packets a second.
    rate: f64,
    judged: u64,
    lost: u64,
    /// Processor time of the receiver for each packet, nanoseconds, if measured.
    cost: Option<f64>,
}

/// The capture to send, its counts, and the cable.
struct Setup<'a> {
    arguments: &'a Arguments,
    files: Files,
    /// Counts of the capture.
    truth: Value,
    frames: Frames,
    cable: Cable,
}

pub(crate) fn measure(arguments: &Arguments) -> Result<Value, Box<dyn Error>> {
    let settings = Settings { packets: arguments.packets, ..Settings::default() };
    let files = Files::default_for(&settings);
    let truth = prepare(&files, &settings)?;
    let frames = Frames::read(&files.capture)?;
    let bench = Setup { arguments, files, truth, frames, cable: Cable::lay()? };
    let sender = Sender::open(&bench.cable)?;
    let all = bench.frames.len();
    println!("Rate: {all} packets of Modbus in {} flows", settings.flows);
    println!("  {:<12} {:>12} {:>12} {:>12} {:>10}", "", "packets/s", "judged", "lost", "ns/packet");
    let send = |rate| Ok(sender.send(&bench.frames, 0..all, rate)?.as_secs_f64());
    let lockkeeper = highest(|rate| Ok(bench.watched(|| send(rate))?.print("lockkeeper")))?;
    let tcpdump = highest(|rate| Ok(bench.dumped(|| send(rate))?.print("tcpdump")))?;
    let mut result = json!({ "packets": all, "lockkeeper": lockkeeper, "tcpdump": tcpdump });
    if installed("tcpreplay") {
        let step = bench.watched(|| bench.tcpreplay())?.print("tcpreplay to");
        result["from_tcpreplay"] = json!({ "pps": step.rate as u64, "lost": step.lost });
    }
    Ok(result)
}

/// Bisects between a rate without losses and one with losses.
fn highest(run: impl Fn(u64) -> Result<Step, Box<dyn Error>>) -> Result<Value, Box<dyn Error>> {
    let flat_out = run(0)?;
    let (mut best, mut cost) = if flat_out.lost == 0 { (flat_out.rate, flat_out.cost) } else { (0.0, None) };
    let (mut low, mut high) = (0.0, flat_out.rate);
    for _ in 0..HALVINGS {
        if best >= high {
            break;
        }
        let step = run(f64::midpoint(low, high) as u64)?;
        if step.lost == 0 {
            (low, best, cost) = (step.rate, step.rate, step.cost);
        } else {
            high = step.rate;
        }
    }
    let lost = flat_out.lost as f64 / (flat_out.judged + flat_out.lost).max(1) as f64;
    let (lossless, flat_out) = (best as u64, flat_out.rate as u64);
    Ok(json!({ "lossless_pps": lossless, "ns_per_packet": cost, "flat_out_pps": flat_out, "flat_out_lost": lost }))
}

impl Setup<'_> {
    /// Runs the sensor while `send` sends and returns the seconds that it took. A packet that is neither judged nor counted as
    /// lost is an error, as is an undecoded PDU although no packet was lost.
    fn watched(&self, send: impl FnOnce() -> Result<f64, Box<dyn Error>>) -> Result<Step, Box<dyn Error>> {
        let Self { arguments, files, cable, .. } = self;
        let sensor = Sensor::start(cable, &arguments.binary, &files.policy, &[], Stdio::null())?;
        let before = sensor.processor();
        let seconds = send()?;
        std::thread::sleep(Duration::from_millis(500));
        let spent = sensor.processor().zip(before).map(|(after, before)| after - before);
        let counted = sensor.stop()?;
        let (judged, lost) = (counted["packets"].as_u64().unwrap_or(0), Sensor::lost(&counted));
        let sent = self.frames.len();
        if judged + lost != sent as u64 {
            return Err(format!("{sent} packets were sent, {judged} judged and {lost} counted as lost").into());
        }
        let modbus = &self.truth["modbus"];
        if lost == 0 && ["requests", "responses"].iter().any(|kind| modbus[kind] != counted["pdus"]["modbus"][kind]) {
            return Err(format!("{modbus} was sent, and {} decoded", counted["pdus"]["modbus"]).into());
        }
        let cost = spent.map(|seconds| seconds * 1e9 / judged.max(1) as f64);
        Ok(Step { rate: sent as f64 / seconds, judged, lost, cost })
    }

    /// Runs tcpdump instead of the sensor.
    fn dumped(&self, send: impl FnOnce() -> Result<f64, Box<dyn Error>>) -> Result<Step, Box<dyn Error>> {
        let mut seconds = 0.0;
        let [judged, lost] = tcpdump(&self.cable, || {
            seconds = send()?;
            Ok(())
        })?;
        Ok(Step { rate: self.frames.len() as f64 / seconds, judged, lost, cost: None })
    }

    /// Sends with tcpreplay at full speed.
    fn tcpreplay(&self) -> Result<f64, Box<dyn Error>> {
        let capture = self.files.capture.display().to_string();
        let mut command = self.cable.command("tcpreplay", &["--topspeed", "-K", "-q", "-i", Cable::NEAR, &capture]);
        let output = command.output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        // tcpreplay's own measurement, without reading the file.
        let seconds = said.split_once("sent in ").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        seconds.ok_or_else(|| format!("{said}{}", String::from_utf8_lossy(&output.stderr)).into())
    }
}

impl Step {
    fn print(self, name: &str) -> Self {
        let cost = self.cost.map(|cost| format!("{cost:.0}")).unwrap_or_default();
        println!("  {name:<12} {:>12.0} {:>12} {:>12} {cost:>10}", self.rate, self.judged, self.lost);
        self
    }
}

/// Bisection steps: the result is within a thirtieth of the highest rate that can be sent.
const HALVINGS: usize = 5;
