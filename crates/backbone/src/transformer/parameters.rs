//! A model's weights as tensors that may learn, by the names of its files.
//!
//! The strategies that train the language model itself see it as a function of its parameters:
//! [`Parameters`] are read once, every step builds the model from tensors that autodiff tracks
//! ([`Parameters::tracked`]), and the gradient of the loss comes back under the same names.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{Gradients, Tensor, TensorData};
use kernels::frozen::Values;

use super::Description;
use crate::error::LoadError;
use crate::layers::Loader;
use crate::source::{Dtype, SourceError, Weights};

/// Weights by name, flattened, as a model is built from them.
pub type Tensors = BTreeMap<String, Tensor<1>>;

/// All weights of a model, on a device and without autodiff.
#[derive(Debug, Clone)]
pub struct Parameters {
    shapes: BTreeMap<String, Vec<usize>>,
    values: Tensors,
}

impl Parameters {
    /// Reads what a description asks for.
    ///
    /// # Errors
    /// Tensors that are missing or of another shape.
    pub fn read(description: &Description, loader: &Loader<'_>) -> Result<Self, LoadError> {
        let matrices =
            description.matrices().map(|m| (m.weight.as_str(), m.weight_shape().to_vec()));
        let shapes: BTreeMap<String, Vec<usize>> = matrices
            .chain(description.numbers())
            .map(|(name, shape)| (name.to_owned(), shape))
            .collect();
        let read = |(name, shape): (&String, &Vec<usize>)| {
            Ok((name.clone(), loader.tensor(loader.numbers(name, shape)?)))
        };
        let values = shapes.iter().map(read).collect::<Result<_, LoadError>>()?;
        Ok(Self { shapes, values })
    }

    /// Names and shapes, by name.
    pub fn shapes(&self) -> &BTreeMap<String, Vec<usize>> {
        &self.shapes
    }

    /// How many numbers there are.
    pub fn count(&self) -> usize {
        self.shapes.values().map(|shape| shape.iter().product::<usize>()).sum()
    }

    /// The weights as they are, untracked.
    pub fn values(&self) -> &Tensors {
        &self.values
    }

    /// The weights as leaves of a new tape.
    pub fn tracked(&self) -> Tensors {
        let track = |(name, value): (&String, &Tensor<1>)| {
            (name.clone(), value.clone().autodiff().require_grad())
        };
        self.values.iter().map(track).collect()
    }

    /// Gradients of tensors that [`tracked`](Self::tracked) gave, in the order of their names.
    ///
    /// A weight that took no part in the loss has a gradient of zeros.
    pub fn gradients(&self, tracked: &Tensors, gradients: &mut Gradients) -> Vec<Tensor<1>> {
        let take = |(leaf, value): (&Tensor<1>, &Tensor<1>)| match leaf.grad_remove(gradients) {
            Some(gradient) => gradient,
            None => Tensor::zeros(value.dims(), &value.device()),
        };
        tracked.values().zip(self.values.values()).map(take).collect()
    }

    /// Replaces each weight by `f(index, value)`, in the order of their names.
    pub fn update(&mut self, f: &mut dyn FnMut(usize, Tensor<1>) -> Tensor<1>) {
        for (index, value) in self.values.values_mut().enumerate() {
            // The only handle goes to the optimiser, which may then write in place.
            let empty = Tensor::empty([0], &value.device());
            *value = f(index, std::mem::replace(value, empty));
        }
    }

    /// Sets weights by name.
    ///
    /// # Errors
    /// The name, expected and found shape of the first that is missing or differs; all weights are
    /// then as they were.
    pub fn set(&mut self, values: &BTreeMap<String, TensorData>) -> Result<(), WrongParameter> {
        for (name, shape) in &self.shapes {
            let found = values.get(name).map(|data| data.shape().to_vec());
            if found.as_ref() != Some(shape) {
                return Err(WrongParameter { name: name.clone(), expected: shape.clone(), found });
            }
        }
        for (name, value) in &mut self.values {
            let numbers: Vec<f32> = values[name].iter().collect();
            let count = numbers.len();
            *value = Tensor::from_data(TensorData::new(numbers, [count]), &value.device());
        }
        Ok(())
    }

    /// Takes a weight out; an empty tensor stays in its place.
    pub fn take(&mut self, name: &str) -> Option<Tensor<1>> {
        let value = self.values.get_mut(name)?;
        let empty = Tensor::empty([0], &value.device());
        Some(std::mem::replace(value, empty))
    }

    /// The weights in memory, in f32 and in their shapes.
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot_with(&Tensors::new())
    }

    /// The same with other tensors in the place of those of the same names.
    pub fn snapshot_with(&self, others: &Tensors) -> Snapshot {
        let read = |(name, value): (&String, &Tensor<1>)| {
            let value = others.get(name).unwrap_or(value);
            (name.clone(), (self.shapes[name].clone(), value.to_data().iter().collect()))
        };
        Snapshot { tensors: self.values.iter().map(read).collect() }
    }
}

/// A parameter that a file does not have, or in another shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongParameter {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub expected: Vec<usize>,
    /// The shape in the file, if it is there.
    pub found: Option<Vec<usize>>,
}

/// Weights in memory, to load a frozen model from or to write.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl Snapshot {
    /// Every tensor by name.
    pub fn into_data(self) -> BTreeMap<String, TensorData> {
        let data =
            |(name, (shape, values))| (name, TensorData::new::<f32, Vec<usize>>(values, shape));
        self.tensors.into_iter().map(data).collect()
    }

    fn get(&self, name: &str) -> Result<&(Vec<usize>, Vec<f32>), SourceError> {
        self.tensors.get(name).ok_or_else(|| self.missing(name))
    }
}

impl Weights for Snapshot {
    fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.get(name).map(|(shape, _)| shape.clone())
    }

    fn dtype(&self, name: &str) -> Option<Dtype> {
        self.tensors.get(name).map(|_| Dtype::F32)
    }

    fn read_f32(&self, name: &str, out: &mut [f32]) -> Result<(), SourceError> {
        let (_, values) = self.get(name)?;
        SourceError::check_length(self.path(), name, values.len(), out.len())?;
        out.copy_from_slice(values);
        Ok(())
    }

    fn read_values(&self, name: &str) -> Result<Values, SourceError> {
        Ok(Values::F32(self.get(name)?.1.clone()))
    }

    fn path(&self) -> &Path {
        Path::new("weights in memory")
    }
}
