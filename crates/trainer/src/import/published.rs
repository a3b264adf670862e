//! The published P-tuning code's checkpoint (THUDM/P-tuning, its LAMA part): a dict that `torch.save` wrote, with the
//! prompt encoder's state dict under `embedding`.
//!
//! Its encoder is ptune's `lstm`, by the names that PEFT's LSTM has as well, so the vectors are computed here.

use std::collections::BTreeMap;
use std::path::Path;

use backbone::Backbone;
use backbone::source::{self, Weights};
use burn::tensor::{Tensor, TensorData};
use ptuning_core::prompt_encoder::{EncoderConfig, EncoderKind, Initializer, PromptEncoder};

use super::{ImportError, Vectors};
use crate::error::Error;
use crate::export::lstm_names;
use crate::parameters;

/// # Errors
/// A file without that encoder.
pub fn read(file: &Path, backbone: &Backbone) -> Result<Vectors, Error> {
    let tensors = source::tensors(file).map_err(ImportError::from)?;
    let names = tensors.names();
    let first = "lstm_head.weight_ih_l0";
    let Some(prefix) = names.iter().find_map(|name| name.strip_suffix(first)) else {
        return Err(ImportError::Unknown {
            file: file.to_owned(),
            expected: "the prompt encoder of the published P-tuning code (lstm_head, mlp_head)",
            found: found(&names),
        }
        .into());
    };
    let mut values = BTreeMap::new();
    for (peft, own) in lstm_names() {
        values.insert(own, tensor(tensors.as_ref(), &format!("{prefix}{peft}"))?);
    }
    let sizes = |name: &str| values.get(name).map(|data| data.shape().to_vec()).unwrap_or_default();
    let (embedding, units) = (sizes("embedding"), sizes("lstm.layers.0.forward.weight_hh"));
    let ([prompt, hidden], [_, units]) = (embedding.as_slice(), units.as_slice()) else {
        return Err(ImportError::Unknown {
            file: file.to_owned(),
            expected: "an embedding of two dimensions",
            found: format!("{embedding:?}"),
        }
        .into());
    };
    let config = EncoderConfig {
        kind: EncoderKind::Lstm,
        prompt: *prompt,
        hidden: *hidden,
        inner: 2 * units,
        prefix_width: None,
    };
    let device = backbone.model.device();
    let zeros = Tensor::zeros(config.start_shape(), &device);
    let encoder = PromptEncoder::new(&config, zeros, &mut Initializer::new(0), &device);
    let encoder = parameters::with_values(encoder, &values)?;
    Ok(Vectors {
        kind: "a prompt encoder of the published P-tuning code".to_owned(),
        numbers: encoder.forward().into_data().iter().collect(),
        found: *prompt,
        spare: false,
        order: None,
        template: None,
    })
}

/// A tensor in f32.
pub(super) fn tensor(tensors: &dyn Weights, name: &str) -> Result<TensorData, ImportError> {
    let shape = tensors.shape(name).ok_or_else(|| tensors.missing(name))?;
    Ok(TensorData::new(tensors.read_vec(name)?, shape))
}

/// What a file has, in short.
fn found(names: &[String]) -> String {
    match names {
        [] => "no tensor".to_owned(),
        [one] => format!("the tensor {one}"),
        [first, ..] => format!("{} tensors, such as {first}", names.len()),
    }
}
