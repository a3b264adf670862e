//! How commands talk: quietly, in JSON lines, in colours, to a reader that leaves, and by exit codes.

mod common;

use std::path::Path;
use std::process::{Command, Stdio};

use common::{Folder, PTUNE, words};
use serde_json::Value;

#[test]
fn quiet_commands_say_nothing_but_results() {
    let folder = Folder::new();
    folder.copy_model("tiny_bert", "tiny_bert");
    folder.write("text.txt", "the capital of italy is rome .\n".repeat(12));
    folder.write(
        "adapt.toml",
        "name = \"adapted\"\nruns = \"runs\"\n[backbone]\nsource = \"tiny_bert\"\n[text]\npath = \"text.txt\"\n\
         dev = 4\n[train]\nepochs = 1\n",
    );
    folder.write("prompts.txt", "The capital of [x] is [z]\n[x] is [z]\n");
    for line in [
        "train --config config.toml",
        "resume runs/tiny --set train.epochs=5",
        "adapt --config adapt.toml",
        "eval runs/tiny",
        "search edit --config config.toml --budget 2",
        "sensitivity --config config.toml --prompts prompts.txt",
        "predict runs/tiny Britain",
        "inspect runs/tiny",
        "export runs/tiny --format safetensors --out out.safetensors",
        "estimate --backbone tiny_llama",
        "bench --backbone tiny_llama --steps 1",
        "init facts",
        "validate config.toml",
    ] {
        // The flag may stand on either side of the command.
        let ran = folder.run(&format!("-q {line}"));
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{line}: {ran}");
        assert!(!ran.stdout.is_empty(), "{line}");
    }
    assert_eq!(folder.run("eval runs/tiny --quiet").stderr, "");
}

fn events(stderr: &str) -> Vec<Value> {
    let event = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    stderr.lines().map(event).collect()
}

#[test]
fn progress_is_told_to_programs_as_lines_of_json() {
    let folder = Folder::new();
    let ran = folder.run("train --config config.toml --log-format json");
    assert_eq!(ran.code, Some(0), "{ran}");
    assert!(ran.stdout.contains("P-tuned"), "{ran}");
    let events = events(&ran.stderr);
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    let epoch = ["step", "step", "step", "evaluating", "epoch"];
    assert_eq!(names, [&["started"][..], &epoch, &epoch, &epoch, &epoch, &["done"]].concat());
    assert_eq!((&events[0]["epochs"], &events[0]["steps_per_epoch"]), (&4.into(), &3.into()));
    assert_eq!((&events[1]["epoch"], &events[1]["step"]), (&1.into(), &1.into()));
    assert_eq!(events.last().unwrap()["exit_code"], 0);
    // The same figures as in the run folder.
    let metrics = folder.text("runs/tiny/metrics.jsonl");
    let metrics: Vec<Value> =
        metrics.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told =
        events.iter().filter(|event| ["step", "epoch"].contains(&event["event"].as_str().unwrap()));
    for (metric, event) in metrics.iter().zip(told) {
        for (name, value) in metric.as_object().unwrap().iter().filter(|(name, _)| *name != "kind")
        {
            assert_eq!(&event[name], value, "{name}: {event}");
        }
    }

    let ran =
        folder.run("search edit --config config.toml --budget 3 --log-format json --format json");
    let candidates = self::events(&ran.stderr);
    assert_eq!(candidates.iter().filter(|event| event["event"] == "candidate").count(), 3, "{ran}");
    let ran = folder.run("train --config config.toml --log-format json");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran}");
    let error = &self::events(&ran.stderr)[0];
    assert_eq!((&error["event"], &error["exit_code"]), (&"error".into(), &2.into()));
    assert!(error["text"].as_str().unwrap().contains("hint: `ptune resume"), "{error}");
    let quiet = folder.run("eval runs/tiny --log-format json --quiet");
    assert_eq!(self::events(&quiet.stderr).len(), 1, "{quiet}");
}

