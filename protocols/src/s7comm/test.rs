//! Test functions that change variables: modify and force, with their memory and values.

use super::data::{DataItem, expect_end};
use crate::operation::{Area, Target, Values};
use crate::reader::{DecodeError, Reader};

/// Visits each variable that a request modifies or forces, with its value. An error: the rest of the request cannot be
/// read.
///
/// Sizes of the parameters and of the data; the parameters; then a number of addresses, and as many data items.
pub(super) fn visit_modified<'a>(
    data: &'a [u8],
    mut visit: impl FnMut(Target<'static>, Values<'a>),
) -> Result<(), DecodeError> {
    let mut reader = Reader::new(data);
    let size = reader.u16_be("parameter_size")?;
    reader.u16_be("data_size")?;
    reader.bytes(size.into(), "parameters")?;
    let count = usize::from(reader.u16_be("item_count")?);
    let addresses = reader.bytes(count * ADDRESS, "addresses")?;
    for address in addresses.chunks_exact(ADDRESS) {
        let target = read_address(address).unwrap_or_default();
        let item = DataItem::read(&mut reader).ok();
        visit(target, as_bit(target, item.map_or(Values::None, |item| item.values())));
        if item.is_none_or(|item| !item.is_whole) {
            return Err(DecodeError::Truncated("truncated_data"));
        }
    }
    expect_end(reader)
}

/// The values of a bit, which is sent as a byte.
fn as_bit<'a>(target: Target<'static>, values: Values<'a>) -> Values<'a> {
    match (target, values) {
        (Target::Memory { area, count: 1, .. }, Values::Bytes(bytes)) if !area.is_numbered() => {
            Values::Bits { bytes, count: 1 }
        }
        _ => values,
    }
}

/// Reads an address: area and width, repetition (or bit), data block, first byte.
fn read_address(address: &[u8]) -> Option<Target<'static>> {
    let &[kind, repeat, db_high, db_low, high, low] = address else { return None };
    let (area, bits) = match kind >> 4 {
        // Flags, inputs, outputs, periphery, data blocks: bytes, words and double words under 1 to 3, bits under 0.
        0 => (Area::Flag, kind & 0x0F),
        1 => (Area::Input, kind & 0x0F),
        2 => (Area::Output, kind & 0x0F),
        3 => (Area::Periphery, kind & 0x0F),
        7 => (Area::DataBlock, kind & 0x0F),
        5 => (Area::Timer, 0),
        6 => (Area::Counter, 0),
        _ => (Area::Other(kind), 1),
    };
    let start = u32::from(u16::from_be_bytes([high, low]));
    let db = if area == Area::DataBlock { u16::from_be_bytes([db_high, db_low]) } else { 0 };
    let (first, count) = match bits {
        _ if area.is_numbered() => (start, 1),
        0 => (start * 8 + u32::from(repeat & 7), 1),
        width => (start * 8, (8 << (width.min(3) - 1)) * u32::from(repeat)),
    };
    Some(Target::Memory { area, db, first, count })
}

/// Sub-functions that change variables.
pub(super) const FORCE_SELECTION: u8 = 7;
pub(super) const FORCE: u8 = 9;
/// Bytes of an address.
const ADDRESS: usize = 6;
