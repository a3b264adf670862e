//! Adam and AdamW with PyTorch's semantics, over the parameters of a prompt encoder or of a language
//! model.
//!
//! On the CPU one kernel passes once over value, gradient and both moments; elsewhere the arithmetic
//! is Burn's, without its defaults, which differ from PyTorch's in ε and in weight decay. State is
//! kept by parameter name, so that it can be saved and resumed to the bit.

use std::collections::BTreeMap;

use backbone::device::is_cpu;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::{
    Adam, AdamConfig, AdamState, AdamW, AdamWConfig, AdamWState, AdaptiveMomentumState,
    Optimizer as _,
};
use burn::tensor::{DType, Device, Tensor, TensorData};
use ptuning_core::prompt_encoder::PromptEncoder;

use crate::checkpoint::CheckpointError;
use crate::parameters;
use crate::settings::{Optimizer as Kind, TrainSettings};

#[derive(Clone)]
enum Rule {
    /// Weight decay is added to the gradient (`torch.optim.Adam`).
    Adam(Adam),
    /// Weight decay shrinks the weights (`torch.optim.AdamW`).
    AdamW(AdamW),
}

/// First and second moments of one parameter, flattened.
#[derive(Clone)]
struct Moments {
    time: usize,
    first: Tensor<1>,
    second: Tensor<1>,
}

/// Adam or AdamW with its state.
pub struct Optimizer {
    rule: Rule,
    kernel: kernels::adam::Adam,
    clip_norm: Option<f64>,
    state: Vec<Option<Moments>>,
}

impl Optimizer {
    /// An optimiser without history.
    pub fn new(settings: &TrainSettings) -> Self {
        let (beta_1, beta_2) = (settings.betas.0 as f32, settings.betas.1 as f32);
        let (epsilon, decay) = (settings.eps as f32, settings.weight_decay as f32);
        let rule = match settings.optimizer {
            Kind::Adam => {
                let decay = (decay > 0.0).then(|| WeightDecayConfig::new(decay));
                let config = AdamConfig::new().with_beta_1(beta_1).with_beta_2(beta_2);
                Rule::Adam(config.with_epsilon(epsilon).with_weight_decay(decay).build())
            }
            Kind::AdamW => {
                let config = AdamWConfig::new().with_beta_1(beta_1).with_beta_2(beta_2);
                Rule::AdamW(config.with_epsilon(epsilon).with_weight_decay(decay).build())
            }
        };
        let decoupled = settings.optimizer == Kind::AdamW;
        let kernel = kernels::adam::Adam { beta_1, beta_2, epsilon, decay, decoupled };
        Self { rule, kernel, clip_norm: settings.clip_norm, state: Vec::new() }
    }

    /// One step: clips the gradients by their global norm (`torch.nn.utils.clip_grad_norm_`) and
    /// moves the parameters.
    pub fn step(
        &mut self,
        encoder: PromptEncoder,
        gradients: Vec<Tensor<1>>,
        lr: f64,
    ) -> PromptEncoder {
        self.step_with(gradients, lr, |step| parameters::update(encoder, step))
    }

    /// The same for whatever `visit` walks through: it calls its argument with the index of each
    /// gradient and the parameter's flattened value, and takes the new value back.
    pub fn step_with<R>(
        &mut self,
        mut gradients: Vec<Tensor<1>>,
        lr: f64,
        visit: impl FnOnce(&mut dyn FnMut(usize, Tensor<1>) -> Tensor<1>) -> R,
    ) -> R {
        if let Some(limit) = self.clip_norm {
            gradients = clipped(gradients, limit);
        }
        self.state.resize(gradients.len(), None);
        let mut gradients = gradients.into_iter().map(Some).collect::<Vec<_>>();
        let Self { rule, kernel, state, .. } = self;
        visit(&mut |index, value| match gradients[index].take() {
            Some(gradient) if is_cpu(&value.device()) => {
                kernel_step(kernel, lr, value, gradient, &mut state[index])
            }
            Some(gradient) => one_step(rule, lr, value, gradient, &mut state[index]),
            None => value,
        })
    }

    /// The state by name: `<parameter>.moment_1`, `<parameter>.moment_2`, and the steps taken.
    pub fn state(&self, names: &[String]) -> (BTreeMap<String, TensorData>, usize) {
        let mut tensors = BTreeMap::new();
        let mut time = 0;
        for (name, moments) in names.iter().zip(&self.state) {
            let Some(moments) = moments else { continue };
            time = moments.time;
            tensors.insert(format!("{name}.moment_1"), moments.first.to_data());
            tensors.insert(format!("{name}.moment_2"), moments.second.to_data());
        }
        (tensors, time)
    }

