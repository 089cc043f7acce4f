//! Typed values: one byte of flags, one byte of type, then the content that the type defines.
//!
//! Most types have no length in front, so the end of a value is found by walking through it. Structures hold values in
//! turn, up to a depth of [`MAX_DEPTH`]. Every step consumes at least one byte, so the time is bounded by the length.

use super::vlq;
use crate::fault::Fault;
use crate::operation::Values;
use crate::reader::Reader;

/// One encoded value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value<'a> {
    flags: u8,
    datatype: u8,
    body: &'a [u8],
}

impl<'a> Value<'a> {
    /// Reads one value, without decoding its content.
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        Self::read_at(reader, 0)
    }

    fn read_at(reader: &mut Reader<'a>, depth: u8) -> Result<Self, Fault> {
        let [flags, datatype] = reader.array("value_type")?;
        let start = *reader;
        match flags & (ARRAY | ADDRESS_ARRAY | SPARSE_ARRAY) {
            0 => skip_element(reader, datatype, depth)?,
            SPARSE_ARRAY => skip_sparse(reader, datatype, depth)?,
            ARRAY | ADDRESS_ARRAY => skip_array(reader, datatype, depth)?,
            _ => return Err(Fault::invalid("value_flags")),
        }
        let length = start.left() - reader.left();
        Ok(Self { flags, datatype, body: start.rest().get(..length).unwrap_or_default() })
    }

    /// The number or text of a value that is neither a structure nor an array.
    pub(super) fn scalar(&self) -> Scalar<'a> {
        if self.flags & (ARRAY | ADDRESS_ARRAY | SPARSE_ARRAY) != 0 {
            return Scalar::None;
        }
        let mut reader = Reader::new(self.body);
        let number = match self.datatype {
            UDINT | AID | VARIANT => {
                vlq::read_u32(&mut reader, "value").map(|number| Scalar::Narrow(number.to_be_bytes()))
            }
            DINT => vlq::read_i32(&mut reader, "value").map(|number| Scalar::Narrow(number.to_be_bytes())),
            ULINT => vlq::read_u64(&mut reader, "value").map(|number| Scalar::Wide(number.to_be_bytes())),
            LINT | TIMESPAN => vlq::read_i64(&mut reader, "value").map(|number| Scalar::Wide(number.to_be_bytes())),
            WSTRING => return self.text().map_or(Scalar::None, Scalar::Bytes),
            BLOB => return self.blob().map_or(Scalar::None, Scalar::Bytes),
            _ if fixed_size(self.datatype).is_some_and(|size| size > 0) => return Scalar::Bytes(self.body),
            _ => return Scalar::None,
        };
        number.unwrap_or(Scalar::None)
    }

    /// The text of a string, UTF-8.
    pub(super) fn text(&self) -> Option<&'a [u8]> {
        let mut reader = Reader::new(self.body);
        (self.datatype == WSTRING && self.flags == 0).then_some(())?;
        vlq::read_u32(&mut reader, "length").ok()?;
        Some(reader.rest())
    }

    /// The bytes of a plain blob.
    pub(super) fn blob(&self) -> Option<&'a [u8]> {
        let mut reader = Reader::new(self.body);
        (self.datatype == BLOB && self.flags == 0).then_some(())?;
        let root = vlq::read_u32(&mut reader, "blob_root").ok()?;
        vlq::read_u32(&mut reader, "length").ok()?;
        (root <= LAST_PLAIN_BLOB_ROOT).then(|| reader.rest())
    }

    /// The id of a structure's type.
    pub(super) fn structure(&self) -> Option<u32> {
        let head = self.body.first_chunk().filter(|_| self.datatype == STRUCT)?;
        Some(u32::from_be_bytes(*head))
    }

    /// Visits the members of a plain structure, in order.
    pub(super) fn members(&self, mut visit: impl FnMut(u32, Self)) {
        let mut reader = Reader::new(self.body);
        if self.flags != 0 || self.structure().is_none_or(is_packed) || reader.bytes(4, "structure").is_err() {
            return;
        }
        while let Ok(id @ 1..) = vlq::read_u32(&mut reader, "member")
            && let Ok(value) = Self::read_at(&mut reader, 1)
        {
            visit(id, value);
        }
    }

    /// The numbers of an array of ids, in order.
    pub(super) fn ids(&self) -> impl Iterator<Item = u32> + use<'a> {
        let mut reader = Reader::new(self.body);
        let is_ids = self.flags & (ARRAY | ADDRESS_ARRAY) != 0 && matches!(self.datatype, UDINT | AID);
        let count = if is_ids { vlq::read_u32(&mut reader, "array_size").unwrap_or_default() } else { 0 };
        (0..count).map_while(move |_| vlq::read_u32(&mut reader, "id").ok())
    }
}

