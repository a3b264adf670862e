//! `ptune export`.

use std::path::Path;

use ptuning_core::template::{Encoded, Fields, Row};
use serde_json::{Value, json};
use trainer::checkpoint::atomically;
use trainer::data::Example;
use trainer::export::{Card, Form, PeftType, export_peft, export_safetensors, export_worded};
use trainer::predict::logits;
use trainer::prompt::Prompt;
use trainer::run_dir::RunDir;
use trainer::settings::Split;
use trainer::tagging::examples;

use super::open::{self, Fetching, OpenRun, make_parent};
use crate::args::{ExportArgs, ExportFormat, PeftTypeArg};
use crate::console::note;
use crate::exit::{Hinted, Outcome};
use crate::{console, shell, tables};

/// Prompts that a check file holds, and how many of their largest logits.
const CHECK_PROMPTS: usize = 8;
const CHECK_LOGITS: usize = 64;

/// Writes a trained prompt.
pub fn run(args: &ExportArgs) -> anyhow::Result<Outcome> {
    let fetching = Fetching { offline: args.offline, quiet: console::is_quiet(), interrupt: None };
    check_flags(args)?;
    let open = open::run(&args.run, &args.overrides.all(), args.checkpoint, fetching)?;
    let OpenRun { run, settings, backbone, prompt, checkpoint } = &open;
    let default = match args.format {
        ExportFormat::Safetensors => run.prompt(),
        ExportFormat::Peft => run.path().join("peft"),
        ExportFormat::Model => run.model(),
    };
    let out = args.out.clone().unwrap_or(default);
    // The run's own files are its to rewrite.
    let replace = args.force || args.out.is_none();
    refuse_existing(&out, replace)?;
    let card = Card::of(run, settings, backbone, command(run)?)?;
    match args.format {
        ExportFormat::Safetensors => {
            let beside = out.with_extension("md");
            if args.card {
                refuse_existing(&beside, replace)?;
            }
            make_parent(&out)?;
            export_safetensors(&out, prompt, backbone, &settings.backbone.source)?;
            note!("wrote {}; read back, equal to the prompt encoder's output", out.display());
            if args.card {
                let text = card.text(prompt, backbone, &form(&out, prompt))?;
                atomically(&beside, text.as_bytes())?;
                note!("wrote {}", beside.display());
            }
        }
        ExportFormat::Peft => {
            let kind = args.peft_type.map(PeftType::from);
            let export = export_peft(&out, kind, prompt, checkpoint, backbone, &card)?;
            note!(
                "wrote {} ({}); read back, equal to the prompt encoder's output",
                out.display(),
                export.kind
            );
            if let Some(file) = &args.check {
                check(file, &open, &export.ids, |example| json!(example.fields))?;
            }
        }
        ExportFormat::Model => {
            let export = export_worded(&out, prompt, backbone, &card)?;
            note!("wrote {}; read back, equal to the prompt encoder's output", out.display());
            note!("a prompt is the text \"{}\"", export.text);
            if let Some(file) = &args.check {
                let text = |example: &Example| json!(filled(&export.text, &example.fields));
                check(file, &open, &export.ids, text)?;
            }
        }
    }
    tables::line(&out.display())?;
    Ok(Outcome::Done)
}

/// Refuses flags of another format.
fn check_flags(args: &ExportArgs) -> anyhow::Result<()> {
    let refused = |message: &str, hint: &str| {
        Err(Hinted { message: message.to_owned(), hint: hint.to_owned() }.into())
    };
    if args.check.is_some() && args.format == ExportFormat::Safetensors {
        return refused(
            "--check belongs to --format peft and model",
            "`ptune predict --prompt FILE` checks a safetensors export",
        );
    }
    if args.peft_type.is_some() && args.format != ExportFormat::Peft {
        return refused("--peft-type belongs to --format peft", "leave it out");
    }
    Ok(())
}

impl From<PeftTypeArg> for PeftType {
    fn from(kind: PeftTypeArg) -> Self {
        match kind {
            PeftTypeArg::PromptTuning => Self::PromptTuning,
            PeftTypeArg::PTuning => Self::PTuning,
            PeftTypeArg::PrefixTuning => Self::PrefixTuning,
            PeftTypeArg::TrainableTokens => Self::TrainableTokens,
        }
    }
}

