//! Reading a family's tensors, with errors that name what was expected.

use burn::tensor::{Device, FloatDType, Tensor, TensorData};
use kernels::frozen::{Frozen, Grouped, Values};

use super::weight::{Weight, Words};
use crate::device::is_cpu;
use crate::error::LoadError;
use crate::source::{Weights, nearest, resolve, round};
use crate::transformer::{LinearRecipe, Options, Rounding, Stored, Tensors};

/// Reads tensors of one source onto one device.
pub struct Loader<'a> {
    weights: &'a dyn Weights,
    device: &'a Device,
    packed: bool,
    dtype: FloatDType,
    rounding: Rounding,
    /// Weights that are on the device already and may be tracked by autodiff.
    learned: Option<&'a Tensors>,
}

impl<'a> Loader<'a> {
    /// A loader onto `device`, into packed form if it is to be fused and the device has that.
    pub fn new(weights: &'a dyn Weights, device: &'a Device, options: &Options) -> Self {
        let (packed, dtype) = (options.fused && is_cpu(device), options.precision.dtype());
        Self { weights, device, packed, dtype, rounding: options.rounding, learned: None }
    }

    /// The same, taking tensors of these names as they are in place of the source's.
    pub fn with_learned(self, learned: &'a Tensors) -> Self {
        Self { packed: false, learned: Some(learned), ..self }
    }

    /// Whether matrices of Burn's tensors stay in few bits, as far as they can.
    pub fn keeps_bits(&self) -> bool {
        !self.packed && self.rounding != Rounding::None && self.learned.is_none()
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
        Ok(Frozen::new(self.values(linear)?, linear.out, linear.inner))
    }

    /// A linear layer's weight as it is stored, `[out, in]`.
    fn values(&self, linear: &LinearRecipe) -> Result<Values, LoadError> {
        let name = self.find(&linear.weight, &linear.weight_shape())?;
        let values = match (linear.stored, self.weights.read_values(&name)?) {
            (Stored::Whole, values) => values,
            (_, Values::F32(all)) => Values::F32(part(&all, linear)),
            (_, Values::Bf16(all)) => Values::Bf16(part(&all, linear)),
            (_, Values::F16(all)) => Values::F16(part(&all, linear)),
            // Groups run along a row of the file, which is a column of the part.
            (Stored::Columns { .. }, Values::Grouped(all)) => {
                Values::F32(part(&all.widened(), linear))
            }
            (_, Values::Grouped(all)) => {
                let groups = LinearRecipe { inner: linear.inner / all.group, ..linear.clone() };
                Values::Grouped(Grouped {
                    quants: part(&all.quants, linear),
                    scales: part(&all.scales, &groups),
                    offsets: match all.offsets.is_empty() {
                        true => Vec::new(),
                        false => part(&all.offsets, &groups),
                    },
                    ..all
                })
            }
        };
        // The other ways to store a matrix were rounded while they were read.
        let turned = matches!(linear.stored, Stored::Columns { .. });
        Ok(if turned { round(values, linear.inner, self.rounding) } else { values })
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
    pub fn weight(&self, parts: &[&LinearRecipe]) -> Result<Weight, LoadError> {
        if !self.keeps_bits() {
            return Ok(Weight::Floats(self.stacked(parts)?));
        }
        let values = |linear: &&LinearRecipe| Ok((linear.out, self.values(linear)?));
        let values = parts.iter().map(values).collect::<Result<Vec<_>, LoadError>>()?;
        let quantised = values.iter().all(|(_, values)| matches!(values, Values::Grouped(_)));
        if !quantised {
            let numbers = values.into_iter().flat_map(|(_, values)| values.widened());
            let (out, inner) = (parts.iter().map(|part| part.out).sum(), parts[0].inner);
            let numbers = TensorData::new(numbers.collect::<Vec<f32>>(), [out, inner]);
            let weight = Tensor::<2>::from_data(numbers, self.device).cast(self.dtype);
            return Ok(Weight::Floats(weight));
        }
        let grouped = values.into_iter().filter_map(|(out, values)| match values {
            Values::Grouped(grouped) => Some((out, grouped)),
            _ => None,
        });
        Ok(Weight::Words(Words::new(grouped.collect(), self.device, self.dtype)))
    }

    /// The same as floats.
    fn stacked(&self, parts: &[&LinearRecipe]) -> Result<Tensor<2>, LoadError> {
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
