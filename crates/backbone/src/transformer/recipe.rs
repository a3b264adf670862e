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

/// A whole language model.
#[derive(Debug, Clone)]
pub struct Description {
    /// The layers.
    pub recipe: Recipe,
    /// Word embeddings, `[vocab, hidden]`.
    pub embeddings: LinearRecipe,
    /// The head, `[vocab, hidden]`; the embeddings where there is none.
    pub head: Option<LinearRecipe>,
    /// Longest sequence.
    pub max_positions: usize,
}

impl Description {
    /// Every matrix.
    pub fn matrices(&self) -> impl Iterator<Item = &LinearRecipe> {
        let layers = self.recipe.layers.iter().flat_map(|layer| {
            let LayerRecipe { query, key, value, output, gate, up, down, .. } = layer;
            [query, key, value, output, up, down].into_iter().chain(gate)
        });
        layers.chain([&self.embeddings]).chain(&self.head)
    }

    /// Every vector, by name, with its length.
    pub fn vectors(&self) -> Vec<(&str, usize)> {
        let hidden = self.recipe.shape.hidden;
        let norms = self
            .recipe
            .layers
            .iter()
            .flat_map(|layer| [&layer.attention_norm, &layer.feed_forward_norm]);
        let norms = norms.chain(&self.recipe.last_norm);
        let norms = norms.flat_map(|norm| [Some(&norm.gain), norm.bias.as_ref()]);
        let biases = self.matrices().map(|linear| Some((linear.bias.as_deref()?, linear.out)));
        norms.flatten().map(|name| (name.as_str(), hidden)).chain(biases.flatten()).collect()
    }
}
