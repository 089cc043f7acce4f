//! The cost of each stage of the data path alone, on generated traffic: `cargo bench --bench stages`.
//!
//! One function a stage, in path order. Each prepares the output of the earlier stages, and times its stage over all of
//! it; the table shows the median of the rounds. The numbers do not add up to the cost of a packet, because in the whole
//! program the stages share caches. They show where the time goes, and whether a change helped;
//! `cargo bench --bench replay` measures the cost of a packet.

mod generator;
#[path = "measure/machine.rs"]
mod machine;

#[path = "stages/clock.rs"]
mod clock;
#[path = "stages/talk.rs"]
mod talk;
#[path = "stages/traffic.rs"]
mod traffic;

use std::error::Error;
use std::fs::File;
use std::hint::black_box;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Parser, ValueEnum};
use clock::Clock;
use generator::{Impairments, PolicyKind, PolicySize, Settings, Speech};
use lockkeeper::capture::{self, Block, ReplaySettings, Source, open};
use lockkeeper::flow::{
    Arrival, Assembly, End, FlowKey, FlowTable, Lifetime, Reading, RecentBytes, StreamCounters, StreamHandler,
    StreamSettings, TableSettings, TcpFlow,
};
use lockkeeper::frame::{self, Body, Layers};
use lockkeeper::policy::{Carrier, Denial, FlowVerdict, LastValues, Policy, Reason, Rule, SessionState, Verdict};
use lockkeeper::record::{
    self, Captures, ConversationText, Correlator, Endpoint, Event, Evidence, Finding, FindingKind, OperationView,
    OwnedTarget, Report, SortKey, Transaction, write_transaction,
};
use lockkeeper_protocols::{Outcome, Protocol, REGISTRY, RequestRef, Session, Stamp, Target};
use talk::{CountingSink, RequestedOperation};
use traffic::{Heard, LONG, Traffic, first_of_each, flows, write_long};

/// Times every stage by itself.
#[derive(Parser)]
#[command(name = "stages", after_help = "Example: cargo bench --bench stages -- dissector policy")]
struct Arguments {
    /// Only stages whose names begin with this
    #[arg(value_name = "STAGE")]
    only: Vec<String>,
    /// Packets of the capture of most stages
    #[arg(long, default_value_t = 50_000)]
    packets: u64,
    /// Flows in it
    #[arg(long, default_value_t = 200)]
    flows: u32,
    /// Rounds; the median counts
    #[arg(long, default_value_t = 11)]
    rounds: usize,
    /// Write the JSON line to this file too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Passed by cargo to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[expect(clippy::print_stdout, reason = "the table and the JSON line are what this program is for")]
fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let settings = Settings { packets: arguments.packets, flows: arguments.flows, ..Settings::default() };
    let folder = tempfile::tempdir()?;
    let clock = &mut Clock::new(arguments.rounds, arguments.only);

    readers(clock, &settings, folder.path())?;
    let traffic = Traffic::generated(&settings, folder.path())?;
    peek(clock, &traffic);
    decode(clock, &traffic);
    let heard = traffic.heard();
    key(clock, &heard);
    lookups(clock, &heard, folder.path())?;
    streams(clock, &heard, &settings, folder.path())?;
    for row in REGISTRY {
        dissector(clock, row, &settings, folder.path())?;
    }
    if let Some(row) = REGISTRY.first() {
        let requested = talk::requested(row, &heard);
        verdicts(clock, &heard, &requested, &settings)?;
        let text = generator::policy(&settings, PolicyKind::Limited).unwrap_or_default();
        let policy = Arc::new(Policy::parse("bench.toml", &text)?);
        alerts(clock, &heard, &requested, &policy, row);
        transactions(clock, &heard, &requested, &policy, row);
    }

    println!("{}\n", machine::machine());
    println!("{}\n", clock.table());
    println!("{}", clock.line());
    if let Some(path) = arguments.json {
        std::fs::write(path, format!("{}\n", clock.line()))?;
    }
    Ok(())
}

/// Files into blocks of packets, compared with reading the same bytes into a buffer.
fn readers(clock: &mut Clock, settings: &Settings, folder: &Path) -> Result<(), Box<dyn Error>> {
    const PACKETS: usize = 500_000;
    if !clock.wants("reader") {
        return Ok(());
    }
    let (small, long) = (folder.join("small.pcap"), folder.join("long.pcap"));
    generator::generate(&Settings { packets: PACKETS as u64, ..settings.clone() }, File::create(&small)?)?;
    write_long(&long, PACKETS / 5)?;
    let usual = ReplaySettings::default().block_size;
    clock.time("reader, floor: read()", "packet", PACKETS, || (), |()| read_only(&small, usual));
    for size in [128 * 1024, usual, 4096 * 1024] {
        let name = format!("reader, blocks of {} KiB", size / 1024);
        clock.time(&name, "packet", PACKETS, || (), |()| read_blocks(std::slice::from_ref(&small), size));
    }
    let twice = [small.clone(), small];
    clock.time("reader, two captures merged", "packet", 2 * PACKETS, || (), |()| read_blocks(&twice, usual));
    let name = format!("reader, packets of {LONG} bytes");
    clock.time(&name, "packet", PACKETS / 5, || (), |()| read_blocks(std::slice::from_ref(&long), usual));
    Ok(())
}

