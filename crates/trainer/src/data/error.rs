//! What can be wrong with data files.

use std::io;
use std::path::PathBuf;

use crate::settings::nearest;

/// A data file that cannot be used, with the line, counted from 1, and a way out below it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The file cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No loader knows the file's extension.
    #[error("{}: unknown kind of data file\n  hint: known extensions: {known}", .path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// Extensions that are known.
        known: &'static str,
    },
    /// A line is not UTF-8.
    #[error("{}:{line}: byte {byte} of the line is not UTF-8\n  hint: save the file as UTF-8", .path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// Line.
        line: usize,
        /// First byte that is not UTF-8, from 1 within the line.
        byte: usize,
    },
    /// A line is not JSON.
    #[error("{}:{line}:{}: not valid JSON\n  hint: one JSON object per line, such as {{\"x\": \"Japan\", \"z\": \"Tokyo\"}}", .path.display(), .source.column())]
    Json {
        /// The file.
        path: PathBuf,
        /// Line.
        line: usize,
        /// What the parser says, with the file's line.
        source: serde_json::Error,
    },
    /// A line is JSON, but not an object.
    #[error("{}:{line}: expected an object {{…}}, found {found}", .path.display())]
    NotAnObject {
        /// The file.
        path: PathBuf,
        /// Line.
        line: usize,
        /// What is there.
        found: &'static str,
    },
    /// A row lacks a key that the settings name.
    #[error("{}:{line}: missing key `{key}`, named by `{setting}`; found {}{}", .path.display(), listed(.found), did_you_mean(.key, .setting, .found))]
    MissingKey {
        /// The file.
        path: PathBuf,
        /// Line.
        line: usize,
        /// The key.
        key: String,
        /// The setting that names it.
        setting: String,
        /// The keys of the row.
        found: Vec<String>,
    },
    /// A value is not text.
    #[error("{}:{line}: `{key}`: expected text, found {found}\n  hint: write it in quotes", .path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// Line.
        line: usize,
        /// Key of the value.
        key: String,
        /// What is there.
        found: &'static str,
    },
    /// A value is empty or blank.
    #[error("{}:{line}: `{key}` is empty\n  hint: leave the row out", .path.display())]
    EmptyText {
        /// The file.
        path: PathBuf,
        /// Line.
        line: usize,
        /// Key of the value.
        key: String,
    },
    /// A value is not what it is read as.
    #[error("{}:{line}: `{key}`: expected {expected}, found {found}\n  hint: {hint}", .path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// Line.
        line: usize,
        /// Key of the value.
        key: String,
        /// What it should be.
        expected: Box<str>,
        /// What is there.
        found: Box<str>,
        /// A way out.
        hint: &'static str,
    },
    /// A split of sentences in which nothing is named.
    #[error("{}: expected sentences with entities, found none in {sentences}\n  hint: `{key}` of some rows has to hold entities; a small data.limit may leave them out", .path.display())]
    NoEntities {
        /// The file.
        path: PathBuf,
        /// How many sentences there are.
        sentences: usize,
        /// Key of the entities.
        key: String,
    },
    /// A file has no rows or words.
    #[error("{}: the file is empty", .path.display())]
    EmptyFile {
        /// The file.
        path: PathBuf,
    },
}

fn listed(keys: &[String]) -> String {
    match keys {
        [] => "no keys".to_owned(),
        keys => keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", "),
    }
}

fn did_you_mean(key: &str, setting: &str, found: &[String]) -> String {
    match nearest(key, found.iter().map(String::as_str)) {
        Some(near) => format!("\n  hint: did you mean {setting} = {near:?}?"),
        None => format!("\n  hint: set `{setting}` to one of the row's keys"),
    }
}
