//! `ptune predict`.

use std::io::{self, BufRead, IsTerminal};
use std::path::Path;

use anyhow::Context;
use backbone::{Backbone, Options};
use ptuning_core::answers::Scoring;
use ptuning_core::language_model::Objective;
use ptuning_core::spans::SpanRules;
use ptuning_core::template::Fields;
use serde::Serialize;
use serde_json::Value;
use trainer::answers::{Generation, rank_answers, write_answers};
use trainer::data;
use trainer::export::PromptFile;
use trainer::predict::predict;
use trainer::prompt::Prompt;
use trainer::settings::{self, SENTENCE};
use trainer::tagging::tag;

use super::open::{self, Fetching};
use crate::args::{AnswersArgs, Format, PredictArgs, Which};
use crate::console::say;
use crate::exit::{Hinted, Outcome};
use crate::{entity_tables, tables};

const DEFAULT_TOP: usize = 10;
const DEFAULT_BATCH: usize = 64;
const DEFAULT_TOKENS: usize = 8;

/// Answers inputs from the command line or from stdin.
pub fn run(args: &PredictArgs) -> anyhow::Result<Outcome> {
    let answers = args.whole.answers.as_deref().map(listed).transpose()?;
    let fetching = Fetching { offline: args.offline, quiet: true, interrupt: None };
    let (backbone, prompt, top, words) = match &args.prompt {
        Some(file) => {
            let (backbone, prompt) = from_export(file, args, fetching)?;
            (backbone, prompt, DEFAULT_TOP, args.words.as_slice())
        }
        None => {
            let Some((run, words)) = args.words.split_first() else {
                return Err(Hinted {
                    message: "a run folder, or --prompt with an export, is needed".to_owned(),
                    hint: "ptune predict checkpoints/runs/lama-p36 Britain Japan".to_owned(),
                }
                .into());
            };
            let overrides = args.overrides.all();
            let run = open::run(Path::new(run), &overrides, Which::Best, fetching)?;
            (run.backbone, run.prompt, run.settings.eval.top_k, words)
        }
    };
    if let Some(rules) = &prompt.spans {
        return entities(args, &backbone, &prompt, rules, words);
    }
    let fields: Vec<&str> = prompt.template.template().fields();
    let inputs = if words.is_empty() { from_stdin(&fields)? } else { from_words(words, &fields)? };
    let top = args.top.map_or(top, |top| top as usize);
    if let Some(words) = &answers {
        let found = rank_answers(&backbone, &prompt, &inputs, words, scoring(&args.whole), top)?;
        print(args.format, &found, tables::rankings)?;
    } else if args.whole.generate {
        let generation = generation(&args.whole, prompt.template.objective())?;
        let found = write_answers(&backbone, &prompt, &inputs, generation)?;
        print(args.format, &found, tables::written)?;
    } else {
        let found = predict(&backbone, &prompt, &inputs, top, DEFAULT_BATCH)?;
        print(args.format, &found, tables::predictions)?;
    }
    Ok(Outcome::Done)
}

/// Finds the entities of texts.
fn entities(
    args: &PredictArgs,
    backbone: &Backbone,
    prompt: &Prompt,
    rules: &SpanRules,
    words: &[String],
) -> anyhow::Result<Outcome> {
    let unused = [
        ("--answers", args.whole.answers.is_some()),
        ("--generate", args.whole.generate),
        ("--top", args.top.is_some()),
    ];
    if let Some((flag, _)) = unused.into_iter().find(|(_, given)| *given) {
        return Err(Hinted {
            message: format!("{flag}: this prompt finds the entities of a text"),
            hint: "leave it out; entities come in the order of their words".to_owned(),
        }
        .into());
    }
    let fields = [SENTENCE];
    let inputs = if words.is_empty() { from_stdin(&fields)? } else { from_words(words, &fields)? };
    let text = |input: &Fields| match input.get(SENTENCE) {
        Some(text) if input.len() == 1 => Ok(text.clone()),
        _ => {
            let found: Vec<&str> = input.keys().map(String::as_str).collect();
            Err(Hinted {
                message: format!("expected a text, found the fields {}", found.join(", ")),
                hint: format!("give the text alone, or as JSON: '{{\"{SENTENCE}\": \"…\"}}'"),
            })
        }
    };
    let texts = inputs.iter().map(text).collect::<Result<Vec<String>, _>>()?;
    let found = tag(backbone, prompt, rules, &texts, DEFAULT_BATCH)?;
    print(args.format, &found, entity_tables::tagged)?;
    Ok(Outcome::Done)
}

