//! The answer is a word: any of the vocabulary, or of a set of candidates.

use std::collections::BTreeSet;

use burn::tensor::{Device, Int, Tensor};

use crate::language_model::Tokenize;
use crate::objective::ids;
use crate::template::BoundTemplate;

/// The id of a word that is one token where the template puts the answer, else `None`.
///
/// The published protocol drops examples whose object is more than one token.
pub fn single_token(word: &str, template: &BoundTemplate, tokenizer: &dyn Tokenize) -> Option<u32> {
    match tokenizer.ids(&template.answer_text(word)).as_slice() {
        [id] => Some(*id),
        _ => None,
    }
}

/// Words that may be answers: the whole vocabulary or a set of candidate tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenVocabulary {
    candidates: Option<BTreeSet<u32>>,
}

impl OpenVocabulary {
    /// Every token of the vocabulary may answer.
    pub fn whole() -> Self {
        Self { candidates: None }
    }

    /// Only these tokens may answer.
    pub fn candidates(ids: impl IntoIterator<Item = u32>) -> Self {
        Self { candidates: Some(ids.into_iter().collect()) }
    }

    /// Number of candidates, or `None` for the whole vocabulary.
    pub fn len(&self) -> Option<usize> {
        self.candidates.as_ref().map(BTreeSet::len)
    }

    /// The candidates in ascending order; `None` for the whole vocabulary.
    pub fn ids(&self) -> Option<Vec<u32>> {
        self.candidates.as_ref().map(|ids| ids.iter().copied().collect())
    }

    /// Whether nothing may answer.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// Whether a token may answer.
    pub fn contains(&self, id: u32) -> bool {
        self.candidates.as_ref().is_none_or(|ids| ids.contains(&id))
    }

    /// The candidates in ascending order as a tensor, `[candidates]`; `None` for the whole vocabulary.
    pub fn tensor(&self, device: &Device) -> Option<Tensor<1, Int>> {
        Some(ids(&self.ids()?, device))
    }

    /// The `k` best answers as (id, probability), best first; probabilities are a softmax over what
    /// may answer.
    ///
    /// `logits` are one row of the vocabulary.
    pub fn top(&self, logits: &[f32], k: usize) -> Vec<(u32, f32)> {
        let mut scores: Vec<(u32, f32)> = match &self.candidates {
            None => (0u32..).zip(logits.iter().copied()).collect(),
            Some(ids) => {
                ids.iter().filter_map(|&id| Some((id, *logits.get(id as usize)?))).collect()
            }
        };
        let max = scores.iter().map(|&(_, score)| score).fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = scores.iter().map(|&(_, score)| f64::from(score - max).exp()).sum();
        let best = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if k < scores.len() {
            scores.select_nth_unstable_by(k, best);
            scores.truncate(k);
        }
        scores.sort_by(best);
        for (_, score) in &mut scores {
            *score = (f64::from(*score - max).exp() / sum) as f32;
        }
        scores
    }
}
