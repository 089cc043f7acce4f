//! A generator of captures: a busy, well-behaved plant, the same bytes for the same settings.
//!
//! ```text
//!  Application -> request and reply bytes -> wire: TCP or UDP, IP, Ethernet -> tape: loss, order, copies -> pcap
//! ```
//!
//! Every client connects to its own server. All flows are opened first, then take turns in small groups, so that
//! requests and replies of several flows interleave, and are closed at the end. Another protocol is another
//! [`Application`] and another [`Speech`].

mod application;
mod modbus;
mod opcua;
mod policy;
mod random;
mod rtu;
mod s7;
mod tape;
mod wire;

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use application::{Application, Turn};
pub(crate) use application::{Speech, Tally};
pub(crate) use policy::{PolicyKind, PolicySize, policy};
use random::Random;
use tape::Tape;
pub(crate) use tape::{Impairments, Taped};
use wire::{End, Flags, Layer4, Wire};

/// Settings of a capture. The same settings give the same bytes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    /// The protocol or mixture of protocols.
    pub(crate) speech: Speech,
    /// Packets to send, before losses and copies; a few less if the last exchange does not fit.
    pub(crate) packets: u64,
    /// Flows, each between its own client and its own server: at most [`MAX_FLOWS`].
    pub(crate) flows: u32,
    /// Requests that a client sends before it waits for the responses.
    pub(crate) pipeline: u32,
    /// Exception responses, per thousand.
    pub(crate) exceptions: u32,
    /// Requests that the policy does not permit, per million.
    pub(crate) violations: u32,
    /// VLAN tag of every frame.
    pub(crate) vlan: Option<u16>,
    /// IPv6 instead of IPv4.
    pub(crate) ipv6: bool,
    /// UDP instead of TCP.
    pub(crate) udp: bool,
    /// Nanosecond time stamps in the file instead of microseconds.
    pub(crate) nanoseconds: bool,
    /// Packet time between two packets, nanoseconds.
    pub(crate) interval: u64,
    /// Losses, reordering and copies on the way to the file.
    pub(crate) impairments: Impairments,
    /// The size of policies beyond what permits the capture.
    pub(crate) policy: PolicySize,
    /// Another seed is another capture of the same kind.
    pub(crate) seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            speech: Speech::ModbusTcp,
            packets: 2_000_000,
            flows: 200,
            pipeline: 1,
            exceptions: 10,
            violations: 0,
            vlan: None,
            ipv6: false,
            udp: false,
            nanoseconds: false,
            interval: 10_000,
            impairments: Impairments::default(),
            policy: PolicySize::default(),
            seed: 1,
        }
    }
}

/// Counts of a generated capture, with which a decoder is compared.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Summary {
    /// Packets in the file.
    pub(crate) taped: Taped,
    /// Requests and responses of each protocol, including those lost on the way to the file.
    pub(crate) sent: Vec<(Speech, Tally)>,
}

/// Writes a capture.
pub(crate) fn generate<W: Write>(settings: &Settings, out: W) -> io::Result<Summary> {
    check(settings)?;
    let random = Random::new(settings.seed);
    let parts = settings.speech.parts();
    let applications: Vec<_> = parts.iter().map(|part| part.application(settings)).collect();
    let spoken = |index: u32| applications[index as usize % parts.len()].as_ref();
    let mut plant = Plant {
        flows: (0..settings.flows).map(|index| Flow::new(settings, index, spoken(index))).collect(),
        asked: vec![Vec::with_capacity(MAX_PAYLOAD); GROUP * settings.pipeline as usize],
        answer: Vec::with_capacity(MAX_PAYLOAD),
        applications,
        road: Road {
            wire: Wire { vlan: settings.vlan },
            fragments: settings.impairments.fragments,
            tape: Tape::new(out, settings)?,
            random: random.fork(),
            udp: settings.udp,
        },
        random,
        settings: settings.clone(),
    };
    plant.run()?;
    let sent = parts.iter().zip(&plant.applications).map(|(part, application)| (*part, application.tally())).collect();
    Ok(Summary { sent, taped: plant.road.tape.finish()? })
}

fn check(settings: &Settings) -> io::Result<()> {
    let refuse = |why: String| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    let least = (0..settings.flows).map(|flow| overhead(settings, flow)).sum::<u64>();
    let PolicySize { flows: declared, points, .. } = settings.policy;
    match settings {
        Settings { flows, .. } if *flows == 0 || *flows > MAX_FLOWS => refuse(format!("1 to {MAX_FLOWS} flows")),
        Settings { pipeline, .. } if *pipeline == 0 || *pipeline > MAX_PIPELINE => {
            refuse(format!("1 to {MAX_PIPELINE} requests at once"))
        }
        Settings { packets, .. } if *packets < least => {
            refuse(format!("{} flows need {least} packets", settings.flows))
        }
        Settings { udp: false, impairments: Impairments { fragments: 1.., .. }, .. } => {
            refuse("only UDP is sent in fragments".to_owned())
        }
        Settings { udp: true, speech, .. } if !speech.is_modbus() => {
            refuse("only Modbus is spoken over UDP".to_owned())
        }
        Settings { speech, .. } if points > 0 && !speech.is_modbus() => {
            refuse("only registers of Modbus are points".to_owned())
        }
        _ if declared > policy::MAX_DECLARED || points > policy::MAX_DECLARED => {
            refuse(format!("at most {} flows or points in a policy", policy::MAX_DECLARED))
        }
        Settings { flows, .. } if points > 0 && *flows > policy::MAX_DECLARED => {
            refuse(format!("points need an asset for each server: at most {} flows", policy::MAX_DECLARED))
        }
        _ => Ok(()),
    }
}

