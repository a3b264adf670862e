//! The words that one token of a vocabulary is: what a search may write into a template and read again.

use std::collections::HashMap;

use ptuning_core::language_model::Tokenize;

/// Tokens that decode to a word of letters which, behind a space, encodes to the token.
pub(super) struct Vocabulary {
    words: Vec<(u32, String)>,
    places: HashMap<u32, usize>,
}

impl Vocabulary {
    /// The words of a tokenizer, but for those that `leave_out` names.
    pub fn new(tokenizer: &dyn Tokenize, leave_out: &[u32]) -> Self {
        let ids = 0..tokenizer.vocab_size() as u32;
        let word = |id: u32| {
            let text = tokenizer.decode(&[id]);
            let word = text.trim();
            let is_word = !word.is_empty() && word.chars().all(char::is_alphabetic);
            let reads = is_word && tokenizer.ids(&format!(" {word}")) == [id];
            (reads && !leave_out.contains(&id)).then(|| (id, word.to_owned()))
        };
        let words: Vec<(u32, String)> = ids.filter_map(word).collect();
        let places = words.iter().enumerate().map(|(place, (id, _))| (*id, place)).collect();
        Self { words, places }
    }

    /// The word of a token, if it is one.
    pub fn word(&self, id: u32) -> Option<&str> {
        self.places.get(&id).map(|&place| self.words[place].1.as_str())
    }

    /// The token of a word, if it is one.
    pub fn id(&self, word: &str) -> Option<u32> {
        self.words.iter().find(|(_, text)| text == word).map(|(id, _)| *id)
    }

    /// All tokens, in ascending order.
    pub fn ids(&self) -> Vec<u32> {
        self.words.iter().map(|(id, _)| *id).collect()
    }
}
