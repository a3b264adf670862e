//! Leaderboards and spreads on stdout.

use std::io::{self, Write};

use ptuning_core::objective::Scores;
use trainer::search::{Entry, Leaderboard};
use trainer::sensitivity::{Sensitivity, Spread, Wording};

/// Width of the longest bar of a chart.
const BAR: usize = 40;
/// Percent of P@1 in a line of a chart, from the coarsest to the finest.
const BUCKETS: [usize; 4] = [10, 5, 2, 1];
/// Lines of a chart that are not too few.
const LINES: f64 = 6.0;

/// The best candidates, and the manual prompt wherever it stands.
pub fn leaderboard(leaderboard: &Leaderboard, rows: usize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let Leaderboard { method, evaluations, entries } = leaderboard;
    let examples = entries.first().map_or(0, |entry| entry.dev.examples);
    writeln!(
        out,
        "{method}: {} templates in {evaluations} evaluations, judged on {examples} examples of dev",
        entries.len()
    )?;
    let trained = entries.iter().any(|entry| entry.epochs.is_some());
    let epochs = if trained { " epochs" } else { "" };
    let test = entries.iter().any(|entry| entry.test.is_some());
    let titles = if test { "   test: P@1    MRR" } else { "" };
    writeln!(out, "{:>6} {:>6} {:>6} {:>7}{epochs}{titles}", "", "P@1", "MRR", "loss")?;
    let winner = leaderboard.winner();
    for (place, entry) in entries.iter().enumerate() {
        if place >= rows && !entry.manual && winner != Some(entry) {
            continue;
        }
        row(&mut out, place + 1, entry, trained, test)?;
    }
    if entries.len() > rows {
        writeln!(out, "leaderboard.json has all")?;
    }
    match (winner, leaderboard.manual()) {
        (Some(found), Some(manual)) if found.dev.precision_at_1 < manual.dev.precision_at_1 => {
            writeln!(out, "nothing better than the manual prompt was found")
        }
        _ => Ok(()),
    }
}

fn row(
    out: &mut impl Write,
    place: usize,
    entry: &Entry,
    trained: bool,
    test: bool,
) -> io::Result<()> {
    let scores = cells(&entry.dev);
    let epochs = match (trained, entry.epochs) {
        (false, _) => String::new(),
        (true, Some(epochs)) => format!(" {epochs:>6}"),
        (true, None) => format!(" {:>6}", "-"),
    };
    let test = match (test, &entry.test) {
        (false, _) => String::new(),
        (true, Some(test)) => {
            format!("        {:>5.1} {:>6.1}", 100.0 * test.precision_at_1, 100.0 * test.mrr)
        }
        (true, None) => " ".repeat(20),
    };
    let manual = if entry.manual { "  ← manual" } else { "" };
    writeln!(out, "{place:>6} {scores}{epochs}{test}  {}{manual}", entry.template)
}

fn cells(scores: &Scores) -> String {
    let [p1, mrr] = [scores.precision_at_1, scores.mrr].map(|share| 100.0 * share);
    format!("{p1:>6.1} {mrr:>6.1} {:>7.3}", scores.loss)
}

/// All wordings, what they come to, and a chart.
pub fn sensitivity(found: &Sensitivity) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let Sensitivity { split, examples, p1, prompts, manual, tuned, skipped } = found;
    writeln!(out, "{split}: {examples} examples, {} prompts", prompts.len())?;
    writeln!(out, "{:>6} {:>6} {:>7}", "P@1", "MRR", "loss")?;
    for wording in prompts {
        let mark = if wording.template == manual.template { "  ← manual" } else { "" };
        writeln!(out, "{}  {}{mark}", cells(&wording.scores), wording.template)?;
    }
    let others = [(Some(manual), "manual"), (tuned.as_ref(), "P-tuned")];
    writeln!(out)?;
    for (wording, name) in others {
        if let Some(wording) = wording {
            writeln!(out, "{}  {}  ({name})", cells(&wording.scores), wording.template)?;
        }
    }
    let Spread { min, median, max, spread, mean, std } = p1;
    let [min, median, max, spread, mean, std] =
        [min, median, max, spread, mean, std].map(|share| 100.0 * share);
    writeln!(
        out,
        "\nP@1 min {min:.1}  median {median:.1}  max {max:.1}  spread {spread:.1}  mean {mean:.1} ± {std:.1}\n"
    )?;
    chart(&mut out, prompts, manual, tuned.as_ref())?;
    if let Some(first) = skipped.first() {
        let count = skipped.len();
        writeln!(out, "\nleft out {count}; line {}: {}", first.line, first.why)?;
    }
    Ok(())
}

/// How many prompts have about so much P@1, a line for each share that has any and for those between.
fn chart(
    out: &mut impl Write,
    prompts: &[Wording],
    manual: &Wording,
    tuned: Option<&Wording>,
) -> io::Result<()> {
    let percent = |wording: &Wording| 100.0 * wording.scores.precision_at_1;
    let all: Vec<f64> = prompts.iter().chain([manual]).chain(tuned).map(percent).collect();
    let least = all.iter().copied().fold(f64::INFINITY, f64::min);
    let most = all.iter().copied().fold(0.0, f64::max);
    let fits = |width: &&usize| (most - least) / **width as f64 >= LINES;
    let width = BUCKETS.iter().find(fits).copied().unwrap_or(1);
    // A share that is a whole number of percent may lie a hair below it.
    let bucket = |wording: &Wording| (percent(wording) + 1e-9) as usize / width;
    let (first, last) = ((least + 1e-9) as usize / width, (most + 1e-9) as usize / width);
    let counts: Vec<usize> = (first..=last)
        .map(|line| prompts.iter().filter(|wording| bucket(wording) == line).count())
        .collect();
    let longest = counts.iter().copied().max().unwrap_or(0).max(1);
    for (line, count) in (first..=last).zip(counts) {
        let length = (count * BAR).div_ceil(longest);
        let marks: String = [(Some(manual), "manual"), (tuned, "P-tuned")]
            .into_iter()
            .filter(|(wording, _)| wording.is_some_and(|wording| bucket(wording) == line))
            .map(|(_, name)| format!("  ← {name}"))
            .collect();
        let bar = "█".repeat(length);
        let count = if count > 0 { format!(" {count}") } else { String::new() };
        let range = format!("{}–{} %", line * width, (line + 1) * width);
        writeln!(out, "{range:>9} {bar}{count}{marks}")?;
    }
    Ok(())
}
