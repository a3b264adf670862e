//! Loading examples and candidates: what is accepted, and what each mistake is told.

use std::path::{Path, PathBuf};

use trainer::data::{Candidates, DataError, DataSet, Example, Split, candidates, load_file, words};
use trainer::settings::{CandidateSource, DataSettings, from_toml_str};

const CONFIG: &str = "\
[backbone]
source = \"b\"
[data]
path = \"d\"
inputs = { x = \"country\" }
answer = \"capital\"
[template]
text = \"[x] [z]\"
";

fn settings() -> DataSettings {
    from_toml_str(CONFIG, Path::new("job.toml"), &[]).unwrap().data
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// What is told of a file of these bytes, without its folder.
    fn error(&self, bytes: impl AsRef<[u8]>) -> String {
        let path = self.write("f.jsonl", bytes);
        let error: DataError = load_file(&path, &settings()).expect_err("must be refused");
        error.to_string().replace(&path.display().to_string(), "f.jsonl")
    }
}

fn pairs(examples: &[Example]) -> Vec<(&str, &str, usize)> {
    examples.iter().map(|e| (e.fields["x"].as_str(), e.answer.as_str(), e.line)).collect()
}

#[test]
fn marks_line_ends_and_blank_lines_are_let_pass() {
    let folder = Folder::new();
    let text = "\u{feff}{\"country\": \"Japan\", \"capital\": \" Tokyo \", \"n\": 3}\r\n\r\n\
                {\"capital\": \"São Tomé\", \"country\": \"S\\u00e3o\"}";
    let path = folder.write("f.JSONL", text);
    let examples = load_file(&path, &settings()).unwrap();
    assert_eq!(pairs(&examples), [("Japan", "Tokyo", 1), ("São", "São Tomé", 3)]);
}

#[test]
fn mistakes_are_told_with_file_line_and_a_way_out() {
    let folder = Folder::new();
    let good = "{\"country\": \"Japan\", \"capital\": \"Tokyo\"}\n";
    for (second, expected) in [
        ("{\"country\": }", "f.jsonl:2:13: not valid JSON\n  hint: one JSON object per line"),
        ("[1]", "f.jsonl:2: expected an object {…}, found a list"),
        (
            "{\"capital\": \"Lima\", \"contry\": \"Peru\"}",
            "f.jsonl:2: missing key `country`, named by `data.inputs.x`; found `capital`, `contry`\n  \
             hint: did you mean data.inputs.x = \"contry\"?",
        ),
        (
            "{\"country\": \"Peru\", \"z\": \"Lima\"}",
            "f.jsonl:2: missing key `capital`, named by `data.answer`; found `country`, `z`\n  \
             hint: set `data.answer` to one of the row's keys",
        ),
        ("{}", "found no keys"),
        (
            "{\"country\": 3, \"capital\": \"Lima\"}",
            "f.jsonl:2: `country`: expected text, found a number\n  hint: write it in quotes",
        ),
        ("{\"country\": \"Peru\", \"capital\": null}", "expected text, found null"),
        ("{\"country\": \" \", \"capital\": \"Lima\"}", "f.jsonl:2: `country` is empty"),
    ] {
        let told = folder.error(format!("{good}{second}\n{good}"));
        assert!(told.contains(expected), "{second}: {told}");
    }
    let mut bytes = good.as_bytes().to_vec();
    bytes.extend(b"{\"country\": \"C\xf4te\"}\n");
    assert!(folder.error(bytes).contains("f.jsonl:2: byte 15 of the line is not UTF-8"));
    for empty in ["", "\n \r\n", "\u{feff}"] {
        assert_eq!(folder.error(empty), "f.jsonl: the file is empty");
    }
}

/// Labels are often written so: `"label": true`, `"label": 0`.
#[test]
fn answers_may_be_numbers_and_truth_values() {
    let folder = Folder::new();
    let rows = "{\"country\": \"a\", \"capital\": true}\n{\"country\": \"b\", \"capital\": 0}";
    let examples = load_file(&folder.write("f.jsonl", rows), &settings()).unwrap();
    let answers: Vec<&str> = examples.iter().map(|example| example.answer.as_str()).collect();
    assert_eq!(answers, ["true", "0"]);
}

#[test]
fn files_that_are_missing_or_of_another_kind_are_told() {
    let folder = Folder::new();
    let missing = folder.0.path().join("none.jsonl");
    let error = load_file(&missing, &settings()).unwrap_err();
    assert!(error.to_string().contains("none.jsonl"));
    assert!(std::error::Error::source(&error).is_some());
    let csv = folder.write("f.csv", "country,capital\n");
    let told = load_file(&csv, &settings()).unwrap_err().to_string();
    assert!(told.contains("unknown kind of data file\n  hint: known extensions: .jsonl"), "{told}");
}

#[test]
fn a_limit_keeps_the_first_examples_and_checks_all() {
    let folder = Folder::new();
    let rows =
        ["A", "B", "C"].map(|c| format!("{{\"country\": \"{c}\", \"capital\": \"{c}c\"}}\n"));
    let path = folder.write("f.jsonl", rows.concat());
    let limited = DataSettings { limit: Some(2), ..settings() };
    assert_eq!(pairs(&load_file(&path, &limited).unwrap()), [("A", "Ac", 1), ("B", "Bc", 2)]);
    let path = folder.write("f.jsonl", rows.concat() + "{}\n");
    assert!(load_file(&path, &limited).is_err());
}

#[test]
fn candidates_are_the_union_of_their_sources_in_order() {
    let folder = Folder::new();
    let row = |x: &str, z: &str| format!("{{\"country\": \"{x}\", \"capital\": \"{z}\"}}\n");
    let data = DataSettings {
        train: folder.write("train.jsonl", row("A", "Rome") + &row("B", "Lima")),
        dev: folder.write("dev.jsonl", row("C", "Oslo") + &row("D", "Rome")),
        test: Some(folder.write("test.jsonl", row("E", "Bern"))),
        ..settings()
    };
    let set = DataSet::load(&data).unwrap();
    assert_eq!(set.split(Split::Test).unwrap().len(), 1);
    assert_eq!(set.examples().count(), 5);
    let list = folder.write("words.txt", "\u{feff}Oslo\r\nNew York\r\n\r\nOslo\r\nParis");
    assert_eq!(words(&list).unwrap(), ["Oslo", "New York", "Paris"]);
    let gather = |sources: &[CandidateSource]| candidates(sources, &set).unwrap();
    let of = |words: &[&str]| Candidates::Words(words.iter().map(|&w| w.to_owned()).collect());
    let file = CandidateSource::File(list);
    assert_eq!(gather(&[CandidateSource::Dataset]), of(&["Rome", "Lima", "Oslo", "Bern"]));
    assert_eq!(
        gather(&[file.clone(), CandidateSource::Dataset]),
        of(&["Oslo", "New York", "Paris", "Rome", "Lima", "Bern"])
    );
    assert_eq!(gather(&[file, CandidateSource::Vocabulary]), Candidates::Vocabulary);
    let without = DataSet::load(&DataSettings { test: None, ..data }).unwrap();
    assert_eq!(without.split(Split::Test), None);
    assert_eq!(
        candidates(&[CandidateSource::Dataset], &without).unwrap(),
        of(&["Rome", "Lima", "Oslo"])
    );
    let empty = folder.write("none.txt", "\n");
    assert!(words(&empty).unwrap_err().to_string().ends_with("none.txt: the file is empty"));
}
