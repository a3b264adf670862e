//! `fixed-lm`: the prompt learns, the language model is frozen (P-tuning, prompt tuning).

use burn::tensor::{Device, Tensor};
use kernels::profile::{Stage, timed};
use ptuning_core::language_model::LanguageModel;
use ptuning_core::prompt_encoder::PromptEncoder;
use ptuning_core::prompt_model::{answer_loss, answer_states};
use ptuning_core::template::Encoded;
use ptuning_core::verbalizer::Verbalizer;

use super::LearnedLabels;
use crate::optimizer::Optimizer;
use crate::parameters;
use crate::task::Item;

/// A prompt encoder and its optimiser in front of a language model that never changes, or what learns of a
/// verbalizer behind it, or both.
pub struct FixedLm<'a> {
    lm: &'a dyn LanguageModel,
    prompt: Option<(PromptEncoder, Optimizer)>,
    labels: Option<LearnedLabels>,
}

/// What one optimiser step saw.
#[derive(Debug, Clone)]
pub struct StepOutcome {
    /// Examples.
    pub examples: usize,
    /// Answers that losses are of: as many as examples, where each has one.
    pub answers: usize,
    /// Losses of each batch's answers, in nats, where they were computed.
    pub losses: Vec<Tensor<1>>,
}

impl StepOutcome {
    /// Sum of the answers' losses, in nats. A device may still be at work on it: this waits.
    pub fn loss_sum(&self) -> f64 {
        let sum = |losses: &Tensor<1>| losses.to_data().iter::<f64>().sum::<f64>();
        self.losses.iter().map(sum).sum()
    }
}

impl<'a> FixedLm<'a> {
    /// `encoder` lives on the autodiff twin of the language model's device.
    pub fn new(lm: &'a dyn LanguageModel, encoder: PromptEncoder, optimizer: Optimizer) -> Self {
        Self::with(lm, Some((encoder, optimizer)), None)
    }

    /// The same with what learns of the verbalizer.
    pub fn with(
        lm: &'a dyn LanguageModel,
        prompt: Option<(PromptEncoder, Optimizer)>,
        labels: Option<LearnedLabels>,
    ) -> Self {
        Self { lm, prompt, labels }
    }

    /// One optimiser step over one or more batches with one verbalizer; see
    /// [`step_each`](Self::step_each).
    pub fn step(
        &mut self,
        batches: &[Vec<&Item>],
        verbalizer: &Verbalizer,
        lr: f64,
    ) -> StepOutcome {
        let batches = batches.iter().map(|batch| (batch.clone(), verbalizer));
        self.step_each(&batches.collect::<Vec<_>>(), lr)
    }

    /// One optimiser step over one or more batches, each with what may answer it, whose gradients add up to that of the mean loss
    /// over all their examples.
    ///
    /// The encoder and the language model have a tape each: the encoder runs once per step however
    /// many batches there are, and between the two passes only the gradient of the prompt's vectors
    /// (`[prompt, hidden]`) is kept.
    pub fn step_each(&mut self, batches: &[(Vec<&Item>, &Verbalizer)], lr: f64) -> StepOutcome {
        let examples: usize = batches.iter().map(|(batch, _)| batch.len()).sum();
        let forward = |(encoder, _): &(PromptEncoder, Optimizer)| encoder.forward();
        let vectors = timed(Stage::Encoder, || self.prompt.as_ref().map(forward));
        let mut outcome = StepOutcome { examples, answers: examples, losses: Vec::new() };
        let mut upstream: Option<Tensor<2>> = None;
        for (batch, verbalizer) in batches {
            let encoded: Vec<&Encoded> = batch.iter().map(|item| &item.encoded).collect();
            let answers: Vec<u32> = batch.iter().map(|item| item.answer).collect();
            let (lm, learned) = (self.lm, &mut self.labels);
            let mut loss = |states: Tensor<2>| {
                LearnedLabels::loss_of(learned, verbalizer, lm, states, &answers, examples)
            };
            let Some(vectors) = &vectors else {
                outcome.losses.push(loss(answer_states(lm, None, &encoded)).0);
                continue;
            };
            let prompt = vectors.clone().without_autodiff().autodiff().require_grad();
            let (losses, objective) = answer_loss(lm, &prompt, &encoded, &mut loss);
            let gradients = objective.backward();
            outcome.losses.push(losses);
            if let Some(gradient) = prompt.grad(&gradients) {
                upstream = Some(match upstream {
                    Some(sum) => sum + gradient,
                    None => gradient,
                });
            }
        }
        if let (Some((encoder, optimizer)), Some(vectors), Some(upstream)) =
            (&mut self.prompt, vectors, upstream)
        {
            // d loss / d parameter = d (vectors · upstream) / d parameter, upstream held fixed.
            let gradients = timed(Stage::Encoder, || {
                let mut gradients = (vectors * upstream).sum().backward();
                parameters::take_gradients(encoder, &mut gradients)
            });
            *encoder = timed(Stage::Optimizer, || optimizer.step(encoder.clone(), gradients, lr));
        }
        if let Some(labels) = &mut self.labels {
            labels.step(lr);
        }
        outcome
    }

    /// The prompt's vectors as they are now, `[prompt, hidden]`, without autodiff; none where words stand.
    pub fn vectors(&self) -> Option<Tensor<2>> {
        self.prompt.as_ref().map(|(encoder, _)| encoder.forward().without_autodiff())
    }

    /// The prompt encoder and its optimiser.
    pub fn prompt(&self) -> Option<(&PromptEncoder, &Optimizer)> {
        self.prompt.as_ref().map(|(encoder, optimizer)| (encoder, optimizer))
    }

    /// What learns of the verbalizer.
    pub fn labels(&self) -> Option<&LearnedLabels> {
        self.labels.as_ref()
    }

    /// Takes both back from a checkpoint.
    pub(crate) fn restore(
        &mut self,
        prompt: Option<(PromptEncoder, Optimizer)>,
    ) -> Option<&mut LearnedLabels> {
        self.prompt = prompt;
        self.labels.as_mut()
    }

    /// The device that new tensors of the optimiser go to.
    pub fn device(&self) -> Device {
        self.lm.device()
    }
}
