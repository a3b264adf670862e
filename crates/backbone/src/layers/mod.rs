//! The parts that families share. All weights are plain tensors: constants to autodiff, so a
//! backward pass computes input gradients alone.

mod attention;
mod layer_norm;
mod linear;
mod loader;
mod position_bias;
mod rms_norm;
mod rotary;
mod weight;

pub use attention::{Mask, attention};
pub use layer_norm::LayerNorm;
pub use linear::{Linear, product};
pub use loader::{Loader, numbers};
pub use position_bias::PositionBias;
pub use rms_norm::RmsNorm;
pub use rotary::Rotary;
pub use weight::Weight;
