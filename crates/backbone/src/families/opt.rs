//! OPT.
//!
//! Zhang et al. 2022 (arXiv:2205.01068); upstream: `modeling_opt.py` of Hugging Face transformers,
//! `OPTForCausalLM`. Pre-norm decoder layers over words and learned positions, LayerNorm, biases, ReLU,
//! tied head. The 350M model, alone in the family with post-norm layers and narrower embeddings, is
//! refused.

use kernels::activation::Activation;
use ptuning_core::language_model::Objective;
use serde_json::json;

use super::plain;
use crate::config::Config;
use crate::error::LoadError;
use crate::transformer::{
    Description, InputRecipe, LayerRecipe, LinearRecipe, NormRecipe, PositionRecipe, Recipe,
};

const EPSILON: f64 = 1e-5;
/// The position table begins with two rows for padding.
const SKIPPED: usize = 2;

/// What an OPT's files hold.
///
/// # Errors
/// A config that contradicts itself, or a variant that is not built in.
pub fn describe(config: &Config<'_>) -> Result<Description, LoadError> {
    let (vocab, hidden) = (config.size("vocab_size")?, config.size("hidden_size")?);
    config.only("do_layer_norm_before", &[json!(true)])?;
    config.only("_remove_final_layer_norm", &[json!(false)])?;
    config.only("word_embed_proj_dim", &[json!(hidden)])?;
    config.only("enable_bias", &[json!(true)])?;
    config.only("layer_norm_elementwise_affine", &[json!(true)])?;
    let heads = config.size("num_attention_heads")?;
    config.head_dim(hidden, heads)?;
    let intermediate = config.size("ffn_dim")?;
    let layer = |index: usize| {
        let name = |part: &str| format!("model.decoder.layers.{index}.{part}");
        let linear = |part, out, inner| LinearRecipe::new(&name(part), out, inner);
        let norm = |part| NormRecipe::layer(&name(part), EPSILON);
        LayerRecipe {
            attention_norm: Some(norm("self_attn_layer_norm")),
            head_norms: None,
            rope: None,
            window: None,
            position_bias: None,
            query: linear("self_attn.q_proj", hidden, hidden),
            key: linear("self_attn.k_proj", hidden, hidden),
            value: linear("self_attn.v_proj", hidden, hidden),
            output: linear("self_attn.out_proj", hidden, hidden),
            feed_forward_norm: norm("final_layer_norm"),
            gate: None,
            up: linear("fc1", intermediate, hidden),
            down: linear("fc2", hidden, intermediate),
            sandwich: None,
        }
    };
    let table = |name| LinearRecipe::new(name, vocab, hidden).without_bias();
    Ok(Description {
        objective: Objective::Causal,
        embeddings: table("model.decoder.embed_tokens"),
        embedding_scale: None,
        input: InputRecipe {
            positions: Some(PositionRecipe {
                table: "model.decoder.embed_positions.weight".to_owned(),
                skipped: SKIPPED,
            }),
            ..InputRecipe::default()
        },
        recipe: Recipe {
            shape: plain(hidden, intermediate, heads),
            activation: config.activation("activation_function", Activation::Relu)?,
            layers: (0..config.size("num_hidden_layers")?).map(layer).collect(),
            repeats: 1,
            last_norm: Some(NormRecipe::layer("model.decoder.final_layer_norm", EPSILON)),
        },
        decoder: None,
        transform: None,
        head: (!config.flag("tie_word_embeddings", true)?).then(|| table("lm_head")),
        head_bias: None,
        max_positions: config.optional_size("max_position_embeddings")?.unwrap_or(2048),
    })
}
