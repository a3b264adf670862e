//! Quantised matrices: whole numbers in groups that share a scale and an offset.

use super::layout::{by_columns, by_rows};
use super::quants::{Quants, bytes_run, nibbles_run};
use super::{GROUPS, Grouped};

/// Quants twice, so that each product reads its panels in order; scales once.
pub(super) struct PackedGroups {
    /// `[out / panel][in][panel]`
    pub(super) product: Quants,
    /// `[in / panel][out][panel]`
    pub(super) gradient: Quants,
    group: usize,
    /// `[out / panel][in / group][panel]`
    pub(super) scales: Vec<f32>,
    /// As `scales`, or empty.
    pub(super) offsets: Vec<f32>,
}

impl PackedGroups {
    #[cfg(test)]
    pub(super) fn group(&self) -> usize {
        self.group
    }

    #[cfg(test)]
    pub(super) fn bits(&self) -> super::Bits {
        match self.product {
            Quants::Bytes(_) => super::Bits::Eight,
            Quants::Nibbles { .. } => super::Bits::Four,
        }
    }

    pub(super) fn new(values: Grouped, out: usize, inner: usize, panel: usize) -> Self {
        let Grouped { quants, bits, group, scales, offsets } = values;
        assert!(
            GROUPS.contains(&group) && inner.is_multiple_of(group),
            "groups of {group} in rows of {inner}"
        );
        let groups = inner / group;
        let offsets =
            if offsets.iter().all(|&offset| offset == 0.0) { Vec::new() } else { offsets };
        Self {
            product: Quants::new(by_columns(&quants, out, inner, panel), bits, panel),
            gradient: Quants::new(by_rows(&quants, out, inner, panel), bits, panel),
            group,
            scales: by_columns(&scales, out, groups, panel),
            offsets: if offsets.is_empty() {
                offsets
            } else {
                by_columns(&offsets, out, groups, panel)
            },
        }
    }

    pub(super) fn of(
        &self,
        panel: usize,
        lane: usize,
        column: usize,
        inner: usize,
        p: usize,
    ) -> (f32, f32) {
        let at = (panel * (inner / self.group) + column / self.group) * p + lane;
        (self.scales[at], self.offsets.get(at).copied().unwrap_or(0.0))
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        let scales = self.scales.len() + self.offsets.len();
        self.product.bytes() + self.gradient.bytes() + 4 * scales
    }

    #[inline(always)]
    pub(super) fn expand_product<const P: usize>(
        &self,
        panel: usize,
        inner: usize,
        columns: std::ops::Range<usize>,
        to: &mut [f32],
    ) {
        let (to, _) = to[..columns.len() * P].as_chunks_mut::<P>();
        match &self.product {
            Quants::Bytes(numbers) => {
                self.scale_product(panel, inner, columns, to, |run| bytes_run(numbers, run));
            }
            Quants::Nibbles { pairs, least } => {
                let read = |run| nibbles_run(pairs, *least, run);
                self.scale_product(panel, inner, columns, to, read);
            }
        }
    }

    /// `read` gives a run of the product's quants: those of one column.
    #[inline(always)]
    fn scale_product<const P: usize>(
        &self,
        panel: usize,
        inner: usize,
        columns: std::ops::Range<usize>,
        to: &mut [[f32; P]],
        read: impl Fn(usize) -> [i8; P],
    ) {
        let scales = panel * (inner / self.group) + columns.start / self.group;
        let mut run = panel * inner + columns.start;
        for (index, to) in to.chunks_mut(self.group).enumerate() {
            let at = (scales + index) * P;
            let scale: &[f32; P] = self.scales[at..].first_chunk().unwrap_or(&[0.0; P]);
            if let Some(offset) = self.offsets.get(at..).and_then(|rest| rest.first_chunk::<P>()) {
                for to in to {
                    let quants = read(run);
                    run += 1;
                    for lane in 0..P {
                        to[lane] = scale[lane] * f32::from(quants[lane]) + offset[lane];
                    }
                }
            } else {
                for to in to {
                    let quants = read(run);
                    run += 1;
                    for lane in 0..P {
                        to[lane] = scale[lane] * f32::from(quants[lane]);
                    }
                }
            }
        }
    }

    #[inline(always)]
    pub(super) fn expand_gradient<const P: usize>(
        &self,
        panel: usize,
        out: usize,
        inner: usize,
        rows: std::ops::Range<usize>,
        to: &mut [f32],
    ) {
        let (to, _) = to[..rows.len() * P].as_chunks_mut::<P>();
        let start = panel * out + rows.start;
        match &self.gradient {
            Quants::Bytes(numbers) => {
                let read = |index| bytes_run(numbers, start + index);
                self.scale_gradient(panel, inner, rows.start, to, read);
            }
            Quants::Nibbles { pairs, least } => {
                let read = |index| nibbles_run(pairs, *least, start + index);
                self.scale_gradient(panel, inner, rows.start, to, read);
            }
        }
    }

    /// `read` gives a run of the gradient's quants: those of one row, counted from `first_row`.
    #[inline(always)]
    fn scale_gradient<const P: usize>(
        &self,
        panel: usize,
        inner: usize,
        first_row: usize,
        to: &mut [[f32; P]],
        read: impl Fn(usize) -> [i8; P],
    ) {
        // A panel is as wide as a group, half as wide or twice as wide.
        let step = P.min(self.group);
        for first in (0..P).step_by(step) {
            let group = ((panel * P + first) / self.group).min(inner / self.group - 1);
            for (index, to) in to.iter_mut().enumerate() {
                let quants = read(index);
                let row = first_row + index;
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
            for to in to.iter_mut() {
                to[lane] = 0.0;
            }
        }
    }
}
