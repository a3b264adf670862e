//! `ptune` run as a person would, in a folder of its own with the tiny Llama and six capitals.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod suite;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use tempfile::TempDir;

pub const PTUNE: &str = env!("CARGO_BIN_EXE_ptune");

const PAIRS: [(&str, &str); 6] = [
    ("Britain", "London"),
    ("Egypt", "Cairo"),
    ("France", "Paris"),
    ("India", "Delhi"),
    ("Italy", "Rome"),
    ("Norway", "Oslo"),
];

const CONFIG: &str = r#"name = "tiny"
runs = "runs"
[backbone]
source = "tiny_llama"
[data]
path = "data"
[template]
text = "[h:2] capital of [x] [h:2] [z]"
[train]
lr = 1e-2
epochs = 4
batch_size = 2
[eval]
manual = "The capital of [x] is [z]"
batch_size = 4
"#;

/// A working directory with `config.toml`, data and `tiny_llama`; runs and the cache go there too.
pub struct Folder {
    folder: TempDir,
}

impl Folder {
    pub fn new() -> Self {
        let folder = Self { folder: tempfile::tempdir().unwrap() };
        let rows = |range: std::ops::Range<usize>| -> String {
            let row = |(x, z): &(&str, &str)| format!("{{\"x\": \"{x}\", \"z\": \"{z}\"}}\n");
            PAIRS[range].iter().map(row).collect()
        };
        folder.write("data/train.jsonl", rows(0..6));
        folder.write("data/dev.jsonl", rows(2..6));
        folder.write("data/test.jsonl", rows(0..3));
        folder.write("config.toml", CONFIG);
        folder.copy_llama("tiny_llama");
        folder
    }

    /// With the run `runs/tiny` in it.
    pub fn trained() -> Self {
        let folder = Self::new();
        let ran = folder.run("train --config config.toml --quiet");
        assert_eq!(ran.code, Some(0), "{ran}");
        folder
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, with the folders above it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    /// The tensors of a safetensors file, behind its header: eight bytes of length, then JSON whose
    /// keys have no order.
    pub fn tensors(&self, name: &str) -> Vec<u8> {
        let file = self.read(name);
        let length = u64::from_le_bytes(file[..8].try_into().unwrap());
        file[8 + usize::try_from(length).unwrap()..].to_vec()
    }

    /// Copies the tiny Llama.
    pub fn copy_llama(&self, name: &str) {
        self.copy_model("tiny_llama", name);
    }

    /// Copies a tiny model of the backbones' tests.
    pub fn copy_model(&self, model: &str, name: &str) {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../backbone/tests/golden");
        let from = golden.join(model);
        for file in ["config.json", "model.safetensors", "tokenizer.json"] {
            self.write(&format!("{name}/{file}"), std::fs::read(from.join(file)).unwrap());
        }
    }

    /// Copies a folder of files.
    pub fn copy(&self, from: &str, to: &str) {
        for entry in std::fs::read_dir(self.path(from)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            self.write(&format!("{to}/{name}"), self.read(&format!("{from}/{name}")));
        }
    }

    /// Names and contents of all files below, the cache included.
    pub fn tree(&self) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        fn walk(folder: &Path, tree: &mut BTreeMap<PathBuf, Option<Vec<u8>>>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, tree);
                    tree.insert(path, None);
                } else {
                    let content = std::fs::read(&path).unwrap();
                    tree.insert(path, Some(content));
                }
            }
        }
        let mut tree = BTreeMap::new();
        walk(self.folder.path(), &mut tree);
        tree
    }

    /// Runs `ptune` with a line of arguments and nothing on stdin.
    pub fn run(&self, line: &str) -> Ran {
        self.run_with_input(line, "")
    }

    pub fn run_with_input(&self, line: &str, input: &str) -> Ran {
        self.run_with(line, input, &[])
    }

    /// With more environment variables; Hugging Face's are unset otherwise, its cache being `hf`.
    pub fn run_with(&self, line: &str, input: &str, variables: &[(&str, &str)]) -> Ran {
        let mut command = Command::new(PTUNE);
        for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        for name in ["HF_HUB_CACHE", "HF_ENDPOINT", "HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE"] {
            command.env_remove(name);
        }
        let output = command
            .args(words(line))
            .current_dir(self.folder.path())
            .env("PTUNE_CACHE", self.path("cache"))
            .env("HF_HOME", self.path("hf"))
            .envs(variables.iter().copied())
            .write_stdin(input)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// What a command came to; printed for snapshots.
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn json(&self) -> serde_json::Value {
        assert_eq!(self.code, Some(0), "{self}");
        serde_json::from_str(&self.stdout).unwrap()
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, stdout, stderr } = self;
        writeln!(f, "exit {}", code.map_or("by a signal".to_owned(), |code| code.to_string()))?;
        write!(f, "--- stdout\n{stdout}--- stderr\n{stderr}")
    }
}

/// Splits a line as a shell does; only quotes are understood.
pub fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (c, quote) {
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, Some(open)) if c == open => quote = None,
            (' ', None) => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Takes out of snapshots what differs between machines: numbers with decimals, times, speeds.
/// Numerical results have golden tests of their own.
pub fn stable() -> insta::internals::SettingsBindDropGuard {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\d+(m\d\d)?s left", "[time] left");
    settings.add_filter(r"trained in \d+ s", "trained in [time]");
    settings.add_filter(r" +-?\d+\.\d+", " [n]");
    settings.add_filter(r"/\S*/\.tmp\w+", "[folder]");
    settings.add_filter(r"looked for\n(    \S+\n)+", "looked for\n    [places]\n");
    settings.add_filter(r"os error \d+", "os error [n]");
    settings.add_filter(r"ptune \d+\.\d+\.\d+", "ptune [version]");
    settings.bind_to_scope()
}

/// Runs each line after `command` and prints what it told on stderr, if it was refused as it should
/// be: with 2, nothing on stdout, no word of a panic, and no file written or changed.
pub fn refused(folder: &Folder, command: &str, lines: &[&str]) -> String {
    let mut told = String::new();
    let before = folder.tree();
    for line in lines {
        let ran = folder.run(&format!("{command} {line}"));
        assert_eq!(ran.code, Some(2), "{line}: {ran}");
        assert_eq!(ran.stdout, "", "{line}: {ran}");
        for word in ["panicked", "RUST_BACKTRACE"] {
            assert!(!ran.stderr.contains(word), "{line}: {ran}");
        }
        let after = folder.tree();
        assert_eq!(
            after.keys().collect::<Vec<_>>(),
            before.keys().collect::<Vec<_>>(),
            "{line}: left something behind"
        );
        assert!(after == before, "{line}: changed a file");
        // Usage lines of the argument parser and the line about the backbone are told elsewhere.
        let error = ran.stderr.split("\n\nUsage:").next().unwrap();
        let error = error.split("\n\nFor more information").next().unwrap();
        let error = error.lines().filter(|line| !line.starts_with("backbone "));
        told += &format!("$ {line}\n{}\n\n", error.collect::<Vec<_>>().join("\n"));
    }
    told
}

/// Names and descriptions below `Commands:` of `ptune --help`.
pub fn commands_in_help(help: &str) -> Vec<(String, String)> {
    let below = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = below.take_while(|line| line.starts_with("  "));
    let split = |line: &str| {
        let (name, description) = line.trim().split_once(' ').unwrap_or((line, ""));
        (name.to_owned(), description.trim().to_owned())
    };
    lines.map(split).collect()
}
