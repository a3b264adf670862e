//! An encoder with a decoder, whose answer stands at a sentinel anywhere in the encoder's input.

mod common;

use common::Folder;

const CONFIG: &str = r#"name = "sentinel"
runs = "runs"
[backbone]
source = "tiny_t5"
[data]
path = "data"
[template]
text = "[h:2] [z] capital [x] [h:1]"
[train]
lr = 1e-1
epochs = 200
[eval]
manual = " the capital of [x] is [z]"
"#;

#[test]
fn a_t5_trains_in_every_way_to_the_same_losses() {
    // Random layers say little, but which of six capitals they can be made to say is better than chance.
    // v1.0 divides its logits by the root of the width: they cannot grow far. At this learning rate the order
    // of a sum moves the last loss by a few percent: 0.61 of the first was seen, and less than 0.6.
    for (model, part) in [("tiny_t5", 0.9), ("tiny_t5_v1_1", 0.7)] {
        let folder = Folder::new();
        folder.copy_model(model, "tiny_t5");
        folder.write("sentinel.toml", CONFIG);
        let losses = |options: &str, name: &str| -> Vec<f64> {
            let line = format!("train --config sentinel.toml --quiet --name {name}{options}");
            let ran = folder.run(&line);
            assert_eq!(ran.code, Some(0), "{ran}");
            let metrics = folder.text(&format!("runs/{name}/metrics.jsonl"));
            let metrics = metrics.lines().map(|line| serde_json::from_str(line).unwrap());
            metrics.filter_map(|metric: serde_json::Value| metric["train_loss"].as_f64()).collect()
        };
        let packed = losses("", "packed");
        assert!(packed[199] < part * packed[0], "{} and {}", packed[0], packed[199]);
        let recomputed =
            losses(" --set train.epochs=5 --set backbone.memory=recompute", "recomputed");
        assert_eq!(recomputed, packed[..5]);
        let plain = losses(" --set train.epochs=5 --set backbone.fused=false", "plain");
        for (plain, packed) in plain.iter().zip(&packed) {
            assert!((plain - packed).abs() < 1e-4 * packed, "{plain} and {packed}");
        }

        let answers = folder.run("predict runs/packed France India --top 6").stdout;
        assert!(answers.contains("Paris") && answers.contains("Delhi"), "{answers}");
        let inspected = folder.run("inspect runs/packed").stdout;
        assert!(inspected.contains("<extra_id_0>") && inspected.contains("</s>"), "{inspected}");
        let ran = folder.run("eval runs/packed --split dev --format json").json();
        assert!(ran.to_string().contains("mrr"), "{ran}");
    }
}

#[test]
fn words_at_the_start_are_whole_words() {
    let folder = Folder::new();
    folder.write("sentinel.toml", CONFIG);
    let line = "train --config sentinel.toml --quiet --force --set train.epochs=1";
    // With the space that the template writes or without it, in the older and the newer kind of file.
    for model in ["tiny_t5", "tiny_t5_v1_1"] {
        folder.copy_model(model, "tiny_t5");
        for start in ["[z] capital", " [z] capital", "capital [z]"] {
            let ran = folder.run(&format!("{line} --set 'template.text=\"{start} [x] [h:1]\"'"));
            assert_eq!(ran.code, Some(0), "{ran}");
            let inspected = folder.run("inspect runs/sentinel --format json").json();
            let tokens = inspected["encoding"].as_array().unwrap().iter().map(|row| &row["token"]);
            let tokens: Vec<_> = tokens.filter_map(serde_json::Value::as_str).collect();
            let country = tokens[2];
            assert!(country.starts_with('▁'), "{tokens:?}");
            let mut expected = ["<extra_id_0>", "▁capital", country, "h_0", "</s>"];
            if start == "capital [z]" {
                expected.swap(0, 1);
            }
            assert_eq!(tokens, expected, "{model}, {start:?}");
        }
    }
}

#[test]
fn an_estimate_counts_encoder_and_decoder() {
    let folder = Folder::new();
    folder.copy_model("tiny_t5", "tiny_t5");
    let estimate = folder.run("estimate --backbone tiny_t5 --batch 8 --length 64 --json").json();
    let numbers = std::fs::read(folder.path("tiny_t5/model.safetensors")).unwrap();
    let header = 8 + u64::from_le_bytes(numbers[..8].try_into().unwrap()) as usize;
    assert_eq!(estimate["parameters"], (numbers.len() - header) / 4);
}
