//! Fast summaries of messages with many items: their number, their namespaces, their outcomes.
//!
//! They agree with [`visit_items`](super::visit_items), [`ItemResults`](super::ItemResults) and
//! [`visit_notifications`](super::visit_notifications), but decode no single item: most items of a message are alike, and no
//! single one matters. A message that is unusual in any way has no summary, and each item has to be decoded.

use super::attribute::{ReadValueId, VALUE, WriteValue};
use super::notification::{DATA_CHANGE, read_published};
use super::table::Service;
use crate::opcua::binary::{
    DataValue, Encoded, ExtensionObject, FOUR_BYTE, NUMERIC, StatusCode, Unanimous, node_namespace,
};
use crate::operation::{Class, Namespaces};
use crate::reader::Reader;

/// Items of one message that have the same class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSummary {
    /// The class of all of them.
    pub class: Class,
    /// Their number: at least one.
    pub count: u32,
    /// The namespaces of their nodes.
    pub namespaces: Namespaces,
}

impl BatchSummary {
    /// Summarises a Read, or a Write of Value attributes; `content` begins behind its header.
    #[inline]
    pub fn of_request(service: Service, content: Reader<'_>) -> Option<Self> {
        match service {
            // The maximum age and the timestamps to return come first.
            Service::Read => Self::of_array(Class::Read, content.rest().get(12..)?, skip_reads),
            Service::Write => Self::of_array(Class::Write, content.rest(), |bytes, _| skip_write(bytes)),
            _ => None,
        }
    }

    /// Summarises the values in a Publish response; `content` begins behind its header. `find_block` finds the block of
    /// known handles around the handle of an item in a subscription.
    pub fn of_report(content: Reader<'_>, mut find_block: impl FnMut(u32, u32) -> Option<HandleBlock>) -> Option<Self> {
        let mut reader = content;
        let subscription = read_published(Service::Publish, &mut reader).ok()?.subscription?;
        // Events and status changes come in structures of their own.
        if reader.u32_le("notification_data").ok()? != 1 {
            return None;
        }
        let data = ExtensionObject::read(&mut reader).ok()?;
        let (_, body) = data.standard_body().filter(|(number, _)| *number == DATA_CHANGE)?;
        let mut find_block = |handle| find_block(subscription, handle);
        Self::of_array(Class::Report, body.rest(), |bytes, most| skip_reports(bytes, most, &mut find_block))
    }

    /// Summarises an array. `step` skips some of the remaining items, and returns their number, their namespace and the
    /// bytes behind them.
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
            let (items, namespace);
            (items, namespace, rest) = step(rest, left)?;
            if namespace >= Namespaces::END {
                return None;
            }
            namespaces = namespaces.with(Namespaces::only(namespace));
            left = left.checked_sub(items)?;
        }
        Some(Self { class, count, namespaces })
    }
}

/// Consecutive client handles whose items lie in one namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HandleBlock {
    /// The first handle of the block, known or not.
    pub first: u32,
    /// A bit for each of its 64 handles: whether it is known.
    pub known: u64,
    /// The namespace of all known handles.
    pub namespace: u16,
}

impl HandleBlock {
    /// Whether a handle is known.
    #[inline]
    pub(in crate::opcua) fn contains(&self, handle: u32) -> bool {
        let place = handle.wrapping_sub(self.first);
        place < u64::BITS && self.known >> place & 1 != 0
    }
}

/// Numbers of good and bad results of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResultCounts {
    /// Results that are not bad.
    pub good: u32,
    /// Bad results.
    pub bad: u32,
    /// The status of the last bad result; good if there is none.
    pub last_bad: StatusCode,
}

impl ResultCounts {
    /// Counts the results of a Read or Write of `items` items; `content` begins behind the header of the response.
    #[inline]
    pub fn of(service: Service, content: Reader<'_>, items: u32) -> Option<Self> {
        match service {
            Service::Read => Self::of_array(content.rest(), items, skip_values),
            Service::Write => Self::of_array(content.rest(), items, |bytes, _| {
                let (status, rest) = bytes.split_first_chunk()?;
                Some((1, StatusCode(u32::from_le_bytes(*status)), rest))
            }),
            _ => None,
        }
    }

