//! The backward pass: the gradient with respect to the input, layer by layer from the last.
//!
//! The same rule as in the forward pass: a member writes what is its own until the next barrier.

use std::ops::Range;
use std::sync::PoisonError;

use super::buffers::{Own, Work};
use super::forward::{LayerView, Pass, Place, forward_layer, own_columns, row};
use super::{Gradient, Layer, Memory, Order, Plan, Stack, Tape};
use crate::gemm::{self, Job, Side, Term};
use crate::profile::Stage;
use crate::rotary::Rotary;
use crate::shared::Shared;
use crate::simd::dispatch;
use crate::sums::add;
use crate::team::{Member, Team};

/// Groups of sequences whose gradients of shared rows are summed apart, whatever the team's size, so
/// that the sum does not depend on it.
const CHUNKS: usize = 16;

/// Buffers of a backward pass.
#[derive(Clone, Copy)]
pub(super) struct Gradients<'a> {
    /// `[rows, hidden]`
    pub d_normed: Shared<'a>,
    /// `[rows, hidden]`
    pub d_mid: Shared<'a>,
    /// `[answers, hidden]`
    pub d_answers: Shared<'a>,
    /// `[rows, intermediate]`
    pub d_up: Shared<'a>,
    /// `[rows, intermediate]`, or empty
    pub d_gate: Shared<'a>,
    /// `[rows, heads · head_dim]`
    pub d_context: Shared<'a>,
    /// `[rows, heads · head_dim]`
    pub dq: Shared<'a>,
    /// `[rows, kv_heads · head_dim]`
    pub dk: Shared<'a>,
    /// `[rows, kv_heads · head_dim]`
    pub dv: Shared<'a>,
    /// `[units][kv_heads][2][learned + prefix][head_dim]`
    pub shared_rows: Shared<'a>,
    /// Of what is learned in front of all rows: `[learned, past_width]`
    pub d_past: Shared<'a>,
    /// Of what attention adds (sandwich), or through the feed-forward network's norm (parallel):
    /// `[rows, hidden]`, or empty
    pub aside: Shared<'a>,
}

/// What a backward pass goes through: the forward pass's views and its own buffers.
pub(super) struct Backward<'a> {
    pub stack: &'a Stack,
    pub plan: &'a Plan,
    pub rotaries: &'a [Rotary],
    pub units: &'a [Range<usize>],
    pub gradients: Gradients<'a>,
}

/// A layer and its gradients.
#[derive(Clone, Copy)]
pub(super) struct Step<'a> {
    pub layer: &'a Layer,
    /// Its number.
    pub index: usize,
    pub last: bool,
    pub x: Shared<'a>,
    pub tape: LayerView<'a>,
    /// `[out, hidden]`
    pub dy: Shared<'a>,
    /// `[rows, hidden]`
    pub dx: Shared<'a>,
}

/// Sequences in groups: the shared rows' own sequence, then the examples in [`CHUNKS`] parts.
pub(super) fn units(plan: &Plan) -> Vec<Range<usize>> {
    let first = usize::from(plan.prefix > 0);
    let examples = plan.sequences.len() - first;
    let parts = CHUNKS.min(examples);
    let part = |i: usize| first + examples * i / parts..first + examples * (i + 1) / parts;
    (first > 0).then_some(0..1).into_iter().chain((0..parts).map(part)).collect()
}

impl Stack {
    pub(super) fn run_backward(&self, dy: &[f32], tape: &Tape) -> Gradient {
        let (shape, plan, hidden) = (&self.shape, &tape.plan, self.shape.hidden);
        let (rows, heads) = (plan.rows(), shape.heads());
        assert_eq!(dy.len(), plan.answers() * hidden, "answer rows of the batch");
        let mut past = vec![0.0; plan.learned() * self.past_width()];
        let mut result = vec![0.0; rows * hidden];
        let Some(work) = &tape.work else { return Gradient { rows: result, past } };
        let mut work = work.lock().unwrap_or_else(PoisonError::into_inner);
        let rotaries = self.rotaries(plan);
        let units = units(plan);
        let gate = if shape.gated { rows * shape.intermediate } else { 0 };
        let sizes = [
            rows * hidden,
            rows * hidden,
            plan.answers() * hidden,
            rows * shape.intermediate,
            gate,
            rows * heads.query_width(),
            rows * heads.query_width(),
            rows * heads.key_width(),
            rows * heads.key_width(),
            units.len() * heads.kv_heads * 2 * (plan.learned() + plan.prefix) * heads.head_dim,
            if shape.order.sets_aside() { rows * hidden } else { 0 },
            rows * hidden,
            rows * hidden,
        ];
        let mut buffers = sizes.map(|len| self.pool.take(len));
        buffers[11][..dy.len()].copy_from_slice(dy);
        {
            let [
                d_normed,
                d_mid,
                d_answers,
                d_up,
                d_gate,
                d_context,
                dq,
                dk,
                dv,
                shared_rows,
                aside,
                a,
                b,
            ] = buffers.each_mut().map(|buffer| Shared::new(buffer));
            let gradients = Gradients {
                d_normed,
                d_mid,
                d_answers,
                d_up,
                d_gate,
                d_context,
                dq,
                dk,
                dv,
                shared_rows,
                d_past: Shared::new(&mut past),
                aside,
            };
            let backward =
                Backward { stack: self, plan, rotaries: &rotaries, units: &units, gradients };
            backward.run(&mut work, tape.memory, [a, b], Shared::new(&mut result));
        }
        self.pool.give(buffers);
        Gradient { rows: result, past }
    }
}

