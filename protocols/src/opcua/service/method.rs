//! Call: methods of objects (OPC 10000-4, 5.12).

use super::item::{Item, Subject};
use super::method_table::TABLE;
use crate::fault::Fault;
use crate::opcua::binary::{Dialect, Encoded, Variant, read_elements, visit_each};
use crate::operation::{Class, Kind, MethodTarget, Node, Typed};
use crate::reader::Reader;

/// A method that the standard defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// Its number in namespace 0.
    pub number: u32,
    /// The standard's name in snake_case, such as `update_certificate`.
    pub name: &'static str,
    /// Its class.
    pub class: Class,
}

impl Method {
    /// The standard method with this node id, if there is one.
    pub fn of(node: &Node<'_>) -> Option<&'static Self> {
        let number = node.standard_number()?;
        let row = TABLE.binary_search_by_key(&number, |method| method.number).ok()?;
        TABLE.get(row)
    }
}

/// CallMethodRequest: a method of an object, with its arguments.
struct CallMethodRequest<'a> {
    object: Node<'a>,
    method: Node<'a>,
    arguments: Typed<'a>,
}

impl<'a> Encoded<'a> for CallMethodRequest<'a> {
    const MIN_SIZE: usize = 8;

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let object = Node::decode(reader, dialect)?;
        let method = Node::decode(reader, dialect)?;
        Ok(Self { object, method, arguments: read_arguments(reader, "input_arguments", dialect)? })
    }
}

/// Reads arguments, each a Variant.
pub(super) fn read_arguments<'a>(
    reader: &mut Reader<'a>,
    field: &'static str,
    dialect: impl Dialect,
) -> Result<Typed<'a>, Fault> {
    let (count, bytes) = read_elements::<Variant<'_>>(reader, field, dialect)?;
    Ok(Typed { kind: Kind::Any, count, bytes })
}

/// Call: an item for each method. A method that the standard does not define is taken to control the process.
pub(super) fn visit_call<'a>(
    reader: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    visit_each(reader, "methods_to_call", dialect, |asked: CallMethodRequest<'a>| {
        let CallMethodRequest { object, method, arguments } = asked;
        let class = Method::of(&method).map_or(Class::Control, |known| known.class);
        visit(&Item::new(class, Subject::Method(MethodTarget { object, method })).with_values(arguments.into()));
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::NodeId;

    #[test]
    fn methods_are_in_order_and_found_in_the_standard_namespace_only() {
        assert!(TABLE.is_sorted_by(|one, other| one.number < other.number));
        let class = |namespace, number| {
            Method::of(&Node { namespace, id: NodeId::Numeric(number) }).map(|method| (method.name, method.class))
        };
        assert_eq!(class(0, 13737), Some(("update_certificate", Class::Security)));
        assert_eq!(class(0, 9028), Some(("disable", Class::Alarm)));
        assert_eq!(class(0, 12886), Some(("request_server_state_change", Class::Control)));
        assert_eq!(class(0, 11588), Some(("write", Class::Program)));
        assert_eq!(class(0, 11492), Some(("get_monitored_items", Class::Diagnostic)));
        assert_eq!((class(2, 13737), class(0, 85)), (None, None));
    }
}
