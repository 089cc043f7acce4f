//! What was not read of the traffic, and whether that is enough to tell: a sensor that reads only a part of what it hears
//! judges only a part.
//!
//! Packets are counted in windows of packet time, so that the same capture gives the same alerts however it is cut into
//! blocks and whoever reads it.

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

    /// What the number stands for, where that has a name of its own.
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

/// Whether `unread` of `packets` packets are too many to call the rest all there is: more than `limit` percent, and not
/// only a handful, unless nothing at all was read.
pub fn is_too_much(unread: u64, packets: u64, limit: f64) -> bool {
    let share = unread as f64 * 100.0 / packets.max(1) as f64;
    unread > 0 && (unread >= packets || unread >= LEAST_UNREAD && share > limit)
}

/// The most frequent of these, at most `most`, and how many packets the others are.
pub fn most_frequent(counts: &BTreeMap<Unread, u64>, most: usize) -> (Vec<(Unread, u64)>, u64) {
    let mut sorted: Vec<(Unread, u64)> = counts.iter().map(|(kind, count)| (*kind, *count)).collect();
    // The order among those that are as frequent is that of the kinds.
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let others = sorted.split_off(most.min(sorted.len()));
    (sorted, others.iter().map(|(_, count)| count).sum())
}

/// The same with a fixed set of names, for what keeps every name that it ever heard: those that are known, and `other`.
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

/// Looks at what was not read, window by window.
#[derive(Debug)]
pub struct UnreadShare {
    /// Percent.
    limit: f64,
    /// What it is told of: the captures or interfaces.
    about: String,
    /// Packets that were counted into each window that is not over.
    open: BTreeMap<i64, Counted>,
    /// What is over, and was too little to say something.
    since: Counted,
    /// Something was said of what is over, or it was found to be little.
    judged: bool,
}

/// Packets of some time.
#[derive(Clone, Debug, Default)]
struct Counted {
    packets: u64,
    unread: BTreeMap<Unread, u64>,
}

impl UnreadShare {
    /// Begins to look. `limit`: in percent; `captures`: the names of the captures or interfaces.
    pub fn new(limit: f64, captures: &[String]) -> Self {
        let (named, others) = captures.split_at(SHOWN.min(captures.len()));
        let mut about = named.join(", ");
        if !others.is_empty() {
            about = format!("{about} and {} more", others.len());
        }
        Self { limit, about, open: BTreeMap::new(), since: Counted::default(), judged: false }
    }

    /// So many packets came in a window.
    pub fn add_packets(&mut self, window: i64, count: u64) {
        self.open.entry(window).or_default().packets += count;
    }

    /// So many of them were not read.
    pub fn add_unread(&mut self, window: i64, kind: Unread, count: u64) {
        *self.open.entry(window).or_default().unread.entry(kind).or_default() += count;
    }

    /// The packet clock is `clock`: what is to be told of the windows that are over.
    pub fn advance(&mut self, clock: i64, tell: &mut dyn FnMut(SensorAlert)) {
        while let Some(first) = self.open.first_entry().filter(|first| *first.key() < window_of(clock)) {
            let end = first.key().saturating_add(1).saturating_mul(WINDOW);
            self.since.add(first.remove());
            if self.since.packets >= LEAST_PACKETS {
                self.judge(end, tell);
            }
        }
    }

    /// The end, at `clock`. What is left says something if it is enough, or all there was.
    pub fn finish(&mut self, clock: i64, tell: &mut dyn FnMut(SensorAlert)) {
        for (_, counted) in std::mem::take(&mut self.open) {
            self.since.add(counted);
        }
        if self.since.packets >= LEAST_PACKETS || !self.judged {
            self.judge(clock, tell);
        }
    }

    fn judge(&mut self, time: i64, tell: &mut dyn FnMut(SensorAlert)) {
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
        tell(SensorAlert { rule: SensorRule::Unread, about: self.about.clone(), time, message, measured });
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
/// Fewer packets than this are looked at together with those of the next window.
const LEAST_PACKETS: u64 = 100;
/// Fewer unread packets than this are a handful, unless they are all there is.
const LEAST_UNREAD: u64 = 10;
/// Kinds and captures that a message names.
const SHOWN: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    const MACSEC: Unread = Unread::EtherType(0x88E5);

    /// What is told of windows with so many packets and so many unread ones, and when, in windows.
    fn told(windows: &[(u64, u64)]) -> Vec<(i64, u64)> {
        let mut share = UnreadShare::new(1.0, &["a.pcap".to_owned()]);
        let mut told = Vec::new();
        let mut tell = |own: SensorAlert| told.push((own.time / WINDOW, own.measured[1].1));
        for (window, (packets, unread)) in (0..).zip(windows) {
            share.add_packets(window, *packets);
            share.add_unread(window, MACSEC, *unread);
            share.advance(window * WINDOW + 1, &mut tell);
        }
        share.finish(windows.len() as i64 * WINDOW, &mut tell);
        told
    }

    #[test]
    fn a_share_above_the_limit_is_told_and_a_handful_is_not() {
        assert_eq!(told(&[(1000, 11)]), [(1, 11)]);
        assert_eq!(told(&[(1000, 10)]), [], "one percent is not more than one percent");
        assert_eq!(told(&[(100, 9)]), [], "a handful");
        assert_eq!(told(&[(3, 3)]), [(1, 3)], "all there was");
        assert_eq!(told(&[(0, 0)]), []);
    }

    #[test]
    fn metrics_have_the_same_names_whatever_came() {
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
    fn each_window_is_looked_at_and_small_ones_together() {
        assert_eq!(told(&[(200, 50), (200, 0), (200, 60)]), [(1, 50), (3, 60)]);
        assert_eq!(told(&[(40, 10), (40, 0), (40, 10), (40, 40)]), [(3, 20)], "what is left is too little");
    }

    #[test]
    fn what_was_not_read_most_is_named_first() {
        let counts =
            BTreeMap::from([(MACSEC, 5), (Unread::IpProtocol(50), 7), (Unread::Malformed, 5), (Unread::Cut, 1)]);
        let (most, others) = most_frequent(&counts, 2);
        assert_eq!((most, others), (vec![(Unread::IpProtocol(50), 7), (MACSEC, 5)], 6));
        assert_eq!((MACSEC.to_string(), MACSEC.name()), ("MACsec (EtherType 0x88e5)".into(), "ethernet/0x88e5".into()));
        assert_eq!(Unread::EtherType(0x1234).to_string(), "EtherType 0x1234");
        assert_eq!(Unread::IpProtocol(50).to_string(), "ESP (IP protocol 50)");
    }
}
