//! Commands that go well: what they print, what they write, and nothing else.

mod common;

use common::{Folder, stable};
use insta::assert_snapshot;

#[test]
fn train_prints_progress_on_stderr_and_results_on_stdout() {
    let _stable = stable();
    let folder = Folder::new();
    let ran = folder.run("train --config config.toml");
    assert_snapshot!(ran, @r#"
    exit 0
    --- stdout
    dev: 4 of 4 examples, 6 candidates
                    P@1   P@10    MRR    loss
      P-tuned [n] [n] [n] [n]
      manual [n] [n] [n] [n]  The capital of [x] is [z]
      majority [n] [n] [n]       -  always "Cairo"
    test: 3 of 3 examples, 6 candidates
                    P@1   P@10    MRR    loss
      P-tuned [n] [n] [n] [n]
      manual [n] [n] [n] [n]  The capital of [x] is [z]
      majority [n] [n] [n]       -  always "Cairo"
    --- stderr
    backbone tiny_llama (llama, 24 wide, 97 words) on flex, loaded in [n] s
    run folder runs/tiny
    train 6 of 6 examples
    dev   4 of 4 examples
    epoch 1/4 step 3/3 loss [n] [n] examples/s, [time] left
    epoch 1/4 train loss [n], dev P@1 [n] P@10 [n] MRR [n] loss [n]  (best so far)
    epoch 2/4 step 3/3 loss [n] [n] examples/s, [time] left
    epoch 2/4 train loss [n], dev P@1 [n] P@10 [n] MRR [n] loss [n]  (best so far)
    epoch 3/4 step 3/3 loss [n] [n] examples/s, [time] left
    epoch 3/4 train loss [n], dev P@1 [n] P@10 [n] MRR [n] loss [n]  (best so far)
    epoch 4/4 step 3/3 loss [n] [n] examples/s, [time] left
    epoch 4/4 train loss [n], dev P@1 [n] P@10 [n] MRR [n] loss [n]  (best so far)
    trained in [time]; judging the best epoch
    prompt exported to runs/tiny/prompt.safetensors

    next:
      ptune predict runs/tiny France India
      ptune inspect runs/tiny
    "#);

    let mut files: Vec<_> = std::fs::read_dir(folder.path("runs/tiny"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    // No temporary file is left.
    let expected = [
        "best.safetensors",
        "config.toml",
        "evaluation.json",
        "events.out.tfevents.ptune",
        "examples-dev.jsonl",
        "examples-test.jsonl",
        "last.safetensors",
        "metrics.csv",
        "metrics.jsonl",
        "prompt.safetensors",
        "run.json",
    ];
    assert_eq!(files, expected);
    let run: serde_json::Value =
        serde_json::from_slice(&folder.read("runs/tiny/run.json")).unwrap();
    assert_eq!(run["command"][1], "train");
    assert_eq!(folder.text("runs/tiny/metrics.csv").lines().count(), 1 + 4);
    assert_eq!(folder.text("runs/tiny/metrics.jsonl").lines().count(), 4 * (3 + 1));
    assert!(!folder.path("cache").exists(), "nothing was fetched");
}

#[test]
fn quiet_prints_results_only() {
    let folder = Folder::new();
    let ran = folder.run("train --config config.toml --quiet");
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran}");
    assert!(ran.stdout.starts_with("dev: 4 of 4 examples, 6 candidates\n"), "{ran}");
    let again = folder.run("resume runs/tiny --quiet");
    assert_eq!((again.code, again.stderr.as_str()), (Some(0), ""), "{again}");
    assert_eq!(again.stdout, ran.stdout);
}

#[test]
fn a_run_is_replaced_only_by_force() {
    let _stable = stable();
    let folder = Folder::trained();
    let before = folder.tree();
    assert_snapshot!(folder.run("train --config config.toml"), @r"
    exit 2
    --- stdout
    --- stderr
    error: runs/tiny: a run of this name is there already; it is not overwritten
    hint: `ptune resume runs/tiny` goes on with it, --name NAME trains beside it, --force replaces it
    ");
    assert_eq!(folder.tree(), before);

    let ran = folder.run("train --config config.toml --force --set train.epochs=1");
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(folder.text("runs/tiny/metrics.csv").lines().count(), 1 + 1);
}

#[test]
fn a_name_is_a_folder_beside() {
    let folder = Folder::trained();
    let before = folder.read("runs/tiny/best.safetensors");
    let ran = folder.run("train --config config.toml --name other --set train.lr=1e-3 --quiet");
    assert_eq!(ran.code, Some(0), "{ran}");
    assert!(folder.text("runs/other/config.toml").contains("lr = 0.001"));
    assert_eq!(folder.read("runs/tiny/best.safetensors"), before);
}

#[test]
fn a_finished_run_is_judged_again() {
    let _stable = stable();
    let folder = Folder::trained();
    let metrics = folder.text("runs/tiny/metrics.jsonl");
    let prompt = folder.tensors("runs/tiny/prompt.safetensors");
    assert_snapshot!(folder.run("resume runs/tiny"), @r#"
    exit 0
    --- stdout
    dev: 4 of 4 examples, 6 candidates
                    P@1   P@10    MRR    loss
      P-tuned [n] [n] [n] [n]
      manual [n] [n] [n] [n]  The capital of [x] is [z]
      majority [n] [n] [n]       -  always "Cairo"
    test: 3 of 3 examples, 6 candidates
                    P@1   P@10    MRR    loss
      P-tuned [n] [n] [n] [n]
      manual [n] [n] [n] [n]  The capital of [x] is [z]
      majority [n] [n] [n]       -  always "Cairo"
    --- stderr
    backbone tiny_llama (llama, 24 wide, 97 words) on flex, loaded in [n] s
    runs/tiny: training has come to its end after 4 epochs
    train 6 of 6 examples
    dev   4 of 4 examples
    trained in [time]; judging the best epoch
    prompt exported to runs/tiny/prompt.safetensors

    next:
      ptune predict runs/tiny France India
      ptune inspect runs/tiny
    "#);
    assert_eq!(folder.text("runs/tiny/metrics.jsonl"), metrics);
    assert_eq!(folder.tensors("runs/tiny/prompt.safetensors"), prompt);
}

#[test]
fn eval_judges_a_run() {
    let _stable = stable();
    let folder = Folder::trained();
    assert_snapshot!(folder.run("eval runs/tiny --split test"), @r#"
    exit 0
    --- stdout
    test: 3 of 3 examples, 6 candidates
                    P@1   P@10    MRR    loss
      P-tuned [n] [n] [n] [n]
      manual [n] [n] [n] [n]  The capital of [x] is [z]
      majority [n] [n] [n]       -  always "Cairo"
    --- stderr
    backbone tiny_llama (llama, 24 wide, 97 words) on flex, loaded in [n] s
    "#);

    let ran = folder.run("eval runs/tiny --format json");
    assert_eq!(ran.stderr, "", "json is for programs");
    let recorded: serde_json::Value =
        serde_json::from_slice(&folder.read("runs/tiny/evaluation.json")).unwrap();
    assert_eq!(ran.json(), recorded, "the run is judged as it was at its end");
    assert_eq!(recorded[0]["split"], "dev");
    let only = folder.run("eval runs/tiny --split train --format json").json();
    assert_eq!((only.as_array().unwrap().len(), &only[0]["split"]), (1, &"train".into()));
    // The last epoch was the best one here.
    let last = folder.run("eval runs/tiny --split test --checkpoint last --format json").json();
    assert_eq!(last[0], recorded[1]);
}

#[test]
fn eval_fails_under_a_threshold() {
    let _stable = stable();
    let folder = Folder::trained();
    let met = folder.run("eval runs/tiny --split test --fail-under p10=1 --fail-under mrr=0");
    assert_eq!((met.code, met.stdout.contains("P-tuned")), (Some(0), true), "{met}");
    let missed = folder.run("eval runs/tiny --split test --format json --fail-under mrr=1");
    assert_eq!(missed.code, Some(1));
    assert_snapshot!(missed.stderr, @"test: mrr is [n], below 1");
    assert!(serde_json::from_str::<serde_json::Value>(&missed.stdout).is_ok());
}

#[test]
fn eval_scores_the_manual_template_without_a_run() {
    let _stable = stable();
    let folder = Folder::new();
    let before = folder.tree();
    assert_snapshot!(folder.run("eval --config config.toml --split dev"), @r#"
    exit 0
    --- stdout
    dev: 4 of 4 examples, 6 candidates
                    P@1   P@10    MRR    loss
      manual [n] [n] [n] [n]  The capital of [x] is [z]
      majority [n] [n] [n]       -  always "Cairo"
    --- stderr
    backbone tiny_llama (llama, 24 wide, 97 words) on flex, loaded in [n] s
    "#);
    assert_eq!(folder.tree(), before);
}

#[test]
fn predict_answers_words_and_lines() {
    let _stable = stable();
    let folder = Folder::trained();
    assert_snapshot!(folder.run("predict runs/tiny Britain \"the Egypt\" --top 2"), @r"
    exit 0
    --- stdout
    Britain
     [n] %  Oslo
     [n] %  Paris
    the Egypt
     [n] %  Cairo
     [n] %  Oslo
    --- stderr
    ");

    let words = folder.run("predict runs/tiny Britain Egypt --format json --top 3");
    let lines = folder.run_with_input(
        "predict runs/tiny --format json --top 3",
        "Britain\n\n{\"x\": \"Egypt\"}\r\n",
    );
    assert_eq!(words.stdout, lines.stdout);
    let answers = words.json();
    assert_eq!((&answers[1]["input"]["x"], &words.stderr), (&"Egypt".into(), &String::new()));
    let probabilities: Vec<f64> = answers[0]["answers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|answer| answer["probability"].as_f64().unwrap())
        .collect();
    assert_eq!(probabilities.len(), 3);
    assert!(probabilities.is_sorted_by(|a, b| a >= b) && probabilities[0] <= 1.0);
}

#[test]
fn an_export_answers_as_its_run_does_without_run_and_data() {
    let _stable = stable();
    let folder = Folder::trained();
    let line = "export runs/tiny --format safetensors --out out/prompt.safetensors";
    assert_snapshot!(folder.run(line), @r"
    exit 0
    --- stdout
    out/prompt.safetensors
    --- stderr
    backbone tiny_llama (llama, 24 wide, 97 words) on flex, loaded in [n] s
    wrote out/prompt.safetensors; read back, equal to the prompt encoder's output
    ");
    let from_run = folder.run("predict runs/tiny Britain Egypt Peru");
    // A finished prompt needs no data.
    for file in ["data/train.jsonl", "data/dev.jsonl", "data/test.jsonl"] {
        std::fs::remove_file(folder.path(file)).unwrap();
    }
    assert_eq!(folder.run("predict runs/tiny Britain Egypt Peru").stdout, from_run.stdout);
    std::fs::remove_dir_all(folder.path("runs")).unwrap();
    let line = "predict --prompt out/prompt.safetensors Britain Egypt Peru";
    let from_export = folder.run(line);
    assert_eq!((from_export.code, from_run.code), (Some(0), Some(0)), "{from_export}");
    assert_eq!(from_export.stdout, from_run.stdout);
    std::fs::rename(folder.path("tiny_llama"), folder.path("moved")).unwrap();
    let moved = folder.run(&format!("{line} --backbone moved"));
    assert_eq!(moved.stdout, from_run.stdout, "{moved}");
}

#[test]
fn a_prefix_is_exported_to_peft() {
    let _stable = stable();
    let folder = Folder::new();
    let ran = folder.run(
        "train --config config.toml --quiet --set 'template.text=[h:3] capital of [x] is [z]'",
    );
    assert_eq!(ran.code, Some(0), "{ran}");
    let line = "export runs/tiny --format peft --out adapter --check check.json";
    assert_snapshot!(folder.run(line), @r"
    exit 0
    --- stdout
    adapter
    --- stderr
    backbone tiny_llama (llama, 24 wide, 97 words) on flex, loaded in [n] s
    wrote adapter (prompt-tuning); read back, equal to the prompt encoder's output
    wrote check.json
    ");
    let config: serde_json::Value =
        serde_json::from_slice(&folder.read("adapter/adapter_config.json")).unwrap();
    assert_eq!((&config["num_virtual_tokens"], &config["token_dim"]), (&3.into(), &24.into()));
    let check: serde_json::Value = serde_json::from_slice(&folder.read("check.json")).unwrap();
    assert_eq!(check["prompts"].as_array().unwrap().len(), 4);
    assert!(folder.path("adapter/adapter_model.safetensors").is_file());
    assert_eq!(folder.run(&line.replace(" --check check.json", "")).code, Some(2));
    assert_eq!(folder.run(&format!("{line} --force --peft-type p-tuning")).code, Some(0));
    assert!(folder.path("adapter/prompt_encoder.safetensors").is_file());
    let readme = folder.text("adapter/README.md");
    let command = "ptune train --config config.toml --quiet --set \
        'template.text=[h:3] capital of [x] is [z]'";
    assert!(readme.contains(command), "{readme}");
}

#[test]
fn a_file_has_its_card_beside_it() {
    let folder = Folder::trained();
    let line = "export runs/tiny --format safetensors --out out/capitals.safetensors --card";
    let ran = folder.run(line);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "out/capitals.safetensors\n"), "{ran}");
    let card = folder.text("out/capitals.md");
    assert!(card.starts_with("---\nlibrary_name: ptune\n"), "{card}");
    assert!(card.contains("ptune predict --prompt capitals.safetensors TEXT"), "{card}");
    assert!(card.contains("test, 3 of 3 examples"), "{card}");
    // A card that is there is not overwritten either.
    std::fs::remove_file(folder.path("out/capitals.safetensors")).unwrap();
    assert_eq!(folder.run(line).code, Some(2));
}

#[test]
fn inspect_shows_every_position() {
    let _stable = stable();
    let folder = Folder::trained();
    let ran = folder.run("inspect runs/tiny --top 2");
    // Which words are nearest depends on the last bits of training.
    let (encoding, nearest) = ran.stdout.split_once("\nnearest words by cosine\n").unwrap();
    assert_snapshot!(encoding, @r"
    template  [h:2] capital of [x] [h:2] [z]

      pos      id  token            role
        0       -  h_0              virtual
        1       -  h_1              virtual
        2      74  Ġcapital         anchor
        3      71  Ġof              anchor
        4      33  Ġ                anchor
        5      93  Fran             input
        6      83  ce               input
        7       -  h_2              virtual
        8       -  h_3              virtual  ← its row predicts [z]

    answer    Paris  (60 ĠParis)
    ");
    assert_eq!(nearest.lines().filter(|line| line.starts_with("  h_")).count(), 2 * 4);
    let shown = folder.run("inspect runs/tiny --example Egypt --format json").json();
    assert_eq!((&shown["example"]["x"], &shown["answer"]), (&"Egypt".into(), &().into()));
    assert_eq!(shown["virtual_tokens"][3]["cosine"].as_array().unwrap().len(), 5);
    let predicting = shown["encoding"].as_array().unwrap().iter().next_back().unwrap();
    assert_eq!(predicting["predicts"], true);
}

#[test]
fn templates_with_several_inputs_take_json() {
    let folder = Folder::new();
    folder.write("data/train.jsonl", "{\"x\": \"Egypt\", \"of\": \"in\", \"z\": \"Cairo\"}\n");
    folder.write("data/dev.jsonl", "{\"x\": \"France\", \"of\": \"of\", \"z\": \"Paris\"}\n");
    std::fs::remove_file(folder.path("data/test.jsonl")).unwrap();
    let line = "train --config config.toml --set 'data.inputs={ x = \"x\", word = \"of\" }' \
        --set 'template.text=[h:2] capital [x:word] [x] [z]'";
    let ran = folder.run(line);
    assert_eq!(ran.code, Some(0), "{ran}");
    // The command that is suggested next works as it is.
    let next = ran.stderr.lines().find_map(|line| line.strip_prefix("  ptune predict ")).unwrap();
    let next = folder.run(&format!("predict {next}"));
    assert_eq!(next.code, Some(0), "{next}");
    assert!(next.stdout.starts_with("of | France\n"), "{next}");
    let shown = folder.run("inspect runs/tiny --example word=of --example x=Italy --format json");
    assert_eq!(shown.json()["example"]["word"], "of");
}
