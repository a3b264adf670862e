//! Prompts that leave ptune and come back: whatever the format, the same answers.

mod common;

use common::{Folder, stable};
use insta::assert_snapshot;
use serde_json::Value;

const LEADING: &str = "[h:3] capital of [x] is [z]";
const PREFIX: &str = "[prefix:3] capital of [x] is [z]";
const INSIDE: &str = "[h:2] capital of [x] [h:2] [z]";
/// Words of the tiny Llama's vocabulary that its tokenizer is made to set aside.
const ASIDE: [&str; 4] = ["Britain", "Egypt", "Italy", "Norw"];

/// A run of a template, any word being an answer, and what it answers.
fn trained(template: &str, options: &str) -> (Folder, String) {
    let folder = Folder::new();
    set_aside(&folder);
    let line = format!(
        "train --config config.toml --quiet --set data.candidates=vocabulary --set 'template.text={template}' {options}"
    );
    let ran = folder.run(&line);
    assert_eq!(ran.code, Some(0), "{ran}");
    let answers = folder.run("predict runs/tiny France India --format json");
    assert_eq!(answers.code, Some(0), "{answers}");
    (folder, answers.stdout)
}

fn set_aside(folder: &Folder) {
    let mut tokenizer: Value =
        serde_json::from_slice(&folder.read("tiny_llama/tokenizer.json")).unwrap();
    let words = tokenizer["model"]["vocab"].as_object_mut().unwrap();
    for (number, token) in ASIDE.iter().enumerate() {
        let id = words.remove(*token).unwrap();
        words.insert(format!("[unused{number}]"), id);
    }
    let made =
        |merge: &Value| format!("{}{}", merge[0].as_str().unwrap(), merge[1].as_str().unwrap());
    let merges = tokenizer["model"]["merges"].as_array_mut().unwrap();
    merges.retain(|merge| !ASIDE.contains(&made(merge).as_str()));
    folder.write("tiny_llama/tokenizer.json", tokenizer.to_string());
}

/// Imports and answers.
fn answers(folder: &Folder, from: &str, template: &str) -> String {
    let line =
        format!("import {from} {template} --backbone tiny_llama --out back.safetensors --force");
    let ran = folder.run(&line);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "back.safetensors\n"), "{ran}");
    folder.run("predict --prompt back.safetensors France India --format json").stdout
}

#[test]
fn pefts_adapters_come_back() {
    for (template, kinds, options) in [
        (LEADING, &["prompt-tuning", "p-tuning", "trainable-tokens"][..], ""),
        (PREFIX, &["prefix-tuning"][..], "--set prompt_encoder.kind=mlp"),
        (INSIDE, &["trainable-tokens"][..], ""),
    ] {
        let (folder, expected) = trained(template, options);
        for kind in kinds {
            let line =
                format!("export runs/tiny --format peft --peft-type {kind} --out adapter --force");
            let ran = folder.run(&line);
            assert_eq!(ran.code, Some(0), "{ran}");
            assert_eq!(
                answers(&folder, "adapter", &format!("--template '{template}'")),
                expected,
                "{kind}"
            );
            if *kind == "trainable-tokens" {
                assert_eq!(answers(&folder, "adapter", ""), expected, "its own template");
            }
        }
    }
}

#[test]
fn optiprompts_vectors_come_back() {
    let (folder, expected) = trained(INSIDE, "");
    let rows = folder.tensors("runs/tiny/prompt.safetensors");
    assert_eq!(rows.len(), 4 * 24 * 4);
    // Its code saves the rows of all ten tokens that it adds, used or not.
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (10, 24), }\n";
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(&rows);
    file.resize(file.len() + 6 * 24 * 4, 0);
    folder.write("prompt_vecs.npy", file);
    assert_eq!(answers(&folder, "prompt_vecs.npy", &format!("--template '{INSIDE}'")), expected);
}

