//! Compares hardware address, IP address and VLAN of every host, across all conversations, with what the policy declares. Each
//! difference is found once.
//!
//! Behind a router, hardware address and VLAN are the router's. A router that the policy does not declare is recognised by what
//! its hardware sends: several addresses of several zones. That takes a while, so a difference that a router may explain is
//! decided only some seconds after it was first seen. An attacker that looks like a router lowers the severity, but is
//! published nevertheless.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use super::table::{LruTable, make_room};
use super::{Finding, FindingKind, Mismatch};
use crate::policy::{Host, Identity, Policy, VlanFit, is_routable};

/// Bounded tables; the least recently seen entry is forgotten first.
#[derive(Debug)]
pub(super) struct Hosts {
    limit: usize,
    /// What each hardware address sends.
    hardware: LruTable<[u8; 6], Hardware>,
    /// What was seen of each asset that declares its hardware: as many as the policy has.
    assets: HashMap<u16, Seen>,
    /// The hardware address with which a host was seen on a VLAN of its zone.
    at_home: LruTable<IpAddr, [u8; 6]>,
    /// The VLAN on which one hardware address sent to another, if it is not the VLAN of any zone.
    routes: LruTable<([u8; 6], [u8; 6]), u16>,
    /// VLANs of no zone that carry one direction only: an artefact of a mirror port.
    mirrored: Vec<u16>,
    /// Doubts that are decided or undecided, so that each is raised once.
    doubts: LruTable<Doubt, ()>,
    /// Undecided doubts, by when they are due (packet clock).
    undecided: VecDeque<(i64, Doubt, Box<Finding>)>,
    /// Entries that were forgotten because there were too many.
    pub(super) forgotten: u64,
}

/// What one hardware address sends.
#[derive(Debug, Default)]
struct Hardware {
    zones: Few<Option<u16>, 2>,
    v4: Few<IpAddr, ENOUGH_ADDRESSES>,
    /// Networks of 64 bits: a host chooses the rest of its address.
    v6: Few<u64, ENOUGH_ADDRESSES>,
    vlans: Few<u16, 2>,
    /// The finding that it forwards, and is not declared as a router, was published.
    is_published: bool,
}

/// What was seen of a declared asset.
#[derive(Debug, Default)]
struct Seen {
    /// Its own hardware was seen.
    itself: bool,
    /// Sightings of its address from hardware that forwards, before its own hardware was seen.
    routed: Vec<([u8; 6], Box<Finding>)>,
}

/// A difference from the policy that is not decided yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Doubt {
    /// An asset's address from other hardware.
    Hardware(u16, [u8; 6]),
    /// An asset's hardware with another address (for IPv6, its network of 64 bits).
    Address(u16, u128),
    /// A host on a VLAN that its zone does not declare.
    Vlan(IpAddr, u16, Option<[u8; 6]>),
}

/// Receives the findings.
type Out<'a> = &'a mut dyn FnMut(Box<Finding>);

