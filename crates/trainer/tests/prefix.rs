//! Keys and values that are learned in front of every layer, as PEFT and transformers compute them: logits,
//! gradient and ten losses of every family. Golden numbers: `scripts/reference/prefix.py`.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use common::batch::{golden_folder, items};
use ptuning_core::language_model::LanguageModel;
use ptuning_core::prompt_encoder::{EncoderConfig, EncoderKind, Initializer, PromptEncoder};
use ptuning_core::prompt_model::{answer_logits, answer_loss};
use ptuning_core::template::Encoded;
use ptuning_core::verbalizer::{OpenVocabulary, Verbalizer};
use serde_json::Value;
use trainer::checkpoint::read_tensors;
use trainer::optimizer::Optimizer;
use trainer::parameters;
use trainer::settings::TrainSettings;
use trainer::strategy::FixedLm;
use trainer::task::Item;

const PREFIX: usize = 3;
const INNER: usize = 7;
const LR: f64 = 0.02;
/// Positions that are left of the golden batch.
const LONGEST: usize = 9;

fn golden(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn curves() -> serde_json::Map<String, Value> {
    let curves: Value =
        serde_json::from_slice(&std::fs::read(golden("prefix.json")).unwrap()).unwrap();
    curves.as_object().unwrap().clone()
}

/// The same numbers as the script's `numbers`.
fn numbers<const D: usize>(shape: [usize; D], seed: f64) -> TensorData {
    let number = |i: usize| {
        let i = i as f64;
        (0.5 * (seed + 0.7 * i + 0.013 * i * i).sin()) as f32
    };
    TensorData::new((0..shape.iter().product()).map(number).collect::<Vec<f32>>(), shape)
}

fn batch(name: &str, lm: &dyn LanguageModel) -> Vec<Item> {
    let mut items = items(name, lm.objective(), 0);
    for Item { encoded, .. } in &mut items {
        encoded.ids.truncate(LONGEST);
        encoded.answer = encoded.answer.min(encoded.ids.len() - 1);
        encoded.prefix = PREFIX;
    }
    items
}

fn ways() -> [backbone::Options; 3] {
    let packed = backbone::Options::default();
    let tensors = backbone::Options { fused: false, ..packed };
    [packed, tensors, backbone::Options { memory: backbone::Memory::Recompute, ..tensors }]
}

fn close(what: &str, found: Tensor<2>, expected: &TensorData, relative: bool) {
    let (found, expected): (Vec<f32>, Vec<f32>) =
        (found.into_data().iter().collect(), expected.iter().collect());
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0f32, |max, x| max.max(x.abs()));
    let tolerance = if relative { 1e-3 * largest } else { 1e-4 };
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found - expected).abs() < tolerance, "{what}: {found}, expected {expected}");
    }
}

#[test]
fn logits_and_gradients_equal_peft() {
    let (expected, _) = read_tensors(&golden("prefix.safetensors")).unwrap();
    let names = curves();
    assert!(names.len() >= 13);
    for name in names.keys() {
        for options in ways() {
            let device = Device::flex();
            let backbone = backbone::load_with(&golden_folder(name), &device, options).unwrap();
            let lm = backbone.model.as_ref();
            let what = format!("{name}, {options:?}");
            let items = batch(name, lm);
            let encoded: Vec<&Encoded> = items.iter().map(|item| &item.encoded).collect();
            let answers: Vec<u32> = items.iter().map(|item| item.answer).collect();
            let width = lm.prefix_shape().unwrap().width();
            let prefix = Tensor::from_data(numbers([PREFIX, width], 1.0), &device);
            let logits = answer_logits(lm, Some(&prefix), &encoded);
            close(&what, logits, &expected[&format!("{name}.logits")], false);
            // One at a time is the same.
            for (row, example) in encoded.iter().enumerate() {
                let alone = answer_logits(lm, Some(&prefix), &[example]);
                let logits = &expected[&format!("{name}.logits")];
                let vocab = lm.vocab_size();
                let row: Vec<f32> = logits.iter().skip(row * vocab).take(vocab).collect();
                close(&what, alone, &TensorData::new(row, [1, vocab]), false);
            }
            let tracked = prefix.autodiff().require_grad();
            let (_, objective) = answer_loss(lm, &tracked, &encoded, &mut |states| {
                lm.loss(states, &answers, items.len())
            });
            let gradient = tracked.grad(&objective.backward()).unwrap();
            close(&what, gradient, &expected[&format!("{name}.gradient")], true);
        }
    }
}

#[test]
fn prefixes_learn_as_in_peft() {
    for (name, curve) in &curves() {
        for (kind, key) in [(EncoderKind::Direct, "direct"), (EncoderKind::Mlp, "mlp")] {
            let device = Device::flex();
            let backbone = backbone::load(&golden_folder(name), &device).unwrap();
            let lm = backbone.model.as_ref();
            let (hidden, width) = (lm.hidden_size(), lm.prefix_shape().unwrap().width());
            let config = EncoderConfig {
                kind,
                prompt: PREFIX,
                hidden,
                inner: INNER,
                prefix_width: Some(width),
            };
            let start = match kind {
                EncoderKind::Direct => {
                    BTreeMap::from([("embedding".to_owned(), numbers([PREFIX, width], 1.0))])
                }
                _ => BTreeMap::from([
                    ("embedding".to_owned(), numbers([PREFIX, hidden], 2.0)),
                    ("first.weight".to_owned(), numbers([INNER, hidden], 3.0)),
                    ("first.bias".to_owned(), numbers([INNER], 4.0)),
                    ("second.weight".to_owned(), numbers([width, INNER], 5.0)),
                    ("second.bias".to_owned(), numbers([width], 6.0)),
                ]),
            };
            let zeros = Tensor::zeros(config.start_shape(), &device);
            let encoder =
                PromptEncoder::new(&config, zeros, &mut Initializer::new(0), &device.autodiff());
            let encoder = parameters::with_values(encoder, &start).unwrap();
            let count: usize =
                parameters::values(&encoder).values().map(TensorData::num_elements).sum();
            assert_eq!(count, config.parameters(), "{name}, {key}");
            let items = batch(name, lm);
            let words = Verbalizer::Words(OpenVocabulary::whole());
            let mut strategy = FixedLm::new(lm, encoder, Optimizer::new(&TrainSettings::default()));
            let expected = curve[key].as_array().unwrap();
            assert_eq!(expected.len(), 10);
            for (step, expected) in expected.iter().enumerate() {
                let outcome = strategy.step(&[items.iter().collect()], &words, LR);
                let (loss, expected) = (outcome.loss_sum() / 4.0, expected.as_f64().unwrap());
                let what = format!("{name}, {key}, step {step}");
                assert!((loss - expected).abs() < 1e-3, "{what}: {loss}, expected {expected}");
            }
        }
    }
}

#[test]
fn a_decoder_takes_none() {
    let backbone = backbone::load(&golden_folder("tiny_t5"), &Device::flex()).unwrap();
    assert!(backbone.model.prefix_shape().is_none());
}
