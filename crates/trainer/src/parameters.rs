//! Named access to a prompt encoder's parameters, for optimisers and checkpoints.

use std::collections::BTreeMap;

use burn::module::{ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Device, Gradients, Tensor, TensorData};
use ptuning_core::prompt_encoder::PromptEncoder;

use crate::checkpoint::CheckpointError;

/// Values of all parameters by name, in f32.
pub fn values(encoder: &PromptEncoder) -> BTreeMap<String, TensorData> {
    struct Read(Vec<String>, BTreeMap<String, TensorData>);
    impl ModuleVisitor for Read {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.0.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let data = param.val().without_autodiff().into_data().convert_dtype(DType::F32);
            self.1.insert(self.0.join("."), data);
        }
    }
    let mut read = Read(Vec::new(), BTreeMap::new());
    encoder.visit_parameters(&mut read);
    read.1
}

/// Sets all parameters from values by name.
///
/// # Errors
/// A name that is missing or a shape that differs; the encoder is then as it was.
pub fn with_values(
    encoder: PromptEncoder,
    values: &BTreeMap<String, TensorData>,
) -> Result<PromptEncoder, CheckpointError> {
    struct Write<'a> {
        path: Vec<String>,
        values: &'a BTreeMap<String, TensorData>,
        error: Option<CheckpointError>,
    }
    impl ModuleMapper for Write<'_> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let name = self.path.join(".");
            let expected = param.val().dims().to_vec();
            match self.values.get(&name) {
                Some(data) if data.shape().to_vec() == expected => {
                    param.map(|old| replaced(&old, Tensor::from_data(data.clone(), &plain(&old))))
                }
                found => {
                    let found = found.map(|data| data.shape().to_vec());
                    self.error.get_or_insert(CheckpointError::Parameter { name, expected, found });
                    param
                }
            }
        }
    }
    let mut write = Write { path: Vec::new(), values, error: None };
    let encoder = encoder.map_parameters(&mut write);
    write.error.map_or(Ok(encoder), Err)
}

/// Takes the gradients of all parameters out of a backward pass, in the order of their names' visit.
///
/// A parameter that took no part in the loss has a gradient of zeros.
pub fn take_gradients(encoder: &PromptEncoder, gradients: &mut Gradients) -> Vec<Tensor<1>> {
    struct Take<'a>(&'a mut Gradients, Vec<Tensor<1>>);
    impl ModuleVisitor for Take<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let value = param.val();
            let count: usize = value.dims().iter().product();
            let gradient = match value.grad_remove(self.0) {
                Some(gradient) => gradient.reshape([count]),
                None => Tensor::zeros([count], &plain(&value)),
            };
            self.1.push(gradient);
        }
    }
    let mut take = Take(gradients, Vec::new());
    encoder.visit_parameters(&mut take);
    take.1
}

/// Replaces every parameter by `f(index, value)`, values flattened and without autodiff.
pub fn update(
    encoder: PromptEncoder,
    f: &mut dyn FnMut(usize, Tensor<1>) -> Tensor<1>,
) -> PromptEncoder {
    struct Update<'a>(usize, &'a mut dyn FnMut(usize, Tensor<1>) -> Tensor<1>);
    impl ModuleMapper for Update<'_> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let index = self.0;
            self.0 += 1;
            param.map(|old| {
                let shape = old.dims();
                let count: usize = shape.iter().product();
                let flat = old.clone().without_autodiff().reshape([count]);
                replaced(&old, (self.1)(index, flat).reshape(shape))
            })
        }
    }
    encoder.map_parameters(&mut Update(0, f))
}

/// Names of all parameters, in the order of [`take_gradients`] and [`update`].
pub fn names(encoder: &PromptEncoder) -> Vec<String> {
    struct Names(Vec<String>, Vec<String>);
    impl ModuleVisitor for Names {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.0.push(name.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.pop();
        }
        fn visit_float<const D: usize>(&mut self, _: &Param<Tensor<D>>) {
            self.1.push(self.0.join("."));
        }
    }
    let mut names = Names(Vec::new(), Vec::new());
    encoder.visit_parameters(&mut names);
    names.1
}

fn plain<const D: usize>(tensor: &Tensor<D>) -> Device {
    tensor.device().without_autodiff()
}

/// `value` in the place of `old`: tracked if `old` was.
fn replaced<const D: usize>(old: &Tensor<D>, value: Tensor<D>) -> Tensor<D> {
    if old.is_autodiff() { value.autodiff().set_require_grad(old.is_require_grad()) } else { value }
}
