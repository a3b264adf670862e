//! Putting prompt vectors into a batch of word embeddings.

use burn::tensor::{Int, Tensor, TensorData};

use crate::template::Row;

/// Replaces the rows of virtual tokens by the prompt's vectors.
///
/// The gradient with respect to a virtual token is the sum over all the rows where it stands: once
/// for what all examples share, else once for every example, and for every tied position.
///
/// # Shapes
/// - `embeddings`: `[rows of the batch, hidden]`
/// - `prompt`: `[prompt, hidden]`
/// - returns: `[rows of the batch, hidden]`
pub fn splice(embeddings: Tensor<2>, prompt: Tensor<2>, rows: &[Row]) -> Tensor<2> {
    let [prompt_len, _] = prompt.dims();
    if !rows.iter().any(|row| matches!(row, Row::Virtual(_))) {
        return embeddings;
    }
    // One table, prompt first, and for each row which of its rows to take: a plain gather, whose
    // gradient is a scatter-add, on any backend.
    let source = rows.iter().enumerate().map(|(index, row)| match row {
        Row::Virtual(virtual_token) => *virtual_token as i64,
        Row::Token(_) => (prompt_len + index) as i64,
    });
    let source = TensorData::new(source.collect::<Vec<i64>>(), [rows.len()]);
    let source = Tensor::<1, Int>::from_data(source, &embeddings.device());
    Tensor::cat(vec![prompt, embeddings], 0).select(0, source)
}
