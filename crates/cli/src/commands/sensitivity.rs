//! `ptune sensitivity`.

use trainer::progress::Observer;
use trainer::sensitivity::sensitivity;
use trainer::settings;
use trainer::task::Task;

use super::open::{self, Fetching};
use crate::args::{Format, SensitivityArgs, Which};
use crate::exit::{Hinted, Outcome};
use crate::search_progress::SearchProgress;
use crate::{console, search_tables, tables};

/// Scores many wordings of one question.
pub fn run(args: &SensitivityArgs) -> anyhow::Result<Outcome> {
    let overrides = args.overrides.all();
    let settings = settings::load(&args.config, &overrides)?;
    open::check_file("--prompts", &args.prompts)?;
    let quiet = console::is_quiet() || args.format == Format::Json;
    let fetching = Fetching { offline: args.offline, quiet, interrupt: None };
    let (task, prompt) = match &args.run {
        None => (open::task(settings, fetching)?, None),
        Some(path) => {
            let device = format!("device={}", serde_json::Value::from(settings.device.as_str()));
            let open = open::run(path, &[device], Which::Best, fetching)?;
            let (expected, found) = (&open.settings.backbone, &settings.backbone);
            if expected != found {
                return Err(Hinted {
                    message: format!(
                        "{}: expected the backbone of {}, {}, found {}",
                        args.config.display(),
                        path.display(),
                        expected.source,
                        found.source
                    ),
                    hint: format!(
                        "--set backbone.source={}, and [backbone] as there",
                        expected.source
                    ),
                }
                .into());
            }
            (Task::load(settings, open.backbone)?, Some(open.prompt))
        }
    };
    let mut progress = SearchProgress::new(quiet, task.settings.log.every);
    let observer: &mut dyn Observer = &mut progress;
    let examples = args.examples.map(|examples| examples as usize);
    let split = args.split.into();
    let found = sensitivity(&task, &args.prompts, split, examples, prompt.as_ref(), observer)?;
    progress.finish();
    match args.format {
        Format::Json => tables::json(&found)?,
        Format::Table => search_tables::sensitivity(&found)?,
    }
    Ok(Outcome::Done)
}
