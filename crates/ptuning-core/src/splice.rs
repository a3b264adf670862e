//! Putting prompt vectors into a batch of word embeddings.

use burn::tensor::{Int, Tensor, TensorData};

use crate::template::Encoded;

/// Replaces the rows at the virtual tokens' positions by the prompt's vectors.
///
/// The gradient with respect to a virtual token is the sum over all the places where it stands:
/// every example of the batch, and every tied position.
///
/// # Shapes
/// - `embeddings`: `[batch, seq, hidden]`
/// - `prompt`: `[prompt, hidden]`
/// - returns: `[batch, seq, hidden]`
pub fn splice(embeddings: Tensor<3>, prompt: Tensor<2>, batch: &[&Encoded]) -> Tensor<3> {
    let [rows, seq, hidden] = embeddings.dims();
    let [prompt_len, _] = prompt.dims();
    if batch.iter().all(|encoded| encoded.slots.is_empty()) {
        return embeddings;
    }
    // One table, prompt first, and for each position the row to take: a plain gather, whose
    // gradient is a scatter-add, on any backend.
    let mut source: Vec<i64> = (0..rows * seq).map(|row| (prompt_len + row) as i64).collect();
    for (example, encoded) in batch.iter().enumerate() {
        for slot in &encoded.slots {
            source[example * seq + slot.position] = slot.virtual_token as i64;
        }
    }
    let device = embeddings.device();
    let table = Tensor::cat(vec![prompt, embeddings.reshape([rows * seq, hidden])], 0);
    let source = Tensor::<1, Int>::from_data(TensorData::new(source, [rows * seq]), &device);
    table.select(0, source).reshape([rows, seq, hidden])
}
