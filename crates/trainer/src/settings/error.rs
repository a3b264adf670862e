//! What can be wrong with settings, and how it is told: all of it at once, each with its place.

use std::{fmt, io, path::PathBuf};

use ptuning_core::template::TemplateError;

/// Where a value was given. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// At a line and column of a file.
    File {
        /// The file, as it was named.
        path: PathBuf,
        /// Line of the first character.
        line: usize,
        /// Column of the first character.
        column: usize,
    },
    /// On the command line, as `--set KEY=VALUE`.
    Flag {
        /// `KEY=VALUE` as typed.
        argument: String,
    },
    /// A file as a whole, where something is missing from it or it cannot be read.
    Document {
        /// The file, as it was named.
        path: PathBuf,
    },
}

impl Place {
    /// Whether the value comes from the command line, which wins over a file.
    pub(super) fn is_flag(&self) -> bool {
        matches!(self, Place::Flag { .. })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Place::Flag { argument } => write!(f, "--set {argument}"),
            Place::Document { path } => write!(f, "{}", path.display()),
        }
    }
}

/// What is wrong with one value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The file cannot be read.
    #[error("cannot read the settings: {source}")]
    Unreadable {
        /// Why.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("not valid TOML: {}", .source.message())]
    Syntax {
        /// What the parser says.
        source: Box<toml::de::Error>,
    },
    /// A `--set` argument that is not `KEY=VALUE`.
    #[error("expected KEY=VALUE with a key such as `train.lr`")]
    Argument,
    /// A key that no setting has.
    #[error("unknown key `{key}`")]
    UnknownKey {
        /// The whole key, `section.key`.
        key: String,
    },
    /// A key that must be given and is not.
    #[error("missing key `{key}`: expected {expected}")]
    Missing {
        /// The whole key.
        key: &'static str,
        /// What its value is.
        expected: String,
    },
    /// A value of the wrong type or out of range.
    #[error("`{key}`: expected {expected}, found {found}")]
    Wrong {
        /// The whole key.
        key: String,
        /// The values allowed.
        expected: String,
        /// The value given.
        found: String,
    },
    /// A value that another setting makes pointless, so that it was likely meant otherwise.
    #[error("`{key}` has no effect with {reason}")]
    NoEffect {
        /// The whole key.
        key: &'static str,
        /// The setting that rules it out.
        reason: String,
    },
    /// A file or folder that is nowhere it could be.
    #[error("`{key}`: no file or folder `{typed}`; looked for\n    {}", paths(.tried))]
    NotFound {
        /// The whole key.
        key: String,
        /// The path as typed.
        typed: String,
        /// The absolute paths that were tried, in order.
        tried: Vec<PathBuf>,
    },
    /// The text of a template.
    #[error("`{key}`: {source}")]
    Template {
        /// The whole key.
        key: &'static str,
        /// What is wrong with it, and at which of its columns.
        source: Box<TemplateError>,
    },
    /// A template that names an input which the data does not map.
    #[error("`{key}`: the template needs the input '{field}', but data.inputs has {known}")]
    NoInput {
        /// The whole key.
        key: &'static str,
        /// The input.
        field: String,
        /// Inputs there are.
        known: String,
    },
    /// The name of no device.
    #[error("`device`: {found}")]
    Device {
        /// What is wrong with it.
        found: String,
    },
    /// A path that TOML could not hold.
    #[error("`{key}`: the path {} is not UTF-8", .path.display())]
    NotUtf8 {
        /// The whole key.
        key: String,
        /// The path.
        path: PathBuf,
    },
}

fn paths(tried: &[PathBuf]) -> String {
    let lines: Vec<String> = tried.iter().map(|path| path.display().to_string()).collect();
    lines.join("\n    ")
}

/// One problem: the place, what is wrong there, and what to do about it.
#[derive(Debug)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What.
    pub fault: Fault,
    /// A way out, where one can be named.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.fault)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with the settings, at least one problem.
///
/// A file that cannot be read or is not TOML stops the search there; otherwise every key has been
/// looked at. `Display` prints all problems, one after the other, each with its hint below it.
#[derive(Debug)]
pub struct SettingsError {
    /// The problems: those of the file in its order, then those of the command line, then what is missing.
    pub problems: Vec<Problem>,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.problems.len() > 1 {
            writeln!(f, "{} problems in the settings", self.problems.len())?;
        }
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingsError {}
