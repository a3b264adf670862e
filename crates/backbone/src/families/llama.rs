//! The Llama family: Llama, SmolLM2, TinyLlama and whatever shares their graph.
//!
//! Touvron et al. 2023 (arXiv:2302.13971); upstream: `modeling_llama.py` of Hugging Face
//! transformers. Pre-norm decoder layers: RMSNorm, grouped-query attention with rotate-half RoPE,
//! SwiGLU feed-forward, no biases, head tied to the embeddings or not.

use burn::tensor::activation::silu;
use burn::tensor::{Device, Int, Tensor};
use ptuning_core::language_model::{LanguageModel, Layout, Objective};
use serde_json::json;

use crate::error::LoadError;
use crate::layers::{Linear, Loader, Mask, RmsNorm, Rotary, attention};
use crate::source::Source;

/// Sizes of a Llama, checked against each other.
#[derive(Debug, Clone, PartialEq)]
pub struct LlamaConfig {
    /// Rows of the embedding table.
    pub vocab: usize,
    /// Embedding width.
    pub hidden: usize,
    /// Feed-forward width.
    pub intermediate: usize,
    /// Decoder layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of a head; even.
    pub head_dim: usize,
    /// ε of the norms.
    pub epsilon: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Longest sequence.
    pub max_positions: usize,
    /// Whether the head is the embedding table.
    pub tied: bool,
}

impl LlamaConfig {
    fn read(source: &Source, loader: &Loader<'_>) -> Result<Self, LoadError> {
        loader.only("hidden_act", &[json!("silu")])?;
        loader.only("attention_bias", &[json!(false)])?;
        loader.only("mlp_bias", &[json!(false)])?;
        loader.only("rope_scaling", &[])?;
        let heads = loader.size("num_attention_heads")?;
        let hidden = loader.size("hidden_size")?;
        let config = Self {
            vocab: loader.size("vocab_size")?,
            hidden,
            intermediate: loader.size("intermediate_size")?,
            layers: loader.size("num_hidden_layers")?,
            heads,
            kv_heads: loader.optional_size("num_key_value_heads")?.unwrap_or(heads),
            head_dim: loader.optional_size("head_dim")?.unwrap_or(hidden / heads),
            epsilon: loader.number("rms_norm_eps", 1e-6)?,
            rope_theta: rope_theta(source, loader)?,
            max_positions: loader.optional_size("max_position_embeddings")?.unwrap_or(2048),
            tied: loader.flag("tie_word_embeddings", false)?,
        };
        let wrong = if !config.heads.is_multiple_of(config.kv_heads) {
            format!(
                "{} query heads do not share {} key heads evenly",
                config.heads, config.kv_heads
            )
        } else if !config.head_dim.is_multiple_of(2) || config.head_dim == 0 {
            format!("rotary positions need an even head_dim, found {}", config.head_dim)
        } else {
            return Ok(config);
        };
        Err(LoadError::Sizes { file: source.config_file.clone(), what: wrong })
    }
}

/// transformers 5 writes `rope_parameters: {rope_theta, rope_type}`, older ones `rope_theta`.
fn rope_theta(source: &Source, loader: &Loader<'_>) -> Result<f64, LoadError> {
    let nested = source.config.get("rope_parameters").filter(|value| !value.is_null());
    let Some(nested) = nested else { return loader.number("rope_theta", 10_000.0) };
    let kind = nested.get("rope_type").and_then(|kind| kind.as_str()).unwrap_or("default");
    let theta = nested.get("rope_theta").and_then(|theta| theta.as_f64());
    match theta {
        Some(theta) if kind == "default" && theta.is_finite() && theta > 0.0 => Ok(theta),
        _ => Err(LoadError::Unsupported {
            file: source.config_file.clone(),
            key: "rope_parameters".to_owned(),
            expected: "{\"rope_type\": \"default\", \"rope_theta\": …}".to_owned(),
            found: nested.to_string(),
        }),
    }
}

/// A frozen Llama.
#[derive(Debug, Clone)]
pub struct Llama {
    config: LlamaConfig,
    embeddings: Tensor<2>,
    layers: Vec<Layer>,
    norm: RmsNorm,
    head: Linear,
}

#[derive(Debug, Clone)]
struct Layer {
    attention_norm: RmsNorm,
    /// Queries, keys and values of one input, one product.
    qkv: Linear,
    output: Linear,
    feed_forward_norm: RmsNorm,
    /// Gate and up of one input, one product.
    gate_up: Linear,
    down: Linear,
}

impl Llama {
    /// Reads a Llama onto a device.
    ///
    /// # Errors
    /// A config that contradicts itself or the tensors, or a variant that is not built in.
    pub fn load(source: &Source, device: &Device) -> Result<Self, LoadError> {
        let loader = Loader::new(source, device);
        let config = LlamaConfig::read(source, &loader)?;
        let LlamaConfig { vocab, hidden, epsilon, .. } = config;
        let embeddings = loader.matrix("model.embed_tokens.weight", vocab, hidden)?;
        let head = if config.tied {
            embeddings.clone()
        } else {
            loader.matrix("lm_head.weight", vocab, hidden)?
        };
        let layers = (0..config.layers).map(|index| Layer::load(&loader, &config, index));
        Ok(Self {
            layers: layers.collect::<Result<_, _>>()?,
            norm: RmsNorm::new(loader.vector("model.norm.weight", hidden)?, epsilon),
            head: Linear::new(head),
            embeddings,
            config,
        })
    }

