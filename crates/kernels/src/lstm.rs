//! One direction of an LSTM layer over one sequence, forward and all gradients.
//!
//! `torch.nn.LSTM`'s cell: gates in the order input, forget, cell, output, and two biases. Unlike the
//! rest of this crate these weights are trained, so the backward pass gives their gradients too; each
//! is one product over all steps instead of one per step.

use crate::activation::sigmoid;
use crate::simd::{dispatch, exp};
use crate::sums::dot;

/// Weights of a direction, all row-major.
#[derive(Debug, Clone, Copy)]
pub struct Weights<'a> {
    /// `[4 · units, inputs]`
    pub weight_ih: &'a [f32],
    /// `[4 · units, units]`
    pub weight_hh: &'a [f32],
    /// `[4 · units]`
    pub bias_ih: &'a [f32],
    /// `[4 · units]`
    pub bias_hh: &'a [f32],
}

/// Gradients of the weights, laid out as they are.
#[derive(Debug, Clone, Default)]
pub struct Gradients {
    /// `[4 · units, inputs]`
    pub weight_ih: Vec<f32>,
    /// `[4 · units, units]`
    pub weight_hh: Vec<f32>,
    /// `[4 · units]`, of either bias.
    pub bias: Vec<f32>,
}

/// What the backward pass needs, step by step in the order of time.
#[derive(Debug, Clone)]
pub struct Trace {
    /// Activated gates, `[steps, 4 · units]`
    gates: Vec<f32>,
    /// `[steps, units]`
    cells: Vec<f32>,
    /// `[steps, units]`
    hidden: Vec<f32>,
}

#[inline(always)]
fn tanh(x: f32) -> f32 {
    // Near 0 the difference below would lose digits.
    let small = x * (1.0 - x * x * (1.0 / 3.0 - x * x * (2.0 / 15.0)));
    let large = 1.0 - 2.0 / (exp(2.0 * x) + 1.0);
    if x.abs() < 0.05 { small } else { large }
}

#[inline(always)]
fn add_scaled(to: &mut [f32], scale: f32, x: &[f32]) {
    for (to, x) in to.iter_mut().zip(x) {
        *to += scale * x;
    }
}

/// Index of the row that is read at a step.
fn at(step: usize, steps: usize, reverse: bool) -> usize {
    if reverse { steps - 1 - step } else { step }
}

/// Hidden states in the order of `x`, whichever way it is read, and what [`backward`] needs.
///
/// # Shapes
/// - `x`: `[steps, inputs]`
/// - returns: `[steps, units]`
///
/// # Panics
/// When a buffer does not have its size.
pub fn forward(x: &[f32], steps: usize, weights: Weights<'_>, reverse: bool) -> (Vec<f32>, Trace) {
    let four = weights.bias_ih.len();
    let (units, inputs) = (four / 4, x.len() / steps.max(1));
    check(weights, inputs);
    let mut trace = Trace {
        gates: vec![0.0; steps * four],
        cells: vec![0.0; steps * units],
        hidden: vec![0.0; steps * units],
    };
    let mut result = vec![0.0; steps * units];
    dispatch(|| {
        // Every row of the input weights passes once over all steps.
        for (row, weight) in weights.weight_ih.chunks_exact(inputs).enumerate() {
            let bias = weights.bias_ih[row] + weights.bias_hh[row];
            for step in 0..steps {
                let x = &x[at(step, steps, reverse) * inputs..][..inputs];
                trace.gates[step * four + row] = bias + dot(weight, x);
            }
        }
        for step in 0..steps {
            let gates = &mut trace.gates[step * four..][..four];
            let (before, hidden) = trace.hidden.split_at_mut(step * units);
            if step > 0 {
                let last = &before[(step - 1) * units..];
                for (gate, weight) in gates.iter_mut().zip(weights.weight_hh.chunks_exact(units)) {
                    *gate += dot(weight, last);
                }
            }
            let (sigmoids, rest) = gates.split_at_mut(2 * units);
            let (written, output) = rest.split_at_mut(units);
            sigmoids.iter_mut().for_each(|x| *x = sigmoid(*x));
            written.iter_mut().for_each(|x| *x = tanh(*x));
            output.iter_mut().for_each(|x| *x = sigmoid(*x));
            let (input, forget) = sigmoids.split_at(units);
            let (cells_before, cells) = trace.cells.split_at_mut(step * units);
            for unit in 0..units {
                let last = if step > 0 { cells_before[(step - 1) * units + unit] } else { 0.0 };
                cells[unit] = forget[unit] * last + input[unit] * written[unit];
                hidden[unit] = output[unit] * tanh(cells[unit]);
            }
            result[at(step, steps, reverse) * units..][..units].copy_from_slice(&hidden[..units]);
        }
    });
    (result, trace)
}

