//! How this process talks to people and programs: said once, by the flags that every command takes.

use std::ffi::OsString;
use std::fmt;
use std::io::Write;
use std::sync::OnceLock;

use anstyle::AnsiColor;
use clap::{ColorChoice, ValueEnum};
use serde_json::{Map, Value};

use crate::args::{ConsoleArgs, LogFormat};

/// Whether to be quiet, and the form of what is said on stderr; set by `main` alone.
static CONSOLE: OnceLock<(bool, LogFormat)> = OnceLock::new();

/// Takes the flags in, before the command begins.
pub fn set(args: &ConsoleArgs) {
    CONSOLE.get_or_init(|| (args.quiet, args.log_format));
    // What clap takes for itself, the rest of the program takes from here.
    match args.color {
        ColorChoice::Auto => anstream::ColorChoice::Auto,
        ColorChoice::Always => anstream::ColorChoice::Always,
        ColorChoice::Never => anstream::ColorChoice::Never,
    }
    .write_global();
}

fn console() -> (bool, LogFormat) {
    CONSOLE.get().copied().unwrap_or((false, LogFormat::Text))
}

/// Whether people are told no progress: they asked for none, or a program reads instead of them.
pub fn is_quiet() -> bool {
    let (quiet, format) = console();
    quiet || format == LogFormat::Json
}

/// Whether a program is told of progress.
pub fn shows_events() -> bool {
    console() == (false, LogFormat::Json)
}

/// Says something on stderr, as `eprintln!` does, or as an event. A reader that has left is no reason to stop.
macro_rules! say {
    ($($text:tt)*) => { $crate::console::line(format_args!($($text)*)) };
}
pub(crate) use say;

/// Says something unless only results are asked for.
macro_rules! note {
    ($($text:tt)*) => {
        if !$crate::console::is_quiet() {
            $crate::console::say!($($text)*);
        }
    };
}
pub(crate) use note;

/// Writes what [`say!`] says.
pub fn line(text: fmt::Arguments<'_>) {
    match console() {
        (_, LogFormat::Text) => {
            let _ = writeln!(std::io::stderr(), "{text}");
        }
        (_, LogFormat::Json) => event("message", [("text", text.to_string().trim().into())]),
    }
}

/// Writes an event as one line of JSON on stderr, where those are asked for.
pub fn event<const N: usize>(name: &str, fields: [(&str, Value); N]) {
    if console().1 == LogFormat::Json {
        let mut event = Map::from_iter([("event".to_owned(), name.into())]);
        event.extend(fields.map(|(field, value)| (field.to_owned(), value)));
        let _ = writeln!(std::io::stderr(), "{}", Value::Object(event));
    }
}

/// What the arguments say of colours, before they are parsed: their own errors are coloured, too.
pub fn colors_of(arguments: impl Iterator<Item = OsString>) -> ColorChoice {
    let mut choice = None;
    let mut follows = false;
    for argument in arguments.filter_map(|argument| argument.into_string().ok()) {
        let given = match argument.strip_prefix("--color=") {
            _ if follows => Some(argument.as_str()),
            given => given,
        };
        choice = given.and_then(|given| ColorChoice::from_str(given, false).ok()).or(choice);
        follows = argument == "--color";
    }
    choice.unwrap_or(ColorChoice::Auto)
}

/// Whether a program reads stderr.
pub fn is_json() -> bool {
    console().1 == LogFormat::Json
}

/// Tells an error with its hints, in colours where they are wanted.
pub fn error(text: &str) {
    let (red, cyan) = (AnsiColor::Red.on_default().bold(), AnsiColor::Cyan.on_default());
    let mut told = format!("{red}error:{red:#} ");
    for (index, line) in text.lines().enumerate() {
        if index > 0 {
            told.push('\n');
        }
        match line.trim_start().strip_prefix("hint: ") {
            Some(hint) => {
                let indent = &line[..line.len() - "hint: ".len() - hint.len()];
                told += &format!("{indent}{cyan}hint:{cyan:#} {hint}");
            }
            None => told += line,
        }
    }
    let _ = writeln!(anstream::stderr(), "{told}");
}
