//! `ptune compare`: runs side by side on the same examples.

mod common;

use common::{Folder, refused, stable};
use insta::assert_snapshot;

fn folder() -> Folder {
    let folder = Folder::trained();
    let ran = folder
        .run("train --config config.toml --quiet --set prompt_encoder.kind=direct --name direct");
    assert_eq!(ran.code, Some(0), "{ran}");
    folder
}

#[test]
fn runs_are_put_side_by_side() {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r" *[+-]?\d+(\.\d+)?( \*)?", " [n]");
    let _numbers = settings.bind_to_scope();
    let folder = folder();
    assert_snapshot!(folder.run("compare runs/tiny runs/direct --split dev"), @r#"
    exit [n]
    --- stdout
    dev: [n] examples
                P@ [n]    MRR   P@ [n], difference         MRR, difference            won   lost
      tiny [n] [n]
      direct [n] [n] [n] ( [n] to [n]) [n] ( [n] to [n]) [n] [n]
    differences from the first, with the middle [n] % of [n] paired bootstrap samples; * leaves out [n]
    --- stderr
    "#);
    assert_snapshot!(folder.run("compare runs/tiny"), @r#"
    exit [n]
    --- stdout
    test: [n] examples
                P@ [n]    MRR   P@ [n], difference         MRR, difference            won   lost
      manual [n] [n]
      tiny [n] [n] [n] ( [n] to [n]) [n] ( [n] to [n]) [n] [n]
    differences from the first, with the middle [n] % of [n] paired bootstrap samples; * leaves out [n]
    --- stderr
    "#);
    // A run is no different from itself.
    let same = folder.run("compare runs/tiny runs/tiny --format json").json();
    let difference = &same["sides"][1]["difference"];
    assert_eq!(difference["p1"], serde_json::json!({ "difference": 0.0, "low": 0.0, "high": 0.0 }));
    assert_eq!((&difference["won"], &difference["lost"]), (&0.into(), &0.into()));
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let _stable = stable();
    let folder = folder();
    let other = r#"{"index":0,"input":{"x":"Peru"},"answer":"Lima","majority_rank":1,"prompt":{"says":"Lima","rank":1,"loss":0.5}}"#;
    folder.copy("runs/tiny", "runs/other");
    folder.write("runs/other/examples-test.jsonl", format!("{other}\n"));
    folder.copy("runs/tiny", "runs/broken");
    folder.write("runs/broken/examples-test.jsonl", format!("{other}\n{{\n"));
    let lines = [
        "runs/tiny runs/other",
        "runs/broken",
        "runs/other",
        "runs/tiny --split train",
        "runs/tinny",
        "runs/tiny --samples 3",
    ];
    assert_snapshot!(refused(&folder, "compare", &lines), @r#"
    $ runs/tiny runs/other
    error: tiny and other have no example in common: they were asked different things
    hint: compare runs of one data set and split

    $ runs/broken
    error: runs/broken/examples-test.jsonl:2: not the JSON that ptune writes
      because: EOF while parsing an object at line 1 column 1

    $ runs/other
    error: other: the run has no manual prompt to be compared with
    hint: name another run, or set eval.manual and train again

    $ runs/tiny --split train
    error: runs/tiny: the run has no judged examples of train
    hint: a run is judged when its training ends, on its eval.splits; `ptune resume` finishes it

    $ runs/tinny
    error: runs/tinny: not a run folder: config.toml is missing
    hint: the nearest run is runs/tiny

    $ runs/tiny --samples 3
    error: invalid value '3' for '--samples <N>': 3 is not in 100..=4294967295
    "#);
}