impl Hosts {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            hardware: LruTable::default(),
            assets: HashMap::new(),
            at_home: LruTable::default(),
            routes: LruTable::default(),
            mirrored: Vec::new(),
            doubts: LruTable::default(),
            undecided: VecDeque::new(),
            forgotten: 0,
        }
    }

    /// Forgets everything: another policy numbers its assets differently, and declares others.
    pub(super) fn forget(&mut self) {
        *self = Self { forgotten: self.forgotten, ..Self::new(self.limit) };
    }

    /// Compares a packet of the client of `base` with the policy. With `is_claim`, the packet only claims the address, as ARP does.
    pub(super) fn handle_sighting(
        &mut self,
        policy: &Policy,
        base: &Finding,
        is_claim: bool,
        clock: i64,
        out: Out<'_>,
    ) {
        let host = base.client.host;
        let (Some(ip), identity) = (host.ip, policy.identity(&host)) else { return };
        if let Some(mac) = host.mac
            && !is_claim
        {
            self.learn(mac, ip, identity.zone, host.vlan);
        }
        self.note_route(base, identity.vlan);
        if identity.is_own_hardware
            && let Some(owner) = identity.owner
        {
            self.handle_own_hardware(policy, owner, out);
        }
        if let (VlanFit::OfZone, Some(mac)) = (identity.vlan, host.mac) {
            self.forgotten += make_room(&mut self.at_home, self.limit);
            self.at_home.insert(ip, mac);
        }
        for doubt in doubts(ip, &host, &identity) {
            self.handle_doubt(policy, doubt, base, clock, out);
        }
    }

    /// When the next decision is due, packet clock; none if nothing is undecided.
    pub(super) fn due(&self) -> Option<i64> {
        self.undecided.front().map(|(due, ..)| *due)
    }

    /// Decides the oldest undecided doubt.
    pub(super) fn decide(&mut self, policy: &Policy, out: Out<'_>) {
        if let Some((_, doubt, base)) = self.undecided.pop_front() {
            self.resolve_doubt(policy, doubt, base, out);
        }
    }

    /// Remembers that this hardware sends from this address, in this zone and on this VLAN.
    fn learn(&mut self, mac: [u8; 6], ip: IpAddr, zone: Option<u16>, vlan: Option<u16>) {
        if self.hardware.to_back(&mac).is_none() {
            self.forgotten += make_room(&mut self.hardware, self.limit);
            self.hardware.insert(mac, Hardware::default());
        }
        let Some(known) = self.hardware.get_mut(&mac) else { return };
        known.zones.add(zone);
        match ip {
            IpAddr::V4(_) => known.v4.add(ip),
            IpAddr::V6(ip) => known.v6.add((ip.to_bits() >> 64) as u64),
        }
        if let Some(vlan) = vlan {
            known.vlans.add(vlan);
        }
    }

    /// Finds mirrored VLANs: the two directions between two hosts on one link are on two VLANs of no zone.
    fn note_route(&mut self, base: &Finding, fit: VlanFit) {
        let (from, to) = (&base.client.host, &base.server.host);
        let (VlanFit::OfNone, Some(vlan), Some(sender), Some(receiver)) = (fit, from.vlan, from.mac, to.mac) else {
            return;
        };
        let back = self.routes.get_mut(&(receiver, sender)).map(|vlan| *vlan).filter(|back| *back != vlan);
        for vlan in back.into_iter().flat_map(|back| [back, vlan]) {
            if !self.mirrored.contains(&vlan) && self.mirrored.len() < MOST_MIRRORED {
                self.mirrored.push(vlan);
            }
        }
        self.forgotten += make_room(&mut self.routes, self.limit);
        self.routes.insert((sender, receiver), vlan);
    }

    /// Handles a packet of an asset's own hardware. The asset is on this link, so hardware that forwards for it is no longer
    /// explained by a router.
    fn handle_own_hardware(&mut self, policy: &Policy, asset: u16, out: Out<'_>) {
        let seen = self.assets.entry(asset).or_default();
        seen.itself = true;
        for (mac, base) in std::mem::take(&mut seen.routed) {
            self.resolve_doubt(policy, Doubt::Hardware(asset, mac), base, out);
        }
    }

    /// Handles a doubt: decides it at once if it is certain, and later otherwise.
    fn handle_doubt(&mut self, policy: &Policy, doubt: Doubt, base: &Finding, clock: i64, out: Out<'_>) {
        if self.doubts.to_back(&doubt).is_some() {
            return;
        }
        self.forgotten += make_room(&mut self.doubts, self.limit);
        self.doubts.insert(doubt, ());
        let base = Box::new(base.clone());
        if self.is_certain(doubt) {
            return self.resolve_doubt(policy, doubt, base, out);
        }
        if self.undecided.len() >= MOST_UNDECIDED {
            self.decide(policy, out);
        }
        self.undecided.push_back((clock.saturating_add(WAIT), doubt, base));
    }

    /// Whether no later packet can explain the doubt.
    fn is_certain(&self, doubt: Doubt) -> bool {
        matches!(doubt, Doubt::Hardware(asset, _) if self.is_on_link(asset))
    }

    /// Whether the asset's own hardware was seen on this link.
    fn is_on_link(&self, asset: u16) -> bool {
        self.assets.get(&asset).is_some_and(|seen| seen.itself)
    }

    /// Reports a doubt as a mismatch or a router, or drops it if a mirror port explains it.
    fn resolve_doubt(&mut self, policy: &Policy, doubt: Doubt, base: Box<Finding>, out: Out<'_>) {
        let mac = base.client.host.mac;
        let is_router = mac.is_some_and(|mac| self.hardware.get_mut(&mac).is_some_and(|known| known.forwards()));
        let mismatch = match doubt {
            Doubt::Hardware(asset, mac) if is_router && !self.is_on_link(asset) => {
                let routed = &mut self.assets.entry(asset).or_default().routed;
                if routed.len() < MOST_ROUTERS {
                    routed.push((mac, base.clone()));
                }
                return self.publish_router(base, out);
            }
            Doubt::Hardware(asset, _) => {
                Mismatch::Hardware { asset, own_hardware_seen: self.is_on_link(asset), forwards: is_router }
            }
            Doubt::Vlan(_, vlan, _) if self.mirrored.contains(&vlan) => return,
            Doubt::Address(..) | Doubt::Vlan(..) if is_router => return self.publish_router(base, out),
            Doubt::Address(asset, _) => Mismatch::Address { asset },
            Doubt::Vlan(ip, _, mac) => {
                let fit = policy.identity(&base.client.host).vlan;
                let zone = if let VlanFit::OfAnother(zone) = fit { Some(zone) } else { None };
                let at_home = self.at_home.get_mut(&ip).is_some_and(|home| mac.is_some_and(|mac| mac != *home));
                Mismatch::Vlan { of: zone, used_on_zone_vlan: at_home }
            }
        };
        out(Box::new(Finding { what: FindingKind::Mismatch(mismatch), ..*base }));
    }

    /// Publishes once that hardware forwards.
    fn publish_router(&mut self, base: Box<Finding>, out: Out<'_>) {
        let known = base.client.host.mac.and_then(|mac| self.hardware.get_mut(&mac));
        let is_published = known.map(|known| std::mem::replace(&mut known.is_published, true));
        if is_published == Some(false) {
            out(Box::new(Finding { what: FindingKind::Mismatch(Mismatch::Router), ..*base }));
        }
    }
}

