//! Several templates' opinions put together as PyTorch puts them (`scripts/reference/ensemble.py`).

use ptuning_core::ensemble::{learned, votes, weighted};
use serde_json::Value;

const ANSWERS: usize = 4;
const EXAMPLES: usize = 30;

fn golden() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/ensemble.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn opinions(golden: &Value) -> Vec<Vec<Vec<f32>>> {
    let rows: Vec<Vec<f32>> = numbers(&golden["opinions"])
        .chunks(ANSWERS)
        .map(|row| row.iter().map(|&number| number as f32).collect())
        .collect();
    rows.chunks(EXAMPLES).map(<[Vec<f32>]>::to_vec).collect()
}

fn assert_near(found: &[Vec<f32>], expected: &[f64]) {
    let found = found.concat();
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((f64::from(*a) - b).abs() < 1e-5, "{a} and {b}");
    }
}

#[test]
fn opinions_are_weighed_as_pytorch_weighs_them() {
    let golden = golden();
    let opinions = opinions(&golden);
    assert_near(&weighted(&opinions, &[1.0 / 3.0; 3]), &numbers(&golden["mean"]));
    let weights = numbers(&golden["weights"]);
    assert_near(&weighted(&opinions, &weights), &numbers(&golden["weighted"]));
}

#[test]
fn the_majority_wins_and_probabilities_decide_between_equals() {
    let golden = golden();
    let found = votes(&opinions(&golden));
    for (scores, expected) in found.iter().zip(numbers(&golden["votes"]).chunks(ANSWERS)) {
        let counted: Vec<f64> = scores.iter().map(|score| f64::from(score.floor())).collect();
        assert_eq!(counted, expected);
    }
    let split = [vec![vec![-0.1f32, -2.4]], vec![vec![-1.2f32, -0.4]]];
    assert!(votes(&split)[0][0] > votes(&split)[0][1], "the surer template decides");
}

#[test]
fn weights_are_those_that_pytorch_learns() {
    let golden = golden();
    let answers: Vec<usize> =
        numbers(&golden["answers"]).into_iter().map(|answer| answer as usize).collect();
    let weights = learned(&opinions(&golden), &answers);
    for (a, b) in weights.iter().zip(numbers(&golden["learned"])) {
        assert!((a - b).abs() < 1e-6, "{a} and {b}");
    }
    // Templates that say the same share what one of them would weigh, and no example says nothing.
    let twice = [opinions(&golden)[0].clone(), opinions(&golden)[0].clone()];
    let weights = learned(&twice, &answers);
    assert!((weights[0] - weights[1]).abs() < 1e-9, "{weights:?}");
    assert_eq!(learned(&twice, &[]), [0.5, 0.5]);
}
