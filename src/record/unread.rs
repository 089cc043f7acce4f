//! Packets that could not be read, and the alert when they are too many: a sensor that reads only a part of the traffic judges
//! only that part.
//!
//! Packets are counted in windows of packet time, so that the same capture gives the same alerts whatever the blocks and the
//! number of workers.

use std::collections::BTreeMap;
use std::fmt;

use super::rules::SensorRule;
use super::sensor::SensorAlert;

/// Why a packet was not read, or not all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unread {
    /// A frame of an EtherType that is encrypted or unknown; 0 for LLC.
    EtherType(u16),
    /// A tunnel inside IP that cannot be undone, or encrypted IP, by IP protocol.
    IpProtocol(u8),
    /// A link type that is not understood.
    LinkType,
    /// The bytes end before the headers do.
    Truncated,
    /// A header contradicts itself.
    Malformed,
    /// More tags, extension headers or wrappings than the limit.
    TooDeep,
    /// A snap length cut the payload.
    Cut,
}

impl Unread {
    /// The name in statistics and metrics, such as `ethernet/0x88e5`.
    pub fn name(self) -> String {
        match self {
            Self::EtherType(number) => format!("ethernet/0x{number:04x}"),
            Self::IpProtocol(number) => format!("ip/{number}"),
            Self::LinkType => "link_type".to_owned(),
            Self::Truncated => "truncated_headers".to_owned(),
            Self::Malformed => "malformed_headers".to_owned(),
            Self::TooDeep => "too_many_wrappings".to_owned(),
            Self::Cut => "cut_by_snap_length".to_owned(),
        }
    }

    /// The name of what the number stands for, if it has one.
    const fn title(self) -> Option<&'static str> {
        Some(match self {
            Self::EtherType(0) => "a network layer over LLC",
            Self::EtherType(0x88E5) => "MACsec",
            Self::EtherType(0x8847 | 0x8848) | Self::IpProtocol(137) => "MPLS",
            Self::EtherType(0x8864) => "PPPoE",
            Self::EtherType(0x88E7) => "802.1ah",
            Self::EtherType(0x8903) => "FabricPath",
            Self::EtherType(0x22F3) => "TRILL",
            Self::EtherType(0x894F) => "NSH",
            Self::EtherType(0x8137) => "IPX",
            Self::IpProtocol(4) => "IP in IP",
            Self::IpProtocol(41) => "IPv6 in IP",
            Self::IpProtocol(47) => "GRE",
            Self::IpProtocol(50) => "ESP",
            Self::IpProtocol(115) => "L2TP",
            _ => return None,
        })
    }
}

impl fmt::Display for Unread {
    /// For people: `MACsec (EtherType 0x88e5)`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = match self {
            Self::EtherType(number) => format!("EtherType 0x{number:04x}"),
            Self::IpProtocol(number) => format!("IP protocol {number}"),
            Self::LinkType => return formatter.write_str("unknown link type"),
            Self::Truncated => return formatter.write_str("truncated headers"),
            Self::Malformed => return formatter.write_str("malformed headers"),
            Self::TooDeep => return formatter.write_str("too many tags, headers or wrappings"),
            Self::Cut => return formatter.write_str("payload cut by a snap length"),
        };
        match self.title() {
            Some(title) => write!(formatter, "{title} ({number})"),
            None => formatter.write_str(&number),
        }
    }
}

/// Whether `unread` of `packets` packets are too many: more than `limit` percent and at least 10, or all of them.
pub fn is_too_much(unread: u64, packets: u64, limit: f64) -> bool {
    let share = unread as f64 * 100.0 / packets.max(1) as f64;
    unread > 0 && (unread >= packets || unread >= LEAST_UNREAD && share > limit)
}

/// The most frequent kinds, at most `most`, each with its packets, and how many packets the others are.
pub fn most_frequent(counts: &BTreeMap<Unread, u64>, most: usize) -> (Vec<(Unread, u64)>, u64) {
    let mut sorted: Vec<(Unread, u64)> = counts.iter().map(|(kind, count)| (*kind, *count)).collect();
    // Stable: equally frequent ones stay in the order of their kinds.
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let others = sorted.split_off(most.min(sorted.len()));
    (sorted, others.iter().map(|(_, count)| count).sum())
}

