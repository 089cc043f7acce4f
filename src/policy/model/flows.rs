//! Points, conduits, flows, and the entries of `allow`.

use std::time::Duration;

use ipnet::IpNet;

use super::super::Conditions;
use super::super::classes::Classes;
use super::super::dialect::{Action, Dialect, Location, SessionOptions};
use super::super::encoding::Encoding;
use super::super::services::{PortRange, ServicePort};
use super::super::values::Rate;
use super::{Notes, SecurityLevel};

/// `[point.*]`: a name and limits for a place in a device.
#[derive(Clone, Debug)]
pub struct Point {
    /// Its name.
    pub name: String,
    /// The asset (index) that holds it.
    pub asset: u16,
    /// Its place.
    pub place: Location,
    /// How its values are read.
    pub encoding: Encoding,
    /// The limits of its values.
    pub limits: Limits,
}

/// The limits of a point's values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// Smallest value.
    pub min: Option<f64>,
    /// Largest value.
    pub max: Option<f64>,
    /// The permitted values; empty for any.
    pub values: Vec<f64>,
    /// Largest difference from the previous value.
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
    /// The zones (indices) that it connects, each with each other.
    pub zones: Vec<u16>,
    /// Target security level.
    pub sl_t: Option<SecurityLevel>,
    /// Notes for auditors.
    pub notes: Notes,
}

/// A host or hosts, as `from` and `to` name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A declared asset (index).
    Asset(u16),
    /// Every host of a zone (index).
    Zone(u16),
    /// Every host of a network, declared or not.
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
    /// The clients.
    pub from: Vec<Endpoint>,
    /// The servers.
    pub to: Vec<Endpoint>,
    /// The protocol that it permits.
    pub protocol: DeclaredProtocol,
    /// The ports on which it permits the protocol.
    pub ports: Ports,
    /// The operations that it permits.
    pub allow: Vec<Allow>,
    /// When it permits at all.
    pub conditions: Conditions,
    /// Longest time between two polls. Not judged yet.
    pub expect_every: Option<Duration>,
    /// The schedule (index) in which it may be used. Not judged yet.
    pub schedule: Option<u16>,
    /// It may be used only with a grant. Not judged yet.
    pub requires_grant: bool,
    /// Longest session. Not judged yet.
    pub max_session: Option<Duration>,
    /// The session options.
    pub session: SessionOptions,
    /// Oldest version of TLS. Not judged yet.
    pub tls_min_version: Option<&'static str>,
}

/// The protocol that a flow declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeclaredProtocol {
    /// A protocol by its name.
    Named(&'static str),
    /// Traffic of a carrier that is not decoded; the text of the policy, such as `tcp/443`.
    Carried(String),
    /// Any traffic, decoded or not.
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

    /// Whether it includes protocols of a dialect.
    pub(in crate::policy) fn is_of(&self, dialect: &dyn Dialect) -> bool {
        match self {
            Self::Named(name) => dialect.protocols().contains(name),
            Self::Any => true,
            Self::Carried(_) => false,
        }
    }

    /// Whether it includes a decoded protocol, so that the flow decides about its operations.
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
    /// Ranges of ports.
    Ranges(Vec<PortRange>),
    /// Any port of any carrier.
    Any,
}

impl Ports {
    /// Whether they include a port.
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
    /// Only these functions; every function where none is named.
    pub functions: Vec<FunctionRef>,
    /// Only these points (indices).
    pub points: Vec<u16>,
    /// Only these places, which the entry names itself.
    pub places: Vec<Location>,
    /// Highest rate. Not judged yet.
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
