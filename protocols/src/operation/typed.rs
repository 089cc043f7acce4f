//! Typed values, in the encoding of OPC UA.

use core::fmt;

use super::node::{write_guid, write_lossy};
use super::{Node, NodeId};
use crate::reader::{DecodeError, Reader};

/// A sequence of values in the encoding of OPC UA Binary (OPC 10000-6, 5.2.2), little-endian. Borrowed, and decoded on
/// demand; a scalar is one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Typed<'a> {
    /// The type of each value.
    pub kind: Kind,
    /// The number of values.
    pub count: u32,
    /// The encoded values, one after the other.
    pub bytes: &'a [u8],
}

/// The types of values. Their numbers are those of the built-in types (OPC 10000-6, 5.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// One byte, 0 or not.
    Bool = 1,
    /// Signed, 8 bits.
    I8 = 2,
    /// Unsigned, 8 bits.
    U8 = 3,
    /// Signed, 16 bits.
    I16 = 4,
    /// Unsigned, 16 bits.
    U16 = 5,
    /// Signed, 32 bits.
    I32 = 6,
    /// Unsigned, 32 bits.
    U32 = 7,
    /// Signed, 64 bits.
    I64 = 8,
    /// Unsigned, 64 bits.
    U64 = 9,
    /// IEEE 754, 32 bits.
    F32 = 10,
    /// IEEE 754, 64 bits.
    F64 = 11,
    /// A text: its length in bytes (32 bits, signed; negative for none) and UTF-8.
    Text = 12,
    /// Ticks of 100 ns since 1601-01-01 UTC (64 bits, signed).
    Time = 13,
    /// A GUID: its first three groups little-endian.
    Guid = 14,
    /// Bytes, encoded like a text.
    Bytes = 15,
    /// An XML element, encoded like a text.
    Xml = 16,
    /// A node.
    Node = 17,
    /// A node that may lie in another server.
    ExpandedNode = 18,
    /// A status code, 32 bits.
    Status = 19,
    /// A name in a namespace.
    QualifiedName = 20,
    /// A text with its language.
    LocalizedText = 21,
    /// A structure: the id of its type, and its body.
    Structure = 22,
    /// A value with its status and times: not decoded here.
    DataValue = 23,
    /// Each value with its own type in front (the arguments of a method).
    Any = 24,
    /// Diagnostic information that a server adds to an error: not decoded here.
    Diagnostic = 25,
}

/// One value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// No value.
    Null,
    /// A Boolean.
    Bool(bool),
    /// A signed integer.
    Signed(i64),
    /// An unsigned integer.
    Unsigned(u64),
    /// IEEE 754, 32 bits.
    F32(f32),
    /// IEEE 754, 64 bits.
    F64(f64),
    /// A text. Bytes that are not UTF-8 are replaced on output.
    Text(&'a [u8]),
    /// Nanoseconds since 1970-01-01 UTC, saturating.
    Time(i64),
    /// A GUID, in display order.
    Guid([u8; 16]),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A node.
    Node(Node<'a>),
    /// A status code.
    Status(u32),
    /// Several values as one: an argument that is an array.
    List(Typed<'a>),
    /// A value that is not decoded, in its encoding.
    Other(&'a [u8]),
}

impl Kind {
    /// Every kind, in the order of their numbers, from 1.
    pub(crate) const ALL: [Self; 25] = [
        Self::Bool,
        Self::I8,
        Self::U8,
        Self::I16,
        Self::U16,
        Self::I32,
        Self::U32,
        Self::I64,
        Self::U64,
        Self::F32,
        Self::F64,
        Self::Text,
        Self::Time,
        Self::Guid,
        Self::Bytes,
        Self::Xml,
        Self::Node,
        Self::ExpandedNode,
        Self::Status,
        Self::QualifiedName,
        Self::LocalizedText,
        Self::Structure,
        Self::DataValue,
        Self::Any,
        Self::Diagnostic,
    ];

    /// The kind of that number.
    #[inline]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number.checked_sub(1)?)).copied()
    }
}

impl Value<'_> {
    /// The value as a number, if it is one: Booleans as 0 and 1, integers beyond 2^53 rounded.
    #[expect(clippy::cast_precision_loss, reason = "limits of integers beyond 2^53 are not written")]
    pub const fn number(&self) -> Option<f64> {
        match *self {
            Self::Bool(yes) => Some(if yes { 1.0 } else { 0.0 }),
            Self::Signed(number) => Some(number as f64),
            Self::Unsigned(number) => Some(number as f64),
            Self::F32(number) => Some(number as f64),
            Self::F64(number) => Some(number),
            _ => None,
        }
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => formatter.write_str("null"),
            Self::Bool(yes) => yes.fmt(formatter),
            Self::Signed(number) => number.fmt(formatter),
            Self::Unsigned(number) => number.fmt(formatter),
            Self::F32(number) => number.fmt(formatter),
            Self::F64(number) => number.fmt(formatter),
            Self::Text(text) => write_lossy(text, formatter),
            Self::Time(time) => write!(formatter, "{time} ns"),
            Self::Guid(bytes) => write_guid(bytes, formatter),
            Self::Bytes(bytes) | Self::Other(bytes) => {
                bytes.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
            }
            Self::Node(node) => node.fmt(formatter),
            Self::Status(code) => write!(formatter, "{code:#010x}"),
            Self::List(list) => write!(formatter, "{} values", list.count),
        }
    }
}

