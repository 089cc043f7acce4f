use proptest::prelude::*;

use super::*;

/// Loads, and where that works judges: nothing may panic.
fn try_out(text: &str) {
    match Policy::parse("any.toml", text) {
        Ok(policy) => {
            policy.summary();
            policy.warnings().render(false);
            let read = operation(READ, 65_535, u16::MAX, Values::None);
            judged(&policy, &tcp("10.20.20.10", "10.20.10.12", 502), &read);
        }
        Err(wrong) => assert!(!wrong.render(true).is_empty()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_text_never_panics(text in "\\PC{0,300}") {
        try_out(&text);
    }

    #[test]
    fn a_damaged_example_never_panics(
        cuts in prop::collection::vec((0usize..20_000, 0usize..40, "[\\[\\]{}=\"a-z0-9.\n-]{0,6}"), 1..5),
    ) {
        let mut text = FULL.to_owned();
        for (start, length, instead) in cuts {
            let from = text.floor_char_boundary(start);
            let to = text.ceil_char_boundary(start + length);
            text.replace_range(from..to, &instead);
        }
        try_out(&text);
    }

    #[test]
    fn a_verdict_never_panics_whatever_is_asked(
        address in any::<u16>(), count in any::<u16>(), bytes in prop::collection::vec(any::<u8>(), 0..260),
    ) {
        let policy = policy(FULL);
        let tuple = tcp("10.20.20.10", "10.20.10.12", 502);
        let flow_verdict = policy.flow_verdict(&tuple, Some("modbus"));
        let mut last = LastValues::default();
        let write = operation(WRITE_MANY, address, count, Values::Registers(&bytes));
        let verdict = policy.judge(&flow_verdict, &write, &mut last, SessionState::default(), 0);
        short(&policy, &flow_verdict, verdict);
    }
}

/// One entry of `allow`, on addresses below 40 of one of two tables, or everywhere.
fn entry((op, table, addresses, functions): (usize, usize, Vec<(u16, u16)>, bool)) -> String {
    let op = ["read", "write", "operate", "session"][op];
    let table = ["holding_register", "coil"][table];
    let ranges: Vec<String> = addresses.iter().map(|&(first, more)| format!("\"{first}-{}\"", first + more)).collect();
    let place = match ranges.is_empty() {
        true => String::new(),
        false => format!(", modbus = {{ table = \"{table}\", addr = [{}] }}", ranges.join(", ")),
    };
    let functions = if functions { ", functions = [3, 15]" } else { "" };
    format!("{{ op = \"{op}\"{place}{functions} }}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_short_way_to_a_verdict_and_the_long_one_agree(
        entries in prop::collection::vec(
            (0usize..4, 0usize..2, prop::collection::vec((0u16..40, 0u16..12), 0..4), any::<bool>()), 1..5,
        ),
        asked in prop::collection::vec((0usize..3, 0usize..2, 0u16..50, 0u16..14), 40),
    ) {
        let entries: Vec<String> = entries.into_iter().map(entry).collect();
        let policy = policy(&format!(
            "schema = \"lockkeeper-policy/1\"\n[zone.A]\nnetworks = [\"10.1.0.0/16\"]\n[zone.B]\nnetworks = [\"10.2.0.0/16\"]\n\
             [conduit.C]\nzones = [\"A\", \"B\"]\n[[conduit.C.flow]]\nfrom = \"zone:A\"\nto = \"zone:B\"\n\
             protocol = \"modbus\"\nallow = [{}]\n",
            entries.join(", "),
        ));
        let flow_verdict = policy.flow_verdict(&tcp("10.1.0.1", "10.2.0.1", 502), Some("modbus"));
        prop_assert!(flow_verdict.sole.is_some());
        let long = FlowVerdict { sole: None, ..flow_verdict.clone() };
        for (kind, table, address, count) in asked {
            let (function, code, class) = [READ, WRITE_MANY, ("init_comm", 90, Class::Session)][kind];
            let table = [Table::HoldingRegister, Table::Coil][table];
            let target = Target::Table { unit: 1, table, address, count };
            let operation = Operation { class, function, code, ambiguous: false, target, values: Values::None };
            let verdict = |flow_verdict: &FlowVerdict| policy.judge(flow_verdict, &operation, &mut LastValues::default(), SessionState::default(), 0);
            prop_assert_eq!(verdict(&flow_verdict), verdict(&long), "{:?}", operation);
        }
    }
}

#[test]
fn deep_nesting_is_an_error_and_not_a_crash() {
    try_out(&format!("a = {}", "[".repeat(100_000)));
    try_out(&format!("[{}a]", "a.".repeat(50_000)));
}
