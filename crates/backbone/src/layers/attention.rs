//! Softmax attention with grouped queries, without repeating keys and values.

use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Device, FloatDType, Tensor, TensorData};
use ptuning_core::language_model::Layout;

use super::product;

/// Which positions a position may look at.
#[derive(Debug, Clone)]
pub struct Mask {
    /// True where looking is forbidden: `[batch or 1, 1, queries or 1, keys]`; `None` if nowhere.
    hidden: Option<Tensor<4, Bool>>,
}

impl Mask {
    /// What a position of `seq` behind the layout's prefix sees: itself and what stands before it (causal),
    /// or every real one.
    ///
    /// Batches are padded on the right, so for a causal model padding is never before a real token
    /// and needs no mask of its own. Each of the `group` query heads that share a key head has its
    /// rows in turn.
    pub fn new(
        layout: &Layout,
        seq: usize,
        (causal, window): (bool, Option<usize>),
        group: usize,
        device: &Device,
    ) -> Self {
        let batch = layout.batch();
        let far = move |query: usize, key: usize| {
            window.is_some_and(|window| query.abs_diff(key) > window)
        };
        let prefix = layout.prefix;
        let keys = prefix + seq;
        let queries = || (0..group * seq).map(move |row| prefix + row % seq);
        let lengths = layout.own.iter().map(|own| prefix + layout.shared + own);
        let (examples, hidden): (usize, Vec<bool>) = if causal {
            let row = |query: usize| (0..keys).map(move |key| key > query || far(query, key));
            (1, queries().flat_map(row).collect())
        } else {
            let row = |length: usize, query: usize| {
                (0..keys).map(move |key| key >= length || query < length && far(query, key))
            };
            let rows = |length| queries().flat_map(move |query| row(length, query));
            (batch, lengths.flat_map(rows).collect())
        };
        if !hidden.contains(&true) {
            return Self { hidden: None };
        }
        let hidden = TensorData::new(hidden, [examples, 1, group * seq, keys]);
        Self { hidden: Some(Tensor::from_data(hidden, device)) }
    }

    /// What anyone sees of examples that are padded on the right to `seq` positions.
    pub fn of_lengths(lengths: &[usize], seq: usize, device: &Device) -> Self {
        if lengths.iter().all(|&length| length == seq) {
            return Self { hidden: None };
        }
        let hidden = lengths.iter().flat_map(|&length| (0..seq).map(move |key| key >= length));
        let hidden = TensorData::new(hidden.collect::<Vec<bool>>(), [lengths.len(), 1, 1, seq]);
        Self { hidden: Some(Tensor::from_data(hidden, device)) }
    }
}

/// `softmax(scale · Q·Kᵀ + bias) · V` for `heads = group · kv_heads` query heads, multiplied in `dtype`.
///
/// # Shapes
/// - `queries`: `[batch, heads, queries, head_dim]`
/// - `keys`, `values`: `[batch, kv_heads, keys, head_dim]`
/// - `bias`: `[1, kv_heads, group · queries, keys]`
/// - returns: `[batch · queries, heads · head_dim]`
pub fn attention(
    queries: Tensor<4>,
    keys: Tensor<4>,
    values: Tensor<4>,
    (mask, bias): (&Mask, Option<&Tensor<4>>),
    scale: f32,
    dtype: FloatDType,
) -> Tensor<2> {
    let [batch, heads, seq, head_dim] = queries.dims();
    let [_, kv_heads, seen, _] = keys.dims();
    let group = heads / kv_heads;
    let queries = queries.reshape([batch, kv_heads, group * seq, head_dim]);
    let (keys, values) = (keys.cast(dtype), values.cast(dtype));
    let scores = product(queries, keys.swap_dims(2, 3));
    let mut scores = scores.mul_scalar(scale);
    if let Some(bias) = bias {
        scores = scores + bias.clone();
    }
    if let Some(hidden) = &mask.hidden {
        let hidden = hidden.clone().expand([batch, kv_heads, group * seq, seen]);
        scores = scores.mask_fill(hidden, f32::NEG_INFINITY);
    }
    product(softmax(scores, 3), values)
        .reshape([batch, heads, seq, head_dim])
        .swap_dims(1, 2)
        .reshape([batch * seq, heads * head_dim])
}