/// Gradients of the input, `[steps, inputs]`, and of the weights.
///
/// # Shapes
/// - `x`: `[steps, inputs]`, as it was given to [`forward`]
/// - `dy`: `[steps, units]`, gradient of its result
///
/// # Panics
/// When a buffer does not have its size.
pub fn backward(
    x: &[f32],
    dy: &[f32],
    steps: usize,
    weights: Weights<'_>,
    reverse: bool,
    trace: &Trace,
) -> (Vec<f32>, Gradients) {
    let four = weights.bias_ih.len();
    let (units, inputs) = (four / 4, x.len() / steps.max(1));
    check(weights, inputs);
    assert!(dy.len() == steps * units && trace.cells.len() == steps * units, "a gradient's size");
    let mut dx = vec![0.0; steps * inputs];
    let mut d_gates = vec![0.0f32; steps * four];
    let mut gradients = Gradients {
        weight_ih: vec![0.0; four * inputs],
        weight_hh: vec![0.0; four * units],
        bias: vec![0.0; four],
    };
    dispatch(|| {
        let (mut d_hidden, mut d_cell) = (vec![0.0f32; units], vec![0.0f32; units]);
        for step in (0..steps).rev() {
            let dy = &dy[at(step, steps, reverse) * units..][..units];
            let gates = &trace.gates[step * four..][..four];
            let d_gates = &mut d_gates[step * four..][..four];
            for unit in 0..units {
                let gate = |index: usize| gates[index * units + unit];
                let (input, forget, written, output) = (gate(0), gate(1), gate(2), gate(3));
                let bent = tanh(trace.cells[step * units + unit]);
                let last = if step > 0 { trace.cells[(step - 1) * units + unit] } else { 0.0 };
                let dh = dy[unit] + d_hidden[unit];
                let dc = d_cell[unit] + dh * output * (1.0 - bent * bent);
                d_gates[unit] = dc * written * input * (1.0 - input);
                d_gates[units + unit] = dc * last * forget * (1.0 - forget);
                d_gates[2 * units + unit] = dc * input * (1.0 - written * written);
                d_gates[3 * units + unit] = dh * bent * output * (1.0 - output);
                d_cell[unit] = dc * forget;
            }
            d_hidden.fill(0.0);
            if step > 0 {
                for (d_gate, weight) in d_gates.iter().zip(weights.weight_hh.chunks_exact(units)) {
                    add_scaled(&mut d_hidden, *d_gate, weight);
                }
            }
        }
        for row in 0..four {
            let weight = &weights.weight_ih[row * inputs..][..inputs];
            let d_ih = &mut gradients.weight_ih[row * inputs..][..inputs];
            let d_hh = &mut gradients.weight_hh[row * units..][..units];
            for step in 0..steps {
                let d_gate = d_gates[step * four + row];
                let place = at(step, steps, reverse) * inputs;
                add_scaled(d_ih, d_gate, &x[place..place + inputs]);
                add_scaled(&mut dx[place..place + inputs], d_gate, weight);
                if step > 0 {
                    add_scaled(d_hh, d_gate, &trace.hidden[(step - 1) * units..][..units]);
                }
                gradients.bias[row] += d_gate;
            }
        }
    });
    (dx, gradients)
}

fn check(weights: Weights<'_>, inputs: usize) {
    let four = weights.bias_ih.len();
    assert!(
        four.is_multiple_of(4)
            && inputs > 0
            && weights.bias_hh.len() == four
            && weights.weight_ih.len() == four * inputs
            && weights.weight_hh.len() == four * four / 4,
        "an LSTM's sizes"
    );
}
