//! Entities of sentences: judged, trained, resumed, predicted from run and export, and mistakes about them.

mod common;

use common::{Folder, refused, stable};
use insta::assert_snapshot;
use serde_json::Value;

const CONFIG: &str = r#"name = "entities"
runs = "runs"
[backbone]
source = "tiny_llama"
[data]
path = "sentences"
[spans]
longest = 2
[template]
text = "[x] [h:2] [x:span] [h:2] [z]"
[verbalizer]
labels = { city = ["Paris", "Rome"], state = "London", none = "Oslo" }
[prompt_encoder]
kind = "direct"
[train]
lr = 5e-2
epochs = 40
batch_size = 4
[eval]
manual = "[x] [x:span] is [z]"
"#;

const ROWS: [&str; 4] = [
    r#"{"tokens": ["Paris", "is", "the", "capital", "of", "France", "."], "entities": [{"start": 0, "end": 1, "label": "city"}, {"start": 5, "end": 6, "label": "state"}]}"#,
    r#"{"tokens": ["The", "capital", "of", "Italy", "is", "Rome"], "entities": ["O", "O", "O", "B-state", "O", "B-city"]}"#,
    r#"{"tokens": ["Egypt", "is", "the", "capital"], "entities": [{"start": 0, "end": 1, "label": "state"}]}"#,
    r#"{"tokens": ["The", "capital", "is", "the", "capital"], "entities": []}"#,
];

fn folder() -> Folder {
    let folder = Folder::new();
    for split in ["train", "dev", "test"] {
        folder.write(&format!("sentences/{split}.jsonl"), ROWS.join("\n") + "\n");
    }
    folder.write("entities.toml", CONFIG);
    folder
}

