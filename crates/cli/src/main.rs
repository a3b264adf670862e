//! `ptune`: train, judge, explain and ship continuous prompts from the command line.
//!
//! Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 a `--fail-under` was not
//! met, 2 bad input, 130 interrupted.

mod args;
mod commands;
mod console;
mod entity_tables;
mod events;
mod exit;
mod interrupt;
mod progress;
mod search_progress;
mod search_tables;
mod shell;
mod tables;
mod threshold;

use clap::{CommandFactory, FromArgMatches};

fn main() -> std::process::ExitCode {
    let command = args::Cli::command().color(console::colors_of(std::env::args_os()));
    let parsed = command.try_get_matches().and_then(|found| args::Cli::from_arg_matches(&found));
    let args = parsed.unwrap_or_else(|error| error.exit());
    console::set(&args.console);
    exit::report(commands::run(args))
}
