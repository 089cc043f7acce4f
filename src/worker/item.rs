//! What the packets of a block are dealt as.

/// How many shards the traffic is divided into. Fixed, so that results do not depend on the number of workers.
pub const SHARDS: usize = 64;

/// One packet of a block, dealt to a shard.
#[derive(Clone, Copy, Debug)]
pub struct Item {
    /// Index by which [`Block::packet`](crate::capture::Block::packet) knows it.
    pub packet: u32,
    /// Which shard (0..[`SHARDS`]) its host pair belongs to.
    pub shard: u8,
    /// What of the packet is to be judged.
    pub subject: Subject,
}

/// What of a packet is to be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// What it carries in the end.
    Content,
    /// The same, put together of fragments that contradict each other.
    Ambiguous,
    /// What it is wrapped in: the wrapping with so many others around it.
    Wrapping(u8),
    /// That it is a fragment which no datagram can be made of.
    Fragment,
}
