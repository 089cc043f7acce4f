//! The only field of a certificate that is reported: the common name of its subject (RFC 5280, 4.1; X.690 for the
//! encoding).

use crate::reader::Reader;

/// The common name of the subject of a DER certificate.
pub(super) fn common_name(certificate: &[u8]) -> Option<&[u8]> {
    let mut outer = Reader::new(read_element(&mut Reader::new(certificate), SEQUENCE)?);
    let mut body = Reader::new(read_element(&mut outer, SEQUENCE)?);
    if body.rest().first() == Some(&VERSION) {
        read_element(&mut body, VERSION)?;
    }
    // Serial number, algorithm, issuer, validity.
    read_element(&mut body, INTEGER)?;
    for _ in 0..3 {
        read_element(&mut body, SEQUENCE)?;
    }
    let mut subject = Reader::new(read_element(&mut body, SEQUENCE)?);
    loop {
        let mut set = Reader::new(read_element(&mut subject, SET)?);
        let mut pair = Reader::new(read_element(&mut set, SEQUENCE)?);
        if read_element(&mut pair, OBJECT_ID)? == COMMON_NAME {
            let tag = *pair.rest().first()?;
            return read_element(&mut pair, tag);
        }
    }
}

/// The content of the next element, if it has this tag.
fn read_element<'a>(reader: &mut Reader<'a>, tag: u8) -> Option<&'a [u8]> {
    (reader.u8("tag").ok()? == tag).then_some(())?;
    let length = match reader.u8("length").ok()? {
        short @ ..=0x7F => usize::from(short),
        0x81 => usize::from(reader.u8("length").ok()?),
        0x82 => usize::from(reader.u16_be("length").ok()?),
        _ => return None,
    };
    reader.bytes(length, "element").ok()
}

const INTEGER: u8 = 0x02;
const OBJECT_ID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// Context tag 0 of the version.
const VERSION: u8 = 0xA0;
/// 2.5.4.3.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
