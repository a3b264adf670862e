//! A language model of which a part learns: every weight, biases, or LoRA's narrow matrices.

use std::collections::{BTreeMap, BTreeSet};

use backbone::Trainable;
use backbone::transformer::{Places, Projection, Tensors, TransformerLm};
use burn::tensor::{Gradients, Tensor, TensorData};
use ptuning_core::prompt_encoder::Initializer;
use serde::{Deserialize, Serialize};

use crate::checkpoint::CheckpointError;
use crate::error::Error;
use crate::optimizer::Optimizer;
use crate::settings::{LmParts, LmSettings, TrainSettings, nearest};

/// A language model, the part of it that learns, and an optimiser.
pub struct TunedLm {
    model: Trainable,
    learned: Learned,
    optimizer: Optimizer,
}

/// The part that learns.
enum Learned {
    /// These weights themselves, taken out of the model.
    Weights(Tensors),
    /// Beside each of these weights a product of two matrices, counted `scale` times.
    Lora { scale: f64, pairs: Vec<Pair> },
}

/// LoRA's two matrices beside a weight; one starts at zero, so that the model starts as it was.
struct Pair {
    weight: String,
    projection: Projection,
    rank: usize,
    /// `[rank, in]`, flattened.
    down: Tensor<1>,
    /// `[out, rank]`, flattened.
    up: Tensor<1>,
}

/// What a checkpoint says about the language model's part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LmHeader {
    /// How often LoRA's products count; none where weights themselves learned.
    pub lora_scale: Option<f64>,
    /// Steps that the optimiser's moments have seen.
    pub optimizer_steps: usize,
}

/// Ends of the names of LoRA's matrices, as PEFT calls them.
const DOWN: &str = ".lora_A";
const UP: &str = ".lora_B";

impl TunedLm {
    /// A model before its first step.
    ///
    /// # Errors
    /// Settings that leave nothing to learn: no such layer, no biases, no projections of these names.
    pub fn new(
        mut model: Trainable,
        settings: &LmSettings,
        train: &TrainSettings,
        seed: u64,
    ) -> Result<Self, Error> {
        let places = model.places();
        if let Some(layers) = settings.layers.filter(|&layers| layers > places.layers) {
            return Err(Error::NoSuchLayers { expected: places.layers, found: layers });
        }
        let first = settings.layers.map(|layers| places.layers - layers);
        let within = |name: &str| match first {
            None => true,
            Some(first) => places.layer(name).is_some_and(|layer| layer >= first),
        };
        let names = model.parameters.shapes().keys().filter(|name| within(name));
        let learned = match &settings.parts {
            LmParts::All => Learned::weights(names.cloned().collect(), &mut model),
            LmParts::Bias => {
                let biases: Vec<String> =
                    names.filter(|name| places.is_bias(name)).cloned().collect();
                if biases.is_empty() {
                    return Err(Error::NoBiases { family: model.identity.family.clone() });
                }
                Learned::weights(biases, &mut model)
            }
            LmParts::Lora { rank, alpha, modules } => {
                let chosen = projections(&places, modules)?;
                let mut init = Initializer::new(seed ^ LORA_SEED);
                let pair = |(weight, projection): (String, Projection)| {
                    Pair::new(weight, projection, *rank, &model, &mut init)
                };
                let chosen = chosen.into_iter().filter(|(weight, _)| within(weight));
                let pairs: Vec<Pair> = chosen.map(pair).collect();
                Learned::Lora { scale: alpha / *rank as f64, pairs }
            }
        };
        Ok(Self { model, learned, optimizer: Optimizer::new(train) })
    }

    /// The model with what a checkpoint says has been learned.
    ///
    /// # Errors
    /// Tensors that are missing or of another shape.
    pub fn frozen_from(
        model: &Trainable,
        header: &LmHeader,
        values: &BTreeMap<String, TensorData>,
    ) -> Result<TransformerLm, Error> {
        let learned = Learned::read(model, header, values)?;
        Ok(model.frozen_with(&learned.merged(model, learned.leaves()))?)
    }

