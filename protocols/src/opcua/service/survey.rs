//! A quick look at messages of many parts: how many there are, in which namespaces, how they ended.
//!
//! It finds what [`items`](super::items), [`Answers`](super::Answers) and [`notifications`](super::notifications) would
//! find, without making anything of each part: most are alike, and nobody asks for one of them. A message that is
//! unusual in any way gives nothing here; then each part has to be looked at.

use super::attribute::{ReadValueId, VALUE, WriteValue};
use super::notification::{DATA_CHANGE, published};
use super::table::Service;
use crate::opcua::binary::{DataValue, Encoded, ExtensionObject, FOUR_BYTE, NUMERIC, StatusCode, node_namespace};
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
            Service::Read => Self::of_array(Class::Read, content.rest().get(12..)?, read_value_ids),
            Service::Write => Self::of_array(Class::Write, content.rest(), |bytes, _| write_value(bytes)),
            _ => None,
        }
    }

    /// What the answer to Publish reports, starting behind its header: values of items that are known. `place` is the
    /// namespace of an item, by its subscription and the client's number.
    pub fn of_report(content: Reader<'_>, mut place: impl FnMut(u32, u32) -> Option<u16>) -> Option<Self> {
        let mut reader = content;
        let subscription = published(Service::Publish, &mut reader).ok()?.subscription?;
        // Values, and events or the end of the subscription, come as structures of their own.
        if reader.u32_le("notification_data").ok()? != 1 {
            return None;
        }
        let data = ExtensionObject::read(&mut reader).ok()?;
        let (_, body) = data.standard().filter(|(number, _)| *number == DATA_CHANGE)?;
        Self::of_array(Class::Report, body.rest(), |bytes, _| {
            let (handle, rest) = bytes.split_first_chunk()?;
            let (.., rest) = data_values(rest, 1)?;
            Some((1, place(subscription, u32::from_le_bytes(*handle))?, rest))
        })
    }

    /// `step` looks at some parts, up to as many as it is told: how many, in which namespace, and what follows them.
    #[inline]
    fn of_array<'a>(
        class: Class,
        bytes: &'a [u8],
        mut step: impl FnMut(&'a [u8], usize) -> Option<(usize, u16, &'a [u8])>,
    ) -> Option<Self> {
        let (count, mut rest) = count(bytes)?;
        let mut left = usize::from(count);
        let mut namespaces = Namespaces::NONE;
        while left > 0 {
            let (parts, namespace);
            (parts, namespace, rest) = step(rest, left)?;
            if namespace >= Namespaces::END {
                return None;
            }
            namespaces = namespaces.with(Namespaces::only(namespace));
            left = left.checked_sub(parts)?;
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
            Service::Read => Self::of_array(content.rest(), parts, data_values),
            Service::Write => Self::of_array(content.rest(), parts, |bytes, _| {
                let (status, rest) = bytes.split_first_chunk()?;
                Some((1, StatusCode(u32::from_le_bytes(*status)), rest))
            }),
            _ => None,
        }
    }

    /// `step` looks at some results, up to as many as it is told: how many, the status of all of them, what follows.
    #[inline]
    fn of_array<'a>(
        bytes: &'a [u8],
        parts: u16,
        step: impl Fn(&'a [u8], usize) -> Option<(usize, StatusCode, &'a [u8])>,
    ) -> Option<Self> {
        let (count, mut rest) = count(bytes).filter(|(count, _)| *count == parts)?;
        let mut left = usize::from(count);
        let (mut bad, mut why) = (0, StatusCode(0));
        while left > 0 {
            let (results, status);
            (results, status, rest) = step(rest, left)?;
            if status.is_bad() {
                bad += results as u32;
                why = status;
            }
            left = left.checked_sub(results)?;
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

/// Where some nodes lie that are read.
#[inline]
fn read_value_ids(bytes: &[u8], most: usize) -> Option<(usize, u16, &[u8])> {
    let (namespace, rest) = node_namespace(bytes)?;
    let rest = match rest.split_first_chunk() {
        Some((asked, rest)) if *asked == WHOLE_VALUE => rest,
        _ => {
            let mut reader = Reader::new(bytes);
            ReadValueId::read(&mut reader).ok()?;
            reader.rest()
        }
    };
    let (more, rest) = match *bytes {
        [FOUR_BYTE, ..] => numbered_alike::<2, { 4 + ASKED }>(bytes, rest, most - 1),
        [NUMERIC, ..] => numbered_alike::<3, { 7 + ASKED }>(bytes, rest, most - 1),
        _ => (0, rest),
    };
    Some((1 + more, namespace, rest))
}

/// Steps over parts of `SIZE` bytes that differ from the first of `bytes` in nothing but the number of the node: encoding
/// and namespace take `HEAD` bytes. None of them if that part, behind which `rest` begins, is of another size itself.
#[inline]
fn numbered_alike<'a, const HEAD: usize, const SIZE: usize>(
    bytes: &'a [u8],
    rest: &'a [u8],
    most: usize,
) -> (usize, &'a [u8]) {
    let Some(first) = bytes.first_chunk::<SIZE>().filter(|_| bytes.len() - rest.len() == SIZE) else {
        return (0, rest);
    };
    let (mut count, mut rest) = (0, rest);
    while count < most
        && let Some((part, behind)) = rest.split_first_chunk::<SIZE>()
        && part.first_chunk::<HEAD>() == first.first_chunk()
        && part.last_chunk::<ASKED>() == first.last_chunk()
    {
        (count, rest) = (count + 1, behind);
    }
    (count, rest)
}

/// Where a node lies whose value is written.
#[inline]
fn write_value(bytes: &[u8]) -> Option<(usize, u16, &[u8])> {
    let mut reader = Reader::new(bytes);
    let WriteValue { node, attribute, value, .. } = WriteValue::read(&mut reader).ok()?;
    (attribute == VALUE && value.value.fits_dimensions()).then_some((1, node.namespace, reader.rest()))
}

/// The status of some values, and what follows them.
#[inline]
fn data_values(bytes: &[u8], most: usize) -> Option<(usize, StatusCode, &[u8])> {
    DataValue::step_over(bytes, most).or_else(|| {
        let mut reader = Reader::new(bytes);
        let value = DataValue::read(&mut reader).ok()?;
        Some((1, value.status, reader.rest()))
    })
}

/// What nearly every client asks of a node: its value, all of it, in the encoding of the server's choice.
const WHOLE_VALUE: [u8; ASKED] = [13, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF];
/// Bytes of what is asked of a node, without a range and an encoding that have names.
const ASKED: usize = 14;
