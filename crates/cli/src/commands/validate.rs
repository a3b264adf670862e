//! `ptune validate`.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};

use backbone::DeviceSpec;
use backbone::source::fetch::{self, Located};
use trainer::adapt::Adaptation;
use trainer::settings::{self, AdaptSettings, Settings, SettingsError};
use trainer::task::{Task, backbone_options};
use trainer::validate::{Tried, data_problems, problems, try_batch};

use super::open;
use crate::args::ValidateArgs;
use crate::exit::{Hinted, Outcome, describe};

/// Looks at everything that can be wrong with configs.
pub fn run(args: &ValidateArgs) -> anyhow::Result<Outcome> {
    let overrides = args.overrides.all();
    let mut told: Vec<String> = Vec::new();
    let mut out = std::io::stdout().lock();
    for config in &args.config {
        match check(config, &overrides) {
            Ok(tried) => writeln!(out, "{}: {}", config.display(), in_words(&tried))?,
            Err(found) => told.extend(found),
        }
    }
    if told.is_empty() { Ok(Outcome::Done) } else { Err(Problems(told).into()) }
}

fn in_words(Tried { examples, loss, trained }: &Tried) -> String {
    let how = if *trained { "trained with" } else { "judged" };
    format!("nothing is wrong; one batch of {examples} examples {how}, loss {loss:.3}")
}

/// Everything that is wrong, in the order in which it was found.
#[derive(Debug)]
struct Problems(Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() > 1 {
            writeln!(f, "{} problems", self.0.len())?;
        }
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Problems {}

/// One batch of a config's task, or everything that keeps it from being computed.
fn check(config: &Path, overrides: &[String]) -> Result<Tried, Vec<String>> {
    let one = |error: &anyhow::Error| vec![with_place(config, overrides, error)];
    if is_adaptation(config) {
        let settings = settings::load_adapt(config, overrides).map_err(|error| each(&error))?;
        return adaptation(settings).map_err(|error| one(&error));
    }
    let settings = settings::load(config, overrides).map_err(|error| each(&error))?;
    let all = |found: Vec<anyhow::Error>| {
        found.iter().map(|error| with_place(config, overrides, error)).collect::<Vec<_>>()
    };
    let task = task(settings).map_err(all)?;
    let found = problems(&task);
    if !found.is_empty() {
        return Err(all(found.into_iter().map(Into::into).collect()));
    }
    try_batch(&task).map_err(|error| one(&error.into()))
}

/// Data and backbone of some settings, or everything that is wrong with either.
fn task(settings: Settings) -> Result<Task, Vec<anyhow::Error>> {
    let mut found: Vec<anyhow::Error> =
        data_problems(&settings).into_iter().map(Into::into).collect();
    let backbone = backbone(&settings);
    match backbone {
        Ok(backbone) if found.is_empty() => {
            Task::load(settings, backbone).map_err(|error| vec![error.into()])
        }
        Ok(_) => Err(found),
        Err(error) => {
            found.push(error);
            Err(found)
        }
    }
}

fn backbone(settings: &Settings) -> anyhow::Result<backbone::Backbone> {
    let options = backbone_options(&settings.backbone);
    let device = open::device(&settings.device, options)
        .map_err(|error| anyhow::anyhow!("device: {}", describe(&error)))?;
    let path = located(&settings.backbone.source)?;
    Ok(backbone::load_with(&path, &device, options)?)
}

/// A backbone that is here; nothing is downloaded.
fn located(source: &str) -> anyhow::Result<PathBuf> {
    match fetch::resolve(source, Path::new("."))? {
        Located::Present(path) => Ok(path),
        Located::Missing(missing) => Err(Hinted {
            message: format!("backbone.source: the backbone '{missing}' is not here yet"),
            hint: format!("`ptune fetch {missing}` downloads it"),
        }
        .into()),
    }
}

fn adaptation(settings: AdaptSettings) -> anyhow::Result<Tried> {
    let device = settings.device.parse::<DeviceSpec>()?.open()?;
    let model = backbone::trainable(&located(&settings.backbone.source)?, &device)?;
    Ok(Adaptation::new(settings, model, &device)?.try_step()?)
}

/// Whether a config is of a language model that reads a text.
fn is_adaptation(config: &Path) -> bool {
    let text = std::fs::read_to_string(config).unwrap_or_default();
    text.parse::<toml::Table>().is_ok_and(|table| table.contains_key("text"))
}

fn each(error: &SettingsError) -> Vec<String> {
    error.problems.iter().map(ToString::to_string).collect()
}

/// An error in words, behind the place of the key that it begins with, its hint below it.
fn with_place(config: &Path, overrides: &[String], error: &anyhow::Error) -> String {
    let text = describe(error).replace("\nhint: ", "\n  hint: ");
    let key = text.split(": ").next().unwrap_or_default();
    let known = settings::keys().contains(&key) || settings::adapt_keys().contains(&key);
    match settings::place_of(config, overrides, key).filter(|_| known) {
        Some(place) => format!("{place}: {text}"),
        None if known => format!("{}: {text}", config.display()),
        None => text,
    }
}
