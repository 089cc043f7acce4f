//! QueryFirst: finds nodes by their type (OPC 10000-4, B.2.3). QueryNext only continues it.

use super::browse::{RelativePathElement, skip_view};
use super::item::Item;
use crate::fault::Fault;
use crate::opcua::binary::{Bytes, Dialect, Encoded, ExpandedNodeId, skip_array, visit_each};
use crate::operation::{Class, Node};
use crate::reader::Reader;

/// NodeTypeDescription: only the type is kept.
struct NodeTypeDescription<'a> {
    definition: Node<'a>,
}

impl<'a> Encoded<'a> for NodeTypeDescription<'a> {
    const MIN_SIZE: usize = 7;

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let definition = ExpandedNodeId::decode(reader, dialect)?.node;
        reader.u8("include_subtypes")?;
        skip_array::<QueryDataDescription>(reader, "data_to_return", dialect)?;
        Ok(Self { definition })
    }
}

/// QueryDataDescription: skipped.
struct QueryDataDescription;

impl<'a> Encoded<'a> for QueryDataDescription {
    const MIN_SIZE: usize = 12;

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        skip_array::<RelativePathElement>(reader, "relative_path", dialect)?;
        reader.u32_le("attribute_id")?;
        Bytes::decode_as(reader, "index_range", dialect)?;
        Ok(Self)
    }
}

/// QueryFirst: an item for each type.
pub(super) fn visit_query_first<'a>(
    reader: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    skip_view(reader, dialect)?;
    visit_each(reader, "node_types", dialect, |asked: NodeTypeDescription<'a>| {
        visit(&Item::node(Class::Browse, asked.definition))
    })
}
