//! A suite: many runs, told by one config that all begin with and by what differs between them.
//!
//! Its axes are tasks, templates, encoders and seeds; each entry of an axis lays keys of its own over those of
//! the base. `configs/suites/lama.toml` documents every key.

use std::path::{Path, PathBuf};

use super::document::{Entry, Node, Value};
use super::error::{Fault, Place, Problem};
use super::nearest::nearest;
use super::reader::{OrDefault, Reader};
use super::resolve::{name, truth};
use super::sections::Split;

/// A suite as it is written, its cells not yet made.
pub(super) struct Axes<'a> {
    pub name: String,
    pub suites: PathBuf,
    pub base: Option<PathBuf>,
    pub split: Split,
    pub seeds: Vec<u64>,
    pub random_weights: bool,
    pub set: Option<&'a [Entry]>,
    pub tasks: Vec<Axis<'a>>,
    pub templates: Vec<Axis<'a>>,
    pub encoders: Vec<Axis<'a>>,
}

/// An entry of an axis.
pub(super) struct Axis<'a> {
    pub name: String,
    pub entries: &'a [Entry],
}

impl<'a> Axis<'a> {
    /// The base as it is.
    fn base() -> Self {
        Self { name: "base".to_owned(), entries: &[] }
    }

    pub fn node(&self, key: &str) -> Option<&'a Node> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// Settings that it lays over the base.
    pub fn set(&self) -> &'a [Entry] {
        self.node("set").and_then(Node::table).unwrap_or_default()
    }
}

/// Reads every key of a suite.
pub(super) fn axes<'a>(reader: &mut Reader<'a>) -> Axes<'a> {
    let base = reader.path("base").map(|given| given.value);
    reader.missing("base", "the config that every run begins with", "base = \"../lama.toml\"");
    let names = [("dev", Split::Dev), ("test", Split::Test)];
    let tasks = axis(reader, "tasks", &["name", "set", "words", "discrete"]);
    if tasks.is_empty() {
        let hint = "[[tasks]] name = \"P36\", set = { data.path = \"datasets/lama/P36\" }";
        reader.missing("tasks", "one or more tables [[tasks]]", hint);
    }
    let or_base = |found: Vec<Axis<'a>>| match found.is_empty() {
        true => vec![Axis::base()],
        false => found,
    };
    Axes {
        name: name(reader),
        suites: reader.text("suites").or_default_to(super::DEFAULT_SUITES.to_owned()).into(),
        base,
        split: reader.choice("split", &names).or_default_to(Split::Test),
        seeds: seeds(reader),
        random_weights: truth(reader, "random_weights", true),
        set: table(reader, "set"),
        tasks,
        templates: or_base(axis(reader, "templates", &["name", "text", "set"])),
        encoders: or_base(axis(reader, "encoders", &["name", "set"])),
    }
}

/// Every key that is read, in the order of reading.
pub(super) fn keys() -> Vec<&'static str> {
    let mut reader = Reader::new(&[], Path::new(""), false);
    axes(&mut reader);
    reader.finish().1.into_iter().map(|(key, _)| key).collect()
}

fn seeds(reader: &mut Reader<'_>) -> Vec<u64> {
    let expected = "a list of different whole numbers, each at least 0";
    let seeds = reader.read("seeds", expected, |node| {
        let seed = |node: &Node| u64::try_from(node.integer()?).ok();
        let seeds: Vec<u64> = node.array()?.iter().map(seed).collect::<Option<_>>()?;
        let different = (1..seeds.len()).all(|place| !seeds[..place].contains(&seeds[place]));
        (different && !seeds.is_empty()).then_some(seeds)
    });
    seeds.or_default_to(vec![0])
}

fn table<'a>(reader: &mut Reader<'a>, key: &'static str) -> Option<&'a [Entry]> {
    let node = reader.node(key)?;
    if node.table().is_none() {
        wrong(reader, key, node, "a table of settings, as in `set = { train.epochs = 4 }`");
    }
    node.table()
}

fn wrong(reader: &mut Reader<'_>, key: &str, node: &Node, expected: &str) {
    let (key, expected, found) = (key.to_owned(), expected.to_owned(), node.describe());
    reader.problem(node.place.clone(), Fault::Wrong { key, expected, found }, None);
}

