//! `ptune`: train, judge, explain and ship continuous prompts from the command line.
//!
//! Data goes to stdout, everything else to stderr. Exit codes: 0 done, 1 a `--fail-under` was not
//! met, 2 bad input, 130 interrupted.

mod args;
mod commands;
mod entity_tables;
mod exit;
mod interrupt;
mod progress;
mod search_progress;
mod search_tables;
mod shell;
mod tables;
mod threshold;

use clap::Parser;

fn main() -> std::process::ExitCode {
    let args = args::Cli::parse();
    exit::report(commands::run(args))
}
