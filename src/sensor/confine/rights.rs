//! Capabilities: root's rights, one by one.

use rustix::process::geteuid;
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
    set_no_new_privs,
};

/// Gives up every right, and the way to get one back. Otherwise says what is missing.
pub(super) fn give_up() -> Result<(), String> {
    // What a program could get when it is started. Only who may do that can give it up; since no program is started, and
    // none would get new rights, it is no loss where it cannot be.
    for number in 0..u64::BITS {
        let _ = remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number));
    }
    // Kernels before 4.3 have no such set; what is in it goes with the permitted ones anyway.
    let _ = clear_ambient_capability_set();
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
        .map_err(|error| format!("the rights that it was started with cannot be given up: {error}"))?;
    set_no_new_privs(true).map_err(|error| format!("programs that it starts could get new rights: {error}"))
}

/// What root should know.
pub(super) fn as_root() -> Option<String> {
    geteuid().is_root().then(|| {
        "started as root, it has given up root's rights but not root's files: run it as a user of its own".to_owned()
    })
}
