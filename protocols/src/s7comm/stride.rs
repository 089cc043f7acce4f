//! The values that snap7 1.4.2 finds in a Write Var of several items.
//!
//! It steps from one value to the next by an eighth of the stated length, unless the item is a bit, a timer or a
//! counter, even if that length counts bytes (transport sizes 7 and 9, as its own client sends them). From the second
//! item on, it then reads bytes of a value as the head of the next one. Tests show that it writes what it finds there
//! only if the length in that position is right for the item.
//!
//! The values of honest clients contain such a length in such a position occasionally. So the second reading is
//! reported, for a policy to judge, but it counts as malformed only if the rest of that head is valid as well.

use alloc::vec::Vec;

use super::data::DataItem;
use super::entry::{AnswerSlot, Item, PendingRequest};
use super::item;
use crate::context::Context;
use crate::operation::{Area, Target, Values};
use crate::reader::Reader;

/// Reports each item that has another value in this reading than in the usual one. `items` and `data` are sound.
pub(super) fn announce(
    asked: &mut PendingRequest,
    items: &[u8],
    data: &[u8],
    spare: &mut Vec<Vec<Item>>,
    context: &mut Context<'_>,
) {
    let mut reader = Reader::new(items);
    let (mut usual, mut start) = (Reader::new(data), 0);
    for wire in 0..asked.claimed {
        let Some(target) = item::read_memory(&mut reader) else { return };
        let place = data.len() - usual.left();
        let Some(&[code, size, high, low]) = data.get(start..).and_then(<[u8]>::first_chunk) else { return };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let found = if counts_bytes(size) { length } else { length / 8 };
        let from = start + DataItem::HEAD;
        if start != place
            && item::byte_count(&target) == Some(found)
            && let Some(bytes) = data.get(from..from + found)
        {
            asked.is_irregular = true;
            let slot = AnswerSlot { wire, is_ambiguous: true, ..AnswerSlot::default() };
            if code == 0 && is_transport_size(size) {
                context.malformed("data_inside_data", start as u32);
            }
            asked.announce_item(Item { target, slot }, Values::Bytes(bytes), spare, context);
        }
        let step = if is_counted(&target) { length } else { length / 8 };
        start = from + step.next_multiple_of(2);
        if DataItem::read(&mut usual).is_err() {
            return;
        }
    }
}

/// Whether snap7 counts bytes in the length of a transport size.
const fn counts_bytes(size: u8) -> bool {
    matches!(size, 3 | 7 | 9)
}

/// Whether a write may have this transport size: bits, bytes or words, integers, double integers, reals, octets.
const fn is_transport_size(size: u8) -> bool {
    matches!(size, 3..=7 | 9)
}

/// Whether snap7 steps by the whole length of an item: a bit, timers, counters.
fn is_counted(target: &Target<'_>) -> bool {
    match *target {
        Target::Memory { area: Area::Timer | Area::Counter, .. } => true,
        Target::Memory { count, .. } => count == 1,
        _ => false,
    }
}
