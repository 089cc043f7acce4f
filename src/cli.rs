//! What the user can type. No logic: [`crate::config`] turns it into what the program runs on.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "lockkeeper", version, about, long_about = None, arg_required_else_help = true)]
#[command(after_help = "Exit status: 0 nothing wrong found, 1 violations found, 2 an error.")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Judge captures against a policy
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay(Box<Replay>),
    /// Work with policies
    #[command(subcommand, arg_required_else_help = true)]
    Policy(Policy),
    /// List the protocols that are decoded
    #[command(after_help = "Example:\n  lockkeeper protocols")]
    Protocols,
}

/// `lockkeeper replay`.
#[derive(Debug, Args)]
pub struct Replay {
    /// Captures to read: pcap or pcapng, plain, gzip or zstd; a folder; `-` for standard input. Several are merged by
    /// time
    #[arg(required = true, value_name = "CAPTURE")]
    pub captures: Vec<PathBuf>,
    /// Zones and conduits to judge against (TOML). Without one, traffic is decoded and counted, not judged
    #[arg(short, long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Where to write alerts, one JSON object a line; `-` is standard output [default: `-` unless that is a terminal]
    #[arg(short, long, value_name = "PATH")]
    pub alerts: Option<PathBuf>,
    /// Where to write every decoded transaction, one JSON object a line; `-` is standard output
    #[arg(short, long, value_name = "PATH")]
    pub transactions: Option<PathBuf>,
    /// Where to write the counts, one JSON object; `-` is standard output
    #[arg(short, long, value_name = "PATH")]
    pub stats: Option<PathBuf>,
    /// Keys of encrypted OPC UA channels: a key log as Wireshark reads it. Those that lie in a pcapng file are found there
    #[arg(long, value_name = "FILE")]
    pub opcua_keys: Option<PathBuf>,
    /// Publish alerts to this broker as the live sensor would: `mqtt://HOST[:PORT][/PREFIX][?version=3.1.1]`. User and
    /// password come from LOCKKEEPER_MQTT_USER and LOCKKEEPER_MQTT_PASSWORD
    #[arg(short, long, value_name = "URL")]
    pub mqtt: Option<String>,
    /// Worker threads; the results are the same for any number [default: one for each core]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub workers: Option<u16>,
    /// Name of the site in alerts and topics [default: the policy's id]
    #[arg(long, value_name = "NAME", env = "LOCKKEEPER_SITE")]
    pub site: Option<String>,
    /// Name of this sensor in alerts and topics
    #[arg(long, value_name = "NAME", env = "LOCKKEEPER_SENSOR", default_value = "replay")]
    pub sensor: String,
    /// No summary and no progress on standard error
    #[arg(short, long)]
    pub quiet: bool,
    /// How to speak to the broker.
    #[command(flatten)]
    pub broker: Broker,
    /// Bounds.
    #[command(flatten)]
    pub limits: Limits,
}

/// How to speak to an MQTT broker.
#[derive(Debug, Args)]
#[command(next_help_heading = "MQTT")]
pub struct Broker {
    /// File whose first line is the password, instead of LOCKKEEPER_MQTT_PASSWORD
    #[arg(long, value_name = "FILE")]
    pub mqtt_password_file: Option<PathBuf>,
    /// Seconds without progress after which an unreachable broker is given up
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub mqtt_give_up_after: u64,
}

/// Bounds on memory and time. What is beyond them is counted in the summary.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub struct Limits {
    /// Conversations that are followed at once
    #[arg(long, value_name = "N", default_value_t = 1 << 20)]
    pub max_flows: u32,
    /// Requests in flight that are remembered in one conversation
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub max_pending: usize,
    /// Bytes out of order that one conversation may hold
    #[arg(long, value_name = "BYTES", default_value_t = 128 * 1024)]
    pub max_held_bytes: usize,
    /// IP datagrams that are reassembled at once
    #[arg(long, value_name = "N", default_value_t = 4096)]
    pub max_fragmented: usize,
    /// Alerts that are kept open at once
    #[arg(long, value_name = "N", default_value_t = 32_768)]
    pub max_alerts: usize,
    /// Seconds until a request counts as not answered
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    pub answer_timeout: f64,
    /// Seconds between updates of one alert
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    pub alert_interval: f64,
    /// Seconds after which a TCP connection that was not established is forgotten
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    pub handshake_timeout: f64,
    /// Seconds after which a silent TCP conversation is forgotten
    #[arg(long, value_name = "SECONDS", default_value_t = 3600.0)]
    pub idle_timeout: f64,
}

/// `lockkeeper policy`.
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Check policy files: every mistake with its place and what to write instead
    #[command(after_help = "Example:\n  lockkeeper policy check rules/plant.toml")]
    Check {
        /// Policy files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

const REPLAY_EXAMPLES: &str = "\
Examples:
  lockkeeper replay day.pcapng --policy rules/plant.toml
  lockkeeper replay captures/ -p plant.toml --alerts - | jq -r .message
  zcat week.pcap.gz | lockkeeper replay - -p plant.toml --stats stats.json --mqtt mqtt://soc-broker";
