//! Who uses which address, by which hardware, on which VLAN, across all conversations: where that is not as the policy
//! declares it, once each.
//!
//! Behind a router, hardware address and VLAN are the router's. Where the policy declares none, a router is known by what
//! comes from its hardware: several addresses of several zones. That takes a while, so that what may turn out to be routed
//! is decided only some seconds after it was first seen. An attacker who looks like a router gains a lower severity, and
//! is told all the same.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use super::table::{LruTable, make_room};
use super::{Finding, Mismatch, What};
use crate::policy::{Host, Identity, Policy, VlanFit, is_routable};

/// Bounded tables; what was not seen for longest is forgotten first.
#[derive(Debug)]
pub(super) struct Hosts {
    limit: usize,
    /// What comes from each hardware address.
    hardware: LruTable<[u8; 6], Hardware>,
    /// What was seen of each declared asset that declares its hardware: as many as the policy has.
    assets: HashMap<u16, Seen>,
    /// On the VLAN of its zone, a host was seen with this hardware address.
    at_home: LruTable<IpAddr, [u8; 6]>,
    /// The VLAN on which one hardware address was seen to send to another, where that is no zone's.
    ways: LruTable<([u8; 6], [u8; 6]), u16>,
    /// VLANs of no zone that carry one direction only: a mirror port made them.
    mirrored: Vec<u16>,
    /// What was decided, or waits to be.
    doubts: LruTable<Doubt, ()>,
    /// What waits: when it is due (packet clock), in that order.
    waiting: VecDeque<(i64, Doubt, Box<Finding>)>,
    /// Entries forgotten because there were too many.
    pub(super) forgotten: u64,
}

/// What comes from one hardware address.
#[derive(Debug, Default)]
struct Hardware {
    zones: Few<Option<u16>, 2>,
    v4: Few<IpAddr, ENOUGH_ADDRESSES>,
    /// Networks of 64 bits: a host changes the rest of its address as it likes.
    v6: Few<u64, ENOUGH_ADDRESSES>,
    vlans: Few<u16, 2>,
    /// That it forwards, and no router is declared, was told.
    is_told: bool,
}

/// What was seen of a declared asset.
#[derive(Debug, Default)]
struct Seen {
    /// Its own hardware.
    itself: bool,
    /// Its address from hardware that forwards, before its own was seen.
    routed: Vec<([u8; 6], Box<Finding>)>,
}

/// Something that is not as the policy declares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Doubt {
    /// An asset's address from other hardware.
    Hardware(u16, [u8; 6]),
    /// An asset's hardware with another address (of IPv6 its network of 64 bits).
    Address(u16, u128),
    /// A host on a VLAN that is not its zone's.
    Vlan(IpAddr, u16, Option<[u8; 6]>),
}

/// Who takes what is to be told.
type Out<'a> = &'a mut dyn FnMut(Box<Finding>);

