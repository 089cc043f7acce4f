//! A long run on a busy wire: many flows that are opened again and again, with a flood of SYN segments among them.

use std::error::Error;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Arguments;
use crate::cable::Cable;
use crate::capture::prepare;
use crate::files::Files;
use crate::generator::Settings;
use crate::sender::{Frames, Sender};
use crate::sensor::Sensor;

pub(crate) fn measure(arguments: &Arguments) -> Result<Value, Box<dyn Error>> {
    let flows = arguments.flows;
    let settings = Settings { packets: u64::from(flows) * PACKETS_PER_FLOW, flows, ..Settings::default() };
    let files = Files::default_for(&settings);
    prepare(&files, &settings)?;
    let frames = Frames::read(&files.capture)?;
    let cable = Cable::lay()?;
    let sender = Sender::open(&cable)?;
    let sensor = Sensor::start(&cable, &arguments.binary, &files.policy, &[], Stdio::null())?;
    let empty = sensor.memory().unwrap_or(0);
    println!("Soak: {flows} flows at {} packets/s for {} s", arguments.pps, arguments.seconds);
    let (begun, mut sent, mut dice, mut at) = (Instant::now(), 0, 1_u64, 0);
    let mut memory = Vec::new();
    while begun.elapsed() < Duration::from_secs(arguments.seconds) {
        // A second at a time: one part in ten is the flood.
        let flood = flood(arguments.pps / 10, &mut dice);
        let end = (at + (arguments.pps - arguments.pps / 10) as usize).min(frames.len());
        sender.send(&flood, 0..flood.len(), arguments.pps)?;
        sender.send(&frames, at..end, arguments.pps)?;
        sent += flood.len() + end - at;
        at = if end == frames.len() { 0 } else { end };
        memory.extend(sensor.memory());
    }
    let cost = sensor.processor().unwrap_or(f64::NAN) * 1e9 / sent.max(1) as f64;
    let open = sensor.status()?["traffic"]["flows_open"].as_u64().unwrap_or(0);
    let counted = sensor.stop()?;
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let losses = &counted["losses"];
    let lost = Sensor::lost(&counted);
    let unaccounted = sent as i64 - (number(&counted["packets"]) + lost) as i64;
    let half = memory.get(memory.len() / 2).copied();
    let (last, peak) = (memory.last().copied(), memory.iter().max().copied());
    println!("  {sent} packets sent, {lost} lost, {unaccounted} not accounted for");
    println!("  resident KiB: {empty} at the start, {half:?} at half time, {last:?} at the end, {peak:?} at most");
    let each = last.unwrap_or(0).saturating_sub(empty) * 1024 / open.max(1);
    println!("  {open} flows open at the end, {each} bytes each; {cost:.0} ns of processor time a packet");
    if unaccounted != 0 {
        return Err("packets were neither judged nor counted as lost".into());
    }
    Ok(json!({
        "sent": sent, "lost": lost, "unaccounted": unaccounted, "losses": losses, "flows_open": open,
        "bytes_a_flow": each, "ns_per_packet": cost, "start_kib": empty,
        "half_time_kib": half, "end_kib": last, "peak_kib": peak, "kib_each_second": memory,
    }))
}

/// SYN segments between random addresses.
fn flood(count: u64, dice: &mut u64) -> Frames {
    let mut frames = Frames::default();
    for _ in 0..count {
        // Knuth's generator of 64 bits: its upper half is random enough for addresses.
        *dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let [a, b, c, d, ..] = (*dice >> 16).to_be_bytes()[2..].try_into().map_or([0; 6], |bytes: [u8; 6]| bytes);
        let mut frame = [0; 54];
        frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
        frame[14..26].copy_from_slice(&[0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0]);
        frame[26..34].copy_from_slice(&[10, 99, a, b, 10, 98, c, 1]);
        frame[34..38].copy_from_slice(&[0x80 | d, a, 1, 0xF6]);
        frame[46..48].copy_from_slice(&[0x50, 0x02]);
        frames.push(&frame);
    }
    frames
}

/// Packets of each flow before it is opened again.
const PACKETS_PER_FLOW: u64 = 20;
