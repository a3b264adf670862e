//! Export to PEFT's formats: a folder that `PeftModel.from_pretrained` loads.
//!
//! | type | holds |
//! |---|---|
//! | PROMPT_TUNING | the vectors, where all virtual tokens come first |
//! | P_TUNING | the same, with the prompt encoder beside it in `prompt_encoder.safetensors` |
//! | PREFIX_TUNING | keys and values of a `[prefix:…]` |
//! | TRAINABLE_TOKENS | the vectors wherever they stand, as rows of the vocabulary that nothing uses |
//!
//! PEFT prepends prompts and prefixes to whatever it is given. The text after them has to be given to the
//! tokenizer exactly as ptune does, leading space included; `README.md` in the export shows how.

mod encoder;
mod tokens;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use backbone::Backbone;
use burn::tensor::{Tensor, TensorData};
use ptuning_core::language_model::{Objective, PrefixShape, Tokenize};
use ptuning_core::objective::ids;
use serde_json::{Map, Value, json};

pub(super) use encoder::ENCODER;
pub(crate) use encoder::lstm_names;
pub(super) use tokens::IDS;

use super::card::{Card, Form};
use super::error::ExportError;
use super::prompt_file::largest_difference;
use super::usage;
use crate::checkpoint::{Checkpoint, CheckpointError, atomically, read_tensors, write_tensors};
use crate::error::Error;
use crate::prompt::Prompt;
use crate::prompt_error::PromptError;

/// Version of PEFT whose format this is.
const PEFT_VERSION: &str = "0.21.2";

/// A kind of PEFT's adapters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeftType {
    /// Vectors in front of every input.
    PromptTuning,
    /// The same, with the prompt encoder that made them.
    PTuning,
    /// Keys and values of every layer in front of every input.
    PrefixTuning,
    /// Rows of the vocabulary.
    TrainableTokens,
}

impl fmt::Display for PeftType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PromptTuning => "prompt-tuning",
            Self::PTuning => "p-tuning",
            Self::PrefixTuning => "prefix-tuning",
            Self::TrainableTokens => "trainable-tokens",
        })
    }
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeftExport {
    /// As which kind.
    pub kind: PeftType,
    /// Vocabulary id of each virtual token, where they have become rows; empty where PEFT prepends them.
    pub ids: Vec<u32>,
}