    /// Numbers that learn.
    pub fn count(&self) -> usize {
        self.learned.leaves().values().map(|leaf| leaf.dims()[0]).sum()
    }

    /// Numbers of the model.
    pub fn total(&self) -> usize {
        self.model.parameters.count()
    }

    /// What learns as leaves of a new tape, and the model made of them.
    ///
    /// # Errors
    /// None for a model that was loaded.
    pub fn tracked(&self) -> Result<(Tensors, TransformerLm), Error> {
        let track = |(name, leaf): (String, Tensor<1>)| (name, leaf.autodiff().require_grad());
        let leaves: Tensors = self.learned.leaves().into_iter().map(track).collect();
        let mut tensors = self.model.parameters.values().clone();
        tensors.extend(self.learned.merged(&self.model, leaves.clone()));
        let model = self.model.model(&tensors)?;
        Ok((leaves, model))
    }

    /// Gradients of leaves that [`tracked`](Self::tracked) gave, in the order of their names.
    pub fn gradients(&self, leaves: &Tensors, gradients: &mut Gradients) -> Vec<Tensor<1>> {
        let device = self.model.device();
        let take = |leaf: &Tensor<1>| match leaf.grad_remove(gradients) {
            Some(gradient) => gradient,
            None => Tensor::zeros(leaf.dims(), device),
        };
        leaves.values().map(take).collect()
    }

    /// One optimiser step along gradients in the order of names.
    pub fn step(&mut self, gradients: Vec<Tensor<1>>, lr: f64) {
        let Self { learned, optimizer, .. } = self;
        optimizer.step_with(gradients, lr, |step| learned.update(step));
    }

    /// The model as it is now, frozen, in the fastest form that the device has.
    ///
    /// # Errors
    /// None for a model that was loaded.
    pub fn frozen(&self) -> Result<TransformerLm, Error> {
        Ok(self.model.frozen_with(&self.learned.merged(&self.model, self.learned.leaves()))?)
    }

    /// Whether all that learns is finite.
    pub fn is_finite(&self) -> bool {
        let finite = |leaf: &Tensor<1>| leaf.to_data().iter::<f32>().all(f32::is_finite);
        self.learned.leaves().values().all(finite)
    }

    /// What a checkpoint keeps: header, what has been learned, the optimiser's moments.
    pub fn state(&self) -> (LmHeader, BTreeMap<String, TensorData>, BTreeMap<String, TensorData>) {
        let names: Vec<String> = self.learned.leaves().into_keys().collect();
        let (optimizer, optimizer_steps) = self.optimizer.state(&names);
        let lora_scale = match &self.learned {
            Learned::Weights(_) => None,
            Learned::Lora { scale, .. } => Some(*scale),
        };
        let shaped = |(name, leaf): (String, Tensor<1>)| {
            let shape = self.learned.shape(&self.model, &name).unwrap_or_default();
            (name, TensorData::new(leaf.to_data().iter::<f32>().collect(), shape))
        };
        let values = self.learned.leaves().into_iter().map(shaped).collect();
        (LmHeader { lora_scale, optimizer_steps }, values, optimizer)
    }

    /// Goes back to what a checkpoint keeps.
    ///
    /// # Errors
    /// Tensors that are missing, too many or of another shape.
    pub fn restore(
        &mut self,
        header: &LmHeader,
        values: &BTreeMap<String, TensorData>,
        optimizer: &BTreeMap<String, TensorData>,
    ) -> Result<(), Error> {
        let learned = Learned::read(&self.model, header, values)?;
        let (own, stored) = (self.learned.leaves(), learned.leaves());
        let missing = own.keys().find(|name| !stored.contains_key(*name));
        if let Some(name) = missing.or_else(|| stored.keys().find(|name| !own.contains_key(*name)))
        {
            let found = stored.get(name).map(|leaf| leaf.dims().to_vec());
            let expected = self.learned.shape(&self.model, name).unwrap_or_default();
            let name = format!("lm.{name}");
            return Err(CheckpointError::Parameter { name, expected, found }.into());
        }
        let device = self.model.device().clone();
        let sizes = stored.into_iter().map(|(name, leaf)| (leaf.dims()[0], name));
        self.optimizer.restore_sizes(sizes, optimizer, header.optimizer_steps, &device)?;
        self.learned = learned;
        Ok(())
    }
}

