//! Verbalizers: from scores over the vocabulary to an answer.

mod automatic;
mod knowledgeable;
mod label_words;
mod learned;
mod open_vocabulary;

use burn::tensor::Tensor;

pub use automatic::Evidence;
pub use label_words::{Aggregate, Label, LabelWord, LabelWords, SeveralTokens};
pub use open_vocabulary::{OpenVocabulary, single_token};

use crate::language_model::LanguageModel;
use crate::prompt_model::answer_logits;
use crate::template::Encoded;

/// What an answer is: a word, or a label that words stand for.
#[derive(Debug, Clone, PartialEq)]
pub enum Verbalizer {
    /// A word of the vocabulary or of a set of candidates; an answer is its vocabulary id.
    Words(OpenVocabulary),
    /// A label; an answer is its number.
    Labels(LabelWords),
}

impl Verbalizer {
    /// The labels, if answers are labels.
    pub fn labels(&self) -> Option<&LabelWords> {
        match self {
            Self::Words(_) => None,
            Self::Labels(labels) => Some(labels),
        }
    }

    /// The candidate words, if answers are words: ids in ascending order, `None` for the whole vocabulary.
    pub fn candidates(&self) -> Option<Vec<u32>> {
        match self {
            Self::Words(words) => words.ids(),
            Self::Labels(_) => None,
        }
    }

    /// How many answers there are, `None` for the whole vocabulary.
    pub fn len(&self) -> Option<usize> {
        match self {
            Self::Words(words) => words.len(),
            Self::Labels(labels) => Some(labels.labels().len()),
        }
    }

    /// The same without a prior.
    pub fn uncalibrated(&self) -> Self {
        match self {
            Self::Labels(labels) => Self::Labels(labels.uncalibrated()),
            words => words.clone(),
        }
    }

    /// Whether nothing may answer.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// What a language model says of every word of the vocabulary, or of each word of labels, at the answer
    /// of each example.
    ///
    /// # Shapes
    /// - `prompt`: `[prompt, hidden]`, without autodiff
    /// - `batch`: `rows` encoded examples
    /// - returns: `[rows, vocab]` or `[rows, words]`
    pub fn said(
        &self,
        lm: &dyn LanguageModel,
        prompt: Option<&Tensor<2>>,
        batch: &[&Encoded],
    ) -> Tensor<2> {
        match self {
            Self::Words(_) => answer_logits(lm, prompt, batch),
            Self::Labels(labels) => labels.said(lm, prompt, batch),
        }
    }

    /// What [`said`](Self::said) is where each answer is one token.
    ///
    /// # Shapes
    /// - `logits`: `[rows, vocab]`
    /// - returns: `[rows, vocab]` or `[rows, words]`
    pub fn of_logits(&self, logits: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Words(_) => logits,
            Self::Labels(labels) => labels.of_logits(logits),
        }
    }

    /// Cross-entropy of each answer, and what to call `backward` on for the gradient of their sum divided
    /// by `examples`: over the whole vocabulary for words, over the labels for labels.
    ///
    /// # Shapes
    /// - `states`: `[rows, hidden]`, tracked by autodiff
    /// - `answers`: one for each row
    /// - returns: losses, `[rows]`, untracked; and the objective, `[1]`
    pub fn loss(
        &self,
        lm: &dyn LanguageModel,
        states: Tensor<2>,
        answers: &[u32],
        examples: usize,
    ) -> (Tensor<1>, Tensor<1>) {
        match self {
            Self::Words(_) => lm.loss(states, answers, examples),
            Self::Labels(labels) => labels.loss(labels.scores(lm, states, None), answers, examples),
        }
    }
}
