//! The zone and the asset of a host. Networks nest, and are flattened into sorted intervals for the longest-prefix match.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use super::model::{Asset, Zone};
use super::{Host, Place};

/// Zones and assets by address.
#[derive(Clone, Debug, Default)]
pub(super) struct Membership {
    v4: Intervals<u32>,
    v6: Intervals<u128>,
    /// Directed broadcast addresses of the zones' IPv4 networks, each with its network, sorted.
    broadcasts: Vec<(Ipv4Addr, Ipv4Net)>,
    assets_by_ip: Vec<(IpAddr, u16)>,
    assets_by_mac: Vec<([u8; 6], u16)>,
    zones_by_mac: Vec<([u8; 6], u16)>,
    zones_by_vlan: Vec<(u16, u16)>,
    assets: Vec<KnownAsset>,
    /// For each zone: whether it has networks.
    has_networks: Vec<bool>,
}

/// The parts of a declared asset that place hosts.
#[derive(Clone, Copy, Debug)]
struct KnownAsset {
    zone: u16,
    has_ip: bool,
    has_mac: bool,
    is_router: bool,
}

impl KnownAsset {
    const fn of(asset: &Asset) -> Self {
        let Asset { zone, is_router, .. } = *asset;
        Self { zone, has_ip: !asset.ip.is_empty(), has_mac: !asset.mac.is_empty(), is_router }
    }
}

/// Where a host belongs, and what kind of address it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placement {
    pub(super) place: Place,
    pub(super) kind: AddressKind,
}

/// Whether an address is that of one host or of many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AddressKind {
    /// The address of one host.
    Unicast,
    /// Multicast or limited broadcast: every host near the sender.
    Group,
    /// Directed broadcast of a declared network: every host in it.
    DirectedBroadcast,
    /// The broadcast address of a network that is not declared, or one host: the last bits are all ones.
    MaybeBroadcast,
}

const NOWHERE: Placement = Placement { place: Place { zone: None, asset: None }, kind: AddressKind::Unicast };

impl Membership {
    pub(super) fn new(zones: &[Zone], assets: &[Asset]) -> Self {
        let indexed = || (0..).zip(zones);
        let networks: Vec<(IpNet, u16)> =
            indexed().flat_map(|(at, zone)| zone.networks.iter().map(move |network| (*network, at))).collect();
        let mut broadcasts: Vec<_> = networks.iter().filter_map(|(network, _)| broadcast_of(network)).collect();
        broadcasts.sort_unstable();
        Self {
            v4: Intervals::new(networks.iter().filter_map(|(network, zone)| match network {
                IpNet::V4(net) => Some((net.network().to_bits(), net.broadcast().to_bits(), *zone)),
                IpNet::V6(_) => None,
            })),
            v6: Intervals::new(networks.iter().filter_map(|(network, zone)| match network {
                IpNet::V6(net) => Some((net.network().to_bits(), net.broadcast().to_bits(), *zone)),
                IpNet::V4(_) => None,
            })),
            broadcasts,
            assets_by_ip: sorted((0..).zip(assets).flat_map(|(at, asset)| asset.ip.iter().map(move |ip| (*ip, at)))),
            assets_by_mac: sorted(
                (0..).zip(assets).flat_map(|(at, asset)| asset.mac.iter().map(move |mac| (*mac, at))),
            ),
            zones_by_mac: sorted(indexed().flat_map(|(at, zone)| zone.macs.iter().map(move |mac| (*mac, at)))),
            zones_by_vlan: sorted(indexed().flat_map(|(at, zone)| zone.vlans.iter().map(move |vlan| (*vlan, at)))),
            assets: assets.iter().map(KnownAsset::of).collect(),
            has_networks: zones.iter().map(|zone| !zone.networks.is_empty()).collect(),
        }
    }

