//! The folder of a suite: which cells there are, which are done, and who is at work on which.
//!
//! | file | what |
//! |---|---|
//! | `suite.json` | the plan: tasks, variants, seeds and cells |
//! | `cells/ID/` | a run folder of each cell |
//! | `locks/ID` | held by the worker that runs the cell; the system lets go of it when the worker ends |
//! | `failures/ID.txt` | why a cell could not be run |
//! | `results.json`, `.csv`, `.md` | the tables |

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::SuiteError;
use crate::checkpoint::{atomically, is_being_written};
use crate::error::Error;
use crate::run_dir::{EVALUATION, RunDir};
use crate::settings::{CELLS, Cell, CellKind, Settings, Split, Suite};

const PLAN: &str = "suite.json";
const LOCKS: &str = "locks";
const FAILURES: &str = "failures";

/// What a suite consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// The split that its tables are about.
    pub split: Split,
    /// Tasks, in order.
    pub tasks: Vec<String>,
    /// Pairs of a template and an encoder, in order.
    pub variants: Vec<(String, String)>,
    /// Seeds.
    pub seeds: Vec<u64>,
    /// Cells, in the order in which they are run.
    pub cells: Vec<PlannedCell>,
}

/// A cell of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedCell {
    /// Its name.
    pub id: String,
    /// Its task.
    pub task: String,
    /// What it is.
    #[serde(flatten)]
    pub kind: CellKind,
}

impl From<&Suite> for Plan {
    fn from(suite: &Suite) -> Self {
        let planned = |cell: &Cell| PlannedCell {
            id: cell.id.clone(),
            task: cell.task.clone(),
            kind: cell.kind.clone(),
        };
        Self {
            name: suite.name.clone(),
            split: suite.split,
            tasks: suite.tasks.clone(),
            variants: suite.variants.clone(),
            seeds: suite.seeds.clone(),
            cells: suite.cells.iter().map(planned).collect(),
        }
    }
}

/// How far a cell is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Not begun.
    New,
    /// Begun and not done, whether somebody is at work on it or not.
    Begun,
    /// Judged.
    Done,
    /// Could not be run, and why.
    Failed(String),
}

/// A cell that is ours to run, until this is dropped or the process ends.
#[derive(Debug)]
pub struct Claim {
    _lock: File,
}

/// The folder of a suite.
#[derive(Debug, Clone)]
pub struct SuiteDir {
    path: PathBuf,
}

impl SuiteDir {
    /// Opens the folder of a suite, or makes it. Cells that were run with other settings are forgotten with
    /// `force`.
    ///
    /// # Errors
    /// A folder of something else, cells of other settings, a disk that cannot be written.
    pub fn create(suite: &Suite, force: bool) -> Result<Self, Error> {
        let path = suite.folder.clone();
        let dir = Self { path: path.clone() };
        if has_files(&path) && !path.join(PLAN).is_file() {
            return Err(SuiteError::Taken { folder: path }.into());
        }
        for cell in &suite.cells {
            dir.check_settings(cell, force)?;
        }
        // The plan first: another worker that begins now sees whose folder it is.
        std::fs::create_dir_all(&path).map_err(Error::io(&path, "created"))?;
        dir.write_plan(&Plan::from(suite))?;
        for folder in [CELLS, LOCKS, FAILURES] {
            let folder = path.join(folder);
            std::fs::create_dir_all(&folder).map_err(Error::io(&folder, "created"))?;
        }
        Ok(dir)
    }

    /// Makes the folder of a plan.
    ///
    /// # Errors
    /// A folder of something else, a disk that cannot be written.
    pub(super) fn create_for(path: &Path, plan: &Plan) -> Result<Self, Error> {
        let cells = path.join(CELLS);
        std::fs::create_dir_all(&cells).map_err(Error::io(&cells, "created"))?;
        let dir = Self { path: path.to_owned() };
        dir.write_plan(plan)?;
        Ok(dir)
    }

