//! `fixed-prompt` and `prompt-and-lm`: a part of the language model learns, with or without a prompt.

use burn::tensor::Tensor;
use ptuning_core::prompt_encoder::PromptEncoder;
use ptuning_core::prompt_model::answer_states;
use ptuning_core::template::Encoded;
use ptuning_core::verbalizer::Verbalizer;

use super::{LearnedLabels, StepOutcome, TunedLm};
use crate::error::Error;
use crate::optimizer::Optimizer;
use crate::parameters;
use crate::task::Item;

/// A language model that learns, behind a prompt that learns too or behind words.
pub struct WithLm {
    /// The language model.
    pub lm: TunedLm,
    /// The prompt encoder and its optimiser; none for a template of words.
    pub prompt: Option<(PromptEncoder, Optimizer)>,
    /// What learns of the verbalizer.
    pub labels: Option<LearnedLabels>,
    /// The language model's learning rate over the prompt's.
    lr_ratio: f64,
}

impl WithLm {
    /// Both before their first step.
    pub fn new(lm: TunedLm, prompt: Option<(PromptEncoder, Optimizer)>, lr_ratio: f64) -> Self {
        Self { lm, prompt, labels: None, lr_ratio }
    }

    /// The same with what learns of the verbalizer.
    pub fn with_labels(self, labels: Option<LearnedLabels>) -> Self {
        Self { labels, ..self }
    }

    /// One optimiser step over one or more batches, whose gradients add up to that of the mean loss
    /// over all their examples. `lr` is the prompt's.
    ///
    /// # Errors
    /// None for a model that was loaded.
    pub fn step(
        &mut self,
        batches: &[Vec<&Item>],
        verbalizer: &Verbalizer,
        lr: f64,
    ) -> Result<StepOutcome, Error> {
        let examples: usize = batches.iter().map(Vec::len).sum();
        let mut outcome = StepOutcome { examples, answers: examples, losses: Vec::new() };
        let vectors = self.prompt.as_ref().map(|(encoder, _)| encoder.forward());
        let mut upstream: Option<Tensor<2>> = None;
        let mut sum: Option<Vec<Tensor<1>>> = None;
        for batch in batches {
            let leaf =
                |vectors: &Tensor<2>| vectors.clone().without_autodiff().autodiff().require_grad();
            let prompt = vectors.as_ref().map(leaf);
            let (leaves, model) = self.lm.tracked()?;
            let encoded: Vec<&Encoded> = batch.iter().map(|item| &item.encoded).collect();
            let answers: Vec<u32> = batch.iter().map(|item| item.answer).collect();
            let states = answer_states(&model, prompt.as_ref(), &encoded);
            let labels = &mut self.labels;
            let (losses, objective) =
                LearnedLabels::loss_of(labels, verbalizer, &model, states, &answers, examples);
            outcome.losses.push(losses);
            let mut gradients = objective.backward();
            drop(model);
            if let Some(gradient) = prompt.and_then(|prompt| prompt.grad(&gradients)) {
                upstream = Some(match upstream {
                    Some(sum) => sum + gradient,
                    None => gradient,
                });
            }
            let gradients = self.lm.gradients(&leaves, &mut gradients);
            sum = Some(match sum {
                Some(sum) => sum.into_iter().zip(gradients).map(|(a, b)| a + b).collect(),
                None => gradients,
            });
        }
        if let Some(gradients) = sum {
            self.lm.step(gradients, lr * self.lr_ratio);
        }
        if let (Some((encoder, optimizer)), Some(vectors), Some(upstream)) =
            (&mut self.prompt, vectors, upstream)
        {
            let mut gradients = (vectors * upstream).sum().backward();
            let gradients = parameters::take_gradients(encoder, &mut gradients);
            *encoder = optimizer.step(encoder.clone(), gradients, lr);
        }
        if let Some(labels) = &mut self.labels {
            labels.step(lr);
        }
        Ok(outcome)
    }

    /// The prompt's vectors as they are now, `[prompt, hidden]`, without autodiff.
    pub fn vectors(&self) -> Option<Tensor<2>> {
        self.prompt.as_ref().map(|(encoder, _)| encoder.forward().without_autodiff())
    }
}
