//! Whether the address, the hardware and the VLAN of a host agree with the policy.

use std::net::IpAddr;

use super::{Host, Policy};

/// What a policy declares about the address, the hardware and the VLAN of a host, each on its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The zone of the address.
    pub zone: Option<u16>,
    /// The asset that declares the address.
    pub owner: Option<u16>,
    /// The owner of the address declares hardware addresses, and the host has none of them.
    pub is_other_hardware: bool,
    /// The owner of the address declares this hardware address.
    pub is_own_hardware: bool,
    /// The asset that declares the hardware address.
    pub bearer: Option<u16>,
    /// The bearer declares no address, and the address is in its zone, as it should be.
    pub is_at_home: bool,
    /// The bearer is a router, which forwards packets from addresses that are not its own.
    pub is_router: bool,
    /// How the VLAN fits the zone of the address.
    pub vlan: VlanFit,
}

/// How the VLAN of a frame fits the zone of its sender's address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VlanFit {
    /// Not comparable: no tag, no zone, or a zone without VLANs.
    #[default]
    Unknown,
    /// A VLAN of the zone.
    OfZone,
    /// A VLAN of another zone.
    OfAnother(u16),
    /// A VLAN of no zone.
    OfNone,
}

impl Policy {
    /// Whether the policy declares hardware addresses of assets. Without any, hardware is not compared.
    pub fn watches_hardware(&self) -> bool {
        self.declared.assets.iter().any(|asset| !asset.mac.is_empty())
    }

    /// Whether the policy declares VLANs of zones.
    pub fn watches_vlans(&self) -> bool {
        self.declared.zones.iter().any(|zone| !zone.vlans.is_empty())
    }

    /// What the policy declares about the address, the hardware and the VLAN of a host.
    pub fn identity(&self, host: &Host) -> Identity {
        let members = &self.compiled.members;
        let ip = host.ip.map(|ip| ip.to_canonical());
        let (owner, zone) = (ip.and_then(|ip| members.asset_by_ip(ip)), ip.and_then(|ip| members.zone_of(ip)));
        let bearer = host.mac.and_then(|mac| members.asset_by_mac(mac));
        let declares_hardware = owner.is_some_and(|owner| members.declares_hardware(owner));
        Identity {
            zone,
            owner,
            is_other_hardware: declares_hardware && host.mac.is_some() && bearer != owner,
            is_own_hardware: declares_hardware && bearer == owner,
            bearer,
            is_at_home: bearer.is_some_and(|bearer| members.takes_any_address_of(bearer, zone)),
            is_router: bearer.is_some_and(|bearer| members.is_router(bearer)),
            vlan: self.vlan_fit(zone, host.vlan),
        }
    }

    fn vlan_fit(&self, zone: Option<u16>, vlan: Option<u16>) -> VlanFit {
        let declared = |zone: u16| self.declared.zones.get(usize::from(zone)).map(|zone| zone.vlans.as_slice());
        let (Some(vlan), Some(own)) = (vlan, zone.and_then(declared)) else { return VlanFit::Unknown };
        if own.is_empty() || self.declared.sensors.iter().any(|sensor| sensor.mirror_vlans.contains(&vlan)) {
            VlanFit::Unknown
        } else if own.contains(&vlan) {
            VlanFit::OfZone
        } else {
            self.compiled.members.zone_of_vlan(vlan).map_or(VlanFit::OfNone, VlanFit::OfAnother)
        }
    }

    /// The hardware addresses that an asset declares.
    pub fn hardware_of(&self, asset: u16) -> &[[u8; 6]] {
        self.declared.assets.get(usize::from(asset)).map_or(&[], |asset| &asset.mac)
    }

    /// The VLANs that a zone declares.
    pub fn vlans_of(&self, zone: Option<u16>) -> &[u16] {
        zone.and_then(|zone| self.declared.zones.get(usize::from(zone))).map_or(&[], |zone| &zone.vlans)
    }
}

/// Whether an address identifies a host beyond its own link.
pub fn is_routable(ip: IpAddr) -> bool {
    !(super::is_group(ip) || super::membership::is_placeless(ip) || ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLANT: &str = r#"
schema = "lockkeeper-policy/1"
[zone.lock]
networks = ["10.20.10.0/24"]
vlans = [110, 111]
[zone.scada]
networks = ["10.20.20.0/24"]
vlans = [120]
[zone.office]
networks = ["10.1.0.0/16"]
[asset.PLC]
zone = "lock"
ip = "10.20.10.12"
mac = ["00:80:f4:10:20:12"]
[asset.PRINTER]
zone = "office"
ip = "10.1.0.9"
[asset.FW]
zone = "office"
role = "firewall"
mac = "00:80:f4:00:00:01"
[sensor.S1]
mirror_vlans = [999]
"#;
    const OF_PLC: [u8; 6] = [0, 0x80, 0xF4, 0x10, 0x20, 0x12];
    const OF_FIREWALL: [u8; 6] = [0, 0x80, 0xF4, 0, 0, 1];
    const OF_STRANGER: [u8; 6] = [2, 0, 0, 0, 0, 9];

    fn identity(ip: &str, mac: Option<[u8; 6]>, vlan: Option<u16>) -> Identity {
        let policy = Policy::parse("test.toml", PLANT).unwrap_or_default();
        assert!(policy.watches_hardware() && policy.watches_vlans());
        policy.identity(&Host { ip: ip.parse().ok(), mac, vlan })
    }

    #[test]
    fn the_address_of_an_asset_belongs_to_its_hardware_where_that_is_declared() {
        assert!(identity("10.20.10.12", Some(OF_PLC), None).is_own_hardware);
        assert!(identity("10.20.10.12", Some(OF_STRANGER), None).is_other_hardware);
        assert!(identity("::ffff:10.20.10.12", Some(OF_STRANGER), None).is_other_hardware);
        for (ip, mac) in [("10.20.10.12", None), ("10.1.0.9", Some(OF_STRANGER)), ("10.20.10.13", Some(OF_STRANGER))] {
            let found = identity(ip, mac, None);
            assert!(!found.is_other_hardware && !found.is_own_hardware, "{ip}");
        }
    }

    #[test]
    fn the_hardware_of_an_asset_is_known_under_any_address_and_a_firewall_is_a_router() {
        let found = identity("fd00::10", Some(OF_PLC), None);
        assert_eq!((found.owner, found.zone, found.bearer, found.is_router), (None, None, Some(0), false));
        let behind = identity("10.20.10.12", Some(OF_FIREWALL), None);
        assert!(behind.is_other_hardware && behind.is_router);
    }

    #[test]
    fn a_vlan_is_compared_with_those_of_the_zone_if_it_declares_any() {
        let fit = |ip, vlan| identity(ip, Some(OF_STRANGER), vlan).vlan;
        assert_eq!(fit("10.20.10.12", Some(111)), VlanFit::OfZone);
        assert_eq!(fit("10.20.10.12", Some(120)), VlanFit::OfAnother(1));
        assert_eq!(fit("10.20.20.9", Some(99)), VlanFit::OfNone);
        for (ip, vlan) in
            [("10.20.10.12", None), ("10.20.10.12", Some(999)), ("10.1.2.3", Some(110)), ("8.8.8.8", Some(110))]
        {
            assert_eq!(fit(ip, vlan), VlanFit::Unknown, "{ip} on {vlan:?}");
        }
    }
}
