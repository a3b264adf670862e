//! From a source to a language model: the only place that names every family.

use std::path::Path;

use burn::tensor::Device;
use ptuning_core::language_model::LanguageModel;

use crate::error::LoadError;
use crate::families::llama;
use crate::source::{self, Identity, Source, nearest};
use crate::tokenizer::Tokenizer;
use crate::transformer::Options;

type Load = fn(&Source, &Device, Options) -> Result<Box<dyn LanguageModel>, LoadError>;

/// `model_type` of a Hugging Face config (or architecture of a GGUF file) → family.
const FAMILIES: &[(&str, Load)] =
    &[("llama", |source, device, options| Ok(Box::new(llama::load(source, device, options)?)))];

/// A loaded language model with its tokenizer.
pub struct Backbone {
    /// The frozen model.
    pub model: Box<dyn LanguageModel>,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// What tells it from every other backbone.
    pub identity: Identity,
}

/// Loads a Hugging Face folder or a GGUF file onto a device.
///
/// # Errors
/// Unreadable or hostile files, a family that is not built in, a config that contradicts the
/// tensors.
pub fn load(path: &Path, device: &Device) -> Result<Backbone, LoadError> {
    load_with(path, device, Options::default())
}

/// As [`load`], to run in another way.
///
/// # Errors
/// As [`load`].
pub fn load_with(path: &Path, device: &Device, options: Options) -> Result<Backbone, LoadError> {
    let source = source::open(path)?;
    let found =
        source.config.get("model_type").and_then(|value| value.as_str()).unwrap_or_default();
    let names = || FAMILIES.iter().map(|(name, _)| *name);
    let Some((_, load)) = FAMILIES.iter().find(|(name, _)| *name == found) else {
        return Err(LoadError::UnknownFamily {
            file: source.config_file.clone(),
            found: found.to_owned(),
            known: names().collect::<Vec<_>>().join(", "),
            nearest: nearest(found, names()).map(str::to_owned),
        });
    };
    let model = load(&source, device, options)?;
    Ok(Backbone { model, tokenizer: source.tokenizer, identity: source.identity })
}

/// Families that are built in, by the `model_type` of their config.
pub fn families() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().map(|(name, _)| *name)
}
