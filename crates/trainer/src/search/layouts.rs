//! Where virtual tokens may stand: around which anchors, on which side, how many.

use ptuning_core::template::{Count, SegmentKind};

use super::error::SearchError;
use super::words::{Piece, Wording};

/// Every layout of virtual tokens for the inputs of a manual prompt, each once.
///
/// For each number of virtual tokens and each anchor, and for none: in front, behind, and around. Without
/// `anchors`, the longest word of the manual prompt is one, and the whole prompt keeps its words.
///
/// # Errors
/// An anchor that is not words.
pub fn layouts(
    manual: &Wording,
    anchors: &[String],
    tokens: &[usize],
) -> Result<Vec<String>, SearchError> {
    let is_input = |piece: &&Piece| matches!(piece.kind, SegmentKind::Input { .. });
    let inputs: Vec<String> =
        manual.pieces().iter().filter(is_input).map(|piece| piece.kind.to_string()).collect();
    let inputs = inputs.join(" ");
    let mut words = vec![String::new()];
    for anchor in anchors {
        words.push(checked(anchor)?);
    }
    if anchors.is_empty() {
        words.extend(content_word(manual));
    }
    let mut found: Vec<String> = Vec::new();
    let mut add = |parts: &[&str]| {
        let parts: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
        let layout = parts.join(" ");
        if !found.contains(&layout) {
            found.push(layout);
        }
    };
    for count in tokens {
        let h = format!("[h:{count}]");
        for anchor in &words {
            add(&[&h, anchor, &inputs, &h, "[z]"]);
            add(&[&h, anchor, &inputs, "[z]"]);
            add(&[anchor, &inputs, &h, "[z]"]);
        }
        if anchors.is_empty() {
            let answer = manual.pieces().iter().position(|piece| piece.kind == SegmentKind::Answer);
            let whole = manual.to_string();
            add(&[&h, whole.trim()]);
            if let Some(answer) = answer {
                let kind = SegmentKind::Virtual { count: Count::Number(*count), tie: None };
                add(&[&manual.inserted(answer, "").with_kind(answer, kind).to_string()]);
            }
        }
    }
    Ok(found)
}

/// The word that says most, as far as its length tells.
fn content_word(manual: &Wording) -> Option<String> {
    let words = manual.words().map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()));
    // The first of the longest.
    let longest = words.enumerate().max_by_key(|(at, word)| (word.len(), std::cmp::Reverse(*at)));
    longest.map(|(_, word)| word.to_owned()).filter(|word| !word.is_empty())
}

/// An anchor as a template has it.
fn checked(anchor: &str) -> Result<String, SearchError> {
    let refused = |found| SearchError::NotAnAnchor { anchor: anchor.to_owned(), found };
    if anchor.trim().is_empty() {
        return Err(refused("none"));
    }
    let part = Wording::parse_part(anchor).map_err(|_| refused("no part of a template"))?;
    match part.pieces().iter().all(|piece| piece.text().is_some()) {
        true => Ok(part.to_string().trim().to_owned()),
        false => Err(refused("more than words")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtual_tokens_stand_in_front_behind_and_around() {
        let manual = Wording::parse("The capital of [x:place|head] is [z]").unwrap();
        let expected = [
            "[h:2] [x:place|head] [h:2] [z]",
            "[h:2] [x:place|head] [z]",
            "[x:place|head] [h:2] [z]",
            "[h:2] capital [x:place|head] [h:2] [z]",
            "[h:2] capital [x:place|head] [z]",
            "capital [x:place|head] [h:2] [z]",
            "[h:2] The capital of [x:place|head] is [z]",
            "The capital of [x:place|head] is [h:2] [z]",
        ];
        assert_eq!(layouts(&manual, &[], &[2]).unwrap(), expected);
        let anchors = ["seat of".to_owned()];
        let found = layouts(&manual, &anchors, &[1, 3]).unwrap();
        assert_eq!(found.len(), 12);
        assert_eq!(found[3], "[h:1] seat of [x:place|head] [h:1] [z]");
        for wrong in ["", " ", "[h:2]", "[oops", "of [x]"] {
            assert!(layouts(&manual, &[wrong.to_owned()], &[1]).is_err(), "{wrong:?}");
        }
    }
}
