//! Training strategies by the survey's names; each is one file that makes one optimiser step.

mod fixed_lm;
mod learned_labels;
mod tuned_lm;
mod with_lm;

pub use fixed_lm::{FixedLm, StepOutcome};
pub use learned_labels::LearnedLabels;
pub use tuned_lm::{LmHeader, TunedLm};
pub use with_lm::WithLm;
