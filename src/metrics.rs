//! Counters: plain numbers for each worker, summed at the end.

mod failed;
mod latency;

use std::collections::BTreeMap;
use std::net::IpAddr;

use hashbrown::HashMap;
use lockkeeper_protocols::{Class, Outcome, PduGroup, Protocol};

use crate::capture::{Capture, Drops};
use crate::flow::{DuplicateCounters, StreamCounters, TableCounters};
use crate::frame::FragmentCounters;
use crate::keys::KeyCounters;
use crate::record::{self, Unread};
use crate::store::evidence;
use crate::store::recording;

pub use failed::{FailedConnections, Failure, Failures, Server};
pub use latency::{LATENCY_BOUNDS, Latency, LatencySummary};

/// The counters of one worker, since the start.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Packets processed, including duplicates.
    pub packets: u64,
    /// Length of these packets on the wire, from the link layer on, bytes.
    pub bytes: u64,
    /// Conversations started.
    pub flows: u64,
    /// Operations by outcome.
    pub outcomes: Outcomes,
    /// Operations without a verdict, by reason.
    pub not_judged: NotJudged,
    /// Decoded operations, one entry for each protocol name.
    protocols: Vec<ProtocolCounts>,
    /// PDUs by protocol, group and key, for keys below [`SMALL_KEYS`]: one flat table, because every PDU is counted.
    pdus: Vec<u64>,
    /// PDUs with other keys, by slot of the protocol, group and key.
    rare_pdus: HashMap<(u16, usize, u32), u64>,
    /// Number of wrong checksums of each sender whose wrong checksums count as an artefact of the capture.
    pub ignored_checksums: BTreeMap<IpAddr, u64>,
    /// Tunnels seen: pairs of tunnel endpoints.
    pub tunnels: u64,
    /// Packets that were not decoded completely, by reason. At most 65,536 entries for EtherTypes.
    pub unread: BTreeMap<Unread, u64>,
    /// Failed connections by server.
    pub failed: FailedConnections,
    /// Anomalies by protocol and name.
    pub anomalies: BTreeMap<(&'static str, &'static str), u64>,
    /// Everything that was not captured, not decoded or given up.
    pub losses: Losses,
}

/// Operations by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// Carried out by the server.
    pub accepted: u64,
    /// Refused by the server.
    pub refused: u64,
    /// Without an answer in time.
    pub no_response: u64,
    /// Open at the end of the capture.
    pub pending: u64,
}

/// Operations without a verdict, by reason. Counted so that they are not taken for permitted ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotJudged {
    /// There is no policy.
    pub no_policy: u64,
    /// Neither host is in a zone of the policy.
    pub no_zone: u64,
}

macro_rules! losses {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// What was not captured, not decoded or given up, by name. `--stats` lists every one of these counters.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Losses {
            $($(#[$doc])* pub $name: u64,)+
        }

        impl Losses {
            /// Every counter with its name, in a fixed order.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [$((stringify!($name), self.$name)),+].into_iter()
            }

            /// Adds another worker's counters.
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)+
            }
        }
    };
}

