//! `ptune config` and `ptune init`: what is told of keys, and configs to begin with.

mod common;

use common::{Folder, refused, stable};
use insta::assert_snapshot;

#[test]
fn a_key_is_told_with_its_values_its_default_and_an_example() {
    let folder = Folder::new();
    assert_snapshot!(folder.run("config train.gamma"), @r#"
    exit 0
    --- stdout
    train.gamma
      Factor of the schedule "exponential" per epoch. Above 0, at most 1.
      takes:   a number above 0, at most 1
      default: 0.98
      example: [train] gamma = 0.98
    --- stderr
    "#);
    assert_snapshot!(folder.run("config data.test"), @r#"
    exit 0
    --- stdout
    data.test
      File of the test split, where it is not the folder's test.jsonl.
      takes:   the path of a file or folder that is there
      default: `path`/test.jsonl, if it is there
      example: [data] test = "my/test.jsonl"
    --- stderr
    "#);
    assert_snapshot!(folder.run("config seed"), @"
    exit 0
    --- stdout
    seed
      Seed of everything random: start of the prompt, order of the examples. A whole number from 0.
      takes:   a whole number, at least 0
      default: 0
      example: seed = 0
    --- stderr
    ");
    let section = folder.run("config spans");
    assert!(section.stdout.starts_with("[spans]\n  A section [spans] makes"), "{section}");
    assert!(section.stdout.contains("\nspans.negatives\n  Spans without an entity"), "{section}");
    let widest = section.stdout.lines().map(|line| line.chars().count()).max();
    assert!(widest.is_some_and(|widest| widest <= 96), "{section}");
}

#[test]
fn all_keys_are_listed_by_section() {
    let folder = Folder::new();
    let all = folder.run("config");
    assert_eq!((all.code, all.stderr.as_str()), (Some(0), ""), "{all}");
    let json = folder.run("config --format json").json();
    let keys = json.as_array().unwrap();
    assert!(keys.len() > 80, "{}", keys.len());
    let mut lines = all.stdout.lines();
    for key in keys {
        let (section, name) = match key["key"].as_str().unwrap().rsplit_once('.') {
            Some((section, name)) => (Some(format!("[{section}]")), name),
            None => (None, key["key"].as_str().unwrap()),
        };
        let line = lines.find(|line| line.trim_start().starts_with(&format!("{name} ")));
        assert!(line.is_some(), "{name}: {all}");
        assert!(section.is_none_or(|section| all.stdout.contains(&section)), "{key}");
    }
    let lr = folder.run("config train.lr --format json").json();
    assert_eq!(lr[0]["default_value"], 0.001);
    assert_eq!(lr[0]["takes"], "a number above 0");
}

#[test]
fn the_schema_is_for_editors() {
    let schema = Folder::new().run("config --schema").json();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let lr = &schema["properties"]["train"]["properties"]["lr"];
    assert_eq!((&lr["exclusiveMinimum"], &lr["default"]), (&0.0.into(), &0.001.into()));
    let kinds = &schema["properties"]["prompt_encoder"]["properties"]["kind"]["enum"];
    assert_eq!(kinds, &serde_json::json!(["lstm", "mlp", "direct"]));
}

#[test]
fn keys_that_are_none_are_refused_with_the_nearest() {
    let _stable = stable();
    let lines = [
        "train.learning_rate",
        "trian",
        "train.epoch",
        "lr",
        "colour",
        "train.lr --schema",
        "--format yaml",
    ];
    assert_snapshot!(refused(&Folder::new(), "config", &lines), @"
    $ train.learning_rate
    error: no key or section `train.learning_rate`
    hint: did you mean `train.lr`?

    $ trian
    error: no key or section `trian`
    hint: did you mean `train`?

    $ train.epoch
    error: no key or section `train.epoch`
    hint: did you mean `train.epochs`?

    $ lr
    error: no key or section `lr`
    hint: did you mean `train.lr`?

    $ colour
    error: no key or section `colour`
    hint: `ptune config` lists them all

    $ train.lr --schema
    error: the argument '[KEY]' cannot be used with '--schema'

    $ --format yaml
    error: invalid value 'yaml' for '--format <FORMAT>'
      [possible values: table, json]
    ");
}

#[test]
fn starters_are_listed_and_written_once() {
    let _stable = stable();
    let folder = Folder::new();
    assert_snapshot!(folder.run("init"), @"
    exit 0
    --- stdout
    facts      One word that completes a statement: facts, as in LAMA
    labels     A text that has one of a few labels
    pair       Two texts, and a label of how they go together
    entities   Sentences, and what is named in them
    adapt      A text that a language model itself learns from
    --- stderr
    ");
    assert_snapshot!(folder.run("init facts"), @"
    exit 0
    --- stdout
    ptune.toml
    --- stderr

    next: say in it where your data is, then
      ptune validate ptune.toml
    ");
    let written = folder.text("ptune.toml");
    assert!(written.contains("ptune train --config ptune.toml"), "{written}");
    assert_eq!(folder.run("init facts --out -").stdout, written);
    let lines = ["labels", "facts --out data", "fact"];
    assert_snapshot!(refused(&folder, "init", &lines), @"
    $ labels
    error: ptune.toml: a file is there already; it is not overwritten
    hint: --out FILE writes beside it, --force replaces it

    $ facts --out data
    error: data: a folder is there already; it is not overwritten
    hint: --out FILE names a file

    $ fact
    error: invalid value 'fact' for '[KIND]'
      [possible values: facts, labels, pair, entities, adapt]

      tip: a similar value exists: 'facts'
    ");
    assert_eq!(folder.text("ptune.toml"), written);
    assert_eq!(folder.run("init labels --out no/where.toml").stdout, "no/where.toml\n");
    let forced = folder.run("init labels --force --out ptune.toml");
    assert_eq!(forced.code, Some(0), "{forced}");
    assert!(folder.text("ptune.toml").contains("[verbalizer]"));
}

/// Words of the tiny T5 for the labels of a starter, and rows of its data.
const STARTERS: [(&str, &str, &[&str]); 4] = [
    (
        "facts",
        "",
        &[
            r#"{"subject": "France", "object": "Paris"}"#,
            r#"{"subject": "Italy", "object": "Rome"}"#,
        ],
    ),
    (
        "labels",
        "--set 'verbalizer.labels={ positive = \"Rome\", negative = \"Oslo\" }'",
        &[
            r#"{"text": "the capital", "label": "positive"}"#,
            r#"{"text": "in", "label": "negative"}"#,
        ],
    ),
    (
        "pair",
        "--set 'verbalizer.labels={ entailment = \"Rome\", contradiction = \"Oslo\", neutral = \"Paris\" }'",
        &[
            r#"{"premise": "the capital", "hypothesis": "rome", "label": "entailment"}"#,
            r#"{"premise": "italy", "hypothesis": "in", "label": "neutral"}"#,
        ],
    ),
    (
        "entities",
        "--set 'verbalizer.labels={ person = \"Rome\", location = \"Oslo\", none = \"Paris\" }'",
        &[
            r#"{"tokens": ["paris", "is", "in", "france"], "entities": ["B-person", "O", "O", "B-location"]}"#,
            r#"{"tokens": ["the", "capital"], "entities": []}"#,
        ],
    ),
];

/// Beside its data, with a tiny backbone in the place of the one that it names, of no fixed length, and words of its
/// vocabulary.
#[test]
fn every_starter_is_valid_once_its_data_is_there() {
    for (kind, words, rows) in STARTERS {
        let folder = Folder::new();
        folder.copy_model("tiny_t5", "tiny_t5");
        for split in ["train", "dev", "test"] {
            folder.write(&format!("data/{split}.jsonl"), rows.join("\n"));
        }
        assert_eq!(folder.run(&format!("init {kind}")).code, Some(0), "{kind}");
        let before = folder.tree();
        let line = format!("validate ptune.toml --set backbone.source=tiny_t5 {words}");
        let ran = folder.run(&line);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{kind}: {ran}");
        assert!(ran.stdout.contains("one batch of"), "{ran}");
        assert!(folder.tree() == before, "{kind}: wrote something");
    }
}

#[test]
fn the_starter_of_adaptations_is_valid_once_its_text_is_there() {
    let folder = Folder::new();
    folder.copy_model("tiny_bert", "tiny_bert");
    folder.write("text.txt", "the capital of italy is rome .\n".repeat(12));
    assert_eq!(folder.run("init adapt").code, Some(0));
    let before = folder.tree();
    let line = "validate ptune.toml --set backbone.source=tiny_bert --set text.dev=4";
    let ran = folder.run(line);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran}");
    assert!(folder.tree() == before);
}