    /// Places a host by its IP address; where no network has that, by its hardware address, then by its VLAN.
    ///
    /// The hardware of a declared asset identifies the asset under any address, except one in the network of another zone.
    /// Hosts behind a router show the hardware address and the VLAN of the router, which would place an attacker in the zone
    /// that it attacks. Therefore the hardware of a router identifies no address but its own, and a host with a routable
    /// address in no network is placed by VLAN, or by a hardware address that is not an asset's, only in zones without
    /// networks.
    pub(super) fn place(&self, host: &Host) -> Placement {
        let Some(ip) = canonical(host) else {
            let group = host.mac.is_some_and(|mac| mac.first().is_some_and(|octet| octet & 1 == 1));
            return if group { Placement { kind: AddressKind::Group, ..NOWHERE } } else { self.without_ip(host, true) };
        };
        if is_group(ip) {
            return Placement { kind: AddressKind::Group, ..NOWHERE };
        }
        match self.by_ip(ip, host) {
            Some(placement) => placement,
            None => match self.known_hardware(host, |asset| !asset.is_router && !is_public(ip)) {
                Some(asset) => Placement { kind: self.address_kind(ip), ..self.asset_placement(asset) },
                None => Placement { kind: self.address_kind(ip), ..self.without_ip(host, is_placeless(ip)) },
            },
        }
    }

    /// The kind of an address that no asset declares.
    fn address_kind(&self, ip: IpAddr) -> AddressKind {
        match ip {
            IpAddr::V4(ip) if self.networks_of(ip).next().is_some() => AddressKind::DirectedBroadcast,
            IpAddr::V4(ip) if ip.to_bits().trailing_ones() >= FEWEST_HOST_BITS => AddressKind::MaybeBroadcast,
            _ => AddressKind::Unicast,
        }
    }

    /// The declared networks with this directed broadcast address.
    fn networks_of(&self, broadcast: Ipv4Addr) -> impl Iterator<Item = &Ipv4Net> {
        let first = self.broadcasts.partition_point(|(one, _)| *one < broadcast);
        let rest = self.broadcasts.get(first..).unwrap_or_default();
        rest.iter().take_while(move |(one, _)| *one == broadcast).map(|(_, network)| network)
    }

    /// Whether an address is the directed broadcast of a declared network that contains the sender.
    pub(super) fn is_within(&self, sender: &Host, broadcast: &Host) -> bool {
        match (canonical(sender), canonical(broadcast)) {
            (Some(IpAddr::V4(sender)), Some(IpAddr::V4(broadcast))) => {
                self.networks_of(broadcast).any(|network| network.contains(&sender))
            }
            _ => false,
        }
    }

    fn by_ip(&self, ip: IpAddr, host: &Host) -> Option<Placement> {
        if let Some(asset) = find(&self.assets_by_ip, &ip) {
            return Some(self.asset_placement(asset));
        }
        let zone = match ip {
            IpAddr::V4(ip) => self.v4.find(ip.to_bits()),
            IpAddr::V6(ip) => self.v6.find(ip.to_bits()),
        }?;
        let asset = self.known_hardware(host, |asset| asset.zone == zone && !asset.is_router);
        Some(Placement { place: Place { zone: Some(zone), asset }, kind: self.address_kind(ip) })
    }

    /// Places a host by hardware address, then by VLAN. `alone`: its IP address cannot place it.
    fn without_ip(&self, host: &Host, alone: bool) -> Placement {
        if let Some(asset) = self.known_hardware(host, |asset| alone || !asset.has_ip && !asset.is_router) {
            return self.asset_placement(asset);
        }
        let open = |zone: &u16| alone || !self.has_networks.get(usize::from(*zone)).copied().unwrap_or(true);
        let zone = host.mac.and_then(|mac| find(&self.zones_by_mac, &mac)).filter(open);
        let zone = zone.or_else(|| host.vlan.and_then(|vlan| find(&self.zones_by_vlan, &vlan)).filter(open));
        Placement { place: Place { zone, asset: None }, ..NOWHERE }
    }

    /// The asset that declares an address.
    pub(super) fn asset_by_ip(&self, ip: IpAddr) -> Option<u16> {
        find(&self.assets_by_ip, &ip)
    }

    /// The asset that declares a hardware address.
    pub(super) fn asset_by_mac(&self, mac: [u8; 6]) -> Option<u16> {
        find(&self.assets_by_mac, &mac)
    }

    /// The zone of an address, under any hardware.
    pub(super) fn zone_of(&self, ip: IpAddr) -> Option<u16> {
        self.by_ip(ip, &Host { ip: Some(ip), mac: None, vlan: None })?.place.zone
    }

    /// The zone that declares a VLAN.
    pub(super) fn zone_of_vlan(&self, vlan: u16) -> Option<u16> {
        find(&self.zones_by_vlan, &vlan)
    }

