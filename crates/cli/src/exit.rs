//! Exit codes, and errors as a chain of causes with their hints last.

use std::fmt;
use std::process::ExitCode;

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
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::BelowThreshold) => ExitCode::from(1),
        Ok(Outcome::Interrupted) => ExitCode::from(130),
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // A hint that a cause carries is told once, after all causes.
            let mut hints: Vec<String> = Vec::new();
            let mut told: Vec<String> = Vec::new();
            for cause in error.chain() {
                let text = cause.to_string();
                let (lines, found): (Vec<&str>, Vec<&str>) =
                    text.lines().partition(|line| !line.trim_start().starts_with("hint: "));
                for hint in found {
                    let hint = hint.to_owned();
                    if !hints.contains(&hint) {
                        hints.push(hint);
                    }
                }
                let message = lines.join("\n");
                // Transparent wrappers repeat what their cause says.
                if !told.iter().any(|before| before.contains(&message)) {
                    told.push(message);
                }
            }
            eprintln!("error: {}", told.join("\n  because: "));
            for hint in hints {
                eprintln!("{hint}");
            }
            ExitCode::from(2)
        }
    }
}

/// Whether the reader of stdout has left, as in `ptune … | head`: no error of ours.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>();
        io.is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
    })
}
