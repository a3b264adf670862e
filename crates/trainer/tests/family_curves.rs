//! Every family learns as it does in PyTorch: ten losses of P-tuning and five of training the whole
//! model, from the same start over the same batch. Golden numbers: `scripts/reference/family_curves.py`.

mod common;

use std::path::Path;

use burn::tensor::{Device, Tensor};
use common::batch::{PROMPT, Row, golden_folder, items, rows, start};
use ptuning_core::prompt_encoder::{DirectEncoder, PromptEncoder};
use ptuning_core::verbalizer::{OpenVocabulary, Verbalizer};
use serde_json::Value;
use trainer::adapt::{Asked, FullTuning};
use trainer::optimizer::Optimizer;
use trainer::settings::TrainSettings;
use trainer::strategy::{FixedLm, StepOutcome};

const PROMPT_LR: f64 = 0.05;
const MODEL_LR: f64 = 0.002;

fn curves() -> serde_json::Map<String, Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/family_curves.json");
    let curves: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    curves.as_object().unwrap().clone()
}

fn check(what: &str, expected: &Value, mut step: impl FnMut() -> StepOutcome, least: usize) {
    let expected = expected.as_array().unwrap();
    assert_eq!(expected.len(), least, "{what}");
    for (index, expected) in expected.iter().enumerate() {
        let outcome = step();
        let loss = outcome.loss_sum() / outcome.answers as f64;
        let expected = expected.as_f64().unwrap();
        assert!((loss - expected).abs() < 1e-3, "{what}, step {index}: {loss} and {expected}");
    }
}

#[test]
fn prompts_learn_as_in_pytorch() {
    let curves = curves();
    assert!(curves.len() >= 16, "{:?}", curves.keys());
    for (name, curve) in &curves {
        for fused in [true, false] {
            let device = Device::flex();
            let options = backbone::Options { fused, ..backbone::Options::default() };
            let backbone = backbone::load_with(&golden_folder(name), &device, options).unwrap();
            let lm = backbone.model.as_ref();
            let items = items(name, lm.objective(), PROMPT);
            let vectors = Tensor::from_data(start(lm.hidden_size()), &device);
            let encoder = PromptEncoder::Direct(DirectEncoder::new(vectors, &device.autodiff()));
            let settings = TrainSettings::default();
            let words = Verbalizer::Words(OpenVocabulary::whole());
            let mut strategy = FixedLm::new(lm, encoder, Optimizer::new(&settings));
            let step = || strategy.step(&[items.iter().collect()], &words, PROMPT_LR);
            check(&format!("{name}, fused {fused}"), &curve["prompt"], step, 10);
        }
    }
}

#[test]
fn whole_models_learn_as_in_pytorch() {
    let (trained, prompted): (Vec<_>, Vec<_>) =
        curves().into_iter().partition(|(_, curve)| curve.get("model").is_some());
    for (name, _) in prompted {
        let refused = backbone::trainable(&golden_folder(&name), &Device::flex()).err().unwrap();
        assert!(refused.to_string().contains("encoder–decoder"), "{name}: {refused}");
    }
    assert!(trained.len() >= 13);
    for (name, curve) in &trained {
        let model = backbone::trainable(&golden_folder(name), &Device::flex()).unwrap();
        let lm = model.model(model.parameters.values()).unwrap();
        let objective = ptuning_core::language_model::LanguageModel::objective(&lm);
        let asked = |row: Row| Asked {
            ids: row.ids,
            positions: vec![row.answer],
            answers: vec![row.label],
        };
        let batch: Vec<Asked> = rows(name, objective).into_iter().map(asked).collect();
        let mut tuning = FullTuning::new(model, &TrainSettings::default());
        let step = || tuning.step(std::slice::from_ref(&batch), MODEL_LR).unwrap();
        check(name, &curve["model"], step, 5);
    }
}
