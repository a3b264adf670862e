//! What a transformer consists of, and under which names its weights are found: all that a decoder or
//! encoder family has to say about itself.

use kernels::activation::Activation;
use kernels::stack::Shape;
use ptuning_core::language_model::Objective;

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

/// Rows of a table, each of which is added to what stands at a position.
#[derive(Debug, Clone)]
pub struct PositionRecipe {
    /// Name of the table, `[skipped + positions, hidden]`.
    pub table: String,
    /// Rows in front that belong to no position.
    pub skipped: usize,
}

/// What happens to word embeddings before the first layer.
#[derive(Debug, Clone, Default)]
pub struct InputRecipe {
    /// Learned positions.
    pub positions: Option<PositionRecipe>,
    /// A table whose first row is added everywhere (BERT's segment A), with the number of its rows.
    pub segments: Option<(String, usize)>,
    /// Behind the sums.
    pub norm: Option<NormRecipe>,
}

/// What stands between the last layer and the head: `norm(f(W·x + b))`.
#[derive(Debug, Clone)]
pub struct TransformRecipe {
    /// W and b, `[hidden, hidden]`.
    pub dense: LinearRecipe,
    /// f
    pub activation: Activation,
    /// The norm.
    pub norm: NormRecipe,
}

/// A whole language model.
#[derive(Debug, Clone)]
pub struct Description {
    /// Left to right, or both ways.
    pub objective: Objective,
    /// Word embeddings, `[vocab, hidden]`.
    pub embeddings: LinearRecipe,
    /// From embeddings to the first layer.
    pub input: InputRecipe,
    /// The layers.
    pub recipe: Recipe,
    /// From the last layer to the head.
    pub transform: Option<TransformRecipe>,
    /// The head, `[vocab, hidden]`; the embeddings where there is none.
    pub head: Option<LinearRecipe>,
    /// Added to every row of logits, `[vocab]`.
    pub head_bias: Option<String>,
    /// Longest sequence.
    pub max_positions: usize,
}

impl Description {
    /// Every matrix that is multiplied with, or looked up in.
    pub fn matrices(&self) -> impl Iterator<Item = &LinearRecipe> {
        let layers = self.recipe.layers.iter().flat_map(|layer| {
            let LayerRecipe { query, key, value, output, gate, up, down, .. } = layer;
            [query, key, value, output, up, down].into_iter().chain(gate)
        });
        let transform = self.transform.as_ref().map(|transform| &transform.dense);
        layers.chain([&self.embeddings]).chain(transform).chain(&self.head)
    }

    /// Every tensor that is held as plain numbers, by name, with its shape.
    pub fn numbers(&self) -> Vec<(&str, Vec<usize>)> {
        let hidden = self.recipe.shape.hidden;
        let norms = self
            .recipe
            .layers
            .iter()
            .flat_map(|layer| [&layer.attention_norm, &layer.feed_forward_norm]);
        let norms = norms.chain(&self.recipe.last_norm).chain(&self.input.norm);
        let norms = norms.chain(self.transform.as_ref().map(|transform| &transform.norm));
        let norms = norms.flat_map(|norm| [Some(&norm.gain), norm.bias.as_ref()]);
        let norms = norms.flatten().map(|name| (name.as_str(), vec![hidden]));
        let biases =
            self.matrices().map(|linear| Some((linear.bias.as_deref()?, vec![linear.out])));
        let vocab = vec![self.embeddings.out];
        let head = self.head_bias.iter().map(|name| (name.as_str(), vocab.clone()));
        let positions = self.input.positions.iter().map(|positions| {
            (positions.table.as_str(), vec![positions.skipped + self.max_positions, hidden])
        });
        let segments = &self.input.segments;
        let segments = segments.iter().map(|(name, rows)| (name.as_str(), vec![*rows, hidden]));
        norms.chain(biases.flatten()).chain(head).chain(positions).chain(segments).collect()
    }
}
