//! Settings of the correlator, and what it counts.

/// What the correlator needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the sensor, in every record.
    pub sensor: String,
    /// Name of the site, in every record.
    pub site: String,
    /// Names of the captures, in the order of [`Evidence::capture`](crate::record::Evidence::capture).
    pub captures: Vec<String>,
    /// Whether first revisions carry an [evidence request](crate::record::Rendered::evidence_request).
    pub evidence_requests: bool,
    /// Shortest time between two revisions of an alert, nanoseconds of packet clock.
    pub interval: i64,
    /// How long an alert stays open without a new occurrence, nanoseconds of packet clock; the next occurrence opens a new
    /// one. Not less than `interval`.
    pub close_after: i64,
    /// Open alerts. Beyond it the one that was quiet longest closes early. One costs about 1 KiB, at most 9 KiB
    /// ([`ALERT_BYTES`](crate::record::ALERT_BYTES) of values, two names of [`NAME_BYTES`](crate::record::NAME_BYTES)).
    pub live: usize,
    /// Denied operations whose outcome is pending. Beyond it the oldest is dropped. 400 bytes each, at most 1.5 KiB.
    pub pending: usize,
    /// Discoveries that are remembered so as not to be published twice. Beyond it the least recent one is forgotten.
    /// 150 bytes each, plus the text of identities.
    pub discoveries: usize,
    /// Pairs of hosts whose best channel is remembered, certificates, and ends that showed one: the limit of each. Beyond it
    /// the least recent one is forgotten. At most 4 KiB each, commonly 500 bytes.
    pub secured: usize,
    /// Hardware addresses whose traffic is remembered, and hosts that were found not to be as declared: the limit of each.
    /// Beyond it the least recent one is forgotten. 250 bytes each.
    pub hosts: usize,
    /// Share of unread packets within ten seconds, in percent, above which an alert is raised.
    pub unread_limit: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sensor: "lockkeeper".to_owned(),
            site: "default".to_owned(),
            captures: Vec::new(),
            evidence_requests: false,
            interval: 60 * SECOND,
            close_after: 3600 * SECOND,
            live: 32_768,
            pending: 65_536,
            discoveries: 65_536,
            secured: 8192,
            hosts: 16_384,
            unread_limit: 1.0,
        }
    }
}

/// What the correlator did, and what it gave up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Findings received.
    pub findings: u64,
    /// Outcomes received, pending ones excluded.
    pub outcomes: u64,
    /// Alerts of kind violation that were opened.
    pub violations: u64,
    /// Alerts of kind asset.
    pub discoveries: u64,
    /// Alerts of kind sensor.
    pub own: u64,
    /// Revisions after the first.
    pub updates: u64,
    /// Alerts closed early because too many were open.
    pub closed_by_limit: u64,
    /// Outcomes whose alert was closed, or was never opened.
    pub outcomes_unmatched: u64,
    /// Pending outcomes that were dropped because there were too many.
    pub pending_dropped: u64,
    /// Discoveries forgotten because there were too many: they may be published again.
    pub discoveries_forgotten: u64,
    /// Channels and certificates forgotten because there were too many: a downgrade may go unnoticed.
    pub secured_forgotten: u64,
    /// Hosts forgotten because there were too many: their mismatches may be published again.
    pub hosts_forgotten: u64,
}

/// How often a rule was violated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Alerts opened.
    pub alerts: u64,
    /// Occurrences in them.
    pub occurrences: u64,
}

const SECOND: i64 = 1_000_000_000;
