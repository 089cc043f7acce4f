//! Nodes and methods of an OPC UA server: how a policy names them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lockkeeper_protocols::{Node, NodeId};

use super::super::{Extent, Location};
use super::OpcUa;
use crate::document::suggest::list;
use crate::policy::section::{Complaint, Section};

/// Nodes that a policy names: one, those whose text begins alike, or all of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodePattern {
    /// As the policy writes it: `ns=3;s=Pump.*`.
    pub text: String,
    /// Index into the server's table of namespaces.
    pub namespace: u16,
    /// Which nodes of the namespace.
    pub id: NodeIdPattern,
}

/// Which nodes of a namespace are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeIdPattern {
    /// All of them.
    Any,
    /// The one of that number.
    Numeric(u32),
    /// The one of that name.
    Text(Box<[u8]>),
    /// Those whose name begins so.
    Prefix(Box<[u8]>),
    /// The one of that GUID, in the order in which it is written.
    Guid([u8; 16]),
    /// The one of these bytes.
    Opaque(Box<[u8]>),
}

impl NodePattern {
    /// Whether a node is among these.
    #[inline]
    pub fn holds(&self, node: &Node<'_>) -> bool {
        self.namespace == node.namespace
            && match (&self.id, node.id) {
                (NodeIdPattern::Any, _) => true,
                (NodeIdPattern::Numeric(own), NodeId::Numeric(number)) => *own == number,
                (NodeIdPattern::Text(own), NodeId::Text(text)) => **own == *text,
                (NodeIdPattern::Prefix(own), NodeId::Text(text)) => text.starts_with(own),
                (NodeIdPattern::Guid(own), NodeId::Guid(bytes)) => *own == bytes,
                (NodeIdPattern::Opaque(own), NodeId::Opaque(bytes)) => **own == *bytes,
                _ => false,
            }
    }

    /// The namespace of which it names every node.
    pub const fn whole_namespace(&self) -> Option<u16> {
        if matches!(self.id, NodeIdPattern::Any) { Some(self.namespace) } else { None }
    }

    /// Whether it names one node only.
    pub const fn is_single(&self) -> bool {
        !matches!(self.id, NodeIdPattern::Any | NodeIdPattern::Prefix(_))
    }
}

/// Reads `opcua = { nodes }` of a point.
pub(super) fn read_point(point: &mut Section<'_>) -> Option<Location> {
    let what = format!("opcua of {}", point.what);
    let mut section = point.table("opcua", what)?;
    section.missing("nodes", "nodes = [\"ns=3;s=Pump.*\"]");
    let nodes = patterns(&mut section, "nodes");
    section.finish();
    Some(location(&nodes, "", Extent::Nodes(nodes.clone())))
}

/// Reads `opcua = { nodes, methods }` of an entry of `allow`.
pub(super) fn read_entry(entry: &mut Section<'_>) -> Vec<Location> {
    let what = format!("opcua of {}", entry.what);
    let Some(mut section) = entry.table("opcua", what) else { return Vec::new() };
    if !section.has("methods") {
        section.missing("nodes", "nodes = [\"ns=3;s=Pump.*\"], or methods = [\"ns=3;i=7001\"]");
    }
    let (nodes, methods) = (patterns(&mut section, "nodes"), patterns(&mut section, "methods"));
    section.finish();
    let mut places = Vec::new();
    if !nodes.is_empty() {
        places.push(location(&nodes, "", Extent::Nodes(nodes.clone())));
    }
    if !methods.is_empty() {
        places.push(location(&methods, "method ", Extent::Methods(methods.clone())));
    }
    places
}

fn location(patterns: &[NodePattern], prefix: &str, extent: Extent) -> Location {
    let texts: Vec<String> = patterns.iter().map(|pattern| format!("{prefix}{}", pattern.text)).collect();
    Location { dialect: &OpcUa, text: list(texts.iter().map(String::as_str)), extent }
}

fn patterns(section: &mut Section<'_>, key: &'static str) -> Vec<NodePattern> {
    if section.is_empty_list(key) {
        let message = format!("`{key}` of {} is an empty list", section.what);
        let help = format!("remove `{key}` to mean all of them, or name one");
        section.problems.error(section.span_of(key), message, help);
    }
    section.texts(key).iter().filter_map(|word| section.parse(word, pattern)).collect()
}

