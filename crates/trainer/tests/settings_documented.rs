//! `configs/lama.toml` is the reference of the settings: it must name every key, name no other, and
//! tell the true defaults; every config of the repository must load, and fit the schema for editors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use trainer::settings::{self, Documented, Settings, Shape, TextSettings};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn flat(table: &toml::Table, prefix: &str) -> BTreeMap<String, toml::Value> {
    let mut all = BTreeMap::new();
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) if prefix.is_empty() => {
                all.extend(flat(inner, &format!("{key}.")));
            }
            _ => {
                all.insert(format!("{prefix}{key}"), value.clone());
            }
        }
    }
    all
}

#[test]
fn every_key_is_documented_once_and_nothing_else_is() {
    let all = settings::documentation();
    let mut documented: Vec<&str> = all.iter().map(|documented| documented.key.as_str()).collect();
    documented.retain(|key| !key.starts_with("text."));
    let mut keys = settings::keys();
    documented.sort();
    keys.sort();
    assert!(keys.len() > 35, "{keys:?}");
    assert_eq!(documented, keys);
}

#[test]
fn documented_defaults_are_the_defaults() {
    let least = "[backbone]\nsource = \"b\"\n[data]\npath = \"d\"\n[template]\ntext = \"[x] [z]\"\n\
         [verbalizer]\nlabels = { a = \"b\", c = \"d\" }\n";
    let resolved = settings::from_toml_str(least, Path::new("least.toml"), &[]).unwrap();
    let resolved = flat(&resolved.to_toml().unwrap().parse().unwrap(), "");
    let mut compared = 0;
    for Documented { key, description, takes, shape, default, default_value, .. } in
        settings::documentation()
    {
        assert!(description.len() > 10 && !default.is_empty(), "{key}: {description} {default}");
        assert!(shape != Shape::Any && takes.len() > 3, "{key}: {takes}");
        let Some(told) = default_value.filter(|_| !key.starts_with("text.")) else { continue };
        let given = match &resolved[&key] {
            // One candidate source is written as a list of one.
            toml::Value::Array(one) if key == "data.candidates" => one[0].clone(),
            value => value.clone(),
        };
        assert_eq!(serde_json::to_value(given).unwrap(), told, "{key}");
        compared += 1;
    }
    assert!(compared >= 24, "{compared}");
}

#[test]
fn commented_out_keys_are_valid_when_uncommented() {
    let path = repository().join("configs/lama.toml");
    let typed = [
        "data.limit=32",
        "data.shots=16",
        "verbalizer.labels={ positive = [\"fantastic\", \"great\"], negative = [\"boring\", \"bad\"] }",
        "verbalizer.aggregate=mean",
        "verbalizer.weights={ great = 2.0 }",
        "verbalizer.calibration=contextual",
        "verbalizer.content_free=[\"N/A\"]",
        "prompt_encoder.kind=lstm",
        "prompt_encoder.init=normal",
        "prompt_encoder.hidden=576",
        "prompt_encoder.std=1.0",
        "train.strategy=prompt-and-lm",
        "lm.parts=lora",
        "lm.lr=1e-5",
        "lm.layers=4",
        "lm.rank=8",
        "lm.alpha=16.0",
        "lm.modules=[\"q_proj\", \"v_proj\"]",
        "train.schedule=exponential",
        "train.gamma=0.98",
        "train.clip_norm=1.0",
        "train.patience=20",
        "train.save_every=500",
    ];
    settings::load(&path, &typed.map(str::to_owned)).unwrap();
}

#[test]
fn keys_of_whole_answers_are_valid_together_and_kept() {
    let path = repository().join("configs/lama.toml");
    let typed =
        ["eval.answers=all", "eval.scoring=left-to-right", "eval.length_normalisation=false"];
    let settings = settings::load(&path, &typed.map(str::to_owned)).unwrap();
    let toml = settings.to_toml().unwrap();
    assert!(toml.contains("answers = \"all\"") && toml.contains("scoring = \"left-to-right\""));
    assert_eq!(settings::from_toml_str(&toml, &path, &[]).unwrap(), settings);
    let plain = settings::load(&path, &[]).unwrap();
    assert_eq!(settings::from_toml_str(&plain.to_toml().unwrap(), &path, &[]).unwrap(), plain);
}

