//! Points, conduits, flows, and what each flow allows.

use std::time::Duration;

use ipnet::IpNet;

use super::super::Conditions;
use super::super::classes::Classes;
use super::super::dialect::{Action, Dialect, Location, SessionOptions};
use super::super::encoding::Encoding;
use super::super::services::{PortRange, ServicePort};
use super::super::values::Rate;
use super::{Notes, SecurityLevel};

/// `[point.*]`: a name and limits for a place in a controller.
#[derive(Clone, Debug)]
pub struct Point {
    /// Its name.
    pub name: String,
    /// The asset (index) that holds it.
    pub asset: u16,
    /// Where it is.
    pub place: Location,
    /// How its values are read.
    pub encoding: Encoding,
    /// What its values may be.
    pub limits: Limits,
}

/// What the values of a point may be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// Smallest.
    pub min: Option<f64>,
    /// Largest.
    pub max: Option<f64>,
    /// All that are allowed; empty when any is.
    pub values: Vec<f64>,
    /// Largest difference from the value before.
    pub max_step: Option<f64>,
}

impl Limits {
    /// Whether nothing is limited.
    pub fn is_empty(&self) -> bool {
        self.min.is_none() && self.max.is_none() && self.values.is_empty() && self.max_step.is_none()
    }
}

/// `[conduit.*]` (IEC 62443-3-2 ZCR 6.4).
#[derive(Clone, Debug, Default)]
pub struct Conduit {
    /// Its name.
    pub name: String,
    /// The zones (indices) it connects, each with each.
    pub zones: Vec<u16>,
    /// Target security level.
    pub sl_t: Option<SecurityLevel>,
    /// What the auditor reads.
    pub notes: Notes,
}

/// One or many hosts, as `from` and `to` name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A declared asset (index).
    Asset(u16),
    /// Every host of a zone (index).
    Zone(u16),
    /// Every host of a network, also one that is no declared asset.
    Network(IpNet),
    /// Every host of the conduit's zones.
    Any,
}

/// `[[conduit.*.flow]]`.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Its id; `conduit/number` where none is given.
    pub id: String,
    /// Its conduit (index).
    pub conduit: u16,
    /// Who may ask.
    pub from: Vec<Endpoint>,
    /// Who may be asked.
    pub to: Vec<Endpoint>,
    /// The protocol that it permits.
    pub protocol: DeclaredProtocol,
    /// The ports on which it permits the protocol.
    pub ports: Ports,
    /// What may be asked.
    pub allow: Vec<Allow>,
    /// When it permits at all.
    pub conditions: Conditions,
    /// A poll that stops for longer is a finding. Kept, judged later.
    pub expect_every: Option<Duration>,
    /// When it may be used (index). Kept, judged later.
    pub schedule: Option<u16>,
    /// Open only with a grant. Kept, judged later.
    pub requires_grant: bool,
    /// Longest session. Kept, judged later.
    pub max_session: Option<Duration>,
    /// What a session must be like.
    pub session: SessionOptions,
    /// Oldest version of TLS. Kept, judged later.
    pub tls_min_version: Option<&'static str>,
}

/// The protocol that a flow declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeclaredProtocol {
    /// A protocol that is known by name.
    Named(&'static str),
    /// Whatever is carried there and is not decoded, as in `tcp/443`; the text of the policy.
    Carried(String),
    /// Anything, decoded or not.
    Any,
}

impl DeclaredProtocol {
    /// As the policy writes it.
    pub fn name(&self) -> &str {
        match self {
            Self::Named(name) => name,
            Self::Carried(text) => text,
            Self::Any => "any",
        }
    }

    /// Whether it may be a protocol of a dialect.
    pub(in crate::policy) fn is_of(&self, dialect: &dyn Dialect) -> bool {
        match self {
            Self::Named(name) => dialect.protocols().contains(name),
            Self::Any => true,
            Self::Carried(_) => false,
        }
    }

    /// Whether it decides about the operations of a decoded protocol.
    pub fn covers(&self, decoded: Option<&str>) -> bool {
        match self {
            Self::Named(name) => decoded == Some(*name),
            Self::Any => decoded.is_some(),
            Self::Carried(_) => false,
        }
    }
}

/// The ports that a flow names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ports {
    /// These.
    Ranges(Vec<PortRange>),
    /// On any port of any carrier.
    Any,
}

impl Ports {
    /// Whether this is one of them.
    pub fn admit(&self, (carrier, port): ServicePort) -> bool {
        match self {
            Self::Any => true,
            Self::Ranges(ranges) => {
                ranges.iter().any(|&(of, first, last)| of == carrier && (first..=last).contains(&port))
            }
        }
    }
}

/// One entry of `allow`.
#[derive(Clone, Debug, Default)]
pub struct Allow {
    /// The classes, from `op`.
    pub classes: Classes,
    /// Only these functions; all where none are named.
    pub functions: Vec<FunctionRef>,
    /// Only these points (indices).
    pub points: Vec<u16>,
    /// Only these places, which no point names.
    pub places: Vec<Location>,
    /// At most so often. Kept, judged later.
    pub rate: Option<Rate>,
    /// Only these control actions.
    pub actions: Vec<&'static Action>,
}

/// How `functions` names a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FunctionRef {
    /// By the standard's name.
    Name(String),
    /// By its number on the wire, with all its sub-functions.
    Code(u32),
}
