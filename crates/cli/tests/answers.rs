//! Answers of several tokens: judged by both protocols, ranked, written, and what is refused.

mod common;

use common::{Folder, refused, stable};
use insta::assert_snapshot;

/// A model's folder with six examples, half of whose answers are several tokens.
fn folder(model: &str, text: &str) -> Folder {
    let folder = Folder::new();
    if model != "tiny_llama" {
        folder.copy_model(model, model);
    }
    let rows = [
        ("Britain", "London"),
        ("Egypt", "Cairo is the capital"),
        ("France", "Paris"),
        ("India", "Delhi of Delhi"),
        ("Italy", "Rome"),
        ("Norway", "Oslo the Oslo"),
    ];
    let rows: String =
        rows.iter().map(|(x, z)| format!("{{\"x\": \"{x}\", \"z\": \"{z}\"}}\n")).collect();
    for split in ["train", "dev", "test"] {
        folder.write(&format!("several/{split}.jsonl"), &rows);
    }
    folder.write("cities.txt", "Paris\nRome\nParis of Rome\nRome is the capital of Rome\n");
    let config = format!(
        "name = \"several\"\nruns = \"runs\"\n[backbone]\nsource = {model:?}\n\
         [data]\npath = \"several\"\n[template]\ntext = {text:?}\n\
         [prompt_encoder]\nkind = \"direct\"\n[train]\nepochs = 2\n\
         [eval]\nmanual = \"capital of [x] is [z]\"\nanswers = \"all\"\n"
    );
    folder.write("several.toml", config);
    folder
}

fn causal() -> Folder {
    folder("tiny_llama", "[h:2] capital of [x] is [z]")
}

fn masked() -> Folder {
    folder("tiny_bert", "[h:2] [z] capital [x]")
}