/// A single value, independent of its encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar<'a> {
    /// No value, or several.
    None,
    /// As encoded: numbers of fixed length big-endian, text as UTF-8.
    Bytes(&'a [u8]),
    /// A number of variable length in 32 bits, big-endian.
    Narrow([u8; 4]),
    /// A number of variable length in 64 bits, big-endian.
    Wide([u8; 8]),
}

impl Scalar<'_> {
    /// The protocol-neutral form.
    pub(super) fn values(&self) -> Values<'_> {
        match self {
            Self::None => Values::None,
            Self::Bytes(bytes) => Values::Bytes(bytes),
            Self::Narrow(bytes) => Values::Bytes(bytes),
            Self::Wide(bytes) => Values::Bytes(bytes),
        }
    }
}

/// Skips one element without flags.
fn skip_element(reader: &mut Reader<'_>, datatype: u8, depth: u8) -> Result<(), Fault> {
    if let Some(size) = fixed_size(datatype) {
        reader.bytes(size, "value")?;
        return Ok(());
    }
    match datatype {
        UDINT | AID | VARIANT => vlq::read_u32(reader, "value").map(drop)?,
        DINT => vlq::read_i32(reader, "value").map(drop)?,
        ULINT => vlq::read_u64(reader, "value").map(drop)?,
        LINT | TIMESPAN => vlq::read_i64(reader, "value").map(drop)?,
        WSTRING => skip_counted(reader)?,
        BLOB => skip_blob(reader, depth)?,
        STRUCT => skip_structure(reader, depth)?,
        _ => return Err(Fault::invalid("datatype")),
    }
    Ok(())
}

/// Skips bytes after their length.
fn skip_counted(reader: &mut Reader<'_>) -> Result<(), Fault> {
    let length = vlq::read_u32(reader, "length")?;
    reader.bytes(usize::try_from(length).unwrap_or(usize::MAX), "value")?;
    Ok(())
}

/// Skips a blob. From the second root id on it has eight more bytes, and content of a type of its own.
fn skip_blob(reader: &mut Reader<'_>, depth: u8) -> Result<(), Fault> {
    if vlq::read_u32(reader, "blob_root")? <= LAST_PLAIN_BLOB_ROOT {
        return skip_counted(reader);
    }
    reader.bytes(8, "blob_head")?;
    match reader.u8("blob_type")? {
        0 => skip_list(reader, depth),
        2 | 3 => skip_counted(reader),
        _ => Err(Fault::invalid("blob_type")),
    }
}

/// Skips a structure: its type, then members by id, or packed bytes for types that the system or a library defines.
fn skip_structure(reader: &mut Reader<'_>, depth: u8) -> Result<(), Fault> {
    let kind = u32::from_be_bytes(reader.array("structure")?);
    if !is_packed(kind) {
        return skip_list(reader, depth);
    }
    reader.bytes(8, "interface_timestamp")?;
    let flags = vlq::read_u32(reader, "packed_flags")?;
    if flags & COUNT_TWICE != 0 {
        vlq::read_u32(reader, "packed_count")?;
    }
    skip_counted(reader)
}

/// Skips members by id, ended by id 0.
fn skip_list(reader: &mut Reader<'_>, depth: u8) -> Result<(), Fault> {
    if depth >= MAX_DEPTH {
        return Err(Fault::Limit("value_depth"));
    }
    while vlq::read_u32(reader, "member")? != 0 {
        Value::read_at(reader, depth + 1)?;
    }
    Ok(())
}

