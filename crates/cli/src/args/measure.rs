//! Arguments of the commands that measure.

use clap::{Args, ValueEnum};

/// Kind of prompt encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EncoderArg {
    /// Embedding, BiLSTM, MLP.
    Lstm,
    /// Embedding, MLP.
    Mlp,
    /// Plain vectors.
    Direct,
}

/// A choice of `[backbone]` that gives the same numbers in less time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Without {
    /// Packed weights and fused operations.
    Fused,
    /// One pass over what stands in front of every example.
    SharePrefix,
    /// The last layer for answer rows alone.
    AnswerRows,
}

/// In what numbers a GPU holds and multiplies weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DtypeArg {
    /// Single precision.
    F32,
    /// bfloat16.
    Bf16,
    /// Half precision.
    F16,
}

#[derive(Debug, Args)]
#[command(
    after_long_help = "Example: ptune bench --backbone smollm2-135m --batch 8 --length 16 --virtual 9 --json"
)]
pub struct BenchArgs {
    #[command(flatten)]
    pub shape: ShapeArgs,
    /// Run without one of these, to see what it gives.
    #[arg(long, value_enum)]
    pub without: Vec<Without>,
    /// Keep each layer's input alone and compute the rest once more.
    #[arg(long)]
    pub recompute: bool,
    /// In what numbers weights are held and multiplied, on a device that is not the CPU's own.
    #[arg(long, value_enum, default_value = "f32")]
    pub dtype: DtypeArg,
    /// Print where the time of a training step goes.
    #[arg(long)]
    pub profile: bool,
    /// Steps to take the median of.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=100000))]
    pub steps: u32,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// To how few bits matrices are rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoundingArg {
    /// As their file has them.
    None,
    /// Eight bits, as GGUF's Q8_0.
    Q8,
    /// Four bits, as GGUF's Q4_1.
    Q4,
}

impl RoundingArg {
    /// What it is to a backbone.
    pub fn rounding(self) -> backbone::Rounding {
        match self {
            Self::None => backbone::Rounding::None,
            Self::Q8 => backbone::Rounding::EightBits,
            Self::Q4 => backbone::Rounding::FourBits,
        }
    }
}

/// A training step.
#[derive(Debug, Args)]
pub struct ShapeArgs {
    /// Backbone: a name, hf:ORGANISATION/MODEL, a folder or a .gguf file; or random weights of a Llama's, Qwen2's,
    /// GPT-2's or BERT's sizes, as in
    /// random:family=bert,weights=f32,hidden=768,intermediate=3072,layers=12,heads=12,vocab=28996.
    #[arg(long, default_value = "smollm2-135m")]
    pub backbone: String,
    /// Device.
    #[arg(long, default_value = "flex")]
    pub device: String,
    /// Examples per step.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub batch: u32,
    /// Positions of an example, virtual tokens included.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub length: u32,
    /// Virtual tokens.
    #[arg(long = "virtual", default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub virtual_tokens: u32,
    /// Virtual tokens that stand at the front, where all examples share them.
    #[arg(long, default_value_t = 6)]
    pub leading: u32,
    /// Round matrices while they are loaded.
    #[arg(long, value_enum, default_value = "none")]
    pub rounding: RoundingArg,
    /// Prompt encoder.
    #[arg(long, value_enum, default_value = "lstm")]
    pub encoder: EncoderArg,
    /// Do not download a missing backbone.
    #[arg(long)]
    pub offline: bool,
}

#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  ptune estimate --batch 32 --length 64\n  \
    ptune estimate --backbone path/to/model --tensors")]
pub struct EstimateArgs {
    #[command(flatten)]
    pub shape: ShapeArgs,
    /// Tell instead which tensors of the backbone's files are used, missing, of another shape or
    /// left over.
    #[arg(long)]
    pub tensors: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}
