//! Random weights in the place of a file's: shapes of the one, numbers of neither.

mod common;

use backbone::{Backbone, Options};
use burn::tensor::{Device, Tensor};
use common::{folder, golden, golden_layout, packed, values};

const MODELS: [&str; 5] = ["tiny_bert", "tiny_gemma3_text", "tiny_gpt2", "tiny_llama", "tiny_t5"];

fn load(name: &str, random_weights: bool, fused: bool) -> Backbone {
    let options = Options { random_weights, fused, ..Options::default() };
    backbone::load_with(&folder(name), &Device::flex(), options).unwrap()
}

fn logits(name: &str, backbone: &Backbone) -> Vec<f32> {
    let lm = backbone.model.as_ref();
    let embeddings: Tensor<2> = packed(&golden(name)["embeddings"], &Device::flex());
    values(lm.head(lm.encode(embeddings.into(), &golden_layout(lm))))
}

#[test]
fn they_are_the_same_each_time_and_in_every_way_of_running() {
    for name in MODELS {
        let (packed, plain) = (load(name, true, true), load(name, true, false));
        let (a, b) = (logits(name, &packed), logits(name, &plain));
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-4), "{name}");
        let file = load(name, false, true);
        let own = logits(name, &file);
        assert!(a.iter().zip(&own).any(|(a, own)| (a - own).abs() > 1e-2), "{name}");
        assert!(packed.identity.is_same(&plain.identity), "{name}");
        assert!(!packed.identity.is_same(&file.identity), "{name}");
    }
}

#[test]
fn matrices_have_the_spread_of_a_model_that_was_never_trained() {
    let backbone = load("tiny_llama", true, true);
    let words: Vec<u32> = (0..backbone.model.vocab_size() as u32).collect();
    let table = values(backbone.model.embed(&words));
    let count = table.len() as f32;
    let mean = table.iter().sum::<f32>() / count;
    let std = (table.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / count).sqrt();
    assert!(mean.abs() < 2e-3 && (std - 0.02).abs() < 2e-3, "{mean} {std}");
}