fn skip_array(reader: &mut Reader<'_>, datatype: u8, depth: u8) -> Result<(), Fault> {
    if datatype == STRUCT {
        reader.bytes(4, "structure")?;
        let count = vlq::read_u32(reader, "array_size")?;
        return (0..count).try_for_each(|_| skip_list(reader, depth));
    }
    let count = vlq::read_u32(reader, "array_size")?;
    if let Some(size) = fixed_size(datatype) {
        let length = usize::try_from(count).ok().and_then(|count| count.checked_mul(size));
        reader.bytes(length.unwrap_or(usize::MAX), "array")?;
        return Ok(());
    }
    (0..count).try_for_each(|_| skip_element(reader, datatype, depth))
}

/// Skips members by id, ended by id 0.
pub(super) fn skip_members(reader: &mut Reader<'_>) -> Result<(), Fault> {
    skip_list(reader, 0)
}

/// Skips elements after their keys, ended by key 0.
fn skip_sparse(reader: &mut Reader<'_>, datatype: u8, depth: u8) -> Result<(), Fault> {
    while vlq::read_u32(reader, "sparse_key")? != 0 {
        skip_element(reader, datatype, depth)?;
    }
    Ok(())
}

/// Bytes of an element of this type; none if that varies or the type is unknown.
const fn fixed_size(datatype: u8) -> Option<usize> {
    Some(match datatype {
        NULL => 0,
        BOOL | USINT | SINT | BYTE => 1,
        UINT | INT | WORD => 2,
        DWORD | REAL | RID => 4,
        LWORD | LREAL | TIMESTAMP => 8,
        _ => return None,
    })
}

/// Whether the members of this type are one block of bytes.
const fn is_packed(kind: u32) -> bool {
    matches!(kind, 0x9000_0001..=0x9FFF_FFFE | 0x0200_0001..=0x02FF_FFFE)
}

const ARRAY: u8 = 0x10;
const ADDRESS_ARRAY: u8 = 0x20;
const SPARSE_ARRAY: u8 = 0x40;

const NULL: u8 = 0x00;
const BOOL: u8 = 0x01;
const USINT: u8 = 0x02;
const UINT: u8 = 0x03;
const UDINT: u8 = 0x04;
const ULINT: u8 = 0x05;
const SINT: u8 = 0x06;
const INT: u8 = 0x07;
const DINT: u8 = 0x08;
const LINT: u8 = 0x09;
const BYTE: u8 = 0x0A;
const WORD: u8 = 0x0B;
const DWORD: u8 = 0x0C;
const LWORD: u8 = 0x0D;
const REAL: u8 = 0x0E;
const LREAL: u8 = 0x0F;
const TIMESTAMP: u8 = 0x10;
const TIMESPAN: u8 = 0x11;
/// Id of an object.
const RID: u8 = 0x12;
/// Id of an attribute.
const AID: u8 = 0x13;
const BLOB: u8 = 0x14;
const WSTRING: u8 = 0x15;
const VARIANT: u8 = 0x16;
const STRUCT: u8 = 0x17;

/// Up to this root id, a blob is a length and bytes.
const LAST_PLAIN_BLOB_ROOT: u32 = 1;
/// Flag of a packed structure: the count comes twice.
const COUNT_TWICE: u32 = 0x400;

