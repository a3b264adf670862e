//! llama.cpp's dialects: what it calls the tensors and settings of each architecture.
//!
//! A new family is one entry of [`ARCHITECTURES`]. The names are those of `gguf-py`'s
//! `tensor_mapping.py` and of transformers' GGUF loader.

/// One architecture of llama.cpp.
#[derive(Debug)]
pub(super) struct Architecture {
    /// `general.architecture`, and the prefix of the architecture's metadata keys.
    pub(super) name: &'static str,
    /// `model_type` of Hugging Face's configuration.
    pub(super) model_type: &'static str,
    /// Metadata key without the prefix → key of `config.json`.
    pub(super) settings: &'static [(&'static str, &'static str)],
    /// Settings that the architecture fixes and `config.json` spells out.
    pub(super) fixed: &'static [(&'static str, Fixed)],
    /// Tensors outside of layers: llama.cpp's name → Hugging Face's.
    pub(super) tensors: &'static [(&'static str, &'static str)],
    /// llama.cpp's prefix of a layer's tensors is `blk.N.`; this is Hugging Face's, before `N.`.
    pub(super) layer_prefix: &'static str,
    /// Tensors of a layer, without `.weight` or `.bias`.
    pub(super) layer_tensors: &'static [(&'static str, &'static str)],
    /// Tensors of a layer (llama.cpp's names) whose rows were reordered by the conversion, and the
    /// heads that share them out.
    pub(super) interleaved: &'static [(&'static str, Heads)],
}

/// A value of `config.json` that an architecture implies.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fixed {
    Text(&'static str),
    Bool(bool),
}

/// Which number of heads a projection's rows are divided among.
#[derive(Debug, Clone, Copy)]
pub(super) enum Heads {
    /// `num_attention_heads`.
    Query,
    /// `num_key_value_heads`.
    KeyValue,
}

/// Every architecture that can be read.
pub(super) const ARCHITECTURES: &[Architecture] = &[Architecture {
    name: "llama",
    model_type: "llama",
    settings: &[
        ("embedding_length", "hidden_size"),
        ("feed_forward_length", "intermediate_size"),
        ("block_count", "num_hidden_layers"),
        ("attention.head_count", "num_attention_heads"),
        ("attention.head_count_kv", "num_key_value_heads"),
        ("attention.layer_norm_rms_epsilon", "rms_norm_eps"),
        ("rope.freq_base", "rope_theta"),
        ("context_length", "max_position_embeddings"),
        ("vocab_size", "vocab_size"),
    ],
    fixed: &[("hidden_act", Fixed::Text("silu")), ("mlp_bias", Fixed::Bool(false))],
    tensors: &[
        ("token_embd.weight", "model.embed_tokens.weight"),
        ("output_norm.weight", "model.norm.weight"),
        ("output.weight", "lm_head.weight"),
    ],
    layer_prefix: "model.layers.",
    layer_tensors: &[
        ("attn_norm", "input_layernorm"),
        ("attn_q", "self_attn.q_proj"),
        ("attn_k", "self_attn.k_proj"),
        ("attn_v", "self_attn.v_proj"),
        ("attn_output", "self_attn.o_proj"),
        ("ffn_norm", "post_attention_layernorm"),
        ("ffn_gate", "mlp.gate_proj"),
        ("ffn_up", "mlp.up_proj"),
        ("ffn_down", "mlp.down_proj"),
    ],
    interleaved: &[("attn_q", Heads::Query), ("attn_k", Heads::KeyValue)],
}];

impl Architecture {
    /// Hugging Face's name of a tensor; one that has none keeps llama.cpp's, so that it can still
    /// be seen and listed.
    pub(super) fn rename(&self, name: &str) -> String {
        if let Some((_, renamed)) = self.tensors.iter().find(|(from, _)| *from == name) {
            return (*renamed).to_owned();
        }
        if let Some((layer, tensor, kind)) = split_layer(name)
            && let Some((_, renamed)) = self.layer_tensors.iter().find(|(from, _)| *from == tensor)
        {
            return format!("{}{layer}.{renamed}.{kind}", self.layer_prefix);
        }
        name.to_owned()
    }

    /// The heads among which a tensor's rows are interleaved, if they are.
    pub(super) fn interleaving(&self, name: &str) -> Option<Heads> {
        let (_, tensor, _) = split_layer(name)?;
        self.interleaved.iter().find(|(from, _)| *from == tensor).map(|&(_, heads)| heads)
    }
}

/// `blk.7.attn_q.weight` → `("7", "attn_q", "weight")`.
fn split_layer(name: &str) -> Option<(&str, &str, &str)> {
    let (layer, rest) = name.strip_prefix("blk.")?.split_once('.')?;
    let (tensor, kind) = rest.split_once('.')?;
    let numbered = !layer.is_empty() && layer.bytes().all(|byte| byte.is_ascii_digit());
    (numbered && matches!(kind, "weight" | "bias")).then_some((layer, tensor, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_hugging_faces() {
        let llama = &ARCHITECTURES[0];
        for (from, to) in [
            ("token_embd.weight", "model.embed_tokens.weight"),
            ("output.weight", "lm_head.weight"),
            ("blk.0.attn_q.weight", "model.layers.0.self_attn.q_proj.weight"),
            ("blk.29.ffn_norm.weight", "model.layers.29.post_attention_layernorm.weight"),
            ("blk.3.attn_k.bias", "model.layers.3.self_attn.k_proj.bias"),
            // Not a layer, not a part of one, not a weight: left alone.
            ("blk.x.attn_q.weight", "blk.x.attn_q.weight"),
            ("blk.0.attn_rot_embd.weight", "blk.0.attn_rot_embd.weight"),
            ("rope_freqs.weight", "rope_freqs.weight"),
            ("blk..attn_q.weight", "blk..attn_q.weight"),
        ] {
            assert_eq!(llama.rename(from), to);
        }
        assert!(llama.interleaving("blk.0.attn_v.weight").is_none());
        assert!(matches!(llama.interleaving("blk.1.attn_k.weight"), Some(Heads::KeyValue)));
    }
}
