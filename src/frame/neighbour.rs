//! IPv6 neighbour discovery (RFC 4861): the addresses that neighbour advertisements announce.

use std::net::Ipv6Addr;

/// The target address of a neighbour advertisement, and its hardware address if the message has that option (4.4: type,
/// code, checksum, flags and reserved, 8 bytes; target address, 16; options).
pub(super) fn advertised(message: &[u8]) -> Option<(Ipv6Addr, Option<[u8; 6]>)> {
    let (&[ADVERTISEMENT, 0, _, _, _, _, _, _], rest) = message.split_first_chunk()? else { return None };
    let (address, options) = rest.split_first_chunk::<16>()?;
    Some((Ipv6Addr::from(*address), target_hardware(options)))
}

/// The target link-layer address option (4.6.1). Lengths count units of 8 bytes; a length of 0 ends the options.
fn target_hardware(mut options: &[u8]) -> Option<[u8; 6]> {
    while let Some((&[kind, length], _)) = options.split_first_chunk() {
        let (option, rest) = options.split_at_checked(usize::from(length) * 8).filter(|_| length > 0)?;
        if (kind, length) == (TARGET_HARDWARE, 1) {
            return option.last_chunk().copied();
        }
        options = rest;
    }
    None
}

const ADVERTISEMENT: u8 = 136;
const TARGET_HARDWARE: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[rustfmt::skip]
    const MESSAGE: [u8; 40] = [
        0x88, 0x00, 0x00, 0x00, 0x60, 0x00, 0x00, 0x00, // neighbour advertisement, solicited, override
        0xFD, 0x00, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, // fd00:1::10
        0x0E, 0x01, 1, 2, 3, 4, 5, 6, // nonce
        0x02, 0x01, 0x02, 0, 0, 0xBA, 0xD0, 1, // target's hardware address
    ];

    #[test]
    fn an_advertisement_gives_an_address_and_its_hardware_address() {
        let address = "fd00:1::10".parse().expect("an address");
        assert_eq!(advertised(&MESSAGE), Some((address, Some([2, 0, 0, 0xBA, 0xD0, 1]))));
        assert_eq!(advertised(&MESSAGE[..32]), Some((address, None)), "without the option");
        assert_eq!(advertised(&MESSAGE[..36]), Some((address, None)), "cut inside it");
    }

    #[test]
    fn nothing_else_advertises_and_an_option_without_length_ends_it() {
        assert_eq!(advertised(&MESSAGE[..23]), None);
        assert_eq!(advertised(&[&[0x87], &MESSAGE[1..]].concat()), None, "a solicitation");
        let mut endless = MESSAGE;
        endless[25] = 0;
        assert_eq!(advertised(&endless).map(|(_, hardware)| hardware), Some(None));
    }
}