impl<'a> Typed<'a> {
    /// The values in order, up to the first that is truncated or invalid.
    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let Self { kind, count, bytes } = *self;
        let mut reader = Reader::new(bytes);
        // Every value has at least one byte.
        let count = bytes.len().min(usize::try_from(count).unwrap_or(usize::MAX));
        (0..count).map_while(move |_| read_value(kind, &mut reader).ok())
    }
}

/// Reads one value; fails unless it has at least one byte.
fn read_value<'a>(kind: Kind, reader: &mut Reader<'a>) -> Result<Value<'a>, DecodeError> {
    if reader.left() == 0 {
        return Err(DecodeError::Truncated("value"));
    }
    Ok(match kind {
        Kind::Bool => Value::Bool(reader.u8("bool")? != 0),
        Kind::I8 => Value::Signed(i8::from_le_bytes(reader.array("i8")?).into()),
        Kind::U8 => Value::Unsigned(reader.u8("u8")?.into()),
        Kind::I16 => Value::Signed(i16::from_le_bytes(reader.array("i16")?).into()),
        Kind::U16 => Value::Unsigned(u16::from_le_bytes(reader.array("u16")?).into()),
        Kind::I32 => Value::Signed(i32::from_le_bytes(reader.array("i32")?).into()),
        Kind::U32 => Value::Unsigned(u32::from_le_bytes(reader.array("u32")?).into()),
        Kind::I64 => Value::Signed(i64::from_le_bytes(reader.array("i64")?)),
        Kind::U64 => Value::Unsigned(u64::from_le_bytes(reader.array("u64")?)),
        Kind::F32 => Value::F32(f32::from_le_bytes(reader.array("f32")?)),
        Kind::F64 => Value::F64(f64::from_le_bytes(reader.array("f64")?)),
        Kind::Text | Kind::Xml => length_prefixed(reader)?.map_or(Value::Null, Value::Text),
        Kind::Time => Value::Time(unix_time(i64::from_le_bytes(reader.array("time")?))),
        Kind::Guid => read_guid(reader)?,
        Kind::Bytes => length_prefixed(reader)?.map_or(Value::Null, Value::Bytes),
        Kind::Node => Value::Node(read_node(reader)?.0),
        Kind::ExpandedNode => Value::Node(read_expanded_node(reader)?),
        Kind::Status => Value::Status(u32::from_le_bytes(reader.array("status")?)),
        Kind::QualifiedName => {
            reader.bytes(2, "namespace")?;
            length_prefixed(reader)?.map_or(Value::Null, Value::Text)
        }
        Kind::LocalizedText => read_localized_text(reader)?,
        Kind::Structure => read_structure(reader)?,
        Kind::Any => read_variant(reader)?,
        // Only a decoder of these types can find their end, so they take everything left.
        Kind::DataValue | Kind::Diagnostic => Value::Other(reader.bytes(reader.left(), "value")?),
    })
}

