//! A frozen matrix of Burn's tensors, as floats or in few bits.
//!
//! A matrix in few bits stays so in memory: whole numbers of four or eight bits, several to a word, with a
//! scale and perhaps an offset for every group of a row. A product expands it, to exactly the numbers that
//! the CPU's kernels compute with, and drops what it expanded. Autodiff would keep it until the backward
//! pass, which is why layers of such matrices are computed once more for their gradient.

use burn::tensor::{DType, Device, FloatDType, Int, Tensor, TensorData};
use kernels::frozen::{Bits, Grouped};

/// `[out, in]`
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "a few per layer; a box would only hide them")]
pub enum Weight {
    /// In the precision that products have.
    Floats(Tensor<2>),
    /// In few bits.
    Words(Words),
}

/// Quantised numbers, packed into words.
#[derive(Debug, Clone)]
pub struct Words {
    /// Number `column` of a row is in word `column % words`, from its lowest bits on:
    /// `[out, words]`, where words are `in · bits / 32`.
    words: Tensor<2, Int>,
    bits: Bits,
    /// Added to each number.
    least: i32,
    /// `[out, in / group]`
    scales: Tensor<2>,
    /// As `scales`.
    offsets: Option<Tensor<2>>,
    /// What products are computed in.
    dtype: FloatDType,
}

impl Weight {
    /// As floats, `[out, in]`.
    pub fn tensor(&self) -> Tensor<2> {
        match self {
            Self::Floats(weight) => weight.clone(),
            Self::Words(words) => words.expand().cast(words.dtype),
        }
    }

    /// Some rows in f32, `[rows, in]`.
    pub fn rows(&self, rows: Tensor<1, Int>) -> Tensor<2> {
        match self {
            Self::Floats(weight) => weight.clone().select(0, rows).cast(FloatDType::F32),
            Self::Words(words) => words.select(rows).expand(),
        }
    }

    /// All rows in f32, `[out, in]`.
    pub fn all(&self) -> Tensor<2> {
        match self {
            Self::Floats(weight) => weight.clone().cast(FloatDType::F32),
            Self::Words(words) => words.expand(),
        }
    }

    /// Number of rows.
    pub fn out(&self) -> usize {
        match self {
            Self::Floats(weight) => weight.dims()[0],
            Self::Words(words) => words.words.dims()[0],
        }
    }

    /// The device it is on.
    pub fn device(&self) -> Device {
        match self {
            Self::Floats(weight) => weight.device(),
            Self::Words(words) => words.scales.device(),
        }
    }
}

impl Words {
    /// Several matrices on top of each other, each of its rows and their numbers.
    ///
    /// Where they differ, all take the more bits and the smaller groups of any of them.
    ///
    /// # Panics
    /// Where there is none, or their rows are of different lengths.
    pub fn new(parts: Vec<(usize, Grouped)>, device: &Device, dtype: FloatDType) -> Self {
        let quants = || parts.iter().flat_map(|(_, part)| part.quants.iter().copied());
        let (min, max) = (quants().min().unwrap_or(0), quants().max().unwrap_or(0));
        let four = parts.iter().all(|(_, part)| part.bits == Bits::Four);
        let (bits, least) = match four {
            true if min >= 0 => (Bits::Four, 0),
            true if max <= 7 => (Bits::Four, -8),
            _ => (Bits::Eight, -128),
        };
        let group = parts.iter().map(|(_, part)| part.group).min().expect("at least one part");
        let out: usize = parts.iter().map(|(out, _)| out).sum();
        let with_offsets = parts.iter().any(|(_, part)| !part.offsets.is_empty());
        let (mut words, mut scales, mut offsets) = (Vec::new(), Vec::new(), Vec::new());
        for (out, part) in parts {
            let inner = part.quants.len() / out;
            words.extend(part.quants.chunks_exact(inner).flat_map(|row| pack(row, bits, least)));
            let repeat = part.group / group;
            let spread = |values: &[f32], to: &mut Vec<f32>| {
                to.extend(values.iter().flat_map(|&value| std::iter::repeat_n(value, repeat)));
            };
            spread(&part.scales, &mut scales);
            match part.offsets.is_empty() {
                true if with_offsets => offsets.extend(vec![0.0; part.scales.len() * repeat]),
                _ => spread(&part.offsets, &mut offsets),
            }
        }
        let floats = |values: Vec<f32>| {
            let columns = values.len() / out;
            Tensor::from_data(TensorData::new(values, [out, columns]), device)
        };
        let columns = words.len() / out;
        let words = TensorData::new(words, [out, columns]);
        Self {
            words: Tensor::from_data(words, (device, DType::I32)),
            bits,
            least,
            scales: floats(scales),
            offsets: with_offsets.then(|| floats(offsets)),
            dtype,
        }
    }

