//! Weights rounded to fewer bits while they are loaded, as GGUF's blocks would hold them.
//!
//! Eight bits as Q8_0 (a scale for every 32 numbers of a row), four as Q4_1 (a scale and a least value).
//! The arithmetic is that of the `gguf` package, to the bit.

use std::collections::HashSet;
use std::path::Path;

use half::f16;
use kernels::frozen::{Bits, Grouped, Values};

use super::{Dtype, SourceError, Weights, resolve};
use crate::transformer::{Description, Rounding, Stored};

/// Numbers that share a scale.
const GROUP: usize = 32;

/// Another source's weights, its matrices rounded.
pub(crate) struct Rounded<'a> {
    inner: &'a dyn Weights,
    /// Names of the matrices.
    names: HashSet<String>,
    dtype: Dtype,
    rounding: Rounding,
}

impl<'a> Rounded<'a> {
    /// Rounds the matrices that a description multiplies with or looks up in, where their rows are
    /// whole groups and not in as few bits already; `None` where nothing is to be rounded.
    ///
    /// One whose columns are its rows, as GPT-2 has them, is left for [`round`].
    pub fn new(
        inner: &'a dyn Weights,
        description: &Description,
        rounding: Rounding,
    ) -> Option<Self> {
        let dtype = rounding.dtype()?;
        let rows = description
            .matrices()
            .filter(|matrix| !matches!(matrix.stored, Stored::Columns { .. }));
        let names = rows.filter_map(|matrix| resolve(inner, &matrix.weight));
        let rounded = |name: &String| {
            let shape = inner.shape(name).unwrap_or_default();
            let whole = matches!(shape[..], [_, columns] if columns.is_multiple_of(GROUP));
            whole && !few_enough(inner.dtype(name).and_then(Dtype::bits), rounding)
        };
        Some(Self { inner, names: names.filter(rounded).collect(), dtype, rounding })
    }

    fn grouped(&self, name: &str) -> Result<Grouped, SourceError> {
        Ok(grouped(&self.inner.read_vec(name)?, self.rounding))
    }
}

impl Rounding {
    /// The type whose arithmetic it has.
    pub(crate) const fn dtype(self) -> Option<Dtype> {
        match self {
            Self::None => None,
            Self::EightBits => Some(Dtype::Q8_0),
            Self::FourBits => Some(Dtype::Q4_1),
        }
    }
}

/// Whether numbers of so many bits need no rounding.
fn few_enough(bits: Option<Bits>, rounding: Rounding) -> bool {
    match rounding {
        Rounding::None => true,
        Rounding::EightBits => bits.is_some(),
        Rounding::FourBits => bits == Some(Bits::Four),
    }
}

/// Rounds a matrix of rows of `inner` numbers, if they are whole groups and not in as few bits already.
pub(crate) fn round(values: Values, inner: usize, rounding: Rounding) -> Values {
    let bits = match &values {
        Values::Grouped(grouped) => Some(grouped.bits),
        _ => None,
    };
    match few_enough(bits, rounding) || !inner.is_multiple_of(GROUP) {
        true => values,
        false => Values::Grouped(grouped(&values.widened(), rounding)),
    }
}

fn grouped(values: &[f32], rounding: Rounding) -> Grouped {
    let four = rounding == Rounding::FourBits;
    let mut grouped = Grouped {
        quants: Vec::with_capacity(values.len()),
        bits: if four { Bits::Four } else { Bits::Eight },
        group: GROUP,
        scales: Vec::with_capacity(values.len() / GROUP),
        offsets: Vec::new(),
    };
    for group in values.as_chunks::<GROUP>().0 {
        match four {
            true => four_bits(group, &mut grouped),
            false => eight_bits(group, &mut grouped),
        }
    }
    grouped
}

