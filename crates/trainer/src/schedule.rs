//! Learning-rate schedules, as functions of the step alone: nothing to save, nothing to resume.

use crate::settings::Schedule;

/// The learning rate of an optimiser step.
///
/// | schedule | factor at step `s` of `n`, epoch `e` |
/// |---|---|
/// | constant | 1 |
/// | linear | (n − s) / (n − w), Hugging Face's `get_linear_schedule_with_warmup` |
/// | cosine | (1 + cos π(s − w)/(n − w)) / 2, `get_cosine_schedule_with_warmup` |
/// | exponential | gamma^e, `torch.optim.lr_scheduler.ExponentialLR` stepped per epoch |
///
/// During the first `w` warm-up steps the factor is instead multiplied by s / w.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LearningRate {
    /// The rate that factors apply to.
    pub base: f64,
    /// Shape.
    pub schedule: Schedule,
    /// Warm-up steps.
    pub warmup: usize,
    /// Steps of the whole run.
    pub total: usize,
}

impl LearningRate {
    /// Rate at an optimiser step (from 0) of an epoch (from 0).
    pub fn at(&self, step: usize, epoch: usize) -> f64 {
        let warm = self.warmup as f64;
        let at = step as f64;
        let left = (self.total as f64 - warm).max(1.0);
        let after = match self.schedule {
            Schedule::Constant => 1.0,
            Schedule::Linear => ((self.total as f64 - at) / left).clamp(0.0, 1.0),
            Schedule::Cosine => {
                let progress = ((at - warm) / left).clamp(0.0, 1.0);
                0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
            }
            Schedule::Exponential { gamma } => gamma.powi(i32::try_from(epoch).unwrap_or(i32::MAX)),
        };
        if step < self.warmup { self.base * after.min(1.0) * at / warm } else { self.base * after }
    }
}
