//! Checkpoints: one safetensors file with everything a run needs to go on, and nothing of the
//! backbone.
//!
//! | tensor | what |
//! |---|---|
//! | `encoder.<parameter>` | prompt encoder |
//! | `optimizer.<parameter>.moment_1`, `.moment_2` | Adam's moments |
//! | `lm.<tensor>` | what of the language model has learned: weights, or LoRA's `.lora_A` and `.lora_B` |
//! | `lm_optimizer.<tensor>.moment_1`, `.moment_2` | its optimiser |
//! | `verbalizer.value` | what of the verbalizer has learned: logarithms of word weights, or label vectors |
//! | `verbalizer_optimizer.value.moment_1`, `.moment_2` | its optimiser |
//! | `candidates` | vocabulary ids that may answer; absent for the whole vocabulary |
//!
//! The metadata key `ptune` holds a [`Position`] and what it belongs to as JSON. The learning-rate
//! schedule, the order of the data and the random starts are functions of the position and of the
//! seed in it, so they need no state of their own.

mod error;
mod file;

use std::collections::BTreeMap;
use std::path::Path;

use backbone::source::Identity;
use burn::tensor::TensorData;
use ptuning_core::objective::Scores;
use ptuning_core::prompt_encoder::EncoderConfig;
use ptuning_core::spans::SpanRules;
use ptuning_core::verbalizer::{LabelWords, OpenVocabulary, Verbalizer};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::strategy::LmHeader;

pub use error::CheckpointError;
use file::read_metadata;
pub use file::{atomically, is_being_written, read_tensors, write_tensors};

/// The key of the header in the file's metadata.
const KEY: &str = "ptune";

/// Version of the layout; a reader refuses any other.
pub const FORMAT: u32 = 1;

/// Where a run stands, between two optimiser steps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Epoch under way, from 0.
    pub epoch: usize,
    /// Optimiser steps done in it.
    pub step_in_epoch: usize,
    /// Optimiser steps done in all.
    pub step: usize,
    /// Sum of the examples' losses in this epoch so far.
    pub loss_sum: f64,
    /// Examples seen in this epoch so far.
    pub examples: usize,
    /// Seconds spent training, evaluation left out.
    pub seconds: f64,
    /// Best dev scores so far, and their epoch.
    pub best: Option<(usize, Scores)>,
    /// Whether patience ran out.
    pub stopped: bool,
}

/// What a checkpoint says about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub format: u32,
    /// Version of ptune that wrote it.
    pub version: String,
    /// Seed of the run.
    pub seed: u64,
    /// The template as written.
    pub template: String,
    /// Sizes of the prompt encoder.
    pub encoder: EncoderConfig,
    /// The backbone it was trained on.
    pub backbone: Identity,
    /// Steps that the optimiser's moments have seen.
    pub optimizer_steps: usize,
    /// Where the run stands.
    pub position: Position,
    /// Labels and their words, where answers are labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelWords>,
    /// Which spans of a sentence are asked about, where answers are entities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spans: Option<SpanRules>,
    /// The language model's part, where it learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lm: Option<LmHeader>,
    /// Steps that the moments of the verbalizer's optimiser have seen.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub labels_steps: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// A checkpoint in memory.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// What it says about itself.
    pub header: Header,
    /// Prompt encoder, by parameter.
    pub encoder: BTreeMap<String, TensorData>,
    /// Optimiser, by parameter and moment.
    pub optimizer: BTreeMap<String, TensorData>,
    /// What the language model has learned, by tensor.
    pub lm: BTreeMap<String, TensorData>,
    /// Its optimiser, by tensor and moment.
    pub lm_optimizer: BTreeMap<String, TensorData>,
    /// What of the verbalizer has learned.
    pub labels: BTreeMap<String, TensorData>,
    /// Its optimiser's moments.
    pub labels_optimizer: BTreeMap<String, TensorData>,
    /// What may answer.
    pub verbalizer: Verbalizer,
}

impl Checkpoint {
    /// Writes it to a temporary file beside `path`, then renames.
    ///
    /// # Errors
    /// A disk that is full or read-only; `path` is then what it was.
    pub fn save(&self, path: &Path) -> Result<(), CheckpointError> {
        let mut tensors = BTreeMap::new();
        for (prefix, part) in [
            ("encoder", &self.encoder),
            ("optimizer", &self.optimizer),
            ("lm", &self.lm),
            ("lm_optimizer", &self.lm_optimizer),
            ("verbalizer", &self.labels),
            ("verbalizer_optimizer", &self.labels_optimizer),
        ] {
            tensors
                .extend(part.iter().map(|(name, data)| (format!("{prefix}.{name}"), data.clone())));
        }
        if let Some(ids) = self.verbalizer.candidates() {
            tensors.insert("candidates".to_owned(), id_tensor(ids));
        }
        let header = Header { labels: self.verbalizer.labels().cloned(), ..self.header.clone() };
        write_with_header(path, &tensors, KEY, &header)
    }

