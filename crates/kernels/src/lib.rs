//! The arithmetic of frozen transformer layers on a CPU.
//!
//! Training a prompt is one forward pass and one input gradient through a model whose weights never
//! change. A [`frozen::Frozen`] matrix is packed once for both of its products and kept as small as the
//! file kept it; a [`stack::Stack`] of layers runs through norms, products, attention and activations
//! with a [`team::Team`] of threads that is fed once per pass, on sequences without padding that may
//! share their first rows; a [`stack::Tape`] keeps only what the input's gradient needs.
//!
//! The crate knows no tensor library, no file format and no model family. It is the only one of the
//! workspace with `unsafe` code: the product's innermost loop reads and writes through pointers
//! ([`gemm`](frozen)), members of a team write parts of one buffer, and a team erases the lifetime of
//! its work. Each such place says what makes it sound.
//!
//! ```
//! use kernels::frozen::{Frozen, Values};
//!
//! // `W` is [out, in] = [2, 3].
//! let frozen = Frozen::new(Values::F32(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), 2, 3);
//! let mut row = [0.0; 3];
//! frozen.row(1, &mut row);
//! assert_eq!(row, [4.0, 5.0, 6.0]);
//! ```

pub mod activation;
pub mod adam;
mod attention;
pub mod frozen;
mod gemm;
pub mod input;
pub mod loss;
pub mod lstm;
pub mod norm;
pub mod position_bias;
pub mod profile;
pub mod rotary;
mod shared;
pub mod simd;
pub mod stack;
mod sums;
pub mod team;
