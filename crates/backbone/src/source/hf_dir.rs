//! A Hugging Face folder: config.json, a tokenizer's files, and weights in one or several safetensors
//! files or PyTorch checkpoints.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::identity::sha256_of_parts;
use super::pytorch::PytorchWeights;
use super::safetensors::SafetensorsWeights;
use super::{Identity, Source, SourceError, Weights, hf_tokenizer};
use crate::tokenizer::Tokenizer;

pub(super) const CONFIG: &str = "config.json";
pub(super) const WEIGHTS: &str = "model.safetensors";
pub(super) const INDEX: &str = "model.safetensors.index.json";
pub(super) const PYTORCH: &str = "pytorch_model.bin";
pub(super) const PYTORCH_INDEX: &str = "pytorch_model.bin.index.json";

/// Opens a folder that has a config.json.
///
/// # Errors
/// A file that is missing or damaged, by name.
pub(super) fn open(folder: &Path) -> Result<Source, SourceError> {
    let config_bytes = read(folder, CONFIG)?;
    let config = object(&folder.join(CONFIG), &config_bytes)?;
    let family = match config.get("model_type") {
        Some(Value::String(family)) => family.clone(),
        _ => {
            return Err(SourceError::JsonKey {
                path: folder.join(CONFIG),
                key: "model_type",
                expected: "a string such as \"llama\"",
            });
        }
    };
    let (weights, sha256) = weights(folder, &config_bytes)?;
    let tokenizer = hf_tokenizer::tokenizer(folder, &config)?;
    let identity = Identity { family, file: title(folder), sha256 };
    let config_file = folder.join(CONFIG);
    Ok(Source { config, config_file, weights, tokenizer, identity })
}

/// A folder's name for people. In Hugging Face's cache that is the repository's: the folder itself is
/// named by its commit, in `models--org--model/snapshots`.
fn title(folder: &Path) -> PathBuf {
    let own = || folder.file_name().unwrap_or(folder.as_os_str()).into();
    let snapshots = folder.parent().filter(|above| above.ends_with("snapshots"));
    let repository = snapshots.and_then(Path::parent).and_then(Path::file_name);
    let repository = repository.and_then(|name| name.to_str()?.strip_prefix("models--"));
    repository.map_or_else(own, |name| name.replace("--", "/").into())
}

/// The tokenizer of a folder that has a config.json, whatever weights it has.
///
/// # Errors
/// A file that is missing or damaged, by name.
pub(super) fn tokenizer(folder: &Path) -> Result<Tokenizer, SourceError> {
    let config = object(&folder.join(CONFIG), &read(folder, CONFIG)?)?;
    hf_tokenizer::tokenizer(folder, &config)
}

/// The weights and, with the config, what identifies them: safetensors before anything else.
fn weights(folder: &Path, config: &[u8]) -> Result<(Box<dyn Weights>, String), SourceError> {
    let is_there = |file| folder.join(file).is_file();
    let path = |file| folder.join(file);
    let weights = if is_there(WEIGHTS) {
        SafetensorsWeights::open(&path(WEIGHTS))?
    } else if is_there(INDEX) {
        SafetensorsWeights::open_shards(&path(INDEX), &shards(folder, INDEX)?)?
    } else if is_there(PYTORCH) || is_there(PYTORCH_INDEX) {
        let weights = if is_there(PYTORCH) {
            PytorchWeights::open(&path(PYTORCH), &[path(PYTORCH)])?
        } else {
            PytorchWeights::open(&path(PYTORCH_INDEX), &shards(folder, PYTORCH_INDEX)?)?
        };
        let sha256 = sha256_of_parts([config, weights.header()]);
        return Ok((Box::new(weights), sha256));
    } else {
        return Err(SourceError::MissingFile { folder: folder.to_path_buf(), file: WEIGHTS });
    };
    let sha256 = sha256_of_parts(std::iter::once(config).chain(weights.headers()));
    Ok((Box::new(weights), sha256))
}

/// A file that the folder must have.
pub(super) fn read(folder: &Path, file: &'static str) -> Result<Vec<u8>, SourceError> {
    let path = folder.join(file);
    fs::read(&path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => {
            SourceError::MissingFile { folder: folder.to_path_buf(), file }
        }
        _ => SourceError::Read { path, source },
    })
}

/// A JSON object.
pub(super) fn object(path: &Path, bytes: &[u8]) -> Result<Map<String, Value>, SourceError> {
    serde_json::from_slice(bytes)
        .map_err(|source| SourceError::Json { path: path.to_path_buf(), source })
}

/// Files that the index spreads the tensors over, each once, in the order of their names.
pub(super) fn shards(folder: &Path, index: &'static str) -> Result<Vec<PathBuf>, SourceError> {
    let names = shard_names(folder, index)?;
    names
        .into_iter()
        .map(|shard| {
            let file = folder.join(&shard);
            if file.is_file() {
                return Ok(file);
            }
            Err(SourceError::MissingShard { path: folder.join(index), shard })
        })
        .collect()
}

/// Names of those files, whether they are there or not; none leads out of the folder.
pub(super) fn shard_names(folder: &Path, index: &'static str) -> Result<Vec<String>, SourceError> {
    let path = folder.join(index);
    let index = object(&path, &read(folder, index)?)?;
    let unexpected = || SourceError::JsonKey {
        path: path.clone(),
        key: "weight_map",
        expected: "an object of tensor names and file names",
    };
    let map = index.get("weight_map").and_then(Value::as_object).ok_or_else(unexpected)?;
    let mut names = map
        .values()
        .map(|name| name.as_str().ok_or_else(unexpected))
        .collect::<Result<Vec<_>, _>>()?;
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .map(|name| {
            let shard = name.to_owned();
            if Path::new(name).file_name().is_none_or(|file| file != name) {
                return Err(SourceError::ShardName { path: path.clone(), shard });
            }
            Ok(shard)
        })
        .collect()
}
