//! One incomplete datagram: its fragments so far, and the headers of the whole packet.

use std::collections::BTreeMap;

use super::{FragmentDrop, Key};
use crate::frame::checksum;
use crate::frame::walk::Fragment;

/// Hash of the offset and the bytes of a fragment.
pub(super) type Fingerprint = u64;

/// An incomplete datagram.
#[derive(Debug)]
pub(super) struct Datagram {
    pub(super) key: Key,
    /// Packet time of its first fragment.
    pub(super) started: i64,
    pub(super) head: Option<Head>,
    /// All its fragments so far duplicate those of a recently reassembled datagram.
    pub(super) is_duplicate: bool,
    /// Fingerprints of the fragments that had new bytes.
    pub(super) fingerprints: Vec<Fingerprint>,
    /// Parts by offset; none is empty, and no two overlap.
    parts: BTreeMap<usize, Vec<u8>>,
    /// Bytes in `parts`.
    pub(super) received: usize,
    /// Length of the datagram, known from its last fragment.
    total: Option<usize>,
    /// Fragments that contradict earlier ones.
    rivals: Vec<Rival>,
}

/// A fragment that contradicts earlier ones. Operating systems differ in which of them they accept.
#[derive(Debug)]
struct Rival {
    offset: usize,
    more: bool,
    bytes: Vec<u8>,
}

/// How a fragment relates to those before it.
pub(super) enum Added {
    New,
    Overlapping,
}

impl Datagram {
    pub(super) fn new(key: Key, started: i64) -> Self {
        Self {
            key,
            started,
            is_duplicate: true,
            fingerprints: Vec::new(),
            head: None,
            parts: BTreeMap::new(),
            received: 0,
            total: None,
            rivals: Vec::new(),
        }
    }

    /// Approximate memory, bytes.
    pub(super) fn cost(&self) -> usize {
        let head = self.head.as_ref().map_or(0, |head| head.bytes.len());
        let rivals: usize = self.rivals.iter().map(|rival| PART_COST + rival.bytes.len()).sum();
        DATAGRAM_COST + head + self.parts.len() * PART_COST + self.received + rivals
    }

    /// Whether its fragments contradict each other.
    pub(super) fn is_ambiguous(&self) -> bool {
        !self.rivals.is_empty()
    }

    /// Keeps a contradicting fragment, up to [`MAX_RIVALS`].
    fn keep_rival(&mut self, fragment: &Fragment<'_>) {
        if self.rivals.len() < MAX_RIVALS {
            let (offset, more, bytes) = (fragment.offset, fragment.more, fragment.payload.bytes.to_vec());
            self.rivals.push(Rival { offset, more, bytes });
        }
    }

    /// The other readings of the datagram: with each contradicting fragment in place of earlier ones, and with all of them.
    pub(super) fn other_readings(&self) -> Vec<Vec<u8>> {
        let all = (self.rivals.len() > 1).then(|| self.reading_with(&self.rivals));
        let each = self.rivals.iter().map(|rival| self.reading_with(std::slice::from_ref(rival)));
        each.chain(all).flatten().collect()
    }

    /// The whole packet with these fragments in place of earlier ones.
    fn reading_with(&self, rivals: &[Rival]) -> Option<Vec<u8>> {
        let mut payload = self.payload();
        rivals.iter().for_each(|rival| overlay(&mut payload, rival.offset, rival.more, &rival.bytes));
        let mut out = Vec::new();
        self.head.as_ref()?.write_packet(&payload, &mut out)?;
        Some(out)
    }

    /// The received bytes, in order.
    pub(super) fn payload(&self) -> Vec<u8> {
        self.parts.values().flatten().copied().collect()
    }

    pub(super) fn is_complete(&self) -> bool {
        self.total == Some(self.received) && self.head.is_some()
    }

    /// Stores the bytes of a fragment that were not received yet.
    pub(super) fn add(&mut self, fragment: &Fragment<'_>, fingerprint: Fingerprint) -> Result<Added, FragmentDrop> {
        let bytes = fragment.payload.bytes;
        let end = fragment.offset + bytes.len();
        let known_end = self.parts.last_key_value().map_or(0, |(offset, part)| offset + part.len());
        let contradicts = match self.total {
            Some(total) => end > total || (!fragment.more && end != total),
            None => !fragment.more && end < known_end,
        };
        if contradicts {
            self.keep_rival(fragment);
            return Err(FragmentDrop::Contradiction);
        }
        if !fragment.more {
            self.total = Some(end);
        }
        let (gaps, same) = self.find_gaps(fragment.offset, bytes);
        let added: usize = gaps.iter().map(|(_, part)| part.len()).sum();
        if !same {
            self.keep_rival(fragment);
        }
        self.parts.extend(gaps.into_iter().map(|(offset, part)| (offset, part.to_vec())));
        self.received += added;
        if added > 0 {
            self.fingerprints.push(fingerprint);
        }
        match added {
            0 if same => Err(FragmentDrop::Duplicate),
            _ if added == bytes.len() => Ok(Added::New),
            _ => Ok(Added::Overlapping),
        }
    }

