//! Arguments of the commands about configs.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Format, Overrides};

/// What a config to begin with is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StarterArg {
    /// One word that completes a statement: facts, as in LAMA.
    Facts,
    /// A text that has one of a few labels.
    Labels,
    /// Two texts, and a label of how they go together.
    Pair,
    /// Sentences, and what is named in them.
    Entities,
    /// A text that a language model itself learns from.
    Adapt,
}

#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  ptune init\n  ptune init labels\n  ptune init facts --out -"
)]
pub struct InitArgs {
    /// What the config is for; without one, lists what there is.
    #[arg(value_enum)]
    pub kind: Option<StarterArg>,
    /// File to write; `-` is stdout.
    #[arg(long, short, value_name = "FILE", default_value = "ptune.toml")]
    pub out: PathBuf,
    /// Replace a file that is there.
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  ptune config\n  ptune config train.lr\n  ptune config verbalizer\n  \
    ptune config --schema > ptune.schema.json\n\n\
    An editor that knows TOML takes the schema by a first line `#:schema ptune.schema.json` in a config."
)]
pub struct ConfigArgs {
    /// Key, as in train.lr, or section, as in train; without one, all keys are listed.
    pub key: Option<String>,
    /// How to print them.
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,
    /// Print a JSON schema of configs, for editors.
    #[arg(long, conflicts_with_all = ["key", "format"])]
    pub schema: bool,
}

#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  ptune validate configs/lama.toml\n  \
    ptune validate configs/lama.toml configs/sentiment.toml --set train.batch_size=32\n\n\
    Everything that is wrong is told at once, each with its place, and the exit code is then 2. Nothing is \
    written, not even a missing backbone is downloaded.")]
pub struct ValidateArgs {
    /// Config files, of `ptune train` or of `ptune adapt`.
    #[arg(value_name = "CONFIG", required = true)]
    pub config: Vec<PathBuf>,
    #[command(flatten)]
    pub overrides: Overrides,
}
