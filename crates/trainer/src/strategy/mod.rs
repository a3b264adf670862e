//! Training strategies by the survey's names; each is one file that makes one optimiser step.

mod fixed_lm;

pub use fixed_lm::{FixedLm, StepOutcome};
