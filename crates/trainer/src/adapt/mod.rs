//! Training a language model itself on a text: masked words for a masked model (Devlin et al. 2019,
//! arXiv:1810.04805), the next word for a causal one.
//!
//! The loop, its checkpoints and the run folder are those of prompts; what learns is every weight. The
//! result is a Hugging Face folder, which is a backbone like any other.

mod checkpoint;
mod export;
mod text;

use std::path::Path;

use backbone::Trainable;
use burn::tensor::{Device, Tensor};
use burn_train::Interrupter;
use ptuning_core::language_model::{LanguageModel, Layout};
use ptuning_core::objective::{Scores, cross_entropy, ranks};

pub use checkpoint::AdaptCheckpoint;
pub(crate) use checkpoint::KEY;
pub(crate) use export::write_model;
pub use export::{ModelCard, export_model};
pub use text::{Asked, Part, Text};

use crate::checkpoint::Position;
use crate::error::Error;
use crate::optimizer::Optimizer;
use crate::progress::Observer;
use crate::run_dir::RunDir;
use crate::settings::{AdaptSettings, TrainSettings};
use crate::strategy::StepOutcome;
use crate::train_loop::{End, Learner, Loop};
use crate::validate::Tried;

/// A language model that learns, and how a step is taken.
pub struct FullTuning {
    /// The model.
    pub model: Trainable,
    optimizer: Optimizer,
}

impl FullTuning {
    /// A model before its first step.
    pub fn new(model: Trainable, settings: &TrainSettings) -> Self {
        Self { model, optimizer: Optimizer::new(settings) }
    }

    /// One optimiser step over one or more batches, whose gradients add up to that of the mean loss
    /// over all their answers.
    ///
    /// # Errors
    /// None for a model that was loaded.
    pub fn step(&mut self, batches: &[Vec<Asked>], lr: f64) -> Result<StepOutcome, Error> {
        let examples = batches.iter().map(Vec::len).sum();
        let answers = batches.iter().flatten().map(|asked| asked.answers.len()).sum();
        let mut outcome = StepOutcome { examples, answers, losses: Vec::new() };
        let mut sum: Option<Vec<Tensor<1>>> = None;
        for batch in batches {
            let leaves = self.model.parameters.tracked();
            let model = self.model.model(&leaves)?;
            let targets: Vec<u32> = batch.iter().flat_map(|asked| asked.answers.clone()).collect();
            let (losses, objective) = model.loss(states(&model, batch), &targets, answers);
            outcome.losses.push(losses);
            let mut gradients = objective.backward();
            drop(model);
            let gradients = self.model.parameters.gradients(&leaves, &mut gradients);
            sum = Some(match sum {
                Some(sum) => sum.into_iter().zip(gradients).map(|(a, b)| a + b).collect(),
                None => gradients,
            });
        }
        if let Some(gradients) = sum {
            let parameters = &mut self.model.parameters;
            self.optimizer.step_with(gradients, lr, |step| parameters.update(step));
        }
        Ok(outcome)
    }
}

/// Final hidden states of the rows that answer.
fn states(lm: &dyn LanguageModel, batch: &[Asked]) -> Tensor<2> {
    let ids: Vec<u32> = batch.iter().flat_map(|asked| asked.ids.clone()).collect();
    let places = |(example, asked): (usize, &Asked)| {
        asked.positions.iter().map(move |&position| (example, position)).collect::<Vec<_>>()
    };
    let layout = Layout {
        own: batch.iter().map(|asked| asked.ids.len()).collect(),
        answers: batch.iter().enumerate().flat_map(places).collect(),
        ..Layout::default()
    };
    lm.encode(lm.embed(&ids).into(), &layout)
}

/// A run that trains a language model, between two optimiser steps.
pub struct Adaptation {
    settings: AdaptSettings,
    learner: TextLearner,
    state: Loop,
}

/// A language model with its text.
struct TextLearner {
    tuning: FullTuning,
    text: Text,
    device: Device,
    batch_size: usize,
    seed: u64,
}

impl Adaptation {
    /// A run at its start.
    ///
    /// # Errors
    /// A text that cannot be used.
    pub fn new(settings: AdaptSettings, model: Trainable, device: &Device) -> Result<Self, Error> {
        let lm = model.model(model.parameters.values())?;
        let (objective, vocabulary, positions) =
            (lm.objective(), lm.vocab_size(), lm.max_positions());
        drop(lm);
        let tokenizer = &model.tokenizer;
        let text =
            Text::read(&settings.text, settings.seed, tokenizer, objective, vocabulary, positions)?;
        let learner = TextLearner {
            tuning: FullTuning::new(model, &settings.train),
            text,
            device: device.clone(),
            batch_size: settings.eval.batch_size,
            seed: settings.seed,
        };
        Ok(Self { settings, learner, state: Loop::default() })
    }

