//! T5 and its kin: T5 v1.0 and v1.1, Flan-T5, mT5 and umT5.
//!
//! Raffel et al. 2020 (arXiv:1910.10683), Xue et al. 2021 (arXiv:2010.11934), Chung et al. 2023
//! (arXiv:2304.09151); upstream: `modeling_t5.py`, `modeling_mt5.py` and `modeling_umt5.py` of Hugging Face
//! transformers, `T5ForConditionalGeneration`. An encoder and a decoder of pre-norm layers: RMSNorm, no
//! biases, scores that are not scaled but shifted by a relative position bias, the first layer's for all
//! (umT5: each its own). v1.0 has ReLU and a tied head whose input is scaled, v1.1 a gated GELU and a head
//! of its own.
//!
//! It was pretrained to write, behind a sentinel, what stood where its input has that sentinel. So the
//! answer is the first sentinel in the encoder's input, and is read where the decoder has written that
//! sentinel alone.

use kernels::activation::Activation;
use kernels::stack::{Order, Shape};
use ptuning_core::language_model::Objective;
use serde_json::json;

use crate::config::Config;
use crate::error::LoadError;
use crate::transformer::{
    CrossRecipe, DecoderRecipe, Description, InputRecipe, LayerRecipe, LinearRecipe, NormRecipe,
    PositionBiasRecipe, Recipe,
};

/// Sizes of a T5, checked against each other.
struct Sizes {
    vocab: usize,
    hidden: usize,
    intermediate: usize,
    heads: usize,
    head_dim: usize,
    epsilon: f64,
    gated: bool,
    activation: Activation,
    buckets: usize,
    max_distance: usize,
    /// Whether every layer has a position bias of its own.
    bias_in_every_layer: bool,
}

/// What a T5's files hold.
///
/// # Errors
/// A config that contradicts itself, a variant that is not built in, a tokenizer without sentinels.
pub fn describe(config: &Config<'_>) -> Result<Description, LoadError> {
    let tied = config.flag("tie_word_embeddings", true)?;
    // v1.0 scales in front of its tied head. transformers 5 ties in every config and says so apart.
    let scaled = config.flag("scale_decoder_outputs", tied)?;
    let own_head = !tied || !scaled && config.has_tensor(HEAD);
    Sizes::read(config, "relu", false)?.description(config, own_head, scaled)
}

/// What an mT5's files hold.
///
/// # Errors
/// As [`describe`].
pub fn describe_mt5(config: &Config<'_>) -> Result<Description, LoadError> {
    let own_head = !config.flag("tie_word_embeddings", true)? || config.has_tensor(HEAD);
    Sizes::read(config, "gated-gelu", false)?.description(config, own_head, false)
}

/// What a umT5's files hold.
///
/// # Errors
/// As [`describe`].
pub fn describe_umt5(config: &Config<'_>) -> Result<Description, LoadError> {
    let own_head = !config.flag("tie_word_embeddings", true)? || config.has_tensor(HEAD);
    Sizes::read(config, "gated-gelu", true)?.description(config, own_head, !own_head)
}

/// The tensor of a head that is not tied.
const HEAD: &str = "lm_head.weight";

impl Sizes {
    fn read(
        config: &Config<'_>,
        default_feed_forward: &str,
        bias_in_every_layer: bool,
    ) -> Result<Self, LoadError> {
        config.only("is_encoder_decoder", &[json!(true)])?;
        config.only("is_decoder", &[json!(false)])?;
        let known = ["relu", "gated-gelu", "gated-silu"];
        config.only("feed_forward_proj", &known.map(|name| json!(name)))?;
        let feed_forward = config.get("feed_forward_proj").and_then(|value| value.as_str());
        let feed_forward = feed_forward.unwrap_or(default_feed_forward);
        let read = Self {
            vocab: config.size("vocab_size")?,
            hidden: config.size("d_model")?,
            intermediate: config.size("d_ff")?,
            heads: config.size("num_heads")?,
            head_dim: config.size("d_kv")?,
            epsilon: config.number("layer_norm_epsilon", 1e-6)?,
            gated: feed_forward.starts_with("gated-"),
            activation: match feed_forward {
                "relu" => Activation::Relu,
                "gated-silu" => Activation::Silu,
                // What transformers makes of this name, and T5X of `gelu`.
                _ => Activation::GeluTanh,
            },
            buckets: config.optional_size("relative_attention_num_buckets")?.unwrap_or(32),
            max_distance: config.optional_size("relative_attention_max_distance")?.unwrap_or(128),
            bias_in_every_layer,
        };
        if ["encoder", "decoder"].iter().any(|stack| !read.bias(stack, 0).is_possible()) {
            return Err(config.contradiction(format!(
                "relative_attention_num_buckets {} and relative_attention_max_distance {} \
                 tell no distances apart",
                read.buckets, read.max_distance
            )));
        }
        Ok(read)
    }

