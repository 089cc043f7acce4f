//! Landlock: which files can be opened and who can be connected to. What was open before stays open.

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, RestrictionStatus, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, make_bitflags, path_beneath_rules,
};

use super::Settings;

/// Closes everything that is not needed. Otherwise says what stays open.
pub(super) fn close(needed: &Settings) -> Result<(), String> {
    let status = restrict(needed).map_err(|error| format!("Landlock cannot be set up: {error}"))?;
    match (status.ruleset, status.landlock) {
        (RulesetStatus::FullyEnforced, _) => Ok(()),
        (_, LandlockStatus::Available { effective_abi, .. }) => Err(format!(
            "Landlock of this kernel (version {}) knows files only in part, TCP from version 4 and signals from version 6 on",
            effective_abi as i32
        )),
        _ => Err("this kernel has no Landlock: every file that the user may open can be opened".to_owned()),
    }
}

fn restrict(needed: &Settings) -> Result<RestrictionStatus, RulesetError> {
    let Settings { read, write, connect, .. } = needed;
    let ports = connect.iter().map(|port| Ok(NetPort::new(*port, AccessNet::ConnectTcp)));
    Ruleset::default()
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(AccessNet::from_all(KNOWN))?
        .scope(scopes(needed.abstract_sockets))?
        .create()?
        .add_rules(path_beneath_rules(read, READ))?
        .add_rules(path_beneath_rules(write, WRITE))?
        .add_rules::<_, _, _, RulesetError>(ports)?
        .restrict_self()
}

/// Whom it cannot reach: nobody outside gets a signal, or is spoken to over an abstract Unix socket.
fn scopes(abstract_sockets: bool) -> BitFlags<Scope> {
    let all = Scope::from_all(KNOWN);
    if abstract_sockets { all & !Scope::AbstractUnixSocket } else { all }
}

/// The version whose restrictions are known here and tested. A later one that restricts more gets its turn with a test.
const KNOWN: ABI = ABI::V7;

const READ: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});
const WRITE: BitFlags<AccessFs> =
    make_bitflags!(AccessFs::{ReadFile | ReadDir | WriteFile | Truncate | MakeReg | MakeDir | RemoveFile});
