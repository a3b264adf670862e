//! Checkpoints: one safetensors file with everything a run needs to go on, and nothing of the
//! backbone.
//!
//! | tensor | what |
//! |---|---|
//! | `encoder.<parameter>` | prompt encoder |
//! | `optimizer.<parameter>.moment_1`, `.moment_2` | Adam's moments |
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
use ptuning_core::verbalizer::OpenVocabulary;
use serde::{Deserialize, Serialize};

pub use error::CheckpointError;
pub use file::{atomically, read_tensors, write_tensors};

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
    /// Which words may answer.
    pub verbalizer: OpenVocabulary,
}

impl Checkpoint {
    /// Writes it to a temporary file beside `path`, then renames.
    ///
    /// # Errors
    /// A disk that is full or read-only; `path` is then what it was.
    pub fn save(&self, path: &Path) -> Result<(), CheckpointError> {
        let mut tensors = BTreeMap::new();
        for (prefix, part) in [("encoder", &self.encoder), ("optimizer", &self.optimizer)] {
            tensors
                .extend(part.iter().map(|(name, data)| (format!("{prefix}.{name}"), data.clone())));
        }
        if let Some(ids) = self.verbalizer.ids() {
            tensors.insert("candidates".to_owned(), id_tensor(ids));
        }
        let header = serde_json::to_string(&self.header)
            .map_err(|source| CheckpointError::Metadata { file: path.to_owned(), source })?;
        write_tensors(path, &tensors, BTreeMap::from([("ptune".to_owned(), header)]))
    }

    /// Reads one.
    ///
    /// # Errors
    /// A file that is not a checkpoint, is damaged, or is of another format.
    pub fn load(path: &Path) -> Result<Self, CheckpointError> {
        let (tensors, metadata) = read_tensors(path)?;
        let text = metadata.get("ptune").ok_or_else(|| CheckpointError::Foreign {
            file: path.to_owned(),
            expected: "a ptune checkpoint",
        })?;
        // The version first: what follows may have changed with it.
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let metadata = |source| CheckpointError::Metadata { file: path.to_owned(), source };
        let Version { format } = serde_json::from_str(text).map_err(metadata)?;
        if format != FORMAT {
            return Err(CheckpointError::Format {
                file: path.to_owned(),
                expected: FORMAT,
                found: format,
            });
        }
        let header = serde_json::from_str(text).map_err(metadata)?;
        let mut encoder = BTreeMap::new();
        let mut optimizer = BTreeMap::new();
        let mut verbalizer = OpenVocabulary::whole();
        for (name, data) in tensors {
            if let Some(name) = name.strip_prefix("encoder.") {
                encoder.insert(name.to_owned(), data);
            } else if let Some(name) = name.strip_prefix("optimizer.") {
                optimizer.insert(name.to_owned(), data);
            } else if name == "candidates" {
                verbalizer = OpenVocabulary::candidates(data.iter::<u32>());
            }
        }
        Ok(Self { header, encoder, optimizer, verbalizer })
    }
}

/// Vocabulary ids as a tensor to write.
pub(crate) fn id_tensor(ids: Vec<u32>) -> TensorData {
    let count = ids.len();
    TensorData::new(ids, [count])
}