impl Hardware {
    /// Whether it forwards for other hosts: it sends from addresses of several zones, and from more of them than one host has,
    /// or on several VLANs.
    fn forwards(&self) -> bool {
        self.zones.is_full() && (self.v4.is_full() || self.v6.is_full() || self.vlans.is_full())
    }
}

/// The differences between a host and its declaration. A declared router explains all of them.
fn doubts(ip: IpAddr, host: &Host, identity: &Identity) -> impl Iterator<Item = Doubt> {
    let is_doubtful = !identity.is_router && is_routable(ip);
    let mac = host.mac.filter(|_| is_doubtful);
    let other = identity.owner.filter(|_| identity.is_other_hardware);
    let hardware = other.zip(mac).map(|(owner, mac)| Doubt::Hardware(owner, mac));
    let unnamed =
        identity.bearer.filter(|_| identity.owner.is_none() && !identity.is_at_home).filter(|_| mac.is_some());
    let address = unnamed.map(|bearer| Doubt::Address(bearer, network(ip)));
    // Other hardware is a finding of its own, so its VLAN is not compared.
    let fits = matches!(identity.vlan, VlanFit::Unknown | VlanFit::OfZone) || identity.is_other_hardware;
    let vlan = host.vlan.filter(|_| is_doubtful && !fits).map(|vlan| Doubt::Vlan(ip, vlan, mac));
    [hardware, address, vlan].into_iter().flatten()
}

/// The part of an address that a host does not choose itself: all of an IPv4 address, the network of an IPv6 address.
fn network(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_bits().into(),
        IpAddr::V6(ip) => ip.to_bits() & !u128::from(u64::MAX),
    }
}

/// A set of up to `N` values that matters only for being full.
#[derive(Debug)]
struct Few<T, const N: usize>([Option<T>; N]);

impl<T, const N: usize> Default for Few<T, N> {
    fn default() -> Self {
        Self([const { None }; N])
    }
}

impl<T: PartialEq, const N: usize> Few<T, N> {
    fn add(&mut self, value: T) {
        if !self.0.iter().flatten().any(|known| *known == value)
            && let Some(free) = self.0.iter_mut().find(|one| one.is_none())
        {
            *free = Some(value);
        }
    }

    fn is_full(&self) -> bool {
        self.0.iter().all(Option::is_some)
    }
}

/// How long a doubt that a router may explain stays undecided, nanoseconds of packet clock.
const WAIT: i64 = 10_000_000_000;

/// Hardware with this many addresses of one family is a router.
const ENOUGH_ADDRESSES: usize = 3;

/// Most undecided doubts; beyond it, the oldest is decided early.
const MOST_UNDECIDED: usize = 4096;

/// Most routers that are remembered for one asset; a redundant pair makes two.
const MOST_ROUTERS: usize = 8;

/// Most mirrored VLANs: one for each direction of a few mirror sessions.
const MOST_MIRRORED: usize = 16;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::record::testing;

    const POLICY: &str = r#"
