//! A frozen weight matrix, packed once for the product and for its input gradient.
//!
//! A linear layer's weight `W` is `[out, in]` and never changes. Both products of training read it:
//! `y = x·Wᵀ` and `dx = dy·W`. A general GEMM library packs it anew at every call; here it is laid out
//! at load as the kernel wants to read it, in panels of a few columns, and kept as small as the file
//! kept it: the kernel expands one panel at a time into the first-level cache, where every row of the
//! batch then uses it. Expansion gives exactly the f32 numbers that the file stands for.

use half::f16;
use half::slice::HalfFloatSliceExt;

use crate::gemm::{self, Side};
use crate::simd::panel_width;

/// Numbers of a weight matrix as a file holds them, in rows of `[out, in]`.
pub enum Values {
    /// f32.
    F32(Vec<f32>),
    /// bfloat16, as bits.
    Bf16(Vec<u16>),
    /// IEEE half precision, as bits.
    F16(Vec<u16>),
    /// Whole numbers in groups along a row: `scale · q + offset`, rounded after each operation.
    Grouped(Grouped),
}

/// Quantised numbers: eight bits each, with one scale and one offset for every group of a row.
pub struct Grouped {
    /// `[out, in]`.
    pub quants: Vec<i8>,
    /// Numbers of a row that share a scale: 16 or 32.
    pub group: usize,
    /// `[out, in / group]`.
    pub scales: Vec<f32>,
    /// `[out, in / group]`, or empty where all are 0.
    pub offsets: Vec<f32>,
}

/// Numbers of a group at least; every split of a row is a multiple of [`SPLIT`].
const GROUPS: [usize; 2] = [16, 32];

/// Rows of a panel are split at multiples of this.
pub(crate) const SPLIT: usize = 32;

/// A packed `[out, in]` matrix that never changes.
pub struct Frozen {
    out: usize,
    inner: usize,
    panel: usize,
    storage: Storage,
}

enum Storage {
    /// `[out / panel][in][panel]`
    F32(Vec<f32>),
    /// As above, with how to widen one.
    Half(Vec<u16>, Widen),
    Grouped(PackedGroups),
}

type Widen = fn(&[u16], &mut [f32]);

/// Quants twice, so that each product reads its panels in order; scales once.
struct PackedGroups {
    /// `[out / panel][in][panel]`
    product: Vec<i8>,
    /// `[in / panel][out][panel]`
    gradient: Vec<i8>,
    group: usize,
    /// `[out / panel][in / group][panel]`
    scales: Vec<f32>,
    /// As `scales`, or empty.
    offsets: Vec<f32>,
}

impl Frozen {
    /// Packs a matrix.
    ///
    /// # Panics
    /// When the numbers are not `out · inner`, or a group does not divide a row.
    pub fn new(values: Values, out: usize, inner: usize) -> Self {
        let panel = panel_width();
        let storage = match values {
            Values::F32(values) => Storage::F32(by_columns(&values, out, inner, panel)),
            Values::Bf16(bits) => Storage::Half(by_columns(&bits, out, inner, panel), widen_bf16),
            Values::F16(bits) => Storage::Half(by_columns(&bits, out, inner, panel), widen_f16),
            Values::Grouped(values) => {
                Storage::Grouped(PackedGroups::new(values, out, inner, panel))
            }
        };
        Self { out, inner, panel, storage }
    }

    /// Rows of `W`: numbers that the product gives for a row of its input.
    pub fn out(&self) -> usize {
        self.out
    }

    /// Columns of `W`: numbers of a row of the product's input.
    pub fn inner(&self) -> usize {
        self.inner
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        match &self.storage {
            Storage::F32(values) => 4 * values.len(),
            Storage::Half(values, _) => 2 * values.len(),
            Storage::Grouped(groups) => {
                let scales = groups.scales.len() + groups.offsets.len();
                groups.product.len() + groups.gradient.len() + 4 * scales
            }
        }
    }

    /// Row `row` of `W` as f32, into `to`.
    ///
    /// # Panics
    /// When there is no such row or `to` is not `inner` long.
    pub fn row(&self, row: usize, to: &mut [f32]) {
        assert!(row < self.out && to.len() == self.inner, "a row outside its matrix");
        let (panel, lane) = (row / self.panel, row % self.panel);
        let start = panel * self.inner * self.panel + lane;
        let at = |column: usize| start + column * self.panel;
        match &self.storage {
            Storage::F32(values) => {
                for (column, to) in to.iter_mut().enumerate() {
                    *to = values[at(column)];
                }
            }
            Storage::Half(bits, widen) => {
                for (column, to) in to.iter_mut().enumerate() {
                    widen(&bits[at(column)..=at(column)], std::slice::from_mut(to));
                }
            }
            Storage::Grouped(groups) => {
                for (column, to) in to.iter_mut().enumerate() {
                    let (scale, offset) = groups.of(panel, lane, column, self.inner, self.panel);
                    *to = scale * f32::from(groups.product[at(column)]) + offset;
                }
            }
        }
    }

