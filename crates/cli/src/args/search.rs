//! Arguments of the commands that look for prompts and compare them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Format, NewRun, Overrides, SplitArg};

/// How prompts are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MethodArg {
    /// From a corpus: what stands between known subjects and answers.
    Mine,
    /// The manual prompt with phrases replaced from a list.
    Paraphrase,
    /// AutoPrompt: trigger words that the gradient points at.
    Gradient,
    /// The manual prompt edited word by word.
    Edit,
    /// P-tuning's layouts, by successive halving.
    Prompts,
}

/// When a search stops.
#[derive(Debug, Args)]
pub struct LimitArgs {
    /// Stop after so many evaluations.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub budget: Option<u32>,
    /// Stop after so many seconds of evaluations.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub seconds: Option<u32>,
}

#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    ptune search paraphrase --config configs/lama.toml --phrases datasets/paraphrases.tsv\n  \
    ptune search mine --config configs/lama.toml --corpus my/text.txt.gz --examples 50\n  \
    ptune search gradient --config configs/lama.toml --layout '[x] [h:5] [z]' --seconds 300\n  \
    ptune search edit --config configs/lama.toml --beam 3\n  \
    ptune search prompts --config configs/lama.toml --anchor capital --tokens 1,3")]
pub struct SearchArgs {
    /// How prompts are found.
    #[arg(value_enum)]
    pub method: MethodArg,
    /// Config file, whose eval.manual is the prompt to start from and to compare with.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Judge on so many examples of dev, drawn by the seed [default: all].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub examples: Option<u32>,
    #[command(flatten)]
    pub limits: LimitArgs,
    /// How to print the leaderboard.
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,
    /// Rows of the table [default: 10].
    #[arg(long, short = 'k', value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub top: Option<u32>,
    #[command(flatten)]
    pub run: NewRun,

    /// Mine: text of one passage a line, plain or gzipped.
    #[arg(long, value_name = "FILE")]
    pub corpus: Option<PathBuf>,
    /// Mine: templates to score, the most frequent ones [default: 40].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep: Option<u32>,
    /// Mine: most words between subject and answer [default: 6].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub between: Option<u32>,
    /// Mine: most words taken from around them on either side [default: 2].
    #[arg(long, value_name = "N")]
    pub around: Option<u32>,

    /// Paraphrase: list of phrases, one a line with its alternatives, tabs between them.
    #[arg(long, value_name = "FILE")]
    pub phrases: Option<PathBuf>,
    /// Paraphrase: phrases replaced at a time, 1 or 2 [default: 2].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=2))]
    pub replacements: Option<u32>,

    /// Gradient: where triggers stand, as virtual tokens [default: the config's template.text].
    #[arg(long, value_name = "TEMPLATE")]
    pub layout: Option<String>,
    /// Gradient: swaps to try [default: 40].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub steps: Option<u32>,
    /// Gradient: words to try for a swap [default: 10].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub swaps: Option<u32>,
    /// Gradient: examples of train whose loss is compared [default: 32].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: Option<u32>,

    /// Edit: prompts that are edited on; 1 is the greedy search [default: 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub beam: Option<u32>,
    /// Edit: rounds at most [default: 6].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: Option<u32>,
    /// Edit: edits to try of each prompt in a round [default: 20].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub edits: Option<u32>,
    /// Edit: words to insert and replace by, one a line [default: the model's own likely words].
    #[arg(long, value_name = "FILE")]
    pub words: Option<PathBuf>,
    /// Edit: the model's likely words to consider at each place [default: 5].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub likely: Option<u32>,

    /// Prompts: words to put virtual tokens around; may be repeated [default: those of the manual prompt].
    #[arg(long, value_name = "WORDS")]
    pub anchor: Vec<String>,
    /// Prompts: numbers of virtual tokens in one place [default: 1,3,6].
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub tokens: Vec<u32>,
    /// Prompts: layouts to begin with, drawn by the seed [default: 8].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub layouts: Option<u32>,
    /// Prompts: epochs of the first rung [default: 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub epochs: Option<u32>,
    /// Prompts: seeds to train each layout with [default: 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub seeds: Option<u32>,
}

#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    ptune sensitivity --config configs/lama.toml --prompts my/prompts.txt\n  \
    ptune sensitivity --config configs/lama.toml --prompts my/prompts.txt --run checkpoints/runs/lama-p36 --split test")]
pub struct SensitivityArgs {
    /// Config file, whose eval.manual chooses the examples.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// List of prompts: a template a line, or JSON Lines with the key "template"; LAMA's X and Y in brackets do too.
    #[arg(long, value_name = "FILE")]
    pub prompts: PathBuf,
    /// Run whose trained prompt to mark among them.
    #[arg(long, value_name = "RUN")]
    pub run: Option<PathBuf>,
    /// Split to judge on.
    #[arg(long, value_enum, default_value = "dev")]
    pub split: SplitArg,
    /// Judge on so many examples, drawn by the seed [default: all].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub examples: Option<u32>,
    /// How to print it.
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,
    #[command(flatten)]
    pub overrides: Overrides,
    /// Do not download a missing backbone.
    #[arg(long)]
    pub offline: bool,
}
