//! Functions with a hand-written input gradient as operations of Burn's CPU backend.
//!
//! Burn's extension mechanism adds an operation to the run-time dispatch and to autodiff. One
//! operation is enough for everything that a frozen model computes: a [`Function`] of one tensor,
//! whose weights are constants, so that its backward pass is a single product of the upstream
//! gradient with what the forward pass kept.

use std::fmt::Debug;
use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind, unary};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Tensor, TensorData};

/// A function of a matrix.
pub trait Function: Debug + Send + Sync {
    /// Shape of its result.
    fn shape(&self) -> [usize; 2];

    /// Its value.
    fn value(&self, x: &[f32]) -> Vec<f32>;

    /// Its value, and how a gradient goes back.
    fn taped(&self, x: &[f32]) -> (Vec<f32>, Arc<dyn Pullback>);
}

/// From the gradient of a function's result to that of its input.
pub trait Pullback: Debug + Send + Sync {
    /// Gradient of the input.
    fn gradient(&self, dy: &[f32]) -> Vec<f32>;
}

/// Applies a function to a matrix on the CPU, tracked by autodiff if the matrix is.
pub fn apply(x: Tensor<2>, function: Arc<dyn Function>) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as Applied>::apply_function(x.into_dispatch(), function))
}

/// The operation.
#[backend_extension(Flex, Autodiff)]
pub trait Applied: Backend {
    /// `function(x)`
    fn apply_function(x: FloatTensor<Self>, function: Arc<dyn Function>) -> FloatTensor<Self>;
}

/// What a backend needs so that the operation can be tracked.
trait Numbers: Backend {
    /// Runs `f` on a tensor's numbers.
    fn read<R>(x: FloatTensor<Self>, f: impl FnOnce(&[f32]) -> R) -> R;

    /// A tensor of numbers.
    fn write(values: Vec<f32>, shape: Vec<usize>) -> FloatTensor<Self>;
}

impl Numbers for Flex {
    fn read<R>(x: FloatTensor<Self>, f: impl FnOnce(&[f32]) -> R) -> R {
        let x = x.to_contiguous();
        let start = x.layout().start_offset();
        f(&x.storage::<f32>()[start..start + x.layout().num_elements()])
    }

    fn write(values: Vec<f32>, shape: Vec<usize>) -> FloatTensor<Self> {
        FloatTensor::<Self>::from_data(TensorData::new(values, shape))
    }
}

impl Applied for Flex {
    fn apply_function(x: FloatTensor<Self>, function: Arc<dyn Function>) -> FloatTensor<Self> {
        let value = Self::read(x, |x| function.value(x));
        Self::write(value, function.shape().to_vec())
    }
}

#[derive(Debug)]
struct Applying;

impl<B: Numbers> Backward<B, 1> for Applying {
    type State = (Arc<dyn Pullback>, Vec<usize>);

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let (pullback, shape) = ops.state;
        unary::<B, _>(ops.parents, ops.node, gradients, |dy| {
            B::write(B::read(dy, |dy| pullback.gradient(dy)), shape)
        });
    }
}

impl<B: Numbers + Applied, C: CheckpointStrategy> Applied for Autodiff<B, C> {
    fn apply_function(x: FloatTensor<Self>, function: Arc<dyn Function>) -> FloatTensor<Self> {
        let node = x.node();
        let shape = x.primitive().shape().to_vec();
        let input = x.primitive().clone();
        match Applying.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let (value, pullback) = B::read(input, |x| function.taped(x));
                let value = B::write(value, function.shape().to_vec());
                prepared.finish((pullback, shape), value)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::apply_function(input, function)),
        }
    }
}