/// The tables of an axis, each with a name of its own and no key but `keys`.
fn axis<'a>(reader: &mut Reader<'a>, key: &'static str, keys: &[&str]) -> Vec<Axis<'a>> {
    let Some(node) = reader.node(key) else { return Vec::new() };
    let Some(nodes) = node.array() else {
        wrong(reader, key, node, &format!("one or more tables [[{key}]]"));
        return Vec::new();
    };
    let mut found: Vec<Axis<'a>> = Vec::new();
    for node in nodes {
        let Some(entries) = node.table() else {
            wrong(reader, key, node, &format!("a table [[{key}]]"));
            continue;
        };
        for entry in entries.iter().filter(|entry| !keys.contains(&entry.key.as_str())) {
            let near = nearest(&entry.key, keys.iter().copied());
            let fault = Fault::UnknownKey { key: format!("{key}.{}", entry.key) };
            let hint = match near {
                Some(near) => format!("did you mean `{key}.{near}`?"),
                None => format!("settings go into `set = {{ {} = … }}`", entry.key),
            };
            reader.problem(entry.place.clone(), fault, Some(hint));
        }
        let axis = Axis { name: String::new(), entries };
        check_kinds(reader, key, &axis);
        if let Some(name) = own_name(reader, key, &axis, node, &found) {
            found.push(Axis { name, ..axis });
        }
    }
    found
}

/// The name of an entry: of letters, digits, `-` and `_`, since it is a part of folders' names.
fn own_name(
    reader: &mut Reader<'_>,
    key: &str,
    axis: &Axis<'_>,
    whole: &Node,
    others: &[Axis<'_>],
) -> Option<String> {
    let key = format!("{key}.name");
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    let Some(node) = axis.node("name") else {
        wrong(reader, &key, whole, "a name for each of these tables");
        return None;
    };
    match node.string() {
        Some(name) if others.iter().any(|other| other.name == name) => {
            wrong(reader, &key, node, "a name that no other of these tables has");
            None
        }
        Some(name) if !name.is_empty() && name.chars().all(plain) => Some(name.to_owned()),
        _ => {
            wrong(reader, &key, node, "a name of letters, digits, `-` and `_`");
            None
        }
    }
}

/// Whether each key of an entry holds what it should.
fn check_kinds(reader: &mut Reader<'_>, key: &str, axis: &Axis<'_>) {
    let text = |node: &Node| node.string().is_some_and(|text| !text.trim().is_empty());
    let texts = |node: &Node| match node.array() {
        Some(nodes) => !nodes.is_empty() && nodes.iter().all(text),
        None => text(node),
    };
    let words =
        |node: &Node| node.table().is_some_and(|words| words.iter().all(|word| text(&word.node)));
    let mut check = |own: &str, holds: &dyn Fn(&Node) -> bool, expected: &str| {
        if let Some(node) = axis.node(own).filter(|node| !holds(node)) {
            wrong(reader, &format!("{key}.{own}"), node, expected);
        }
    };
    check("set", &|node| node.table().is_some(), "a table of settings");
    check("text", &text, "a template");
    check("words", &words, "a table of texts, as in `words = { middle = \"capital [x]\" }`");
    check("discrete", &texts, "a template of plain words, or a list of them");
}

/// A template's text with a task's words in the places of their names, `{middle}`.
///
/// # Errors
/// A name that the task has no word for.
pub(super) fn fill(text: &Node, task: &Axis<'_>) -> Result<Node, Box<Problem>> {
    let words = task.node("words").and_then(Node::table).unwrap_or_default();
    let mut filled = String::new();
    let mut rest = text.string().unwrap_or_default();
    while let Some((before, after)) = rest.split_once('{') {
        filled += before;
        let is_name =
            |name: &&str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
        let Some((name, behind)) = after.split_once('}').filter(|(name, _)| is_name(name)) else {
            filled.push('{');
            rest = after;
            continue;
        };
        match words.iter().find(|word| word.key == name) {
            Some(word) => filled += word.node.string().unwrap_or_default(),
            None => {
                let names = || words.iter().map(|word| word.key.as_str());
                let near = nearest(name, names()).map(|near| format!("did you mean `{{{near}}}`?"));
                let hint =
                    near.unwrap_or_else(|| format!("words = {{ {name} = \"…\" }} in that task"));
                return Err(Box::new(Problem {
                    place: text.place.clone(),
                    fault: Fault::Wrong {
                        key: "templates.text".to_owned(),
                        expected: format!("names that the task `{}` has words for", task.name),
                        found: format!("{{{name}}}"),
                    },
                    hint: Some(hint),
                }));
            }
        }
        rest = behind;
    }
    filled += rest;
    Ok(Node::new(text.place.clone(), Value::String(filled)))
}

/// Prompts of plain words that a task is asked with as well, each with its place.
pub(super) fn discrete<'a>(task: &Axis<'a>) -> Vec<&'a Node> {
    match task.node("discrete") {
        Some(node) => node.array().map_or(vec![node], |nodes| nodes.iter().collect()),
        None => Vec::new(),
    }
}

/// A number at the place of a list that holds it, as a setting.
pub(super) fn seed_node(seed: u64, path: &Path) -> Node {
    let place = Place::Document { path: path.to_owned() };
    // Seeds were read from such numbers.
    Node::new(place, Value::Integer(i64::try_from(seed).unwrap_or(i64::MAX)))
}
