//! Identification: which protocol a flow carries and which end is the client, by structure, on any port.

use crate::REGISTRY;
use crate::dissector::{FrameLen, Limits, Probe, Protocol, Side, Transport};

/// Registry rows that are expected on a flow: those registered for one of its ports, and those that a policy declares
/// there. A hint, never a proof.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// One bit for each row.
    rows: u16,
}

impl Hints {
    /// The rows that are registered for one of two ports.
    pub fn of_ports(ports: [u16; 2]) -> Self {
        Self::of(|row| row.ports.iter().any(|port| ports.contains(port)))
    }

    /// The rows of a protocol, whatever the framing.
    pub fn of_protocol(name: &str) -> Self {
        Self::of(|row| row.name == name)
    }

    fn of(is_expected: impl Fn(&Protocol) -> bool) -> Self {
        let rows = (0..).zip(REGISTRY).filter(|(_, row)| is_expected(row));
        Self { rows: rows.fold(0, |rows, (place, _)| rows | 1 << place) }
    }

    /// The union with other hints.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self { rows: self.rows | others.rows }
    }

    /// These rows and those that differ from them only in framing.
    #[must_use]
    pub fn in_any_framing(self) -> Self {
        Self::of(|row| REGISTRY.iter().any(|one| one.name == row.name && self.has(one)))
    }

    /// Whether no row is expected.
    pub const fn is_empty(self) -> bool {
        self.rows == 0
    }

    /// Whether a row is expected.
    pub fn has(self, row: &Protocol) -> bool {
        (0..).zip(REGISTRY).any(|(place, one)| self.rows >> place & 1 == 1 && core::ptr::eq(*one, row))
    }
}

/// The result of identification.
#[derive(Clone, Copy, Debug)]
pub enum Decision {
    /// More bytes are needed.
    Undecided,
    /// The flow carries this protocol.
    Identified {
        /// The registry row.
        protocol: &'static Protocol,
        /// The roles are the other way round: the end that was taken for the server is the client.
        swapped: bool,
    },
    /// The flow carries none of the protocols.
    Unknown,
}

/// How sure the roles are before any payload is inspected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roles {
    /// A TCP handshake was seen: the structure of one PDU does not overrule it.
    Certain,
    /// Guessed from ports: the structure of a PDU overrules it.
    Guessed,
}

/// Identifies the protocol of one flow from the first bytes of each side.
#[derive(Clone, Copy, Debug)]
pub struct Identifier {
    /// The transport that carries the flow.
    pub transport: Transport,
    /// Port of the end that is taken for the server.
    pub server_port: u16,
    /// Port of the end that is taken for the client.
    pub client_port: u16,
    /// The rows that a policy declares on these ports: equal to a registration.
    pub declared: Hints,
    /// How sure the roles are.
    pub roles: Roles,
    /// The flow was joined after its start.
    pub midstream: bool,
}

