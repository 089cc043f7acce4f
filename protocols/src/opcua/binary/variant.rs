//! Variant: a value with its type, one of the built-in types or an array of it (OPC 10000-6, 5.2.2.16).

use super::array::{Encoded, read_count, read_elements};
use super::data_value::DataValue;
use super::diagnostic::DiagnosticInfo;
use super::dialect::{Dialect, Reading};
use super::extension::ExtensionObject;
use super::name::{LocalizedText, QualifiedName};
use super::node_id::ExpandedNodeId;
use super::scalar::Bytes;
use super::{MAX_DEPTH, TOO_DEEP};
use crate::fault::Fault;
use crate::operation::{Kind, Node};
use crate::reader::Reader;

/// The type with this number; `None` for 0, no value. Types 26 to 31 are read as byte strings; higher ones are undefined.
#[inline]
fn kind_of_number(number: u8, dialect: impl Dialect) -> Result<Option<Kind>, Fault> {
    match Kind::from_number(number) {
        None if number > LAST_RESERVED && dialect.reading() != Reading::Expanded => Err(Fault::invalid(TYPE_FIELD)),
        None if number > 0 => Ok(Some(Kind::Bytes)),
        kind => Ok(kind),
    }
}

/// Size of a value, bytes, if its type has a fixed size.
const fn fixed_size(kind: Kind) -> Option<usize> {
    match kind {
        Kind::Bool | Kind::I8 | Kind::U8 => Some(1),
        Kind::I16 | Kind::U16 => Some(2),
        Kind::I32 | Kind::U32 | Kind::F32 | Kind::Status => Some(4),
        Kind::I64 | Kind::U64 | Kind::F64 | Kind::Time => Some(8),
        Kind::Guid => Some(16),
        _ => None,
    }
}

/// Skips a scalar of fixed size, or a null; `None` for any other value.
#[inline]
pub(super) fn skip_scalar(bytes: &[u8]) -> Option<&[u8]> {
    let (&mask, rest) = bytes.split_first()?;
    let size = SIZES.get(usize::from(mask)).filter(|size| **size != NOT_FIXED)?;
    rest.get(usize::from(*size)..)
}

/// Size of a scalar by its first byte, bytes; [`NOT_FIXED`] if it varies.
#[expect(clippy::indexing_slicing, reason = "the compiler fills it, and would say so")]
static SIZES: [u8; 26] = {
    let mut sizes = [NOT_FIXED; 26];
    let mut all = Kind::ALL.as_slice();
    while let [kind, rest @ ..] = all {
        if let Some(size) = fixed_size(*kind) {
            sizes[*kind as usize] = size as u8;
        }
        all = rest;
    }
    sizes[0] = 0;
    sizes
};
/// Marks a type whose size varies.
const NOT_FIXED: u8 = u8::MAX;

/// Shortest encoding of a value of this type, bytes.
const fn min_size_of(kind: Kind) -> usize {
    match kind {
        Kind::Text | Kind::Bytes | Kind::Xml => Bytes::MIN_SIZE,
        Kind::Node | Kind::ExpandedNode => Node::MIN_SIZE,
        Kind::QualifiedName => QualifiedName::MIN_SIZE,
        Kind::Structure => ExtensionObject::MIN_SIZE,
        _ => match fixed_size(kind) {
            Some(size) => size,
            None => 1,
        },
    }
}

/// A value: its type, and the bytes of its elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Variant<'a> {
    kind: Option<Kind>,
    is_array: bool,
    count: u32,
    body: &'a [u8],
    dimensions: &'a [u8],
}

impl<'a> Variant<'a> {
    /// Its type, or that of its elements; `None` for null.
    pub const fn kind(&self) -> Option<Kind> {
        self.kind
    }

    /// Whether it is an array, of any number of elements.
    pub const fn is_array(&self) -> bool {
        self.is_array
    }

