//! A worker: runs cells of a suite one after the other, as far as no other worker has them.

use std::sync::Arc;

use backbone::Backbone;

use super::folder::{State, SuiteDir};
use crate::Interrupter;
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::evaluate::{self, Evaluation, evaluate};
use crate::export::export_safetensors;
use crate::progress::Observer;
use crate::prompt::Prompt;
use crate::run_dir::{Job, RunDir, RunInfo};
use crate::settings::{Cell, CellKind, Settings};
use crate::task::Task;
use crate::train_loop::{End, TrainLoop};

/// A part of a suite's cells: every `of`th, beginning with the `part`th, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Which part.
    pub part: usize,
    /// Of how many.
    pub of: usize,
}

impl Shard {
    /// Whether a cell, by its place from 0, is of this part.
    pub fn holds(self, place: usize) -> bool {
        place % self.of == self.part - 1
    }
}

/// How a worker came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkEnd {
    /// Nothing is left that it could run.
    Done,
    /// Asked to stop.
    Interrupted,
}

/// What happens to a cell.
#[derive(Debug)]
pub enum CellEvent<'a> {
    /// It is run.
    Begun(&'a Cell),
    /// It is done, with its scores.
    Done(&'a Cell, &'a [Evaluation]),
    /// It cannot be run.
    Failed(&'a Cell, &'a str),
}

/// An error of whatever kind.
pub type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// What a worker needs from whoever lets it work.
pub trait Employer {
    /// The backbone of some settings.
    ///
    /// # Errors
    /// Whatever keeps it from being there.
    fn backbone(&mut self, settings: &Settings) -> Result<Arc<Backbone>, AnyError>;

    /// Is told what happens.
    fn on(&mut self, event: &CellEvent<'_>);

    /// Who listens to the training of a cell.
    fn observer(&mut self, cell: &Cell) -> Box<dyn Observer>;
}

/// Runs all cells of a shard that nobody else has run or runs.
///
/// A cell that was begun and left goes on from its last checkpoint. One that cannot be run is noted and does
/// not keep the others from being run.
///
/// # Errors
/// A folder that cannot be locked or written.
pub fn work(
    cells: &[Cell],
    dir: &SuiteDir,
    shard: Shard,
    employer: &mut dyn Employer,
    interrupter: &Interrupter,
) -> Result<WorkEnd, Error> {
    for (_, cell) in cells.iter().enumerate().filter(|(place, _)| shard.holds(*place)) {
        if interrupter.should_stop() {
            return Ok(WorkEnd::Interrupted);
        }
        if dir.state(&cell.id) == State::Done {
            continue;
        }
        let Some(claim) = dir.claim(&cell.id)? else { continue };
        // Another worker may have finished it in between.
        if dir.state(&cell.id) == State::Done {
            continue;
        }
        dir.forget_failure(&cell.id)?;
        employer.on(&CellEvent::Begun(cell));
        match run(cell, employer, interrupter) {
            Ok(Some(evaluations)) => employer.on(&CellEvent::Done(cell, &evaluations)),
            Ok(None) => return Ok(WorkEnd::Interrupted),
            Err(error) => {
                let why = in_words(error.as_ref());
                dir.note_failure(&cell.id, &why)?;
                employer.on(&CellEvent::Failed(cell, &why));
            }
        }
        drop(claim);
    }
    Ok(WorkEnd::Done)
}

/// An error with its causes, in one text.
fn in_words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Some errors tell their cause already.
        let also = error.to_string();
        if !text.contains(&also) {
            text = format!("{text}: {also}");
        }
        cause = error.source();
    }
    text
}

/// Runs a cell; `None` if it was interrupted.
fn run(
    cell: &Cell,
    employer: &mut dyn Employer,
    interrupter: &Interrupter,
) -> Result<Option<Vec<Evaluation>>, AnyError> {
    let backbone = employer.backbone(&cell.settings)?;
    let task = Task::load(cell.settings.clone(), backbone)?;
    let Settings { device, seed, .. } = &task.settings;
    let info = RunInfo::now(Job::Train, device, *seed, &task.backbone.identity);
    if matches!(cell.kind, CellKind::Discrete { .. }) {
        let judge = |&split| evaluate(&task, None, split);
        let evaluations =
            task.settings.eval.splits.iter().map(judge).collect::<Result<Vec<_>, _>>()?;
        let run = RunDir::create(&task.settings, &info, true)?;
        run.write_evaluation(&evaluations)?;
        return Ok(Some(evaluations));
    }
    let mut training = TrainLoop::new(&task)?;
    let folder = task.settings.runs.join(&task.settings.name);
    let run = match RunDir::open(&folder) {
        Ok(run) if run.last().is_file() => {
            training.restore(&Checkpoint::load(&run.last())?, &run.last())?;
            run.rewind(training.position())?;
            run
        }
        _ => {
            evaluate::check(&task)?;
            RunDir::create(&task.settings, &info, true)?
        }
    };
    let mut observer = employer.observer(cell);
    if training.run(&run, interrupter, observer.as_mut())? == End::Interrupted {
        return Ok(None);
    }
    drop(observer);
    let prompt = Prompt::load(&run.best(), &task.backbone)?;
    let judge = |&split| evaluate(&task, Some(&prompt), split);
    let evaluations = task.settings.eval.splits.iter().map(judge).collect::<Result<Vec<_>, _>>()?;
    if prompt.lm.is_none() {
        export_safetensors(&run.prompt(), &prompt, &task.backbone, &task.settings.backbone.source)?;
    }
    // Last: a cell with scores is a cell that is done.
    run.write_evaluation(&evaluations)?;
    Ok(Some(evaluations))
}
