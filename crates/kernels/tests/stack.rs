//! A stack against a plain one in f64 that knows nothing of packing, sharing or tapes: every example
//! is a sequence of its own, and gradients are finite differences.

mod common;

use std::sync::Arc;

use common::{Model, random};
use kernels::stack::{Gradient, Memory, Order, Plan, Stack};

/// An example batch: learned keys and values, or rows of an earlier pass; shared rows, own rows of each
/// example, answers.
#[derive(Default)]
struct Batch {
    learned: usize,
    past: usize,
    prefix: usize,
    own: Vec<usize>,
    answers: Vec<(usize, usize)>,
}

fn batches(causal: bool) -> Vec<Batch> {
    let mut batches = vec![
        Batch { own: vec![1], answers: vec![(0, 0)], ..Batch::default() },
        Batch {
            own: vec![5, 2, 9],
            answers: vec![(0, 4), (1, 1), (2, 3), (2, 8)],
            ..Batch::default()
        },
        // Longer than a block of queries.
        Batch { own: vec![40], answers: vec![(0, 39)], ..Batch::default() },
        Batch { learned: 1, own: vec![1], answers: vec![(0, 1)], ..Batch::default() },
        Batch { learned: 3, own: vec![4, 1], answers: vec![(0, 4), (1, 3)], ..Batch::default() },
        Batch {
            learned: 34,
            own: vec![1; 21],
            answers: (0..21).map(|e| (e, 34)).collect(),
            ..Batch::default()
        },
    ];
    if causal {
        let batch = |(learned, past, prefix), own: &[usize], answers: &[(usize, usize)]| {
            let (own, answers) = (own.to_vec(), answers.to_vec());
            Batch { learned, past, prefix, own, answers }
        };
        let twenty_one: Vec<_> = (0..21).map(|e| (e, 2)).collect();
        batches.extend([
            batch((0, 0, 4), &[3, 1, 6], &[(0, 6), (1, 4), (2, 9)]),
            batch((0, 0, 37), &[2, 35], &[(0, 38), (1, 71)]),
            batch((0, 3, 4), &[3, 1], &[(0, 9), (1, 7)]),
            batch((0, 35, 0), &[2, 3], &[(0, 35), (1, 37)]),
            // More examples than there are sums of shared rows.
            batch((0, 0, 2), &[1; 21], &twenty_one),
            batch((2, 0, 4), &[3, 1, 6], &[(0, 8), (1, 6), (2, 11)]),
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

/// Answers of a batch, one after the other; `x` begins with what is learned.
fn answers(model: &Model, batch: &Batch, x: &[f64]) -> Vec<f64> {
    let (learned, x) = x.split_at(batch.learned * model.past_width());
    let learned: Vec<Vec<f64>> = learned.chunks(model.past_width()).map(<[f64]>::to_vec).collect();
    let mut result = Vec::new();
    for index in 0..batch.own.len() {
        let y = model.forward(&learned, sequence(batch, x, model.hidden, index));
        for &(_, position) in batch.answers.iter().filter(|(example, _)| *example == index) {
            result.extend(&y[position - batch.learned]);
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
    let learned = batch.learned * model.past_width();
    let x = random(learned + rows * model.hidden, 11);
    let wide: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
    let (before, x) = x.split_at(learned + batch.past * model.hidden);
    let past = match batch {
        Batch { learned: 1.., .. } => Some(Arc::new(stack.learned_past(before))),
        Batch { past: 1.., .. } => Some(Arc::new(stack.past(before))),
        _ => None,
    };
    let plan = Plan::new(past, batch.prefix, &batch.own, &batch.answers).unwrap();
    let expected = answers(model, batch, &wide);
    assert_close(&stack.forward(x, &plan), &expected, 1e-5, what);

    let dy = random(expected.len(), 12);
    let objective = |x: &[f64]| -> f64 {
        answers(model, batch, x).iter().zip(&dy).map(|(y, dy)| y * f64::from(*dy)).sum()
    };
    let (y, tape) = stack.forward_taped(x, &plan, Memory::Tape);
    assert_close(&y, &expected, 1e-5, what);
    let all = |Gradient { past, rows }: Gradient| [past, rows].concat();
    let dx = all(stack.gradient(&dy, &tape));
    // What an earlier pass computed takes none.
    let first = wide.len() - dx.len();
    assert_eq!(first, batch.past * model.hidden, "{what}");
    // Some numbers of every row, one at a time.
    let step = 1e-5;
    let (mut found, mut wanted) = (Vec::new(), Vec::new());
    for at in (first..wide.len()).step_by(if wide.len() > 400 { 13 } else { 3 }) {
        let shifted = |by: f64| {
            let mut x = wide.clone();
            x[at] += by;
            objective(&x)
        };
        found.push(dx[at - first]);
        wanted.push((shifted(step) - shifted(-step)) / (2.0 * step));
    }
    assert_close(&found, &wanted, 2e-5, &format!("{what}: gradient"));

    assert_eq!(dx, all(stack.gradient(&dy, &tape)), "{what}: a tape serves twice");
    drop(tape);
    // The second pass finds the first one's buffers, whatever they hold.
    let (again, tape) = stack.forward_taped(x, &plan, Memory::Recompute);
    assert_eq!(y, again, "{what}: recompute");
    assert_eq!(dx, all(stack.gradient(&dy, &tape)), "{what}: recompute");
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
                let learned = random(batch.learned * model.past_width(), 2);
                let past = random(batch.past * model.hidden, 2);
                let past = match batch {
                    Batch { learned: 1.., .. } => Some(model.stack().learned_past(&learned)),
                    Batch { past: 1.., .. } => Some(model.stack().past(&past)),
                    _ => None,
                };
                let past = past.map(Arc::new);
                let plan = Plan::new(past, batch.prefix, &batch.own, &batch.answers).unwrap();
                let x = random(plan.rows() * model.hidden, 1);
                let (y, tape) = stack.forward_taped(&x, &plan, memory);
                let dx = stack.gradient(&y, &tape);
                drop(tape);
                let taken = stack.pooled_bytes() + 4 * 2 * (dx.rows.len() + y.len());
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
