//! What the program tells of itself: completions, manual pages, `ptune doctor` for programs.

mod common;

use common::{Folder, commands_in_help};

fn commands(folder: &Folder) -> Vec<String> {
    let help = folder.run("--help").stdout;
    let names = commands_in_help(&help).into_iter().map(|(name, _)| name);
    names.filter(|name| name != "help").collect()
}

#[test]
fn every_shell_completes_every_command() {
    let folder = Folder::new();
    let commands = commands(&folder);
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran = folder.run(&format!("completions {shell}"));
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran}");
        for word in commands.iter().map(String::as_str).chain(["offline"]) {
            assert!(ran.stdout.contains(word), "{shell}: {word}");
        }
    }
    let wrong = folder.run("completions tcsh");
    assert_eq!((wrong.code, wrong.stdout.as_str()), (Some(2), ""), "{wrong}");
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = Folder::new();
    let page = folder.run("man");
    assert_eq!((page.code, page.stderr.as_str()), (Some(0), ""), "{page}");
    assert!(page.stdout.contains(".TH ptune 1") && page.stdout.contains("Exit codes"), "{page}");
    let ran = folder.run("man pages/man1");
    assert_eq!(ran.code, Some(0), "{ran}");
    let commands = commands(&folder);
    assert_eq!(ran.stdout.lines().count(), commands.len() + 1, "{ran}");
    for command in &commands {
        let text = folder.text(&format!("pages/man1/ptune-{command}.1"));
        assert!(text.contains(".SH OPTIONS") && text.contains("Example"), "{command}: {text}");
    }
    assert_eq!(folder.text("pages/man1/ptune.1"), page.stdout);
}

#[test]
fn doctor_tells_programs_what_it_tells_people() {
    let folder = Folder::new();
    let report = folder.run("doctor --format json").json();
    assert_eq!(folder.run("doctor --json").json(), report);
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
    let flex = &report["devices"][0];
    assert_eq!((&flex["name"], &flex["works"]), (&"flex".into(), &true.into()));
    assert_eq!(report["backbones"][0]["path"], serde_json::Value::Null);
    let table = folder.run("doctor").stdout;
    for device in report["devices"].as_array().unwrap() {
        let state = device["problem"].as_str().unwrap_or("works");
        let name = device["name"].as_str().unwrap();
        let line = table.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
        assert!(line.ends_with(state), "{line}: {state}");
    }
    let both = folder.run("doctor --json --format table");
    assert_eq!(both.code, Some(2), "{both}");
}
