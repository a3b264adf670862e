//! Keys and values that stand in front of every batch: those of rows that never change, computed once,
//! or learned ones.

use std::sync::PoisonError;

use super::{Memory, Plan, Stack};

/// Keys and values of some first rows in every layer.
pub struct Past {
    rows: usize,
    /// Of each layer, `[rows, kv_heads · head_dim]`: before head norms and rotation, or as they are used if
    /// they are learned.
    keys: Vec<Vec<f32>>,
    /// As `keys`.
    values: Vec<Vec<f32>>,
    /// Whether no row stands behind them: they are taken as they are and take a gradient.
    learned: bool,
}

impl std::fmt::Debug for Past {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { rows, learned, .. } = self;
        f.debug_struct("Past").field("rows", rows).field("learned", learned).finish_non_exhaustive()
    }
}

impl Past {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether they are learned.
    pub fn is_learned(&self) -> bool {
        self.learned
    }

    pub(super) fn keys(&self, layer: usize) -> &[f32] {
        &self.keys[layer]
    }

    pub(super) fn values(&self, layer: usize) -> &[f32] {
        &self.values[layer]
    }
}

impl Stack {
    /// Runs rows through the layers, for batches that all begin with them.
    ///
    /// # Shapes
    /// - `x`: `[rows, hidden]`
    ///
    /// # Panics
    /// When there is no row, or the stack is not causal: what follows would change them.
    pub fn past(&self, x: &[f32]) -> Past {
        assert!(self.shape.causal, "rows that see what follows them");
        let rows = x.len() / self.shape.hidden;
        let plan = Plan::new(None, 0, &[rows], &[(0, rows.saturating_sub(1))]);
        let (_, tape) = self.forward_taped(x, &plan.expect("at least one row"), Memory::Tape);
        let mut past = Past { rows, keys: Vec::new(), values: Vec::new(), learned: false };
        if let Some(work) = &tape.work {
            let work = work.lock().unwrap_or_else(PoisonError::into_inner);
            for layer in &work.layers {
                past.keys.push(layer.k.clone());
                past.values.push(layer.v.clone());
            }
        }
        past
    }

    /// Keys and values that are learned (Li & Liang 2021, arXiv:2101.00190): every position may see them,
    /// neither a norm nor a rotation touches them, and positions are counted on behind them.
    ///
    /// # Shapes
    /// - `x`: `[rows, past_width]`, of each row the first layer's key, its value, the second layer's key, …
    ///
    /// # Panics
    /// When `x` is no number of whole rows.
    pub fn learned_past(&self, x: &[f32]) -> Past {
        let (width, all) = (self.shape.heads().key_width(), self.past_width());
        assert!(x.len().is_multiple_of(all), "whole rows");
        let part = |index: usize| -> Vec<f32> {
            x.chunks(all).flat_map(|row| &row[index * width..][..width]).copied().collect()
        };
        Past {
            rows: x.len() / all,
            keys: (0..self.layers.len()).map(|layer| part(2 * layer)).collect(),
            values: (0..self.layers.len()).map(|layer| part(2 * layer + 1)).collect(),
            learned: true,
        }
    }

    /// Numbers of one row of a learned past: keys and values of all layers.
    pub fn past_width(&self) -> usize {
        2 * self.layers.len() * self.shape.heads().key_width()
    }
}
