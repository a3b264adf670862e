//! `ptune search`, and the part of `ptune resume` that goes on with it.

use std::path::PathBuf;

use trainer::run_dir::{Job, RunDir, RunInfo};
use trainer::search::{
    EditOptions, GradientOptions, Leaderboard, Limits, Method, MineOptions, ParaphraseOptions,
    PromptsOptions, SearchEnd, SearchOptions, begin, options_of, prepare, search, write_options,
};
use trainer::settings::{self, Settings};
use trainer::task::Task;

use super::open::{self, Fetching};
use crate::args::{Format, LimitArgs, MethodArg, ResumeArgs, SearchArgs};
use crate::console::say;
use crate::exit::{Hinted, Outcome};
use crate::interrupt::Interrupt;
use crate::search_progress::SearchProgress;
use crate::{console, search_tables, shell, tables};

/// Rows of the table, where nothing else is asked for.
const ROWS: usize = 10;

/// Sections and keys that the scores of a search depend on.
const SETTLED: [&str; 11] = [
    "backbone",
    "data",
    "template",
    "verbalizer",
    "prompt_encoder",
    "lm",
    "train",
    "eval",
    "seed",
    "name",
    "runs",
];

/// A new search.
pub fn run(args: &SearchArgs) -> anyhow::Result<Outcome> {
    check_flags(args)?;
    let options = SearchOptions {
        method: method(args)?,
        examples: args.examples.map(|examples| examples as usize),
        limits: limits(&args.limits),
    };
    let mut settings = settings::load(&args.config, &args.run.overrides())?;
    if args.run.name.is_none() {
        settings.name = format!("{}-{}", settings.name, options.method.name());
    }
    check_files(&options.method)?;
    RunDir::check_free(&settings, args.run.force)?;
    let interrupt = Interrupt::install();
    let quiet = console::is_quiet() || args.format == Format::Json;
    let Some(mut task) = open_task(settings, args.run.offline, quiet, &interrupt)? else {
        return Ok(Outcome::Interrupted);
    };
    // Everything that can be wrong is looked at before the folder is made.
    let Some(proposals) = prepare(&task, &options, &interrupt.training)? else {
        say!("interrupted; nothing was left behind");
        return Ok(Outcome::Interrupted);
    };
    let settings = &task.settings;
    let info = RunInfo::now(Job::Search, &settings.device, settings.seed, &task.backbone.identity);
    let run = RunDir::create(settings, &info, args.run.force)?;
    begin(&run, &options, proposals)?;
    let rows = args.top.map_or(ROWS, |rows| rows as usize);
    go(&mut task, &options, &run, &interrupt, Printing { quiet, format: args.format, rows })
}

/// An earlier search, from what it has scored.
pub fn resume(args: &ResumeArgs, run: &RunDir) -> anyhow::Result<Outcome> {
    let overrides = args.overrides.all();
    let settings = run.settings(&overrides)?;
    open::check_overrides(&overrides, &SETTLED)?;
    let mut options = options_of(run)?;
    let asked = limits(&args.limits);
    let limits = &mut options.limits;
    *limits = Limits {
        budget: asked.budget.or(limits.budget),
        seconds: asked.seconds.or(limits.seconds),
    };
    let interrupt = Interrupt::install();
    let Some(mut task) = open_task(settings, args.offline, console::is_quiet(), &interrupt)? else {
        return Ok(Outcome::Interrupted);
    };
    write_options(run, &options)?;
    let printing = Printing { quiet: console::is_quiet(), format: Format::Table, rows: ROWS };
    go(&mut task, &options, run, &interrupt, printing)
}

/// How results are told.
struct Printing {
    quiet: bool,
    format: Format,
    rows: usize,
}

