//! Where in a model each of its tensors stands: which layer it belongs to, whether it is a bias, and which
//! matrices are projections of a layer.

use std::collections::{BTreeMap, BTreeSet};

use super::{Description, LayerRecipe, LinearRecipe, NormRecipe, Stored};

/// Where a model's tensors stand.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// Layers that have tensors of their own.
    pub layers: usize,
    layer: BTreeMap<String, usize>,
    biases: BTreeSet<String>,
    projections: BTreeMap<String, Projection>,
}

/// A matrix that a layer multiplies with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Projection {
    /// Shape of its tensor.
    pub shape: [usize; 2],
    /// Whether that is `[in, out]` rather than `[out, in]`.
    pub transposed: bool,
    /// Whether queries or values come from it, which LoRA adapts unless told otherwise.
    pub is_query_or_value: bool,
}

impl Places {
    /// Of a description whose answer comes from its own layers.
    pub fn new(description: &Description) -> Self {
        let layers = &description.recipe.layers;
        let mut places = Self { layers: layers.len(), ..Self::default() };
        for (index, layer) in layers.iter().enumerate() {
            places.add_layer(index, layer);
        }
        let transform = description.transform.iter();
        let norms = transform.clone().map(|transform| &transform.norm);
        for norm in norms.chain(&description.input.norm).chain(&description.recipe.last_norm) {
            places.biases.extend(norm.bias.clone());
        }
        places.biases.extend(description.matrices().filter_map(|linear| linear.bias.clone()));
        places.biases.extend(description.head_bias.clone());
        places
    }

    fn add_layer(&mut self, index: usize, layer: &LayerRecipe) {
        let LayerRecipe { query, key, value, output, gate, up, down, .. } = layer;
        for linear in [query, key, value, output, up, down].into_iter().chain(gate) {
            self.layer.insert(linear.weight.clone(), index);
            self.layer.extend(linear.bias.clone().map(|bias| (bias, index)));
            let is_query_or_value = [query, value].map(|q| &q.weight).contains(&&linear.weight);
            let transposed = matches!(linear.stored, Stored::Columns { .. });
            let shape = LinearRecipe::weight_shape(linear);
            let projection = Projection { shape, transposed, is_query_or_value };
            self.projections.insert(linear.weight.clone(), projection);
        }
        let norms = layer.attention_norm.iter().chain([&layer.feed_forward_norm]);
        let norms = norms.chain(layer.sandwich.iter().flatten());
        for NormRecipe { gain, bias, .. } in norms.chain(layer.head_norms.iter().flatten()) {
            self.layer.insert(gain.clone(), index);
            self.layer.extend(bias.clone().map(|bias| (bias, index)));
            self.biases.extend(bias.clone());
        }
        if let Some(bias) = &layer.position_bias {
            self.layer.entry(bias.table.clone()).or_insert(index);
        }
    }

    /// The layer, from 0, that a tensor belongs to; none for embeddings and head.
    pub fn layer(&self, name: &str) -> Option<usize> {
        self.layer.get(name).copied()
    }

    /// Whether a tensor is a bias, of a linear layer, of a norm or of the head.
    pub fn is_bias(&self, name: &str) -> bool {
        self.biases.contains(name)
    }

    /// The projections of all layers by the name of their tensor.
    pub fn projections(&self) -> impl Iterator<Item = (&str, &Projection)> {
        self.projections.iter().map(|(name, projection)| (name.as_str(), projection))
    }
}
