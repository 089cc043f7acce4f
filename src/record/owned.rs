//! Operations that outlive their frame.

use lockkeeper_protocols::{
    Class, Kind, MethodTarget, Mode, Node, NodeId, NodeTarget, Operation, Target, Typed, UserKind, Values,
};

/// An operation that outlives its frame, as an alert keeps it: the first [`ALERT_BYTES`] of its values, the first
/// [`NAME_BYTES`] of a name. The sender of a message chooses their length, and thousands of alerts are open at once.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnedOperation {
    /// What it does.
    pub class: Class,
    /// The standard's name in snake_case.
    pub function: &'static str,
    /// The number on the wire.
    pub code: u32,
    /// See [`Operation::ambiguous`].
    pub ambiguous: bool,
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
            ambiguous: operation.ambiguous,
            target: OwnedTarget::of(&operation.target),
            values: OwnedValues::of(&operation.values, ALERT_BYTES),
        }
    }
}

impl OwnedOperation {
    /// Lends it as a decoder does, without its values.
    pub(super) fn lend<R>(&self, user: impl FnOnce(&Operation<'_>) -> R) -> R {
        let Self { class, function, code, ambiguous, .. } = *self;
        let values = Values::None;
        self.target.lend(|target| user(&Operation { class, function, code, ambiguous, target: *target, values }))
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
    Bytes {
        /// How many there were, those that are cut off included.
        count: usize,
        /// The first of them.
        bytes: Vec<u8>,
    },
    /// Values that carry their type: [`Typed`].
    Typed {
        /// [`Typed::kind`].
        kind: Kind,
        /// [`Typed::count`], values that are cut off included.
        count: u32,
        /// The first of [`Typed::bytes`].
        bytes: Vec<u8>,
    },
}

/// Bytes of values that an alert keeps: enough for a write of 2000 coils. A message may have megabytes of values.
pub const ALERT_BYTES: usize = 4096;

/// Bytes of values that are kept from a request until its answer, for the record of a transaction.
pub const TRANSACTION_BYTES: usize = 64 * 1024;

/// Bytes of a name that are kept. A longer name ends in an ellipsis, a longer opaque id is cut.
pub const NAME_BYTES: usize = 512;

impl OwnedValues {
    /// Copies values that a decoder lends, the first `most` bytes of them. Values of Modbus are always short enough.
    pub fn of(values: &Values<'_>, most: usize) -> Self {
        let first = |bytes: &[u8]| bytes.get(..most).unwrap_or(bytes).to_vec();
        match *values {
            Values::None => Self::None,
            Values::Bytes(bytes) => Self::Bytes { count: bytes.len(), bytes: first(bytes) },
            Values::Typed { kind, count, bytes } => Self::Typed { kind, count, bytes: first(bytes) },
            Values::Bits { .. } | Values::Registers(_) | Values::Masks { .. } => {
                Self::Numbers(values.numbers().collect())
            }
        }
    }

    /// The values, if they carry their type.
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
    /// A target that borrows nothing.
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
    /// Copies a target that a decoder lends.
    pub fn of(target: &Target<'_>) -> Self {
        Self::Plain(match *target {
            Target::Node(&NodeTarget { node, attribute, range }) => {
                return Self::Node(Box::new((OwnedNode::of(node), attribute, short_name(range))));
            }
            Target::Method(&MethodTarget { object, method }) => {
                return Self::Method(Box::new((OwnedNode::of(object), OwnedNode::of(method))));
            }
            Target::Endpoint { url } => return Self::Endpoint(short_name(url)),
            Target::Channel { mode, policy } => {
                return Self::Channel(mode, String::from_utf8_lossy(&short_name(policy.as_bytes())).into());
            }
            Target::User { kind, name } => return Self::User(kind, short_name(name)),
            Target::None => Target::None,
            Target::Unread { part } => Target::Unread { part },
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
            NodeId::Text(text) => OwnedNodeId::Text(short_name(text)),
            NodeId::Guid(bytes) => OwnedNodeId::Guid(bytes),
            NodeId::Opaque(bytes) => OwnedNodeId::Opaque(bytes.get(..NAME_BYTES).unwrap_or(bytes).into()),
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

/// The first [`NAME_BYTES`] of a name: whole characters, and an ellipsis for the characters that are left out.
pub(crate) fn short_name(text: &[u8]) -> Box<[u8]> {
    if text.len() <= NAME_BYTES {
        return text.into();
    }
    let begins = |at: &usize| text.get(*at).is_some_and(|byte| byte & 0xC0 != 0x80);
    let end = (NAME_BYTES - 3..=NAME_BYTES).rev().find(begins).unwrap_or(NAME_BYTES);
    [text.get(..end).unwrap_or_default(), "…".as_bytes()].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owned_target_is_lent_as_it_was() {
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
    fn an_alert_keeps_a_bounded_part_of_values() {
        let bytes = vec![1; ALERT_BYTES + 1];
        let kept = |values| OwnedOperation::from(&Operation { values, ..lengthy(Target::None) }).values;
        let typed = kept(Values::Typed { kind: Kind::U8, count: 1 << 17, bytes: &bytes });
        assert_eq!(typed.typed().map(|typed| (typed.count, typed.bytes.len())), Some((1 << 17, ALERT_BYTES)));
        let plain = kept(Values::Bytes(&bytes));
        assert_eq!(plain, OwnedValues::Bytes { count: ALERT_BYTES + 1, bytes: vec![1; ALERT_BYTES] });
    }

    #[test]
    fn an_alert_keeps_a_bounded_part_of_a_name() {
        let megabyte = vec![b'a'; 1 << 20];
        let node = Node { namespace: 1, id: NodeId::Text(&megabyte) };
        let bytes = Node { namespace: 1, id: NodeId::Opaque(&megabyte) };
        let read = NodeTarget { node, attribute: None, range: &megabyte };
        let called = MethodTarget { object: node, method: bytes };
        let targets = [
            Target::Node(&read),
            Target::Method(&called),
            Target::Endpoint { url: &megabyte },
            Target::Channel { mode: None, policy: str::from_utf8(&megabyte).expect("letters") },
            Target::User { kind: UserKind::UserName, name: &megabyte },
        ];
        for target in targets {
            let kept = format!("{:?}", OwnedTarget::of(&target));
            assert!(kept.len() < 4 * 3 * NAME_BYTES, "{} letters of {kept:.100}", kept.len());
        }
    }

    #[test]
    fn a_cut_name_ends_in_an_ellipsis_after_a_whole_character() {
        let ends = |text: &str| {
            String::from_utf8(short_name(text.as_bytes()).into()).map(|name| name.chars().rev().take(2).collect())
        };
        assert_eq!(ends(&"a".repeat(NAME_BYTES)), Ok("aa".to_owned()));
        assert_eq!(ends(&"a".repeat(NAME_BYTES + 1)), Ok("…a".to_owned()));
        for before in 0..4 {
            assert_eq!(ends(&format!("{}{}", "a".repeat(before), "🔒".repeat(NAME_BYTES))), Ok("…🔒".to_owned()));
        }
        // Bytes that are not UTF-8 are cut nevertheless.
        assert!(short_name(&[0x80; NAME_BYTES + 1]).len() <= NAME_BYTES + 3);
    }

    fn lengthy(target: Target<'_>) -> Operation<'_> {
        Operation { class: Class::Write, function: "write", code: 673, ambiguous: false, target, values: Values::None }
    }
}
