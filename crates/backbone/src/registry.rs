//! From a source to a language model: the only place that names every family.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use ptuning_core::language_model::{LanguageModel, Objective};

use crate::config::Config;
use crate::device::is_cpu;
use crate::error::LoadError;
use crate::families::{
    albert, bert, distilbert, electra, gemma3, gpt_neox, gpt2, llama, modernbert, opt, roberta, t5,
};
use crate::footprint::Footprint;
use crate::layers::Loader;
use crate::random::{RandomSizes, RandomWeights};
use crate::source::redrawn::{self, Redrawn};
use crate::source::{self, Identity, Rounded, Source, TokenizerKind, Weights, nearest};
use crate::tensor_report::TensorReport;
use crate::tokenizer::Tokenizer;
use crate::transformer::{
    Description, Options, Parameters, Places, Precision, Rounding, Snapshot, Tensors, TransformerLm,
};

type Describe = fn(&Config<'_>) -> Result<Description, LoadError>;

/// `model_type` of a Hugging Face config (or architecture of a GGUF file) → family.
const FAMILIES: &[(&str, Describe)] = &[
    ("albert", albert::describe),
    ("bert", bert::describe),
    ("distilbert", distilbert::describe),
    ("electra", electra::describe),
    ("gemma3_text", gemma3::describe),
    ("gpt2", gpt2::describe),
    ("gpt_neox", gpt_neox::describe),
    ("llama", llama::describe),
    ("modernbert", modernbert::describe),
    ("mt5", t5::describe_mt5),
    ("opt", opt::describe),
    ("qwen2", llama::describe_qwen2),
    ("qwen3", llama::describe_qwen3),
    ("roberta", roberta::describe),
    ("t5", t5::describe),
    ("umt5", t5::describe_umt5),
    ("xlm-roberta", roberta::describe),
];

/// `model_type` → its tokenizer, where a folder has no tokenizer.json and does not name a class.
const TOKENIZERS: &[(&str, TokenizerKind)] = &[
    ("albert", TokenizerKind::Albert),
    ("bert", TokenizerKind::WordPiece),
    ("distilbert", TokenizerKind::WordPiece),
    ("electra", TokenizerKind::WordPiece),
    ("gemma3_text", TokenizerKind::Gemma),
    ("gpt2", TokenizerKind::Gpt2),
    ("gpt_neox", TokenizerKind::GptNeoX),
    ("llama", TokenizerKind::Llama),
    ("opt", TokenizerKind::Gpt2),
    ("qwen2", TokenizerKind::Qwen2),
    ("qwen3", TokenizerKind::Qwen2),
    ("roberta", TokenizerKind::Roberta),
    ("t5", TokenizerKind::T5),
    ("xlm-roberta", TokenizerKind::XlmRoberta),
];

/// A loaded language model with its tokenizer.
pub struct Backbone {
    /// The frozen model.
    pub model: Box<dyn LanguageModel>,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// What tells it from every other backbone.
    pub identity: Identity,
    /// Which tensors of its files are used.
    pub tensors: TensorReport,
    /// The folder or file that it was loaded from.
    pub path: PathBuf,
}

/// A language model whose weights learn, with its tokenizer.
pub struct Trainable {
    /// The weights.
    pub parameters: Parameters,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
    /// What tells it from every other backbone.
    pub identity: Identity,
    /// The keys of Hugging Face's `config.json`.
    pub config: serde_json::Map<String, serde_json::Value>,
    description: Description,
    device: Device,
}

impl Trainable {
    /// Causal or masked.
    pub fn objective(&self) -> Objective {
        self.description.objective
    }

    /// Rows of the embedding table.
    pub fn vocab_size(&self) -> usize {
        self.description.embeddings.out
    }

    /// Longest sequence that its positions allow.
    pub fn max_positions(&self) -> usize {
        self.description.max_positions
    }

    /// Where its tensors stand.
    pub fn places(&self) -> Places {
        Places::new(&self.description)
    }

    /// The (non-autodiff) device that its weights are on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The model of tensors that autodiff may track, by [`Parameters::tracked`], as Burn's operations.
    ///
    /// # Errors
    /// None for tensors of its own parameters.
    pub fn model(&self, tensors: &Tensors) -> Result<TransformerLm, LoadError> {
        let options = Options { fused: false, ..Options::default() };
        let weights = Snapshot::default();
        let loader = Loader::new(&weights, &self.device, &options).with_learned(tensors);
        TransformerLm::load(&self.description, &loader, options)
    }

    /// The model as it is now, frozen, in the fastest form that the device has.
    ///
    /// # Errors
    /// None for parameters as they were read.
    pub fn frozen(&self) -> Result<TransformerLm, LoadError> {
        self.frozen_with(&BTreeMap::new())
    }

    /// The same with other tensors in the place of those of the same names.
    ///
    /// # Errors
    /// A tensor of another size.
    pub fn frozen_with(&self, others: &Tensors) -> Result<TransformerLm, LoadError> {
        let options = Options::default();
        let weights = self.parameters.snapshot_with(others);
        let loader = Loader::new(&weights, &self.device, &options);
        TransformerLm::load(&self.description, &loader, options)
    }
}

/// Loads a Hugging Face folder or a GGUF file with all of its weights in f32, to train them.
///
/// # Errors
/// As [`load`], and an encoder–decoder, whose training on a text is another.
pub fn trainable(path: &Path, device: &Device) -> Result<Trainable, LoadError> {
    let (source, description, _) = checked(path)?;
    if description.decoder.is_some() {
        return Err(LoadError::EncoderDecoder { family: source.identity.family });
    }
    let options = Options { fused: false, ..Options::default() };
    let loader = Loader::new(source.weights.as_ref(), device, &options);
    let parameters = Parameters::read(&description, &loader)?;
    let Source { config, tokenizer, identity, .. } = source;
    Ok(Trainable { parameters, tokenizer, identity, config, description, device: device.clone() })
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
    check(options, device)?;
    let (source, description, tensors) = checked(path)?;
    let redrawn = Redrawn(source.weights.as_ref());
    let weights = origin(source.weights.as_ref(), &redrawn, options);
    let rounded = Rounded::new(weights, &description, options.rounding);
    let loader = Loader::new(as_loaded(weights, &rounded), device, &options);
    let model = Box::new(TransformerLm::load(&description, &loader, options)?);
    let Source { tokenizer, mut identity, .. } = source;
    if options.random_weights {
        identity = redrawn::identity(identity);
    }
    Ok(Backbone { model, tokenizer, identity, tensors, path: path.to_owned() })
}

/// An opened source and what it holds: all that is wrong is told at once, before anything is read.
fn checked(path: &Path) -> Result<(Source, Description, TensorReport), LoadError> {
    let source = source::open(path)?;
    let description = describe(&source)?;
    let report = TensorReport::new(&description, source.weights.as_ref());
    report.check(&description, saved_from(&source))?;
    Ok((source, description, report))
}

/// Weights of the file, or others of the same shapes.
fn origin<'a>(
    file: &'a dyn Weights,
    redrawn: &'a Redrawn<'a>,
    options: Options,
) -> &'a dyn Weights {
    if options.random_weights { redrawn } else { file }
}

