//! Settings of a run: options as typed in a TOML file and on the command line, resolved into
//! settings as run.
//!
//! The way is [`load`]: the file and the `--set KEY=VALUE` arguments become one tree of values that
//! know their places (`document`), each key is taken out of it once, with its type and range
//! (`reader`), and defaults and rules between keys are settled (`resolve`). Problems do not stop
//! it: all of them are told at once, each with its line and column or its argument. Keys that are
//! not taken are unknown and refused.
//!
//! Every key is documented where it is used, in `configs/lama.toml`; a test holds the two together.
//! Of templates and devices it knows whether their texts can be understood; of backbones, nothing.

mod adapt;
mod answers;
mod backbone;
mod data;
mod document;
mod documentation;
mod error;
mod lm;
mod nearest;
mod paths;
mod reader;
mod resolve;
mod schema;
mod sections;
mod shape;
mod spans;
mod suite;
mod suite_cells;
mod texts;
mod verbalizer;
mod verbalizer_kind;

use std::path::{Path, PathBuf};

use serde::Serialize;

pub use adapt::{AdaptSettings, ScoreSettings, StartSettings, TextSettings};
pub use documentation::{Documented, documentation, near_key, section_text};
pub use error::{Fault, Place, Problem, SettingsError};
pub use lm::{LmParts, LmSettings};
pub(crate) use nearest::nearest;
pub(crate) use paths::folder_of;
pub use reader::neighbour;
pub use schema::schema;
pub use sections::*;
pub use shape::Shape;
pub use spans::{SENTENCE, SPAN, SpanSettings};
pub use suite_cells::{Cell, CellKind, Suite, load_suite};
pub use verbalizer::{Calibration, Labels, VerbalizerSettings};
pub use verbalizer_kind::{Knowledge, VerbalizerKind};

/// Folder of run folders where the settings name no other.
pub(crate) const DEFAULT_RUNS: &str = "checkpoints/runs";

/// Folder of suites where a suite names no other.
pub(crate) const DEFAULT_SUITES: &str = "checkpoints/suites";

/// Folder of the run folders of a suite, in its own.
pub(crate) const CELLS: &str = "cells";

/// A whole run, resolved and checked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Settings {
    /// Name of the run folder: a plain file name.
    pub name: String,
    /// Seed of everything random, at most `i64::MAX`.
    pub seed: u64,
    /// Device, unparsed: `flex`, `wgpu`, `cuda:0` …
    pub device: String,
    /// Folder of run folders, as typed: relative to the current directory.
    pub runs: PathBuf,
    /// The frozen language model.
    pub backbone: BackboneSettings,
    /// Examples and candidates.
    pub data: DataSettings,
    /// Template.
    pub template: TemplateSettings,
    /// Labels and their words; `None` where answers are words themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verbalizer: Option<VerbalizerSettings>,
    /// How entities are found; `None` where an answer is of its whole example.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spans: Option<SpanSettings>,
    /// What makes the virtual tokens' vectors.
    pub prompt_encoder: PromptEncoderSettings,
    /// Which part of the language model learns; `None` where none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lm: Option<LmSettings>,
    /// Optimisation.
    pub train: TrainSettings,
    /// Evaluation.
    pub eval: EvalSettings,
    /// Progress lines.
    pub log: LogSettings,
}

/// Reads a config file with `KEY=VALUE` overrides, later ones winning.
///
/// Data files that it names must exist; a relative path is looked for from the file's folder, from
/// each folder above it, and from the current directory (for an override, from there first).
///
/// # Errors
///
/// [`SettingsError`] with every problem of the file and the overrides.
pub fn load(path: &Path, overrides: &[String]) -> Result<Settings, SettingsError> {
    let settings = |reader: &mut reader::Reader<'_>| {
        let settings = resolve::settings(reader);
        texts::check(reader, &settings);
        settings
    };
    resolve(&read(path)?, path, overrides, true, settings)
}

