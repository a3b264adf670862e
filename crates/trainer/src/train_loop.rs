//! The training loop: epochs, early stopping, checkpoints, and going on where a run stopped.

use std::time::Instant;

use backbone::device::is_cpu;
use burn::tensor::Device;
use burn_train::Interrupter;
use ptuning_core::language_model::Tokenize;
use ptuning_core::objective::Scores;
use ptuning_core::prompt_encoder::{
    EncoderConfig, EncoderKind, Initializer, PromptEncoder, Start, initial_vectors,
};
use ptuning_core::template::BoundTemplate;
use ptuning_core::verbalizer::OpenVocabulary;

use crate::batches::Batching;
use crate::checkpoint::{Checkpoint, CheckpointError, FORMAT, Header, Position};
use crate::error::Error;
use crate::evaluate::outcome;
use crate::optimizer::Optimizer;
use crate::parameters;
use crate::progress::{Event, Observer};
use crate::prompt::check_backbone;
use crate::run_dir::{Metric, RunDir};
use crate::schedule::LearningRate;
use crate::settings::{PromptEncoderKind, PromptInit, Split};
use crate::strategy::{FixedLm, StepOutcome};
use crate::task::{Counts, Item, Task};

/// Why training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All epochs are done.
    Finished,
    /// `train.patience` epochs passed without a better one.
    Stopped,
    /// Asked to stop; the last checkpoint can be resumed.
    Interrupted,
}

/// A run between two optimiser steps.
pub struct TrainLoop<'a> {
    task: &'a Task,
    template: BoundTemplate,
    verbalizer: OpenVocabulary,
    train: Vec<Item>,
    dev: Vec<Item>,
    counts: (Counts, Counts),
    encoder_config: EncoderConfig,
    strategy: FixedLm<'a>,
    position: Position,
    /// Steps whose losses were not read yet.
    unread: Vec<Unread>,
}

/// Losses on a GPU are read after this many steps: reading makes it wait for all work before.
const READ_EVERY: usize = 16;

/// A step that was taken and whose loss the device may still be computing.
struct Unread {
    step: usize,
    step_in_epoch: usize,
    lr: f64,
    outcome: StepOutcome,
}

impl<'a> TrainLoop<'a> {
    /// A run at its start.
    ///
    /// # Errors
    /// A template that learns nothing or does not bind, data without usable examples.
    pub fn new(task: &'a Task) -> Result<Self, Error> {
        let template = task.bind("template.text", &task.settings.template.text)?;
        if template.prompt_len() == 0 {
            return Err(Error::NothingToLearn);
        }
        let verbalizer = task.verbalizer(&template);
        let (train, train_counts) = task.encode(Split::Train, &template, &verbalizer)?;
        let (dev, dev_counts) = task.encode(Split::Dev, &template, &verbalizer)?;
        let encoder_config = encoder_config(task, &template)?;
        let encoder = new_encoder(task, &template, &encoder_config)?;
        let lm = task.backbone.model.as_ref();
        let strategy = FixedLm::new(lm, encoder, Optimizer::new(&task.settings.train));
        Ok(Self {
            task,
            template,
            verbalizer,
            train,
            dev,
            counts: (train_counts, dev_counts),
            encoder_config,
            strategy,
            position: Position::default(),
            unread: Vec::new(),
        })
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
        self.check_prompt(&checkpoint.header, file)?;
        let device = self.strategy.device();
        let encoder =
            parameters::with_values(self.strategy.encoder().clone(), &checkpoint.encoder)?;
        let mut optimizer = Optimizer::new(&self.task.settings.train);
        let steps = checkpoint.header.optimizer_steps;
        optimizer.restore(&encoder, &checkpoint.optimizer, steps, &device)?;
        self.strategy = FixedLm::new(self.task.backbone.model.as_ref(), encoder, optimizer);
        self.position = checkpoint.header.position.clone();
        // More patience than before may have been asked for.
        self.position.stopped &= self.is_out_of_patience(self.position.epoch.saturating_sub(1));
        Ok(())
    }

