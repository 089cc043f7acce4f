//! The time now, for whoever may know it: a sensor that listens, and what it says of itself. No result of a replay comes
//! from here, whose time is that of the packets.

use std::time::{SystemTime, UNIX_EPOCH};

/// The time now, as packets carry it: nanoseconds since 1970-01-01 UTC.
#[expect(clippy::disallowed_methods, reason = "the one place that asks; see above who may ask it")]
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
