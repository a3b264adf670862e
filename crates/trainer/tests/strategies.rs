//! The language model learns, whole or in part, with and without a prompt, as in PyTorch; LoRA as in PEFT.
//! Golden numbers: `scripts/reference/strategies.py`.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use backbone::Trainable;
use burn::tensor::{Device, Tensor, TensorData};
use common::batch::{PROMPT, golden_folder, items, start};
use ptuning_core::language_model::LanguageModel;
use ptuning_core::prompt_encoder::{DirectEncoder, PromptEncoder};
use ptuning_core::prompt_model::answer_logits;
use ptuning_core::verbalizer::{OpenVocabulary, Verbalizer};
use serde_json::Value;
use trainer::Error;
use trainer::optimizer::Optimizer;
use trainer::settings::{LmParts, LmSettings, TrainSettings};
use trainer::strategy::{TunedLm, WithLm};

const PROMPT_LR: f64 = 0.05;
const LM_LR: f64 = 0.01;

fn model(name: &str) -> Trainable {
    backbone::trainable(&golden_folder(name), &Device::flex()).unwrap()
}

fn lora(modules: &[&str]) -> LmParts {
    let modules = modules.iter().map(|&module| module.to_owned()).collect();
    LmParts::Lora { rank: 2, alpha: 4.0, modules }
}

fn tuned(name: &str, parts: LmParts, layers: Option<usize>) -> Result<TunedLm, Error> {
    let settings = LmSettings { lr: LM_LR, parts, layers };
    TunedLm::new(model(name), &settings, &TrainSettings::default(), 0)
}

/// LoRA's A as the script starts it.
fn with_script_start(lm: &mut TunedLm) {
    let (header, mut values, _) = lm.state();
    for (name, data) in &mut values {
        if name.ends_with(".lora_A") {
            let shape = data.shape().to_vec();
            let number = |i: usize| (0.1 * (0.3 + 0.7 * i as f64).sin()) as f32;
            let numbers = (0..data.num_elements()).map(number).collect::<Vec<f32>>();
            *data = TensorData::new(numbers, shape);
        }
    }
    lm.restore(&header, &values, &BTreeMap::new()).unwrap();
}

#[test]
fn parts_of_a_model_learn_as_in_pytorch() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/strategies.json");
    let cases: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let cases = cases.as_array().unwrap();
    assert!(cases.len() >= 7);
    for case in cases {
        let name = format!("tiny_{}", case["model"].as_str().unwrap());
        let names = |value: &Value| -> Vec<String> {
            value.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
        };
        let parts = match case["parts"].as_str().unwrap() {
            "lora" => LmParts::Lora {
                rank: case["rank"].as_u64().unwrap() as usize,
                alpha: case["alpha"].as_f64().unwrap(),
                modules: names(&case["modules"]),
            },
            "bias" => LmParts::Bias,
            _ => LmParts::All,
        };
        let layers = case["layers"].as_u64().map(|layers| layers as usize);
        let mut lm = tuned(&name, parts, layers).unwrap();
        with_script_start(&mut lm);

        let device = Device::flex();
        let frozen = lm.frozen().unwrap();
        let prompt = case["prompt"].as_bool().unwrap().then(|| {
            let vectors = Tensor::from_data(start(frozen.hidden_size()), &device);
            let encoder = DirectEncoder::new(vectors, &device.autodiff());
            (PromptEncoder::Direct(encoder), Optimizer::new(&TrainSettings::default()))
        });
        let items = items(&name, frozen.objective(), if prompt.is_some() { PROMPT } else { 0 });
        let mut both = WithLm::new(lm, prompt, LM_LR / PROMPT_LR);
        let words = Verbalizer::Words(OpenVocabulary::whole());
        for (step, expected) in case["losses"].as_array().unwrap().iter().enumerate() {
            let outcome = both.step(&[items.iter().collect()], &words, PROMPT_LR).unwrap();
            let (loss, expected) = (outcome.loss_sum() / 4.0, expected.as_f64().unwrap());
            assert!((loss - expected).abs() < 1e-3, "{case}, step {step}: {loss}, not {expected}");
        }
    }
}

/// What was learned comes back from a checkpoint's tensors, merged into a frozen model; and two batches
/// count as one.
#[test]
fn what_was_learned_comes_back() {
    for (parts, name) in
        [(lora(&[]), "tiny_gpt2"), (LmParts::Bias, "tiny_bert"), (LmParts::All, "tiny_llama3")]
    {
        let words = Verbalizer::Words(OpenVocabulary::whole());
        let whole = tuned(name, parts.clone(), None).unwrap();
        let objective = whole.frozen().unwrap().objective();
        let items = items(name, objective, 0);
        let all: Vec<_> = items.iter().collect();
        let mut whole = WithLm::new(whole, None, 1.0);
        let mut halves = WithLm::new(tuned(name, parts, None).unwrap(), None, 1.0);
        for _ in 0..3 {
            whole.step(std::slice::from_ref(&all), &words, LM_LR).unwrap();
            halves.step(&[all[..1].to_vec(), all[1..].to_vec()], &words, LM_LR).unwrap();
        }
        let (header, values, _) = whole.lm.state();
        assert_eq!(header.optimizer_steps, 3);
        let back = TunedLm::frozen_from(&model(name), &header, &values).unwrap();
        let encoded: Vec<_> = items.iter().map(|item| &item.encoded).collect();
        let logits = |lm: &dyn LanguageModel| -> Vec<f32> {
            answer_logits(lm, None, &encoded).into_data().iter().collect()
        };
        let learned = logits(&whole.lm.frozen().unwrap());
        assert_eq!(logits(&back), learned, "{name}");
        for (a, b) in logits(&halves.lm.frozen().unwrap()).iter().zip(&learned) {
            assert!((a - b).abs() < 2e-3, "{name}: {a} and {b}");
        }
        let untouched = model(name).frozen().unwrap();
        assert_ne!(logits(&back), logits(&untouched), "{name}");
    }
}

#[test]
fn what_does_not_fit_is_told() {
    let told = |result: Result<TunedLm, Error>| result.err().unwrap().to_string();
    assert!(told(tuned("tiny_llama3", LmParts::Bias, None)).contains("no bias"));
    let layers = told(tuned("tiny_bert", LmParts::All, Some(9)));
    assert!(layers.contains("lm.layers") && layers.contains("found 9"), "{layers}");
    let modules = told(tuned("tiny_llama3", lora(&["q_prj"]), None));
    assert!(modules.contains("did you mean 'q_proj'?"), "{modules}");

    let mut lm = tuned("tiny_llama3", lora(&[]), None).unwrap();
    let (header, mut values, _) = lm.state();
    let (name, _) = values.pop_first().unwrap();
    let error = lm.restore(&header, &values, &BTreeMap::new()).unwrap_err();
    assert!(error.to_string().contains(&name), "{error}");
}

#[test]
fn few_numbers_learn_where_few_were_asked_for() {
    let count = |parts, layers| tuned("tiny_bert", parts, layers).unwrap().count();
    let all = count(LmParts::All, None);
    assert_eq!(all, tuned("tiny_bert", LmParts::Bias, None).unwrap().total());
    assert!(count(LmParts::All, Some(1)) < all / 2);
    assert!(count(LmParts::Bias, Some(1)) < count(LmParts::Bias, None));
    assert!(count(lora(&["query"]), Some(1)) < count(lora(&["query"]), None));
}
