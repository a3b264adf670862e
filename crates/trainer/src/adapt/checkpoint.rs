//! Checkpoints of a language model that learns: one safetensors file with `model.<name>` and the
//! optimiser's `optimizer.<name>.moment_1` and `.moment_2`.

use std::collections::BTreeMap;
use std::path::Path;

use backbone::source::Identity;
use burn::tensor::{Device, TensorData};
use serde::{Deserialize, Serialize};

use super::FullTuning;
use crate::checkpoint::{CheckpointError, FORMAT, Position, read_tensors, write_tensors};

/// The key of the file's metadata.
const KEY: &str = "ptune-adapt";

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
        let header = serde_json::to_string(&self.header)
            .map_err(|source| CheckpointError::Metadata { file: path.to_owned(), source })?;
        write_tensors(path, &tensors, BTreeMap::from([(KEY.to_owned(), header)]))
    }

    /// Reads one.
    ///
    /// # Errors
    /// A file that is not a checkpoint, is damaged, or is of another format.
    pub fn load(path: &Path) -> Result<Self, CheckpointError> {
        let (tensors, metadata) = read_tensors(path)?;
        let text = metadata.get(KEY).ok_or_else(|| CheckpointError::Foreign {
            file: path.to_owned(),
            expected: "a checkpoint of `ptune adapt`",
        })?;
        let metadata = |source| CheckpointError::Metadata { file: path.to_owned(), source };
        let header: AdaptHeader = serde_json::from_str(text).map_err(metadata)?;
        if header.format != FORMAT {
            let (expected, found) = (FORMAT, header.format);
            return Err(CheckpointError::Format { file: path.to_owned(), expected, found });
        }
        let (mut model, mut optimizer) = (BTreeMap::new(), BTreeMap::new());
        for (name, data) in tensors {
            if let Some(name) = name.strip_prefix("model.") {
                model.insert(name.to_owned(), data);
            } else if let Some(name) = name.strip_prefix("optimizer.") {
                optimizer.insert(name.to_owned(), data);
            }
        }
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
        let identity = &tuning.model.identity;
        if !self.header.backbone.is_same(identity) {
            let describe = |identity: &Identity| {
                format!("{} (sha256 {:.12}…)", identity.file.display(), identity.sha256)
            };
            return Err(CheckpointError::Backbone {
                file: file.to_owned(),
                expected: describe(&self.header.backbone),
                found: describe(identity),
                hint: "set backbone.source to the backbone it started from".to_owned(),
            });
        }
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