/// Sets LoRA's start apart from that of virtual tokens.
const LORA_SEED: u64 = 0x10_4a;

/// Projections whose names end in one of `modules`; those of queries and values if there are none.
fn projections(places: &Places, modules: &[String]) -> Result<Vec<(String, Projection)>, Error> {
    let stem = |name: &str| name.strip_suffix(".weight").unwrap_or(name).to_owned();
    let is = |name: &str, module: &str| {
        let stem = stem(name);
        stem == module || stem.ends_with(&format!(".{module}"))
    };
    for module in modules {
        if !places.projections().any(|(name, _)| is(name, module)) {
            let last = |name: &str| stem(name).rsplit('.').next().unwrap_or_default().to_owned();
            let known: BTreeSet<String> =
                places.projections().map(|(name, _)| last(name)).collect();
            return Err(Error::NoSuchModule {
                name: module.clone(),
                nearest: nearest(module, known.iter().map(String::as_str)).map(str::to_owned),
                known: known.into_iter().collect::<Vec<_>>().join(", "),
            });
        }
    }
    let chosen = places.projections().filter(|(name, projection)| match modules {
        [] => projection.is_query_or_value,
        modules => modules.iter().any(|module| is(name, module)),
    });
    Ok(chosen.map(|(name, projection)| (name.to_owned(), *projection)).collect())
}

impl Pair {
    /// As PEFT starts: `down` uniform by Kaiming's rule with a = √5, `up` zero.
    fn new(
        weight: String,
        projection: Projection,
        rank: usize,
        model: &Trainable,
        init: &mut Initializer,
    ) -> Self {
        let [out, inner] = out_and_in(&projection);
        let bound = 1.0 / (inner as f64).sqrt();
        let down = init.uniform([rank * inner], bound);
        let down = Tensor::from_data(down, model.device());
        let up = Tensor::zeros([out * rank], model.device());
        Self { weight, projection, rank, down, up }
    }

    fn named(&self) -> [(String, Tensor<1>); 2] {
        let name = |end: &str| format!("{}{end}", self.weight);
        [(name(DOWN), self.down.clone()), (name(UP), self.up.clone())]
    }

    /// `scale · up · down` in the weight's own layout, flattened.
    fn product(&self, down: Tensor<1>, up: Tensor<1>, scale: f64) -> Tensor<1> {
        let [out, inner] = out_and_in(&self.projection);
        let product = up.reshape([out, self.rank]).matmul(down.reshape([self.rank, inner]));
        let product = product.mul_scalar(scale);
        let product = if self.projection.transposed { product.transpose() } else { product };
        product.reshape([out * inner])
    }
}

fn out_and_in(projection: &Projection) -> [usize; 2] {
    let [first, second] = projection.shape;
    if projection.transposed { [second, first] } else { [first, second] }
}

impl Learned {
    /// Some weights of a model.
    fn weights(names: Vec<String>, model: &mut Trainable) -> Self {
        let take = |name: String| Some((name.clone(), model.parameters.take(&name)?));
        Self::Weights(names.into_iter().filter_map(take).collect())
    }

    /// What learns, by name, untracked.
    fn leaves(&self) -> Tensors {
        match self {
            Self::Weights(weights) => weights.clone(),
            Self::Lora { pairs, .. } => pairs.iter().flat_map(Pair::named).collect(),
        }
    }

