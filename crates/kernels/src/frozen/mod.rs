//! A frozen weight matrix, packed once for the product and for its input gradient.
//!
//! A linear layer's weight `W` is `[out, in]` and never changes. Both products of training read it:
//! `y = x·Wᵀ` and `dx = dy·W`. A general GEMM library packs it anew at every call; here it is laid out
//! at load as the kernel wants to read it, in panels of a few columns, and kept as small as the file
//! kept it: the kernel expands one panel at a time into the first-level cache, where every row of the
//! batch then uses it. Expansion gives exactly the f32 numbers that the file stands for.

mod groups;
mod layout;
mod quants;
#[cfg(test)]
pub(crate) mod tests;

use groups::PackedGroups;
use layout::{by_columns, widen_bf16, widen_f16};
pub use quants::Bits;

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

/// Quantised numbers, with one scale and one offset for every group of a row.
pub struct Grouped {
    /// `[out, in]`.
    pub quants: Vec<i8>,
    /// How many bits each of them is held in.
    pub bits: Bits,
    /// Numbers of a row that share a scale: 16 or 32.
    pub group: usize,
    /// `[out, in / group]`.
    pub scales: Vec<f32>,
    /// `[out, in / group]`, or empty where all are 0.
    pub offsets: Vec<f32>,
}

impl Grouped {
    /// The numbers that they stand for, `[out, in]`.
    pub fn widened(&self) -> Vec<f32> {
        let number = |(index, &quant): (usize, &i8)| {
            let group = index / self.group;
            let offset = self.offsets.get(group).copied().unwrap_or(0.0);
            self.scales[group] * f32::from(quant) + offset
        };
        self.quants.iter().enumerate().map(number).collect()
    }
}

/// Numbers of a group at least; every split of a row is a multiple of [`SPLIT`].
const GROUPS: [usize; 2] = [16, 32];

/// Rows of a panel are split at multiples of this.
pub(crate) const SPLIT: usize = 32;

impl Values {
    /// The same numbers as f32.
    pub fn widened(self) -> Vec<f32> {
        let wide = |bits: Vec<u16>, widen: Widen| {
            let mut wide = vec![0.0; bits.len()];
            widen(&bits, &mut wide);
            wide
        };
        match self {
            Self::F32(values) => values,
            Self::Bf16(bits) => wide(bits, widen_bf16),
            Self::F16(bits) => wide(bits, widen_f16),
            Self::Grouped(grouped) => grouped.widened(),
        }
    }

    /// Bytes that a matrix of `[out, in]` takes when packed.
    pub fn packed_bytes(kind: Kind, out: usize, inner: usize) -> usize {
        let panel = panel_width();
        let rows = out.next_multiple_of(panel);
        match kind {
            Kind::Full => 4 * rows * inner,
            Kind::Half => 2 * rows * inner,
            Kind::Grouped { bits, group, offsets } => {
                let scales = rows * (inner / group) * (1 + usize::from(offsets));
                bits.bytes(rows * inner + inner.next_multiple_of(panel) * out) + 4 * scales
            }
        }
    }
}

/// How a matrix is stored, without its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Four bytes a number.
    Full,
    /// Two bytes a number.
    Half,
    /// A byte or half a byte a number, and scales.
    Grouped {
        /// Which of them.
        bits: Bits,
        /// Numbers of a row that share a scale.
        group: usize,
        /// Whether there are offsets too.
        offsets: bool,
    },
}

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
            Storage::Grouped(groups) => groups.bytes(),
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
                    let quant = groups.product.at(at(column), self.panel);
                    *to = scale * f32::from(quant) + offset;
                }
            }
        }
    }

    /// `x·Wᵀ + bias`, all threads together.
    ///
    /// # Shapes
    /// - `x`: `[rows, in]`
    /// - `bias`: `[out]`
    /// - returns: `[rows, out]`
    ///
    /// # Panics
    /// When `x` is shorter than `rows` rows, or the bias than a row of the result.
    pub fn product(&self, x: &[f32], rows: usize, bias: Option<&[f32]>) -> Vec<f32> {
        gemm::whole(self, Side::Product, x, rows, bias)
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
        gemm::whole(self, Side::Gradient, dy, rows, None)
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
