//! A quick look at messages of many parts: how many there are, in which namespaces, how they ended.
//!
//! It finds what [`items`](super::items), [`ItemResults`](super::Answers) and [`notifications`](super::notifications) would
//! find, without making anything of each part: most are alike, and nobody asks for one of them. A message that is
//! unusual in any way gives nothing here; then each part has to be looked at.

use super::attribute::{ReadValueId, VALUE, WriteValue};
use super::notification::{DATA_CHANGE, read_published};
use super::table::Service;
use crate::opcua::binary::{
    DataValue, Encoded, ExtensionObject, FOUR_BYTE, NUMERIC, StatusCode, Unanimous, node_namespace,
};
use crate::operation::{Class, Namespaces};
use crate::reader::Reader;

/// Parts of one message that are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSummary {
    /// What all of them do.
    pub class: Class,
    /// How many there are: at least one.
    pub count: u32,
    /// Where the nodes lie on which they act.
    pub namespaces: Namespaces,
}

impl BatchSummary {
    /// The parts of a Read, or of a Write that writes nothing but values, starting behind the header of the request.
    #[inline]
    pub fn of_request(service: Service, content: Reader<'_>) -> Option<Self> {
        match service {
            // How old a value may be, and which times are wanted, stand in front.
            Service::Read => Self::of_array(Class::Read, content.rest().get(12..)?, skip_reads),
            Service::Write => Self::of_array(Class::Write, content.rest(), |bytes, _| skip_write(bytes)),
            _ => None,
        }
    }

    /// What the answer to Publish reports, starting behind its header: values of items that are known. `place` says where
    /// an item lies, by its subscription and the client's number, and which of its neighbours lie there, too.
    pub fn of_report(content: Reader<'_>, mut place: impl FnMut(u32, u32) -> Option<HandleBlock>) -> Option<Self> {
        let mut reader = content;
        let subscription = read_published(Service::Publish, &mut reader).ok()?.subscription?;
        // Values, and events or the end of the subscription, come as structures of their own.
        if reader.u32_le("notification_data").ok()? != 1 {
            return None;
        }
        let data = ExtensionObject::read(&mut reader).ok()?;
        let (_, body) = data.standard_body().filter(|(number, _)| *number == DATA_CHANGE)?;
        let mut place = |item| place(subscription, item);
        Self::of_array(Class::Report, body.rest(), |bytes, most| skip_reports(bytes, most, &mut place))
    }

    /// `step` looks at some parts, up to as many as it is told: how many, in which namespace, and what follows them.
    #[inline]
    fn of_array<'a>(
        class: Class,
        bytes: &'a [u8],
        mut step: impl FnMut(&'a [u8], usize) -> Option<(usize, u16, &'a [u8])>,
    ) -> Option<Self> {
        let (count, mut rest) = split_count(bytes)?;
        let mut left = count as usize;
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

/// Monitored items whose numbers lie side by side, and whose nodes lie in one namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HandleBlock {
    /// The client's number of the first of them, whether that is known or not.
    pub first: u32,
    /// Those of the next 64 that are known, one bit each.
    pub known: u64,
    /// Where all of these lie.
    pub namespace: u16,
}

impl HandleBlock {
    /// Whether an item is one of those that are known.
    #[inline]
    pub(in crate::opcua) fn contains(&self, item: u32) -> bool {
        let place = item.wrapping_sub(self.first);
        place < u64::BITS && self.known >> place & 1 != 0
    }
}

/// How many parts of a request ended well, and how many did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResultCounts {
    /// Done.
    pub good: u32,
    /// Refused.
    pub bad: u32,
    /// Why the last of those was; good if there is none.
    pub last_bad: StatusCode,
}

