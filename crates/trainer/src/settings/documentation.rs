//! What is told of every key: read from `configs/lama.toml` and, for `[text]`, `configs/adapt-bert.toml`,
//! where it stands once, and put beside what the reader takes.

use serde::Serialize;

use super::nearest::{nearest, nearest_key};
use super::shape::{Expected, Shape};
use super::{adapt, resolve};

/// The config that documents the keys of a prompt's run, and most of an adaptation's.
const PROMPTS: &str = include_str!("../../../../configs/lama.toml");
/// The config that documents what an adaptation alone has.
const ADAPT: &str = include_str!("../../../../configs/adapt-bert.toml");
/// The section that it documents.
const ADAPT_ALONE: &str = "text";

/// A key with everything that is told of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Documented {
    /// The whole key, `section.key`, or `key` outside of sections.
    pub key: String,
    /// What it is for.
    pub description: String,
    /// What values it takes, in the words of errors.
    pub takes: String,
    /// The same as a shape.
    #[serde(skip)]
    pub shape: Shape,
    /// What holds where it is not given, in words.
    pub default: String,
    /// The same as a value, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_value: Option<serde_json::Value>,
    /// Whether it must be given, whatever else is.
    pub required: bool,
    /// A line of a config that gives it.
    pub example: String,
}

impl Documented {
    /// The section; empty for a key outside of them.
    pub fn section(&self) -> &str {
        self.key.rsplit_once('.').map_or("", |(section, _)| section)
    }

    /// The key in its section.
    pub fn name(&self) -> &str {
        self.key.rsplit_once('.').map_or(&self.key, |(_, name)| name)
    }

    /// The first sentence of the description.
    pub fn summary(&self) -> &str {
        let end = self.description.find(". ").map_or(self.description.len(), |end| end + 1);
        self.description[..end].trim_end_matches('.')
    }
}

/// Every key there is, in the order of documentation.
pub fn documentation() -> Vec<Documented> {
    let mut taken = resolve::keys();
    taken.extend(adapt::keys().into_iter().filter(|(key, _)| is_adapt_alone(key)));
    let comments = comments(PROMPTS)
        .keys
        .into_iter()
        .chain(comments(ADAPT).keys.into_iter().filter(|comment| is_adapt_alone(&comment.key)));
    let known = |key: &str| taken.iter().find(|(known, _)| *known == key);
    comments
        .map(|comment| documented(&comment, known(&comment.key).map(|(_, takes)| takes)))
        .collect()
}

/// What is told of a section as a whole; empty where its keys say it all.
pub fn section_text(name: &str) -> String {
    let sections = comments(PROMPTS).sections;
    sections
        .into_iter()
        .find(|(section, _)| section == name)
        .map_or(String::new(), |(_, text)| text)
}

/// The key or section that an unknown one was likely meant to be.
pub fn near_key(typed: &str) -> Option<String> {
    let all = documentation();
    if let Some(section) = nearest(typed, all.iter().map(Documented::section)) {
        return Some(section.to_owned());
    }
    let keys: Vec<&str> = all.iter().map(|documented| documented.key.as_str()).collect();
    nearest_key(typed, &keys).map(str::to_owned)
}

fn is_adapt_alone(key: &str) -> bool {
    key.split_once('.').is_some_and(|(section, _)| section == ADAPT_ALONE)
}

fn documented(comment: &Comment, takes: Option<&Expected>) -> Documented {
    let Expected { words, shape } = takes.cloned().unwrap_or_else(|| "nothing".into());
    let text = &comment.text;
    let (at, length) = match (text.find("Default: "), text.rfind("Required")) {
        (Some(at), _) => (at, "Default: ".len()),
        (None, Some(at)) => (at, 0),
        (None, None) => (text.len(), 0),
    };
    let default = text[at + length..].trim_end_matches('.');
    Documented {
        key: comment.key.clone(),
        description: text[..at].trim_end().to_owned(),
        takes: words,
        shape,
        default: default.to_owned(),
        default_value: code(default),
        required: default == "Required",
        example: comment.line.clone(),
    }
}

/// The value that a text begins with in backticks, if it is one in TOML.
fn code(text: &str) -> Option<serde_json::Value> {
    let typed = text.strip_prefix('`')?.split('`').next()?;
    let table: toml::Table = format!("value = {typed}").parse().ok()?;
    serde_json::to_value(table.get("value")?).ok()
}

/// The comment above a key, and its line.
struct Comment {
    key: String,
    text: String,
    line: String,
}

/// What a config tells of its keys, in their order.
struct Comments {
    keys: Vec<Comment>,
    /// Section → what stands above it.
    sections: Vec<(String, String)>,
}

/// Reads the comments of a config. A key or section that would change its job is commented out and counts
/// all the same.
fn comments(config: &str) -> Comments {
    let is_word = |key: &str| key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let mut all = Comments { keys: Vec::new(), sections: Vec::new() };
    let mut section = String::new();
    let mut above: Vec<&str> = Vec::new();
    for line in config.lines() {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        let name = bare.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        if let Some(name) = name.filter(|name| is_word(name)) {
            all.sections.push((name.to_owned(), above.join(" ")));
            section = format!("{name}.");
            above.clear();
            continue;
        }
        match bare.split_once(" = ").map(|(key, _)| key) {
            Some(key) if is_word(key) => {
                let (key, text) = (format!("{section}{key}"), above.join(" "));
                all.keys.push(Comment { key, text, line: bare.to_owned() });
                above.clear();
            }
            _ if line.is_empty() => above.clear(),
            _ => above.push(bare),
        }
    }
    all
}
