//! The run folder: one place for everything that a run is and was.
//!
//! | file | what |
//! |---|---|
//! | `config.toml` | the resolved settings |
//! | `run.json` | command, version, device, backbone, start |
//! | `metrics.jsonl` | every optimiser step and every epoch |
//! | `metrics.csv` | every epoch |
//! | `events.out.tfevents.ptune` | the same for TensorBoard, and the final scores |
//! | `best.safetensors` | checkpoint of the best epoch on dev |
//! | `last.safetensors` | checkpoint to resume from |
//! | `evaluation.json` | final scores and controls |
//! | `examples-SPLIT.jsonl` | each judged example: what was said, and the rank of its answer |
//! | `prompt.safetensors` | the finished prompt, ready to ship |
//! | `model/` | the finished language model, of a run that adapts one |
//!
//! A run of several tasks has a run folder of each in `tasks/`, and their names in `config.toml`.
//!
//! A search has, beside `config.toml` and `run.json`:
//!
//! | file | what |
//! |---|---|
//! | `search.json` | its method, its options and when it stops |
//! | `search.jsonl` | every scored candidate, as it was scored |
//! | `leaderboard.json` | the candidates, best first |
//! | `trials/` | run folders of what it trained |

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::checkpoint::{Position, atomically};
use crate::error::Error;
use crate::evaluate::Evaluation;
use crate::export::Judged;
use crate::judged;
use crate::metric::CSV_HEADER;
pub use crate::metric::Metric;
pub use crate::run_info::{Job, RunInfo};
use crate::settings::{self, AdaptSettings, Settings, Split};
use crate::tensorboard::EventFile;

const CONFIG: &str = "config.toml";
const INFO: &str = "run.json";
const STEPS: &str = "metrics.jsonl";
const EPOCHS: &str = "metrics.csv";
pub(crate) const EVALUATION: &str = "evaluation.json";

/// A run folder.
#[derive(Debug, Clone)]
pub struct RunDir {
    path: PathBuf,
}

impl RunDir {
    /// Creates the folder of a new run; `replace` removes an earlier run of the same name.
    ///
    /// # Errors
    /// A run or anything else of that name, unless it is a run and `replace` is set.
    pub fn create(settings: &Settings, info: &RunInfo, replace: bool) -> Result<Self, Error> {
        let path = settings.runs.join(&settings.name);
        Self::create_at(path, &settings.to_toml()?, info, replace)
    }