/// Weights as they are loaded: rounded, if they are to be.
fn as_loaded<'a>(weights: &'a dyn Weights, rounded: &'a Option<Rounded<'a>>) -> &'a dyn Weights {
    match rounded {
        Some(rounded) => rounded,
        None => weights,
    }
}

/// The class that a folder's weights were saved from, as its config has it.
fn saved_from(source: &Source) -> Option<&str> {
    source.config.get("architectures")?.get(0)?.as_str()
}

/// Which tensors of a backbone's files are used, and whether they fit, from their headers alone.
///
/// The second is the error that [`load`] gives for files that do not fit.
///
/// # Errors
/// As [`load`], but for tensors that are missing or of another shape.
pub fn tensors(path: &Path) -> Result<(TensorReport, Result<(), LoadError>), LoadError> {
    let source = source::open(path)?;
    let description = describe(&source)?;
    let report = TensorReport::new(&description, source.weights.as_ref());
    let checked = report.check(&description, saved_from(&source));
    Ok((report, checked))
}

/// Whether a device can run a backbone in a way.
///
/// # Errors
/// [`LoadError::Precision`].
pub fn check(options: Options, device: &Device) -> Result<(), LoadError> {
    let precision = options.precision;
    let reason = if precision == Precision::F32 {
        return Ok(());
    } else if options.fused && is_cpu(device) {
        "the CPU keeps weights as small as their file and computes in f32\nhint: leave dtype out, or \
         set backbone.fused = false"
    } else if !device.supports_dtype(precision.dtype()) {
        "this device cannot compute with such numbers\nhint: use f32, or f16 in place of bf16"
    } else {
        return Ok(());
    };
    Err(LoadError::Precision { found: precision.name(), reason })
}

