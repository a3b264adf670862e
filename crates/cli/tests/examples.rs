//! `examples-SPLIT.jsonl`: each judged example, and ranks without other right answers.

mod common;

use common::Folder;
use serde_json::Value;

fn lines(folder: &Folder, file: &str) -> Vec<Value> {
    folder.text(file).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Words with their probabilities, over all candidates.
fn ranking(folder: &Folder, run: &str, input: &str) -> Vec<(String, f64)> {
    let said = folder.run(&format!("predict {run} {input} --top 50 --format json")).json();
    let answers = said[0]["answers"].as_array().unwrap().iter();
    answers
        .map(|a| (a["word"].as_str().unwrap().to_owned(), a["probability"].as_f64().unwrap()))
        .collect()
}

#[test]
fn every_example_has_its_rank_with_and_without_other_right_answers() {
    let folder = Folder::new();
    // Britain has three right answers, which different splits know.
    let row = |x: &str, z: &str| format!("{{\"x\": \"{x}\", \"z\": \"{z}\"}}\n");
    folder.write("data/train.jsonl", folder.text("data/train.jsonl") + &row("Britain", "Rome"));
    folder.write("data/dev.jsonl", folder.text("data/dev.jsonl") + &row("Britain", "Oslo"));
    let ran = folder.run("train --config config.toml --quiet");
    assert_eq!(ran.code, Some(0), "{ran}");
    assert!(ran.stdout.contains("other right answers removed, P@1 / MRR: P-tuned"), "{ran}");

    let test = lines(&folder, "runs/tiny/examples-test.jsonl");
    assert_eq!(test.len(), 3);
    let mut filtered = Vec::new();
    for example in &test {
        let input = example["input"]["x"].as_str().unwrap();
        let answer = example["answer"].as_str().unwrap();
        let ranking = ranking(&folder, "runs/tiny", input);
        let right = if input == "Britain" { vec!["London", "Rome", "Oslo"] } else { vec![answer] };
        let own = ranking.iter().find(|(word, _)| word == answer).unwrap().1;
        let higher = |others: bool| {
            let counts = |(word, p): &&(String, f64)| {
                *p > own && (others || !right.contains(&word.as_str()))
            };
            ranking.iter().filter(counts).count()
        };
        let verdict = &example["prompt"];
        assert_eq!(verdict["rank"], higher(true) + 1, "{input}");
        assert_eq!(verdict["filtered_rank"], higher(false) + 1, "{input}");
        assert_eq!(verdict["says"], ranking[0].0.as_str(), "{input}");
        filtered.push(1.0 / (higher(false) + 1) as f64);
        assert!(example["manual"]["rank"].as_u64().unwrap() >= 1);
    }
    let evaluation: Value =
        serde_json::from_str(&folder.text("runs/tiny/evaluation.json")).unwrap();
    let scores = &evaluation[1]["prompt"];
    let mrr = filtered.iter().sum::<f64>() / filtered.len() as f64;
    assert!((scores["filtered"]["mrr"].as_f64().unwrap() - mrr).abs() < 1e-12);
    // Ranks make the scores.
    let ranks = test.iter().map(|example| example["prompt"]["rank"].as_u64().unwrap());
    let p1 = ranks.filter(|rank| *rank == 1).count() as f64 / 3.0;
    assert!((scores["p1"].as_f64().unwrap() - p1).abs() < 1e-12);
}

#[test]
fn labels_have_their_examples_too_and_data_without_a_second_answer_no_filter() {
    let folder = Folder::new();
    let ran = folder.run(
        "train --config config.toml --quiet --set 'verbalizer.labels={ London = \"London\", Cairo = \"Cairo\", Paris = \
         \"Paris\", Delhi = \"Delhi\", Rome = \"Rome\", Oslo = \"Oslo\" }'",
    );
    assert_eq!(ran.code, Some(0), "{ran}");
    let examples = lines(&folder, "runs/tiny/examples-dev.jsonl");
    assert_eq!(examples.len(), 4);
    let capitals = ["London", "Cairo", "Paris", "Delhi", "Rome", "Oslo"];
    assert!(examples.iter().all(|e| capitals.contains(&e["prompt"]["says"].as_str().unwrap())));
    assert!(examples.iter().all(|e| e["prompt"].get("filtered_rank").is_none()));
    assert!(!ran.stdout.contains("other right answers"), "{ran}");
}
