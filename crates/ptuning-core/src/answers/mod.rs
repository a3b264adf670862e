//! Answers of several tokens: scored whole, ranked among each other, and written by the model itself.
//!
//! ```text
//! The capital of Malta is [z]      " Val" · "letta"
//! causal    log P(Val | … is) + log P(letta | … is Val)
//! masked    log P(Val | … is [MASK] letta) + log P(letta | … is Val [MASK])
//! ```
//!
//! An [`AnswerSet`] holds words as token sequences where a template puts the answer, in a trie. A
//! [`Scorer`] gives each answer its log-probability behind an input, or the rank of the right one among
//! all of them. [`generate`] lets a causal model go on by itself, [`fill`] a masked one.
//!
//! Scores are sums of log-probabilities over the whole vocabulary, in nats, so never above 0; an answer
//! that another one continues ("New York", "New York City") scores at least as high. With
//! [`Scoring::normalised`] a score is the mean over the answer's tokens instead.

mod ask;
mod causal;
mod fill;
mod generate;
mod masked;
mod scorer;
mod set;

pub use fill::{FillOrder, Filled, fill};
pub use generate::{Beams, Generated, generate};
pub use scorer::{Rank, Scorer, Scoring};
pub use set::{AnswerSet, AnswersError, with_room};

use serde::{Deserialize, Serialize};

/// What a masked language model is asked for each token of an answer. A causal one has no choice: it
/// reads from left to right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MaskedScoring {
    /// The token where it alone is masked and the others stand (Salazar et al., "Masked Language Model
    /// Scoring", 2020).
    #[default]
    PseudoLikelihood,
    /// The token behind those before it, while those after it are masked still.
    LeftToRight,
}

/// The sum of log-probabilities of so many tokens, or their mean.
fn normalised(sum: f32, tokens: usize, mean: bool) -> f32 {
    if mean { sum / tokens.max(1) as f32 } else { sum }
}