/// The counts by a fixed set of names and `other`, for consumers that keep every name they ever received (metrics).
pub fn by_known_name(counts: &BTreeMap<Unread, u64>) -> BTreeMap<String, u64> {
    let mut named: BTreeMap<String, u64> = KNOWN.iter().map(|kind| (kind.name(), 0)).collect();
    for (kind, count) in counts {
        let name = if KNOWN.contains(kind) { kind.name() } else { "other".to_owned() };
        *named.entry(name).or_default() += count;
    }
    named.entry("other".to_owned()).or_default();
    named
}

/// Kinds that have a name of their own in metrics.
const KNOWN: [Unread; 19] = [
    Unread::EtherType(0),
    Unread::EtherType(0x22F3),
    Unread::EtherType(0x8137),
    Unread::EtherType(0x8847),
    Unread::EtherType(0x8864),
    Unread::EtherType(0x88E5),
    Unread::EtherType(0x88E7),
    Unread::EtherType(0x8903),
    Unread::EtherType(0x894F),
    Unread::IpProtocol(4),
    Unread::IpProtocol(41),
    Unread::IpProtocol(47),
    Unread::IpProtocol(50),
    Unread::IpProtocol(115),
    Unread::LinkType,
    Unread::Truncated,
    Unread::Malformed,
    Unread::TooDeep,
    Unread::Cut,
];

/// The window of packet time that a packet falls into.
pub const fn window_of(clock: i64) -> i64 {
    clock.div_euclid(WINDOW)
}

/// Compares unread packets with all packets, window by window.
#[derive(Debug)]
pub struct UnreadShare {
    /// Share of unread packets above which an alert is raised, percent.
    limit: f64,
    /// The captures or interfaces, as the alert names them.
    about: String,
    /// Packets of each window that is not over.
    open: BTreeMap<i64, Counted>,
    /// Packets of windows that are over and had too few packets to be judged.
    since: Counted,
    /// Windows were judged before.
    judged: bool,
}

/// Packets of some time.
#[derive(Clone, Debug, Default)]
struct Counted {
    packets: u64,
    unread: BTreeMap<Unread, u64>,
}

impl UnreadShare {
    /// Starts without any packet. `limit` is in percent; `captures` are the names of the captures or interfaces.
    pub fn new(limit: f64, captures: &[String]) -> Self {
        let (named, others) = captures.split_at(SHOWN.min(captures.len()));
        let mut about = named.join(", ");
        if !others.is_empty() {
            about = format!("{about} and {} more", others.len());
        }
        Self { limit, about, open: BTreeMap::new(), since: Counted::default(), judged: false }
    }

    /// Counts packets of a window, read or not.
    pub fn add_packets(&mut self, window: i64, count: u64) {
        self.open.entry(window).or_default().packets += count;
    }

    /// Counts unread packets of a window.
    pub fn add_unread(&mut self, window: i64, kind: Unread, count: u64) {
        *self.open.entry(window).or_default().unread.entry(kind).or_default() += count;
    }

    /// Judges the windows that are over at packet clock `clock`; `out` receives the alerts.
    pub fn advance(&mut self, clock: i64, out: &mut dyn FnMut(SensorAlert)) {
        while let Some(first) = self.open.first_entry().filter(|first| *first.key() < window_of(clock)) {
            let end = first.key().saturating_add(1).saturating_mul(WINDOW);
            self.since.add(first.remove());
            if self.since.packets >= LEAST_PACKETS {
                self.judge(end, out);
            }
        }
    }

    /// Ends the run at packet clock `clock`. The remaining packets are judged if they are enough, or all of the run.
    pub fn finish(&mut self, clock: i64, out: &mut dyn FnMut(SensorAlert)) {
        for (_, counted) in std::mem::take(&mut self.open) {
            self.since.add(counted);
        }
        if self.since.packets >= LEAST_PACKETS || !self.judged {
            self.judge(clock, out);
        }
    }

    fn judge(&mut self, time: i64, out: &mut dyn FnMut(SensorAlert)) {
        self.judged = true;
        let Counted { packets, unread } = std::mem::take(&mut self.since);
        let total = unread.values().sum();
        if !is_too_much(total, packets, self.limit) {
            return;
        }
        let (most, _) = most_frequent(&unread, SHOWN);
        let kinds: Vec<String> = most.iter().map(|(kind, count)| format!("{count} of {kind}")).collect();
        let share = total as f64 * 100.0 / packets.max(1) as f64;
        let message = format!(
            "{total} of {packets} packets ({share:.1} %) could not be read, and what they carried was not judged: {}.",
            kinds.join(", ")
        );
        let measured = vec![("packets", packets), ("unread", total)];
        out(SensorAlert { rule: SensorRule::Unread, about: self.about.clone(), time, message, measured });
    }
}