impl Backward<'_> {
    fn run(&self, work: &mut Work, memory: Memory, dys: [Shared<'_>; 2], result: Shared<'_>) {
        let inputs: Vec<Shared<'_>> = work.inputs.iter_mut().map(|b| Shared::new(b)).collect();
        let tapes: Vec<LayerView<'_>> = work.layers.iter_mut().map(LayerView::new).collect();
        let pass = Pass {
            stack: self.stack,
            plan: self.plan,
            rotaries: self.rotaries,
            normed: Shared::new(&mut work.normed),
            normed_answers: Shared::new(&mut work.normed_answers),
            context: Shared::new(&mut work.context),
            inner: Shared::new(&mut work.inner),
        };
        let last = Shared::new(&mut work.last);
        let own = &work.own;
        let layers = &self.stack.layers;
        Team::global().run(|member| {
            let mut own = own[member.index()].lock().unwrap_or_else(PoisonError::into_inner);
            self.last_norm(member, last, dys[0]);
            for (index, layer) in layers.iter().enumerate().rev() {
                let is_last = index + 1 == layers.len();
                let turn = (layers.len() - 1 - index) % 2;
                let step = Step {
                    layer,
                    index,
                    last: is_last,
                    x: inputs[index],
                    tape: tapes[index % tapes.len()],
                    dy: dys[turn],
                    dx: if index == 0 { result } else { dys[1 - turn] },
                };
                // The forward pass left the last layer's tape as it is.
                if memory == Memory::Recompute && !is_last {
                    let y = self.gradients.d_normed;
                    let Step { x, tape, .. } = step;
                    let place = Place { layer, index, last: false, x, y, tape, result: false };
                    forward_layer(member, &pass, &place, &mut own);
                }
                self.layer(member, &step, &mut own);
            }
        });
    }
}

/// `Σ dy·W` into a whole buffer, this member's columns.
fn gradient<'a>(terms: &'a [Term<'a>], rows: usize, columns: usize, to: Shared<'a>) -> Job<'a> {
    Job {
        side: Side::Gradient,
        terms,
        rows,
        to,
        stride: columns,
        column: 0,
        accumulate: false,
        bias: None,
    }
}

