//! Takes values out of the tree of options, key by key, and gathers every problem on the way.
//!
//! Each key is named once, where it is read; that is also how the reader knows which keys there
//! are. So a key must be read whatever the other keys say.

use std::path::{Path, PathBuf};

use super::document::{Entry, Node};
use super::error::{Fault, Place, Problem};
use super::nearest::{nearest, nearest_key};
use super::paths;
use super::shape::{Expected, Shape};

/// A value with the place it was given at.
#[derive(Debug, Clone)]
pub(super) struct Given<T> {
    pub value: T,
    pub place: Place,
}

/// A value that was given, or not.
pub(super) trait OrDefault<T> {
    fn or_default_to(self, default: T) -> T;
}

impl<T> OrDefault<T> for Option<Given<T>> {
    fn or_default_to(self, default: T) -> T {
        self.map_or(default, |given| given.value)
    }
}

pub(super) struct Reader<'a> {
    root: &'a [Entry],
    config: &'a Path,
    /// Whether files named in the settings must exist now.
    files_must_exist: bool,
    known: Vec<(&'static str, Expected)>,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub fn new(root: &'a [Entry], config: &'a Path, files_must_exist: bool) -> Self {
        Self { root, config, files_must_exist, known: Vec::new(), problems: Vec::new() }
    }

    pub fn config(&self) -> &Path {
        self.config
    }

    pub fn files_must_exist(&self) -> bool {
        self.files_must_exist
    }

    /// The place for what is given nowhere.
    fn document(&self) -> Place {
        Place::Document { path: self.config.to_owned() }
    }

    pub fn problem(&mut self, place: Place, fault: Fault, hint: Option<String>) {
        self.problems.push(Problem { place, fault, hint });
    }

    /// Reads `key` through `convert`, which gives `None` for a value that is not `expected`.
    pub fn read<T>(
        &mut self,
        key: &'static str,
        expected: impl Into<Expected>,
        convert: impl Fn(&Node) -> Option<T>,
    ) -> Option<Given<T>> {
        let expected = expected.into();
        let words = expected.words.clone();
        self.takes(key, expected);
        let node = self.node(key)?;
        match convert(node) {
            Some(value) => Some(Given { value, place: node.place.clone() }),
            None => {
                let fault =
                    Fault::Wrong { key: key.to_owned(), expected: words, found: node.describe() };
                self.problem(node.place.clone(), fault, None);
                None
            }
        }
    }

    /// Reads text that is not blank.
    pub fn text(&mut self, key: &'static str) -> Option<Given<String>> {
        self.read(key, Shape::Text.told("text that is not blank"), |node| {
            node.string().filter(|text| !text.trim().is_empty()).map(str::to_owned)
        })
    }

    /// Reads a count of at least `least`.
    pub fn count(&mut self, key: &'static str, least: usize) -> Option<Given<usize>> {
        let expected = Shape::Whole { least }.told(format!("a whole number, at least {least}"));
        self.read(key, expected, |node| node.count(least))
    }

    /// Reads a number above 0.
    pub fn positive(&mut self, key: &'static str) -> Option<Given<f64>> {
        let expected = Shape::positive().told("a number above 0");
        self.read(key, expected, |node| node.number().filter(|&number| number > 0.0))
    }

    /// Reads a truth value.
    pub fn truth(&mut self, key: &'static str) -> Option<Given<bool>> {
        self.read(key, Shape::Truth.told("`true` or `false`"), Node::boolean)
    }

    /// Reads one of some names.
    pub fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&'static str, T)],
    ) -> Option<Given<T>> {
        let names = choices.iter().map(|(name, _)| *name).collect();
        self.takes(key, Shape::Choice(names).told(one_of(choices)));
        let node = self.node(key)?;
        self.choose(key, node, choices)
    }

    /// Takes one of some names from a node, which may be an element of a list.
    pub fn choose<T: Copy>(
        &mut self,
        key: &str,
        node: &Node,
        choices: &[(&'static str, T)],
    ) -> Option<Given<T>> {
        let typed = node.string();
        if let Some(&(_, value)) = choices.iter().find(|(name, _)| Some(*name) == typed) {
            return Some(Given { value, place: node.place.clone() });
        }
        let near = typed.and_then(|typed| nearest(typed, choices.iter().map(|(name, _)| *name)));
        let fault =
            Fault::Wrong { key: key.to_owned(), expected: one_of(choices), found: node.describe() };
        self.problem(node.place.clone(), fault, near.map(|name| format!("did you mean `{name}`?")));
        None
    }

    /// Reads the path of something that exists.
    pub fn path(&mut self, key: &'static str) -> Option<Given<PathBuf>> {
        self.takes_path(key);
        let typed = self.text(key)?;
        let value = self.find(key, &typed.value, &typed.place, &[])?;
        Some(Given { value, place: typed.place })
    }

    /// Finds the file or folder `typed`; `names` are other things that could have been meant.
    pub fn find(
        &mut self,
        key: &str,
        typed: &str,
        place: &Place,
        names: &[&str],
    ) -> Option<PathBuf> {
        // What a suite lays over a config is looked for from the suite's own folder.
        let file = match place {
            Place::File { path, .. } => path,
            Place::Flag { .. } | Place::Document { .. } => self.config,
        };
        let tried = match paths::find(typed, file, place.is_flag()) {
            Ok(path) if path.to_str().is_some() => return Some(path),
            Ok(path) => {
                self.problem(place.clone(), Fault::NotUtf8 { key: key.to_owned(), path }, None);
                return None;
            }
            Err(_) if !self.files_must_exist => return Some(PathBuf::from(typed)),
            Err(tried) => tried,
        };
        let hint = match nearest(typed, names.iter().copied()) {
            Some(name) => Some(format!("did you mean `{name}`?")),
            None => tried.iter().find_map(|path| neighbour(path)),
        };
        let fault = Fault::NotFound { key: key.to_owned(), typed: typed.to_owned(), tried };
        self.problem(place.clone(), fault, hint);
        None
    }

    /// Notes a key that must be given and is not.
    pub fn missing(&mut self, key: &'static str, expected: &str, hint: &str) {
        // A value that was given wrongly is a problem already.
        if lookup(self.root, key).is_none() {
            let fault = Fault::Missing { key, expected: expected.to_owned() };
            self.problem(self.document(), fault, Some(hint.to_owned()));
        }
    }

    /// Notes a value that `selector`, given at a place or left at its default, makes pointless.
    ///
    /// Not where the command line or a suite has chosen another selector than the config beneath, whose value
    /// stays.
    pub fn no_effect<T>(
        &mut self,
        key: &'static str,
        given: &Option<Given<T>>,
        selector: Option<&Place>,
        reason: String,
    ) {
        let Some(given) = given else { return };
        let chosen_over_it =
            selector.is_some_and(|place| self.layer(place) > self.layer(&given.place));
        if !chosen_over_it {
            self.problem(given.place.clone(), Fault::NoEffect { key, reason }, None);
        }
    }

    /// What is laid over what: a config, a suite, the command line.
    pub fn layer(&self, place: &Place) -> u8 {
        match place {
            Place::File { path, .. } | Place::Document { path } => u8::from(path != self.config),
            Place::Flag { .. } => 2,
        }
    }

    /// Whether there is a section, be it empty.
    pub fn has_section(&self, name: &str) -> bool {
        lookup(self.root, name).is_some()
    }

    /// Notes what a key takes. What was said first stands: it is nearest to what is meant.
    pub fn takes(&mut self, key: &'static str, expected: Expected) {
        match self.known.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) if known.shape == Shape::Any => *known = expected,
            Some(_) => {}
            None => self.known.push((key, expected)),
        }
    }

    /// Notes that a key takes a path.
    pub fn takes_path(&mut self, key: &'static str) {
        self.takes(key, Shape::Text.told("the path of a file or folder that is there"));
    }

    /// The value of a key.
    pub fn node(&mut self, key: &'static str) -> Option<&'a Node> {
        self.takes(key, Shape::Any.told("a value"));
        lookup(self.root, key)
    }

    /// All problems, the unknown keys last, and the keys that were read with what they take.
    pub fn finish(mut self) -> (Vec<Problem>, Vec<(&'static str, Expected)>) {
        let sections: Vec<&str> =
            self.known.iter().filter_map(|(key, _)| key.split_once('.')).map(|(s, _)| s).collect();
        for entry in self.root {
            if !sections.contains(&entry.key.as_str()) {
                self.check_known(&entry.key, &entry.place, &sections);
            } else if let Some(inner) = entry.node.table() {
                for within in inner {
                    let key = format!("{}.{}", entry.key, within.key);
                    self.check_known(&key, &within.place, &[]);
                }
            } else {
                let fault = Fault::Wrong {
                    key: entry.key.clone(),
                    expected: format!("a section [{}]", entry.key),
                    found: entry.node.describe(),
                };
                self.problem(entry.node.place.clone(), fault, None);
            }
        }
        (self.problems, self.known)
    }

    fn check_known(&mut self, key: &str, place: &Place, sections: &[&str]) {
        if self.known.iter().any(|(known, _)| *known == key) {
            return;
        }
        let hint = match nearest(key, sections.iter().copied()) {
            _ if key == "text" => Some("a config with [text] is for `ptune adapt`".to_owned()),
            _ if ["data", "template", "prompt_encoder"].contains(&key) => {
                Some(format!("a config with [{key}] is for `ptune train`"))
            }
            Some(section) => Some(format!("did you mean the section [{section}]?")),
            None => {
                let known: Vec<&str> = self.known.iter().map(|(key, _)| *key).collect();
                nearest_key(key, &known).map(|near| format!("did you mean `{near}`?"))
            }
        };
        self.problem(place.clone(), Fault::UnknownKey { key: key.to_owned() }, hint);
    }
}

/// The names of some choices, in words.
fn one_of<T>(choices: &[(&'static str, T)]) -> String {
    let names: Vec<String> = choices.iter().map(|(name, _)| format!("`{name}`")).collect();
    match names.as_slice() {
        [only] => only.clone(),
        _ => format!("one of {}", names.join(", ")),
    }
}

/// The value of a key in a tree.
pub(super) fn lookup<'a>(root: &'a [Entry], key: &str) -> Option<&'a Node> {
    let (first, rest) = match key.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (key, None),
    };
    let node = &root.iter().find(|entry| entry.key == first)?.node;
    match rest {
        Some(rest) => lookup(node.table()?, rest),
        None => Some(node),
    }
}

/// The entry of the folder of `path` whose name is nearest, as a hint.
pub fn neighbour(path: &Path) -> Option<String> {
    let wanted = path.file_name()?.to_str()?;
    let names: Vec<String> = std::fs::read_dir(super::paths::folder_of(path))
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.sort_unstable();
    let near = nearest(wanted, names)?;
    Some(format!("did you mean {}?", path.with_file_name(near).display()))
}
