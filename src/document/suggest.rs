//! The known word that was probably meant by one that is not known.

use super::section::Complaint;

/// The word that was probably meant, if one is near enough to be worth suggesting.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let scored = known.into_iter().map(|one| (likeness(&lower, &one.to_lowercase()), one));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)))?;
    (best.0 >= NEAR).then_some(best.1)
}

/// Jaro-Winkler similarity; a single slip of the finger is a strong one also in a short word, such as `PCL` for `PLC`.
fn likeness(word: &str, known: &str) -> f64 {
    let slip = word.len() > 2 && strsim::osa_distance(word, known) <= 1;
    strsim::jaro_winkler(word, known).max(if slip { 0.9 } else { 0.0 })
}

/// Similarity from which a word is suggested: `netwroks` for `networks` is 0.97, `colour` for `zone` 0.47.
const NEAR: f64 = 0.75;

/// `a, b, c` of words, for messages.
pub(crate) fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().collect::<Vec<_>>().join(", ")
}

/// One word of a list.
pub(crate) fn one_of<'k>(text: &str, what: &str, known: &[&'k str]) -> Result<&'k str, Complaint> {
    let found = known.iter().find(|&&word| word == text).copied();
    found.ok_or_else(|| (format!("`{text}` is not {what}"), suggestion(text, known)))
}

/// The nearest known word, or all of them.
pub(crate) fn suggestion(text: &str, known: &[&str]) -> String {
    let known_list = list(known.iter().copied());
    match nearest(text, known.iter().copied()) {
        Some(near) if known.len() > SHORT_LIST => format!("did you mean `{near}`?"),
        Some(near) => format!("did you mean `{near}`? Known are: {known_list}"),
        None if known.is_empty() => "none is declared in this file".to_owned(),
        None => format!("known are: {known_list}"),
    }
}

/// Longest list that is shown beside a suggestion.
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
