//! ALBERT.
//!
//! Lan et al. 2020 (arXiv:1909.11942); upstream: `modeling_albert.py` of Hugging Face transformers,
//! `AlbertForMaskedLM`. BERT's layer, one for the whole stack, behind narrow embeddings.

use ptuning_core::language_model::Objective;
use serde_json::json;

use super::bert::BertConfig;
use crate::config::Config;
use crate::error::LoadError;
use crate::transformer::{
    Description, InputRecipe, LayerRecipe, LinearRecipe, NormRecipe, Recipe, TransformRecipe,
};

/// What an ALBERT's files hold.
///
/// # Errors
/// A config that contradicts itself, or a variant that is not built in.
pub fn describe(config: &Config<'_>) -> Result<Description, LoadError> {
    // No published ALBERT has more than one group of one layer.
    config.only("num_hidden_groups", &[json!(1)])?;
    config.only("inner_group_num", &[json!(1)])?;
    let sizes = BertConfig::read(config)?;
    let BertConfig { vocab, embedding, hidden, epsilon, .. } = sizes;
    let project =
        LinearRecipe::new("albert.encoder.embedding_hidden_mapping_in", hidden, embedding);
    let head = LinearRecipe::new("predictions.decoder", vocab, embedding).without_bias();
    Ok(Description {
        objective: Objective::Masked,
        embeddings: sizes.words("albert"),
        embedding_scale: None,
        // There is a projection even where both widths are the same.
        input: InputRecipe { project: Some(project), ..sizes.input("albert", 0) },
        recipe: Recipe {
            shape: sizes.shape(),
            activation: sizes.activation,
            layers: vec![layer(&sizes)],
            repeats: sizes.layers,
            last_norm: None,
        },
        decoder: None,
        transform: Some(TransformRecipe {
            dense: LinearRecipe::new("predictions.dense", embedding, hidden),
            activation: sizes.activation,
            norm: NormRecipe::layer("predictions.LayerNorm", epsilon),
        }),
        head: (!sizes.tied).then_some(head),
        head_bias: Some("predictions.bias".to_owned()),
        max_positions: sizes.positions,
    })
}

fn layer(sizes: &BertConfig) -> LayerRecipe {
    let BertConfig { hidden, intermediate, epsilon, .. } = *sizes;
    let name = |part: &str| format!("albert.encoder.albert_layer_groups.0.albert_layers.0.{part}");
    let linear = |part, out, inner| LinearRecipe::new(&name(part), out, inner);
    LayerRecipe {
        attention_norm: Some(NormRecipe::layer(&name("attention.LayerNorm"), epsilon)),
        head_norms: None,
        rope: None,
        window: None,
        position_bias: None,
        query: linear("attention.query", hidden, hidden),
        key: linear("attention.key", hidden, hidden),
        value: linear("attention.value", hidden, hidden),
        output: linear("attention.dense", hidden, hidden),
        feed_forward_norm: NormRecipe::layer(&name("full_layer_layer_norm"), epsilon),
        gate: None,
        up: linear("ffn", intermediate, hidden),
        down: linear("ffn_output", hidden, intermediate),
        sandwich: None,
    }
}
