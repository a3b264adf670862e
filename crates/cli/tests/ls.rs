//! `ptune ls`: runs of every job and in every state.

mod common;

use common::{Folder, refused, stable};
use insta::assert_snapshot;
use serde_json::{Value, json};

/// Sets the start of a run, so that the order is known.
fn begin_at(folder: &Folder, run: &str, unix: u64) {
    let file = format!("{run}/run.json");
    let mut info: Value = serde_json::from_str(&folder.text(&file)).unwrap();
    info["started_unix"] = json!(unix);
    folder.write(&file, info.to_string());
}

#[test]
fn runs_are_listed_newest_first_with_what_is_wrong() {
    let _stable = stable();
    let folder = Folder::trained();
    let done = folder.run("train --config config.toml --name longer --quiet --set train.epochs=5");
    assert_eq!(done.code, Some(0), "{done}");
    // Interrupted in its second epoch, as its files tell.
    folder.copy("runs/tiny", "runs/stopped");
    let config = folder.text("runs/tiny/config.toml").replace("epochs = 4", "epochs = 9");
    folder.write("runs/stopped/config.toml", config);
    std::fs::remove_file(folder.path("runs/stopped/evaluation.json")).unwrap();
    folder.copy("runs/tiny", "runs/unsaved");
    for file in ["last.safetensors", "best.safetensors", "evaluation.json"] {
        std::fs::remove_file(folder.path(&format!("runs/unsaved/{file}"))).unwrap();
    }
    for (run, unix) in [("tiny", 0), ("longer", 86_400), ("stopped", 90_000), ("unsaved", 99_960)] {
        begin_at(&folder, &format!("runs/{run}"), unix);
    }
    folder.copy("runs/tiny", "runs/torn");
    folder.write("runs/torn/last.safetensors", &folder.read("runs/tiny/last.safetensors")[..900]);
    folder.copy("runs/tiny", "runs/muddled");
    folder.write("runs/muddled/evaluation.json", "[");
    folder.write("runs/other/notes.txt", "no run");
    folder.write("runs/.hidden/notes.txt", "no run");
    let all = folder.run("ls runs");
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\d+ kB", "[size]");
    settings.add_filter(r"at line 1 column \d+", "at [place]");
    settings.bind(|| assert_snapshot!(all, @"
    exit 0
    --- stdout
    run      job    state                   backbone    dev      test      started (UTC)     size
    unsaved  train  nothing saved           tiny_llama  -        -         1970-01-02 03:46  [size]
    stopped  train  interrupted, epoch 4/9  tiny_llama  P@1 [n]  -         1970-01-02 01:00  [size]
    longer   train  finished, epoch 5/5     tiny_llama  P@1 [n]  P@1 [n]  1970-01-02 00:00  [size]
    muddled  runs/muddled/evaluation.json: not the JSON that ptune writes: EOF while parsing a list at [place]
    tiny     train  finished, epoch 4/4     tiny_llama  P@1 [n]  P@1 [n]  1970-01-01 00:00  [size]
    torn     runs/torn/last.safetensors: not a whole safetensors file: invalid header length
    other    runs/other: not a run folder: config.toml is missing
    --- stderr
    "));

    let json = folder.run("ls runs --format json").json();
    let of = |name: &str| {
        let found = json.as_array().unwrap().iter().find(|run| run["name"] == name);
        found.cloned().unwrap_or_else(|| panic!("{name}: {json}"))
    };
    let evaluation: Value =
        serde_json::from_str(&folder.text("runs/tiny/evaluation.json")).unwrap();
    assert_eq!(of("tiny")["test"], evaluation[1]["prompt"]);
    assert_eq!(
        (&of("tiny")["state"], &of("tiny")["resumable"]),
        (&json!("finished"), &json!(false))
    );
    let stopped = of("stopped");
    assert_eq!((&stopped["epoch"], &stopped["epochs"]), (&json!(4), &json!(9)));
    assert_eq!(stopped["resumable"], true);
    let resumed = folder.run("resume runs/stopped --quiet");
    assert_eq!(resumed.code, Some(0), "{resumed}");
    let again = folder.run("ls runs/stopped --format json").json();
    assert_eq!((&again[0]["state"], &again[0]["epoch"]), (&json!("finished"), &json!(9)));
}

/// A run is finished when it has come to its last epoch and was judged then: neither is enough.
#[test]
fn a_run_that_was_given_more_epochs_or_was_not_judged_is_not_finished() {
    let folder = Folder::trained();
    folder.copy("runs/tiny", "runs/more");
    let config = folder.text("runs/tiny/config.toml").replace("epochs = 4", "epochs = 9");
    folder.write("runs/more/config.toml", config);
    folder.copy("runs/tiny", "runs/unjudged");
    std::fs::remove_file(folder.path("runs/unjudged/evaluation.json")).unwrap();
    let json = folder.run("ls runs --format json").json();
    for run in json.as_array().unwrap() {
        let finished = run["name"] == "tiny";
        let state = if finished { "finished" } else { "interrupted" };
        assert_eq!((&run["state"], &run["resumable"]), (&json!(state), &json!(!finished)), "{run}");
    }
}

#[test]
fn every_job_is_listed() {
    let folder = Folder::new();
    folder.copy_model("tiny_bert", "tiny_bert");
    folder.write("text.txt", "the capital of italy is rome .\n".repeat(12));
    folder.write(
        "adapt.toml",
        "name = \"adapted\"\nruns = \"runs\"\n[backbone]\nsource = \"tiny_bert\"\n[text]\npath = \"text.txt\"\n\
         dev = 4\n[train]\nepochs = 1\n",
    );
    folder.write("second.toml", folder.text("config.toml").replace("\"tiny\"", "\"second\""));
    for line in [
        "adapt --config adapt.toml --quiet",
        "train --config config.toml --config second.toml --name both --quiet --set train.epochs=1",
        "search edit --config config.toml --name edited --budget 3 --quiet",
    ] {
        let ran = folder.run(line);
        assert_eq!(ran.code, Some(0), "{line}: {ran}");
    }
    let json = folder.run("ls runs --format json").json();
    for run in json.as_array().unwrap() {
        assert_eq!((&run["state"], &run["problem"]), (&json!("finished"), &Value::Null), "{run}");
        assert!(run["dev"]["p1"].is_number(), "{run}");
    }
    let mut jobs: Vec<&str> =
        json.as_array().unwrap().iter().map(|run| run["job"].as_str().unwrap()).collect();
    jobs.sort();
    assert_eq!(jobs, ["adapt", "search", "together"]);
    let tasks = folder.run("ls runs/both/tasks --format json").json();
    assert_eq!(tasks.as_array().unwrap().len(), 2, "{tasks}");
}

#[test]
fn no_runs_are_no_mistake_but_no_folder_is() {
    let folder = Folder::new();
    let none = folder.run("ls");
    assert_eq!((none.code, none.stdout.as_str()), (Some(0), ""), "{none}");
    assert_eq!(none.stderr, "no runs in checkpoints/runs\n");
    assert_eq!(folder.run("ls --format json").stdout, "[]\n");
    assert_snapshot!(refused(&folder, "ls", &["rnus", "dato", "config.toml"]), @"
    $ rnus
    error: rnus: expected a folder of run folders, found nothing
    hint: runs are in checkpoints/runs by default

    $ dato
    error: dato: expected a folder of run folders, found nothing
    hint: did you mean data?

    $ config.toml
    error: config.toml: expected a folder of run folders, found a file
    hint: runs are in checkpoints/runs by default
    ");
}
