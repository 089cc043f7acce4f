//! Node ids that outlive their message.

use alloc::boxed::Box;

use crate::operation::{Node, NodeId};

/// An owned node id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OwnedNode {
    namespace: u16,
    id: Id,
}

/// As [`NodeId`], owned.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Id {
    Numeric(u32),
    Text(Box<[u8]>),
    Guid([u8; 16]),
    Opaque(Box<[u8]>),
}

impl OwnedNode {
    /// A copy of the id; `None` if it is too long to keep. Real ids are shorter.
    pub(super) fn of(node: &Node<'_>) -> Option<Self> {
        let short = |bytes: &[u8]| (bytes.len() <= MAX_ID).then(|| bytes.into());
        let id = match node.id {
            NodeId::Numeric(number) => Id::Numeric(number),
            NodeId::Text(text) => Id::Text(short(text)?),
            NodeId::Guid(guid) => Id::Guid(guid),
            NodeId::Opaque(bytes) => Id::Opaque(short(bytes)?),
        };
        Some(Self { namespace: node.namespace, id })
    }

    /// Heap memory that it takes, bytes.
    pub(super) fn heap(&self) -> usize {
        match &self.id {
            Id::Text(bytes) | Id::Opaque(bytes) => bytes.len(),
            Id::Numeric(_) | Id::Guid(_) => 0,
        }
    }

    /// Namespace index.
    #[inline]
    pub(super) fn namespace(&self) -> u16 {
        self.namespace
    }

    /// The id, borrowed.
    #[inline]
    pub(super) fn node(&self) -> Node<'_> {
        let id = match &self.id {
            Id::Numeric(number) => NodeId::Numeric(*number),
            Id::Text(text) => NodeId::Text(text),
            Id::Guid(guid) => NodeId::Guid(*guid),
            Id::Opaque(bytes) => NodeId::Opaque(bytes),
        };
        Node { namespace: self.namespace, id }
    }

    /// Approximate memory that it takes, bytes.
    pub(super) fn size(&self) -> usize {
        size_of::<Self>() + self.heap()
    }
}

/// Longest id that is kept, bytes.
const MAX_ID: usize = 512;
