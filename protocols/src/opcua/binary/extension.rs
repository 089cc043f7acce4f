//! ExtensionObject: a structure behind the id of its encoding (OPC 10000-6, 5.2.2.15).

use super::array::Encoded;
use super::dialect::{Dialect, Reading};
use super::scalar::Bytes;
use crate::fault::Fault;
use crate::operation::{Node, NodeId};
use crate::reader::Reader;

/// A structure of any type, skipped by its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtensionObject<'a> {
    /// The id of its encoding; null for none.
    pub encoding: Node<'a>,
    /// Its bytes.
    pub body: ExtensionBody<'a>,
}

/// How the structure is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtensionBody<'a> {
    /// There is no body.
    None,
    /// In the encoding of its id.
    Binary(&'a [u8]),
    /// As XML.
    Xml(&'a [u8]),
}

impl<'a> ExtensionObject<'a> {
    /// The encoding number of the standard and the bytes of a structure in binary encoding.
    pub fn standard_body(&self) -> Option<(u32, Reader<'a>)> {
        match self.body {
            ExtensionBody::Binary(bytes) => Some((self.encoding.standard_number()?, Reader::new(bytes))),
            ExtensionBody::None | ExtensionBody::Xml(_) => None,
        }
    }
}

impl<'a> Encoded<'a> for ExtensionObject<'a> {
    const MIN_SIZE: usize = 3;

    #[inline]
    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        if reader.rest().starts_with(&NULL_OBJECT) {
            reader.bytes(NULL_OBJECT.len(), "extension")?;
            return Ok(Self { encoding: Node::standard(0), body: ExtensionBody::None });
        }
        Self::read_non_null(reader, dialect)
    }
}

impl<'a> ExtensionObject<'a> {
    /// Reads an object other than the null object.
    fn read_non_null(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let encoding = Node::decode(reader, dialect)?;
        let form = reader.u8(FORM)?;
        let is_null = matches!(encoding.id, NodeId::Numeric(0));
        let body = match (form, dialect.reading()) {
            (0, _) => ExtensionBody::None,
            (_, Reading::Expanded) => return Self::read_expanded(encoding, form, reader),
            (1, _) => match Bytes::decode_as(reader, BODY, dialect)?.0 {
                // Some servers read the structure of a known type whatever its length.
                None if !is_null && dialect.reading() == Reading::Unanimous => return Err(Fault::Ambiguous(BODY)),
                body => ExtensionBody::Binary(body.unwrap_or_default()),
            },
            (2, Reading::Unanimous) => return Err(Fault::Ambiguous(FORM)),
            (2, _) => ExtensionBody::Xml(Bytes::decode_as(reader, BODY, dialect)?.or_empty()),
            _ => return Err(Fault::invalid(FORM)),
        };
        Ok(Self { encoding, body })
    }

    /// In this reading, bit 0 alone marks a body, and a length of -1 an unknown length.
    fn read_expanded(encoding: Node<'a>, form: u8, reader: &mut Reader<'a>) -> Result<Self, Fault> {
        if form & 1 == 0 {
            return Ok(Self { encoding, body: ExtensionBody::None });
        }
        let body = match reader.i32_le(BODY)? {
            -1 if matches!(encoding.id, NodeId::Numeric(0)) => &[],
            -1 => return Err(Fault::Ambiguous(BODY)),
            length => reader.bytes(usize::try_from(length).unwrap_or(0), BODY)?,
        };
        Ok(Self { encoding, body: ExtensionBody::Binary(body) })
    }
}

/// The bytes of a structure, as a field name.
pub(super) const BODY: &str = "extension";
/// Their encoding, as a field name.
pub(super) const FORM: &str = "extension_encoding";
/// The null node without a body, which ends most headers and parameters.
const NULL_OBJECT: [u8; 3] = [0; 3];

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn a_structure_is_skipped_by_its_length() {
        // four-byte node id 321, binary, 4 bytes; then the null object
        let mut reader = Reader::new(b"\x01\x00\x41\x01\x01\x04\0\0\0\xff\xff\xff\xff\x00\x00\x00");
        let token = ExtensionObject::read(&mut reader).unwrap();
        assert_eq!(token.standard_body().map(|(id, body)| (id, body.rest())), Some((321, &[0xFF; 4][..])));
        let null = ExtensionObject::read(&mut reader).unwrap();
        assert!(null.encoding == Node::standard(0) && null.body == ExtensionBody::None);
        assert_eq!(reader.left(), 0);
    }

    #[test]
    fn xml_and_foreign_encodings_have_no_standard_number() {
        let mut reader = Reader::new(b"\x00\x07\x02\x04\0\0\0<a/>\x01\x03\x41\x01\x01\x00\0\0\0");
        let xml = ExtensionObject::read(&mut reader).unwrap();
        assert_eq!(xml.body, ExtensionBody::Xml(b"<a/>"));
        assert!(xml.standard_body().is_none());
        assert!(ExtensionObject::read(&mut reader).unwrap().standard_body().is_none(), "namespace 3");
    }
}