impl Hosts {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            hardware: LruTable::default(),
            assets: HashMap::new(),
            at_home: LruTable::default(),
            ways: LruTable::default(),
            mirrored: Vec::new(),
            doubts: LruTable::default(),
            waiting: VecDeque::new(),
            forgotten: 0,
        }
    }

    /// Forgets everything: another policy numbers its assets otherwise, and declares others.
    pub(super) fn forget(&mut self) {
        *self = Self { forgotten: self.forgotten, ..Self::new(self.limit) };
    }

    /// The client of `base` was seen to send. `claim`: it only says that the address is its own, as in ARP.
    pub(super) fn take_sighting(&mut self, policy: &Policy, base: &Finding, claim: bool, clock: i64, out: Out<'_>) {
        let host = base.client.host;
        let (Some(ip), identity) = (host.ip, policy.identity(&host)) else { return };
        if let Some(mac) = host.mac
            && !claim
        {
            self.learn(mac, ip, identity.zone, host.vlan);
        }
        self.note_way(base, identity.vlan);
        if identity.is_own_hardware
            && let Some(owner) = identity.owner
        {
            self.is_itself(policy, owner, out);
        }
        if let (VlanFit::OfZone, Some(mac)) = (identity.vlan, host.mac) {
            self.forgotten += make_room(&mut self.at_home, self.limit);
            self.at_home.insert(ip, mac);
        }
        for doubt in doubts(ip, &host, &identity) {
            self.doubt(policy, doubt, base, clock, out);
        }
    }

    /// When the next decision is due, packet clock.
    pub(super) fn due(&self) -> Option<i64> {
        self.waiting.front().map(|(due, ..)| *due)
    }

    /// Decides what has waited for longest.
    pub(super) fn decide(&mut self, policy: &Policy, out: Out<'_>) {
        if let Some((_, doubt, base)) = self.waiting.pop_front() {
            self.conclude(policy, doubt, base, out);
        }
    }

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

    /// Where the directions of two hosts on one link are on two VLANs that are no zone's, the mirror port put them there.
    fn note_way(&mut self, base: &Finding, fit: VlanFit) {
        let (from, to) = (&base.client.host, &base.server.host);
        let (VlanFit::OfNone, Some(vlan), Some(sender), Some(receiver)) = (fit, from.vlan, from.mac, to.mac) else {
            return;
        };
        let back = self.ways.get_mut(&(receiver, sender)).map(|vlan| *vlan).filter(|back| *back != vlan);
        for vlan in back.into_iter().flat_map(|back| [back, vlan]) {
            if !self.mirrored.contains(&vlan) && self.mirrored.len() < MOST_MIRRORED {
                self.mirrored.push(vlan);
            }
        }
        self.forgotten += make_room(&mut self.ways, self.limit);
        self.ways.insert((sender, receiver), vlan);
    }

    /// An asset is on this link itself: hardware that forwards for it is no longer explained by its being elsewhere.
    fn is_itself(&mut self, policy: &Policy, asset: u16, out: Out<'_>) {
        let seen = self.assets.entry(asset).or_default();
        seen.itself = true;
        for (mac, base) in std::mem::take(&mut seen.routed) {
            self.conclude(policy, Doubt::Hardware(asset, mac), base, out);
        }
    }

    fn doubt(&mut self, policy: &Policy, doubt: Doubt, base: &Finding, clock: i64, out: Out<'_>) {
        if self.doubts.to_back(&doubt).is_some() {
            return;
        }
        self.forgotten += make_room(&mut self.doubts, self.limit);
        self.doubts.insert(doubt, ());
        let base = Box::new(base.clone());
        if self.is_certain(doubt) {
            return self.conclude(policy, doubt, base, out);
        }
        if self.waiting.len() >= MOST_WAITING {
            self.decide(policy, out);
        }
        self.waiting.push_back((clock.saturating_add(WAIT), doubt, base));
    }

    /// Whether nothing that is still to come makes it less of a finding than it is.
    fn is_certain(&self, doubt: Doubt) -> bool {
        matches!(doubt, Doubt::Hardware(asset, _) if self.is_here(asset))
    }

    fn is_here(&self, asset: u16) -> bool {
        self.assets.get(&asset).is_some_and(|seen| seen.itself)
    }

    fn conclude(&mut self, policy: &Policy, doubt: Doubt, base: Box<Finding>, out: Out<'_>) {
        let mac = base.client.host.mac;
        let is_router = mac.is_some_and(|mac| self.hardware.get_mut(&mac).is_some_and(|known| known.forwards()));
        let mismatch = match doubt {
            Doubt::Hardware(asset, mac) if is_router && !self.is_here(asset) => {
                let routed = &mut self.assets.entry(asset).or_default().routed;
                if routed.len() < MOST_ROUTERS {
                    routed.push((mac, base.clone()));
                }
                return self.tell_router(base, out);
            }
            Doubt::Hardware(asset, _) => {
                Mismatch::Hardware { asset, seen_itself: self.is_here(asset), forwards: is_router }
            }
            Doubt::Vlan(_, vlan, _) if self.mirrored.contains(&vlan) => return,
            Doubt::Address(..) | Doubt::Vlan(..) if is_router => return self.tell_router(base, out),
            Doubt::Address(asset, _) => Mismatch::Address { asset },
            Doubt::Vlan(ip, _, mac) => {
                let fit = policy.identity(&base.client.host).vlan;
                let zone = if let VlanFit::OfAnother(zone) = fit { Some(zone) } else { None };
                let at_home = self.at_home.get_mut(&ip).is_some_and(|home| mac.is_some_and(|mac| mac != *home));
                Mismatch::Vlan { of: zone, at_home }
            }
        };
        out(Box::new(Finding { what: What::Mismatch(mismatch), ..*base }));
    }

    /// Hardware that forwards is told once.
    fn tell_router(&mut self, base: Box<Finding>, out: Out<'_>) {
        let known = base.client.host.mac.and_then(|mac| self.hardware.get_mut(&mac));
        let is_told = known.map(|known| std::mem::replace(&mut known.is_told, true));
        if is_told == Some(false) {
            out(Box::new(Finding { what: What::Mismatch(Mismatch::Router), ..*base }));
        }
    }
}

impl Hardware {
    /// Whether it sends what others gave it: there are addresses of several zones, and more of them than one host has, or
    /// they are spread over VLANs as those behind a router are.
    fn forwards(&self) -> bool {
        self.zones.is_full() && (self.v4.is_full() || self.v6.is_full() || self.vlans.is_full())
    }
}

