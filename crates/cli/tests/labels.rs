//! Answers that are labels: words stand for them, in training, evaluation, prediction and exports.

mod common;

use common::{Folder, refused, stable};
use insta::assert_snapshot;

const CONFIG: &str = r#"name = "labels"
runs = "runs"
[backbone]
source = "tiny_llama"
[data]
path = "labelled"
answer = "label"
[template]
text = "[h:2] capital of [x] is [z]"
[verbalizer]
labels = { europe = ["London", "Paris", "Rome", "Oslo"], elsewhere = ["Cairo", "Delhi"] }
calibration = "contextual"
content_free = ["Th", "capital"]
[prompt_encoder]
kind = "direct"
[train]
lr = 3e-2
epochs = 40
batch_size = 3
[eval]
manual = "The capital of [x] is [z]"
"#;

fn folder() -> Folder {
    let folder = Folder::new();
    let rows = [
        ("Britain", "europe"),
        ("Egypt", "elsewhere"),
        ("France", "europe"),
        ("India", "elsewhere"),
        ("Italy", "europe"),
        ("Norway", "europe"),
    ];
    let rows: String =
        rows.iter().map(|(x, z)| format!("{{\"x\": \"{x}\", \"label\": \"{z}\"}}\n")).collect();
    for split in ["train", "dev", "test"] {
        folder.write(&format!("labelled/{split}.jsonl"), &rows);
    }
    folder.write("labels.toml", CONFIG);
    folder
}

