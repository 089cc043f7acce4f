//! Zones, conduits, flows and points as declared, and the verdict on traffic that they give.
//!
//! ```text
//!  rules/*.toml -> section -> file -> model -> compile -> Policy
//!  (text)          (cursor)   (walk)  (kept)   (fast)     flow_verdict: once a flow (membership, judge)
//!                     |         |                         judge: once an operation  (judge, limits)
//!                  diagnose: every mistake, its place,    message: for an alert     (explain)
//!                  and what to write instead
//! ```
//!
//! What depends on a single protocol is in [`dialect`], and nowhere else. The language is described in `rules/README.md`, by example in `rules/full-example.toml`.

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
mod flow_verdict;
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

use lockkeeper_protocols::{Class, UserKind};
use sha2::{Digest, Sha256};

pub use crate::document::{Diagnostic, Diagnostics, MAX_DIAGNOSTICS, Severity};
pub use check::{Outcome as CheckOutcome, check};
pub use classes::Classes;
pub use condition::{Condition, Conditions, Moment};
pub use dialect::{FactVerdict, Secured, SessionState};
pub use flow_verdict::FlowVerdict;
pub use identity::{Identity, VlanFit, is_routable};
pub use membership::{BROADCAST, is_group};
pub use rules::Rule;
pub use services::{PortRange, ServicePort, is_service_port};
pub use values::Rate;

use crate::document::{diagnose, section};
use compile::Compiled;
use model::{Channel, Declared};

/// One end of a flow, as the packet shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Host {
    /// IP address; none for traffic without IP.
    pub ip: Option<IpAddr>,
    /// Hardware address as the sensor sees it: that of the router for a host behind one.
    pub mac: Option<[u8; 6]>,
    /// VLAN id.
    pub vlan: Option<u16>,
}

/// What the verdict on a flow depends on, beside its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowTuple {
    /// The end that sends requests.
    pub client: Host,
    /// The end that answers them.
    pub server: Host,
    /// The carrier.
    pub transport: Carrier,
    /// Port of the server; 0 for carriers without ports.
    pub server_port: u16,
}

/// IP protocol numbers (IANA).
const TCP: u8 = 6;
const UDP: u8 = 17;

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
        matches!(self, Self::Ip(TCP | UDP))
    }

    /// IP protocol number (IANA); none without IP.
    pub const fn ip_protocol(self) -> Option<u8> {
        match self {
            Self::Tcp => Some(TCP),
            Self::Udp => Some(UDP),
            Self::Ip(protocol) => Some(protocol),
            Self::Ethernet(_) => None,
        }
    }
}

/// The zone and the asset of a host, as indices that [`Policy`] resolves to names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// The zone; none stands for the zone `unknown`.
    pub zone: Option<u16>,
    /// The declared asset, if the host is one.
    pub asset: Option<u16>,
}

/// The verdict on a flow or an operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// A declared flow permits it.
    Permit {
        /// The flow (index), where a flow is the reason.
        flow: Option<u16>,
    },
    /// Only recorded: inside one zone, or exempt by the policy.
    Observe,
    /// Not judged: there is no policy, or neither end is in a zone.
    NotJudged,
    /// Not permitted.
    Deny(Denial),
}

/// Why a flow or an operation is not permitted. [`Policy::detail`] makes the sentence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Denial {
    /// The rule that is violated.
    pub rule: Rule,
    /// The declared flow (index) that comes closest to permitting it.
    pub flow: Option<u16>,
    /// The particulars.
    pub reason: Reason,
}

/// The particulars of a denial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reason {
    /// None beyond the rule.
    Plain,
    /// The class that is not permitted, or not on this address.
    Class(Class),
    /// The request does not show the value that a point with limits would get.
    Unreadable {
        /// The point (index).
        point: u16,
    },
    /// A value has another type than its point.
    Type {
        /// The point (index).
        point: u16,
    },
    /// The protection of the channel.
    Channel(Channel),
    /// The protection of the channel, and a better one that was offered or used before.
    Weaker {
        /// The present protection.
        now: Channel,
        /// The better one.
        than: Channel,
    },
    /// The kind of identity of the user.
    User(UserKind),
    /// The begin or the end of a certificate's validity, seconds since 1970-01-01 UTC.
    Time(i64),
    /// The length of a key, bits.
    Bits(u32),
    /// The certificate belongs to another application than the one that presents it.
    Application,
    /// A value is beyond a limit of a point.
    Value {
        /// The point (index), or none for limits written in the flow itself.
        point: Option<u16>,
        /// The value, as the point's type reads it.
        value: f64,
        /// The limit.
        limit: Limit,
    },
}

/// The limit of a point that a value violates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// The value is below `min`.
    Min(f64),
    /// The value is above `max`.
    Max(f64),
    /// The value is not one of `values`.
    List,
    /// The value differs from the one before by more than `max_step`.
    Step {
        /// The largest step allowed.
        max: f64,
        /// The value before.
        from: f64,
    },
}

/// The last value of each point that limits its step, for one flow.
#[derive(Clone, Debug, Default)]
#[expect(clippy::box_collection, reason = "most flows have none, and it costs them one pointer")]
pub struct LastValues(Option<Box<Vec<(u16, f64)>>>);

impl LastValues {
    /// Moves the values to a policy that replaces `before`. A point keeps its value if the new policy has one of its name.
    pub fn carry_over(&mut self, before: &Policy, policy: &Policy) {
        let Some(values) = &mut self.0 else { return };
        values.retain_mut(|(point, _)| {
            let now = policy.point_named(before.point_name(*point));
            *point = now.unwrap_or(*point);
            now.is_some()
        });
    }
}

/// A policy, resolved and compiled: every reference in it is valid. The default observes everything, and permits and denies
/// nothing.
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

    /// Reads a policy from text; messages show `name` as the name of the file. Reports all mistakes at once.
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

    /// Warnings: what is probably not meant as it is written.
    pub fn warnings(&self) -> &Diagnostics {
        &self.warnings
    }

    /// Everything that the policy declares, including what is not judged yet.
    pub fn declared(&self) -> &Declared {
        &self.declared
    }

    /// Whether this is a policy to judge by: `false` for [`Policy::permissive`].
    pub fn judges(&self) -> bool {
        !self.sha256.is_empty()
    }

    /// The decoded protocols that flows of any hosts declare on a port.
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
}