/// As [`load`], for a run that trains a language model on a text.
///
/// # Errors
///
/// As [`load`].
pub fn load_adapt(path: &Path, overrides: &[String]) -> Result<AdaptSettings, SettingsError> {
    let settings = |reader: &mut reader::Reader<'_>| {
        let settings = adapt::settings(reader);
        texts::check_device(reader, &settings.device);
        settings
    };
    resolve(&read(path)?, path, overrides, true, settings)
}

fn read(path: &Path) -> Result<String, SettingsError> {
    std::fs::read_to_string(path).map_err(|source| {
        let hint = match source.kind() {
            std::io::ErrorKind::NotFound => reader::neighbour(path),
            std::io::ErrorKind::InvalidData => Some("save the file as UTF-8".to_owned()),
            _ => None,
        };
        let place = Place::Document { path: path.to_owned() };
        SettingsError {
            problems: vec![Problem { place, fault: Fault::Unreadable { source }, hint }],
        }
    })
}

/// Reads settings from a text, such as the resolved config that a run folder keeps.
///
/// `path` is where the text comes from, for errors and relative paths. Files that are not there
/// are no problem here: a prompt is used and exported without its data. Their paths stay as typed.
///
/// # Errors
///
/// [`SettingsError`] with every problem of the text and the overrides.
pub fn from_toml_str(
    text: &str,
    path: &Path,
    overrides: &[String],
) -> Result<Settings, SettingsError> {
    resolve(text, path, overrides, false, resolve::settings)
}

/// As [`from_toml_str`], for a run that trains a language model on a text.
///
/// # Errors
///
/// As [`from_toml_str`].
pub fn adapt_from_toml_str(
    text: &str,
    path: &Path,
    overrides: &[String],
) -> Result<AdaptSettings, SettingsError> {
    resolve(text, path, overrides, false, adapt::settings)
}

/// Where a key is given, if it is: in the file or by an override.
pub fn place_of(path: &Path, overrides: &[String], key: &str) -> Option<Place> {
    let mut root = document::parse(&read(path).ok()?, path).ok()?;
    let mut problems = Vec::new();
    for argument in overrides {
        document::apply_override(&mut root, argument, &mut problems);
    }
    reader::lookup(&root, key).map(|node| node.place.clone())
}

/// Every key there is, as `key` or `section.key`.
pub fn keys() -> Vec<&'static str> {
    resolve::keys().into_iter().map(|(key, _)| key).collect()
}

/// Every key of a run that trains a language model on a text.
pub fn adapt_keys() -> Vec<&'static str> {
    adapt::keys().into_iter().map(|(key, _)| key).collect()
}

/// Every key of a suite.
pub fn suite_keys() -> Vec<&'static str> {
    suite::keys()
}

impl Settings {
    /// The resolved config: every value that applies, defaults included, as TOML.
    ///
    /// Reading it by [`from_toml_str`] gives equal settings, from any folder that its paths can
    /// still be found from.
    ///
    /// # Errors
    ///
    /// None for settings as they were loaded; settings changed since may hold what TOML cannot: a
    /// seed above `i64::MAX` or a path that is not UTF-8.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }
}

fn resolve<T>(
    text: &str,
    path: &Path,
    overrides: &[String],
    files_must_exist: bool,
    settings: impl FnOnce(&mut reader::Reader<'_>) -> T,
) -> Result<T, SettingsError> {
    let mut root = document::parse(text, path).map_err(|problems| SettingsError { problems })?;
    let mut problems = Vec::new();
    for argument in overrides {
        document::apply_override(&mut root, argument, &mut problems);
    }
    let mut reader = reader::Reader::new(&root, path, files_must_exist);
    let settings = settings(&mut reader);
    problems.extend(reader.finish().0);
    // As one reads the file; then the command line; then what is given nowhere.
    problems.sort_by_key(|problem| match &problem.place {
        Place::File { line, column, .. } => (0, *line, *column),
        Place::Flag { .. } => (1, 0, 0),
        Place::Document { .. } => (2, 0, 0),
    });
    if problems.is_empty() { Ok(settings) } else { Err(SettingsError { problems }) }
}
