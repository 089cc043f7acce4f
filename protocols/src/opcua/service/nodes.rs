//! The NodeManagement services: they change the address space (OPC 10000-4, 5.8).

use super::item::Item;
use crate::fault::Fault;
use crate::opcua::binary::{Bytes, Encoded, ExpandedNodeId, ExtensionObject, QualifiedName, each};
use crate::operation::{Class, Node};
use crate::reader::Reader;

struct AddNodesItem<'a> {
    parent: Node<'a>,
    requested: Node<'a>,
}

impl<'a> Encoded<'a> for AddNodesItem<'a> {
    const LEAST: usize = 21;

    fn read(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let parent = ExpandedNodeId::read(reader)?.node;
        Node::read(reader)?;
        let requested = ExpandedNodeId::read(reader)?.node;
        QualifiedName::read(reader)?;
        reader.u32_le("node_class")?;
        ExtensionObject::read(reader)?;
        ExpandedNodeId::read(reader)?;
        Ok(Self { parent, requested })
    }
}

struct AddReferencesItem<'a> {
    source: Node<'a>,
}

impl<'a> Encoded<'a> for AddReferencesItem<'a> {
    const LEAST: usize = 15;

    fn read(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let source = Node::read(reader)?;
        Node::read(reader)?;
        reader.u8("is_forward")?;
        Bytes::read_as(reader, "target_server")?;
        ExpandedNodeId::read(reader)?;
        reader.u32_le("node_class")?;
        Ok(Self { source })
    }
}

struct DeleteNodesItem<'a> {
    node: Node<'a>,
}

impl<'a> Encoded<'a> for DeleteNodesItem<'a> {
    const LEAST: usize = 3;

    fn read(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let node = Node::read(reader)?;
        reader.u8("delete_target_references")?;
        Ok(Self { node })
    }
}

struct DeleteReferencesItem<'a> {
    source: Node<'a>,
}

impl<'a> Encoded<'a> for DeleteReferencesItem<'a> {
    const LEAST: usize = 8;

    fn read(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let source = Node::read(reader)?;
        Node::read(reader)?;
        reader.u8("is_forward")?;
        ExpandedNodeId::read(reader)?;
        reader.u8("delete_bidirectional")?;
        Ok(Self { source })
    }
}

/// The node that is to be made; its parent where the server chooses the name.
pub(super) fn add_nodes<'a>(reader: &mut Reader<'a>, visit: &mut impl FnMut(&Item<'a>)) -> Result<(), Fault> {
    each(reader, "nodes_to_add", |asked: AddNodesItem<'a>| {
        let is_chosen_by_server = asked.requested == Node::standard(0);
        visit(&Item::node(Class::Program, if is_chosen_by_server { asked.parent } else { asked.requested }));
    })
}

pub(super) fn add_references<'a>(reader: &mut Reader<'a>, visit: &mut impl FnMut(&Item<'a>)) -> Result<(), Fault> {
    each(reader, "references_to_add", |asked: AddReferencesItem<'a>| visit(&Item::node(Class::Program, asked.source)))
}

pub(super) fn delete_nodes<'a>(reader: &mut Reader<'a>, visit: &mut impl FnMut(&Item<'a>)) -> Result<(), Fault> {
    each(reader, "nodes_to_delete", |asked: DeleteNodesItem<'a>| visit(&Item::node(Class::Program, asked.node)))
}

pub(super) fn delete_references<'a>(reader: &mut Reader<'a>, visit: &mut impl FnMut(&Item<'a>)) -> Result<(), Fault> {
    each(reader, "references_to_delete", |asked: DeleteReferencesItem<'a>| {
        visit(&Item::node(Class::Program, asked.source));
    })
}
