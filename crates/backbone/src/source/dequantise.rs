//! Stored numbers to f32, or to the packed form in which they stay as small as they are stored, on
//! all cores.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use kernels::frozen::{Bits, Grouped, Values};
use rayon::prelude::*;

use super::Dtype;
use super::blocks::{self, Block};

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

/// The rows of a tensor as they are stored, `[rows, row_len]`.
///
/// Row `i` is stored row `row_of(i)`.
pub(crate) fn values(
    dtype: Dtype,
    bytes: &[u8],
    row_len: usize,
    row_of: impl Fn(usize) -> usize,
) -> Values {
    let row_bytes = dtype.byte_len(row_len).unwrap_or(0).max(1);
    let count = bytes.len() / row_bytes;
    let rows = (0..count).map(|row| &bytes[row_of(row) * row_bytes..][..row_bytes]);
    let bits = dtype.bits().unwrap_or(Bits::Eight);
    match dtype {
        Dtype::F32 => Values::F32(numbers(rows, f32::from_le_bytes)),
        Dtype::F16 => Values::F16(numbers(rows, u16::from_le_bytes)),
        Dtype::BF16 => Values::Bf16(numbers(rows, u16::from_le_bytes)),
        Dtype::Q4_0 => grouped(rows, count * row_len, bits, blocks::q4_0),
        Dtype::Q4_1 => grouped(rows, count * row_len, bits, blocks::q4_1),
        Dtype::Q5_0 => grouped(rows, count * row_len, bits, blocks::q5_0),
        Dtype::Q5_1 => grouped(rows, count * row_len, bits, blocks::q5_1),
        Dtype::Q8_0 => grouped(rows, count * row_len, bits, blocks::q8_0),
        Dtype::Q4_K => grouped(rows, count * row_len, bits, blocks::q4_k),
        Dtype::Q5_K => grouped(rows, count * row_len, bits, blocks::q5_k),
        Dtype::Q6_K => grouped(rows, count * row_len, bits, blocks::q6_k),
    }
}

fn numbers<'a, T, const BYTES: usize>(
    rows: impl Iterator<Item = &'a [u8]>,
    read: impl Fn([u8; BYTES]) -> T,
) -> Vec<T> {
    rows.flat_map(|row| row.as_chunks::<BYTES>().0).map(|&bytes| read(bytes)).collect()
}

fn grouped<'a, const BYTES: usize, const LEN: usize, const GROUPS: usize>(
    rows: impl Iterator<Item = &'a [u8]>,
    count: usize,
    bits: Bits,
    take_apart: impl Fn(&[u8; BYTES], &mut Block<LEN, GROUPS>),
) -> Values {
    let group = LEN / GROUPS;
    let mut values = Grouped {
        quants: Vec::with_capacity(count),
        bits,
        group,
        scales: Vec::with_capacity(count / group),
        offsets: Vec::with_capacity(count / group),
    };
    let mut block = Block::ZERO;
    for bytes in rows.flat_map(|row| row.as_chunks::<BYTES>().0) {
        take_apart(bytes, &mut block);
        values.quants.extend_from_slice(&block.quants);
        values.scales.extend_from_slice(&block.scales);
        values.offsets.extend_from_slice(&block.offsets);
    }
    Values::Grouped(values)
}

/// Converts a run of whole blocks, on this thread.
fn run(dtype: Dtype, bytes: &[u8], out: &mut [f32]) {
    match dtype {
        Dtype::F32 => {
            for (bytes, out) in bytes.as_chunks::<4>().0.iter().zip(out) {
                *out = f32::from_le_bytes(*bytes);
            }
        }
        Dtype::F16 => half_precision(bytes, out),
        Dtype::BF16 => {
            for (bytes, out) in bytes.as_chunks::<2>().0.iter().zip(out) {
                *out = bf16::from_le_bytes(*bytes).to_f32();
            }
        }
        Dtype::Q4_0 => scaled(bytes, out, blocks::q4_0),
        Dtype::Q4_1 => shifted(bytes, out, blocks::q4_1),
        Dtype::Q5_0 => scaled(bytes, out, blocks::q5_0),
        Dtype::Q5_1 => shifted(bytes, out, blocks::q5_1),
        Dtype::Q8_0 => scaled(bytes, out, blocks::q8_0),
        Dtype::Q4_K => shifted(bytes, out, blocks::q4_k),
        Dtype::Q5_K => shifted(bytes, out, blocks::q5_k),
        Dtype::Q6_K => scaled(bytes, out, blocks::q6_k),
    }
}

/// `scale · q` for each number of each block.
fn scaled<const BYTES: usize, const LEN: usize, const GROUPS: usize>(
    bytes: &[u8],
    out: &mut [f32],
    take_apart: impl Fn(&[u8; BYTES], &mut Block<LEN, GROUPS>),
) {
    each_group(bytes, out, take_apart, |q, scale, _| scale * q);
}

/// `scale · q + offset` for each number of each block.
fn shifted<const BYTES: usize, const LEN: usize, const GROUPS: usize>(
    bytes: &[u8],
    out: &mut [f32],
    take_apart: impl Fn(&[u8; BYTES], &mut Block<LEN, GROUPS>),
) {
    each_group(bytes, out, take_apart, |q, scale, offset| scale * q + offset);
}

fn each_group<const BYTES: usize, const LEN: usize, const GROUPS: usize>(
    bytes: &[u8],
    out: &mut [f32],
    take_apart: impl Fn(&[u8; BYTES], &mut Block<LEN, GROUPS>),
    value: impl Fn(f32, f32, f32) -> f32,
) {
    let mut block = Block::ZERO;
    let group = LEN / GROUPS;
    for (bytes, out) in bytes.as_chunks::<BYTES>().0.iter().zip(out.as_chunks_mut::<LEN>().0) {
        take_apart(bytes, &mut block);
        for (index, (out, quants)) in
            out.chunks_exact_mut(group).zip(block.quants.chunks_exact(group)).enumerate()
        {
            let (scale, offset) = (block.scales[index], block.offsets[index]);
            for (out, &quant) in out.iter_mut().zip(quants) {
                *out = value(f32::from(quant), scale, offset);
            }
        }
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
