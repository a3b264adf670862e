//! Words that stand for labels, found from examples.
//!
//! Schick, Schmid and Schütze, "Automatically Identifying Words That Can Serve as Labels" (2020): a word
//! stands for a label if its odds are greater on the label's examples than on all others.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};

/// No probability counts as nearer to 1 than this: its odds would have no bound.
const NEAREST_TO_ONE: f32 = 1.0 - 1e-6;

/// What examples of labels say about every word of the vocabulary.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// Sum of the words' log-odds over each label's examples, `[labels, vocab]`.
    log_odds: Tensor<2>,
    /// Sum of the words' probabilities over all examples, `[1, vocab]`.
    probabilities: Tensor<2>,
    /// Examples of each label.
    counts: Vec<usize>,
}

impl Evidence {
    /// Nothing seen yet.
    pub fn new(labels: usize, vocab: usize, device: &Device) -> Self {
        Self {
            log_odds: Tensor::zeros([labels, vocab], device),
            probabilities: Tensor::zeros([1, vocab], device),
            counts: vec![0; labels],
        }
    }

    /// Looks at some examples.
    ///
    /// # Shapes
    /// - `logits`: `[rows, vocab]`
    /// - `labels`: a number for each row
    pub fn add(&mut self, logits: Tensor<2>, labels: &[u32]) {
        let (rows, count, device) = (labels.len(), self.counts.len(), logits.device());
        let mut membership = vec![0.0f32; count * rows];
        for (row, &label) in labels.iter().enumerate() {
            membership[label as usize * rows + row] = 1.0;
            self.counts[label as usize] += 1;
        }
        let membership = TensorData::new(membership, [count, rows]);
        let log_probabilities = log_softmax(logits, 1);
        let probabilities = log_probabilities.clone().exp();
        let others = probabilities.clone().clamp_max(NEAREST_TO_ONE).neg().add_scalar(1.0).log();
        let log_odds = log_probabilities - others;
        self.log_odds =
            self.log_odds.clone() + Tensor::<2>::from_data(membership, &device).matmul(log_odds);
        self.probabilities = self.probabilities.clone() + probabilities.sum_dim(0);
    }

    /// How much greater a word's log-odds are on a label's examples than on all others, in the mean:
    /// `[labels][vocab]`. A label without examples, or with all of them, says nothing.
    pub fn ratios(&self) -> Vec<Vec<f32>> {
        let total: usize = self.counts.iter().sum();
        let all = self.log_odds.clone().sum_dim(0);
        let ratio = |(label, &count): (usize, &usize)| {
            let own = self.log_odds.clone().narrow(0, label, 1);
            let others = all.clone() - own.clone();
            let mean = |sum: Tensor<2>, count: usize| sum.div_scalar(count.max(1) as f64);
            let ratio = mean(own, count) - mean(others, total - count);
            let seen = count > 0 && count < total;
            ratio.into_data().iter::<f32>().map(|ratio| if seen { ratio } else { 0.0 }).collect()
        };
        self.counts.iter().enumerate().map(ratio).collect()
    }

    /// Mean probability of each word over all examples, `[vocab]`.
    pub fn frequencies(&self) -> Vec<f32> {
        let total = self.counts.iter().sum::<usize>().max(1) as f32;
        self.probabilities.to_data().iter::<f32>().map(|sum| sum / total).collect()
    }
}
