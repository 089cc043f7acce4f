//! What the dealer hands to workers: packets of a block, each with its shard.

/// How many shards the traffic is divided into. Fixed, so that results do not depend on the number of workers.
pub const SHARDS: usize = 64;

/// One packet of a block, dealt to a shard.
#[derive(Clone, Copy, Debug)]
pub struct Item {
    /// Index for [`Block::packet`](crate::capture::Block::packet).
    pub packet: u32,
    /// Shard (0..[`SHARDS`]) of its host pair.
    pub shard: u8,
    /// Which aspect of the packet is judged.
    pub subject: Subject,
}

/// Which aspect of a packet is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Its innermost content.
    Content,
    /// Its innermost content, reassembled from fragments that contradict each other.
    Ambiguous,
    /// The tunnel header at this depth, 0 outermost.
    Wrapping(u8),
    /// The packet as a fragment that no datagram can be reassembled from.
    Fragment,
}
