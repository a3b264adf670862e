//! How a config says that positions turn queries and keys.

use std::f64::consts::PI;

use kernels::rotary::Rope;
use serde_json::Value;

use crate::config::Config;
use crate::error::LoadError;

/// The rope of all layers: `rope_parameters` since transformers 5, before that `rope_theta` and
/// `rope_scaling`.
///
/// # Errors
/// A kind of scaling that is not built in.
pub fn rope(config: &Config<'_>, dims: usize) -> Result<Rope, LoadError> {
    match config.get("rope_parameters") {
        Some(parameters) => {
            // Both at once could only contradict each other.
            config.only("rope_scaling", &[])?;
            from(config, "rope_parameters", parameters, dims, 10_000.0)
        }
        None => scaled(config, dims, config.number("rope_theta", 10_000.0)?),
    }
}

/// The rope of layers of one type: an entry of `rope_parameters` since transformers 5, before that a
/// base under a key of its own.
///
/// # Errors
/// A kind of scaling that is not built in.
pub fn rope_of_type(
    config: &Config<'_>,
    layer_type: &str,
    (key, default): (&'static str, f64),
    dims: usize,
) -> Result<Rope, LoadError> {
    let Some(parameters) = config.get("rope_parameters") else {
        return Ok(Rope::new(dims, config.number(key, default)?));
    };
    match parameters.get(layer_type) {
        Some(parameters) => from(config, "rope_parameters", parameters, dims, default),
        None => {
            let expected = format!("an object with \"{layer_type}\"");
            Err(config.unsupported("rope_parameters", expected, parameters))
        }
    }
}

/// Frequencies of this base, scaled as `rope_scaling` says.
///
/// # Errors
/// A kind of scaling that is not built in.
pub fn scaled(config: &Config<'_>, dims: usize, theta: f64) -> Result<Rope, LoadError> {
    match config.get("rope_scaling") {
        Some(scaling) => from(config, "rope_scaling", scaling, dims, theta),
        None => Ok(Rope::new(dims, theta)),
    }
}

fn from(
    config: &Config<'_>,
    key: &str,
    parameters: &Value,
    dims: usize,
    default: f64,
) -> Result<Rope, LoadError> {
    let number = |name: &str| {
        let number = parameters.get(name).and_then(Value::as_f64);
        number.filter(|x| x.is_finite() && *x > 0.0)
    };
    let kind = parameters.get("rope_type").or(parameters.get("type"));
    let kind = kind.map_or(Some("default"), Value::as_str);
    let mut rope = Rope::new(dims, number("rope_theta").unwrap_or(default));
    let factor = number("factor");
    match (kind, factor) {
        (Some("default"), _) => {}
        (Some("linear"), Some(factor)) => {
            rope.frequencies.iter_mut().for_each(|frequency| *frequency /= factor);
        }
        (Some("llama3"), Some(factor)) => {
            let original = number("original_max_position_embeddings");
            let (Some(low), Some(high), Some(original)) =
                (number("low_freq_factor"), number("high_freq_factor"), original)
            else {
                let expected = "llama3 with low_freq_factor, high_freq_factor and \
                                original_max_position_embeddings";
                return Err(config.unsupported(key, expected.to_owned(), parameters));
            };
            for frequency in &mut rope.frequencies {
                *frequency = llama3(*frequency, factor, low, high, original);
            }
        }
        _ => {
            let expected =
                "an object whose rope_type is \"default\", \"linear\" or \"llama3\"".to_owned();
            return Err(config.unsupported(key, expected, parameters));
        }
    }
    Ok(rope)
}

/// Llama 3's stretch of what turns slowly (`_compute_llama3_parameters` of transformers).
fn llama3(frequency: f64, factor: f64, low: f64, high: f64, original: f64) -> f64 {
    let turns = original * frequency / (2.0 * PI);
    if turns > high {
        frequency
    } else if turns < low {
        frequency / factor
    } else {
        let smooth = (turns - low) / (high - low);
        (1.0 - smooth) * frequency / factor + smooth * frequency
    }
}
