//! Models of every kind, small and of odd sizes.

use kernels::activation::Activation;
use kernels::stack::Order;

use super::Model;

impl Model {
    /// Every order of norms, both norms, gated and plain, grouped queries or not, odd sizes.
    pub fn samples() -> Vec<Self> {
        let llama = Self {
            hidden: 24,
            causal: true,
            order: Order::Pre,
            intermediate: 40,
            heads: 6,
            kv_heads: 2,
            head_dim: 6,
            ropes: vec![(6, 100.0)],
            scale: None,
            window: None,
            normed_heads: false,
            reach: None,
            bare_start: false,
            activation: Activation::Silu,
            gated: true,
            layer_norm: false,
            layers: Vec::new(),
        };
        let bert = Self {
            hidden: 33,
            causal: false,
            order: Order::Post,
            intermediate: 70,
            heads: 3,
            kv_heads: 3,
            head_dim: 11,
            ropes: Vec::new(),
            activation: Activation::Gelu,
            gated: false,
            layer_norm: true,
            ..llama.like()
        };
        let gpt = Self {
            hidden: 32,
            intermediate: 48,
            heads: 2,
            kv_heads: 2,
            head_dim: 16,
            ropes: Vec::new(),
            activation: Activation::GeluTanh,
            gated: false,
            layer_norm: true,
            ..llama.like()
        };
        let neox =
            Self { order: Order::Parallel, head_dim: 10, ropes: vec![(4, 50.0)], ..gpt.like() };
        let gemma = Self {
            order: Order::Sandwich,
            ropes: vec![(6, 100.0), (6, 7.0)],
            scale: Some(0.7),
            window: Some(3),
            normed_heads: true,
            ..llama.like()
        };
        let modern_bert = Self {
            causal: false,
            window: Some(2),
            bare_start: true,
            activation: Activation::Gelu,
            layer_norm: true,
            ..llama.like()
        };
        // Rows of the last layer answer, and keys stand beyond the reach on both sides.
        let t5 = Self {
            causal: false,
            ropes: Vec::new(),
            scale: Some(1.0),
            reach: Some(3),
            activation: Activation::Relu,
            gated: false,
            ..llama.like()
        };
        let causal_t5 =
            Self { causal: true, reach: Some(2), activation: Activation::GeluTanh, ..t5.like() };
        vec![
            llama.filled(3, false, 1),
            bert.filled(2, true, 2),
            gpt.filled(1, true, 3),
            neox.filled(2, true, 4),
            gemma.filled(2, false, 5),
            modern_bert.filled(3, false, 6),
            t5.filled(2, false, 7),
            causal_t5.filled(2, false, 8),
        ]
    }
}
