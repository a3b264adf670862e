//! The card of an export: what it is, what it was made from, how good it is and how it is used.
//!
//! A folder has it as `README.md`, a file beside it as `NAME.md`. It begins with the YAML that Hugging Face's hub
//! reads: base model, library, licence, tags, and the scores as a `model-index`.

use std::path::Path;

use backbone::Backbone;
use backbone::source::fetch::CATALOGUE;
use backbone::source::model_card::licence;
use ptuning_core::language_model::Objective;
use ptuning_core::objective::Scores;
use ptuning_core::verbalizer::Verbalizer;
use serde::Deserialize;
use serde_json::json;

use crate::error::Error;
use crate::prompt::Prompt;
use crate::run_dir::{RunDir, RunInfo};
use crate::settings::{PromptEncoderKind, Settings};

/// A run's scores on a split, as `evaluation.json` has them.
#[derive(Debug, Clone, Deserialize)]
pub struct Judged {
    /// Name of the split.
    pub split: String,
    /// Examples used and read.
    pub counts: JudgedCounts,
    /// The trained prompt.
    pub prompt: Option<Scores>,
    /// The manual template.
    pub manual: Option<Scores>,
    /// Its text.
    pub manual_template: Option<String>,
    /// The majority of train.
    pub majority: Scores,
    /// What it answers.
    pub majority_answer: Option<String>,
}

/// How many examples were judged.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct JudgedCounts {
    /// Examples read.
    pub read: usize,
    /// Examples used.
    pub used: usize,
}

/// What a card tells of the run that made the export.
#[derive(Debug, Clone)]
pub struct Card {
    settings: Settings,
    info: RunInfo,
    judged: Vec<Judged>,
    licence: Option<String>,
    command: String,
}

/// What a card tells of the export itself.
#[derive(Debug, Clone)]
pub struct Form {
    /// The library that loads it, as the hub names it.
    pub library: &'static str,
    /// What it is, after "A prompt".
    pub what: &'static str,
    /// How it is used, in Markdown.
    pub usage: String,
}

impl Card {
    /// Reads what a run folder says; `command` is how it was trained, as a shell reads it.
    ///
    /// # Errors
    /// A run folder whose files were changed into something else.
    pub fn of(
        run: &RunDir,
        settings: &Settings,
        backbone: &Backbone,
        command: String,
    ) -> Result<Self, Error> {
        Ok(Self {
            command,
            settings: settings.clone(),
            info: run.info()?,
            judged: run.evaluation()?,
            licence: licence_of(&settings.backbone.source, &backbone.path),
        })
    }

    /// Where the backbone comes from, as the config has it.
    pub fn backbone_source(&self) -> &str {
        &self.settings.backbone.source
    }

    /// The card.
    ///
    /// # Errors
    /// Settings that TOML cannot hold.
    pub fn text(&self, prompt: &Prompt, backbone: &Backbone, form: &Form) -> Result<String, Error> {
        let Self { settings, info, .. } = self;
        let source = self.backbone_source();
        let licence = match &self.licence {
            Some(licence) => format!("the backbone's licence ({licence})"),
            None => "the backbone's licence, which its files do not name".to_owned(),
        };
        Ok(format!(
            "{}\n# {}\n\nA prompt {}: vectors that were trained in front of and between the words of a template, \
             while the language model `{source}` stayed as it is. Made by ptune {} by P-tuning (Liu et al. 2021, \
             *GPT Understands, Too*, arXiv:2103.10385).\n\n{}\n## Use\n\n{}\n## Scores\n\n{}\n## Data\n\n{}\n\
             ## Training\n\n    {}\n\nThe resolved config:\n\n```toml\n{}```\n\n## Licence\n\n\
             It may be used under {licence} and the terms of the data, whichever is narrower.\n",
            self.front_matter(backbone, form),
            settings.name,
            form.what,
            info.version,
            self.facts(prompt, backbone),
            form.usage,
            self.scores(),
            self.data(),
            self.command,
            settings.to_toml()?,
        ))
    }

    /// What the hub reads. Texts are JSON's strings, which YAML takes as they are.
    fn front_matter(&self, backbone: &Backbone, form: &Form) -> String {
        let task = match backbone.model.objective() {
            Objective::Causal => "text-generation",
            Objective::Masked if backbone.model.answers_in_one_token() => "text2text-generation",
            Objective::Masked => "fill-mask",
        };
        let mut text = "---\n".to_owned();
        if let Some(model) = hub_name(self.backbone_source()) {
            text += &format!("base_model: {}\n", json!(model));
        }
        text += &format!("library_name: {}\n", form.library);
        if let Some(licence) = &self.licence {
            let all: Vec<String> = licence.split(", ").map(|one| json!(one).to_string()).collect();
            text += &match all.as_slice() {
                [one] => format!("license: {one}\n"),
                all => format!("license: [{}]\n", all.join(", ")),
            };
        }
        text += &format!("pipeline_tag: {task}\ntags:\n- ptune\n- p-tuning\n- soft-prompt\n");
        let results: Vec<String> =
            self.judged.iter().filter_map(|one| self.result(one, task)).collect();
        if !results.is_empty() {
            let name = json!(self.settings.name);
            text += &format!("model-index:\n- name: {name}\n  results:\n{}", results.concat());
        }
        text + "---\n"
    }

