//! One part of a request: an operation on one node, method, subscription or endpoint.

use crate::opcua::binary::{Bytes, Variant};
use crate::operation::{Class, Kind, MethodTarget, Node, NodeTarget, Target, Values};
use crate::security::UserKind;

/// One part of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Item<'a> {
    /// What it does.
    pub class: Class,
    /// What it acts on.
    pub subject: Subject<'a>,
    /// The values that travel with it: of a write what is to be written, of a call its arguments.
    pub values: Values<'a>,
    /// The client's number for a monitored item: notifications name it. 0 for all else.
    pub handle: u32,
    /// What it has that the standard does not allow, and that can be read all the same, such as `array_dimensions`.
    pub deviation: Option<&'static str>,
}

/// What an [`Item`] acts on, held here so that a [`Target`] can borrow it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Subject<'a> {
    /// Nothing that has a name.
    None,
    /// Something that cannot be read here: which part of the request it is.
    Unread(&'static str),
    /// A node, or one of its attributes.
    Node(NodeTarget<'a>),
    /// A method of an object.
    Method(MethodTarget<'a>),
    /// A subscription, by the number that the server gave it.
    Subscription(u32),
    /// An item of a subscription, by the number that the server gave it.
    MonitoredItem {
        /// Number of the subscription.
        subscription: u32,
        /// Number of the item.
        item: u32,
    },
    /// An endpoint, by its URL.
    Endpoint(&'a [u8]),
    /// Somebody who logs in.
    User {
        /// How.
        kind: UserKind,
        /// As whom; empty where there is no name.
        name: &'a [u8],
    },
}

impl Subject<'_> {
    /// In the neutral words.
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

    /// An item on a node as such.
    #[inline]
    pub(super) const fn node(class: Class, node: Node<'a>) -> Self {
        Self::new(class, Subject::Node(NodeTarget { node, attribute: None, range: &[] }))
    }

    /// An item on an attribute.
    #[inline]
    pub(super) const fn attribute(class: Class, node: Node<'a>, attribute: u32, range: Bytes<'a>) -> Self {
        let range = match range.0 {
            Some(range) => range,
            None => &[],
        };
        Self::new(class, Subject::Node(NodeTarget { node, attribute: Some(attribute), range }))
    }

    /// The same with values.
    #[inline]
    pub(super) const fn with_values(mut self, values: Values<'a>) -> Self {
        self.values = values;
        self
    }
}

/// The value of a Variant in the neutral form.
#[inline]
pub(super) fn values_of<'a>(variant: &Variant<'a>) -> Values<'a> {
    match variant.kind() {
        Some(kind) => Values::Typed { kind, count: variant.count(), bytes: variant.body() },
        None => Values::None,
    }
}

/// One value of a fixed size, from its bytes.
#[inline]
pub(super) const fn single_value(kind: Kind, bytes: &[u8]) -> Values<'_> {
    Values::Typed { kind, count: 1, bytes }
}
