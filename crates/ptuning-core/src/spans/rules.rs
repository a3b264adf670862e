//! Which spans of a sentence are asked about.

use serde::{Deserialize, Serialize};

use super::Span;

/// English function words as they stand within a sentence: no name begins or ends with one of them in
/// lower case, though many hold one ("Bank of Ghana"), and some begin with one that is capital ("The Hague").
pub const STOP_WORDS: &[&str] = &[
    "a", "an", "and", "as", "at", "be", "been", "but", "by", "for", "from", "had", "has", "have",
    "he", "her", "his", "in", "into", "is", "it", "its", "near", "of", "on", "or", "over", "she",
    "than", "that", "the", "their", "then", "there", "they", "this", "to", "under", "was", "were",
    "when", "which", "while", "who", "will", "with",
];

/// Which spans of a sentence may be entities, and which label says that one is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpanRules {
    /// Most words of a span, at least 1.
    pub longest: usize,
    /// The label of what is no entity.
    pub none: String,
    /// Words that no span begins or ends with, written exactly so.
    pub stop_words: Vec<String>,
}

impl SpanRules {
    /// Spans of a sentence, by their beginnings, then their ends: of at most `longest` words, their first and
    /// their last word neither a stop word nor without a letter or digit. Fewer than `longest` for each word.
    pub fn spans(&self, words: &[String]) -> Vec<Span> {
        let edge: Vec<bool> = words.iter().map(|word| self.may_be_at_an_edge(word)).collect();
        let mut spans = Vec::new();
        for start in (0..words.len()).filter(|&start| edge[start]) {
            let last = words.len().min(start.saturating_add(self.longest));
            let ends = (start + 1..=last).filter(|&end| edge[end - 1]);
            spans.extend(ends.map(|end| Span { start, end }));
        }
        spans
    }

    /// How many spans of at most `longest` words a sentence of so many words has.
    pub fn all(&self, words: usize) -> usize {
        (0..words).map(|start| self.longest.min(words - start)).sum()
    }

    fn may_be_at_an_edge(&self, word: &str) -> bool {
        word.contains(char::is_alphanumeric) && !self.stop_words.iter().any(|stop| stop == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(longest: usize) -> SpanRules {
        let stop_words = STOP_WORDS.iter().map(|&word| word.to_owned()).collect();
        SpanRules { longest, none: "none".to_owned(), stop_words }
    }

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    fn texts(rules: &SpanRules, text: &str) -> Vec<String> {
        let words = words(text);
        rules.spans(&words).into_iter().map(|span| span.text(&words)).collect()
    }

    #[test]
    fn spans_begin_and_end_with_words_that_names_begin_and_end_with() {
        let found = texts(&rules(3), "The Bank of Ghana , in Accra .");
        let expected = ["The", "The Bank", "Bank", "Bank of Ghana", "Ghana", "Accra"];
        assert_eq!(found, expected);
        assert_eq!(texts(&rules(1), "of Ghana ."), ["Ghana"]);
        assert!(texts(&rules(4), "... , .").is_empty() && rules(4).spans(&[]).is_empty());
    }

    #[test]
    fn without_stop_words_only_marks_are_left_out() {
        let rules = SpanRules { stop_words: Vec::new(), ..rules(2) };
        assert_eq!(texts(&rules, "in Accra ."), ["in", "in Accra", "Accra"]);
    }

    #[test]
    fn cost_is_linear_in_the_words() {
        let long = vec!["word".to_owned(); 1000];
        let rules = rules(4);
        assert_eq!(rules.spans(&long).len(), rules.all(1000));
        assert_eq!(rules.all(1000), 4 * 1000 - 6);
        assert_eq!((rules.all(0), rules.all(2)), (0, 3));
    }
}
