//! Zones, conduits and points: what is declared, and the verdict on what is seen.
//!
//! ```text
//!  rules/*.toml -> section -> file -> model -> compile -> Policy
//!  (text)          (cursor)   (walk)  (kept)   (fast)     ruling: once a flow      (membership, judge)
//!                     |         |                         judge: once an operation (judge, limits)
//!                  diagnose: every mistake, its place,    message: when asked      (explain)
//!                  and what to write instead
//! ```
//!
//! The language is described in `rules/README.md`, by example in `rules/full-example.toml`.

mod addresses;
pub mod certificate;
mod check;
mod classes;
mod compile;
mod condition;
mod dialect;
mod encoding;
mod ends;
mod explain;
mod file;
mod identity;
mod judge;
mod limits;
mod membership;
pub mod model;
pub mod rules;
mod services;
#[cfg(test)]
mod tests;
mod values;
mod wholesale;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use lockkeeper_protocols::{Class, Side, UserKind};
use sha2::{Digest, Sha256};

pub use crate::document::{Diagnostic, Diagnostics, MAX_DIAGNOSTICS, Severity};
pub use check::{Outcome as CheckOutcome, check};
pub use classes::Classes;
pub use condition::{Condition, Conditions, Moment};
pub use dialect::{FactVerdict, Secured, SessionState};
pub use identity::{Identity, VlanFit, is_routable};
pub use membership::{BROADCAST, is_group};
pub use rules::Rule;
pub use services::{PortRange, ServicePort, is_service_port};
pub use values::Rate;

use crate::document::{diagnose, section};
use compile::Compiled;
use judge::{Candidate, Only, Relation};
use model::{Channel, Declared};

/// One end of a conversation, as the wire shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Host {
    /// Address; none for traffic without IP.
    pub ip: Option<IpAddr>,
    /// Hardware address as seen at the tap; behind a router it is the router's.
    pub mac: Option<[u8; 6]>,
    /// VLAN id.
    pub vlan: Option<u16>,
}

/// What the verdict on a flow depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowTuple {
    /// Who asks.
    pub client: Host,
    /// Who answers.
    pub server: Host,
    /// What carries it.
    pub transport: Carrier,
    /// Port of the server; 0 where there is none.
    pub server_port: u16,
}

/// What carries a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Carrier {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// Another IP protocol, by number (1 ICMP, 47 GRE, ...).
    Ip(u8),
    /// No IP, by EtherType.
    Ethernet(u16),
}

impl Carrier {
    /// Whether this is TCP or UDP whose ports could not be read: the headers were cut or are malformed.
    pub const fn hides_ports(self) -> bool {
        const TCP: u8 = 6;
        const UDP: u8 = 17;
        matches!(self, Self::Ip(TCP | UDP))
    }
}

/// Where a host belongs: indices that [`Policy`] turns into names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// The zone; none is the zone `unknown`.
    pub zone: Option<u16>,
    /// The declared asset, if it is one.
    pub asset: Option<u16>,
}

/// Everything about a flow that its verdicts need: made once a flow, kept beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FlowVerdict {
    /// Where the client belongs.
    pub client: Place,
    /// Where the server belongs.
    pub server: Place,
    /// The conduit that is crossed, if one is declared between the two zones.
    pub conduit: Option<u16>,
    relation: Relation,
    /// Declared flows between these hosts in this direction; shared, since findings carry a copy.
    candidates: Option<Arc<[Candidate]>>,
    /// The one of them whose entries decide about operations, where that is one.
    only: Option<Only>,
    /// A flow that names these hosts in the other direction, when none does in this one.
    reverse: Option<u16>,
    /// Whether client and server are unknown in a zone that declares its assets.
    strangers: [bool; 2],
    /// Whether client and server stand for whoever is in reach of the other.
    to_all: [bool; 2],
}

impl FlowVerdict {
    /// A ruling that judges nothing, only names what the flow belongs to.
    pub fn new(client: Place, server: Place, conduit: Option<u16>) -> Self {
        Self { client, server, conduit, ..Self::default() }
    }