/// What the files of one kind hold.
struct Files {
    /// `adapter_model.safetensors`.
    weights: BTreeMap<String, TensorData>,
    /// What this kind adds to `adapter_config.json`.
    config: Value,
    /// More files of tensors, by name.
    tensors: Vec<(&'static str, BTreeMap<String, TensorData>)>,
    /// More files of JSON, by name.
    json: Vec<(&'static str, Value)>,
    ids: Vec<u32>,
    usage: String,
}

/// Writes `adapter_config.json`, `adapter_model.safetensors`, `README.md` and what else the kind needs into a
/// folder, reads the vectors back and compares them. Without a kind the template decides.
///
/// # Errors
/// A template that PEFT cannot hold so, a folder that cannot be written.
pub fn export_peft(
    folder: &Path,
    kind: Option<PeftType>,
    prompt: &Prompt,
    checkpoint: &Checkpoint,
    backbone: &Backbone,
    card: &Card,
) -> Result<PeftExport, Error> {
    if prompt.lm.is_some() {
        return Err(Error::LmLearned);
    }
    let vectors = prompt.vectors.clone().ok_or(Error::NothingToLearn)?;
    let kind = chosen(kind, prompt, backbone)?;
    let files = match (kind, backbone.model.prefix_shape()) {
        (PeftType::PrefixTuning, Some(shape)) => prefix_tuning(prompt, vectors, shape, backbone),
        (PeftType::TrainableTokens, _) => tokens::files(prompt, vectors, backbone)?,
        (PeftType::PTuning, _) => encoder::files(prompt, vectors, checkpoint, backbone)?,
        _ => prompt_tuning(prompt, vectors, backbone),
    };
    std::fs::create_dir_all(folder).map_err(Error::io(folder, "created"))?;
    for name in [ENCODER, IDS] {
        remove(&folder.join(name))?;
    }
    for (name, tensors) in &files.tensors {
        write(&folder.join(name), tensors)?;
    }
    write(&folder.join("adapter_model.safetensors"), &files.weights)?;
    for (name, value) in &files.json {
        write_json(&folder.join(name), value)?;
    }
    let config = config(&files.config, card.backbone_source());
    write_json(&folder.join("adapter_config.json"), &config)?;
    let form = Form { library: "peft", what: "in PEFT's format", usage: files.usage };
    let readme = card.text(prompt, backbone, &form)?;
    atomically(&folder.join("README.md"), readme.as_bytes())?;
    Ok(PeftExport { kind, ids: files.ids })
}

/// The kind that a template asks for, or the one that was asked for if it goes with the template.
fn chosen(
    asked: Option<PeftType>,
    prompt: &Prompt,
    backbone: &Backbone,
) -> Result<PeftType, Error> {
    use PeftType::{PTuning, PrefixTuning, PromptTuning, TrainableTokens};
    if backbone.model.answers_in_one_token() {
        return Err(ExportError::EncoderDecoder.into());
    }
    let template = prompt.template.template();
    let masked = prompt.template.objective() == Objective::Masked;
    let has_prefix = template.prefix() > 0;
    if has_prefix && masked {
        return Err(PromptError::MaskedPrefix.into());
    }
    let opens = !backbone.tokenizer.special().prefix.is_empty();
    // PEFT puts its prompt before everything and knows no masked language models.
    let leads = template.is_prefix_only() && !opens && !masked;
    let refused = |kind, what, hint| Err(ExportError::PeftType { kind, what, hint }.into());
    match asked {
        None if has_prefix => Ok(PrefixTuning),
        None if leads => Ok(PromptTuning),
        None => Ok(TrainableTokens),
        Some(kind @ PrefixTuning) if !has_prefix => refused(
            kind,
            "the template has no [prefix:…]",
            "--peft-type prompt-tuning holds virtual tokens",
        ),
        Some(kind @ (PromptTuning | PTuning | TrainableTokens)) if has_prefix => refused(
            kind,
            "the template's [prefix:…] is keys and values",
            "--peft-type prefix-tuning holds them",
        ),
        Some(kind @ (PromptTuning | PTuning)) if !leads => {
            let what = if masked {
                "PEFT prepends its prompt to causal language models alone"
            } else if opens {
                "PEFT prepends its prompt, but this backbone's sequences open with a special token, which ptune \
                 keeps in front"
            } else {
                "PEFT prepends its prompt, and the template has virtual tokens behind words"
            };
            refused(kind, what, "--peft-type trainable-tokens holds virtual tokens anywhere")
        }
        Some(kind) => Ok(kind),
    }
}

fn prompt_tuning(prompt: &Prompt, vectors: Tensor<2>, backbone: &Backbone) -> Files {
    let (rows, vectors) = leading(prompt, vectors);
    let config = json!({
        "num_virtual_tokens": rows.len(),
        "peft_type": "PROMPT_TUNING",
        "prompt_tuning_init": "RANDOM",
        "prompt_tuning_init_text": null,
        "token_dim": backbone.model.hidden_size(),
        "tokenizer_kwargs": null,
        "tokenizer_name_or_path": null,
    });
    Files::prompt(vectors, config, usage::prompt(prompt, backbone))
}

fn prefix_tuning(
    prompt: &Prompt,
    vectors: Tensor<2>,
    shape: PrefixShape,
    backbone: &Backbone,
) -> Files {
    let width = shape.heads * shape.head_dim;
    let config = json!({
        "encoder_hidden_size": width,
        "num_attention_heads": shape.heads,
        "num_layers": shape.layers,
        "num_virtual_tokens": prompt.template.template().prefix(),
        "peft_type": "PREFIX_TUNING",
        "prefix_projection": false,
        "token_dim": width,
    });
    Files::prompt(vectors.into_data(), config, usage::prompt(prompt, backbone))
}

/// The virtual tokens of the leading slots and their vectors. Tied ones stand several times: PEFT has a row
/// for each place.
fn leading(prompt: &Prompt, vectors: Tensor<2>) -> (Vec<u32>, TensorData) {
    let rows = prompt.template.prefix_virtual_tokens();
    let device = vectors.device();
    let vectors = vectors.select(0, ids(&rows, &device)).into_data();
    (rows, vectors)
}

impl Files {
    /// Those of a kind that PEFT prepends.
    fn prompt(vectors: TensorData, own: Value, usage: String) -> Self {
        let mut config = json!({
            "modules_to_save": null,
            "num_attention_heads": null,
            "num_layers": null,
            "num_transformer_submodules": 1,
            "task_type": "CAUSAL_LM",
        });
        extend(&mut config, own);
        Self {
            weights: BTreeMap::from([("prompt_embeddings".to_owned(), vectors)]),
            config,
            tensors: Vec::new(),
            json: Vec::new(),
            ids: Vec::new(),
            usage,
        }
    }
}

/// `adapter_config.json`: what every kind has, and its own.
fn config(own: &Value, source: &str) -> Value {
    let mut config = json!({
        "auto_mapping": null,
        "base_model_name_or_path": source,
        "inference_mode": true,
        "peft_version": PEFT_VERSION,
        "revision": null,
    });
    extend(&mut config, own.clone());
    if let Value::Object(config) = &mut config {
        config.sort_keys();
    }
    config
}

fn extend(object: &mut Value, with: Value) {
    if let (Value::Object(object), Value::Object(with)) = (object, with) {
        Map::extend(object, with);
    }
}

/// What an earlier export of another kind may have left.
fn remove(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(path, "removed")(error))
        }
        _ => Ok(()),
    }
}

fn write_json(path: &Path, value: &Value) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|source| CheckpointError::Metadata { file: path.to_owned(), source })?;
    Ok(atomically(path, format!("{text}\n").as_bytes())?)
}

/// Writes tensors, reads them back and compares them.
fn write(path: &Path, tensors: &BTreeMap<String, TensorData>) -> Result<(), Error> {
    // transformers refuses a file that does not say whose layout it has.
    write_tensors(path, tensors, BTreeMap::from([("format".to_owned(), "pt".to_owned())]))?;
    let (back, _) = read_tensors(path)?;
    let differences = tensors.iter().map(|(name, data)| largest_difference(data, back.get(name)));
    let difference = differences.fold(0.0, f32::max);
    if difference == 0.0 {
        Ok(())
    } else {
        Err(Error::ExportDiffers { path: path.to_owned(), difference })
    }
}
