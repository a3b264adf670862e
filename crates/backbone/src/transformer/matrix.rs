//! A packed matrix by itself: word embeddings, a head.

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use kernels::frozen::Frozen;
use kernels::loss::cross_entropy;
use kernels::profile::{Stage, timed};

use super::LinearRecipe;
use crate::error::LoadError;
use crate::fused::{Function, Pullback, apply};
use crate::layers::{Loader, numbers};

/// A packed matrix, and what may be added to its products.
#[derive(Clone)]
pub struct Matrix {
    weight: Arc<Frozen>,
    /// `[out]`
    bias: Option<Arc<[f32]>>,
}

impl std::fmt::Debug for Matrix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Matrix({} × {})", self.weight.out(), self.weight.inner())
    }
}

impl Matrix {
    pub fn load(loader: &Loader<'_>, linear: &LinearRecipe) -> Result<Self, LoadError> {
        let bias = loader.bias(linear)?.map(|bias| numbers(bias).into());
        Ok(Self { weight: Arc::new(loader.frozen(linear)?), bias })
    }

    pub fn with_bias(self, bias: Vec<f32>) -> Self {
        Self { bias: Some(bias.into()), ..self }
    }

    pub fn out(&self) -> usize {
        self.weight.out()
    }

    pub fn rows(&self, rows: impl ExactSizeIterator<Item = usize>, device: &Device) -> Tensor<2> {
        let (count, inner) = (rows.len(), self.weight.inner());
        let mut values = vec![0.0; count * inner];
        for (row, to) in rows.zip(values.chunks_exact_mut(inner)) {
            self.weight.row(row, to);
        }
        Tensor::from_data(TensorData::new(values, [count, inner]), device)
    }

    fn scores(&self, x: &[f32], rows: usize) -> Vec<f32> {
        timed(Stage::Head, || self.weight.product(x, rows, self.bias.as_deref()))
    }

    fn scores_gradient(&self, dy: &[f32], rows: usize) -> Vec<f32> {
        timed(Stage::Head, || self.weight.gradient(dy, rows))
    }

    /// # Shapes
    /// - `x`: `[rows, in]`
    /// - returns: `[rows, out]`
    pub fn product(&self, x: Tensor<2>) -> Tensor<2> {
        let [rows, _] = x.dims();
        apply(x, Arc::new(Product { matrix: self.clone(), rows }))
    }
}

impl Matrix {
    /// Cross-entropy of answers among all rows, and what to call `backward` on.
    pub fn loss(
        &self,
        hidden: Tensor<2>,
        answers: &[u32],
        examples: usize,
    ) -> (Tensor<1>, Tensor<1>) {
        let answers: Vec<usize> = answers.iter().map(|&answer| answer as usize).collect();
        let rows = answers.len();
        let losses = apply(hidden, Arc::new(Losses { matrix: self.clone(), answers }));
        let losses = losses.reshape([rows]);
        (losses.clone().without_autodiff(), losses.sum().div_scalar(examples as f64))
    }
}

/// Cross-entropy of `x·Wᵀ + b` row by row; the logits become their gradient in place.
#[derive(Debug)]
struct Losses {
    matrix: Matrix,
    answers: Vec<usize>,
}

impl Losses {
    fn run(&self, x: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let mut logits = self.matrix.scores(x, self.answers.len());
        let losses =
            timed(Stage::Loss, || cross_entropy(&mut logits, self.matrix.out(), &self.answers));
        (losses, logits)
    }
}

impl Function for Losses {
    fn shape(&self) -> [usize; 2] {
        [self.answers.len(), 1]
    }

    fn value(&self, x: &[f32]) -> Vec<f32> {
        self.run(x).0
    }

    fn taped(&self, x: &[f32]) -> (Vec<f32>, Arc<dyn Pullback>) {
        let (losses, gradient) = self.run(x);
        (losses, Arc::new(LossGradient { matrix: self.matrix.clone(), gradient }))
    }
}

struct LossGradient {
    matrix: Matrix,
    /// `softmax − one-hot`, `[rows, vocab]`
    gradient: Vec<f32>,
}

impl std::fmt::Debug for LossGradient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LossGradient({:?})", self.matrix)
    }
}

impl Pullback for LossGradient {
    fn gradient(&self, dy: &[f32]) -> Vec<f32> {
        let mut dx = self.matrix.scores_gradient(&self.gradient, dy.len());
        for (row, dy) in dx.chunks_exact_mut(self.matrix.weight.inner()).zip(dy) {
            row.iter_mut().for_each(|x| *x *= dy);
        }
        dx
    }
}

/// `x·Wᵀ + b`, and its own pullback `dy·W`.
#[derive(Debug, Clone)]
struct Product {
    matrix: Matrix,
    rows: usize,
}

impl Function for Product {
    fn shape(&self) -> [usize; 2] {
        [self.rows, self.matrix.out()]
    }

    fn value(&self, x: &[f32]) -> Vec<f32> {
        self.matrix.scores(x, self.rows)
    }

    fn taped(&self, x: &[f32]) -> (Vec<f32>, Arc<dyn Pullback>) {
        (self.value(x), Arc::new(self.clone()))
    }
}

impl Pullback for Product {
    fn gradient(&self, dy: &[f32]) -> Vec<f32> {
        self.matrix.scores_gradient(dy, self.rows)
    }
}
