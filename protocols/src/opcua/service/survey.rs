//! A quick look at messages of many parts: how many there are, in which namespaces, how they ended.
//!
//! It finds what [`items`](super::items), [`Answers`](super::Answers) and [`notifications`](super::notifications) would
//! find, without making anything of each part: most are alike, and nobody asks for one of them. A message that is
//! unusual in any way gives nothing here; then each part has to be looked at.

use super::attribute::{ReadValueId, VALUE, WriteValue};
use super::notification::{DATA_CHANGE, published};
use super::table::Service;
use crate::opcua::binary::{DataValue, Encoded, ExtensionObject, StatusCode, node_namespace};
use crate::operation::{Class, Namespaces};
use crate::reader::Reader;

/// Parts of one message that are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Survey {
    /// What all of them do.
    pub class: Class,
    /// How many there are: at least one.
    pub count: u16,
    /// Where the nodes lie on which they act.
    pub namespaces: Namespaces,
}

impl Survey {
    /// The parts of a Read, or of a Write that writes nothing but values, starting behind the header of the request.
    #[inline]
    pub fn of_request(service: Service, content: Reader<'_>) -> Option<Self> {
        match service {
            // How old a value may be, and which times are wanted, stand in front.
            Service::Read => Self::of_array(Class::Read, content.rest().get(12..)?, read_value_id),
            Service::Write => Self::of_array(Class::Write, content.rest(), write_value),
            _ => None,
        }
    }

    /// What the answer to Publish reports, starting behind its header: values of items that are known. `place` is the
    /// namespace of an item, by its subscription and the client's number.
    pub fn of_report(content: Reader<'_>, place: impl Fn(u32, u32) -> Option<u16>) -> Option<Self> {
        let mut reader = content;
        let subscription = published(Service::Publish, &mut reader).ok()?.subscription?;
        // Values, and events or the end of the subscription, come as structures of their own.
        if reader.u32_le("notification_data").ok()? != 1 {
            return None;
        }
        let data = ExtensionObject::read(&mut reader).ok()?;
        let (_, body) = data.standard().filter(|(number, _)| *number == DATA_CHANGE)?;
        Self::of_array(Class::Report, body.rest(), |bytes| {
            let (handle, rest) = bytes.split_first_chunk()?;
            let (_, rest) = data_value(rest)?;
            Some((place(subscription, u32::from_le_bytes(*handle))?, rest))
        })
    }

    /// `step` gives the namespace of a part, and what follows it.
    #[inline]
    fn of_array<'a>(class: Class, bytes: &'a [u8], step: impl Fn(&'a [u8]) -> Option<(u16, &'a [u8])>) -> Option<Self> {
        let (count, mut rest) = count(bytes)?;
        let mut namespaces = Namespaces::NONE;
        for _ in 0..count {
            let namespace;
            (namespace, rest) = step(rest)?;
            if namespace >= Namespaces::END {
                return None;
            }
            namespaces = namespaces.with(Namespaces::only(namespace));
        }
        Some(Self { class, count, namespaces })
    }
}

/// How many parts of a request ended well, and how many did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endings {
    /// Done.
    pub good: u32,
    /// Refused.
    pub bad: u32,
    /// Why the last of those was; good if there is none.
    pub why: StatusCode,
}

impl Endings {
    /// The results of a Read or Write of so many parts, starting behind the header of the response.
    #[inline]
    pub fn of(service: Service, content: Reader<'_>, parts: u16) -> Option<Self> {
        match service {
            Service::Read => Self::of_array(content.rest(), parts, data_value),
            Service::Write => Self::of_array(content.rest(), parts, |bytes| {
                let (status, rest) = bytes.split_first_chunk()?;
                Some((StatusCode(u32::from_le_bytes(*status)), rest))
            }),
            _ => None,
        }
    }

    #[inline]
    fn of_array<'a>(
        bytes: &'a [u8],
        parts: u16,
        step: impl Fn(&'a [u8]) -> Option<(StatusCode, &'a [u8])>,
    ) -> Option<Self> {
        let (count, mut rest) = count(bytes).filter(|(count, _)| *count == parts)?;
        let (mut bad, mut why) = (0, StatusCode(0));
        for _ in 0..count {
            let status;
            (status, rest) = step(rest)?;
            if status.is_bad() {
                bad += 1;
                why = status;
            }
        }
        Some(Self { good: u32::from(count) - bad, bad, why })
    }
}

/// The count in front of an array that has elements, and not more than a request can have.
#[inline]
fn count(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (count, rest) = bytes.split_first_chunk()?;
    let count = u16::try_from(u32::from_le_bytes(*count)).ok()?;
    (count > 0).then_some((count, rest))
}

/// Where a node that is read lies.
#[inline]
fn read_value_id(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (namespace, rest) = node_namespace(bytes)?;
    match rest.split_first_chunk() {
        Some((asked, rest)) if *asked == WHOLE_VALUE => Some((namespace, rest)),
        _ => {
            let mut reader = Reader::new(bytes);
            ReadValueId::read(&mut reader).ok()?;
            Some((namespace, reader.rest()))
        }
    }
}

/// Where a node lies whose value is written.
#[inline]
fn write_value(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let mut reader = Reader::new(bytes);
    let WriteValue { node, attribute, value, .. } = WriteValue::read(&mut reader).ok()?;
    (attribute == VALUE && value.value.fits_dimensions()).then_some((node.namespace, reader.rest()))
}

/// The status of a value, and what follows it.
#[inline]
fn data_value(bytes: &[u8]) -> Option<(StatusCode, &[u8])> {
    DataValue::step_over(bytes).or_else(|| {
        let mut reader = Reader::new(bytes);
        let value = DataValue::read(&mut reader).ok()?;
        Some((value.status, reader.rest()))
    })
}

/// What nearly every client asks of a node: its value, all of it, in the encoding of the server's choice.
const WHOLE_VALUE: [u8; 14] = [13, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF];