impl ResultCounts {
    /// The results of a Read or Write of so many parts, starting behind the header of the response.
    #[inline]
    pub fn of(service: Service, content: Reader<'_>, parts: u32) -> Option<Self> {
        match service {
            Service::Read => Self::of_array(content.rest(), parts, skip_values),
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
        parts: u32,
        step: impl Fn(&'a [u8], usize) -> Option<(usize, StatusCode, &'a [u8])>,
    ) -> Option<Self> {
        let (count, mut rest) = split_count(bytes).filter(|(count, _)| *count == parts)?;
        let mut left = count as usize;
        let (mut bad, mut last_bad) = (0, StatusCode(0));
        while left > 0 {
            let (results, status);
            (results, status, rest) = step(rest, left)?;
            if status.is_bad() {
                bad += results as u32;
                last_bad = status;
            }
            left = left.checked_sub(results)?;
        }
        Some(Self { good: count - bad, bad, last_bad })
    }
}

/// The count in front of an array that has elements, and not more than the bytes behind it can hold.
#[inline]
fn split_count(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (count, rest) = bytes.split_first_chunk()?;
    let count = u32::from_le_bytes(*count);
    (count > 0 && count as usize <= rest.len()).then_some((count, rest))
}

/// Where some nodes lie that are read.
#[inline]
fn skip_reads(bytes: &[u8], most: usize) -> Option<(usize, u16, &[u8])> {
    let (namespace, rest) = node_namespace(bytes)?;
    let rest = match rest.split_first_chunk() {
        Some((asked, rest)) if *asked == WHOLE_VALUE => rest,
        _ => {
            let mut reader = Reader::new(bytes);
            ReadValueId::decode(&mut reader, Unanimous).ok()?;
            reader.rest()
        }
    };
    let most = most.saturating_sub(1);
    let is_of = |size| bytes.len() - rest.len() == size;
    let more = match *bytes {
        [FOUR_BYTE, ..] if is_of(SHORT) => skip_alike::<SHORT, { HALF * SHORT }>(bytes, most, &SHORT_MASK),
        [NUMERIC, ..] if is_of(LONG) => skip_alike::<LONG, { HALF * LONG }>(bytes, most, &LONG_MASK),
        _ => return Some((1, namespace, rest)),
    };
    Some((1 + more.0, namespace, more.1))
}

/// Steps over parts of `SIZE` bytes that differ from the one before in nothing but what the mask leaves out, beginning with
/// the second of `bytes`, up to `most`: how many, and what follows them.
///
/// The parts of a run are held against those before them at once, a byte of a mask for each of theirs, which the compiler
/// turns into vectors: 5 instructions a part, where comparing them one by one takes 25. Both halves of a run share the mask.
#[inline]
fn skip_alike<'a, const SIZE: usize, const LENGTH: usize>(
    bytes: &'a [u8],
    most: usize,
    mask: &[u8; LENGTH],
) -> (usize, &'a [u8]) {
    let is_run = |first: usize| {
        let run = bytes.get(first * SIZE..).unwrap_or_default();
        let next = run.get(SIZE..).unwrap_or_default();
        halves(run).zip(halves(next)).is_some_and(|(before, run)| are_alike(before, run, mask))
    };
    let mut count = 0;
    while count + RUN <= most && is_run(count) {
        count += RUN;
    }
    // The end of an array: with some that were looked at already.
    if (1..RUN).contains(&(most - count)) && most >= RUN && is_run(most - RUN) {
        count = most;
    }
    let mut rest = bytes.get(count * SIZE..).unwrap_or_default();
    let mask = mask.first_chunk::<SIZE>();
    while count < most
        && let Some((before, behind)) = rest.split_first_chunk::<SIZE>()
        && let Some(next) = behind.first_chunk::<SIZE>()
        && mask.is_some_and(|mask| xor_bytes(before, next).zip(mask).all(|(difference, mask)| difference & mask == 0))
    {
        (count, rest) = (count + 1, behind);
    }
    (count, rest.get(SIZE..).unwrap_or_default())
}

/// The halves of a run that bytes begin with.
#[inline]
fn halves<const LENGTH: usize>(bytes: &[u8]) -> Option<&[[u8; LENGTH]; 2]> {
    bytes.as_chunks().0.first_chunk()
}

/// Whether the parts of a run differ from others in nothing but what the mask leaves out.
#[inline]
fn are_alike<const LENGTH: usize>(
    [one, another]: &[[u8; LENGTH]; 2],
    [other, yet_another]: &[[u8; LENGTH]; 2],
    mask: &[u8; LENGTH],
) -> bool {
    let both = xor_bytes(one, other).zip(xor_bytes(another, yet_another)).zip(mask);
    both.fold(0, |all, ((first, second), mask)| all | (first | second) & mask) == 0
}