#[test]
fn an_import_is_judged_on_a_configs_data() {
    let (folder, _) = trained(LEADING, "");
    let ran = folder.run("export runs/tiny --format peft --out adapter");
    assert_eq!(ran.code, Some(0), "{ran}");
    answers(&folder, "adapter", &format!("--template '{LEADING}'"));
    let line = "--split test --format json --set data.candidates=vocabulary";
    let of_run = folder.run(&format!("eval runs/tiny {line}")).json();
    let of_file =
        folder.run(&format!("eval --config config.toml --prompt back.safetensors {line}")).json();
    assert_eq!(of_run[0]["prompt"], of_file[0]["prompt"]);
    assert!(of_file[0]["prompt"]["p1"].is_number());

    // It knows no labels, so the config's are asked for.
    let cities = ["London", "Cairo", "Paris", "Delhi", "Rome", "Oslo"];
    let labels = cities.map(|city| format!("{city} = [\"{city}\"]")).join(", ");
    let labels = format!("[verbalizer]\nlabels = {{ {labels} }}\n");
    folder.write("labels.toml", format!("{}{labels}", folder.text("config.toml")));
    let line = "--prompt back.safetensors --split test --format json";
    let judged = folder.run(&format!("eval --config labels.toml {line}")).json();
    assert_eq!((&judged[0]["candidates"], &judged[0]["counts"]["used"]), (&6.into(), &3.into()));
}

#[test]
fn a_model_with_virtual_tokens_among_its_words_answers_alike() {
    let (folder, expected) = trained(INSIDE, "");
    let ran = folder.run("export runs/tiny --format model --out worded --check check.json");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "worded\n"), "{ran}");
    let text = "<h_0><h_1> capital of {x}<h_2><h_3>";
    assert!(ran.stderr.contains(text), "{ran}");
    assert!(folder.text("worded/README.md").contains("library_name: transformers"));
    // What was a template with virtual tokens is one of plain words there.
    let template = "<h_0><h_1> capital of [x]<h_2><h_3> [z]";
    folder.write(
        "words.toml",
        folder.text("config.toml").replace("source = \"tiny_llama\"", "source = \"worded\""),
    );
    let line = format!(
        "--split test --format json --set data.candidates=dataset --set 'eval.manual={template}'"
    );
    let worded = folder.run(&format!("eval --config words.toml {line}")).json();
    let line = "--split test --format json --set data.candidates=dataset";
    let of_run = folder.run(&format!("eval runs/tiny {line}")).json();
    for score in ["p1", "p10", "mrr"] {
        assert_eq!(worded[0]["manual"][score], of_run[0]["prompt"][score], "{score}");
    }
    let check: Value = serde_json::from_slice(&folder.read("check.json")).unwrap();
    assert_eq!(check["prompts"][0]["text"], text.replace("{x}", "France"));
    assert!(!expected.is_empty());
}

#[test]
fn refusals() {
    let _stable = stable();
    let folder = Folder::new();
    folder.write("adapter/adapter_config.json", "{\"peft_type\": \"LORA\"}");
    folder.write(
        "two/adapter_config.json",
        "{\"peft_type\": \"P_TUNING\", \"num_transformer_submodules\": 2}",
    );
    folder.write("bare/adapter_config.json", "{\"peft_type\": \"P_TUNING\"}");
    folder.write("vecs.npy", "PK");
    let lines = ["nothing", "adapter", "two", "bare", "tiny_llama", "vecs.npy", "config.toml"].map(
        |from| {
            format!("{from} --backbone tiny_llama --out out.safetensors --template '[h:2] [x] [z]'")
        },
    );
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let told = common::refused(&folder, "import", &lines);
    let told =
        told.replace(" --backbone tiny_llama --out out.safetensors --template '[h:2] [x] [z]'", "");
    assert_snapshot!(told, @r"
    $ nothing
    error: nothing: no such file or folder
    hint: a path is relative to the current directory

    $ adapter
    error: adapter/adapter_config.json: peft_type: expected PROMPT_TUNING, P_TUNING, PREFIX_TUNING or TRAINABLE_TOKENS, found LORA

    $ two
    error: two/adapter_config.json: num_transformer_submodules: expected 1, found 2: vectors for an encoder and its decoder, which ptune has none of

    $ bare
    error: no such file or folder: bare/adapter_model.safetensors

    $ tiny_llama
    error: tiny_llama: expected a folder with adapter_config.json, found none
    hint: a folder with PEFT's adapter_config.json, a checkpoint of the published P-tuning code, or OptiPrompt's prompt_vecs.npy

    $ vecs.npy
    error: vecs.npy: expected an array of numpy's, of two dimensions, in little-endian f4 or f8, found another kind of file
    hint: a folder with PEFT's adapter_config.json, a checkpoint of the published P-tuning code, or OptiPrompt's prompt_vecs.npy

    $ config.toml
    error: config.toml is not a PyTorch checkpoint of tensors
      because: invalid PyTorch file format: not a PyTorch checkpoint: no ZIP, TAR, legacy or pickle header found
    ");
}