fn read_only(path: &Path, size: usize) -> io::Result<u64> {
    let (mut file, mut buffer, mut total) = (File::open(path)?, vec![0; size], 0);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(total),
            count => total += count as u64,
        }
    }
}

fn read_blocks(paths: &[PathBuf], block_size: usize) -> Result<u64, capture::Error> {
    let mut source = open(paths, &ReplaySettings { block_size, ..ReplaySettings::default() })?;
    let (mut block, mut total) = (Block::default(), 0);
    while source.fill(&mut block)? {
        total += block.packets.iter().map(|packet| u64::from(packet.captured)).sum::<u64>();
    }
    Ok(total)
}

/// The capture thread's work for a packet.
fn peek(clock: &mut Clock, traffic: &Traffic) {
    let work = |_: &mut ()| {
        let mut layers = Layers::default();
        for (packet, bytes) in traffic.packets() {
            black_box(frame::peek(packet.link, bytes, packet.original, &mut layers));
        }
    };
    clock.time("peek", "packet", traffic.len(), || (), work);
}

/// One packet into one frame.
fn decode(clock: &mut Clock, traffic: &Traffic) {
    let work = |_: &mut ()| {
        for (packet, bytes) in traffic.packets() {
            let _ = black_box(frame::decode(packet.link, bytes, packet.original));
        }
    };
    clock.time("frame", "packet", traffic.len(), || (), work);
}

