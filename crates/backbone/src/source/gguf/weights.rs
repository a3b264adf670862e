//! Tensors of a GGUF under Hugging Face's names, in Hugging Face's order of rows.

use std::collections::HashMap;
use std::path::Path;

use kernels::frozen::Values;

use super::architecture::Architecture;
use super::config::HeadCounts;
use super::header::TensorInfo;
use crate::source::mapped::Mapped;
use crate::source::{Dtype, SourceError, Weights, dequantise};

/// The weights of one GGUF file.
pub(super) struct GgufWeights {
    file: Mapped,
    tensors: Vec<Tensor>,
    by_name: HashMap<String, usize>,
}

struct Tensor {
    name: String,
    shape: Vec<usize>,
    dtype: Dtype,
    start: usize,
    size: usize,
    /// Heads whose rows llama.cpp interleaved.
    interleaved: Option<usize>,
}

impl GgufWeights {
    /// Names the tensors of a parsed header.
    ///
    /// # Errors
    /// [`SourceError::DuplicateTensor`] where a file has a tensor under both of its names.
    pub(super) fn new(
        file: Mapped,
        infos: Vec<TensorInfo>,
        architecture: &Architecture,
        heads: HeadCounts,
    ) -> Result<Self, SourceError> {
        let tensors: Vec<Tensor> = infos
            .into_iter()
            .map(|info| Tensor {
                name: architecture.rename(&info.name),
                interleaved: architecture.interleaving(&info.name).map(|kind| heads.of(kind)),
                shape: info.shape,
                dtype: info.dtype,
                start: info.start,
                size: info.size,
            })
            .collect();
        let mut by_name = HashMap::with_capacity(tensors.len());
        for (index, tensor) in tensors.iter().enumerate() {
            if by_name.insert(tensor.name.clone(), index).is_some() {
                return Err(SourceError::DuplicateTensor {
                    name: tensor.name.clone(),
                    first: file.path().to_path_buf(),
                    second: file.path().to_path_buf(),
                });
            }
        }
        Ok(Self { file, tensors, by_name })
    }

    fn get(&self, name: &str) -> Option<&Tensor> {
        self.by_name.get(name).map(|&index| &self.tensors[index])
    }

    fn bytes(&self, tensor: &Tensor) -> &[u8] {
        &self.file[tensor.start..tensor.start + tensor.size]
    }

    /// The order of a tensor's rows and their length.
    fn rows(&self, tensor: &Tensor) -> Result<(Rows, usize), SourceError> {
        let elements: usize = tensor.shape.iter().product();
        let rows = tensor.shape.first().copied().unwrap_or(1);
        let interleaving = tensor.interleaved.and_then(|heads| Interleaving::new(rows, heads));
        let Some(interleaving) = interleaving else {
            return Ok((Rows(None), tensor.shape.last().copied().unwrap_or(1)));
        };
        let row_len = elements / rows;
        // A quantised vector: its blocks span the rows that would have to move.
        if !row_len.is_multiple_of(tensor.dtype.block_len()) {
            return Err(SourceError::UnsupportedDtype {
                path: self.file.path().to_path_buf(),
                name: tensor.name.clone(),
                dtype: format!("a {} vector", tensor.dtype),
            });
        }
        Ok((Rows(Some(interleaving)), row_len))
    }
}

impl Weights for GgufWeights {
    fn names(&self) -> Vec<String> {
        self.tensors.iter().map(|tensor| tensor.name.clone()).collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.get(name).map(|tensor| tensor.shape.clone())
    }

    fn dtype(&self, name: &str) -> Option<Dtype> {
        self.get(name).map(|tensor| tensor.dtype)
    }

    fn read_f32(&self, name: &str, out: &mut [f32]) -> Result<(), SourceError> {
        let tensor = self.get(name).ok_or_else(|| self.missing(name))?;
        let elements: usize = tensor.shape.iter().product();
        SourceError::check_length(self.file.path(), name, elements, out.len())?;
        let (rows, row_len) = self.rows(tensor)?;
        dequantise::rows(tensor.dtype, self.bytes(tensor), row_len, out, |row| rows.stored(row));
        Ok(())
    }

    fn read_values(&self, name: &str) -> Result<Values, SourceError> {
        let tensor = self.get(name).ok_or_else(|| self.missing(name))?;
        let (rows, row_len) = self.rows(tensor)?;
        Ok(dequantise::values(tensor.dtype, self.bytes(tensor), row_len, |row| rows.stored(row)))
    }

    fn path(&self) -> &Path {
        self.file.path()
    }
}

/// The order in which a tensor's rows are stored.
struct Rows(Option<Interleaving>);

impl Rows {
    fn stored(&self, row: usize) -> usize {
        self.0.as_ref().map_or(row, |interleaving| interleaving.stored(row))
    }
}

/// The order in which llama.cpp stores the rows of Q and K.
///
/// Rotary positions turn pairs of numbers of a head. Hugging Face pairs number `j` with number
/// `j + d/2` (rotate-half), llama.cpp's llama pairs neighbours; so `convert_hf_to_gguf.py` moves row
/// `(half, j)` of each head to row `(j, half)`, which is undone here.
struct Interleaving {
    head_dim: usize,
}

impl Interleaving {
    /// The order for `rows` rows of `heads` heads; `None` where they do not divide into pairs, for
    /// which there is no such order (the family will refuse the shape).
    fn new(rows: usize, heads: usize) -> Option<Self> {
        let head_dim = rows / heads;
        (rows.is_multiple_of(heads) && head_dim > 0 && head_dim.is_multiple_of(2))
            .then_some(Self { head_dim })
    }

    /// The stored row that holds Hugging Face's row `row`.
    fn stored(&self, row: usize) -> usize {
        let (head, within) = (row / self.head_dim, row % self.head_dim);
        let (half, pair) = (within / (self.head_dim / 2), within % (self.head_dim / 2));
        head * self.head_dim + 2 * pair + half
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `permute` of llama.cpp's `convert_hf_to_gguf.py` on the row numbers of two heads of six:
    /// `w.reshape(heads, 2, d // 2).swapaxes(1, 2).reshape(-1)`.
    #[test]
    fn rows_of_heads_are_put_back() {
        let stored = [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11];
        let interleaving = Interleaving::new(12, 2).unwrap();
        let restored: Vec<usize> = (0..12).map(|row| stored[interleaving.stored(row)]).collect();
        assert_eq!(restored, (0..12).collect::<Vec<_>>());
    }

    #[test]
    fn rows_that_do_not_pair_are_left() {
        assert!(Interleaving::new(10, 3).is_none());
        assert!(Interleaving::new(6, 2).is_none());
        assert!(Interleaving::new(2, 4).is_none());
    }
}
