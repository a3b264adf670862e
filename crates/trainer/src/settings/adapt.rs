//! Settings of a run that trains a language model on a text: the same `[train]`, and `[text]` in the
//! place of data and template. `configs/adapt-bert.toml` documents what `configs/lama.toml` does not.

use std::ops::Bound;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::reader::{OrDefault, Reader};
use super::resolve::{name, seed, train};
use super::shape::{Expected, Shape};
use super::{DEFAULT_RUNS, LogSettings, TrainSettings, backbone};

/// A whole adaptation, resolved and checked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AdaptSettings {
    /// Name of the run folder: a plain file name.
    pub name: String,
    /// Seed of everything random, at most `i64::MAX`.
    pub seed: u64,
    /// Device, unparsed.
    pub device: String,
    /// Folder of run folders, as typed.
    pub runs: PathBuf,
    /// The language model to start from.
    pub backbone: StartSettings,
    /// What it reads.
    pub text: TextSettings,
    /// Optimisation.
    pub train: TrainSettings,
    /// Evaluation.
    pub eval: ScoreSettings,
    /// Progress lines.
    pub log: LogSettings,
}

/// `[backbone]` of an adaptation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StartSettings {
    /// A name that `ptune fetch` knows, a Hugging Face folder, or a `.gguf` file.
    pub source: String,
}

/// `[text]`: what a language model reads.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TextSettings {
    /// A file with one passage a line, plain or gzipped.
    pub path: PathBuf,
    /// Passages held out to judge by, drawn by the seed; at least 1.
    pub dev: usize,
    /// Use only so many passages, the first ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Longest passage in tokens, special ones included; the rest is cut off. At least 4.
    pub max_tokens: usize,
    /// Share of a passage's tokens that a masked language model has to guess, in (0, 1).
    pub mask: f64,
}

/// `[eval]` of an adaptation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoreSettings {
    /// Passages per batch, at least 1.
    pub batch_size: usize,
}

impl AdaptSettings {
    /// The resolved config as TOML.
    ///
    /// # Errors
    /// None for settings as they were loaded.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }

    /// The run folder.
    pub fn folder(&self) -> PathBuf {
        self.runs.join(&self.name)
    }
}

/// Reads every key, in the order of documentation.
pub(super) fn settings(reader: &mut Reader<'_>) -> AdaptSettings {
    AdaptSettings {
        name: name(reader),
        seed: seed(reader),
        device: reader.text("device").or_default_to("flex".to_owned()),
        runs: reader.text("runs").or_default_to(DEFAULT_RUNS.to_owned()).into(),
        backbone: StartSettings { source: backbone::source(reader) },
        text: text(reader),
        train: train(reader, false),
        eval: ScoreSettings { batch_size: reader.count("eval.batch_size", 1).or_default_to(64) },
        log: LogSettings { every: reader.count("log.every", 1).or_default_to(10) },
    }
}

fn text(reader: &mut Reader<'_>) -> TextSettings {
    let path = reader.path("text.path");
    if path.is_none() && reader.node("text.path").is_none() {
        let hint = "[text] path = \"sentences.txt.gz\"";
        reader.missing("text.path", "a text file with one passage a line", hint);
    }
    let share = Shape::Number { from: Bound::Excluded(0.0), to: Bound::Excluded(1.0) };
    TextSettings {
        path: path.map(|given| given.value).unwrap_or_default(),
        dev: reader.count("text.dev", 1).or_default_to(1000),
        limit: reader.count("text.limit", 2).map(|given| given.value),
        max_tokens: reader.count("text.max_tokens", 4).or_default_to(64),
        mask: reader
            .read("text.mask", share.told("a number above 0 and below 1"), |node| {
                node.number().filter(|&share| share > 0.0 && share < 1.0)
            })
            .or_default_to(0.15),
    }
}

/// Every key that is read, `section.key`, with what it takes, in the order of reading.
pub(super) fn keys() -> Vec<(&'static str, Expected)> {
    let mut reader = Reader::new(&[], Path::new(""), false);
    settings(&mut reader);
    reader.finish().1
}
