//! The answer is a label, and words stand for it: *fantastic*, *great*, *amazing* for *positive*.
//!
//! Schick and Schütze, "Exploiting Cloze Questions" (2021): a label is as probable as the words that
//! stand for it, among the words of all labels.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::answers::{AnswerSet, Scorer, Scoring};
use crate::language_model::{LanguageModel, Tokenize};
use crate::objective::{cross_entropy, ids};
use crate::prompt_model::{answer_logits, answer_states};
use crate::template::{BoundTemplate, Encoded};

/// How the words of a label make its score.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aggregate {
    /// The weighted mean of their probabilities.
    #[default]
    Mean,
    /// The weighted mean of their log-probabilities, which one improbable word pulls down.
    MeanLog,
    /// The greatest weighted probability.
    Max,
}

/// A word that stands for a label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelWord {
    /// As written.
    pub text: String,
    /// Its weight, above 0.
    pub weight: f32,
    /// Its vocabulary id, or that of its first token.
    pub id: u32,
    /// Its other tokens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rest: Vec<u32>,
}

/// A label and the words that stand for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// Its name, as data has it.
    pub name: String,
    /// At least one.
    pub words: Vec<LabelWord>,
}

/// A word of a label that is not one token where the template puts the answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the word '{word}' of the label '{label}' is {} tokens here ({})", tokens.len(), tokens.join(" + "))]
pub struct SeveralTokens {
    /// The label.
    pub label: String,
    /// The word.
    pub word: String,
    /// Its tokens.
    pub tokens: Vec<String>,
}

/// Labels with the words that stand for them, in the vocabulary of one tokenizer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelWords {
    pub(super) labels: Vec<Label>,
    pub(super) aggregate: Aggregate,
    /// Log-probability of each word without an input, subtracted from its score; empty for none.
    pub(super) prior: Vec<f32>,
    /// `[labels, hidden]`: what says a label's score in the place of its words; empty where words do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) vectors: Vec<f32>,
}

impl LabelWords {
    /// Finds the words in a tokenizer's vocabulary, as they stand where `template` puts the answer.
    ///
    /// `labels` are names with their words and weights.
    ///
    /// # Errors
    /// The first word without tokens.
    pub fn bind(
        labels: &[(String, Vec<(String, f32)>)],
        aggregate: Aggregate,
        template: &BoundTemplate,
        tokenizer: &dyn Tokenize,
    ) -> Result<Self, SeveralTokens> {
        let word = |label: &str, (text, weight): &(String, f32)| {
            let tokens = tokenizer.ids(&template.answer_text(text));
            match tokens.split_first() {
                Some((&id, rest)) => {
                    Ok(LabelWord { text: text.clone(), weight: *weight, id, rest: rest.to_vec() })
                }
                None => Err(several_tokens(label, text, &[], tokenizer)),
            }
        };
        let label = |(name, words): &(String, Vec<(String, f32)>)| {
            let words = words.iter().map(|given| word(name, given)).collect::<Result<_, _>>()?;
            Ok(Label { name: name.clone(), words })
        };
        let labels = labels.iter().map(label).collect::<Result<_, _>>()?;
        Ok(Self { labels, aggregate, prior: Vec::new(), vectors: Vec::new() })
    }

    /// Refuses words of several tokens, which are scored whole but not trained with.
    ///
    /// # Errors
    /// The first of them.
    pub fn check_single(&self, tokenizer: &dyn Tokenize) -> Result<(), SeveralTokens> {
        let mut words =
            self.labels.iter().flat_map(|label| label.words.iter().map(move |word| (label, word)));
        match words.find(|(_, word)| !word.rest.is_empty()) {
            Some((label, word)) => {
                Err(several_tokens(&label.name, &word.text, &word.tokens(), tokenizer))
            }
            None => Ok(()),
        }
    }

    /// Tokens of the longest word.
    pub fn longest(&self) -> usize {
        self.words().map(|word| 1 + word.rest.len()).max().unwrap_or(0)
    }

    /// Whether the vocabulary's logits at one place tell all: each word is one token, and words say what labels
    /// score.
    pub fn reads_logits(&self) -> bool {
        self.longest() <= 1 && !self.is_soft()
    }

    /// The labels, in the order in which they are numbered.
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// All words, label by label.
    pub fn words(&self) -> impl Iterator<Item = &LabelWord> {
        self.labels.iter().flat_map(|label| &label.words)
    }

    /// Number of a label.
    pub fn number(&self, name: &str) -> Option<usize> {
        self.labels.iter().position(|label| label.name == name)
    }

