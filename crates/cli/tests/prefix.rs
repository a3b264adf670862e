//! Deep prompts from a config to an answer: keys and values in front of every layer.

mod common;

use common::{Folder, refused, stable};
use insta::assert_snapshot;

const TRAIN: &str =
    "train --config config.toml --quiet --set 'template.text=\"[prefix:3] capital of [x] is [z]\"'";

fn trained(kind: &str) -> Folder {
    let folder = Folder::new();
    let ran = folder.run(&format!("{TRAIN} --set prompt_encoder.kind={kind}"));
    assert_eq!(ran.code, Some(0), "{ran}");
    folder
}

#[test]
fn a_prefix_learns_answers_and_ships() {
    let _stable = stable();
    let folder = trained("mlp");
    let losses: Vec<f64> = folder
        .text("runs/tiny/metrics.csv")
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(2).unwrap().parse().unwrap())
        .collect();
    assert!(losses[losses.len() - 1] < losses[0], "{losses:?}");

    let from_run = folder.run("predict runs/tiny Britain --format json");
    assert_eq!(from_run.code, Some(0), "{from_run}");
    let exported = folder.run("export runs/tiny --format safetensors --out prompt.safetensors");
    assert_eq!(exported.code, Some(0), "{exported}");
    let from_file = folder.run("predict --prompt prompt.safetensors Britain --format json");
    assert_eq!(from_run.stdout, from_file.stdout, "{from_file}");
    let words = folder.run("predict --prompt prompt.safetensors Britain --generate --max-tokens 2");
    assert_eq!(words.code, Some(0), "{words}");

    let inspected = folder.run("inspect runs/tiny --example Britain").stdout;
    assert!(inspected.contains("[prefix:3] capital of [x] is [z]"), "{inspected}");
    assert!(!inspected.contains("p_0"), "no words are near keys and values: {inspected}");

    let again = folder.run("eval runs/tiny --split dev --format json");
    assert_eq!(again.code, Some(0), "{again}");
    let resumed = folder.run("resume runs/tiny --quiet");
    assert_eq!(resumed.code, Some(0), "{resumed}");

    let ran = folder.run("export runs/tiny --format peft --out adapter");
    assert_eq!(ran.code, Some(0), "{ran}");
    let config: serde_json::Value =
        serde_json::from_slice(&folder.read("adapter/adapter_config.json")).unwrap();
    assert_eq!(config["peft_type"], "PREFIX_TUNING");
    assert_eq!(config["num_virtual_tokens"], 3);
    assert_eq!(config["prefix_projection"], false);
    let width = config["num_attention_heads"].as_u64().unwrap();
    assert_eq!(config["token_dim"].as_u64().unwrap() % width, 0);
}

#[test]
fn the_language_model_may_learn_with_it() {
    let folder = Folder::new();
    let ran = folder.run(&format!(
        "{TRAIN} --set prompt_encoder.kind=direct --set train.strategy=prompt-and-lm --set lm.parts=lora"
    ));
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(folder.run("predict runs/tiny Britain").code, Some(0));
}

#[test]
fn what_is_no_prefix_is_told() {
    let _stable = stable();
    let folder = trained("direct");
    let set = |text: &str| {
        format!("train --config config.toml --name other --set 'template.text=\"{text}\"'")
    };
    let lines = [
        set("[x] is [prefix:3] [z]"),
        set("[prefix:3] capital [x] [h:2] [z]"),
        set("[prefix:none] [x] is [z]"),
        set("[prefix:3] [x] is [z]") + " --set prompt_encoder.kind=lstm",
        set("[prefix:3] [x] is [z]")
            + " --set prompt_encoder.kind=direct --set prompt_encoder.init=vocabulary",
        set("[prefix:3] [x] is [z]")
            + " --set prompt_encoder.kind=direct"
            + " --set train.strategy=fixed-prompt",
        "resume runs/tiny --set prompt_encoder.kind=mlp".to_owned(),
        "search gradient --config config.toml --layout '[prefix:3] [x] is [z]'".to_owned(),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_snapshot!(refused(&folder, "", &lines), @r#"
    $ train --config config.toml --name other --set 'template.text="[x] is [prefix:3] [z]"'
    error: --set template.text="[x] is [prefix:3] [z]": `template.text`: template, column 8: a prefix stands in front of everything: write [prefix:…] first
      | [x] is [prefix:3] [z]
      |        ^

    $ train --config config.toml --name other --set 'template.text="[prefix:3] capital [x] [h:2] [z]"'
    error: --set template.text="[prefix:3] capital [x] [h:2] [z]": `template.text`: template, column 24: a prefix is all that a template learns; drop this, or drop [prefix:…] for virtual tokens
      | [prefix:3] capital [x] [h:2] [z]
      |                        ^

    $ train --config config.toml --name other --set 'template.text="[prefix:none] [x] is [z]"'
    error: --set template.text="[prefix:none] [x] is [z]": `template.text`: template, column 9: expected a number of virtual tokens from 1 to 1024, found 'none'
      | [prefix:none] [x] is [z]
      |         ^

    $ train --config config.toml --name other --set 'template.text="[prefix:3] [x] is [z]"' --set prompt_encoder.kind=lstm
    error: prompt_encoder.kind: [prefix:…] is learned as it is ("direct") or through an MLP ("mlp"), found "lstm"

    $ train --config config.toml --name other --set 'template.text="[prefix:3] [x] is [z]"' --set prompt_encoder.kind=direct --set prompt_encoder.init=vocabulary
    error: prompt_encoder.init: a [prefix:…] of kind "direct" is keys and values, which no word has in the vocabulary; expected "normal"
    hint: kind = "mlp" starts from words

    $ train --config config.toml --name other --set 'template.text="[prefix:3] [x] is [z]"' --set prompt_encoder.kind=direct --set train.strategy=fixed-prompt
    error: template.text: the strategy 'fixed-prompt' leaves the prompt as it is, but the template has virtual tokens
    hint: write plain words, as in "The capital of [x] is [z]", or let both learn: prompt-and-lm

    $ resume runs/tiny --set prompt_encoder.kind=mlp
    error: --set prompt_encoder.kind=mlp: `prompt_encoder.kind` of a run that is there cannot change
    hint: `ptune train` with another --name makes a run with it

    $ search gradient --config config.toml --layout '[prefix:3] [x] is [z]'
    error: --layout: a [prefix:…] is keys and values of every layer, which no words stand for
    "#);
}
