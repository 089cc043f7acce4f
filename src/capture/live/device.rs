//! Lists the network interfaces of this machine.

use crate::capture::Error;

/// One network interface, as libpcap lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// IP addresses of this machine on it.
    pub addresses: Vec<std::net::IpAddr>,
    /// It is a loopback interface.
    pub loopback: bool,
}

/// The network interfaces of this machine, sorted by name, without the other capture devices of libpcap (the
/// pseudo-interface `any`, USB, Bluetooth).
pub fn devices() -> Result<Vec<Device>, Error> {
    let listed = pcap::Device::list().map_err(|error| Error::Interface {
        name: "interfaces".to_owned(),
        reason: error.to_string(),
        help: "they cannot be listed here".to_owned(),
    })?;
    let known = listed.into_iter().filter(|device| super::reader::sysfs_path(&device.name).exists());
    let mut devices: Vec<Device> = known
        .map(|device| Device {
            loopback: device.flags.is_loopback(),
            addresses: device.addresses.iter().map(|address| address.addr).collect(),
            name: device.name,
        })
        .collect();
    devices.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(devices)
}
