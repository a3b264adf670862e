//! A suite over the tiny Llama and six capitals.

use super::Folder;

const SUITE: &str = r#"name = "small"
base = "config.toml"
suites = "suites"
seeds = [0, 1]

[[tasks]]
name = "capitals"
words = { middle = "capital of [x]" }
discrete = ["The capital of [x] is", "[x] is of [z]"]

[[tasks]]
name = "other"
words = { middle = "[x] is of" }
set = { eval.manual = "[x] is of [z]", train.epochs = 1 }
discrete = "[x] is of [z]"

[[templates]]
name = "around"
text = "[h:2] {middle} [h:2] [z]"

[[encoders]]
name = "direct"
set = { prompt_encoder.kind = "direct" }

[[encoders]]
name = "mlp"
set = { prompt_encoder.kind = "mlp" }
"#;

/// A suite of two tasks, one template and two encoders.
pub fn suite() -> String {
    SUITE.replace("The capital of [x] is\"", "The capital of [x] is [z]\"")
}

/// A folder with the suite in it.
pub fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("suite.toml", suite());
    folder
}
