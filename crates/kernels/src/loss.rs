//! Cross-entropy of rows of logits, and its gradient, in one pass.

use crate::shared::Shared;
use crate::simd::{dispatch, exp};
use crate::sums::{STRANDS, largest};
use crate::team::Team;

/// Turns rows of logits into the gradients of their losses, `softmax − one-hot`, in place, and returns
/// the losses in nats.
///
/// # Shapes
/// - `logits`: `[rows, vocab]`
/// - `answers`: one index below `vocab` for each row
/// - returns: `[rows]`
///
/// # Panics
/// When there are not `vocab` numbers for each answer, or an answer is none of them.
pub fn cross_entropy(logits: &mut [f32], vocab: usize, answers: &[usize]) -> Vec<f32> {
    assert_eq!(logits.len(), answers.len() * vocab, "rows of logits");
    assert!(answers.iter().all(|&answer| answer < vocab), "an answer outside the vocabulary");
    let mut losses = vec![0.0; answers.len()];
    let (rows, results) = (Shared::new(logits), Shared::new(&mut losses));
    Team::global().run(|member| {
        for row in member.share(answers.len()) {
            // SAFETY: a row and its loss are one member's.
            let (logits, loss) = unsafe { (rows.part(row * vocab, vocab), results.part(row, 1)) };
            loss[0] = dispatch(|| one_row(logits, answers[row]));
        }
    });
    losses
}

#[inline(always)]
fn one_row(logits: &mut [f32], answer: usize) -> f32 {
    let max = largest(logits);
    let given = logits[answer];
    // Sums of a large vocabulary: strands in f32, their total in f64.
    let mut total = 0.0f64;
    for block in logits.chunks_mut(4096) {
        let mut sums = [0.0f32; STRANDS];
        for chunk in block.chunks_mut(STRANDS) {
            for (sum, x) in sums.iter_mut().zip(chunk) {
                *x = exp(*x - max);
                *sum += *x;
            }
        }
        total += sums.iter().map(|&sum| f64::from(sum)).sum::<f64>();
    }
    let scale = (1.0 / total) as f32;
    for x in logits.iter_mut() {
        *x *= scale;
    }
    logits[answer] -= 1.0;
    (total.ln() - f64::from(given - max)) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_and_gradients_are_right() {
        for vocab in [1, 7, 32, 5000] {
            let logits: Vec<f32> = (0..3 * vocab).map(|i| (i as f32 * 1.7).sin() * 9.0).collect();
            let answers = [0, vocab - 1, vocab / 2];
            let mut gradients = logits.clone();
            let losses = cross_entropy(&mut gradients, vocab, &answers);
            for (row, &answer) in answers.iter().enumerate() {
                let logits = &logits[row * vocab..][..vocab];
                let total: f64 = logits.iter().map(|&x| f64::from(x).exp()).sum();
                let loss = total.ln() - f64::from(logits[answer]);
                assert!((f64::from(losses[row]) - loss).abs() < 1e-5, "{} {loss}", losses[row]);
                for (i, &logit) in logits.iter().enumerate() {
                    let expected =
                        f64::from(logit).exp() / total - f64::from(u8::from(i == answer));
                    let found = f64::from(gradients[row * vocab + i]);
                    assert!((found - expected).abs() < 1e-6, "{found} {expected}");
                }
            }
        }
    }

    #[test]
    fn a_logit_that_is_no_number_is_not_hidden() {
        let mut logits = [0.0, f32::NAN, 1.0];
        assert!(cross_entropy(&mut logits, 3, &[0])[0].is_nan());
    }
}