/// Q8_0: `scale · q`, the largest number at ±127.
fn eight_bits(group: &[f32; GROUP], to: &mut Grouped) {
    let scale = group.iter().fold(0.0f32, |most, x| most.max(x.abs())) / 127.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    to.quants.extend(group.iter().map(|x| (x * inverse).round() as i8));
    to.scales.push(f16::from_f32(scale).to_f32());
}

/// Q4_1: `scale · q + least`, q from 0 to 15.
fn four_bits(group: &[f32; GROUP], to: &mut Grouped) {
    let least = group.iter().fold(f32::INFINITY, |least, &x| least.min(x));
    let most = group.iter().fold(f32::NEG_INFINITY, |most, &x| most.max(x));
    let scale = (most - least) / 15.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    let quant = |x: &f32| ((x - least) * inverse + 0.5).trunc().clamp(0.0, 15.0) as i8;
    to.quants.extend(group.iter().map(quant));
    to.scales.push(f16::from_f32(scale).to_f32());
    to.offsets.push(f16::from_f32(least).to_f32());
}

impl Weights for Rounded<'_> {
    fn names(&self) -> Vec<String> {
        self.inner.names()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.inner.shape(name)
    }

    fn dtype(&self, name: &str) -> Option<Dtype> {
        let dtype = self.inner.dtype(name)?;
        Some(if self.names.contains(name) { self.dtype } else { dtype })
    }

    fn read_f32(&self, name: &str, out: &mut [f32]) -> Result<(), SourceError> {
        if !self.names.contains(name) {
            return self.inner.read_f32(name, out);
        }
        let values = self.grouped(name)?.widened();
        SourceError::check_length(self.path(), name, values.len(), out.len())?;
        out.copy_from_slice(&values);
        Ok(())
    }

    fn read_values(&self, name: &str) -> Result<Values, SourceError> {
        match self.names.contains(name) {
            true => Ok(Values::Grouped(self.grouped(name)?)),
            false => self.inner.read_values(name),
        }
    }

    fn path(&self) -> &Path {
        self.inner.path()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden(name: &str) -> Vec<f32> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gguf");
        let bytes = std::fs::read(folder.join(name)).unwrap();
        bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    }

    fn rounded(values: &[f32], rounding: Rounding) -> Vec<f32> {
        grouped(values, rounding).widened()
    }

    #[test]
    fn rounding_is_that_of_the_gguf_package_to_the_bit() {
        let values = golden("F32.f32");
        assert!(values.len() >= 256);
        assert_eq!(rounded(&values, Rounding::EightBits), golden("F32.Q8_0.f32"));
        assert_eq!(rounded(&values, Rounding::FourBits), golden("F32.Q4_1.f32"));
    }

    #[test]
    fn a_group_of_one_number_is_that_number() {
        for value in [0.0, 0.5, -3.0] {
            let group = [value; GROUP];
            let eight = rounded(&group, Rounding::EightBits);
            assert!(eight.len() == GROUP && eight.iter().all(|x| (x - value).abs() < 2e-3));
            assert_eq!(rounded(&group, Rounding::FourBits), group);
        }
    }

    #[test]
    fn what_is_in_as_few_bits_already_stays_as_it_is() {
        let four = || Values::Grouped(grouped(&[0.3; GROUP], Rounding::FourBits));
        let bits = |values: Values| match values {
            Values::Grouped(grouped) => Some(grouped.bits),
            _ => None,
        };
        for (values, rounding, expected) in [
            (four(), Rounding::EightBits, Some(Bits::Four)),
            (four(), Rounding::FourBits, Some(Bits::Four)),
            (Values::F32(vec![0.3; GROUP]), Rounding::EightBits, Some(Bits::Eight)),
            (Values::F32(vec![0.3; GROUP]), Rounding::None, None),
        ] {
            assert_eq!(bits(round(values, GROUP, rounding)), expected, "{rounding:?}");
        }
        // Rows that are no whole groups cannot be rounded.
        assert_eq!(bits(round(Values::F32(vec![0.3; 36]), 36, Rounding::FourBits)), None);
    }
}
