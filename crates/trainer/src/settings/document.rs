//! Options as typed: a tree of values that remember where each was given.
//!
//! A config file and the `--set` arguments become one tree, so that one reader checks both and an
//! error names the line of the file or the argument.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Fault, Place, Problem};

/// A value and its place.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub place: Place,
    pub value: Value,
    /// Text of the value as typed, where it was typed on the command line: there `2024` may well
    /// be meant as a name.
    typed: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    String(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Array(Vec<Node>),
    Table(Vec<Entry>),
    /// A value that no setting takes: a date, or an integer beyond 64 bits.
    Other(String),
}

/// A key of a table with its own place.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub key: String,
    pub place: Place,
    pub node: Node,
}

impl Node {
    /// A value at a place of a file.
    pub fn new(place: Place, value: Value) -> Self {
        Self { place, value, typed: None }
    }

    /// `true`, as a file as a whole says it.
    pub fn truth(path: &Path) -> Self {
        Self::new(Place::Document { path: path.to_owned() }, Value::Boolean(true))
    }

    pub fn string(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            Value::Array(_) | Value::Table(_) => None,
            _ => self.typed.as_deref(),
        }
    }

    pub fn integer(&self) -> Option<i64> {
        match self.value {
            Value::Integer(number) => Some(number),
            _ => None,
        }
    }

    /// A count, of at least `least`.
    pub fn count(&self, least: usize) -> Option<usize> {
        let number = usize::try_from(self.integer()?).ok()?;
        (number >= least).then_some(number)
    }

    /// A finite number; integers count as numbers.
    pub fn number(&self) -> Option<f64> {
        let number = match self.value {
            Value::Integer(number) => number as f64,
            Value::Float(number) => number,
            _ => return None,
        };
        number.is_finite().then_some(number)
    }

    pub fn boolean(&self) -> Option<bool> {
        match self.value {
            Value::Boolean(truth) => Some(truth),
            _ => None,
        }
    }

    pub fn array(&self) -> Option<&[Node]> {
        match &self.value {
            Value::Array(nodes) => Some(nodes),
            _ => None,
        }
    }

    pub fn table(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Table(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value in words, for the "found" of an error.
    pub fn describe(&self) -> String {
        match &self.value {
            Value::String(text) => format!("the text {text:?}"),
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => format!("{number:?}"),
            Value::Boolean(truth) => truth.to_string(),
            Value::Array(nodes) => {
                let nodes: Vec<String> = nodes.iter().map(Node::describe).collect();
                format!("the list [{}]", nodes.join(", "))
            }
            Value::Table(_) => "a table".to_owned(),
            Value::Other(text) => text.clone(),
        }
    }
}

/// Parses a config file's text. `path` names it in errors and is not read.
///
/// # Errors
///
/// Every syntax error of the text.
pub(super) fn parse(text: &str, path: &Path) -> Result<Vec<Entry>, Vec<Problem>> {
    let place = |offset: usize| {
        let (line, column) = line_and_column(text, offset);
        Place::File { path: path.to_owned(), line, column }
    };
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(entries(table.get_ref(), &place));
    }
    let problem = |error: toml::de::Error| Problem {
        place: place(error.span().map_or(0, |span| span.start)),
        fault: Fault::Syntax { source: Box::new(error) },
        hint: None,
    };
    Err(errors.into_iter().map(problem).collect())
}

/// Puts a `--set KEY=VALUE` argument into the tree, over what is there.
///
/// The value is read as TOML; what is not TOML is text, so that `device=flex` needs no quotes. A
/// table given for a section (`train={lr=1e-3}`) changes the keys it holds and no others.
///
/// An argument without `=` or with an impossible key becomes a problem.
pub(super) fn apply_override(root: &mut Vec<Entry>, argument: &str, problems: &mut Vec<Problem>) {
    let place = Place::Flag { argument: argument.to_owned() };
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let parts = argument.split_once('=').map(|(key, typed)| {
        let segments: Vec<&str> = key.trim().split('.').collect();
        (segments, typed.trim())
    });
    match parts {
        Some((segments, typed))
            if segments.iter().all(|segment| !segment.is_empty() && segment.chars().all(plain)) =>
        {
            let node = flag_node(typed, &place);
            insert(root, &segments, node, &place);
        }
        _ => {
            let hint = "write `--set train.lr=3e-4`, without spaces around `=`".to_owned();
            problems.push(Problem { place, fault: Fault::Argument, hint: Some(hint) });
        }
    }
}

