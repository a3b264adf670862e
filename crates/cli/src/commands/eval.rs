//! `ptune eval`.

use anyhow::bail;
use trainer::ensemble::ensemble;
use trainer::evaluate::{Evaluation, evaluate};
use trainer::settings::{self, Split};
use trainer::task::Task;

use super::open::{self, Fetching};
use crate::args::{EvalArgs, Format};
use crate::console::say;
use crate::exit::{Hinted, Outcome};
use crate::{console, tables};

/// Judges a run, or the manual template alone.
pub fn run(args: &EvalArgs) -> anyhow::Result<Outcome> {
    let thresholds = thresholds(&args.fail_under)?;
    let fetching = Fetching {
        offline: args.offline,
        quiet: console::is_quiet() || args.format == Format::Json,
        interrupt: None,
    };
    let overrides = args.overrides.all();
    let (task, prompt) = match (&args.run, &args.config) {
        (Some(run), _) => {
            let open = open::run(run, &overrides, args.checkpoint, fetching)?;
            (Task::load(open.settings, open.backbone)?, Some(open.prompt))
        }
        (None, Some(config)) => (open::task(settings::load(config, &overrides)?, fetching)?, None),
        (None, None) => bail!("a run folder or --config is needed"),
    };
    let splits: Vec<Split> = match args.split {
        Some(split) => vec![split.into()],
        None => task.settings.eval.splits.clone(),
    };
    let mut evaluations = Vec::new();
    for split in splits {
        let mut evaluation = evaluate(&task, prompt.as_ref(), split)?;
        let settings = &task.settings.eval;
        if let Some(combine) = settings.combine {
            evaluation.ensemble = Some(ensemble(&task, &settings.ensemble, combine, split)?);
        }
        evaluations.push(evaluation);
    }
    match args.format {
        Format::Table => evaluations.iter().try_for_each(tables::evaluation)?,
        Format::Json => tables::json(&evaluations)?,
    }
    let mut outcome = Outcome::Done;
    for evaluation in &evaluations {
        for (threshold, found) in
            thresholds.iter().map(|threshold| (threshold, threshold.of(evaluation)))
        {
            if found < threshold.least {
                let Evaluation { split, .. } = evaluation;
                say!("{split}: {} is {found:.4}, below {}", threshold.name, threshold.least);
                outcome = Outcome::BelowThreshold;
            }
        }
    }
    Ok(outcome)
}

struct Threshold {
    name: String,
    least: f64,
}

impl Threshold {
    fn of(&self, evaluation: &Evaluation) -> f64 {
        let scores = evaluation.prompt.or(evaluation.manual).unwrap_or_default();
        match self.name.as_str() {
            "p1" => scores.precision_at_1,
            "p10" => scores.precision_at_10,
            "f1" => scores.entity_f1.or(scores.macro_f1).unwrap_or_default(),
            _ => scores.mrr,
        }
    }
}

fn thresholds(arguments: &[String]) -> anyhow::Result<Vec<Threshold>> {
    let parse = |argument: &String| {
        let parsed = argument.split_once('=').and_then(|(name, least)| {
            let least: f64 = least.trim().parse().ok()?;
            let known = ["p1", "p10", "mrr", "f1"].contains(&name) && (0.0..=1.0).contains(&least);
            known.then(|| Threshold { name: name.to_owned(), least })
        });
        parsed.ok_or_else(|| {
            anyhow::Error::new(Hinted {
                message: format!(
                    "--fail-under {argument}: expected p1, p10, mrr or f1 = a number from 0 to 1"
                ),
                hint: "--fail-under p1=0.4".to_owned(),
            })
        })
    };
    arguments.iter().map(parse).collect()
}
