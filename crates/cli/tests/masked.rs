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
    let answers = folder.run("predict runs/masked France India --top 1").stdout;
    assert!(answers.contains("paris") && answers.contains("delhi"), "{answers}");
}