    /// Whether an asset declares hardware addresses.
    pub(super) fn declares_hardware(&self, asset: u16) -> bool {
        self.assets.get(usize::from(asset)).is_some_and(|asset| asset.has_mac)
    }

    /// Whether an asset declares no addresses, so that it may use any of its zone, and `zone` is that zone.
    pub(super) fn takes_any_address_of(&self, asset: u16, zone: Option<u16>) -> bool {
        self.assets.get(usize::from(asset)).is_some_and(|asset| !asset.has_ip && zone == Some(asset.zone))
    }

    /// Whether an asset is a router.
    pub(super) fn is_router(&self, asset: u16) -> bool {
        self.assets.get(usize::from(asset)).is_some_and(|asset| asset.is_router)
    }

    /// The asset that declares the hardware address of a host, if `is_one` accepts it.
    fn known_hardware(&self, host: &Host, is_one: impl Fn(&KnownAsset) -> bool) -> Option<u16> {
        let asset = find(&self.assets_by_mac, &host.mac?)?;
        self.assets.get(usize::from(asset)).is_some_and(is_one).then_some(asset)
    }

    fn asset_placement(&self, asset: u16) -> Placement {
        let zone = self.assets.get(usize::from(asset)).map(|asset| asset.zone);
        Placement { place: Place { zone, asset: Some(asset) }, ..NOWHERE }
    }
}

/// The hardware address of every host on a link.
pub const BROADCAST: [u8; 6] = [0xFF; 6];

/// Whether an address is multicast or the limited broadcast.
pub fn is_group(ip: IpAddr) -> bool {
    ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST)
}

/// Whether an address is valid on one link only, or stands for a host without one: it implies no zone.
pub(super) fn is_placeless(ip: IpAddr) -> bool {
    ip.is_unspecified()
        || match ip {
            IpAddr::V4(ip) => ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
        }
}

/// The IP address of a host; an IPv4-mapped IPv6 address as IPv4.
fn canonical(host: &Host) -> Option<IpAddr> {
    host.ip.map(|ip| ip.to_canonical())
}

/// Whether an address is a public IPv4 address, which an asset has only if it is declared: not private (RFC 1918), shared
/// (RFC 6598) or link-local. `false` for IPv6, where any interface may have a public address.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let is_shared = a == 100 && (64..128).contains(&b);
            !(ip.is_private() || is_shared || ip.is_link_local() || ip.is_unspecified())
        }
        IpAddr::V6(_) => false,
    }
}

/// The directed broadcast address of a network (RFC 919); networks of one or two addresses have none (RFC 3021).
fn broadcast_of(network: &IpNet) -> Option<(Ipv4Addr, Ipv4Net)> {
    match network {
        IpNet::V4(net) if net.prefix_len() < 31 => Some((net.broadcast(), *net)),
        _ => None,
    }
}

/// Least number of host bits of a network with a directed broadcast address.
const FEWEST_HOST_BITS: u32 = 2;

fn sorted<K: Ord>(pairs: impl Iterator<Item = (K, u16)>) -> Vec<(K, u16)> {
    let mut pairs: Vec<_> = pairs.collect();
    pairs.sort_unstable();
    pairs
}

fn find<K: Ord>(sorted: &[(K, u16)], key: &K) -> Option<u16> {
    let at = sorted.binary_search_by(|(one, _)| one.cmp(key)).ok()?;
    sorted.get(at).map(|&(_, value)| value)
}

/// Nested prefixes as disjoint intervals: each entry is the first address of an interval and its zone.
#[derive(Clone, Debug, Default)]
struct Intervals<T>(Vec<(T, Option<u16>)>);

impl<T: Address> Intervals<T> {
    /// From prefixes as (first, last, zone). Prefixes nest or are disjoint, so a stack holds those that are open.
    fn new(prefixes: impl Iterator<Item = (T, T, u16)>) -> Self {
        let mut prefixes: Vec<_> = prefixes.collect();
        prefixes.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
        let mut flat = Self(Vec::new());
        let mut open: Vec<(T, u16)> = Vec::new();
        for (first, last, zone) in prefixes {
            flat.close(&mut open, Some(first));
            flat.begin(first, Some(zone));
            open.push((last, zone));
        }
        flat.close(&mut open, None);
        flat
    }