fn go(
    task: &mut Task,
    options: &SearchOptions,
    run: &RunDir,
    interrupt: &Interrupt,
    printing: Printing,
) -> anyhow::Result<Outcome> {
    if !printing.quiet {
        say!("run folder {}", run.path().display());
    }
    let mut progress = SearchProgress::new(printing.quiet, task.settings.log.every);
    let (end, leaderboard) = search(task, options, run, &interrupt.training, &mut progress)?;
    progress.finish();
    let folder = shell::word(&run.path().to_string_lossy());
    let evaluations = leaderboard.evaluations;
    if end == SearchEnd::Interrupted {
        say!("saved after evaluation {evaluations}; go on with:\n  ptune resume {folder}");
        return Ok(Outcome::Interrupted);
    }
    match printing.format {
        Format::Json => tables::json(&leaderboard)?,
        Format::Table => search_tables::leaderboard(&leaderboard, printing.rows)?,
    }
    if !printing.quiet {
        match end {
            SearchEnd::Budget => say!(
                "the budget of {evaluations} evaluations is used up; more with:\n  \
                 ptune resume {folder} --budget {}",
                2 * evaluations
            ),
            SearchEnd::Seconds => say!(
                "the time is up after {evaluations} evaluations; more with:\n  \
                 ptune resume {folder} --seconds {}",
                2 * options.limits.seconds.unwrap_or_default() as u64
            ),
            SearchEnd::Finished | SearchEnd::Interrupted => {}
        }
        say_next(&leaderboard, run);
    }
    Ok(Outcome::Done)
}

/// Says how the winner is used.
fn say_next(leaderboard: &Leaderboard, run: &RunDir) {
    let Some(winner) = leaderboard.winner() else { return };
    let config = shell::word(&run.path().join("config.toml").to_string_lossy());
    let template = format!("template.text={}", serde_json::Value::from(winner.template.as_str()));
    let template = shell::word(&template);
    let command = if winner.epochs.is_some() { "train" } else { "eval" };
    say!(
        "\nnext:\n  ptune {command} --config {config} --set {template}{}",
        match command {
            "train" => " --name best-layout",
            _ => "",
        }
    );
}

fn open_task(
    settings: Settings,
    offline: bool,
    quiet: bool,
    interrupt: &Interrupt,
) -> anyhow::Result<Option<Task>> {
    let fetching = Fetching { offline, quiet, interrupt: Some(interrupt) };
    open::unless_interrupted(open::task(settings, fetching), interrupt)
}

fn limits(args: &LimitArgs) -> Limits {
    let LimitArgs { budget, seconds } = *args;
    Limits { budget: budget.map(|n| n as usize), seconds: seconds.map(f64::from) }
}

/// Refuses a search's limits for a run that is none.
pub fn check_no_limits(limits: &LimitArgs, run: &RunDir) -> anyhow::Result<()> {
    let flag = match limits {
        LimitArgs { budget: None, seconds: None } => return Ok(()),
        LimitArgs { budget: Some(_), .. } => "--budget",
        LimitArgs { .. } => "--seconds",
    };
    Err(Hinted {
        message: format!(
            "{flag}: expected a search, found a training run: {}",
            run.path().display()
        ),
        hint: "--set train.epochs=N says how long a run trains".to_owned(),
    }
    .into())
}

fn method(args: &SearchArgs) -> anyhow::Result<Method> {
    let number = |given: Option<u32>, default: usize| given.map_or(default, |n| n as usize);
    Ok(match args.method {
        MethodArg::Mine => Method::Mine(MineOptions {
            corpus: needed(&args.corpus, "--corpus", "mine", "--corpus my/text.txt.gz")?,
            keep: number(args.keep, 40),
            between: number(args.between, 6),
            around: number(args.around, 2),
        }),
        MethodArg::Paraphrase => {
            let example = "--phrases datasets/paraphrases.tsv";
            Method::Paraphrase(ParaphraseOptions {
                phrases: needed(&args.phrases, "--phrases", "paraphrase", example)?,
                replacements: number(args.replacements, 2),
            })
        }
        MethodArg::Gradient => Method::Gradient(GradientOptions {
            layout: args.layout.clone(),
            steps: number(args.steps, 40),
            top: number(args.swaps, 10),
            batch: number(args.batch, 32),
        }),
        MethodArg::Edit => Method::Edit(EditOptions {
            beam: number(args.beam, 1),
            rounds: number(args.rounds, 6),
            edits: number(args.edits, 20),
            words: args.words.clone(),
            likely: number(args.likely, 5),
        }),
        MethodArg::Prompts => Method::Prompts(PromptsOptions {
            anchors: args.anchor.clone(),
            tokens: match args.tokens.as_slice() {
                [] => vec![1, 3, 6],
                given => given.iter().map(|&n| n as usize).collect(),
            },
            candidates: number(args.layouts, 8),
            epochs: number(args.epochs, 1),
            seeds: number(args.seeds, 1),
        }),
    })
}

