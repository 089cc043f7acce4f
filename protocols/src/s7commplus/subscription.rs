//! The variables of a subscription, in its list of references (attribute 1048).
//!
//! ```text
//!  80010000  0  2       80040002  FFFFFFFE 0  82    crc   3736  9
//!  header,   gone, new  for each new one: flags and number of ids, reference, unknown, area, checksum of the symbol, ids
//! ```

use super::pending_request::object_target;
use super::value::Value;
use crate::operation::{OBJECT_DEPTH, Target};

/// Visits the variables of a subscription until `visit` returns `false`, or the list ends early.
pub(super) fn visit_variables(list: &Value<'_>, mut visit: impl FnMut(Target<'static>) -> bool) {
    let mut numbers = list.ids();
    let (Some(_), Some(gone), Some(new)) = (numbers.next(), numbers.next(), numbers.next()) else { return };
    if gone > 0 && numbers.by_ref().nth(gone as usize - 1).is_none() {
        return;
    }
    for _ in 0..new {
        let (Some(flags), Some(_), Some(_), Some(area), Some(_)) =
            (numbers.next(), numbers.next(), numbers.next(), numbers.next(), numbers.next())
        else {
            return;
        };
        let ids = flags & ID_COUNT;
        let target = object_target(area, numbers.by_ref().take((ids as usize).min(OBJECT_DEPTH)));
        let further = (ids as usize).saturating_sub(OBJECT_DEPTH);
        if !visit(target) || (further > 0 && numbers.by_ref().nth(further - 1).is_none()) {
            return;
        }
    }
}

/// The part of an item's flags that counts the ids after its area.
const ID_COUNT: u32 = 0xFFFF;
