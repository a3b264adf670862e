//! A transformer in plain f64 loops, to hold the kernels against.

mod samples;

use std::sync::Arc;

use kernels::activation::Activation;
use kernels::frozen::{Frozen, Values};
use kernels::norm::Norm;
use kernels::position_bias::PositionBias;
use kernels::rotary::Rope;
use kernels::stack::{FeedForward, Layer, Linear, Order, Shape, Stack};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Numbers in ±1.
pub fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// `[out, in]` and a bias.
struct Plain {
    out: usize,
    weight: Vec<f32>,
    bias: Option<Vec<f32>>,
}

struct PlainLayer {
    /// Before (or after) attention and the feed-forward network, and of what both add.
    norms: [(Vec<f32>, Vec<f32>); 4],
    /// Of each head's queries and keys.
    head_norms: [(Vec<f32>, Vec<f32>); 2],
    /// Query, key, value, output, gate, up, down.
    linears: [Plain; 7],
    /// By head, then distance from `-reach` on.
    distances: Vec<f32>,
}

/// A model of random weights.
pub struct Model {
    pub hidden: usize,
    pub causal: bool,
    pub order: Order,
    intermediate: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    /// Turning dimensions and theta.
    ropes: Vec<(usize, f64)>,
    scale: Option<f32>,
    /// Of every other layer, the first one first.
    window: Option<usize>,
    normed_heads: bool,
    /// How far keys differ by their distance from a query.
    reach: Option<usize>,
    /// Whether the first layer lacks a norm before its attention.
    bare_start: bool,
    activation: Activation,
    gated: bool,
    layer_norm: bool,
    layers: Vec<PlainLayer>,
}

const EPSILON: f32 = 1e-5;

impl Model {
    /// The same sizes, without weights.
    fn like(&self) -> Self {
        Self { ropes: self.ropes.clone(), layers: Vec::new(), ..*self }
    }

    fn filled(mut self, layers: usize, biases: bool, seed: u64) -> Self {
        let (h, i) = (self.hidden, self.intermediate);
        let (q, k) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        let shapes = [(q, h), (k, h), (k, h), (h, q), (i, h), (i, h), (h, i)];
        let mut seed = seed * 1000;
        let mut numbers = |count: usize, size: f32| {
            seed += 1;
            random(count, seed).into_iter().map(|x| x * size).collect::<Vec<f32>>()
        };
        self.layers = (0..layers)
            .map(|_| PlainLayer {
                norms: [(); 4].map(|()| {
                    let gain = numbers(h, 0.5).into_iter().map(|x| x + 1.0).collect();
                    (gain, numbers(h, 0.3))
                }),
                head_norms: [(); 2]
                    .map(|()| (numbers(self.head_dim, 1.5), numbers(self.head_dim, 0.3))),
                linears: shapes.map(|(out, inner)| Plain {
                    out,
                    weight: numbers(out * inner, 1.7 / (inner as f32).sqrt()),
                    bias: biases.then(|| numbers(out, 0.3)),
                }),
                distances: numbers(self.heads * self.distances(), 2.0),
            })
            .collect();
        self
    }

    /// The same model in packed form.
    pub fn stack(&self) -> Stack {
        let norm = |(gain, bias): &(Vec<f32>, Vec<f32>)| {
            if self.layer_norm {
                Norm::Layer { gain: gain.clone(), bias: bias.clone(), epsilon: EPSILON }
            } else {
                Norm::Rms { gain: gain.clone(), epsilon: EPSILON }
            }
        };
        let linear = |plain: &Plain| Linear {
            weight: Frozen::new(
                Values::F32(plain.weight.clone()),
                plain.out,
                plain.weight.len() / plain.out,
            ),
            bias: plain.bias.clone(),
        };
        let layers = self.layers.iter().enumerate().map(|(index, layer)| {
            let [query, key, value, output, gate, up, down] = layer.linears.each_ref().map(linear);
            let activation = self.activation;
            let normed = self.normed_heads.then_some(&layer.head_norms);
            let sandwich = self.order == Order::Sandwich;
            Arc::new(Layer {
                attention_norm: match self.bare_start && index == 0 {
                    true => Norm::Identity { width: self.hidden },
                    false => norm(&layer.norms[0]),
                },
                head_norms: normed.map(|norms| norms.each_ref().map(norm)),
                rope: self.rope_of(index),
                window: self.window_of(index),
                position_bias: (self.reach)
                    .map(|_| PositionBias::new(self.heads, layer.distances.clone())),
                query,
                key,
                value,
                output,
                feed_forward_norm: norm(&layer.norms[1]),
                feed_forward: if self.gated {
                    FeedForward::Gated { gate, up, down, activation }
                } else {
                    FeedForward::Plain { up, down, activation }
                },
                sandwich: sandwich.then(|| [norm(&layer.norms[2]), norm(&layer.norms[3])]),
            })
        });
        let shape = Shape {
            hidden: self.hidden,
            intermediate: self.intermediate,
            gated: self.gated,
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            causal: self.causal,
            scale: self.scale,
            ropes: self.ropes.iter().map(|&(dims, theta)| Rope::new(dims, theta)).collect(),
            order: self.order,
        };
        Stack::new(shape, layers.collect(), self.last_norm().map(|last| norm(&last)))
    }

