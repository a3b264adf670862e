//! A relative position bias (Raffel et al. 2020, arXiv:1910.10683), laid out for a batch.

use burn::tensor::{Device, Int, Tensor, TensorData};
use kernels::position_bias::PositionBias as Numbers;

/// What is added to scores by how far a key stands from its query.
#[derive(Debug, Clone)]
pub struct PositionBias {
    /// `[heads, 2 · reach + 1]`, a key `reach` positions before its query first.
    table: Tensor<2>,
    reach: usize,
}

impl PositionBias {
    /// The same numbers on a device.
    pub fn new(numbers: &Numbers, device: &Device) -> Self {
        let (heads, reach) = (numbers.heads(), numbers.reach());
        let values = TensorData::new(numbers.values().to_vec(), [heads, 2 * reach + 1]);
        Self { table: Tensor::from_data(values, device), reach }
    }

    /// For every query and every key of `seq` positions. Query heads that share one of `kv_heads` key
    /// heads have their rows in turn, as [`attention`](super::attention) takes them.
    ///
    /// # Shapes
    /// - returns: `[1, kv_heads, heads / kv_heads · seq, seq]`
    pub fn forward(&self, seq: usize, kv_heads: usize) -> Tensor<4> {
        let ([heads, _], reach) = (self.table.dims(), self.reach);
        // Counted from the reach on: a key `reach` before its query and all before that are 0.
        let column = |query| (0..seq).map(move |key| (key + reach).saturating_sub(query));
        let columns = (0..seq).flat_map(column).map(|column| column.min(2 * reach) as i64);
        let columns = TensorData::new(columns.collect::<Vec<i64>>(), [seq * seq]);
        let columns = Tensor::<1, Int>::from_data(columns, &self.table.device());
        let rows = heads / kv_heads * seq;
        self.table.clone().select(1, columns).reshape([1, kv_heads, rows, seq])
    }
}
