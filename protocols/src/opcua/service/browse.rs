//! The View services (OPC 10000-4, 5.9).

use super::item::{Item, Subject};
use crate::fault::Fault;
use crate::opcua::binary::{Bytes, Dialect, Encoded, QualifiedName, read_date_time, skip_array, visit_each};
use crate::operation::{Class, Node};
use crate::reader::Reader;

/// BrowseDescription: only the starting node is kept.
struct BrowseDescription<'a> {
    node: Node<'a>,
}

impl<'a> Encoded<'a> for BrowseDescription<'a> {
    const MIN_SIZE: usize = 17;

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let node = Node::decode(reader, dialect)?;
        reader.u32_le("browse_direction")?;
        Node::decode(reader, dialect)?;
        reader.bytes(9, "browse_masks")?; // with subtypes?, node classes, fields of the result
        Ok(Self { node })
    }
}

/// BrowsePath: only the starting node is kept.
struct BrowsePath<'a> {
    start: Node<'a>,
}

impl<'a> Encoded<'a> for BrowsePath<'a> {
    const MIN_SIZE: usize = 6;

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let start = Node::decode(reader, dialect)?;
        skip_array::<RelativePathElement>(reader, "relative_path", dialect)?;
        Ok(Self { start })
    }
}

/// One step of a path. Skipped.
pub(super) struct RelativePathElement;

impl<'a> Encoded<'a> for RelativePathElement {
    const MIN_SIZE: usize = 10;

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        Node::decode(reader, dialect)?;
        reader.bytes(2, "relative_path")?; // inverse?, with subtypes?
        QualifiedName::decode(reader, dialect)?;
        Ok(Self)
    }
}

/// Skips a ViewDescription (7.45).
pub(super) fn skip_view(reader: &mut Reader<'_>, dialect: impl Dialect) -> Result<(), Fault> {
    Node::decode(reader, dialect)?;
    read_date_time(reader, "view_time")?;
    reader.u32_le("view_version")?;
    Ok(())
}

/// Browse: an item for each starting node.
pub(super) fn visit_browse<'a>(
    reader: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    skip_view(reader, dialect)?;
    reader.u32_le("max_references")?;
    visit_each(reader, "nodes_to_browse", dialect, |asked: BrowseDescription<'a>| {
        visit(&Item::node(Class::Browse, asked.node))
    })
}

/// BrowseNext: an item for each continuation point, which only the server can interpret.
pub(super) fn visit_browse_next<'a>(
    reader: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    reader.u8("release_continuation_points")?;
    visit_each(reader, "continuation_points", dialect, |_: Bytes<'a>| visit(&Item::new(Class::Browse, Subject::None)))
}

/// TranslateBrowsePathsToNodeIds: an item for each starting node.
pub(super) fn visit_translate_browse_paths<'a>(
    reader: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    visit_each(reader, "browse_paths", dialect, |path: BrowsePath<'a>| visit(&Item::node(Class::Browse, path.start)))
}

/// RegisterNodes and UnregisterNodes: an item for each node.
pub(super) fn visit_register_nodes<'a>(
    reader: &mut Reader<'a>,
    dialect: impl Dialect,
    visit: &mut impl FnMut(&Item<'a>),
) -> Result<(), Fault> {
    visit_each(reader, "nodes", dialect, |node: Node<'a>| visit(&Item::node(Class::Browse, node)))
}
