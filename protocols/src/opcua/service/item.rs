//! Items of requests: each is an operation on one node, method, subscription or endpoint.

use crate::opcua::binary::{Bytes, Variant};
use crate::operation::{Class, Kind, MethodTarget, Node, NodeTarget, Target, Values};
use crate::security::UserKind;

/// One item of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Item<'a> {
    /// Its class.
    pub class: Class,
    /// Its target.
    pub subject: Subject<'a>,
    /// Its values: those to be written, or the arguments of a call.
    pub values: Values<'a>,
    /// The client handle of a monitored item, which notifications repeat; 0 otherwise.
    pub handle: u32,
    /// A deviation from the standard that does not prevent decoding, such as `array_dimensions`.
    pub deviation: Option<&'static str>,
}

/// The target of an [`Item`], held here so that a [`Target`] can borrow it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Subject<'a> {
    /// No named target.
    None,
    /// An unreadable target: the part of the request that is unreadable.
    Unread(&'static str),
    /// A node, or one of its attributes.
    Node(NodeTarget<'a>),
    /// A method of an object.
    Method(MethodTarget<'a>),
    /// A subscription, by its id.
    Subscription(u32),
    /// A monitored item of a subscription.
    MonitoredItem {
        /// Subscription id.
        subscription: u32,
        /// Monitored item id, assigned by the server.
        item: u32,
    },
    /// An endpoint, by its URL.
    Endpoint(&'a [u8]),
    /// A user who logs in.
    User {
        /// Kind of user token.
        kind: UserKind,
        /// User name; empty if there is none.
        name: &'a [u8],
    },
}

impl Subject<'_> {
    /// The target in protocol-neutral form.
    #[inline]
    pub fn target(&self) -> Target<'_> {
        match self {
            Self::None => Target::None,
            Self::Unread(part) => Target::Unread { part },
            Self::Node(node) => Target::Node(node),
            Self::Method(method) => Target::Method(method),
            Self::Subscription(number) => Target::Item { kind: "subscription", number: *number, index: 0 },
            Self::MonitoredItem { subscription, item } => {
                Target::Item { kind: "monitored_item", number: *item, index: *subscription }
            }
            Self::Endpoint(url) => Target::Endpoint { url },
            Self::User { kind, name } => Target::User { kind: *kind, name },
        }
    }
}

impl<'a> Item<'a> {
    /// An item without values.
    #[inline]
    pub(super) const fn new(class: Class, subject: Subject<'a>) -> Self {
        Self { class, subject, values: Values::None, handle: 0, deviation: None }
    }

    /// An item on a node as a whole.
    #[inline]
    pub(super) const fn node(class: Class, node: Node<'a>) -> Self {
        Self::new(class, Subject::Node(NodeTarget { node, attribute: None, range: &[] }))
    }

    /// An item on an attribute of a node.
    #[inline]
    pub(super) const fn attribute(class: Class, node: Node<'a>, attribute: u32, range: Bytes<'a>) -> Self {
        let range = match range.0 {
            Some(range) => range,
            None => &[],
        };
        Self::new(class, Subject::Node(NodeTarget { node, attribute: Some(attribute), range }))
    }

    /// The item with these values.
    #[inline]
    pub(super) const fn with_values(mut self, values: Values<'a>) -> Self {
        self.values = values;
        self
    }
}

/// A Variant in protocol-neutral form.
#[inline]
pub(super) fn values_of<'a>(variant: &Variant<'a>) -> Values<'a> {
    match variant.kind() {
        Some(kind) => Values::Typed { kind, count: variant.count(), bytes: variant.body() },
        None => Values::None,
    }
}

/// A scalar of fixed size, from its bytes.
#[inline]
pub(super) const fn single_value(kind: Kind, bytes: &[u8]) -> Values<'_> {
    Values::Typed { kind, count: 1, bytes }
}