    /// Parameters of one encoder may fit another by name and shape; its config tells them apart.
    fn check_prompt(&self, header: &Header, file: &std::path::Path) -> Result<(), Error> {
        let differs = |what, expected, found| {
            Err(CheckpointError::Differs { file: file.to_owned(), what, expected, found }.into())
        };
        let template = self.template.template().source();
        if header.template != template {
            return differs("template", format!("{template:?}"), format!("{:?}", header.template));
        }
        if header.encoder != self.encoder_config {
            let (expected, found) = (self.encoder_config, header.encoder);
            return differs("prompt encoder", format!("{expected:?}"), format!("{found:?}"));
        }
        Ok(())
    }

    /// Where the run stands.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// Examples used and dropped of train and dev.
    pub fn counts(&self) -> (Counts, Counts) {
        self.counts
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
        let settings = &self.task.settings.train;
        let lengths: Vec<usize> = self.train.iter().map(|item| item.encoded.ids.len()).collect();
        let batching = Batching {
            size: settings.batch_size,
            shuffle: settings.shuffle,
            bucket: settings.bucket,
            seed: self.task.settings.seed,
        };
        let batches = self.train.len().div_ceil(settings.batch_size.max(1));
        let steps = batches.div_ceil(settings.accumulation.max(1));
        let rate = LearningRate {
            base: settings.lr,
            schedule: settings.schedule,
            warmup: settings.warmup_steps,
            total: steps * settings.epochs,
        };
        observer.on(&Event::Started {
            epochs: settings.epochs,
            steps_per_epoch: steps,
            position: &self.position,
        });
        let read_every = if is_cpu(&self.strategy.device()) { 1 } else { READ_EVERY };
        if self.position.step == 0 {
            self.checkpoint().save(&run.last())?;
        }
        while self.position.epoch < settings.epochs && !self.position.stopped {
            let epoch = self.position.epoch;
            let order = batching.epoch(epoch, &lengths);
            let mut lr = rate.at(self.position.step.saturating_sub(1), epoch);
            for group in
                order.chunks(settings.accumulation.max(1)).skip(self.position.step_in_epoch)
            {
                lr = rate.at(self.position.step, epoch);
                self.step(group, lr);
                if self.unread.len() >= read_every {
                    self.read_losses(run, observer)?;
                }
                if interrupter.should_stop() {
                    self.read_losses(run, observer)?;
                    self.checkpoint().save(&run.last())?;
                    return Ok(End::Interrupted);
                }
            }
            self.read_losses(run, observer)?;
            self.end_epoch(lr, run, observer)?;
            let more = self.position.epoch < settings.epochs && !self.position.stopped;
            if interrupter.should_stop() && more {
                return Ok(End::Interrupted);
            }
        }
        Ok(if self.position.stopped { End::Stopped } else { End::Finished })
    }

    fn step(&mut self, group: &[Vec<usize>], lr: f64) {
        let started = Instant::now();
        let train = &self.train;
        let batches: Vec<Vec<&Item>> =
            group.iter().map(|batch| batch.iter().map(|&index| &train[index]).collect()).collect();
        let outcome = self.strategy.step(&batches, lr);
        let position = &mut self.position;
        position.seconds += started.elapsed().as_secs_f64();
        position.step += 1;
        position.step_in_epoch += 1;
        let Position { step, step_in_epoch, .. } = *position;
        self.unread.push(Unread { step, step_in_epoch, lr, outcome });
    }

    /// Reads and reports the losses of the last steps.
    fn read_losses(&mut self, run: &RunDir, observer: &mut dyn Observer) -> Result<(), Error> {
        for Unread { step, step_in_epoch, lr, outcome } in std::mem::take(&mut self.unread) {
            let started = Instant::now();
            let (loss_sum, examples) = (outcome.loss_sum(), outcome.examples);
            let position = &mut self.position;
            position.seconds += started.elapsed().as_secs_f64();
            position.loss_sum += loss_sum;
            position.examples += examples;
            let loss = loss_sum / examples as f64;
            if !loss.is_finite() {
                return Err(self.not_finite(step, loss));
            }
            let position = Position { step, step_in_epoch, ..self.position.clone() };
            run.append(&Metric::Step { epoch: position.epoch + 1, step, loss, lr })?;
            observer.on(&Event::Step { position: &position, loss, lr, examples });
        }
        Ok(())
    }

