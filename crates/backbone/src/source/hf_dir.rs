//! A Hugging Face folder: config.json, tokenizer.json, and one or several safetensors files.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::identity::sha256_of_parts;
use super::safetensors::SafetensorsWeights;
use super::{Identity, Source, SourceError};
use crate::tokenizer::Tokenizer;

const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

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
    let weights = if folder.join(WEIGHTS).is_file() {
        SafetensorsWeights::open(&folder.join(WEIGHTS))?
    } else if folder.join(INDEX).is_file() {
        SafetensorsWeights::open_shards(&folder.join(INDEX), &shards(folder)?)?
    } else {
        return Err(SourceError::MissingFile { folder: folder.to_path_buf(), file: WEIGHTS });
    };
    let tokenizer = Tokenizer::from_json(&read(folder, TOKENIZER)?, &special_names(folder)?)
        .map_err(|source| SourceError::Tokenizer { path: folder.join(TOKENIZER), source })?;
    let identity = Identity {
        family,
        file: folder.file_name().unwrap_or(folder.as_os_str()).into(),
        sha256: sha256_of_parts(std::iter::once(config_bytes.as_slice()).chain(weights.headers())),
    };
    let config_file = folder.join(CONFIG);
    Ok(Source { config, config_file, weights: Box::new(weights), tokenizer, identity })
}

/// A file that the folder must have.
fn read(folder: &Path, file: &'static str) -> Result<Vec<u8>, SourceError> {
    let path = folder.join(file);
    fs::read(&path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => {
            SourceError::MissingFile { folder: folder.to_path_buf(), file }
        }
        _ => SourceError::Read { path, source },
    })
}

/// A JSON object.
fn object(path: &Path, bytes: &[u8]) -> Result<Map<String, Value>, SourceError> {
    serde_json::from_slice(bytes)
        .map_err(|source| SourceError::Json { path: path.to_path_buf(), source })
}

/// Files that the index spreads the tensors over, each once, in the order of their names.
fn shards(folder: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let path = folder.join(INDEX);
    let index = object(&path, &read(folder, INDEX)?)?;
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
            let shard = || name.to_owned();
            if Path::new(name).file_name().is_none_or(|file| file != name) {
                return Err(SourceError::ShardName { path: path.clone(), shard: shard() });
            }
            let file = folder.join(name);
            if !file.is_file() {
                return Err(SourceError::MissingShard { path: path.clone(), shard: shard() });
            }
            Ok(file)
        })
        .collect()
}

/// Texts of special tokens by role (`mask_token`), from tokenizer_config.json if there is one.
///
/// A token stands there as a string, or as an object with its `content`.
fn special_names(folder: &Path) -> Result<HashMap<String, String>, SourceError> {
    let path = folder.join(TOKENIZER_CONFIG);
    if !path.is_file() {
        return Ok(HashMap::new());
    }
    let config = object(&path, &read(folder, TOKENIZER_CONFIG)?)?;
    let text = |value: &Value| {
        value.as_str().or_else(|| value.get("content")?.as_str()).map(str::to_owned)
    };
    Ok(config
        .iter()
        .filter(|(role, _)| role.ends_with("_token"))
        .filter_map(|(role, value)| Some((role.clone(), text(value)?)))
        .collect())
}