#[test]
fn colours_are_where_they_are_wanted() {
    let folder = Folder::new();
    let is_coloured = |line: &str, variables: &[(&str, &str)]| {
        let ran = folder.run_with(line, "", variables);
        (ran.stdout + &ran.stderr).contains('\u{1b}')
    };
    for line in ["train --config nowhere.toml", "trian", "--help"] {
        assert!(!is_coloured(line, &[]), "{line}: there is no terminal");
        assert!(is_coloured(&format!("--color always {line}"), &[]), "{line}");
        assert!(is_coloured(&format!("--color=always {line}"), &[("NO_COLOR", "1")]), "{line}");
        let forced = [("CLICOLOR_FORCE", "1")];
        assert!(is_coloured(line, &forced), "{line}");
        assert!(!is_coloured(&format!("--color never {line}"), &forced), "{line}");
        assert!(!is_coloured(line, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]), "{line}");
    }
    let ran = folder.run("--color sometimes doctor");
    assert_eq!(ran.code, Some(2), "{ran}");
}

#[test]
fn a_reader_that_leaves_ends_a_command_without_a_word() {
    let folder = Folder::trained();
    let lines = [
        "backbones",
        "fetch",
        "doctor",
        "doctor --json",
        "config",
        "config train.lr",
        "config --schema",
        "completions bash",
        "man",
        "init",
        "init facts --out -",
        "ls runs",
        "validate config.toml",
        "eval runs/tiny",
        "predict runs/tiny Britain",
        "inspect runs/tiny",
        "estimate --backbone tiny_llama",
        "export runs/tiny --format safetensors",
        "train --config config.toml --name again",
        "--help",
    ];
    for line in lines {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ran = Command::new(PTUNE)
            .args(words(line))
            .current_dir(folder.path(""))
            .env("PTUNE_CACHE", folder.path("cache"))
            .env("HF_HOME", folder.path("hf"))
            .stdin(Stdio::null())
            .stdout(writer)
            .output()
            .unwrap();
        let stderr = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(0), "{line}: {stderr}");
        for word in ["panicked", "roken pipe", "error"] {
            assert!(!stderr.contains(word), "{line}: {stderr}");
        }
    }
}

/// Each code of README's table, by a command that ends with it; 130 has a test of its own.
#[test]
fn exit_codes_are_those_of_the_readme() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let table = readme.lines().skip_while(|line| !line.starts_with("| exit code |")).skip(2);
    let codes: Vec<i32> = table
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.split('|').nth(1).unwrap().trim().parse().unwrap())
        .collect();
    assert_eq!(codes, [0, 1, 2, 130]);
    let folder = Folder::trained();
    let lines = [
        ("doctor", 0),
        ("--help", 0),
        ("eval runs/tiny --fail-under p1=0", 0),
        ("eval runs/tiny --split test --fail-under mrr=1 --set eval.batch_size=1", 1),
        ("", 2),
        ("trian", 2),
        ("train --config config.toml", 2),
        ("train --config config.toml --set train.lr=0", 2),
        ("validate config.toml --set train.lr=0", 2),
        ("eval runs/tinny", 2),
    ];
    for (line, code) in lines {
        let ran = folder.run(line);
        assert_eq!(ran.code, Some(code), "{line}: {ran}");
    }
}

#[test]
fn short_help_is_short_and_long_help_has_examples() {
    let folder = Folder::new();
    for (command, _) in common::commands_in_help(&folder.run("--help").stdout) {
        if command == "help" {
            continue;
        }
        let short = folder.run(&format!("{command} -h")).stdout;
        let long = folder.run(&format!("{command} --help")).stdout;
        let shows = |help: &str| help.contains("Examples:\n") || help.contains("Example: ");
        assert!(!shows(&short) && shows(&long), "{command}: {short}");
        assert!(short.lines().count() < long.lines().count(), "{command}");
    }
}