    fn not_finite(&self, step: usize, loss: f64) -> Error {
        let finite = self.strategy.vectors().into_data().iter::<f32>().all(f32::is_finite);
        let (cause, hint) = if finite {
            (
                "the backbone gives scores that are not numbers for a prompt that is finite",
                "the backbone's weights may hold NaN or overflow on this device; try --device flex",
            )
        } else {
            (
                "the prompt's vectors are no longer finite: the optimiser has diverged",
                "lower train.lr, set train.clip_norm = 1.0, or give train.warmup_steps",
            )
        };
        Error::NotFinite { step, epoch: self.position.epoch + 1, loss, cause, hint }
    }

    /// Scores dev, keeps the best, saves, and decides whether to go on.
    fn end_epoch(
        &mut self,
        lr: f64,
        run: &RunDir,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let settings = &self.task.settings;
        observer.on(&Event::Evaluating { split: Split::Dev, examples: self.dev.len() });
        let vectors = self.strategy.vectors();
        let lm = self.task.backbone.model.as_ref();
        let batch_size = settings.eval.batch_size;
        let dev = outcome(lm, Some(&vectors), &self.dev, &self.verbalizer, batch_size).scores();
        let position = &mut self.position;
        let best = position.best.as_ref().is_none_or(|(_, best)| is_better(&dev, best));
        if best {
            position.best = Some((position.epoch, dev));
        }
        let train_loss = position.loss_sum / position.examples.max(1) as f64;
        position.epoch += 1;
        position.step_in_epoch = 0;
        position.loss_sum = 0.0;
        position.examples = 0;
        let seen = self.train.len() * position.epoch;
        let metric = Metric::Epoch {
            epoch: position.epoch,
            step: position.step,
            train_loss,
            dev,
            lr,
            examples_per_second: seen as f64 / position.seconds.max(1e-9),
            seconds: position.seconds,
            best,
        };
        run.append(&metric)?;
        self.position.stopped = self.is_out_of_patience(self.position.epoch - 1);
        let checkpoint = self.checkpoint();
        if best {
            checkpoint.save(&run.best())?;
        }
        checkpoint.save(&run.last())?;
        observer.on(&Event::Epoch { metric: &metric });
        Ok(())
    }

    /// Whether `train.patience` epochs passed without a better one, up to and including `epoch`.
    fn is_out_of_patience(&self, epoch: usize) -> bool {
        let since_best = self.position.best.map_or(0, |(best, _)| epoch.saturating_sub(best));
        self.task.settings.train.patience.is_some_and(|patience| since_best >= patience)
    }

    fn checkpoint(&self) -> Checkpoint {
        let names = parameters::names(self.strategy.encoder());
        let (optimizer, optimizer_steps) = self.strategy.optimizer().state(&names);
        Checkpoint {
            header: Header {
                format: FORMAT,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                seed: self.task.settings.seed,
                template: self.template.template().source().to_owned(),
                encoder: self.encoder_config,
                backbone: self.task.backbone.identity.clone(),
                optimizer_steps,
                position: self.position.clone(),
            },
            encoder: parameters::values(self.strategy.encoder()),
            optimizer,
            verbalizer: self.verbalizer.clone(),
        }
    }
}

/// Better P@1, or the same with less loss.
fn is_better(new: &Scores, old: &Scores) -> bool {
    new.precision_at_1 > old.precision_at_1
        || new.precision_at_1 == old.precision_at_1 && new.loss < old.loss
}

fn encoder_config(task: &Task, template: &BoundTemplate) -> Result<EncoderConfig, Error> {
    let hidden = task.backbone.model.hidden_size();
    let (kind, inner) = match task.settings.prompt_encoder.kind {
        PromptEncoderKind::Lstm { hidden } => (EncoderKind::Lstm, hidden),
        PromptEncoderKind::Mlp { hidden } => (EncoderKind::Mlp, hidden),
        PromptEncoderKind::Direct => (EncoderKind::Direct, None),
    };
    let inner = inner.unwrap_or(hidden);
    if kind == EncoderKind::Lstm && inner % 2 != 0 {
        return Err(Error::OddWidth(inner));
    }
    Ok(EncoderConfig { kind, prompt: template.prompt_len(), hidden, inner })
}

fn new_encoder(
    task: &Task,
    template: &BoundTemplate,
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
    let table = task.backbone.model.word_embeddings();
    let vectors = initial_vectors(&start, template.virtual_tokens(), &table, &mut init);
    let device: Device = task.backbone.model.device().autodiff();
    Ok(PromptEncoder::new(config, vectors, &mut init, &device))
}