/// Packets that open and close one flow, and the session in it.
fn overhead(settings: &Settings, flow: u32) -> u64 {
    let handshakes = if settings.udp { 0 } else { 2 * HANDSHAKE };
    let parts = settings.speech.parts();
    handshakes + 2 * u64::from(parts[flow as usize % parts.len()].application(settings).opening())
}

/// The hosts and the state of the generation.
struct Plant<W: Write> {
    settings: Settings,
    flows: Vec<Flow>,
    /// Flow `n` uses the `n`th of them, in turn.
    applications: Vec<Box<dyn Application>>,
    random: Random,
    road: Road<W>,
    /// Pending requests of one group.
    asked: Vec<Vec<u8>>,
    answer: Vec<u8>,
}

impl<W: Write> Plant<W> {
    fn run(&mut self) -> io::Result<()> {
        self.each_flow(Flow::open)?;
        self.open_sessions()?;
        let closing = if self.settings.udp { 0 } else { u64::from(self.settings.flows) * HANDSHAKE };
        let last = self.settings.packets - closing;
        let mut first = 0;
        while self.group(first, last)? {
            first = (first + GROUP) % self.flows.len();
        }
        self.each_flow(Flow::close)
    }

    fn each_flow(&mut self, step: fn(&mut Flow, &mut Road<W>) -> io::Result<()>) -> io::Result<()> {
        if self.settings.udp {
            return Ok(());
        }
        self.flows.iter_mut().try_for_each(|flow| step(flow, &mut self.road))
    }

    fn open_sessions(&mut self) -> io::Result<()> {
        let turns: Vec<_> = self.applications.iter().map(|application| application.opening()).collect();
        for turn in 0..turns.iter().copied().max().unwrap_or(0) {
            for flow in (0..self.flows.len()).filter(|flow| turn < turns[flow % turns.len()]) {
                self.ask(flow, 0, 1)?;
                self.reply(flow, 0, 1)?;
            }
        }
        Ok(())
    }

    /// Sends the requests of some flows, then the responses. `false` if no packets are left for another group.
    fn group(&mut self, first: usize, last: u64) -> io::Result<bool> {
        let pipeline = self.settings.pipeline as usize;
        let most = self.applications.iter().map(|application| application.most_segments()).max().unwrap_or(1) as usize;
        let room = last.saturating_sub(self.road.tape.offered()) as usize / (2 * pipeline * most);
        let size = GROUP.min(self.flows.len() - first).min(room);
        for member in 0..size {
            self.ask(first + member, member, pipeline)?;
        }
        for member in 0..size {
            self.reply(first + member, member, pipeline)?;
        }
        Ok(size > 0)
    }

    fn ask(&mut self, flow: usize, member: usize, pipeline: usize) -> io::Result<()> {
        let spoken = flow % self.applications.len();
        let asker = &mut self.flows[flow];
        for request in &mut self.asked[member * pipeline..][..pipeline] {
            request.clear();
            self.applications[spoken].request(Turn { flow, number: asker.turn }, &mut self.random, request);
            asker.turn += 1;
            asker.send(Side::Client, request, &mut self.road)?;
        }
        Ok(())
    }

    fn reply(&mut self, flow: usize, member: usize, pipeline: usize) -> io::Result<()> {
        let spoken = flow % self.applications.len();
        for request in &self.asked[member * pipeline..][..pipeline] {
            self.answer.clear();
            self.applications[spoken].reply(flow, request, &mut self.random, &mut self.answer);
            self.flows[flow].send(Side::Server, &self.answer, &mut self.road)?;
        }
        Ok(())
    }
}

/// The sending end of a flow.
#[derive(Clone, Copy)]
enum Side {
    Client,
    Server,
}

/// The path of every packet: headers, fragments, tape.
struct Road<W: Write> {
    wire: Wire,
    tape: Tape<W>,
    random: Random,
    fragments: u32,
    udp: bool,
}

/// One conversation with its ends and sequence numbers.
struct Flow {
    ends: [End; 2],
    /// Next sequence number of each end.
    next: [u32; 2],
    turn: u32,
    /// Largest payload of a segment, bytes.
    segment: usize,
}

