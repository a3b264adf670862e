//! What reads an encoder's result and answers for it: a few rows for each answer.
//!
//! Raffel et al. 2020 (arXiv:1910.10683). Each layer attends to the decoder's own rows, then to all rows
//! of the example (cross-attention), then runs through a feed-forward network. The tokens that it has read
//! are the same for every answer, so what the first layer makes of them alone is computed once, when the
//! decoder is loaded. In the last layer only the row that answers goes on.
//!
//! All of it are Burn's operations on packed or plain matrices: its rows are few. Only the keys and values
//! of the encoder's rows are many, and they are one product each.

use burn::tensor::{FloatDType, Int, Tensor};
use kernels::activation::Activation;
use kernels::stack::Shape;
use ptuning_core::language_model::Layout;
use ptuning_core::objective::ids;

use super::norm::Norm;
use super::tensors::{activate, attention_dtype, bucket, padded_rows};
use super::{CrossRecipe, DecoderRecipe, LayerRecipe, LinearRecipe, Table};
use crate::error::LoadError;
use crate::layers::{Loader, Mask, PositionBias, attention};

/// A decoder that answers behind the same few tokens every time.
#[derive(Debug)]
pub struct Decoder {
    shape: Shape,
    activation: Activation,
    layers: Vec<Layer>,
    last_norm: Option<Norm>,
    scale: Option<f64>,
    /// Its tokens behind the first layer's self-attention, `[steps, hidden]`.
    start: Tensor<2>,
    steps: usize,
    /// In what numbers attention multiplies.
    dtype: FloatDType,
    /// What padded lengths are multiples of.
    bucket: usize,
}

#[derive(Debug)]
struct Layer {
    own: Attention,
    position_bias: Option<PositionBias>,
    cross: Attention,
    feed_forward_norm: Norm,
    gate: Option<Table>,
    up: Table,
    down: Table,
}

/// A norm and four projections.
#[derive(Debug)]
struct Attention {
    norm: Option<Norm>,
    query: Table,
    key: Table,
    value: Table,
    output: Table,
}

impl Attention {
    fn normed(&self, x: Tensor<2>) -> Tensor<2> {
        match &self.norm {
            Some(norm) => norm.forward(x),
            None => x,
        }
    }
}

impl Layer {
    fn load(
        layer: &LayerRecipe,
        cross: &CrossRecipe,
        shape: &Shape,
        loader: &Loader<'_>,
    ) -> Result<Self, LoadError> {
        let table = |linear: &LinearRecipe| Table::load(loader, linear);
        let norm = |norm| Norm::load(norm, shape.hidden, loader);
        let bias = layer.position_bias.as_ref().map(|bias| bias.load(shape.heads, loader));
        let LayerRecipe { query, key, value, output, gate, up, down, .. } = layer;
        Ok(Self {
            own: Attention {
                norm: layer.attention_norm.as_ref().map(norm).transpose()?,
                query: table(query)?,
                key: table(key)?,
                value: table(value)?,
                output: table(output)?,
            },
            position_bias: bias.transpose()?.map(|bias| PositionBias::new(&bias, loader.device())),
            cross: Attention {
                norm: Some(norm(&cross.norm)?),
                query: table(&cross.query)?,
                key: table(&cross.key)?,
                value: table(&cross.value)?,
                output: table(&cross.output)?,
            },
            feed_forward_norm: norm(&layer.feed_forward_norm)?,
            gate: gate.as_ref().map(table).transpose()?,
            up: table(up)?,
            down: table(down)?,
        })
    }
}

/// The encoder's rows as each answer sees them.
struct Seen {
    /// `[rows, hidden]`
    encoded: Tensor<2>,
    /// For each answer and position, which of them stands there: `[answers · seq]`
    rows: Tensor<1, Int>,
    seq: usize,
    mask: Mask,
}

impl Decoder {
    /// Reads a decoder onto the loader's device.
    ///
    /// # Shapes
    /// - `start`: embeddings of the tokens that it has read, `[steps, hidden]`
    ///
    /// # Errors
    /// Tensors that are missing or of another shape.
    pub fn load(
        recipe: &DecoderRecipe,
        start: Tensor<2>,
        loader: &Loader<'_>,
    ) -> Result<Self, LoadError> {
        let shape = recipe.recipe.shape.clone();
        let layers = recipe.recipe.layers.iter().zip(&recipe.cross);
        let layers = layers.map(|(layer, cross)| Layer::load(layer, cross, &shape, loader));
        let last = recipe.recipe.last_norm.as_ref();
        let mut decoder = Self {
            activation: recipe.recipe.activation,
            layers: layers.collect::<Result<_, _>>()?,
            last_norm: last.map(|norm| Norm::load(norm, shape.hidden, loader)).transpose()?,
            scale: recipe.scale,
            steps: recipe.start.len(),
            start: start.clone(),
            dtype: attention_dtype(&shape, loader.dtype()),
            bucket: bucket(loader.device()),
            shape,
        };
        if let Some(first) = decoder.layers.first() {
            decoder.start = decoder.attend_to_own(first, start, 1);
        }
        Ok(decoder)
    }

