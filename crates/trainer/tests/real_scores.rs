//! Manual prompts on SmolLM2-135M, and entities by bert-tiny, against the PyTorch reference: the same examples,
//! hits and losses, and the same entities.
//!
//! Each runs when its backbone has been fetched; with `PTUNE_REQUIRE_REAL=1` its absence is a failure.
//! Golden numbers: `scripts/reference/manual_scores.py`.

use std::path::Path;

use backbone::source::fetch::{Located, resolve};
use burn::tensor::Device;
use serde_json::Value;
use trainer::evaluate::evaluate;
use trainer::settings::{self, Split};
use trainer::task::Task;

#[test]
fn manual_scores_equal_the_reference() {
    let located = resolve("smollm2-135m", Path::new("."));
    let Ok(Located::Present(path)) = located else {
        let required = std::env::var_os("PTUNE_REQUIRE_REAL").is_some_and(|value| value == "1");
        assert!(!required, "PTUNE_REQUIRE_REAL=1, but the backbone is not fetched: {located:?}");
        eprintln!("skipped: smollm2-135m is not fetched");
        return;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let golden = root.join("crates/trainer/tests/golden/manual_scores.json");
    let golden: Value = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
    let cases = golden["scores"].as_array().unwrap();
    assert_eq!(cases.len(), 3);
    for case in cases {
        let relation = case["relation"].as_str().unwrap();
        let config = match relation {
            "P36" => "configs/lama.toml",
            "P1376" => "configs/lama-p1376.toml",
            "P30" => "configs/lama-p30.toml",
            other => panic!("{other}"),
        };
        let manual = case["template"].as_str().unwrap().replace("[X]", "[x]") + " [z]";
        let overrides = [
            format!("eval.manual={}", Value::from(manual)),
            "data.candidates=\"dataset\"".to_owned(),
        ];
        let settings = settings::load(&root.join(config), &overrides).unwrap();
        let backbone = backbone::load(&path, &Device::flex()).unwrap();
        let task = Task::load(settings, backbone).unwrap();
        let evaluation = evaluate(&task, None, Split::Dev).unwrap();
        let scores = evaluation.manual.unwrap();
        let hits = |share: f64| (share * scores.examples as f64).round() as u64;
        assert_eq!(scores.examples as u64, case["examples"], "{relation}");
        assert_eq!(evaluation.candidates.unwrap() as u64, case["candidate_count"], "{relation}");
        // Within one example: two answers may score alike to the last bit of a float.
        for (found, key) in [(scores.precision_at_1, "hits1"), (scores.precision_at_10, "hits10")] {
            let expected = case[key].as_u64().unwrap();
            assert!(
                hits(found).abs_diff(expected) <= 1,
                "{relation} {key}: {} and {expected}",
                hits(found)
            );
        }
        assert!((scores.mrr - case["mrr"].as_f64().unwrap()).abs() < 0.01, "{relation}");
        let loss = case["loss"].as_f64().unwrap();
        assert!((scores.loss - loss).abs() < 1e-3, "{relation}: {} and {loss}", scores.loss);
    }
}

/// Golden numbers: `scripts/reference/span_scores.py`, which knows nothing of ptune's spans or entities.
#[test]
fn entities_by_hand_equal_the_reference() {
    let located = resolve("bert-tiny", Path::new("."));
    let Ok(Located::Present(path)) = located else {
        let required = std::env::var_os("PTUNE_REQUIRE_REAL").is_some_and(|value| value == "1");
        assert!(!required, "PTUNE_REQUIRE_REAL=1, but the backbone is not fetched: {located:?}");
        eprintln!("skipped: bert-tiny is not fetched");
        return;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let golden = root.join("crates/trainer/tests/golden/span_scores_real.json");
    let golden: Value = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
    let settings = settings::load(&root.join("configs/entities.toml"), &[]).unwrap();
    let backbone = backbone::load(&path, &Device::flex()).unwrap();
    let task = Task::load(settings, backbone).unwrap();
    for split in [Split::Dev, Split::Test] {
        let tagging = evaluate(&task, None, split).unwrap().tagging.unwrap();
        let expected = &golden[split.name()];
        assert_eq!(tagging.spans as u64, expected["spans"].as_u64().unwrap());
        let scores = tagging.uncalibrated.unwrap();
        assert_eq!(scores.labels.len(), 3, "{scores:?}");
        for label in &scores.labels {
            let right = (label.scores.recall * label.asked as f64).round() as u64;
            let expected: Vec<u64> = expected[&label.label]
                .as_array()
                .unwrap()
                .iter()
                .map(|count| count.as_u64().unwrap())
                .collect();
            assert_eq!(label.asked as u64, expected[0], "{split} {}", label.label);
            // Within one entity: two labels may score alike to the last bits of a float.
            for (found, expected) in [(label.found as u64, expected[1]), (right, expected[2])] {
                assert!(
                    found.abs_diff(expected) <= 1,
                    "{split} {}: {found} and {expected}",
                    label.label
                );
            }
        }
    }
}
