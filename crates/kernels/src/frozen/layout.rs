//! Orders in which a matrix is stored, and numbers of half the width.

use half::f16;
use half::slice::HalfFloatSliceExt;

/// `[rows, columns]` → `[rows / panel][columns][panel]`, padded with zeros.
pub(super) fn by_columns<T: Copy + Default>(
    values: &[T],
    rows: usize,
    columns: usize,
    panel: usize,
) -> Vec<T> {
    assert_eq!(values.len(), rows * columns, "a matrix of {rows} × {columns}");
    let mut packed = vec![T::default(); rows.div_ceil(panel) * panel * columns];
    if columns == 0 {
        return packed;
    }
    for (row, values) in values.chunks_exact(columns).enumerate() {
        let start = row / panel * panel * columns + row % panel;
        for (to, &value) in packed[start..].iter_mut().step_by(panel).zip(values) {
            *to = value;
        }
    }
    packed
}

/// `[rows, columns]` → `[columns / panel][rows][panel]`, padded with zeros.
pub(super) fn by_rows<T: Copy + Default>(
    values: &[T],
    rows: usize,
    columns: usize,
    panel: usize,
) -> Vec<T> {
    let mut packed = vec![T::default(); columns.div_ceil(panel) * panel * rows];
    if columns == 0 {
        return packed;
    }
    for (row, values) in values.chunks_exact(columns).enumerate() {
        for (index, values) in values.chunks(panel).enumerate() {
            let start = (index * rows + row) * panel;
            packed[start..start + values.len()].copy_from_slice(values);
        }
    }
    packed
}

#[inline(always)]
pub(super) fn widen_bf16(bits: &[u16], to: &mut [f32]) {
    for (to, &bits) in to.iter_mut().zip(bits) {
        *to = f32::from_bits(u32::from(bits) << 16);
    }
}

pub(super) fn widen_f16(bits: &[u16], to: &mut [f32]) {
    let halves: &[f16] = half::slice::HalfBitsSliceExt::reinterpret_cast(bits);
    halves.convert_to_f32_slice(&mut to[..bits.len()]);
}
