//! Which protocol a flow speaks, and which end is the client: by structure, on any port.

use crate::dissector::{Probe, Protocol, Side, Transport};

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
    /// Decides from the first bytes of the client and of the server, in that order. On a registered port one side is
    /// enough; on any other both must fit, or one must hold several frames in a row (a false identification costs more
    /// than a late one).
    pub fn decide(&self, registry: &[&'static Protocol], first: [&[u8]; 2], exhausted: bool) -> Decision {
        let mut waiting = false;
        for protocol in registry.iter().copied().filter(|row| row.transports.contains(&self.transport)) {
            match self.weigh(protocol, first) {
                Weight::Fits { swapped } => return Decision::Speaks { protocol, swapped },
                Weight::Open => waiting = true,
                Weight::Out => {}
            }
        }
        if waiting && !exhausted { Decision::Undecided } else { Decision::Unknown }
    }

    fn weigh(&self, protocol: &'static Protocol, [client, server]: [&[u8]; 2]) -> Weight {
        let hinted = protocol.ports.contains(&self.server_port) || protocol.ports.contains(&self.client_port);
        let look = |bytes: &[u8]| if bytes.is_empty() { Probe::More } else { (protocol.probe)(self.transport, bytes) };
        let seen = [look(client), look(server)];
        let fits = seen.iter().filter(|probe| matches!(probe, Probe::Yes { .. })).count();
        let refused = seen.contains(&Probe::No);
        // Joined in mid-stream, a side may begin inside a frame: only the other one needs to fit.
        let tolerable = !refused || (self.midstream && hinted && fits > 0);
        if !tolerable {
            return if self.midstream && hinted { Weight::Open } else { Weight::Out };
        }
        let enough =
            fits == 2 || (fits == 1 && (hinted || has_frames_in_a_row(protocol, self.transport, client, server)));
        if enough { Weight::Fits { swapped: self.swapped(seen) } } else { Weight::Open }
    }

    /// Whether the shape says that the roles are the other way round.
    fn swapped(&self, [client, server]: [Probe; 2]) -> bool {
        if self.roles == Roles::Certain {
            return false;
        }
        let says = |probe: Probe, sender: Side| matches!(probe, Probe::Yes { sender: Some(side) } if side == sender);
        let against = says(client, Side::Server) || says(server, Side::Client);
        let in_favour = says(client, Side::Client) || says(server, Side::Server);
        against && !in_favour
    }
}

enum Weight {
    Fits { swapped: bool },
    Open,
    Out,
}

/// How many frames in a row identify a protocol on an unregistered port when only one direction is captured.
const FRAMES_IN_A_ROW: usize = 3;

fn has_frames_in_a_row(protocol: &'static Protocol, transport: Transport, client: &[u8], server: &[u8]) -> bool {
    let dissector = (protocol.open)(transport, &crate::Limits::default());
    [(Side::Client, client), (Side::Server, server)].into_iter().any(|(side, mut rest)| {
        let mut frames = 0;
        while let crate::FrameLen::Bytes(length) = dissector.frame_len(side, rest) {
            let Some(tail) = rest.get(length.max(1)..) else { break };
            frames += 1;
            rest = tail;
        }
        frames >= FRAMES_IN_A_ROW
    })
}
