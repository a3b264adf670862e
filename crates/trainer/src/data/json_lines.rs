//! JSON Lines: one JSON object per line, UTF-8.
//!
//! A byte order mark, CRLF line ends and blank lines are let pass.

use std::path::Path;

use serde_json::Value;

use super::{Cell, DataError, Row, lines};

/// Extensions of JSON Lines files.
pub(super) const EXTENSIONS: &[&str] = &["jsonl", "ndjson"];

/// Reads all rows.
pub(super) fn rows(path: &Path) -> Result<Vec<Row>, DataError> {
    lines::read(path)?.iter().map(|(line, text)| row(path, *line, text)).collect()
}

fn row(path: &Path, line: usize, text: &str) -> Result<Row, DataError> {
    let value: Value = serde_json::from_str(text).map_err(|source| {
        // Read again below as many line ends as there are above it, so that the parser, whose
        // message is the cause, counts the file's lines.
        let placed = format!("{}{text}", "\n".repeat(line - 1));
        let source = serde_json::from_str::<Value>(&placed).err().unwrap_or(source);
        DataError::Json { path: path.to_owned(), line, source }
    })?;
    let Value::Object(object) = value else {
        return Err(DataError::NotAnObject { path: path.to_owned(), line, found: kind(&value) });
    };
    let cells = object.into_iter().map(|(key, value)| match value {
        Value::String(text) => (key, Cell::Text(text)),
        Value::Bool(_) | Value::Number(_) => (key, Cell::Scalar(kind(&value), value.to_string())),
        other => (key, Cell::Other(other)),
    });
    Ok(Row { line, cells: cells.collect() })
}

/// What a value is, in words.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
