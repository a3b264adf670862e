//! Arguments of the commands by which prompts leave and come in.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Overrides, Which};

/// Kind of export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// One file that `ptune predict --prompt` runs from; any template.
    Safetensors,
    /// A folder that Hugging Face PEFT loads; virtual tokens anywhere.
    Peft,
    /// The language model itself as a Hugging Face folder, with the virtual tokens as words of its
    /// vocabulary, for any engine.
    Model,
}

/// Kind of PEFT's adapters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PeftTypeArg {
    /// Vectors that PEFT prepends.
    PromptTuning,
    /// The same, with the LSTM or MLP that made them.
    PTuning,
    /// Keys and values of a [prefix:…].
    PrefixTuning,
    /// Rows of the vocabulary that nothing uses, which stand anywhere.
    TrainableTokens,
}

#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  ptune export checkpoints/runs/lama-p36 --format safetensors --out lama-p36.safetensors --card\n  \
    ptune export checkpoints/runs/lama-p36 --format peft --out lama-p36-peft\n  \
    ptune export checkpoints/runs/lama-p36 --format peft --peft-type trainable-tokens"
)]
pub struct ExportArgs {
    /// Run folder.
    pub run: PathBuf,
    /// Kind of export.
    #[arg(long, value_enum)]
    pub format: ExportFormat,
    /// File (safetensors) or folder (peft, model) to write [default: prompt.safetensors, peft or model in the
    /// run folder].
    #[arg(long, short, value_name = "PATH")]
    pub out: Option<PathBuf>,
    /// Which checkpoint.
    #[arg(long, value_enum, default_value = "best")]
    pub checkpoint: Which,
    /// Kind of adapter (peft only) [default: what the template asks for: prefix-tuning for a prefix,
    /// prompt-tuning where all virtual tokens come first, trainable-tokens anywhere else].
    #[arg(long, value_enum)]
    pub peft_type: Option<PeftTypeArg>,
    /// Also write a card beside the file, NAME.md: scores, data, config, licence. A folder always has one,
    /// README.md.
    #[arg(long)]
    pub card: bool,
    /// Also write token ids and largest logits of some examples as JSON, to check another program
    /// against (peft and model).
    #[arg(long, value_name = "FILE")]
    pub check: Option<PathBuf>,
    /// Replace what is there.
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub overrides: Overrides,
    /// Do not download a missing backbone.
    #[arg(long)]
    pub offline: bool,
}

#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  ptune import my/adapter --template '[h:8] [x] [z]' --backbone my/gpt2 --out my.safetensors\n  \
    ptune import my/epoch_9.ckpt --template '[h:3] [z] [h:3] [x] [h:3]' --backbone my/bert --out my.safetensors\n  \
    ptune import my/prompt_vecs.npy --template '[x] [h:5] [z] .' --backbone my/bert --out my.safetensors"
)]
pub struct ImportArgs {
    /// PEFT's folder (PROMPT_TUNING, P_TUNING, PREFIX_TUNING, TRAINABLE_TOKENS), a checkpoint of
    /// THUDM/P-tuning's LAMA code, or OptiPrompt's prompt_vecs.npy.
    #[arg(value_name = "FOLDER|FILE")]
    pub from: PathBuf,
    /// Template that the vectors were trained in; a folder that ptune exported as trainable-tokens has it.
    #[arg(long, value_name = "TEXT")]
    pub template: Option<String>,
    /// Backbone that they were trained on: a name, hf:ORGANISATION/MODEL, a folder or a .gguf file.
    #[arg(long)]
    pub backbone: String,
    /// File to write, for `ptune predict --prompt` and `ptune eval --prompt`.
    #[arg(long, short, value_name = "FILE")]
    pub out: PathBuf,
    /// Replace what is there.
    #[arg(long)]
    pub force: bool,
    /// Device: flex, wgpu, vulkan, cuda or tch, or one of several as in cuda:1.
    #[arg(long, default_value = "flex")]
    pub device: String,
    /// Do not download a missing backbone.
    #[arg(long)]
    pub offline: bool,
}
