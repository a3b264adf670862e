//! The forward pass, stage by stage.
//!
//! Within a stage a member writes its own rows, its own columns or its own heads; what it reads was
//! written before the last barrier, or by itself. Every `unsafe` below rests on that.

use std::ops::Range;
use std::sync::PoisonError;

use super::buffers::{LayerTape, Own, Work};
use super::{Layer, Linear, Order, Plan, Stack};
use crate::activation::Activation;
use crate::attention::{self, Inputs, Queries};
use crate::gemm::{self, Job, Side, Term};
use crate::profile::Stage;
use crate::rotary::Rotary;
use crate::shared::Shared;
use crate::simd::{dispatch, panel_width};
use crate::sums::add;
use crate::team::{Member, Team};

/// A layer's tape as all members see it.
#[derive(Clone, Copy)]
pub(super) struct LayerView<'a> {
    pub q: Shared<'a>,
    pub k: Shared<'a>,
    pub v: Shared<'a>,
    pub mid: Shared<'a>,
    pub sum: Shared<'a>,
    pub up: Shared<'a>,
    pub gate: Shared<'a>,
    pub attended: Shared<'a>,
    pub fed: Shared<'a>,
}

impl<'a> LayerView<'a> {
    pub fn new(tape: &'a mut LayerTape) -> Self {
        Self {
            q: Shared::new(&mut tape.q),
            k: Shared::new(&mut tape.k),
            v: Shared::new(&mut tape.v),
            mid: Shared::new(&mut tape.mid),
            sum: Shared::new(&mut tape.sum),
            up: Shared::new(&mut tape.up),
            gate: Shared::new(&mut tape.gate),
            attended: Shared::new(&mut tape.attended),
            fed: Shared::new(&mut tape.fed),
        }
    }
}

/// What the layers of a forward pass share.
#[derive(Clone, Copy)]
pub(super) struct Pass<'a> {
    pub stack: &'a Stack,
    pub plan: &'a Plan,
    pub rotaries: &'a [Rotary],
    pub normed: Shared<'a>,
    pub normed_answers: Shared<'a>,
    pub context: Shared<'a>,
    pub inner: Shared<'a>,
}

/// One layer's place in a pass.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub layer: &'a Layer,
    /// Its number.
    pub index: usize,
    /// Whether only the answer rows leave it.
    pub last: bool,
    /// `[rows, hidden]`
    pub x: Shared<'a>,
    /// `[out, hidden]`
    pub y: Shared<'a>,
    pub tape: LayerView<'a>,
    /// Whether the result itself is wanted, or the tape alone.
    pub result: bool,
}

/// Row `row` of a buffer, to read.
///
/// # Safety
/// Nobody writes to the buffer until the next barrier.
pub(super) unsafe fn row<'a>(buffer: Shared<'a>, row: usize, width: usize) -> &'a [f32] {
    // SAFETY: passed on.
    unsafe { &buffer.read()[row * width..][..width] }
}

/// `x·Wᵀ + bias` into a whole buffer, this member's columns.
pub(super) fn product<'a>(
    linear: &'a Linear,
    term: &'a [Term<'a>; 1],
    rows: usize,
    to: Shared<'a>,
    accumulate: bool,
) -> Job<'a> {
    Job {
        side: Side::Product,
        terms: term,
        rows,
        to,
        stride: linear.weight.out(),
        column: 0,
        accumulate,
        bias: linear.bias.as_deref(),
    }
}

/// Columns of a result of `columns` that a member computes when it is the only job.
pub(super) fn own_columns(member: &Member<'_>, columns: usize) -> Range<usize> {
    let width = panel_width();
    let panels = member.share(columns.div_ceil(width));
    (panels.start * width).min(columns)..(panels.end * width).min(columns)
}

/// Queries of a sequence: its answers in the last layer, all its rows elsewhere.
pub(super) fn queries(plan: &Plan, sequence: usize, last: bool) -> Queries<'_> {
    if last {
        let answers = plan.answers_of[sequence].clone();
        Queries { first_row: answers.start, positions: &plan.answer_positions[answers] }
    } else {
        let rows = plan.sequences[sequence].rows.clone();
        Queries { first_row: rows.start, positions: &plan.positions[rows] }
    }
}