losses! {
    /// Packets of an unsupported link type.
    unknown_link_type,
    /// Packets that end inside a header.
    truncated_headers,
    /// Packets whose headers contradict themselves.
    malformed_headers,
    /// Packets with more tags, extension headers or encapsulations than the limit.
    too_many_wrappings,
    /// Packets whose content is not decoded: encrypted, of an unknown EtherType, or in an unsupported tunnel.
    unread_packets,
    /// Packets cut by a snap length.
    cut_by_snap_length,
    /// Bytes of payload that a snap length cut off.
    cut_bytes,
    /// Duplicates of frames that the mirror port or a redundant network delivered twice.
    mirrored_copies,
    /// Bytes that belong to no decoded frame of their protocol.
    undecoded_bytes,
    /// Payload bytes of conversations whose protocol is not decoded.
    other_protocol_bytes,
    /// Holes in TCP streams that were given up.
    stream_gaps,
    /// Bytes in those holes.
    stream_gap_bytes,
    /// TCP segments without new bytes.
    retransmissions,
    /// Overlapping TCP segments whose bytes differ from the first ones.
    conflicting_overlaps,
    /// Overlapping TCP segments that could not be compared, because the first bytes were no longer known.
    unverified_overlaps,
    /// Other readings of streams that were not decoded, because the conversation had too many.
    readings_not_judged,
    /// Times that a conversation dropped its held state, because all conversations together held too much.
    conversations_given_up,
    /// Packets whose receiver should drop them (wrong checksum, or no acknowledgement) and whose bytes it did not accept.
    packets_not_taken,
    /// TCP segments far outside the window, not followed.
    outside_window,
    /// TCP keep-alives and window probes.
    keep_alives,
    /// TCP streams that were resumed at another sequence number.
    resynchronised_streams,
    /// TCP holes given up early because a conversation held too much out of order.
    reassembly_limits,
    /// Conversations joined after their start.
    midstream_flows,
    /// Conversations of which only one direction was captured.
    one_way_flows,
    /// Conversations evicted because the table was full.
    evicted_flows,
    /// Limits of a decoder that were reached.
    decoder_limits,
    /// Times a decoder lost the framing of a stream.
    desynchronisations,
    /// Answers without a captured request.
    unmatched_answers,
    /// Operations that an answer reports as carried out and whose request was not captured.
    requests_unseen,
    /// OPC UA chunks without a key, where keys were given.
    chunks_without_key,
    /// OPC UA chunks that their key does not decrypt.
    chunks_with_wrong_key,
    /// OPC UA keys dropped because there were too many.
    keys_not_kept,
    /// Decryption secrets blocks of captures that are no key log.
    secrets_not_understood,
    /// IP fragments that are cut, malformed or too large.
    fragments_unusable,
    /// IP datagrams given up because fragments were missing or too many were incomplete.
    fragmented_datagrams_given_up,
    /// IP fragments that overlap others.
    fragments_overlapping,
    /// Tunnels forgotten because there were too many; they may be reported twice.
    tunnels_forgotten,
    /// Hosts without IP that did not fit in the inventory.
    neighbours_not_listed,
    /// Pairs of hosts without IP forgotten because there were too many; they may be reported twice.
    neighbour_pairs_forgotten,
    /// Packets that the capturing program reports as dropped.
    dropped_at_capture,
    /// Packets that the kernel dropped because its ring was full.
    dropped_by_kernel,
    /// Packets that a network interface dropped itself.
    dropped_by_interface,
    /// Packets that were read and dropped because the pipeline did not keep up.
    dropped_by_channel,
    /// Captures that end inside a record.
    captures_cut,
    /// Alerts closed early because too many were open.
    alerts_closed_early,
    /// Denied operations whose outcome was given up because too many were pending.
    outcomes_not_waited_for,
    /// Discoveries forgotten because there were too many; they may be reported twice.
    discoveries_forgotten,
    /// Channels and certificates of hosts forgotten because there were too many; a downgrade may be missed.
    secured_forgotten,
    /// Hosts forgotten because there were too many; their use of an address may be reported twice.
    hosts_forgotten,
    /// Alerts whose packets were not stored, because the evidence folder was full or could not be written to.
    evidence_not_kept,
    /// Alerts whose packets were not stored, because they were no longer in memory.
    evidence_too_late,
    /// Evidence files of earlier alerts that were removed to make room.
    evidence_rotated,
    /// Packets that were not recorded, because the disk was too slow, full or missing.
    recording_dropped,
    /// Alerts and transactions that were not written to a file, because the disk was full or missing for too long.
    output_not_written,
}

/// The operations of one protocol name, over all its framings.
#[derive(Clone, Debug)]
struct ProtocolCounts {
    protocol: &'static Protocol,
    /// Operations by class.
    classes: [u64; Class::ALL.len()],
}

impl Counters {
    /// The slot of a protocol for [`Counters::count_operations`] and [`Counters::count_pdu`], looked up once for each
    /// conversation.
    pub fn protocol_slot(&mut self, protocol: &'static Protocol) -> u16 {
        let known = self.protocols.iter().position(|counts| counts.protocol.name == protocol.name);
        let slot = known.unwrap_or_else(|| {
            self.protocols.push(ProtocolCounts { protocol, classes: [0; Class::ALL.len()] });
            self.pdus.resize(self.protocols.len() * MAX_GROUPS * SMALL_KEYS, 0);
            self.protocols.len() - 1
        });
        u16::try_from(slot).unwrap_or(u16::MAX)
    }

    /// Counts operations of a class.
    pub fn count_operations(&mut self, slot: u16, class: Class, number: u32) {
        let counts = self.protocols.get_mut(usize::from(slot));
        if let Some(count) = counts.and_then(|counts| counts.classes.get_mut(class as usize)) {
            *count += u64::from(number);
        }
    }

    /// Counts one decoded PDU under a key of one of its protocol's groups.
    pub fn count_pdu(&mut self, slot: u16, group: usize, key: u32) {
        self.add_pdus(slot, group, key, 1);
    }

    fn add_pdus(&mut self, slot: u16, group: usize, key: u32, count: u64) {
        let place = (usize::from(slot) * MAX_GROUPS + group) * SMALL_KEYS + key as usize;
        match self.pdus.get_mut(place) {
            Some(counted) if (key as usize) < SMALL_KEYS && group < MAX_GROUPS => *counted += count,
            _ => self.add_rare_pdus(slot, group, key, count),
        }
    }

