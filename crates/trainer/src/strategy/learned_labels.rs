//! What of a verbalizer learns beside prompt and language model: word weights or label vectors.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use ptuning_core::language_model::LanguageModel;
use ptuning_core::verbalizer::{LabelWords, Verbalizer};

use crate::checkpoint::CheckpointError;
use crate::optimizer::Optimizer;
use crate::settings::TrainSettings;

/// Numbers in the place of [`LabelWords::learnable`], and an optimiser.
pub struct LearnedLabels {
    value: Tensor<1>,
    optimizer: Optimizer,
    /// Of the batches since the last step.
    gradient: Option<Tensor<1>>,
    /// Their learning rate over the prompt's.
    lr_ratio: f64,
}

/// Its name in checkpoints.
const NAME: &str = "value";

impl LearnedLabels {
    /// Before the first step; `lr` is their learning rate where `train.lr` is the prompt's.
    pub fn new(labels: &LabelWords, train: &TrainSettings, lr: f64, device: &Device) -> Self {
        let value = labels.learnable();
        let count = value.len();
        Self {
            value: Tensor::from_data(TensorData::new(value, [count]), device),
            optimizer: Optimizer::new(train),
            gradient: None,
            lr_ratio: lr / train.lr,
        }
    }

    /// Cross-entropy of each label, and what to call `backward` on for the gradient of `states` alone;
    /// the numbers' own gradient is kept for [`step`](Self::step).
    ///
    /// # Shapes
    /// - `states`: `[rows, hidden]`
    /// - returns: losses, `[rows]`, untracked; and the objective, `[1]`
    fn loss(
        &mut self,
        labels: &LabelWords,
        lm: &dyn LanguageModel,
        states: Tensor<2>,
        answers: &[u32],
        examples: usize,
    ) -> (Tensor<1>, Tensor<1>) {
        let value = self.value.clone();
        let (losses, objective, gradient) =
            labels.learning_loss(lm, states, value, answers, examples);
        let gradient = gradient.without_autodiff();
        self.gradient = Some(match self.gradient.take() {
            Some(sum) => sum + gradient,
            None => gradient,
        });
        (losses, objective)
    }

    /// The same if labels have anything that learns, otherwise what the verbalizer says.
    pub fn loss_of(
        learned: &mut Option<Self>,
        verbalizer: &Verbalizer,
        lm: &dyn LanguageModel,
        states: Tensor<2>,
        answers: &[u32],
        examples: usize,
    ) -> (Tensor<1>, Tensor<1>) {
        match (learned, verbalizer.labels()) {
            (Some(learned), Some(labels)) => learned.loss(labels, lm, states, answers, examples),
            _ => verbalizer.loss(lm, states, answers, examples),
        }
    }

    /// One optimiser step; `lr` is the prompt's.
    pub fn step(&mut self, lr: f64) {
        let Some(gradient) = self.gradient.take() else { return };
        let Self { value, optimizer, lr_ratio, .. } = self;
        let old = value.clone();
        *value = optimizer.step_with(vec![gradient], lr * *lr_ratio, |step| step(0, old));
    }

    /// The labels with what has been learned.
    pub fn labels(&self, start: &LabelWords) -> LabelWords {
        start.with_learned(&self.value.to_data().iter::<f32>().collect::<Vec<_>>())
    }

    /// Numbers that learn.
    pub fn count(&self) -> usize {
        self.value.dims()[0]
    }

    /// Whether they are finite.
    pub fn is_finite(&self) -> bool {
        self.value.to_data().iter::<f32>().all(f32::is_finite)
    }

    /// What a checkpoint keeps: the numbers, the optimiser's moments and the steps that these have seen.
    pub fn state(&self) -> (BTreeMap<String, TensorData>, BTreeMap<String, TensorData>, usize) {
        let values = BTreeMap::from([(NAME.to_owned(), self.value.to_data())]);
        let (optimizer, steps) = self.optimizer.state(&[NAME.to_owned()]);
        (values, optimizer, steps)
    }

    /// Goes back to what a checkpoint keeps.
    ///
    /// # Errors
    /// Numbers that are missing or another count of them.
    pub fn restore(
        &mut self,
        values: &BTreeMap<String, TensorData>,
        optimizer: &BTreeMap<String, TensorData>,
        steps: usize,
    ) -> Result<(), CheckpointError> {
        let expected = self.count();
        let found = values.get(NAME);
        let Some(data) = found.filter(|data| data.num_elements() == expected) else {
            return Err(CheckpointError::Parameter {
                name: format!("verbalizer.{NAME}"),
                expected: vec![expected],
                found: found.map(|data| data.shape().to_vec()),
            });
        };
        let device = self.value.device();
        self.value = Tensor::from_data(data.clone(), &device);
        let sizes = std::iter::once((expected, NAME.to_owned()));
        self.optimizer.restore_sizes(sizes, optimizer, steps, &device)
    }
}