/// Reads a length and that many bytes; none if the length is negative.
fn length_prefixed<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a [u8]>, DecodeError> {
    match usize::try_from(i32::from_le_bytes(reader.array("length")?)) {
        Ok(length) => reader.bytes(length, "text").map(Some),
        Err(_) => Ok(None),
    }
}

/// Converts ticks of 100 ns since 1601 into nanoseconds since 1970.
const fn unix_time(ticks: i64) -> i64 {
    const FROM_1601_TO_1970: i64 = 116_444_736_000_000_000;
    ticks.saturating_sub(FROM_1601_TO_1970).saturating_mul(100)
}

fn read_guid<'a>(reader: &mut Reader<'a>) -> Result<Value<'a>, DecodeError> {
    match Node::guid(reader.array("guid")?) {
        NodeId::Guid(bytes) => Ok(Value::Guid(bytes)),
        _ => Err(DecodeError::Invalid("guid")),
    }
}

/// Reads a node (OPC 10000-6, 5.2.2.9), and the flags of its first byte that an expanded node uses.
fn read_node<'a>(reader: &mut Reader<'a>) -> Result<(Node<'a>, u8), DecodeError> {
    let first = reader.u8("node_encoding")?;
    let wide = |reader: &mut Reader<'a>| reader.array("namespace").map(u16::from_le_bytes);
    let (namespace, id) = match first & 0x3F {
        0 => (0, NodeId::Numeric(reader.u8("node_id")?.into())),
        1 => (reader.u8("namespace")?.into(), NodeId::Numeric(u16::from_le_bytes(reader.array("node_id")?).into())),
        2 => (wide(reader)?, NodeId::Numeric(u32::from_le_bytes(reader.array("node_id")?))),
        3 => (wide(reader)?, NodeId::Text(length_prefixed(reader)?.unwrap_or_default())),
        4 => (wide(reader)?, Node::guid(reader.array("node_id")?)),
        5 => (wide(reader)?, NodeId::Opaque(length_prefixed(reader)?.unwrap_or_default())),
        _ => return Err(DecodeError::Invalid("node_encoding")),
    };
    Ok((Node { namespace, id }, first & 0xC0))
}

/// Reads an expanded node, without the URI of its namespace and the number of its server.
fn read_expanded_node<'a>(reader: &mut Reader<'a>) -> Result<Node<'a>, DecodeError> {
    let (node, flags) = read_node(reader)?;
    if flags & 0x80 != 0 {
        length_prefixed(reader)?;
    }
    if flags & 0x40 != 0 {
        reader.bytes(4, "server_index")?;
    }
    Ok(node)
}

/// Reads a text, without its language.
fn read_localized_text<'a>(reader: &mut Reader<'a>) -> Result<Value<'a>, DecodeError> {
    let mask = reader.u8("localized_text")?;
    if mask & 1 != 0 {
        length_prefixed(reader)?;
    }
    let text = if mask & 2 != 0 { length_prefixed(reader)? } else { None };
    Ok(text.map_or(Value::Null, Value::Text))
}

/// Reads the body of a structure, without its type.
fn read_structure<'a>(reader: &mut Reader<'a>) -> Result<Value<'a>, DecodeError> {
    read_node(reader)?;
    let body = if reader.u8("structure_encoding")? == 0 { None } else { length_prefixed(reader)? };
    Ok(body.map_or(Value::Null, Value::Other))
}