    /// Counts an array of results. `step` skips some of the remaining results, and returns their number, their common
    /// status and the bytes behind them.
    #[inline]
    fn of_array<'a>(
        bytes: &'a [u8],
        items: u32,
        step: impl Fn(&'a [u8], usize) -> Option<(usize, StatusCode, &'a [u8])>,
    ) -> Option<Self> {
        let (count, mut rest) = split_count(bytes).filter(|(count, _)| *count == items)?;
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

/// Splits the count off an array; `None` if it is 0 or exceeds the bytes behind it.
#[inline]
fn split_count(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (count, rest) = bytes.split_first_chunk()?;
    let count = u32::from_le_bytes(*count);
    (count > 0 && count as usize <= rest.len()).then_some((count, rest))
}

/// Skips a ReadValueId, and those behind it that differ in the number of the node only. Returns their number, their
/// namespace and the bytes behind them.
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

/// Skips up to `most` items of `SIZE` bytes, from the second in `bytes` on, as long as each agrees with the previous one in
/// the bits of the mask. Returns their number and the bytes behind them.
///
/// A run of items is compared with the items before at once, with one mask byte for each byte, which the compiler
/// vectorises: 5 instructions an item instead of 25. Both halves of a run share the mask.
#[inline]
fn skip_alike<'a, const SIZE: usize, const LENGTH: usize>(
    bytes: &'a [u8],
    most: usize,
    mask: &[u8; LENGTH],
) -> (usize, &'a [u8]) {
    let is_run = |first: usize| {
        let run = bytes.get(first * SIZE..).unwrap_or_default();
        let next = run.get(SIZE..).unwrap_or_default();
        split_run(run).zip(split_run(next)).is_some_and(|(before, run)| are_alike(before, run, mask))
    };
    let mut count = 0;
    while count + RUN <= most && is_run(count) {
        count += RUN;
    }
    // The last run may overlap with items compared before.
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

/// The two halves of the run at the beginning of `bytes`.
#[inline]
fn split_run<const LENGTH: usize>(bytes: &[u8]) -> Option<&[[u8; LENGTH]; 2]> {
    bytes.as_chunks().0.first_chunk()
}

/// Whether two runs agree in the bits of the mask.
#[inline]
fn are_alike<const LENGTH: usize>(
    [first, second]: &[[u8; LENGTH]; 2],
    [other_first, other_second]: &[[u8; LENGTH]; 2],
    mask: &[u8; LENGTH],
) -> bool {
    let differences = xor_bytes(first, other_first).zip(xor_bytes(second, other_second)).zip(mask);
    differences.fold(0, |all, ((first, second), mask)| all | (first | second) & mask) == 0
}

/// The bytes of one array, each XORed with that of another.
#[inline]
fn xor_bytes<const LENGTH: usize>(one: &[u8; LENGTH], other: &[u8; LENGTH]) -> impl Iterator<Item = u8> {
    one.iter().zip(other).map(|(one, other)| one ^ other)
}

/// The mask for items of `SIZE` bytes: all but the number of the node, at bytes `from` to `to`.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler: a wrong index does not build")]
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

/// Skips a WriteValue of a Value attribute. Returns 1, the namespace of its node and the bytes behind it.
#[inline]
fn skip_write(bytes: &[u8]) -> Option<(usize, u16, &[u8])> {
    // A whole value, and a scalar, which has no dimensions.
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

/// Skips a monitored item notification, and those behind it whose values have the same head and whose nodes lie in the same
/// namespace. Returns their number, their namespace and the bytes behind them.
#[inline]
fn skip_reports<'a>(
    bytes: &'a [u8],
    most: usize,
    find_block: &mut impl FnMut(u32) -> Option<HandleBlock>,
) -> Option<(usize, u16, &'a [u8])> {
    let (handle, value) = bytes.split_first_chunk()?;
    let mut block = find_block(u32::from_le_bytes(*handle))?;
    let namespace = block.namespace;
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
        if !block.contains(handle) {
            match find_block(handle) {
                Some(other) if other.namespace == namespace => block = other,
                _ => break,
            }
        }
        more += 1;
    }
    Some((1 + more, namespace, rest.get(more * (HANDLE + size)..)?))
}

/// Skips values of the same shape. Returns their number, their status and the bytes behind them.
#[inline]
fn skip_values(bytes: &[u8], most: usize) -> Option<(usize, StatusCode, &[u8])> {
    DataValue::skip_alike(bytes, most).or_else(|| {
        let mut reader = Reader::new(bytes);
        let value = DataValue::read(&mut reader).ok()?;
        Some((1, value.status, reader.rest()))
    })
}

/// Size of a client handle, bytes.
const HANDLE: usize = 4;
/// What follows the node in nearly every ReadValueId: the Value attribute, no index range, no data encoding.
const WHOLE_VALUE: [u8; ASKED] = [13, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF];
/// Size of [`WHOLE_VALUE`], bytes.
const ASKED: usize = 14;
/// Size of a ReadValueId with a four-byte or a numeric node id, bytes.
const SHORT: usize = 4 + ASKED;
const LONG: usize = 7 + ASKED;
/// Items that are compared together.
const RUN: usize = 2 * HALF;
const HALF: usize = 8;
static SHORT_MASK: [u8; HALF * SHORT] = comparison_mask::<SHORT, { HALF * SHORT }>(2, 4);
static LONG_MASK: [u8; HALF * LONG] = comparison_mask::<LONG, { HALF * LONG }>(3, 7);
