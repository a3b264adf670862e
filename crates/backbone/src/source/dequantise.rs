//! Stored numbers to f32, on all cores.
//!
//! The block layouts are those of `ggml-quants.h` in llama.cpp. Every block function takes exactly
//! one block and fills exactly one array, so that the compiler knows all lengths and vectorises the
//! inner loops; the arithmetic is ggml's, operation for operation, so results are bit-equal to it.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use rayon::prelude::*;

use super::Dtype;

/// Numbers that one task of the thread pool converts at least: enough to hide its scheduling.
const TASK_LEN: usize = 1 << 15;

/// Converts the rows of a tensor.
///
/// Row `i` of `out` is made of stored row `row_of(i)`. `out` is a whole number of rows of `row_len`
/// numbers and `bytes` holds as many stored rows; both are the caller's to check.
pub(crate) fn rows(
    dtype: Dtype,
    bytes: &[u8],
    row_len: usize,
    out: &mut [f32],
    row_of: impl Fn(usize) -> usize + Sync,
) {
    let Some(row_bytes) = dtype.byte_len(row_len).filter(|&length| length > 0) else {
        return;
    };
    debug_assert_eq!(bytes.len() / row_bytes, out.len() / row_len);
    let rows_per_task = (TASK_LEN / row_len).max(1);
    out.par_chunks_mut(rows_per_task * row_len).enumerate().for_each(|(task, chunk)| {
        for (offset, row) in chunk.chunks_exact_mut(row_len).enumerate() {
            let stored = row_of(task * rows_per_task + offset) * row_bytes;
            run(dtype, &bytes[stored..stored + row_bytes], row);
        }
    });
}

/// Converts a run of whole blocks, on this thread.
fn run(dtype: Dtype, bytes: &[u8], out: &mut [f32]) {
    match dtype {
        Dtype::F32 => blocks(bytes, out, |block: &[u8; 4], out: &mut [f32; 1]| {
            out[0] = f32::from_le_bytes(*block);
        }),
        Dtype::F16 => half_precision(bytes, out),
        Dtype::BF16 => blocks(bytes, out, |block: &[u8; 2], out: &mut [f32; 1]| {
            out[0] = bf16::from_le_bytes(*block).to_f32();
        }),
        Dtype::Q4_0 => blocks(bytes, out, q4_0),
        Dtype::Q4_1 => blocks(bytes, out, q4_1),
        Dtype::Q5_0 => blocks(bytes, out, q5_0),
        Dtype::Q5_1 => blocks(bytes, out, q5_1),
        Dtype::Q8_0 => blocks(bytes, out, q8_0),
        Dtype::Q4_K => blocks(bytes, out, q4_k),
        Dtype::Q5_K => blocks(bytes, out, q5_k),
        Dtype::Q6_K => blocks(bytes, out, q6_k),
    }
}

/// Applies a block function to each block of `BYTES` bytes and `LEN` numbers.
fn blocks<const BYTES: usize, const LEN: usize>(
    bytes: &[u8],
    out: &mut [f32],
    convert: impl Fn(&[u8; BYTES], &mut [f32; LEN]),
) {
    let (blocks, _) = bytes.as_chunks::<BYTES>();
    let (outs, _) = out.as_chunks_mut::<LEN>();
    for (block, out) in blocks.iter().zip(outs) {
        convert(block, out);
    }
}

/// f16 in runs of 64, which `half` converts with the processor's own instruction where it has one.
fn half_precision(bytes: &[u8], out: &mut [f32]) {
    let mut halves = [f16::ZERO; 64];
    for (bytes, out) in bytes.chunks(128).zip(out.chunks_mut(64)) {
        let (pairs, _) = bytes.as_chunks::<2>();
        for (half, pair) in halves.iter_mut().zip(pairs) {
            *half = f16::from_le_bytes(*pair);
        }
        halves[..out.len()].convert_to_f32_slice(out);
    }
}