#[test]
fn both_protocols_are_told() {
    let _stable = stable();
    let folder = causal();
    assert_snapshot!(folder.run("train --config several.toml --quiet"), @r#"
    exit 0
    --- stdout
    dev, single-token: 3 of 6 examples, 3 candidates
      dropped 3: answer is several tokens
                    P@1   P@10    MRR    loss
      P-tuned [n] [n] [n] [n]
      manual [n] [n] [n] [n]  capital of [x] is [z]
      majority [n] [n] [n]       -  always "London"
    dev, all answers: 6 of 6 examples, 6 candidates, left to right
                    P@1   P@10    MRR    loss
      P-tuned [n] [n] [n] [n]
      manual [n] [n] [n] [n]  capital of [x] is [z]
      majority [n] [n] [n]       -  always "London"
    test, single-token: 3 of 6 examples, 3 candidates
      dropped 3: answer is several tokens
                    P@1   P@10    MRR    loss
      P-tuned [n] [n] [n] [n]
      manual [n] [n] [n] [n]  capital of [x] is [z]
      majority [n] [n] [n]       -  always "London"
    test, all answers: 6 of 6 examples, 6 candidates, left to right
                    P@1   P@10    MRR    loss
      P-tuned [n] [n] [n] [n]
      manual [n] [n] [n] [n]  capital of [x] is [z]
      majority [n] [n] [n]       -  always "London"
    --- stderr
    "#);
    let judged = folder.run("eval runs/several --split test --format json").json();
    let (one, all) = (&judged[0], &judged[0]["all_answers"]);
    assert_eq!((&one["counts"]["used"], &all["counts"]["used"]), (&3.into(), &6.into()));
    assert_eq!((&one["counts"]["several_tokens"], &all["candidates"]), (&3.into(), &6.into()));
    assert_eq!(all["scoring"], "left-to-right");
    assert_eq!(all["prompt"]["examples"], 6);
    let one_only = folder.run("eval runs/several --split test --set eval.answers=single-token");
    assert!(one_only.stdout.starts_with("test: 3 of 6 examples, 3 candidates\n"), "{one_only}");
    assert!(!one_only.stdout.contains("all answers"), "{one_only}");
    // The mean over tokens is another score.
    let line = "eval runs/several --split test --set eval.length_normalisation=true --format json";
    let mean = &folder.run(line).json()[0]["all_answers"];
    assert_eq!(mean["length_normalisation"], true);
    assert!(mean["prompt"]["loss"].as_f64() < all["prompt"]["loss"].as_f64(), "{mean}");
}

#[test]
fn data_without_an_answer_of_one_token_is_judged_whole() {
    let folder = causal();
    let rows = "{\"x\": \"Egypt\", \"z\": \"Cairo is the capital\"}\n";
    folder.write("whole/dev.jsonl", rows);
    folder.write("whole/train.jsonl", rows);
    let line = "eval --config several.toml --set data.path=whole";
    let whole = folder.run(line);
    assert_eq!(whole.code, Some(0), "{whole}");
    assert!(whole.stdout.starts_with("dev, single-token: 0 of 1 examples"), "{whole}");
    assert!(whole.stdout.contains("dev, all answers: 1 of 1 examples, 1 candidates"), "{whole}");
    assert!(whole.stdout.contains("always \"Cairo is the capital\""), "{whole}");
    let single = folder.run(&format!("{line} --set eval.answers=single-token"));
    assert_eq!(single.code, Some(2), "{single}");
}

#[test]
fn a_masked_model_scores_in_two_ways() {
    let folder = masked();
    let line = "eval --config several.toml --split test --format json";
    let judged = |options: &str| folder.run(&format!("{line}{options}")).json();
    let scores = |options: &str| judged(options)[0]["all_answers"].clone();
    let pseudo = scores("");
    assert_eq!(pseudo["scoring"], "pseudo-likelihood");
    assert_eq!(scores(" --set eval.scoring=pseudo-likelihood"), pseudo);
    let left = scores(" --set eval.scoring=left-to-right");
    assert_eq!(left["scoring"], "left-to-right");
    assert_ne!(left["manual"]["loss"], pseudo["manual"]["loss"]);
    let table = folder.run("eval --config several.toml --split test").stdout;
    let head = "test, all answers: 6 of 6 examples, 6 candidates, by pseudo-likelihood\n";
    assert!(table.contains(head), "{table}");
}

#[test]
fn given_answers_are_ranked_from_run_and_export_alike() {
    let _stable = stable();
    let folder = causal();
    assert_eq!(folder.run("train --config several.toml --quiet").code, Some(0));
    let line = "predict runs/several France --answers cities.txt";
    assert_snapshot!(folder.run(line), @r#"
    exit 0
    --- stdout
    France
     [n] % [n]  Rome  (ĠRome)
     [n] % [n]  Paris  (ĠParis)
     [n] % [n]  Paris of Rome  (ĠParis + Ġof + ĠRome)
     [n] % [n]  Rome is the capital of Rome  (ĠRome + Ġis + Ġ + t + h + e + Ġcapital + Ġof + ĠRome)
    --- stderr
    "#);
    let ranked = folder.run(&format!("{line} --format json")).json();
    let answers = ranked[0]["answers"].as_array().unwrap();
    assert_eq!(answers.len(), 4);
    let number = |answer: &serde_json::Value, key: &str| answer[key].as_f64().unwrap();
    let sum: f64 = answers.iter().map(|answer| number(answer, "probability")).sum();
    assert!((sum - 1.0).abs() < 1e-5, "{ranked}");
    for pair in answers.windows(2) {
        assert!(number(&pair[0], "score") >= number(&pair[1], "score"), "{ranked}");
    }
    let export = "predict --prompt runs/several/prompt.safetensors France --answers cities.txt --format json";
    assert_eq!(folder.run(export).json(), ranked);
    // The longest of them has the lowest sum, and its mean is that sum over its tokens.
    let longest = |ranked: &serde_json::Value| {
        let answers = ranked[0]["answers"].as_array().unwrap();
        let found = answers.iter().find(|one| one["answer"] == "Rome is the capital of Rome");
        let found = found.unwrap();
        (number(found, "score"), found["tokens"].as_array().unwrap().len() as f64)
    };
    let mean = folder.run(&format!("{line} --length-normalisation --format json")).json();
    let ((sum, tokens), (mean, _)) = (longest(&ranked), longest(&mean));
    assert!((sum / tokens - mean).abs() < 1e-5, "{sum} {mean}");
    let top = folder.run(&format!("{line} --top 2")).stdout;
    assert_eq!(top.lines().count(), 3, "{top}");
}

#[test]
fn a_causal_model_writes_answers() {
    let folder = causal();
    assert_eq!(folder.run("train --config several.toml --quiet").code, Some(0));
    let line = "predict runs/several France Italy --generate --max-tokens 3";
    let greedy = folder.run(&format!("{line} --format json")).json();
    assert_eq!(greedy[1]["answers"].as_array().unwrap().len(), 1, "{greedy}");
    let beams = folder.run(&format!("{line} --beams 4 --format json")).json();
    let answers = beams[0]["answers"].as_array().unwrap();
    assert_eq!(answers.len(), 4);
    let score = |answer: &serde_json::Value| answer["score"].as_f64().unwrap();
    assert!(score(&answers[0]) + 1e-6 >= score(&greedy[0]["answers"][0]), "{beams} {greedy}");
    assert!(answers.iter().all(|answer| answer["tokens"].as_array().unwrap().len() <= 3));
    let table = folder.run(&format!("{line} --beams 2")).stdout;
    assert_eq!(table.lines().count(), 6, "{table}");
    assert!(table.starts_with("France\n"), "{table}");
}

#[test]
fn a_masked_model_fills_masks() {
    let folder = masked();
    assert_eq!(folder.run("train --config several.toml --quiet").code, Some(0));
    let line = "predict runs/several France --generate --max-tokens 3 --format json";
    let sure = folder.run(line).json();
    let answers = sure[0]["answers"].as_array().unwrap();
    let mut sizes: Vec<usize> =
        answers.iter().map(|answer| answer["order"].as_array().unwrap().len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 2, 3]);
    let left = folder.run(&format!("{line} --fill left-to-right")).json();
    for answer in left[0]["answers"].as_array().unwrap() {
        let order: Vec<u64> =
            answer["order"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
        assert!(order.is_sorted(), "{left}");
    }
}

#[test]
fn settings_that_have_no_effect_are_refused() {
    let folder = causal();
    let lines = [
        "--set eval.answers=al",
        "--set eval.answers=single-token --set eval.scoring=left-to-right",
        "--set eval.scoring=pseudo-likelyhood",
        "--set eval.scoring=pseudo-likelihood",
        "--set data.candidates=vocabulary",
        "--set 'verbalizer.labels={ a = [\"London\"], b = [\"Paris\"] }'",
        "--set eval.length_normalization=true",
    ];
    assert_snapshot!(refused(&folder, "eval --config several.toml", &lines), @r#"
    $ --set eval.answers=al
    error: --set eval.answers=al: `eval.answers`: expected one of `single-token`, `all`, found the text "al"
    hint: did you mean `all`?

    $ --set eval.answers=single-token --set eval.scoring=left-to-right
    error: --set eval.scoring=left-to-right: `eval.scoring` has no effect with answers `single-token`, only with `all`

    $ --set eval.scoring=pseudo-likelyhood
    error: --set eval.scoring=pseudo-likelyhood: `eval.scoring`: expected one of `pseudo-likelihood`, `left-to-right`, found the text "pseudo-likelyhood"
    hint: did you mean `pseudo-likelihood`?

    $ --set eval.scoring=pseudo-likelihood
    error: eval.scoring: 'pseudo-likelihood' masks tokens, but this is a causal language model
    hint: leave it out: a causal model scores from left to right

    $ --set data.candidates=vocabulary
    error: several.toml:15:11: `eval.answers` has no effect with the candidates `vocabulary`, each of which is one token

    $ --set 'verbalizer.labels={ a = ["London"], b = ["Paris"] }'
    error: several.toml:15:11: `eval.answers` has no effect with labels: their words are what may be answered

    $ --set eval.length_normalization=true
    error: --set eval.length_normalization=true: unknown key `eval.length_normalization`
    hint: did you mean `eval.length_normalisation`?
    "#);
}

#[test]
fn arguments_that_do_not_go_together_are_refused() {
    let _stable = stable();
    let folder = causal();
    assert_eq!(folder.run("train --config several.toml --quiet").code, Some(0));
    folder.write("empty.txt", "\n");
    let lines = [
        "--answers citis.txt",
        "--answers empty.txt",
        "--answers cities.txt --generate",
        "--max-tokens 3",
        "--beams 3",
        "--generate --beams 0",
        "--generate --max-tokens 100",
        "--length-normalisation",
        "--generate --scoring left-to-right",
        "--answers cities.txt --scoring pseudo-likelihood",
        "--generate --fill confidence",
    ];
    assert_snapshot!(refused(&folder, "predict runs/several France", &lines), @r#"
    $ --answers citis.txt
    error: --answers citis.txt: no such file
    hint: did you mean cities.txt?

    $ --answers empty.txt
    error: empty.txt: the file is empty

    $ --answers cities.txt --generate
    error: the argument '--answers <FILE>' cannot be used with '--generate'

    $ --max-tokens 3
    error: the following required arguments were not provided:
      --generate

    $ --beams 3
    error: the following required arguments were not provided:
      --generate

    $ --generate --beams 0
    error: invalid value '0' for '--beams <N>': 0 is not in 1..=1000

    $ --generate --max-tokens 100
    error: --max-tokens: with an answer of 100 tokens: the template's fixed parts take 6 positions, the language model has 0

    $ --length-normalisation
    error: the following required arguments were not provided:
      <--answers <FILE>|--generate>

    $ --generate --scoring left-to-right
    error: the argument '--generate' cannot be used with '--scoring <SCORING>'

    $ --answers cities.txt --scoring pseudo-likelihood
    error: --scoring: 'pseudo-likelihood' masks tokens, but this is a causal language model
    hint: leave it out: a causal model scores from left to right

    $ --generate --fill confidence
    error: --fill: a causal language model has no masks to fill
    hint: leave it out; --beams says how many answers are kept side by side
    "#);
    let folder = masked();
    assert_eq!(folder.run("train --config several.toml --quiet").code, Some(0));
    assert_snapshot!(refused(&folder, "predict runs/several France", &["--generate --beams 2"]), @r#"
    $ --generate --beams 2
    error: --beams 2: a masked language model fills masks, one way at a time
    hint: leave it out; --fill says which mask comes next
    "#);
}

#[test]
fn an_encoder_decoder_is_asked_for_one_token() {
    let folder = folder("tiny_t5", "[h:2] [z] capital [x] [h:1]");
    folder.write("one.txt", "Paris\nRome\n");
    let train = "train --config several.toml --quiet";
    assert_snapshot!(refused(&folder, train, &["--offline"]), @r#"
    $ --offline
    error: eval.answers: the answer 'Cairo is the capital' is 4 tokens here (▁Cairo + ▁is + ▁the + ▁capital), and an encoder–decoder is asked for one
    hint: leave out answers of several tokens, or take a causal or a masked language model
    "#);
    let ran = folder.run(&format!("{train} --set eval.answers=single-token"));
    assert_eq!(ran.code, Some(0), "{ran}");
    let lines = ["--answers cities.txt", "--generate"];
    assert_snapshot!(refused(&folder, "predict runs/several France", &lines), @r#"
    $ --answers cities.txt
    error: --answers: the answer 'Paris of Rome' is 3 tokens here (▁Paris + ▁of + ▁Rome), and an encoder–decoder is asked for one
    hint: leave out answers of several tokens, or take a causal or a masked language model

    $ --generate
    error: --generate: an encoder–decoder is asked for one token and writes no answer by itself
    hint: take a causal or a masked language model
    "#);
    let ranked = folder.run("predict runs/several France --answers one.txt --format json").json();
    assert_eq!(ranked[0]["answers"].as_array().unwrap().len(), 2);
}
