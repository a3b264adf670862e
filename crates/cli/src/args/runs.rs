//! Arguments of the commands about run folders.

use std::path::PathBuf;

use clap::Args;

use super::Format;

#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  ptune ls\n  ptune ls my/runs --format json\n\n\
    A run that goes on at this moment looks as if it had been interrupted.")]
pub struct LsArgs {
    /// Folder of run folders [default: checkpoints/runs].
    pub folder: Option<PathBuf>,
    /// How to print them.
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,
}
