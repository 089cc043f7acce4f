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
        let link = tcp("10.20.20.10", "10.20.10.12", 502);
        let ruling = policy.ruling(&link);
        let mut last = LastValues::default();
        let write = operation(WRITE_MANY, address, count, Values::Registers(&bytes));
        let verdict = policy.judge(&ruling, &write, &mut last);
        short(&policy, &ruling, verdict);
    }
}

#[test]
fn deep_nesting_is_an_error_and_not_a_crash() {
    try_out(&format!("a = {}", "[".repeat(100_000)));
    try_out(&format!("[{}a]", "a.".repeat(50_000)));
}
