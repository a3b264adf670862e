//! What lies in a folder of run folders, told from their small files and the headers of their checkpoints.
//!
//! Whether a run is going on at this moment cannot be seen from its folder: one that is looks as if it had
//! been interrupted.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};

use ptuning_core::objective::Scores;
use serde::{Deserialize, Serialize};

use crate::checkpoint::{Position, position};
use crate::error::Error;
use crate::run_dir::{Job, RunDir, RunInfo};
use crate::search::leaderboard_of;
use crate::settings::Split;

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// To its end, and judged.
    Finished,
    /// Not so far; `ptune resume` goes on with it if it has saved anything.
    Interrupted,
    /// Something is wrong with its files.
    Broken,
}

/// A run at a glance.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunSummary {
    /// Name of its folder.
    pub name: String,
    /// Its folder.
    pub path: PathBuf,
    /// What it does.
    pub job: Option<Job>,
    /// How far it has come.
    pub state: RunState,
    /// Whether `ptune resume` can go on with it.
    pub resumable: bool,
    /// Epochs that are done, of a run that trains.
    pub epoch: Option<usize>,
    /// Epochs in all.
    pub epochs: Option<usize>,
    /// Candidates that were scored, of a search.
    pub evaluations: Option<usize>,
    /// The backbone, as its settings name it.
    pub backbone: Option<String>,
    /// Best scores on dev so far.
    pub dev: Option<Scores>,
    /// Scores on test of the best epoch, or of a search's winner.
    pub test: Option<Scores>,
    /// Seconds since 1970 at its start.
    pub started_unix: Option<u64>,
    /// Bytes of all its files.
    pub bytes: u64,
    /// What is wrong with it.
    pub problem: Option<String>,
}

/// The runs in a folder, those that started last first, and last those that do not say when; of a folder that is
/// a run itself, that run.
///
/// # Errors
/// A folder that cannot be read. A run that cannot be is told in its summary.
pub fn runs(folder: &Path) -> Result<Vec<RunSummary>, Error> {
    if RunDir::open(folder).is_ok() {
        return Ok(vec![summary(folder)]);
    }
    let unreadable = |source| Error::Io { path: folder.to_owned(), what: "read", source };
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.is_dir() && !hidden {
            all.push(summary(&path));
        }
    }
    all.sort_by(|a, b| (Reverse(a.started_unix), &a.name).cmp(&(Reverse(b.started_unix), &b.name)));
    Ok(all)
}

/// Folder of the tasks' own runs, of a run of several.
pub const TASKS: &str = "tasks";

/// Run folders of the tasks that learned together, in their order.
///
/// # Errors
/// A config that names none.
pub fn task_folders(run: &RunDir) -> Result<Vec<PathBuf>, Error> {
    let (file, text) = run.config()?;
    let named = |table: toml::Table| {
        let names = table.get("tasks")?.as_array()?;
        let names: Option<Vec<String>> =
            names.iter().map(|name| name.as_str().map(str::to_owned)).collect();
        names.filter(|names| !names.is_empty())
    };
    let names = match text.parse::<toml::Table>() {
        Ok(table) => named(table).ok_or_else(|| "none".to_owned()),
        Err(error) => Err(format!("no TOML ({})", error.message())),
    };
    let names = names.map_err(|found| Error::NoTasks { file, found })?;
    Ok(names.into_iter().map(|name| run.path().join(TASKS).join(name)).collect())
}

fn summary(path: &Path) -> RunSummary {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let mut summary = RunSummary {
        name,
        path: path.to_owned(),
        job: None,
        state: RunState::Broken,
        resumable: false,
        epoch: None,
        epochs: None,
        evaluations: None,
        backbone: None,
        dev: None,
        test: None,
        started_unix: None,
        bytes: bytes_in(path),
        problem: None,
    };
    if let Err(error) = fill(&mut summary, path) {
        summary.state = RunState::Broken;
        summary.resumable = false;
        summary.problem = Some(told(&error));
    }
    summary
}

