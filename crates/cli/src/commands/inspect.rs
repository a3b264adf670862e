//! `ptune inspect`.

use ptuning_core::language_model::Tokenize;
use ptuning_core::template::Fields;
use serde_json::json;
use trainer::inspect::{encoding, nearest_words};
use trainer::settings::Split;
use trainer::tagging::examples;

use super::open::{self, Fetching};
use super::predict::parse_input;
use crate::args::{Format, InspectArgs, Which};
use crate::exit::Outcome;
use crate::{console, tables};

/// Shows a template as encoded and what its vectors resemble.
pub fn run(args: &InspectArgs) -> anyhow::Result<Outcome> {
    let fetching = Fetching {
        offline: args.offline,
        quiet: console::is_quiet() || args.format == Format::Json,
        interrupt: None,
    };
    let open = open::run(&args.run, &args.overrides.all(), Which::Best, fetching)?;
    let (backbone, prompt) = (&open.backbone, &open.prompt);
    let template = prompt.template.template();
    let (fields, answer) = match args.example.as_slice() {
        [] => {
            let examples = examples(&open.settings, Split::Dev)?;
            let first = examples.into_iter().next();
            first.map(|example| (example.fields, Some(example.answer))).unwrap_or_default()
        }
        given => (example(given, &template.fields())?, None),
    };
    let positions = encoding(backbone, prompt, &fields)?;
    let reports = nearest_words(backbone, prompt, args.top as usize);
    let tokens = answer.as_ref().map(|word| {
        let tokenizer = &backbone.tokenizer;
        let ids = tokenizer.ids(&prompt.template.answer_text(word));
        let tokens =
            ids.iter().map(|&id| format!("{id} {}", tokenizer.token(id).unwrap_or_default()));
        tokens.collect::<Vec<_>>().join(", ")
    });
    match args.format {
        Format::Json => tables::json(&json!({
            "template": template.source(),
            "example": fields,
            "answer": answer,
            "encoding": positions,
            "virtual_tokens": reports,
        }))?,
        Format::Table => {
            let answer = answer.as_deref().zip(tokens.as_deref());
            tables::encoding(template.source(), &positions, answer)?;
            tables::nearest(&reports)?;
        }
    }
    Ok(Outcome::Done)
}

/// `TEXT` for a template with one input, `FIELD=TEXT` several times for one with more.
fn example(given: &[String], fields: &[&str]) -> anyhow::Result<Fields> {
    if let ([only], [_]) = (given, fields) {
        return parse_input(only, fields);
    }
    let mut parsed = Fields::new();
    for text in given {
        match text.split_once('=') {
            Some((field, text)) => {
                parsed.insert(field.to_owned(), text.to_owned());
            }
            None => parsed.extend(parse_input(text, fields)?),
        }
    }
    Ok(parsed)
}
