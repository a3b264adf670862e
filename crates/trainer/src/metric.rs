//! What a run notes as it goes: a line of `metrics.jsonl` for every step and every epoch.

use ptuning_core::objective::Scores;
use serde::{Deserialize, Serialize};

use crate::checkpoint::Position;

/// The first line of `metrics.csv`.
pub(crate) const CSV_HEADER: &str =
    "epoch,step,train_loss,dev_p1,dev_p10,dev_mrr,dev_loss,lr,examples_per_second,seconds,best";

/// A line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Metric {
    /// One optimiser step.
    Step {
        /// Epoch, from 1.
        epoch: usize,
        /// Optimiser steps so far, from 1.
        step: usize,
        /// Mean loss of its examples, in nats.
        loss: f64,
        /// Learning rate.
        lr: f64,
    },
    /// One epoch.
    Epoch {
        /// Epoch, from 1.
        epoch: usize,
        /// Optimiser steps so far.
        step: usize,
        /// Mean loss of its examples while training, in nats.
        train_loss: f64,
        /// Scores on dev.
        dev: Scores,
        /// Learning rate of its last step.
        lr: f64,
        /// Training speed, evaluation left out.
        examples_per_second: f64,
        /// Seconds of training so far, evaluation left out.
        seconds: f64,
        /// Whether it is the best so far.
        best: bool,
    },
}

impl Metric {
    /// Whether a run that stands there has it behind it.
    pub(crate) fn precedes(&self, position: &Position) -> bool {
        match self {
            Self::Step { step, .. } => *step <= position.step,
            Self::Epoch { epoch, .. } => *epoch <= position.epoch,
        }
    }

    /// The epoch's line of `metrics.csv`.
    pub(crate) fn csv(&self) -> Option<String> {
        let Self::Epoch { epoch, step, train_loss, dev, lr, examples_per_second, seconds, best } =
            self
        else {
            return None;
        };
        let Scores { precision_at_1: p1, precision_at_10: p10, mrr, loss, .. } = dev;
        Some(format!(
            "{epoch},{step},{train_loss},{p1},{p10},{mrr},{loss},{lr},{examples_per_second:.3},{seconds:.3},{best}"
        ))
    }
}
