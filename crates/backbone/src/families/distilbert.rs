//! DistilBERT.
//!
//! Sanh et al. 2019 (arXiv:1910.01108); upstream: `modeling_distilbert.py` of Hugging Face
//! transformers, `DistilBertForMaskedLM`. BERT's layers under names of their own, without segments.

use kernels::activation::Activation;
use ptuning_core::language_model::Objective;
use serde_json::json;

use super::bert::BertConfig;
use crate::config::Config;
use crate::error::LoadError;
use crate::transformer::{
    Description, InputRecipe, LayerRecipe, LinearRecipe, NormRecipe, PositionRecipe, Recipe,
    TransformRecipe,
};

const EPSILON: f64 = 1e-12;

/// What a DistilBERT's files hold.
///
/// # Errors
/// A config that contradicts itself, or a variant that is not built in.
pub fn describe(config: &Config<'_>) -> Result<Description, LoadError> {
    // Sines written into the table are a table all the same.
    config.only("sinusoidal_pos_embds", &[json!(false), json!(true)])?;
    let hidden = config.size("dim")?;
    let sizes = BertConfig {
        vocab: config.size("vocab_size")?,
        embedding: hidden,
        hidden,
        intermediate: config.size("hidden_dim")?,
        layers: config.size("n_layers")?,
        heads: config.size("n_heads")?,
        activation: config.activation("activation", Activation::Gelu)?,
        epsilon: EPSILON,
        segments: 0,
        positions: config.optional_size("max_position_embeddings")?.unwrap_or(512),
        tied: config.flag("tie_word_embeddings", true)?,
    };
    config.head_dim(hidden, sizes.heads)?;
    let head = LinearRecipe::new("vocab_projector", sizes.vocab, hidden).without_bias();
    Ok(Description {
        objective: Objective::Masked,
        embeddings: sizes.words("distilbert"),
        embedding_scale: None,
        input: InputRecipe {
            positions: Some(PositionRecipe {
                table: "distilbert.embeddings.position_embeddings.weight".to_owned(),
                skipped: 0,
            }),
            segments: None,
            norm: Some(NormRecipe::layer("distilbert.embeddings.LayerNorm", EPSILON)),
            project: None,
        },
        recipe: Recipe {
            shape: sizes.shape(),
            activation: sizes.activation,
            layers: (0..sizes.layers).map(|index| layer(&sizes, index)).collect(),
            repeats: 1,
            last_norm: None,
        },
        decoder: None,
        transform: Some(TransformRecipe {
            dense: LinearRecipe::new("vocab_transform", hidden, hidden),
            activation: sizes.activation,
            norm: NormRecipe::layer("vocab_layer_norm", EPSILON),
        }),
        head: (!sizes.tied).then_some(head),
        head_bias: Some("vocab_projector.bias".to_owned()),
        max_positions: sizes.positions,
    })
}

fn layer(sizes: &BertConfig, index: usize) -> LayerRecipe {
    let BertConfig { hidden, intermediate, .. } = *sizes;
    let name = |part: &str| format!("distilbert.transformer.layer.{index}.{part}");
    let linear = |part, out, inner| LinearRecipe::new(&name(part), out, inner);
    LayerRecipe {
        attention_norm: Some(NormRecipe::layer(&name("sa_layer_norm"), EPSILON)),
        head_norms: None,
        rope: None,
        window: None,
        position_bias: None,
        query: linear("attention.q_lin", hidden, hidden),
        key: linear("attention.k_lin", hidden, hidden),
        value: linear("attention.v_lin", hidden, hidden),
        output: linear("attention.out_lin", hidden, hidden),
        feed_forward_norm: NormRecipe::layer(&name("output_layer_norm"), EPSILON),
        gate: None,
        up: linear("ffn.lin1", intermediate, hidden),
        down: linear("ffn.lin2", hidden, intermediate),
        sandwich: None,
    }
}
