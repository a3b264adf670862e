//! Tiny random Llamas against transformers: logits, gradient of the input embeddings, and what a
//! batch must not change.

mod common;

use burn::tensor::{Device, Tensor};
use common::*;

const MODELS: [&str; 2] = ["tiny_llama", "tiny_llama_gqa"];

#[test]
fn logits_and_gradients_equal_transformers() {
    for name in MODELS {
        check_golden(name, &Device::flex(), 1e-4, 1e-3);
    }
}

#[test]
fn batched_equals_single_and_padding_changes_nothing() {
    for name in MODELS {
        let golden = golden(name);
        let backbone = load(name, &Device::flex());
        let lm = backbone.model.as_ref();
        let embeddings: Tensor<3> =
            Tensor::from_data(golden["embeddings"].clone(), &Device::flex());
        let together = values(lm.head(lm.encode(embeddings.clone(), &layout(&LENGTHS))));
        for (row, length) in LENGTHS.into_iter().enumerate() {
            let single = embeddings.clone().narrow(0, row, 1).narrow(1, 0, length);
            let alone = values(lm.head(lm.encode(single, &layout(&[length]))));
            let batched = &together[row * 97..(row + 1) * 97];
            for (a, b) in alone.iter().zip(batched) {
                assert!((a - b).abs() < 1e-5, "{name}, row {row}: {a} and {b}");
            }
        }
        // Whatever stands in the padding.
        let noise = Tensor::<3>::full(embeddings.dims(), 1e3, &Device::flex());
        let mut noisy = noise;
        for (row, length) in LENGTHS.into_iter().enumerate() {
            let hidden = embeddings.dims()[2];
            let real = embeddings.clone().narrow(0, row, 1).narrow(1, 0, length);
            noisy = noisy.slice_assign([row..row + 1, 0..length, 0..hidden], real);
        }
        let noisy = values(lm.head(lm.encode(noisy, &layout(&LENGTHS))));
        for (a, b) in noisy.iter().zip(&together) {
            assert!((a - b).abs() < 1e-5, "{name}: padding changed {b} to {a}");
        }
    }
}

#[test]
fn answers_may_stand_anywhere_and_several_times() {
    let golden = golden("tiny_llama_gqa");
    let backbone = load("tiny_llama_gqa", &Device::flex());
    let lm = backbone.model.as_ref();
    let embeddings: Tensor<3> = Tensor::from_data(golden["embeddings"].clone(), &Device::flex());
    let mut layout = layout(&LENGTHS);
    layout.answers = vec![(0, 2), (0, 6), (3, 0), (3, 8)];
    let rows = values(lm.head(lm.encode(embeddings, &layout)));
    let logits: Vec<f32> = golden["logits_from_embeddings"].iter().collect();
    for (a, b) in rows[97..2 * 97].iter().zip(&logits[..97]) {
        assert!((a - b).abs() < 1e-4);
    }
    for (a, b) in rows[3 * 97..].iter().zip(&logits[3 * 97..]) {
        assert!((a - b).abs() < 1e-4);
    }
}

#[test]
fn no_gradient_is_kept_for_the_weights() {
    let backbone = load("tiny_llama", &Device::flex());
    assert!(!backbone.model.word_embeddings().is_autodiff());
}
