//! From segments to pieces: white space settled, virtual tokens numbered.

use std::collections::BTreeMap;
use std::ops::Range;

use super::error::BindError;
use super::segments::{Count, SegmentKind, Shorten, Template};
use crate::language_model::{Objective, Tokenize};

/// A virtual token of a bound template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualToken {
    /// Its name in print: `h_0`, `h_1` …, or `p_0`, `p_1` … where it stands for keys and values.
    pub name: String,
    /// Vocabulary id whose embedding it starts from, when the template gives words.
    pub start: Option<u32>,
    /// The tie that it belongs to, and its place in there.
    pub tie: Option<(String, usize)>,
}

#[derive(Debug, Clone)]
pub(super) enum Piece {
    Text(Vec<TextPart>),
    Virtual(Range<usize>),
    Answer,
}

#[derive(Debug, Clone)]
pub(super) enum TextPart {
    Anchor(String),
    Input(String, Option<Shorten>),
}

/// Joins neighbouring texts and settles white space; virtual tokens are not numbered yet.
///
/// `opens_with_space` is whether the first text or answer of a sequence has a space in front anyhow.
pub(super) fn pieces(
    template: &Template,
    objective: Objective,
    opens_with_space: bool,
) -> Result<(Vec<Piece>, bool), BindError> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut answer_space = false;
    let mut answered = false;
    for segment in template.segments() {
        let blank = matches!(&segment.kind, SegmentKind::Literal(text) if text.trim().is_empty());
        if answered && !blank && objective == Objective::Causal {
            return Err(BindError::AfterAnswer { column: segment.column });
        }
        let part = match &segment.kind {
            SegmentKind::Virtual { .. } => {
                pieces.push(Piece::Virtual(0..0));
                continue;
            }
            // In front of every row; it is none itself.
            SegmentKind::Prefix { .. } => continue,
            SegmentKind::Answer => {
                answer_space = ends_with_space(template, segment.column);
                answered = true;
                pieces.push(Piece::Answer);
                continue;
            }
            SegmentKind::Literal(text) => TextPart::Anchor(text.clone()),
            SegmentKind::Input { field, shorten } => TextPart::Input(field.clone(), *shorten),
        };
        match pieces.last_mut() {
            Some(Piece::Text(parts)) => parts.push(part),
            _ => pieces.push(Piece::Text(vec![part])),
        }
    }
    pieces.retain(|piece| match piece {
        Piece::Text(parts) => !parts
            .iter()
            .all(|part| matches!(part, TextPart::Anchor(text) if text.trim().is_empty())),
        Piece::Virtual(_) | Piece::Answer => true,
    });
    if objective == Objective::Causal && matches!(pieces.first(), Some(Piece::Answer)) {
        return Err(BindError::NothingBefore);
    }
    answer_space |= opens_with_space && matches!(pieces.first(), Some(Piece::Answer));
    Ok((pieces, answer_space))
}

/// Whether white space is written right before the segment at `column`.
fn ends_with_space(template: &Template, column: usize) -> bool {
    let before = template.segments().iter().take_while(|segment| segment.column < column).last();
    matches!(
        before.map(|segment| &segment.kind),
        Some(SegmentKind::Literal(text)) if text.ends_with(char::is_whitespace)
    )
}

/// Gives every virtual token its index, tied segments the same ones.
pub(super) fn number_virtual_tokens(
    template: &Template,
    mut pieces: Vec<Piece>,
    tokenizer: &dyn Tokenize,
) -> Result<(Vec<Piece>, Vec<VirtualToken>), BindError> {
    let in_front = |index| VirtualToken { name: format!("p_{index}"), start: None, tie: None };
    let mut virtual_tokens: Vec<VirtualToken> = (0..template.prefix()).map(in_front).collect();
    let mut ties: BTreeMap<&str, Range<usize>> = BTreeMap::new();
    let mut slots = pieces.iter_mut().filter_map(|piece| match piece {
        Piece::Virtual(range) => Some(range),
        Piece::Text(_) | Piece::Answer => None,
    });
    for segment in template.segments() {
        let SegmentKind::Virtual { count, tie } = &segment.kind else {
            continue;
        };
        let Some(slot) = slots.next() else { break };
        let starts: Vec<Option<u32>> = match count {
            Count::Number(n) => vec![None; *n],
            Count::Words(words) => {
                // In running text a word has a space in front, but for the very first.
                let spaced = segment.column > 1 || tokenizer.opens_with_space();
                let text =
                    if spaced { format!(" {}", words.trim()) } else { words.trim().to_owned() };
                let ids = tokenizer.ids(&text);
                if ids.is_empty() {
                    return Err(BindError::WordsWithoutTokens {
                        column: segment.column,
                        words: words.clone(),
                    });
                }
                ids.into_iter().map(Some).collect()
            }
        };
        if let Some(range) = tie.as_deref().and_then(|tie| ties.get(tie)) {
            if range.len() != starts.len() {
                return Err(BindError::TieLength {
                    column: segment.column,
                    tie: tie.clone().unwrap_or_default(),
                    expected: range.len(),
                    found: starts.len(),
                });
            }
            // A start given at any of the tied places counts, the first one first.
            for (index, start) in range.clone().zip(starts) {
                let token = &mut virtual_tokens[index];
                token.start = token.start.or(start);
            }
            *slot = range.clone();
            continue;
        }
        let first = virtual_tokens.len();
        for (place, start) in starts.into_iter().enumerate() {
            let name = format!("h_{}", virtual_tokens.len());
            let tie = tie.clone().map(|tie| (tie, place));
            virtual_tokens.push(VirtualToken { name, start, tie });
        }
        *slot = first..virtual_tokens.len();
        if let Some(tie) = tie {
            ties.insert(tie, slot.clone());
        }
    }
    Ok((pieces, virtual_tokens))
}