/// Depth of nested structures that are followed.
const MAX_DEPTH: u8 = 32;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn read(bytes: &[u8]) -> (Value<'_>, usize) {
        let mut reader = Reader::new(bytes);
        (Value::read(&mut reader).unwrap(), reader.left())
    }

    #[test]
    fn numbers_come_out_in_their_full_width() {
        // Real 15.9 (notification of an S7-1500), DInt 882 in two bytes, Int 6, UDInt 0.
        assert_eq!(
            read(&[0, 0x0E, 0x41, 0x7E, 0x53, 0x8E]).0.scalar().values(),
            Values::Bytes(&[0x41, 0x7E, 0x53, 0x8E])
        );
        assert_eq!(read(&[0, 0x08, 0x83, 0x72]).0.scalar().values(), Values::Bytes(&[0, 0, 0x01, 0xF2]));
        assert_eq!(read(&[0, 0x07, 0, 6]).0.scalar().values(), Values::Bytes(&[0, 6]));
        assert_eq!(read(&[0, 0x04, 0]).0.scalar().values(), Values::Bytes(&[0; 4]));
        assert_eq!(read(&[0, 0x00]).0.scalar().values(), Values::None);
    }

    #[test]
    fn structures_end_where_their_last_member_is_followed_by_zero() {
        // The session version that a client writes: 17 0000013A, members 315.. and at the end 0.
        let bytes = [
            0x00, 0x17, 0x00, 0x00, 0x01, 0x3A, // structure 314
            0x82, 0x3B, 0x00, 0x04, 0x82, 0x00, // 315: UDInt
            0x82, 0x3F, 0x00, 0x15, 0x03, b'1', b';', b'6', // 319: text
            0x82, 0x41, 0x00, 0x03, 0x00, 0x03, // 321: UInt
            0x00, 0xEE, // end, and a byte that is not ours
        ];
        let (value, left) = read(&bytes);
        assert_eq!((value.structure(), left), (Some(314), 1));
        let mut ids = Vec::new();
        value.members(|id, member| ids.push((id, member.text().map(<[u8]>::to_vec))));
        assert_eq!(ids, [(315, None), (319, Some(b"1;6".to_vec())), (321, None)]);
    }

    #[test]
    fn arrays_of_ids_are_read_in_order() {
        let (value, left) = read(&[0x20, 0x04, 0x02, 0x93, 0x1B, 0x05]);
        assert_eq!(left, 0);
        assert_eq!(value.ids().collect::<Vec<_>>(), [2459, 5]);
    }

    #[test]
    fn sparse_arrays_end_with_key_zero() {
        // 40 15: key 1031 "de", key 1033 "en", end.
        let bytes = [0x40, 0x15, 0x88, 0x07, 0x02, b'd', b'e', 0x88, 0x09, 0x02, b'e', b'n', 0x00];
        assert_eq!(read(&bytes).1, 0);
    }

    #[test]
    fn packed_structures_and_blobs_with_a_root_are_skipped() {
        // 17 02000042: timestamp, flags, count twice, four bytes.
        let packed = [0, 0x17, 2, 0, 0, 0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0x88, 0x00, 0x04, 0x04, 1, 2, 3, 4];
        assert_eq!(read(&packed).1, 0);
        let rooted = [0, 0x14, 0x05, 0, 0, 0, 0, 0, 0, 0, 0, 0x03, 0x02, 0xAA, 0xBB];
        assert_eq!(read(&rooted).1, 0);
        assert_eq!(read(&[0, 0x14, 0, 2, 7, 8]).0.blob(), Some([7, 8].as_slice()));
    }

    #[test]
    fn wrong_lengths_are_refused_before_anything_is_kept() {
        for bytes in [
            [0x00, 0x15, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F].as_slice(), // text of 4 GiB
            &[0x10, 0x0D, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 0, 0],     // 4 G LWords
            &[0x10, 0x04, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 0, 0],     // 4 G numbers of variable length
            &[0x20, 0x17, 0, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 0, 0],
        ] {
            assert!(matches!(Value::read(&mut Reader::new(bytes)), Err(Fault::Bytes(_))), "{bytes:?}");
        }
        // 4 G times nothing is nothing.
        assert_eq!(read(&[0x10, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F]).1, 0);
    }

    #[test]
    fn structures_nested_without_end_stop_at_the_limit() {
        let mut bytes = vec![0, 0x17, 0, 0, 0, 1];
        for _ in 0..10_000 {
            bytes.extend([1, 0, 0x17, 0, 0, 0, 1]);
        }
        assert_eq!(Value::read(&mut Reader::new(&bytes)), Err(Fault::Limit("value_depth")));
    }
}
