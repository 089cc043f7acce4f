//! Which protocol a flow speaks, and which end is the client: by structure, on any port.

use crate::REGISTRY;
use crate::dissector::{FrameLen, Limits, Probe, Protocol, Side, Transport};

/// Rows of the registry that are to be expected of a flow: those registered for one of its ports, and those that a policy
/// declares there. A hint, never a proof.
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

    /// These and others.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self { rows: self.rows | others.rows }
    }

    /// These, in every framing of their protocols.
    #[must_use]
    pub fn in_any_framing(self) -> Self {
        Self::of(|row| REGISTRY.iter().any(|one| one.name == row.name && self.has(one)))
    }

    /// Whether nothing is expected.
    pub const fn is_empty(self) -> bool {
        self.rows == 0
    }

    /// Whether a row is expected.
    pub fn has(self, row: &Protocol) -> bool {
        (0..).zip(REGISTRY).any(|(place, one)| self.rows >> place & 1 == 1 && core::ptr::eq(*one, row))
    }
}

/// What is known about a flow's protocol.
#[derive(Clone, Copy, Debug)]
pub enum Decision {
    /// Not enough seen yet.
    Undecided,
    /// It is this one.
    Identified {
        /// The registry row.
        protocol: &'static Protocol,
        /// The client is the end that was looked at as `Side::Server`: swap the roles.
        swapped: bool,
    },
    /// None of ours.
    Unknown,
}

/// What is known about the roles before any payload is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roles {
    /// A handshake was seen: the shape of a PDU does not overrule it.
    Certain,
    /// Guessed from ports: the shape of a PDU overrules it.
    Guessed,
}

/// Identifies the protocol of one flow from the first bytes of each side.
#[derive(Clone, Copy, Debug)]
pub struct Identifier {
    /// What carries the flow.
    pub transport: Transport,
    /// Port of the end that is taken for the server.
    pub server_port: u16,
    /// Port of the end that is taken for the client.
    pub client_port: u16,
    /// What a policy declares on these ports: as good as a registration.
    pub declared: Hints,
    /// How sure the roles are.
    pub roles: Roles,
    /// The flow was joined after its start.
    pub midstream: bool,
}

impl Identifier {
    /// Decides from the first bytes of the client and of the server, in that order.
    ///
    /// On a registered port one side is enough, and so is a frame with unusual content ([`Probe::Maybe`]) unless another
    /// row sees more in the same bytes. On any other port both sides must fit exactly, or one must hold several exact
    /// frames in a row: a false identification costs more than a late one. Where the same bytes fit a framing with a header
    /// and one with a checksum, the checksum says more, unless the other side has nothing but the header.
    pub fn decide(&self, registry: &[&'static Protocol], first: [&[u8]; 2], exhausted: bool) -> Decision {
        let mut fallback = None;
        let (mut waiting, mut promising) = (false, false);
        for protocol in registry.iter().copied().filter(|row| row.transports.contains(&self.transport)) {
            match self.weigh(protocol, registry, first) {
                Weight::Fits { swapped } => {
                    let other = self.weigh_checksum(protocol, registry, first, exhausted);
                    return other.unwrap_or(Decision::Identified { protocol, swapped });
                }
                Weight::Unsure { swapped, wait } => {
                    fallback = fallback.or(Some((protocol, swapped)));
                    promising |= wait;
                }
                Weight::Open { exact } => {
                    waiting = true;
                    promising |= exact;
                }
                Weight::Out => {}
            }
        }
        match fallback {
            Some((protocol, swapped)) if exhausted || !promising => Decision::Identified { protocol, swapped },
            None if exhausted || !waiting => Decision::Unknown,
            _ => Decision::Undecided,
        }
    }

    fn weigh(&self, protocol: &'static Protocol, registry: &[&'static Protocol], first: [&[u8]; 2]) -> Weight {
        let hints = Hints::of_ports([self.server_port, self.client_port]).and(self.declared);
        // A framing without a port of its own is to be expected where its protocol is.
        let is_kin = |row: &&Protocol| row.name == protocol.name && hints.has(row);
        let hinted = hints.has(protocol) || protocol.is_bare() && registry.iter().copied().any(|row| is_kin(&row));
        let seen = first.map(|bytes| self.look(protocol, hinted, bytes));
        let count = |wanted: fn(&Probe) -> bool| seen.iter().filter(|probe| wanted(probe)).count();
        let exact = count(|probe| matches!(probe, Probe::Yes { .. }));
        let refused = count(|probe| *probe == Probe::No);
        let swapped = self.swapped(protocol, seen);
        if hinted {
            // The end that should answer seems to ask, or, where nothing but a port says who asks, the other one to answer: what
            // the other end says will tell.
            let asks = says(seen[1], Side::Client) && seen[0] == Probe::More;
            let answers = says(seen[0], Side::Server) && seen[1] == Probe::More;
            let is_guess = self.midstream && self.roles == Roles::Guessed;
            let doubtful = !swapped && (asks || answers && is_guess);
            return match exact {
                1.. if doubtful => Weight::Unsure { swapped, wait: true },
                1.. => Weight::Fits { swapped },
                0 if count(|probe| matches!(probe, Probe::Maybe { .. })) > 0 => Weight::Unsure { swapped, wait: false },
                0 if count(|probe| matches!(probe, Probe::Wait { .. })) > 0 => Weight::Unsure { swapped, wait: true },
                0 if refused == 2 && !self.midstream => Weight::Out,
                0 => Weight::Open { exact: false },
            };
        }
        // Joined in mid-stream, a side may begin inside a frame.
        if refused > usize::from(self.midstream) {
            Weight::Out
        } else if exact == 2 || (exact == 1 && self.has_frames_in_a_row(protocol, first)) {
            Weight::Fits { swapped }
        } else {
            Weight::Open { exact: exact > 0 }
        }
    }

    /// What is decided for a row of the same protocol whose frames have nothing but a checksum, if it explains what `protocol`
    /// explains.
    fn weigh_checksum(
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
        // Of one side alone, which fits both, the other one will tell.
        if header == checksum && checksum != [true; 2] && !exhausted {
            return Some(Decision::Undecided);
        }
        let seen = first.map(|bytes| self.look(rival, false, bytes));
        Some(Decision::Identified { protocol: rival, swapped: self.swapped(rival, seen) })
    }

    /// Judges one side. Joined in mid-stream on a registered port, its first frame may start anywhere near, if it has more
    /// than a checksum to prove that.
    fn look(&self, protocol: &'static Protocol, hinted: bool, bytes: &[u8]) -> Probe {
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
    /// A device may dial out to its master, so not even a handshake proves who asks. Where both sides contradict what was
    /// assumed, they are believed. One side alone is believed when nothing better is known, or when the port is on its
    /// side too; otherwise one odd frame of an attacker would turn the flow around.
    fn swapped(&self, protocol: &Protocol, [client, server]: [Probe; 2]) -> bool {
        let against = [says(client, Side::Server), says(server, Side::Client)];
        let in_favour = [says(client, Side::Client), says(server, Side::Server)];
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

fn says(probe: Probe, side: Side) -> bool {
    match probe {
        Probe::Yes { sender } | Probe::Maybe { sender } | Probe::Wait { sender } => sender == Some(side),
        Probe::No | Probe::More => false,
    }
}

enum Weight {
    /// It is this protocol.
    Fits { swapped: bool },
    /// It is this protocol on its port, unless another fits better; `wait`: unless more is still to come.
    Unsure { swapped: bool, wait: bool },
    /// It may be; `exact`: one side fits already.
    Open { exact: bool },
    /// It is not.
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
