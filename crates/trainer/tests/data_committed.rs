//! The data sets of the repository: counts, leaks, and that the scripts still make them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const SPLITS: [&str; 3] = ["train", "dev", "test"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn rows(set: &str, split: &str) -> Vec<BTreeMap<String, Value>> {
    let path = repository().join("datasets").join(set).join(split).with_extension("jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n') && !text.contains('\r'));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_readme_counts_the_rows() {
    let readme = std::fs::read_to_string(repository().join("datasets/README.md")).unwrap();
    for set in ["lama/P36", "lama/P1376", "lama/P30", "capitals", "entities"] {
        let line = readme.lines().find(|line| line.starts_with(&format!("| `{set}`"))).unwrap();
        let counts: Vec<usize> =
            line.split('|').filter_map(|cell| cell.trim().parse().ok()).collect();
        assert_eq!(counts, SPLITS.map(|split| rows(set, split).len()), "{set}");
    }
    let all: Vec<_> = SPLITS.iter().flat_map(|split| rows("capitals", split)).collect();
    let aliases = all.iter().filter(|row| row.contains_key("alias_of")).count();
    assert!(readme.contains(&format!("{} countries and territories", all.len() - aliases)));
    assert!(readme.contains(&format!("{aliases} everyday names")));
}

#[test]
fn no_country_is_in_two_splits_under_any_name() {
    let mut homes: BTreeMap<String, &str> = BTreeMap::new();
    for split in SPLITS {
        let rows = rows("capitals", split);
        let countries: BTreeSet<&str> =
            rows.iter().map(|r| r["country"].as_str().unwrap()).collect();
        assert_eq!(countries.len(), rows.len(), "{split} names a country twice");
        for row in &rows {
            for key in ["country", "code", "alias_of"] {
                let Some(name) = row.get(key).and_then(Value::as_str) else {
                    continue;
                };
                let home = homes.entry(name.to_lowercase()).or_insert(split);
                assert_eq!(*home, split, "{name} is in {home} and {split}");
            }
            if let Some(named) = row.get("alias_of").and_then(Value::as_str) {
                assert!(countries.contains(named), "{named} is not in {split}");
            }
        }
    }
    assert!(homes.contains_key("britain"));
}

/// Neither a name nor what stands around names is in two splits.
#[test]
fn entities_of_test_cannot_be_known_by_heart() {
    let mut homes: BTreeMap<String, &str> = BTreeMap::new();
    let readme = std::fs::read_to_string(repository().join("datasets/README.md")).unwrap();
    let mut counts = Vec::new();
    for split in SPLITS {
        let rows = rows("entities", split);
        let mut entities = 0;
        for row in &rows {
            let words: Vec<&str> = row["tokens"]
                .as_array()
                .unwrap()
                .iter()
                .map(|word| word.as_str().unwrap())
                .collect();
            let mut pattern: Vec<&str> = words.clone();
            for entity in row["entities"].as_array().unwrap().iter().rev() {
                let end = |key: &str| entity[key].as_u64().unwrap() as usize;
                let name = words[end("start")..end("end")].join(" ");
                assert_eq!(*homes.entry(name).or_insert(split), split, "{words:?}");
                pattern.splice(end("start")..end("end"), [entity["label"].as_str().unwrap()]);
                entities += 1;
            }
            assert_eq!(*homes.entry(pattern.join(" ")).or_insert(split), split, "{words:?}");
        }
        counts.push(entities.to_string());
    }
    let [train, dev, test] = counts.as_slice() else { panic!("{counts:?}") };
    assert!(readme.contains(&format!("{train}, {dev} and {test} entities")), "{counts:?}");
}

#[test]
fn lama_holds_fact_pairs_and_nothing_else() {
    for set in ["lama/P36", "lama/P1376", "lama/P30"] {
        for split in SPLITS {
            for row in rows(set, split) {
                let keys: Vec<&str> = row.keys().map(String::as_str).collect();
                let with_ids = ["obj_label", "obj_uri", "sub_label", "sub_uri"];
                assert!(keys == with_ids || keys == ["obj_label", "sub_label"], "{keys:?}");
            }
        }
    }
    for forbidden in ["common_vocab_cased.txt", "relations.jsonl", "prompts"] {
        assert!(!repository().join("datasets/lama").join(forbidden).exists());
    }
}

/// Runs a script on a source that an environment variable names, and compares what it makes with
/// what is committed. Without the variable there is nothing to compare.
fn script_makes(script: &str, variable: &str, folder: &str, sets: &[&str]) {
    let Some(source) = std::env::var_os(variable) else {
        eprintln!("skipped: {variable} names no source");
        return;
    };
    let out = tempfile::tempdir().unwrap();
    let ran = Command::new("python3")
        .arg(repository().join("scripts/datasets").join(script))
        .arg(source)
        .arg("--out")
        .arg(out.path())
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    for set in sets {
        for split in SPLITS {
            let file = Path::new(set).join(split).with_extension("jsonl");
            let made = std::fs::read(out.path().join(&file)).unwrap();
            let kept = std::fs::read(repository().join(folder).join(&file)).unwrap();
            assert!(made == kept, "{} is not what {script} makes", file.display());
        }
    }
}

#[test]
fn lama_is_what_its_script_makes() {
    script_makes("lama.py", "PTUNE_LAMA", "datasets/lama", &["P36", "P1376", "P30"]);
}

/// Its source is the repository itself.
#[test]
fn entities_are_what_their_script_makes() {
    let out = tempfile::tempdir().unwrap();
    let script = repository().join("scripts/datasets/entities.py");
    let mut command = Command::new("python3");
    command.arg(script).arg(repository().join("datasets/capitals")).arg("--out").arg(out.path());
    let Ok(ran) = command.output() else {
        eprintln!("skipped: no python3");
        return;
    };
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    for split in SPLITS {
        let file = Path::new(split).with_extension("jsonl");
        let made = std::fs::read(out.path().join(&file)).unwrap();
        let kept = std::fs::read(repository().join("datasets/entities").join(&file)).unwrap();
        assert!(made == kept, "{} is not what entities.py makes", file.display());
    }
}

#[test]
fn capitals_are_what_their_script_makes() {
    script_makes("capitals.py", "PTUNE_COUNTRIES_CSV", "datasets/capitals", &[""]);
}