/// `ns=3;s=Pump.Start`, `i=2258`, `ns=2;g=...`, `ns=1;b=...` (OPC 10000-6, 5.3.1.10); `ns=3;s=Pump.*` for all that begin
/// so, `ns=3;*` for all of a namespace.
fn pattern(text: &str) -> Result<NodePattern, Complaint> {
    let complain = || {
        let help = "write \"ns=3;s=Pump.Start\", \"ns=2;i=1001\", \"i=2258\", \"ns=3;s=Pump.*\", or \"ns=3;*\"";
        (format!("`{text}` is not a node id"), help.to_owned())
    };
    let (namespace, identifier) = match text.strip_prefix("ns=") {
        Some(rest) => rest.split_once(';').ok_or_else(complain)?,
        None => ("0", text),
    };
    let namespace = namespace.parse().map_err(|_| complain())?;
    let id = match identifier.split_once('=') {
        None if identifier == "*" => NodeIdPattern::Any,
        Some((_, "")) | None => return Err(complain()),
        Some(("i", number)) => NodeIdPattern::Numeric(number.parse().map_err(|_| complain())?),
        Some(("s", name)) => match name.strip_suffix('*') {
            Some(prefix) => NodeIdPattern::Prefix(prefix.as_bytes().into()),
            None => NodeIdPattern::Text(name.as_bytes().into()),
        },
        Some(("g", digits)) => NodeIdPattern::Guid(guid(digits).ok_or_else(complain)?),
        Some(("b", base64)) => NodeIdPattern::Opaque(STANDARD.decode(base64).map_err(|_| complain())?.into()),
        Some(_) => return Err(complain()),
    };
    Ok(NodePattern { text: text.to_owned(), namespace, id })
}

/// `09087e75-8e5e-499b-954f-f2a9603db28a`.
fn guid(text: &str) -> Option<[u8; 16]> {
    let digits = text.replace('-', "");
    if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(&digits, 16).ok().map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_ids_are_read_as_the_standard_writes_them() {
        let id = |text| pattern(text).ok().map(|one| (one.namespace, one.id));
        assert_eq!(id("i=2258"), Some((0, NodeIdPattern::Numeric(2258))));
        let level: &[u8] = b"\"PumpData\".\"Level\"";
        assert_eq!(id("ns=3;s=\"PumpData\".\"Level\""), Some((3, NodeIdPattern::Text(level.into()))));
        assert_eq!(id("ns=3;s=Pump.*"), Some((3, NodeIdPattern::Prefix(b"Pump.".as_slice().into()))));
        assert_eq!(id("ns=3;*"), Some((3, NodeIdPattern::Any)));
        assert_eq!(id("ns=1;b=Zm9v"), Some((1, NodeIdPattern::Opaque(b"foo".as_slice().into()))));
        let bytes = 0x0908_7e75_8e5e_499b_954f_f2a9_603d_b28a_u128.to_be_bytes();
        assert_eq!(id("ns=2;g=09087e75-8e5e-499b-954f-f2a9603db28a"), Some((2, NodeIdPattern::Guid(bytes))));
        for wrong in ["Pump", "ns=3", "ns=;i=1", "ns=70000;i=1", "i=", "i=x", "x=1", "ns=2;g=12", "b=*", "ns=a;s=b"] {
            assert!(pattern(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_pattern_holds_what_it_names() {
        let pattern = |namespace, id| NodePattern { text: String::new(), namespace, id };
        let node = |namespace, id| Node { namespace, id };
        let prefix = pattern(3, NodeIdPattern::Prefix(b"Pump.".as_slice().into()));
        assert!(prefix.holds(&node(3, NodeId::Text(b"Pump.Start"))) && !prefix.is_single());
        for other in [node(2, NodeId::Text(b"Pump.Start")), node(3, NodeId::Text(b"Pump")), node(3, NodeId::Numeric(1))]
        {
            assert!(!prefix.holds(&other), "{other}");
        }
        let number = pattern(0, NodeIdPattern::Numeric(2258));
        assert!(number.holds(&Node::standard(2258)) && !number.holds(&Node::standard(2259)) && number.is_single());
        assert!(pattern(4, NodeIdPattern::Any).holds(&node(4, NodeId::Opaque(b"\0"))));
    }
}
