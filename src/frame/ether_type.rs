//! EtherTypes that occur in plants and offices (IEEE 802 Numbers; for types that vendors did not register, Wireshark's
//! `epan/etypes.h`).

pub(super) const IPV4: u16 = 0x0800;
pub(super) const IPV6: u16 = 0x86DD;
pub(super) const MPLS: u16 = 0x8847;
pub(super) const MPLS_MULTICAST: u16 = 0x8848;
pub(super) const PPPOE_SESSION: u16 = 0x8864;
/// 802.1Q.
pub(super) const VLAN: u16 = 0x8100;
/// 802.1ad service tag.
pub(super) const SERVICE_VLAN: u16 = 0x88A8;
/// Service tag from before 802.1ad.
pub(super) const OLD_SERVICE_VLAN: u16 = 0x9100;
/// Types other than 0x9100 that switches can be configured to use for the service tag.
pub(super) const SERVICE_VLAN_9200: u16 = 0x9200;
pub(super) const SERVICE_VLAN_9300: u16 = 0x9300;
/// Port extension before 802.1BR: blade switches and fabric extenders.
pub(super) const VN_TAG: u16 = 0x8926;
/// Port extension (802.1BR).
pub(super) const E_TAG: u16 = 0x893F;
/// Cisco TrustSec, with the security group of the sender.
pub(super) const META_DATA: u16 = 0x8909;
/// A time stamp that Cisco switches insert into mirrored frames.
pub(super) const TIME_STAMP: u16 = 0x8988;
/// Seamless redundancy (802.1CB).
pub(super) const R_TAG: u16 = 0xF1C1;
/// Provider backbone bridges: Ethernet in Ethernet (802.1ah).
pub(super) const BACKBONE: u16 = 0x88E7;
pub(super) const FABRIC_PATH: u16 = 0x8903;
/// RFC 6325.
pub(super) const TRILL: u16 = 0x22F3;
/// Network service header (RFC 8300).
pub(super) const NSH: u16 = 0x894F;
/// Enhanced GRE of PPTP (RFC 2637).
pub(super) const PPP: u16 = 0x880B;
/// Ethernet inside GRE, GENEVE and similar encapsulations.
pub(super) const TRANSPARENT_ETHERNET: u16 = 0x6558;
/// Protected Ethernet (802.1AE), nearly always encrypted.
pub(super) const MACSEC: u16 = 0x88E5;

/// Largest value of the type field that is a length (IEEE 802.3, 3.2.6).
pub(super) const MAX_LENGTH: u16 = 1500;
/// Smallest value of the type field that is an EtherType.
pub(super) const MIN_ETHER_TYPE: u16 = 1536;

/// Whether `ether_type` is a length or a type listed in this file. Distinguishes Ethernet from other content where an
/// encapsulation does not declare it.
pub(super) const fn is_known(ether_type: u16) -> bool {
    ether_type <= MAX_LENGTH || is_walked(ether_type) || is_known_leaf(ether_type) || ether_type == MACSEC
}

/// Whether the walk continues behind this type: tags, encapsulations and IP.
#[rustfmt::skip]
const fn is_walked(ether_type: u16) -> bool {
    matches!(
        ether_type,
        IPV4 | IPV6 | MPLS | MPLS_MULTICAST | PPPOE_SESSION
            | VLAN | SERVICE_VLAN | OLD_SERVICE_VLAN | SERVICE_VLAN_9200 | SERVICE_VLAN_9300
            | super::redundancy::HSR | VN_TAG | E_TAG | META_DATA | TIME_STAMP | R_TAG
            | BACKBONE | FABRIC_PATH | TRILL | NSH
    )
}

/// Whether frames of this type carry none of the decoded protocols: network control, and industrial protocols without IP.
/// A policy may declare them, and their senders are in the inventory. A frame of any other type that is not walked counts
/// as unread.
#[rustfmt::skip]
pub(super) const fn is_known_leaf(ether_type: u16) -> bool {
    matches!(
        ether_type,
        super::redundancy::SUPERVISION
            | 0x0806 // ARP
            | 0x0842 // wake on LAN
            | 0x22EA // stream reservation (802.1Qat)
            | 0x22F0 // audio, video and control streams (IEEE 1722)
            | 0x6002 // MOP remote console, which routers send by themselves
            | 0x8035 // RARP
            | 0x80E1 // device level ring of EtherNet/IP
            | 0x8808 // flow control
            | 0x8809 // link aggregation
            | 0x8863 // PPPoE discovery
            | 0x886D // probes of Intel adapters that work as a team
            | 0x887B // HomePlug
            | 0x888E // 802.1X
            | 0x8892 // PROFINET
            | 0x8899 // loop detection of Realtek switches
            | 0x88A4 // EtherCAT
            | 0x88AB // POWERLINK
            | 0x88B8..=0x88BB // GOOSE, GSE, sampled values
            | 0x88BF // MikroTik RoMON
            | 0x88CC // LLDP
            | 0x88CD // SERCOS III
            | 0x88D9 // link layer topology discovery
            | 0x88E1 // HomePlug AV
            | 0x88E3 // MRP
            | 0x88F5 // MVRP
            | 0x88F6 // MMRP
            | 0x88F7 // PTP
            | 0x8902 // connectivity fault management
            | 0x890F // CC-Link IE
            | 0x891D // TTEthernet
            | 0x893A // 1905.1
            | 0x9000 // loop test
            | 0x9C40 // SafetyNET p
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walked_types_are_no_leaves_and_macsec_is_neither() {
        for ether_type in 0..=u16::MAX {
            assert!(!(is_walked(ether_type) && is_known_leaf(ether_type)), "{ether_type:#06x}");
        }
        assert!(is_known(MACSEC) && !is_known_leaf(MACSEC) && !is_walked(MACSEC));
        assert!(is_known_leaf(0x8892) && is_known(0x8892));
        assert!(!is_known(0x1234) && !is_known(MAX_LENGTH + 1));
    }
}
