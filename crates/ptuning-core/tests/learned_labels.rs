//! Word weights and label vectors that learn, as in PyTorch. Golden numbers:
//! `scripts/reference/learned_labels.py`.

mod common;

use burn::tensor::{Device, Tensor, TensorData};
use common::Bag;
use ptuning_core::verbalizer::LabelWords;
use serde_json::{Value, json};

fn golden() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/learned_labels.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect()
}

fn near(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        let tolerance = 2e-5 * (1.0 + expected.abs());
        assert!((found - expected).abs() < tolerance, "{what}: {found}, expected {expected}");
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter().collect()
}

#[test]
fn what_is_learned_has_pytorchs_gradients() {
    let golden = golden();
    let size = |key: &str| golden[key].as_u64().unwrap() as usize;
    let device = Device::flex();
    let lm = Bag::new(size("vocab"), size("hidden"), &device);
    let rows = golden["states"]["shape"][0].as_u64().unwrap() as usize;
    let states = TensorData::new(numbers(&golden["states"]["data"]), [rows, size("hidden")]);
    let asked: Vec<u32> = numbers(&golden["asked"]).into_iter().map(|x| x as u32).collect();
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() >= 7);
    for case in cases {
        let what = format!("{} {} {}", case["kind"], case["aggregate"], case["calibrated"]);
        let prior = if case["calibrated"] == true { golden["prior"].clone() } else { json!([]) };
        let words =
            json!({ "labels": golden["labels"], "aggregate": case["aggregate"], "prior": prior });
        let words: LabelWords = serde_json::from_value(words).unwrap();
        let words = if case["kind"] == "soft" { words.soft(&lm) } else { words };
        assert_eq!(words.is_soft(), case["kind"] == "soft");
        near(&words.learnable(), &numbers(&case["value"]), &format!("{what}: start"));
        assert!(words.fits(size("vocab"), size("hidden")) && !words.fits(size("vocab") - 4, 6));
        assert_eq!(words.fits(size("vocab"), 5), !words.is_soft(), "{what}");

        let learned = || {
            let value = words.learnable();
            let count = value.len();
            Tensor::<1>::from_data(TensorData::new(value, [count]), &device)
        };
        let tracked = Tensor::<2>::from_data(states.clone(), &device).autodiff().require_grad();
        let (losses, objective, gradient) =
            words.learning_loss(&lm, tracked.clone(), learned(), &asked, rows);
        near(&values(losses), &numbers(&case["losses"]), &format!("{what}: losses"));
        near(&values(gradient), &numbers(&case["grad_value"]), &format!("{what}: gradient"));
        let of_states = tracked.grad(&objective.backward()).unwrap();
        near(&values(of_states), &numbers(&case["grad_states"]), &format!("{what}: states"));
        // What a checkpoint keeps scores as what was learning did.
        let plain = Tensor::<2>::from_data(states.clone(), &device);
        let learning = words.scores(&lm, plain.clone(), Some(learned()));
        let kept = words.with_learned(&words.learnable()).scores(&lm, plain, None);
        near(&values(kept), &values(learning), &format!("{what}: scores"));
        let back: LabelWords =
            serde_json::from_str(&serde_json::to_string(&words).unwrap()).unwrap();
        assert_eq!(back, words, "{what}");
    }
}

#[test]
fn learned_weights_have_the_mean_one() {
    let golden = golden();
    for case in golden["cases"].as_array().unwrap().iter().filter(|case| case["kind"] != "soft") {
        let words = json!({ "labels": golden["labels"], "aggregate": "mean", "prior": [] });
        let words: LabelWords = serde_json::from_value(words).unwrap();
        let after = numbers(&case["after"]);
        let logs: Vec<f32> = after.iter().map(|weight| weight.ln() + 3.0).collect();
        let learned = words.with_learned(&logs);
        let found: Vec<f32> = learned.words().map(|word| word.weight).collect();
        near(&found, &after, "weights");
    }
}