    /// Ends the open prefixes that end before `until`, or all of them if there is none.
    fn close(&mut self, open: &mut Vec<(T, u16)>, until: Option<T>) {
        while let Some(&(last, _)) = open.last() {
            if until.is_some_and(|until| last >= until) {
                return;
            }
            open.pop();
            if let Some(next) = last.next() {
                self.begin(next, open.last().map(|&(_, zone)| zone));
            }
        }
    }

    fn begin(&mut self, at: T, zone: Option<u16>) {
        match self.0.last_mut() {
            Some(last) if last.0 == at => last.1 = zone,
            _ => self.0.push((at, zone)),
        }
    }

    fn find(&self, address: T) -> Option<u16> {
        let after = self.0.partition_point(|(start, _)| *start <= address);
        self.0.get(after.checked_sub(1)?)?.1
    }
}

/// An address as a number.
trait Address: Copy + Ord {
    /// The next address; none after the last.
    fn next(self) -> Option<Self>;
}

impl Address for u32 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Address for u128 {
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn zone(networks: &[&str], vlans: &[u16]) -> Zone {
        let networks = networks.iter().filter_map(|text| text.parse().ok()).collect();
        Zone { networks, vlans: vlans.to_vec(), ..Zone::default() }
    }

    fn host(ip: &str, mac: Option<[u8; 6]>, vlan: Option<u16>) -> Host {
        Host { ip: ip.parse().ok(), mac, vlan }
    }

    #[test]
    fn the_narrowest_network_wins() {
        let members =
            Membership::new(&[zone(&["10.0.0.0/8"], &[]), zone(&["10.20.0.0/16", "2001:db8::/32"], &[])], &[]);
        let zone_of = |ip| members.place(&host(ip, None, None)).place.zone;
        assert_eq!(zone_of("10.1.2.3"), Some(0));
        assert_eq!(zone_of("10.20.2.3"), Some(1));
        assert_eq!(zone_of("10.21.0.0"), Some(0));
        assert_eq!(zone_of("11.0.0.0"), None);
        assert_eq!(zone_of("2001:db8::7"), Some(1));
        assert_eq!(zone_of("::ffff:10.20.2.3"), Some(1), "an IPv4-mapped address");
    }

    #[test]
    fn a_routed_stranger_is_not_taken_for_a_member_of_the_vlan_it_appears_in() {
        let members = Membership::new(&[zone(&["10.20.10.0/24"], &[110])], &[]);
        assert_eq!(members.place(&host("198.51.100.7", None, Some(110))).place.zone, None);
        assert_eq!(members.place(&host("169.254.3.4", None, Some(110))).place.zone, Some(0));
        assert_eq!(members.place(&Host { ip: None, mac: None, vlan: Some(110) }).place.zone, Some(0));
    }

    #[test]
    fn a_zone_of_vlans_alone_places_hosts_with_addresses() {
        let members = Membership::new(&[zone(&[], &[110])], &[]);
        assert_eq!(members.place(&host("192.0.2.7", None, Some(110))).place.zone, Some(0));
    }

    #[test]
    fn an_asset_is_found_by_address_and_without_one_by_hardware_address() {
        let mac = [0, 0x1b, 0x1b, 1, 2, 3];
        let asset = Asset { ip: vec![IpAddr::from([10, 20, 10, 11])], mac: vec![mac], ..Asset::default() };
        let members = Membership::new(&[zone(&["10.20.10.0/24"], &[])], &[asset]);
        assert_eq!(members.place(&host("10.20.10.11", None, None)).place, Place { zone: Some(0), asset: Some(0) });
        let l2 = Host { ip: None, mac: Some(mac), vlan: None };
        assert_eq!(members.place(&l2).place, Place { zone: Some(0), asset: Some(0) });
    }

    #[test]
    fn the_hardware_of_an_asset_is_that_asset_with_whatever_address_no_other_zone_has() {
        let mac = [0, 0x1b, 0x1b, 1, 2, 3];
        let asset = Asset { ip: vec![IpAddr::from([10, 20, 10, 11])], mac: vec![mac], ..Asset::default() };
        let zones = [zone(&["10.20.10.0/24"], &[]), zone(&["10.20.20.0/24"], &[])];
        let members = Membership::new(&zones, std::slice::from_ref(&asset));
        let place = |members: &Membership, ip| members.place(&host(ip, Some(mac), None)).place;
        for own in ["10.20.10.99", "fd00::10", "2001:db8::10", "192.168.0.1", "fe80::10"] {
            assert_eq!(place(&members, own), Place { zone: Some(0), asset: Some(0) }, "{own}");
        }
        assert_eq!(place(&members, "10.20.20.99"), Place { zone: Some(1), asset: None }, "an address of another zone");
        assert_eq!(place(&members, "198.51.100.7"), Place { zone: None, asset: None }, "an address of the Internet");
        let router = Membership::new(&zones, &[Asset { is_router: true, ..asset }]);
        for forwarded in ["10.20.10.99", "fd00::10", "192.168.0.1"] {
            assert_eq!(place(&router, forwarded).asset, None, "{forwarded} is behind the router");
        }
        assert_eq!(place(&router, "10.20.10.11").asset, Some(0), "its own");
    }

