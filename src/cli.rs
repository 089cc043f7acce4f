//! The command line. No logic: [`crate::config`] turns it into settings.

mod generate;
mod sinks;

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{ArgMatches, Args, FromArgMatches, Parser, Subcommand, ValueEnum};

pub use generate::{write_completions, write_man_pages};
pub use sinks::Sinks;

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "lockkeeper", version, about, long_about = None, arg_required_else_help = true)]
#[command(after_help = EXIT_STATUS)]
pub struct Cli {
    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Judge captures against a policy
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay(Box<Replay>),
    /// Judge live traffic of network interfaces
    #[command(after_help = WATCH_EXAMPLES)]
    Watch(Box<Watch>),
    /// List the network interfaces that can be watched, and what is wrong with each
    #[command(after_help = "Example:\n  lockkeeper interfaces")]
    Interfaces {
        /// One JSON object instead of a page for people
        #[arg(long)]
        json: bool,
    },
    /// Show the health of the sensor on this machine
    #[command(after_help = STATUS_EXAMPLES)]
    Status {
        /// The status file that the sensor writes
        #[arg(short, long, value_name = "FILE", default_value = "/run/lockkeeper/status.json")]
        file: PathBuf,
        /// One JSON object instead of a page for people
        #[arg(long)]
        json: bool,
    },
    /// Work with policies
    #[command(subcommand, arg_required_else_help = true)]
    Policy(Policy),
    /// List the protocols that are decoded
    #[command(after_help = "Example:\n  lockkeeper protocols")]
    Protocols,
    /// Write man pages or shell completions, for packages
    #[command(subcommand, hide = true, arg_required_else_help = true)]
    Generate(Generate),
}

