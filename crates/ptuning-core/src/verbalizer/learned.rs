//! What of label words can be learned: how much each word counts, or label vectors in place of words.
//!
//! Hu et al. 2022, "Knowledgeable Prompt-tuning" (arXiv:2108.02035), section 3.4: word weights; Hambardzumyan et
//! al. 2021, "WARP" (arXiv:2101.00121): label vectors, which start from words.

use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{Tensor, TensorData};

use super::label_words::{Label, LabelWords};
use crate::language_model::LanguageModel;
use crate::objective::cross_entropy;

impl LabelWords {
    /// Label vectors that start as the weighted mean of the head's rows of each label's words, the first token
    /// of words of several. From now on they say what a label scores, and words are names.
    pub fn soft(self, lm: &dyn LanguageModel) -> Self {
        let mut vectors = Vec::new();
        for label in &self.labels {
            let total: f32 = label.words.iter().map(|word| word.weight).sum();
            let shares: Vec<f32> = label.words.iter().map(|word| word.weight / total).collect();
            let ids: Vec<u32> = label.words.iter().map(|word| word.id).collect();
            let rows = lm.head_rows(&ids);
            let shares = TensorData::new(shares, [1, ids.len()]);
            let shares = Tensor::<2>::from_data(shares, &rows.device());
            vectors.extend(shares.matmul(rows).into_data().iter::<f32>());
        }
        Self { vectors, prior: Vec::new(), ..self }
    }

    /// Whether label vectors stand in the place of words.
    pub fn is_soft(&self) -> bool {
        !self.vectors.is_empty()
    }

    /// Whether the same words stand for the same labels, however much each counts.
    pub fn has_words_of(&self, other: &Self) -> bool {
        let words = |label: &Label| -> Vec<u32> {
            label.words.iter().flat_map(|word| word.tokens()).collect()
        };
        let same = |(a, b): (&Label, &Label)| a.name == b.name && words(a) == words(b);
        self.aggregate == other.aggregate
            && self.labels.len() == other.labels.len()
            && self.labels.iter().zip(&other.labels).all(same)
    }

    /// The numbers that can be learned: label vectors, `[labels · hidden]`, if there are any, otherwise the
    /// logarithm of each word's weight, `[words]`.
    pub fn learnable(&self) -> Vec<f32> {
        match self.is_soft() {
            true => self.vectors.clone(),
            false => self.words().map(|word| word.weight.ln()).collect(),
        }
    }

    /// The same with what was learned in the place of [`learnable`](Self::learnable). Weights of a label have
    /// the mean 1: only their proportions count.
    pub fn with_learned(&self, values: &[f32]) -> Self {
        let mut learned = self.clone();
        if self.is_soft() {
            learned.vectors = values.to_vec();
            return learned;
        }
        let mut values = values;
        for label in &mut learned.labels {
            let (own, rest) = values.split_at(label.words.len().min(values.len()));
            values = rest;
            let largest = own.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum: f32 = own.iter().map(|value| (value - largest).exp()).sum();
            let count = own.len() as f32;
            for (word, value) in label.words.iter_mut().zip(own) {
                // Above 0, as every weight.
                word.weight = ((value - largest).exp() / sum * count).max(f32::MIN_POSITIVE);
            }
        }
        learned
    }

    /// Log-probability of each label from final hidden states.
    ///
    /// # Shapes
    /// - `states`: `[rows, hidden]`, as the head takes them
    /// - `learned`: in the place of [`learnable`](Self::learnable)
    /// - returns: `[rows, labels]`
    pub fn scores(
        &self,
        lm: &dyn LanguageModel,
        states: Tensor<2>,
        learned: Option<Tensor<1>>,
    ) -> Tensor<2> {
        if !self.is_soft() {
            let words = self.word_scores(lm.head(states));
            return match learned {
                Some(weights) => self.weighed(words, weights),
                None => self.aggregated(words),
            };
        }
        log_softmax(self.soft_logits(states, learned), 1)
    }

    /// Products of states and label vectors.
    ///
    /// # Shapes
    /// - `states`: `[rows, hidden]`
    /// - `learned`: `[labels · hidden]`, or those that there are
    /// - returns: `[rows, labels]`
    pub(super) fn soft_logits(&self, states: Tensor<2>, learned: Option<Tensor<1>>) -> Tensor<2> {
        let [_, hidden] = states.dims();
        let vectors = learned.unwrap_or_else(|| {
            let data = TensorData::new(self.vectors.clone(), [self.vectors.len()]);
            Tensor::from_data(data, &states.device())
        });
        states.matmul(vectors.reshape([self.labels.len(), hidden]).transpose())
    }

    /// [`aggregated`](Self::aggregated) by other weights, as logarithms.
    fn weighed(&self, word_scores: Tensor<2>, log_weights: Tensor<1>) -> Tensor<2> {
        let mut first = 0;
        let label = |label: &Label| {
            let count = label.words.len();
            let scores = word_scores.clone().narrow(1, first, count);
            let weights = log_weights.clone().narrow(0, first, count).reshape([1, count]);
            first += count;
            // As many shares as words: weights of mean 1.
            self.aggregate.of(scores, softmax(weights, 1), count as f32)
        };
        log_softmax(Tensor::cat(self.labels.iter().map(label).collect(), 1), 1)
    }

    /// Cross-entropy of each label by what is being learned; what to call `backward` on for the gradient of
    /// their sum divided by `examples` with respect to `states`; and that gradient with respect to `learned`.
    ///
    /// # Shapes
    /// - `states`: `[rows, hidden]`, tracked by autodiff or not
    /// - `learned`: in the place of [`learnable`](Self::learnable), untracked
    /// - `labels`: a number for each row
    /// - returns: losses, `[rows]`, untracked; the objective, `[1]`; a gradient as long as `learned`
    pub fn learning_loss(
        &self,
        lm: &dyn LanguageModel,
        states: Tensor<2>,
        learned: Tensor<1>,
        labels: &[u32],
        examples: usize,
    ) -> (Tensor<1>, Tensor<1>, Tensor<1>) {
        // A tape of its own: whoever computes `states` may walk back through it in parts.
        let own = states.clone().without_autodiff().autodiff().require_grad();
        let leaf = learned.clone().autodiff().require_grad();
        let losses = cross_entropy(self.scores(lm, own.clone(), Some(leaf.clone())), labels);
        let gradients = losses.clone().sum().div_scalar(examples as f64).backward();
        let of_states = own.grad(&gradients);
        let objective = match of_states {
            Some(gradient) => (states * gradient).sum(),
            None => states.sum().mul_scalar(0.0),
        };
        let gradient = leaf.grad(&gradients).unwrap_or_else(|| learned.zeros_like());
        (losses.without_autodiff(), objective, gradient)
    }
}
