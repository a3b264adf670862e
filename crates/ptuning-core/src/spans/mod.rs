//! Entities of a sentence by a template: each span is put into it, and labels are compared.
//!
//! ```text
//! [x] [x:span] is a [z] entity
//! Ada lives in Cairo . Cairo is a [z] entity       location 91 %, person 5 %, none 4 %
//! Ada lives in Cairo . lives in is a [z] entity    none 97 % …
//! ```
//!
//! Cui et al., "Template-Based Named Entity Recognition Using BART" (2021). [`SpanRules`] say which spans of
//! a sentence are asked about: at most `longest` for each word, so that the cost of a sentence is linear in
//! its length. [`without_overlap`] makes entities of what the spans score, [`EntityScores`] judges them as
//! seqeval does, and [`entities_of_tags`] reads tags such as `B-person` as seqeval reads them.

mod decode;
mod rules;
mod scores;
mod tags;

pub use decode::{Found, apart, without_overlap};
pub use rules::{STOP_WORDS, SpanRules};
pub use scores::{Entity, EntityScores, LabelScores, Prf};
pub use tags::entities_of_tags;

use serde::{Deserialize, Serialize};

/// A stretch of words of a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span {
    /// The first word, from 0.
    pub start: usize,
    /// The word behind the last one.
    pub end: usize,
}

impl Span {
    /// Words in it.
    pub fn len(self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// Whether it holds no word.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether it shares a word with another one.
    pub fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// Its words, with spaces between them; empty where it does not lie in the sentence.
    pub fn text(self, words: &[String]) -> String {
        words.get(self.start..self.end).unwrap_or_default().join(" ")
    }
}