    fn select(&self, rows: Tensor<1, Int>) -> Self {
        Self {
            words: self.words.clone().select(0, rows.clone()),
            scales: self.scales.clone().select(0, rows.clone()),
            offsets: self.offsets.as_ref().map(|offsets| offsets.clone().select(0, rows)),
            ..*self
        }
    }

    /// `scale · q + offset`, `[out, in]` in f32.
    fn expand(&self) -> Tensor<2> {
        let [out, words] = self.words.dims();
        let width = width(self.bits);
        let mask = (1 << width) - 1;
        let plane = |index: u32| {
            let shifted = match index {
                0 => self.words.clone(),
                _ => self.words.clone().bitwise_right_shift_scalar((index * width) as i32),
            };
            shifted.bitwise_and_scalar(mask).float()
        };
        let planes = 32 / width;
        let quants = Tensor::cat((0..planes).map(plane).collect(), 1);
        let quants = match self.least {
            0 => quants,
            least => quants.add_scalar(least),
        };
        let inner = words * planes as usize;
        let [_, groups] = self.scales.dims();
        let by_group = |values: &Tensor<2>| values.clone().reshape([out, groups, 1]);
        let scaled = quants.reshape([out, groups, inner / groups]) * by_group(&self.scales);
        let numbers = match &self.offsets {
            Some(offsets) => scaled + by_group(offsets),
            None => scaled,
        };
        numbers.reshape([out, inner])
    }
}

const fn width(bits: Bits) -> u32 {
    match bits {
        Bits::Four => 4,
        Bits::Eight => 8,
    }
}

/// One row's numbers as words.
fn pack(row: &[i8], bits: Bits, least: i32) -> Vec<i32> {
    let width = width(bits);
    let count = row.len() * width as usize / 32;
    let mut words = vec![0u32; count];
    for (plane, quants) in row.chunks_exact(count).enumerate() {
        for (word, &quant) in words.iter_mut().zip(quants) {
            *word |= ((i32::from(quant) - least) as u32) << (plane as u32 * width);
        }
    }
    words.into_iter().map(|word| word as i32).collect()
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use super::*;

    /// Numbers of a generator that covers their range, and what they stand for.
    fn grouped(out: usize, inner: usize, bits: Bits, group: usize, signed: bool) -> Grouped {
        let quant = |i: usize| match (bits, signed) {
            (Bits::Eight, _) => (i * 37 % 256) as u8 as i8,
            (Bits::Four, true) => (i * 7 % 16) as i8 - 8,
            (Bits::Four, false) => (i * 7 % 16) as i8,
        };
        let groups = out * inner / group;
        Grouped {
            quants: (0..out * inner).map(quant).collect(),
            bits,
            group,
            scales: (0..groups).map(|i| 0.01 + i as f32 * 0.003).collect(),
            offsets: match signed {
                true => Vec::new(),
                false => (0..groups).map(|i| i as f32 * 0.1 - 0.5).collect(),
            },
        }
    }

    fn numbers(tensor: Tensor<2>) -> Vec<f32> {
        tensor.into_data().iter().collect()
    }

    #[test]
    fn words_stand_for_the_numbers_that_went_in() {
        let device = Device::flex();
        let kinds = [(Bits::Eight, 16, true), (Bits::Four, 32, true), (Bits::Four, 32, false)];
        // Each kind alone, then all on top of each other.
        let stacks = kinds.iter().map(std::slice::from_ref).chain([&kinds[..], &kinds[1..]]);
        for stack in stacks {
            let part = |&(bits, group, signed): &(Bits, usize, bool)| {
                (3, grouped(3, 64, bits, group, signed))
            };
            let parts: Vec<(usize, Grouped)> = stack.iter().map(part).collect();
            let expected: Vec<f32> = parts.iter().flat_map(|(_, part)| part.widened()).collect();
            let weight = Weight::Words(Words::new(parts, &device, FloatDType::F32));
            assert_eq!(weight.out(), 3 * stack.len());
            assert_eq!(numbers(weight.tensor()), expected);
            let rows = Tensor::<1, Int>::from_ints([2, 0], &device);
            let picked = [&expected[2 * 64..3 * 64], &expected[..64]].concat();
            assert_eq!(numbers(weight.rows(rows)), picked);
        }
    }

    #[test]
    fn words_take_the_bytes_that_they_have_bits() {
        for (bits, signed, expected) in [(Bits::Eight, true, 36), (Bits::Four, false, 24)] {
            let words = Words::new(
                vec![(4, grouped(4, 64, bits, 32, signed))],
                &Device::flex(),
                FloatDType::F32,
            );
            let offsets = words.offsets.map_or(0, |offsets| offsets.dims()[1]);
            let numbers = words.words.dims()[1] + words.scales.dims()[1] + offsets;
            // Of 64 numbers: words of four bytes, a scale and an offset for every 32.
            assert_eq!(4 * numbers, 2 * expected);
        }
    }
}