    /// Whether this can be of a language model of these sizes: ids below its vocabulary's, a prior for all
    /// words or none, label vectors of its width for all labels or none.
    pub fn fits(&self, vocab: usize, hidden: usize) -> bool {
        let mut words = self.words();
        let vectors = self.vectors.is_empty() || self.vectors.len() == self.labels.len() * hidden;
        let prior = self.prior.is_empty() || self.prior.len() == self.words().count();
        let full = self.labels.iter().all(|label| !label.words.is_empty());
        prior
            && vectors
            && full
            && !self.labels.is_empty()
            && words.all(|word| word.tokens().iter().all(|&id| (id as usize) < vocab))
    }

    /// Whether a prior is subtracted.
    pub fn is_calibrated(&self) -> bool {
        !self.prior.is_empty()
    }

    /// The same words without a prior.
    pub fn uncalibrated(&self) -> Self {
        Self { prior: Vec::new(), ..self.clone() }
    }

    /// Those words alone that are to be kept, without a prior.
    ///
    /// # Shapes
    /// - `keep`: one for each word
    pub(super) fn keeping(mut self, keep: &[bool]) -> Self {
        let mut keep = keep.iter();
        for label in &mut self.labels {
            label.words.retain(|_| keep.next().copied().unwrap_or(false));
        }
        Self { prior: Vec::new(), ..self }
    }

    /// Subtracts a prior from now on: the mean of what the words score on inputs that say nothing
    /// (Zhao et al., "Calibrate Before Use", 2021) or on many inputs whose labels are not looked at.
    ///
    /// # Shapes
    /// - `scores`: of [`word_scores`](Self::word_scores) before calibration, `[inputs, words]`
    pub fn calibrated(self, scores: Tensor<2>) -> Self {
        let [_, words] = scores.dims();
        let prior = scores.exp().mean_dim(0).log().reshape([words]);
        // A word that no input makes probable at all must not become certain.
        let prior = prior.into_data().iter::<f32>().map(|log| log.max(LEAST_PRIOR)).collect();
        Self { prior, ..self }
    }

    /// What a language model says of each word, before words are compared: its logit, or where a word is
    /// several tokens the log-probability of each word as a whole. Label vectors say it of each label.
    ///
    /// # Shapes
    /// - `prompt`: `[prompt, hidden]`, without autodiff
    /// - `batch`: `rows` encoded examples
    /// - returns: `[rows, words]`, or `[rows, labels]` by label vectors
    pub fn said(
        &self,
        lm: &dyn LanguageModel,
        prompt: Option<&Tensor<2>>,
        batch: &[&Encoded],
    ) -> Tensor<2> {
        if self.is_soft() {
            return self.soft_logits(answer_states(lm, prompt, batch), None);
        }
        if self.reads_logits() {
            return self.of_logits(answer_logits(lm, prompt, batch));
        }
        let words = self.words().map(|word| (word.text.as_str(), word.tokens()));
        let (set, numbers) = AnswerSet::of_tokens(words);
        let scoring = Scoring { masked: None, normalised: false, batch_size: batch.len() };
        let scorer = Scorer::new(lm, prompt, &set, scoring);
        let row = |context: &&Encoded| {
            let scores = scorer.scores(context);
            numbers.iter().map(|&number| scores[number]).collect::<Vec<f32>>()
        };
        let scores: Vec<f32> = batch.iter().flat_map(row).collect();
        Tensor::from_data(TensorData::new(scores, [batch.len(), numbers.len()]), &lm.device())
    }

    /// What [`said`](Self::said) is where each word is one token.
    ///
    /// # Shapes
    /// - `logits`: `[rows, vocab]`
    /// - returns: `[rows, words]`
    pub fn of_logits(&self, logits: Tensor<2>) -> Tensor<2> {
        let words: Vec<u32> = self.words().map(|word| word.id).collect();
        let words = ids(&words, &logits.device());
        logits.select(1, words)
    }

    /// Log-probability of each word among the words of all labels, the prior taken off.
    ///
    /// # Shapes
    /// - `said`: `[rows, words]`, as of [`said`](Self::said)
    /// - returns: the same
    pub fn compared(&self, said: Tensor<2>) -> Tensor<2> {
        let device = said.device();
        let scores = log_softmax(said, 1);
        if self.prior.is_empty() {
            return scores;
        }
        let prior = TensorData::new(self.prior.clone(), [1, self.prior.len()]);
        log_softmax(scores - Tensor::from_data(prior, &device), 1)
    }

    /// [`compared`](Self::compared), of words of one token.
    ///
    /// # Shapes
    /// - `logits`: `[rows, vocab]`
    /// - returns: `[rows, words]`
    pub fn word_scores(&self, logits: Tensor<2>) -> Tensor<2> {
        self.compared(self.of_logits(logits))
    }