impl Backward<'_> {
    /// Through the norm behind the last layer, in place of `dy`.
    fn last_norm(&self, member: &Member<'_>, last: Shared<'_>, dy: Shared<'_>) {
        let Some(norm) = &self.stack.last_norm else { return };
        let hidden = self.stack.shape.hidden;
        dispatch(|| {
            for index in member.share(self.plan.answers()) {
                // SAFETY: this member's rows.
                unsafe {
                    let dy = dy.part(index * hidden, hidden);
                    let given = self.gradients.d_answers.part(index * hidden, hidden);
                    given.copy_from_slice(dy);
                    dy.fill(0.0);
                    norm.add_gradient(row(last, index, hidden), given, dy);
                }
            }
        });
        member.end(Stage::Norms);
    }

    /// One layer, all members together.
    fn layer(&self, member: &Member<'_>, step: &Step<'_>, own: &mut Own) {
        let Self { stack, plan, gradients: g, .. } = *self;
        let Step { layer, last, x, tape, dy, dx, .. } = *step;
        let hidden = stack.shape.hidden;
        let (order, pre) = (stack.shape.order, stack.shape.order.is_before());
        let rows = plan.rows();
        let out = if last { plan.answers() } else { rows };
        // SAFETY (all of this function): see the head of this file.
        // The gradient that reaches the feed-forward network, in `d_mid` for a moment if a norm stands
        // behind it.
        let behind = match (&layer.sandwich, pre) {
            (Some([_, norm]), _) => Some((norm, tape.fed)),
            (None, false) => Some((&layer.feed_forward_norm, tape.sum)),
            (None, true) => None,
        };
        let d_sum = if behind.is_some() { g.d_mid } else { dy };
        if let Some((norm, x)) = behind {
            dispatch(|| unsafe {
                for index in member.share(out) {
                    let to = g.d_mid.part(index * hidden, hidden);
                    to.fill(0.0);
                    norm.add_gradient(row(x, index, hidden), row(dy, index, hidden), to);
                }
            });
            member.end(Stage::Norms);
        }

        let network = &layer.feed_forward;
        unsafe {
            let terms = [Term { weight: &network.down().weight, x: d_sum.read() }];
            let job = gradient(&terms, out, stack.shape.intermediate, g.d_up);
            gemm::run(member, &[job], &mut own.panel);
            self.activation(member, &tape, layer, out);
        }
        member.end(Stage::Down);

        unsafe {
            let up = Term { weight: &network.up().weight, x: g.d_up.read() };
            let gate = network.gate().map(|gate| Term { weight: &gate.weight, x: g.d_gate.read() });
            let both = [up, gate.unwrap_or(up)];
            let terms = &both[..1 + usize::from(gate.is_some())];
            gemm::run(member, &[gradient(terms, out, hidden, g.d_normed)], &mut own.panel);
        }
        member.end(Stage::Up);

        dispatch(|| unsafe {
            for index in member.share(out) {
                let d_normed = g.d_normed.part(index * hidden, hidden);
                let d_mid = g.d_mid.part(index * hidden, hidden);
                let mid = row(tape.mid, index, hidden);
                if order == Order::Parallel {
                    d_mid.copy_from_slice(row(dy, index, hidden));
                    let x = row(x, if last { plan.answers[index] } else { index }, hidden);
                    let aside = g.aside.part(index * hidden, hidden);
                    aside.fill(0.0);
                    layer.feed_forward_norm.add_gradient(x, d_normed, aside);
                } else if pre {
                    d_mid.copy_from_slice(row(dy, index, hidden));
                    layer.feed_forward_norm.add_gradient(mid, d_normed, d_mid);
                    if let Some([norm, _]) = &layer.sandwich {
                        let aside = g.aside.part(index * hidden, hidden);
                        aside.fill(0.0);
                        norm.add_gradient(row(tape.attended, index, hidden), d_mid, aside);
                    }
                } else {
                    add(d_normed, d_mid);
                    d_mid.fill(0.0);
                    layer.attention_norm.add_gradient(mid, d_normed, d_mid);
                }
            }
        });
        member.end(Stage::Norms);

        unsafe {
            let d_attended = if order == Order::Sandwich { g.aside } else { g.d_mid };
            let terms = [Term { weight: &layer.output.weight, x: d_attended.read() }];
            let job = gradient(&terms, out, layer.output.weight.inner(), g.d_context);
            gemm::run(member, &[job], &mut own.panel);
        }
        member.end(Stage::Outputs);
        self.attention(member, step, own);

        unsafe {
            let (query, key, value) = (&layer.query.weight, &layer.key.weight, &layer.value.weight);
            let terms = [
                Term { weight: key, x: g.dk.read() },
                Term { weight: value, x: g.dv.read() },
                Term { weight: query, x: g.dq.read() },
            ];
            if last {
                let jobs = [
                    gradient(&terms[..2], rows, hidden, g.d_normed),
                    gradient(&terms[2..], out, hidden, g.d_answers),
                ];
                gemm::run(member, &jobs, &mut own.panel);
            } else {
                gemm::run(member, &[gradient(&terms, rows, hidden, g.d_normed)], &mut own.panel);
            }
        }
        member.end(Stage::Projections);

        dispatch(|| unsafe {
            for index in member.share(rows) {
                let to = dx.part(index * hidden, hidden);
                let d_normed = g.d_normed.part(index * hidden, hidden);
                let residual = if last { plan.answer_at[index] } else { Some(index) };
                match residual {
                    Some(at) => {
                        to.copy_from_slice(row(g.d_mid, at, hidden));
                        if order == Order::Parallel {
                            add(to, row(g.aside, at, hidden));
                        }
                    }
                    None => to.fill(0.0),
                }
                if let (true, Some(at)) = (last, residual) {
                    add(d_normed, row(g.d_answers, at, hidden));
                }
                if pre {
                    layer.attention_norm.add_gradient(row(x, index, hidden), d_normed, to);
                } else {
                    add(to, d_normed);
                }
            }
        });
        member.end(Stage::Norms);
    }

    /// Through the activation, on this member's own columns: `d_up` in place, and `d_gate`.
    ///
    /// # Safety
    /// This member wrote those columns of `d_up` since the last barrier.
    unsafe fn activation(
        &self,
        member: &Member<'_>,
        tape: &LayerView<'_>,
        layer: &Layer,
        rows: usize,
    ) {
        let width = self.stack.shape.intermediate;
        let columns = own_columns(member, width);
        let activation = layer.feed_forward.activation();
        dispatch(|| {
            for index in 0..rows {
                let start = index * width + columns.start;
                let range = start..start + columns.len();
                // SAFETY: own columns; nobody writes to the tape now.
                unsafe {
                    let d_up = self.gradients.d_up.part(start, columns.len());
                    let up = &tape.up.read()[range.clone()];
                    if self.stack.shape.gated {
                        let gate = &tape.gate.read()[range];
                        let d_gate = self.gradients.d_gate.part(start, columns.len());
                        activation.gated_gradient(up, gate, d_up, d_gate);
                    } else {
                        activation.gradient(up, d_up);
                    }
                }
            }
        });
    }
}
