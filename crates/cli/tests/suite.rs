//! `ptune suite`: cells run, resumed, shared out, joined and told in tables; and what is refused.

mod common;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::suite::{folder, suite};
use common::{Folder, PTUNE, refused, stable};
use insta::assert_snapshot;
use serde_json::Value;

/// Names of the cells that are done.
fn done(folder: &Folder, suite: &str) -> Vec<String> {
    let cells = folder.path(&format!("{suite}/cells"));
    let mut done: Vec<String> = std::fs::read_dir(cells)
        .unwrap()
        .map(|cell| cell.unwrap().path())
        .filter(|cell| cell.join("evaluation.json").is_file())
        .map(|cell| cell.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    done.sort();
    done
}

#[test]
fn a_suite_is_run_once_and_told_in_tables() {
    let _stable = stable();
    let folder = folder();
    let ran = folder.run("suite suite.toml --quiet");
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(done(&folder, "suites/small").len(), 8 + 2 + 3, "{ran}");
    assert_snapshot!(ran.stdout, @r#"
    # small, test

    13 of 13 cells are done.

    P@1 in percent

    | task               | examples | majority | manual | best discrete | random weights | around, direct | around, mlp |
    |--------------------|---------:|---------:|-------:|--------------:|---------------:|---------------:|------------:|
    | capitals           |        3 | [n] | [n] | [n] | [n] | [n] ± [n] | [n] ± [n] |
    | other              |        3 | [n] | [n] | [n] | [n] | [n] ± [n] | [n] ± [n] |
    | mean over tasks    |        6 | [n] | [n] | [n] | [n] | [n] ± [n] | [n] ± [n] |
    | mean over examples |        6 | [n] | [n] | [n] | [n] | [n] ± [n] | [n] ± [n] |

    MRR in percent

    | task               | examples | majority | manual | best discrete | random weights | around, direct | around, mlp |
    |--------------------|---------:|---------:|-------:|--------------:|---------------:|---------------:|------------:|
    | capitals           |        3 | [n] | [n] | [n] | [n] | [n] ± [n] | [n] ± [n] |
    | other              |        3 | [n] | [n] | [n] | [n] | [n] ± [n] | [n] ± [n] |
    | mean over tasks    |        6 | [n] | [n] | [n] | [n] | [n] ± [n] | [n] ± [n] |
    | mean over examples |        6 | [n] | [n] | [n] | [n] | [n] ± [n] | [n] ± [n] |
    "#);
    assert_eq!(ran.stdout, folder.text("suites/small/results.md"));
    let csv = folder.text("suites/small/results.csv");
    assert_eq!(csv.lines().count(), 1 + 2 * 13, "{csv}");
    let widths = csv.lines().map(|line| line.split(',').count());
    assert!(widths.clone().all(|width| width == widths.clone().next().unwrap()), "{csv}");

    // Nothing is left to do: nothing is written but the tables, which are the same.
    let before = folder.tree();
    let again = folder.run("suite suite.toml");
    assert_eq!(again.stdout, ran.stdout);
    assert_eq!(again.stderr, "suite small: 0 of 13 cells to run, in suites/small\n");
    assert!(before == folder.tree());
}

#[test]
fn a_cell_is_the_run_that_its_settings_make_alone() {
    let folder = folder();
    assert_eq!(folder.run("suite suite.toml --quiet").code, Some(0));
    let alone = folder.run(
        "train --config config.toml --set seed=1 --set prompt_encoder.kind=mlp --name alone --quiet",
    );
    assert_eq!(alone.code, Some(0), "{alone}");
    let cell = "suites/small/cells/capitals.around.mlp.1";
    for file in ["evaluation.json", "examples-test.jsonl"] {
        let (own, other) =
            (folder.text(&format!("{cell}/{file}")), folder.text(&format!("runs/alone/{file}")));
        assert_eq!(own, other, "{file}");
    }
    assert_eq!(
        folder.tensors(&format!("{cell}/prompt.safetensors")),
        folder.tensors("runs/alone/prompt.safetensors")
    );
    // And it is a run like any other.
    let predicted = folder.run(&format!("predict {cell} Britain"));
    assert_eq!(predicted.code, Some(0), "{predicted}");
}

#[test]
fn tables_hold_means_over_seeds_tasks_and_examples() {
    let folder = folder();
    let results = folder.run("suite suite.toml --quiet --format json").json();
    let of = |id: &str, key: &str| {
        let text = folder.text(&format!("suites/small/cells/{id}/evaluation.json"));
        let all: Value = serde_json::from_str(&text).unwrap();
        let test = all.as_array().unwrap().iter().find(|split| split["split"] == "test").unwrap();
        test[key]["mrr"].as_f64().unwrap()
    };
    let table = results["tables"].as_array().unwrap().iter().find(|t| t["score"] == "MRR").unwrap();
    let columns: Vec<&str> =
        table["columns"].as_array().unwrap().iter().map(|c| c.as_str().unwrap()).collect();
    assert_eq!(
        columns,
        ["majority", "manual", "best discrete", "random weights", "around, direct", "around, mlp"]
    );
    let figure =
        |row: &Value, column: usize, key: &str| row["figures"][column][key].as_f64().unwrap();
    let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} and {b}");
    let seeds = [0, 1].map(|seed| 100.0 * of(&format!("capitals.around.direct.{seed}"), "prompt"));
    let others = [0, 1].map(|seed| 100.0 * of(&format!("other.around.direct.{seed}"), "prompt"));
    let mean = (seeds[0] + seeds[1]) / 2.0;
    let row = &table["tasks"][0];
    close(figure(row, 4, "mean"), mean);
    // Of two numbers, by n − 1.
    close(figure(row, 4, "deviation"), (seeds[0] - seeds[1]).abs() / 2f64.sqrt());
    close(figure(row, 1, "mean"), 100.0 * of("capitals.around.direct.0", "manual"));
    close(figure(row, 3, "mean"), 100.0 * of("capitals.around.direct.0.random", "prompt"));
    // An average's deviation is that of the seeds' averages.
    let averages = [(seeds[0] + others[0]) / 2.0, (seeds[1] + others[1]) / 2.0];
    let over = &table["mean_over_tasks"];
    close(figure(over, 4, "mean"), (averages[0] + averages[1]) / 2.0);
    close(figure(over, 4, "deviation"), (averages[0] - averages[1]).abs() / 2f64.sqrt());
    // The best discrete prompt is chosen on dev.
    let dev = |number: usize| {
        let text =
            folder.text(&format!("suites/small/cells/capitals.discrete.{number}/evaluation.json"));
        let all: Value = serde_json::from_str(&text).unwrap();
        let dev = all.as_array().unwrap().iter().find(|split| split["split"] == "dev").unwrap();
        (dev["manual"]["p1"].as_f64().unwrap(), -dev["manual"]["loss"].as_f64().unwrap())
    };
    let best = if dev(2) > dev(1) { 2 } else { 1 };
    close(figure(row, 2, "mean"), 100.0 * of(&format!("capitals.discrete.{best}"), "manual"));
}

#[test]
fn random_weights_know_another_backbone() {
    let folder = folder();
    assert_eq!(folder.run("suite suite.toml --quiet --shard 5/13").code, Some(0));
    let [cell] = done(&folder, "suites/small").try_into().unwrap();
    assert_eq!(cell, "capitals.around.direct.0.random");
    // The cell loads its own weights again; its export refuses the trained ones.
    let prompt = format!("suites/small/cells/{cell}/prompt.safetensors");
    assert_eq!(folder.run(&format!("predict suites/small/cells/{cell} Britain")).code, Some(0));
    let ran = folder.run(&format!("predict --prompt {prompt} Britain"));
    assert_eq!(ran.code, Some(2), "{ran}");
    let told = "trained on tiny_llama with random weights, but the backbone here is tiny_llama";
    assert!(ran.stderr.contains(told), "{ran}");
}

#[test]
fn parts_are_joined_and_none_is_lost_or_run_twice() {
    let folder = folder();
    let whole = folder.run("suite suite.toml --quiet");
    let parts = folder.run("suite suite.toml --quiet --shard 1/2");
    assert_eq!(parts.code, Some(0), "{parts}");
    for (part, of) in [("a", "1/2"), ("b", "2/2")] {
        folder
            .write(&format!("{part}.toml"), suite().replace("\"suites\"", &format!("\"{part}\"")));
        let ran = folder.run(&format!("suite {part}.toml --quiet --shard {of}"));
        assert_eq!(ran.code, Some(0), "{ran}");
    }
    let (a, b) = (done(&folder, "a/small"), done(&folder, "b/small"));
    assert_eq!(a.len() + b.len(), 13);
    let joined = folder.run("suite merge a/small b/small --out joined");
    assert_eq!(joined.code, Some(0), "{joined}");
    assert_eq!(joined.stderr, "13 cells joined in joined; 13 of 13 are there\n");
    assert_eq!(joined.stdout, whole.stdout);
    assert_eq!(done(&folder, "joined"), done(&folder, "suites/small"));
    let again = folder.run("suite merge a/small b/small --out joined");
    assert_eq!(again.stderr, "0 cells joined in joined; 13 of 13 are there\n");

    // A cell with other scores in one part than in the other is told, and nothing is copied.
    let cell = &b[0];
    let file = format!("b/small/cells/{cell}/evaluation.json");
    folder.write(&file, folder.text(&file).replace("\"p1\": ", "\"p1\": 0.0"));
    assert_snapshot!(refused(&folder, "suite", &["merge b/small --out joined", "merge a/small --out a/small", "merge config.toml --out new"]), @r#"
    $ merge b/small --out joined
    error: `capitals.around.mlp.0` has other scores in b/small than in joined
    hint: remove the one that you do not trust

    $ merge a/small --out a/small
    error: a/small: expected parts and another folder to join them in, found one for both

    $ merge config.toml --out new
    error: config.toml: expected the folder of a suite, found no suite.json in it
    "#);
}

#[test]
fn workers_share_the_cells_and_a_killed_one_loses_none() {
    let folder = folder();
    // Cells that take long enough to be killed in.
    let longer = suite().replace("seeds =", "set = { train.epochs = 40 }\nseeds =");
    folder.write("suite.toml", &longer);
    let whole = folder.run("suite suite.toml --quiet");
    folder.write("shared.toml", longer.replace("\"suites\"", "\"shared\""));
    // A worker of another machine that is killed in its first cell, in the next one, and so on.
    let begun = || {
        let cells = folder.path("shared/small/cells").read_dir().into_iter().flatten().flatten();
        cells.filter(|cell| cell.path().join("last.safetensors").is_file()).count()
    };
    let mut killed = 0;
    for _ in 0..3 {
        let before = begun();
        let mut child = Command::new(PTUNE)
            .args(["suite", "shared.toml", "--quiet"])
            .current_dir(folder.path(""))
            .env("PTUNE_CACHE", folder.path("cache"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while begun() == before && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        killed += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(killed, 3);
    let ran = folder.run("suite shared.toml --jobs 3");
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(ran.stdout, whole.stdout, "{ran}");
    // Each of the cells that were left was begun by one worker and done once.
    let lines = |what: &str| ran.stderr.lines().filter(|line| line.contains(what)).count();
    let begun =
        ran.stderr.lines().filter(|line| line.starts_with("cell ") && !line.contains(": ")).count();
    assert_eq!(begun, lines(": test "), "{ran}");
    let first = ran.stderr.lines().next().unwrap();
    assert_eq!(first, format!("suite small: {begun} of 13 cells to run, in shared/small"));
}

#[test]
fn workers_that_begin_at_once_run_each_cell_once() {
    let folder = folder();
    let begin = |_| {
        let mut command = Command::new(PTUNE);
        command.args(["suite", "suite.toml"]).current_dir(folder.path(""));
        command.env("PTUNE_CACHE", folder.path("cache")).env("RAYON_NUM_THREADS", "1");
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let workers: Vec<_> = (0..4).map(begin).collect();
    let mut cells = Vec::new();
    for worker in workers {
        let output = worker.wait_with_output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{told}");
        let done = told.lines().filter(|line| line.contains(": test "));
        cells.extend(done.map(|line| line.split(": ").next().unwrap().to_owned()));
    }
    cells.sort();
    let all = cells.len();
    cells.dedup();
    assert_eq!((all, cells.len()), (13, 13), "{cells:?}");
    assert_eq!(done(&folder, "suites/small").len(), 13);
}

#[test]
fn a_suite_that_is_interrupted_goes_on() {
    let folder = folder();
    let whole = folder.run("suite suite.toml --quiet");
    folder.write("shared.toml", suite().replace("\"suites\"", "\"shared\""));
    let mut child = Command::new(PTUNE)
        .args(["suite", "shared.toml", "--jobs", "2", "--set", "train.epochs=200"])
        .current_dir(folder.path(""))
        .env("PTUNE_CACHE", folder.path("cache"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let started = Instant::now();
    let begun = || {
        folder.path("shared/small/cells").read_dir().is_ok_and(|mut cells| {
            cells.any(|cell| cell.unwrap().path().join("last.safetensors").is_file())
        })
    };
    while !begun() {
        assert!(started.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(20));
    }
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    // Its settings are others than those of the file.
    let other = folder.run("suite shared.toml --quiet");
    assert_eq!(other.code, Some(2), "{other}");
    assert!(other.stderr.contains("`epochs = 200`, and now `epochs = 4`"), "{other}");
    let ran = folder.run("suite shared.toml --quiet --force");
    assert_eq!(ran.stdout, whole.stdout, "{ran}");
}

#[test]
fn a_cell_that_cannot_be_run_keeps_no_other_from_it() {
    let _stable = stable();
    let folder = folder();
    // Of the second task nothing can be asked: its answers are no words of the data's.
    let row = |z: &str| format!("{{\"x\": \"Britain\", \"z\": \"{z}\"}}\n");
    for split in ["train", "dev", "test"] {
        folder.write(&format!("none/{split}.jsonl"), row("Xyzzy Plugh of Nowhere"));
    }
    folder.write(
        "suite.toml",
        suite().replace("set = { eval.manual", "set = { data.path = \"none\", eval.manual"),
    );
    let ran = folder.run("suite suite.toml --quiet");
    assert_eq!(ran.code, Some(2), "{ran}");
    assert_eq!(done(&folder, "suites/small").len(), 7);
    assert_snapshot!(ran.stderr, @r#"
    error: 6 of 13 cells could not be run
    other.around.direct.0, other.around.mlp.0, other.around.direct.1, other.around.mlp.1, other.around.direct.0.random
      none/train.jsonl: the train split has no usable example: of 1, 1 have an answer of several tokens and 0 an answer that is not a candidate
      hint: an answer has to be one token of the backbone's tokenizer, such as a frequent word
    other.discrete.1
      none/dev.jsonl: the dev split has no usable example: of 1, 1 have an answer of several tokens and 0 an answer that is not a candidate
      hint: an answer has to be one token of the backbone's tokenizer, such as a frequent word
    hint: the same command tries them again, and no others
    "#);
    assert!(ran.stdout.contains("7 of 13 cells are done. 6 could not be run."), "{ran}");
    // Once the data are mended the same command runs what is left.
    for split in ["train", "dev", "test"] {
        folder.write(&format!("none/{split}.jsonl"), folder.read(&format!("data/{split}.jsonl")));
    }
    let ran = folder.run("suite suite.toml");
    assert_eq!(ran.code, Some(0), "{ran}");
    assert!(ran.stderr.starts_with("suite small: 6 of 13 cells to run"), "{ran}");
}

#[test]
fn cells_are_listed_and_scores_are_held_to() {
    let folder = folder();
    let listed = folder.run("suite suite.toml --list");
    assert_eq!(listed.code, Some(0), "{listed}");
    assert!(!folder.path("suites").exists());
    assert_eq!(listed.stdout.lines().count(), 13);
    assert!(listed.stdout.lines().all(|line| line.ends_with(" new")), "{listed}");
    let below = folder.run("suite suite.toml --quiet --fail-under mrr=0.99");
    assert_eq!(below.code, Some(1), "{below}");
    assert!(below.stderr.contains("around, direct: mrr is "), "{below}");
    assert_eq!(folder.run("suite suite.toml --quiet --fail-under mrr=0.01").code, Some(0));
    let listed = folder.run("suite suite.toml --list");
    assert!(listed.stdout.lines().all(|line| line.ends_with(" done")), "{listed}");
}
