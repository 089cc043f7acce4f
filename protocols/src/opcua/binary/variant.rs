//! Variant: a value that says what it is: one of the built-in types, or an array of them (OPC 10000-6, 5.2.2.16).

use super::array::{Encoded, count};
use super::data_value::DataValue;
use super::diagnostic::DiagnosticInfo;
use super::extension::ExtensionObject;
use super::name::{LocalizedText, QualifiedName};
use super::node_id::{ExpandedNodeId, NodeId};
use super::scalar::Bytes;
use super::{MAX_DEPTH, TOO_DEEP};
use crate::fault::Fault;
use crate::reader::Reader;

/// The built-in types, by the number that they have in a Variant (OPC 10000-6, 5.1.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum BuiltIn {
    /// No value.
    #[default]
    Null,
    /// One byte, 0 is false.
    Boolean,
    /// One byte with a sign.
    SByte,
    /// One byte.
    Byte,
    /// Two bytes with a sign.
    Int16,
    /// Two bytes.
    UInt16,
    /// Four bytes with a sign.
    Int32,
    /// Four bytes.
    UInt32,
    /// Eight bytes with a sign.
    Int64,
    /// Eight bytes.
    UInt64,
    /// IEEE 754, four bytes.
    Float,
    /// IEEE 754, eight bytes.
    Double,
    /// UTF-8.
    String,
    /// 100 ns since 1601.
    DateTime,
    /// 16 bytes.
    Guid,
    /// Bytes.
    ByteString,
    /// XML, UTF-8.
    XmlElement,
    /// Name of a node.
    NodeId,
    /// Name of a node, perhaps in another server.
    ExpandedNodeId,
    /// How something went.
    StatusCode,
    /// Name with a namespace.
    QualifiedName,
    /// Text with a language.
    LocalizedText,
    /// A structure.
    ExtensionObject,
    /// A value with quality and times.
    DataValue,
    /// A Variant: in arrays only, says the standard.
    Variant,
    /// Details of an error.
    DiagnosticInfo,
}

impl BuiltIn {
    /// Every built-in type, in the order of their numbers.
    pub const ALL: [Self; 26] = [
        Self::Null,
        Self::Boolean,
        Self::SByte,
        Self::Byte,
        Self::Int16,
        Self::UInt16,
        Self::Int32,
        Self::UInt32,
        Self::Int64,
        Self::UInt64,
        Self::Float,
        Self::Double,
        Self::String,
        Self::DateTime,
        Self::Guid,
        Self::ByteString,
        Self::XmlElement,
        Self::NodeId,
        Self::ExpandedNodeId,
        Self::StatusCode,
        Self::QualifiedName,
        Self::LocalizedText,
        Self::ExtensionObject,
        Self::DataValue,
        Self::Variant,
        Self::DiagnosticInfo,
    ];

    /// The type of that number. Numbers 26 to 31 are to be taken for byte strings; there are no others.
    fn from_number(number: u8) -> Result<Self, Fault> {
        match Self::ALL.get(usize::from(number)) {
            Some(kind) => Ok(*kind),
            None if number <= LAST_RESERVED => Ok(Self::ByteString),
            None => Err(Fault::invalid("variant_type")),
        }
    }

    /// Bytes of one value, for the types that have a fixed size.
    const fn fixed_size(self) -> Option<usize> {
        match self {
            Self::Boolean | Self::SByte | Self::Byte => Some(1),
            Self::Int16 | Self::UInt16 => Some(2),
            Self::Int32 | Self::UInt32 | Self::Float | Self::StatusCode => Some(4),
            Self::Int64 | Self::UInt64 | Self::Double | Self::DateTime => Some(8),
            Self::Guid => Some(16),
            _ => None,
        }
    }

    /// The fewest bytes of one value, for the types that have none.
    const fn least(self) -> usize {
        match self {
            Self::String | Self::ByteString | Self::XmlElement => Bytes::LEAST,
            Self::NodeId | Self::ExpandedNodeId => NodeId::LEAST,
            Self::QualifiedName => QualifiedName::LEAST,
            Self::ExtensionObject => ExtensionObject::LEAST,
            _ => 1,
        }
    }
}

/// A value as it travels: what it is, and where its bytes lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Variant<'a> {
    kind: BuiltIn,
    is_array: bool,
    count: u32,
    body: &'a [u8],
    dimensions: &'a [u8],
}

impl<'a> Variant<'a> {
    /// What it is, or what its elements are.
    pub const fn kind(&self) -> BuiltIn {
        self.kind
    }

    /// Whether there is no value.
    pub const fn is_null(&self) -> bool {
        matches!(self.kind, BuiltIn::Null)
    }

    /// Whether it is an array, be it of one element or none.
    pub const fn is_array(&self) -> bool {
        self.is_array
    }

