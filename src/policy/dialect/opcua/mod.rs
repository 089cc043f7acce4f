//! OPC UA: nodes and methods of a server, and the security of its channels and sessions.

mod certificates;
mod channel;
mod explain;
mod node_map;
mod node_rules;
mod nodes;
mod session;

use lockkeeper_protocols::{Class, NodeTarget, Operation, Target};

use super::{Dialect, Extent, Location, NamedPlaces, SessionOptions, ValuesAt};
use crate::policy::classes::Classes;
use crate::policy::encoding::{DataType, WordOrder};
use crate::policy::model::Point;
use crate::policy::section::{Section, Span};

pub use channel::{FactVerdict, Secured};
pub(in crate::policy) use explain::detail;
pub(in crate::policy) use node_map::NodeMap;
pub(in crate::policy) use node_rules::{NamedNodes, NodeRules};
pub use nodes::{NodeIdPattern, NodePattern};
pub use session::{CertificateRules, Channel, Grade, OpcUaSession, suite_names};

/// The dialect of OPC UA.
#[derive(Debug)]
pub(super) struct OpcUa;

impl Dialect for OpcUa {
    fn key(&self) -> &'static str {
        "opcua"
    }

    fn protocols(&self) -> &'static [&'static str] {
        &["opcua"]
    }

    fn point_place(&self, point: &mut Section<'_>) -> Option<Location> {
        nodes::read_point(point)
    }

    fn entry_keys(&self) -> &'static [&'static str] {
        &["opcua"]
    }

    fn entry_places(&self, entry: &mut Section<'_>) -> Vec<Location> {
        nodes::read_entry(entry)
    }

    fn default_type(&self, _extent: &Extent) -> DataType {
        // Values of nodes carry their type: without one in the policy, every number is meant.
        DataType::F64
    }

    fn check_point(&self, point: &Point, type_span: Span, section: &Section<'_>) -> Option<u64> {
        let of_s7 = matches!(
            point.encoding.data_type,
            DataType::Time | DataType::S5Time | DataType::Date | DataType::TimeOfDay | DataType::Counter
        );
        if of_s7 {
            let message = "values of nodes are not of this type, which only S7 memory holds";
            section.problems.error(type_span, message, "choose bool, a number such as i32 or f64, or string");
        } else if point.encoding.order != WordOrder::Big {
            let message = "values of nodes travel in one order only";
            section.problems.error(type_span, message, "write the type without le and swapped");
        }
        let is_single =
            matches!(&point.place.extent, Extent::Nodes(nodes) if matches!(&**nodes, [one] if one.is_single()));
        if point.limits.max_step.is_some() && !is_single {
            let message = format!("max_step of {} needs a single node", section.what);
            section.problems.error(section.span_of("max_step"), message, "make one point for each node");
        }
        None
    }

    /// What a client subscribes to is reported to it: one cannot be permitted without the other.
    fn permitted_classes(&self, named: Classes) -> Classes {
        if named.contains(Class::Subscribe) { named.with(Classes::only(Class::Report)) } else { named }
    }

    fn read_session(&self, flow: &mut Section<'_>, options: &mut SessionOptions) -> bool {
        options.opcua = OpcUaSession::read(flow);
        options.opcua.is_some()
    }

    fn session_text(&self, options: &SessionOptions) -> String {
        options.opcua.as_ref().map(OpcUaSession::text).unwrap_or_default()
    }

    fn values_at<'t>(&self, _asset: u16, target: &Target<'t>) -> Option<ValuesAt<'t>> {
        match *target {
            Target::Node(target) if is_value(target) => Some(ValuesAt::Node(target.node)),
            _ => None,
        }
    }

    fn has_address(&self, target: &Target<'_>) -> bool {
        matches!(target, Target::Node(_) | Target::Method(_))
    }

    fn is_named(&self, places: &NamedPlaces, server: Option<u16>, operation: &Operation<'_>) -> bool {
        places.opcua.hold(server, operation)
    }

    /// A channel or a session, or the question how to open one.
    fn opens_session(&self, operation: &Operation<'_>) -> bool {
        match operation.target {
            Target::Channel { .. } | Target::User { .. } => true,
            Target::Endpoint { .. } => operation.function == "get_endpoints",
            _ => false,
        }
    }
}

/// Whether the value of a node is meant, and no other attribute of it.
fn is_value(target: &NodeTarget<'_>) -> bool {
    target.attribute.is_none_or(|attribute| attribute == VALUE)
}

/// The number of the attribute that is a node's value (OPC 10000-6, annex A.1).
const VALUE: u32 = 13;
