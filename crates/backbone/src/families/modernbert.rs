//! ModernBERT.
//!
//! Warner et al. 2024 (arXiv:2412.13663); upstream: `modeling_modernbert.py` of Hugging Face
//! transformers, `ModernBertForMaskedLM`. Pre-norm encoder layers with RoPE and gated GELU, LayerNorm
//! without biases; every third layer sees everything, the others a window.

use kernels::activation::Activation;
use kernels::stack::{Order, Shape};
use ptuning_core::language_model::Objective;

use super::layer_types::{FULL, SLIDING, layer_types};
use super::llama::check_heads;
use super::rope::rope_of_type;
use crate::config::Config;
use crate::error::LoadError;
use crate::transformer::{
    Description, InputRecipe, LayerRecipe, LinearRecipe, NormRecipe, Recipe, Stored,
    TransformRecipe,
};

/// What a ModernBERT's files hold.
///
/// # Errors
/// A config that contradicts itself, or a variant that is not built in.
pub fn describe(config: &Config<'_>) -> Result<Description, LoadError> {
    let (vocab, hidden) = (config.size("vocab_size")?, config.size("hidden_size")?);
    let (layers, heads) = (config.size("num_hidden_layers")?, config.size("num_attention_heads")?);
    let head_dim = config.head_dim(hidden, heads)?;
    check_heads(config, heads, heads, head_dim)?;
    let every = config.optional_size("global_attn_every_n_layers")?.unwrap_or(3);
    let full = layer_types(config, layers, |layer| layer.is_multiple_of(every))?;
    let family = Family {
        hidden,
        intermediate: config.size("intermediate_size")?,
        epsilon: config.number("norm_eps", 1e-5)?,
        norm_bias: config.flag("norm_bias", false)?,
        attention_bias: config.flag("attention_bias", false)?,
        mlp_bias: config.flag("mlp_bias", false)?,
        // Half to the left and half to the right.
        window: config.optional_size("local_attention")?.unwrap_or(128) / 2,
    };
    let activation = config.activation("hidden_activation", Activation::Gelu)?;
    let dense = LinearRecipe::new("head.dense", hidden, hidden);
    let classifier_bias = config.flag("classifier_bias", false)?;
    Ok(Description {
        objective: Objective::Masked,
        embeddings: LinearRecipe::new("model.embeddings.tok_embeddings", vocab, hidden)
            .without_bias(),
        embedding_scale: None,
        input: InputRecipe {
            norm: Some(family.norm("model.embeddings.norm")),
            ..InputRecipe::default()
        },
        recipe: Recipe {
            shape: Shape {
                hidden,
                intermediate: family.intermediate,
                gated: true,
                heads,
                kv_heads: heads,
                head_dim,
                causal: false,
                scale: None,
                ropes: vec![
                    rope_of_type(config, FULL, ("global_rope_theta", 160_000.0), head_dim)?,
                    rope_of_type(config, SLIDING, ("local_rope_theta", 10_000.0), head_dim)?,
                ],
                order: Order::Pre,
            },
            activation,
            layers: full.iter().enumerate().map(|(i, &full)| family.layer(i, full)).collect(),
            repeats: 1,
            last_norm: Some(family.norm("model.final_norm")),
        },
        decoder: None,
        transform: Some(TransformRecipe {
            dense: if classifier_bias { dense } else { dense.without_bias() },
            activation: config.activation("classifier_activation", Activation::Gelu)?,
            norm: family.norm("head.norm"),
        }),
        head: (!config.flag("tie_word_embeddings", true)?)
            .then(|| LinearRecipe::new("decoder", vocab, hidden).without_bias()),
        head_bias: config.flag("decoder_bias", true)?.then(|| "decoder.bias".to_owned()),
        max_positions: config.optional_size("max_position_embeddings")?.unwrap_or(8192),
    })
}

struct Family {
    hidden: usize,
    intermediate: usize,
    epsilon: f64,
    norm_bias: bool,
    attention_bias: bool,
    mlp_bias: bool,
    window: usize,
}

impl Family {
    fn norm(&self, name: &str) -> NormRecipe {
        let norm = NormRecipe::layer(name, self.epsilon);
        if self.norm_bias { norm } else { NormRecipe { bias: None, ..norm } }
    }

    fn layer(&self, index: usize, full: bool) -> LayerRecipe {
        let Self { hidden, intermediate, .. } = *self;
        let linear = |part: &str, bias: bool, out, inner| {
            let linear = LinearRecipe::new(&format!("model.layers.{index}.{part}"), out, inner);
            if bias { linear } else { linear.without_bias() }
        };
        let qkv = |which| {
            let stored = Stored::Rows { first: which * hidden, of: 3 * hidden };
            linear("attn.Wqkv", self.attention_bias, hidden, hidden).stored(stored)
        };
        let wi = |which| {
            let stored = Stored::Rows { first: which * intermediate, of: 2 * intermediate };
            linear("mlp.Wi", self.mlp_bias, intermediate, hidden).stored(stored)
        };
        let norm = |part: &str| self.norm(&format!("model.layers.{index}.{part}"));
        LayerRecipe {
            // The embeddings come normalised.
            attention_norm: (index > 0).then(|| norm("attn_norm")),
            head_norms: None,
            rope: Some(usize::from(!full)),
            window: (!full).then_some(self.window),
            position_bias: None,
            query: qkv(0),
            key: qkv(1),
            value: qkv(2),
            output: linear("attn.Wo", self.attention_bias, hidden, hidden),
            feed_forward_norm: norm("mlp_norm"),
            gate: Some(wi(0)),
            up: wi(1),
            down: linear("mlp.Wo", self.mlp_bias, hidden, intermediate),
            sandwich: None,
        }
    }
}