    fn result(&self, judged: &Judged, task: &str) -> Option<String> {
        let data = json!(self.data_name());
        let metrics: String = judged
            .prompt
            .as_ref()?
            .named()
            .into_iter()
            .filter(|(name, _)| *name != "loss")
            .map(|(name, score)| {
                let kind = match name {
                    "P@1" => "accuracy",
                    "P@10" => "precision_at_10",
                    "MRR" => "mrr",
                    _ => "f1",
                };
                format!("    - type: {kind}\n      name: {}\n      value: {score}\n", json!(name))
            })
            .collect();
        Some(format!(
            "  - task:\n      type: {task}\n    dataset:\n      name: {data}\n      type: {data}\n      \
             split: {}\n    metrics:\n{metrics}",
            judged.split
        ))
    }

    /// Name of the folder that the data lies in.
    fn data_name(&self) -> String {
        let folder = self.settings.data.train.parent().and_then(Path::file_name);
        folder.map_or("data".to_owned(), |name| name.to_string_lossy().into_owned())
    }

    fn facts(&self, prompt: &Prompt, backbone: &Backbone) -> String {
        let Self { settings, info, .. } = self;
        let identity = &backbone.identity;
        let vectors = match &prompt.vectors {
            Some(vectors) => {
                let [count, width] = vectors.dims();
                format!("{count}, of {width} numbers")
            }
            None => "none; the words of labels learned".to_owned(),
        };
        let encoder = match settings.prompt_encoder.kind {
            PromptEncoderKind::Lstm { .. } => "an LSTM with an MLP behind it",
            PromptEncoderKind::Mlp { .. } => "an MLP",
            PromptEncoderKind::Direct => "none: the vectors themselves learned",
        };
        let answers = match &prompt.verbalizer {
            Verbalizer::Labels(labels) => {
                let names: Vec<&str> =
                    labels.labels().iter().map(|label| label.name.as_str()).collect();
                format!("the labels {}", names.join(", "))
            }
            words => match words.candidates() {
                Some(ids) => format!("one of {} words", ids.len()),
                None => "any word of the vocabulary".to_owned(),
            },
        };
        let rows = [
            ("Template", format!("`{}`", prompt.template.template().source())),
            (
                "Backbone",
                format!(
                    "`{}` ({}, {})",
                    settings.backbone.source,
                    identity.family,
                    identity.file.display()
                ),
            ),
            ("SHA-256 of its config and header", format!("`{}`", identity.sha256)),
            ("Learned vectors", vectors),
            ("Prompt encoder", encoder.to_owned()),
            ("Answers", answers),
            ("Trained", format!("seed {}, on {}", info.seed, info.device)),
        ];
        let row =
            |(name, what): (&str, String)| format!("| {name} | {} |\n", what.replace('|', "\\|"));
        format!("| | |\n|---|---|\n{}", rows.map(row).concat())
    }

    fn scores(&self) -> String {
        if self.judged.is_empty() {
            return "The run has not been judged yet.\n".to_owned();
        }
        let mut text = String::new();
        for judged in &self.judged {
            let Judged { split, counts, majority_answer, manual_template, .. } = judged;
            let all: [(String, Option<&Scores>); 3] = [
                ("this prompt".to_owned(), judged.prompt.as_ref()),
                (
                    format!("by hand: `{}`", manual_template.as_deref().unwrap_or_default()),
                    judged.manual.as_ref(),
                ),
                (
                    format!("always \"{}\"", majority_answer.as_deref().unwrap_or_default()),
                    Some(&judged.majority),
                ),
            ];
            let names: Vec<&str> = all
                .iter()
                .find_map(|(_, scores)| *scores)
                .map(|scores| scores.named().into_iter().map(|(name, _)| name).collect())
                .unwrap_or_default();
            text += &format!(
                "{split}, {} of {} examples; P@1, P@10, MRR and F1 in percent, loss in nats:\n\n| | {} |\n|---|{}\n",
                counts.used,
                counts.read,
                names.join(" | "),
                "---:|".repeat(names.len())
            );
            for (number, (who, scores)) in all.into_iter().enumerate() {
                let Some(scores) = scores else { continue };
                let cells: Vec<String> = scores
                    .named()
                    .into_iter()
                    .map(|(name, score)| match name {
                        // What answers the same always has no loss.
                        "loss" if number == 2 => "-".to_owned(),
                        "loss" => format!("{score:.3}"),
                        _ => format!("{:.1}", 100.0 * score),
                    })
                    .collect();
                text += &format!("| {} | {} |\n", who.replace('|', "\\|"), cells.join(" | "));
            }
            text.push('\n');
        }
        text.truncate(text.trim_end().len());
        text + "\n"
    }

    fn data(&self) -> String {
        let data = &self.settings.data;
        let inputs: Vec<String> =
            data.inputs.iter().map(|(field, key)| format!("`{key}` as [x:{field}]")).collect();
        let mut files = format!("train `{}`, dev `{}`", data.train.display(), data.dev.display());
        if let Some(test) = &data.test {
            files += &format!(", test `{}`", test.display());
        }
        format!("{files}: {}, the answer is `{}`.\n", inputs.join(", "), data.answer)
    }
}

/// `ORGANISATION/MODEL`, where a backbone is one of a hub.
fn hub_name(source: &str) -> Option<String> {
    let name = source.strip_prefix("hf:")?.split('@').next()?;
    Some(name.split('/').take(2).collect::<Vec<_>>().join("/"))
}

/// The backbone's licence as the hub writes it, where its files or the catalogue name one.
fn licence_of(source: &str, path: &Path) -> Option<String> {
    let pinned = CATALOGUE.iter().find(|model| model.name == source);
    if let Some(model) = pinned {
        return Some(model.licence.to_lowercase());
    }
    licence(if path.is_dir() { path } else { path.parent()? })
}
