//! Sentences with their entities: words, and where among them something is named.

use std::path::Path;

use ptuning_core::spans::{Entity, entities_of_tags};
use serde_json::Value;

use super::json_lines::kind;
use super::{Cell, DataError, Row, rows};
use crate::settings::SpanSettings;

/// A sentence and its entities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    /// Its words, at least one, none of them blank.
    pub words: Vec<String>,
    /// Its entities, in the order of their words; no two share a word.
    pub entities: Vec<Entity>,
    /// Line of the split's file, from 1.
    pub line: usize,
}

impl Sentence {
    /// Its words with spaces between them.
    pub fn text(&self) -> String {
        self.words.join(" ")
    }
}

/// Reads the sentences of a file of rows, each with a list of words and a list of entities: objects
/// `{"start": 0, "end": 2, "label": "person"}`, `end` being the word behind the last one, or a tag such as
/// `B-person` for each word.
///
/// # Errors
/// The file or the first row that cannot be used.
pub fn load_sentences(path: &Path, settings: &SpanSettings) -> Result<Vec<Sentence>, DataError> {
    let sentence = |row: &Row| {
        let field = |key, setting| Field { path, row, key, setting };
        let words = field(&settings.tokens, "spans.tokens").words()?;
        let entities = field(&settings.entities, "spans.entities").entities(words.len())?;
        Ok(Sentence { words, entities, line: row.line })
    };
    rows(path)?.iter().map(sentence).collect()
}

/// A key of a row and the setting that names it.
struct Field<'a> {
    path: &'a Path,
    row: &'a Row,
    key: &'a str,
    setting: &'static str,
}

/// What an entity is to look like.
const ENTITY: &str = "{\"start\": 0, \"end\": 2, \"label\": \"person\"}";

impl Field<'_> {
    fn wrong(&self, expected: String, found: String, hint: &'static str) -> DataError {
        DataError::Value {
            path: self.path.to_owned(),
            line: self.row.line,
            key: self.key.to_owned(),
            expected: expected.into(),
            found: found.into(),
            hint,
        }
    }

    fn list(&self, expected: &str, hint: &'static str) -> Result<&[Value], DataError> {
        let wrong = |found: &str| Err(self.wrong(expected.to_owned(), found.to_owned(), hint));
        match self.row.cells.iter().find(|(name, _)| name == self.key) {
            Some((_, Cell::Other(Value::Array(list)))) => Ok(list),
            Some((_, Cell::Other(value))) => wrong(kind(value)),
            Some((_, Cell::Scalar(found, _))) => wrong(found),
            Some((_, Cell::Text(_))) => wrong("text"),
            None => Err(self.row.missing(self.path, self.key, self.setting.to_owned())),
        }
    }

    fn words(&self) -> Result<Vec<String>, DataError> {
        let expected = "a list of words";
        let hint = "such as [\"Ada\", \"lives\", \"in\", \"Cairo\", \".\"]";
        let list = self.list(expected, hint)?;
        if list.is_empty() {
            return Err(self.wrong(expected.to_owned(), "an empty list".to_owned(), hint));
        }
        let word = |(index, value): (usize, &Value)| match value {
            Value::String(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
            value => {
                let found = if value.is_string() { "a blank one" } else { kind(value) };
                let found = format!("{found} as word {}", index + 1);
                Err(self.wrong(expected.to_owned(), found, hint))
            }
        };
        list.iter().enumerate().map(word).collect()
    }

    fn entities(&self, words: usize) -> Result<Vec<Entity>, DataError> {
        let hint = "such as [{\"start\": 0, \"end\": 2, \"label\": \"person\"}], [] for none";
        let list = self.list("a list of entities, or a tag for each word", hint)?;
        let mut entities = match list.first() {
            Some(Value::String(_)) => self.tagged(list, words)?,
            _ => self.listed(list, words)?,
        };
        entities.sort();
        for pair in entities.windows(2) {
            let [first, second] = pair else { continue };
            if first.span().overlaps(second.span()) {
                let what =
                    |one: &Entity| format!("'{}' from {} to {}", one.label, one.start, one.end);
                let expected = "entities that share no word".to_owned();
                let found = format!("{} and {}", what(first), what(second));
                return Err(self.wrong(expected, found, "of nested entities keep the outer one"));
            }
        }
        Ok(entities)
    }

    fn listed(&self, list: &[Value], words: usize) -> Result<Vec<Entity>, DataError> {
        let entity = |(index, value): (usize, &Value)| {
            let number = |key: &str| usize::try_from(value.get(key)?.as_u64()?).ok();
            let label = value.get("label").and_then(Value::as_str).map(str::trim);
            let (start, end) = (number("start"), number("end"));
            let (Some(start), Some(end), Some(label)) = (start, end, label) else {
                let found = format!("{value} as entity {}", index + 1);
                let hint = "start and end count words from 0, end is the word behind the last one";
                return Err(self.wrong(ENTITY.to_owned(), found, hint));
            };
            if label.is_empty() || start >= end || end > words {
                let expected = format!(
                    "a label, and a start below an end of at most {words}, which is how many words there are"
                );
                let found = format!("'{label}' from {start} to {end} as entity {}", index + 1);
                let hint = "words count from 0, and end is the word behind the last one";
                return Err(self.wrong(expected, found, hint));
            }
            Ok(Entity { start, end, label: label.to_owned() })
        };
        list.iter().enumerate().map(entity).collect()
    }

    fn tagged(&self, list: &[Value], words: usize) -> Result<Vec<Entity>, DataError> {
        let hint = "such as [\"B-person\", \"I-person\", \"O\"]";
        if list.len() != words {
            let expected = format!("a tag for each of the {words} words");
            return Err(self.wrong(expected, list.len().to_string(), hint));
        }
        let tags: Option<Vec<String>> =
            list.iter().map(|tag| tag.as_str().map(str::to_owned)).collect();
        tags.as_deref().and_then(entities_of_tags).ok_or_else(|| {
            let known = |tag: &&Value| {
                let tag = tag.as_str().map(|tag| entities_of_tags(&[tag.to_owned()]));
                !matches!(tag, Some(Some(_)))
            };
            let found = list.iter().find(known).map(ToString::to_string).unwrap_or_default();
            self.wrong("tags that begin with B, I, E, S or O".to_owned(), found, hint)
        })
    }
}
