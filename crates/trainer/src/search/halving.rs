//! Successive halving (Jamieson and Talwalkar 2016): many candidates for a short time, the better half for longer.

/// A stage of successive halving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rung {
    /// Candidates that are trained.
    pub candidates: usize,
    /// Epochs that each has been trained for at its end, earlier rungs included.
    pub epochs: usize,
}

/// The stages from so many candidates down to one: each has the better half of the one before, rounded up, and
/// twice its epochs.
pub fn rungs(candidates: usize, epochs: usize) -> Vec<Rung> {
    let next = |rung: &Rung| {
        (rung.candidates > 1).then(|| Rung {
            candidates: rung.candidates.div_ceil(2),
            epochs: rung.epochs.saturating_mul(2),
        })
    };
    let first = (candidates > 0).then_some(Rung { candidates, epochs });
    std::iter::successors(first, next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_better_half_is_trained_twice_as_long() {
        let pairs = |candidates, epochs| -> Vec<(usize, usize)> {
            rungs(candidates, epochs).iter().map(|rung| (rung.candidates, rung.epochs)).collect()
        };
        assert_eq!(pairs(8, 1), [(8, 1), (4, 2), (2, 4), (1, 8)]);
        assert_eq!(pairs(5, 3), [(5, 3), (3, 6), (2, 12), (1, 24)]);
        assert_eq!(pairs(1, 4), [(1, 4)]);
        assert_eq!(pairs(0, 4), []);
    }
}