    fn description(
        &self,
        config: &Config<'_>,
        own_head: bool,
        scaled: bool,
    ) -> Result<Description, LoadError> {
        let Self { vocab, hidden, .. } = *self;
        let table = |name| LinearRecipe::new(name, vocab, hidden).without_bias();
        // One table under several names, of which a file need not have them all.
        let names = ["shared", "encoder.embed_tokens", "decoder.embed_tokens"];
        let is_there = |name: &&str| config.has_tensor(&format!("{name}.weight"));
        let words = names.into_iter().find(is_there).unwrap_or("shared");
        let layers = config.size("num_layers")?;
        let decoder_layers = config.optional_size("num_decoder_layers")?.unwrap_or(layers);
        Ok(Description {
            objective: Objective::Masked,
            embeddings: table(words),
            embedding_scale: None,
            input: InputRecipe::default(),
            recipe: self.recipe("encoder", layers),
            decoder: Some(DecoderRecipe {
                recipe: self.recipe("decoder", decoder_layers),
                cross: (0..decoder_layers).map(|layer| self.cross(layer)).collect(),
                start: self.start(config)?,
                scale: scaled.then(|| (hidden as f64).sqrt().recip()),
            }),
            transform: None,
            head: own_head.then(|| table("lm_head")),
            head_bias: None,
            // Distances have no end; this is what it was pretrained on.
            max_positions: config.optional_size("n_positions")?.unwrap_or(512),
        })
    }

    /// What the decoder has read when it answers: its first token and the first sentinel.
    fn start(&self, config: &Config<'_>) -> Result<Vec<u32>, LoadError> {
        let first = config.id("pad_token_id", 0)?;
        let first = config.id("decoder_start_token_id", first)?;
        let sentinel = config.mask_token().ok_or_else(|| {
            config.contradiction(
                "the tokenizer has no sentinel '<extra_id_0>', at which a T5 answers\nhint: take the \
                 tokenizer.json of the published model"
                    .to_owned(),
            )
        })?;
        let start = [first as u32, sentinel];
        if let Some(id) = start.iter().find(|&&id| id as usize >= self.vocab) {
            return Err(config.contradiction(format!(
                "token {id}, which the decoder begins with, is beyond a vocabulary of {}",
                self.vocab
            )));
        }
        Ok(start.to_vec())
    }

    fn recipe(&self, stack: &str, layers: usize) -> Recipe {
        Recipe {
            shape: Shape {
                hidden: self.hidden,
                intermediate: self.intermediate,
                gated: self.gated,
                heads: self.heads,
                kv_heads: self.heads,
                head_dim: self.head_dim,
                causal: stack == "decoder",
                scale: Some(1.0),
                ropes: Vec::new(),
                order: Order::Pre,
            },
            activation: self.activation,
            layers: (0..layers).map(|layer| self.layer(stack, layer)).collect(),
            repeats: 1,
            last_norm: Some(NormRecipe::rms(&format!("{stack}.final_layer_norm"), self.epsilon)),
        }
    }

    fn layer(&self, stack: &str, layer: usize) -> LayerRecipe {
        let Self { hidden, intermediate, .. } = *self;
        let inner = self.heads * self.head_dim;
        let name = |part: &str| format!("{stack}.block.{layer}.layer.{part}");
        let linear =
            |part: &str, out, inner| LinearRecipe::new(&name(part), out, inner).without_bias();
        let norm = |part: &str| NormRecipe::rms(&name(part), self.epsilon);
        // A decoder's cross-attention stands in between.
        let network = if stack == "decoder" { 2 } else { 1 };
        let dense = |part: &str, out, inner| {
            linear(&format!("{network}.DenseReluDense.{part}"), out, inner)
        };
        let up = if self.gated { "wi_1" } else { "wi" };
        LayerRecipe {
            attention_norm: Some(norm("0.layer_norm")),
            head_norms: None,
            rope: None,
            window: None,
            position_bias: Some(self.bias(stack, layer)),
            query: linear("0.SelfAttention.q", inner, hidden),
            key: linear("0.SelfAttention.k", inner, hidden),
            value: linear("0.SelfAttention.v", inner, hidden),
            output: linear("0.SelfAttention.o", hidden, inner),
            feed_forward_norm: norm(&format!("{network}.layer_norm")),
            gate: self.gated.then(|| dense("wi_0", intermediate, hidden)),
            up: dense(up, intermediate, hidden),
            down: dense("wo", hidden, intermediate),
            sandwich: None,
        }
    }

    fn bias(&self, stack: &str, layer: usize) -> PositionBiasRecipe {
        let layer = if self.bias_in_every_layer { layer } else { 0 };
        let attention = format!("{stack}.block.{layer}.layer.0.SelfAttention");
        PositionBiasRecipe {
            table: format!("{attention}.relative_attention_bias.weight"),
            buckets: self.buckets,
            max_distance: self.max_distance,
            both_ways: stack == "encoder",
        }
    }

    fn cross(&self, layer: usize) -> CrossRecipe {
        let (hidden, inner) = (self.hidden, self.heads * self.head_dim);
        let name = |part: &str| format!("decoder.block.{layer}.layer.1.{part}");
        let linear = |part: &str, out, inner| {
            LinearRecipe::new(&name(&format!("EncDecAttention.{part}")), out, inner).without_bias()
        };
        CrossRecipe {
            norm: NormRecipe::rms(&name("layer_norm"), self.epsilon),
            query: linear("q", inner, hidden),
            key: linear("k", inner, hidden),
            value: linear("v", inner, hidden),
            output: linear("o", hidden, inner),
        }
    }
}