/// Reads a variant (OPC 10000-6, 5.2.2.16): a value preceded by its type. An array becomes a list, without its dimensions.
fn read_variant<'a>(reader: &mut Reader<'a>) -> Result<Value<'a>, DecodeError> {
    let encoding = reader.u8("type")?;
    let kind = match encoding & 0x3F {
        0 => return Ok(Value::Null),
        // An array of variants is not decoded: a sender must not choose the depth of recursion.
        24 => return Ok(Value::Other(reader.bytes(reader.left(), "value")?)),
        number => Kind::from_number(number).ok_or(DecodeError::Invalid("type"))?,
    };
    if encoding & 0x80 == 0 {
        return read_value(kind, reader);
    }
    let count = u32::try_from(i32::from_le_bytes(reader.array("array_length")?)).unwrap_or_default();
    let before = reader.rest();
    for _ in 0..count {
        read_value(kind, reader)?;
    }
    let used = before.len() - reader.left();
    if encoding & 0x40 != 0 {
        let dimensions = i32::from_le_bytes(reader.array("dimensions")?);
        reader.bytes(usize::try_from(dimensions).unwrap_or_default().saturating_mul(4), "dimensions")?;
    }
    Ok(Value::List(Typed { kind, count, bytes: before.get(..used).unwrap_or(before) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn values(kind: Kind, count: u32, bytes: &[u8]) -> Vec<Value<'_>> {
        Typed { kind, count, bytes }.iter().collect()
    }

    #[test]
    fn numbers_are_little_endian_and_keep_their_sign() {
        assert_eq!(values(Kind::I16, 2, &[0xFE, 0xFF, 0x10, 0x00]), [Value::Signed(-2), Value::Signed(16)]);
        assert_eq!(values(Kind::F64, 1, &1.5_f64.to_le_bytes()), [Value::F64(1.5)]);
        assert_eq!(values(Kind::Bool, 2, &[1, 0]).iter().filter_map(Value::number).sum::<f64>(), 1.0);
    }

    #[test]
    fn what_is_cut_off_or_missing_is_not_invented() {
        assert_eq!(values(Kind::U32, u32::MAX, &[1, 0, 0, 0, 2]), [Value::Unsigned(1)]);
        assert_eq!(values(Kind::Text, 2, &[0xFF, 0xFF, 0xFF, 0xFF, 9, 0, 0, 0, b'a']), [Value::Null]);
    }

    #[test]
    fn times_are_nanoseconds_since_1970() {
        // 1970-01-01 in ticks since 1601, then the first tick after it.
        let ticks = 116_444_736_000_000_001_i64.to_le_bytes();
        assert_eq!(values(Kind::Time, 1, &ticks), [Value::Time(100)]);
        assert_eq!(values(Kind::Time, 1, &i64::MAX.to_le_bytes()), [Value::Time(i64::MAX)]);
    }

    #[test]
    fn arguments_come_each_with_its_type() {
        // Null, the byte 7, the text "on", an array of two 16-bit numbers, i=11.
        let bytes = [
            0,
            3,
            7,
            12,
            2,
            0,
            0,
            0,
            b'o',
            b'n',
            0x80 | 5,
            2,
            0,
            0,
            0,
            1,
            0,
            2,
            0, // null, byte, text, array
            17,
            0,
            11, // node
        ];
        let list = Typed { kind: Kind::U16, count: 2, bytes: &[1, 0, 2, 0] };
        let expected =
            [Value::Null, Value::Unsigned(7), Value::Text(b"on"), Value::List(list), Value::Node(Node::standard(11))];
        assert_eq!(values(Kind::Any, 5, &bytes), expected);
    }

    #[test]
    fn nested_variants_and_endless_arrays_cost_no_more_than_their_bytes() {
        let nested = [0x80 | 24; 64];
        assert_eq!(values(Kind::Any, 3, &nested).len(), 1, "the rest is one value");
        // An array that claims 2^31 - 1 elements and has one.
        let endless = [0x80 | 3, 0xFF, 0xFF, 0xFF, 0x7F, 1];
        assert_eq!(values(Kind::Any, 1, &endless), []);
        // And of values whose end cannot be found.
        let opaque = [0x80 | 23, 0xFF, 0xFF, 0xFF, 0x7F, 1];
        assert_eq!(values(Kind::Any, 1, &opaque), []);
    }

    #[test]
    fn every_kind_is_found_by_its_number() {
        assert!(Kind::ALL.into_iter().all(|kind| Kind::from_number(kind as u8) == Some(kind)));
        assert!([0, 26, 63].into_iter().all(|number| Kind::from_number(number).is_none()));
    }
}
