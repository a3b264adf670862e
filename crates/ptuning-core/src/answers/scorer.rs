//! Scores and ranks of the answers of a set, behind an input.

use burn::tensor::Tensor;

use super::ask::{Question, log_probabilities};
use super::{AnswerSet, AnswersError, MaskedScoring, normalised};
use crate::language_model::{LanguageModel, Objective};
use crate::template::Encoded;

/// How an answer is scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scoring {
    /// What a masked model is asked; `None` for pseudo-likelihood there and left to right elsewhere.
    pub masked: Option<MaskedScoring>,
    /// The mean of log-probabilities over the tokens of an answer, in place of their sum.
    pub normalised: bool,
    /// Sequences per forward pass, at least 1.
    pub batch_size: usize,
}

impl Scoring {
    /// Refuses what this language model cannot be asked.
    ///
    /// # Errors
    /// Pseudo-likelihoods of a causal model.
    pub fn check(&self, lm: &dyn LanguageModel) -> Result<(), AnswersError> {
        let asked = self.masked == Some(MaskedScoring::PseudoLikelihood);
        match lm.objective() {
            Objective::Causal if asked => Err(AnswersError::NotMasked),
            _ => Ok(()),
        }
    }
}

/// Where the right answer stands among all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rank {
    /// How many answers score strictly higher, from 0.
    pub rank: usize,
    /// Its score, in nats.
    pub score: f32,
}

/// Scores the answers of a set by one language model and one prompt.
pub struct Scorer<'a> {
    lm: &'a dyn LanguageModel,
    prompt: Option<&'a Tensor<2>>,
    pub(super) set: &'a AnswerSet,
    pub(super) scoring: Scoring,
}

impl<'a> Scorer<'a> {
    /// A scorer with a prompt (`[prompt, hidden]`, without autodiff) or, for a discrete template, without.
    pub fn new(
        lm: &'a dyn LanguageModel,
        prompt: Option<&'a Tensor<2>>,
        set: &'a AnswerSet,
        scoring: Scoring,
    ) -> Self {
        Self { lm, prompt, set, scoring }
    }

    /// The score of each answer behind an input, by its number.
    pub fn scores(&self, context: &Encoded) -> Vec<f32> {
        match self.lm.objective() {
            Objective::Causal => {
                let openings = self.openings(&[context], &[None]);
                let first = openings.into_iter().next().unwrap_or_default().0;
                self.causal(context, &first, f32::NEG_INFINITY)
            }
            Objective::Masked => self.masked(context, f32::NEG_INFINITY),
        }
    }

    /// Rank and score of the right answer behind each input.
    ///
    /// No log-probability is above 0: an answer whose first tokens alone score no higher than the whole
    /// right answer cannot outrank it, and is not looked at further. Ranks are those of all scores.
    pub fn ranks(&self, contexts: &[&Encoded], right: &[usize]) -> Vec<Rank> {
        let size = self.scoring.batch_size.max(1);
        let chunks = contexts.chunks(size).zip(right.chunks(size));
        chunks.flat_map(|(contexts, right)| self.ranks_of_batch(contexts, right)).collect()
    }

    fn ranks_of_batch(&self, contexts: &[&Encoded], right: &[usize]) -> Vec<Rank> {
        let rank = |above: Vec<f32>, right: usize, score: f32| {
            let higher = |(number, &other): (usize, &f32)| number != right && other > score;
            Rank { rank: above.iter().enumerate().filter(|&one| higher(one)).count(), score }
        };
        match self.lm.objective() {
            Objective::Causal => {
                let wanted: Vec<Option<usize>> = right.iter().copied().map(Some).collect();
                let openings = self.openings(contexts, &wanted).into_iter();
                let each = openings.zip(contexts).zip(right);
                each.map(|(((first, score), context), &right)| {
                    rank(self.causal(context, &first, score), right, score)
                })
                .collect()
            }
            Objective::Masked => {
                let scores = self.masked_scores(contexts, right).into_iter();
                let each = scores.zip(contexts).zip(right);
                each.map(|((score, context), &right)| {
                    rank(self.masked(context, score), right, score)
                })
                .collect()
            }
        }
    }

    pub(super) fn ask(&self, questions: &[Question]) -> Vec<Vec<f32>> {
        log_probabilities(self.lm, self.prompt, questions, self.scoring.batch_size)
    }

    /// The score of an answer, or the most that it can still reach, from the sum so far.
    pub(super) fn score(&self, answer: usize, sum: f32) -> f32 {
        normalised(sum, self.set.tokens()[answer].len(), self.scoring.normalised)
    }
}
