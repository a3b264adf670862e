//! Tiny random models of each family against transformers: logits, gradient of the input embeddings, and what a
//! batch, a way of running and a shared prefix must not change.

mod common;

use backbone::{Memory, Options, Precision};
use burn::tensor::{Device, Tensor};
use common::*;
use ptuning_core::language_model::{LanguageModel, Layout};
use serde_json::json;

const MASKED: [&str; 9] = [
    "tiny_albert",
    "tiny_bert",
    "tiny_distilbert",
    "tiny_electra",
    "tiny_modernbert",
    "tiny_roberta",
    "tiny_t5",
    "tiny_t5_v1_1",
    "tiny_umt5",
];
const CAUSAL: [&str; 9] = [
    "tiny_gemma3_text",
    "tiny_gpt2",
    "tiny_gpt_neox",
    "tiny_llama",
    "tiny_llama3",
    "tiny_llama_gqa",
    "tiny_opt",
    "tiny_qwen2",
    "tiny_qwen3",
];

/// A tiny model of every family.
fn models() -> impl Iterator<Item = &'static str> {
    CAUSAL.into_iter().chain(MASKED)
}

/// Every way of running.
fn ways() -> Vec<Options> {
    let mut ways = Vec::new();
    for fused in [true, false] {
        for answer_rows in [true, false] {
            for memory in [Memory::Tape, Memory::Recompute] {
                ways.push(Options { fused, answer_rows, memory, ..Options::default() });
            }
        }
    }
    ways
}

#[test]
fn logits_and_gradients_equal_transformers() {
    for name in models() {
        for options in ways() {
            check_golden(name, &Device::flex(), options, 1e-4, 1e-3);
        }
    }
}

#[test]
fn products_in_half_precision_stay_near() {
    for name in models() {
        // bfloat16 has three bits less than f16.
        for (precision, logits, gradient) in
            [(Precision::Bf16, 0.5, 0.25), (Precision::F16, 0.1, 0.05)]
        {
            // Scores that nothing scales down saturate the softmax of random layers, whose gradient is
            // then the small difference of large numbers.
            let saturated = name.starts_with("tiny_t5") || name.starts_with("tiny_umt5");
            let gradient = if saturated { 4.0 * gradient } else { gradient };
            let options = Options { fused: false, precision, ..Options::default() };
            check_golden(name, &Device::flex(), options, logits, gradient);
        }
    }
}

#[test]
fn batched_equals_single() {
    for name in models() {
        for options in ways() {
            let golden = golden(name);
            let device = Device::flex();
            let backbone = backbone::load_with(&folder(name), &device, options).unwrap();
            let lm = backbone.model.as_ref();
            let embeddings = packed(&golden["embeddings"], &device);
            let together =
                values(lm.head(lm.encode(embeddings.clone().into(), &golden_layout(lm))));
            let mut start = 0;
            for (row, length) in LENGTHS.into_iter().enumerate() {
                let single = embeddings.clone().narrow(0, start, length);
                start += length;
                let mut layout = layout(&[length]);
                layout.answers[0].1 = golden_layout(lm).answers[row].1;
                let alone = values(lm.head(lm.encode(single.into(), &layout)));
                let batched = &together[row * 97..(row + 1) * 97];
                for (a, b) in alone.iter().zip(batched) {
                    assert!((a - b).abs() < 5e-5, "{name}, row {row}: {a} and {b}");
                }
            }
        }
    }
}

/// Logits and the gradient of their weighted sum.
fn run(lm: &dyn LanguageModel, x: Tensor<2>, layout: &Layout) -> (Vec<f32>, Vec<f32>) {
    let tracked = x.autodiff().require_grad();
    let logits = lm.head(lm.encode(tracked.clone().into(), layout));
    let [rows, vocab] = logits.dims();
    let weights: Vec<f32> = (0..rows * vocab).map(|i| (i as f32 * 0.37).sin()).collect();
    let weights = Tensor::<1>::from_floats(weights.as_slice(), &lm.device());
    let gradients = (logits.clone() * weights.reshape([rows, vocab])).sum().backward();
    (values(logits.without_autodiff()), values(tracked.grad(&gradients).unwrap()))
}

