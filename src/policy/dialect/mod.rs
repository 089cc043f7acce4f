//! The parts of the policy that depend on a protocol.
//!
//! A dialect covers the protocols of one kind of device: the syntax of its places and session options, their verdicts, and
//! their text in messages. The rest of the policy works with classes, functions, numbered [addresses](super::addresses) and
//! limits, and names no protocol.
//!
//! A new protocol needs a file here with its [`Dialect`], and a row in the table below. If it has numbered addresses, its
//! tables follow those of the dialect before it, and [`TABLES`] ends with them. A protocol without a dialect can be permitted
//! by class and function nevertheless.

mod modbus;
pub(super) mod opcua;
pub(super) mod s7;

use std::fmt;

use lockkeeper_protocols::{Class, Node, Operation, Target};

use super::addresses::{Addresses, Reach};
use super::classes::Classes;
use super::encoding::DataType;
use super::flow_verdict::Candidate;
use super::model::Point;
use super::section::{Section, Span};
use super::{Policy, Rule, Verdict};

pub use opcua::{
    CertificateRules, Channel, FactVerdict, Grade, NodeIdPattern, NodePattern, OpcUaSession, Secured, suite_names,
};
pub(super) use opcua::{NamedNodes, NodeMap, NodeRules};
pub use s7::{Blocks, Password, S7Object, S7Session};

/// The protocols of one kind of device.
///
/// The first methods read a policy, the others judge and explain. Those that judge are called for the operations of all
/// protocols, and recognise their own by the target.
pub(super) trait Dialect: fmt::Debug + Sync {
    /// The key of its places, and of its session options in a flow: `modbus`.
    fn key(&self) -> &'static str;

    /// The names in the registry of the protocols that it covers.
    fn protocols(&self) -> &'static [&'static str];

    /// Reads the place of a point under [`Dialect::key`].
    fn point_place(&self, point: &mut Section<'_>) -> Option<Location>;

    /// The keys of an entry of `allow` that name places.
    fn entry_keys(&self) -> &'static [&'static str];

    /// Reads the places under [`Dialect::entry_keys`]: those of a point, if it has no others.
    fn entry_places(&self, entry: &mut Section<'_>) -> Vec<Location> {
        self.point_place(entry).into_iter().collect()
    }

    /// The type of the values of a place for which none is written.
    fn default_type(&self, extent: &Extent) -> DataType;

    /// Reports a type or limits that cannot be judged at the place of a point. Returns the number of values at the place, if a
    /// largest step needs a single one.
    fn check_point(&self, point: &Point, type_span: Span, section: &Section<'_>) -> Option<u64>;

    /// The words of `actions`, sorted.
    fn actions(&self) -> &'static [Action] {
        &[]
    }

    /// The classes that an entry permits which names these.
    fn permitted_classes(&self, named: Classes) -> Classes {
        named
    }

    /// Reads the session options of a flow under [`Dialect::key`]. `false`: it has no such key.
    fn read_session(&self, _flow: &mut Section<'_>, _options: &mut SessionOptions) -> bool {
        false
    }

    /// The session options of a flow in the summary of a policy: `, password forbidden`.
    fn session_text(&self, _options: &SessionOptions) -> String {
        String::new()
    }

    /// The numbered addresses that a target names.
    fn reach(&self, _asset: u16, _target: &Target<'_>) -> Option<Reach> {
        None
    }

    /// The location of the values of an operation on a target; `None` if it has none that a point could limit.
    fn values_at<'t>(&self, asset: u16, target: &Target<'t>) -> Option<ValuesAt<'t>> {
        self.reach(asset, target).map(ValuesAt::Addresses)
    }

    /// Whether a target has an address of any kind, so that a permit for other addresses does not cover it.
    fn has_address(&self, target: &Target<'_>) -> bool;

    /// Whether named places hold the target of an operation on a server.
    fn is_named(&self, _places: &NamedPlaces, _server: Option<u16>, _operation: &Operation<'_>) -> bool {
        false
    }

    /// Whether an operation only opens a session, or asks how to: it is permitted wherever a flow permits anything.
    fn opens_session(&self, _operation: &Operation<'_>) -> bool {
        false
    }

    /// The verdict on an operation that the session options of the candidates decide about.
    fn judge_session(
        &self,
        _policy: &Policy,
        _candidates: &[Candidate],
        _operation: &Operation<'_>,
    ) -> Option<Verdict> {
        None
    }

    /// Updates the state of a session after an accepted operation of class `security`.
    fn learn(&self, _operation: &Operation<'_>, _session: &mut SessionState) {}
}

/// Declares the table of dialects, and the functions that are called for each operation. These call the dialects by name, so
/// that no verdict costs a virtual call.
macro_rules! dialects {
    ($($dialect:expr),+ $(,)?) => {
        /// Every dialect, in the order in which their keys are read and listed.
        pub(super) static DIALECTS: &[&dyn Dialect] = &[$(&$dialect),+];

        /// [`Dialect::reach`] of the dialect of the target.
        #[inline]
        pub(super) fn reach(asset: u16, target: &Target<'_>) -> Option<Reach> {
            None$(.or_else(|| $dialect.reach(asset, target)))+
        }

        /// [`Dialect::values_at`] of the dialect of the target.
        pub(super) fn values_at<'t>(asset: u16, target: &Target<'t>) -> Option<ValuesAt<'t>> {
            None$(.or_else(|| $dialect.values_at(asset, target)))+
        }

        /// [`Dialect::has_address`] of any dialect.
        pub(super) fn has_address(target: &Target<'_>) -> bool {
            $($dialect.has_address(target))||+
        }

        /// [`Dialect::is_named`] of any dialect.
        pub(super) fn is_named(places: &NamedPlaces, server: Option<u16>, operation: &Operation<'_>) -> bool {
            $($dialect.is_named(places, server, operation))||+
        }

        /// [`Dialect::opens_session`] of any dialect.
        pub(super) fn opens_session(operation: &Operation<'_>) -> bool {
            $($dialect.opens_session(operation))||+
        }

        /// [`Dialect::judge_session`] of the dialect whose session options decide.
        pub(super) fn judge_session(
            policy: &Policy,
            candidates: &[Candidate],
            operation: &Operation<'_>,
        ) -> Option<Verdict> {
            None$(.or_else(|| $dialect.judge_session(policy, candidates, operation)))+
        }
    };
}

