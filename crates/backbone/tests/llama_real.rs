//! SmolLM2-135M from its GGUF against transformers on the dequantised weights.
//!
//! Runs when `smollm2-135m` has been fetched; with `PTUNE_REQUIRE_REAL=1` its absence is a failure.
//! Golden numbers: `scripts/reference/smollm2_logits.py`.

mod common;

use std::path::Path;

use backbone::source::fetch::{Located, resolve};
use burn::tensor::Device;
use common::*;
use ptuning_core::language_model::Tokenize;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    prompts: Vec<Prompt>,
}

#[derive(Deserialize)]
struct Prompt {
    text: String,
    ids: Vec<u32>,
    top: Vec<(usize, f32)>,
    random: Vec<(usize, f32)>,
}

#[test]
fn logits_equal_transformers() {
    let located = resolve("smollm2-135m", Path::new("."));
    let Ok(Located::Present(path)) = located else {
        let required = std::env::var_os("PTUNE_REQUIRE_REAL").is_some_and(|value| value == "1");
        assert!(!required, "PTUNE_REQUIRE_REAL=1, but the backbone is not fetched: {located:?}");
        eprintln!("skipped: smollm2-135m is not fetched");
        return;
    };
    let golden: Golden =
        serde_json::from_slice(&std::fs::read(folder("smollm2_logits.json")).unwrap()).unwrap();
    assert_eq!(golden.prompts.len(), 8);
    let backbone = backbone::load(&path, &Device::flex()).unwrap();
    let lm = backbone.model.as_ref();
    let mut worst = 0f32;
    for prompt in &golden.prompts {
        assert_eq!(backbone.tokenizer.ids(&prompt.text), prompt.ids, "{}", prompt.text);
        let length = prompt.ids.len();
        let embeddings = lm.embed(&prompt.ids);
        let logits = values(lm.head(lm.encode(embeddings.into(), &layout(&[length]))));
        for &(id, expected) in prompt.top.iter().chain(&prompt.random) {
            worst = worst.max((logits[id] - expected).abs());
        }
        let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
        assert_eq!(best, prompt.top[0].0, "{}", prompt.text);
    }
    eprintln!("largest difference of a logit: {worst:.1e}");
    assert!(worst <= 2e-3, "logits differ by {worst}");
}
