//! The training loop: epochs, early stopping, checkpoints, and going on where a run stopped.
//!
//! A [`Loop`] knows where a run stands and in which order examples come; a [`Learner`] knows what
//! learns and how a step is taken. [`TrainLoop`] trains prompts; [`crate::adapt`] trains a language
//! model itself.

mod learning;
mod prompt;
mod together;

use std::path::Path;
use std::time::Instant;

use backbone::device::is_cpu;
use burn::tensor::Device;
use burn_train::Interrupter;
use ptuning_core::objective::Scores;

pub(crate) use learning::check_template;
pub use prompt::TrainLoop;
pub use together::TogetherLoop;

use crate::batches::Batching;
use crate::checkpoint::Position;
use crate::error::Error;
use crate::progress::{Event, Observer};
use crate::run_dir::{Metric, RunDir};
use crate::schedule::LearningRate;
use crate::settings::{Split, TrainSettings};
use crate::strategy::StepOutcome;
use crate::validate::Tried;

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

/// What learns in a [`Loop`].
pub trait Learner {
    /// The device that it learns on.
    fn device(&self) -> Device;

    /// Tokens of each training example.
    fn lengths(&self) -> Vec<usize>;

    /// One optimiser step over batches of examples, by their indices.
    ///
    /// # Errors
    /// Whatever keeps it from being taken.
    fn step(&mut self, group: &[Vec<usize>], epoch: usize, lr: f64) -> Result<StepOutcome, Error>;

    /// Examples of dev.
    fn dev_examples(&self) -> usize;

    /// Scores on dev.
    ///
    /// # Errors
    /// Whatever keeps them from being computed.
    fn score(&self) -> Result<Scores, Error>;

    /// Whether scores are better than others.
    fn is_better(&self, new: &Scores, old: &Scores) -> bool;

    /// Whether what learns consists of finite numbers.
    fn is_finite(&self) -> bool;

    /// Writes a checkpoint from which the run can go on.
    ///
    /// # Errors
    /// A disk that is full or read-only; the file is then what it was.
    fn save(&self, position: &Position, path: &Path) -> Result<(), Error>;
}

/// Where a run stands.
#[derive(Default)]
pub struct Loop {
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

impl Loop {
    /// A run where a checkpoint stands.
    pub fn at(position: Position, settings: &TrainSettings) -> Self {
        let mut state = Self { position, unread: Vec::new() };
        // More patience than before may have been asked for.
        let epoch = state.position.epoch.saturating_sub(1);
        state.position.stopped &= state.is_out_of_patience(epoch, settings);
        state
    }

    /// Where the run stands.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// Trains until the end, writing metrics and checkpoints as it goes.
    ///
    /// # Errors
    /// A loss that is not a number, or a run folder that cannot be written. The last checkpoint is
    /// then still whole.
    pub fn run(
        &mut self,
        learner: &mut dyn Learner,
        settings: &TrainSettings,
        seed: u64,
        run: &RunDir,
        interrupter: &Interrupter,
        observer: &mut dyn Observer,
    ) -> Result<End, Error> {
        let lengths = learner.lengths();
        let batching = batching(settings, seed);
        let batches = lengths.len().div_ceil(settings.batch_size.max(1));
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
        let read_every = if is_cpu(&learner.device()) { 1 } else { READ_EVERY };
        if self.position.step == 0 {
            learner.save(&self.position, &run.last())?;
        }
        while self.position.epoch < settings.epochs && !self.position.stopped {
            let epoch = self.position.epoch;
            let order = batching.epoch(epoch, &lengths);
            let mut lr = rate.at(self.position.step.saturating_sub(1), epoch);
            for group in
                order.chunks(settings.accumulation.max(1)).skip(self.position.step_in_epoch)
            {
                lr = rate.at(self.position.step, epoch);
                self.step(learner, group, lr)?;
                let save = settings
                    .save_every
                    .is_some_and(|every| self.position.step.is_multiple_of(every));
                if self.unread.len() >= read_every || save {
                    self.read_losses(learner, run, observer)?;
                }
                if save {
                    learner.save(&self.position, &run.last())?;
                }
                if interrupter.should_stop() {
                    self.read_losses(learner, run, observer)?;
                    learner.save(&self.position, &run.last())?;
                    return Ok(End::Interrupted);
                }
            }
            self.read_losses(learner, run, observer)?;
            self.end_epoch(learner, settings, (lr, lengths.len()), run, observer)?;
            let more = self.position.epoch < settings.epochs && !self.position.stopped;
            if interrupter.should_stop() && more {
                return Ok(End::Interrupted);
            }
        }
        Ok(if self.position.stopped { End::Stopped } else { End::Finished })
    }