    /// Its sizes.
    pub fn config(&self) -> &LlamaConfig {
        &self.config
    }
}

impl Layer {
    fn load(loader: &Loader<'_>, config: &LlamaConfig, index: usize) -> Result<Self, LoadError> {
        let LlamaConfig { hidden, intermediate, heads, kv_heads, head_dim, epsilon, .. } = *config;
        let name = |part: &str| format!("model.layers.{index}.{part}.weight");
        let norm =
            |part| Ok::<_, LoadError>(RmsNorm::new(loader.vector(&name(part), hidden)?, epsilon));
        let (q, k, v) =
            (name("self_attn.q_proj"), name("self_attn.k_proj"), name("self_attn.v_proj"));
        let (kv_rows, q_rows) = (kv_heads * head_dim, heads * head_dim);
        let qkv = loader.stacked(&[(&q, q_rows), (&k, kv_rows), (&v, kv_rows)], hidden)?;
        let (gate, up) = (name("mlp.gate_proj"), name("mlp.up_proj"));
        let gate_up = loader.stacked(&[(&gate, intermediate), (&up, intermediate)], hidden)?;
        Ok(Self {
            attention_norm: norm("input_layernorm")?,
            qkv: Linear::new(qkv),
            output: Linear::new(loader.matrix(&name("self_attn.o_proj"), hidden, q_rows)?),
            feed_forward_norm: norm("post_attention_layernorm")?,
            gate_up: Linear::new(gate_up),
            down: Linear::new(loader.matrix(&name("mlp.down_proj"), hidden, intermediate)?),
        })
    }

    /// # Shapes
    /// - `x`: `[batch · seq, hidden]`
    /// - returns: `[batch · seq, heads · head_dim]`
    fn attend(&self, x: Tensor<2>, shared: &Shared<'_>) -> Tensor<2> {
        let LlamaConfig { heads, kv_heads, head_dim, .. } = *shared.config;
        let (batch, seq) = (shared.layout.batch(), shared.layout.seq);
        let qkv = self.qkv.forward(self.attention_norm.forward(x));
        let qkv = qkv.reshape([batch, seq, heads + 2 * kv_heads, head_dim]);
        let turned = shared.rotary.forward(qkv.clone().narrow(2, 0, heads + kv_heads));
        let queries = turned.clone().narrow(2, 0, heads).swap_dims(1, 2);
        let keys = turned.narrow(2, heads, kv_heads).swap_dims(1, 2);
        let values = qkv.narrow(2, heads + kv_heads, kv_heads).swap_dims(1, 2);
        attention(queries, keys, values, &shared.mask)
    }

    /// SwiGLU (Shazeer 2020, arXiv:2002.05202), with its norm.
    ///
    /// # Shapes
    /// - `x`: `[rows, hidden]`
    /// - returns: `[rows, hidden]`
    fn feed_forward(&self, x: Tensor<2>, intermediate: usize) -> Tensor<2> {
        let both = self.gate_up.forward(self.feed_forward_norm.forward(x));
        let gate = both.clone().narrow(1, 0, intermediate);
        let up = both.narrow(1, intermediate, intermediate);
        self.down.forward(silu(gate) * up)
    }
}

/// What all layers of one pass share.
struct Shared<'a> {
    config: &'a LlamaConfig,
    layout: &'a Layout,
    rotary: Rotary,
    mask: Mask,
}

impl LanguageModel for Llama {
    fn objective(&self) -> Objective {
        Objective::Causal
    }

    fn vocab_size(&self) -> usize {
        self.config.vocab
    }

    fn hidden_size(&self) -> usize {
        self.config.hidden
    }

    fn max_positions(&self) -> usize {
        self.config.max_positions
    }

    fn device(&self) -> Device {
        self.embeddings.device()
    }

    fn word_embeddings(&self) -> Tensor<2> {
        self.embeddings.clone()
    }

    fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let [batch, seq] = ids.dims();
        self.embeddings.clone().select(0, ids.reshape([batch * seq])).reshape([
            batch,
            seq,
            self.config.hidden,
        ])
    }

    fn encode(&self, embeddings: Tensor<3>, layout: &Layout) -> Tensor<2> {
        let LlamaConfig { hidden, intermediate, head_dim, rope_theta, .. } = self.config;
        let device = self.device();
        let (batch, seq) = (layout.batch(), layout.seq);
        let shared = Shared {
            config: &self.config,
            layout,
            rotary: Rotary::new(seq, head_dim, rope_theta, &device),
            mask: Mask::causal(layout, self.config.heads / self.config.kv_heads, &device),
        };
        let answers = layout.flat_answers();
        let answers = Tensor::<1, Int>::from_data(answers.as_slice(), &device);
        let mut x = embeddings.reshape([batch * seq, hidden]);
        for (index, layer) in self.layers.iter().enumerate() {
            let mut context = layer.attend(x.clone(), &shared);
            // After the last attention only the answer rows matter.
            if index + 1 == self.layers.len() {
                x = x.select(0, answers.clone());
                context = context.select(0, answers.clone());
            }
            x = x + layer.output.forward(context);
            x = x.clone() + layer.feed_forward(x, intermediate);
        }
        self.norm.forward(x)
    }

    fn head(&self, hidden: Tensor<2>) -> Tensor<2> {
        self.head.forward(hidden)
    }
}
