//! `ptune completions`.

use std::io::Write;

use clap::CommandFactory;

use crate::args::{Cli, CompletionsArgs};
use crate::exit::Outcome;

/// Prints what completes commands in a shell.
pub fn run(args: &CompletionsArgs) -> anyhow::Result<Outcome> {
    // Into memory first: the generator knows no reader that leaves early.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "ptune", &mut script);
    std::io::stdout().lock().write_all(&script)?;
    Ok(Outcome::Done)
}
