//! Whole numbers of eight or four bits, in runs as wide as a panel.

/// How many bits a quantised number takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bits {
    /// −8 to 7, or 0 to 15.
    Four,
    /// −128 to 127.
    Eight,
}

impl Bits {
    /// Bytes of so many numbers, an even count.
    pub const fn bytes(self, count: usize) -> usize {
        match self {
            Self::Four => count / 2,
            Self::Eight => count,
        }
    }
}

/// Runs of `P` numbers.
pub(super) enum Quants {
    Bytes(Vec<i8>),
    /// Number `i` and number `i + P / 2` of a run share a byte, so that a run comes apart without
    /// moving a number sideways; `least` is added to each.
    Nibbles {
        pairs: Vec<u8>,
        least: i8,
    },
}

impl Quants {
    /// Stores numbers whose count is a multiple of `panel`, which is even.
    ///
    /// # Panics
    /// When a number does not fit into its bits.
    pub(super) fn new(numbers: Vec<i8>, bits: Bits, panel: usize) -> Self {
        match bits {
            Bits::Eight => Self::Bytes(numbers),
            Bits::Four => {
                let least = if numbers.iter().any(|&number| number < 0) { -8 } else { 0 };
                let nibble = |number: i8| {
                    let nibble = number.wrapping_sub(least);
                    assert!((0..16).contains(&nibble), "{number} in four bits");
                    nibble as u8
                };
                let pairs = numbers.chunks_exact(panel).flat_map(|run| {
                    let (low, high) = run.split_at(panel / 2);
                    low.iter().zip(high).map(|(&low, &high)| nibble(low) | nibble(high) << 4)
                });
                Self::Nibbles { pairs: pairs.collect(), least }
            }
        }
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Bytes(numbers) => numbers.len(),
            Self::Nibbles { pairs, .. } => pairs.len(),
        }
    }

    /// Number `index` in runs of `panel`.
    pub(super) fn at(&self, index: usize, panel: usize) -> i8 {
        match self {
            Self::Bytes(numbers) => numbers[index],
            Self::Nibbles { pairs, least } => {
                let (run, lane, half) = (index / panel, index % panel, panel / 2);
                let pair = pairs[run * half + lane % half];
                let nibble = if lane < half { pair & 15 } else { pair >> 4 };
                least + nibble as i8
            }
        }
    }
}

/// Run `run` of numbers of a byte each.
#[inline(always)]
pub(super) fn bytes_run<const P: usize>(numbers: &[i8], run: usize) -> [i8; P] {
    let mut unpacked = [0; P];
    unpacked.copy_from_slice(&numbers[run * P..(run + 1) * P]);
    unpacked
}

/// Run `run` of numbers of half a byte each.
#[inline(always)]
pub(super) fn nibbles_run<const P: usize>(pairs: &[u8], least: i8, run: usize) -> [i8; P] {
    let mut unpacked = [0; P];
    let (low, high) = unpacked.split_at_mut(P / 2);
    let pairs = &pairs[run * (P / 2)..(run + 1) * (P / 2)];
    for ((low, high), &pair) in low.iter_mut().zip(high).zip(pairs) {
        *low = (pair & 15) as i8 + least;
        *high = (pair >> 4) as i8 + least;
    }
    unpacked
}
