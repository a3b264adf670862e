//! P_TUNING: the vectors, and the prompt encoder that made them under PEFT's names.
//!
//! PEFT loads the vectors alone, `prompt_embeddings`. Its own encoder is the published one with an LSTM of
//! `encoder_hidden_size` each way, or an MLP of three linear layers. `prompt_encoder.safetensors` is the state dict
//! of that module, for those who want to train on: an MLP of ours has two layers, between which the identity stands
//! as PEFT's third, since a ReLU changes nothing that has been through one.

use std::collections::BTreeMap;

use backbone::Backbone;
use burn::tensor::{Tensor, TensorData};
use ptuning_core::prompt_encoder::{EncoderConfig, EncoderKind};
use serde_json::json;

use super::{Files, PeftType, leading};
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::error::Error;
use crate::export::{ExportError, usage};
use crate::prompt::Prompt;

/// Name of the file that holds the encoder.
pub const ENCODER: &str = "prompt_encoder.safetensors";

/// Ours and PEFT's names of a bidirectional LSTM's parts.
const PARTS: [&str; 4] = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"];

/// # Errors
/// An encoder that PEFT does not have.
pub fn files(
    prompt: &Prompt,
    vectors: Tensor<2>,
    checkpoint: &Checkpoint,
    backbone: &Backbone,
) -> Result<Files, Error> {
    let kind = PeftType::PTuning;
    let config = checkpoint.header.encoder;
    let hint = "--peft-type prompt-tuning holds the vectors";
    let (rows, vectors) = leading(prompt, vectors);
    if !rows.iter().copied().eq(0..config.prompt as u32) {
        let what = "tied virtual tokens stand several times, which PEFT's encoder cannot say";
        return Err(ExportError::PeftType { kind, what, hint }.into());
    }
    let (name, width, layers) = match config.kind {
        EncoderKind::Lstm => ("LSTM", config.inner / 2, lstm_names()),
        EncoderKind::Mlp => ("MLP", config.inner, mlp()),
        EncoderKind::Direct => {
            let what = "the vectors learned themselves, without an encoder";
            return Err(ExportError::PeftType { kind, what, hint }.into());
        }
    };
    let state = state(&checkpoint.encoder, &config, layers)?;
    let own = json!({
        "encoder_dropout": 0.0,
        "encoder_hidden_size": width,
        "encoder_num_layers": 2,
        "encoder_reparameterization_type": name,
        "num_virtual_tokens": rows.len(),
        "peft_type": "P_TUNING",
        "token_dim": config.hidden,
    });
    let usage = usage::prompt(prompt, backbone) + &usage::encoder();
    Ok(Files { tensors: vec![(ENCODER, state)], ..Files::prompt(vectors, own, usage) })
}

/// PEFT's name of each parameter of an LSTM encoder, which is the published code's as well, and ours.
pub(crate) fn lstm_names() -> Vec<(String, String)> {
    let mut names = vec![("embedding.weight".to_owned(), "embedding".to_owned())];
    for layer in 0..2 {
        for (direction, suffix) in [("forward", ""), ("backward", "_reverse")] {
            let name = |part: &&str| {
                let own = format!("lstm.layers.{layer}.{direction}.{part}");
                (format!("lstm_head.{part}_l{layer}{suffix}"), own)
            };
            names.extend(PARTS.iter().map(name));
        }
    }
    names.extend(linear("mlp_head.0", "mlp.first"));
    names.extend(linear("mlp_head.2", "mlp.second"));
    names
}

fn mlp() -> Vec<(String, String)> {
    let mut names = vec![("embedding.weight".to_owned(), "embedding".to_owned())];
    names.extend(linear("mlp_head.0", "mlp.first"));
    names.extend(linear("mlp_head.4", "mlp.second"));
    names
}

fn linear(peft: &str, own: &str) -> [(String, String); 2] {
    ["weight", "bias"].map(|part| (format!("{peft}.{part}"), format!("{own}.{part}")))
}

fn state(
    values: &BTreeMap<String, TensorData>,
    config: &EncoderConfig,
    names: Vec<(String, String)>,
) -> Result<BTreeMap<String, TensorData>, CheckpointError> {
    let mut state = BTreeMap::new();
    for (peft, own) in names {
        let data = values.get(&own).cloned().ok_or_else(|| CheckpointError::Parameter {
            name: own.clone(),
            expected: Vec::new(),
            found: None,
        })?;
        state.insert(peft, data);
    }
    if config.kind == EncoderKind::Mlp {
        let inner = config.inner;
        let mut identity = vec![0.0f32; inner * inner];
        identity.iter_mut().step_by(inner + 1).for_each(|one| *one = 1.0);
        state.insert("mlp_head.2.weight".to_owned(), TensorData::new(identity, [inner, inner]));
        state.insert("mlp_head.2.bias".to_owned(), TensorData::new(vec![0.0f32; inner], [inner]));
    }
    Ok(state)
}
