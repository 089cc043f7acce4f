//! Nodes of an address space, as OPC UA names them.

use core::fmt::{self, Write};

/// A node: a namespace and an id in it. Displays as OPC 10000-6, 5.3.1.10 writes it: `i=2258`,
/// `ns=3;s="PumpData"."Level"`, `ns=2;g=09087e75-8e5e-499b-954f-f2a9603db28a`, `ns=1;b=M/RbKBsRVkePCePcx24oRA==`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node<'a> {
    /// Index into the server's table of namespaces; 0 is that of the standard.
    pub namespace: u16,
    /// The id in that namespace.
    pub id: NodeId<'a>,
}

/// The id of a node in its namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeId<'a> {
    /// A number.
    Numeric(u32),
    /// A text, as sent. Bytes that are not UTF-8 are replaced on output.
    Text(&'a [u8]),
    /// A GUID, in display order: its first three groups are little-endian on the wire.
    Guid([u8; 16]),
    /// Bytes whose meaning only the server defines.
    Opaque(&'a [u8]),
}

impl<'a> Node<'a> {
    /// A node of the standard's own namespace.
    pub const fn standard(number: u32) -> Self {
        Self { namespace: 0, id: NodeId::Numeric(number) }
    }

    /// The number of a node in the standard's own namespace.
    #[inline]
    pub const fn standard_number(&self) -> Option<u32> {
        match *self {
            Self { namespace: 0, id: NodeId::Numeric(number) } => Some(number),
            _ => None,
        }
    }

    /// A GUID in display order, from wire order.
    pub const fn guid(wire: [u8; 16]) -> NodeId<'a> {
        let [a, b, c, d, e, f, g, h, tail @ ..] = wire;
        let [i, j, k, l, m, n, o, p] = tail;
        NodeId::Guid([d, c, b, a, f, e, h, g, i, j, k, l, m, n, o, p])
    }
}

impl fmt::Display for Node<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace != 0 {
            write!(formatter, "ns={};", self.namespace)?;
        }
        self.id.fmt(formatter)
    }
}

impl fmt::Display for NodeId<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Numeric(number) => write!(formatter, "i={number}"),
            Self::Text(text) => {
                formatter.write_str("s=")?;
                write_lossy(text, formatter)
            }
            Self::Guid(bytes) => {
                formatter.write_str("g=")?;
                write_guid(bytes, formatter)
            }
            Self::Opaque(bytes) => {
                formatter.write_str("b=")?;
                write_base64(bytes, formatter)
            }
        }
    }
}

/// Writes a text; bytes that are not UTF-8 are replaced.
pub(super) fn write_lossy(text: &[u8], formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    for chunk in text.utf8_chunks() {
        formatter.write_str(chunk.valid())?;
        if !chunk.invalid().is_empty() {
            formatter.write_char(char::REPLACEMENT_CHARACTER)?;
        }
    }
    Ok(())
}

/// Writes groups of 8, 4, 4, 4 and 12 hexadecimal digits.
pub(super) fn write_guid(bytes: &[u8; 16], formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            formatter.write_char('-')?;
        }
        write!(formatter, "{byte:02x}")?;
    }
    Ok(())
}

/// Writes padded base64 in the standard alphabet (RFC 4648, section 4).
fn write_base64(bytes: &[u8], formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    for group in bytes.chunks(3) {
        let byte = |index| u32::from(group.get(index).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = BASE64.get((bits >> (18 - 6 * place) & 63) as usize).copied().unwrap_or(b'=');
            formatter.write_char(if place <= group.len() { digit.into() } else { '=' })?;
        }
    }
    Ok(())
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The name of an attribute (OPC 10000-6, annex A.1), such as `value`.
pub fn attribute_name(number: u32) -> Option<&'static str> {
    usize::try_from(number.checked_sub(1)?).ok().and_then(|index| ATTRIBUTES.get(index).copied())
}

/// The number of the attribute of that name.
pub fn attribute_number(name: &str) -> Option<u32> {
    (1..).zip(ATTRIBUTES).find(|(_, known)| *known == name).map(|(number, _)| number)
}

/// Attributes by number, from 1.
const ATTRIBUTES: [&str; 27] = [
    "node_id",
    "node_class",
    "browse_name",
    "display_name",
    "description",
    "write_mask",
    "user_write_mask",
    "is_abstract",
    "symmetric",
    "inverse_name",
    "contains_no_loops",
    "event_notifier",
    "value",
    "data_type",
    "value_rank",
    "array_dimensions",
    "access_level",
    "user_access_level",
    "minimum_sampling_interval",
    "historizing",
    "executable",
    "user_executable",
    "data_type_definition",
    "role_permissions",
    "user_role_permissions",
    "access_restrictions",
    "access_level_ex",
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn nodes_are_written_as_the_standard_writes_them() {
        let written = |namespace, id| format!("{}", Node { namespace, id });
        assert_eq!(written(0, NodeId::Numeric(2258)), "i=2258");
        assert_eq!(written(3, NodeId::Text(b"\"PumpData\".\"Level\"")), "ns=3;s=\"PumpData\".\"Level\"");
        assert_eq!(written(1, NodeId::Text(b"a\xFFb")), "ns=1;s=a\u{FFFD}b");
        // OPC 10000-6, 5.2.2.6: 72962B91-FA75-4AE6-8D28-B404DC7DAF63 on the wire.
        let wire = [0x91, 0x2B, 0x96, 0x72, 0x75, 0xFA, 0xE6, 0x4A, 0x8D, 0x28, 0xB4, 0x04, 0xDC, 0x7D, 0xAF, 0x63];
        assert_eq!(written(2, Node::guid(wire)), "ns=2;g=72962b91-fa75-4ae6-8d28-b404dc7daf63");
    }

    #[test]
    fn opaque_ids_are_padded_base64() {
        let written = |bytes| format!("{}", NodeId::Opaque(bytes));
        assert_eq!(
            [written(b""), written(b"f"), written(b"fo"), written(b"foo")],
            ["b=", "b=Zg==", "b=Zm8=", "b=Zm9v"]
        );
        assert_eq!(written(&[0xFF, 0xEF, 0xBE, 0x00]), "b=/+++AA==");
    }

    #[test]
    fn attributes_are_found_by_number_and_name() {
        assert_eq!((attribute_name(1), attribute_name(13)), (Some("node_id"), Some("value")));
        assert_eq!((attribute_name(0), attribute_name(28), attribute_name(27)), (None, None, Some("access_level_ex")));
        assert_eq!((attribute_number("value"), attribute_number("colour")), (Some(13), None));
    }
}
