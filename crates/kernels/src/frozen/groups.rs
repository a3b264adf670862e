//! Quantised matrices: whole numbers in groups that share a scale and an offset.

use super::layout::{by_columns, by_rows};
use super::{GROUPS, Grouped};

/// Quants twice, so that each product reads its panels in order; scales once.
pub(super) struct PackedGroups {
    /// `[out / panel][in][panel]`
    pub(super) product: Vec<i8>,
    /// `[in / panel][out][panel]`
    pub(super) gradient: Vec<i8>,
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

    pub(super) fn new(values: Grouped, out: usize, inner: usize, panel: usize) -> Self {
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

    #[inline(always)]
    pub(super) fn expand_product<const P: usize>(
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
    pub(super) fn expand_gradient<const P: usize>(
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