/// What an opened source holds, by its family.
fn describe(source: &Source) -> Result<Description, LoadError> {
    let found =
        source.config.get("model_type").and_then(|value| value.as_str()).unwrap_or_default();
    let names = || FAMILIES.iter().map(|(name, _)| *name);
    let Some((_, describe)) = FAMILIES.iter().find(|(name, _)| *name == found) else {
        return Err(LoadError::UnknownFamily {
            file: source.config_file.clone(),
            found: found.to_owned(),
            known: names().collect::<Vec<_>>().join(", "),
            nearest: nearest(found, names()).map(str::to_owned),
        });
    };
    describe(&Config::new(source))
}

/// How much memory a backbone takes, from its files' headers alone.
///
/// # Errors
/// As [`load`], but for what only the numbers tell.
pub fn footprint(path: &Path, device: &Device, options: Options) -> Result<Footprint, LoadError> {
    let (source, description, _) = checked(path)?;
    let redrawn = Redrawn(source.weights.as_ref());
    let weights = origin(source.weights.as_ref(), &redrawn, options);
    let rounded = Rounded::new(weights, &description, options.rounding);
    let weights = as_loaded(weights, &rounded);
    Ok(Footprint::new(
        description.clone(),
        weights,
        options.fused && is_cpu(device),
        options.rounding,
    ))
}

/// What a backbone is, told from its files' headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The family, by the `model_type` of its config.
    pub family: String,
    /// Numbers of all weights.
    pub parameters: usize,
    /// Words of the vocabulary: rows of the embedding table.
    pub vocabulary: usize,
}

/// Looks at a backbone without loading it.
///
/// # Errors
/// As [`load`], but for what only the numbers tell.
pub fn summary(path: &Path) -> Result<Summary, LoadError> {
    let source = source::open(path)?;
    let footprint =
        Footprint::new(describe(&source)?, source.weights.as_ref(), true, Rounding::None);
    let (parameters, vocabulary) = (footprint.parameters, footprint.vocab);
    Ok(Summary { family: source.identity.family, parameters, vocabulary })
}

/// A model of random weights: what it costs does not depend on them.
///
/// # Errors
/// Sizes that do not go together.
pub fn random(
    sizes: &RandomSizes,
    device: &Device,
    options: Options,
) -> Result<TransformerLm, LoadError> {
    check(options, device)?;
    let description = sizes.describe()?;
    let weights = RandomWeights::new(&description, sizes.weights);
    let rounded = Rounded::new(&weights, &description, options.rounding);
    let loader = Loader::new(as_loaded(&weights, &rounded), device, &options);
    TransformerLm::load(&description, &loader, options)
}

/// Where a model's word embeddings stand, and what becomes of their rows.
#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddingTable {
    /// Name of the tensor, as Hugging Face has it: `model.embed_tokens.weight`.
    pub tensor: String,
    /// What a row is multiplied by when it is looked up.
    pub scale: f64,
    /// Whether the head scores words by the same rows.
    pub tied: bool,
}

/// The word embeddings of a backbone, from its files' headers alone.
///
/// # Errors
/// As [`load`], but for what only the numbers tell.
pub fn embedding_table(path: &Path) -> Result<EmbeddingTable, LoadError> {
    let description = describe(&source::open(path)?)?;
    Ok(EmbeddingTable {
        tensor: description.embeddings.weight,
        scale: description.embedding_scale.unwrap_or(1.0),
        tied: description.head.is_none(),
    })
}

/// The footprint of a [`random`] model, without making it.
///
/// # Errors
/// Sizes that do not go together.
pub fn random_footprint(
    sizes: &RandomSizes,
    device: &Device,
    options: Options,
) -> Result<Footprint, LoadError> {
    let description = sizes.describe()?;
    let weights = RandomWeights::new(&description, sizes.weights);
    let rounded = Rounded::new(&weights, &description, options.rounding);
    let weights = as_loaded(&weights, &rounded);
    Ok(Footprint::new(
        description.clone(),
        weights,
        options.fused && is_cpu(device),
        options.rounding,
    ))
}

/// Families that are built in, by the `model_type` of their config.
pub fn families() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().map(|(name, _)| *name)
}

/// The kind of tokenizer that a family's folders have, by `model_type`.
pub(crate) fn tokenizer_kind(family: &str) -> Option<TokenizerKind> {
    TOKENIZERS.iter().find(|(name, _)| *name == family).map(|(_, kind)| *kind)
}
