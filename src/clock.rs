//! The system clock, for live capture and the health report. No result of a replay depends on it: a replay uses packet
//! time.

use std::time::{SystemTime, UNIX_EPOCH};

/// The current time in the unit of packet time: nanoseconds since 1970-01-01 UTC.
#[expect(clippy::disallowed_methods, reason = "the only access to the system clock; tests/layering.rs lists its users")]
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
