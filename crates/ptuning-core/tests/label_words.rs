//! Label words: scores, prior and gradient as PyTorch has them (`scripts/reference/label_words.py`), and
//! words that cannot stand for a label.

mod common;

use burn::tensor::{Device, Tensor, TensorData};
use common::Words;
use ptuning_core::language_model::Objective;
use ptuning_core::objective::Scores;
use ptuning_core::template::{BoundTemplate, Template};
use ptuning_core::verbalizer::{Aggregate, LabelWords};
use serde_json::{Value, json};

const VOCAB: usize = 40;

fn golden() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/label_words.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

fn logits(value: &Value) -> Tensor<2> {
    let values = numbers(value);
    let rows = values.len() / VOCAB;
    Tensor::from_data(TensorData::new(values, [rows, VOCAB]), &Device::flex())
}

fn assert_near(found: Tensor<2>, expected: &[f32], tolerance: f32, what: &str) {
    let found: Vec<f32> = found.into_data().iter().collect();
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= tolerance * b.abs().max(1.0), "{what}: {a} and {b}");
    }
}

#[test]
fn scores_and_gradients_are_those_of_pytorch() {
    let golden = golden();
    let asked: Vec<u32> =
        golden["asked"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as u32).collect();
    for case in golden["cases"].as_array().unwrap() {
        let what = format!("{} calibrated {}", case["aggregate"], case["calibrated"]);
        let plain = json!({
            "labels": golden["labels"], "aggregate": case["aggregate"], "prior": []
        });
        let plain: LabelWords = serde_json::from_value(plain).unwrap();
        let words = match case["calibrated"].as_bool().unwrap() {
            true => plain.clone().calibrated(plain.word_scores(logits(&golden["prior_logits"]))),
            false => plain,
        };
        let scores = logits(&golden["logits"]);
        assert_near(words.word_scores(scores.clone()), &numbers(&case["words"]), 1e-5, &what);
        assert_near(words.label_scores(scores.clone()), &numbers(&case["labels"]), 1e-5, &what);

        let tracked = scores.autodiff().require_grad();
        let (losses, objective) =
            words.loss(words.label_scores(tracked.clone()), &asked, asked.len());
        let loss: f32 = losses.mean().into_scalar();
        assert!((loss - case["loss"].as_f64().unwrap() as f32).abs() < 1e-5, "{what}: {loss}");
        let mut expected = vec![0.0; asked.len() * VOCAB];
        for entry in case["gradient"].as_array().unwrap() {
            let at = |index: usize| entry[index].as_u64().unwrap() as usize;
            expected[at(0) * VOCAB + at(1)] = entry[2].as_f64().unwrap() as f32;
        }
        let gradient = tracked.grad(&objective.backward()).unwrap();
        assert_near(gradient, &expected, 1e-6, &what);
        // The file of a checkpoint keeps the prior to the last bit.
        let back: LabelWords =
            serde_json::from_str(&serde_json::to_string(&words).unwrap()).unwrap();
        assert_eq!(back, words);
    }
}

#[test]
fn a_word_of_several_tokens_is_told() {
    let words = Words::causal();
    let template = Template::parse("[x] it was [z]").unwrap();
    let template = BoundTemplate::bind(template, &words, Objective::Causal, 32).unwrap();
    let labels = |word: &str| {
        let label = |name: &str, word: &str| (name.to_owned(), vec![(word.to_owned(), 1.0)]);
        LabelWords::bind(
            &[label("good", "fine"), label("bad", word)],
            Aggregate::Mean,
            &template,
            &words,
        )
    };
    let bound = labels("poor").unwrap();
    assert_eq!(bound.to_string(), "good = fine; bad = poor");
    assert_eq!((bound.number("bad"), bound.number("ugly")), (Some(1), None));
    let error = labels("very poor").unwrap().check_single(&words).unwrap_err();
    assert_eq!((error.label.as_str(), error.word.as_str()), ("bad", "very poor"));
    assert!(error.to_string().contains("2 tokens"), "{error}");
}

#[test]
fn macro_f1_is_the_mean_over_labels() {
    // scikit-learn: f1_score([0, 0, 1, 2, 2, 2], [0, 1, 1, 2, 2, 0], average="macro") = 0.655555…
    let scores = Scores::new(&[0, 1, 0, 0, 0, 1], &[0.0; 6]);
    let scores = scores.with_macro_f1(&[0, 0, 1, 2, 2, 2], &[0, 1, 1, 2, 2, 0], 3);
    assert!((scores.macro_f1.unwrap() - 0.655_555_5).abs() < 1e-6, "{scores:?}");
    let absent = Scores::default().with_macro_f1(&[0], &[0], 2);
    assert_eq!(absent.macro_f1, Some(0.5));
}
