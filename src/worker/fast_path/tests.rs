//! Both paths say the same: every shipped capture, as it is and disturbed, with the short ways and without.

use std::cell::Cell;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::capture::{Block, Packet, ReplaySettings, Source, open};
use crate::flow::{DuplicateSettings, StreamSettings, TableSettings};
use crate::frame::{self, Layers};
use crate::policy::Policy;
use crate::record::{Captures, Report};
use crate::worker::{Checksums, Item, SHARDS, Settings, Subject, Worker};

thread_local! {
    /// Whether short ways are taken on this thread.
    pub(super) static ON: Cell<bool> = const { Cell::new(true) };
    /// How often a short way asked for that.
    pub(super) static ASKED: Cell<u64> = const { Cell::new(0) };
}

/// A capture as a worker takes it in.
#[derive(Clone, Copy)]
struct Trial<'a> {
    capture: &'a Path,
    policy: &'a Arc<Policy>,
    transactions: bool,
    /// The seed of a disturbance; none for the capture as it is.
    disturbance: Option<u64>,
}

impl Trial<'_> {
    /// Everything that a worker reports and counts, as text.
    fn outcome(self, with_short_ways: bool) -> String {
        ON.set(with_short_ways);
        let mut source = open(&[self.capture.to_owned()], &ReplaySettings::default()).expect("a capture that ships");
        let mut worker = Worker::new(0, 1, settings(self.transactions), Arc::clone(self.policy), captures());
        let (mut block, mut clock, mut text) = (Block::default(), i64::MIN, String::new());
        let mut dice = self.disturbance;
        loop {
            let goes_on = source.fill(&mut block).expect("a capture that can be read");
            if let Some(dice) = &mut dice {
                disturb(&mut block.packets, dice);
            }
            clock = block.clock_after(clock);
            worker.begin_block(Report::default());
            let report = worker.judge_block(&block, &items(&block), clock, !goes_on);
            let lines = String::from_utf8_lossy(&report.lines);
            let _ = writeln!(text, "{:#?}\n{:?}\n{lines}", report.events, report.unread);
            if !goes_on {
                ON.set(true);
                return text + &statistics(&worker);
            }
        }
    }

    fn assert_same(self) {
        let (short, full) = (self.outcome(true), self.outcome(false));
        let first = short.lines().zip(full.lines()).enumerate().find(|(_, (short, full))| short != full);
        let Self { capture, transactions, disturbance, .. } = self;
        assert_eq!(first, None, "{}, {transactions}, {disturbance:?}", capture.display());
        assert_eq!(short.len(), full.len(), "{}", capture.display());
    }
}

fn settings(transactions: bool) -> Settings {
    Settings {
        table: TableSettings::default(),
        streams: StreamSettings::default(),
        duplicates: DuplicateSettings::default(),
        checksums: Checksums::Auto,
        decoder: lockkeeper_protocols::Limits::default(),
        transactions,
        memory: 16 << 20,
        neighbours: 1024,
        keys: Arc::default(),
    }
}

fn captures() -> Arc<Captures> {
    Arc::new(Captures::new(&[String::from("capture")]))
}

/// Every packet of a block in the shard of its pair of hosts; fragments are the dealer's.
fn items(block: &Block) -> Vec<Item> {
    let mut layers = Layers::default();
    let item = |(number, packet): (u32, &Packet)| {
        let key = frame::peek(packet.link, block.bytes_of(packet), packet.original, &mut layers).key()?;
        Some(Item { packet: number, shard: (key % SHARDS as u64) as u8, subject: Subject::Content })
    };
    (0..).zip(&block.packets).filter_map(item).collect()
}

/// Lets one packet of eight change places with the next, and replaces one of eight by a copy of the packet before it.
fn disturb(packets: &mut [Packet], dice: &mut u64) {
    for second in 1..packets.len() {
        let (earlier, later) = (packets[second - 1], packets[second]);
        // xorshift64 (Marsaglia, 2003).
        *dice ^= *dice << 13;
        *dice ^= *dice >> 7;
        *dice ^= *dice << 17;
        match *dice % 8 {
            0 => {
                packets[second - 1] = Packet { stamp: earlier.stamp, ..later };
                packets[second] = Packet { stamp: later.stamp, ..earlier };
            }
            1 => packets[second] = Packet { stamp: later.stamp, ..earlier },
            _ => {}
        }
    }
}

fn statistics(worker: &Worker) -> String {
    let counters = worker.counters();
    let decoded = (counters.flows, counters.operations(), counters.pdus(), counters.outcomes, counters.not_judged);
    let lost = (counters.losses, &counters.anomalies, &counters.unread, &counters.ignored_checksums, &counters.failed);
    format!("{decoded:#?}\n{lost:#?}")
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn shipped() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(repository().join("pcaps")).expect("the captures ship with the source");
    let files = folder.map(|entry| entry.expect("a readable folder").path());
    let mut found: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|end| end == "pcap" || end == "pcapng")).collect();
    found.sort();
    found
}

fn plant() -> String {
    std::fs::read_to_string(repository().join("rules/plant.toml")).expect("the policy ships with the source")
}

fn policies() -> Vec<Arc<Policy>> {
    let conditional = plant().replace("protocol = \"modbus\"\n", "protocol = \"modbus\"\neven_minutes = true\n");
    // Hardware that nothing declares is not watched: the short way goes without comparing it.
    let without_hardware: String =
        plant().lines().filter(|line| !line.starts_with("mac ")).map(|line| format!("{line}\n")).collect();
    let parsed = |text: &str| Policy::parse("plant.toml", text).expect("a policy without mistakes");
    vec![
        Arc::new(parsed(&plant())),
        Arc::new(parsed(&conditional)),
        Arc::new(parsed(&without_hardware)),
        Arc::new(Policy::permissive()),
    ]
}

#[test]
fn the_short_ways_change_nothing_that_a_capture_shows() {
    for policy in &policies() {
        for capture in &shipped() {
            Trial { capture, policy, transactions: false, disturbance: None }.assert_same();
        }
    }
    assert!(ASKED.get() > 100_000, "the short ways were asked {} times", ASKED.get());
}

#[test]
fn the_short_ways_change_nothing_where_every_transaction_is_written() {
    let policy = &policies()[0];
    for capture in &shipped() {
        Trial { capture, policy, transactions: true, disturbance: None }.assert_same();
    }
}

#[test]
fn the_short_ways_change_nothing_where_segments_are_lost_repeated_or_late() {
    let policy = &policies()[0];
    for capture in &shipped() {
        for seed in 1..5 {
            Trial { capture, policy, transactions: false, disturbance: Some(seed) }.assert_same();
        }
    }
}

#[test]
fn a_flow_with_conditions_is_denied_outside_of_them_also_where_it_would_pass() {
    let capture = &repository().join("pcaps/normal-polling.pcap");
    let denied = |policy| {
        let outcome = Trial { capture, policy, transactions: false, disturbance: None }.outcome(true);
        outcome.matches("Denied(").count()
    };
    let policies = policies();
    assert_eq!(denied(&policies[0]), 0);
    assert!(denied(&policies[1]) > 0, "the capture lasts for more than an even minute");
}
