//! Reading a family's tensors, with errors that name what was expected.

use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use kernels::frozen::{Frozen, Values};

use crate::device::is_cpu;
use crate::error::LoadError;
use crate::source::{Weights, nearest, resolve};
use crate::transformer::{LinearRecipe, Options, Stored, Tensors};

/// Reads tensors of one source onto one device.
pub struct Loader<'a> {
    weights: &'a dyn Weights,
    device: &'a Device,
    packed: bool,
    dtype: FloatDType,
    /// Weights that are on the device already and may be tracked by autodiff.
    learned: Option<&'a Tensors>,
}

impl<'a> Loader<'a> {
    /// A loader onto `device`, into packed form if it is to be fused and the device has that.
    pub fn new(weights: &'a dyn Weights, device: &'a Device, options: &Options) -> Self {
        let (packed, dtype) = (options.fused && is_cpu(device), options.precision.dtype());
        Self { weights, device, packed, dtype, learned: None }
    }

    /// The same, taking tensors of these names as they are in place of the source's.
    pub fn with_learned(self, learned: &'a Tensors) -> Self {
        Self { packed: false, learned: Some(learned), ..self }
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

    /// A linear layer's weight, packed as it is stored.
    pub fn frozen(&self, linear: &LinearRecipe) -> Result<Frozen, LoadError> {
        let LinearRecipe { out, inner, stored, .. } = *linear;
        let name = self.find(&linear.weight, &linear.weight_shape())?;
        let values = self.weights.read_values(&name)?;
        let values = match (stored, values) {
            (Stored::Whole, values) => values,
            (_, Values::F32(all)) => Values::F32(part(&all, linear)),
            (_, Values::Bf16(all)) => Values::Bf16(part(&all, linear)),
            (_, Values::F16(all)) => Values::F16(part(&all, linear)),
            // Groups run along a row of the file, which need not be a row of the part.
            (_, Values::Grouped(_)) => Values::F32(part(&self.weights.read_vec(&name)?, linear)),
        };
        Ok(Frozen::new(values, out, inner))
    }

    /// A vector or a matrix as plain numbers.
    pub fn numbers(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, LoadError> {
        Ok(self.weights.read_vec(&self.find(name, shape)?)?)
    }

    /// The same on the device, flattened.
    pub fn flat(&self, name: &str, shape: &[usize]) -> Result<Tensor<1>, LoadError> {
        match self.learned.and_then(|learned| learned.get(name)) {
            Some(learned) => Ok(learned.clone()),
            None => Ok(self.tensor(self.numbers(name, shape)?)),
        }
    }

    /// A linear layer's bias, `[out]`.
    pub fn bias(&self, linear: &LinearRecipe) -> Result<Option<Tensor<1>>, LoadError> {
        let Some(name) = &linear.bias else { return Ok(None) };
        let (all, out) = (self.flat(name, &[linear.bias_len()])?, linear.out);
        Ok(Some(match linear.stored {
            Stored::Whole => all,
            Stored::Rows { first, .. } | Stored::Columns { first, .. } => all.narrow(0, first, out),
            Stored::Turns { block, which, of } => {
                let turns = all.reshape([out / block, of, block]);
                turns.narrow(1, which, 1).reshape([out])
            }
        }))
    }

    /// Numbers on the device.
    pub fn tensor(&self, values: Vec<f32>) -> Tensor<1> {
        let size = values.len();
        Tensor::from_data(TensorData::new(values, [size]), self.device)
    }

    /// Several linear layers' weights on top of each other, `[sum of rows, in]`: projections that share
    /// an input become one product.
    pub fn stacked(&self, parts: &[&LinearRecipe]) -> Result<Tensor<2>, LoadError> {
        if let Some(learned) = self.learned {
            let part = |linear: &&LinearRecipe| Some(part_of(learned.get(&linear.weight)?, linear));
            if let Some(parts) = parts.iter().map(part).collect::<Option<Vec<_>>>() {
                return Ok(Tensor::cat(parts, 0).cast(self.dtype));
            }
        }
        let total: usize = parts.iter().map(|part| part.out).sum();
        let columns = parts.first().map_or(0, |part| part.inner);
        // Shapes are checked before anything is allocated: a config cannot ask for more memory
        // than the file has numbers.
        let find = |linear: &&LinearRecipe| self.find(&linear.weight, &linear.weight_shape());
        let names: Vec<String> = parts.iter().map(find).collect::<Result<_, _>>()?;
        let mut values = vec![0.0; total * columns];
        let mut rest = values.as_mut_slice();
        for (linear, name) in parts.iter().zip(&names) {
            let (to, after) = rest.split_at_mut(linear.out * columns);
            match linear.stored {
                Stored::Whole => self.weights.read_f32(name, to)?,
                _ => to.copy_from_slice(&part(&self.weights.read_vec(name)?, linear)),
            }
            rest = after;
        }
        let values = TensorData::new(values, [total, columns]);
        Ok(Tensor::<2>::from_data(values, self.device).cast(self.dtype))
    }

    /// The name in the file of a tensor that has to be there, in this shape.
    fn find(&self, name: &str, expected: &[usize]) -> Result<String, LoadError> {
        let file = || self.weights.path().to_owned();
        let Some(found) = resolve(self.weights, name) else {
            let names = self.weights.names();
            let nearest = nearest(name, names.iter().map(String::as_str)).map(str::to_owned);
            return Err(LoadError::MissingTensor { file: file(), name: name.to_owned(), nearest });
        };
        let shape = self.weights.shape(&found).unwrap_or_default();
        if shape == expected {
            return Ok(found);
        }
        let expected = expected.to_vec();
        Err(LoadError::Shape { file: file(), name: found, expected, found: shape })
    }
}

/// A tensor's numbers, row by row.
pub fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter().collect()
}

/// The same as [`part`] of a tensor, `[out, in]`.
fn part_of(all: &Tensor<1>, linear: &LinearRecipe) -> Tensor<2> {
    let LinearRecipe { out, inner, .. } = *linear;
    let all = all.clone().reshape(linear.weight_shape());
    match linear.stored {
        Stored::Whole => all,
        Stored::Rows { first, .. } => all.narrow(0, first, out),
        Stored::Columns { first, .. } => all.narrow(1, first, out).transpose(),
        Stored::Turns { block, which, of } => {
            let turns = all.reshape([out / block, of, block * inner]);
            turns.narrow(1, which, 1).reshape([out, inner])
        }
    }
}

/// A linear layer's weight out of the tensor that holds it.
fn part<T: Copy>(all: &[T], linear: &LinearRecipe) -> Vec<T> {
    let LinearRecipe { out, inner, .. } = *linear;
    match linear.stored {
        Stored::Whole => all.to_vec(),
        Stored::Rows { first, .. } => all[first * inner..(first + out) * inner].to_vec(),
        Stored::Columns { first, of } => (first..first + out)
            .flat_map(|column| all[column..].iter().step_by(of).copied())
            .collect(),
        Stored::Turns { block, which, of } => turns(all, block * inner, which, of),
    }
}

/// Of every `of` blocks of `size` the one of number `which`.
fn turns<T: Copy>(all: &[T], size: usize, which: usize, of: usize) -> Vec<T> {
    all.chunks_exact(size).skip(which).step_by(of).flatten().copied().collect()
}
