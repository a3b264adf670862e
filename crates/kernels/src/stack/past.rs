//! Rows that stand in front of every batch and never change: their keys and values, computed once.

use std::sync::PoisonError;

use super::{Memory, Plan, Stack};

/// Keys and values of some first rows in every layer of a causal stack.
pub struct Past {
    rows: usize,
    /// Of each layer, `[rows, kv_heads · head_dim]`, before rotation.
    keys: Vec<Vec<f32>>,
    /// As `keys`.
    values: Vec<Vec<f32>>,
}

impl std::fmt::Debug for Past {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Past").field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl Past {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
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
        let mut past = Past { rows, keys: Vec::new(), values: Vec::new() };
        if let Some(work) = &tape.work {
            let work = work.lock().unwrap_or_else(PoisonError::into_inner);
            for layer in &work.layers {
                past.keys.push(layer.k.clone());
                past.values.push(layer.v.clone());
            }
        }
        past
    }
}