fn flag_node(typed: &str, place: &Place) -> Node {
    let value = match DeValue::parse(typed) {
        Ok(parsed) => value(parsed.get_ref(), &|_| place.clone()),
        Err(_) => Value::String(typed.to_owned()),
    };
    Node { place: place.clone(), value, typed: Some(typed.to_owned()) }
}

/// Lays entries over a tree: a table changes the keys that it holds, anything else takes the old one's place.
pub(super) fn overlay(root: &mut Vec<Entry>, layer: &[Entry]) {
    for entry in layer {
        insert(root, &[&entry.key], entry.node.clone(), &entry.place);
    }
}

/// Puts a value into a tree.
pub(super) fn put(root: &mut Vec<Entry>, segments: &[&str], node: Node) {
    let place = node.place.clone();
    insert(root, segments, node, &place);
}

fn insert(table: &mut Vec<Entry>, segments: &[&str], node: Node, place: &Place) {
    let Some((first, rest)) = segments.split_first() else {
        return;
    };
    let position = table.iter().position(|entry| entry.key == *first).unwrap_or_else(|| {
        let empty = Node { place: place.clone(), value: Value::Table(Vec::new()), typed: None };
        table.push(Entry { key: (*first).to_owned(), place: place.clone(), node: empty });
        table.len() - 1
    });
    let entry = &mut table[position];
    entry.place = place.clone();
    if rest.is_empty() {
        match (&mut entry.node.value, node.value) {
            (Value::Table(old), Value::Table(new)) => {
                for given in new {
                    insert(old, &[given.key.as_str()], given.node, &given.place);
                }
            }
            (old, new) => {
                *old = new;
                entry.node.place = node.place;
                entry.node.typed = node.typed;
            }
        }
        return;
    }
    if !matches!(entry.node.value, Value::Table(_)) {
        entry.node.value = Value::Table(Vec::new());
        entry.node.place = place.clone();
    }
    if let Value::Table(inner) = &mut entry.node.value {
        insert(inner, rest, node, place);
    }
}

fn entries(table: &DeTable<'_>, place: &dyn Fn(usize) -> Place) -> Vec<Entry> {
    let entry = |(key, node): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
        let text: &std::borrow::Cow<'_, str> = key.get_ref();
        Entry {
            key: text.clone().into_owned(),
            place: place(key.span().start),
            node: Node {
                place: place(node.span().start),
                value: value(node.get_ref(), place),
                typed: None,
            },
        }
    };
    let mut pairs: Vec<_> = table.iter().collect();
    pairs.sort_by_key(|(key, _)| key.span().start);
    pairs.into_iter().map(entry).collect()
}

fn value(value: &DeValue<'_>, place: &dyn Fn(usize) -> Place) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.clone().into_owned()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Other(number.to_string()),
        },
        DeValue::Float(number) => match number.as_str().parse() {
            Ok(number) => Value::Float(number),
            Err(_) => Value::Other(number.to_string()),
        },
        DeValue::Boolean(truth) => Value::Boolean(*truth),
        DeValue::Datetime(moment) => Value::Other(format!("the date {moment}")),
        DeValue::Array(nodes) => {
            let node = |node: &Spanned<DeValue<'_>>| Node {
                place: place(node.span().start),
                value: self::value(node.get_ref(), place),
                typed: None,
            };
            Value::Array(nodes.iter().map(node).collect())
        }
        DeValue::Table(table) => Value::Table(entries(table, place)),
    }
}

/// Line and column of a byte offset, from 1, the column in characters.
fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let mark = '\u{feff}';
    let before = text.get(..offset).unwrap_or(text);
    let before = before.strip_prefix(mark).unwrap_or(before);
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (line, before[start..].chars().count() + 1)
}