/// Fills in what the files tell, up to the first that cannot be used.
fn fill(summary: &mut RunSummary, path: &Path) -> Result<(), Error> {
    let run = RunDir::open(path)?;
    let RunInfo { job, started_unix, .. } = run.info()?;
    summary.job = Some(job);
    summary.started_unix = Some(started_unix);
    match job {
        Job::Train => {
            let settings = run.settings(&[])?;
            summary.backbone = Some(settings.backbone.source);
            let judged = judged(&run)?;
            summary.test = judged.as_deref().and_then(on_test);
            trained(summary, &run, settings.train.epochs, judged.is_some())
        }
        Job::Together => {
            let (mut judged_all, mut tests, mut epochs) = (true, Vec::new(), 0);
            for (index, folder) in task_folders(&run)?.iter().enumerate() {
                let task = RunDir::open(folder)?;
                let settings = task.settings(&[])?;
                if index == 0 {
                    epochs = settings.train.epochs;
                    summary.backbone = Some(settings.backbone.source);
                }
                let judged = judged(&task)?;
                judged_all &= judged.is_some();
                tests.extend(judged.as_deref().and_then(on_test));
            }
            summary.test = (!tests.is_empty()).then(|| Scores::mean(&tests));
            trained(summary, &run, epochs, judged_all)
        }
        Job::Adapt => {
            let settings = run.adapt_settings(&[])?;
            summary.backbone = Some(settings.backbone.source);
            let exported = run.model().is_dir();
            trained(summary, &run, settings.train.epochs, exported)
        }
        Job::Search => {
            let settings = run.settings(&[])?;
            summary.backbone = Some(settings.backbone.source.clone());
            summary.resumable = true;
            summary.state = RunState::Interrupted;
            let Some(leaderboard) = leaderboard_of(&run)? else { return Ok(()) };
            // An interrupted search leaves one as well, but judges nothing on test.
            let winner = leaderboard.winner();
            summary.evaluations = Some(leaderboard.evaluations);
            summary.dev = winner.map(|winner| winner.dev);
            summary.test = winner.and_then(|winner| winner.test);
            let judged = leaderboard.entries.iter().any(|entry| entry.test.is_some());
            if judged || settings.data.test.is_none() {
                summary.state = RunState::Finished;
            }
            Ok(())
        }
    }
}

/// How far a run of epochs has come; `judged` says whether what follows the last one was done.
fn trained(
    summary: &mut RunSummary,
    run: &RunDir,
    epochs: usize,
    judged: bool,
) -> Result<(), Error> {
    summary.epochs = Some(epochs);
    summary.state = RunState::Interrupted;
    if !run.last().is_file() {
        // The checkpoint can be deleted to save space once the run has come to its end.
        if judged {
            summary.state = RunState::Finished;
        }
        return Ok(());
    }
    let Position { epoch, best, stopped, .. } = position(&run.last())?;
    summary.epoch = Some(epoch);
    summary.dev = best.map(|(_, scores)| scores);
    if judged && (epoch >= epochs || stopped) {
        summary.state = RunState::Finished;
    }
    summary.resumable = summary.state == RunState::Interrupted;
    Ok(())
}

/// A line of `evaluation.json`, as far as it is told here.
#[derive(Deserialize)]
struct Judged {
    split: String,
    prompt: Option<Scores>,
}

fn judged(run: &RunDir) -> Result<Option<Vec<Judged>>, Error> {
    run.read_json("evaluation.json")
}

fn on_test(judged: &[Judged]) -> Option<Scores> {
    judged.iter().find(|judged| judged.split == Split::Test.name())?.prompt
}

/// The chain of an error's causes in a line, without hints.
fn told(error: &dyn std::error::Error) -> String {
    let mut told: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        let line = text.lines().next().unwrap_or_default();
        if !told.iter().any(|before| before.contains(line)) {
            told.push(line.to_owned());
        }
        next = cause.source();
    }
    told.join(": ")
}

/// Bytes of all files below a folder; links are not followed.
fn bytes_in(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let bytes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes_in(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    });
    bytes.sum()
}