    /// How many values it holds: 1 if it is none array, 0 if it is null.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Its values without count and dimensions, one after another as they travel.
    pub const fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Lengths of the dimensions of a matrix, outermost first; none of a plain array.
    pub fn dimensions(&self) -> impl Iterator<Item = i32> + use<'a> {
        self.dimensions.as_chunks().0.iter().map(|length| i32::from_le_bytes(*length))
    }

    /// Whether its dimensions, if it has any, make up as many elements as there are.
    pub fn fits_dimensions(&self) -> bool {
        let size = self.dimensions().try_fold(1_u32, |size, length| size.checked_mul(u32::try_from(length).ok()?));
        self.dimensions.is_empty() || size == Some(self.count)
    }

    /// Its values as texts, names, structures or whatever they are; none if they are of another type.
    pub fn elements<T: Encoded<'a>>(&self, kind: BuiltIn) -> impl Iterator<Item = T> + use<'a, T> {
        let count = if kind == self.kind { self.count } else { 0 };
        let mut reader = Reader::new(self.body);
        (0..count).map_while(move |_| T::read(&mut reader).ok())
    }

    /// Steps over a value that is `depth` values deep.
    #[inline]
    pub(super) fn read_at(reader: &mut Reader<'a>, depth: u8) -> Result<Self, Fault> {
        let mask = reader.u8("variant")?;
        let kind = BuiltIn::from_number(mask & TYPE)?;
        if mask & (ARRAY | DIMENSIONS) != 0 {
            return Self::read_array(reader, kind, mask, depth);
        }
        let start = reader.rest();
        let count = u32::from(kind != BuiltIn::Null);
        skip_elements(reader, kind, count as usize, depth)?;
        Ok(Self { kind, is_array: false, count, body: between(start, reader), dimensions: &[] })
    }

    fn read_array(reader: &mut Reader<'a>, kind: BuiltIn, mask: u8, depth: u8) -> Result<Self, Fault> {
        // Elements of no size, or dimensions of a single value, would be read by everybody in another way.
        if kind == BuiltIn::Null || mask & ARRAY == 0 {
            return Err(Fault::invalid("variant_array"));
        }
        let count = count(reader, kind.fixed_size().unwrap_or(kind.least()), "variant_array")?;
        let start = reader.rest();
        skip_elements(reader, kind, count, depth)?;
        let body = between(start, reader);
        let dimensions = if mask & DIMENSIONS != 0 { read_dimensions(reader)? } else { &[] };
        Ok(Self { kind, is_array: true, count: u32::try_from(count).unwrap_or(u32::MAX), body, dimensions })
    }
}

impl<'a> Encoded<'a> for Variant<'a> {
    const LEAST: usize = 1;

    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        Self::read_at(reader, 0)
    }
}

/// Steps over values that stand one after another.
#[inline]
fn skip_elements(reader: &mut Reader<'_>, kind: BuiltIn, count: usize, depth: u8) -> Result<(), Fault> {
    if let Some(size) = kind.fixed_size() {
        reader.take(count.saturating_mul(size), "value")?;
        return Ok(());
    }
    (0..count).try_for_each(|_| skip_element(reader, kind, depth))
}

/// Steps over one value of a type that has no fixed size.
fn skip_element(reader: &mut Reader<'_>, kind: BuiltIn, depth: u8) -> Result<(), Fault> {
    match kind {
        BuiltIn::String | BuiltIn::ByteString | BuiltIn::XmlElement => Bytes::read(reader).map(drop),
        BuiltIn::NodeId => NodeId::read(reader).map(drop),
        BuiltIn::ExpandedNodeId => ExpandedNodeId::read(reader).map(drop),
        BuiltIn::QualifiedName => QualifiedName::read(reader).map(drop),
        BuiltIn::LocalizedText => LocalizedText::read(reader).map(drop),
        BuiltIn::ExtensionObject => ExtensionObject::read(reader).map(drop),
        BuiltIn::DiagnosticInfo => DiagnosticInfo::skip(reader, deeper(depth)?),
        BuiltIn::DataValue => DataValue::read_at(reader, deeper(depth)?).map(drop),
        BuiltIn::Variant => Variant::read_at(reader, deeper(depth)?).map(drop),
        _ => Ok(()),
    }
}

fn deeper(depth: u8) -> Result<u8, Fault> {
    if depth >= MAX_DEPTH { Err(Fault::Limit(TOO_DEEP)) } else { Ok(depth + 1) }
}

fn read_dimensions<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Fault> {
    let count = count(reader, 4, "array_dimensions")?;
    Ok(reader.take(count.saturating_mul(4), "array_dimensions")?)
}

/// What a reader that started at `start` has moved over.
fn between<'a>(start: &'a [u8], reader: &Reader<'a>) -> &'a [u8] {
    start.get(..start.len() - reader.left()).unwrap_or_default()
}

// The byte in front.
const TYPE: u8 = 0x3F;
const DIMENSIONS: u8 = 0x40;
const ARRAY: u8 = 0x80;
/// The last number that is kept for types to come.
const LAST_RESERVED: u8 = 31;