#[inline]
fn xor_bytes<const LENGTH: usize>(one: &[u8; LENGTH], other: &[u8; LENGTH]) -> impl Iterator<Item = u8> {
    one.iter().zip(other).map(|(one, other)| one ^ other)
}

/// What is compared of parts of `SIZE` bytes: all but the number of the node, which lies between `from` and `to`.
#[expect(clippy::indexing_slicing, reason = "the compiler fills it, and would say so")]
const fn comparison_mask<const SIZE: usize, const LENGTH: usize>(from: usize, to: usize) -> [u8; LENGTH] {
    let mut mask = [u8::MAX; LENGTH];
    let mut place = 0;
    while place < LENGTH {
        if from <= place % SIZE && place % SIZE < to {
            mask[place] = 0;
        }
        place += 1;
    }
    mask
}

/// Where a node lies whose value is written.
#[inline]
fn skip_write(bytes: &[u8]) -> Option<(usize, u16, &[u8])> {
    // All of a value, and a single one, which has no dimensions.
    if let Some((namespace, rest)) = node_namespace(bytes)
        && let Some(rest) = rest.strip_prefix(&[13, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF])
        && let Some((.., rest)) = DataValue::skip_alike(rest, 1)
    {
        return Some((1, namespace, rest));
    }
    let mut reader = Reader::new(bytes);
    let WriteValue { node, attribute, value, .. } = WriteValue::decode(&mut reader, Unanimous).ok()?;
    (attribute == VALUE && value.value.fits_dimensions()).then_some((1, node.namespace, reader.rest()))
}

/// Where some items lie that a subscription reports: one, and those behind it whose values begin as its own does and whose
/// nodes lie where its own does.
#[inline]
fn skip_reports<'a>(
    bytes: &'a [u8],
    most: usize,
    place: &mut impl FnMut(u32) -> Option<HandleBlock>,
) -> Option<(usize, u16, &'a [u8])> {
    let (handle, value) = bytes.split_first_chunk()?;
    let mut neighbours = place(u32::from_le_bytes(*handle))?;
    let namespace = neighbours.namespace;
    let Some((size, _)) = DataValue::measure(value) else {
        let (_, _, rest) = skip_values(value, 1)?;
        return Some((1, namespace, rest));
    };
    let rest = value.get(size..)?;
    let Some(head) = DataValue::head(value) else { return Some((1, namespace, rest)) };
    let mut more = 0;
    for item in rest.chunks_exact(HANDLE + size).take(most.saturating_sub(1)) {
        let Some((handle, value)) = item.split_first_chunk() else { break };
        let handle = u32::from_le_bytes(*handle);
        if value.first_chunk() != Some(head) {
            break;
        }
        if !neighbours.contains(handle) {
            match place(handle) {
                Some(others) if others.namespace == namespace => neighbours = others,
                _ => break,
            }
        }
        more += 1;
    }
    Some((1 + more, namespace, rest.get(more * (HANDLE + size)..)?))
}

/// The status of some values, and what follows them.
#[inline]
fn skip_values(bytes: &[u8], most: usize) -> Option<(usize, StatusCode, &[u8])> {
    DataValue::skip_alike(bytes, most).or_else(|| {
        let mut reader = Reader::new(bytes);
        let value = DataValue::read(&mut reader).ok()?;
        Some((1, value.status, reader.rest()))
    })
}

/// Bytes of the client's number of an item.
const HANDLE: usize = 4;
/// What nearly every client asks of a node: its value, all of it, in the encoding of the server's choice.
const WHOLE_VALUE: [u8; ASKED] = [13, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF];
/// Bytes of what is asked of a node, without a range and an encoding that have names.
const ASKED: usize = 14;
/// Bytes of a part whose node has a number, by the encoding of the node: its head, the number, what is asked of it.
const SHORT: usize = 4 + ASKED;
const LONG: usize = 7 + ASKED;
/// Parts that are looked at together.
const RUN: usize = 2 * HALF;
const HALF: usize = 8;
static SHORT_MASK: [u8; HALF * SHORT] = comparison_mask::<SHORT, { HALF * SHORT }>(2, 4);
static LONG_MASK: [u8; HALF * LONG] = comparison_mask::<LONG, { HALF * LONG }>(3, 7);
