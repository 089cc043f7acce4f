//! Operations that outlive their frame.

use lockkeeper_protocols::{
    Class, Kind, MethodTarget, Mode, Node, NodeId, NodeTarget, Operation, Target, Typed, UserKind, Values,
};

/// An operation that outlives its frame.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnedOperation {
    /// What it does.
    pub class: Class,
    /// The standard's name in snake_case.
    pub function: &'static str,
    /// The number on the wire.
    pub code: u32,
    /// What it acts on.
    pub target: OwnedTarget,
    /// The values.
    pub values: OwnedValues,
}

impl From<&Operation<'_>> for OwnedOperation {
    fn from(operation: &Operation<'_>) -> Self {
        Self {
            class: operation.class,
            function: operation.function,
            code: operation.code,
            target: OwnedTarget::of(&operation.target),
            values: OwnedValues::of(&operation.values),
        }
    }
}

/// Values that outlive their frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OwnedValues {
    /// None.
    #[default]
    None,
    /// Bits as 0 and 1, registers, masks.
    Numbers(Vec<u16>),
    /// Bytes without a known shape.
    Bytes(Vec<u8>),
    /// Values that say of what type they are: [`Typed`].
    Typed {
        /// [`Typed::kind`].
        kind: Kind,
        /// [`Typed::count`], also of values that are cut off.
        count: u32,
        /// [`Typed::bytes`], the first [`TYPED_BYTES`] of them.
        bytes: Vec<u8>,
    },
}

/// How many bytes of typed values are kept: a message may have megabytes of them, an alert should not.
pub const TYPED_BYTES: usize = 64 * 1024;

impl OwnedValues {
    /// Copies what a decoder only lends.
    pub fn of(values: &Values<'_>) -> Self {
        match *values {
            Values::None => Self::None,
            Values::Bytes(bytes) => Self::Bytes(bytes.to_vec()),
            Values::Typed { kind, count, bytes } => {
                Self::Typed { kind, count, bytes: bytes.get(..TYPED_BYTES).unwrap_or(bytes).to_vec() }
            }
            Values::Bits { .. } | Values::Registers(_) | Values::Masks { .. } => {
                Self::Numbers(values.numbers().collect())
            }
        }
    }

    /// The values that say of what type they are.
    pub const fn typed(&self) -> Option<Typed<'_>> {
        match self {
            Self::Typed { kind, count, bytes } => Some(Typed { kind: *kind, count: *count, bytes: bytes.as_slice() }),
            _ => None,
        }
    }
}

/// A target that outlives its frame.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OwnedTarget {
    /// What borrows nothing.
    Plain(Target<'static>),
    /// [`NodeTarget`].
    Node(Box<(OwnedNode, Option<u32>, Box<[u8]>)>),
    /// [`MethodTarget`]: object and method.
    Method(Box<(OwnedNode, OwnedNode)>),
    /// [`Target::Endpoint`].
    Endpoint(Box<[u8]>),
    /// [`Target::Channel`].
    Channel(Option<Mode>, Box<str>),
    /// [`Target::User`].
    User(UserKind, Box<[u8]>),
}

impl Default for OwnedTarget {
    fn default() -> Self {
        Self::Plain(Target::None)
    }
}

impl OwnedTarget {
    /// Copies what a decoder only lends.
    pub fn of(target: &Target<'_>) -> Self {
        Self::Plain(match *target {
            Target::Node(&NodeTarget { node, attribute, range }) => {
                return Self::Node(Box::new((OwnedNode::of(node), attribute, range.into())));
            }
            Target::Method(&MethodTarget { object, method }) => {
                return Self::Method(Box::new((OwnedNode::of(object), OwnedNode::of(method))));
            }
            Target::Endpoint { url } => return Self::Endpoint(url.into()),
            Target::Channel { mode, policy } => return Self::Channel(mode, policy.into()),
            Target::User { kind, name } => return Self::User(kind, name.into()),
            Target::None => Target::None,
            Target::Unit { unit } => Target::Unit { unit },
            Target::Table { unit, table, address, count } => Target::Table { unit, table, address, count },
            Target::File { unit, file, record, count } => Target::File { unit, file, record, count },
            Target::Sub { unit, kind, number } => Target::Sub { unit, kind, number },
            Target::Memory { area, db, first, count } => Target::Memory { area, db, first, count },
            Target::Block { kind, number } => Target::Block { kind, number },
            Target::Connection { kind, rack, slot } => Target::Connection { kind, rack, slot },
            Target::Object { object, path, depth } => Target::Object { object, path, depth },
            Target::Item { kind, number, index } => Target::Item { kind, number, index },
        })
    }

