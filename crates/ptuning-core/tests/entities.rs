//! Entities judged as seqeval judges them (`scripts/reference/entities.py`).

use std::collections::BTreeSet;

use ptuning_core::spans::{Entity, EntityScores, Prf, entities_of_tags};
use serde_json::Value;

fn golden() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/entities.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Entities of each sentence's tags.
fn read(sentences: &Value) -> Vec<Vec<Entity>> {
    let sentences = sentences.as_array().unwrap().iter();
    let tags =
        |text: &Value| text.as_str().unwrap().split(' ').map(str::to_owned).collect::<Vec<_>>();
    sentences.map(|text| entities_of_tags(&tags(text)).unwrap()).collect()
}

fn assert_same(found: Prf, expected: &Value, what: &str) {
    let found = [found.precision, found.recall, found.f1];
    for (found, expected) in found.into_iter().zip(expected.as_array().unwrap()) {
        let expected = expected.as_f64().unwrap();
        assert!((found - expected).abs() < 1e-9, "{what}: {found} and {expected}");
    }
}

#[test]
fn tags_are_read_as_seqeval_reads_them() {
    for case in golden() {
        let expected: Vec<Vec<Entity>> = {
            let entity = |one: &Value| Entity {
                start: one[0].as_u64().unwrap() as usize,
                end: one[1].as_u64().unwrap() as usize,
                label: one[2].as_str().unwrap().to_owned(),
            };
            let sentences = case["entities"].as_array().unwrap().iter();
            sentences.map(|all| all.as_array().unwrap().iter().map(entity).collect()).collect()
        };
        assert_eq!(read(&case["found"]), expected, "{}", case["found"]);
    }
}

#[test]
fn entities_are_judged_as_seqeval_judges_them() {
    let golden = golden();
    assert!(golden.len() >= 200);
    let (mut partial, mut empty) = (0, 0);
    for case in golden {
        let scores = EntityScores::new(&read(&case["asked"]), &read(&case["found"]));
        let what = format!("{} and {}", case["asked"], case["found"]);
        assert_same(scores.micro, &case["micro"], &what);
        assert_same(scores.macro_, &case["macro"], &what);
        let expected = case["labels"].as_object().unwrap();
        let names: BTreeSet<&str> = expected.keys().map(String::as_str).collect();
        let found: BTreeSet<&str> = scores.labels.iter().map(|one| one.label.as_str()).collect();
        assert_eq!(found, names, "{what}");
        for label in &scores.labels {
            assert_same(label.scores, &expected[&label.label], &format!("{}: {what}", label.label));
        }
        partial += usize::from(scores.micro.f1 > 0.0 && scores.micro.f1 < 1.0);
        empty += usize::from(scores.labels.is_empty());
    }
    assert!(partial > 80 && empty > 5, "{partial} partly right, {empty} without entities");
}

/// The same entity in another sentence is another one, and one found twice counts once.
#[test]
fn sentences_are_told_apart() {
    let one = Entity { start: 0, end: 1, label: "person".to_owned() };
    let asked = [vec![one.clone()], vec![]];
    let scores = EntityScores::new(&asked, &[vec![], vec![one.clone()]]);
    assert_eq!((scores.micro.f1, scores.labels[0].asked, scores.labels[0].found), (0.0, 1, 1));
    let twice = EntityScores::new(&asked, &[vec![one.clone(), one], vec![]]);
    assert_eq!((twice.micro.precision, twice.labels[0].found), (1.0, 1));
}
