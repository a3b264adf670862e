//! Training a prompt in front of a frozen language model.

use std::path::Path;

use burn::tensor::{Device, Tensor};
use burn_train::Interrupter;
use ptuning_core::language_model::Tokenize;
use ptuning_core::objective::Scores;
use ptuning_core::prompt_encoder::{
    EncoderConfig, EncoderKind, Initializer, PromptEncoder, Start, initial_vectors,
};
use ptuning_core::spans::SpanRules;
use ptuning_core::template::{BoundTemplate, VirtualToken};
use ptuning_core::verbalizer::{LabelWords, Verbalizer};

use super::learning::{Learning, check_template};
use super::{End, Learner, Loop};
use crate::checkpoint::{Checkpoint, CheckpointError, FORMAT, Header, Position};
use crate::error::Error;
use crate::outcome::outcome;
use crate::progress::Observer;
use crate::prompt::{check_backbone, prefix_width};
use crate::prompt_error::PromptError;
use crate::run_dir::RunDir;
use crate::settings::{PromptEncoderKind, PromptInit, Split, VerbalizerKind, VerbalizerSettings};
use crate::strategy::StepOutcome;
use crate::tagging::DevSpans;
use crate::task::{Counts, Item, Task};
use crate::validate::Tried;
use crate::verbalize::prepared;

/// A run that trains a prompt, between two optimiser steps.
pub struct TrainLoop<'a> {
    task: &'a Task,
    learner: PromptLearner<'a>,
    state: Loop,
}

/// A prompt with its examples.
struct PromptLearner<'a> {
    task: &'a Task,
    template: BoundTemplate,
    verbalizer: Verbalizer,
    train: Vec<Item>,
    dev: Vec<Item>,
    /// In place of `dev`, where spans are asked about.
    dev_spans: Option<DevSpans<'a>>,
    counts: (Counts, Counts),
    encoder_config: EncoderConfig,
    learning: Learning<'a>,
}

impl<'a> TrainLoop<'a> {
    /// A run at its start.
    ///
    /// # Errors
    /// A template that learns nothing or does not bind, data without usable examples.
    pub fn new(task: &'a Task) -> Result<Self, Error> {
        let template = task.bind("template.text", &task.settings.template.text)?;
        let settings = &task.settings;
        let learns = settings.verbalizer.as_ref().is_some_and(VerbalizerSettings::learns);
        check_template(settings.train.strategy, template.prompt_len(), learns)?;
        let verbalizer = task.verbalizer(&template)?;
        let soft = |settings: &VerbalizerSettings| settings.kind == VerbalizerKind::Soft;
        let soft = settings.verbalizer.as_ref().is_some_and(soft);
        if let (Some(labels), false) = (verbalizer.labels(), soft) {
            labels.check_single(&task.backbone.tokenizer)?;
        }
        let (train, train_counts) = task.encode(Split::Train, &template, &verbalizer)?;
        let dev_spans = DevSpans::new(task, &template)?;
        let (dev, dev_counts) = match &dev_spans {
            Some(spans) => (Vec::new(), spans.counts()),
            None => task.encode(Split::Dev, &template, &verbalizer)?,
        };
        let encoder_config = encoder_config(task, &template)?;
        let encoder = match template.prompt_len() {
            0 => None,
            _ => Some(new_encoder(task, template.virtual_tokens(), &encoder_config)?),
        };
        // The prior of the start: a trained prompt learns its own, and needs it constant.
        let start = encoder.as_ref().map(|encoder| encoder.forward().without_autodiff());
        let verbalizer = prepared(task, &template, start.as_ref(), verbalizer)?;
        let learning = Learning::new(task, encoder, verbalizer.labels())?;
        let learner = PromptLearner {
            task,
            template,
            verbalizer,
            train,
            dev,
            dev_spans,
            counts: (train_counts, dev_counts),
            encoder_config,
            learning,
        };
        Ok(Self { task, learner, state: Loop::default() })
    }

    /// Goes back to where a checkpoint stands.
    ///
    /// # Errors
    /// A checkpoint of another backbone, template or encoder.
    pub fn restore(
        &mut self,
        checkpoint: &Checkpoint,
        file: &std::path::Path,
    ) -> Result<(), Error> {
        check_backbone(&checkpoint.header, &self.task.backbone, file)?;
        let learner = &mut self.learner;
        learner.check_prompt(checkpoint, file)?;
        if checkpoint.verbalizer.labels().is_some() {
            learner.verbalizer = checkpoint.verbalizer.clone();
        }
        learner.learning.restore(self.task, checkpoint)?;
        self.state = Loop::at(checkpoint.header.position.clone(), &self.task.settings.train);
        Ok(())
    }

