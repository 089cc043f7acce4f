//! ATT&CK techniques by service, and of calls by method.

use crate::operation::{Class, MethodTarget, Node, NodeId, Operation, Target};
use crate::techniques::Techniques;

/// The techniques of an operation, where they differ from those of its class.
pub(super) fn of(operation: &Operation<'_>) -> Option<Techniques> {
    Some(match (operation.class, operation.function) {
        (Class::Security, "register_server" | "register_server2") => &["T0848", "T0830"],
        (Class::Security, "transfer_subscriptions") => &["T0830"],
        (Class::Security, "open_secure_channel" | "activate_session") => &[],
        (Class::Security, _) => &["T0892"],
        (Class::Discover, "get_endpoints") => &["T0846", "T0888"],
        (Class::Alarm, _) => &["T0878", "T0838"],
        (Class::Program, "write") => &["T0836"],
        (Class::Program, "add_nodes" | "delete_nodes" | "add_references" | "delete_references") => &["T0889"],
        (Class::Control, _) => match standard_method(operation.target) {
            // RequestServerStateChange, ResetToServerDefaults.
            Some(12_886 | 25_709) => &["T1692.001", "T0816"],
            // Start, Suspend, Resume, Halt and Reset of a program.
            Some(2426..=2430) => &["T1692.001", "T0858"],
            _ => &["T1692.001"],
        },
        _ => return None,
    })
}

/// The id of the called method, if it is one of the standard's own namespace (OPC 10000-5). The ids are those of type
/// declarations; an object may have ids of its own.
const fn standard_method(target: Target<'_>) -> Option<u32> {
    match target {
        Target::Method(MethodTarget { method: Node { namespace: 0, id: NodeId::Numeric(number) }, .. }) => {
            Some(*number)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::opcua::OPCUA;
    use crate::operation::Values;

    #[test]
    fn a_call_has_the_techniques_of_its_method() {
        let techniques = |namespace, number| {
            let node = Node { namespace, id: NodeId::Numeric(number) };
            let target = MethodTarget { object: node, method: node };
            let (class, function, values) = (Class::Control, "call", Values::None);
            let target = Target::Method(&target);
            OPCUA.techniques_of(&Operation { class, function, code: 712, ambiguous: false, target, values })
        };
        assert_eq!(techniques(0, 12_886), ["T1692.001", "T0816"]);
        assert_eq!(techniques(0, 2426), ["T1692.001", "T0858"]);
        assert_eq!(techniques(2, 12_886), ["T1692.001"]);
    }
}
