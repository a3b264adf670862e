//! One file per command.

mod adapt;
mod backbones;
mod bench;
mod compare;
mod completions;
mod config;
mod doctor;
mod estimate;
mod eval;
mod export;
mod fetch;
mod import;
mod init;
mod inspect;
mod ls;
mod man;
mod open;
mod predict;
mod search;
mod sensitivity;
mod suite;
mod suite_workers;
mod together;
mod train;
mod validate;

use crate::args::{Cli, Command};
use crate::exit::Outcome;

/// Runs the command.
pub fn run(cli: Cli) -> anyhow::Result<Outcome> {
    match cli.command {
        Command::Adapt(args) => adapt::run(&args),
        Command::Train(args) => train::train(&args),
        Command::Resume(args) => train::resume(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Search(args) => search::run(&args),
        Command::Sensitivity(args) => sensitivity::run(&args),
        Command::Suite(args) => suite::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Predict(args) => predict::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Ls(args) => ls::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Validate(args) => validate::run(&args),
        Command::Config(args) => config::run(&args),
        Command::Fetch(args) => fetch::run(&args),
        Command::Backbones(args) => backbones::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Estimate(args) => estimate::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    }
}
