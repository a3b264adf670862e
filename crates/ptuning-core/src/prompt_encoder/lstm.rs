//! The published prompt encoder: Embedding → 2-layer bidirectional LSTM → Linear-ReLU-Linear.
//!
//! Liu et al. 2021, "GPT Understands, Too" (arXiv:2103.10385), section 3.2, and its code. The LSTM
//! is `torch.nn.LSTM`'s: gates in the order input, forget, cell, output, and two biases.

use burn::module::{Module, Param};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};

use super::mlp::Mlp;
use super::{EncoderConfig, Initializer};

const LAYERS: usize = 2;

/// One direction of one layer.
#[derive(Module, Debug)]
pub struct Direction {
    /// `[4 · units, in]`.
    pub weight_ih: Param<Tensor<2>>,
    /// `[4 · units, units]`.
    pub weight_hh: Param<Tensor<2>>,
    /// `[4 · units]`.
    pub bias_ih: Param<Tensor<1>>,
    /// `[4 · units]`.
    pub bias_hh: Param<Tensor<1>>,
}

impl Direction {
    fn new(inputs: usize, units: usize, init: &mut Initializer, device: &Device) -> Self {
        let bound = 1.0 / (units as f64).sqrt();
        Self {
            weight_ih: Param::from_data(init.uniform([4 * units, inputs], bound), device),
            weight_hh: Param::from_data(init.uniform([4 * units, units], bound), device),
            bias_ih: Param::from_data(init.uniform([4 * units], bound), device),
            bias_hh: Param::from_data(init.uniform([4 * units], bound), device),
        }
    }

    /// # Shapes
    /// - `x`: `[steps, in]`
    /// - returns: `[steps, units]`, in the order of `x` whichever way it is read
    fn forward(&self, x: Tensor<2>, reverse: bool) -> Tensor<2> {
        let [steps, _] = x.dims();
        let weight_hh = self.weight_hh.val().transpose();
        let [units, _] = weight_hh.dims();
        let bias = self.bias_ih.val() + self.bias_hh.val();
        let inputs = x.matmul(self.weight_ih.val().transpose()) + bias.unsqueeze();
        let mut state: Option<(Tensor<2>, Tensor<2>)> = None;
        let mut outputs = Vec::with_capacity(steps);
        for step in 0..steps {
            let step = if reverse { steps - 1 - step } else { step };
            let mut gates = inputs.clone().narrow(0, step, 1);
            if let Some((hidden, _)) = &state {
                gates = gates + hidden.clone().matmul(weight_hh.clone());
            }
            let gate = |index: usize| gates.clone().narrow(1, index * units, units);
            let written = sigmoid(gate(0)) * gate(2).tanh();
            let cell = match state {
                Some((_, cell)) => sigmoid(gate(1)) * cell + written,
                None => written,
            };
            let hidden = sigmoid(gate(3)) * cell.clone().tanh();
            outputs.push(hidden.clone());
            state = Some((hidden, cell));
        }
        if reverse {
            outputs.reverse();
        }
        Tensor::cat(outputs, 0)
    }
}

/// One bidirectional layer.
#[derive(Module, Debug)]
pub struct BiLayer {
    /// Reads from h_0 to h_m.
    pub forward: Direction,
    /// Reads from h_m to h_0.
    pub backward: Direction,
}

/// Stacked bidirectional LSTM over one sequence.
#[derive(Module, Debug)]
pub struct BiLstm {
    /// The layers, first one first.
    pub layers: Vec<BiLayer>,
}

impl BiLstm {
    /// `inputs → 2 · units`, uniform in ±1/√units as `torch.nn.LSTM`.
    pub fn new(inputs: usize, units: usize, init: &mut Initializer, device: &Device) -> Self {
        let layer = |index: usize| {
            let inputs = if index == 0 { inputs } else { 2 * units };
            BiLayer {
                forward: Direction::new(inputs, units, init, device),
                backward: Direction::new(inputs, units, init, device),
            }
        };
        Self { layers: (0..LAYERS).map(layer).collect() }
    }

    /// # Shapes
    /// - `x`: `[steps, in]`
    /// - returns: `[steps, 2 · units]`
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.layers.iter().fold(x, |x, layer| {
            #[cfg(feature = "flex")]
            if super::fused_lstm::is_on_cpu(&x) {
                return super::fused_lstm::layer(x, &layer.forward, &layer.backward);
            }
            let forward = layer.forward.forward(x.clone(), false);
            Tensor::cat(vec![forward, layer.backward.forward(x, true)], 1)
        })
    }
}

/// The published prompt encoder.
#[derive(Module, Debug)]
pub struct LstmEncoder {
    /// `[prompt, hidden]`.
    pub embedding: Param<Tensor<2>>,
    /// `hidden → inner`, half of it each way.
    pub lstm: BiLstm,
    /// `inner → inner → hidden`.
    pub mlp: Mlp,
}

impl LstmEncoder {
    /// Starts the embedding from `vectors`, `[prompt, hidden]`.
    pub fn new(
        config: &EncoderConfig,
        vectors: Tensor<2>,
        init: &mut Initializer,
        device: &Device,
    ) -> Self {
        Self {
            embedding: Param::from_data(vectors.into_data(), device),
            lstm: BiLstm::new(config.hidden, config.inner / 2, init, device),
            mlp: Mlp::new(config.inner / 2 * 2, config.inner, config.hidden, init, device),
        }
    }

    /// # Shapes
    /// - returns: `[prompt, hidden]`
    pub fn forward(&self) -> Tensor<2> {
        self.mlp.forward(self.lstm.forward(self.embedding.val()))
    }
}
