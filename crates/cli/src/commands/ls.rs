//! `ptune ls`.

use std::io::{self, Write};
use std::path::Path;

use ptuning_core::objective::Scores;
use trainer::run_dir::Job;
use trainer::runs::{RunState, RunSummary, runs};
use trainer::settings::neighbour;

use crate::args::{Format, LsArgs};
use crate::console::say;
use crate::exit::{Hinted, Outcome};
use crate::progress::size;
use crate::{console, shell, tables};

/// Where runs are if nothing else is said.
const RUNS: &str = "checkpoints/runs";

/// Lists run folders.
pub fn run(args: &LsArgs) -> anyhow::Result<Outcome> {
    let folder = args.folder.as_deref().unwrap_or(Path::new(RUNS));
    let all = match (folder.is_dir(), &args.folder) {
        (true, _) => runs(folder)?,
        // Before the first run there is no folder of runs.
        (false, None) => Vec::new(),
        (false, Some(folder)) => {
            let found = if folder.exists() { "a file" } else { "nothing" };
            return Err(Hinted {
                message: format!(
                    "{}: expected a folder of run folders, found {found}",
                    folder.display()
                ),
                hint: neighbour(folder)
                    .filter(|_| !folder.exists())
                    .unwrap_or_else(|| format!("runs are in {RUNS} by default")),
            }
            .into());
        }
    };
    match args.format {
        Format::Json => tables::json(&all)?,
        Format::Table if all.is_empty() => {
            if !console::is_quiet() {
                say!("no runs in {}", folder.display());
            }
        }
        Format::Table => table(&all)?,
    }
    Ok(Outcome::Done)
}

fn table(all: &[RunSummary]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let titles = ["run", "job", "state", "backbone", "dev", "test", "started (UTC)", "size"];
    let titles = titles.map(str::to_owned);
    let rows: Vec<[String; 8]> = all.iter().map(cells).collect();
    let width = |column: usize| {
        let cells = rows.iter().chain([&titles]).map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: [usize; 8] = std::array::from_fn(width);
    let line = |row: &[String; 8]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    writeln!(out, "{}", line(&titles))?;
    for (run, row) in all.iter().zip(&rows) {
        match &run.problem {
            Some(problem) => writeln!(out, "{:<width$}  {problem}", run.name, width = widths[0])?,
            None => writeln!(out, "{}", line(row))?,
        }
    }
    Ok(())
}

fn cells(run: &RunSummary) -> [String; 8] {
    let scores = |scores: &Option<Scores>| scores.as_ref().map_or_else(|| "-".to_owned(), score);
    [
        run.name.clone(),
        run.job.map_or("", name).to_owned(),
        state(run),
        shell::word(run.backbone.as_deref().unwrap_or("-")),
        scores(&run.dev),
        scores(&run.test),
        run.started_unix.map_or_else(|| "-".to_owned(), date),
        size(run.bytes),
    ]
}

fn name(job: Job) -> &'static str {
    match job {
        Job::Train => "train",
        Job::Together => "together",
        Job::Adapt => "adapt",
        Job::Search => "search",
    }
}

/// How far a run has come, in words.
fn state(run: &RunSummary) -> String {
    let done = match run.state {
        RunState::Finished => "finished",
        RunState::Interrupted if run.resumable => "interrupted",
        RunState::Interrupted => "nothing saved",
        RunState::Broken => "broken",
    };
    match (run.epoch, run.epochs, run.evaluations) {
        (Some(epoch), Some(epochs), _) => format!("{done}, epoch {epoch}/{epochs}"),
        (_, _, Some(evaluations)) => format!("{done}, {evaluations} scored"),
        _ => done.to_owned(),
    }
}

/// The score that runs are compared by, in percent.
fn score(scores: &Scores) -> String {
    let (name, share) = match (scores.entity_f1, scores.macro_f1) {
        (Some(f1), _) => ("F1", f1),
        (None, Some(_)) => ("accuracy", scores.precision_at_1),
        (None, None) => ("P@1", scores.precision_at_1),
    };
    format!("{name} {:.1}", 100.0 * share)
}

/// Seconds since 1970 as a date and a time of day, both in UTC.
fn date(unix: u64) -> String {
    let (days, seconds) = (unix / 86_400, unix % 86_400);
    // Years begin in March here, so that the day of a leap year comes last (Hinnant, "chrono-compatible
    // low-level date algorithms"); 719468 days lie between 1 March of year 0 and 1970.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = 400 * era + year_of_era + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02}", seconds / 3_600, seconds % 3_600 / 60)
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "1970-01-01 00:00");
        assert_eq!(date(951_782_399), "2000-02-28 23:59");
        assert_eq!(date(951_782_400), "2000-02-29 00:00");
        assert_eq!(date(1_709_251_199), "2024-02-29 23:59");
        assert_eq!(date(4_107_542_400), "2100-03-01 00:00");
    }
}