/// What of a host is not as declared. What comes from a declared router is as it should be.
fn doubts(ip: IpAddr, host: &Host, identity: &Identity) -> impl Iterator<Item = Doubt> {
    let is_doubtful = !identity.is_router && is_routable(ip);
    let mac = host.mac.filter(|_| is_doubtful);
    let other = identity.owner.filter(|_| identity.is_other_hardware);
    let hardware = other.zip(mac).map(|(owner, mac)| Doubt::Hardware(owner, mac));
    let unnamed =
        identity.bearer.filter(|_| identity.owner.is_none() && !identity.is_at_home).filter(|_| mac.is_some());
    let address = unnamed.map(|bearer| Doubt::Address(bearer, network(ip)));
    // Where hardware is declared, only that is compared with the VLAN: what other hardware sends is told as such.
    let fits = matches!(identity.vlan, VlanFit::Unknown | VlanFit::OfZone) || identity.is_other_hardware;
    let vlan = host.vlan.filter(|_| is_doubtful && !fits).map(|vlan| Doubt::Vlan(ip, vlan, mac));
    [hardware, address, vlan].into_iter().flatten()
}

/// An address as far as one that a host chose is told apart from another.
fn network(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_bits().into(),
        IpAddr::V6(ip) => ip.to_bits() & !u128::from(u64::MAX),
    }
}

/// A few different values, of which it matters only that there are so many.
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

/// How long after it was first seen something is decided that may turn out to be routed, nanoseconds of packet clock.
const WAIT: i64 = 10_000_000_000;

/// So many addresses of one family come from no host that is not a router.
const ENOUGH_ADDRESSES: usize = 3;

/// What waits at the same time, at most; beyond it, what has waited for longest is decided early.
const MOST_WAITING: usize = 4096;

/// Routers that are remembered for one asset: there are two where one can fail.
const MOST_ROUTERS: usize = 8;

/// VLANs that a mirror port makes, at most: one for each direction of a few sessions.
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

    /// What was told, and by whom.
    struct Run {
        hosts: Hosts,
        policy: Policy,
        told: Vec<(Mismatch, Option<[u8; 6]>)>,
    }

    impl Run {
        fn new(limit: usize) -> Self {
            let policy = Policy::parse("test.toml", POLICY).unwrap_or_default();
            Self { hosts: Hosts::new(limit), policy, told: Vec::new() }
        }

        /// An address is used by hardware that ends in this number.
        fn sees(&mut self, ip: [u8; 4], hardware: u32, clock: i64) -> &mut Self {
            let mut base = testing::finding(0);
            let [a, b, c, d] = hardware.to_be_bytes();
            base.client.host = Host { ip: Some(Ipv4Addr::from(ip).into()), mac: Some([2, 0, a, b, c, d]), vlan: None };
            let told = &mut self.told;
            self.hosts.take_sighting(&self.policy, &base, false, clock, &mut |finding| told.extend(mismatch(&finding)));
            self
        }

        fn decides(&mut self) -> &mut Self {
            let told = &mut self.told;
            self.hosts.decide(&self.policy, &mut |finding| told.extend(mismatch(&finding)));
            self
        }

        fn kinds(&self) -> Vec<Mismatch> {
            self.told.iter().map(|(mismatch, _)| *mismatch).collect()
        }
    }

    fn mismatch(finding: &Finding) -> Option<(Mismatch, Option<[u8; 6]>)> {
        match finding.what {
            What::Mismatch(mismatch) => Some((mismatch, finding.client.host.mac)),
            _ => None,
        }
    }

    const SCADA: [u8; 4] = [10, 0, 1, 10];

    fn other(seen_itself: bool, forwards: bool) -> Mismatch {
        Mismatch::Hardware { asset: 0, seen_itself, forwards }
    }

    #[test]
    fn what_a_router_may_explain_is_decided_when_it_is_due_and_not_before() {
        let mut run = Run::new(100);
        run.sees(SCADA, 1, 7);
        assert_eq!((run.hosts.due(), run.told.len()), (Some(7 + WAIT), 0));
        run.decides();
        assert_eq!((run.hosts.due(), run.kinds()), (None, vec![other(false, false)]));
        run.sees(SCADA, 1, 8).decides();
        assert_eq!(run.told.len(), 1, "once");
    }

    #[test]
    fn what_no_router_explains_is_told_at_once() {
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
    fn a_flood_of_hardware_addresses_takes_no_more_memory_and_is_told_all_the_same() {
        let mut run = Run::new(64);
        let count = MOST_WAITING as u32 + 500;
        (100..100 + count).for_each(|hardware| _ = run.sees(SCADA, hardware, 0));
        assert!(run.hosts.hardware.len() <= 64 && run.hosts.doubts.len() <= 64);
        assert_eq!((run.hosts.waiting.len(), run.told.len()), (MOST_WAITING, 500), "the rest was decided early");
        assert!(run.hosts.forgotten > 0);
        while run.hosts.due().is_some() {
            run.decides();
        }
        assert_eq!(run.told.len(), count as usize);
    }

    #[test]
    fn another_policy_knows_nothing_of_what_was_seen_under_the_one_before() {
        let mut run = Run::new(100);
        run.sees(SCADA, OWN, 0).sees(SCADA, 1, 1);
        run.hosts.forget();
        run.sees(SCADA, 1, 2).decides();
        assert_eq!(run.kinds(), [other(true, false), other(false, false)]);
    }
}