    /// Whether traffic of the flow is judged: not where it is only observed, nor between hosts of no zone.
    pub fn is_judged(&self) -> bool {
        !matches!(self.relation, Relation::Observed | Relation::Unplaced)
    }

    /// Whether no operation of the flow can be judged, because neither host is in a zone.
    pub fn is_unplaced(&self) -> bool {
        self.relation == Relation::Unplaced
    }

    /// Whether one side is a multicast or broadcast address, which is no host.
    pub fn is_to_all(&self, side: Side) -> bool {
        let [client, server] = self.to_all;
        if side == Side::Client { client } else { server }
    }
}

/// The verdict on a flow or an operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// A declared flow permits it.
    Permit {
        /// Which flow (index), if one is what permits it.
        flow: Option<u16>,
    },
    /// Only recorded: inside one zone, or where the policy says so.
    Observe,
    /// Not judged, because nothing is declared about either end: there is no policy, or neither is in a zone.
    NotJudged,
    /// Not permitted.
    Deny(Denial),
}

/// Why something is not permitted. Small and `Copy`: the sentence is made by [`Policy::message`] when somebody asks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Denial {
    /// The rule that is violated.
    pub rule: Rule,
    /// The flow that came closest to permitting it.
    pub flow: Option<u16>,
    /// What exactly was outside.
    pub reason: Reason,
}

/// The particulars of a denial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reason {
    /// The rule says it all.
    Plain,
    /// The class of the operation that is not permitted, or not there.
    Class(Class),
    /// The value that a point with limits would get cannot be told from the request.
    Unreadable {
        /// The point (index).
        point: u16,
    },
    /// A value is not of the type of its point.
    Type {
        /// The point (index).
        point: u16,
    },
    /// How the channel is protected.
    Channel(Channel),
    /// How the channel is protected, and how it could be, or was.
    Weaker {
        /// How it is.
        now: Channel,
        /// How it could be, or was.
        than: Channel,
    },
    /// How somebody shows who they are.
    User(UserKind),
    /// When a certificate begins or ends, seconds since 1970-01-01 UTC.
    Time(i64),
    /// How long a key is, bits.
    Bits(u32),
    /// A certificate of another application than the one that shows it.
    Application,
    /// A value is beyond a limit of a point.
    Value {
        /// The point (index), or none for limits written in the flow itself.
        point: Option<u16>,
        /// The value, as the point's type reads it.
        value: f64,
        /// Which limit.
        limit: Limit,
    },
}

/// The limits of a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// Below `min`.
    Min(f64),
    /// Above `max`.
    Max(f64),
    /// Not one of `values`.
    List,
    /// Further from the value before it than `max_step`; that value.
    Step {
        /// The largest step allowed.
        max: f64,
        /// The value before.
        from: f64,
    },
}

/// The last values seen of points that limit their step, for one pair of hosts.
#[derive(Clone, Debug, Default)]
#[expect(clippy::box_collection, reason = "most conversations have none: one word then")]
pub struct LastValues(Option<Box<Vec<(u16, f64)>>>);

impl LastValues {
    /// The same values under a policy that took the place of the one `before`, as far as it knows the points by name.
    pub fn carry_over(&mut self, before: &Policy, policy: &Policy) {
        let Some(values) = &mut self.0 else { return };
        values.retain_mut(|(point, _)| {
            let now = policy.point_named(before.point_name(*point));
            *point = now.unwrap_or(*point);
            now.is_some()
        });
    }
}

/// A policy, resolved and compiled: it cannot refer to something that does not exist. The default permits nothing and
/// denies nothing: everything is observed.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// `[policy] id`; the file's name without its ending where none is given.
    pub id: String,
    /// `[policy] version`; empty where none is given.
    pub version: String,
    /// SHA-256 of the file, lower-case hexadecimal.
    pub sha256: String,
    declared: Declared,
    compiled: Compiled,
    warnings: Diagnostics,
}

