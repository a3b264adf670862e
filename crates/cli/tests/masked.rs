//! A masked language model, whose answer may stand anywhere.

mod common;

use common::Folder;

#[test]
fn a_masked_model_trains_with_the_answer_anywhere() {
    let folder = Folder::new();
    folder.copy_model("tiny_bert", "tiny_bert");
    folder.write(
        "masked.toml",
        r#"name = "masked"
runs = "runs"
[backbone]
source = "tiny_bert"
[data]
path = "data"
[template]
text = "[h:2] [z] capital [x] [h:1]"
[train]
lr = 1e-1
epochs = 300
[eval]
manual = "[z] capital [x]"
"#,
    );
    let ran = folder.run("train --config masked.toml --quiet");
    assert_eq!(ran.code, Some(0), "{ran}");
    let metrics = folder.text("runs/masked/metrics.jsonl");
    let metrics =
        metrics.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let losses: Vec<f64> = metrics.filter_map(|metric| metric["train_loss"].as_f64()).collect();
    // Random layers say little, but which of six capitals they can be made to say is better than chance.
    assert!(losses[299] < 0.6 * losses[0], "{} and {}", losses[0], losses[299]);
    let answers = folder.run("predict runs/masked France India --top 6").stdout;
    assert!(answers.contains("paris") && answers.contains("delhi"), "{answers}");
}