impl Stack {
    pub(super) fn run_forward(&self, x: &[f32], plan: &Plan, work: &mut Work) -> Vec<f32> {
        let hidden = self.shape.hidden;
        assert_eq!(x.len(), plan.rows() * hidden, "rows of the batch");
        let rotaries = self.rotaries(plan);
        work.inputs[0][..x.len()].copy_from_slice(x);
        let mut result = vec![0.0; plan.answers() * hidden];
        let result_view = Shared::new(&mut result);
        let inputs: Vec<Shared<'_>> = work.inputs.iter_mut().map(|b| Shared::new(b)).collect();
        let tapes: Vec<LayerView<'_>> = work.layers.iter_mut().map(LayerView::new).collect();
        let pass = Pass {
            stack: self,
            plan,
            rotaries: &rotaries,
            normed: Shared::new(&mut work.normed),
            normed_answers: Shared::new(&mut work.normed_answers),
            context: Shared::new(&mut work.context),
            inner: Shared::new(&mut work.inner),
        };
        let last = Shared::new(&mut work.last);
        let own = &work.own;
        Team::global().run(|member| {
            let mut own = own[member.index()].lock().unwrap_or_else(PoisonError::into_inner);
            for (index, layer) in self.layers.iter().enumerate() {
                let is_last = index + 1 == self.layers.len();
                let place = Place {
                    layer,
                    index,
                    last: is_last,
                    x: inputs[index % inputs.len()],
                    y: if is_last { last } else { inputs[(index + 1) % inputs.len()] },
                    tape: tapes[index % tapes.len()],
                    result: true,
                };
                forward_layer(member, &pass, &place, &mut own);
            }
            for answer in member.share(plan.answers()) {
                // SAFETY: `last` is complete, and the row of the result is this member's.
                unsafe {
                    let from = row(last, answer, hidden);
                    let to = result_view.part(answer * hidden, hidden);
                    match &self.last_norm {
                        Some(norm) => dispatch(|| norm.forward(from, to)),
                        None => to.copy_from_slice(from),
                    }
                }
            }
        });
        result
    }
}

