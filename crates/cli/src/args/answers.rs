//! Arguments about answers of several tokens.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ptuning_core::answers::{FillOrder, MaskedScoring};

/// What a masked model is asked for each token of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ScoringArg {
    /// The token where it alone is masked.
    PseudoLikelihood,
    /// The token while those after it are masked still.
    LeftToRight,
}

impl From<ScoringArg> for MaskedScoring {
    fn from(scoring: ScoringArg) -> Self {
        match scoring {
            ScoringArg::PseudoLikelihood => Self::PseudoLikelihood,
            ScoringArg::LeftToRight => Self::LeftToRight,
        }
    }
}

/// Which mask is filled next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FillArg {
    /// The one whose best token is the most probable.
    Confidence,
    /// The first.
    LeftToRight,
}

impl From<FillArg> for FillOrder {
    fn from(order: FillArg) -> Self {
        match order {
            FillArg::Confidence => Self::Confidence,
            FillArg::LeftToRight => Self::LeftToRight,
        }
    }
}

/// Answers of several tokens, in place of words of the vocabulary.
#[derive(Debug, Args)]
pub struct AnswersArgs {
    /// Rank these answers, one per line, each scored whole, of however many tokens.
    #[arg(long, value_name = "FILE", group = "whole")]
    pub answers: Option<PathBuf>,
    /// What a masked model is asked for each token of an answer [default: pseudo-likelihood].
    #[arg(long, value_enum, requires = "answers", conflicts_with = "generate")]
    pub scoring: Option<ScoringArg>,
    /// Let the model write answers: until it ends them itself or a line; a masked model with one
    /// mask, two, and so on.
    #[arg(long, group = "whole")]
    pub generate: bool,
    /// Most tokens of a written answer [default: 8].
    #[arg(long, value_name = "N", requires = "generate", conflicts_with = "answers", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_tokens: Option<u32>,
    /// Answers that a causal model keeps side by side while it writes [default: 1].
    #[arg(long, value_name = "N", requires = "generate", conflicts_with = "answers", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub beams: Option<u32>,
    /// Which mask a masked model fills next [default: confidence].
    #[arg(long, value_enum, requires = "generate", conflicts_with = "answers")]
    pub fill: Option<FillArg>,
    /// Compare answers by the mean of their tokens' log-probabilities, in place of the sum, which
    /// prefers short ones.
    #[arg(long, requires = "whole")]
    pub length_normalisation: bool,
}
