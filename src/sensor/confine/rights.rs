//! Capabilities: the single rights of root.

use rustix::process::geteuid;
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
    set_no_new_privs,
};

/// Drops every capability, and every way to regain one. The error, for people, names what is missing.
pub(super) fn drop_all() -> Result<(), String> {
    // The bounding set limits what a started program can get. Dropping from it needs a capability itself; failing is no
    // loss, because no program can be started and `no_new_privs` is set.
    for number in 0..u64::BITS {
        let _ = remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number));
    }
    // Kernels before 4.3 have no ambient set; it is cleared with the permitted set anyway.
    let _ = clear_ambient_capability_set();
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
        .map_err(|error| format!("the rights that it was started with cannot be given up: {error}"))?;
    set_no_new_privs(true).map_err(|error| format!("programs that it starts could get new rights: {error}"))
}

/// A remark for a sensor that runs as root.
pub(super) fn note_for_root() -> Option<String> {
    geteuid().is_root().then(|| {
        "started as root, it has given up root's rights but not root's files: run it as a user of its own".to_owned()
    })
}
