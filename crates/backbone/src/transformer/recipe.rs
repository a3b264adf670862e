//! What a transformer consists of, and under which names its weights are found: all that a decoder or
//! encoder family has to say about itself.

use kernels::activation::Activation;
use kernels::stack::Shape;

/// A linear layer's tensors.
#[derive(Debug, Clone)]
pub struct LinearRecipe {
    /// Name of the weight, `[out, in]`.
    pub weight: String,
    /// Name of the bias, `[out]`.
    pub bias: Option<String>,
    /// Numbers that it gives for a row.
    pub out: usize,
    /// Numbers of a row that it takes.
    pub inner: usize,
}

/// A norm's tensors.
#[derive(Debug, Clone)]
pub struct NormRecipe {
    /// Name of the gain, `[hidden]`.
    pub gain: String,
    /// Name of the bias, `[hidden]`: layer normalisation; without one, root mean square.
    pub bias: Option<String>,
    /// ε
    pub epsilon: f64,
}

/// One layer.
#[derive(Debug, Clone)]
pub struct LayerRecipe {
    /// Before attention, or after its residual.
    pub attention_norm: NormRecipe,
    /// Queries.
    pub query: LinearRecipe,
    /// Keys.
    pub key: LinearRecipe,
    /// Values.
    pub value: LinearRecipe,
    /// Attention's output.
    pub output: LinearRecipe,
    /// Before the feed-forward network, or after its residual.
    pub feed_forward_norm: NormRecipe,
    /// The gate of a gated feed-forward network.
    pub gate: Option<LinearRecipe>,
    /// Into the feed-forward network.
    pub up: LinearRecipe,
    /// Out of it.
    pub down: LinearRecipe,
}

/// A stack of layers.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// What all layers share.
    pub shape: Shape,
    /// The feed-forward network's activation.
    pub activation: Activation,
    /// The layers, first one first.
    pub layers: Vec<LayerRecipe>,
    /// Behind the last layer.
    pub last_norm: Option<NormRecipe>,
}
