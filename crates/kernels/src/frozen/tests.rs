//! What comes out of a packed matrix is what went in.

use half::f16;

use super::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A random matrix of each kind and the numbers that it stands for.
pub(crate) fn samples(out: usize, inner: usize, seed: u64) -> Vec<(Frozen, Vec<f32>)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let count = out * inner;
    let floats: Vec<f32> = (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
    let mut samples = vec![(Frozen::new(Values::F32(floats.clone()), out, inner), floats.clone())];
    let bits: Vec<u16> = floats.iter().map(|x| half::bf16::from_f32(*x).to_bits()).collect();
    let wide = bits.iter().map(|&b| half::bf16::from_bits(b).to_f32()).collect();
    samples.push((Frozen::new(Values::Bf16(bits), out, inner), wide));
    let bits: Vec<u16> = floats.iter().map(|x| f16::from_f32(*x).to_bits()).collect();
    let wide = bits.iter().map(|&b| f16::from_bits(b).to_f32()).collect();
    samples.push((Frozen::new(Values::F16(bits), out, inner), wide));
    for group in GROUPS {
        if !inner.is_multiple_of(group) {
            continue;
        }
        for (with_offsets, bits, range) in [
            (false, Bits::Eight, -128..128),
            (true, Bits::Eight, -32..32),
            (false, Bits::Four, -8..8),
            (true, Bits::Four, 0..16),
        ] {
            let quant = |_| rng.random_range::<i16, _>(range.clone()) as i8;
            let quants: Vec<i8> = (0..count).map(quant).collect();
            let mut per_group = |on: bool| -> Vec<f32> {
                let some = |_| if on { rng.random_range(-0.1..0.1) } else { 0.0 };
                (0..count / group).map(some).collect()
            };
            let (scales, offsets) = (per_group(true), per_group(with_offsets));
            let wide = (0..count)
                .map(|i| scales[i / group] * f32::from(quants[i]) + offsets[i / group])
                .collect();
            let values = Grouped { quants, bits, group, scales, offsets };
            samples.push((Frozen::new(Values::Grouped(values), out, inner), wide));
        }
    }
    samples
}

#[test]
fn rows_are_the_numbers_that_went_in() {
    for (out, inner) in [(1, 1), (3, 32), (16, 48), (33, 64), (70, 31), (5, 96)] {
        for (frozen, values) in samples(out, inner, 1) {
            let mut row = vec![0.0; inner];
            for index in 0..out {
                frozen.row(index, &mut row);
                assert_eq!(row, values[index * inner..][..inner]);
            }
        }
    }
}

#[test]
fn the_size_is_known_beforehand() {
    for (out, inner) in [(3, 32), (16, 48), (33, 64), (5, 96)] {
        for (frozen, _) in samples(out, inner, 1) {
            let kind = match &frozen.storage {
                Storage::F32(_) => Kind::Full,
                Storage::Half(..) => Kind::Half,
                Storage::Grouped(groups) => {
                    let offsets = !groups.offsets.is_empty();
                    Kind::Grouped { bits: groups.bits(), group: groups.group(), offsets }
                }
            };
            assert_eq!(frozen.bytes(), Values::packed_bytes(kind, out, inner));
        }
    }
}

#[test]
fn four_bits_take_half_of_what_eight_take() {
    let bytes =
        |bits| Values::packed_bytes(Kind::Grouped { bits, group: 32, offsets: false }, 64, 96);
    let scales = 4 * 64 * 96 / 32;
    assert_eq!(bytes(Bits::Eight) - scales, 2 * 64 * 96);
    assert_eq!(bytes(Bits::Four) - scales, 64 * 96);
}

#[test]
#[should_panic(expected = "16 in four bits")]
fn a_number_that_does_not_fit_is_refused() {
    let (quants, scales) = (vec![16; 32], vec![1.0]);
    let values = Grouped { quants, bits: Bits::Four, group: 32, scales, offsets: Vec::new() };
    Frozen::new(Values::Grouped(values), 1, 32);
}