    /// Where the run stands.
    pub fn position(&self) -> &Position {
        self.state.position()
    }

    /// Numbers that learn of the language model, and all of its numbers; `None` where it stays frozen.
    pub fn lm_numbers(&self) -> Option<(usize, usize)> {
        self.learner.learning.lm_numbers()
    }

    /// Examples used and dropped of train and dev.
    pub fn counts(&self) -> (Counts, Counts) {
        self.learner.counts
    }

    /// Takes the first step over the first batch, in memory alone.
    ///
    /// # Errors
    /// A loss that is not a number.
    pub fn try_step(&mut self) -> Result<Tried, Error> {
        let settings = &self.task.settings;
        self.state.try_step(&mut self.learner, &settings.train, settings.seed)
    }

    /// Trains until the end, writing metrics and checkpoints as it goes.
    ///
    /// # Errors
    /// A loss that is not a number, or a run folder that cannot be written. The last checkpoint is
    /// then still whole.
    pub fn run(
        &mut self,
        run: &RunDir,
        interrupter: &Interrupter,
        observer: &mut dyn Observer,
    ) -> Result<End, Error> {
        let settings = &self.task.settings;
        let seed = settings.seed;
        self.state.run(&mut self.learner, &settings.train, seed, run, interrupter, observer)
    }
}

impl PromptLearner<'_> {
    /// The verbalizer with what has been learned of it.
    fn verbalizer(&self) -> Verbalizer {
        match (&self.verbalizer, self.learning.learned_labels()) {
            (Verbalizer::Labels(start), Some(learned)) => Verbalizer::Labels(learned.labels(start)),
            (verbalizer, _) => verbalizer.clone(),
        }
    }

    /// Parameters of one encoder may fit another by name and shape; its config tells them apart.
    fn check_prompt(&self, checkpoint: &Checkpoint, file: &std::path::Path) -> Result<(), Error> {
        let header = &checkpoint.header;
        let differs = |what, expected, found| {
            Err(CheckpointError::Differs { file: file.to_owned(), what, expected, found }.into())
        };
        let template = self.template.template().source();
        if header.template != template {
            return differs("template", format!("{template:?}"), format!("{:?}", header.template));
        }
        let spans = self.task.settings.spans.as_ref().map(|spans| &spans.rules);
        if header.spans.as_ref() != spans {
            let text = |rules: Option<&SpanRules>| format!("{rules:?}");
            return differs("spans", text(spans), text(header.spans.as_ref()));
        }
        let words = |verbalizer: &Verbalizer| verbalizer.labels().map(LabelWords::uncalibrated);
        let (expected, found) = (words(&self.verbalizer), words(&checkpoint.verbalizer));
        // Weights that learn are the checkpoint's.
        let learns = self.learning.learned_labels().is_some();
        let equal = |a: &Option<LabelWords>, b: &Option<LabelWords>| match (a, b) {
            (Some(a), Some(b)) if learns => a.has_words_of(b),
            (a, b) => a == b,
        };
        let names = |words: &Option<LabelWords>| -> Vec<String> {
            let labels = words.iter().flat_map(LabelWords::labels);
            labels.map(|label| label.name.clone()).collect()
        };
        let given = self.task.settings.verbalizer.as_ref();
        let given = given.is_none_or(|settings| settings.kind == VerbalizerKind::Words);
        // Words that were found are the checkpoint's: finding them again may end elsewhere by a hair.
        if names(&expected) != names(&found) || given && !equal(&expected, &found) {
            let text = |words: Option<LabelWords>| {
                words.map_or_else(|| "words".to_owned(), |words| words.to_string())
            };
            return differs("verbalizer", text(expected), text(found));
        }
        if header.encoder != self.encoder_config {
            let (expected, found) = (self.encoder_config, header.encoder);
            return differs("prompt encoder", format!("{expected:?}"), format!("{found:?}"));
        }
        Ok(())
    }
}

