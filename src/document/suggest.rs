//! Suggestions for unknown words.

use super::section::Complaint;

/// The known word nearest to an unknown one, if it is near enough to be a suggestion.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let scored = known.into_iter().map(|one| (likeness(&lower, &one.to_lowercase()), one));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)))?;
    (best.0 >= NEAR).then_some(best.1)
}

/// Jaro-Winkler similarity, 0 to 1; at least 0.9 for a single typing error, which weighs too much in short words such as
/// `PCL` for `PLC`.
fn likeness(word: &str, known: &str) -> f64 {
    let slip = word.len() > 2 && strsim::osa_distance(word, known) <= 1;
    strsim::jaro_winkler(word, known).max(if slip { 0.9 } else { 0.0 })
}

/// Least similarity of a suggestion: `netwroks` and `networks` have 0.97, `colour` and `zone` 0.47.
const NEAR: f64 = 0.75;

/// Joins words for messages: `a, b, c`.
pub(crate) fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().collect::<Vec<_>>().join(", ")
}

/// The known word that equals a text, or a complaint that it is not `what`.
pub(crate) fn one_of<'k>(text: &str, what: &str, known: &[&'k str]) -> Result<&'k str, Complaint> {
    let found = known.iter().find(|&&word| word == text).copied();
    found.ok_or_else(|| (format!("`{text}` is not {what}"), suggestion(text, known)))
}

/// The help for an unknown word: the nearest known one, or all of them.
pub(crate) fn suggestion(text: &str, known: &[&str]) -> String {
    let known_list = list(known.iter().copied());
    match nearest(text, known.iter().copied()) {
        Some(near) if known.len() > SHORT_LIST => format!("did you mean `{near}`?"),
        Some(near) => format!("did you mean `{near}`? Known are: {known_list}"),
        None if known.is_empty() => "none is declared in this file".to_owned(),
        None => format!("known are: {known_list}"),
    }
}

/// Longest list that a suggestion shows as well.
const SHORT_LIST: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_finds_the_word_and_nonsense_does_not() {
        assert_eq!(nearest("netwroks", ["networks", "vlans"]), Some("networks"));
        assert_eq!(nearest("Modbus", ["modbus", "mqtt"]), Some("modbus"));
        assert_eq!(nearest("PCL", ["PUMP", "PLC"]), Some("PLC"));
        assert_eq!(nearest("xyzzy", ["networks", "vlans"]), None);
    }
}
