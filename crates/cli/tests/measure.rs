//! The commands that measure and list: what they print.

mod common;

use common::Folder;

#[test]
fn bench_measures() {
    let folder = Folder::new();
    let ran =
        folder.run("bench --backbone tiny_llama --batch 2 --length 8 --virtual 3 --steps 1 --json");
    assert_eq!(ran.stderr, "");
    let found = ran.json();
    for key in ["train_examples_per_s", "eval_examples_per_s", "first_step_s", "load_s"] {
        assert!(found[key].as_f64().is_some_and(|number| number > 0.0), "{key} in {found}");
    }
}

#[test]
fn doctor_and_fetch_list_what_there_is() {
    let folder = Folder::new();
    let doctor = folder.run("doctor");
    assert_eq!((doctor.code, doctor.stderr.as_str()), (Some(0), ""), "{doctor}");
    for part in [
        "flex",
        "smollm2-135m",
        "not fetched",
        "families: albert, bert, distilbert",
        "cache",
        "hub",
    ] {
        assert!(doctor.stdout.contains(part), "{part:?} in {doctor}");
    }
    let fetch = folder.run("fetch");
    assert_eq!(fetch.code, Some(0), "{fetch}");
    assert!(fetch.stdout.starts_with("smollm2-135m     not fetched  Apache-2.0"), "{fetch}");
    assert!(fetch.stdout.contains("\nbert-tiny        not fetched  Apache-2.0"), "{fetch}");
    assert!(fetch.stdout.contains("\nhf:ORG/MODEL     any other of a Hugging Face hub"), "{fetch}");
}

#[test]
fn a_step_takes_the_memory_that_was_told() {
    let folder = Folder::new();
    // Large enough that the program itself is a small part of it.
    let shape = "--backbone random:hidden=256,intermediate=1024,layers=8,heads=4,kv_heads=2,vocab=9000 \
                 --batch 64 --length 64 --encoder mlp --json";
    let told = folder.run(&format!("estimate {shape}"));
    let told = told.json();
    let mut totals = Vec::new();
    for (mode, flags) in [("tape", ""), ("recompute", "--recompute")] {
        let ran = folder.run(&format!("bench {shape} --steps 1 {flags}"));
        let measured = ran.json();
        let told = told["memory"][mode]["peak_memory_bytes"].as_f64().unwrap();
        totals.push(told);
        // Only Linux tells.
        if let Some(measured) = measured["peak_memory_bytes"].as_f64() {
            let ratio = told / measured;
            assert!((0.8..1.2).contains(&ratio), "{mode}: told {told}, measured {measured}");
        }
    }
    assert!(totals[1] < totals[0] / 2.0, "{totals:?}");
}

#[test]
fn estimate_tells_what_becomes_of_tensors() {
    let folder = Folder::new();
    let ran = folder.run("estimate --backbone tiny_llama --tensors");
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran}");
    let told = folder.run("estimate --backbone tiny_llama --tensors --json").json();
    let count = told["applied"].as_array().unwrap().len();
    assert!(count > 10, "{told}");
    let line = format!(
        "tiny_llama: {count} tensors: {count} applied, 0 of another shape, 0 unused, 0 not needed; \
         0 missing\n"
    );
    assert_eq!(ran.stdout, line);

    // A layer less and a head that is not there: the report first, then the error.
    let config = folder.text("tiny_llama/config.json");
    let mut config: serde_json::Value = serde_json::from_str(&config).unwrap();
    config["num_hidden_layers"] = 1.into();
    config["tie_word_embeddings"] = false.into();
    folder.write("tiny_llama/config.json", config.to_string());
    let ran = folder.run("estimate --backbone tiny_llama --tensors");
    assert_eq!(ran.code, Some(2), "{ran}");
    assert!(ran.stdout.contains("  missing     lm_head.weight [97, 24]"), "{ran}");
    assert!(ran.stdout.contains("  unused      model.layers.1.mlp.up_proj.weight"), "{ran}");
    assert!(ran.stderr.contains("no language-model head (lm_head…)"), "{ran}");
    assert!(ran.stderr.contains("\nhint: "), "{ran}");
    let told = folder.run("estimate --backbone tiny_llama --tensors --json");
    assert_eq!(told.code, Some(2), "{told}");
    assert!(told.stdout.contains("\"missing\":[{"), "{told}");
}