/// The command that trained a run, as a shell reads it.
fn command(run: &RunDir) -> Result<String, trainer::Error> {
    let words = run.info()?.command;
    let words = words.iter().skip(1).map(|word| shell::word(word));
    Ok(std::iter::once("ptune".to_owned()).chain(words).collect::<Vec<_>>().join(" "))
}

/// What a card says about ptune's own file.
fn form(out: &Path, prompt: &Prompt) -> Form {
    let name = out.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name = shell::word(&name);
    let input = match prompt.template.template().fields().as_slice() {
        [_] => "TEXT".to_owned(),
        fields => {
            let field = |field: &&str| format!("\"{field}\": \"TEXT\"");
            format!("'{{{}}}'", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
    };
    Form {
        library: "ptune",
        what: "in one file of safetensors",
        usage: format!("```sh\nptune predict --prompt {name} {input}\n```\n"),
    }
}

/// Refuses to overwrite, unless that is what was asked for.
pub fn refuse_existing(out: &Path, replace: bool) -> anyhow::Result<()> {
    if out.exists() && !replace {
        return Err(trainer::Error::FileExists { path: out.to_owned() }.into());
    }
    Ok(())
}

/// A text with `{field}` for an input and braces of its own doubled, with an example's texts.
fn filled(text: &str, fields: &Fields) -> String {
    let (mut filled, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(['{', '}']) {
        filled += &rest[..at];
        rest = &rest[at..];
        let field = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        match field.filter(|_| !rest.starts_with("{{")) {
            Some((field, behind)) => {
                filled += fields.get(field).map_or("", String::as_str);
                rest = behind;
            }
            None => {
                filled += &rest[..1];
                rest = rest.get(2..).unwrap_or_default();
            }
        }
    }
    filled + rest
}

/// Writes token ids as another program is given them, where among them the answer is scored, and its largest
/// logits, for some examples. `rows` are the ids of virtual tokens that have become rows of the vocabulary.
fn check(
    file: &Path,
    open: &OpenRun,
    rows: &[u32],
    text: impl Fn(&Example) -> Value,
) -> anyhow::Result<()> {
    let OpenRun { settings, backbone, prompt, .. } = open;
    let mut examples = examples(settings, Split::Dev)?;
    examples.truncate(CHECK_PROMPTS);
    let encode = |example: &Example| prompt.template.encode(&example.fields, &backbone.tokenizer);
    let encoded = examples.iter().map(encode).collect::<Result<Vec<Encoded>, _>>()?;
    let said = logits(backbone, prompt, &encoded.iter().collect::<Vec<_>>());
    let prompts = examples.iter().zip(&encoded).zip(said).map(|((example, encoded), said)| {
        // PEFT adds virtual tokens that it prepends itself.
        let prepended = if rows.is_empty() { encoded.slots.len() } else { 0 };
        let ids = encoded.rows().skip(prepended).map(|row| match row {
            Row::Token(id) => id,
            Row::Virtual(index) => rows[index],
        });
        let mut order: Vec<usize> = (0..said.len()).collect();
        order.sort_by(|&a, &b| said[b].total_cmp(&said[a]));
        // A head that shares the vocabulary's table scores these rows otherwise.
        order.retain(|&id| !rows.contains(&(id as u32)));
        let top: Vec<Value> =
            order.into_iter().take(CHECK_LOGITS).map(|id| json!([id, said[id]])).collect();
        json!({
            "text": text(example),
            "ids": ids.collect::<Vec<u32>>(),
            "answer": encoded.answer - prepended,
            "top": top,
        })
    });
    let prompts = json!({ "prompts": prompts.collect::<Vec<_>>() });
    make_parent(file)?;
    atomically(file, serde_json::to_string_pretty(&prompts)?.as_bytes())?;
    note!("wrote {}", file.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_filled_as_pythons_format_does() {
        let fields = Fields::from([("x".to_owned(), "{y}".to_owned())]);
        assert_eq!(filled("<h_0> {{a}} {x}, {x}}}", &fields), "<h_0> {a} {y}, {y}}");
        assert_eq!(filled("", &fields), "");
    }
}