    fn add_rare_pdus(&mut self, slot: u16, group: usize, key: u32, count: u64) {
        *self.rare_pdus.entry((slot, group, key)).or_default() += count;
    }

    /// PDUs of a protocol by group and key, without zero counts.
    fn pdu_counts(&self, slot: u16) -> impl Iterator<Item = (usize, u32, u64)> + '_ {
        let size = MAX_GROUPS * SMALL_KEYS;
        let own = self.pdus.chunks_exact(size).nth(usize::from(slot)).unwrap_or_default();
        let small =
            own.iter().enumerate().map(|(place, count)| (place / SMALL_KEYS, (place % SMALL_KEYS) as u32, *count));
        let rare = self.rare_pdus.iter().filter(move |((of, ..), _)| *of == slot);
        small.chain(rare.map(|((_, group, key), count)| (*group, *key, *count))).filter(|(.., count)| *count > 0)
    }

    /// Adds the counters of another worker.
    pub fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.flows += other.flows;
        self.outcomes.add(&other.outcomes);
        self.not_judged.add(&other.not_judged);
        for (place, theirs) in (0..).zip(&other.protocols) {
            let slot = self.protocol_slot(theirs.protocol);
            if let Some(mine) = self.protocols.get_mut(usize::from(slot)) {
                mine.classes.iter_mut().zip(theirs.classes).for_each(|(mine, theirs)| *mine += theirs);
            }
            for (group, key, count) in other.pdu_counts(place) {
                self.add_pdus(slot, group, key, count);
            }
        }
        self.failed.add(&other.failed);
        self.tunnels += other.tunnels;
        for (kind, count) in &other.unread {
            *self.unread.entry(*kind).or_default() += count;
        }
        for (sender, count) in &other.ignored_checksums {
            *self.ignored_checksums.entry(*sender).or_default() += count;
        }
        for (anomaly, count) in &other.anomalies {
            *self.anomalies.entry(*anomaly).or_default() += count;
        }
        self.losses.add(&other.losses);
    }

    /// Operations by protocol name and class, without zero counts.
    pub fn operations(&self) -> BTreeMap<&'static str, BTreeMap<&'static str, u64>> {
        let named = |counts: &ProtocolCounts| {
            let classes = Class::ALL.into_iter().map(Class::name).zip(counts.classes);
            classes.filter(|(_, count)| *count > 0).collect()
        };
        self.protocols.iter().map(|counts| (counts.protocol.name, named(counts))).collect()
    }

    /// Decoded PDUs by protocol name, group and key as text. A protocol that was seen has all of its groups.
    pub fn pdus(&self) -> BTreeMap<&'static str, BTreeMap<&'static str, BTreeMap<String, u64>>> {
        let groups = |slot: u16, protocol: &Protocol| {
            let text = |number: usize, group: &PduGroup| {
                let own = self.pdu_counts(slot).filter(|(of, ..)| *of == number);
                own.map(|(_, key, count)| ((group.key)(key), count)).collect()
            };
            let named = protocol.pdu_groups.iter().enumerate();
            named.map(|(number, group)| (group.name, text(number, group))).collect()
        };
        let protocols = (0..).zip(&self.protocols);
        protocols.map(|(slot, counts)| (counts.protocol.name, groups(slot, counts.protocol))).collect()
    }
}

/// Adds the counters of other stages.
impl Counters {
    /// Counts a packet that was not decoded completely.
    pub fn count_unread(&mut self, kind: Unread) {
        *self.unread.entry(kind).or_default() += 1;
        let losses = &mut self.losses;
        *match kind {
            Unread::LinkType => &mut losses.unknown_link_type,
            Unread::Truncated => &mut losses.truncated_headers,
            Unread::Malformed => &mut losses.malformed_headers,
            Unread::TooDeep => &mut losses.too_many_wrappings,
            Unread::Cut => &mut losses.cut_by_snap_length,
            Unread::EtherType(_) | Unread::IpProtocol(_) => &mut losses.unread_packets,
        } += 1;
    }

    /// Number of packets that were not decoded completely, including lost fragments.
    pub fn packets_not_read(&self) -> u64 {
        let Losses { fragments_unusable, fragmented_datagrams_given_up, .. } = self.losses;
        self.unread.values().sum::<u64>() + fragments_unusable + fragmented_datagrams_given_up
    }

    /// Adds the counters of a flow table.
    pub fn add_table(&mut self, table: TableCounters) {
        self.flows += table.created;
        self.losses.evicted_flows += table.evicted;
    }

    /// Adds the counters of a duplicate filter.
    pub fn add_duplicates(&mut self, copies: DuplicateCounters) {
        self.losses.mirrored_copies += copies.mirrored + copies.redundant;
    }

