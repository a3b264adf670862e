//! Many templates asked the same question, and their answers put together.
//!
//! Jiang et al., "How Can We Know What Language Models Know?" (2020, arXiv:1911.12543), section 4: the mean
//! of log-probabilities, or weights learned on examples; and the vote of a majority.

/// What several templates say: `[template][example][answer]`, log-probabilities of answers that all of
/// them number alike.
pub type Opinions = [Vec<Vec<f32>>];

/// How opinions become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Combine {
    /// The mean of log-probabilities.
    Mean,
    /// Each template votes for its best answer; log-probabilities decide between equals.
    Majority,
    /// The weighted sum of log-probabilities, its weights learned on examples.
    Learned,
}

/// Shrinks learned weights towards the mean: what each of them costs per example, squared.
pub const RIDGE: f64 = 1e-2;

/// Steps of Newton's method at most; it takes fewer than ten.
const STEPS: usize = 50;

/// `Σ weight · log-probability`, normalised: `[example][answer]`.
///
/// # Panics
/// Where there is not a weight for each template.
pub fn weighted(opinions: &Opinions, weights: &[f64]) -> Vec<Vec<f32>> {
    assert_eq!(opinions.len(), weights.len(), "a weight for each template");
    let examples = opinions.first().map_or(0, Vec::len);
    let example = |example: usize| {
        let answers = opinions[0][example].len();
        let sum = |answer: usize| -> f64 {
            let parts = opinions.iter().zip(weights);
            parts.map(|(opinion, weight)| weight * f64::from(opinion[example][answer])).sum()
        };
        log_softmax((0..answers).map(sum).collect()).into_iter().map(|x| x as f32).collect()
    };
    (0..examples).map(example).collect()
}

/// Votes of each answer, by which they are ranked: `[example][answer]`.
///
/// Among answers of as many votes the one of the greater mean log-probability comes first.
pub fn votes(opinions: &Opinions) -> Vec<Vec<f32>> {
    let equal = vec![1.0 / opinions.len().max(1) as f64; opinions.len()];
    let mut ranked = weighted(opinions, &equal);
    for (example, scores) in ranked.iter_mut().enumerate() {
        // Probabilities are below 1, so they never outweigh a vote.
        scores.iter_mut().for_each(|score| *score = score.exp());
        for opinion in opinions {
            let best = opinion[example].iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
            if let Some((best, _)) = best {
                scores[best] += 1.0;
            }
        }
    }
    ranked
}

/// The weights of [`weighted`] under which the right answers of some examples are most probable, by
/// Newton's method: a convex problem, whose one solution does not depend on a start.
///
/// They are drawn towards the mean's by [`RIDGE`], so that templates that agree share their weight.
///
/// # Panics
/// Where there is not an answer for each example.
pub fn learned(opinions: &Opinions, answers: &[usize]) -> Vec<f64> {
    let count = opinions.len();
    let even = 1.0 / count.max(1) as f64;
    let mut weights = vec![even; count];
    let examples = answers.len();
    if examples == 0 {
        return weights;
    }
    for _ in 0..STEPS {
        let mut gradient: Vec<f64> = weights.iter().map(|weight| RIDGE * (weight - even)).collect();
        let mut hessian = vec![vec![0.0; count]; count];
        for (diagonal, row) in hessian.iter_mut().enumerate() {
            row[diagonal] = RIDGE;
        }
        for (example, &right) in answers.iter().enumerate() {
            let probabilities = probabilities(opinions, &weights, example);
            let expected: Vec<f64> = opinions
                .iter()
                .map(|opinion| expectation(&probabilities, |answer| at(opinion, example, answer)))
                .collect();
            for (first, opinion) in opinions.iter().enumerate() {
                let own = |answer| at(opinion, example, answer) - expected[first];
                gradient[first] -= own(right) / examples as f64;
                for second in 0..=first {
                    let other = |answer| at(&opinions[second], example, answer) - expected[second];
                    let both = expectation(&probabilities, |answer| own(answer) * other(answer));
                    hessian[first][second] += both / examples as f64;
                    if first != second {
                        hessian[second][first] = hessian[first][second];
                    }
                }
            }
        }
        let step = solve(hessian, gradient);
        for (weight, step) in weights.iter_mut().zip(&step) {
            *weight -= step;
        }
        if step.iter().all(|step| step.abs() < 1e-10) {
            break;
        }
    }
    weights
}

fn at(opinion: &[Vec<f32>], example: usize, answer: usize) -> f64 {
    f64::from(opinion[example][answer])
}

fn expectation(probabilities: &[f64], of: impl Fn(usize) -> f64) -> f64 {
    let terms = probabilities.iter().enumerate().filter(|(_, probability)| **probability > 0.0);
    terms.map(|(answer, probability)| probability * of(answer)).sum()
}

fn probabilities(opinions: &Opinions, weights: &[f64], example: usize) -> Vec<f64> {
    let sum = |answer| -> f64 {
        opinions.iter().zip(weights).map(|(opinion, w)| w * at(opinion, example, answer)).sum()
    };
    let scores = (0..opinions[0][example].len()).map(sum).collect();
    log_softmax(scores).into_iter().map(f64::exp).collect()
}

fn log_softmax(scores: Vec<f64>) -> Vec<f64> {
    let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum = max + scores.iter().map(|score| (score - max).exp()).sum::<f64>().ln();
    scores.into_iter().map(|score| score - sum).collect()
}

/// `x` with `matrix · x = right`, for a symmetric matrix whose eigenvalues are above 0.
fn solve(mut matrix: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
    let count = right.len();
    for pivot in 0..count {
        for row in pivot + 1..count {
            let factor = matrix[row][pivot] / matrix[pivot][pivot];
            let (above, below) = matrix.split_at_mut(row);
            for (to, from) in below[0][pivot..].iter_mut().zip(&above[pivot][pivot..]) {
                *to -= factor * from;
            }
            right[row] -= factor * right[pivot];
        }
    }
    for row in (0..count).rev() {
        let known: f64 = (row + 1..count).map(|column| matrix[row][column] * right[column]).sum();
        right[row] = (right[row] - known) / matrix[row][row];
    }
    right
}
