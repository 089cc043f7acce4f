//! The active offloads of an interface, read with the ioctl of ethtool(8).
#![allow(unsafe_code, reason = "an ioctl takes a pointer, and no library wraps this one safely")]

use std::os::unix::net::UnixDatagram;

use rustix::ioctl::{Opcode, Updater, ioctl};

/// The active offloads that change captured packets, by their names in `ethtool -K`.
pub(super) fn active(interface: &str) -> Vec<&'static str> {
    let Ok(socket) = UnixDatagram::unbound() else { return Vec::new() };
    let read = |command| read_ethtool_value(&socket, interface, command).unwrap_or(0);
    let flags = read(GET_FLAGS);
    let found = [("gro", read(GET_GRO) != 0), ("lro", flags & FLAG_LRO != 0), ("rxvlan", flags & FLAG_RXVLAN != 0)];
    found.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect()
}

/// The name of an offload, for people.
pub(super) fn title(offload: &str) -> &'static str {
    match offload {
        "gro" => "generic receive offload",
        "lro" => "large receive offload",
        _ => "VLAN offload",
    }
}

/// The effect of an offload on captured packets.
pub(super) fn effect(offload: &str) -> &'static str {
    match offload {
        "gro" | "lro" => {
            "segments are joined before they are seen, so that sizes, counts and times are not those of the wire"
        }
        _ => "VLAN tags are taken off before they are seen; they are put back, but for the inner ones on some hardware",
    }
}

/// `struct ifreq` of netdevice(7) with a pointer, at least as long as in the system's headers.
#[repr(C)]
struct Request {
    name: [u8; NAME],
    data: *mut Value,
    rest: [usize; 3],
}

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// Reads one value; `None` if the ioctl fails, such as on an interface that does not support the command.
fn read_ethtool_value(socket: &UnixDatagram, interface: &str, command: u32) -> Option<u32> {
    let mut value = Value { command, data: 0 };
    let mut name = [0; NAME];
    // The name ends with a zero byte.
    name.get_mut(..NAME - 1)?.get_mut(..interface.len())?.copy_from_slice(interface.as_bytes());
    let mut request = Request { name, data: &raw mut value, rest: [0; 3] };
    // SAFETY: SIOCETHTOOL reads an `ifreq` whose pointer leads to a structure that begins with the command. For the
    // commands used here that is `ethtool_value`, which it fills; both structures live until the call returns.
    let result = unsafe { ioctl(socket, Updater::<SIOCETHTOOL, Request>::new(&mut request)) };
    result.ok().map(|()| value.data)
}

/// Length of an interface name with its final zero byte.
const NAME: usize = 16;

const SIOCETHTOOL: Opcode = 0x8946;
const GET_FLAGS: u32 = 0x25;
const GET_GRO: u32 = 0x2B;
const FLAG_RXVLAN: u32 = 1 << 8;
const FLAG_LRO: u32 = 1 << 15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_interface_has_no_offloads() {
        assert!(active("no-such-if").is_empty());
        assert!(active("a name that is too long for any interface").is_empty());
    }
}