    /// Number of elements: 1 for a scalar, 0 for null.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The encoded elements, without count and dimensions.
    pub const fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Lengths of the dimensions of a matrix, outermost first; empty for a plain array.
    pub fn dimensions(&self) -> impl Iterator<Item = i32> + use<'a> {
        self.dimensions.as_chunks().0.iter().map(|length| i32::from_le_bytes(*length))
    }

    /// Whether its dimensions, if any, multiply to its number of elements.
    pub fn fits_dimensions(&self) -> bool {
        let size = self.dimensions().try_fold(1_u32, |size, length| size.checked_mul(u32::try_from(length).ok()?));
        self.dimensions.is_empty() || size == Some(self.count)
    }

    /// Reads a value nested `depth` levels deep.
    #[inline]
    pub(super) fn read_at(reader: &mut Reader<'a>, depth: u8, dialect: impl Dialect) -> Result<Self, Fault> {
        let mask = reader.u8("variant")?;
        let kind = kind_of_number(mask & TYPE, dialect)?;
        if mask & (ARRAY | DIMENSIONS) != 0 {
            return Self::read_array(reader, kind, mask, depth, dialect);
        }
        let Some(known) = kind else { return Ok(Self::default()) };
        Self::read_single(reader, known, depth, dialect)
    }

    /// Reads a scalar behind its type.
    #[inline]
    fn read_single(reader: &mut Reader<'a>, kind: Kind, depth: u8, dialect: impl Dialect) -> Result<Self, Fault> {
        let start = reader.rest();
        skip_elements(reader, kind, 1, depth, dialect)?;
        Ok(Self { kind: Some(kind), is_array: false, count: 1, body: bytes_read(start, reader), dimensions: &[] })
    }

    /// Reads an array behind its type and flags.
    fn read_array(
        reader: &mut Reader<'a>,
        kind: Option<Kind>,
        mask: u8,
        depth: u8,
        dialect: impl Dialect,
    ) -> Result<Self, Fault> {
        let Some(known) = kind.filter(|_| mask & ARRAY != 0) else {
            return Self::read_odd_array(reader, kind, mask, depth, dialect);
        };
        let count = read_count(reader, min_size_of(known), ARRAY_FIELD, dialect)?;
        let start = reader.rest();
        skip_elements(reader, known, count, depth, dialect)?;
        let body = bytes_read(start, reader);
        let dimensions = if mask & DIMENSIONS != 0 { read_dimensions(reader, dialect)? } else { &[] };
        Ok(Self { kind, is_array: true, count: u32::try_from(count).unwrap_or(u32::MAX), body, dimensions })
    }

    /// Reads an array of nulls, or a scalar with dimensions: the standard does not define their meaning.
    fn read_odd_array(
        reader: &mut Reader<'a>,
        kind: Option<Kind>,
        mask: u8,
        depth: u8,
        dialect: impl Dialect,
    ) -> Result<Self, Fault> {
        let is_array = mask & ARRAY != 0;
        let mut found = match (dialect.reading(), kind) {
            (Reading::Expanded | Reading::Plain, Some(known)) => Self::read_single(reader, known, depth, dialect)?,
            (Reading::Expanded, None) => {
                if is_array {
                    reader.i32_le(ARRAY_FIELD)?;
                }
                Self::default()
            }
            _ => return Err(Fault::invalid(ARRAY_FIELD)),
        };
        if dialect.reading() == Reading::Expanded && mask & DIMENSIONS != 0 {
            found.dimensions = read_dimensions(reader, dialect)?;
        }
        Ok(found)
    }
}

/// Reads the dimensions of an array, as encoded.
fn read_dimensions<'a>(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<&'a [u8], Fault> {
    read_elements::<u32>(reader, "array_dimensions", dialect).map(|(_, bytes)| bytes)
}

impl<'a> Encoded<'a> for Variant<'a> {
    const MIN_SIZE: usize = 1;

    #[inline]
    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        Self::read_at(reader, 0, dialect)
    }
}

/// Skips `count` values of one type.
#[inline]
fn skip_elements(
    reader: &mut Reader<'_>,
    kind: Kind,
    count: usize,
    depth: u8,
    dialect: impl Dialect,
) -> Result<(), Fault> {
    if let Some(size) = fixed_size(kind) {
        reader.bytes(count.saturating_mul(size), "value")?;
        return Ok(());
    }
    (0..count).try_for_each(|_| skip_element(reader, kind, depth, dialect))
}

/// Skips a value of a type whose size varies.
fn skip_element(reader: &mut Reader<'_>, kind: Kind, depth: u8, dialect: impl Dialect) -> Result<(), Fault> {
    match kind {
        Kind::Text | Kind::Bytes | Kind::Xml => Bytes::decode(reader, dialect).map(drop),
        Kind::Node => Node::decode(reader, dialect).map(drop),
        Kind::ExpandedNode => ExpandedNodeId::decode(reader, dialect).map(drop),
        Kind::QualifiedName => QualifiedName::decode(reader, dialect).map(drop),
        Kind::LocalizedText => LocalizedText::decode(reader, dialect).map(drop),
        Kind::Structure => ExtensionObject::decode(reader, dialect).map(drop),
        Kind::Diagnostic => DiagnosticInfo::skip(reader, next_depth(depth)?, dialect),
        Kind::DataValue => DataValue::read_at(reader, next_depth(depth)?, dialect).map(drop),
        Kind::Any => Variant::read_at(reader, next_depth(depth)?, dialect).map(drop),
        _ => Ok(()),
    }
}

/// The depth of a nested value, if it is within the limit.
fn next_depth(depth: u8) -> Result<u8, Fault> {
    if depth >= MAX_DEPTH { Err(Fault::Limit(TOO_DEEP)) } else { Ok(depth + 1) }
}

/// The bytes that a reader has consumed since `start`.
fn bytes_read<'a>(start: &'a [u8], reader: &Reader<'a>) -> &'a [u8] {
    start.get(..start.len() - reader.left()).unwrap_or_default()
}

/// Field names of the type of a value, and of an array with its dimensions.
pub(super) const TYPE_FIELD: &str = "variant_type";
const ARRAY_FIELD: &str = "variant_array";

// The first byte: type and flags.
const TYPE: u8 = 0x3F;
const DIMENSIONS: u8 = 0x40;
const ARRAY: u8 = 0x80;
/// The last type number that is reserved for the future.
const LAST_RESERVED: u8 = 31;
