//! A bidirectional LSTM layer as one operation of Burn's CPU backend, through its extension mechanism.
//!
//! Taken apart by autodiff, a layer of a few virtual tokens is hundreds of small operations, and each
//! step of each direction adds a gradient as large as its weights.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Device, Tensor, TensorData};
use kernels::lstm::{self, Trace, Weights};

use super::lstm::Direction;

/// Whether a tensor is on the CPU backend, tracked or not.
pub fn is_on_cpu(x: &Tensor<2>) -> bool {
    x.device().without_autodiff() == Device::flex()
}

/// Both directions of a layer on the CPU.
///
/// # Shapes
/// - `x`: `[steps, in]`
/// - returns: `[steps, 2 · units]`
pub fn layer(x: Tensor<2>, forward: &Direction, backward: &Direction) -> Tensor<2> {
    let [f, b] = [forward, backward].map(|direction| {
        [
            direction.weight_ih.val().into_dispatch(),
            direction.weight_hh.val().into_dispatch(),
            direction.bias_ih.val().into_dispatch(),
            direction.bias_hh.val().into_dispatch(),
        ]
    });
    let ([f0, f1, f2, f3], [b0, b1, b2, b3]) = (f, b);
    let y = <Dispatch as Lstm>::lstm_layer(x.into_dispatch(), f0, f1, f2, f3, b0, b1, b2, b3);
    Tensor::from_dispatch(y)
}