    /// Shape of what learns under a name.
    fn shape(&self, model: &Trainable, name: &str) -> Option<Vec<usize>> {
        match self {
            Self::Weights(_) => model.parameters.shapes().get(name).cloned(),
            Self::Lora { pairs, .. } => pairs.iter().find_map(|pair| {
                let [out, inner] = out_and_in(&pair.projection);
                match name.strip_prefix(pair.weight.as_str())? {
                    DOWN => Some(vec![pair.rank, inner]),
                    UP => Some(vec![out, pair.rank]),
                    _ => None,
                }
            }),
        }
    }

    /// The model's weights that differ, made of leaves.
    fn merged(&self, model: &Trainable, mut leaves: Tensors) -> Tensors {
        let Self::Lora { scale, pairs } = self else { return leaves };
        let merged = |pair: &Pair| {
            let [down, up] = [DOWN, UP].map(|end| leaves.remove(&format!("{}{end}", pair.weight)));
            let product = pair.product(down?, up?, *scale);
            let weight = model.parameters.values().get(&pair.weight)?.clone();
            Some((pair.weight.clone(), product + weight))
        };
        pairs.iter().filter_map(merged).collect()
    }

    /// Replaces what learns by `f(index, value)`, in the order of names.
    fn update(&mut self, f: &mut dyn FnMut(usize, Tensor<1>) -> Tensor<1>) {
        // The only handle goes to the optimiser, which may then write in place.
        let mut index = 0..;
        let mut next = |value: &mut Tensor<1>| {
            let empty = Tensor::empty([0], &value.device());
            let index = index.next().unwrap_or_default();
            *value = f(index, std::mem::replace(value, empty));
        };
        match self {
            Self::Weights(weights) => weights.values_mut().for_each(next),
            // By name: A before B, and pairs in the order of their weights' names.
            Self::Lora { pairs, .. } => pairs.iter_mut().for_each(|pair| {
                next(&mut pair.down);
                next(&mut pair.up);
            }),
        }
    }

    /// From the tensors of a checkpoint.
    fn read(
        model: &Trainable,
        header: &LmHeader,
        values: &BTreeMap<String, TensorData>,
    ) -> Result<Self, CheckpointError> {
        let wrong = |name: &str, expected: Vec<usize>, found: Option<&TensorData>| {
            let found = found.map(|data| data.shape().to_vec());
            CheckpointError::Parameter { name: format!("lm.{name}"), expected, found }
        };
        let tensor = |data: &TensorData| {
            let numbers: Vec<f32> = data.iter().collect();
            let count = numbers.len();
            Tensor::<1>::from_data(TensorData::new(numbers, [count]), model.device())
        };
        let Some(scale) = header.lora_scale else {
            for (name, data) in values {
                let expected = model.parameters.shapes().get(name).cloned().unwrap_or_default();
                if expected != data.shape().to_vec() {
                    return Err(wrong(name, expected, Some(data)));
                }
            }
            let weights = values.iter().map(|(name, data)| (name.clone(), tensor(data)));
            return Ok(Self::Weights(weights.collect()));
        };
        let places = model.places();
        let mut pairs = Vec::new();
        for (weight, projection) in places.projections() {
            let [down, up] = [DOWN, UP].map(|end| format!("{weight}{end}"));
            let Some(data) = values.get(&down) else { continue };
            let [out, inner] = out_and_in(projection);
            let rank = data.shape().to_vec().first().copied().unwrap_or(0);
            if data.shape().to_vec() != [rank, inner] || rank == 0 {
                return Err(wrong(&down, vec![rank, inner], Some(data)));
            }
            let other = values.get(&up);
            let fits = |other: &&TensorData| other.shape().to_vec() == [out, rank];
            let Some(other) = other.filter(fits) else {
                return Err(wrong(&up, vec![out, rank], other));
            };
            let (down, up) = (tensor(data), tensor(other));
            let (weight, projection) = (weight.to_owned(), *projection);
            pairs.push(Pair { weight, projection, rank, down, up });
        }
        Ok(Self::Lora { scale, pairs })
    }
}
