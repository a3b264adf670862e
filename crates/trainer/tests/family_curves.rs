//! Every family learns as it does in PyTorch: ten losses of P-tuning and five of training the whole
//! model, from the same start over the same batch. Golden numbers: `scripts/reference/family_curves.py`.

mod common;

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use ptuning_core::language_model::Objective;
use ptuning_core::prompt_encoder::{DirectEncoder, PromptEncoder};
use ptuning_core::template::{Encoded, Slot};
use ptuning_core::verbalizer::{OpenVocabulary, Verbalizer};
use safetensors::SafeTensors;
use serde_json::Value;
use trainer::adapt::{Asked, FullTuning};
use trainer::optimizer::Optimizer;
use trainer::settings::TrainSettings;
use trainer::strategy::{FixedLm, StepOutcome};
use trainer::task::Item;

const PROMPT: usize = 2;
const PROMPT_LR: f64 = 0.05;
const MODEL_LR: f64 = 0.002;
/// Where masked models answer.
const POSITIONS: [usize; 4] = [3, 0, 0, 8];

fn golden_folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../backbone/tests/golden").join(name)
}

fn curves() -> serde_json::Map<String, Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/family_curves.json");
    let curves: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    curves.as_object().unwrap().clone()
}

/// An example of a family's golden batch.
struct Row {
    ids: Vec<u32>,
    answer: usize,
    label: u32,
}

fn rows(name: &str, objective: Objective) -> Vec<Row> {
    let bytes = std::fs::read(golden_folder(name).join("golden.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let integers = |name: &str| -> Vec<u32> {
        let words = file.tensor(name).unwrap().data().as_chunks::<8>().0.to_vec();
        words.into_iter().map(|word| i64::from_le_bytes(word) as u32).collect()
    };
    let (ids, lengths, labels) = (integers("ids"), integers("lengths"), integers("labels"));
    let width = ids.len() / lengths.len();
    let row = |index: usize| {
        let length = lengths[index] as usize;
        let answer = match objective {
            Objective::Masked => POSITIONS[index],
            Objective::Causal => length - 1,
        };
        let ids = ids[index * width..index * width + length].to_vec();
        Row { ids, answer, label: labels[index] }
    };
    (0..lengths.len()).map(row).collect()
}

/// The same numbers as the script's `start`.
fn start(width: usize) -> TensorData {
    let value = |index: usize| {
        let (slot, i) = ((index / width) as f64, (index % width) as f64);
        (0.5 * (1.0 + 13.0 * slot + 0.7 * i).sin()) as f32
    };
    TensorData::new((0..PROMPT * width).map(value).collect::<Vec<f32>>(), [PROMPT, width])
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
            let item = |(index, row): (usize, Row)| {
                let slots = (0..PROMPT.min(row.ids.len()))
                    .map(|slot| Slot { position: slot, virtual_token: slot })
                    .collect();
                let Row { ids, answer, label } = row;
                let (text, shortened) = (Vec::new(), Vec::new());
                Item {
                    encoded: Encoded { ids, slots, text, answer, shortened },
                    answer: label,
                    index,
                }
            };
            let items: Vec<Item> =
                rows(name, lm.objective()).into_iter().enumerate().map(item).collect();
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
