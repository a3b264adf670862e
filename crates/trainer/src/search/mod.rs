//! Prompts found by search instead of training (section 4 of Liu et al. 2021, arXiv:2107.13586), and the
//! choices around P-tuning itself.
//!
//! | method | proposes |
//! |---|---|
//! | `mine` | what stands between known pairs in a corpus (Jiang et al. 2020, arXiv:1911.12543) |
//! | `paraphrase` | the manual prompt with phrases replaced from a list (the same) |
//! | `gradient` | words that the gradient of the loss points at (Shin et al. 2020, arXiv:2010.15980) |
//! | `edit` | the manual prompt edited word by word (Prasad et al. 2022, arXiv:2203.07281) |
//! | `prompts` | layouts of virtual tokens, trained by successive halving |
//!
//! What a method proposes next is a function of settings, seed and the scores so far. A [`Search`] writes every
//! score into a [`Journal`] and never computes twice what stands there: a search that goes on runs from its
//! beginning, remembers, and ends where an uninterrupted one would have.

mod edit;
mod error;
mod gradient;
mod halving;
mod journal;
mod judge;
mod layouts;
mod leaderboard;
mod likely;
mod mine;
mod options;
mod paraphrase;
mod phrases;
mod prepare;
mod prompts;
mod session;
mod trials;
mod vocabulary;
mod words;

use crate::Interrupter;
use crate::error::Error;
use crate::progress::Observer;
use crate::run_dir::RunDir;
use crate::task::Task;

pub use error::SearchError;
pub use gradient::{Gradients, gradients};
pub use halving::{Rung, rungs};
pub use journal::{Journal, On, Record};
pub use judge::{judge, judge_prompt};
pub use layouts::layouts;
pub use leaderboard::{Entry, Leaderboard, leaderboard_of};
pub use mine::{Mined, Miner};
pub use options::{
    EditOptions, GradientOptions, Limits, Method, MineOptions, ParaphraseOptions, PromptsOptions,
    SearchOptions,
};
pub use phrases::Phrases;
pub use prepare::{begin, options_of, prepare, write_options};
pub use session::{Halt, Search};
pub(crate) use session::{is_of_the_candidate, manual, sample};
pub use words::Wording;

/// Why a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchEnd {
    /// Nothing is left to try.
    Finished,
    /// As many candidates were scored as were asked for.
    Budget,
    /// The time is up.
    Seconds,
    /// Asked to stop; the search can be resumed.
    Interrupted,
}

/// Searches, or goes on with a search, in a run folder.
///
/// # Errors
/// A manual prompt that cannot be scored, files of the method that cannot be used, a run folder that cannot be
/// written.
pub fn search(
    task: &mut Task,
    options: &SearchOptions,
    run: &RunDir,
    interrupter: &Interrupter,
    observer: &mut dyn Observer,
) -> Result<(SearchEnd, Leaderboard), Error> {
    let mut search = Search::open(task, options, run, interrupter, observer)?;
    let proposed = match &options.method {
        Method::Mine(method) => mine::run(&mut search, method),
        Method::Paraphrase(method) => paraphrase::run(&mut search, method),
        Method::Gradient(method) => gradient::run(&mut search, method),
        Method::Edit(method) => edit::run(&mut search, method),
        Method::Prompts(method) => prompts::run(&mut search, method),
    };
    let end = match proposed {
        Ok(()) => SearchEnd::Finished,
        Err(Halt::Ended(end)) => end,
        Err(Halt::Failed(error)) => return Err(error),
    };
    let mut leaderboard = search.leaderboard();
    if end != SearchEnd::Interrupted {
        search.judge_on_test(&mut leaderboard)?;
    }
    run.write_json(leaderboard::FILE, &leaderboard)?;
    Ok((end, leaderboard))
}
