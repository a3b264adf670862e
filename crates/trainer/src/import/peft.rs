//! PEFT's adapters: a folder with `adapter_config.json` and `adapter_model.safetensors` or `.bin`.

use std::path::Path;

use backbone::{Backbone, registry, source};
use serde::Deserialize;
use serde_json::Value;

use super::published::tensor;
use super::{ImportError, Vectors};
use crate::error::Error;

/// What of the config is needed.
#[derive(Deserialize)]
struct Config {
    peft_type: String,
    num_transformer_submodules: Option<u64>,
    #[serde(default)]
    token_indices: Vec<u32>,
}

/// # Errors
/// Another folder, or an adapter that is no prompt.
pub fn read(folder: &Path, backbone: &Backbone) -> Result<Vectors, Error> {
    let file = folder.join("adapter_config.json");
    if !file.is_file() {
        return Err(ImportError::Unknown {
            file: folder.to_owned(),
            expected: "a folder with adapter_config.json",
            found: "none".to_owned(),
        }
        .into());
    }
    let text = std::fs::read_to_string(&file).map_err(Error::io(&file, "read"))?;
    let json = |source| Error::Json { path: file.clone(), source };
    let config: Config = serde_json::from_str(&text).map_err(json)?;
    let prompt = ["PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING"];
    let is_tokens = config.peft_type == "TRAINABLE_TOKENS";
    if !is_tokens && !prompt.contains(&config.peft_type.as_str()) {
        return Err(ImportError::Kind { file, found: config.peft_type }.into());
    }
    if let Some(found @ 2..) = config.num_transformer_submodules {
        return Err(ImportError::Submodules { file, found }.into());
    }
    let weights = ["adapter_model.safetensors", "adapter_model.bin"].map(|name| folder.join(name));
    let [safetensors, pickle] = &weights;
    let weights = if safetensors.is_file() || !pickle.is_file() { safetensors } else { pickle };
    let tensors = source::tensors(weights).map_err(ImportError::from)?;
    let table = registry::embedding_table(&backbone.path)?;
    let (name, scale) = match is_tokens {
        true => {
            let module = table.tensor.trim_end_matches(".weight");
            (format!("base_model.model.{module}.trainable_tokens_delta"), table.scale as f32)
        }
        false => ("prompt_embeddings".to_owned(), 1.0),
    };
    let data = tensor(tensors.as_ref(), &name)?;
    let found = data.shape().first().copied().unwrap_or(0);
    let numbers = data.iter::<f32>().map(|number| number * scale).collect();
    let (mut order, mut template) = (None, None);
    let mapping = folder.join("virtual_tokens.json");
    if is_tokens && mapping.is_file() {
        (order, template) = mapped(&mapping, &config.token_indices)?;
    }
    let kind = format!("PEFT's {}", config.peft_type);
    Ok(Vectors { kind, numbers, found, spare: false, order, template })
}

/// Which row each virtual token is, and the template, as ptune's export has them.
fn mapped(file: &Path, indices: &[u32]) -> Result<(Option<Vec<usize>>, Option<String>), Error> {
    let text = std::fs::read_to_string(file).map_err(Error::io(file, "read"))?;
    let mapping: Value = serde_json::from_str(&text)
        .map_err(|source| Error::Json { path: file.to_owned(), source })?;
    let tokens = &mapping["virtual_tokens"];
    let row = |number: usize| {
        let id = &tokens[format!("h_{number}")]["id"];
        indices.iter().position(|&index| *id == index)
    };
    let count = tokens.as_object().map_or(0, |tokens| tokens.len());
    let order = (0..count).map(row).collect();
    Ok((order, mapping["template"].as_str().map(str::to_owned)))
}
