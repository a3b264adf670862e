//! Arguments of the commands that run many trainings and compare runs.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Format, Overrides, SplitArg};

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_long_help = "Examples:\n  ptune suite configs/suites/lama.toml\n  \
        ptune suite configs/suites/lama.toml --list\n  \
        ptune suite configs/suites/lama.toml --shard 1/2     # a half, on this machine\n  \
        ptune suite merge part-1 part-2 --out checkpoints/suites/lama"
)]
pub struct SuiteArgs {
    #[command(subcommand)]
    pub merge: Option<SuiteCommand>,
    /// Suite file; configs/suites/lama.toml documents every key.
    #[arg(required = true)]
    pub file: Option<PathBuf>,
    #[command(flatten)]
    pub overrides: Overrides,
    /// Run so many cells at once, each in a process of its own [default: as many as cores and memory allow].
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub jobs: Option<u32>,
    /// Run a part of the cells: I/N is the Ith of N parts.
    #[arg(long, value_name = "I/N")]
    pub shard: Option<String>,
    /// List the cells and how far each is, and run none.
    #[arg(long)]
    pub list: bool,
    /// Run cells again that were run with other settings.
    #[arg(long)]
    pub force: bool,
    /// Exit with 1 if a variant's mean over tasks is lower: p1=0.4, mrr=0.5 or, of labels or entities, f1=0.5;
    /// may be repeated.
    #[arg(long, value_name = "SCORE=NUMBER")]
    pub fail_under: Vec<String>,
    /// How to print the tables.
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,
    /// Do not download a missing backbone.
    #[arg(long)]
    pub offline: bool,
    /// Tell what happens as JSON lines on stdout, and stop when stdin ends: how a suite runs its workers.
    #[arg(long, hide = true)]
    pub worker: bool,
}

#[derive(Debug, Subcommand)]
pub enum SuiteCommand {
    /// Join folders that hold parts of one suite.
    Merge(MergeArgs),
}

#[derive(Debug, Args)]
pub struct MergeArgs {
    /// Folders of the parts.
    #[arg(required = true)]
    pub parts: Vec<PathBuf>,
    /// Folder that they are joined in; it may hold cells already.
    #[arg(long, short, value_name = "FOLDER")]
    pub out: PathBuf,
    /// How to print the tables.
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,
}

#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  ptune compare checkpoints/runs/lama-p36\n  \
    ptune compare checkpoints/runs/lama-p36 checkpoints/runs/mlp checkpoints/runs/longer --split test")]
pub struct CompareArgs {
    /// Run folders; the first is what the others are compared with. One alone is compared with its manual
    /// prompt.
    #[arg(required = true)]
    pub runs: Vec<PathBuf>,
    /// Split whose examples are compared.
    #[arg(long, value_enum, default_value = "test")]
    pub split: SplitArg,
    /// How often examples are drawn.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..))]
    pub samples: u32,
    /// Seed of the drawing.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// How to print it.
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,
}
