//! Loss and ranks at the answer positions.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, IndexingUpdateOp, Int, Tensor, TensorData};

/// Cross-entropy of each answer over the whole vocabulary, in nats.
///
/// # Shapes
/// - `logits`: `[rows, vocab]`
/// - `answers`: one vocabulary id for each row
/// - returns: `[rows]`
pub fn cross_entropy(logits: Tensor<2>, answers: &[u32]) -> Tensor<1> {
    let device = logits.device();
    let targets = ids(answers, &device).reshape([answers.len(), 1]);
    log_softmax(logits, 1).gather(1, targets).neg().reshape([answers.len()])
}

/// The same losses with their gradient written by hand: softmax − one-hot.
///
/// Autodiff would take the loss apart and keep every piece, each as large as the logits. Here it
/// sees a product with a constant: the second value's backward pass gives the gradient of the sum
/// of losses divided by `examples`. Its own value means nothing.
///
/// # Shapes
/// - `logits`: `[rows, vocab]`, tracked by autodiff
/// - `answers`: one vocabulary id for each row
/// - returns: losses, `[rows]`, untracked; and what to call `backward` on, `[1]`
pub fn cross_entropy_backward(
    logits: Tensor<2>,
    answers: &[u32],
    examples: usize,
) -> (Tensor<1>, Tensor<1>) {
    let plain = logits.clone().without_autodiff();
    let targets = ids(answers, &plain.device()).reshape([answers.len(), 1]);
    let log_probabilities = log_softmax(plain, 1);
    let losses = log_probabilities.clone().gather(1, targets.clone()).neg();
    let minus_one = Tensor::full([answers.len(), 1], -1.0, &losses.device());
    let gradient = log_probabilities.exp().scatter(1, targets, minus_one, IndexingUpdateOp::Add);
    let gradient = gradient.div_scalar(examples as f64);
    (losses.reshape([answers.len()]), (logits * gradient).sum())
}

/// Rank of each answer among the candidates, counted from 0: how many score strictly higher.
///
/// # Shapes
/// - `logits`: `[rows, vocab]`
/// - `answers`: one vocabulary id for each row
/// - `candidates`: vocabulary ids, or `None` for the whole vocabulary
/// - returns: `rows` numbers
pub fn ranks(
    logits: Tensor<2>,
    answers: &[u32],
    candidates: Option<&Tensor<1, Int>>,
) -> Vec<usize> {
    let scores = match candidates {
        Some(candidates) => logits.clone().select(1, candidates.clone()),
        None => logits.clone(),
    };
    ranks_among(logits, answers, scores)
}

/// The same where the candidates' scores are at hand: how many of each row are strictly higher.
///
/// # Shapes
/// - `logits`: `[rows, vocab]`
/// - `answers`: one vocabulary id for each row
/// - `scores`: `[rows, candidates]`
/// - returns: `rows` numbers
pub fn ranks_among(logits: Tensor<2>, answers: &[u32], scores: Tensor<2>) -> Vec<usize> {
    let targets = ids(answers, &logits.device()).reshape([answers.len(), 1]);
    let higher = scores.greater(logits.gather(1, targets)).int().sum_dim(1);
    higher.into_data().iter::<i64>().map(|count| count as usize).collect()
}

/// How many of each answer's rivals score strictly higher than it does.
///
/// # Shapes
/// - `logits`: `[rows, vocab]`
/// - `answers`: one vocabulary id for each row
/// - `rivals`: any number of vocabulary ids for each row
/// - returns: `rows` numbers
pub fn higher_rivals(logits: Tensor<2>, answers: &[u32], rivals: &[&[u32]]) -> Vec<usize> {
    let widest = rivals.iter().map(|rivals| rivals.len()).max().unwrap_or(0);
    if widest == 0 {
        return vec![0; answers.len()];
    }
    let device = logits.device();
    let rows = answers.len();
    // An answer in the place of a rival that a row lacks: no score is higher than itself.
    let padded = answers.iter().zip(rivals).flat_map(|(&answer, rivals)| {
        rivals.iter().copied().chain(std::iter::repeat_n(answer, widest - rivals.len()))
    });
    let padded = ids(&padded.collect::<Vec<u32>>(), &device).reshape([rows, widest]);
    ranks_among(logits.clone(), answers, logits.gather(1, padded))
}

/// Scores where an input's other right answers are no candidates: who says Canberra is not wrong because the
/// data also know another capital. LAMA's protocol, elsewhere called filtered (Bordes et al. 2013).
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Filtered {
    /// Share of answers ranked first, 0 to 1.
    #[serde(rename = "p1")]
    pub precision_at_1: f64,
    /// Mean reciprocal rank, 0 to 1.
    pub mrr: f64,
}