    /// Layers take turns with ropes, and every other one has a window.
    fn rope_of(&self, layer: usize) -> Option<usize> {
        (!self.ropes.is_empty()).then(|| layer % self.ropes.len())
    }

    fn window_of(&self, layer: usize) -> Option<usize> {
        self.window.filter(|_| layer.is_multiple_of(2))
    }

    /// Distances that a score may tell apart.
    fn distances(&self) -> usize {
        self.reach.map_or(0, |reach| 2 * reach + 1)
    }

    /// What is added to a score.
    fn shift(&self, layer: &PlainLayer, head: usize, query: usize, key: usize) -> f64 {
        let Some(reach) = self.reach else { return 0.0 };
        let distance = (key + reach).saturating_sub(query).min(2 * reach);
        f64::from(layer.distances[head * self.distances() + distance])
    }

    /// A pre-norm model ends with a norm: the first layer's once more.
    fn last_norm(&self) -> Option<(Vec<f32>, Vec<f32>)> {
        (self.order != Order::Post).then(|| self.layers[0].norms[0].clone())
    }

    /// Numbers of a learned row: keys and values of all layers.
    pub fn past_width(&self) -> usize {
        2 * self.layers.len() * self.kv_heads * self.head_dim
    }

    /// One sequence behind learned keys and values, all rows.
    pub fn forward(&self, learned: &[Vec<f64>], mut x: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
        for (index, layer) in self.layers.iter().enumerate() {
            let pre = self.order != Order::Post;
            let normed = |x: &[Vec<f64>], which: usize| -> Vec<Vec<f64>> {
                x.iter().map(|x| self.normed(x, &layer.norms[which])).collect()
            };
            let bare = !pre || self.bare_start && index == 0;
            let input = if bare { x.clone() } else { normed(&x, 0) };
            let mut attended = self.attend(learned, &input, layer, index);
            if self.order == Order::Sandwich {
                attended = normed(&attended, 2);
            }
            let parallel = normed(&x, 1);
            x = x.iter().zip(&attended).map(|(x, y)| sum(x, y)).collect();
            let input = match self.order {
                Order::Post => {
                    x = normed(&x, 0);
                    x.clone()
                }
                Order::Parallel => parallel,
                Order::Pre | Order::Sandwich => normed(&x, 1),
            };
            let mut fed: Vec<_> = input.iter().map(|x| self.feed_forward(x, layer)).collect();
            if self.order == Order::Sandwich {
                fed = normed(&fed, 3);
            }
            x = x.iter().zip(fed).map(|(x, y)| sum(x, &y)).collect();
            if !pre {
                x = normed(&x, 1);
            }
        }
        match self.last_norm() {
            Some(last) => x.iter().map(|x| self.normed(x, &last)).collect(),
            None => x,
        }
    }

    fn normed(&self, x: &[f64], (gain, bias): &(Vec<f32>, Vec<f32>)) -> Vec<f64> {
        let count = x.len() as f64;
        let mean = if self.layer_norm { x.iter().sum::<f64>() / count } else { 0.0 };
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
        let scale = 1.0 / (variance + f64::from(EPSILON)).sqrt();
        let on = if self.layer_norm { 1.0 } else { 0.0 };
        (x.iter().zip(gain).zip(bias))
            .map(|((x, gain), bias)| (x - mean) * scale * f64::from(*gain) + on * f64::from(*bias))
            .collect()
    }