impl Counted {
    fn add(&mut self, other: Self) {
        self.packets += other.packets;
        for (kind, count) in other.unread {
            *self.unread.entry(kind).or_default() += count;
        }
    }
}

/// Length of a window, nanoseconds of packet time.
const WINDOW: i64 = 10_000_000_000;
/// A window with fewer packets than this is judged together with the next one.
const LEAST_PACKETS: u64 = 100;
/// Fewer unread packets than this raise no alert, unless they are all packets.
const LEAST_UNREAD: u64 = 10;
/// Kinds and captures that a message names.
const SHOWN: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    const MACSEC: Unread = Unread::EtherType(0x88E5);

    /// The alerts about windows with these packets and unread packets: when, in windows, and how many were unread.
    fn raised(windows: &[(u64, u64)]) -> Vec<(i64, u64)> {
        let mut share = UnreadShare::new(1.0, &["a.pcap".to_owned()]);
        let mut raised = Vec::new();
        let mut out = |alert: SensorAlert| raised.push((alert.time / WINDOW, alert.measured[1].1));
        for (window, (packets, unread)) in (0..).zip(windows) {
            share.add_packets(window, *packets);
            share.add_unread(window, MACSEC, *unread);
            share.advance(window * WINDOW + 1, &mut out);
        }
        share.finish(windows.len() as i64 * WINDOW, &mut out);
        raised
    }

    #[test]
    fn a_share_above_the_limit_raises_an_alert_and_a_handful_does_not() {
        assert_eq!(raised(&[(1000, 11)]), [(1, 11)]);
        assert_eq!(raised(&[(1000, 10)]), [], "one percent is not more than one percent");
        assert_eq!(raised(&[(100, 9)]), [], "a handful");
        assert_eq!(raised(&[(3, 3)]), [(1, 3)], "all there was");
        assert_eq!(raised(&[(0, 0)]), []);
    }

    #[test]
    fn metrics_have_the_same_names_whatever_was_unread() {
        let names = |counts: &BTreeMap<Unread, u64>| by_known_name(counts).into_keys().collect::<Vec<_>>();
        let strange = BTreeMap::from([(Unread::EtherType(0x1234), 2), (Unread::EtherType(0x1235), 3), (MACSEC, 1)]);
        assert_eq!(names(&BTreeMap::new()), names(&strange));
        let counted = by_known_name(&strange);
        assert_eq!((counted["other"], counted["ethernet/0x88e5"], counted["ip/50"]), (5, 1, 0));
    }

    #[test]
    fn many_captures_are_named_by_their_number() {
        let captures = ["a", "b", "c", "d", "e"].map(str::to_owned);
        assert_eq!(UnreadShare::new(1.0, &captures).about, "a, b, c and 2 more");
    }

    #[test]
    fn each_window_is_judged_and_small_ones_together() {
        assert_eq!(raised(&[(200, 50), (200, 0), (200, 60)]), [(1, 50), (3, 60)]);
        assert_eq!(raised(&[(40, 10), (40, 0), (40, 10), (40, 40)]), [(3, 20)], "what is left is too little");
    }

    #[test]
    fn the_most_frequent_kinds_are_named_first() {
        let counts =
            BTreeMap::from([(MACSEC, 5), (Unread::IpProtocol(50), 7), (Unread::Malformed, 5), (Unread::Cut, 1)]);
        let (most, others) = most_frequent(&counts, 2);
        assert_eq!((most, others), (vec![(Unread::IpProtocol(50), 7), (MACSEC, 5)], 6));
        assert_eq!((MACSEC.to_string(), MACSEC.name()), ("MACsec (EtherType 0x88e5)".into(), "ethernet/0x88e5".into()));
        assert_eq!(Unread::EtherType(0x1234).to_string(), "EtherType 0x1234");
        assert_eq!(Unread::IpProtocol(50).to_string(), "ESP (IP protocol 50)");
    }
}
