//! `ptune search` and `ptune sensitivity` as a person runs them.

mod common;

use common::{Folder, refused, stable, words};
use insta::assert_snapshot;
use serde_json::Value;

const PHRASES: &str = "capital of\tseat of\tcapital city of\nis\twas\t=\n";

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("phrases.tsv", PHRASES);
    folder.write("corpus.txt", "the capital of Egypt is Cairo\nthe capital of Italy is Rome .\n");
    folder
}

const PARAPHRASE: &str = "search paraphrase --config config.toml --phrases phrases.tsv";

#[test]
fn a_search_prints_its_leaderboard_and_keeps_it() {
    let folder = folder();
    let ran = folder.run(&format!("{PARAPHRASE} --examples 3 --top 2"));
    assert_eq!(ran.code, Some(0), "{ran}");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    let first = "paraphrase: 9 templates in 9 evaluations, judged on 3 examples of dev";
    assert_eq!(lines[0], first, "{ran}");
    assert!(lines[1].contains("P@1    MRR    loss   test: P@1    MRR"), "{ran}");
    assert!(ran.stdout.contains("The capital of [x] is [z]  ← manual"), "{ran}");
    assert_eq!(*lines.last().unwrap(), "leaderboard.json has all", "{ran}");
    let command = ran.stderr.lines().last().unwrap();
    let words = words(command.trim().strip_prefix("ptune ").unwrap());
    assert_eq!(words[..3], ["eval", "--config", "runs/tiny-paraphrase/config.toml"], "{ran}");

    // The winner's scores are those that `eval` gives it.
    let board: Value =
        serde_json::from_str(&folder.text("runs/tiny-paraphrase/leaderboard.json")).unwrap();
    let entries = board["entries"].as_array().unwrap();
    let winner = entries.iter().find(|entry| entry["manual"] == false).unwrap();
    let template = winner["template"].as_str().unwrap();
    let line = format!("eval --config config.toml --set 'template.text=\"{template}\"'");
    let eval = folder.run(&format!("{line} --split test --format json")).json();
    assert_eq!(eval[0]["manual"], winner["test"], "{eval}");

    let info: Value = serde_json::from_str(&folder.text("runs/tiny-paraphrase/run.json")).unwrap();
    assert_eq!(info["job"], "search");
    let command: Vec<&str> =
        info["command"].as_array().unwrap().iter().skip(1).filter_map(Value::as_str).collect();
    assert_eq!(command, common::words(&format!("{PARAPHRASE} --examples 3 --top 2")));
    let json = folder.run(&format!("{PARAPHRASE} --examples 3 --format json --name other"));
    assert_eq!(json.json(), board, "{json}");
    assert!(!json.stderr.contains("P@1"), "{json}");
}

#[test]
fn every_method_finds_templates_that_eval_and_train_take() {
    let folder = folder();
    for line in [
        "mine --corpus corpus.txt --around 3",
        "gradient --steps 3 --swaps 2 --batch 3",
        "edit --beam 2 --rounds 2 --edits 4",
        "prompts --tokens 1,2 --layouts 2 --anchor capital",
    ] {
        let name = words(line)[0].clone();
        let ran = folder.run(&format!("search {line} --config config.toml --quiet"));
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran}");
        let board: Value =
            serde_json::from_str(&folder.text(&format!("runs/tiny-{name}/leaderboard.json")))
                .unwrap();
        let entries = board["entries"].as_array().unwrap();
        assert!(entries.len() > 2, "{ran}");
        for (number, entry) in entries.iter().enumerate() {
            let template = entry["template"].as_str().unwrap();
            let trained = entry.get("epochs").is_some();
            let command = if trained { format!("train --name t{number}") } else { "eval".into() };
            let set = format!("--set 'template.text=\"{template}\"' --set train.epochs=1");
            let ran = folder.run(&format!("{command} --config config.toml {set}"));
            assert_eq!(ran.code, Some(0), "{ran}");
        }
    }
}

#[test]
fn a_spread_is_told_with_what_was_trained() {
    let folder = Folder::trained();
    let list = "The capital of [x] is [z]\n[X] capital is [Y] .\nof [x] [z]\n[z] is of [x]\n\nis [x] [z]\n";
    folder.write("prompts.txt", list);
    let line = "sensitivity --config config.toml --prompts prompts.txt --run runs/tiny";
    let json = folder.run(&format!("{line} --format json")).json();
    let p1 = |value: &Value| value["scores"]["p1"].as_f64().unwrap();
    let prompts = json["prompts"].as_array().unwrap();
    let found: Vec<f64> = prompts.iter().map(p1).collect();
    assert_eq!(found.len(), 4, "{json}");
    assert!(found.is_sorted_by(|a, b| a >= b), "{found:?}");
    assert_eq!(json["p1"]["max"], found[0]);
    assert_eq!(json["p1"]["min"], found[3]);
    assert_eq!(json["p1"]["median"], (found[1] + found[2]) / 2.0);
    assert!(prompts.iter().any(|prompt| prompt["template"] == "[x] capital is [z]"), "{json}");
    assert_eq!(json["skipped"][0]["line"], 4, "{json}");
    let eval = folder.run("eval runs/tiny --split dev --format json").json();
    assert_eq!(json["tuned"]["scores"], eval[0]["prompt"], "{eval}");
    assert_eq!(json["manual"]["scores"], eval[0]["manual"], "{eval}");

    let ran = folder.run(&format!("{line} --quiet"));
    assert_eq!(ran.code, Some(0), "{ran}");
    for text in ["← manual", "← P-tuned", "█", "P@1 min ", "left out 1; line 4: "] {
        assert!(ran.stdout.contains(text), "{text}: {ran}");
    }
    let jsonl = "{\"template\": \"[X] is [Y].\"}\n{\"template\": \"of [X], [Y] .\"}\n";
    folder.write("prompts.jsonl", jsonl);
    let line =
        "sensitivity --config config.toml --prompts prompts.jsonl --format json --examples 2";
    let json = folder.run(line).json();
    assert_eq!(json["prompts"].as_array().unwrap().len(), 2, "{json}");
    assert_eq!(json["examples"], 2);
}

