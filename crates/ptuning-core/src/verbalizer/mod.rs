//! Verbalizers: from scores over the vocabulary to an answer.

mod open_vocabulary;

pub use open_vocabulary::{OpenVocabulary, single_token};