/// A frame into its flow key.
fn key(clock: &mut Clock, heard: &[Heard<'_>]) {
    let work = |_: &mut ()| {
        for one in heard {
            black_box(FlowKey::of(&one.frame));
        }
    };
    clock.time("flow, key", "packet", heard.len(), || (), work);
}

/// Hashing the key, and finding or creating the flow.
fn lookups(clock: &mut Clock, heard: &[Heard<'_>], folder: &Path) -> Result<(), Box<dyn Error>> {
    const MANY: u32 = 100_000;
    lookup(clock, heard);
    if clock.wants("flow, lookup") || clock.wants("flow, made") {
        let settings = Settings { packets: 2 * u64::from(MANY), flows: MANY, udp: true, ..Settings::default() };
        lookup(clock, &Traffic::generated(&settings, folder)?.heard());
    }
    Ok(())
}

fn lookup(clock: &mut Clock, heard: &[Heard<'_>]) {
    let flows = flows(heard);
    let uses: Vec<(FlowKey, i64)> = heard.iter().map(|one| (one.key, one.stamp.clock)).collect();
    let find = |table: &mut FlowTable<u64>| {
        for (key, clock) in &uses {
            *table.get_or_insert_with(key, *clock, Lifetime::Stream, |_| false, || 0).value += 1;
        }
    };
    let settings = TableSettings { capacity: 1 << 20, ..TableSettings::default() };
    let empty = || FlowTable::new(&settings);
    let full = || {
        let mut table = empty();
        find(&mut table);
        table
    };
    clock.time(&format!("flow, lookup among {flows}"), "packet", uses.len(), full, find);
    let first = first_of_each(heard);
    let make = |table: &mut FlowTable<u64>| {
        for one in &first {
            table.get_or_insert_with(&one.key, one.stamp.clock, Lifetime::Stream, |_| false, || 0);
        }
    };
    clock.time(&format!("flow, made, {flows} of them"), "flow", flows, empty, make);
}

/// Segments into streams: in order, and with one in five after its successor.
fn streams(clock: &mut Clock, heard: &[Heard<'_>], settings: &Settings, folder: &Path) -> Result<(), Box<dyn Error>> {
    stream(clock, "stream, in order", heard);
    let impairments = Impairments { reorder: 200, ..Impairments::default() };
    // Several segments of one flow in a row, so that swapped segments belong to the same flow.
    let disordered = Settings { pipeline: 8, impairments, ..settings.clone() };
    stream(clock, "stream, one in five out of order", &Traffic::generated(&disordered, folder)?.heard());
    Ok(())
}

fn stream(clock: &mut Clock, name: &str, heard: &[Heard<'_>]) {
    let settings = StreamSettings::default();
    let closed = || (0..flows(heard)).map(|_| TcpFlow::default()).collect::<Vec<_>>();
    let work = |flows: &mut Vec<TcpFlow>| {
        let (mut counters, mut cup) = (StreamCounters::default(), Cup(0));
        let mut recent = RecentBytes::new(settings.recent_bytes);
        let arrival = Arrival { is_doubtful: false, duplicate_window: 0 };
        for one in heard {
            if let Body::Tcp(_, segment) = &one.frame.body {
                let assembly = Assembly { settings: &settings, counters: &mut counters, recent: Some(&mut recent) };
                flows[one.flow].process(one.from, segment, arrival, &one.stamp, assembly, &mut cup);
            }
        }
        (counters, cup.0)
    };
    clock.time(name, "packet", heard.len(), closed, work);
}

/// Counts bytes delivered in order.
struct Cup(usize);

impl StreamHandler for Cup {
    fn on_bytes(&mut self, _: End, bytes: &[u8], _: &Stamp) {
        self.0 += bytes.len();
    }

    fn on_gap(&mut self, _: End, missing: u32, _: &Stamp) {
        self.0 += missing as usize;
    }

    fn on_limit(&mut self, _: End, _: &Stamp) {}

    fn on_reading(&mut self, _: End, _: &Reading<'_>, _: &Stamp) {}
}

/// Bytes into operations and their outcomes, for one row of the registry.
fn dissector(
    clock: &mut Clock,
    row: &'static Protocol,
    settings: &Settings,
    folder: &Path,
) -> Result<(), Box<dyn Error>> {
    let spoken = format!("{}/{}", row.name, row.framing);
    let name = format!("dissector, {spoken}");
    let Some(speech) = Speech::value_variants().iter().find(|speech| speech.row() == (row.name, row.framing)) else {
        eprintln!("{name}: the generator does not speak it");
        return Ok(());
    };
    if !clock.wants(&name) {
        return Ok(());
    }
    let traffic = Traffic::generated(&Settings { speech: *speech, ..settings.clone() }, folder)?;
    let heard = traffic.heard();
    let said: Vec<&Heard<'_>> = heard.iter().filter(|one| !one.payload().is_empty()).collect();
    let work = |sessions: &mut Vec<Session>| {
        let mut sink = CountingSink::default();
        for one in &said {
            sessions[one.flow].feed_stream(one.side, one.payload(), &one.stamp, &mut sink);
        }
        sink.calls
    };
    clock.time(&name, "PDU", said.len(), || talk::sessions(row, flows(&heard)), work);
    Ok(())
}

/// Conversations and operations into verdicts, under a small and under a large policy, and under policies of other kinds.
fn verdicts(
    clock: &mut Clock,
    heard: &[Heard<'_>],
    requested: &[RequestedOperation],
    settings: &Settings,
) -> Result<(), Box<dyn Error>> {
    for size in [0, 1_000] {
        let settings = Settings { policy: PolicySize { flows: size, points: size, nodes: false }, ..settings.clone() };
        let text = generator::policy(&settings, PolicyKind::Limited).unwrap_or_default();
        let names = [format!("{size} flows beside"), format!("{size} points")];
        verdict(clock, heard, requested, &Policy::parse("bench.toml", &text)?, &names);
    }
    for kind in PolicyKind::ALL.into_iter().filter(|kind| *kind != PolicyKind::Limited) {
        let Some(text) = generator::policy(settings, kind) else { continue };
        let names = [kind.name(), kind.name()].map(str::to_owned);
        verdict(clock, heard, requested, &Policy::parse("bench.toml", &text)?, &names);
    }
    Ok(())
}

fn verdict(
    clock: &mut Clock,
    heard: &[Heard<'_>],
    requested: &[RequestedOperation],
    policy: &Policy,
    [ruled, judged]: &[String; 2],
) {
    let links: Vec<_> = talk::ends(heard).iter().map(talk::tuple).collect();
    let rule = |_: &mut ()| links.iter().for_each(|tuple| drop(black_box(policy.flow_verdict(tuple, Some("modbus")))));
    clock.time(&format!("policy, flow_verdict, {ruled}"), "flow", links.len(), || (), rule);

    let rulings: Vec<FlowVerdict> = links.iter().map(|tuple| policy.flow_verdict(tuple, Some("modbus"))).collect();
    let operations: Vec<_> = requested.iter().map(|one| (one.flow, one.operation())).collect();
    let nothing = || vec![LastValues::default(); rulings.len()];
    let judge = |last: &mut Vec<LastValues>| {
        let permits = |verdict| matches!(verdict, Verdict::Permit { .. });
        let verdicts = operations
            .iter()
            .map(|(at, operation)| policy.judge(&rulings[*at], operation, &mut last[*at], SessionState::default(), 0));
        verdicts.filter(|verdict| permits(*verdict)).count()
    };
    clock.time(&format!("policy, verdict, {judged}"), "operation", operations.len(), nothing, judge);
}

/// Denials into alerts: each a new one, and all the same one.
fn alerts(
    clock: &mut Clock,
    heard: &[Heard<'_>],
    requested: &[RequestedOperation],
    policy: &Arc<Policy>,
    row: &Protocol,
) {
    const ALERTS: usize = 5_000;
    let ends = talk::ends(heard);
    let names = record::Settings { captures: vec!["bench.pcap".to_owned()], ..record::Settings::default() };
    let correlator = || Correlator::new(Arc::clone(policy), names.clone());
    let work = |(correlator, report): &mut (Correlator, Report)| {
        let mut bytes = 0;
        let clock = report.events.last().map_or(0, |(order, _)| order.clock);
        correlator.take_block(std::slice::from_mut(report), clock, &mut |alert| bytes += alert.json.len());
        bytes
    };
    let new: Vec<_> = requested.iter().cycle().zip(0..).take(ALERTS).collect();
    let repeated: Vec<_> = requested.iter().take(1).cycle().zip(std::iter::repeat(0)).take(ALERTS).collect();
    for (name, written) in [("alert, new", new), ("alert, repeated", repeated)] {
        let denials = || {
            let events = written.iter().map(|(one, address)| denial(one, *address, &ends, policy, row));
            Report { events: events.collect(), ..Report::default() }
        };
        clock.time(name, "denial", ALERTS, || (correlator(), denials()), work);
    }
}

/// A write to an address that is not permitted.
fn denial(
    requested: &RequestedOperation,
    address: u16,
    ends: &[[Endpoint; 2]],
    policy: &Policy,
    row: &Protocol,
) -> (SortKey, Event) {
    let [client, server] = ends[requested.flow];
    let mut operation = requested.owned().clone();
    if let OwnedTarget::Plain(Target::Table { address: at, .. }) = &mut operation.target {
        *at = address;
    }
    let finding = Finding {
        what: FindingKind::Denied(Denial { rule: Rule::AddressUndeclared, flow: Some(0), reason: Reason::Plain }),
        time: requested.stamp.time,
        proving_packet: Evidence { capture: 0, packet: requested.stamp.packet },
        conversation: requested.flow as u64,
        at: Some(RequestRef { request: address.into(), item: 0 }),
        client,
        server,
        carrier: Carrier::Tcp,
        flow_verdict: policy.flow_verdict(&talk::tuple(&[client, server]), Some("modbus")).into(),
        protocol: Some(row.name),
        operation: Some(operation),
    };
    let order = SortKey { clock: requested.stamp.clock, packet: requested.stamp.packet, sub: 0 };
    (order, Event::Finding(Box::new(finding)))
}

/// Operations into lines of the transaction log, and the part that a flow's lines share.
fn transactions(
    clock: &mut Clock,
    heard: &[Heard<'_>],
    requested: &[RequestedOperation],
    policy: &Policy,
    row: &'static Protocol,
) {
    let captures = Captures::new(&["bench.pcap".to_owned()]);
    let ends = talk::ends(heard);
    let rulings: Vec<FlowVerdict> =
        ends.iter().map(|ends| policy.flow_verdict(&talk::tuple(ends), Some("modbus"))).collect();
    let text = |flow: usize| {
        let [client, server] = &ends[flow];
        ConversationText::new(policy, &rulings[flow], (client, server), Carrier::Tcp, Some(row.name))
    };
    let all = 0..ends.len();
    clock.time("transaction, text of its conversation", "flow", all.len(), || (), |()| all.clone().map(text).count());

    let texts: Vec<ConversationText> = all.map(text).collect();
    let write = |out: &mut Vec<u8>| {
        for one in requested {
            write_transaction(out, policy, &captures, &texts[one.flow], &transaction(one));
        }
        out.len()
    };
    clock.time("transaction, line", "operation", requested.len(), || Vec::with_capacity(requested.len() * 1024), write);
}

/// A permitted operation, accepted after a millisecond.
fn transaction(requested: &RequestedOperation) -> Transaction<'_> {
    Transaction {
        time: requested.stamp.time,
        request: 0,
        operation: OperationView::from(&requested.operation()),
        ending: Outcome::Accepted.into(),
        latency: Some(1_000_000),
        verdict: Verdict::Permit { flow: Some(0) },
        evidence: Evidence { capture: 0, packet: requested.stamp.packet },
        request_seen: true,
        response_packet: Some(requested.stamp.packet + 1),
    }
}