impl Identifier {
    /// Decides from the first bytes of the client and of the server, in that order. `exhausted`: more bytes will not be
    /// kept, so that the decision is final.
    ///
    /// On a registered port one side is enough, and so is a frame with unusual content ([`Probe::Maybe`]) unless the bytes
    /// fit another row better. On any other port both sides must fit exactly, or one must hold several exact frames in a
    /// row: a false identification costs more than a late one. If the bytes fit a framing with a header and one with a
    /// checksum, the checksum is the stronger proof, unless the other side fits only the header.
    pub fn decide(&self, registry: &[&'static Protocol], first: [&[u8]; 2], exhausted: bool) -> Decision {
        let mut fallback = None;
        let (mut waiting, mut promising) = (false, false);
        for protocol in registry.iter().copied().filter(|row| row.transports.contains(&self.transport)) {
            match self.fit(protocol, registry, first) {
                Fit::Exact { swapped } => {
                    let other = self.prefer_checksum(protocol, registry, first, exhausted);
                    return other.unwrap_or(Decision::Identified { protocol, swapped });
                }
                Fit::Unsure { swapped, wait } => {
                    fallback = fallback.or(Some((protocol, swapped)));
                    promising |= wait;
                }
                Fit::Open { exact } => {
                    waiting = true;
                    promising |= exact;
                }
                Fit::Out => {}
            }
        }
        match fallback {
            Some((protocol, swapped)) if exhausted || !promising => Decision::Identified { protocol, swapped },
            None if exhausted || !waiting => Decision::Unknown,
            _ => Decision::Undecided,
        }
    }

    fn fit(&self, protocol: &'static Protocol, registry: &[&'static Protocol], first: [&[u8]; 2]) -> Fit {
        let hints = Hints::of_ports([self.server_port, self.client_port]).and(self.declared);
        // A framing without a port of its own is to be expected where its protocol is.
        let is_of_same_protocol = |row: &&Protocol| row.name == protocol.name && hints.has(row);
        let hinted =
            hints.has(protocol) || protocol.is_bare() && registry.iter().copied().any(|row| is_of_same_protocol(&row));
        let seen = first.map(|bytes| self.probe_side(protocol, hinted, bytes));
        let count = |wanted: fn(&Probe) -> bool| seen.iter().filter(|probe| wanted(probe)).count();
        let exact = count(|probe| matches!(probe, Probe::Yes { .. }));
        let refused = count(|probe| *probe == Probe::No);
        let swapped = self.are_swapped(protocol, seen);
        if hinted {
            // The presumed server seems to send requests, or, if the roles are guessed from ports in mid-stream, the presumed
            // client seems to answer: the bytes of the other end will decide.
            let asks = is_from(seen[1], Side::Client) && seen[0] == Probe::More;
            let answers = is_from(seen[0], Side::Server) && seen[1] == Probe::More;
            let is_guess = self.midstream && self.roles == Roles::Guessed;
            let doubtful = !swapped && (asks || answers && is_guess);
            return match exact {
                1.. if doubtful => Fit::Unsure { swapped, wait: true },
                1.. => Fit::Exact { swapped },
                0 if count(|probe| matches!(probe, Probe::Maybe { .. })) > 0 => Fit::Unsure { swapped, wait: false },
                0 if count(|probe| matches!(probe, Probe::Wait { .. })) > 0 => Fit::Unsure { swapped, wait: true },
                0 if refused == 2 && !self.midstream => Fit::Out,
                0 => Fit::Open { exact: false },
            };
        }
        // In mid-stream, the first bytes of a side may lie inside a frame.
        if refused > usize::from(self.midstream) {
            Fit::Out
        } else if exact == 2 || (exact == 1 && self.has_frames_in_a_row(protocol, first)) {
            Fit::Exact { swapped }
        } else {
            Fit::Open { exact: exact > 0 }
        }
    }

    /// The decision for the row of the same protocol whose frames have only a checksum, if every side that fits `protocol`
    /// fits that row as well.
    fn prefer_checksum(
        &self,
        protocol: &'static Protocol,
        registry: &[&'static Protocol],
        first: [&[u8]; 2],
        exhausted: bool,
    ) -> Option<Decision> {
        let is_rival = |row: &&Protocol| row.is_bare() && row.name == protocol.name && !core::ptr::eq(*row, protocol);
        let rival = registry.iter().copied().find(|row| is_rival(row) && row.transports.contains(&self.transport))?;
        let exact = |row: &'static Protocol| {
            first.map(|bytes| !bytes.is_empty() && matches!((row.probe)(self.transport, bytes), Probe::Yes { .. }))
        };
        let (header, checksum) = (exact(protocol), exact(rival));
        if checksum == [false; 2] || header.iter().zip(checksum).any(|(header, checksum)| *header && !checksum) {
            return None;
        }
        // One side fits both rows: the other side will decide.
        if header == checksum && checksum != [true; 2] && !exhausted {
            return Some(Decision::Undecided);
        }
        let seen = first.map(|bytes| self.probe_side(rival, false, bytes));
        Some(Decision::Identified { protocol: rival, swapped: self.are_swapped(rival, seen) })
    }

