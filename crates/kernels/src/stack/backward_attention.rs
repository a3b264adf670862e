//! The backward pass through attention, every (group of sequences, key head) one member's.

use super::backward::{Backward, Step};
use super::buffers::Own;
use super::forward::queries;
use crate::attention::{self, Inputs, through};
use crate::profile::Stage;
use crate::sums::add;
use crate::team::Member;

impl Backward<'_> {
    /// Fills the gradients of queries, keys and values.
    pub(super) fn attention(&self, member: &Member<'_>, step: &Step<'_>, own: &mut Own) {
        let Self { stack, plan, gradients: g, .. } = *self;
        let heads = stack.shape.heads_of(step.layer);
        let rotary = step.layer.rope.map(|rope| &self.rotaries[rope]);
        let (dim, learned) = (heads.head_dim, plan.learned());
        let common = learned + plan.prefix;
        let share = 2 * common * dim;
        let tape = step.tape;
        for task in member.share(self.units.len() * heads.kv_heads) {
            let (unit, kv_head) = (task / heads.kv_heads, task % heads.kv_heads);
            // SAFETY: a (unit, key head) is one member's, and so are its sums.
            let shared_rows = unsafe { g.shared_rows.part(task * share, share) };
            shared_rows.fill(0.0);
            let (shared_keys, shared_values) = shared_rows.split_at_mut(common * dim);
            for sequence in self.units[unit].clone() {
                let queries = queries(plan, sequence, step.last);
                let sequence = &plan.sequences[sequence];
                attention::Backward {
                    heads,
                    rotary,
                    sequence,
                    queries,
                    kv_head,
                    // SAFETY: complete since an earlier barrier.
                    inputs: unsafe {
                        Inputs { q: tape.q.read(), k: tape.k.read(), v: tape.v.read() }
                    },
                    // SAFETY: complete since the last barrier.
                    d_context: unsafe { g.d_context.read() },
                    dq: g.dq,
                    dk: g.dk,
                    dv: g.dv,
                    shared_rows: [&mut *shared_keys, &mut *shared_values],
                    scratch: &mut own.attention,
                }
                .run();
            }
        }
        member.end(Stage::Attention);
        if common == 0 {
            return;
        }
        for task in member.share(heads.kv_heads * common) {
            let (kv_head, row) = (task / common, task % common);
            // What the shared rows' own sequence says of themselves is in `dk` and `dv` already.
            let first = usize::from(row >= learned);
            // SAFETY: a shared row of a key head is one member's; the sums are complete.
            unsafe {
                let sums = g.shared_rows.read();
                let [mut d_key, mut d_turned, mut d_value] = [(); 3].map(|()| vec![0.0; dim]);
                for unit in first..self.units.len() {
                    let part = (unit * heads.kv_heads + kv_head) * share + row * dim;
                    add(&mut d_turned, &sums[part..][..dim]);
                    add(&mut d_value, &sums[part + common * dim..][..dim]);
                }
                if row < learned {
                    let width = heads.key_width();
                    let start = (row * stack.layers.len() + step.index) * 2 * width;
                    let start = start + kv_head * dim;
                    g.d_past.part(start, dim).copy_from_slice(&d_turned);
                    g.d_past.part(start + width, dim).copy_from_slice(&d_value);
                    continue;
                }
                let start = (row - learned) * heads.key_width() + kv_head * dim;
                if let Some(rotary) = rotary {
                    rotary.turn_back(plan.past() + row - learned, &mut d_turned);
                }
                let key = &tape.k.read()[plan.past() * heads.key_width() + start..][..dim];
                through(heads.norms.map(|[_, norm]| norm), key, &d_turned, &mut d_key);
                add(g.dk.part(start, dim), &d_key);
                add(g.dv.part(start, dim), &d_value);
            }
        }
        member.end(Stage::Attention);
    }
}