fn needed(
    given: &Option<PathBuf>,
    flag: &str,
    method: &str,
    example: &str,
) -> anyhow::Result<PathBuf> {
    given.clone().ok_or_else(|| {
        let message = format!("{flag}: expected a file, found none: `{method}` reads it");
        Hinted { message, hint: format!("ptune search {method} {example} …") }.into()
    })
}

/// Refuses a flag of another method, which would do nothing.
fn check_flags(args: &SearchArgs) -> anyhow::Result<()> {
    use MethodArg::{Edit, Gradient, Mine, Paraphrase, Prompts};
    let flags = [
        ("--corpus", Mine, args.corpus.is_some()),
        ("--keep", Mine, args.keep.is_some()),
        ("--between", Mine, args.between.is_some()),
        ("--around", Mine, args.around.is_some()),
        ("--phrases", Paraphrase, args.phrases.is_some()),
        ("--replacements", Paraphrase, args.replacements.is_some()),
        ("--layout", Gradient, args.layout.is_some()),
        ("--steps", Gradient, args.steps.is_some()),
        ("--swaps", Gradient, args.swaps.is_some()),
        ("--batch", Gradient, args.batch.is_some()),
        ("--beam", Edit, args.beam.is_some()),
        ("--rounds", Edit, args.rounds.is_some()),
        ("--edits", Edit, args.edits.is_some()),
        ("--words", Edit, args.words.is_some()),
        ("--likely", Edit, args.likely.is_some()),
        ("--anchor", Prompts, !args.anchor.is_empty()),
        ("--tokens", Prompts, !args.tokens.is_empty()),
        ("--layouts", Prompts, args.layouts.is_some()),
        ("--epochs", Prompts, args.epochs.is_some()),
        ("--seeds", Prompts, args.seeds.is_some()),
    ];
    let name = |method: MethodArg| {
        clap::ValueEnum::to_possible_value(&method)
            .map_or_else(String::new, |value| value.get_name().to_owned())
    };
    let stray = flags.iter().find(|(_, method, given)| *given && *method != args.method);
    let Some((flag, owner, _)) = stray else { return Ok(()) };
    let own: Vec<&str> = flags
        .iter()
        .filter(|(_, method, _)| *method == args.method)
        .map(|(flag, _, _)| *flag)
        .collect();
    let method = name(args.method);
    Err(Hinted {
        message: format!("{flag}: expected a flag of `{method}`, found one of `{}`", name(*owner)),
        hint: format!("`{method}` has {}", own.join(", ")),
    }
    .into())
}

/// Refuses files that are not there before a backbone is fetched for them.
fn check_files(method: &Method) -> anyhow::Result<()> {
    let (flag, file) = match method {
        Method::Mine(options) => ("--corpus", Some(&options.corpus)),
        Method::Paraphrase(options) => ("--phrases", Some(&options.phrases)),
        Method::Edit(options) => ("--words", options.words.as_ref()),
        Method::Gradient(_) | Method::Prompts(_) => return Ok(()),
    };
    match file {
        Some(file) => open::check_file(flag, file),
        None => Ok(()),
    }
}
