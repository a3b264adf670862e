//! Arguments that every command takes: how it talks.

use clap::{Args, ColorChoice, ValueEnum};

/// The form of what is said on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people: bars on a terminal, lines elsewhere.
    Text,
    /// For programs: a JSON object a line, with its `event`: started, step, evaluating, epoch, candidate,
    /// message, error, done.
    Json,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Of every command")]
pub struct ConsoleArgs {
    /// Print results only, no progress.
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// How progress and errors are told on stderr.
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text", global = true)]
    pub log_format: LogFormat,
    /// When to use colours; auto means on a terminal, unless NO_COLOR is set.
    #[arg(long, value_name = "WHEN", default_value = "auto", global = true)]
    pub color: ColorChoice,
}
