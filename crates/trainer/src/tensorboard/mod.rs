//! What TensorBoard shows of a run: an event file beside `metrics.jsonl`.
//!
//! | tag | when |
//! |---|---|
//! | `train/loss`, `train/learning_rate` | every optimiser step |
//! | `train/epoch_loss`, `train/examples_per_second`, `dev/P@1` and the other scores | every epoch |
//! | `evaluation/SPLIT/P@1` …, `evaluation/SPLIT/manual/P@1` …, `evaluation/SPLIT/majority/P@1` … | at the end |
//!
//! There is one record for each line of `metrics.jsonl`, in the same order. So a resumed run drops the
//! records of steps that it takes once more, and has neither a gap nor a step twice.

mod record;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use ptuning_core::objective::Scores;

pub use record::{Event, events};

use crate::error::Error;
use crate::evaluate::Evaluation;
use crate::run_dir::Metric;

/// Name of the event file in a run folder. TensorBoard knows one by `tfevents`.
pub const FILE: &str = "events.out.tfevents.ptune";

/// The event file of a run.
pub struct EventFile {
    path: PathBuf,
}

impl EventFile {
    /// That of a run folder.
    pub fn of(run: &Path) -> Self {
        Self { path: run.join(FILE) }
    }

    /// Appends what a metric says.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn append(&self, metric: &Metric) -> Result<(), Error> {
        self.write(&of_metric(metric).record())
    }

    /// Keeps the records of these metrics, the first that were appended, and no other; adds what of them is
    /// missing.
    ///
    /// The file is shortened where it is: TensorBoard may have it open.
    ///
    /// # Errors
    /// A file that cannot be read or written.
    pub fn keep(&self, metrics: &[Metric]) -> Result<(), Error> {
        let file = match std::fs::read(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            read => read.map_err(Error::io(&self.path, "read"))?,
        };
        let known = events(&file);
        // The first record opens the file.
        let kept = known.len().min(metrics.len() + 1);
        let length = kept.checked_sub(1).map_or(0, |last| known[last].1);
        let shorten = || -> std::io::Result<()> {
            let file =
                OpenOptions::new().write(true).create(true).truncate(false).open(&self.path)?;
            file.set_len(length as u64)
        };
        shorten().map_err(Error::io(&self.path, "written"))?;
        let mut missing = if kept == 0 { Event::opening(now()) } else { Vec::new() };
        for metric in metrics.iter().skip(kept.saturating_sub(1)) {
            missing.extend(of_metric(metric).record());
        }
        self.write(&missing)
    }

    /// Appends final scores, those of the best epoch, behind the records of `metrics`; earlier ones are
    /// dropped.
    ///
    /// # Errors
    /// A file that cannot be read or written.
    pub fn evaluated(&self, evaluations: &[Evaluation], metrics: &[Metric]) -> Result<(), Error> {
        self.keep(metrics)?;
        let best = metrics.iter().rev().find_map(|metric| match metric {
            Metric::Epoch { step, best: true, .. } => Some(*step),
            _ => None,
        });
        for evaluation in evaluations {
            let step = best.unwrap_or(0) as u64;
            self.write(
                &Event { wall_time: now(), step, scalars: of_evaluation(evaluation) }.record(),
            )?;
        }
        Ok(())
    }

    fn write(&self, records: &[u8]) -> Result<(), Error> {
        let write = || -> std::io::Result<()> {
            // One write: a reader never sees a part of a record.
            OpenOptions::new().append(true).create(true).open(&self.path)?.write_all(records)
        };
        write().map_err(Error::io(&self.path, "written"))
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

fn of_metric(metric: &Metric) -> Event {
    let (step, scalars) = match metric {
        Metric::Step { step, loss, lr, .. } => {
            (step, vec![tagged("train/loss", *loss), tagged("train/learning_rate", *lr)])
        }
        Metric::Epoch { step, train_loss, dev, examples_per_second, .. } => {
            let mut scalars = vec![
                tagged("train/epoch_loss", *train_loss),
                tagged("train/examples_per_second", *examples_per_second),
            ];
            scalars.extend(of_scores("dev", dev));
            (step, scalars)
        }
    };
    Event { wall_time: now(), step: *step as u64, scalars }
}

fn of_evaluation(evaluation: &Evaluation) -> Vec<(String, f32)> {
    let split = format!("evaluation/{}", evaluation.split.name());
    let mut scalars = Vec::new();
    if let Some(scores) = &evaluation.prompt {
        scalars.extend(of_scores(&split, scores));
    }
    if let Some(scores) = &evaluation.manual {
        scalars.extend(of_scores(&format!("{split}/manual"), scores));
    }
    // What answers the same always has no loss.
    let majority = of_scores(&format!("{split}/majority"), &evaluation.majority);
    scalars.extend(majority.into_iter().filter(|(tag, _)| !tag.ends_with("/loss")));
    scalars
}

fn of_scores(group: &str, scores: &Scores) -> Vec<(String, f32)> {
    let named = scores.named().into_iter();
    named.map(|(name, score)| tagged(&format!("{group}/{name}"), score)).collect()
}

fn tagged(tag: &str, number: f64) -> (String, f32) {
    (tag.to_owned(), number as f32)
}
