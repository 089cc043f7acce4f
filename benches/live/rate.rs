//! The highest rate at which nothing is lost. Every packet that was sent is accounted for at every rate.

use std::error::Error;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::Arguments;
use crate::cable::Cable;
use crate::capture::prepare;
use crate::files::Files;
use crate::generator::Settings;
use crate::sender::{Frames, Sender};
use crate::sensor::{Sensor, tcpdump};

/// What came of one rate.
struct Step {
    /// Packets a second that were really sent.
    rate: f64,
    judged: u64,
    lost: u64,
}

pub(crate) fn measure(arguments: &Arguments) -> Result<Value, Box<dyn Error>> {
    let settings = Settings { packets: arguments.packets, ..Settings::default() };
    let files = Files::default_for(&settings);
    prepare(&files, &settings)?;
    let frames = Frames::read(&files.capture)?;
    let cable = Cable::lay()?;
    let sender = Sender::open(&cable)?;
    println!("Rate: {} packets of Modbus in {} flows", frames.len(), settings.flows);
    println!("  {:<12} {:>12} {:>12} {:>12}", "", "packets/s", "judged", "lost");
    let watch = |rate| {
        let step = watched(arguments, &files, &cable, &sender, &frames, rate)?;
        print("lockkeeper", &step);
        Ok::<_, Box<dyn Error>>(step)
    };
    let dump = |rate| {
        let mut sent = 0.0;
        let [judged, lost] = tcpdump(&cable, || {
            sent = frames.len() as f64 / sender.send(&frames, 0..frames.len(), rate)?.as_secs_f64();
            Ok(())
        })?;
        let step = Step { rate: sent, judged, lost };
        print("tcpdump", &step);
        Ok::<_, Box<dyn Error>>(step)
    };
    Ok(json!({
        "packets": frames.len(),
        "lockkeeper": highest(watch)?,
        "tcpdump": highest(dump)?,
    }))
}

/// Halves the distance between a rate that loses nothing and one that does.
fn highest(run: impl Fn(u64) -> Result<Step, Box<dyn Error>>) -> Result<Value, Box<dyn Error>> {
    let flat_out = run(0)?;
    let mut best = if flat_out.lost == 0 { flat_out.rate } else { 0.0 };
    let (mut low, mut high) = (0.0, flat_out.rate);
    for _ in 0..HALVINGS {
        if best >= high {
            break;
        }
        let step = run(f64::midpoint(low, high) as u64)?;
        if step.lost == 0 {
            (low, best) = (step.rate, step.rate);
        } else {
            high = step.rate;
        }
    }
    let lost = flat_out.lost as f64 / (flat_out.judged + flat_out.lost).max(1) as f64;
    Ok(json!({ "lossless_pps": best as u64, "flat_out_pps": flat_out.rate as u64, "flat_out_lost": lost }))
}

/// One rate. A packet that is neither judged nor counted as lost is an error.
fn watched(
    arguments: &Arguments,
    files: &Files,
    cable: &Cable,
    sender: &Sender,
    frames: &Frames,
    rate: u64,
) -> Result<Step, Box<dyn Error>> {
    let sensor = Sensor::start(cable, &arguments.binary, &files.policy, &[], Stdio::null())?;
    let took = sender.send(frames, 0..frames.len(), rate)?;
    let counted = sensor.stop()?;
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let judged = number(&counted["packets"]);
    let names = ["dropped_by_kernel", "dropped_by_interface", "dropped_by_channel"];
    let lost: u64 = names.iter().map(|name| number(&counted["losses"][name])).sum();
    if judged + lost != frames.len() as u64 {
        return Err(format!("{} packets were sent, {judged} judged and {lost} counted as lost", frames.len()).into());
    }
    Ok(Step { rate: frames.len() as f64 / took.as_secs_f64(), judged, lost })
}

fn print(name: &str, step: &Step) {
    println!("  {name:<12} {:>12.0} {:>12} {:>12}", step.rate, step.judged, step.lost);
}

/// Steps after the first: the answer is within a thirtieth of the highest rate that can be sent.
const HALVINGS: usize = 5;
