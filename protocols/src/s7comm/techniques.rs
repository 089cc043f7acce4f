//! ATT&CK techniques by what an S7 operation does and on what. S7comm and S7comm-plus differ in codes, not in classes
//! and targets: both use this table.

use crate::operation::{Area, Class, Operation, Target};
use crate::techniques::Techniques;

/// The techniques of an operation, where they differ from those of its class.
pub(crate) fn of(operation: &Operation<'_>) -> Option<Techniques> {
    let area = match operation.target {
        Target::Memory { area, .. } => Some(area),
        _ => None,
    };
    Some(match (operation.class, area) {
        (Class::Session, _) => match operation.target {
            // A connection as a programming device is that of an engineering station.
            Target::Connection { kind: "PG", .. } => &["T0886"],
            _ => &[],
        },
        (Class::Read | Class::Subscribe, Some(Area::Input | Area::Output | Area::Periphery)) => &["T0801", "T0877"],
        (Class::Write, Some(Area::Input | Area::Output | Area::Periphery)) => &["T1692.001", "T0836", "T0835"],
        (Class::Browse, _) => &["T0861", "T0888"],
        (Class::Alarm, _) => &["T0878"],
        (Class::Time, _) => &["T1692.001", "T0836"],
        (Class::Control, _) => return of_control(operation.function),
        (Class::Program, _) => of_program(operation),
        (Class::Security, _) if operation.function == "pi_n_newpwd" => &["T0892"],
        _ => return None,
    })
}

fn of_control(function: &str) -> Option<Techniques> {
    Some(match function {
        "plc_stop" => &["T1692.001", "T0858", "T0816", "T0814"],
        "plc_warm_start" | "plc_cold_start" | "pi_p_program" => &["T1692.001", "T0858", "T0816"],
        "memory_reset" => &["T1692.001", "T0816"],
        "force" | "force_selection" => &["T1692.001", "T0835"],
        _ => return None,
    })
}

/// An organisation block decides when the other blocks run; deleting, activating or linking is not a download.
fn of_program(operation: &Operation<'_>) -> Techniques {
    match (operation.function, operation.target) {
        (_, Target::Block { kind: "OB", .. }) => &["T0843", "T0889", "T0821"],
        ("pi_dele" | "pi_modu" | "delete_object" | "add_link" | "remove_link", _) => &["T0889"],
        ("pi_garb", _) => &["T0814"],
        _ => &["T0843", "T0889"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::Values;
    use crate::s7comm::S7COMM;
    use crate::s7commplus::S7COMM_PLUS;

    #[test]
    fn operations_have_the_techniques_of_what_they_act_on() {
        let techniques = |class, function, target| {
            let operation = Operation { class, function, code: 0, ambiguous: false, target, values: Values::None };
            let techniques = S7COMM.techniques_of(&operation);
            assert_eq!(S7COMM_PLUS.techniques_of(&operation), techniques);
            techniques
        };
        let output = Target::Memory { area: Area::Output, db: 0, first: 0, count: 8 };
        assert_eq!(techniques(Class::Read, "read_var", output), ["T0801", "T0877"]);
        assert_eq!(techniques(Class::Write, "write_var", output), ["T1692.001", "T0836", "T0835"]);
        assert_eq!(techniques(Class::Control, "plc_stop", Target::None), ["T1692.001", "T0858", "T0816", "T0814"]);
        assert_eq!(techniques(Class::Control, "invoke", Target::None), Class::Control.techniques());
    }
}