    /// Finds which of these bytes, at offset `start`, were not received yet, and whether the others are equal to those that
    /// were.
    fn find_gaps<'b>(&self, start: usize, bytes: &'b [u8]) -> (Vec<(usize, &'b [u8])>, bool) {
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
    pub(super) fn write_packet(&self, out: &mut Vec<u8>) -> Option<()> {
        self.head.as_ref()?.write_packet(&self.payload(), out)
    }
}

/// Overwrites `payload` with the bytes of a fragment. Without `more`, the datagram ends with it.
pub(super) fn overlay(payload: &mut Vec<u8>, offset: usize, more: bool, bytes: &[u8]) {
    let end = offset + bytes.len();
    if payload.len() < end || !more {
        payload.resize(end, 0);
    }
    if let Some(place) = payload.get_mut(offset..end) {
        place.copy_from_slice(bytes);
    }
}

/// The headers before the payload of a whole datagram.
#[derive(Clone, Debug)]
pub(super) struct Head {
    bytes: Vec<u8>,
    /// Offset of the length field of the IP header.
    length_at: usize,
    /// Offset of its checksum, if it has one.
    checksum_at: Option<usize>,
    /// Header bytes that the length field includes.
    counted_header_bytes: usize,
}

impl Head {
    /// The headers of the first fragment, without its fragment fields. `None` if an offset lies outside the packet.
    pub(super) fn of(fragment: &Fragment<'_>, packet: &[u8], lengths: &[usize]) -> Option<Self> {
        let Fragment { header_at, headers_end_at, .. } = *fragment;
        let mut bytes = packet.get(..headers_end_at)?.to_vec();
        for &at in lengths.iter().filter(|at| **at < header_at) {
            bytes.get_mut(at..)?.first_chunk_mut().map(|length| *length = [0; 2])?;
        }
        if fragment.ip.source.is_ipv4() {
            let checksum_at = Some(header_at + 10);
            let mut head =
                Self { bytes, length_at: header_at + 2, checksum_at, counted_header_bytes: headers_end_at - header_at };
            head.replace_word(header_at + 6, [0; 2])?;
            return Some(head);
        }
        *bytes.get_mut(fragment.next_header_at)? = fragment.protocol;
        let counted_header_bytes = (headers_end_at - header_at).saturating_sub(IPV6_HEADER);
        Some(Self { bytes, length_at: header_at + 4, checksum_at: None, counted_header_bytes })
    }

    /// Replaces a 16-bit word, and updates the checksum so that it stays valid or invalid.
    fn replace_word(&mut self, at: usize, new: [u8; 2]) -> Option<()> {
        let mut word = *self.bytes.get(at..)?.first_chunk()?;
        if let Some(checksum_at) = self.checksum_at {
            let checksum = self.bytes.get_mut(checksum_at..)?.first_chunk_mut()?;
            checksum::replace_word(checksum, &mut word, new);
        }
        *self.bytes.get_mut(at..)?.first_chunk_mut()? = new;
        Some(())
    }

    /// The whole packet. `None` when its IP header cannot say how long it is.
    pub(super) fn write_packet(&self, payload: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let length = u16::try_from(self.counted_header_bytes + payload.len()).ok()?;
        let mut head = self.clone();
        head.replace_word(self.length_at, length.to_be_bytes())?;
        out.clear();
        out.extend_from_slice(&head.bytes);
        out.extend_from_slice(payload);
        Some(())
    }
}

/// Most contradicting fragments of one datagram that are kept.
const MAX_RIVALS: usize = 8;
/// Length of an IPv6 header, which its length field excludes, bytes.
const IPV6_HEADER: usize = 40;
/// Approximate memory of a datagram, without its parts, bytes.
const DATAGRAM_COST: usize = 256;
/// Approximate memory of a part, without its payload, bytes.
const PART_COST: usize = 56;
