//! Read and Write (OPC 10000-4, 5.11).

use super::item::{Item, values_of};
use crate::fault::Fault;
use crate::opcua::binary::{Bytes, DataValue, Dialect, Encoded, QualifiedName, read_double, visit_each};
use crate::operation::{Class, Node};
use crate::reader::Reader;

/// ReadValueId (7.29): an attribute of a node, or some elements of it.
#[derive(Clone, Copy)]
pub(super) struct ReadValueId<'a> {
    pub(super) node: Node<'a>,
    pub(super) attribute: u32,
    pub(super) range: Bytes<'a>,
}

impl<'a> Encoded<'a> for ReadValueId<'a> {
    const MIN_SIZE: usize = 16;

    #[inline]
    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let node = Node::decode(reader, dialect)?;
        let attribute = reader.u32_le("attribute_id")?;
        let range = Bytes::decode_as(reader, "index_range", dialect)?;
        QualifiedName::decode(reader, dialect)?;
        Ok(Self { node, attribute, range })
    }
}

/// WriteValue (5.11.4.2): an attribute of a node, and its new value.
pub(super) struct WriteValue<'a> {
    pub(super) node: Node<'a>,
    pub(super) attribute: u32,
    range: Bytes<'a>,
    pub(super) value: DataValue<'a>,
}

impl<'a> Encoded<'a> for WriteValue<'a> {
    const MIN_SIZE: usize = 11;

    #[inline]
    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let node = Node::decode(reader, dialect)?;
        let attribute = reader.u32_le("attribute_id")?;
        let range = Bytes::decode_as(reader, "index_range", dialect)?;
        Ok(Self { node, attribute, range, value: DataValue::decode(reader, dialect)? })
    }
}

/// Read: an item for each attribute.
pub(super) fn visit_read<'a>(
    reader: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    read_double(reader, "max_age")?;
    reader.u32_le("timestamps_to_return")?;
    visit_each(reader, "nodes_to_read", dialect, |asked: ReadValueId<'a>| {
        visit(&Item::attribute(Class::Read, asked.node, asked.attribute, asked.range));
    })
}

/// Write: a Value attribute belongs to the process, any other attribute to the configuration of the server.
pub(super) fn visit_write<'a>(
    reader: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    visit_each(reader, "nodes_to_write", dialect, |asked: WriteValue<'a>| {
        let class = if asked.attribute == VALUE { Class::Write } else { Class::Program };
        let mut item = Item::attribute(class, asked.node, asked.attribute, asked.range);
        item.deviation = (!asked.value.value.fits_dimensions()).then_some("array_dimensions");
        visit(&item.with_values(values_of(&asked.value.value)));
    })
}

/// The Value attribute of a variable.
pub(super) const VALUE: u32 = 13;
