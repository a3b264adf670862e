//! Training against PyTorch: ten losses of P-tuning, optimisers step by step, schedules.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use ptuning_core::prompt_encoder::{
    DirectEncoder, EncoderConfig, EncoderKind, Initializer, PromptEncoder,
};
use ptuning_core::template::{Encoded, Slot};
use ptuning_core::verbalizer::{OpenVocabulary, Verbalizer};
use serde_json::Value;
use trainer::checkpoint::read_tensors;
use trainer::optimizer::Optimizer;
use trainer::parameters;
use trainer::schedule::LearningRate;
use trainer::search::gradients;
use trainer::settings::{Optimizer as Kind, Schedule, Split, TrainSettings};
use trainer::strategy::FixedLm;
use trainer::task::Item;

fn golden(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

/// The optimiser of a golden run.
fn train_settings(run: &Value) -> TrainSettings {
    let number = |key: &str| run[key].as_f64();
    TrainSettings {
        optimizer: match run["optimizer"].as_str().unwrap() {
            "adam" => Kind::Adam,
            "adamw" => Kind::AdamW,
            other => panic!("{other}"),
        },
        betas: (number("beta1").unwrap(), number("beta2").unwrap()),
        eps: number("eps").unwrap(),
        weight_decay: number("weight_decay").unwrap(),
        clip_norm: number("clip_norm"),
        ..TrainSettings::default()
    }
}

/// PyTorch's names → this encoder's.
fn renamed(tensors: BTreeMap<String, TensorData>) -> BTreeMap<String, TensorData> {
    let rename = |name: &str| {
        let mut name = name.to_owned();
        for layer in 0..2 {
            for part in ["weight_ih", "weight_hh", "bias_ih", "bias_hh"] {
                for (theirs, ours) in [("_reverse", "backward"), ("", "forward")] {
                    name = name.replace(
                        &format!("lstm.{part}_l{layer}{theirs}"),
                        &format!("lstm.layers.{layer}.{ours}.{part}"),
                    );
                }
            }
        }
        name.replace("mlp.0", "mlp.first")
            .replace("mlp.2", "mlp.second")
            .replace("embedding.weight", "embedding")
    };
    tensors.into_iter().map(|(name, data)| (rename(&name), data)).collect()
}

#[test]
fn ten_losses_equal_pytorch() {
    let golden = golden("training_curve.json");
    let start =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/training_curve.safetensors");
    let start = renamed(read_tensors(&start).unwrap().0);
    let backbone = backbone::load(&common::tiny_llama(), &Device::flex()).unwrap();
    let (prompt, hidden) = (golden["n"].as_u64().unwrap() as usize, 24);
    let config = EncoderConfig {
        kind: EncoderKind::Lstm,
        prompt,
        hidden,
        inner: hidden,
        prefix_width: None,
    };
    let runs = golden["runs"].as_array().unwrap();
    assert!(runs.len() >= 2);
    for run in runs {
        let name = &run["name"];
        let device = Device::flex();
        let zeros = Tensor::zeros([prompt, hidden], &device);
        let encoder =
            PromptEncoder::new(&config, zeros, &mut Initializer::new(0), &device.autodiff());
        let encoder = parameters::with_values(encoder, &start).unwrap();
        let optimizer = Optimizer::new(&train_settings(run));
        let mut strategy = FixedLm::new(backbone.model.as_ref(), encoder, optimizer);
        let steps = golden["steps"].as_array().unwrap();
        let words = Verbalizer::Words(OpenVocabulary::whole());
        let (rates, losses) = (numbers(&run["rates"]), numbers(&run["losses"]));
        assert_eq!(losses.len(), 10);
        for (step, ((rows, lr), expected)) in steps.iter().zip(rates).zip(losses).enumerate() {
            let items: Vec<Item> = rows["rows"].as_array().unwrap().iter().map(item).collect();
            let outcome = strategy.step(&[items.iter().collect()], &words, lr);
            let loss = outcome.loss_sum() / outcome.examples as f64;
            assert!((loss - expected).abs() < 1e-3, "{name}, step {step}: {loss} and {expected}");
        }
    }
}

fn item(row: &Value) -> Item {
    let ids: Vec<u32> = numbers(&row["ids"]).into_iter().map(|id| id as u32).collect();
    let slot = |pair: &Value| {
        let pair = numbers(pair);
        Slot { position: pair[0] as usize, virtual_token: pair[1] as usize }
    };
    let slots = row["slots"].as_array().unwrap().iter().map(slot).collect();
    let answer = ids.len() - 1;
    Item {
        encoded: Encoded { ids, slots, text: Vec::new(), answer, prefix: 0, shortened: Vec::new() },
        answer: row["label"].as_u64().unwrap() as u32,
        index: 0,
        rivals: Vec::new(),
    }
}

#[test]
fn optimizers_equal_pytorch() {
    let golden = golden("optimizer.json");
    let flat = |value: &Value| numbers(value).into_iter().map(|x| x as f32).collect::<Vec<f32>>();
    let device = Device::flex();
    let runs = golden["runs"].as_array().unwrap();
    assert!(runs.len() >= 3, "Adam, Adam with decay, AdamW");
    for run in runs {
        // One tensor at a time: without clipping they do not know of each other.
        for (name, start) in golden["parameters"].as_object().unwrap() {
            let start = flat(&start["data"]);
            let count = start.len();
            let start = Tensor::from_data(TensorData::new(start, [1, count]), &device);
            let encoder = DirectEncoder::new(start, &device.clone().autodiff());
            let mut encoder = PromptEncoder::Direct(encoder);
            let mut optimizer = Optimizer::new(&train_settings(run));
            let mut after = run["after"].as_array().unwrap().iter();
            for (step, gradient) in golden["gradients"].as_array().unwrap().iter().enumerate() {
                let gradient = TensorData::new(flat(&gradient[name]), [count]);
                let gradient = Tensor::from_data(gradient, &device);
                encoder = optimizer.step(encoder, vec![gradient], run["lr"].as_f64().unwrap());
                if (step + 1) % 5 == 0 {
                    let expected = flat(&after.next().unwrap()["parameters"][name]);
                    let found: Vec<f32> = encoder.forward().into_data().iter().collect();
                    for (a, b) in found.iter().zip(&expected) {
                        let close = (a - b).abs() < 2e-5 * (1.0 + b.abs());
                        assert!(close, "{} {name} step {step}: {a} and {b}", run["name"]);
                    }
                }
            }
        }
    }
}

#[test]
fn schedules_equal_transformers() {
    for schedule in golden("schedules.json")["schedules"].as_array().unwrap() {
        let size = |key: &str| schedule[key].as_u64().unwrap_or(0) as usize;
        let rate = LearningRate {
            base: schedule["lr"].as_f64().unwrap(),
            schedule: match schedule["kind"].as_str().unwrap() {
                "constant" => Schedule::Constant,
                "linear" => Schedule::Linear,
                "cosine" => Schedule::Cosine,
                "exponential" => {
                    Schedule::Exponential { gamma: schedule["gamma"].as_f64().unwrap() }
                }
                other => panic!("{other}"),
            },
            warmup: size("warmup_steps"),
            total: size("total_steps"),
        };
        for (step, expected) in numbers(&schedule["rates"]).into_iter().enumerate() {
            let epoch = step / size("steps_per_epoch").max(1);
            let found = rate.at(step, epoch);
            assert!((found - expected).abs() < 1e-12, "{} step {step}: {found}", schedule["name"]);
        }
    }
}

/// `scripts/reference/autoprompt.py`
#[test]
fn the_gradient_points_at_pytorchs_words() {
    let golden = golden("autoprompt.json");
    let ids = |value: &Value| -> Vec<u32> {
        value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
    };
    let folder = common::folder();
    let task = common::task(&folder, &[]);
    let template = task.bind("test", golden["template"].as_str().unwrap()).unwrap();
    let verbalizer = task.verbalizer(&template).unwrap();
    let (items, _) = task.encode(Split::Train, &template, &verbalizer).unwrap();
    assert_eq!(items.len(), golden["pairs"].as_array().unwrap().len());
    let lm = task.backbone.model.as_ref();
    let items: Vec<&Item> = items.iter().collect();
    let found = gradients(lm, &verbalizer, &ids(&golden["triggers"]), &items);
    for (trigger, expected) in golden["top"].as_array().unwrap().iter().enumerate() {
        let expected = ids(&expected["ids"]);
        let whole = OpenVocabulary::whole();
        assert_eq!(found.candidates(lm, trigger, &whole, expected.len()), expected, "{trigger}");
        let few = OpenVocabulary::candidates(expected[2..5].iter().copied());
        assert_eq!(found.candidates(lm, trigger, &few, 8), expected[2..5], "{trigger}");
    }
}