impl Policy {
    /// Reads a policy from a file.
    pub fn load(path: &Path) -> Result<Self, Diagnostics> {
        let name = path.display().to_string();
        let about = |message: String, help: &str| Diagnostics::about_file(&name, message, Some(help.to_owned()));
        let bytes = std::fs::read(path).map_err(|error| {
            about(format!("cannot be read: {error}"), "give the path of a policy, such as rules/full-example.toml")
        })?;
        let text = String::from_utf8(bytes)
            .map_err(|_| about("is not a policy: it is not text".into(), "a policy is a TOML file in UTF-8"))?;
        Self::parse(&name, &text)
    }

    /// Reads a policy from text; `name` stands in messages for the file's. All mistakes are reported at once.
    pub fn parse(name: &str, text: &str) -> Result<Self, Diagnostics> {
        if text.len() > file::MAX_BYTES {
            let message = format!("is longer than {} bytes", file::MAX_BYTES);
            return Err(Diagnostics::about_file(name, message, Some("split the policy".to_owned())));
        }
        let (declared, found) = file::read(name, text);
        if found.has_errors() {
            return Err(found);
        }
        let stem = Path::new(name).file_stem().map(|stem| stem.to_string_lossy().into_owned());
        Ok(Self {
            id: declared.header.text("id").map(str::to_owned).or(stem).unwrap_or_default(),
            version: declared.header.text("version").unwrap_or_default().to_owned(),
            sha256: Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect(),
            compiled: Compiled::new(&declared),
            declared,
            warnings: found,
        })
    }

    /// No policy: everything is observed, nothing is denied.
    pub fn permissive() -> Self {
        Self::default()
    }

    /// What is probably not meant as it is written.
    pub fn warnings(&self) -> &Diagnostics {
        &self.warnings
    }

    /// Everything that the policy declares, also what is not judged yet.
    pub fn declared(&self) -> &Declared {
        &self.declared
    }

    /// Whether there is anything to judge by: `false` for [`Policy::permissive`].
    pub fn judges(&self) -> bool {
        !self.sha256.is_empty()
    }

    /// The decoded protocols that flows of any hosts declare on a port by naming it.
    pub fn protocols_at(&self, port: ServicePort) -> impl Iterator<Item = &'static str> {
        self.compiled.declared_ports.at(port)
    }

    /// The name of a zone in the file, such as `Z-LOCK`; `unknown` for none.
    pub fn zone_name(&self, zone: Option<u16>) -> &str {
        zone.and_then(|zone| self.declared.zones.get(usize::from(zone))).map_or("unknown", |zone| &zone.name)
    }

    /// The name of an asset, such as `PLC-BRIDGE`.
    pub fn asset_name(&self, asset: u16) -> &str {
        self.declared.assets.get(usize::from(asset)).map_or("", |asset| &asset.name)
    }

    /// The name of a conduit, such as `C-SCADA-LOCK`.
    pub fn conduit_name(&self, conduit: u16) -> &str {
        self.declared.conduits.get(usize::from(conduit)).map_or("", |conduit| &conduit.name)
    }

    /// The index of the conduit with this name.
    pub fn conduit_named(&self, name: &str) -> Option<u16> {
        let index = self.declared.conduits.iter().position(|conduit| conduit.name == name)?;
        u16::try_from(index).ok()
    }

    /// The id of a flow, such as `F-101`.
    pub fn flow_id(&self, flow: u16) -> &str {
        self.flow(flow).map_or("", |flow| &flow.id)
    }

    /// Which side of a link makes it `asset.unknown`.
    pub fn unknown_sides(&self, flow_verdict: &FlowVerdict) -> impl Iterator<Item = Side> + use<> {
        let [client, server] = flow_verdict.strangers;
        [(Side::Client, client), (Side::Server, server)].into_iter().filter_map(|(side, is)| is.then_some(side))
    }
}
