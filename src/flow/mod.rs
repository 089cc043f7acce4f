//! Which conversation a frame belongs to, and its bytes in order.
//!
//! ```text
//!  Frame --> DuplicateFilter --> FlowKey::of --> FlowTable --> TcpFlow --> StreamHandler
//!            mirrored       both ends,      one entry     segments    bytes in sequence and
//!            twice?         one key         per flow      in order    in causal order, gaps
//! ```
//!
//! * [`key`]: the symmetric name of a conversation, and which end sent a frame;
//! * [`table`]: the flows of one shard, bounded, aged by packet time; `paged` is what holds them, `slot` what is known of each;
//! * [`stream`]: what reassembly is told, counts, and says;
//! * [`tcp`]: the two directions of a TCP connection: one comparison when all is well;
//! * `mix`: what keys and digests are hashed with;
//! * `out_of_order`, `held`, `half_stream`: what happens when it is not;
//! * [`recent`]: what was delivered last, to compare repeats with; `rivals`, `reading`: how else a stream can be read;
//! * [`duplicates`]: datagrams and other frames that the tap or a redundant network delivered twice.

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