    /// Lends it as a decoder does.
    pub fn lend<R>(&self, user: impl FnOnce(&Target<'_>) -> R) -> R {
        match self {
            Self::Plain(target) => user(target),
            Self::Node(parts) => {
                let (node, attribute, range) = &**parts;
                user(&Target::Node(&NodeTarget { node: node.lend(), attribute: *attribute, range }))
            }
            Self::Method(parts) => {
                let (object, method) = &**parts;
                user(&Target::Method(&MethodTarget { object: object.lend(), method: method.lend() }))
            }
            Self::Endpoint(url) => user(&Target::Endpoint { url }),
            Self::Channel(mode, policy) => user(&Target::Channel { mode: *mode, policy }),
            Self::User(kind, name) => user(&Target::User { kind: *kind, name }),
        }
    }
}

/// A [`Node`] that outlives its frame.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OwnedNode {
    /// [`Node::namespace`].
    pub namespace: u16,
    /// [`Node::id`].
    pub id: OwnedNodeId,
}

/// A [`NodeId`] that outlives its frame.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OwnedNodeId {
    /// [`NodeId::Numeric`].
    Numeric(u32),
    /// [`NodeId::Text`].
    Text(Box<[u8]>),
    /// [`NodeId::Guid`].
    Guid([u8; 16]),
    /// [`NodeId::Opaque`].
    Opaque(Box<[u8]>),
}

impl OwnedNode {
    fn of(node: Node<'_>) -> Self {
        let id = match node.id {
            NodeId::Numeric(number) => OwnedNodeId::Numeric(number),
            NodeId::Text(text) => OwnedNodeId::Text(text.into()),
            NodeId::Guid(bytes) => OwnedNodeId::Guid(bytes),
            NodeId::Opaque(bytes) => OwnedNodeId::Opaque(bytes.into()),
        };
        Self { namespace: node.namespace, id }
    }

    fn lend(&self) -> Node<'_> {
        let id = match &self.id {
            OwnedNodeId::Numeric(number) => NodeId::Numeric(*number),
            OwnedNodeId::Text(text) => NodeId::Text(text),
            OwnedNodeId::Guid(bytes) => NodeId::Guid(*bytes),
            OwnedNodeId::Opaque(bytes) => NodeId::Opaque(bytes),
        };
        Node { namespace: self.namespace, id }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_lent_as_it_was() {
        let node = |namespace, id| Node { namespace, id };
        let ids = [NodeId::Numeric(7), NodeId::Text(b"a"), NodeId::Guid([3; 16]), NodeId::Opaque(&[0])];
        for id in ids {
            let target = NodeTarget { node: node(3, id), attribute: Some(13), range: b"0:1" };
            let method = MethodTarget { object: node(1, id), method: Node::standard(11) };
            for target in [Target::Node(&target), Target::Method(&method)] {
                assert!(OwnedTarget::of(&target).lend(|lent| *lent == target), "{target:?}");
            }
        }
        let kind = UserKind::UserName;
        let others = [
            Target::Endpoint { url: b"opc.tcp://a" },
            Target::Channel { mode: Some(Mode::Sign), policy: "None" },
            Target::User { kind, name: b"operator" },
            Target::Unit { unit: 1 },
        ];
        for target in others {
            assert!(OwnedTarget::of(&target).lend(|lent| *lent == target), "{target:?}");
        }
    }

    #[test]
    fn an_alert_keeps_so_much_of_typed_values_and_no_more() {
        let bytes = vec![1; TYPED_BYTES + 1];
        let kept = OwnedValues::of(&Values::Typed { kind: Kind::U8, count: 1 << 17, bytes: &bytes });
        assert_eq!(kept.typed().map(|typed| (typed.count, typed.bytes.len())), Some((1 << 17, TYPED_BYTES)));
    }
}