/// The defaults that the documentation of [spans] tells, and what the section settles elsewhere.
#[test]
fn spans_are_settled_and_kept() {
    let least = "[backbone]\nsource = \"b\"\n[data]\npath = \"d\"\n[template]\ntext = \"[x] [x:span] [z]\"\n\
         [verbalizer]\nlabels = { city = \"b\", none = \"d\" }\n[spans]\n";
    let load = |text: &str| settings::from_toml_str(text, Path::new("least.toml"), &[]);
    let settings = load(least).unwrap();
    let spans = settings.spans.clone().unwrap();
    assert_eq!((spans.tokens.as_str(), spans.entities.as_str()), ("tokens", "entities"));
    assert_eq!((spans.rules.longest, spans.rules.none.as_str(), spans.negatives), (4, "none", 1.5));
    let text = std::fs::read_to_string(repository().join("configs/lama.toml")).unwrap();
    assert!(text.contains(&format!("Default: {} English", spans.rules.stop_words.len())));
    let inputs = [("span", "entities"), ("x", "tokens")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(settings.data.inputs, inputs.into());
    assert_eq!(load(&settings.to_toml().unwrap()).unwrap(), settings);

    let given = "tokens = \"words\"\nentities = \"tags\"\nnone = \"city\"\nlongest = 2\n\
         stop_words = []\nnegatives = 0\n";
    let settings = load(&format!("{least}{given}")).unwrap();
    let spans = settings.spans.as_ref().unwrap();
    assert_eq!((spans.rules.longest, spans.rules.stop_words.len(), spans.negatives), (2, 0, 0.0));
    assert_eq!(load(&settings.to_toml().unwrap()).unwrap(), settings);
}

#[test]
fn every_config_of_the_repository_loads_from_anywhere() {
    let mut names = Vec::new();
    // Some are for data that a user brings: a folder of its files stands for it.
    let folder = tempfile::tempdir().unwrap();
    for file in ["train", "dev", "test", "dev32", "val"] {
        std::fs::write(folder.path().join(file).with_extension("jsonl"), "").unwrap();
    }
    let brought = format!("data.path={:?}", folder.path());
    for entry in std::fs::read_dir(repository().join("configs")).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with("adapt-bert.toml") {
            continue;
        }
        if path.extension().is_some_and(|extension| extension == "toml") {
            // Tests run in the folder of their crate: the data is found through the config's own.
            let brings = std::fs::read_to_string(&path).unwrap().contains("--set data.path=my/");
            let overrides: Vec<String> = brings.then(|| brought.clone()).into_iter().collect();
            let settings =
                settings::load(&path, &overrides).unwrap_or_else(|error| panic!("{error}"));
            assert!(settings.data.train.is_file());
            assert!(settings.data.test.is_some());
            assert!(settings.eval.manual.is_some());
            names.push(settings.name);
        }
    }
    names.sort();
    assert!(names.len() >= 4, "{names:?}");
    let unique: std::collections::BTreeSet<&String> = names.iter().collect();
    assert_eq!(unique.len(), names.len(), "two configs share a run folder: {names:?}");
}

/// The keys of a suite stand in its reference, each with what it does and its default; and every suite of the
/// repository loads.
#[test]
fn suites_are_documented_and_load() {
    let folder = repository().join("configs/suites");
    let text = std::fs::read_to_string(folder.join("lama.toml")).unwrap();
    let told = |key: &str| {
        let starts = [format!("\n{key} = "), format!("\n[[{key}]]\n")];
        let place = starts.iter().find_map(|start| text.find(start.as_str()));
        let above = text[..place.unwrap_or_else(|| panic!("{key} is not there"))].lines().rev();
        above
            .take_while(|line| line.starts_with("# "))
            .any(|line| line.starts_with("# Default: ") || line.starts_with("# Required"))
    };
    let keys = settings::suite_keys();
    assert!(keys.len() >= 10, "{keys:?}");
    for key in keys {
        assert!(told(key), "{key} is not documented");
    }
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let suite = settings::load_suite(&path, &[]).unwrap_or_else(|error| panic!("{error}"));
        assert!(suite.cells.len() >= suite.tasks.len() * suite.variants.len() * suite.seeds.len());
        assert!(suite.cells.iter().all(|cell| cell.settings.eval.manual.is_some()));
    }
}

/// The keys of an adaptation are documented where they differ, and its config loads but for the text,
/// which is the user's.
#[test]
fn adaptations_are_documented_too() {
    let path = repository().join("configs/adapt-bert.toml");
    let all = settings::documentation();
    for key in settings::adapt_keys() {
        assert!(all.iter().any(|documented| documented.key == key), "{key} is documented nowhere");
    }
    let text = all.iter().filter(|documented| documented.section() == "text");
    assert_eq!(text.count(), 5);
    let error = settings::load_adapt(&path, &[]).unwrap_err().to_string();
    assert!(error.contains("text.path") && error.contains("text.txt.gz"), "{error}");
    let text = tempfile::NamedTempFile::new().unwrap();
    let text = format!("text.path={:?}", text.path());
    let settings = settings::load_adapt(&path, &[text]).unwrap();
    assert_eq!(settings.text.mask, 0.15);
    let toml = settings.to_toml().unwrap();
    let again = settings::adapt_from_toml_str(&toml, Path::new("config.toml"), &[]).unwrap();
    assert_eq!(again, settings);
    let least = "[backbone]\nsource = \"b\"\n[text]\npath = \"t\"\n";
    let least = settings::adapt_from_toml_str(least, Path::new("least.toml"), &[]).unwrap();
    let TextSettings { dev, max_tokens, mask, limit, .. } = least.text;
    assert_eq!((dev, max_tokens, mask, limit), (1000, 64, 0.15, None));
}

#[test]
fn the_main_job_is_the_one_of_the_readme() {
    let settings: Settings = settings::load(&repository().join("configs/lama.toml"), &[]).unwrap();
    assert_eq!(settings.template.text, "[h:3] capital [x] [h:3] [z]");
    assert_eq!(settings.eval.manual.as_deref(), Some("The capital of [x] is [z]"));
    assert_eq!(settings.backbone.source, "smollm2-135m");
    assert_eq!((settings.train.lr, settings.train.batch_size, settings.train.epochs), (1e-3, 8, 8));
    assert_eq!(settings.seed, 0);
}
