//! Tensors of PyTorch checkpoints (`pytorch_model.bin`).
//!
//! The `pytorch-reader` crate interprets the pickle's instructions itself, without running any code
//! that a file may name, and checks that every tensor fits into its storage.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use kernels::frozen::Values;
use pytorch_reader::{DType, PytorchReader, Tensor};

use super::{Dtype, SourceError, Weights, dequantise};

/// The weights of one model, in one file or several.
pub(super) struct PytorchWeights {
    path: PathBuf,
    /// Tensors with the file that each is from.
    tensors: HashMap<String, (PathBuf, Tensor)>,
    names: Vec<String>,
    header: Vec<u8>,
}

impl PytorchWeights {
    /// Opens a model in several files; errors about the whole name `path`.
    pub(super) fn open(path: &Path, files: &[PathBuf]) -> Result<Self, SourceError> {
        let mut tensors = HashMap::new();
        for file in files {
            let reader = PytorchReader::new(file).map_err(|source| SourceError::Pytorch {
                path: file.clone(),
                source: Box::new(source),
            })?;
            for (name, tensor) in reader.into_tensors() {
                let shown = name.clone();
                if let Some((first, _)) = tensors.insert(name, (file.clone(), tensor)) {
                    let second = file.clone();
                    return Err(SourceError::DuplicateTensor { name: shown, first, second });
                }
            }
        }
        let mut names: Vec<String> = tensors.keys().cloned().collect();
        names.sort_unstable();
        let describe = |name: &String| {
            let (_, tensor) = &tensors[name];
            format!("{name} {:?} {:?}\n", tensor.dtype(), tensor.shape())
        };
        let header = names.iter().map(describe).collect::<String>().into_bytes();
        Ok(Self { path: path.to_path_buf(), tensors, names, header })
    }

    /// Names, types and shapes of all tensors: what a header of another format would hold.
    pub(super) fn header(&self) -> &[u8] {
        &self.header
    }

    /// A tensor and the file that it is from.
    fn get(&self, name: &str) -> Result<&(PathBuf, Tensor), SourceError> {
        self.tensors.get(name).ok_or_else(|| self.missing(name))
    }

    /// A tensor's type, its numbers' bytes and the length of its rows.
    fn read(&self, name: &str) -> Result<(Dtype, Vec<u8>, usize), SourceError> {
        let (file, tensor) = self.get(name)?;
        let dtype = readable(tensor.dtype()).ok_or_else(|| SourceError::UnsupportedDtype {
            path: file.clone(),
            name: name.to_owned(),
            dtype: format!("{:?}", tensor.dtype()),
        })?;
        let bytes = tensor.read().map_err(|source| match source.kind() {
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof => {
                SourceError::Pytorch { path: file.clone(), source: Box::new(source.into()) }
            }
            _ => SourceError::Read { path: file.clone(), source },
        })?;
        Ok((dtype, bytes, tensor.shape().last().copied().unwrap_or(1)))
    }
}

impl Weights for PytorchWeights {
    fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.get(name).map(|(_, tensor)| tensor.shape().to_vec())
    }

    fn dtype(&self, name: &str) -> Option<Dtype> {
        self.tensors.get(name).and_then(|(_, tensor)| readable(tensor.dtype()))
    }

    fn read_f32(&self, name: &str, out: &mut [f32]) -> Result<(), SourceError> {
        let (file, tensor) = self.get(name)?;
        SourceError::check_length(file, name, tensor.num_elements(), out.len())?;
        let (dtype, bytes, row_len) = self.read(name)?;
        dequantise::rows(dtype, &bytes, row_len, out, |row| row);
        Ok(())
    }

    fn read_values(&self, name: &str) -> Result<Values, SourceError> {
        let (dtype, bytes, row_len) = self.read(name)?;
        Ok(dequantise::values(dtype, &bytes, row_len, |row| row))
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

fn readable(dtype: DType) -> Option<Dtype> {
    match dtype {
        DType::F32 => Some(Dtype::F32),
        DType::F16 => Some(Dtype::F16),
        DType::BF16 => Some(Dtype::BF16),
        _ => None,
    }
}
