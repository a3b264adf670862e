//! What a run tells while it goes on; drawing it is somebody else's business.

use ptuning_core::objective::Scores;

use crate::checkpoint::Position;
use crate::run_dir::Metric;
use crate::settings::Split;

/// Something that happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Training begins or goes on.
    Started {
        /// Epochs in all.
        epochs: usize,
        /// Optimiser steps in an epoch.
        steps_per_epoch: usize,
        /// Where it begins.
        position: &'a Position,
    },
    /// An optimiser step is done.
    Step {
        /// Where the run stands after it.
        position: &'a Position,
        /// Mean loss of its examples, in nats.
        loss: f64,
        /// Its learning rate.
        lr: f64,
        /// Its examples.
        examples: usize,
    },
    /// A split is being scored.
    Evaluating {
        /// Which.
        split: Split,
        /// Its examples.
        examples: usize,
    },
    /// An epoch is done, scored and saved.
    Epoch {
        /// Its figures.
        metric: &'a Metric,
    },
    /// A candidate of a search, or a wording, is scored.
    Candidate {
        /// Its template.
        template: &'a str,
        /// Its scores.
        scores: &'a Scores,
        /// Evaluations so far.
        done: usize,
        /// How many there will be at most, if that is known.
        of: Option<usize>,
    },
}

/// Listens to a run.
pub trait Observer {
    /// Called for every event, on the thread that trains.
    fn on(&mut self, event: &Event<'_>);
}

/// Listens to nothing.
impl Observer for () {
    fn on(&mut self, _: &Event<'_>) {}
}
