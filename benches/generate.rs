//! Generates a capture, its policies and its truth: `cargo bench --bench generate -- --packets 2000000 --out FILE`.
//!
//! Without arguments it writes the capture that `cargo bench --bench replay` reads, and prints how fast it was.

#[path = "generator/files.rs"]
mod files;
mod generator;

use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;
use files::Files;
use generator::{Impairments, PolicySize, Settings, Speech};

/// Generates a capture of a busy plant; the same options give the same bytes.
#[derive(Parser)]
#[command(name = "generate", after_help = "Example: cargo bench --bench generate -- --flows 100000 --out big.pcap")]
struct Arguments {
    /// The protocol or mixture of protocols
    #[arg(long, value_enum, default_value = "modbus/tcp")]
    speech: Speech,
    /// Packets to send
    #[arg(long, default_value_t = 2_000_000)]
    packets: u64,
    /// Flows, each between its own client and its own server
    #[arg(long, default_value_t = 200)]
    flows: u32,
    /// Requests that a client sends before it waits for the responses
    #[arg(long, default_value_t = 1)]
    pipeline: u32,
    /// Exception responses, per thousand
    #[arg(long, default_value_t = 10)]
    exceptions: u32,
    /// Requests that the policy does not permit, per million
    #[arg(long, default_value_t = 0)]
    violations: u32,
    /// VLAN tag of every frame
    #[arg(long)]
    vlan: Option<u16>,
    /// IPv6 instead of IPv4
    #[arg(long)]
    ipv6: bool,
    /// UDP instead of TCP
    #[arg(long)]
    udp: bool,
    /// Nanosecond time stamps instead of microseconds
    #[arg(long)]
    nanoseconds: bool,
    /// Packet time between two packets, nanoseconds
    #[arg(long, default_value_t = 10_000)]
    interval: u64,
    /// Lost frames, per thousand
    #[arg(long, default_value_t = 0)]
    loss: u32,
    /// Frames swapped with their successor, per thousand
    #[arg(long, default_value_t = 0)]
    reorder: u32,
    /// Duplicated frames, per thousand
    #[arg(long, default_value_t = 0)]
    duplicates: u32,
    /// Datagrams that are sent in IP fragments, per thousand (with --udp)
    #[arg(long, default_value_t = 0)]
    fragments: u32,
    /// Flows of other hosts that policies declare as well
    #[arg(long, default_value_t = 0)]
    policy_flows: u32,
    /// Registers with limits that policies declare, over all servers
    #[arg(long, default_value_t = 0)]
    policy_points: u32,
    /// The policy names the nodes of OPC UA one by one, not their namespace
    #[arg(long)]
    policy_nodes: bool,
    /// Another seed is another capture of the same kind
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The capture [default: in target/bench]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The policy that permits it by its targets; policies of other kinds lie beside it [default: beside the capture]
    #[arg(long, value_name = "FILE")]
    policy_out: Option<PathBuf>,
    /// Its counts, as JSON [default: beside the capture]
    #[arg(long, value_name = "FILE")]
    truth_out: Option<PathBuf>,
    /// Passed by cargo to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

impl Arguments {
    fn settings(&self) -> Settings {
        Settings {
            speech: self.speech,
            packets: self.packets,
            flows: self.flows,
            pipeline: self.pipeline,
            exceptions: self.exceptions,
            violations: self.violations,
            vlan: self.vlan,
            ipv6: self.ipv6,
            udp: self.udp,
            nanoseconds: self.nanoseconds,
            interval: self.interval,
            impairments: Impairments {
                loss: self.loss,
                reorder: self.reorder,
                duplicates: self.duplicates,
                fragments: self.fragments,
            },
            policy: PolicySize { flows: self.policy_flows, points: self.policy_points, nodes: self.policy_nodes },
            seed: self.seed,
        }
    }

    fn files(self, settings: &Settings) -> Files {
        let mut files = self.out.map_or_else(|| Files::default_for(settings), Files::beside);
        files.policy = self.policy_out.unwrap_or(files.policy);
        files.truth = self.truth_out.unwrap_or(files.truth);
        files
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn main() -> std::io::Result<()> {
    let arguments = Arguments::parse();
    let settings = arguments.settings();
    let files = arguments.files(&settings);
    let start = Instant::now();
    let truth = files.write(&settings)?;
    let seconds = start.elapsed().as_secs_f64();
    let packets = truth["packets"].as_f64().unwrap_or_default();
    eprintln!(
        "{}: {packets} packets in {seconds:.2} s, {:.0} ns each",
        files.capture.display(),
        seconds / packets * 1e9
    );
    for (kind, policy) in files.policies() {
        eprintln!("{}: a policy under which all of it is {}", policy.display(), kind.name());
    }
    eprintln!("{}: what is in it", files.truth.display());
    Ok(())
}