/// One layer, all members together.
pub(super) fn forward_layer(
    member: &Member<'_>,
    pass: &Pass<'_>,
    place: &Place<'_>,
    own: &mut Own,
) {
    let Place { layer, last, x, y, tape, .. } = *place;
    let Pass { stack, plan, .. } = *pass;
    let (hidden, heads) = (stack.shape.hidden, stack.shape.heads_of(layer));
    let (order, pre) = (stack.shape.order, stack.shape.order.is_before());
    let rows = plan.rows();
    let out = if last { plan.answers() } else { rows };
    let past = plan.past() * heads.key_width();

    // SAFETY (all of this function): see the head of this file.
    dispatch(|| unsafe {
        if pre {
            for index in member.share(rows) {
                let to = pass.normed.part(index * hidden, hidden);
                layer.attention_norm.forward(row(x, index, hidden), to);
            }
        }
        for index in member.share(out) {
            let from = row(x, if last { plan.answers[index] } else { index }, hidden);
            tape.mid.part(index * hidden, hidden).copy_from_slice(from);
            if last {
                let to = pass.normed_answers.part(index * hidden, hidden);
                if pre { layer.attention_norm.forward(from, to) } else { to.copy_from_slice(from) }
            }
        }
    });
    member.end(Stage::Norms);

    unsafe {
        let all = if pre { pass.normed.read() } else { x.read() };
        let asking = if last { pass.normed_answers.read() } else { all };
        let q = [Term { weight: &layer.query.weight, x: asking }];
        let k = [Term { weight: &layer.key.weight, x: all }];
        let v = [Term { weight: &layer.value.weight, x: all }];
        let jobs = [
            product(&layer.query, &q, out, tape.q, false),
            product(&layer.key, &k, rows, tape.k.after(past), false),
            product(&layer.value, &v, rows, tape.v.after(past), false),
        ];
        gemm::run(member, &jobs, &mut own.panel);
        if let (Some(before), 0) = (&plan.past, member.index()) {
            tape.k.part(0, past).copy_from_slice(before.keys(place.index));
            tape.v.part(0, past).copy_from_slice(before.values(place.index));
        }
    }
    member.end(Stage::Projections);

    for task in member.share(plan.sequences.len() * heads.kv_heads) {
        let (sequence, kv_head) = (task / heads.kv_heads, task % heads.kv_heads);
        attention::Forward {
            heads,
            rotary: layer.rope.map(|rope| &pass.rotaries[rope]),
            sequence: &plan.sequences[sequence],
            queries: queries(plan, sequence, last),
            kv_head,
            inputs: unsafe { Inputs { q: tape.q.read(), k: tape.k.read(), v: tape.v.read() } },
            context: pass.context,
            scratch: &mut own.attention,
        }
        .run();
    }
    member.end(Stage::Attention);

    unsafe {
        let term = [Term { weight: &layer.output.weight, x: pass.context.read() }];
        let (to, residual) =
            if order == Order::Sandwich { (tape.attended, false) } else { (tape.mid, true) };
        gemm::run(member, &[product(&layer.output, &term, out, to, residual)], &mut own.panel);
    }
    member.end(Stage::Outputs);

    let residual = if pre { y } else { tape.sum };
    dispatch(|| unsafe {
        for index in member.share(out) {
            let normed = pass.normed.part(index * hidden, hidden);
            if let Some([norm, _]) = &layer.sandwich {
                norm.forward(row(tape.attended, index, hidden), normed);
                add(tape.mid.part(index * hidden, hidden), normed);
            }
            let from = row(tape.mid, index, hidden);
            if pre {
                let input = if order == Order::Parallel {
                    row(x, if last { plan.answers[index] } else { index }, hidden)
                } else {
                    from
                };
                layer.feed_forward_norm.forward(input, normed);
                residual.part(index * hidden, hidden).copy_from_slice(from);
            } else {
                layer.attention_norm.forward(from, normed);
                residual.part(index * hidden, hidden).copy_from_slice(normed);
            }
        }
    });
    member.end(Stage::Norms);

    // What lies behind the down product's result on the tape is needed for the gradient alone.
    let keeps_down = matches!(order, Order::Post | Order::Sandwich);
    let network = &layer.feed_forward;
    unsafe {
        let x = pass.normed.read();
        let term = [Term { weight: &network.up().weight, x }];
        gemm::run(member, &[product(network.up(), &term, out, tape.up, false)], &mut own.panel);
        if let Some(gate) = network.gate() {
            let term = [Term { weight: &gate.weight, x }];
            gemm::run(member, &[product(gate, &term, out, tape.gate, false)], &mut own.panel);
        }
        if place.result || keeps_down {
            activate(member, pass, &tape, network.activation(), out);
        }
    }
    member.end(Stage::Up);
    if !place.result && !keeps_down {
        return;
    }

    unsafe {
        let term = [Term { weight: &network.down().weight, x: pass.inner.read() }];
        let (to, more) =
            if order == Order::Sandwich { (tape.fed, false) } else { (residual, true) };
        gemm::run(member, &[product(network.down(), &term, out, to, more)], &mut own.panel);
    }
    member.end(Stage::Down);
    if let (Some([_, norm]), true) = (&layer.sandwich, place.result) {
        dispatch(|| unsafe {
            for index in member.share(out) {
                let added = pass.normed.part(index * hidden, hidden);
                norm.forward(row(tape.fed, index, hidden), added);
                add(y.part(index * hidden, hidden), added);
            }
        });
        member.end(Stage::Norms);
    }
    if !pre && place.result {
        dispatch(|| unsafe {
            for index in member.share(out) {
                let to = y.part(index * hidden, hidden);
                layer.feed_forward_norm.forward(row(tape.sum, index, hidden), to);
            }
        });
        member.end(Stage::Norms);
    }
}

/// The activation on this member's own columns of `up` and `gate`, which nobody else has touched.
///
/// # Safety
/// This member wrote those columns, and nobody reads `inner` until the next barrier.
unsafe fn activate(
    member: &Member<'_>,
    pass: &Pass<'_>,
    tape: &LayerView<'_>,
    activation: Activation,
    rows: usize,
) {
    let width = pass.stack.shape.intermediate;
    let columns = own_columns(member, width);
    let gated = pass.stack.shape.gated;
    dispatch(|| {
        for index in 0..rows {
            let start = index * width + columns.start;
            // SAFETY: own columns.
            unsafe {
                let up = tape.up.part(start, columns.len());
                let gate = gated.then(|| &*tape.gate.part(start, columns.len()));
                activation.forward(up, gate, pass.inner.part(start, columns.len()));
            }
        }
    });
}