#[test]
fn a_template_is_judged_with_and_without_its_prior() {
    let _stable = stable();
    assert_snapshot!(folder().run("eval --config labels.toml --split test"), @r#"
    exit 0
    --- stdout
    test: 6 of 6 examples, 2 labels
      europe = London, Paris, Rome, Oslo; elsewhere = Cairo, Delhi
                   accuracy macro F1    loss
      manual [n] [n] [n]  The capital of [x] is [z]
      uncalibrated [n] [n] [n]  The capital of [x] is [z]
      majority [n]        -       -  always "europe"
    --- stderr
    backbone tiny_llama (llama, 24 wide, 97 words) on flex, loaded in [n] s
    "#);
}

#[test]
fn labels_are_learned_and_predicted_the_same_from_run_and_export() {
    let folder = folder();
    let ran = folder.run("train --config labels.toml --quiet");
    assert_eq!(ran.code, Some(0), "{ran}");
    let metrics = folder.text("runs/labels/metrics.jsonl");
    let metrics =
        metrics.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let losses: Vec<f64> = metrics.filter_map(|metric| metric["train_loss"].as_f64()).collect();
    assert!(losses[39] < 0.7 * losses[0], "{} and {}", losses[0], losses[39]);
    let evaluation = folder.run("eval runs/labels --split test --format json").json();
    let prompt = &evaluation[0]["prompt"];
    assert!(prompt["p1"].as_f64().unwrap() > 0.8, "{evaluation}");
    assert!(prompt["macro_f1"].as_f64().unwrap() > 0.7, "{evaluation}");

    let predicted = folder.run("predict runs/labels France Egypt --format json").json();
    assert_eq!(predicted[0]["filled"], "[h:2] capital of France is [z]");
    assert_eq!(predicted[0]["labels"][0]["label"], "europe");
    assert_eq!(predicted[0]["answers"].as_array().unwrap().len(), 6);
    let sum = |list: &serde_json::Value| -> f64 {
        list.as_array().unwrap().iter().map(|one| one["probability"].as_f64().unwrap()).sum()
    };
    assert!((sum(&predicted[1]["answers"]) - 1.0).abs() < 1e-5, "{predicted}");
    assert!((sum(&predicted[1]["labels"]) - 1.0).abs() < 1e-5, "{predicted}");

    let line = "predict --prompt runs/labels/prompt.safetensors France Egypt --format json";
    assert_eq!(folder.run(line).json(), predicted);

    let table = folder.run("predict runs/labels France --top 2").stdout;
    assert!(table.starts_with("France\n  [h:2] capital of France is [z]\n"), "{table}");
    assert!(table.lines().nth(4).unwrap().starts_with("→ "), "{table}");
}

#[test]
fn a_resumed_run_keeps_its_labels() {
    let folder = folder();
    let whole = folder.run("train --config labels.toml --quiet --name whole --set train.epochs=4");
    assert_eq!(whole.code, Some(0), "{whole}");
    let half = folder.run("train --config labels.toml --quiet --name half --set train.epochs=2");
    assert_eq!(half.code, Some(0), "{half}");
    let rest = folder.run("resume runs/half --quiet --set train.epochs=4");
    assert_eq!(rest.stdout, whole.stdout, "{rest}");
    let path = "last.safetensors";
    let tensors = |run: &str| folder.tensors(&format!("runs/{run}/{path}"));
    assert_eq!(tensors("half"), tensors("whole"));
    let refused = folder.run("resume runs/half --set verbalizer.aggregate=max");
    assert_eq!(refused.code, Some(2), "{refused}");
    assert!(refused.stderr.contains("of a run that is there cannot change"), "{refused}");
}

#[test]
fn few_examples_of_each_label() {
    let folder = folder();
    let ran = folder.run("train --config labels.toml --set data.shots=1 --set train.epochs=1");
    assert_eq!(ran.code, Some(0), "{ran}");
    assert!(ran.stderr.contains("train 2 of 2 examples\ndev   2 of 2 examples"), "{ran}");
    assert!(ran.stdout.contains("test: 6 of 6 examples"), "{ran}");
}

#[test]
fn mistakes_about_labels_are_told() {
    let folder = folder();
    folder.write("labelled/odd.jsonl", "{\"x\": \"Italy\", \"label\": \"europa\"}\n");
    let lines = [
        "--set 'data.train=\"labelled/odd.jsonl\"'",
        "--set 'verbalizer.labels={ europe = [\"Lisbon\"], elsewhere = [\"Cairo\"] }'",
        "--set 'verbalizer.labels={ europe = [\"London\"], elsewhere = [] }'",
        "--set 'verbalizer.labels={ europe = [\"London\"], elsewhere = [\"Rome\", \"London\"] }'",
        "--set 'verbalizer.weights={ Madrid = 2 }'",
        "--set verbalizer.calibration=contextal",
        "--set data.candidates=vocabulary",
    ];
    assert_snapshot!(refused(&folder, "train --config labels.toml", &lines), @r#"
    $ --set 'data.train="labelled/odd.jsonl"'
    error: labelled/odd.jsonl:1: `label`: expected one of the labels 'europe', 'elsewhere', found 'europa'
    hint: did you mean 'europe'?

    $ --set 'verbalizer.labels={ europe = ["Lisbon"], elsewhere = ["Cairo"] }'
    error: verbalizer.labels: the word 'Lisbon' of the label 'europe' is 5 tokens here (Ġ + L + is + <unk> + on)
    hint: a label word has to be one token of the backbone's tokenizer, such as a frequent word

    $ --set 'verbalizer.labels={ europe = ["London"], elsewhere = [] }'
    error: labels.toml:11:10: `verbalizer.labels`: expected a table from labels to words, such as { positive = ["great"], negative = ["bad", "boring"] }, found a table

    $ --set 'verbalizer.labels={ europe = ["London"], elsewhere = ["Rome", "London"] }'
    error: labels.toml:11:10: `verbalizer.labels`: expected a word to stand for one label, once, found `London` for `europe` and again for `elsewhere`

    $ --set 'verbalizer.weights={ Madrid = 2 }'
    error: --set verbalizer.weights={ Madrid = 2 }: `verbalizer.weights` has no effect with `Madrid`, which stands for no label

    $ --set verbalizer.calibration=contextal
    error: 2 problems in the settings
    labels.toml:13:16: `verbalizer.content_free` has no effect with any calibration but `contextual`
    --set verbalizer.calibration=contextal: `verbalizer.calibration`: expected one of `none`, `contextual`, `train`, found the text "contextal"
      hint: did you mean `contextual`?

    $ --set data.candidates=vocabulary
    error: --set data.candidates=vocabulary: `data.candidates` has no effect with labels: their words are what may be answered
    "#);
    let one = CONFIG.replace(", elsewhere = [\"Cairo\", \"Delhi\"]", "");
    folder.write("one.toml", one);
    assert_snapshot!(folder.run("train --config one.toml"), @r"
    exit 2
    --- stdout
    --- stderr
    error: one.toml:11:10: `verbalizer.labels`: expected two labels or more, found 1
    ");
    let line = "train --config config.toml --set data.shots=3 --set verbalizer.aggregate=max";
    assert_snapshot!(folder.run(line), @r"
    exit 2
    --- stdout
    --- stderr
    error: 2 problems in the settings
    --set verbalizer.aggregate=max: `verbalizer.aggregate` has no effect with answers that are words: there are no `verbalizer.labels`
    --set data.shots=3: `data.shots` has no effect with answers that are no labels
    ");
}

#[test]
fn words_of_several_tokens_are_judged_but_not_trained_with() {
    let folder = folder();
    let words = "--set 'verbalizer.labels={ europe = [\"London\", \"Paris of Paris\"], elsewhere = [\"Cairo\"] }'";
    let line = "eval --config labels.toml --split test --format json";
    let several = folder.run(&format!("{line} {words}")).json();
    let one = folder.run(&format!("{line} {}", words.replace(" of Paris", ""))).json();
    let labels = "europe = London, Paris of Paris; elsewhere = Cairo";
    assert_eq!(several[0]["labels"], labels);
    let loss = |judged: &serde_json::Value, row: &str| judged[0][row]["loss"].as_f64().unwrap();
    assert_ne!(loss(&several, "uncalibrated"), loss(&one, "uncalibrated"));
    assert_ne!(loss(&several, "manual"), loss(&one, "manual"));
    let trained = folder.run(&format!("train --config labels.toml {words}"));
    assert_eq!(trained.code, Some(2), "{trained}");
    assert!(trained.stderr.contains("is 3 tokens here"), "{trained}");
}

/// Label vectors, and word weights, behind a template of words: nothing else learns.
#[test]
fn what_learns_of_labels_alone_is_kept_and_shipped() {
    let folder = folder();
    let words = "--set 'template.text=\"The capital of [x] is [z]\"' --set train.epochs=6 --quiet";
    let soft = "--set verbalizer.kind=soft --set verbalizer.calibration=none";
    // Inputs that say nothing go with a calibration.
    folder.write("labels.toml", CONFIG.replace("content_free = [\"Th\", \"capital\"]\n", ""));
    let weights = "--set verbalizer.learn_weights=true --set verbalizer.lr=0.1";
    for (name, options) in [("soft", soft), ("weights", weights)] {
        let train = format!("train --config labels.toml --name {name} {words} {options}");
        let ran = folder.run(&train);
        assert_eq!(ran.code, Some(0), "{ran}");
        assert!(ran.stdout.contains("labels tuned"), "{ran}");
        let losses: Vec<f64> = folder
            .text(&format!("runs/{name}/metrics.csv"))
            .lines()
            .skip(1)
            .map(|line| line.split(',').nth(2).unwrap().parse().unwrap())
            .collect();
        assert!(losses[5] < losses[0], "{name}: {losses:?}");
        let predict = "Britain India --format json";
        let from_run = folder.run(&format!("predict runs/{name} {predict}"));
        assert_eq!(from_run.code, Some(0), "{from_run}");
        let file = format!("predict --prompt runs/{name}/prompt.safetensors {predict}");
        assert_eq!(folder.run(&file).stdout, from_run.stdout, "{name}");
        let labels = from_run.json()[0]["labels"].as_array().unwrap().len();
        assert_eq!(labels, 2, "{from_run}");
        let resumed = folder.run(&format!("resume runs/{name} --quiet"));
        assert_eq!((resumed.code, &resumed.stdout), (Some(0), &ran.stdout), "{resumed}");
    }
    let judged = folder.run("eval runs/weights --split test");
    assert!(judged.stdout.contains("London × "), "{judged}");
}

#[test]
fn mistakes_about_what_learns_of_labels_are_told() {
    let _stable = stable();
    let folder = folder();
    let lines = [
        "--set verbalizer.kind=soft",
        "--set verbalizer.kind=soft --set verbalizer.calibration=none --set verbalizer.learn_weights=true",
        "--set verbalizer.lr=0.1",
        "--set verbalizer.learn_weights=yes",
    ];
    assert_snapshot!(refused(&folder, "train --config labels.toml", &lines), @r#"
    $ --set verbalizer.kind=soft
    error: labels.toml:12:15: `verbalizer.calibration` has no effect with kind `soft`, whose label vectors learn in the place of words

    $ --set verbalizer.kind=soft --set verbalizer.calibration=none --set verbalizer.learn_weights=true
    error: --set verbalizer.learn_weights=true: `verbalizer.learn_weights` has no effect with kind `soft`, whose label vectors learn in the place of words

    $ --set verbalizer.lr=0.1
    error: --set verbalizer.lr=0.1: `verbalizer.lr` has no effect with a verbalizer of which nothing learns

    $ --set verbalizer.learn_weights=yes
    error: --set verbalizer.learn_weights=yes: `verbalizer.learn_weights`: expected `true` or `false`, found the text "yes"
    "#);
}
