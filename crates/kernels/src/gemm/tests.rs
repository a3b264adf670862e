//! Both products, for every kind of storage, against plain sums.

use super::*;
use crate::frozen::tests::samples;
use crate::team::Team;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

#[test]
fn products_and_gradients_equal_plain_sums() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let shapes = [
        (1, 1, 1),
        (7, 33, 32),
        (5, 16, 96),
        (13, 70, 31),
        (3, 300, 544),
        (25, 48, 64),
        (3, 500, 64),
    ];
    for (rows, out, inner) in shapes {
        for (weight, values) in samples(out, inner, 2) {
            for side in [Side::Product, Side::Gradient] {
                let (depth, columns) = match side {
                    Side::Product => (inner, out),
                    Side::Gradient => (out, inner),
                };
                let x: Vec<f32> = (0..rows * depth).map(|_| rng.random_range(-1.0..1.0)).collect();
                let bias: Vec<f32> = (0..columns).map(|_| rng.random_range(-1.0..1.0)).collect();
                let stride = columns + 3;
                let mut to = vec![0.5f32; rows * stride];
                let terms = [Term { weight: &weight, x: &x }];
                let target = Shared::new(&mut to);
                Team::global().run(|member| {
                    let job = Job {
                        side,
                        terms: &terms,
                        rows,
                        to: target,
                        stride,
                        column: 2,
                        accumulate: true,
                        bias: Some(&bias),
                    };
                    run(member, &[job], &mut Vec::new());
                });
                for row in 0..rows {
                    for column in 0..stride {
                        let found = to[row * stride + column];
                        if !(2..columns + 2).contains(&column) {
                            assert_eq!(found, 0.5, "outside the result");
                            continue;
                        }
                        let expected: f64 = 0.5
                            + f64::from(bias[column - 2])
                            + (0..depth)
                                .map(|k| {
                                    let at = match side {
                                        Side::Product => (column - 2) * inner + k,
                                        Side::Gradient => k * inner + column - 2,
                                    };
                                    f64::from(x[row * depth + k]) * f64::from(values[at])
                                })
                                .sum::<f64>();
                        let error = (f64::from(found) - expected).abs();
                        assert!(
                            error < 1e-5 * (1.0 + depth as f64).sqrt(),
                            "{side:?} {rows}×{out}×{inner}: {found}, expected {expected}"
                        );
                    }
                }
            }
        }
    }
}
