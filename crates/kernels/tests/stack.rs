//! A stack against a plain one in f64 that knows nothing of packing, sharing or tapes: every example
//! is a sequence of its own, and gradients are finite differences.

mod common;

use std::sync::Arc;

use common::{Model, random};
use kernels::stack::{Memory, Order, Plan, Stack};

/// An example batch: rows of an earlier pass, shared rows, own rows of each example, answers.
struct Batch {
    past: usize,
    prefix: usize,
    own: Vec<usize>,
    answers: Vec<(usize, usize)>,
}

fn batches(causal: bool) -> Vec<Batch> {
    let mut batches = vec![
        Batch { past: 0, prefix: 0, own: vec![1], answers: vec![(0, 0)] },
        Batch {
            past: 0,
            prefix: 0,
            own: vec![5, 2, 9],
            answers: vec![(0, 4), (1, 1), (2, 3), (2, 8)],
        },
        // Longer than a block of queries.
        Batch { past: 0, prefix: 0, own: vec![40], answers: vec![(0, 39)] },
    ];
    if causal {
        batches.extend([
            Batch { past: 0, prefix: 4, own: vec![3, 1, 6], answers: vec![(0, 6), (1, 4), (2, 9)] },
            Batch { past: 0, prefix: 37, own: vec![2, 35], answers: vec![(0, 38), (1, 71)] },
            Batch { past: 3, prefix: 4, own: vec![3, 1], answers: vec![(0, 9), (1, 7)] },
            Batch { past: 35, prefix: 0, own: vec![2, 3], answers: vec![(0, 35), (1, 37)] },
            // More examples than there are sums of shared rows.
            Batch {
                past: 0,
                prefix: 2,
                own: vec![1; 21],
                answers: (0..21).map(|e| (e, 2)).collect(),
            },
        ]);
    }
    batches
}

/// The rows of example `index` as a sequence of its own.
fn sequence(batch: &Batch, x: &[f64], hidden: usize, index: usize) -> Vec<Vec<f64>> {
    let shared = batch.past + batch.prefix;
    let start = shared + batch.own[..index].iter().sum::<usize>();
    let rows = (0..shared).chain(start..start + batch.own[index]);
    rows.map(|row| x[row * hidden..][..hidden].to_vec()).collect()
}

/// Answers of a batch, one after the other.
fn answers(model: &Model, batch: &Batch, x: &[f64]) -> Vec<f64> {
    let mut result = Vec::new();
    for index in 0..batch.own.len() {
        let y = model.forward(sequence(batch, x, model.hidden, index));
        for &(_, position) in batch.answers.iter().filter(|(example, _)| *example == index) {
            result.extend(&y[position]);
        }
    }
    result
}

fn assert_close(found: &[f32], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let size = expected.iter().fold(0.0f64, |max, x| max.max(x.abs()));
    for (index, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(found) - expected).abs();
        assert!(error <= tolerance * size, "{what}, number {index}: {found}, expected {expected}");
    }
}

fn check(model: &Model, stack: &Stack, batch: &Batch, what: &str) {
    let rows = batch.past + batch.prefix + batch.own.iter().sum::<usize>();
    let x = random(rows * model.hidden, 11);
    let wide: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
    let (before, x) = x.split_at(batch.past * model.hidden);
    let past = (batch.past > 0).then(|| Arc::new(stack.past(before)));
    let plan = Plan::new(past, batch.prefix, &batch.own, &batch.answers).unwrap();
    let expected = answers(model, batch, &wide);
    assert_close(&stack.forward(x, &plan), &expected, 1e-5, what);

    let dy = random(expected.len(), 12);
    let objective = |x: &[f64]| -> f64 {
        answers(model, batch, x).iter().zip(&dy).map(|(y, dy)| y * f64::from(*dy)).sum()
    };
    let (y, tape) = stack.forward_taped(x, &plan, Memory::Tape);
    assert_close(&y, &expected, 1e-5, what);
    let dx = stack.gradient(&dy, &tape);
    // Some numbers of every row, one at a time.
    let step = 1e-5;
    let (mut found, mut wanted) = (Vec::new(), Vec::new());
    for at in (before.len()..wide.len()).step_by(if wide.len() > 400 { 13 } else { 3 }) {
        let shifted = |by: f64| {
            let mut x = wide.clone();
            x[at] += by;
            objective(&x)
        };
        found.push(dx[at - before.len()]);
        wanted.push((shifted(step) - shifted(-step)) / (2.0 * step));
    }
    assert_close(&found, &wanted, 2e-5, &format!("{what}: gradient"));

    assert_eq!(dx, stack.gradient(&dy, &tape), "{what}: a tape serves twice");
    drop(tape);
    // The second pass finds the first one's buffers, whatever they hold.
    let (again, tape) = stack.forward_taped(x, &plan, Memory::Recompute);
    assert_eq!(y, again, "{what}: recompute");
    assert_eq!(dx, stack.gradient(&dy, &tape), "{what}: recompute");
}

#[test]
fn values_and_gradients_equal_a_plain_model() {
    for (seed, model) in Model::samples().iter().enumerate() {
        let stack = model.stack();
        for (index, batch) in batches(model.causal).iter().enumerate() {
            check(model, &stack, batch, &format!("model {seed}, batch {index}"));
        }
    }
}

#[test]
fn the_estimate_is_what_a_step_takes() {
    for model in Model::samples() {
        for batch in batches(model.causal) {
            for memory in [Memory::Tape, Memory::Recompute] {
                let stack = model.stack();
                let past = random(batch.past * model.hidden, 2);
                let past = (batch.past > 0).then(|| Arc::new(model.stack().past(&past)));
                let plan = Plan::new(past, batch.prefix, &batch.own, &batch.answers).unwrap();
                let x = random(plan.rows() * model.hidden, 1);
                let (y, tape) = stack.forward_taped(&x, &plan, memory);
                let dx = stack.gradient(&y, &tape);
                drop(tape);
                let taken = stack.pooled_bytes() + 4 * 2 * (dx.len() + y.len());
                let estimate = stack.shape().step_bytes(stack.layers(), &plan, memory);
                assert_eq!(taken, estimate, "{memory:?}, {:?}", stack.shape());
            }
        }
    }
}

#[test]
fn a_tape_is_made_for_both_orders() {
    let orders: Vec<Order> = Model::samples().iter().map(|model| model.order).collect();
    assert!(orders.contains(&Order::Pre) && orders.contains(&Order::Post));
}

#[test]
fn batches_that_cannot_be_laid_out_are_refused() {
    assert!(Plan::new(None, 0, &[], &[]).is_err());
    assert!(Plan::new(None, 3, &[2, 0], &[]).is_err());
    for answer in [(0, 2), (0, 5), (1, 3), (usize::MAX, 3)] {
        assert!(Plan::new(None, 3, &[2], &[answer]).is_err(), "{answer:?}");
    }
    assert!(Plan::new(None, 0, &[3], &[(0, 1), (0, 1)]).is_err());
    assert!(Plan::new(None, 0, &[3, 3], &[(1, 1), (0, 1)]).is_err());
    assert!(Plan::new(None, 3, &[2], &[(0, 3), (0, 4)]).is_ok());
}
