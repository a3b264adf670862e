//! ptune's own export: one safetensors file that `ptune predict --prompt` runs from.
//!
//! | tensor | what |
//! |---|---|
//! | `prompt` | h_0 … h_m, F32 `[prompt, hidden]`, or a prefix, F32 `[prefix, prefix_width]`; absent where labels alone learned |
//! | `candidates` | vocabulary ids that may answer, U32; absent for the whole vocabulary |
//!
//! The metadata keys are `format` (`ptune-prompt`), `format_version`, `template`, `virtual_tokens`
//! (names, a JSON list), `backbone` (a JSON object with `sha256`), `backbone_source`, `inputs` (a
//! JSON list of the template's fields), `ptune_version`, and `labels` (a JSON object: labels, their words
//! and the words' prior) where answers are labels, and `spans` (a JSON object: which spans are asked about)
//! where they are entities.

use std::collections::BTreeMap;
use std::path::Path;

use backbone::Backbone;
use backbone::source::Identity;
use burn::tensor::{Tensor, TensorData};
use ptuning_core::spans::SpanRules;
use ptuning_core::verbalizer::LabelWords;

use crate::checkpoint::{CheckpointError, id_tensor, read_tensors, verbalizer, write_tensors};
use crate::error::Error;
use crate::prompt::{Prompt, prefix_width};
use crate::task::bind;

const NAME: &str = "ptune-prompt";
const VERSION: &str = "1";

/// An export, read.
#[derive(Debug, Clone)]
pub struct PromptFile {
    /// Text of the template.
    pub template: String,
    /// h_0 … h_m, F32 `[prompt, hidden]`, or a prefix, F32 `[prefix, prefix_width]`; `None` where labels
    /// alone learned.
    pub vectors: Option<TensorData>,
    /// Vocabulary ids that may answer; `None` for the whole vocabulary.
    pub candidates: Option<Vec<u32>>,
    /// Labels and their words, where answers are labels.
    pub labels: Option<LabelWords>,
    /// Which spans of a sentence are asked about, where answers are entities.
    pub spans: Option<SpanRules>,
    /// The backbone it belongs to.
    pub backbone: Identity,
    /// Where the backbone came from: `backbone.source` of the config.
    pub backbone_source: String,
}

impl PromptFile {
    /// Reads an export.
    ///
    /// # Errors
    /// A file that is damaged or something else.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let (mut tensors, metadata) = read_tensors(path)?;
        let foreign = || CheckpointError::Foreign {
            file: path.to_owned(),
            expected: "a prompt that `ptune export --format safetensors` wrote",
        };
        if metadata.get("format").map(String::as_str) != Some(NAME) {
            return Err(foreign().into());
        }
        let version = metadata.get("format_version").map(String::as_str).unwrap_or_default();
        if version != VERSION {
            return Err(CheckpointError::Format {
                file: path.to_owned(),
                expected: 1,
                found: version.parse().unwrap_or(0),
            }
            .into());
        }
        let text = |key: &str| metadata.get(key).cloned().ok_or_else(foreign);
        let json = |source| CheckpointError::Metadata { file: path.to_owned(), source };
        let vectors = tensors.remove("prompt");
        let candidates = tensors.remove("candidates").map(|data| data.iter::<u32>().collect());
        Ok(Self {
            template: text("template")?,
            vectors,
            candidates,
            labels: match metadata.get("labels") {
                Some(labels) => Some(serde_json::from_str(labels).map_err(json)?),
                None => None,
            },
            spans: match metadata.get("spans") {
                Some(spans) => Some(serde_json::from_str(spans).map_err(json)?),
                None => None,
            },
            backbone: serde_json::from_str(&text("backbone")?).map_err(json)?,
            backbone_source: text("backbone_source")?,
        })
    }

    /// Puts the prompt before a backbone.
    ///
    /// # Errors
    /// Another backbone, or vectors that do not fit template and backbone.
    pub fn prompt(&self, backbone: &Backbone, path: &Path) -> Result<Prompt, Error> {
        let found = &backbone.identity;
        if !self.backbone.is_same(found) {
            return Err(CheckpointError::Backbone {
                file: path.to_owned(),
                expected: self.backbone.file.display().to_string(),
                found: found.file.display().to_string(),
                hint: format!(
                    "it was trained on '{}'; --backbone names another place of it",
                    self.backbone_source
                ),
            }
            .into());
        }
        let template = bind("the export's template", &self.template, backbone)?;
        let width = prefix_width(&template, backbone);
        let width = width.unwrap_or_else(|| backbone.model.hidden_size());
        let expected = vec![template.prompt_len(), width];
        let found = self.vectors.as_ref().map(|vectors| vectors.shape().to_vec());
        let expected = (template.prompt_len() > 0).then_some(expected);
        if found != expected {
            let expected = expected.unwrap_or_default();
            return Err(
                CheckpointError::Parameter { name: "prompt".to_owned(), expected, found }.into()
            );
        }
        let vocab = backbone.model.vocab_size();
        let known = |ids: &Vec<u32>| -> Vec<u32> {
            ids.iter().copied().filter(|&id| (id as usize) < vocab).collect()
        };
        let labels =
            self.labels.clone().filter(|labels| labels.fits(vocab, backbone.model.hidden_size()));
        if labels.is_none() && self.labels.is_some() {
            return Err(CheckpointError::Foreign {
                file: path.to_owned(),
                expected: "labels whose words are in the backbone's vocabulary",
            }
            .into());
        }
        let verbalizer = verbalizer(labels, self.candidates.as_ref().map(known));
        let device = backbone.model.device();
        let vectors = self.vectors.clone().map(|vectors| Tensor::from_data(vectors, &device));
        let spans = self.spans.clone();
        Ok(Prompt { template, vectors, verbalizer, spans, lm: None })
    }
}