#[test]
fn a_template_is_judged_by_the_entities_that_it_finds() {
    let _stable = stable();
    let folder = folder();
    let calibrated = "--set verbalizer.calibration=train";
    assert_snapshot!(folder.run(&format!("eval --config entities.toml --split test {calibrated}")), @r#"
    exit 0
    --- stdout
    test: 5 entities in 4 sentences, 14 spans asked about, 26 left out
      city = Paris, Rome; state = London; none = Oslo
                   precision recall     F1 macro F1
      manual [n] [n] [n] [n]  [x] [x:span] is [z]
        city [n] [n] [n]           2 asked for, 3 found
        state [n] [n] [n]           3 asked for, 4 found
      uncalibrated [n] [n] [n] [n]  [x] [x:span] is [z]
      lookup [n] [n] [n] [n]  train's names, by heart
    --- stderr
    backbone tiny_llama (llama, 24 wide, 97 words) on flex, loaded in [n] s
    "#);
    let line = "eval --config entities.toml --split test --format json --set spans.longest=1";
    let found = folder.run(&format!("{line} --set 'spans.stop_words=[\"Egypt\"]'")).json();
    let tagging = &found[0]["tagging"];
    assert_eq!((&tagging["entities"], &tagging["out_of_reach"]), (&5.into(), &1.into()), "{found}");
    assert_eq!(tagging["lookup"]["micro"]["recall"], 0.8, "{found}");
    for key in ["micro", "macro", "labels"] {
        assert!(!tagging["manual"][key].is_null(), "{found}");
    }
    assert_eq!(found[0]["manual"]["entity_f1"], tagging["manual"]["micro"]["f1"], "{found}");
    let below = folder.run("eval --config entities.toml --split test --fail-under f1=1");
    assert_eq!(below.code, Some(1), "{below}");
}

#[test]
fn entities_are_learned_and_predicted_the_same_from_run_and_export() {
    let folder = folder();
    let ran = folder.run("train --config entities.toml");
    assert_eq!(ran.code, Some(0), "{ran}");
    assert!(ran.stderr.contains("dev   14 of 14 examples"), "{ran}");
    assert!(ran.stderr.contains("dev entity F1 "), "{ran}");
    assert!(
        ran.stderr.contains("predict runs/entities 'Paris is the capital of France .' "),
        "{ran}"
    );
    let evaluation = folder.run("eval runs/entities --split dev --format json").json();
    let f1 = evaluation[0]["tagging"]["prompt"]["micro"]["f1"].as_f64().unwrap();
    assert!(f1 > 0.7, "{evaluation}");

    let line = "'Paris is the capital of France .' '. of'";
    let predicted = folder.run(&format!("predict runs/entities {line} --format json")).json();
    let entities = predicted[0]["entities"].as_array().unwrap();
    let first = &entities[0];
    assert_eq!(
        (&first["text"], &first["start"], &first["end"]),
        (&"Paris".into(), &0.into(), &1.into())
    );
    assert_eq!(first["label"], "city");
    assert!((0.0..=1.0).contains(&first["probability"].as_f64().unwrap()));
    assert_eq!(predicted[1]["entities"], Value::Array(Vec::new()));
    let export = format!("predict --prompt runs/entities/prompt.safetensors {line} --format json");
    assert_eq!(folder.run(&export).json(), predicted);
    let table = folder
        .run_with_input(
            "predict runs/entities",
            "{\"x\": \"Paris is the capital of France .\"}\n. of\n",
        )
        .stdout;
    assert!(
        table.starts_with("Paris is the capital of France .\n  ")
            && table.contains(" %  city  Paris\n"),
        "{table}"
    );
    assert!(table.ends_with(". of\n  no entity\n"), "{table}");
    let inspected = folder.run("inspect runs/entities").stdout;
    assert!(inspected.contains("[x:span]"), "{inspected}");
}

#[test]
fn a_resumed_run_goes_on_as_if_it_had_not_stopped() {
    let folder = folder();
    let whole =
        folder.run("train --config entities.toml --quiet --name whole --set train.epochs=4");
    assert_eq!(whole.code, Some(0), "{whole}");
    let half = folder.run("train --config entities.toml --quiet --name half --set train.epochs=2");
    assert_eq!(half.code, Some(0), "{half}");
    let rest = folder.run("resume runs/half --quiet --set train.epochs=4");
    assert_eq!(rest.stdout, whole.stdout, "{rest}");
    let tensors = |run: &str| folder.tensors(&format!("runs/{run}/last.safetensors"));
    assert_eq!(tensors("half"), tensors("whole"));
    let refused = folder.run("resume runs/half --set spans.longest=3");
    assert_eq!(refused.code, Some(2), "{refused}");
    assert!(refused.stderr.contains("of a run that is there cannot change"), "{refused}");
}

#[test]
fn every_strategy_learns_with_a_masked_model() {
    let folder = folder();
    folder.copy_model("tiny_bert", "tiny_bert");
    let rows = [
        r#"{"tokens": ["Paris", "of", "Italy"], "entities": ["B-city", "O", "B-state"]}"#,
        r#"{"tokens": ["The", "capital"], "entities": []}"#,
        r#"{"tokens": ["Rome", "is", "Rome"], "entities": ["B-city", "O", "B-city"]}"#,
    ];
    for split in ["train", "dev", "test"] {
        folder.write(&format!("short/{split}.jsonl"), rows.join("\n") + "\n");
    }
    let masked = "--set backbone.source=tiny_bert --set data.path=short --set eval.manual='[x] [x:span] [z]'";
    for (strategy, template) in [
        ("fixed-lm", "[x] [h:2] [x:span] [z]"),
        ("fixed-prompt", "[x] [x:span] [z] is"),
        ("prompt-and-lm", "[x] [h:1] [x:span] [z]"),
    ] {
        let line = format!(
            "train --config entities.toml --quiet --name {strategy} {masked} --set train.strategy={strategy} \
             --set 'template.text=\"{template}\"' --set train.epochs=30 --set train.lr=3e-2"
        );
        let lm = if strategy == "fixed-lm" { "" } else { " --set lm.lr=1e-2" };
        let ran = folder.run(&(line + lm));
        assert_eq!(ran.code, Some(0), "{ran}");
        let found =
            folder.run(&format!("predict runs/{strategy} 'Rome is Rome' --format json")).json();
        assert!(found[0]["entities"].is_array(), "{found}");
        let metrics = folder.text(&format!("runs/{strategy}/metrics.jsonl"));
        let rows = metrics.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let losses: Vec<f64> = rows.filter_map(|row| row["train_loss"].as_f64()).collect();
        assert!(losses[29] < 0.8 * losses[0], "{strategy}: {} and {}", losses[0], losses[29]);
    }
}

/// Label vectors and word weights, behind a template of words and in front of a prefix.
#[test]
fn what_learns_of_labels_learns_from_spans() {
    let folder = folder();
    let words = "--set 'template.text=\"[x] [x:span] is [z]\"'";
    let prefix = "--set 'template.text=\"[prefix:2][x] [x:span] is [z]\"'";
    for (name, options) in [
        ("soft", format!("{words} --set verbalizer.kind=soft")),
        ("weights", format!("{words} --set verbalizer.learn_weights=true")),
        ("prefix", format!("{prefix} --set verbalizer.kind=soft")),
    ] {
        let train = format!("train --config entities.toml --quiet --name {name} {options}");
        let ran = folder.run(&train);
        assert_eq!(ran.code, Some(0), "{ran}");
        let judged = folder.run(&format!("eval runs/{name} --split dev --format json")).json();
        let best = folder
            .text(&format!("runs/{name}/metrics.jsonl"))
            .lines()
            .filter_map(|line| {
                let row: Value = serde_json::from_str(line).unwrap();
                row["dev"]["entity_f1"].as_f64()
            })
            .fold(0.0, f64::max);
        // What chose the epoch is what the run is judged by.
        let found = judged[0]["prompt"]["entity_f1"].as_f64().unwrap();
        assert!((found - best).abs() < 1e-6, "{name}: {found} and {best}");
        assert!(name == "weights" || best > 0.7, "{name}: {best}");
    }
}

/// Its decoder says what stands at the answer's place.
#[test]
fn an_encoder_decoder_is_asked_about_spans() {
    let folder = folder();
    folder.copy_model("tiny_t5", "tiny_t5");
    let line =
        "eval --config entities.toml --split test --set backbone.source=tiny_t5 --format json";
    let found = folder.run(&format!("{line} --set 'eval.manual=\"[x] [x:span] is [z] .\"'")).json();
    assert_eq!(found[0]["tagging"]["spans"], 14, "{found}");
}

/// A template's rule shortens the sentence, never the span.
#[test]
fn long_sentences_are_shortened_or_refused() {
    let folder = folder();
    let long = ["The capital of Italy is Rome"; 10].join(" ");
    let words: Vec<&str> = long.split(' ').collect();
    let row = serde_json::json!({ "tokens": words, "entities": [{ "start": 59, "end": 60, "label": "city" }] });
    folder.write("long.jsonl", format!("{}\n{row}\n", ROWS[0]));
    let line = "eval --config entities.toml --split test --set data.test=long.jsonl";
    let refused = folder.run(line);
    assert_eq!(refused.code, Some(2), "{refused}");
    assert!(refused.stderr.contains("long.jsonl:2: the example takes "), "{refused}");
    let shortened = folder.run(&format!("{line} --set 'eval.manual=\"[x|head] [x:span] is [z]\"'"));
    assert!(shortened.stdout.contains("  shortened 1: sentence too long"), "{shortened}");
}

#[test]
fn mistakes_in_sentences_are_told() {
    let folder = folder();
    let words = r#""tokens": ["Paris", "is", "Rome"]"#;
    let files = [
        ("text", r#"{"tokens": "Paris is", "entities": []}"#.to_owned()),
        ("blank", r#"{"tokens": ["Paris", " "], "entities": []}"#.to_owned()),
        ("empty", r#"{"tokens": [], "entities": []}"#.to_owned()),
        ("key", format!(r#"{{{words}, "entity": []}}"#)),
        ("shape", format!(r#"{{{words}, "entities": [{{"start": 0, "label": "city"}}]}}"#)),
        (
            "outside",
            format!(r#"{{{words}, "entities": [{{"start": 2, "end": 4, "label": "city"}}]}}"#),
        ),
        (
            "hollow",
            format!(r#"{{{words}, "entities": [{{"start": 1, "end": 1, "label": "city"}}]}}"#),
        ),
        (
            "nested",
            format!(
                r#"{{{words}, "entities": [{{"start": 1, "end": 3, "label": "city"}}, {{"start": 0, "end": 2, "label": "state"}}]}}"#
            ),
        ),
        (
            "label",
            format!(r#"{{{words}, "entities": [{{"start": 0, "end": 1, "label": "citty"}}]}}"#),
        ),
        (
            "none",
            format!(r#"{{{words}, "entities": [{{"start": 0, "end": 1, "label": "none"}}]}}"#),
        ),
        ("tags", format!(r#"{{{words}, "entities": ["B-city"]}}"#)),
        ("sign", format!(r#"{{{words}, "entities": ["B-city", "X-city", "O"]}}"#)),
        ("nothing", format!(r#"{{{words}, "entities": []}}"#)),
    ];
    for (name, row) in &files {
        let first = if *name == "nothing" { ROWS[3] } else { ROWS[0] };
        folder.write(&format!("{name}.jsonl"), format!("{first}\n{row}\n"));
    }
    let lines: Vec<String> =
        files.iter().map(|(name, _)| format!("--set data.train={name}.jsonl")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    assert_snapshot!(refused(&folder, "train --config entities.toml", &lines), @r#"
    $ --set data.train=text.jsonl
    error: text.jsonl:2: `tokens`: expected a list of words, found text
    hint: such as ["Ada", "lives", "in", "Cairo", "."]

    $ --set data.train=blank.jsonl
    error: blank.jsonl:2: `tokens`: expected a list of words, found a blank one as word 2
    hint: such as ["Ada", "lives", "in", "Cairo", "."]

    $ --set data.train=empty.jsonl
    error: empty.jsonl:2: `tokens`: expected a list of words, found an empty list
    hint: such as ["Ada", "lives", "in", "Cairo", "."]

    $ --set data.train=key.jsonl
    error: key.jsonl:2: missing key `entities`, named by `spans.entities`; found `tokens`, `entity`
    hint: set `spans.entities` to one of the row's keys

    $ --set data.train=shape.jsonl
    error: shape.jsonl:2: `entities`: expected {"start": 0, "end": 2, "label": "person"}, found {"start":0,"label":"city"} as entity 1
    hint: start and end count words from 0, end is the word behind the last one

    $ --set data.train=outside.jsonl
    error: outside.jsonl:2: `entities`: expected a label, and a start below an end of at most 3, which is how many words there are, found 'city' from 2 to 4 as entity 1
    hint: words count from 0, and end is the word behind the last one

    $ --set data.train=hollow.jsonl
    error: hollow.jsonl:2: `entities`: expected a label, and a start below an end of at most 3, which is how many words there are, found 'city' from 1 to 1 as entity 1
    hint: words count from 0, and end is the word behind the last one

    $ --set data.train=nested.jsonl
    error: nested.jsonl:2: `entities`: expected entities that share no word, found 'state' from 0 to 2 and 'city' from 1 to 3
    hint: of nested entities keep the outer one

    $ --set data.train=label.jsonl
    error: label.jsonl:2: `entities`: expected one of the labels 'city', 'state', found 'citty'
    hint: did you mean 'city'?

    $ --set data.train=none.jsonl
    error: none.jsonl:2: `entities`: expected one of the labels 'city', 'state', found 'none'
    hint: spans.none is the label of all that is no entity: leave it out of the data

    $ --set data.train=tags.jsonl
    error: tags.jsonl:2: `entities`: expected a tag for each of the 3 words, found 1
    hint: such as ["B-person", "I-person", "O"]

    $ --set data.train=sign.jsonl
    error: sign.jsonl:2: `entities`: expected tags that begin with B, I, E, S or O, found "X-city"
    hint: such as ["B-person", "I-person", "O"]

    $ --set data.train=nothing.jsonl
    error: nothing.jsonl: expected sentences with entities, found none in 2
    hint: `entities` of some rows has to hold entities; a small data.limit may leave them out
    "#);
}

#[test]
fn mistakes_in_settings_and_inputs_are_told() {
    let folder = folder();
    let lines = [
        "--set spans.none=nonne",
        "--set spans.longest=0",
        "--set spans.negatives=-1",
        "--set 'spans.stop_words=\"the\"'",
        "--set spans.longst=3",
        "--set 'data.inputs={ x = \"text\" }'",
        "--set data.answer=label",
        "--set 'eval.ensemble=[\"[x] [x:span] [z]\", \"[x:span] [z]\"]'",
        "--set eval.answers=all",
        "--set 'template.text=\"[x] [h:2] [z]\"'",
        "--set 'eval.manual=\"[x] is [z]\"'",
    ];
    assert_snapshot!(refused(&folder, "train --config entities.toml", &lines), @r#"
    $ --set spans.none=nonne
    error: --set spans.none=nonne: `spans.none`: expected one of the labels `city`, `state`, `none`, found `nonne`
    hint: did you mean `none`?

    $ --set spans.longest=0
    error: --set spans.longest=0: `spans.longest`: expected a whole number, at least 1, found 0

    $ --set spans.negatives=-1
    error: --set spans.negatives=-1: `spans.negatives`: expected a number, at least 0, found -1

    $ --set 'spans.stop_words="the"'
    error: --set spans.stop_words="the": `spans.stop_words`: expected a list of words, such as ["the", "of"], found the text "the"

    $ --set spans.longst=3
    error: --set spans.longst=3: unknown key `spans.longst`
    hint: did you mean `spans.longest`?

    $ --set 'data.inputs={ x = "text" }'
    error: --set data.inputs={ x = "text" }: `data.inputs` has no effect with [spans], which says where words and entities are

    $ --set data.answer=label
    error: --set data.answer=label: `data.answer` has no effect with [spans], which says where words and entities are

    $ --set 'eval.ensemble=["[x] [x:span] [z]", "[x:span] [z]"]'
    error: --set eval.ensemble=["[x] [x:span] [z]", "[x:span] [z]"]: `eval.ensemble` has no effect with [spans]: entities are judged by one template

    $ --set eval.answers=all
    error: --set eval.answers=all: `eval.answers` has no effect with labels: their words are what may be answered

    $ --set 'template.text="[x] [h:2] [z]"'
    error: template.text: expected a template that asks about a span, found none of [x:span]
    hint: such as "[x] [x:span] is a [z] entity"

    $ --set 'eval.manual="[x] is [z]"'
    error: eval.manual: expected a template that asks about a span, found none of [x:span]
    hint: such as "[x] [x:span] is a [z] entity"
    "#);
    folder.write("words.toml", CONFIG.replace("labels = {", "# labels = {"));
    folder.write("list.tsv", "is a\tis one\n");
    assert_snapshot!(refused(&folder, "train --config words.toml", &[""]), @r#"
    $ 
    error: words.toml: missing key `verbalizer.labels`: expected the kinds of entities, and what is none, each with words that stand for it
    hint: labels = { person = ["person"], location = ["place"], none = ["word"] }
    "#);
    assert_snapshot!(refused(&folder, "search paraphrase --config entities.toml", &["--phrases list.tsv"]), @r#"
    $ --phrases list.tsv
    error: [spans]: expected a task whose examples are judged one by one, found sentences with entities
    hint: `ptune eval --config` judges a template on them; try wordings with --set template.text
    "#);
    let ran = folder.run("train --config entities.toml --quiet --set train.epochs=1");
    assert_eq!(ran.code, Some(0), "{ran}");
    let lines =
        ["' '", "'{\"x\": \"Paris\", \"span\": \"Paris\"}'", "Paris --generate", "Paris --top 3"];
    assert_snapshot!(refused(&folder, "predict runs/entities", &lines), @r#"
    $ ' '
    error: input "": the field 'x' is empty

    $ '{"x": "Paris", "span": "Paris"}'
    error: expected a text, found the fields span, x
    hint: give the text alone, or as JSON: '{"x": "…"}'

    $ Paris --generate
    error: --generate: this prompt finds the entities of a text
    hint: leave it out; entities come in the order of their words

    $ Paris --top 3
    error: --top: this prompt finds the entities of a text
    hint: leave it out; entities come in the order of their words
    "#);
}