    /// `x·Wᵀ`, all threads together.
    ///
    /// # Shapes
    /// - `x`: `[rows, in]`
    /// - returns: `[rows, out]`
    ///
    /// # Panics
    /// When `x` is shorter than `rows` rows.
    pub fn product(&self, x: &[f32], rows: usize) -> Vec<f32> {
        gemm::whole(self, Side::Product, x, rows)
    }

    /// `dy·W`, all threads together: the gradient of [`product`](Self::product)'s input.
    ///
    /// # Shapes
    /// - `dy`: `[rows, out]`
    /// - returns: `[rows, in]`
    ///
    /// # Panics
    /// When `dy` is shorter than `rows` rows.
    pub fn gradient(&self, dy: &[f32], rows: usize) -> Vec<f32> {
        gemm::whole(self, Side::Gradient, dy, rows)
    }

    /// Expands `W[panel's rows, columns]` transposed: `[columns][panel]`, a panel of the product.
    #[inline(always)]
    pub(crate) fn expand_product<const P: usize>(
        &self,
        panel: usize,
        columns: std::ops::Range<usize>,
        to: &mut [f32],
    ) {
        let start = (panel * self.inner + columns.start) * P;
        let len = columns.len() * P;
        match &self.storage {
            Storage::F32(values) => to[..len].copy_from_slice(&values[start..start + len]),
            Storage::Half(bits, widen) => widen(&bits[start..start + len], &mut to[..len]),
            Storage::Grouped(groups) => {
                groups.expand_product::<P>(panel, self.inner, columns, to);
            }
        }
    }

    /// Expands `W[rows, panel's columns]`: `[rows][panel]`, a panel of the gradient.
    ///
    /// `rows` starts at a multiple of [`SPLIT`].
    #[inline(always)]
    pub(crate) fn expand_gradient<const P: usize>(
        &self,
        panel: usize,
        rows: std::ops::Range<usize>,
        to: &mut [f32],
    ) {
        match &self.storage {
            Storage::Grouped(groups) => {
                groups.expand_gradient::<P>(panel, self.out, self.inner, rows, to);
            }
            Storage::F32(values) => self.turn::<P>(panel, rows, to, |start, block| {
                block.copy_from_slice(&values[start..start + block.len()]);
            }),
            Storage::Half(bits, widen) => self.turn::<P>(panel, rows, to, |start, block| {
                widen(&bits[start..start + block.len()], block);
            }),
        }
    }

    /// Turns blocks of `P × P` on their way: what is stored for the product serves the gradient too.
    #[inline(always)]
    fn turn<const P: usize>(
        &self,
        panel: usize,
        rows: std::ops::Range<usize>,
        to: &mut [f32],
        read: impl Fn(usize, &mut [f32]),
    ) {
        let columns = panel * P..((panel + 1) * P).min(self.inner);
        let mut block = [0.0; 32 * 32];
        for first in rows.clone().step_by(P) {
            let count = P.min(rows.end - first);
            let start = (first / P * self.inner + columns.start) * P;
            let block = &mut block[..P * P];
            read(start, &mut block[..columns.len() * P]);
            let to = &mut to[(first - rows.start) * P..][..count * P];
            transpose::<P>(block, columns.len(), to);
        }
    }

    /// Panels of the product: columns of `y`.
    pub(crate) fn product_panels(&self) -> usize {
        self.out.div_ceil(self.panel)
    }

    /// Panels of the gradient: columns of `dx`.
    pub(crate) fn gradient_panels(&self) -> usize {
        self.inner.div_ceil(self.panel)
    }
}

/// `to[row][column] = block[column][row]`; columns beyond `columns` are filled with 0.
#[inline(always)]
fn transpose<const P: usize>(block: &[f32], columns: usize, to: &mut [f32]) {
    for (row, to) in to.chunks_exact_mut(P).enumerate() {
        for (column, to) in to.iter_mut().enumerate() {
            *to = if column < columns { block[column * P + row] } else { 0.0 };
        }
    }
}

impl PackedGroups {
    fn new(values: Grouped, out: usize, inner: usize, panel: usize) -> Self {
        let Grouped { quants, group, scales, offsets } = values;
        assert!(
            GROUPS.contains(&group) && inner.is_multiple_of(group),
            "groups of {group} in rows of {inner}"
        );
        let groups = inner / group;
        let offsets =
            if offsets.iter().all(|&offset| offset == 0.0) { Vec::new() } else { offsets };
        Self {
            product: by_columns(&quants, out, inner, panel),
            gradient: by_rows(&quants, out, inner, panel),
            group,
            scales: by_columns(&scales, out, groups, panel),
            offsets: if offsets.is_empty() {
                offsets
            } else {
                by_columns(&offsets, out, groups, panel)
            },
        }
    }

