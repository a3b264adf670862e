//! Weights rounded to fewer bits while they are loaded, as GGUF's blocks would hold them.
//!
//! Eight bits as Q8_0 (a scale for every 32 numbers of a row), four as Q4_1 (a scale and a least value).
//! The arithmetic is that of the `gguf` package, to the bit.

use std::collections::HashSet;
use std::path::Path;

use half::f16;
use kernels::frozen::{Grouped, Values};

use super::{Dtype, SourceError, Weights, resolve};
use crate::transformer::{Description, Rounding};

/// Numbers that share a scale.
const GROUP: usize = 32;

/// Another source's weights, its matrices rounded.
pub(crate) struct Rounded<'a> {
    inner: &'a dyn Weights,
    /// Names of the matrices.
    names: HashSet<String>,
    dtype: Dtype,
}

impl<'a> Rounded<'a> {
    /// Rounds the matrices that a description multiplies with or looks up in, where their rows are
    /// whole groups; `None` where nothing is to be rounded.
    pub fn new(
        inner: &'a dyn Weights,
        description: &Description,
        rounding: Rounding,
    ) -> Option<Self> {
        let dtype = match rounding {
            Rounding::None => return None,
            Rounding::EightBits => Dtype::Q8_0,
            Rounding::FourBits => Dtype::Q4_1,
        };
        let names = description.matrices().filter_map(|matrix| resolve(inner, &matrix.weight));
        let whole = |name: &String| {
            let shape = inner.shape(name).unwrap_or_default();
            matches!(shape[..], [_, columns] if columns.is_multiple_of(GROUP))
        };
        Some(Self { inner, names: names.filter(whole).collect(), dtype })
    }

    fn grouped(&self, name: &str) -> Result<Grouped, SourceError> {
        let values = self.inner.read_vec(name)?;
        let mut grouped = Grouped {
            quants: Vec::with_capacity(values.len()),
            group: GROUP,
            scales: Vec::with_capacity(values.len() / GROUP),
            offsets: Vec::new(),
        };
        for group in values.as_chunks::<GROUP>().0 {
            match self.dtype {
                Dtype::Q4_1 => four_bits(group, &mut grouped),
                _ => eight_bits(group, &mut grouped),
            }
        }
        Ok(grouped)
    }
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
        let Grouped { quants, scales, offsets, .. } = self.grouped(name)?;
        SourceError::check_length(self.path(), name, quants.len(), out.len())?;
        let groups = out.as_chunks_mut::<GROUP>().0.iter_mut().zip(quants.as_chunks::<GROUP>().0);
        for (index, (out, quants)) in groups.enumerate() {
            let offset = offsets.get(index).copied().unwrap_or(0.0);
            for (out, quant) in out.iter_mut().zip(quants) {
                *out = scales[index] * f32::from(*quant) + offset;
            }
        }
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

    fn rounded(values: &[f32], round: impl Fn(&[f32; GROUP], &mut Grouped)) -> Vec<f32> {
        let (mut all, quants) = (Vec::new(), Vec::new());
        let mut to = Grouped { quants, group: GROUP, scales: Vec::new(), offsets: Vec::new() };
        for (index, group) in values.as_chunks::<GROUP>().0.iter().enumerate() {
            round(group, &mut to);
            let offset = to.offsets.get(index).copied().unwrap_or(0.0);
            let quants = &to.quants[index * GROUP..];
            all.extend(quants.iter().map(|&quant| to.scales[index] * f32::from(quant) + offset));
        }
        all
    }

    #[test]
    fn rounding_is_that_of_the_gguf_package_to_the_bit() {
        let values = golden("F32.f32");
        assert!(values.len() >= 256);
        assert_eq!(rounded(&values, eight_bits), golden("F32.Q8_0.f32"));
        assert_eq!(rounded(&values, four_bits), golden("F32.Q4_1.f32"));
    }

    #[test]
    fn a_group_of_one_number_is_that_number() {
        for value in [0.0, 0.5, -3.0] {
            let group = [value; GROUP];
            assert_eq!(rounded(&group, eight_bits).len(), GROUP);
            assert!(rounded(&group, eight_bits).iter().all(|x| (x - value).abs() < 2e-3));
            assert_eq!(rounded(&group, four_bits), group);
        }
    }
}