#[test]
fn what_a_search_cannot_use_is_refused() {
    let folder = folder();
    folder.write("damaged.tsv", "is\twas\ncapital\n");
    folder.write("plain.toml", folder.text("config.toml").replace("manual =", "# manual ="));
    let _stable = stable();
    let told = refused(
        &folder,
        "search",
        &[
            "mime --config config.toml",
            "mine --config config.toml",
            "mine --config config.toml --corpus corpus.tx",
            "mine --config config.toml --corpus corpus.txt --beam 3",
            "paraphrase --config config.toml --phrases damaged.tsv",
            "paraphrase --config plain.toml --phrases phrases.tsv",
            "gradient --config config.toml --layout '[x] [z]'",
            "prompts --config config.toml --anchor '[h:2]'",
            "edit --config config.toml --words data",
            "edit --config config.toml --budget 0",
        ],
    );
    assert_snapshot!(told, @r#"
    $ mime --config config.toml
    error: invalid value 'mime' for '<METHOD>'
      [possible values: mine, paraphrase, gradient, edit, prompts]

      tip: a similar value exists: 'mine'

    $ mine --config config.toml
    error: --corpus: expected a file, found none: `mine` reads it
    hint: ptune search mine --corpus my/text.txt.gz …

    $ mine --config config.toml --corpus corpus.tx
    error: --corpus corpus.tx: expected a file, found nothing
    hint: did you mean corpus.txt?

    $ mine --config config.toml --corpus corpus.txt --beam 3
    error: --beam: expected a flag of `mine`, found one of `edit`
    hint: `mine` has --corpus, --keep, --between, --around

    $ paraphrase --config config.toml --phrases damaged.tsv
    error: damaged.tsv:2: expected a phrase and its alternatives with tabs between them, found "capital"
    hint: for example: is located in<TAB>lies in<TAB>is in

    $ paraphrase --config plain.toml --phrases phrases.tsv
    error: eval.manual: expected a manual prompt to start from and to compare with, found none
    hint: --set 'eval.manual="The capital of [x] is [z]"'

    $ gradient --config config.toml --layout '[x] [z]'
    error: --layout: expected a template with virtual tokens, whose places are searched, found "[x] [z]"
    hint: "[h:3] capital [x] [h:3] [z]"

    $ prompts --config config.toml --anchor '[h:2]'
    error: --anchor "[h:2]": expected words, found more than words
    hint: write words such as --anchor capital; [x], [h] and [z] are put around them

    $ edit --config config.toml --words data
    error: --words data: expected a file, found a folder
    hint: name a file in it

    $ edit --config config.toml --budget 0
    error: invalid value '0' for '--budget <N>': 0 is not in 1..=4294967295
    "#);
}

#[test]
fn what_sensitivity_and_resume_cannot_use_is_refused() {
    let folder = Folder::trained();
    folder.write("phrases.tsv", PHRASES);
    folder.write("prompts.txt", "is [x] [z]\nof [x]\n");
    folder.write("other.txt", "[z] of [x]\n");
    let ran = folder.run(&format!("{PARAPHRASE} --quiet --budget 2"));
    assert_eq!(ran.code, Some(0), "{ran}");
    let _stable = stable();
    let told = refused(
        &folder,
        "",
        &[
            "sensitivity --config config.toml --prompts promts.txt",
            "sensitivity --config config.toml --prompts prompts.txt",
            "sensitivity --config config.toml --prompts other.txt",
            "sensitivity --config config.toml --prompts prompts.txt --run runs/tiny-paraphrase",
            "resume runs/tiny --budget 9",
            "resume runs/tiny-paraphrase --set seed=3",
            PARAPHRASE,
        ],
    );
    assert_snapshot!(told, @r#"
    $ sensitivity --config config.toml --prompts promts.txt
    error: --prompts promts.txt: expected a file, found nothing
    hint: did you mean prompts.txt?

    $ sensitivity --config config.toml --prompts prompts.txt
    error: prompts.txt:2: template, column 7: no [z]: a template must say where the answer stands
      | of [x]
      |       ^

    $ sensitivity --config config.toml --prompts other.txt
    error: other.txt: expected templates that ask about every example of the manual prompt, found none among 1; line 1: the template: template, column 4: a causal language model reads left to right, so nothing may follow [z]
    hint: a causal model's answer [z] comes last, with a space in front as the manual prompt has it

    $ sensitivity --config config.toml --prompts prompts.txt --run runs/tiny-paraphrase
    error: runs/tiny-paraphrase: this run searched for a prompt and trained none
    hint: `ptune resume runs/tiny-paraphrase` prints what it has found

    $ resume runs/tiny --budget 9
    error: --budget: expected a search, found a training run: runs/tiny
    hint: --set train.epochs=N says how long a run trains

    $ resume runs/tiny-paraphrase --set seed=3
    error: --set seed=3: `seed` of a run that is there cannot change
    hint: `ptune train` with another --name makes a run with it

    $ search paraphrase --config config.toml --phrases phrases.tsv
    error: runs/tiny-paraphrase: a run of this name is there already; it is not overwritten
    hint: `ptune resume runs/tiny-paraphrase` goes on with it, --name NAME trains beside it, --force replaces it
    "#);
}