    fn of(&self, panel: usize, lane: usize, column: usize, inner: usize, p: usize) -> (f32, f32) {
        let at = (panel * (inner / self.group) + column / self.group) * p + lane;
        (self.scales[at], self.offsets.get(at).copied().unwrap_or(0.0))
    }

    #[inline(always)]
    fn expand_product<const P: usize>(
        &self,
        panel: usize,
        inner: usize,
        columns: std::ops::Range<usize>,
        to: &mut [f32],
    ) {
        let first_group = columns.start / self.group;
        let scales = panel * (inner / self.group) + first_group;
        let start = (panel * inner + columns.start) * P;
        let quants = &self.product[start..start + columns.len() * P];
        let per_group = self.group * P;
        for (index, (quants, to)) in
            quants.chunks(per_group).zip(to.chunks_mut(per_group)).enumerate()
        {
            let at = (scales + index) * P;
            let scale: &[f32; P] = self.scales[at..].first_chunk().unwrap_or(&[0.0; P]);
            let (quants, _) = quants.as_chunks::<P>();
            let (to, _) = to.as_chunks_mut::<P>();
            if let Some(offset) = self.offsets.get(at..).and_then(|rest| rest.first_chunk::<P>()) {
                for (quants, to) in quants.iter().zip(to) {
                    for lane in 0..P {
                        to[lane] = scale[lane] * f32::from(quants[lane]) + offset[lane];
                    }
                }
            } else {
                for (quants, to) in quants.iter().zip(to) {
                    for lane in 0..P {
                        to[lane] = scale[lane] * f32::from(quants[lane]);
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn expand_gradient<const P: usize>(
        &self,
        panel: usize,
        out: usize,
        inner: usize,
        rows: std::ops::Range<usize>,
        to: &mut [f32],
    ) {
        let start = (panel * out + rows.start) * P;
        let quants = &self.gradient[start..start + rows.len() * P];
        let (quants, _) = quants.as_chunks::<P>();
        let (to, _) = to.as_chunks_mut::<P>();
        // A panel is as wide as a group, half as wide or twice as wide.
        let step = P.min(self.group);
        for first in (0..P).step_by(step) {
            let group = ((panel * P + first) / self.group).min(inner / self.group - 1);
            for (index, (quants, to)) in quants.iter().zip(to.iter_mut()).enumerate() {
                let row = rows.start + index;
                let at = (row / P * (inner / self.group) + group) * P + row % P;
                let scale = self.scales[at];
                let offset = self.offsets.get(at).copied().unwrap_or(0.0);
                for lane in first..first + step {
                    to[lane] = scale * f32::from(quants[lane]) + offset;
                }
            }
        }
        // Padding beyond the last column carries no offset.
        for lane in inner.saturating_sub(panel * P).min(P)..P {
            for to in to.iter_mut().take(rows.len()) {
                to[lane] = 0.0;
            }
        }
    }
}

/// `[rows, columns]` → `[rows / panel][columns][panel]`, padded with zeros.
fn by_columns<T: Copy + Default>(
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
fn by_rows<T: Copy + Default>(values: &[T], rows: usize, columns: usize, panel: usize) -> Vec<T> {
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
fn widen_bf16(bits: &[u16], to: &mut [f32]) {
    for (to, &bits) in to.iter_mut().zip(bits) {
        *to = f32::from_bits(u32::from(bits) << 16);
    }
}

fn widen_f16(bits: &[u16], to: &mut [f32]) {
    let halves: &[f16] = half::slice::HalfBitsSliceExt::reinterpret_cast(bits);
    halves.convert_to_f32_slice(&mut to[..bits.len()]);
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// A random matrix of each kind and the numbers that it stands for.
    pub(crate) fn samples(out: usize, inner: usize, seed: u64) -> Vec<(Frozen, Vec<f32>)> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let count = out * inner;
        let floats: Vec<f32> = (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
        let mut samples =
            vec![(Frozen::new(Values::F32(floats.clone()), out, inner), floats.clone())];
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
            for with_offsets in [false, true] {
                let quants: Vec<i8> = (0..count).map(|_| rng.random_range(-32..32)).collect();
                let mut per_group = |on: bool| -> Vec<f32> {
                    let some = |_| if on { rng.random_range(-0.1..0.1) } else { 0.0 };
                    (0..count / group).map(some).collect()
                };
                let (scales, offsets) = (per_group(true), per_group(with_offsets));
                let wide = (0..count)
                    .map(|i| scales[i / group] * f32::from(quants[i]) + offsets[i / group])
                    .collect();
                let values = Grouped { quants, group, scales, offsets };
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
}
