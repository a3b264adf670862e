//! `[data]`: where examples come from, and what their keys mean.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::document::Node;
use super::error::Fault;
use super::reader::{Given, OrDefault, Reader, neighbour};
use super::sections::*;
use super::shape::Shape;

/// Reads `[data]`.
pub(super) fn data(reader: &mut Reader<'_>) -> DataSettings {
    let folder = reader.path("data.path");
    let folder = folder.filter(|folder| {
        let is_file = folder.value.is_file();
        if is_file {
            let fault = Fault::Wrong {
                key: "data.path".to_owned(),
                expected: "a folder".to_owned(),
                found: format!("the file {}", folder.value.display()),
            };
            let hint = "name files by `data.train`, `data.dev` and `data.test`";
            reader.problem(folder.place.clone(), fault, Some(hint.to_owned()));
        }
        !is_file
    });
    let train = split_file(reader, Split::Train, "data.train", &folder);
    let dev = split_file(reader, Split::Dev, "data.dev", &folder);
    let test = split_file(reader, Split::Test, "data.test", &folder);
    if reader.node("data.path").is_none() {
        if reader.node("data.train").is_none() {
            let hint = "[data] path = \"datasets/lama/P36\"";
            let expected = "a folder that holds train.jsonl, dev.jsonl and test.jsonl";
            reader.missing("data.path", expected, hint);
        } else {
            let hint = "it chooses the epoch to keep; part of the train split can serve";
            reader.missing("data.dev", "the file of the dev split", hint);
        }
    }
    DataSettings {
        train: train.unwrap_or_default(),
        dev: dev.unwrap_or_default(),
        test,
        answer: reader.text("data.answer").or_default_to("z".to_owned()),
        candidates: candidates(reader),
        limit: reader.count("data.limit", 1).map(|given| given.value),
        shots: reader.count("data.shots", 1).map(|given| given.value),
        inputs: inputs(reader),
    }
}

/// A split's own file if its key is given, otherwise the file of its name in the folder.
fn split_file(
    reader: &mut Reader<'_>,
    split: Split,
    key: &'static str,
    folder: &Option<Given<PathBuf>>,
) -> Option<PathBuf> {
    reader.takes_path(key);
    // A name without a folder of its own is looked for in the data's folder first.
    let typed = reader.node(key).and_then(Node::string).map(PathBuf::from);
    if let (Some(typed), Some(folder)) = (typed.filter(|typed| typed.is_relative()), folder) {
        let inside = folder.value.join(typed);
        if inside.is_file() {
            return Some(inside);
        }
    }
    // The later layer wins: a folder given there replaces the files of a config beneath.
    let place = reader.node(key).map(|node| &node.place);
    let overruled = place
        .zip(folder.as_ref())
        .is_some_and(|(place, folder)| reader.layer(&folder.place) > reader.layer(place));
    if place.is_some() && !overruled {
        return reader.path(key).map(|given| given.value);
    }
    let folder = folder.as_ref()?;
    let file = folder.value.join(split.name()).with_extension("jsonl");
    if file.exists() || !reader.files_must_exist() {
        return Some(file);
    }
    if split != Split::Test {
        let hint = neighbour(&file)
            .unwrap_or_else(|| format!("name a file of another name by `{key} = \"…\"`"));
        let fault = Fault::NotFound {
            key: "data.path".to_owned(),
            typed: format!("{split}.jsonl"),
            tried: vec![std::path::absolute(&file).unwrap_or(file)],
        };
        reader.problem(folder.place.clone(), fault, Some(hint));
    }
    None
}

fn candidates(reader: &mut Reader<'_>) -> Vec<CandidateSource> {
    let key = "data.candidates";
    let expected = "`dataset`, `vocabulary`, the path of a word list, or a list of these";
    let shape = Shape::Either(vec![Shape::Text, Shape::list(Shape::Text, 1)]);
    reader.takes(key, shape.told(expected));
    let Some(node) = reader.node(key) else {
        return vec![CandidateSource::Dataset];
    };
    let nodes = match node.array() {
        Some([]) | None => std::slice::from_ref(node),
        Some(nodes) => nodes,
    };
    let mut sources = Vec::new();
    for node in nodes {
        let source = match node.string() {
            Some("dataset") => CandidateSource::Dataset,
            Some("vocabulary") => CandidateSource::Vocabulary,
            Some(typed) if !typed.trim().is_empty() => {
                let names = ["dataset", "vocabulary"];
                match reader.find(key, typed, &node.place, &names) {
                    Some(path) => CandidateSource::File(path),
                    None => continue,
                }
            }
            _ => {
                let fault = Fault::Wrong {
                    key: key.to_owned(),
                    expected: expected.to_owned(),
                    found: node.describe(),
                };
                reader.problem(node.place.clone(), fault, None);
                continue;
            }
        };
        if !sources.contains(&source) {
            sources.push(source);
        }
    }
    sources
}

fn inputs(reader: &mut Reader<'_>) -> BTreeMap<String, String> {
    let expected = "a table from the template's fields to keys of a row, such as { x = \
                    \"sub_label\" }";
    let expected = Shape::table(Shape::Text).told(expected);
    let given = reader.read("data.inputs", expected, |node: &Node| {
        let entries = node.table().filter(|entries| !entries.is_empty())?;
        let pair = |entry: &super::document::Entry| {
            let key = entry.node.string().filter(|key| !key.is_empty())?;
            Some((entry.key.clone(), key.to_owned()))
        };
        entries.iter().map(pair).collect::<Option<BTreeMap<_, _>>>()
    });
    given.or_default_to(BTreeMap::from([("x".to_owned(), "x".to_owned())]))
}
