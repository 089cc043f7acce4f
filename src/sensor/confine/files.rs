//! Landlock: the files that can be opened and the ports that can be connected to. Open files stay open.

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, RestrictionStatus, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, make_bitflags, path_beneath_rules,
};

use super::Settings;

/// Denies everything that is not needed. The error, for people, names what stays accessible.
pub(super) fn restrict_to(needed: &Settings) -> Result<(), String> {
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
        .handle_access(AccessFs::from_all(TESTED))?
        .handle_access(AccessNet::from_all(TESTED))?
        .scope(scopes(needed.abstract_sockets))?
        .create()?
        .add_rules(path_beneath_rules(read, READ))?
        .add_rules(path_beneath_rules(write, WRITE))?
        .add_rules::<_, _, _, RulesetError>(ports)?
        .restrict_self()
}

/// Denies signals and, unless needed, abstract Unix sockets of processes outside.
fn scopes(abstract_sockets: bool) -> BitFlags<Scope> {
    let all = Scope::from_all(TESTED);
    if abstract_sockets { all & !Scope::AbstractUnixSocket } else { all }
}

/// The latest version whose restrictions are tested here. A later one would restrict more, and needs a test first.
const TESTED: ABI = ABI::V7;

const READ: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});
const WRITE: BitFlags<AccessFs> =
    make_bitflags!(AccessFs::{ReadFile | ReadDir | WriteFile | Truncate | MakeReg | MakeDir | RemoveFile});
