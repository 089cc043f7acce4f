//! Which conversation a frame belongs to, and its bytes in order.
//!
//! ```text
//!  Frame --> CopyFilter --> FlowKey::of --> FlowTable --> TcpFlow --> Receiver
//!            mirrored       both ends,      one entry     segments    bytes in sequence and
//!            twice?         one key         per flow      in order    in causal order, gaps
//! ```
//!
//! * [`key`]: the symmetric name of a conversation, and which end sent a frame;
//! * [`table`]: the flows of one shard, bounded, aged by packet time; `paged` is what holds them, `slot` what is known of each;
//! * [`stream`]: what reassembly is told, counts, and says;
//! * [`tcp`]: the two directions of a TCP connection: one comparison when all is well;
//! * `mix`: what keys and digests are hashed with;
//! * `order`, `held`, `way`: what happens when it is not;
//! * [`recent`]: what was delivered last, to compare repeats with; `rivals`, `reading`: how else a stream can be read;
//! * [`copies`]: datagrams and other frames that the tap or a redundant network delivered twice.

mod aliases;
pub mod copies;
mod held;
pub mod key;
mod mix;
mod order;
mod paged;
mod reading;
pub mod recent;
mod rivals;
mod slot;
pub mod stream;
pub mod table;
pub mod tcp;
mod way;

#[cfg(test)]
mod tests;

pub use copies::{CopyCounters, CopyFilter, CopySettings};
pub use key::{BriefKey, End, FlowKey};
pub use recent::RecentBytes;
pub use slot::Lifetime;
pub use stream::{
    Arrival, Assembly, Cause as ReadingCause, Progress, Reading, Receiver, StreamCounters, StreamSettings,
};
pub use table::{Cause, Entry, FlowTable, Found, Gone, TableCounters, TableSettings, Used};
pub use tcp::TcpFlow;

/// Which end is the server as far as ports tell: the one whose port is registered (or well known, below 1024) if the
/// other is not, else the one with the lower port. A last resort, after the handshake and the protocol's own shape.
pub fn server_by_port(low: u16, high: u16, registered: impl Fn(u16) -> bool) -> End {
    let known = |port| registered(port) || (1..1024).contains(&port);
    match (registered(low), registered(high)) {
        (true, false) => End::Low,
        (false, true) => End::High,
        _ if known(low) != known(high) => {
            if known(low) {
                End::Low
            } else {
                End::High
            }
        }
        _ if high < low => End::High,
        _ => End::Low,
    }
}
