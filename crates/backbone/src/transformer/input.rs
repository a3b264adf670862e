//! What happens to word embeddings before the first layer: learned positions, segments, a norm.

use burn::tensor::Tensor;
use ptuning_core::language_model::Layout;
use ptuning_core::objective::ids;

use super::norm::Norm;
use super::{Description, InputRecipe, PositionRecipe};
use crate::error::LoadError;
use crate::layers::Loader;

/// From word embeddings to the rows of the first layer.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "one per backbone; a box would only hide it")]
pub enum Input {
    /// As one operation.
    #[cfg(feature = "flex")]
    Packed(packed::Packed),
    /// As Burn's operations.
    Tensors {
        /// `[positions, hidden]`
        added: Option<Tensor<2>>,
        /// Behind the sum.
        norm: Option<Norm>,
    },
}

impl Input {
    /// Reads what a description asks for, or `None` where embeddings go straight into the layers.
    ///
    /// # Errors
    /// Tensors that are missing or of another shape.
    pub fn load(description: &Description, loader: &Loader<'_>) -> Result<Option<Self>, LoadError> {
        let hidden = description.embeddings.inner;
        let norm = description.input.norm.as_ref();
        let InputRecipe { positions, segments, .. } = &description.input;
        if positions.is_none() && segments.is_none() && norm.is_none() {
            return Ok(None);
        }
        Ok(Some(match loader.is_packed() {
            #[cfg(feature = "flex")]
            true => {
                let norm = norm.map(|norm| super::packed::load_norm(norm, hidden, loader));
                let added = added(description, loader)?.map(crate::layers::numbers);
                Self::Packed(packed::Packed::new(hidden, added, norm.transpose()?))
            }
            _ => Self::Tensors {
                added: added(description, loader)?,
                norm: norm.map(|norm| Norm::load(norm, hidden, loader)).transpose()?,
            },
        }))
    }

    /// # Shapes
    /// - `x`: `[rows of the batch, hidden]`
    /// - returns: the same
    pub fn forward(&self, x: Tensor<2>, layout: &Layout) -> Tensor<2> {
        match self {
            #[cfg(feature = "flex")]
            Self::Packed(packed) => packed.forward(x, layout),
            Self::Tensors { added, norm } => {
                let x = match added {
                    Some(added) => {
                        let positions: Vec<u32> = layout.positions().map(|p| p as u32).collect();
                        let device = added.device();
                        x + added.clone().select(0, ids(&positions, &device))
                    }
                    None => x,
                };
                match norm {
                    Some(norm) => norm.forward(x),
                    None => x,
                }
            }
        }
    }
}

/// What is added to the row at each position, `[positions, hidden]`.
fn added(description: &Description, loader: &Loader<'_>) -> Result<Option<Tensor<2>>, LoadError> {
    let (hidden, count) = (description.embeddings.inner, description.max_positions);
    let InputRecipe { positions, segments, .. } = &description.input;
    let table = |name: &str, rows: usize| {
        Ok::<Tensor<2>, LoadError>(loader.flat(name, &[rows, hidden])?.reshape([rows, hidden]))
    };
    let mut added = match positions {
        Some(PositionRecipe { table: name, skipped }) => {
            Some(table(name, skipped + count)?.narrow(0, *skipped, count))
        }
        None => None,
    };
    if let Some((name, rows)) = segments {
        let first = table(name, *rows)?.narrow(0, 0, 1);
        added = Some(match added {
            Some(added) => added + first,
            None => first.expand([count, hidden]),
        });
    }
    Ok(added)
}

#[cfg(feature = "flex")]
pub mod packed {
    //! The same as one operation of the CPU's.

    use std::sync::Arc;

    use burn::tensor::Tensor;
    use kernels::input::Input;
    use kernels::norm::Norm;
    use ptuning_core::language_model::Layout;

    use crate::fused::{Function, Pullback, apply};

    /// Positions and a norm as plain numbers.
    #[derive(Debug, Clone)]
    pub struct Packed {
        input: Arc<Input>,
        hidden: usize,
    }

    impl Packed {
        pub fn new(hidden: usize, added: Option<Vec<f32>>, norm: Option<Norm>) -> Self {
            Self { input: Arc::new(Input::new(hidden, added, norm)), hidden }
        }

        pub fn forward(&self, x: Tensor<2>, layout: &Layout) -> Tensor<2> {
            let (input, hidden) = (self.input.clone(), self.hidden);
            apply(x, Arc::new(Rows { input, hidden, positions: layout.positions().collect() }))
        }
    }

    #[derive(Debug)]
    struct Rows {
        input: Arc<Input>,
        hidden: usize,
        positions: Vec<usize>,
    }

    impl Function for Rows {
        fn shape(&self) -> [usize; 2] {
            [self.positions.len(), self.hidden]
        }

        fn value(&self, x: &[f32]) -> Vec<f32> {
            self.input.forward(x, &self.positions).0
        }

        fn taped(&self, x: &[f32]) -> (Vec<f32>, Arc<dyn Pullback>) {
            let (y, sums) = self.input.forward(x, &self.positions);
            (y, Arc::new(Back { input: self.input.clone(), sums }))
        }
    }

    struct Back {
        input: Arc<Input>,
        sums: Vec<f32>,
    }

    impl std::fmt::Debug for Back {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_struct("Back").finish_non_exhaustive()
        }
    }

    impl Pullback for Back {
        fn gradient(&self, dy: &[f32]) -> Vec<f32> {
            self.input.gradient(&self.sums, dy)
        }
    }
}