/// The answers of a file, before a backbone is waited for.
fn listed(path: &Path) -> anyhow::Result<Vec<String>> {
    match settings::neighbour(path) {
        Some(hint) if !path.exists() => {
            Err(Hinted { message: format!("--answers {}: no such file", path.display()), hint }
                .into())
        }
        _ => Ok(data::words(path)?),
    }
}

fn print<T: Serialize>(
    format: Format,
    found: &[T],
    table: fn(&[T]) -> io::Result<()>,
) -> io::Result<()> {
    match format {
        Format::Table => table(found),
        Format::Json => tables::json(found),
    }
}

fn scoring(args: &AnswersArgs) -> Scoring {
    Scoring {
        masked: args.scoring.map(Into::into),
        normalised: args.length_normalisation,
        batch_size: DEFAULT_BATCH,
    }
}

/// How answers are written; refuses what this kind of model has no use for.
fn generation(args: &AnswersArgs, objective: Objective) -> anyhow::Result<Generation> {
    let beams = args.beams.map_or(1, |beams| beams as usize);
    let (message, hint) = match objective {
        Objective::Masked if beams > 1 => (
            format!("--beams {beams}: a masked language model fills masks, one way at a time"),
            "leave it out; --fill says which mask comes next",
        ),
        Objective::Causal if args.fill.is_some() => (
            "--fill: a causal language model has no masks to fill".to_owned(),
            "leave it out; --beams says how many answers are kept side by side",
        ),
        _ => {
            return Ok(Generation {
                beams,
                max_tokens: args.max_tokens.map_or(DEFAULT_TOKENS, |tokens| tokens as usize),
                normalised: args.length_normalisation,
                order: args.fill.map(Into::into).unwrap_or_default(),
            });
        }
    };
    Err(Hinted { message, hint: hint.to_owned() }.into())
}

fn from_export(
    file: &Path,
    args: &PredictArgs,
    fetching: Fetching<'_>,
) -> anyhow::Result<(Backbone, Prompt)> {
    if let Some(key) = args.overrides.set.first() {
        return Err(Hinted {
            message: format!("--set {key}: an export has no config to set a key of"),
            hint: "--backbone and --device are what an export takes".to_owned(),
        }
        .into());
    }
    let export = PromptFile::load(file)?;
    let source = args.backbone.as_ref().unwrap_or(&export.backbone_source);
    let device = args.overrides.device.as_deref().unwrap_or("flex");
    let backbone = open::backbone(source, device, Options::default(), fetching)?;
    let prompt = export.prompt(&backbone, file)?;
    Ok((backbone, prompt))
}

fn from_words(words: &[String], fields: &[&str]) -> anyhow::Result<Vec<Fields>> {
    words
        .iter()
        .map(|word| parse_input(word, fields).with_context(|| format!("input {word:?}")))
        .collect()
}

fn from_stdin(fields: &[&str]) -> anyhow::Result<Vec<Fields>> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        say!("reading inputs from the terminal, one per line; end with Ctrl-D");
    }
    let mut inputs = Vec::new();
    for (line, text) in stdin.lock().lines().enumerate() {
        let place = || format!("stdin, line {}", line + 1);
        let text = text.with_context(place)?;
        if !text.trim().is_empty() {
            inputs.push(parse_input(&text, fields).with_context(place)?);
        }
    }
    if inputs.is_empty() {
        return Err(Hinted {
            message: "no input given".to_owned(),
            hint: "give inputs as arguments or on stdin, one per line".to_owned(),
        }
        .into());
    }
    Ok(inputs)
}

/// A line of text for a template with one input, or a JSON object with the template's fields.
pub fn parse_input(text: &str, fields: &[&str]) -> anyhow::Result<Fields> {
    let text = text.trim();
    if text.starts_with('{')
        && let Ok(Value::Object(object)) = serde_json::from_str(text)
    {
        let text_of = |(field, value)| match value {
            Value::String(text) => Ok((field, text)),
            other => Err(Hinted {
                message: format!("the field '{field}': expected text, found {other}"),
                hint: "write it in quotes".to_owned(),
            }
            .into()),
        };
        return object.into_iter().map(text_of).collect();
    }
    match fields {
        [field] => Ok(Fields::from([((*field).to_owned(), text.to_owned())])),
        _ => {
            let example: Vec<String> =
                fields.iter().map(|field| format!("\"{field}\": \"…\"")).collect();
            Err(Hinted {
                message: format!(
                    "the template has {} inputs ({})",
                    fields.len(),
                    fields.join(", ")
                ),
                hint: format!("give each input as JSON: '{{{}}}'", example.join(", ")),
            }
            .into())
        }
    }
}