impl Flow {
    fn new(settings: &Settings, index: u32, application: &dyn Application) -> Self {
        let (server_port, segment) = (application.port(), application.segment());
        let client_port = 49_152 + (index % 16_384) as u16;
        let ends = [
            End { mac: mac(0x0C, index), ip: address(settings.ipv6, CLIENTS, index), port: client_port },
            End { mac: mac(0x05, index), ip: address(settings.ipv6, SERVERS, index), port: server_port },
        ];
        // Initial sequence numbers over the whole range, so that some flows wrap.
        let initial = (index + 1).wrapping_mul(0x9E37_79B9);
        Self { ends, next: [initial, !initial], turn: 0, segment }
    }

    fn open<W: Write>(&mut self, road: &mut Road<W>) -> io::Result<()> {
        self.segment(Side::Client, Flags::SYN, &[], road)?;
        self.segment(Side::Server, Flags::SYN | Flags::ACK, &[], road)?;
        self.segment(Side::Client, Flags::ACK, &[], road)
    }

    fn close<W: Write>(&mut self, road: &mut Road<W>) -> io::Result<()> {
        self.segment(Side::Client, Flags::FIN | Flags::ACK, &[], road)?;
        self.segment(Side::Server, Flags::FIN | Flags::ACK, &[], road)?;
        self.segment(Side::Client, Flags::ACK, &[], road)
    }

    /// Sends application bytes in one datagram, or in as many segments as they need.
    fn send<W: Write>(&mut self, from: Side, payload: &[u8], road: &mut Road<W>) -> io::Result<()> {
        if road.udp {
            return self.datagram(from, payload, road);
        }
        payload.chunks(self.segment).try_for_each(|part| self.segment(from, Flags::PSH | Flags::ACK, part, road))
    }

    fn segment<W: Write>(&mut self, from: Side, flags: u8, payload: &[u8], road: &mut Road<W>) -> io::Result<()> {
        let (us, them) = (from as usize, 1 - from as usize);
        let acknowledgement = if flags & Flags::ACK == 0 { 0 } else { self.next[them] };
        let layer4 = Layer4::Tcp { sequence: self.next[us], acknowledgement, flags };
        let phantom = u32::from(flags & (Flags::SYN | Flags::FIN) != 0);
        self.next[us] = self.next[us].wrapping_add(payload.len() as u32 + phantom);
        let frame = road.tape.frame();
        road.wire.packet([&self.ends[us], &self.ends[them]], &layer4, payload, road.random.next() as u16, frame);
        road.tape.put(&mut road.random)
    }

    fn datagram<W: Write>(&mut self, from: Side, payload: &[u8], road: &mut Road<W>) -> io::Result<()> {
        let ends = [&self.ends[from as usize], &self.ends[1 - from as usize]];
        let identification = road.random.next() as u16;
        if !road.random.per_thousand(road.fragments) {
            road.wire.packet(ends, &Layer4::Udp, payload, identification, road.tape.frame());
            return road.tape.put(&mut road.random);
        }
        let mut offset = Some(0);
        while let Some(at) = offset {
            offset = road.wire.fragment(ends, payload, identification, at, road.tape.frame());
            road.tape.put_fragment(&mut road.random)?;
        }
        Ok(())
    }
}

/// Locally administered, so that no vendor is claimed.
fn mac(kind: u8, index: u32) -> [u8; 6] {
    let [a, b, c, d] = index.to_be_bytes();
    [0x02, kind, a, b, c, d]
}

fn address(ipv6: bool, (base4, base6): (Ipv4Addr, Ipv6Addr), index: u32) -> IpAddr {
    if ipv6 {
        IpAddr::V6((u128::from(base6) + 1 + u128::from(index)).into())
    } else {
        IpAddr::V4((u32::from(base4) + 1 + index).into())
    }
}

/// Networks of clients and servers: [`NETWORK4`] and [`NETWORK6`] bits each.
const CLIENTS: (Ipv4Addr, Ipv6Addr) = (Ipv4Addr::new(10, 32, 0, 0), Ipv6Addr::new(0xFD00, 0, 0, 0xC, 0, 0, 0, 0));
const SERVERS: (Ipv4Addr, Ipv6Addr) = (Ipv4Addr::new(10, 48, 0, 0), Ipv6Addr::new(0xFD00, 0, 0, 0x5, 0, 0, 0, 0));
const NETWORK4: u8 = 12;
const NETWORK6: u8 = 64;

/// Addresses that fit into [`NETWORK4`].
pub(crate) const MAX_FLOWS: u32 = (1 << (32 - NETWORK4)) - 2;
/// Bounds the memory of pending requests.
const MAX_PIPELINE: u32 = 64;
/// Packets that open a TCP connection, and packets that close it.
const HANDSHAKE: u64 = 3;
/// Flows whose requests and responses interleave.
const GROUP: usize = 8;
/// Payload of one segment behind Ethernet, VLAN tag, IPv6 and TCP.
const MAX_SEGMENT: usize = 1_400;
/// Room for one application message without growing.
const MAX_PAYLOAD: usize = 4_096;