schema = "lockkeeper-policy/1"
[zone.scada]
networks = ["10.0.1.0/24"]
[zone.plc]
networks = ["10.0.2.0/24"]
[asset.SCADA]
zone = "scada"
ip = "10.0.1.10"
mac = "02:00:00:00:00:0a"
"#;
    const OWN: u32 = 0x0A;

    /// A run, with the mismatches that it found and the hardware address of each.
    struct Run {
        hosts: Hosts,
        policy: Policy,
        found: Vec<(Mismatch, Option<[u8; 6]>)>,
    }

    impl Run {
        fn new(limit: usize) -> Self {
            let policy = Policy::parse("test.toml", POLICY).unwrap_or_default();
            Self { hosts: Hosts::new(limit), policy, found: Vec::new() }
        }

        /// Takes a packet from an address and from hardware whose address ends in this number.
        fn sees(&mut self, ip: [u8; 4], hardware: u32, clock: i64) -> &mut Self {
            let mut base = testing::finding(0);
            let [a, b, c, d] = hardware.to_be_bytes();
            base.client.host = Host { ip: Some(Ipv4Addr::from(ip).into()), mac: Some([2, 0, a, b, c, d]), vlan: None };
            let found = &mut self.found;
            self.hosts
                .handle_sighting(&self.policy, &base, false, clock, &mut |finding| found.extend(mismatch(&finding)));
            self
        }

        fn decides(&mut self) -> &mut Self {
            let found = &mut self.found;
            self.hosts.decide(&self.policy, &mut |finding| found.extend(mismatch(&finding)));
            self
        }

        fn kinds(&self) -> Vec<Mismatch> {
            self.found.iter().map(|(mismatch, _)| *mismatch).collect()
        }
    }

    fn mismatch(finding: &Finding) -> Option<(Mismatch, Option<[u8; 6]>)> {
        match finding.what {
            FindingKind::Mismatch(mismatch) => Some((mismatch, finding.client.host.mac)),
            _ => None,
        }
    }

    const SCADA: [u8; 4] = [10, 0, 1, 10];

    fn other(own_hardware_seen: bool, forwards: bool) -> Mismatch {
        Mismatch::Hardware { asset: 0, own_hardware_seen, forwards }
    }

    #[test]
    fn a_doubt_that_a_router_may_explain_is_decided_when_it_is_due_and_not_before() {
        let mut run = Run::new(100);
        run.sees(SCADA, 1, 7);
        assert_eq!((run.hosts.due(), run.found.len()), (Some(7 + WAIT), 0));
        run.decides();
        assert_eq!((run.hosts.due(), run.kinds()), (None, vec![other(false, false)]));
        run.sees(SCADA, 1, 8).decides();
        assert_eq!(run.found.len(), 1, "once");
    }

    #[test]
    fn a_doubt_that_no_router_explains_is_published_at_once() {
        let mut run = Run::new(100);
        run.sees(SCADA, OWN, 0).sees(SCADA, 1, 1);
        assert_eq!(run.kinds(), [other(true, false)]);
    }

    #[test]
    fn three_addresses_of_two_zones_make_a_router_and_fewer_or_of_one_zone_do_not() {
        let decided = |more: &[[u8; 4]]| {
            let mut run = Run::new(100);
            run.sees(SCADA, 1, 0);
            more.iter().for_each(|ip| _ = run.sees(*ip, 1, 1));
            run.decides().kinds()
        };
        assert_eq!(decided(&[[10, 0, 2, 5], [10, 0, 2, 6]]), [Mismatch::Router]);
        assert_eq!(decided(&[[192, 0, 2, 5], [192, 0, 2, 6]]), [Mismatch::Router], "hosts of no zone");
        assert_eq!(decided(&[[10, 0, 2, 5]]), [other(false, false)]);
        assert_eq!(decided(&[[10, 0, 1, 5], [10, 0, 1, 6]]), [other(false, false)]);
    }

    #[test]
    fn a_router_that_has_explained_an_asset_explains_it_no_more_when_the_asset_is_here() {
        let mut run = Run::new(100);
        run.sees(SCADA, 1, 0).sees([10, 0, 2, 5], 1, 1).sees([10, 0, 2, 6], 1, 2).decides();
        run.sees(SCADA, OWN, 3);
        assert_eq!(run.kinds(), [Mismatch::Router, other(true, true)]);
    }

    #[test]
    fn a_flood_of_hardware_addresses_takes_no_more_memory_and_is_published() {
        let mut run = Run::new(64);
        let count = MOST_UNDECIDED as u32 + 500;
        (100..100 + count).for_each(|hardware| _ = run.sees(SCADA, hardware, 0));
        assert!(run.hosts.hardware.len() <= 64 && run.hosts.doubts.len() <= 64);
        assert_eq!((run.hosts.undecided.len(), run.found.len()), (MOST_UNDECIDED, 500), "the rest was decided early");
        assert!(run.hosts.forgotten > 0);
        while run.hosts.due().is_some() {
            run.decides();
        }
        assert_eq!(run.found.len(), count as usize);
    }

    #[test]
    fn nothing_is_kept_from_one_policy_to_the_next() {
        let mut run = Run::new(100);
        run.sees(SCADA, OWN, 0).sees(SCADA, 1, 1);
        run.hosts.forget();
        run.sees(SCADA, 1, 2).decides();
        assert_eq!(run.kinds(), [other(true, false), other(false, false)]);
    }
}
