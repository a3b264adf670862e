//! `ptune config`.

use std::io::{self, Write};

use trainer::settings::{self, Documented};

use crate::args::{ConfigArgs, Format};
use crate::exit::{Hinted, Outcome};
use crate::tables;

/// Columns of a line of text.
const WIDTH: usize = 96;

/// Tells what the keys of a config are.
pub fn run(args: &ConfigArgs) -> anyhow::Result<Outcome> {
    if args.schema {
        tables::json(&settings::schema())?;
        return Ok(Outcome::Done);
    }
    let all = settings::documentation();
    let meant = |documented: &&Documented| {
        let key = args.key.as_deref();
        key.is_none_or(|key| documented.key == key || documented.section() == key)
    };
    let found: Vec<&Documented> = all.iter().filter(meant).collect();
    if let Some(key) = args.key.as_ref().filter(|_| found.is_empty()) {
        return Err(unknown(key).into());
    }
    match (args.format, &args.key) {
        (Format::Json, _) => tables::json(&found)?,
        (Format::Table, None) => overview(&found)?,
        (Format::Table, Some(key)) => in_full(key, &found)?,
    }
    Ok(Outcome::Done)
}

fn unknown(key: &str) -> Hinted {
    Hinted {
        message: format!("no key or section `{key}`"),
        hint: match settings::near_key(key) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`ptune config` lists them all".to_owned(),
        },
    }
}

/// A line for each key, by section.
fn overview(all: &[&Documented]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let width = all.iter().map(|documented| documented.name().len()).max().unwrap_or(0);
    let mut section = "";
    for documented in all {
        if documented.section() != section {
            section = documented.section();
            writeln!(out, "\n[{section}]")?;
        }
        let summary = shortened(documented.summary(), WIDTH - width - 4);
        writeln!(out, "  {:<width$}  {summary}", documented.name())?;
    }
    writeln!(out, "\n`ptune config KEY` tells more, as in `ptune config train.lr`.")
}

/// Text of at most so many columns, with a sign of what was left out.
fn shortened(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let end = text.char_indices().nth(columns.saturating_sub(2)).map_or(0, |(end, _)| end);
    let end = text[..end].rfind(' ').unwrap_or(end);
    format!("{} …", text[..end].trim_end_matches([',', ';', ':', '(']))
}

/// Everything about some keys.
fn in_full(asked: &str, all: &[&Documented]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let text = settings::section_text(asked);
    if !text.is_empty() {
        writeln!(out, "[{asked}]")?;
        wrapped(&mut out, &text, "  ", "  ")?;
        writeln!(out)?;
    }
    for (index, documented) in all.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        let Documented { key, description, takes, default, example, .. } = documented;
        let section = match documented.section() {
            "" => String::new(),
            section => format!("[{section}] "),
        };
        // A value in backticks stands for itself.
        let default = match default.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) {
            Some(value) if !value.contains('`') => value,
            _ => default,
        };
        writeln!(out, "{key}")?;
        wrapped(&mut out, description, "  ", "  ")?;
        wrapped(&mut out, takes, "  takes:   ", "           ")?;
        wrapped(&mut out, default, "  default: ", "           ")?;
        writeln!(out, "  example: {section}{example}")?;
    }
    Ok(())
}

/// Writes text in lines of at most [`WIDTH`] columns, the first after `first`, the others after `others`.
fn wrapped(out: &mut impl Write, text: &str, first: &str, others: &str) -> io::Result<()> {
    let mut line = first.to_owned();
    let mut begun = false;
    for word in text.split_whitespace() {
        if begun && line.chars().count() + 1 + word.chars().count() > WIDTH {
            writeln!(out, "{line}")?;
            line = others.to_owned();
            begun = false;
        }
        if begun {
            line.push(' ');
        }
        line += word;
        begun = true;
    }
    writeln!(out, "{line}")
}