    /// Log-probability of each label, from the scores of its words; those of label vectors as they are.
    ///
    /// # Shapes
    /// - `word_scores`: `[rows, words]`
    /// - returns: `[rows, labels]`
    pub fn aggregated(&self, word_scores: Tensor<2>) -> Tensor<2> {
        if self.is_soft() {
            return word_scores;
        }
        let device = word_scores.device();
        let mut first = 0;
        let label = |label: &Label| {
            let count = label.words.len();
            let scores = word_scores.clone().narrow(1, first, count);
            first += count;
            let total: f32 = label.words.iter().map(|word| word.weight).sum();
            let shares: Vec<f32> = label.words.iter().map(|word| word.weight / total).collect();
            let shares = Tensor::from_data(TensorData::new(shares, [1, count]), &device);
            self.aggregate.of(scores, shares, total)
        };
        log_softmax(Tensor::cat(self.labels.iter().map(label).collect(), 1), 1)
    }

    /// Log-probability of each label.
    ///
    /// # Shapes
    /// - `logits`: `[rows, vocab]`
    /// - returns: `[rows, labels]`
    pub fn label_scores(&self, logits: Tensor<2>) -> Tensor<2> {
        self.aggregated(self.word_scores(logits))
    }

    /// Cross-entropy of each label, and what to call `backward` on for the gradient of their sum divided
    /// by `examples`.
    ///
    /// # Shapes
    /// - `scores`: `[rows, labels]`, as of [`scores`](Self::scores), tracked by autodiff
    /// - `labels`: a number for each row
    /// - returns: losses, `[rows]`, untracked; and the objective, `[1]`
    pub fn loss(
        &self,
        scores: Tensor<2>,
        labels: &[u32],
        examples: usize,
    ) -> (Tensor<1>, Tensor<1>) {
        let losses = cross_entropy(scores, labels);
        (losses.clone().without_autodiff(), losses.sum().div_scalar(examples as f64))
    }
}

/// `positive = fantastic, great; negative = bad × 2`
impl std::fmt::Display for LabelWords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = |word: &LabelWord| match word.weight {
            1.0 => word.text.clone(),
            // Two digits say what a weight that was learned is worth.
            weight => format!("{} × {}", word.text, (100.0 * weight).round() / 100.0),
        };
        for (index, label) in self.labels.iter().enumerate() {
            let words: Vec<String> = label.words.iter().take(SHOWN).map(word).collect();
            let separator = if index > 0 { "; " } else { "" };
            write!(f, "{separator}{} = {}", label.name, words.join(", "))?;
            match label.words.len().saturating_sub(SHOWN) {
                0 => {}
                more => write!(f, " and {more} more")?,
            }
        }
        Ok(())
    }
}

impl LabelWord {
    /// Its tokens.
    pub fn tokens(&self) -> Vec<u32> {
        std::iter::once(self.id).chain(self.rest.iter().copied()).collect()
    }
}

fn several_tokens(
    label: &str,
    word: &str,
    tokens: &[u32],
    tokenizer: &dyn Tokenize,
) -> SeveralTokens {
    let token = |&id: &u32| tokenizer.token(id).unwrap_or_else(|| id.to_string());
    let tokens = tokens.iter().map(token).collect();
    SeveralTokens { label: label.to_owned(), word: word.to_owned(), tokens }
}

/// Words of a label that are written out.
const SHOWN: usize = 12;

/// No word counts as less probable than this without an input, as a logarithm: one in ten million.
const LEAST_PRIOR: f32 = -16.1;

impl Aggregate {
    /// `shares` are the words' parts, `[1, words of a label]`, of the sum of their weights, `total`:
    /// `[rows, words of a label]` → `[rows, 1]`
    pub(super) fn of(self, scores: Tensor<2>, shares: Tensor<2>, total: f32) -> Tensor<2> {
        match self {
            Self::Mean => log_sum_exp(scores + shares.log()),
            Self::MeanLog => (scores * shares).sum_dim(1),
            // Weights as they are: a share would punish a label for having many words.
            Self::Max => (scores + shares.mul_scalar(total).log()).max_dim(1),
        }
    }
}

/// `log Σ exp(x)` along a row, without overflow.
fn log_sum_exp(x: Tensor<2>) -> Tensor<2> {
    let max = x.clone().without_autodiff().max_dim(1);
    let max = if x.is_autodiff() { max.autodiff() } else { max };
    (x - max.clone()).exp().sum_dim(1).log() + max
}
