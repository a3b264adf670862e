//! Word weights and label vectors that learn beside a prompt, beside a language model, and alone.

mod common;

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};
use common::batch::{PROMPT, golden_folder, items, start};
use ptuning_core::language_model::LanguageModel;
use ptuning_core::prompt_encoder::{DirectEncoder, PromptEncoder};
use ptuning_core::verbalizer::{LabelWords, Verbalizer};
use serde_json::json;
use trainer::optimizer::Optimizer;
use trainer::settings::{LmParts, LmSettings, TrainSettings};
use trainer::strategy::{FixedLm, LearnedLabels, TunedLm, WithLm};
use trainer::task::Item;

const LR: f64 = 0.05;

fn words() -> LabelWords {
    let word = |id: u32| json!({ "text": format!("w{id}"), "weight": 1.0, "id": id });
    serde_json::from_value(json!({
        "aggregate": "mean", "prior": [],
        "labels": [
            { "name": "a", "words": [word(9), word(31), word(40)] },
            { "name": "b", "words": [word(17), word(52)] },
        ],
    }))
    .unwrap()
}

fn batch(lm: &dyn LanguageModel, prompt: usize) -> Vec<Item> {
    let mut items = items("tiny_llama3", lm.objective(), prompt);
    for (index, item) in items.iter_mut().enumerate() {
        item.answer = index as u32 % 2;
    }
    items
}

fn learned(labels: &LabelWords) -> LearnedLabels {
    LearnedLabels::new(labels, &TrainSettings::default(), LR, &Device::flex())
}

fn settings() -> TrainSettings {
    TrainSettings { lr: LR, ..TrainSettings::default() }
}

/// With what is learned held, a step moves the prompt as if nothing of the verbalizer learned; and several
/// batches count as one, however the language model keeps its layers.
#[test]
fn a_prompt_and_label_vectors_learn_together() {
    let device = Device::flex();
    for (fused, memory) in [
        (true, backbone::Memory::Tape),
        (false, backbone::Memory::Tape),
        (false, backbone::Memory::Recompute),
    ] {
        let options = backbone::Options { fused, memory, ..backbone::Options::default() };
        let backbone =
            backbone::load_with(&golden_folder("tiny_llama3"), &device, options).unwrap();
        let lm = backbone.model.as_ref();
        for soft in [true, false] {
            let labels = if soft { words().soft(lm) } else { words() };
            let verbalizer = Verbalizer::Labels(labels.clone());
            let items = batch(lm, PROMPT);
            let all: Vec<&Item> = items.iter().collect();
            let strategy = |with_labels: bool| {
                let vectors = Tensor::from_data(start(lm.hidden_size()), &device);
                let encoder = DirectEncoder::new(vectors, &device.clone().autodiff());
                let prompt = (PromptEncoder::Direct(encoder), Optimizer::new(&settings()));
                FixedLm::with(lm, Some(prompt), with_labels.then(|| learned(&labels)))
            };
            let (mut plain, mut whole, mut halves) =
                (strategy(false), strategy(true), strategy(true));
            let mut losses = Vec::new();
            for step in 0..8 {
                let outcome = whole.step(std::slice::from_ref(&all), &verbalizer, LR);
                let parts = [all[..1].to_vec(), all[1..].to_vec()];
                let same = halves.step(&parts, &verbalizer, LR);
                assert!((outcome.loss_sum() - same.loss_sum()).abs() < 1e-3);
                losses.push(outcome.loss_sum());
                if step == 0 {
                    plain.step(std::slice::from_ref(&all), &verbalizer, LR);
                    let values = |strategy: &FixedLm<'_>| -> Vec<f32> {
                        strategy.vectors().unwrap().into_data().iter().collect()
                    };
                    for (a, b) in values(&plain).iter().zip(values(&whole)) {
                        assert!((a - b).abs() < 1e-4, "soft {soft}, fused {fused}: {a}, {b}");
                    }
                }
            }
            assert!(losses[7] < 0.7 * losses[0], "soft {soft}, fused {fused}: {losses:?}");
            let found = whole.labels().unwrap().labels(&labels);
            assert!(found.has_words_of(&labels) && found != labels);
        }
    }
}

#[test]
fn they_learn_alone_and_come_back_to_the_bit() {
    let device = Device::flex();
    let backbone = backbone::load(&golden_folder("tiny_llama3"), &device).unwrap();
    let lm = backbone.model.as_ref();
    let labels = words().soft(lm);
    let verbalizer = Verbalizer::Labels(labels.clone());
    let items = batch(lm, 0);
    let all: Vec<&Item> = items.iter().collect();
    let run = |learned: LearnedLabels, steps: usize| {
        let mut strategy = FixedLm::with(lm, None, Some(learned));
        let step = |_| strategy.step(std::slice::from_ref(&all), &verbalizer, LR).loss_sum();
        let losses: Vec<f64> = (0..steps).map(step).collect();
        assert!(strategy.vectors().is_none());
        (losses, strategy.labels().unwrap().state())
    };
    let (losses, (values, moments, steps)) = run(learned(&labels), 6);
    assert_eq!(steps, 6);
    assert!(losses[5] < losses[0], "{losses:?}");
    let (_, (half, half_moments, half_steps)) = run(learned(&labels), 3);
    let mut back = learned(&labels);
    back.restore(&half, &half_moments, half_steps).unwrap();
    let (_, (again, moments_again, _)) = run(back, 3);
    assert_eq!((again, moments_again), (values, moments));
    let error = learned(&labels).restore(&BTreeMap::new(), &BTreeMap::new(), 0).unwrap_err();
    assert!(error.to_string().contains("verbalizer.value"), "{error}");
}

#[test]
fn a_language_model_learns_beside_them() {
    let device = Device::flex();
    let model = backbone::trainable(&golden_folder("tiny_llama3"), &device).unwrap();
    let lm = LmSettings { lr: 0.01, parts: LmParts::All, layers: Some(1) };
    let tuned = TunedLm::new(model, &lm, &TrainSettings::default(), 0).unwrap();
    let frozen = tuned.frozen().unwrap();
    let labels = words().soft(&frozen);
    let items = batch(&frozen, 0);
    let all: Vec<&Item> = items.iter().collect();
    let mut both = WithLm::new(tuned, None, 0.2).with_labels(Some(learned(&labels)));
    let verbalizer = Verbalizer::Labels(labels.clone());
    let mut losses = Vec::new();
    for _ in 0..6 {
        let outcome = both.step(std::slice::from_ref(&all), &verbalizer, LR).unwrap();
        losses.push(outcome.loss_sum());
    }
    assert!(losses[5] < losses[0], "{losses:?}");
    assert_ne!(both.labels.unwrap().labels(&labels), labels);
}
