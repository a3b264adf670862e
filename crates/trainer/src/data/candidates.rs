//! Candidate answers: the words that a prediction may choose from.

use std::collections::HashSet;
use std::path::Path;

use super::{DataError, DataSet, lines};
use crate::settings::CandidateSource;

/// What may be answered, before it meets a tokenizer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Candidates {
    /// Every token of the backbone's vocabulary.
    Vocabulary,
    /// These words, each once, in a fixed order.
    Words(Vec<String>),
}

/// Gathers candidates from all sources together.
///
/// `dataset` stands for the answers of the examples loaded, of all splits: with a limit they are
/// fewer.
///
/// # Errors
///
/// A word list that cannot be used.
pub fn candidates(sources: &[CandidateSource], data: &DataSet) -> Result<Candidates, DataError> {
    if sources.contains(&CandidateSource::Vocabulary) {
        return Ok(Candidates::Vocabulary);
    }
    let mut words = Vec::new();
    for source in sources {
        match source {
            CandidateSource::File(path) => words.extend(self::words(path)?),
            CandidateSource::Dataset => {
                words.extend(data.examples().map(|example| example.answer.clone()));
            }
            CandidateSource::Vocabulary => {}
        }
    }
    Ok(Candidates::Words(unique(words)))
}

/// Reads a word list: one word per line, each kept once, in the order of the file.
///
/// # Errors
///
/// A file that cannot be read, is not UTF-8 or holds no word.
pub fn words(path: &Path) -> Result<Vec<String>, DataError> {
    Ok(unique(lines::read(path)?.into_iter().map(|(_, word)| word).collect()))
}

fn unique(words: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    words.into_iter().filter(|word| seen.insert(word.clone())).collect()
}
