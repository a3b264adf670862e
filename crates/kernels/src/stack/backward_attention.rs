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
        let (dim, prefix) = (heads.head_dim, plan.prefix);
        let share = 2 * prefix * dim;
        let tape = step.tape;
        for task in member.share(self.units.len() * heads.kv_heads) {
            let (unit, kv_head) = (task / heads.kv_heads, task % heads.kv_heads);
            // SAFETY: a (unit, key head) is one member's, and so are its sums.
            let shared_rows = unsafe { g.shared_rows.part(task * share, share) };
            shared_rows.fill(0.0);
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
                    shared_rows: if sequence.prefix > 0 { &mut *shared_rows } else { &mut [] },
                    scratch: &mut own.attention,
                }
                .run();
            }
        }
        member.end(Stage::Attention);
        if prefix == 0 {
            return;
        }
        for task in member.share(heads.kv_heads * prefix) {
            let (kv_head, position) = (task / prefix, task % prefix);
            let start = position * heads.key_width() + kv_head * dim;
            // SAFETY: a shared row of a key head is one member's; the sums are complete.
            unsafe {
                let sums = g.shared_rows.read();
                let [mut d_key, mut d_turned, mut d_value] = [(); 3].map(|()| vec![0.0; dim]);
                for unit in 1..self.units.len() {
                    let part = (unit * heads.kv_heads + kv_head) * share + position * dim;
                    add(&mut d_turned, &sums[part..][..dim]);
                    add(&mut d_value, &sums[part + prefix * dim..][..dim]);
                }
                if let Some(rotary) = rotary {
                    rotary.turn_back(plan.past() + position, &mut d_turned);
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
