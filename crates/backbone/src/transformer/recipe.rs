//! What a transformer consists of, and under which names its weights are found: all that a decoder or
//! encoder family has to say about itself.

use std::collections::HashSet;

use kernels::activation::Activation;
use kernels::stack::Shape;
use ptuning_core::language_model::Objective;

use super::{NormRecipe, PositionBiasRecipe};

/// Where in its tensor a matrix `[out, in]` stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// It is the tensor.
    Whole,
    /// Rows from `first` on, of `of`: several projections of one input on top of each other.
    Rows {
        /// First row.
        first: usize,
        /// Rows of the tensor.
        of: usize,
    },
    /// Columns from `first` on, of `of`, of a tensor that is transposed: `[in, of]` (GPT-2's Conv1D).
    Columns {
        /// First column.
        first: usize,
        /// Columns of the tensor.
        of: usize,
    },
    /// Rows in blocks of `block`, of every `of` blocks the one of this number: projections that take
    /// turns head by head (GPT-NeoX).
    Turns {
        /// Rows of a block.
        block: usize,
        /// Which block of each turn.
        which: usize,
        /// Blocks of a turn.
        of: usize,
    },
}

/// A linear layer's tensors.
#[derive(Debug, Clone)]
pub struct LinearRecipe {
    /// Name of the tensor that holds the weight, `[out, in]`.
    pub weight: String,
    /// Name of the tensor that holds the bias, `[out]`, at the rows where the weight's are.
    pub bias: Option<String>,
    /// Where in its tensor the weight stands.
    pub stored: Stored,
    /// Numbers that it gives for a row.
    pub out: usize,
    /// Numbers of a row that it takes.
    pub inner: usize,
}

impl LinearRecipe {
    /// The tensors `{name}.weight` and `{name}.bias`, whole.
    pub fn new(name: &str, out: usize, inner: usize) -> Self {
        let (weight, bias) = (format!("{name}.weight"), Some(format!("{name}.bias")));
        Self { weight, bias, stored: Stored::Whole, out, inner }
    }

    /// The same without a bias.
    pub fn without_bias(self) -> Self {
        Self { bias: None, ..self }
    }

    /// The same as a part of its tensors.
    pub fn stored(self, stored: Stored) -> Self {
        Self { stored, ..self }
    }

    /// Shape of the tensor that holds the weight.
    pub fn weight_shape(&self) -> [usize; 2] {
        let Self { out, inner, .. } = *self;
        match self.stored {
            Stored::Whole => [out, inner],
            Stored::Rows { of, .. } => [of, inner],
            Stored::Columns { of, .. } => [inner, of],
            Stored::Turns { of, .. } => [of * out, inner],
        }
    }

    /// Length of the tensor that holds the bias.
    pub fn bias_len(&self) -> usize {
        match self.stored {
            Stored::Whole => self.out,
            Stored::Rows { of, .. } | Stored::Columns { of, .. } => of,
            Stored::Turns { of, .. } => of * self.out,
        }
    }
}

/// One layer.
#[derive(Debug, Clone)]
pub struct LayerRecipe {
    /// Before attention, or after its residual; none where attention reads its input as it is.
    pub attention_norm: Option<NormRecipe>,
    /// Of each head's queries and keys.
    pub head_norms: Option<[NormRecipe; 2]>,
    /// Which of the shape's ropes turns queries and keys.
    pub rope: Option<usize>,
    /// How many positions away a key may stand from its query.
    pub window: Option<usize>,
    /// What is added to scores by how far a key stands from its query.
    pub position_bias: Option<PositionBiasRecipe>,
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
    /// Of what attention and the feed-forward network add.
    pub sandwich: Option<[NormRecipe; 2]>,
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
    /// How often each layer stands in the stack, one after the other (ALBERT shares them).
    pub repeats: usize,
    /// Behind the last layer.
    pub last_norm: Option<NormRecipe>,
}

/// How the rows of a decoder look at those of its encoder.
#[derive(Debug, Clone)]
pub struct CrossRecipe {
    /// In front of it.
    pub norm: NormRecipe,
    /// Queries, of the decoder's rows.
    pub query: LinearRecipe,
    /// Keys, of the encoder's rows.
    pub key: LinearRecipe,
    /// Values, of the encoder's rows.
    pub value: LinearRecipe,
    /// Its output.
    pub output: LinearRecipe,
}

/// What reads an encoder's result and answers for it.
#[derive(Debug, Clone)]
pub struct DecoderRecipe {
    /// Self-attention, feed-forward networks and the norm behind the last of them: pre-norm, causal.
    pub recipe: Recipe,
    /// Of each layer, between the two.
    pub cross: Vec<CrossRecipe>,
    /// What it has read when it answers: at least one token.
    pub start: Vec<u32>,
    /// What its result is multiplied by.
    pub scale: Option<f64>,
}

/// Rows of a table, each of which is added to what stands at a position.
#[derive(Debug, Clone)]
pub struct PositionRecipe {
    /// Name of the table, `[skipped + positions, width]`.
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
    /// From an embedding's width to that of the layers.
    pub project: Option<LinearRecipe>,
}