    /// Takes up a saved state.
    ///
    /// # Errors
    /// A moment that is missing or of another size.
    pub fn restore(
        &mut self,
        encoder: &PromptEncoder,
        tensors: &BTreeMap<String, TensorData>,
        time: usize,
        device: &Device,
    ) -> Result<(), CheckpointError> {
        let values = parameters::values(encoder);
        let size = |name: &String| values.get(name).map_or(0, TensorData::num_elements);
        let sizes = parameters::names(encoder).into_iter().map(|name| (size(&name), name));
        self.restore_sizes(sizes, tensors, time, device)
    }

    /// The same for parameters of these sizes and names, in the order of their gradients.
    ///
    /// # Errors
    /// As [`restore`](Self::restore).
    pub fn restore_sizes(
        &mut self,
        sizes: impl Iterator<Item = (usize, String)>,
        tensors: &BTreeMap<String, TensorData>,
        time: usize,
        device: &Device,
    ) -> Result<(), CheckpointError> {
        self.state.clear();
        if time == 0 {
            return Ok(());
        }
        for (size, name) in sizes {
            let moment = |which: &str| {
                let name = format!("{name}.{which}");
                match tensors.get(&name) {
                    Some(data) if data.num_elements() == size => {
                        Ok(Tensor::<1>::from_data(data.clone(), device))
                    }
                    found => Err(CheckpointError::Parameter {
                        expected: vec![size],
                        found: found.map(|data| data.shape().to_vec()),
                        name,
                    }),
                }
            };
            let (first, second) = (moment("moment_1")?, moment("moment_2")?);
            self.state.push(Some(Moments { time, first, second }));
        }
        Ok(())
    }
}

fn kernel_step(
    kernel: &kernels::adam::Adam,
    lr: f64,
    value: Tensor<1>,
    gradient: Tensor<1>,
    slot: &mut Option<Moments>,
) -> Tensor<1> {
    let device = value.device();
    let Moments { time, first, second } = slot.take().unwrap_or_else(|| {
        let zeros = || Tensor::zeros(value.dims(), &device);
        Moments { time: 0, first: zeros(), second: zeros() }
    });
    let time = time + 1;
    // Nobody else holds the moments, so this moves them; a shared buffer would be copied.
    let [mut value, mut first, mut second, gradient] =
        [value, first, second, gradient].map(|tensor| tensor.into_data().convert_dtype(DType::F32));
    let numbers = "f32 by the line above";
    kernel.step(
        lr,
        time,
        value.as_mut_slice().expect(numbers),
        gradient.as_slice().expect(numbers),
        [first.as_mut_slice().expect(numbers), second.as_mut_slice().expect(numbers)],
    );
    let [value, first, second] =
        [value, first, second].map(|data| Tensor::from_data(data, &device));
    *slot = Some(Moments { time, first, second });
    value
}

fn one_step(
    rule: &Rule,
    lr: f64,
    value: Tensor<1>,
    gradient: Tensor<1>,
    slot: &mut Option<Moments>,
) -> Tensor<1> {
    let before = slot.take().map(|m| AdaptiveMomentumState::new(m.time, m.first, m.second));
    let (value, after) = match rule {
        Rule::Adam(adam) => {
            let (value, state) = adam.step(lr, value, gradient, before.map(AdamState::new));
            (value, state.map(|state| state.momentum))
        }
        Rule::AdamW(adam) => {
            let (value, state) = adam.step(lr, value, gradient, before.map(AdamWState::new));
            (value, state.map(|state| state.momentum))
        }
    };
    *slot = after.map(|m| Moments { time: m.time, first: m.moment_1, second: m.moment_2 });
    value
}

/// Scales all gradients by `min(1, limit / (norm + 1e-6))`, without reading the norm back.
fn clipped(gradients: Vec<Tensor<1>>, limit: f64) -> Vec<Tensor<1>> {
    let squares = gradients.iter().map(|gradient| gradient.clone().square().sum()).collect();
    let norm = Tensor::cat(squares, 0).sum().sqrt();
    let scale = norm.add_scalar(1e-6).recip().mul_scalar(limit).clamp_max(1.0);
    gradients.into_iter().map(|gradient| gradient * scale.clone()).collect()
}