/// What a set of ranks amounts to.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Scores {
    /// Examples scored.
    pub examples: usize,
    /// Share of answers ranked first, 0 to 1.
    #[serde(rename = "p1")]
    pub precision_at_1: f64,
    /// Share of answers among the first ten, 0 to 1.
    #[serde(rename = "p10")]
    pub precision_at_10: f64,
    /// Mean reciprocal rank, 0 to 1.
    pub mrr: f64,
    /// Mean cross-entropy over the whole vocabulary, or over the labels, in nats.
    pub loss: f64,
    /// Mean over the labels of F1, where answers are labels, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macro_f1: Option<f64>,
    /// Micro-averaged F1 of entities, where spans are asked about, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity_f1: Option<f64>,
    /// The same ranks without other right answers, where an input has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filtered: Option<Filtered>,
}

impl Scores {
    /// The mean of several scores, each of which counts once however many examples it is of; all zero when
    /// there are none.
    pub fn mean(all: &[Self]) -> Self {
        let count = all.len().max(1) as f64;
        let mean = |f: &dyn Fn(&Self) -> f64| all.iter().map(f).sum::<f64>() / count;
        let mean_of = |f: &dyn Fn(&Self) -> Option<f64>| {
            let found: Option<Vec<f64>> = all.iter().map(f).collect();
            let found = found.filter(|found| !found.is_empty());
            found.map(|found| found.iter().sum::<f64>() / count)
        };
        Self {
            examples: all.iter().map(|scores| scores.examples).sum(),
            precision_at_1: mean(&|scores| scores.precision_at_1),
            precision_at_10: mean(&|scores| scores.precision_at_10),
            mrr: mean(&|scores| scores.mrr),
            loss: mean(&|scores| scores.loss),
            macro_f1: mean_of(&|scores| scores.macro_f1),
            entity_f1: mean_of(&|scores| scores.entity_f1),
            filtered: mean_of(&|scores| Some(scores.filtered?.precision_at_1))
                .zip(mean_of(&|scores| Some(scores.filtered?.mrr)))
                .map(|(precision_at_1, mrr)| Filtered { precision_at_1, mrr }),
        }
    }

    /// Sums up ranks (from 0) and losses of the same examples; all zero when there are none.
    pub fn new(ranks: &[usize], losses: &[f32]) -> Self {
        let examples = ranks.len();
        if examples == 0 {
            return Self::default();
        }
        let mean =
            |f: &dyn Fn(usize) -> f64| ranks.iter().map(|&r| f(r)).sum::<f64>() / examples as f64;
        Self {
            examples,
            precision_at_1: mean(&|rank| f64::from(rank == 0)),
            precision_at_10: mean(&|rank| f64::from(rank < 10)),
            mrr: mean(&|rank| 1.0 / (rank as f64 + 1.0)),
            loss: losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() / examples as f64,
            macro_f1: None,
            entity_f1: None,
            filtered: None,
        }
    }

    /// Each score that there is, by its name.
    pub fn named(&self) -> Vec<(&'static str, f64)> {
        let known = [
            ("P@1", self.precision_at_1),
            ("P@10", self.precision_at_10),
            ("MRR", self.mrr),
            ("loss", self.loss),
        ];
        let optional = [("macro F1", self.macro_f1), ("entity F1", self.entity_f1)];
        let optional = optional.into_iter().filter_map(|(name, score)| Some((name, score?)));
        known.into_iter().chain(optional).collect()
    }

    /// What a run is chosen by, the greater the better: entity F1 where there is one, else P@1.
    pub fn chosen_by(&self) -> f64 {
        self.entity_f1.unwrap_or(self.precision_at_1)
    }

    /// Whether a run would rather keep these: what it is chosen by is greater, or the same with less loss.
    pub fn is_better_than(&self, other: &Self) -> bool {
        let (new, old) = (self.chosen_by(), other.chosen_by());
        new > old || new == old && self.loss < other.loss
    }

    /// With the ranks (from 0) that the same answers have without other right ones.
    pub fn with_filtered(self, ranks: &[usize]) -> Self {
        let Self { precision_at_1, mrr, .. } = Self::new(ranks, &vec![0.0; ranks.len()]);
        Self { filtered: Some(Filtered { precision_at_1, mrr }), ..self }
    }

    /// With the macro-averaged F1 of labels that were asked and predicted, `labels` of them in all.
    ///
    /// A label that neither occurs nor is predicted counts as 0, as in scikit-learn.
    pub fn with_macro_f1(self, asked: &[u32], predicted: &[u32], labels: usize) -> Self {
        let f1 = |label: usize| {
            let is = |&&found: &&u32| found as usize == label;
            let right = asked.iter().zip(predicted).filter(|(a, p)| is(a) && is(p)).count();
            let all = asked.iter().filter(is).count() + predicted.iter().filter(is).count();
            if all == 0 { 0.0 } else { 2.0 * right as f64 / all as f64 }
        };
        let mean = (0..labels).map(f1).sum::<f64>() / labels.max(1) as f64;
        Self { macro_f1: Some(mean), ..self }
    }
}

/// Vocabulary ids as an integer tensor, `[ids]`.
pub fn ids(ids: &[u32], device: &Device) -> Tensor<1, Int> {
    let values: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
    Tensor::from_data(TensorData::new(values, [ids.len()]), device)
}
