//! Where snap7 1.4.2 finds the values of a Write Var of several items.
//!
//! It steps from one value to the next by an eighth of the stated length, unless the item is a bit, a timer or a counter, also
//! where that length counts bytes (transport sizes 7 and 9, as its own client sends them). From the second item on, it then
//! takes bytes of a value for the head of the next one. That it writes what is found there was tried: only where the length
//! in that place is right for the item.
//!
//! Values of honest clients have such a length in such a place once in a while. So the second reading is announced, for a
//! policy to judge, but it counts as malformed only where the rest of that head is one, too.

use alloc::vec::Vec;

use super::data::DataItem;
use super::entry::{Item, PendingRequest, Place};
use super::item;
use crate::context::Context;
use crate::operation::{Area, Target, Values};
use crate::reader::Reader;

/// Announces each item that gets another value this way than the one it was announced with. `items` and `data` are sound.
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
        let Some(target) = item::memory(&mut reader) else { return };
        let place = data.len() - usual.left();
        let Some(&[code, size, high, low]) = data.get(start..).and_then(<[u8]>::first_chunk) else { return };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let found = if counts_bytes(size) { length } else { length / 8 };
        let from = start + DataItem::HEAD;
        if start != place
            && item::bytes(&target) == Some(found)
            && let Some(bytes) = data.get(from..from + found)
        {
            asked.is_irregular = true;
            let place = Place { wire, is_ambiguous: true, ..Place::default() };
            if code == 0 && is_transport_size(size) {
                context.malformed("data_inside_data", start as u32);
            }
            asked.announce_item(Item { target, place }, Values::Bytes(bytes), spare, context);
        }
        let step = if is_counted(&target) { length } else { length / 8 };
        start = from + step.next_multiple_of(2);
        if DataItem::read(&mut usual).is_err() {
            return;
        }
    }
}

/// Whether the length under a transport size counts bytes for it.
const fn counts_bytes(size: u8) -> bool {
    matches!(size, 3 | 7 | 9)
}

/// Whether it is a transport size of the data of a write: bits, bytes or words, integers, double integers, reals, octets.
const fn is_transport_size(size: u8) -> bool {
    matches!(size, 3..=7 | 9)
}

/// Whether it steps by the whole length of an item: a bit, timers, counters.
fn is_counted(target: &Target<'_>) -> bool {
    match *target {
        Target::Memory { area: Area::Timer | Area::Counter, .. } => true,
        Target::Memory { count, .. } => count == 1,
        _ => false,
    }
}
