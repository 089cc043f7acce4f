//! QueryFirst: nodes found by their type (OPC 10000-4, B.2.3). QueryNext only continues it.

use super::browse::{RelativePathElement, view};
use super::item::Item;
use crate::fault::Fault;
use crate::opcua::binary::{Bytes, Encoded, ExpandedNodeId, each, skip_array};
use crate::operation::{Class, Node};
use crate::reader::Reader;

struct NodeTypeDescription<'a> {
    definition: Node<'a>,
}

impl<'a> Encoded<'a> for NodeTypeDescription<'a> {
    const LEAST: usize = 7;

    fn read(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let definition = ExpandedNodeId::read(reader)?.node;
        reader.u8("include_subtypes")?;
        skip_array::<QueryDataDescription>(reader, "data_to_return")?;
        Ok(Self { definition })
    }
}

struct QueryDataDescription;

impl<'a> Encoded<'a> for QueryDataDescription {
    const LEAST: usize = 12;

    fn read(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        skip_array::<RelativePathElement>(reader, "relative_path")?;
        reader.u32_le("attribute_id")?;
        Bytes::read_as(reader, "index_range")?;
        Ok(Self)
    }
}

pub(super) fn first<'a>(reader: &mut Reader<'a>, visit: &mut impl FnMut(&Item<'a>)) -> Result<(), Fault> {
    view(reader)?;
    each(reader, "node_types", |asked: NodeTypeDescription<'a>| visit(&Item::node(Class::Browse, asked.definition)))
}