    /// Adds the counters of encrypted chunks.
    pub fn add_keys(&mut self, keys: &KeyCounters) {
        self.losses.chunks_without_key += keys.missing;
        self.losses.chunks_with_wrong_key += keys.wrong;
        self.losses.keys_not_kept += keys.not_kept;
    }

    /// Adds the counters of TCP reassembly.
    pub fn add_streams(&mut self, streams: &StreamCounters) {
        let losses = &mut self.losses;
        losses.mirrored_copies += streams.duplicates;
        losses.packets_not_taken += streams.dropped;
        losses.retransmissions += streams.retransmissions;
        losses.keep_alives += streams.keep_alives;
        losses.conflicting_overlaps += streams.conflicts;
        losses.unverified_overlaps += streams.unverified_overlaps;
        losses.stream_gaps += streams.gaps;
        losses.stream_gap_bytes += streams.gap_bytes;
        losses.outside_window += streams.outside_window;
        losses.resynchronised_streams += streams.resynchronised;
        losses.reassembly_limits += streams.limit_reached;
    }

    /// Adds the counters of IP reassembly.
    pub fn add_fragments(&mut self, fragments: &FragmentCounters) {
        let losses = &mut self.losses;
        losses.fragments_unusable += fragments.too_large + fragments.malformed + fragments.cut;
        losses.fragments_overlapping += fragments.overlapping;
        losses.fragmented_datagrams_given_up += fragments.aged_out + fragments.evicted;
    }

    /// Adds the losses of the captures.
    pub fn add_captures(&mut self, captures: &[Capture]) {
        for capture in captures {
            self.losses.dropped_at_capture += capture.dropped_at_capture;
            self.losses.captures_cut += u64::from(capture.cut.is_some());
        }
    }

    /// Adds the packets dropped before they could be delivered.
    pub fn add_drops(&mut self, drops: &Drops) {
        self.losses.dropped_by_kernel += drops.kernel;
        self.losses.dropped_by_interface += drops.interface;
        self.losses.dropped_by_channel += drops.channel;
    }

    /// Adds the losses of the correlator.
    pub fn add_alerts(&mut self, alerts: &record::Counters) {
        self.losses.alerts_closed_early += alerts.closed_by_limit;
        self.losses.outcomes_not_waited_for += alerts.pending_dropped;
        self.losses.discoveries_forgotten += alerts.discoveries_forgotten;
        self.losses.secured_forgotten += alerts.secured_forgotten;
        self.losses.hosts_forgotten += alerts.hosts_forgotten;
    }

    /// Adds the losses of evidence.
    pub fn add_evidence(&mut self, evidence: &evidence::Counters) {
        self.losses.evidence_not_kept += evidence.over_limit + evidence.failed;
        self.losses.evidence_too_late += evidence.too_late;
        self.losses.evidence_rotated += evidence.rotated;
    }

    /// Adds the losses of the recording.
    pub fn add_recording(&mut self, recording: recording::Counters) {
        self.losses.recording_dropped += recording.dropped;
    }

    /// Counts the end of a conversation.
    pub fn count_ended_flow(&mut self, midstream: bool, one_way: bool) {
        self.losses.midstream_flows += u64::from(midstream);
        self.losses.one_way_flows += u64::from(one_way);
    }
}

impl Outcomes {
    /// Counts one operation.
    pub fn count(&mut self, outcome: Outcome) {
        self.count_all(outcome, 1);
    }

    /// Counts `number` operations with the same outcome.
    pub fn count_all(&mut self, outcome: Outcome, number: u32) {
        *match outcome {
            Outcome::Accepted => &mut self.accepted,
            Outcome::Refused { .. } => &mut self.refused,
            Outcome::NoResponse => &mut self.no_response,
            Outcome::Pending => &mut self.pending,
        } += u64::from(number);
    }

    /// Every counter with its name.
    pub fn named(&self) -> [(&'static str, u64); 4] {
        let Self { accepted, refused, no_response, pending } = *self;
        [("accepted", accepted), ("refused", refused), ("no_response", no_response), ("pending", pending)]
    }

    fn add(&mut self, other: &Self) {
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.no_response += other.no_response;
        self.pending += other.pending;
    }
}

impl NotJudged {
    /// Every counter with its name.
    pub fn named(&self) -> [(&'static str, u64); 2] {
        let Self { no_policy, no_zone } = *self;
        [("no_policy", no_policy), ("no_zone", no_zone)]
    }

    fn add(&mut self, other: &Self) {
        self.no_policy += other.no_policy;
        self.no_zone += other.no_zone;
    }
}

/// Keys below this are counted in the flat table.
const SMALL_KEYS: usize = 1024;
/// Groups of PDUs of one protocol in the flat table.
const MAX_GROUPS: usize = 8;