    /// Opens the folder of a suite.
    ///
    /// # Errors
    /// A folder of something else.
    pub fn open(path: &Path) -> Result<Self, Error> {
        match path.join(PLAN).is_file() {
            true => Ok(Self { path: path.to_owned() }),
            false => Err(SuiteError::NotASuite { folder: path.to_owned(), missing: PLAN }.into()),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The run folder of a cell.
    pub fn cell(&self, id: &str) -> PathBuf {
        self.path.join(CELLS).join(id)
    }

    /// What the suite consists of.
    ///
    /// # Errors
    /// A file that is no plan.
    pub fn plan(&self) -> Result<Plan, Error> {
        let path = self.path.join(PLAN);
        let text = std::fs::read_to_string(&path).map_err(Error::io(&path, "read"))?;
        serde_json::from_str(&text).map_err(|source| Error::Json { path, source })
    }

    fn write_plan(&self, plan: &Plan) -> Result<(), Error> {
        self.write_json(PLAN, plan)
    }

    /// How far a cell is.
    pub fn state(&self, id: &str) -> State {
        let folder = self.cell(id);
        if folder.join(EVALUATION).is_file() {
            return State::Done;
        }
        match std::fs::read_to_string(self.failure(id)) {
            Ok(why) => State::Failed(why.trim_end().to_owned()),
            Err(_) if folder.exists() => State::Begun,
            Err(_) => State::New,
        }
    }

    /// Takes a cell, unless another worker has it.
    ///
    /// # Errors
    /// A file system without locks.
    pub fn claim(&self, id: &str) -> Result<Option<Claim>, Error> {
        let path = self.path.join(LOCKS).join(id);
        let file = File::create(&path).map_err(Error::io(&path, "written"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Claim { _lock: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(SuiteError::Lock { path, source }.into()),
        }
    }

    /// Notes that a cell cannot be run.
    ///
    /// # Errors
    /// A disk that cannot be written.
    pub fn note_failure(&self, id: &str, why: &str) -> Result<(), Error> {
        Ok(atomically(&self.failure(id), format!("{why}\n").as_bytes())?)
    }

    /// Forgets that a cell could not be run.
    ///
    /// # Errors
    /// A disk that cannot be written.
    pub fn forget_failure(&self, id: &str) -> Result<(), Error> {
        let path = self.failure(id);
        match path.exists() {
            true => std::fs::remove_file(&path).map_err(Error::io(&path, "removed")),
            false => Ok(()),
        }
    }

    fn failure(&self, id: &str) -> PathBuf {
        self.path.join(FAILURES).join(format!("{id}.txt"))
    }

    /// Whether a cell that was run is the one that is asked for.
    fn check_settings(&self, cell: &Cell, force: bool) -> Result<(), Error> {
        let folder = self.cell(&cell.id);
        let Ok(run) = RunDir::open(&folder) else { return Ok(()) };
        let ran = run.settings(&[])?;
        let Some((found, expected)) = difference(&ran, &cell.settings)? else { return Ok(()) };
        if force {
            return std::fs::remove_dir_all(&folder).map_err(Error::io(&folder, "removed"));
        }
        let (folder, cell) = (self.path.clone(), cell.id.clone());
        Err(SuiteError::OtherSettings { folder, cell, found, expected }.into())
    }

    pub(super) fn write_json<T: Serialize>(&self, name: &str, value: &T) -> Result<(), Error> {
        let path = self.path.join(name);
        let text = serde_json::to_string_pretty(value)
            .map_err(|source| Error::Json { path: path.clone(), source })?;
        Ok(atomically(&path, format!("{text}\n").as_bytes())?)
    }

    pub(super) fn write_text(&self, name: &str, text: &str) -> Result<(), Error> {
        Ok(atomically(&self.path.join(name), text.as_bytes())?)
    }
}

/// Whether there is anything in a folder but a file that is just being written.
fn has_files(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).any(|name| !is_being_written(&name))
}

/// The first line of resolved settings that is another; where a run lies, on which device and how it prints is
/// its own affair.
fn difference(ran: &Settings, asked: &Settings) -> Result<Option<(String, String)>, Error> {
    let text = |settings: &Settings| {
        let mut settings = settings.clone();
        settings.runs.clone_from(&asked.runs);
        settings.device.clone_from(&asked.device);
        settings.log.clone_from(&asked.log);
        settings.to_toml()
    };
    let (ran, asked) = (text(ran)?, text(asked)?);
    let mut lines = ran.lines().zip(asked.lines());
    let line = lines.find(|(ran, asked)| ran != asked);
    let shorter = || (ran.lines().count() != asked.lines().count()).then_some(("less", "more"));
    let quoted = |line: &str| format!("`{line}`");
    Ok(line.or_else(shorter).map(|(ran, asked)| (quoted(ran), quoted(asked))))
}