    /// Probes one side. In mid-stream on a registered port, its first frame may start at any of the first bytes, unless the
    /// frames of the row have only a checksum.
    fn probe_side(&self, protocol: &'static Protocol, hinted: bool, bytes: &[u8]) -> Probe {
        if bytes.is_empty() {
            return Probe::More;
        }
        let first = (protocol.probe)(self.transport, bytes);
        if matches!(first, Probe::Yes { .. }) || !(hinted && self.midstream) || protocol.is_bare() {
            return first;
        }
        (1..bytes.len().min(protocol.max_frame))
            .filter_map(|start| bytes.get(start..))
            .map(|rest| (protocol.probe)(self.transport, rest))
            .find(|probe| matches!(probe, Probe::Yes { .. }))
            .unwrap_or(first)
    }

    /// Whether the roles are the other way round.
    ///
    /// A device may connect to its master, so a handshake does not prove which end sends requests. If the structure of both
    /// sides contradicts the presumed roles, it decides. The structure of one side decides only if the roles are guessed, or
    /// if the port supports it: otherwise one odd frame of an attacker would swap the roles.
    fn are_swapped(&self, protocol: &Protocol, [client, server]: [Probe; 2]) -> bool {
        let against = [is_from(client, Side::Server), is_from(server, Side::Client)];
        let in_favour = [is_from(client, Side::Client), is_from(server, Side::Server)];
        let one_against = against.contains(&true) && !in_favour.contains(&true);
        let registered = |port| REGISTRY.iter().any(|row| row.name == protocol.name && row.ports.contains(&port));
        match (registered(self.client_port), registered(self.server_port), self.roles) {
            (true, false, Roles::Guessed) => in_favour != [true; 2],
            (true, false, Roles::Certain) => one_against,
            (false, false, Roles::Guessed) | (true, true, Roles::Guessed) => one_against,
            (false, true, _) | (_, _, Roles::Certain) => against == [true; 2],
        }
    }

    /// Whether one side holds enough exact frames to do without the other.
    fn has_frames_in_a_row(&self, protocol: &'static Protocol, first: [&[u8]; 2]) -> bool {
        let dissector = (protocol.open)(self.transport, &Limits::default());
        let frames = |mut rest| {
            let mut frames = 0;
            while frames < FRAMES_IN_A_ROW
                && let Probe::Yes { sender } = (protocol.probe)(self.transport, rest)
                && let FrameLen::Bytes(length) = dissector.frame_len(sender.unwrap_or(Side::Client), rest)
                && let Some(tail) = rest.get(length.max(1)..)
            {
                frames += 1;
                rest = tail;
            }
            frames
        };
        first.into_iter().any(|bytes| frames(bytes) >= FRAMES_IN_A_ROW)
    }
}

fn is_from(probe: Probe, side: Side) -> bool {
    match probe {
        Probe::Yes { sender } | Probe::Maybe { sender } | Probe::Wait { sender } => sender == Some(side),
        Probe::No | Probe::More => false,
    }
}

/// How well the first bytes of both sides fit a row.
enum Fit {
    /// They are its frames.
    Exact { swapped: bool },
    /// They are its frames on its port, unless another row fits better; `wait`: more bytes may decide that.
    Unsure { swapped: bool, wait: bool },
    /// More bytes are needed; `exact`: one side fits already.
    Open { exact: bool },
    /// They are not its frames.
    Out,
}

/// How many frames in a row identify a protocol on an unregistered port when only one direction is captured.
const FRAMES_IN_A_ROW: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_a_bit() {
        assert!(REGISTRY.len() <= u16::BITS as usize);
        for row in REGISTRY {
            assert!(Hints::of_protocol(row.name).has(row));
            assert_eq!(Hints::of_ports([102, 40_000]).has(row), row.ports.contains(&102));
        }
        assert!(Hints::of_ports([1, 2]).is_empty());
    }
}
