//! Reading a family's tensors, with errors that name what was expected.

use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use kernels::frozen::Frozen;

use crate::device::is_cpu;
use crate::error::LoadError;
use crate::source::{Weights, nearest};
use crate::transformer::Options;

/// Reads tensors of one source onto one device.
pub struct Loader<'a> {
    weights: &'a dyn Weights,
    device: &'a Device,
    packed: bool,
    dtype: FloatDType,
}

impl<'a> Loader<'a> {
    /// A loader onto `device`, into packed form if it is to be fused and the device has that.
    pub fn new(weights: &'a dyn Weights, device: &'a Device, options: &Options) -> Self {
        let (packed, dtype) = (options.fused && is_cpu(device), options.precision.dtype());
        Self { weights, device, packed, dtype }
    }

    /// Type of a matrix's numbers.
    pub fn dtype(&self) -> FloatDType {
        self.dtype
    }

    /// Whether weights are packed for the CPU's kernels.
    pub fn is_packed(&self) -> bool {
        self.packed
    }

    /// The device tensors are put on.
    pub fn device(&self) -> &Device {
        self.device
    }

    /// One matrix, packed as it is stored, `[rows, columns]`.
    pub fn frozen(&self, name: &str, rows: usize, columns: usize) -> Result<Frozen, LoadError> {
        self.check(name, &[rows, columns])?;
        Ok(Frozen::new(self.weights.read_values(name)?, rows, columns))
    }

    /// A vector or a matrix as plain numbers.
    pub fn numbers(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, LoadError> {
        self.check(name, shape)?;
        Ok(self.weights.read_vec(name)?)
    }

    /// One vector, `[size]`.
    pub fn vector(&self, name: &str, size: usize) -> Result<Tensor<1>, LoadError> {
        let values = self.numbers(name, &[size])?;
        Ok(Tensor::from_data(TensorData::new(values, [size]), self.device))
    }

    /// One matrix, `[rows, columns]`.
    pub fn matrix(&self, name: &str, rows: usize, columns: usize) -> Result<Tensor<2>, LoadError> {
        self.stacked(&[(name, rows)], columns)
    }

    /// Several matrices on top of each other, `[sum of rows, columns]`: projections that share an
    /// input become one product.
    pub fn stacked(&self, parts: &[(&str, usize)], columns: usize) -> Result<Tensor<2>, LoadError> {
        let total: usize = parts.iter().map(|(_, rows)| rows).sum();
        // Shapes are checked before anything is allocated: a config cannot ask for more memory
        // than the file has numbers.
        for (name, rows) in parts {
            self.check(name, &[*rows, columns])?;
        }
        let mut values = vec![0.0; total * columns];
        let mut rest = values.as_mut_slice();
        for (name, rows) in parts {
            let (part, after) = rest.split_at_mut(rows * columns);
            self.weights.read_f32(name, part)?;
            rest = after;
        }
        let values = TensorData::new(values, [total, columns]);
        Ok(Tensor::<2>::from_data(values, self.device).cast(self.dtype))
    }

    fn check(&self, name: &str, expected: &[usize]) -> Result<(), LoadError> {
        match self.weights.shape(name) {
            Some(found) if found == expected => Ok(()),
            Some(found) => Err(LoadError::Shape {
                file: self.weights.path().to_owned(),
                name: name.to_owned(),
                expected: expected.to_vec(),
                found,
            }),
            None => Err(LoadError::MissingTensor {
                file: self.weights.path().to_owned(),
                name: name.to_owned(),
                nearest: nearest(name, self.weights.names().iter().map(String::as_str))
                    .map(str::to_owned),
            }),
        }
    }
}
