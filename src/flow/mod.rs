//! Assigns frames to conversations, and puts the bytes of TCP connections in order.
//!
//! ```text
//!  Frame --> DuplicateFilter --> FlowKey::of --> FlowTable --> TcpFlow --> StreamHandler
//!            mirrored       both ends,      one entry     segments    bytes in sequence and
//!            twice?         one key         per flow      in order    in causal order, gaps
//! ```
//!
//! * [`duplicates`]: detects datagrams and other frames that the tap or a redundant network delivered twice;
//! * [`key`]: the key of a conversation, the same in both directions; `mix` hashes it;
//! * [`table`]: the flows of one shard, bounded, aged by packet time; `paged` stores them, `slot` is the state of an entry,
//!   `aliases` are further keys of a flow;
//! * [`stream`]: input, output, settings and counters of reassembly;
//! * [`tcp`]: a TCP connection, and the fast path for segments in order;
//! * `unexpected`, `ordering`, `strays`, `doubt`: the slow path: flags and SYN segments, order, segments far outside the
//!   window, segments that their receiver should have dropped;
//! * `half_stream`, `out_of_order`, `held`, `rivals`: its state; `pass` is the context of one call;
//! * [`recent`]: delivered bytes, to compare retransmissions with; `reading` reports other readings of a stream.

mod aliases;
mod doubt;
pub mod duplicates;
mod half_stream;
mod held;
pub mod key;
mod mix;
mod ordering;
mod out_of_order;
mod paged;
mod pass;
mod reading;
pub mod recent;
mod rivals;
mod sequence;
mod slot;
mod strays;
pub mod stream;
pub mod table;
pub mod tcp;
mod unexpected;

#[cfg(test)]
mod tests;

pub use duplicates::{DuplicateCounters, DuplicateFilter, DuplicateSettings};
pub use key::{BriefKey, End, FlowKey};
pub use recent::RecentBytes;
pub use slot::Lifetime;
pub use stream::{Arrival, Assembly, Progress, Reading, ReadingCause, StreamCounters, StreamHandler, StreamSettings};
pub use table::{Entry, FlowTable, Found, RemovalCause, Removed, TableCounters, TableSettings, Used};
pub use tcp::TcpFlow;
