//! `ptune adapt`: a language model trained on a text, and used as a backbone afterwards.

mod common;

use common::Folder;

const CONFIG: &str = r#"name = "adapted"
runs = "runs"
[backbone]
source = "tiny_bert"
[text]
path = "text.txt"
dev = 4
[train]
lr = 3e-3
epochs = 2
batch_size = 4
"#;

fn folder() -> Folder {
    let folder = Folder::new();
    folder.copy_model("tiny_bert", "tiny_bert");
    let line =
        |index: usize| format!("the capital of {} is paris .\n", ["rome", "oslo"][index % 2]);
    folder.write("text.txt", (0..16).map(line).collect::<String>());
    folder.write("adapt.toml", CONFIG);
    folder
}

#[test]
fn an_adapted_model_is_a_backbone_of_its_own() {
    let folder = folder();
    let ran = folder.run("adapt --config adapt.toml");
    assert_eq!((ran.code, ran.stdout.trim()), (Some(0), "runs/adapted/model"), "{ran}");
    assert!(ran.stderr.contains("train 12 passages, dev 4"), "{ran}");
    assert!(ran.stderr.contains("before: dev P@1") && ran.stderr.contains("epoch 2/2"), "{ran}");
    folder.write("prompt.toml", folder.text("config.toml").replace("tiny_llama", "tiny_bert"));
    let ran = folder.run("train --config prompt.toml --quiet --name plain --set train.epochs=1");
    assert_eq!(ran.code, Some(0), "{ran}");
    let on_adapted = "--set backbone.source=runs/adapted/model";
    let ran = folder.run(&format!("train --config prompt.toml --quiet --name on {on_adapted}"));
    assert_eq!(ran.code, Some(0), "{ran}");
    // A prompt belongs to the weights that it was trained with, and both models have the same names.
    let ran = folder.run(&format!("predict runs/plain France {on_adapted}"));
    assert_eq!(ran.code, Some(2), "{ran}");
    assert!(ran.stderr.contains("backbone"), "{ran}");

    // Neither replaced without being asked nor taken for a prompt.
    let ran = folder.run("adapt --config adapt.toml");
    assert_eq!(ran.code, Some(2), "{ran}");
    assert!(ran.stderr.contains("is not overwritten"), "{ran}");
    let ran = folder.run("predict runs/adapted France");
    assert_eq!(ran.code, Some(2), "{ran}");
    assert!(
        ran.stderr.contains("not a prompt") && ran.stderr.contains("runs/adapted/model"),
        "{ran}"
    );

    // There is more to learn for who wants to go on.
    let ran = folder.run("resume runs/adapted --set train.epochs=3");
    assert_eq!(ran.code, Some(0), "{ran}");
    assert!(ran.stderr.contains("going on after step 6 (epoch 3)"), "{ran}");
    let ran = folder.run("resume runs/adapted --set text.mask=0.3");
    assert_eq!(ran.code, Some(2), "{ran}");
    assert!(ran.stderr.contains("cannot change"), "{ran}");
}

#[test]
fn what_is_wrong_with_an_adaptation_is_told() {
    let folder = folder();
    for (set, told) in [
        ("text.path=txt.text", "did you mean"),
        ("text.maks=0.2", "did you mean `text.mask`?"),
        ("text.mask=1.5", "expected a number above 0 and below 1, found 1.5"),
        ("text.dev=16", "16 passages of two tokens or more, and text.dev holds out 16"),
        ("train.strategy=fixed-lm", "unknown key"),
        ("template.text=x", "unknown key"),
        ("device=flax", "did you mean"),
        ("backbone.source=tiny_brt", "no backbone"),
        ("backbone.source=tiny_llama", "it learns"),
    ] {
        let ran = folder.run(&format!("adapt --config adapt.toml --force --set {set}"));
        if told == "it learns" {
            // A causal model learns next words.
            assert_eq!(ran.code, Some(0), "{ran}");
            continue;
        }
        assert_eq!(ran.code, Some(2), "{set}: {ran}");
        assert!(ran.stderr.contains(told), "{set}: {ran}");
        assert!(!folder.path("runs").exists(), "{set}");
    }
    // A config of the other kind.
    let ran = folder.run("adapt --config config.toml");
    assert_eq!(ran.code, Some(2), "{ran}");
    assert!(ran.stderr.contains("text.path"), "{ran}");
    let ran = folder.run("train --config adapt.toml");
    assert_eq!(ran.code, Some(2), "{ran}");
    assert!(ran.stderr.contains("unknown") && ran.stderr.contains("ptune adapt"), "{ran}");
}
