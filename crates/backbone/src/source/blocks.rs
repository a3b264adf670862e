//! ggml's quantised blocks taken apart: whole numbers, and what scales them.
//!
//! The layouts are those of `ggml-quants.h` in llama.cpp. Every function takes exactly one block and
//! fills exactly one [`Block`], so that the compiler knows all lengths and vectorises the inner
//! loops. A number is `scale · q + offset`, each operation rounded as ggml rounds it, so results are
//! bit-equal to ggml's.

use half::f16;

/// `LEN` numbers in `GROUPS` groups that share a scale and an offset.
pub(super) struct Block<const LEN: usize, const GROUPS: usize> {
    pub quants: [i8; LEN],
    pub scales: [f32; GROUPS],
    /// All 0 where the type has none.
    pub offsets: [f32; GROUPS],
}

impl<const LEN: usize, const GROUPS: usize> Block<LEN, GROUPS> {
    pub const ZERO: Self = Self { quants: [0; LEN], scales: [0.0; GROUPS], offsets: [0.0; GROUPS] };
}

/// A block of 32 with one scale.
pub(super) type Small = Block<32, 1>;

/// The f16 at `at`.
fn scale(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// Sixteen bytes of nibbles to 32 numbers: the low nibbles are numbers 0 to 15, the high ones 16 to
/// 31.
fn nibbles(bytes: &[u8], quants: &mut [i8; 32], value: impl Fn(u8, usize) -> i8) {
    let (low, high) = quants.split_at_mut(16);
    for (i, ((low, high), &byte)) in low.iter_mut().zip(high).zip(bytes).enumerate() {
        *low = value(byte & 0x0f, i);
        *high = value(byte >> 4, i + 16);
    }
}

/// `d · (q - 8)`
pub(super) fn q4_0(block: &[u8; 18], out: &mut Small) {
    out.scales = [scale(block, 0)];
    nibbles(&block[2..], &mut out.quants, |quant, _| quant as i8 - 8);
}

/// `d · q + m`
pub(super) fn q4_1(block: &[u8; 20], out: &mut Small) {
    (out.scales, out.offsets) = ([scale(block, 0)], [scale(block, 2)]);
    nibbles(&block[4..], &mut out.quants, |quant, _| quant as i8);
}

/// `d · (q - 16)`; the fifth bit of number `i` is bit `i` of four bytes before the nibbles.
pub(super) fn q5_0(block: &[u8; 22], out: &mut Small) {
    out.scales = [scale(block, 0)];
    five_bits(&block[2..], &mut out.quants, 16);
}

/// `d · q + m`, five bits as in [`q5_0`].
pub(super) fn q5_1(block: &[u8; 24], out: &mut Small) {
    (out.scales, out.offsets) = ([scale(block, 0)], [scale(block, 2)]);
    five_bits(&block[4..], &mut out.quants, 0);
}

/// Four bytes of fifth bits and sixteen of nibbles to 32 numbers less `shift`.
fn five_bits(block: &[u8], quants: &mut [i8; 32], shift: i8) {
    let fifth = u32::from_le_bytes([block[0], block[1], block[2], block[3]]);
    let with_fifth = |quant: u8, i: usize| (quant | (((fifth >> i) & 1) << 4) as u8) as i8 - shift;
    nibbles(&block[4..], quants, with_fifth);
}

/// `d · q`, eight signed bits.
pub(super) fn q8_0(block: &[u8; 34], out: &mut Small) {
    out.scales = [scale(block, 0)];
    for (out, &quant) in out.quants.iter_mut().zip(&block[2..]) {
        *out = quant as i8;
    }
}

/// Scale and minimum of each of the eight groups of a Q4_K or Q5_K block, six bits each.
///
/// Groups 0 to 3 take the low six bits of bytes 0 to 3 (scale) and 4 to 7 (minimum); groups 4 to 7
/// take a nibble of bytes 8 to 11 and the two high bits that the others leave free.
fn scales_and_minima(packed: &[u8]) -> [(f32, f32); 8] {
    let mut groups = [(0.0, 0.0); 8];
    for i in 0..4 {
        let (scale, minimum, nibbles) = (packed[i], packed[i + 4], packed[i + 8]);
        groups[i] = (f32::from(scale & 0x3f), f32::from(minimum & 0x3f));
        groups[i + 4] = (
            f32::from((nibbles & 0x0f) | ((scale >> 6) << 4)),
            f32::from((nibbles >> 4) | ((minimum >> 6) << 4)),
        );
    }
    groups
}

/// Scales and offsets of a Q4_K or Q5_K block: `d · scale` and `-(dmin · minimum)`.
fn scale_groups(block: &[u8], out: &mut Block<256, 8>) {
    let (d, dmin) = (scale(block, 0), scale(block, 2));
    for (group, (factor, minimum)) in scales_and_minima(&block[4..16]).into_iter().enumerate() {
        out.scales[group] = d * factor;
        out.offsets[group] = -(dmin * minimum);
    }
}

/// Eight groups of 32: `d · scale · q - dmin · minimum`. Groups 2k and 2k + 1 are the low and the
/// high nibbles of the same 32 bytes.
pub(super) fn q4_k(block: &[u8; 144], out: &mut Block<256, 8>) {
    scale_groups(block, out);
    let (groups, _) = out.quants.as_chunks_mut::<32>();
    for (group, quants) in groups.iter_mut().enumerate() {
        let shift = 4 * (group % 2);
        for (out, &quant) in quants.iter_mut().zip(&block[16 + 32 * (group / 2)..]) {
            *out = ((quant >> shift) & 0x0f) as i8;
        }
    }
}

/// As [`q4_k`] with a fifth bit: for group `g`, bit `g` of 32 bytes shared by all groups.
pub(super) fn q5_k(block: &[u8; 176], out: &mut Block<256, 8>) {
    scale_groups(block, out);
    let fifth = &block[16..48];
    let (groups, _) = out.quants.as_chunks_mut::<32>();
    for (group, quants) in groups.iter_mut().enumerate() {
        let shift = 4 * (group % 2);
        let low = &block[48 + 32 * (group / 2)..];
        for ((out, &quant), &fifth) in quants.iter_mut().zip(low).zip(fifth) {
            *out = (((quant >> shift) & 0x0f) | (((fifth >> group) & 1) << 4)) as i8;
        }
    }
}

/// Sixteen groups of 16: `d · scale · (q - 32)`. Of each half of 128 numbers, run `r` of 32 takes
/// its low bits from a nibble of the half's 64 bytes and its two high bits from bits `2r` of the
/// half's 32 bytes.
pub(super) fn q6_k(block: &[u8; 210], out: &mut Block<256, 16>) {
    let d = scale(block, 208);
    for (group, scale) in out.scales.iter_mut().enumerate() {
        *scale = d * f32::from(block[192 + group] as i8);
    }
    let (runs, _) = out.quants.as_chunks_mut::<32>();
    for (index, quants) in runs.iter_mut().enumerate() {
        let (half, run) = (index / 4, index % 4);
        let low = &block[64 * half + 32 * (run % 2)..];
        let high = &block[128 + 32 * half..];
        let (low_shift, high_shift) = (4 * (run / 2), 2 * run);
        for ((out, &low), &high) in quants.iter_mut().zip(low).zip(high) {
            let bits = ((low >> low_shift) & 0x0f) | (((high >> high_shift) & 3) << 4);
            *out = bits as i8 - 32;
        }
    }
}
