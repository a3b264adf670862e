//! `ptune compare`.

use std::io::{self, Write};
use std::path::Path;

use trainer::compare::{CompareError, Compared, Comparison, Interval, Side, compare};
use trainer::judged;
use trainer::run_dir::RunDir;
use trainer::settings::Split;

use crate::args::{CompareArgs, Format};
use crate::exit::{Hinted, Outcome};
use crate::tables;

/// Puts runs side by side.
pub fn run(args: &CompareArgs) -> anyhow::Result<Outcome> {
    let split = Split::from(args.split);
    let mut sides = args.runs.iter().map(|run| side(run, split)).collect::<Result<Vec<_>, _>>()?;
    if let [own] = sides.as_slice() {
        if own.examples.iter().all(|example| example.manual.is_none()) {
            return Err(Hinted {
                message: format!("{}: the run has no manual prompt to be compared with", own.name),
                hint: "name another run, or set eval.manual and train again".to_owned(),
            }
            .into());
        }
        let manual =
            Side { name: "manual".to_owned(), examples: own.examples.clone(), manual: true };
        sides.insert(0, manual);
    }
    let comparison = compare(&sides, args.samples as usize, args.seed)?;
    match args.format {
        Format::Table => table(&comparison, split)?,
        Format::Json => tables::json(&comparison)?,
    }
    Ok(Outcome::Done)
}

fn side(path: &Path, split: Split) -> anyhow::Result<Side> {
    let run = RunDir::open(path)?;
    let file = run.examples(split);
    if !file.is_file() {
        return Err(CompareError::NoExamples { folder: path.to_owned(), split }.into());
    }
    let examples = judged::read(&file)?;
    // A discrete prompt of a suite is judged as its own manual prompt.
    let manual = examples.iter().all(|example| example.prompt.is_none());
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(Side { name: name.unwrap_or_else(|| path.display().to_string()), examples, manual })
}

fn table(comparison: &Comparison, split: Split) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let Comparison { examples, left_out, samples, sides } = comparison;
    let apart = match left_out {
        0 => String::new(),
        left_out => format!(", {left_out} that only some of them answer left out"),
    };
    writeln!(out, "{split}: {examples} examples{apart}")?;
    let name = sides.iter().map(|side| side.name.chars().count()).max().unwrap_or(0);
    writeln!(
        out,
        "  {:<name$} {:>6} {:>6}   {:<24}{:<24}{:>6} {:>6}",
        "", "P@1", "MRR", "P@1, difference", "MRR, difference", "won", "lost"
    )?;
    for Compared { name: own, p1, mrr, difference } in sides {
        write!(out, "  {own:<name$} {:>6.1} {:>6.1}", 100.0 * p1, 100.0 * mrr)?;
        match difference {
            None => writeln!(out)?,
            Some(found) => writeln!(
                out,
                "   {:<24}{:<24}{:>6} {:>6}",
                interval(&found.p1),
                interval(&found.mrr),
                found.won,
                found.lost
            )?,
        }
    }
    writeln!(
        out,
        "differences from the first, with the middle 95 % of {samples} paired bootstrap samples; * leaves out 0"
    )
}

fn interval(interval: &Interval) -> String {
    let Interval { difference, low, high } = interval;
    let clear = if interval.is_clear() { " *" } else { "" };
    let [difference, low, high] = [difference, low, high].map(|share| 100.0 * share);
    format!("{difference:+.1} ({low:+.1} to {high:+.1}){clear}")
}
