//! `ptune eval`.

use anyhow::bail;
use trainer::ensemble::ensemble;
use trainer::evaluate::{Evaluation, evaluate};
use trainer::export::PromptFile;
use trainer::settings::{self, Split};
use trainer::task::Task;

use super::open::{self, Fetching};
use crate::args::{EvalArgs, Format};
use crate::console::say;
use crate::exit::Outcome;
use crate::threshold::thresholds;
use crate::{console, tables};

/// Judges a run, or the manual template alone.
pub fn run(args: &EvalArgs) -> anyhow::Result<Outcome> {
    let thresholds = thresholds(&args.fail_under, &["p1", "p10", "mrr", "f1"])?;
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
        (None, Some(config)) => {
            let file = args.prompt.as_deref();
            file.map_or(Ok(()), |file| open::check_file("--prompt", file))?;
            let export = file.map(PromptFile::load).transpose()?;
            let task = open::task(settings::load(config, &overrides)?, fetching)?;
            let prompt = export.zip(file).map(|(export, file)| export.prompt(&task.backbone, file));
            let mut prompt = prompt.transpose()?;
            // A prompt of another program knows no labels; the config's are asked for.
            let bare = prompt.as_mut().filter(|prompt| prompt.verbalizer.labels().is_none());
            if let Some(prompt) = bare {
                prompt.verbalizer = task.verbalizer(&prompt.template)?;
            }
            (task, prompt)
        }
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
