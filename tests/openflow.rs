//! The memory of an open flow without pending requests or buffered bytes, measured at the allocator.
#![allow(unsafe_code, reason = "an allocator that counts is an allocator")]

#[path = "../benches/generator/mod.rs"]
#[allow(dead_code, reason = "captures of a kind, of all that the generator writes")]
mod generator;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use clap::Parser;
use generator::{PolicyKind, Settings, Speech};
use lockkeeper::capture::{Block, ReplaySettings, Source, open};
use lockkeeper::cli::{Cli, Command};
use lockkeeper::config;
use lockkeeper::policy::Policy;
use lockkeeper::record::{Captures, Report};
use lockkeeper::worker::{SHARDS, Worker};

/// The documented limit, bytes: the flow, its decoder, the state of its two hosts, and its share of all tables.
const MOST: f64 = 640.0;
/// Bytes that a decoder of S7 holds beyond one of Modbus: connection, session and transfers.
const AGREED: f64 = 480.0;

#[test]
fn an_open_idle_flow_takes_at_most_640_bytes() {
    for speech in [Speech::ModbusTcp, Speech::ModbusRtu] {
        let taken = bytes_of_a_flow(speech);
        assert!(taken <= MOST, "{speech:?}: {taken:.0} bytes");
    }
}

#[test]
fn an_s7_connection_adds_at_most_its_negotiated_session() {
    let taken = bytes_of_a_flow(Speech::S7comm);
    assert!(taken <= MOST + AGREED, "{taken:.0} bytes");
}

/// Bytes of one more open flow among thousands, each with some completed requests.
fn bytes_of_a_flow(speech: Speech) -> f64 {
    let (few, many) = (2_000, 50_000);
    (held_with(speech, many) - held_with(speech, few)) as f64 / f64::from(many - few)
}

/// Bytes that a worker holds with `flows` open flows.
fn held_with(speech: Speech, flows: u32) -> i64 {
    let settings = Settings { speech, flows, packets: 14 * u64::from(flows), ..Settings::default() };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("flows.pcap");
    generator::generate(&settings, std::fs::File::create(&path).expect("a file")).expect("a capture");
    let blocks = blocks(&path);
    let policy = generator::policy(&settings, PolicyKind::Limited).expect("a policy");
    let policy = Arc::new(Policy::parse("flows.toml", &policy).expect("a sound policy"));

    let before = HELD.get();
    let mut worker = worker(policy);
    // The last packets, three a flow, close the flows.
    let mut left = settings.packets as usize - 3 * flows as usize;
    for block in &blocks {
        worker.begin_block(Report::default());
        let open = block.packets.iter().take(left);
        open.for_each(|packet| {
            let bytes = block.bytes_of(packet);
            worker.judge_packet(packet, bytes, shard_of(bytes));
        });
        left = left.saturating_sub(block.packets.len());
        let clock = block.packets.last().map_or(0, |packet| packet.stamp.clock);
        worker.end_block(clock, false);
    }
    assert_eq!(worker.open_flows(), u64::from(flows), "{speech:?}");
    HELD.get() - before
}

/// The shard of the two hosts of a packet, which have the same host number in their networks.
fn shard_of(bytes: &[u8]) -> u8 {
    let [client, server] = [29, 33].map(|last| u16::from(bytes[last]));
    ((client + server) / 2 % SHARDS as u16) as u8
}

/// Reads a capture into memory.
fn blocks(path: &std::path::Path) -> Vec<Block> {
    let mut source = open(&[path.to_owned()], &ReplaySettings::default()).expect("a capture");
    let mut next = || {
        let mut block = Block::default();
        source.fill(&mut block).expect("a sound capture").then_some(block)
    };
    std::iter::from_fn(&mut next).collect()
}

/// A worker with the settings of a replay.
fn worker(policy: Arc<Policy>) -> Worker {
    let Command::Replay(typed) = Cli::parse_from(["lockkeeper", "replay", "flows.pcap"]).command else {
        unreachable!("that is the command")
    };
    let settings = config::pipeline(&typed, &policy, Vec::new(), false).expect("sound settings");
    Worker::new(0, 1, settings.worker, policy, Arc::new(Captures::new(&["flows.pcap".to_owned()])))
}

/// The system's allocator, which also counts the bytes that the thread of a test holds.
struct Counting;

thread_local! {
    static HELD: Cell<i64> = const { Cell::new(0) };
}

// SAFETY: every call is passed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.set(HELD.get() + layout.size() as i64);
        // SAFETY: the caller keeps to the same rules.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.set(HELD.get() - layout.size() as i64);
        // SAFETY: the caller keeps to the same rules.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