/// The f16 at `at`.
fn scale(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// `d · (q - 8)`; the low nibbles are numbers 0 to 15 of the block, the high ones 16 to 31.
fn q4_0(block: &[u8; 18], out: &mut [f32; 32]) {
    let d = scale(block, 0);
    let (low, high) = out.split_at_mut(16);
    for ((low, high), &quants) in low.iter_mut().zip(high).zip(&block[2..]) {
        *low = d * f32::from((quants & 0x0f) as i8 - 8);
        *high = d * f32::from((quants >> 4) as i8 - 8);
    }
}

/// `d · q + m`.
fn q4_1(block: &[u8; 20], out: &mut [f32; 32]) {
    let (d, m) = (scale(block, 0), scale(block, 2));
    let (low, high) = out.split_at_mut(16);
    for ((low, high), &quants) in low.iter_mut().zip(high).zip(&block[4..]) {
        *low = d * f32::from(quants & 0x0f) + m;
        *high = d * f32::from(quants >> 4) + m;
    }
}

/// `d · (q - 16)`; the fifth bit of number `i` is bit `i` of four bytes before the nibbles.
fn q5_0(block: &[u8; 22], out: &mut [f32; 32]) {
    let d = scale(block, 0);
    five_bits(&block[2..], out, |quant| d * f32::from(quant as i8 - 16));
}

/// `d · q + m`, five bits as in [`q5_0`].
fn q5_1(block: &[u8; 24], out: &mut [f32; 32]) {
    let (d, m) = (scale(block, 0), scale(block, 2));
    five_bits(&block[4..], out, |quant| d * f32::from(quant) + m);
}

/// Four bytes of fifth bits and sixteen of nibbles to 32 numbers.
fn five_bits(block: &[u8], out: &mut [f32; 32], value: impl Fn(u8) -> f32) {
    let fifth = u32::from_le_bytes([block[0], block[1], block[2], block[3]]);
    let (low, high) = out.split_at_mut(16);
    for (i, ((low, high), &quants)) in low.iter_mut().zip(high).zip(&block[4..]).enumerate() {
        let low_bit = ((fifth >> i) & 1) as u8;
        let high_bit = ((fifth >> (i + 16)) & 1) as u8;
        *low = value((quants & 0x0f) | (low_bit << 4));
        *high = value((quants >> 4) | (high_bit << 4));
    }
}

/// `d · q`, eight signed bits.
fn q8_0(block: &[u8; 34], out: &mut [f32; 32]) {
    let d = scale(block, 0);
    for (out, &quant) in out.iter_mut().zip(&block[2..]) {
        *out = d * f32::from(quant as i8);
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

/// Eight groups of 32: `d · scale · q - dmin · minimum`. Groups 2k and 2k + 1 are the low and the
/// high nibbles of the same 32 bytes.
fn q4_k(block: &[u8; 144], out: &mut [f32; 256]) {
    let (d, dmin) = (scale(block, 0), scale(block, 2));
    let groups = scales_and_minima(&block[4..16]);
    let (outs, _) = out.as_chunks_mut::<32>();
    for (group, out) in outs.iter_mut().enumerate() {
        let (factor, minimum) = (d * groups[group].0, dmin * groups[group].1);
        let shift = 4 * (group % 2);
        let quants = &block[16 + 32 * (group / 2)..][..32];
        for (out, &quant) in out.iter_mut().zip(quants) {
            *out = factor * f32::from((quant >> shift) & 0x0f) - minimum;
        }
    }
}

/// As [`q4_k`] with a fifth bit: for group `g`, bit `g` of 32 bytes shared by all groups.
fn q5_k(block: &[u8; 176], out: &mut [f32; 256]) {
    let (d, dmin) = (scale(block, 0), scale(block, 2));
    let groups = scales_and_minima(&block[4..16]);
    let fifth = &block[16..48];
    let (outs, _) = out.as_chunks_mut::<32>();
    for (group, out) in outs.iter_mut().enumerate() {
        let (factor, minimum) = (d * groups[group].0, dmin * groups[group].1);
        let shift = 4 * (group % 2);
        let quants = &block[48 + 32 * (group / 2)..][..32];
        for ((out, &quant), &fifth) in out.iter_mut().zip(quants).zip(fifth) {
            let bits = ((quant >> shift) & 0x0f) | (((fifth >> group) & 1) << 4);
            *out = factor * f32::from(bits) - minimum;
        }
    }
}

/// Sixteen groups of 16: `d · scale · (q - 32)`. Of each half of 128 numbers, run `r` of 32 takes
/// its low bits from a nibble of the half's 64 bytes and its two high bits from bits `2r` of the
/// half's 32 bytes.
fn q6_k(block: &[u8; 210], out: &mut [f32; 256]) {
    let d = scale(block, 208);
    let (outs, _) = out.as_chunks_mut::<32>();
    for (index, out) in outs.iter_mut().enumerate() {
        let (half, run) = (index / 4, index % 4);
        let low = &block[64 * half + 32 * (run % 2)..][..32];
        let high = &block[128 + 32 * half..][..32];
        let (low_shift, high_shift) = (4 * (run / 2), 2 * run);
        let factors = [0, 1].map(|group| d * f32::from(block[192 + 2 * index + group] as i8));
        for (i, ((out, &low), &high)) in out.iter_mut().zip(low).zip(high).enumerate() {
            let bits = ((low >> low_shift) & 0x0f) | (((high >> high_shift) & 3) << 4);
            *out = factors[i / 16] * f32::from(bits as i8 - 32);
        }
    }
}