    /// Takes the first step over the first batch, in memory alone.
    ///
    /// # Errors
    /// A loss that is not a number, or a step that leaves what learns as none.
    pub fn try_step(
        &self,
        learner: &mut dyn Learner,
        settings: &TrainSettings,
        seed: u64,
    ) -> Result<Tried, Error> {
        let mut order = batching(settings, seed).epoch(0, &learner.lengths());
        order.truncate(1);
        let outcome = learner.step(&order, 0, settings.lr)?;
        let loss = outcome.loss_sum() / outcome.answers as f64;
        if !loss.is_finite() || !learner.is_finite() {
            return Err(self.not_finite(learner, 1, loss));
        }
        Ok(Tried { examples: outcome.examples, loss, trained: true })
    }

    fn step(
        &mut self,
        learner: &mut dyn Learner,
        group: &[Vec<usize>],
        lr: f64,
    ) -> Result<(), Error> {
        let started = Instant::now();
        let outcome = learner.step(group, self.position.epoch, lr)?;
        let position = &mut self.position;
        position.seconds += started.elapsed().as_secs_f64();
        position.step += 1;
        position.step_in_epoch += 1;
        let Position { step, step_in_epoch, .. } = *position;
        self.unread.push(Unread { step, step_in_epoch, lr, outcome });
        Ok(())
    }

    /// Reads and reports the losses of the last steps.
    fn read_losses(
        &mut self,
        learner: &dyn Learner,
        run: &RunDir,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        for Unread { step, step_in_epoch, lr, outcome } in std::mem::take(&mut self.unread) {
            let started = Instant::now();
            let (loss_sum, answers) = (outcome.loss_sum(), outcome.answers);
            let position = &mut self.position;
            position.seconds += started.elapsed().as_secs_f64();
            position.loss_sum += loss_sum;
            position.examples += answers;
            let loss = loss_sum / answers as f64;
            if !loss.is_finite() {
                return Err(self.not_finite(learner, step, loss));
            }
            let position = Position { step, step_in_epoch, ..self.position.clone() };
            run.append(&Metric::Step { epoch: position.epoch + 1, step, loss, lr })?;
            let examples = outcome.examples;
            observer.on(&Event::Step { position: &position, loss, lr, examples });
        }
        Ok(())
    }

    fn not_finite(&self, learner: &dyn Learner, step: usize, loss: f64) -> Error {
        let (cause, hint) = if learner.is_finite() {
            (
                "the backbone gives scores that are not numbers, though what learns is finite",
                "the backbone's weights may hold NaN or overflow on this device; try --device flex",
            )
        } else {
            (
                "what learns is no longer finite: the optimiser has diverged",
                "lower train.lr, set train.clip_norm = 1.0, or give train.warmup_steps",
            )
        };
        Error::NotFinite { step, epoch: self.position.epoch + 1, loss, cause, hint }
    }

    /// Scores dev, keeps the best, saves, and decides whether to go on.
    fn end_epoch(
        &mut self,
        learner: &dyn Learner,
        settings: &TrainSettings,
        (lr, examples): (f64, usize),
        run: &RunDir,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        observer.on(&Event::Evaluating { split: Split::Dev, examples: learner.dev_examples() });
        let dev = learner.score()?;
        let position = &mut self.position;
        let best = position.best.as_ref().is_none_or(|(_, best)| learner.is_better(&dev, best));
        if best {
            position.best = Some((position.epoch, dev));
        }
        let train_loss = position.loss_sum / position.examples.max(1) as f64;
        position.epoch += 1;
        position.step_in_epoch = 0;
        position.loss_sum = 0.0;
        position.examples = 0;
        let seen = examples * position.epoch;
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
        self.position.stopped = self.is_out_of_patience(self.position.epoch - 1, settings);
        if best {
            learner.save(&self.position, &run.best())?;
        }
        learner.save(&self.position, &run.last())?;
        observer.on(&Event::Epoch { metric: &metric });
        Ok(())
    }

    /// Whether `train.patience` epochs passed without a better one, up to and including `epoch`.
    fn is_out_of_patience(&self, epoch: usize, settings: &TrainSettings) -> bool {
        let since_best = self.position.best.map_or(0, |(best, _)| epoch.saturating_sub(best));
        settings.patience.is_some_and(|patience| since_best >= patience)
    }
}

/// How batches of a training run are drawn.
fn batching(settings: &TrainSettings, seed: u64) -> Batching {
    let TrainSettings { batch_size: size, shuffle, bucket, .. } = *settings;
    Batching { size, shuffle, bucket, seed }
}
