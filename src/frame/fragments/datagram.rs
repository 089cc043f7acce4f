//! One incomplete datagram: its parts, and the headers that the whole will have.

use std::collections::BTreeMap;

use super::finished::Print;
use super::{FragmentDrop, Key};
use crate::frame::walk::Fragment;

/// An incomplete datagram.
#[derive(Debug)]
pub(super) struct Datagram {
    pub(super) key: Key,
    /// When its first fragment came, packet time.
    pub(super) started: i64,
    pub(super) head: Option<Head>,
    /// All its fragments so far are copies of those of a datagram that was put together a moment ago.
    pub(super) copies: bool,
    /// What stands for those of its fragments that brought something.
    pub(super) prints: Vec<Print>,
    /// Parts by their place in the datagram; none is empty, and no two overlap.
    parts: BTreeMap<usize, Vec<u8>>,
    /// Bytes in `parts`.
    pub(super) received: usize,
    /// Length of the datagram, once the last fragment is there.
    total: Option<usize>,
}

/// Whether a fragment fitted.
pub(super) enum Added {
    New,
    Overlapping,
}

impl Datagram {
    pub(super) fn new(key: Key, started: i64) -> Self {
        Self {
            key,
            started,
            copies: true,
            prints: Vec::new(),
            head: None,
            parts: BTreeMap::new(),
            received: 0,
            total: None,
        }
    }

    /// Bytes of memory, about.
    pub(super) fn cost(&self) -> usize {
        let head = self.head.as_ref().map_or(0, |head| head.bytes.len());
        DATAGRAM_COST + head + self.parts.len() * PART_COST + self.received
    }

    pub(super) fn is_complete(&self) -> bool {
        self.total == Some(self.received) && self.head.is_some()
    }

    /// Takes those bytes of a fragment that are not there yet.
    pub(super) fn add(&mut self, fragment: &Fragment<'_>, print: Print) -> Result<Added, FragmentDrop> {
        let bytes = fragment.payload.bytes;
        let end = fragment.offset + bytes.len();
        let known_end = self.parts.last_key_value().map_or(0, |(offset, part)| offset + part.len());
        let contradicts = match self.total {
            Some(total) => end > total || (!fragment.more && end != total),
            None => !fragment.more && end < known_end,
        };
        if contradicts {
            return Err(FragmentDrop::Contradiction);
        }
        if !fragment.more {
            self.total = Some(end);
        }
        let (gaps, same) = self.gaps(fragment.offset, bytes);
        let added: usize = gaps.iter().map(|(_, part)| part.len()).sum();
        self.parts.extend(gaps.into_iter().map(|(offset, part)| (offset, part.to_vec())));
        self.received += added;
        if added > 0 {
            self.prints.push(print);
        }
        match added {
            0 if same => Err(FragmentDrop::Duplicate),
            _ if added == bytes.len() => Ok(Added::New),
            _ => Ok(Added::Overlapping),
        }
    }

    /// Which of these bytes, whose place is `start`, are not there yet, and whether the others are the same.
    fn gaps<'b>(&self, start: usize, bytes: &'b [u8]) -> (Vec<(usize, &'b [u8])>, bool) {
        let end = start + bytes.len();
        let first = self.parts.range(..=start).next_back().map_or(start, |(offset, _)| *offset);
        let mut gaps = Vec::new();
        let mut same = true;
        let mut at = start;
        for (&offset, part) in self.parts.range(first..end) {
            let part_end = offset + part.len();
            if part_end <= at {
                continue;
            }
            if offset > at {
                gaps.extend(bytes.get(at - start..offset - start).map(|gap| (at, gap)));
            }
            let (from, to) = (offset.max(at), part_end.min(end));
            same &= part.get(from - offset..to - offset) == bytes.get(from - start..to - start);
            at = part_end;
        }
        gaps.extend(bytes.get(at - start..).filter(|gap| !gap.is_empty()).map(|gap| (at, gap)));
        (gaps, same)
    }

    /// The whole packet. `None` when its IP header cannot say how long it is.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> Option<()> {
        let head = self.head.as_ref()?;
        let length = u16::try_from(head.counted + self.received).ok()?;
        out.clear();
        out.extend_from_slice(&head.bytes);
        out.get_mut(head.length_at..)?.first_chunk_mut().map(|field| *field = length.to_be_bytes())?;
        self.parts.values().for_each(|part| out.extend_from_slice(part));
        Some(())
    }
}

/// What comes before the payload of a whole datagram.
#[derive(Debug)]
pub(super) struct Head {
    bytes: Vec<u8>,
    /// Where its length is.
    length_at: usize,
    /// Bytes of the head that this length counts, too.
    counted: usize,
}

impl Head {
    /// The head of the first fragment, without what makes it a fragment. `None` would mean that its places are not in
    /// the packet.
    pub(super) fn of(fragment: &Fragment<'_>, packet: &[u8], lengths: &[usize]) -> Option<Self> {
        let Fragment { header, kept, .. } = *fragment;
        let mut bytes = packet.get(..kept)?.to_vec();
        for &at in lengths {
            bytes.get_mut(at..)?.first_chunk_mut().map(|length| *length = [0; 2])?;
        }
        if fragment.pair.source.is_ipv4() {
            let (length_at, flags_at) = (header + 2, header + 6);
            bytes.get_mut(flags_at..)?.first_chunk_mut().map(|flags| *flags = [0; 2])?;
            return Some(Self { bytes, length_at, counted: kept - header });
        }
        *bytes.get_mut(fragment.next_header)? = fragment.protocol;
        Some(Self { bytes, length_at: header + 4, counted: (kept - header).saturating_sub(IPV6_HEADER) })
    }
}

/// Length of an IPv6 header, which its length does not count, bytes.
const IPV6_HEADER: usize = 40;
/// Memory of an entry, and of a part, beside their bytes, about.
const DATAGRAM_COST: usize = 256;
const PART_COST: usize = 56;
