//! Exit codes, and errors as a chain of causes with their hints last.

use std::fmt;
use std::process::ExitCode;

use crate::console;

/// Why a command ended without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All went well: 0.
    Done,
    /// A `--fail-under` was not met: 1.
    BelowThreshold,
    /// Stopped by Ctrl-C, with everything saved: 130.
    Interrupted,
}

/// An error whose message and hint belong to the command line itself.
#[derive(Debug)]
pub struct Hinted {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl fmt::Display for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nhint: {}", self.message, self.hint)
    }
}

impl std::error::Error for Hinted {}

/// Prints an error and turns the result into an exit code.
pub fn report(result: anyhow::Result<Outcome>) -> ExitCode {
    match result {
        Ok(outcome) => done(outcome),
        Err(error) if is_closed_pipe(&error) => done(Outcome::Done),
        Err(error) => {
            let text = describe(&error);
            if console::is_json() {
                console::event("error", [("text", text.into()), ("exit_code", 2.into())]);
            } else {
                console::error(&text);
            }
            ExitCode::from(2)
        }
    }
}

fn done(outcome: Outcome) -> ExitCode {
    let code: u8 = match outcome {
        Outcome::Done => 0,
        Outcome::BelowThreshold => 1,
        Outcome::Interrupted => 130,
    };
    console::event("done", [("exit_code", code.into())]);
    ExitCode::from(code)
}

/// The chain of causes, each told once, then the hints that they carry.
pub fn describe(error: &anyhow::Error) -> String {
    let mut told: Vec<String> = Vec::new();
    let mut hints: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        let (message, found) = split_hints(&text);
        for hint in found {
            if !hints.contains(&hint) {
                hints.push(hint);
            }
        }
        // Wrappers repeat what their cause says, and causes the file that a wrapper adds.
        if told.iter().any(|before| before.contains(&message)) {
            continue;
        }
        match told.last_mut() {
            Some(before) if message.contains(before.as_str()) => *before = message,
            _ => told.push(message),
        }
    }
    let mut text = told.join("\n  because: ");
    for hint in hints {
        text.push('\n');
        text += &hint;
    }
    text
}

/// A message and the hints at its end. Hints in its midst stay: each belongs to the line above it.
fn split_hints(text: &str) -> (String, Vec<String>) {
    let lines: Vec<&str> = text.lines().collect();
    let is_hint = |line: &&str| line.trim_start().starts_with("hint: ");
    let end = lines.iter().rposition(|line| !is_hint(line)).map_or(0, |last| last + 1);
    let (message, hints) = lines.split_at(end);
    let several = message.first().is_some_and(|line| {
        line.ends_with(" problems") || line.ends_with(" problems in the settings")
    });
    if several || message.iter().any(is_hint) {
        return (text.to_owned(), Vec::new());
    }
    (message.join("\n"), hints.iter().map(|hint| hint.trim_start().to_owned()).collect())
}

/// Whether the reader of stdout has left, as in `ptune … | head`: no error of ours.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>();
        io.is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn causes_are_told_once_and_hints_come_last() {
        let error = anyhow!("no tensor 'a'\n  hint: the nearest is 'b'")
            .context("file.safetensors: no tensor 'a'")
            .context("reading the run");
        assert_eq!(
            describe(&error),
            "reading the run\n  because: file.safetensors: no tensor 'a'\nhint: the nearest is 'b'"
        );
    }

    #[test]
    fn a_file_that_the_cause_names_too_is_told_once() {
        let error = Err::<(), _>(anyhow!("a.bin: too short")).context("a.bin").unwrap_err();
        assert_eq!(describe(&error), "a.bin: too short");
    }

    #[test]
    fn hints_of_several_problems_stay_with_their_problems() {
        let text = "2 problems\nfirst\n  hint: one\nsecond\n  hint: two";
        assert_eq!(describe(&anyhow!(text)), text);
        let text = "2 problems\nfirst\nsecond\n  hint: two";
        assert_eq!(describe(&anyhow!(text)), text);
    }
}
