//! `--help` of every command describes every argument.

mod common;

use common::{Folder, commands_in_help};

const COMMANDS: [&str; 23] = [
    "train",
    "resume",
    "adapt",
    "eval",
    "search",
    "sensitivity",
    "suite",
    "compare",
    "predict",
    "inspect",
    "export",
    "import",
    "ls",
    "init",
    "validate",
    "config",
    "fetch",
    "backbones",
    "doctor",
    "bench",
    "estimate",
    "completions",
    "man",
];

#[test]
fn help_lists_every_command() {
    let help = Folder::new().run("--help");
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    let listed = commands_in_help(&help.stdout);
    let names: Vec<&str> = listed.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, [&COMMANDS[..], &["help"]].concat());
    for (name, description) in listed {
        assert!(description.len() > 10, "{name}: {description:?}");
    }
    assert!(help.stdout.contains("Exit codes: 0 done"), "{help}");
}

#[test]
fn every_argument_is_described() {
    let folder = Folder::new();
    for command in COMMANDS {
        let help = folder.run(&format!("{command} --help"));
        assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""), "{help}");
        // An argument stands at the beginning of a line, its description right of it or below it.
        let mut arguments: Vec<(String, String)> = Vec::new();
        for line in help.stdout.lines().skip_while(|line| !line.starts_with("Usage:")) {
            let text = line.trim_start();
            let indent = line.len() - text.len();
            let begins = text.starts_with(['-', '<', '[']) && (1..=6).contains(&indent);
            if begins && !text.starts_with("[default") && !text.starts_with("[possible") {
                let (name, description) = text.split_once("  ").unwrap_or((text, ""));
                arguments.push((name.to_owned(), description.trim().to_owned()));
            } else if let Some((_, description)) = arguments.last_mut() {
                *description += text;
            }
        }
        assert!(!arguments.is_empty(), "{help}");
        for (name, description) in arguments {
            let begins_well = description.starts_with(char::is_uppercase);
            assert!(begins_well && description.len() >= 7, "{command} {name}: {description:?}");
        }
        assert!(help.stdout.contains(&format!("ptune {command} ")), "an example: {help}");
    }
}

#[test]
fn no_arguments_is_a_question_for_help() {
    let ran = Folder::new().run("");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    assert!(ran.stderr.contains("Commands:"), "{ran}");
}