    #[test]
    fn multicast_and_broadcast_belong_to_no_host() {
        let members = Membership::new(&[zone(&["10.20.10.0/24"], &[])], &[]);
        for ip in ["239.1.1.1", "255.255.255.255", "ff02::1"] {
            assert_eq!(members.place(&host(ip, None, None)).kind, AddressKind::Group, "{ip}");
        }
        let directed = members.place(&host("10.20.10.255", None, None));
        assert_eq!((directed.kind, directed.place.zone), (AddressKind::DirectedBroadcast, Some(0)));
    }

    #[test]
    fn an_address_may_be_the_broadcast_of_an_undeclared_network_unless_it_is_an_assets() {
        let asset = Asset { ip: vec![IpAddr::from([10, 20, 10, 63])], ..Asset::default() };
        let members = Membership::new(&[zone(&["10.20.10.0/24"], &[])], &[asset]);
        let kind = |ip| members.place(&host(ip, None, None)).kind;
        for perhaps in ["10.20.10.127", "10.20.10.3", "10.20.255.255", "192.0.2.255"] {
            assert_eq!(kind(perhaps), AddressKind::MaybeBroadcast, "{perhaps}");
        }
        for one in ["10.20.10.63", "10.20.10.126", "10.20.10.1", "2001:db8::ff"] {
            assert_eq!(kind(one), AddressKind::Unicast, "{one}");
        }
    }

    #[test]
    fn a_sender_is_within_the_network_of_a_broadcast_whichever_zone_it_is_in() {
        let members = Membership::new(&[zone(&["10.1.1.31/32"], &[]), zone(&["10.1.1.0/24"], &[])], &[]);
        let is_within = |sender| members.is_within(&host(sender, None, None), &host("10.1.1.255", None, None));
        assert!(is_within("10.1.1.31") && is_within("10.1.1.9"));
        assert!(!is_within("10.1.2.9") && !is_within("fe80::1"));
    }

    fn naive(networks: &[(IpNet, u16)], ip: IpAddr) -> Option<u16> {
        let holding = networks.iter().filter(|(network, _)| network.contains(&ip));
        holding.max_by_key(|(network, _)| network.prefix_len()).map(|&(_, zone)| zone)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn intervals_agree_with_the_longest_prefix(
            seeds in prop::collection::vec((any::<u32>(), 0u8..=32, 0u16..6), 0..24),
            probes in prop::collection::vec(any::<u32>(), 1..24),
        ) {
            let mut networks: Vec<(IpNet, u16)> = Vec::new();
            for (bits, length, zone) in seeds {
                // Few distinct leading bits, so that networks nest.
                let address = Ipv4Addr::from_bits(bits & 0xC000_C0C3);
                let Ok(network) = IpNet::new(address.into(), length) else { continue };
                if networks.iter().all(|(other, _)| *other != network.trunc()) {
                    networks.push((network.trunc(), zone));
                }
            }
            let zones: Vec<Zone> = (0..6).map(|at| Zone {
                networks: networks.iter().filter(|(_, zone)| *zone == at).map(|(network, _)| *network).collect(),
                ..Zone::default()
            }).collect();
            let members = Membership::new(&zones, &[]);
            let edges = networks.iter().flat_map(|(net, _)| [net.network(), net.broadcast()]);
            for ip in probes.iter().map(|&bits| IpAddr::from(Ipv4Addr::from_bits(bits & 0xC000_C0C3))).chain(edges) {
                let found = match ip { IpAddr::V4(ip) => members.v4.find(ip.to_bits()), IpAddr::V6(_) => None };
                prop_assert_eq!(found, naive(&networks, ip));
            }
        }
    }
}
