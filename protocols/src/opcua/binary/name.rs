//! QualifiedName and LocalizedText (OPC 10000-6, 5.2.2.13 and 5.2.2.14).

use super::array::Encoded;
use super::dialect::Dialect;
use super::scalar::Bytes;
use crate::fault::Fault;
use crate::reader::Reader;

/// A name with its namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QualifiedName<'a> {
    /// Index into the namespace table of the server.
    pub namespace: u16,
    /// The name, UTF-8.
    pub name: Bytes<'a>,
}

impl<'a> Encoded<'a> for QualifiedName<'a> {
    const MIN_SIZE: usize = 6;

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let namespace = reader.u16_le("namespace")?;
        Ok(Self { namespace, name: Bytes::decode_as(reader, "name", dialect)? })
    }
}

/// A human-readable text, with its language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LocalizedText<'a> {
    /// Language and country, such as `en-US`.
    pub locale: Bytes<'a>,
    /// The text, UTF-8.
    pub text: Bytes<'a>,
}

impl<'a> Encoded<'a> for LocalizedText<'a> {
    const MIN_SIZE: usize = 1;

    fn decode(reader: &mut Reader<'a>, dialect: impl Dialect) -> Result<Self, Fault> {
        let present = reader.u8("localized_text")?;
        let locale = if present & HAS_LOCALE != 0 { Bytes::decode_as(reader, "locale", dialect)? } else { Bytes(None) };
        let text = if present & HAS_TEXT != 0 { Bytes::decode_as(reader, "text", dialect)? } else { Bytes(None) };
        Ok(Self { locale, text })
    }
}

const HAS_LOCALE: u8 = 0x01;
const HAS_TEXT: u8 = 0x02;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]
mod tests {
    use super::*;

    #[test]
    fn a_localized_text_has_only_the_parts_that_its_mask_names() {
        let mut reader = Reader::new(b"\x02\x02\0\0\0hi\x03\x02\0\0\0en\x02\0\0\0ho\x00");
        let texts = [(); 3].map(|()| LocalizedText::read(&mut reader).unwrap());
        let [first, second, none] = texts;
        assert_eq!((first.locale, first.text), (Bytes(None), Bytes(Some(b"hi"))));
        assert_eq!((second.locale, second.text), (Bytes(Some(b"en")), Bytes(Some(b"ho"))));
        assert_eq!((none, reader.left()), (LocalizedText::default(), 0));
    }

    #[test]
    fn a_qualified_name_begins_with_its_namespace() {
        let mut reader = Reader::new(b"\x02\x00\x05\0\0\0Start");
        let name = QualifiedName { namespace: 2, name: Bytes(Some(b"Start")) };
        assert_eq!(QualifiedName::read(&mut reader), Ok(name));
    }
}