/// `lockkeeper generate`: files that a package installs.
#[derive(Debug, Subcommand)]
pub enum Generate {
    /// A man page for each subcommand
    #[command(after_help = "Example:\n  lockkeeper generate man target/generated/man")]
    Man {
        /// Folder to write to; it is created if it does not exist
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Completions for bash, zsh and fish
    #[command(after_help = "Example:\n  lockkeeper generate completions target/generated/completions")]
    Completions {
        /// Folder to write to; it is created if it does not exist
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

/// `lockkeeper replay`.
#[derive(Debug, Args)]
pub struct Replay {
    /// Captures to read: pcap or pcapng, plain, gzip or zstd; a folder; `-` for standard input. Several are merged by
    /// time
    #[arg(required = true, value_name = "CAPTURE")]
    pub captures: Vec<PathBuf>,
    /// Policy, outputs and names.
    #[command(flatten)]
    pub run: PolicyAndOutputs,
    /// Remote receivers of alerts.
    #[command(flatten)]
    pub sinks: Sinks,
    /// Keys of encrypted OPC UA channels: a key log as Wireshark reads it. Keys inside a pcapng file are found without
    /// this option
    #[arg(long, value_name = "FILE")]
    pub opcua_keys: Option<PathBuf>,
    /// No summary and no progress on standard error
    #[arg(short, long)]
    pub quiet: bool,
    /// The packets that are kept around violations.
    #[command(flatten)]
    pub evidence: Evidence,
    /// What the captures show.
    #[command(flatten)]
    pub vantage: Vantage,
    /// Bounds on memory and time.
    #[command(flatten)]
    pub limits: Limits,
}

/// `lockkeeper watch`.
#[derive(Debug, Args)]
#[command(mut_arg("alerts", |alerts| alerts.help(WATCH_ALERTS)))]
#[command(mut_arg("transactions", |transactions| transactions.help(WATCH_TRANSACTIONS)))]
#[command(mut_arg("sensor", |sensor| sensor.help(WATCH_SENSOR)))]
pub struct Watch {
    /// Everything from a file (TOML) instead of the options below [default: /etc/lockkeeper/lockkeeper.toml, if it exists
    /// and none of them is given]
    #[arg(short, long, value_name = "FILE", conflicts_with_all = OPTION_GROUPS)]
    pub config: Option<PathBuf>,
    /// Whether one of the options was given that a configuration file replaces.
    #[command(flatten)]
    pub options: OptionsTyped,
    /// The network interfaces to listen to.
    #[command(flatten)]
    pub interfaces: Interfaces,
    /// Policy, outputs and names.
    #[command(flatten, next_help_heading = OUTPUTS)]
    pub run: PolicyAndOutputs,
    /// Remote receivers of alerts.
    #[command(flatten, next_help_heading = OUTPUTS)]
    pub sinks: Sinks,
    /// No summary on standard error at the end
    #[arg(short, long)]
    pub quiet: bool,
    /// Keep every right while it runs, instead of dropping all but reading what is open. Needed where an interface is deleted
    /// and created again and no service manager restarts the sensor
    #[arg(long)]
    pub no_confine: bool,
    /// The packets that are kept around violations.
    #[command(flatten)]
    pub evidence: Evidence,
    /// The recording of all packets.
    #[command(flatten)]
    pub recording: Recording,
    /// What the interfaces show.
    #[command(flatten)]
    pub vantage: Vantage,
    /// Thresholds for alerts about the sensor itself.
    #[command(flatten)]
    pub alarms: Alarms,
    /// Where the sensor reports its health.
    #[command(flatten)]
    pub health: Health,
    /// Bounds on memory and time.
    #[command(flatten)]
    pub limits: Limits,
}

const OUTPUTS: &str = "Policy and outputs";
const WATCH_ALERTS: &str = "Where to append alerts, one JSON object a line; `-` is standard output [default: `-` unless \
                            they are published elsewhere]";
const WATCH_TRANSACTIONS: &str =
    "Where to append every decoded transaction, one JSON object a line; `-` is standard output";
const WATCH_SENSOR: &str = "Name of this sensor in alerts and topics [default: the name of this machine]";

/// The options that `replay` and `watch` share: what to judge by, and where the results go.
#[derive(Debug, Args)]
pub struct PolicyAndOutputs {
    /// Zones and conduits to judge against (TOML). Without one, traffic is decoded and counted, not judged
    #[arg(short, long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Where to write alerts, one JSON object a line; `-` is standard output [default: `-` unless that is a terminal]
    #[arg(short, long, value_name = "PATH")]
    pub alerts: Option<PathBuf>,
    /// Where to write every decoded transaction, one JSON object a line; `-` is standard output
    #[arg(short, long, value_name = "PATH")]
    pub transactions: Option<PathBuf>,
    /// Where to write the counts at the end, one JSON object; `-` is standard output
    #[arg(short, long, value_name = "PATH")]
    pub stats: Option<PathBuf>,
    /// Worker threads; the results are the same for any number [default: one for each core]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub workers: Option<u16>,
    /// Name of the site in alerts and topics [default: the policy's id]
    #[arg(long, value_name = "NAME", env = "LOCKKEEPER_SITE")]
    pub site: Option<String>,
    /// Name of this sensor in alerts and topics [default: replay]
    #[arg(long, value_name = "NAME", env = "LOCKKEEPER_SENSOR")]
    pub sensor: Option<String>,
}

/// The groups of options that a configuration file replaces.
const OPTION_GROUPS: [&str; 9] =
    ["Interfaces", "PolicyAndOutputs", sinks::GROUP, "Evidence", "Recording", "Vantage", "Alarms", "Health", "Limits"];

/// Whether one of the options that a configuration file replaces was given. Defaults do not count.
#[derive(Clone, Copy, Debug)]
pub struct OptionsTyped(pub bool);

impl FromArgMatches for OptionsTyped {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(OPTION_GROUPS.into_iter().any(|group| matches.contains_id(group))))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for OptionsTyped {
    /// Adds no option of its own.
    fn augment_args(command: clap::Command) -> clap::Command {
        command
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        command
    }
}

/// Where the sensor reports its health.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Health")]
pub struct Health {
    /// Where to write the status that `lockkeeper status` reads
    #[arg(long, value_name = "FILE")]
    pub status_file: Option<PathBuf>,
    /// Where Prometheus can scrape metrics, such as 127.0.0.1:9469
    #[arg(long, value_name = "ADDRESS")]
    pub metrics: Option<std::net::SocketAddr>,
}

/// The capture point: mirror sessions that lead to it, and how much of its traffic has to be readable.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Observation")]
pub struct Vantage {
    /// An end of a mirror session (ERSPAN, GRE, VXLAN, TZSP): the switch, the collector or this sensor. A tunnel from or to
    /// it is not traffic of the plant; its content is judged. Can be given several times
    #[arg(long = "mirror-session", value_name = "IP")]
    pub mirror_sessions: Vec<IpAddr>,
    /// Unreadable packets, in percent, above which the observation is incomplete: the alert own.unread, and exit status 2
    /// of a replay
    #[arg(long, value_name = "PERCENT", default_value_t = Self::default().unread_limit)]
    pub unread_limit: f64,
}

/// Thresholds for alerts about the sensor itself.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Alerts about the sensor itself")]
pub struct Alarms {
    /// Packets lost, in percent of those that arrived within ten seconds
    #[arg(long, value_name = "PERCENT", default_value_t = Self::default().loss_limit)]
    pub loss_limit: f64,
    /// Seconds without a packet after which an interface counts as silent; 0 means never
    #[arg(long, value_name = "SECONDS", default_value_t = Self::default().silent_after)]
    pub silent_after: f64,
    /// Conversations of which only one end is seen, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = Self::default().one_way_limit)]
    pub one_way_limit: f64,
}

/// The network interfaces to listen to.
#[derive(Debug, Args)]
#[command(next_help_heading = "Interfaces")]
pub struct Interfaces {
    /// A network interface to listen to; can be given several times
    #[arg(short, long = "interface", value_name = "IFACE")]
    pub interfaces: Vec<String>,
    /// Only packets that this filter accepts (pcap-filter(7)), on every interface
    #[arg(long, value_name = "FILTER")]
    pub filter: Option<String>,
    /// Bytes of each packet that are kept
    #[arg(long, value_name = "BYTES", default_value_t = 65_535, value_parser = clap::value_parser!(u32).range(64..=262_144))]
    pub snap_length: u32,
    /// Size of the kernel's ring for each interface, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=2047))]
    pub ring: u32,
    /// Milliseconds for which the kernel may hold back packets
    #[arg(long, value_name = "MS", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub block_timeout: u32,
    /// Only packets that are addressed to this machine
    #[arg(long)]
    pub no_promiscuous: bool,
}

/// The packets that are kept around violations.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Evidence")]
pub struct Evidence {
    /// Folder for the packets around each violation: `RULE-ID.pcapng`, with the alert as the comment of its packet, which
    /// Wireshark shows
    #[arg(long = "evidence", value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Packets of the same conversation kept before that packet, and as many after it
    #[arg(long = "evidence-packets", value_name = "N", default_value_t = Self::default().packets, value_parser = clap::value_parser!(u16).range(..=10_000))]
    pub packets: u16,
    /// Number of files kept: the first ones in a replay, the latest ones in a sensor
    #[arg(long = "evidence-files", value_name = "N", default_value_t = Self::default().files, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub files: u32,
    /// Size of all files together, in MiB
    #[arg(long = "evidence-size", value_name = "MIB", default_value_t = Self::default().mebibytes, value_parser = clap::value_parser!(u32).range(1..))]
    pub mebibytes: u32,
}

/// The recording of all packets.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Recording")]
pub struct Recording {
    /// Folder for every captured packet: `recording-TIME.pcapng`. The oldest files are deleted to make room for the newest
    #[arg(id = "record", long = "record", value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Size of all files together, in MiB
    #[arg(id = "record-size", long = "record-size", value_name = "MIB", default_value_t = Self::default().mebibytes, value_parser = clap::value_parser!(u32).range(2..))]
    pub mebibytes: u32,
    /// Size of one file, in MiB, at most half of that [default: 64, or a quarter of --record-size where that is less]
    #[arg(id = "record-file-size", long = "record-file-size", value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..))]
    pub file_mebibytes: Option<u32>,
}

/// Bounds on memory and time. Whatever exceeds them is counted in the summary.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Limits")]
pub struct Limits {
    /// Conversations that are followed at once
    #[arg(long, value_name = "N", default_value_t = Self::default().max_flows)]
    pub max_flows: u32,
    /// Requests in flight that one conversation remembers
    #[arg(long, value_name = "N", default_value_t = Self::default().max_pending)]
    pub max_pending: usize,
    /// Bytes that all conversations may hold together: bytes out of order, incomplete frames, requests without an answer,
    /// subscriptions. The conversations that hold most give up first
    #[arg(long, value_name = "BYTES", default_value_t = Self::default().max_memory)]
    pub max_memory: usize,
    /// Bytes out of order that one conversation may hold
    #[arg(long, value_name = "BYTES", default_value_t = Self::default().max_held_bytes)]
    pub max_held_bytes: usize,
    /// IP datagrams that are reassembled at once
    #[arg(long, value_name = "N", default_value_t = Self::default().max_fragmented)]
    pub max_fragmented: usize,
    /// Alerts that are open at once
    #[arg(long, value_name = "N", default_value_t = Self::default().max_alerts)]
    pub max_alerts: usize,
    /// Seconds until a request counts as not answered
    #[arg(long, value_name = "SECONDS", default_value_t = Self::default().answer_timeout)]
    pub answer_timeout: f64,
    /// Seconds between updates of one alert
    #[arg(long, value_name = "SECONDS", default_value_t = Self::default().alert_interval)]
    pub alert_interval: f64,
    /// Seconds after which a TCP connection that was never established is forgotten
    #[arg(long, value_name = "SECONDS", default_value_t = Self::default().handshake_timeout)]
    pub handshake_timeout: f64,
    /// Seconds after which a silent TCP conversation is forgotten
    #[arg(long, value_name = "SECONDS", default_value_t = Self::default().idle_timeout)]
    pub idle_timeout: f64,
    /// Delivered bytes that are remembered, to compare retransmissions with them
    #[arg(long, value_name = "BYTES", default_value_t = Self::default().max_recent_bytes)]
    pub max_recent_bytes: usize,
    /// How checksums of IPv4, TCP and UDP are treated
    #[arg(long, value_enum, value_name = "HOW", default_value_t, help_heading = "How packets are read")]
    pub checksums: Checksums,
}

/// How checksums are treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Checksums {
    /// A packet with a wrong checksum counts as dropped by its receiver, unless all or most checksums of its sender are
    /// wrong: then the packets were captured before the checksums were computed
    #[default]
    Auto,
    /// A packet with a wrong checksum counts as dropped by its receiver
    Verify,
    /// Checksums are not checked
    Ignore,
}

impl Checksums {
    /// All of them, by their names on the command line and in a configuration file.
    pub const NAMED: [(&str, Self); 3] = [("auto", Self::Auto), ("verify", Self::Verify), ("ignore", Self::Ignore)];
}

/// `lockkeeper policy`.
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Check policy files, and print what each permits. Mistakes go to standard error, with their place and what to write
    /// instead
    #[command(after_help = CHECK_EXAMPLES)]
    Check {
        /// Policy files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

impl Default for Vantage {
    /// The values of the options that are not given.
    fn default() -> Self {
        Self { mirror_sessions: Vec::new(), unread_limit: 1.0 }
    }
}

impl Default for Alarms {
    /// The values of the options that are not given.
    fn default() -> Self {
        Self { loss_limit: 0.1, silent_after: 60.0, one_way_limit: 50.0 }
    }
}

impl Default for Evidence {
    /// The values of the options that are not given.
    fn default() -> Self {
        Self { folder: None, packets: 32, files: 1000, mebibytes: 256 }
    }
}

impl Default for Recording {
    /// The values of the options that are not given.
    fn default() -> Self {
        Self { folder: None, mebibytes: 1024, file_mebibytes: None }
    }
}

impl Default for Limits {
    /// The values of the options that are not given.
    fn default() -> Self {
        Self {
            max_flows: 1 << 20,
            max_pending: 256,
            max_memory: 512 << 20,
            max_held_bytes: 128 * 1024,
            max_fragmented: 4096,
            max_alerts: 32_768,
            answer_timeout: 5.0,
            alert_interval: 60.0,
            handshake_timeout: 60.0,
            idle_timeout: 3600.0,
            max_recent_bytes: 1 << 20,
            checksums: Checksums::default(),
        }
    }
}

const EXIT_STATUS: &str = "\
Exit status: 0 no violation, 1 violations, 2 an error, or too few packets could be read.";

const WATCH_EXAMPLES: &str = "\
Examples:
  lockkeeper watch --interface eth1 --policy rules/plant.toml
  lockkeeper watch -i eth1 -i eth2 -p plant.toml --alerts alerts.jsonl --mqtt mqtt://soc-broker
  lockkeeper watch -i eth1 -p plant.toml --evidence evidence/ --record packets/ --record-size 20000
  lockkeeper watch --config /etc/lockkeeper/lockkeeper.toml
  lockkeeper watch

SIGINT or SIGTERM ends it: packets captured until then are judged, and their alerts delivered. Exit status: 0 ended as
asked, 2 an error.";

const CHECK_EXAMPLES: &str = "\
Examples:
  lockkeeper policy check rules/plant.toml
  lockkeeper policy check plant.toml > permitted.txt

Exit status: 0 every policy can be used, possibly with warnings, 2 a policy has errors.";

const STATUS_EXAMPLES: &str = "\
Examples:
  lockkeeper status
  lockkeeper status --json | jq .reasons

Exit status: 0 ready, 1 degraded (or starting, or stopping), 2 silent for too long, or unknown
because there is no status file.";

const REPLAY_EXAMPLES: &str = "\
Examples:
  lockkeeper replay day.pcapng --policy rules/plant.toml
  lockkeeper replay captures/ -p plant.toml --alerts - | jq -r .message
  lockkeeper replay day.pcapng -p plant.toml --evidence evidence/
  zcat week.pcap.gz | lockkeeper replay - -p plant.toml --stats stats.json --mqtt mqtt://soc-broker

Exit status: 0 no violation, 1 violations, 2 an error or an incomplete observation, whatever was found besides. An observation
is incomplete when there is no packet, when none could be read, or when at least 10 packets and more than --unread-limit
percent were not read: unknown link types and EtherTypes, MACsec and other encrypted frames, tunnels that cannot be undone,
headers that are cut, contradict themselves or are too many, payload cut by a snap length, fragments that make no datagram.
A capture that ends inside a record is an error too.";