    /// Goes back to where a checkpoint stands.
    ///
    /// # Errors
    /// A checkpoint of another backbone or of another shape.
    pub fn restore(&mut self, checkpoint: AdaptCheckpoint, file: &Path) -> Result<(), Error> {
        let position = checkpoint.header.position.clone();
        checkpoint.restore(&mut self.learner.tuning, &self.learner.device, file)?;
        self.state = Loop::at(position, &self.settings.train);
        Ok(())
    }

    /// Its settings.
    pub fn settings(&self) -> &AdaptSettings {
        &self.settings
    }

    /// The model as it is now.
    pub fn model(&self) -> &Trainable {
        &self.learner.tuning.model
    }

    /// What it reads: passages to learn from, passages held out, and how many were cut.
    pub fn passages(&self) -> (usize, usize, usize) {
        let text = &self.learner.text;
        (text.count(Part::Train(0)), text.count(Part::Dev), text.cut)
    }

    /// Where the run stands.
    pub fn position(&self) -> &Position {
        self.state.position()
    }

    /// Scores on the passages held out: each answer among the whole vocabulary.
    ///
    /// # Errors
    /// None for a model that was loaded.
    pub fn score(&self) -> Result<Scores, Error> {
        self.learner.score()
    }

    /// Takes the first step over the first batch, in memory alone.
    ///
    /// # Errors
    /// A loss that is not a number.
    pub fn try_step(&mut self) -> Result<Tried, Error> {
        let Self { settings, learner, state } = self;
        state.try_step(learner, &settings.train, settings.seed)
    }

    /// Trains until the end, writing metrics and checkpoints as it goes.
    ///
    /// # Errors
    /// A loss that is not a number, or a run folder that cannot be written.
    pub fn run(
        &mut self,
        run: &RunDir,
        interrupter: &Interrupter,
        observer: &mut dyn Observer,
    ) -> Result<End, Error> {
        let Self { settings, learner, state } = self;
        state.run(learner, &settings.train, settings.seed, run, interrupter, observer)
    }
}

impl Learner for TextLearner {
    fn device(&self) -> Device {
        self.device.clone()
    }

    fn lengths(&self) -> Vec<usize> {
        self.text.lengths(Part::Train(0))
    }

    fn step(&mut self, group: &[Vec<usize>], epoch: usize, lr: f64) -> Result<StepOutcome, Error> {
        let asked = |&index: &usize| self.text.asked(Part::Train(epoch), index);
        let batches: Vec<Vec<Asked>> =
            group.iter().map(|batch| batch.iter().map(asked).collect()).collect();
        self.tuning.step(&batches, lr)
    }

    fn dev_examples(&self) -> usize {
        self.text.count(Part::Dev)
    }

    fn score(&self) -> Result<Scores, Error> {
        let lm = self.tuning.model.frozen()?;
        let lengths = self.text.lengths(Part::Dev);
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        order.sort_by_key(|&index| lengths[index]);
        let (mut places, mut losses) = (Vec::new(), Vec::new());
        for batch in order.chunks(self.batch_size.max(1)) {
            let batch: Vec<Asked> =
                batch.iter().map(|&index| self.text.asked(Part::Dev, index)).collect();
            let answers: Vec<u32> = batch.iter().flat_map(|asked| asked.answers.clone()).collect();
            let logits = lm.head(states(&lm, &batch));
            losses.extend(cross_entropy(logits.clone(), &answers).into_data().iter::<f32>());
            places.extend(ranks(logits, &answers, None));
        }
        Ok(Scores::new(&places, &losses))
    }

    /// Less loss: what a language model is for.
    fn is_better(&self, new: &Scores, old: &Scores) -> bool {
        new.loss < old.loss
    }

    fn is_finite(&self) -> bool {
        let finite = |value: &Tensor<1>| value.to_data().iter::<f32>().all(f32::is_finite);
        self.tuning.model.parameters.values().values().all(finite)
    }

    fn save(&self, position: &Position, path: &Path) -> Result<(), Error> {
        Ok(AdaptCheckpoint::of(&self.tuning, self.seed, position).save(path)?)
    }
}
