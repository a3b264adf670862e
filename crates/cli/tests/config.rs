//! `ptune config`: what is told of keys.

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