impl Learner for PromptLearner<'_> {
    fn device(&self) -> Device {
        self.task.backbone.model.device()
    }

    fn lengths(&self) -> Vec<usize> {
        self.train.iter().map(|item| item.encoded.ids.len()).collect()
    }

    fn step(&mut self, group: &[Vec<usize>], _: usize, lr: f64) -> Result<StepOutcome, Error> {
        let train = &self.train;
        let batches: Vec<Vec<&Item>> =
            group.iter().map(|batch| batch.iter().map(|&index| &train[index]).collect()).collect();
        self.learning.step(&batches, &self.verbalizer, lr)
    }

    fn dev_examples(&self) -> usize {
        self.counts.1.used
    }

    fn score(&self) -> Result<Scores, Error> {
        let (vectors, verbalizer) = (self.learning.vectors(), self.verbalizer());
        let batch_size = self.task.settings.eval.batch_size;
        let (prompt, words) = (vectors.as_ref(), &verbalizer);
        self.learning.with_lm(self.task, |lm| match &self.dev_spans {
            Some(spans) => spans.scores(lm, prompt, words),
            None => Ok(outcome(lm, prompt, &self.dev, words, batch_size).scores()),
        })?
    }

    /// Better P@1, or entity F1 where there are entities, or the same with less loss.
    fn is_better(&self, new: &Scores, old: &Scores) -> bool {
        new.is_better_than(old)
    }

    fn is_finite(&self) -> bool {
        self.learning.is_finite()
    }

    fn save(&self, position: &Position, path: &Path) -> Result<(), Error> {
        let state = self.learning.state();
        let checkpoint = Checkpoint {
            header: Header {
                format: FORMAT,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                seed: self.task.settings.seed,
                template: self.template.template().source().to_owned(),
                encoder: self.encoder_config,
                backbone: self.task.backbone.identity.clone(),
                optimizer_steps: state.optimizer_steps,
                position: position.clone(),
                labels: None,
                spans: self.task.settings.spans.as_ref().map(|spans| spans.rules.clone()),
                lm: state.lm,
                labels_steps: state.labels_steps,
            },
            encoder: state.encoder,
            optimizer: state.optimizer,
            lm: state.lm_values,
            lm_optimizer: state.lm_optimizer,
            labels: state.labels,
            labels_optimizer: state.labels_optimizer,
            verbalizer: self.verbalizer(),
        };
        Ok(checkpoint.save(path)?)
    }
}

/// Sizes of the prompt encoder that the settings ask for.
pub(super) fn encoder_config(
    task: &Task,
    template: &BoundTemplate,
) -> Result<EncoderConfig, Error> {
    let hidden = task.backbone.model.hidden_size();
    let (kind, inner) = match task.settings.prompt_encoder.kind {
        PromptEncoderKind::Lstm { hidden } => (EncoderKind::Lstm, hidden),
        PromptEncoderKind::Mlp { hidden } => (EncoderKind::Mlp, hidden),
        PromptEncoderKind::Direct => (EncoderKind::Direct, None),
    };
    let inner = inner.unwrap_or(hidden);
    let prefix_width = prefix_width(template, &task.backbone);
    if prefix_width.is_some() && kind == EncoderKind::Lstm {
        return Err(PromptError::PrefixKind.into());
    }
    if kind == EncoderKind::Lstm && inner % 2 != 0 {
        return Err(Error::OddWidth(inner));
    }
    Ok(EncoderConfig { kind, prompt: template.prompt_len(), hidden, inner, prefix_width })
}

/// A prompt encoder at its start.
pub(super) fn new_encoder(
    task: &Task,
    virtual_tokens: &[VirtualToken],
    config: &EncoderConfig,
) -> Result<PromptEncoder, Error> {
    let start = match &task.settings.prompt_encoder.init {
        PromptInit::Normal { std } => Start::Normal { std: *std },
        PromptInit::Vocabulary => Start::Vocabulary,
        PromptInit::Words { words } => {
            let ids = task.backbone.tokenizer.ids(&format!(" {}", words.trim()));
            if ids.is_empty() {
                return Err(Error::NoStartWords(words.clone()));
            }
            Start::Words(ids)
        }
    };
    let mut init = Initializer::new(task.settings.seed);
    let model = &task.backbone.model;
    let vectors = match (config.prefix_width, config.kind, &start) {
        (Some(_), EncoderKind::Direct, Start::Normal { std }) => {
            Tensor::from_data(init.normal(config.start_shape(), *std), &model.device())
        }
        (Some(_), EncoderKind::Direct, _) => return Err(PromptError::PrefixInit.into()),
        _ => {
            let table = model.word_embeddings();
            initial_vectors(&start, virtual_tokens, &table, &mut init)
        }
    };
    let device: Device = model.device().autodiff();
    Ok(PromptEncoder::new(config, vectors, &mut init, &device))
}