    /// Final hidden states of the answers.
    ///
    /// # Shapes
    /// - `encoded`: all rows of the batch as the encoder leaves them, `[rows of the batch, hidden]`
    /// - returns: `[rows, hidden]`
    pub fn forward(&self, encoded: Tensor<2>, layout: &Layout) -> Tensor<2> {
        let device = encoded.device().without_autodiff();
        let (steps, answers) = (self.steps, layout.answers.len());
        let seq = layout.seq().next_multiple_of(self.bucket);
        // An example that answers twice is looked at twice.
        let asked = layout.answers.iter().map(|&(example, _)| example);
        let padded = padded_rows(layout, seq);
        let rows = asked.clone().flat_map(|example| &padded[example * seq..][..seq]);
        let rows: Vec<u32> = rows.map(|&row| row as u32).collect();
        let lengths: Vec<usize> =
            asked.map(|example| layout.shared + layout.own[example]).collect();
        let mask = Mask::of_lengths(&lengths, seq, &device);
        let seen = Seen { encoded, rows: ids(&rows, &device), seq, mask };

        let repeated: Vec<u32> = (0..answers).flat_map(|_| 0..steps as u32).collect();
        let last_steps: Vec<u32> =
            (1..=answers).map(|answer| (answer * steps - 1) as u32).collect();
        let mut x = self.start.clone().select(0, ids(&repeated, &device));
        for (index, layer) in self.layers.iter().enumerate() {
            if index > 0 {
                x = self.attend_to_own(layer, x, answers);
            }
            if index + 1 == self.layers.len() {
                x = x.select(0, ids(&last_steps, &device));
            }
            x = self.attend_to_seen(layer, x, &seen);
            x = self.feed_forward(layer, x);
        }
        let x = match &self.last_norm {
            Some(norm) => norm.forward(x),
            None => x,
        };
        match self.scale {
            Some(scale) => x.mul_scalar(scale),
            None => x,
        }
    }

    /// `[batch · rows, heads · head_dim]` as `[batch, heads, rows, head_dim]`.
    fn heads(&self, x: Tensor<2>, batch: usize) -> Tensor<4> {
        let Shape { heads, head_dim, .. } = self.shape;
        let rows = x.dims()[0] / batch;
        x.reshape([batch, rows, heads, head_dim]).swap_dims(1, 2)
    }

    fn score_scale(&self) -> f32 {
        self.shape.scale.unwrap_or(1.0 / (self.shape.head_dim as f32).sqrt())
    }

    /// Self-attention and its residual.
    ///
    /// # Shapes
    /// - `x`: `[batch · steps, hidden]`
    /// - returns: the same
    fn attend_to_own(&self, layer: &Layer, x: Tensor<2>, batch: usize) -> Tensor<2> {
        let device = x.device().without_autodiff();
        let normed = layer.own.normed(x.clone());
        let project = |table: &Table| self.heads(table.scores(normed.clone()), batch);
        let (queries, keys) = (project(&layer.own.query), project(&layer.own.key));
        let values = project(&layer.own.value);
        let own = Layout { own: vec![self.steps; batch], ..Layout::default() };
        let mask = Mask::new(&own, self.steps, (true, None), 1, &device);
        let bias = layer.position_bias.as_ref();
        let bias = bias.map(|bias| bias.forward(self.steps, self.shape.heads));
        let seen = (&mask, bias.as_ref());
        let context = attention(queries, keys, values, seen, self.score_scale(), self.dtype);
        x + layer.own.output.scores(context)
    }

    /// Cross-attention and its residual.
    ///
    /// # Shapes
    /// - `x`: some rows of each answer, `[answers · n, hidden]`
    /// - returns: the same
    fn attend_to_seen(&self, layer: &Layer, x: Tensor<2>, seen: &Seen) -> Tensor<2> {
        let [cells] = seen.rows.dims();
        let answers = cells / seen.seq;
        let queries = layer.cross.query.scores(layer.cross.normed(x.clone()));
        let project = |table: &Table| {
            let rows = table.scores(seen.encoded.clone());
            self.heads(rows.select(0, seen.rows.clone()), answers)
        };
        let (keys, values) = (project(&layer.cross.key), project(&layer.cross.value));
        let queries = self.heads(queries, answers);
        let mask = (&seen.mask, None);
        let context = attention(queries, keys, values, mask, self.score_scale(), self.dtype);
        x + layer.cross.output.scores(context)
    }

    /// The feed-forward network and its residual.
    fn feed_forward(&self, layer: &Layer, x: Tensor<2>) -> Tensor<2> {
        let normed = layer.feed_forward_norm.forward(x.clone());
        let up = layer.up.scores(normed.clone());
        let inner = match &layer.gate {
            Some(gate) => activate(self.activation, gate.scores(normed)) * up,
            None => activate(self.activation, up),
        };
        x + layer.down.scores(inner)
    }
}