/// What stands between the last layer and the head: `norm(f(W·x + b))`.
#[derive(Debug, Clone)]
pub struct TransformRecipe {
    /// W and b, `[width, hidden]`.
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
    /// Word embeddings, `[vocab, width]`.
    pub embeddings: LinearRecipe,
    /// What word embeddings are multiplied by.
    pub embedding_scale: Option<f64>,
    /// From embeddings to the first layer.
    pub input: InputRecipe,
    /// The layers.
    pub recipe: Recipe,
    /// Behind the layers, which are its encoder.
    pub decoder: Option<DecoderRecipe>,
    /// From the last layer to the head.
    pub transform: Option<TransformRecipe>,
    /// The head, `[vocab, width]`; the embeddings where there is none.
    pub head: Option<LinearRecipe>,
    /// Added to every row of logits, `[vocab]`.
    pub head_bias: Option<String>,
    /// Longest sequence.
    pub max_positions: usize,
}

impl Description {
    /// The stacks of layers: one, or an encoder's and a decoder's.
    fn recipes(&self) -> impl Iterator<Item = &Recipe> {
        [&self.recipe].into_iter().chain(self.decoder.as_ref().map(|decoder| &decoder.recipe))
    }

    /// Every cross-attention.
    fn cross(&self) -> impl Iterator<Item = &CrossRecipe> {
        self.decoder.iter().flat_map(|decoder| &decoder.cross)
    }

    /// Every matrix that is multiplied with, or looked up in.
    pub fn matrices(&self) -> impl Iterator<Item = &LinearRecipe> {
        let layers = self.recipes().flat_map(|recipe| &recipe.layers).flat_map(|layer| {
            let LayerRecipe { query, key, value, output, gate, up, down, .. } = layer;
            [query, key, value, output, up, down].into_iter().chain(gate)
        });
        let transform = self.transform.as_ref().map(|transform| &transform.dense);
        let project = &self.input.project;
        let cross = self.cross().flat_map(|cross| {
            let CrossRecipe { query, key, value, output, .. } = cross;
            [query, key, value, output]
        });
        let layers = layers.chain(cross);
        layers.chain([&self.embeddings]).chain(project).chain(transform).chain(&self.head)
    }

    /// Every tensor that is held as plain numbers, by name, with its shape.
    pub fn numbers(&self) -> Vec<(&str, Vec<usize>)> {
        let Shape { hidden, head_dim, heads, .. } = self.recipe.shape;
        let (vocab, width) = (self.embeddings.out, self.embeddings.inner);
        let mut norms: Vec<(&NormRecipe, usize)> = Vec::new();
        for layer in self.recipes().flat_map(|recipe| &recipe.layers) {
            let wide = layer.attention_norm.iter().chain([&layer.feed_forward_norm]);
            norms.extend(wide.chain(layer.sandwich.iter().flatten()).map(|norm| (norm, hidden)));
            norms.extend(layer.head_norms.iter().flatten().map(|norm| (norm, head_dim)));
        }
        let last = self.recipes().flat_map(|recipe| &recipe.last_norm);
        let cross = self.cross().map(|cross| &cross.norm);
        norms.extend(last.chain(cross).map(|norm| (norm, hidden)));
        let transform = self.transform.iter().map(|transform| &transform.norm);
        norms.extend(self.input.norm.iter().chain(transform).map(|norm| (norm, width)));
        let mut numbers = Vec::new();
        for (norm, width) in norms {
            let names = [Some(&norm.gain), norm.bias.as_ref()].into_iter().flatten();
            numbers.extend(names.map(|name| (name.as_str(), vec![width])));
        }
        for linear in self.matrices() {
            numbers.extend(linear.bias.iter().map(|bias| (bias.as_str(), vec![linear.bias_len()])));
        }
        numbers.extend(self.head_bias.iter().map(|name| (name.as_str(), vec![vocab])));
        if let Some(PositionRecipe { table, skipped }) = &self.input.positions {
            numbers.push((table, vec![skipped + self.max_positions, width]));
        }
        let layers = self.recipes().flat_map(|recipe| &recipe.layers);
        let biases = layers.flat_map(|layer| &layer.position_bias);
        numbers.extend(biases.map(|bias| (bias.table.as_str(), vec![bias.buckets, heads])));
        let segments = self.input.segments.iter();
        numbers.extend(segments.map(|(name, rows)| (name.as_str(), vec![*rows, width])));
        // Parts of one tensor share its bias, and layers a position bias.
        let mut seen = HashSet::new();
        numbers.retain(|(name, _)| seen.insert(*name));
        numbers
    }

    /// Every tensor with its shape in the file, each once: embeddings first.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let matrix =
            |linear: &LinearRecipe| (linear.weight.clone(), linear.weight_shape().to_vec());
        let numbers = self.numbers().into_iter().map(|(name, shape)| (name.to_owned(), shape));
        let all = [matrix(&self.embeddings)].into_iter().chain(self.matrices().map(matrix));
        // Parts of one tensor name it each.
        let mut seen = HashSet::new();
        all.chain(numbers).filter(|(name, _)| seen.insert(name.clone())).collect()
    }

    /// Names of the tensors that only the head needs; none where it is the embeddings.
    pub fn head_tensors(&self) -> Vec<&str> {
        let transform =
            self.transform.iter().flat_map(|TransformRecipe { dense, norm, .. }| {
                let biases = dense.bias.iter().chain(&norm.bias);
                [&dense.weight, &norm.gain].into_iter().chain(biases)
            });
        let head = self.head.iter().map(|head| &head.weight);
        transform.chain(head).chain(&self.head_bias).map(String::as_str).collect()
    }
}