dialects![modbus::Modbus, s7::S7, opcua::OpcUa];

/// How many tables have numbered addresses, over all dialects: each numbers its own behind those of the one before.
pub(super) const TABLES: usize = s7::TABLES.end;

/// The dialect of a protocol, if it has one.
pub(super) fn of_protocol(name: &str) -> Option<&'static dyn Dialect> {
    DIALECTS.iter().copied().find(|dialect| dialect.protocols().contains(&name))
}

/// A word of `actions`, with the control operations that it names.
#[derive(Debug, PartialEq, Eq)]
pub struct Action {
    /// The word of the language.
    pub name: &'static str,
    /// Their functions.
    pub functions: &'static [&'static str],
}

/// A place in a device, as a point or an entry of `allow` names it.
#[derive(Clone, Debug)]
pub struct Location {
    /// The dialect in which it is written.
    pub(super) dialect: &'static dyn Dialect,
    /// As messages show it: `holding_register 0-39`, `DB20 byte 16-19`.
    pub text: String,
    /// What it covers.
    pub extent: Extent,
}

/// What a place covers.
#[derive(Clone, Debug)]
pub enum Extent {
    /// Numbered addresses.
    Addresses(Addresses),
    /// An object of an S7-1200 or S7-1500, and all below it.
    Object(S7Object),
    /// Blocks of an S7 program.
    Blocks(Vec<Blocks>),
    /// Nodes of an OPC UA server; of a call the object or the method.
    Nodes(Vec<NodePattern>),
    /// Methods of an OPC UA server.
    Methods(Vec<NodePattern>),
}

/// A place with the asset that holds it, if a point names it.
pub(super) type Located<'a> = (Option<u16>, &'a Location);

/// Places without numbered addresses, laid out for judging.
#[derive(Clone, Debug)]
pub(super) struct NamedPlaces {
    s7: s7::NamedPlaces,
    opcua: NamedNodes,
}

impl NamedPlaces {
    /// Those among the places of an entry.
    pub(super) fn new(places: &[Located<'_>]) -> Self {
        Self { s7: s7::NamedPlaces::new(places), opcua: NamedNodes::new(places) }
    }
}

/// The location of the values of an operation.
#[derive(Clone, Copy, Debug)]
pub(super) enum ValuesAt<'t> {
    /// In a row, beginning at the first address.
    Addresses(Reach),
    /// Somewhere among these addresses.
    Among(Reach),
    /// In a node.
    Node(Node<'t>),
}

/// What a flow demands of a session, in the dialects that have such options.
#[derive(Clone, Debug, Default)]
pub struct SessionOptions {
    /// `s7` of the flow.
    pub s7: Option<S7Session>,
    /// `opcua` of the flow.
    pub opcua: Option<OpcUaSession>,
}

impl SessionOptions {
    /// Whether the flow demands nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.s7.is_none() && self.opcua.is_none()
    }

    /// The classes whose operations depend on the options.
    pub(super) fn classes(&self) -> Classes {
        self.s7.map_or(Classes::NONE, |s7| s7.classes())
    }

    /// The rule that operations of a class violate in a session that has not unlocked them.
    pub(super) fn lock(&self, class: Class, session: SessionState) -> Option<Rule> {
        self.s7.and_then(|s7| s7.lock(class, session))
    }
}

/// What a server granted to a session so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionState {
    /// The controller accepted the session password.
    password_accepted: bool,
}

impl SessionState {
    /// A session to which everything is granted.
    pub(super) const UNLOCKED: Self = Self { password_accepted: true };
}