#[test]
fn rows_that_stand_in_front_of_every_example_may_be_shared() {
    for name in CAUSAL {
        let device = Device::flex();
        let hidden = golden(name)["embeddings"].shape()[2];
        let embeddings = packed(&golden(name)["embeddings"], &device);
        // Three rows in front of examples of 2, 1 and 6 rows.
        let (own, answers) = (vec![2, 1, 6], vec![(0, 4), (1, 3), (2, 8)]);
        let shared = Layout { shared: 3, own, answers, ..Layout::default() };
        let plain = Layout { shared: 0, own: vec![5, 4, 9], ..shared.clone() };
        let rows = [0, 1, 2, 3, 4, 0, 1, 2, 5, 0, 1, 2, 6, 7, 8, 9, 10, 11];
        let x = embeddings.clone().narrow(0, 0, 12);
        let repeated = x.clone().select(0, ptuning_core::objective::ids(&rows, &device));
        let reference = Options { fused: false, ..Options::default() };
        let reference = backbone::load_with(&folder(name), &device, reference).unwrap();
        let (expected, gradient) = run(reference.model.as_ref(), repeated, &plain);
        let mut summed = vec![0.0; 12 * hidden];
        for (&row, gradient) in rows.iter().zip(gradient.chunks(hidden)) {
            for (sum, x) in summed[row as usize * hidden..].iter_mut().zip(gradient) {
                *sum += x;
            }
        }
        for options in ways() {
            let backbone = backbone::load_with(&folder(name), &device, options).unwrap();
            // Some of the rows may be fixed words, kept from one batch to the next.
            for constant in [0, 2, 2, 3, 1] {
                let layout = Layout { constant, ..shared.clone() };
                let (found, gradient) = run(backbone.model.as_ref(), x.clone(), &layout);
                let data = |x: &[f32]| burn::tensor::TensorData::new(x.to_vec(), [x.len()]);
                let a = relative(&found, &data(&expected));
                let learned = constant * hidden;
                let b = relative(&gradient[learned..], &data(&summed[learned..]));
                let what = format!("{name}, {options:?}, {constant}");
                assert!(a < 1e-5 && b < 1e-5, "{what}: logits {a}, gradient {b}");
            }
        }
    }
}

#[test]
fn answers_may_stand_anywhere_and_several_times() {
    let golden = golden("tiny_llama_gqa");
    let logits: Vec<f32> = golden["logits_from_embeddings"].iter().collect();
    for options in ways() {
        let device = Device::flex();
        let backbone = backbone::load_with(&folder("tiny_llama_gqa"), &device, options).unwrap();
        let lm = backbone.model.as_ref();
        let embeddings = packed(&golden["embeddings"], &device);
        let mut layout = layout(&LENGTHS);
        layout.answers = vec![(0, 2), (0, 6), (3, 0), (3, 11)];
        let rows = values(lm.head(lm.encode(embeddings.into(), &layout)));
        for (a, b) in rows[97..2 * 97].iter().zip(&logits[..97]) {
            assert!((a - b).abs() < 1e-4);
        }
        for (a, b) in rows[3 * 97..].iter().zip(&logits[3 * 97..]) {
            assert!((a - b).abs() < 1e-4);
        }
    }
}

#[test]
fn an_example_may_answer_several_times() {
    for name in ["tiny_bert", "tiny_t5"] {
        let golden = golden(name);
        let logits: Vec<f32> = golden["logits_from_embeddings"].iter().collect();
        for options in ways() {
            let device = Device::flex();
            let backbone = backbone::load_with(&folder(name), &device, options).unwrap();
            let lm = backbone.model.as_ref();
            let mut layout = golden_layout(lm);
            // The second and the third example are not asked at all.
            layout.answers = vec![(0, 1), (0, 3), (3, 8)];
            let rows = lm.head(lm.encode(packed(&golden["embeddings"], &device).into(), &layout));
            let rows = values(rows);
            for (found, expected) in [(1, 0), (2, 3)] {
                let expected = &logits[expected * 97..][..97];
                for (a, b) in rows[found * 97..][..97].iter().zip(expected) {
                    assert!((a - b).abs() < 1e-4, "{name}, {options:?}: {a} and {b}");
                }
            }
        }
    }
}

#[test]
fn a_t5_is_the_same_however_its_config_says_it() {
    let (name, device) = ("tiny_t5_v1_1", Device::flex());
    let scores = |lm: &dyn LanguageModel| {
        let embeddings = packed(&golden(name)["embeddings"], &device);
        values(lm.head(lm.encode(embeddings.into(), &golden_layout(lm))))
    };
    let expected = scores(load(name, &device).model.as_ref());
    let config = std::fs::read(folder(name).join("config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    let says = |changes: serde_json::Value| {
        let copy = tempfile::tempdir().unwrap();
        for file in ["model.safetensors", "tokenizer.json"] {
            std::fs::copy(folder(name).join(file), copy.path().join(file)).unwrap();
        }
        let mut config = config.clone();
        config.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        std::fs::write(copy.path().join("config.json"), config.to_string()).unwrap();
        scores(backbone::load(copy.path(), &device).unwrap().model.as_ref())
    };
    // As transformers 5 saves it: tied in word, its head in the file, and no scale.
    let saved_again = json!({ "tie_word_embeddings": true, "scale_decoder_outputs": false });
    assert_eq!(says(saved_again), expected);
    // mT5 is v1.1 with other words, and never scales.
    assert_eq!(says(json!({ "model_type": "mt5" })), expected);
    assert_eq!(says(json!({ "model_type": "mt5", "tie_word_embeddings": true })), expected);
    // v1.0 reads the same numbers otherwise.
    let scaled = says(json!({ "tie_word_embeddings": true, "scale_decoder_outputs": true }));
    assert_ne!(scaled, expected);
}

#[test]
fn no_gradient_is_kept_for_the_weights() {
    let backbone = load("tiny_llama", &Device::flex());
    assert!(!backbone.model.word_embeddings().is_autodiff());
}
