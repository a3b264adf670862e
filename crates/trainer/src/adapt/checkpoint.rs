//! Checkpoints of a language model that learns: one safetensors file with `model.<name>` and the
//! optimiser's `optimizer.<name>.moment_1` and `.moment_2`.

use std::collections::BTreeMap;
use std::path::Path;

use backbone::source::Identity;
use burn::tensor::{Device, TensorData};
use serde::{Deserialize, Serialize};

use super::FullTuning;
use crate::checkpoint::{
    CheckpointError, FORMAT, Position, check_identity, part, read_with_header, write_with_header,
};

/// The key of the file's metadata.
pub(crate) const KEY: &str = "ptune-adapt";

/// What a checkpoint says about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdaptHeader {
    /// [`FORMAT`].
    pub format: u32,
    /// Version of ptune that wrote it.
    pub version: String,
    /// Seed of the run.
    pub seed: u64,
    /// The backbone it started from.
    pub backbone: Identity,
    /// Steps that the optimiser's moments have seen.
    pub optimizer_steps: usize,
    /// Where the run stands.
    pub position: Position,
}

/// A checkpoint in memory.
#[derive(Debug, Clone)]
pub struct AdaptCheckpoint {
    /// What it says about itself.
    pub header: AdaptHeader,
    model: BTreeMap<String, TensorData>,
    optimizer: BTreeMap<String, TensorData>,
}

impl AdaptCheckpoint {
    /// A model and its optimiser as they are.
    pub fn of(tuning: &FullTuning, seed: u64, position: &Position) -> Self {
        let parameters = &tuning.model.parameters;
        let names: Vec<String> = parameters.shapes().keys().cloned().collect();
        let (optimizer, optimizer_steps) = tuning.optimizer.state(&names);
        let header = AdaptHeader {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            seed,
            backbone: tuning.model.identity.clone(),
            optimizer_steps,
            position: position.clone(),
        };
        Self { header, model: parameters.snapshot().into_data(), optimizer }
    }

    /// Writes it to a temporary file beside `path`, then renames.
    ///
    /// # Errors
    /// A disk that is full or read-only; `path` is then what it was.
    pub fn save(self, path: &Path) -> Result<(), CheckpointError> {
        let mut tensors = BTreeMap::new();
        for (prefix, part) in [("model", self.model), ("optimizer", self.optimizer)] {
            tensors.extend(part.into_iter().map(|(name, data)| (format!("{prefix}.{name}"), data)));
        }
        write_with_header(path, &tensors, KEY, &self.header)
    }

    /// Reads one.
    ///
    /// # Errors
    /// A file that is not a checkpoint, is damaged, or is of another format.
    pub fn load(path: &Path) -> Result<Self, CheckpointError> {
        let expected = "a checkpoint of `ptune adapt`";
        let (mut tensors, header) = read_with_header(path, KEY, expected)?;
        let (model, optimizer) = (part(&mut tensors, "model"), part(&mut tensors, "optimizer"));
        Ok(Self { header, model, optimizer })
    }

    /// Puts a model and its optimiser where it stands.
    ///
    /// # Errors
    /// A checkpoint of another backbone, or a tensor that is missing or of another shape.
    pub fn restore(
        self,
        tuning: &mut FullTuning,
        device: &Device,
        file: &Path,
    ) -> Result<(), CheckpointError> {
        let hint = "set backbone.source to the backbone it started from";
        check_identity(file, &self.header.backbone, &tuning.model.identity, hint)?;
        let wrong = |wrong: backbone::transformer::WrongParameter| {
            let backbone::transformer::WrongParameter { name, expected, found } = wrong;
            CheckpointError::Parameter { name: format!("model.{name}"), expected, found }
        };
        let shapes = tuning.model.parameters.shapes().clone();
        let sizes = shapes.into_iter().map(|(name, shape)| (shape.iter().product(), name));
        let steps = self.header.optimizer_steps;
        tuning.optimizer.restore_sizes(sizes, &self.optimizer, steps, device)?;
        tuning.model.parameters.set(&self.model).map_err(wrong)
    }
}