    /// Reads one.
    ///
    /// # Errors
    /// A file that is not a checkpoint, is damaged, or is of another format.
    pub fn load(path: &Path) -> Result<Self, CheckpointError> {
        let (mut tensors, header): (_, Header) = read_with_header(path, KEY, "a ptune checkpoint")?;
        let candidates = tensors.remove("candidates").map(|data| data.iter::<u32>().collect());
        Ok(Self {
            verbalizer: verbalizer(header.labels.clone(), candidates),
            header,
            encoder: part(&mut tensors, "encoder"),
            optimizer: part(&mut tensors, "optimizer"),
            lm: part(&mut tensors, "lm"),
            lm_optimizer: part(&mut tensors, "lm_optimizer"),
            labels: part(&mut tensors, "verbalizer"),
            labels_optimizer: part(&mut tensors, "verbalizer_optimizer"),
        })
    }
}

/// What may answer, as files hold it: labels, candidate ids, or neither for the whole vocabulary.
pub(crate) fn verbalizer(labels: Option<LabelWords>, candidates: Option<Vec<u32>>) -> Verbalizer {
    match (labels, candidates) {
        (Some(labels), _) => Verbalizer::Labels(labels),
        (None, Some(ids)) => Verbalizer::Words(OpenVocabulary::candidates(ids)),
        (None, None) => Verbalizer::Words(OpenVocabulary::whole()),
    }
}

/// Writes tensors with a header under a key of the metadata.
///
/// # Errors
/// As [`atomically`].
pub(crate) fn write_with_header(
    path: &Path,
    tensors: &BTreeMap<String, TensorData>,
    key: &str,
    header: &impl Serialize,
) -> Result<(), CheckpointError> {
    let header = serde_json::to_string(header)
        .map_err(|source| CheckpointError::Metadata { file: path.to_owned(), source })?;
    write_tensors(path, tensors, BTreeMap::from([(key.to_owned(), header)]))
}

/// Keys of the headers that hold a position: of prompts, and of language models that read a text.
const KEYS: [&str; 2] = [KEY, crate::adapt::KEY];

/// Where the run of a checkpoint stands, of whatever job, from the file's header alone.
///
/// # Errors
/// As [`Checkpoint::load`], but that tensors are counted and not read.
pub fn position(path: &Path) -> Result<Position, CheckpointError> {
    #[derive(Deserialize)]
    struct Standing {
        position: Position,
    }
    let metadata = read_metadata(path)?;
    let text = KEYS.iter().find_map(|key| metadata.get(*key));
    let standing: Standing = header_of(path, text, "a ptune checkpoint")?;
    Ok(standing.position)
}

/// Reads what [`write_with_header`] wrote, `expected` being its name in words.
///
/// # Errors
/// A file without the key, damaged, or of another format.
pub(crate) fn read_with_header<H: DeserializeOwned>(
    path: &Path,
    key: &str,
    expected: &'static str,
) -> Result<(BTreeMap<String, TensorData>, H), CheckpointError> {
    let (tensors, metadata) = read_tensors(path)?;
    Ok((tensors, header_of(path, metadata.get(key), expected)?))
}

/// Understands the header of a file, `expected` being the file's name in words.
fn header_of<H: DeserializeOwned>(
    path: &Path,
    text: Option<&String>,
    expected: &'static str,
) -> Result<H, CheckpointError> {
    let foreign = || CheckpointError::Foreign { file: path.to_owned(), expected };
    let text = text.ok_or_else(foreign)?;
    // The version first: what follows may have changed with it.
    #[derive(Deserialize)]
    struct Version {
        format: u32,
    }
    let metadata = |source| CheckpointError::Metadata { file: path.to_owned(), source };
    let Version { format: found } = serde_json::from_str(text).map_err(metadata)?;
    if found != FORMAT {
        return Err(CheckpointError::Format { file: path.to_owned(), expected: FORMAT, found });
    }
    serde_json::from_str(text).map_err(metadata)
}

/// Takes out the tensors whose names begin with `prefix` and a dot, and drops that.
pub(crate) fn part(
    tensors: &mut BTreeMap<String, TensorData>,
    prefix: &str,
) -> BTreeMap<String, TensorData> {
    let is_part = |name: &str| name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'));
    let taken = tensors.extract_if(.., |name, _| is_part(name));
    taken.map(|(name, data)| (name[prefix.len() + 1..].to_owned(), data)).collect()
}

/// Refuses a checkpoint of another backbone; `hint` says what to set.
pub(crate) fn check_identity(
    file: &Path,
    expected: &Identity,
    found: &Identity,
    hint: &str,
) -> Result<(), CheckpointError> {
    if expected.is_same(found) {
        return Ok(());
    }
    let describe = |identity: &Identity| {
        format!("{} (sha256 {:.12}…)", identity.file.display(), identity.sha256)
    };
    Err(CheckpointError::Backbone {
        file: file.to_owned(),
        expected: describe(expected),
        found: describe(found),
        hint: hint.to_owned(),
    })
}

/// Vocabulary ids as a tensor to write.
pub(crate) fn id_tensor(ids: Vec<u32>) -> TensorData {
    let count = ids.len();
    TensorData::new(ids, [count])
}
