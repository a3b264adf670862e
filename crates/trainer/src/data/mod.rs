//! Data sets: examples of an input and its answer, and the words that may answer.
//!
//! A loader of one file format (`json_lines.rs`) gives rows of named cells; what the settings
//! say about keys turns them into examples here, the same way for every format. A new format is a
//! file beside `json_lines.rs` and a line in `rows`.

mod candidates;
mod error;
mod json_lines;
pub(crate) mod lines;
mod passages;
mod sentences;
mod shots;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

pub use candidates::{Candidates, candidates, words};
pub use error::DataError;
pub use passages::passages;
pub use sentences::{Sentence, load_sentences};
pub use shots::shots;

use ptuning_core::template::Fields;
use serde_json::Value;

use crate::settings::DataSettings;
pub use crate::settings::Split;

/// An input and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Field of the template → its text, not blank.
    pub fields: BTreeMap<String, String>,
    /// The answer, not blank.
    pub answer: String,
    /// Line of the split's file, from 1.
    pub line: usize,
}

/// The examples of all splits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataSet {
    /// What the prompt learns from.
    pub train: Vec<Example>,
    /// What chooses the epoch to keep.
    pub dev: Vec<Example>,
    /// What is reported; `None` without a test split.
    pub test: Option<Vec<Example>>,
}

impl DataSet {
    /// Reads all splits.
    ///
    /// # Errors
    ///
    /// The first file or row that cannot be used.
    pub fn load(settings: &DataSettings) -> Result<Self, DataError> {
        let read = |path| load_file(path, settings);
        Ok(Self {
            train: read(&settings.train)?,
            dev: read(&settings.dev)?,
            test: settings.test.as_deref().map(read).transpose()?,
        })
    }

    /// Keeps few train and dev examples of each answer, drawn by a seed (of dev as many as of train, as
    /// one who has few examples has few to judge by: Perez et al., "True Few-Shot Learning", 2021).
    pub fn with_shots(self, count: usize, seed: u64) -> Self {
        Self {
            train: shots(self.train, count, seed, 0),
            dev: shots(self.dev, count, seed, 1),
            ..self
        }
    }

    /// The examples of a split, in the order of its file; `None` if the data has no such split.
    pub fn split(&self, split: Split) -> Option<&[Example]> {
        match split {
            Split::Train => Some(&self.train),
            Split::Dev => Some(&self.dev),
            Split::Test => self.test.as_deref(),
        }
    }

    /// Inputs that have more than one answer, whichever splits these are in, with all of their answers.
    pub fn several_answers(&self) -> HashMap<&Fields, BTreeSet<&str>> {
        let mut answers: HashMap<&Fields, BTreeSet<&str>> = HashMap::new();
        for example in self.examples() {
            answers.entry(&example.fields).or_default().insert(&example.answer);
        }
        answers.retain(|_, answers| answers.len() > 1);
        answers
    }

    /// All examples: train, dev, test.
    pub fn examples(&self) -> impl Iterator<Item = &Example> {
        self.train.iter().chain(&self.dev).chain(self.test.iter().flatten())
    }
}

/// Reads the examples of one file, whose format its extension tells.
///
/// Blanks around texts are dropped. The whole file is checked; `settings.limit` then keeps the
/// first examples.
///
/// # Errors
///
/// The file or the first row that cannot be used.
pub fn load_file(path: &Path, settings: &DataSettings) -> Result<Vec<Example>, DataError> {
    let example = |row: Row| -> Result<Example, DataError> {
        let field = |(field, key): (&String, &String)| {
            let text = row.text(path, key, || format!("data.inputs.{field}"))?;
            Ok((field.clone(), text))
        };
        Ok(Example {
            fields: settings.inputs.iter().map(field).collect::<Result<_, DataError>>()?,
            answer: row.answer(path, &settings.answer)?,
            line: row.line,
        })
    };
    let mut examples =
        rows(path)?.into_iter().map(example).collect::<Result<Vec<Example>, DataError>>()?;
    if let Some(limit) = settings.limit {
        examples.truncate(limit);
    }
    Ok(examples)
}

/// The texts of one key of a file of rows, each with its line from 1.
///
/// # Errors
///
/// The file or the first row that cannot be used.
pub(crate) fn column(path: &Path, key: &str) -> Result<Vec<(usize, String)>, DataError> {
    let text = |row: Row| Ok((row.line, row.text(path, key, || key.to_owned())?));
    rows(path)?.into_iter().map(text).collect()
}

/// Whether a file holds rows, as its extension tells.
pub(crate) fn has_rows(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    json_lines::EXTENSIONS.contains(&extension.to_ascii_lowercase().as_str())
}

/// Rows of a file by its format.
fn rows(path: &Path) -> Result<Vec<Row>, DataError> {
    if has_rows(path) {
        json_lines::rows(path)
    } else {
        Err(DataError::UnknownFormat { path: path.to_owned(), known: ".jsonl, .ndjson" })
    }
}

/// A row of a file, of whatever format.
struct Row {
    /// Line of the file, from 1.
    line: usize,
    /// Key → value, in the order of the file.
    cells: Vec<(String, Cell)>,
}

/// A value of a row.
enum Cell {
    Text(String),
    /// A number or a truth value: what it is, in words, and as written.
    Scalar(&'static str, String),
    /// Neither: a list, an object or nothing.
    Other(Value),
}

impl Row {
    /// The answer: a text, or a label that is written as a number or a truth value.
    fn answer(&self, path: &Path, key: &str) -> Result<String, DataError> {
        match self.cells.iter().find(|(name, _)| name == key) {
            Some((_, Cell::Scalar(_, written))) => Ok(written.clone()),
            _ => self.text(path, key, || "data.answer".to_owned()),
        }
    }

    /// The text of `key`, which `setting` names.
    fn text(
        &self,
        path: &Path,
        key: &str,
        setting: impl Fn() -> String,
    ) -> Result<String, DataError> {
        let (path, line) = (path.to_owned(), self.line);
        match self.cells.iter().find(|(name, _)| name == key) {
            Some((_, Cell::Text(text))) => match text.trim() {
                "" => Err(DataError::EmptyText { path, line, key: key.to_owned() }),
                text => Ok(text.to_owned()),
            },
            Some((_, Cell::Other(value))) => {
                let found = json_lines::kind(value);
                Err(DataError::NotText { path, line, key: key.to_owned(), found })
            }
            Some((_, Cell::Scalar(found, _))) => {
                Err(DataError::NotText { path, line, key: key.to_owned(), found })
            }
            None => Err(self.missing(&path, key, setting())),
        }
    }

    /// The key that `setting` names is not here.
    fn missing(&self, path: &Path, key: &str, setting: String) -> DataError {
        DataError::MissingKey {
            path: path.to_owned(),
            line: self.line,
            key: key.to_owned(),
            setting,
            found: self.cells.iter().map(|(name, _)| name.clone()).collect(),
        }
    }
}
