//! Arguments of the commands about the program itself.

use std::path::PathBuf;

use clap::Args;

use super::Format;

#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  ptune doctor\n  ptune doctor --format json")]
pub struct DoctorArgs {
    /// How to print it.
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    ptune completions bash > ~/.local/share/bash-completion/completions/ptune.bash\n  \
    ptune completions fish > ~/.config/fish/completions/ptune.fish\n\n\
    zsh takes them from a file `_ptune` in a folder of its fpath.")]
pub struct CompletionsArgs {
    /// Shell to complete commands in.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  ptune man\n  ptune man ~/.local/share/man/man1")]
pub struct ManArgs {
    /// Folder to write a page of each command to; without one, prints the page of ptune.
    pub folder: Option<PathBuf>,
}
