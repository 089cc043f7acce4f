//! The NodeManagement services, which change the address space (OPC 10000-4, 5.8).

use super::item::{Item, Subject};
use crate::fault::Fault;
use crate::opcua::binary::{Bytes, Dialect, Encoded, ExpandedNodeId, ExtensionObject, QualifiedName, visit_each};
use crate::operation::{Class, Node};
use crate::reader::Reader;

/// AddNodesItem: the parent, and the requested id of the new node.
struct AddNodesItem<'a> {
    parent: ExpandedNodeId<'a>,
    requested: ExpandedNodeId<'a>,
}

impl<'a> Encoded<'a> for AddNodesItem<'a> {
    const MIN_SIZE: usize = 21;

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let parent = ExpandedNodeId::decode(reader, dialect)?;
        Node::decode(reader, dialect)?;
        let requested = ExpandedNodeId::decode(reader, dialect)?;
        QualifiedName::decode(reader, dialect)?;
        reader.u32_le("node_class")?;
        ExtensionObject::decode(reader, dialect)?;
        ExpandedNodeId::decode(reader, dialect)?;
        Ok(Self { parent, requested })
    }
}

/// AddReferencesItem: only the source node is kept.
struct AddReferencesItem<'a> {
    source: Node<'a>,
}

impl<'a> Encoded<'a> for AddReferencesItem<'a> {
    const MIN_SIZE: usize = 15;

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let source = Node::decode(reader, dialect)?;
        Node::decode(reader, dialect)?;
        reader.u8("is_forward")?;
        Bytes::decode_as(reader, "target_server", dialect)?;
        ExpandedNodeId::decode(reader, dialect)?;
        reader.u32_le("node_class")?;
        Ok(Self { source })
    }
}

/// DeleteNodesItem: the node to delete.
struct DeleteNodesItem<'a> {
    node: Node<'a>,
}

impl<'a> Encoded<'a> for DeleteNodesItem<'a> {
    const MIN_SIZE: usize = 3;

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let node = Node::decode(reader, dialect)?;
        reader.u8("delete_target_references")?;
        Ok(Self { node })
    }
}

/// DeleteReferencesItem: only the source node is kept.
struct DeleteReferencesItem<'a> {
    source: Node<'a>,
}

impl<'a> Encoded<'a> for DeleteReferencesItem<'a> {
    const MIN_SIZE: usize = 8;

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let source = Node::decode(reader, dialect)?;
        Node::decode(reader, dialect)?;
        reader.u8("is_forward")?;
        ExpandedNodeId::decode(reader, dialect)?;
        reader.u8("delete_bidirectional")?;
        Ok(Self { source })
    }
}

/// AddNodes: an item for each new node, or for its parent if the server chooses the node id.
pub(super) fn visit_add_nodes<'a>(
    reader: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    visit_each(reader, "nodes_to_add", dialect, |asked: AddNodesItem<'a>| {
        let is_chosen_by_server = asked.requested.node == Node::standard(0);
        let named = if is_chosen_by_server { asked.parent } else { asked.requested };
        visit(&match named.local_node() {
            Some(node) => Item::node(Class::Program, node),
            None => Item::new(Class::Program, Subject::Unread("namespace_uri")),
        });
    })
}

/// AddReferences: an item for each source node.
pub(super) fn visit_add_references<'a>(
    reader: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    visit_each(reader, "references_to_add", dialect, |asked: AddReferencesItem<'a>| {
        visit(&Item::node(Class::Program, asked.source))
    })
}

/// DeleteNodes: an item for each node.
pub(super) fn visit_delete_nodes<'a>(
    reader: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    visit_each(reader, "nodes_to_delete", dialect, |asked: DeleteNodesItem<'a>| {
        visit(&Item::node(Class::Program, asked.node))
    })
}

/// DeleteReferences: an item for each source node.
pub(super) fn visit_delete_references<'a>(
    reader: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    visit_each(reader, "references_to_delete", dialect, |asked: DeleteReferencesItem<'a>| {
        visit(&Item::node(Class::Program, asked.source));
    })
}
