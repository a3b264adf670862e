//! `ptune export`.

use std::path::Path;

use ptuning_core::template::Encoded;
use serde_json::{Value, json};
use trainer::checkpoint::atomically;
use trainer::data::Example;
use trainer::export::{export_peft, export_safetensors};
use trainer::predict::logits;
use trainer::settings::Split;
use trainer::tagging::examples;

use super::open::{self, Fetching, OpenRun, make_parent};
use crate::args::{ExportArgs, ExportFormat};
use crate::console::say;
use crate::exit::{Hinted, Outcome};
use crate::{console, tables};

/// Prompts that a check file holds, and how many of their largest logits.
const CHECK_PROMPTS: usize = 8;
const CHECK_LOGITS: usize = 64;

/// Writes a trained prompt.
pub fn run(args: &ExportArgs) -> anyhow::Result<Outcome> {
    let fetching = Fetching { offline: args.offline, quiet: console::is_quiet(), interrupt: None };
    if args.check.is_some() && args.format != ExportFormat::Peft {
        return Err(Hinted {
            message: "--check belongs to --format peft".to_owned(),
            hint: "`ptune predict --prompt FILE` checks a safetensors export".to_owned(),
        }
        .into());
    }
    let open = open::run(&args.run, &args.overrides.all(), args.checkpoint, fetching)?;
    let OpenRun { run, settings, backbone, prompt } = &open;
    let default = match args.format {
        ExportFormat::Safetensors => run.prompt(),
        ExportFormat::Peft => run.path().join("peft"),
    };
    let out = args.out.clone().unwrap_or(default);
    // The run's own files are its to rewrite.
    let own = args.out.is_none();
    refuse_existing(&out, args.force || own)?;
    let source = &settings.backbone.source;
    match args.format {
        ExportFormat::Safetensors => {
            make_parent(&out)?;
            export_safetensors(&out, prompt, backbone, source)?;
        }
        ExportFormat::Peft => export_peft(&out, prompt, backbone, source)?,
    }
    if !console::is_quiet() {
        say!("wrote {}; read back, equal to the prompt encoder's output", out.display());
    }
    if let Some(file) = &args.check {
        make_parent(file)?;
        let text = serde_json::to_string_pretty(&check(&open)?)?;
        atomically(file, text.as_bytes())?;
        if !console::is_quiet() {
            say!("wrote {}", file.display());
        }
    }
    tables::line(&out.display())?;
    Ok(Outcome::Done)
}

fn refuse_existing(out: &Path, replace: bool) -> anyhow::Result<()> {
    if out.exists() && !replace {
        return Err(trainer::Error::FileExists { path: out.to_owned() }.into());
    }
    Ok(())
}

/// Token ids after the virtual tokens, and the largest logits of the answer, for some examples.
fn check(open: &OpenRun) -> anyhow::Result<Value> {
    let OpenRun { settings, backbone, prompt, .. } = open;
    let mut examples = examples(settings, Split::Dev)?;
    examples.truncate(CHECK_PROMPTS);
    let encode = |example: &Example| prompt.template.encode(&example.fields, &backbone.tokenizer);
    let encoded = examples.iter().map(encode).collect::<Result<Vec<Encoded>, _>>()?;
    let rows = logits(backbone, prompt, &encoded.iter().collect::<Vec<_>>());
    let prompts = examples.iter().zip(&encoded).zip(rows).map(|((example, encoded), row)| {
        let mut order: Vec<usize> = (0..row.len()).collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
        let top: Vec<Value> =
            order.into_iter().take(CHECK_LOGITS).map(|id| json!([id, row[id]])).collect();
        // PEFT adds the virtual tokens itself.
        json!({ "text": example.fields, "ids": &encoded.ids[encoded.slots.len()..], "top": top })
    });
    Ok(json!({ "prompts": prompts.collect::<Vec<_>>() }))
}