/// Writes a prompt, reads it back and compares it with what it was made from.
///
/// # Errors
/// A disk that is full or read-only; a file that does not read back.
pub fn export_safetensors(
    path: &Path,
    prompt: &Prompt,
    backbone: &Backbone,
    backbone_source: &str,
) -> Result<(), Error> {
    if prompt.lm.is_some() {
        return Err(Error::LmLearned);
    }
    let vectors = prompt.vectors.as_ref().map(Tensor::to_data);
    let mut tensors = BTreeMap::new();
    if let Some(vectors) = &vectors {
        tensors.insert("prompt".to_owned(), vectors.clone());
    }
    if let Some(ids) = prompt.verbalizer.candidates() {
        tensors.insert("candidates".to_owned(), id_tensor(ids));
    }
    let json = |source| CheckpointError::Metadata { file: path.to_owned(), source };
    let names: Vec<&str> =
        prompt.template.virtual_tokens().iter().map(|token| token.name.as_str()).collect();
    let template = prompt.template.template();
    let metadata = [
        ("format", NAME.to_owned()),
        ("format_version", VERSION.to_owned()),
        ("ptune_version", env!("CARGO_PKG_VERSION").to_owned()),
        ("template", template.source().to_owned()),
        ("inputs", serde_json::to_string(&template.fields()).map_err(json)?),
        ("virtual_tokens", serde_json::to_string(&names).map_err(json)?),
        ("backbone", serde_json::to_string(&backbone.identity).map_err(json)?),
        ("backbone_source", backbone_source.to_owned()),
    ];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value));
    let mut metadata = BTreeMap::from(metadata);
    if let Some(labels) = prompt.verbalizer.labels() {
        metadata.insert("labels".to_owned(), serde_json::to_string(labels).map_err(json)?);
    }
    if let Some(spans) = &prompt.spans {
        metadata.insert("spans".to_owned(), serde_json::to_string(spans).map_err(json)?);
    }
    write_tensors(path, &tensors, metadata)?;

    let back = PromptFile::load(path)?.prompt(backbone, path)?;
    let difference = match (&vectors, back.vectors.map(Tensor::into_data)) {
        (Some(vectors), back) => largest_difference(vectors, back.as_ref()),
        (None, _) => 0.0,
    };
    if difference == 0.0 {
        Ok(())
    } else {
        Err(Error::ExportDiffers { path: path.to_owned(), difference })
    }
}

/// Largest absolute difference; infinite where there is nothing to compare or a value is not finite.
pub(super) fn largest_difference(expected: &TensorData, found: Option<&TensorData>) -> f32 {
    match found {
        Some(found) if found.shape() == expected.shape() => expected
            .iter::<f32>()
            .zip(found.iter::<f32>())
            .map(|(a, b)| if (a - b).is_finite() { (a - b).abs() } else { f32::INFINITY })
            .fold(0.0, f32::max),
        _ => f32::INFINITY,
    }
}