/// The operation.
#[backend_extension(Flex, Autodiff)]
#[allow(clippy::too_many_arguments, reason = "an input and the weights of two directions")]
trait Lstm: Backend {
    /// An input, and for each direction input weights, state weights and two biases.
    fn lstm_layer(
        x: FloatTensor<Self>,
        forward_ih: FloatTensor<Self>,
        forward_hh: FloatTensor<Self>,
        forward_bias_ih: FloatTensor<Self>,
        forward_bias_hh: FloatTensor<Self>,
        backward_ih: FloatTensor<Self>,
        backward_hh: FloatTensor<Self>,
        backward_bias_ih: FloatTensor<Self>,
        backward_bias_hh: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

/// The same with what the backward pass needs.
trait Traced: Backend {
    fn run(inputs: &[FloatTensor<Self>; 9]) -> (FloatTensor<Self>, [Trace; 2]);

    /// Gradients of the nine inputs.
    fn back(
        inputs: &[FloatTensor<Self>; 9],
        dy: FloatTensor<Self>,
        traces: &[Trace; 2],
    ) -> Vec<FloatTensor<Self>>;
}

type Primitive = FloatTensor<Flex>;

fn numbers(x: &Primitive) -> &[f32] {
    let start = x.layout().start_offset();
    &x.storage::<f32>()[start..start + x.layout().num_elements()]
}

fn contiguous(inputs: &[Primitive; 9]) -> [Primitive; 9] {
    inputs.each_ref().map(|input| input.to_contiguous())
}

fn weights(inputs: &[Primitive; 9], reverse: bool) -> Weights<'_> {
    let first = if reverse { 5 } else { 1 };
    let [weight_ih, weight_hh, bias_ih, bias_hh] =
        [0, 1, 2, 3].map(|index| numbers(&inputs[first + index]));
    Weights { weight_ih, weight_hh, bias_ih, bias_hh }
}

fn tensor(values: Vec<f32>, shape: Vec<usize>) -> Primitive {
    Primitive::from_data(TensorData::new(values, shape))
}

/// Runs both directions side by side.
fn both<R: Send>(run: impl Fn(bool) -> R + Sync) -> [R; 2] {
    std::thread::scope(|scope| {
        let reverse = scope.spawn(|| run(true));
        let forward = run(false);
        match reverse.join() {
            Ok(reverse) => [forward, reverse],
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

impl Traced for Flex {
    fn run(inputs: &[Primitive; 9]) -> (Primitive, [Trace; 2]) {
        let inputs = contiguous(inputs);
        let steps = inputs[0].shape()[0];
        let x = numbers(&inputs[0]);
        let [forward, reverse] =
            both(|reverse| lstm::forward(x, steps, weights(&inputs, reverse), reverse));
        let units = forward.0.len() / steps.max(1);
        let mut y = Vec::with_capacity(2 * forward.0.len());
        for (a, b) in forward.0.chunks(units).zip(reverse.0.chunks(units)) {
            y.extend_from_slice(a);
            y.extend_from_slice(b);
        }
        (tensor(y, vec![steps, 2 * units]), [forward.1, reverse.1])
    }

    fn back(inputs: &[Primitive; 9], dy: Primitive, traces: &[Trace; 2]) -> Vec<Primitive> {
        let inputs = contiguous(inputs);
        let dy = dy.to_contiguous();
        let steps = inputs[0].shape()[0];
        let (x, dy) = (numbers(&inputs[0]), numbers(&dy));
        let units = dy.len() / steps.max(1) / 2;
        let results = both(|reverse| {
            let start = if reverse { units } else { 0 };
            let own = dy.chunks(2 * units).flat_map(|row| &row[start..start + units]);
            let own: Vec<f32> = own.copied().collect();
            let trace = &traces[usize::from(reverse)];
            lstm::backward(x, &own, steps, weights(&inputs, reverse), reverse, trace)
        });
        let [(mut dx, forward), (dx_reverse, reverse)] = results;
        dx.iter_mut().zip(&dx_reverse).for_each(|(a, b)| *a += b);
        let mut gradients = vec![tensor(dx, inputs[0].shape().to_vec())];
        for (first, g) in [(1, forward), (5, reverse)] {
            let shape = |index: usize| inputs[first + index].shape().to_vec();
            gradients.push(tensor(g.weight_ih, shape(0)));
            gradients.push(tensor(g.weight_hh, shape(1)));
            gradients.push(tensor(g.bias.clone(), shape(2)));
            gradients.push(tensor(g.bias, shape(3)));
        }
        gradients
    }
}

impl Lstm for Flex {
    fn lstm_layer(
        x: Primitive,
        f0: Primitive,
        f1: Primitive,
        f2: Primitive,
        f3: Primitive,
        b0: Primitive,
        b1: Primitive,
        b2: Primitive,
        b3: Primitive,
    ) -> Primitive {
        Self::run(&[x, f0, f1, f2, f3, b0, b1, b2, b3]).0
    }
}

#[derive(Debug)]
struct Layer;

impl<B: Traced> Backward<B, 9> for Layer {
    type State = ([FloatTensor<B>; 9], [Trace; 2]);

    fn backward(self, ops: Ops<Self::State, 9>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let dy = gradients.consume::<B>(&ops.node);
        let (inputs, traces) = ops.state;
        for (parent, gradient) in ops.parents.into_iter().zip(B::back(&inputs, dy, &traces)) {
            if let Some(parent) = parent {
                gradients.register::<B>(parent.id, gradient);
            }
        }
    }
}

impl<B: Traced + Lstm, C: CheckpointStrategy> Lstm for Autodiff<B, C> {
    fn lstm_layer(
        x: FloatTensor<Self>,
        f0: FloatTensor<Self>,
        f1: FloatTensor<Self>,
        f2: FloatTensor<Self>,
        f3: FloatTensor<Self>,
        b0: FloatTensor<Self>,
        b1: FloatTensor<Self>,
        b2: FloatTensor<Self>,
        b3: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let inputs = [x, f0, f1, f2, f3, b0, b1, b2, b3];
        let nodes = inputs.each_ref().map(|input| input.node());
        let inputs = inputs.each_ref().map(|input| input.primitive().clone());
        let (y, traces) = B::run(&inputs);
        match Layer.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((inputs, traces), y),
            OpsKind::UnTracked(prepared) => prepared.finish(y),
        }
    }
}
