//! Label words found from examples and from knowledge, as PyTorch and NumPy find them
//! (`scripts/reference/found_words.py`).

use burn::tensor::{Device, Tensor, TensorData};
use ptuning_core::verbalizer::{Evidence, LabelWords};
use serde_json::{Value, json};

const VOCAB: usize = 30;

fn golden() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/found_words.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

fn counts(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|count| count.as_u64().unwrap() as usize).collect()
}

fn assert_near(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "{a} and {b}");
    }
}

#[test]
fn words_are_ranked_by_what_examples_say() {
    let golden = &golden()["automatic"];
    let labels: Vec<u32> =
        counts(&golden["labels"]).into_iter().map(|label| label as u32).collect();
    let logits = numbers(&golden["logits"]);
    let device = Device::flex();
    let mut evidence = Evidence::new(3, VOCAB, &device);
    // In batches of different sizes, as data comes.
    for rows in [0..5, 5..12] {
        let batch = logits[rows.start * VOCAB..rows.end * VOCAB].to_vec();
        let batch = Tensor::from_data(TensorData::new(batch, [rows.len(), VOCAB]), &device);
        evidence.add(batch, &labels[rows]);
    }
    assert_near(&evidence.ratios().concat(), &numbers(&golden["ratios"]));
    assert_near(&evidence.frequencies(), &numbers(&golden["frequencies"]));
}

#[test]
fn a_label_without_examples_says_nothing() {
    let device = Device::flex();
    let mut evidence = Evidence::new(2, 3, &device);
    evidence.add(Tensor::from_data([[1.0, 2.0, 30.0]], &device), &[1]);
    assert_eq!(evidence.ratios(), [[0.0; 3]; 2]);
}

#[test]
fn words_stay_that_are_frequent_and_belong_to_their_label() {
    let golden = golden();
    let (own, sizes) = (counts(&golden["own"]), counts(&golden["sizes"]));
    let mut id = 0;
    let mut label = |size: &usize| {
        let words: Vec<Value> = (0..*size)
            .map(|_| {
                id += 1;
                json!({ "text": format!("w{}", id - 1), "weight": 1.0, "id": id - 1 })
            })
            .collect();
        json!({ "name": format!("of {size}"), "words": words })
    };
    let labels: Vec<Value> = sizes.iter().map(&mut label).collect();
    let words = json!({ "labels": labels, "aggregate": "mean", "prior": [] });
    let words: LabelWords = serde_json::from_value(words).unwrap();
    for case in golden["knowledgeable"].as_array().unwrap() {
        let probabilities = numbers(&case["probabilities"]);
        let probabilities: Vec<Vec<f32>> = probabilities.chunks(id).map(<[f32]>::to_vec).collect();
        let (cutoff, most) = (case["cutoff"].as_f64().unwrap(), counts(&json!([case["most"]]))[0]);
        let refined = words.clone().refined(&probabilities, &own, cutoff, most);
        let kept: Vec<Vec<usize>> = (refined.labels().iter())
            .map(|label| label.words.iter().map(|word| word.id as usize).collect())
            .collect();
        let expected: Vec<Vec<usize>> =
            case["kept"].as_array().unwrap().iter().map(counts).collect();
        assert_eq!(kept, expected, "cutoff {cutoff}, at most {most}");
    }
}