    /// The same for a folder and the text of its resolved config.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_at(
        path: PathBuf,
        config: &str,
        info: &RunInfo,
        replace: bool,
    ) -> Result<Self, Error> {
        Self::check_free_at(&path, replace)?;
        if path.exists() {
            std::fs::remove_dir_all(&path).map_err(Error::io(&path, "removed"))?;
        }
        std::fs::create_dir_all(&path).map_err(Error::io(&path, "created"))?;
        let run = Self { path };
        atomically(&run.file(CONFIG), config.as_bytes())?;
        run.write_json(INFO, info)?;
        if info.job == Job::Search {
            return Ok(run);
        }
        atomically(&run.file(EPOCHS), format!("{CSV_HEADER}\n").as_bytes())?;
        atomically(&run.file(STEPS), b"")?;
        run.events().keep(&[])?;
        Ok(run)
    }

    /// Refuses a name that is taken, before any work is done for the run.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn check_free(settings: &Settings, replace: bool) -> Result<(), Error> {
        Self::check_free_at(&settings.runs.join(&settings.name), replace)
    }

    /// The same for a folder.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn check_free_at(path: &Path, replace: bool) -> Result<(), Error> {
        let folder = path.to_owned();
        // Only what is recognisably a run is ever removed.
        let is_run = path.join(CONFIG).is_file() && path.join(INFO).is_file();
        match (path.exists(), is_run) {
            (false, _) => Ok(()),
            (true, true) if replace => Ok(()),
            (true, true) => Err(Error::RunExists { folder }),
            (true, false) => Err(Error::NotReplaced { folder }),
        }
    }

    /// Opens the folder of an earlier run.
    ///
    /// # Errors
    /// A folder that is not one, with the runs that lie near it.
    pub fn open(path: &Path) -> Result<Self, Error> {
        for missing in [CONFIG, INFO] {
            if !path.join(missing).is_file() {
                return Err(Error::NotARun {
                    folder: path.to_owned(),
                    missing,
                    hint: runs_near(path),
                });
            }
        }
        Ok(Self { path: path.to_owned() })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Checkpoint of the best epoch on dev.
    pub fn best(&self) -> PathBuf {
        self.file("best.safetensors")
    }

    /// Checkpoint to resume from.
    pub fn last(&self) -> PathBuf {
        self.file("last.safetensors")
    }

    /// Folder of the finished language model, of a run that adapts one.
    pub fn model(&self) -> PathBuf {
        self.file("model")
    }

    /// The finished prompt.
    pub fn prompt(&self) -> PathBuf {
        self.file("prompt.safetensors")
    }

    /// The resolved settings, with overrides.
    ///
    /// # Errors
    /// A config that was changed into one that does not hold.
    pub fn settings(&self, overrides: &[String]) -> Result<Settings, Error> {
        let (path, text) = self.config()?;
        Ok(settings::from_toml_str(&text, &path, overrides)?)
    }

    /// The same of a run that adapts a language model.
    ///
    /// # Errors
    /// As [`settings`](Self::settings).
    pub fn adapt_settings(&self, overrides: &[String]) -> Result<AdaptSettings, Error> {
        let (path, text) = self.config()?;
        Ok(settings::adapt_from_toml_str(&text, &path, overrides)?)
    }

    /// Path and text of the resolved config.
    pub(crate) fn config(&self) -> Result<(PathBuf, String), Error> {
        let path = self.file(CONFIG);
        let text = std::fs::read_to_string(&path).map_err(Error::io(&path, "read"))?;
        Ok((path, text))
    }

    /// Replaces the resolved settings, when a run is resumed with others.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn write_settings(&self, settings: &Settings) -> Result<(), Error> {
        self.write_config(&settings.to_toml()?)
    }

    /// Replaces the text of the resolved config.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn write_config(&self, config: &str) -> Result<(), Error> {
        Ok(atomically(&self.file(CONFIG), config.as_bytes())?)
    }

    /// How the run came about.
    ///
    /// # Errors
    /// A `run.json` that was changed into something else.
    pub fn info(&self) -> Result<RunInfo, Error> {
        let path = self.file(INFO);
        let text = std::fs::read_to_string(&path).map_err(Error::io(&path, "read"))?;
        serde_json::from_str(&text).map_err(|source| Error::Json { path, source })
    }

    /// Appends to `metrics.jsonl`, to TensorBoard's file and, for an epoch, to `metrics.csv`.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn append(&self, metric: &Metric) -> Result<(), Error> {
        let line = serde_json::to_string(metric)
            .map_err(|source| Error::Json { path: self.file(STEPS), source })?;
        self.append_line(STEPS, &line)?;
        self.events().append(metric)?;
        metric.csv().map_or(Ok(()), |line| self.append_line(EPOCHS, &line))
    }

    /// Drops metrics that were written after the checkpoint that the run goes on from.
    ///
    /// # Errors
    /// A folder that cannot be read or written.
    pub fn rewind(&self, position: &Position) -> Result<(), Error> {
        let path = self.file(STEPS);
        let mut metrics = self.metrics()?;
        metrics.retain(|metric| metric.precedes(position));
        let (mut steps, mut epochs) = (String::new(), format!("{CSV_HEADER}\n"));
        for metric in &metrics {
            let line = serde_json::to_string(metric)
                .map_err(|source| Error::Json { path: path.clone(), source })?;
            steps += &line;
            steps.push('\n');
            if let Some(line) = metric.csv() {
                epochs += &line;
                epochs.push('\n');
            }
        }
        atomically(&path, steps.as_bytes())?;
        atomically(&self.file(EPOCHS), epochs.as_bytes())?;
        self.events().keep(&metrics)
    }

    /// Every metric so far.
    fn metrics(&self) -> Result<Vec<Metric>, Error> {
        let path = self.file(STEPS);
        let text = std::fs::read_to_string(&path).map_err(Error::io(&path, "read"))?;
        // A line that cannot be read was cut short by the end of the process.
        Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    /// The final scores; none where the run has not come to them.
    ///
    /// # Errors
    /// An `evaluation.json` that was changed into something else.
    pub fn evaluation(&self) -> Result<Vec<Judged>, Error> {
        let path = self.file(EVALUATION);
        match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(Error::io(&path, "read")(error)),
            Ok(text) => serde_json::from_str(&text).map_err(|source| Error::Json { path, source }),
        }
    }

    /// Writes the final scores, and each example of them.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn write_evaluation(&self, evaluations: &[Evaluation]) -> Result<(), Error> {
        for evaluation in evaluations.iter().filter(|evaluation| !evaluation.examples.is_empty()) {
            let name = judged::file_name(evaluation.split);
            let text = judged::to_lines(&evaluation.examples)
                .map_err(|source| Error::Json { path: self.file(&name), source })?;
            atomically(&self.file(&name), text.as_bytes())?;
        }
        self.write_json(EVALUATION, evaluations)?;
        self.events().evaluated(evaluations, &self.metrics()?)
    }

    /// The judged examples of a split.
    pub fn examples(&self, split: Split) -> PathBuf {
        self.file(&judged::file_name(split))
    }

    fn events(&self) -> EventFile {
        EventFile::of(&self.path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(crate) fn write_json<T: Serialize + ?Sized>(
        &self,
        name: &str,
        value: &T,
    ) -> Result<(), Error> {
        let path = self.file(name);
        let mut text = serde_json::to_string_pretty(value)
            .map_err(|source| Error::Json { path: path.clone(), source })?;
        text.push('\n');
        Ok(atomically(&path, text.as_bytes())?)
    }

    /// Reads a JSON file of the folder; `None` if it is not there.
    pub(crate) fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let path = self.file(name);
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(Error::io(&path, "read"))?,
        };
        serde_json::from_str(&text).map(Some).map_err(|source| Error::Json { path, source })
    }

    pub(crate) fn append_line(&self, name: &str, line: &str) -> Result<(), Error> {
        let path = self.file(name);
        let append = || -> std::io::Result<()> {
            let mut file = std::fs::OpenOptions::new().append(true).create(true).open(&path)?;
            // One write for one line: a reader never sees half of it.
            file.write_all(format!("{line}\n").as_bytes())
        };
        append().map_err(Error::io(&path, "written"))
    }
}

/// The most similar name among the runs beside `path`, in it, and where runs are by default.
fn runs_near(path: &Path) -> String {
    let wanted =
        path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let folders = [settings::folder_of(path), path, Path::new(settings::DEFAULT_RUNS)];
    let mut names: Vec<String> = folders
        .into_iter()
        .flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten())
        .map(|entry| entry.path())
        .filter(|run| run != path && run.join(INFO).is_file() && run.join(CONFIG).is_file())
        .map(|run| run.strip_prefix(".").unwrap_or(&run).display().to_string())
        .collect();
    names.sort_by(|a, b| {
        let likeness = |name: &String| {
            let name =
                Path::new(name).file_name().unwrap_or_default().to_string_lossy().into_owned();
            strsim::jaro_winkler(&name, &wanted)
        };
        likeness(b).total_cmp(&likeness(a))
    });
    match names.as_slice() {
        [] => String::new(),
        [first, ..] => format!("\nhint: the nearest run is {first}"),
    }
}
