//! Strategies that train the language model: what runs print and keep, and that they go on as they were.

mod common;

use common::{Folder, stable};
use insta::assert_snapshot;

const LORA: &str =
    "--set train.strategy=prompt-and-lm --set lm.parts=lora --set lm.rank=2 --set lm.lr=1e-2";
const WORDS: &str = "--set train.strategy=fixed-prompt --set lm.lr=1e-3 --set 'template.text=\"The capital of [x] is [z]\"'";

fn losses(folder: &Folder, run: &str) -> Vec<f64> {
    let metrics = folder.text(&format!("runs/{run}/metrics.jsonl"));
    let metrics =
        metrics.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    metrics.filter_map(|metric| metric["train_loss"].as_f64()).collect()
}

#[test]
fn prompt_and_part_of_the_language_model() {
    let _stable = stable();
    let folder = Folder::new();
    let ran = folder.run(&format!("train --config config.toml {LORA} --set train.epochs=1"));
    assert_snapshot!(ran, @r#"
    exit 0
    --- stdout
    dev: 4 of 4 examples, 6 candidates
                    P@1   P@10    MRR    loss
      prompt+LM [n] [n] [n] [n]
      manual [n] [n] [n] [n]  The capital of [x] is [z]
      majority [n] [n] [n]       -  always "Cairo"
    test: 3 of 3 examples, 6 candidates
                    P@1   P@10    MRR    loss
      prompt+LM [n] [n] [n] [n]
      manual [n] [n] [n] [n]  The capital of [x] is [z]
      majority [n] [n] [n]       -  always "Cairo"
    --- stderr
    backbone tiny_llama (llama, 24 wide, 97 words) on flex, loaded in [n] s
    run folder runs/tiny
    train 6 of 6 examples
    dev   4 of 4 examples
    lm    336 of 11664 numbers learn (2.88 %); weights, gradients and moments take [n] GB beside the frozen backbone and a step's activations
    epoch 1/1 step 3/3 loss [n] [n] examples/s, [time] left
    epoch 1/1 train loss [n], dev P@1 [n] P@10 [n] MRR [n] loss [n]  (best so far)
    trained in [time]; judging the best epoch
    what the language model learned is in runs/tiny/best.safetensors

    next:
      ptune predict runs/tiny France India
      ptune inspect runs/tiny
    "#);
    // Two narrow matrices for queries and values of two layers, and no whole weight.
    let bytes = folder.read("runs/tiny/best.safetensors").len();
    let plain = folder.run("train --config config.toml --quiet --name plain --set train.epochs=1");
    assert_eq!(plain.code, Some(0), "{plain}");
    let more = bytes - folder.read("runs/plain/best.safetensors").len();
    assert!(more < 20_000, "{more}");

    let refused = folder.run("export runs/tiny --format safetensors --out prompt.safetensors");
    assert_eq!(refused.code, Some(2), "{refused}");
    assert!(refused.stderr.contains("which an export of the prompt does not hold"), "{refused}");
}

#[test]
fn the_language_model_behind_words() {
    let folder = Folder::new();
    let ran =
        folder.run(&format!("train --config config.toml --quiet {WORDS} --set train.epochs=12"));
    assert_eq!(ran.code, Some(0), "{ran}");
    let losses = losses(&folder, "tiny");
    assert!(losses[11] < 0.7 * losses[0], "{losses:?}");
    let evaluation = folder.run("eval runs/tiny --split dev --format json").json();
    let (tuned, manual) = (&evaluation[0]["prompt"], &evaluation[0]["manual"]);
    assert!(tuned["loss"].as_f64() < manual["loss"].as_f64(), "{evaluation}");
    let answers = folder.run("predict runs/tiny Egypt --top 1 --format json").json();
    assert_eq!(answers[0]["answers"].as_array().unwrap().len(), 1);
    let inspected = folder.run("inspect runs/tiny");
    assert_eq!(inspected.code, Some(0), "{inspected}");
}

#[test]
fn runs_go_on_as_if_they_had_not_stopped() {
    for settings in [LORA, WORDS] {
        let folder = Folder::new();
        let train = |name: &str, epochs: usize| {
            let line = format!(
                "train --config config.toml --quiet {settings} --name {name} --set train.epochs={epochs}"
            );
            let ran = folder.run(&line);
            assert_eq!(ran.code, Some(0), "{ran}");
            ran.stdout
        };
        let whole = train("whole", 4);
        train("half", 2);
        let rest = folder.run("resume runs/half --quiet --set train.epochs=4");
        assert_eq!(rest.stdout, whole, "{rest}");
        let tensors = |run: &str| folder.tensors(&format!("runs/{run}/last.safetensors"));
        assert_eq!(tensors("half"), tensors("whole"), "{settings}");
    }
}
