//! Commands that the documents show: each parses, and each config that it names is there.

mod common;

use std::path::{Path, PathBuf};

use common::{Folder, Ran, words};

const DOCUMENTS: [&str; 5] = [
    "README.md",
    "CONTRIBUTING.md",
    "datasets/README.md",
    "checkpoints/README.md",
    "scripts/README.md",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every document that shows commands, the chapters of the book among them.
fn documents() -> Vec<String> {
    let mut names: Vec<String> = DOCUMENTS.iter().map(|&name| name.to_owned()).collect();
    for entry in std::fs::read_dir(root().join("docs/src")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        names.push(format!("docs/src/{name}"));
    }
    names
}

fn document(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Lines of the ```sh blocks and of the indented commands of a Markdown text, without comments.
fn shell_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut inside = false;
    for line in text.replace("\\\n", " ").lines() {
        match line.trim() {
            "```sh" => inside = true,
            "```" => inside = false,
            command if inside || line.starts_with("    ptune ") => {
                lines.push(without_comment(command));
            }
            _ => {}
        }
    }
    lines.retain(|line| !line.is_empty());
    lines
}

/// `# …` at the beginning of a line or after a blank begins a comment, but not within quotes.
fn without_comment(line: &str) -> String {
    let mut quote = None;
    let mut before = ' ';
    for (index, c) in line.char_indices() {
        match (c, quote) {
            ('#', None) if before == ' ' => return line[..index].trim_end().to_owned(),
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            _ => {}
        }
        before = c;
    }
    line.to_owned()
}

/// Arguments of the `ptune` in a shell line, whether run by name or by cargo.
fn ptune_arguments(line: &str) -> Option<String> {
    let command = line.split('|').map(str::trim).find(|part| {
        part.starts_with("ptune ") || part.starts_with("cargo run ") || part.contains("/ptune ")
    })?;
    let arguments = match command.strip_prefix("cargo run ") {
        Some(rest) => rest.split_once("-- ").map_or("", |(_, arguments)| arguments),
        None => command.split_once(' ').map_or("", |(_, arguments)| arguments),
    };
    Some(arguments.to_owned())
}

/// Runs a command where there is nothing to work on: whatever it says, it is not that the arguments
/// are wrong.
fn assert_parses(folder: &Folder, arguments: &str) {
    let words = words(arguments);
    let command = words.first().unwrap_or_else(|| panic!("no command: {arguments}"));
    let help = folder.run(&format!("{command} --help"));
    assert_eq!(help.code, Some(0), "{arguments}: {help}");
    assert_flags_are_known(&help, &words, arguments);
    for config in words.iter().filter(|word| word.ends_with(".toml")) {
        assert!(root().join(config).is_file(), "{arguments}: no {config}");
    }
    // Without a network, and without the data and runs that the command is about.
    let joins = words.get(1).is_some_and(|word| word == "merge");
    if help.stdout.contains("--offline") && command != "fetch" && !joins {
        let ran = folder.run(&format!("{arguments} --offline"));
        assert!(!ran.stderr.contains("try '--help'"), "{arguments}: {ran}");
    }
}

fn assert_flags_are_known(help: &Ran, words: &[String], line: &str) {
    let names: Vec<&str> = help
        .stdout
        .split(|c: char| c.is_whitespace() || ",[]`".contains(c))
        .filter(|word| word.starts_with('-'))
        .collect();
    for flag in words.iter().filter(|word| word.starts_with('-')) {
        let name = flag.split('=').next().unwrap();
        assert!(names.contains(&name), "{line}: {flag} is not in --help");
    }
}

#[test]
fn commands_of_the_documents_parse() {
    let folder = Folder::new();
    // Its own config would let a command go on to work.
    std::fs::remove_file(folder.path("config.toml")).unwrap();
    let mut checked = 0;
    for name in documents() {
        for line in shell_lines(&document(&name)) {
            if let Some(arguments) = ptune_arguments(&line) {
                assert_parses(&folder, &arguments);
                checked += 1;
            }
        }
    }
    assert!(checked >= 60, "only {checked} commands found");
}

#[test]
fn commands_in_running_text_have_flags_that_are_there() {
    let folder = Folder::new();
    for name in documents() {
        let text = document(&name);
        let outside =
            text.split("```").step_by(2).flat_map(|part| part.split('`').skip(1).step_by(2));
        for line in outside.filter_map(|span| span.strip_prefix("ptune ")) {
            let words = words(line);
            let help = folder.run(&format!("{} --help", words[0]));
            assert_eq!(help.code, Some(0), "{name}: ptune {line}: {help}");
            assert_flags_are_known(&help, &words, line);
        }
    }
}

#[test]
fn commands_of_configs_and_of_help_parse() {
    let folder = Folder::new();
    std::fs::remove_file(folder.path("config.toml")).unwrap();
    let folders = ["configs", "configs/suites"].map(|folder| root().join(folder));
    let entries = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    for path in entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        let text = std::fs::read_to_string(&path).unwrap();
        let header: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("#     ptune ")).collect();
        assert!(!header.is_empty(), "{}: a config begins with its command", path.display());
        for arguments in header {
            assert_parses(&folder, &without_comment(arguments));
        }
    }
    for (command, _) in common::commands_in_help(&folder.run("--help").stdout) {
        let help = folder.run(&format!("{command} --help")).stdout;
        let examples = help.split("Example").nth(1).unwrap_or_default();
        // Long examples are wrapped.
        let examples = examples.replace('\n', " ").replace("ptune ", "\nptune ");
        for line in examples.lines().filter(|line| line.starts_with("ptune ")) {
            let line = line.split(" | ").next().unwrap_or_default();
            let line = line.strip_suffix(" cat subjects.txt").unwrap_or(line);
            assert_parses(&folder, without_comment(line.trim()).trim_start_matches("ptune "));
        }
    }
}

#[test]
fn features_of_cargo_commands_are_there() {
    let manifest = document("crates/cli/Cargo.toml");
    for name in ["README.md", "CONTRIBUTING.md"] {
        for line in shell_lines(&document(name)) {
            let words = words(&line);
            let flag = words.iter().position(|word| word == "--features");
            if let (Some("cargo"), Some(flag)) = (words.first().map(String::as_str), flag) {
                for feature in words[flag + 1].split(',') {
                    let feature = feature.rsplit('/').next().unwrap();
                    assert!(manifest.contains(&format!("\n{feature} = [")), "{line}: {feature}");
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "--rate is not in --help")]
fn a_flag_that_is_not_there_is_noticed() {
    assert_parses(&Folder::new(), "train --config configs/lama.toml --rate 3");
}

#[test]
#[should_panic(expected = "no configs/nowhere.toml")]
fn a_config_that_is_not_there_is_noticed() {
    assert_parses(&Folder::new(), "train --config configs/nowhere.toml");
}
