//! Short trainings of one layout and seed: run folders of their own, which go on where they stopped.

use ptuning_core::objective::Scores;

use super::SearchEnd;
use super::journal::On;
use super::judge::judge_prompt;
use super::leaderboard::mean;
use super::session::{Halt, Search};
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::prompt::Prompt;
use crate::run_dir::{Job, RunDir, RunInfo};
use crate::settings::{Settings, Split};
use crate::task::{Item, Task};
use crate::train_loop::{End, TrainLoop};

/// The folder of the run folder.
const FOLDER: &str = "trials";

/// What is trained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trial {
    /// Its layout.
    pub layout: String,
    /// Its seed.
    pub seed: u64,
    /// Name of its run folder.
    pub name: String,
}

/// The scores on dev of the best epoch, after so many of them; `None` if the layout cannot be trained.
pub(super) fn train(
    search: &mut Search<'_>,
    trial: &Trial,
    epochs: usize,
) -> Result<Option<Scores>, Halt> {
    let on = On::Trial { epochs, seed: trial.seed };
    let scores = search.evaluate(&trial.layout, on, |search| {
        let mut settings = search.task.settings.clone();
        settings.template.text = trial.layout.clone();
        settings.seed = trial.seed;
        settings.train.epochs = epochs;
        settings.name = trial.name.clone();
        settings.runs = search.run.path().join(FOLDER);
        let own = std::mem::replace(&mut search.task.settings, settings);
        let trained = go_on(search);
        search.task.settings = own;
        trained
    })?;
    if scores.is_some() && !search.trials.contains(trial) {
        search.trials.push(trial.clone());
    }
    Ok(scores)
}

/// Trains as the settings of the task say, from where an earlier rung or an interruption left it.
fn go_on(search: &mut Search<'_>) -> Result<Scores, Halt> {
    let task = &*search.task;
    let settings: &Settings = &task.settings;
    let folder = settings.runs.join(&settings.name);
    let mut training = TrainLoop::new(task)?;
    let run = match RunDir::open(&folder) {
        Ok(run) if run.last().is_file() => {
            training.restore(&Checkpoint::load(&run.last())?, &run.last())?;
            run.write_settings(settings)?;
            run.rewind(training.position())?;
            run
        }
        _ => {
            let info = search.run.info()?;
            let info = RunInfo { job: Job::Train, seed: settings.seed, ..info };
            RunDir::create(settings, &info, true)?
        }
    };
    let end = training.run(&run, search.interrupter, search.observer)?;
    match (end, training.position().best) {
        (End::Finished | End::Stopped, Some((_, scores))) => Ok(scores),
        _ => Err(Halt::Ended(SearchEnd::Interrupted)),
    }
}

/// The mean of the scores of a layout's trials, each with its best epoch on dev.
pub(super) fn judge(
    task: &Task,
    folder: &RunDir,
    trials: &[Trial],
    layout: &str,
    split: Split,
    judged: &[Item],
) -> Result<Scores, Error> {
    let score = |trial: &Trial| {
        let run = RunDir::open(&folder.path().join(FOLDER).join(&trial.name))?;
        let checkpoint = Checkpoint::load(&run.best())?;
        let prompt = Prompt::from_checkpoint(&checkpoint, &run.best(), &task.backbone)?;
        judge_prompt(task, &prompt, split, judged)
    };
    let trials = trials.iter().filter(|trial| trial.layout == layout);
    Ok(mean(&trials.map(score).collect::<Result<Vec<Scores>, Error>>()?))
}
