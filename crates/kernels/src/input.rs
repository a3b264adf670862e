//! Rows on their way into the first layer: what their positions add to them, and a norm.

use crate::norm::Norm;
use crate::profile::{Stage, timed};
use crate::shared::Shared;
use crate::simd::dispatch;
use crate::team::Team;

/// `norm(x + added[position])`, either part of which a model may lack.
#[derive(Debug, Clone)]
pub struct Input {
    hidden: usize,
    /// `[positions, hidden]`
    added: Option<Vec<f32>>,
    norm: Option<Norm>,
}

impl Input {
    /// What stands between embeddings and the first layer.
    ///
    /// # Shapes
    /// - `added`: `[positions, hidden]`
    ///
    /// # Panics
    /// When `added` or the norm are of another width than `hidden`.
    pub fn new(hidden: usize, added: Option<Vec<f32>>, norm: Option<Norm>) -> Self {
        assert!(added.as_ref().is_none_or(|added| added.len().is_multiple_of(hidden)), "positions");
        assert!(norm.as_ref().is_none_or(|norm| norm.width() == hidden), "a norm's size");
        Self { hidden, added, norm }
    }

    /// The rows as the first layer takes them, and what [`gradient`](Self::gradient) needs: the sums
    /// in front of the norm.
    ///
    /// # Shapes
    /// - `x`: `[rows, hidden]`
    /// - `positions`: one for each row
    /// - returns: twice `[rows, hidden]`, the second empty where there is no norm
    ///
    /// # Panics
    /// When `x` is not a row for each position, or a position is none of the table's.
    pub fn forward(&self, x: &[f32], positions: &[usize]) -> (Vec<f32>, Vec<f32>) {
        let hidden = self.hidden;
        assert_eq!(x.len(), positions.len() * hidden, "rows of the batch");
        timed(Stage::Norms, || {
            let mut sums = x.to_vec();
            let mut y = vec![0.0; if self.norm.is_some() { x.len() } else { 0 }];
            let (all_sums, all_y) = (Shared::new(&mut sums), Shared::new(&mut y));
            Team::global().run(|member| {
                dispatch(|| {
                    for index in member.share(positions.len()) {
                        // SAFETY: this member's rows.
                        let sum = unsafe { all_sums.part(index * hidden, hidden) };
                        if let Some(added) = &self.added {
                            let added = &added[positions[index] * hidden..][..hidden];
                            sum.iter_mut().zip(added).for_each(|(sum, added)| *sum += added);
                        }
                        if let Some(norm) = &self.norm {
                            // SAFETY: as above.
                            norm.forward(sum, unsafe { all_y.part(index * hidden, hidden) });
                        }
                    }
                });
            });
            if self.norm.is_some() { (y, sums) } else { (sums, Vec::new()) }
        })
    }

    /// Gradient with respect to `x`.
    ///
    /// # Shapes
    /// - `sums`: as [`forward`](Self::forward) returned them
    /// - `dy`: `[rows, hidden]`
    /// - returns: `[rows, hidden]`
    ///
    /// # Panics
    /// When `sums` are not those of a batch of these rows.
    pub fn gradient(&self, sums: &[f32], dy: &[f32]) -> Vec<f32> {
        let Some(norm) = &self.norm else { return dy.to_vec() };
        assert_eq!(sums.len(), dy.len(), "rows of the batch");
        let hidden = self.hidden;
        timed(Stage::Norms, || {
            let mut dx = vec![0.0; dy.len()];
            let all = Shared::new(&mut dx);
            Team::global().run(|member| {
                dispatch(|| {
                    for index in member.share(dy.len() / hidden) {
                        let row = index * hidden..(index + 1) * hidden;
                        // SAFETY: this member's rows.
                        let dx = unsafe { all.part(row.start, hidden) };
                        norm.add_gradient(&sums[row.clone()], &dy[row], dx);
                    }
                });
            });
            dx
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(count: usize, step: f32) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * step).sin()).collect()
    }

    #[test]
    fn values_and_gradients_are_those_of_the_formula() {
        let (hidden, positions) = (20, [0, 1, 0, 3, 2]);
        let norm =
            Norm::Layer { gain: noise(hidden, 0.3), bias: noise(hidden, 0.7), epsilon: 1e-5 };
        let (x, dy) = (noise(5 * hidden, 0.77), noise(5 * hidden, 0.41));
        for (added, norm) in
            [(true, true), (true, false), (false, true)].map(|(added, with_norm)| {
                (added.then(|| noise(4 * hidden, 0.13)), with_norm.then(|| norm.clone()))
            })
        {
            let expected = |x: &[f64]| -> Vec<f64> {
                let mut y = Vec::new();
                for (row, position) in x.chunks(hidden).zip(positions) {
                    let add = |i: usize| added.as_ref().map_or(0.0, |a| a[position * hidden + i]);
                    let sum: Vec<f64> =
                        row.iter().enumerate().map(|(i, x)| x + f64::from(add(i))).collect();
                    let Some(Norm::Layer { gain, bias, epsilon }) = &norm else {
                        y.extend(sum);
                        continue;
                    };
                    let mean = sum.iter().sum::<f64>() / hidden as f64;
                    let variance =
                        sum.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / hidden as f64;
                    let scale = (variance + f64::from(*epsilon)).sqrt().recip();
                    y.extend(sum.iter().zip(gain).zip(bias).map(|((x, gain), bias)| {
                        (x - mean) * scale * f64::from(*gain) + f64::from(*bias)
                    }));
                }
                y
            };
            let input = Input::new(hidden, added.clone(), norm.clone());
            let (y, sums) = input.forward(&x, &positions);
            let wide: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
            for (found, expected) in y.iter().zip(expected(&wide)) {
                assert!((f64::from(*found) - expected).abs() < 1e-5, "{found} {expected}");
            }
            let gradient = input.gradient(&sums, &dy);
            for index in (0..x.len()).step_by(7) {
                let at = |shift: f64| {
                    let mut moved = wide.clone();
                    moved[index] += shift;
                    expected(&moved).iter().zip(&dy).map(|(y, dy)| y * f64::from(*dy)).sum::<f64>()
                };
                let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
                let found = f64::from(gradient[index]);
                assert!((found - slope).abs() < 1e-4, "{index}: {found} {slope}");
            }
        }
    }
}
