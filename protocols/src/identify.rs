//! Which protocol a flow speaks, and which end is the client: by structure, on any port.

use crate::dissector::{FrameLen, Limits, Probe, Protocol, Side, Transport};

/// What is known about a flow's protocol.
#[derive(Clone, Copy, Debug)]
pub enum Decision {
    /// Not enough seen yet.
    Undecided,
    /// It is this one.
    Speaks {
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
    /// frames in a row: a false identification costs more than a late one.
    pub fn decide(&self, registry: &[&'static Protocol], first: [&[u8]; 2], exhausted: bool) -> Decision {
        let mut fallback = None;
        let (mut waiting, mut promising) = (false, false);
        for protocol in registry.iter().copied().filter(|row| row.transports.contains(&self.transport)) {
            match self.weigh(protocol, first) {
                Weight::Fits { swapped } => return Decision::Speaks { protocol, swapped },
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
            Some((protocol, swapped)) if exhausted || !promising => Decision::Speaks { protocol, swapped },
            None if exhausted || !waiting => Decision::Unknown,
            _ => Decision::Undecided,
        }
    }

    fn weigh(&self, protocol: &'static Protocol, first: [&[u8]; 2]) -> Weight {
        let hinted = protocol.ports.contains(&self.server_port) || protocol.ports.contains(&self.client_port);
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

    /// Judges one side. Joined in mid-stream on a registered port, its first frame may start anywhere near.
    fn look(&self, protocol: &'static Protocol, hinted: bool, bytes: &[u8]) -> Probe {
        if bytes.is_empty() {
            return Probe::More;
        }
        let first = (protocol.probe)(self.transport, bytes);
        if first != Probe::No || !(hinted && self.midstream) {
            return first;
        }
        (1..bytes.len().min(protocol.max_frame))
            .filter_map(|start| bytes.get(start..))
            .map(|rest| (protocol.probe)(self.transport, rest))
            .find(|probe| matches!(probe, Probe::Yes { .. }))
            .unwrap_or(Probe::No)
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
        let registered = |port| protocol.ports.contains(&port);
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