    fn attend(
        &self,
        learned: &[Vec<f64>],
        x: &[Vec<f64>],
        layer: &PlainLayer,
        index: usize,
    ) -> Vec<Vec<f64>> {
        let [query, key, value, output, ..] = &layer.linears;
        let dim = self.head_dim;
        let rope = self.rope_of(index).map(|rope| self.ropes[rope]);
        let project = |linear: &Plain, norm: Option<&(Vec<f32>, Vec<f32>)>| -> Vec<Vec<f64>> {
            let rows = (learned.len()..).zip(x).map(|(position, x)| {
                let mut y = apply(linear, x);
                let Some(norm) = norm else { return y };
                for head in y.chunks_exact_mut(dim) {
                    if self.normed_heads {
                        head.copy_from_slice(&self.normed(head, norm));
                    }
                    let (dims, theta) = rope.unwrap_or((0, 1.0));
                    for i in 0..dims / 2 {
                        let angle = position as f64 * theta.powf(-2.0 * i as f64 / dims as f64);
                        let (a, b) = (head[i], head[i + dims / 2]);
                        head[i] = a * angle.cos() - b * angle.sin();
                        head[i + dims / 2] = b * angle.cos() + a * angle.sin();
                    }
                }
                y
            });
            rows.collect()
        };
        let [query_norm, key_norm] = &layer.head_norms;
        let before = |which: usize| -> Vec<Vec<f64>> {
            let width = self.kv_heads * dim;
            let start = (2 * index + which) * width;
            learned.iter().map(|row| row[start..start + width].to_vec()).collect()
        };
        let q = project(query, Some(query_norm));
        let k = [before(0), project(key, Some(key_norm))].concat();
        let v = [before(1), project(value, None)].concat();
        let scale = self.scale.map_or(1.0 / (dim as f64).sqrt(), f64::from);
        let group = self.heads / self.kv_heads;
        let mut result = Vec::new();
        for (position, q) in (learned.len()..).zip(&q) {
            let mut context = vec![0.0; self.heads * dim];
            let end = if self.causal { position + 1 } else { k.len() };
            let seen: Vec<usize> = (0..end)
                .filter(|other| {
                    self.window_of(index).is_none_or(|window| other.abs_diff(position) <= window)
                })
                .collect();
            for head in 0..self.heads {
                let own = head * dim..(head + 1) * dim;
                let theirs = head / group * dim..(head / group + 1) * dim;
                let scores: Vec<f64> = seen
                    .iter()
                    .map(|&other| {
                        let dot: f64 = q[own.clone()]
                            .iter()
                            .zip(&k[other][theirs.clone()])
                            .map(|(q, k)| q * k)
                            .sum();
                        dot * scale + self.shift(layer, head, position, other)
                    })
                    .collect();
                let max = scores.iter().fold(f64::NEG_INFINITY, |max, &s| max.max(s));
                let total: f64 = scores.iter().map(|s| (s - max).exp()).sum();
                for (&other, score) in seen.iter().zip(&scores) {
                    let weight = (score - max).exp() / total;
                    for (to, v) in context[own.clone()].iter_mut().zip(&v[other][theirs.clone()]) {
                        *to += weight * v;
                    }
                }
            }
            result.push(apply(output, &context));
        }
        result
    }

    fn feed_forward(&self, x: &[f64], layer: &PlainLayer) -> Vec<f64> {
        let [.., gate, up, down] = &layer.linears;
        let f = |x: f64| match self.activation {
            Activation::Silu => x / (1.0 + (-x).exp()),
            Activation::GeluTanh => {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
                0.5 * x * (1.0 + inner.tanh())
            }
            Activation::Gelu => {
                // erf by its Taylor series.
                let z = x / 2.0f64.sqrt();
                let (mut term, mut sum) = (z, z);
                for n in 1..200 {
                    term *= -z * z / f64::from(n);
                    sum += term / f64::from(2 * n + 1);
                }
                0.5 * x * (1.0 + sum * 2.0 / std::f64::consts::PI.sqrt())
            }
            Activation::Relu => x.max(0.0),
        };
        let up = apply(up, x);
        let inner: Vec<f64> = if self.gated {
            apply(gate, x).iter().zip(&up).map(|(gate, up)| f(*gate) * up).collect()
        } else {
            up.iter().map(|&up| f(up)).collect()
        };
        apply(down, &inner)
    }
}

fn apply(linear: &Plain, x: &[f64]) -> Vec<f64> {
    let product = |row: &[f32]| row.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum::<f64>();
    let mut y: Vec<f64> = linear.weight.chunks_exact(x.len()).map(product).collect();
    if let Some(bias) = &linear.bias {
        for (y, bias) in y.iter_mut().zip(bias) {
            *y += f64::from(*bias);
        }
    }
    y
}

fn sum(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}
